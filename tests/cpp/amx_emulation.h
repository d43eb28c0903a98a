#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

// The tile operations on arrays: as Intel defines them, but for the flushing of denormal numbers,
// with the shapes that the last configuration gave. Checks that it is valid, and that no operation
// comes without one.
namespace amx_emulation {

struct Tiles {
    bool configured = false;
    uint16_t row_bytes[8] = {};
    uint8_t rows[8] = {};
    uint8_t data[8][16][64] = {};
    bool broken = false;
};
inline thread_local Tiles tiles;
inline bool broken = false;

inline bool valid(int t) {
    if (!tiles.configured) broken = true;
    return tiles.configured && tiles.rows[t] > 0;
}
inline void load_config(const void* p) {
    uint8_t bytes[64];
    std::memcpy(bytes, p, 64);
    if (bytes[0] != 1 || bytes[1] != 0) broken = true;
    for (int i = 2; i < 16; i++)
        if (bytes[i] != 0) broken = true;
    for (int t = 0; t < 16; t++) {
        uint16_t row_bytes;
        std::memcpy(&row_bytes, bytes + 16 + 2 * t, 2);
        const uint8_t rows = bytes[48 + t];
        if (t >= 8 ? row_bytes != 0 || rows != 0 : row_bytes > 64 || rows > 16) broken = true;
        if (t < 8) tiles.row_bytes[t] = row_bytes, tiles.rows[t] = rows;
    }
    std::memset(tiles.data, 0, sizeof tiles.data);
    tiles.configured = true;
}
inline void release() { tiles.configured = false; }
inline void zero(int t) {
    if (valid(t)) std::memset(tiles.data[t], 0, sizeof tiles.data[t]);
}
inline void load(int t, const void* base, int64_t stride) {
    if (!valid(t)) return;
    std::memset(tiles.data[t], 0, sizeof tiles.data[t]);
    for (int i = 0; i < tiles.rows[t]; i++)
        std::memcpy(tiles.data[t][i], static_cast<const char*>(base) + i * stride,
                    tiles.row_bytes[t]);
}
inline void store(int t, void* base, int64_t stride) {
    if (!valid(t)) return;
    for (int i = 0; i < tiles.rows[t]; i++)
        std::memcpy(static_cast<char*>(base) + i * stride, tiles.data[t][i], tiles.row_bytes[t]);
}
inline float widened(const uint8_t* p) {
    uint32_t bits = uint32_t(p[0] | p[1] << 8) << 16;
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}
inline void multiply(int c, int a, int b) {
    if (!valid(c) || !valid(a) || !valid(b)) return;
    for (int i = 0; i < tiles.rows[c]; i++)
        for (int k = 0; k < tiles.row_bytes[a] / 4; k++)
            for (int j = 0; j < tiles.row_bytes[c] / 4; j++) {
                float sum;
                std::memcpy(&sum, tiles.data[c][i] + 4 * j, 4);
                for (int h = 0; h < 2; h++)
                    sum += widened(tiles.data[a][i] + 4 * k + 2 * h) *
                           widened(tiles.data[b][k] + 4 * j + 2 * h);
                std::memcpy(tiles.data[c][i] + 4 * j, &sum, 4);
            }
}

}  // namespace amx_emulation

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#define _tile_loadconfig(p) amx_emulation::load_config(p)
#define _tile_release() amx_emulation::release()
#define _tile_zero(t) amx_emulation::zero(t)
#define _tile_loadd(t, base, stride) amx_emulation::load(t, base, stride)
#define _tile_stored(t, base, stride) amx_emulation::store(t, base, stride)
#define _tile_dpbf16ps(c, a, b) amx_emulation::multiply(c, a, b)
