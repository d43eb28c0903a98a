#pragma once

// GCC 12 warns of the undefined registers that its own headers pass on purpose.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

// The tile operations in software, as Intel defines them: a thread has eight tiles, with the shapes
// that its last configuration gave. What a processor answers with a fault ends the process here,
// with a sentence.
namespace amx_emulator {

struct Tiles {
    bool configured = false;
    uint16_t row_bytes[8] = {};
    uint8_t rows[8] = {};
    uint8_t data[8][16][64] = {};
};

// Apart, as the library has little room for what belongs to threads.
inline Tiles& mine() {
    thread_local auto tiles = std::make_unique<Tiles>();
    return *tiles;
}

inline void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "amx emulator: %s\n", what);
    std::abort();
}

inline void require_tile(int t) {
    Tiles& tiles = mine();
    require(tiles.configured, "a tile is used before tiles are configured");
    require(t >= 0 && t < 8 && tiles.rows[t] > 0, "a tile without a shape is used");
}

inline void release() { mine() = Tiles(); }

inline void load_config(const void* p) {
    Tiles& tiles = mine();
    uint8_t bytes[64];
    std::memcpy(bytes, p, 64);
    release();
    if (bytes[0] == 0) return;
    require(bytes[0] == 1, "configuration: the palette must be 0 or 1");
    for (int i = 1; i < 16; i++)
        require(bytes[i] == 0, "configuration: reserved bytes and the first row must be zero");
    for (int t = 0; t < 16; t++) {
        uint16_t row_bytes;
        std::memcpy(&row_bytes, bytes + 16 + 2 * t, 2);
        const uint8_t rows = bytes[48 + t];
        require((row_bytes == 0) == (rows == 0), "configuration: a tile has rows or columns alone");
        require(t < 8 ? row_bytes <= 64 && rows <= 16 : rows == 0,
                "configuration: there are eight tiles of up to 16 rows of 64 bytes");
        if (t < 8) tiles.row_bytes[t] = row_bytes, tiles.rows[t] = rows;
    }
    tiles.configured = true;
}

inline void zero(int t) {
    Tiles& tiles = mine();
    require_tile(t);
    std::memset(tiles.data[t], 0, sizeof tiles.data[t]);
}

inline void load(int t, const void* base, int64_t stride) {
    Tiles& tiles = mine();
    zero(t);
    for (int i = 0; i < tiles.rows[t]; i++)
        std::memcpy(tiles.data[t][i], static_cast<const char*>(base) + i * stride,
                    tiles.row_bytes[t]);
}

inline void store(int t, void* base, int64_t stride) {
    Tiles& tiles = mine();
    require_tile(t);
    for (int i = 0; i < tiles.rows[t]; i++)
        std::memcpy(static_cast<char*>(base) + i * stride, tiles.data[t][i], tiles.row_bytes[t]);
}

inline void require_product(int c, int a, int b) {
    Tiles& tiles = mine();
    require_tile(c);
    require_tile(a);
    require_tile(b);
    require(c != a && c != b && a != b, "a product needs three tiles");
    require(tiles.rows[c] == tiles.rows[a] && tiles.row_bytes[c] == tiles.row_bytes[b] &&
                tiles.row_bytes[a] == 4 * tiles.rows[b] && tiles.row_bytes[c] % 4 == 0,
            "shapes of tiles do not fit a product");
}

template <class T>
T item(const uint8_t* row, int i) {
    T x;
    std::memcpy(&x, row + size_t(i) * sizeof(T), sizeof x);
    return x;
}

// Subnormal numbers count as zeros, whatever the thread's floating-point mode is.
inline float flushed(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? 0 * x : x; }

inline float widened(const uint8_t* row, int i) {
    const uint32_t bits = uint32_t(item<uint16_t>(row, i)) << 16;
    float x;
    std::memcpy(&x, &bits, 4);
    return flushed(x);
}

// Even and odd products have sums of their own, which are added to c at the end.
inline void multiply_bfloat16(int c, int a, int b) {
    Tiles& tiles = mine();
    require_product(c, a, b);
    const int columns = tiles.row_bytes[c] / 4, depth = tiles.row_bytes[a] / 4;
    for (int i = 0; i < tiles.rows[c]; i++) {
        float sums[2][16] = {};
        for (int k = 0; k < depth; k++)
            for (int h = 0; h < 2; h++) {
                const float x = widened(tiles.data[a][i], 2 * k + h);
                for (int j = 0; j < columns; j++)
                    sums[h][j] =
                        flushed(std::fma(x, widened(tiles.data[b][k], 2 * j + h), sums[h][j]));
            }
        for (int j = 0; j < columns; j++) {
            const float sum = flushed(flushed(item<float>(tiles.data[c][i], j)) +
                                      flushed(sums[0][j] + sums[1][j]));
            std::memcpy(tiles.data[c][i] + 4 * j, &sum, 4);
        }
    }
}

inline void multiply_int8(int c, int a, int b) {
    Tiles& tiles = mine();
    require_product(c, a, b);
    for (int i = 0; i < tiles.rows[c]; i++)
        for (int j = 0; j < tiles.row_bytes[c] / 4; j++) {
            uint32_t sum = item<uint32_t>(tiles.data[c][i], j);
            for (int k = 0; k < tiles.row_bytes[a] / 4; k++)
                for (int q = 0; q < 4; q++)
                    sum += uint32_t(item<int8_t>(tiles.data[a][i], 4 * k + q) *
                                    item<int8_t>(tiles.data[b][k], 4 * j + q));
            std::memcpy(tiles.data[c][i] + 4 * j, &sum, 4);
        }
}

}  // namespace amx_emulator

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#undef _tile_dpbssd
#define _tile_loadconfig(p) amx_emulator::load_config(p)
#define _tile_release() amx_emulator::release()
#define _tile_zero(t) amx_emulator::zero(t)
#define _tile_loadd(t, base, stride) amx_emulator::load(t, base, stride)
#define _tile_stored(t, base, stride) amx_emulator::store(t, base, stride)
#define _tile_dpbf16ps(c, a, b) amx_emulator::multiply_bfloat16(c, a, b)
#define _tile_dpbssd(c, a, b) amx_emulator::multiply_int8(c, a, b)
