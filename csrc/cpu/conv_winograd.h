#pragma once

#include "core/parallel.h"
#include "cpu/gemm_pack.h"
#include "kernels/conv.h"
#include "kernels/matmul.h"

// Convolutions of 3 x 3 taps by Winograd's algorithm (Lavin and Gray, arXiv 1509.09308): a tile of
// 4 x 4 outputs takes 36 multiplications for each pair of channels instead of 144. Six values of
// the input, of the weight and of the output are those of polynomials at the points 0, a, -a, b,
// -b and infinity, where a convolution is a product of each value alone:
//     y = A' [(G w G') * (B' x B)] A,   36 matrix products over the channels,
// and the weight's gradient, its adjoint, is G' [(B' x B) * (A y A')] G.
// The points 3/4 and 3/2 round about four times less than the usual 1 and 2 do: results are
// within 1.5 times the error of the plain sum.
namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Conv2d;

constexpr int kStep = 4, kValues = 6, kPlanes = kValues * kValues, kTaps = 9;
constexpr int64_t kTilesAcross = 8;         // whose pixels are held at one time
constexpr int64_t kSpreadItems = 2 << 20;   // of values held at one time
constexpr int64_t kWeightItems = 12 << 20;  // of values of the weight, at most
constexpr int64_t kLeastChannels = 16, kLeastTiles = 16;

constexpr float kA = 0.75f, kB = 1.5f, kAA = kA * kA, kBB = kB * kB;
constexpr float kNull = 1 / (kAA * kBB), kNearA = 1 / (2 * kAA * (kAA - kBB)),
                kNearB = 1 / (2 * kBB * (kBB - kAA));

// The one-dimensional transforms: Out values from In, each apart by a step.
struct InputValues {  // B'
    static constexpr int kIn = kValues, kOut = kValues;
    static EMBER_INLINE void apply(const VecF* x, int from, VecF* y, int to) {
        const VecF both(kAA * kBB), sum(kAA + kBB), a(kA), b(kB), aa(kAA), bb(kBB);
        const VecF x1 = x[from], x2 = x[2 * from], x3 = x[3 * from], x4 = x[4 * from];
        const VecF even_a = x4 - bb * x2, odd_a = a * (x3 - bb * x1);
        const VecF even_b = x4 - aa * x2, odd_b = b * (x3 - aa * x1);
        y[0] = both * x[0] - sum * x2 + x4;
        y[to] = even_a + odd_a;
        y[2 * to] = even_a - odd_a;
        y[3 * to] = even_b + odd_b;
        y[4 * to] = even_b - odd_b;
        y[5 * to] = both * x1 - sum * x3 + x[5 * from];
    }
};
struct OutputValues {  // A, of the output's gradient
    static constexpr int kIn = kStep, kOut = kValues;
    static EMBER_INLINE void apply(const VecF* x, int from, VecF* y, int to) {
        const VecF a(kA), b(kB), aa(kAA), bb(kBB);
        const VecF x0 = x[0], x1 = x[from], x2 = x[2 * from], x3 = x[3 * from];
        const VecF even_a = x0 + aa * x2, odd_a = a * (x1 + aa * x3);
        const VecF even_b = x0 + bb * x2, odd_b = b * (x1 + bb * x3);
        y[0] = x0;
        y[to] = even_a + odd_a;
        y[2 * to] = even_a - odd_a;
        y[3 * to] = even_b + odd_b;
        y[4 * to] = even_b - odd_b;
        y[5 * to] = x3;
    }
};
struct Outputs {  // A'
    static constexpr int kIn = kValues, kOut = kStep;
    static EMBER_INLINE void apply(const VecF* x, int from, VecF* y, int to) {
        const VecF a(kA), b(kB), aa(kAA), bb(kBB);
        const VecF sum_a = x[from] + x[2 * from], odd_a = a * (x[from] - x[2 * from]);
        const VecF sum_b = x[3 * from] + x[4 * from], odd_b = b * (x[3 * from] - x[4 * from]);
        y[0] = x[0] + sum_a + sum_b;
        y[to] = odd_a + odd_b;
        y[2 * to] = aa * sum_a + bb * sum_b;
        y[3 * to] = aa * odd_a + bb * odd_b + x[5 * from];
    }
};
struct WeightValues {  // G
    static constexpr int kIn = 3, kOut = kValues;
    static EMBER_INLINE void apply(const VecF* x, int from, VecF* y, int to) {
        const VecF null(kNull), near_a(kNearA), near_b(kNearB), aa(kAA), bb(kBB);
        const VecF x0 = x[0], x1 = x[from], x2 = x[2 * from];
        const VecF even_a = near_a * (x0 + aa * x2), odd_a = VecF(kNearA * kA) * x1;
        const VecF even_b = near_b * (x0 + bb * x2), odd_b = VecF(kNearB * kB) * x1;
        y[0] = null * x0;
        y[to] = even_a + odd_a;
        y[2 * to] = even_a - odd_a;
        y[3 * to] = even_b + odd_b;
        y[4 * to] = even_b - odd_b;
        y[5 * to] = x2;
    }
};
struct Weights {  // G'
    static constexpr int kIn = kValues, kOut = 3;
    static EMBER_INLINE void apply(const VecF* x, int from, VecF* y, int to) {
        const VecF null(kNull), near_a(kNearA), near_b(kNearB);
        const VecF even_a = near_a * (x[from] + x[2 * from]);
        const VecF even_b = near_b * (x[3 * from] + x[4 * from]);
        y[0] = null * x[0] + even_a + even_b;
        y[to] = VecF(kNearA * kA) * (x[from] - x[2 * from]) +
                VecF(kNearB * kB) * (x[3 * from] - x[4 * from]);
        y[2 * to] = VecF(kAA) * even_a + VecF(kBB) * even_b + x[5 * from];
    }
};

// Both dims of a square of registers.
template <class Transform>
EMBER_INLINE void transform(const VecF* x, VecF* y) {
    constexpr int kIn = Transform::kIn, kOut = Transform::kOut;
    VecF half[kOut * kIn];
#pragma GCC unroll 6
    for (int j = 0; j < kIn; j++) Transform::apply(x + j, kIn, half + j, kIn);
#pragma GCC unroll 6
    for (int i = 0; i < kOut; i++) Transform::apply(half + i * kIn, 1, y + i * kOut, 1);
}

// Images cut into tiles. A tile's first pixel is kStep times its place, less the padding.
struct Tiled {
    int64_t channels, height, width, top, left, rows, columns;  // rows, columns of tiles
    EMBER_INLINE int64_t padded() const { return ceil_div(channels, VecF::size) * VecF::size; }
};

// Values of tiles or of weights: kPlanes matrices whose rows are channels side by side. The
// matrices lie one register more apart, or all would fall into the same sets of a cache.
struct Spread {
    float* items;
    int64_t row, plane;
    EMBER_INLINE Spread(Context& context, int64_t rows, int64_t channels)
        : items(nullptr), row(channels), plane(rows * channels + VecF::size) {
        items = context.scratch_of<float>(kPlanes * plane);
    }
    EMBER_INLINE void load(int64_t i, int64_t channel, VecF* values) const {
        const float* at = items + i * row + channel;
#pragma GCC unroll 36
        for (int v = 0; v < kPlanes; v++) values[v] = VecF::load(at + v * plane);
    }
    EMBER_INLINE void store(int64_t i, int64_t channel, const VecF* values) const {
        float* at = items + i * row + channel;
#pragma GCC unroll 36
        for (int v = 0; v < kPlanes; v++) values[v].store(at + v * plane);
    }
};

// The values of one row of tiles, of a register of channels from `channel`, to rows i, i + 1, ...
template <class Transform>
EMBER_NOINLINE void spread_tiles(const Tiled& x, const float* images, int64_t tile_row,
                                 int64_t channel, const Spread& to, int64_t i) {
    constexpr int kLanes = VecF::size, kSize = Transform::kIn;
    constexpr int64_t kColumns = kTilesAcross * kStep + kSize - kStep;
    alignas(64) float pixels[kSize][kColumns][kLanes];
    const int64_t lanes = least(kLanes, x.channels - channel), plane = x.height * x.width;
    const float* planes = images + (tile_row / x.rows * x.channels + channel) * plane;
    const int64_t top = tile_row % x.rows * kStep - x.top;
    for (int64_t t0 = 0; t0 < x.columns; t0 += kTilesAcross) {
        const int64_t tiles = least(kTilesAcross, x.columns - t0), left = t0 * kStep - x.left;
        const int64_t columns = tiles * kStep + kSize - kStep;
        for (int r = 0; r < kSize; r++) {
            const bool inside = top + r >= 0 && top + r < x.height;
            const int64_t begin = inside ? clamp_to(-left, 0, columns) : columns;
            const int64_t end = inside ? clamp_to(x.width - left, begin, columns) : columns;
            memset(pixels[r], 0, size_t(begin) * sizeof pixels[r][0]);
            memset(pixels[r] + end, 0, size_t(columns - end) * sizeof pixels[r][0]);
            if (begin == end) continue;
            pack_transposed(planes + (top + r) * x.width + left + begin, plane, lanes, end - begin,
                            pixels[r][begin], kLanes);
        }
        for (int64_t t = 0; t < tiles; t++, i++) {
            VecF in[kSize * kSize], out[kPlanes];
#pragma GCC unroll 6
            for (int r = 0; r < kSize; r++)
#pragma GCC unroll 6
                for (int c = 0; c < kSize; c++)
                    in[r * kSize + c] = VecF::load(pixels[r][t * kStep + c]);
            transform<Transform>(in, out);
            to.store(i, channel, out);
        }
    }
}

// The pixels of one row of tiles, of a register of channels, from rows i, i + 1, ...
EMBER_NOINLINE void gather_tiles(const Tiled& x, const Spread& from, int64_t i, int64_t tile_row,
                                 int64_t channel, const float* bias, float* images) {
    constexpr int kLanes = VecF::size;
    constexpr int64_t kColumns = kTilesAcross * kStep;
    alignas(64) float pixels[kStep][kColumns][kLanes];
    const int64_t lanes = least(kLanes, x.channels - channel), plane = x.height * x.width;
    float* planes = images + (tile_row / x.rows * x.channels + channel) * plane;
    const int64_t top = tile_row % x.rows * kStep;
    const VecF added = bias ? load_first<float>(bias + channel, lanes) : VecF(0.0f);
    for (int64_t t0 = 0; t0 < x.columns; t0 += kTilesAcross) {
        const int64_t tiles = least(kTilesAcross, x.columns - t0), left = t0 * kStep;
        for (int64_t t = 0; t < tiles; t++, i++) {
            VecF in[kPlanes], out[kStep * kStep];
            from.load(i, channel, in);
            transform<Outputs>(in, out);
#pragma GCC unroll 4
            for (int r = 0; r < kStep; r++)
#pragma GCC unroll 4
                for (int c = 0; c < kStep; c++)
                    (out[r * kStep + c] + added).store(pixels[r][t * kStep + c]);
        }
        const int64_t columns = least(tiles * kStep, x.width - left);
        for (int64_t r = 0; r < least(kStep, x.height - top); r++)
            for (int64_t c = 0; c < columns; c += kLanes) {
                const int64_t count = least(kLanes, columns - c);
                VecF block[kLanes];
#pragma GCC unroll 16
                for (int j = 0; j < kLanes; j++)
                    block[j] = VecF::load(pixels[r][least(c + j, kColumns - 1)]);
                transpose_rounds<float, kLanes / 2>(block);
                float* to = planes + (top + r) * x.width + left + c;
#pragma GCC unroll 16
                for (int j = 0; j < kLanes; j++)
                    if (j < lanes) store_first(block[j], to + j * plane, count);
            }
    }
}

// The values of the weight (in, out), taps of a pair being contiguous; `flipped` turns them around.
EMBER_NOINLINE void spread_weight(const float* weight, int64_t in_step, int64_t out_step,
                                  int64_t in, int64_t out, bool flipped, const Spread& to) {
    constexpr int kLanes = VecF::size;
    parallel_for(in, ceil_div(kGrainBytes / 16, out * kTaps), [&](int64_t begin, int64_t end) {
        alignas(64) float taps[kTaps][kLanes];
        for (int64_t i = begin; i < end; i++)
            for (int64_t o = 0; o < out; o += kLanes) {
                pack_transposed(weight + i * in_step + o * out_step, out_step,
                                least(kLanes, out - o), int64_t(kTaps), taps[0], kLanes);
                VecF x[kTaps], values[kPlanes];
#pragma GCC unroll 9
                for (int t = 0; t < kTaps; t++)
                    x[t] = VecF::load(taps[flipped ? kTaps - 1 - t : t]);
                transform<WeightValues>(x, values);
                to.store(i, o, values);
            }
    });
}

// The gradient of the weight (out, in, 3, 3) from its values.
EMBER_NOINLINE void gather_weight(const Spread& from, int64_t in, int64_t out, float* weight) {
    constexpr int kLanes = VecF::size;
    parallel_for(in, ceil_div(kGrainBytes / 16, out * kTaps), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++)
            for (int64_t o = 0; o < out; o += kLanes) {
                VecF values[kPlanes], taps[kTaps];
                from.load(i, o, values);
                transform<Weights>(values, taps);
                for (int t = 0; t < kTaps; t += kLanes) {
                    VecF block[kLanes];
#pragma GCC unroll 16
                    for (int j = 0; j < kLanes; j++)
                        block[j] = taps[t + j < kTaps ? t + j : kTaps - 1];
                    transpose_rounds<float, kLanes / 2>(block);
                    float* to = weight + (o * in + i) * kTaps + t;
#pragma GCC unroll 16
                    for (int j = 0; j < kLanes; j++)
                        if (j < out - o)
                            store_first(block[j], to + j * in * kTaps, least(kLanes, kTaps - t));
                }
            }
    });
}

EMBER_INLINE bool suits_winograd(const Conv2d& g, int64_t height, int64_t width) {
    const bool three = g.r == 3 && g.s == 3 && g.groups == 1 && g.stride[0] == 1 &&
                       g.stride[1] == 1 && g.dilation[0] == 1 && g.dilation[1] == 1;
    const int64_t tiles = g.n * ceil_div(height, kStep) * ceil_div(width, kStep);
    return three && g.dtype == DType::Float32 && least(g.c, g.k) >= kLeastChannels &&
           tiles >= kLeastTiles && kPlanes * g.c * g.k <= kWeightItems &&
           // The edges' tiles must not be empty for the most part.
           tiles * kPlanes * 3 < g.n * height * width * kTaps * 2;
}

// What the two images of a convolution have in common: rows of tiles go in turns of `held`.
struct Turns {
    int64_t tile_rows, held;
    EMBER_INLINE Turns(const Tiled& x, int64_t images, int64_t channels)
        : tile_rows(images * x.rows), held(0) {
        held = clamp_to(kSpreadItems / (kPlanes * channels * x.columns), 1, tile_rows);
        held = ceil_div(tile_rows, ceil_div(tile_rows, held));
    }
};

template <class Transform>
EMBER_INLINE void spread_rows(const Tiled& x, const float* images, Range rows, const Spread& to) {
    const int64_t blocks = x.padded() / VecF::size;
    const int64_t grain = ceil_div(kGrainBytes / 4, x.columns * kPlanes * VecF::size);
    parallel_for((rows.end - rows.begin) * blocks, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++)
            spread_tiles<Transform>(x, images, rows.begin + i / blocks, i % blocks * VecF::size, to,
                                    i / blocks * x.columns);
    });
}

// out = the images correlated with the weight (and bias), as Conv2d's forward direction.
EMBER_NOINLINE void winograd(Context& context, int64_t images, const Tiled& in, const float* source,
                             const Tiled& out, float* result, const float* bias,
                             const float* weight, int64_t in_step, int64_t out_step, bool flipped) {
    const Turns turns(out, images, in.padded() + out.padded());
    const int64_t most_tiles = turns.held * out.columns;
    const Spread w(context, in.channels, out.padded()), x(context, most_tiles, in.padded()),
        y(context, most_tiles, out.padded());
    spread_weight(weight, in_step, out_step, in.channels, out.channels, flipped, w);
    const int64_t blocks = out.padded() / VecF::size;
    const int64_t grain = ceil_div(kGrainBytes / 4, out.columns * kPlanes * VecF::size);
    for (int64_t row = 0; row < turns.tile_rows; row += turns.held) {
        const int64_t here = least(turns.held, turns.tile_rows - row);
        spread_rows<InputValues>(in, source, {row, row + here}, x);
        kernels::Gemm product;
        product.batch = kPlanes;
        product.m = here * out.columns, product.n = out.padded(), product.k = in.channels;
        product.a = x.items, product.a_batch = x.plane, product.a_row = x.row, product.a_col = 1;
        product.b = w.items, product.b_batch = w.plane, product.b_row = w.row, product.b_col = 1;
        product.c = y.items, product.c_batch = y.plane, product.c_row = y.row;
        kernels::gemm(DeviceType::CPU, context, product);
        parallel_for(here * blocks, grain, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i++)
                gather_tiles(out, y, i / blocks * out.columns, row + i / blocks,
                             i % blocks * VecF::size, bias, result);
        });
    }
}

EMBER_INLINE Tiled tiled(int64_t channels, int64_t height, int64_t width, int64_t top, int64_t left,
                         int64_t out_height, int64_t out_width) {
    return {channels,
            height,
            width,
            top,
            left,
            ceil_div(out_height, kStep),
            ceil_div(out_width, kStep)};
}

EMBER_INLINE void winograd_forward(Context& context, const Conv2d& g) {
    winograd(context, g.n, tiled(g.c, g.h, g.w, g.pad[0], g.pad[1], g.out_h, g.out_w),
             static_cast<const float*>(g.input),
             tiled(g.k, g.out_h, g.out_w, 0, 0, g.out_h, g.out_w), static_cast<float*>(g.output),
             static_cast<const float*>(g.bias), static_cast<const float*>(g.weight), kTaps,
             g.c * kTaps, false);
}

EMBER_INLINE void winograd_grad_input(Context& context, const Conv2d& g) {
    winograd(context, g.n, tiled(g.k, g.out_h, g.out_w, 2 - g.pad[0], 2 - g.pad[1], g.h, g.w),
             static_cast<const float*>(g.output), tiled(g.c, g.h, g.w, 0, 0, g.h, g.w),
             static_cast<float*>(g.input), static_cast<const float*>(g.bias),
             static_cast<const float*>(g.weight), g.c * kTaps, kTaps, true);
}

EMBER_INLINE void winograd_grad_weight(Context& context, const Conv2d& g) {
    const Tiled in = tiled(g.c, g.h, g.w, g.pad[0], g.pad[1], g.out_h, g.out_w);
    const Tiled out = tiled(g.k, g.out_h, g.out_w, 0, 0, g.out_h, g.out_w);
    const Turns turns(out, g.n, in.padded() + out.padded());
    const int64_t most_tiles = turns.held * out.columns;
    const Spread w(context, g.c, out.padded()), x(context, most_tiles, in.padded()),
        y(context, most_tiles, out.padded());
    for (int64_t row = 0; row < turns.tile_rows; row += turns.held) {
        const Range rows{row, least(row + turns.held, turns.tile_rows)};
        spread_rows<InputValues>(in, static_cast<const float*>(g.input), rows, x);
        spread_rows<OutputValues>(out, static_cast<const float*>(g.output), rows, y);
        kernels::Gemm product;
        product.batch = kPlanes;
        product.m = g.c, product.n = out.padded(), product.k = (rows.end - row) * out.columns;
        product.a = x.items, product.a_batch = x.plane, product.a_row = 1, product.a_col = x.row;
        product.b = y.items, product.b_batch = y.plane, product.b_row = y.row, product.b_col = 1;
        product.c = w.items, product.c_batch = w.plane, product.c_row = w.row;
        product.beta = row > 0;
        kernels::gemm(DeviceType::CPU, context, product);
    }
    gather_weight(w, g.c, g.k, static_cast<float*>(g.weight));
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
