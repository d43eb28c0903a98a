#include <immintrin.h>

#include <cstdint>

#include "core/parallel.h"
#include "cpu/padding.h"
#include "cpu/vec.h"
#include "kernels/matmul.h"

// Products of bfloat16 on AMX tiles. A block of 32 x 32 of C is four tiles of float32; A gives two
// tiles of 16 rows by 32 k, B two of 32 k by 16 columns in which pairs of k lie side by side. Both
// are packed with zeros to whole tiles, so no tile is ever partial. Other dtypes and small products
// go to the kernel of the level below.
namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Gemm;

constexpr int64_t kTile = 16, kDeep = 32, kBlock = 2 * kTile;
constexpr int64_t kTileItems = kTile * kDeep;             // of bfloat16, 1 KiB
constexpr int64_t kBlocksOfTask = 8;                      // blocks of columns in a task
constexpr int64_t kPackItems = 16 << 20;                  // held at one time
constexpr int64_t kLeastRows = 8, kLeastWork = 64 << 10;  // below these tiles do not pay

void (*gemm_below)(Context&, const Gemm&);

struct alignas(64) TileConfig {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
};

EMBER_INLINE void configure_tiles() {
    TileConfig config;
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = kTile;
    }
    // GCC 12 tells its optimiser of the first 8 of the 64 bytes only, and of none of a tile's.
    asm volatile("" : : "r"(&config) : "memory");
    _tile_loadconfig(&config);
}

// 32 rows of A: for each 32 k two tiles, (k blocks, 2, 16 rows, 32 k).
EMBER_NOINLINE void pack_rows(const BFloat16* a, int64_t row, int64_t col, int64_t rows, int64_t k,
                              BFloat16* out) {
    for (int64_t p = 0; p < k; p += kDeep)
        for (int64_t i = 0; i < kBlock; i++)
            for (int64_t q = 0; q < kDeep; q++)
                *out++ = i < rows && p + q < k ? a[i * row + (p + q) * col] : BFloat16{0};
}

// 32 columns of B: for each 32 k two tiles, (k blocks, 2, 16 pairs of k, 16 columns, 2).
EMBER_NOINLINE void pack_columns(const BFloat16* b, int64_t row, int64_t col, int64_t columns,
                                 int64_t k, BFloat16* out) {
    for (int64_t p = 0; p < k; p += kDeep)
        for (int64_t tile = 0; tile < 2; tile++)
            for (int64_t pair = 0; pair < kDeep; pair += 2)
                for (int64_t j = tile * kTile; j < (tile + 1) * kTile; j++)
                    for (int64_t q = p + pair; q < p + pair + 2; q++)
                        *out++ = j < columns && q < k ? b[q * row + j * col] : BFloat16{0};
}

// sums (32, 32) = a panel of A times a strip of B.
EMBER_INLINE void multiply_block(const BFloat16* a, const BFloat16* b, int64_t depths,
                                 float* sums) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t d = 0; d < depths; d++, a += 2 * kTileItems, b += 2 * kTileItems) {
        _tile_loadd(4, a, 64);
        _tile_loadd(6, b, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, b + kTileItems, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a + kTileItems, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    constexpr int64_t kRowBytes = kBlock * sizeof(float);
    _tile_stored(0, sums, kRowBytes);
    _tile_stored(1, sums + kTile, kRowBytes);
    _tile_stored(2, sums + kTile * kBlock, kRowBytes);
    _tile_stored(3, sums + kTile * kBlock + kTile, kRowBytes);
}

EMBER_NOINLINE void finish_block(const Gemm& g, BFloat16* c, const float* sums, int64_t i0,
                                 int64_t j0) {
    const BFloat16* bias = static_cast<const BFloat16*>(g.bias);
    const float alpha = float(g.alpha), beta = float(g.beta);
    for (int64_t i = 0; i < least(kBlock, g.m - i0); i++)
        for (int64_t j = 0; j < least(kBlock, g.n - j0); j++) {
            BFloat16& to = c[(i0 + i) * g.c_row + (j0 + j) * g.c_col];
            float x = alpha * sums[i * kBlock + j];
            if (beta != 0) x += beta * to_float(to);
            if (bias) x += to_float(bias[j0 + j]);
            if (g.activation == Gemm::Activation::Relu && x < 0) x = 0;
            to = to_bfloat16(x);
        }
}

void multiply(Context& context, const Gemm& g) {
    const BFloat16* a = static_cast<const BFloat16*>(g.a);
    const BFloat16* b = static_cast<const BFloat16*>(g.b);
    BFloat16* c = static_cast<BFloat16*>(g.c);
    const int64_t panels = ceil_div(g.m, kBlock), strips = ceil_div(g.n, kBlock);
    const int64_t depths = ceil_div(g.k, kDeep), block_items = depths * 2 * kTileItems;
    const int64_t runs = ceil_div(strips, kBlocksOfTask);
    const int64_t items = (panels + strips) * block_items;
    const int64_t group = least(g.batch, most(1, kPackItems / items));
    BFloat16* packed = context.scratch_of<BFloat16>(group * items);
    const int64_t pack_grain = ceil_div(kGrainBytes, block_items * int64_t(sizeof(BFloat16)));
    for (int64_t n0 = 0; n0 < g.batch; n0 += group) {
        const int64_t here = least(group, g.batch - n0);
        // Each product's panels of A, then its strips of B.
        parallel_for(here * (panels + strips), pack_grain, [&](int64_t begin, int64_t end) {
            for (int64_t t = begin; t < end; t++) {
                const int64_t n = n0 + t / (panels + strips), i = t % (panels + strips);
                BFloat16* to = packed + t * block_items;
                if (i < panels) {
                    const int64_t first = i * kBlock;
                    pack_rows(a + n * g.a_batch + first * g.a_row, g.a_row, g.a_col,
                              least(kBlock, g.m - first), g.k, to);
                } else {
                    const int64_t first = (i - panels) * kBlock;
                    pack_columns(b + n * g.b_batch + first * g.b_col, g.b_row, g.b_col,
                                 least(kBlock, g.n - first), g.k, to);
                }
            }
        });
        parallel_for(here * panels * runs, 1, [&](int64_t begin, int64_t end) {
            alignas(64) float sums[kBlock * kBlock];
            configure_tiles();
            for (int64_t t = begin; t < end; t++) {
                const int64_t n = t / (panels * runs), panel = t / runs % panels, run = t % runs;
                const BFloat16* rows = packed + (n * (panels + strips) + panel) * block_items;
                const BFloat16* columns = packed + (n * (panels + strips) + panels) * block_items;
                const int64_t last = least(strips, (run + 1) * kBlocksOfTask);
                for (int64_t s = run * kBlocksOfTask; s < last; s++) {
                    multiply_block(rows, columns + s * block_items, depths, sums);
                    finish_block(g, c + (n0 + n) * g.c_batch, sums, panel * kBlock, s * kBlock);
                }
            }
            _tile_release();
        });
    }
}

void gemm(Context& context, const Gemm& g) {
    if (g.dtype != DType::BFloat16 || g.batch <= 0 || g.m < kLeastRows || g.n < kLeastRows ||
        g.k < kDeep || g.m * g.n * g.k < kLeastWork) {
        return gemm_below(context, g);
    }
    multiply(context, g);
}

}  // namespace

void register_matmul_amx(Table& table) {
    gemm_below =
        reinterpret_cast<void (*)(Context&, const Gemm&)>(kernels::gemm.fn[int(table.device)]);
    table.set(kernels::gemm, gemm, kNumeric);
}

}  // namespace ember::cpu::EMBER_LEVEL
