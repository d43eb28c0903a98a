#pragma once

#include "core/parallel.h"
#include "cpu/gemm_pack.h"
#include "kernels/conv.h"
#include "kernels/matmul.h"

// Convolutions of 3 x 3 taps, and of 2 x 2, by Winograd's algorithm (Lavin and Gray, arXiv
// 1509.09308): a tile of 4 x 4 outputs takes 36 multiplications for each pair of channels instead
// of 144, or 25 instead of 64. Values of the input, of the weight and of the output are those of
// polynomials at the points 0 (for 3 taps), a, -a, b, -b and infinity, where a convolution is a
// product of each value alone:
//     y = A' [(G w G') * (B' x B)] A,   36 or 25 matrix products over the channels,
// and the weight's gradient, its adjoint, is G' [(B' x B) * (A y A')] G.
// The points 3/4 and 3/2 round about four times less than the usual 1 and 2 do. A stride of 2 makes
// four phases of rows and columns, each with taps of its own: 4 x 4 taps are 2 x 2 in each.
namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Conv2d;

constexpr int kStep = 4;
template <int Taps>
constexpr int kValues = kStep + Taps - 1;
template <int Taps>
constexpr int kPlanes = kValues<Taps> * kValues<Taps>;
constexpr int kMostStride = 2, kMostTaps = 36;  // of a weight
constexpr int64_t kTilesAcross = 8;             // whose pixels are held at one time
constexpr int64_t kSpreadItems = 2 << 20;       // of values held at one time
constexpr int64_t kWeightItems = 12 << 20;      // of values of the weight, at most
constexpr int64_t kLeastChannels = 16, kLeastTiles = 16;

constexpr float kA = 0.75f, kB = 1.5f, kAA = kA * kA, kBB = kB * kB;
// Over the product of a point's distances from the others: for the points a and b.
constexpr float kNull = 1 / (kAA * kBB);
template <int Taps>
constexpr float kNearA = 1 / (2 * (Taps == 3 ? kAA : kA) * (kAA - kBB));
template <int Taps>
constexpr float kNearB = 1 / (2 * (Taps == 3 ? kBB : kB) * (kBB - kAA));

// The one-dimensional transforms, of values a step apart. The value at 0 is the first, if any.
template <int Taps>
struct InputValues {  // B'
    static constexpr int kTaps = Taps, kIn = kValues<Taps>, kOut = kValues<Taps>;
    static EMBER_INLINE void apply(const VecF* x, int from, VecF* y, int to) {
        const VecF both(kAA * kBB), sum(kAA + kBB), a(kA), b(kB), aa(kAA), bb(kBB);
        if constexpr (Taps == 3) {
            y[0] = both * x[0] - sum * x[2 * from] + x[4 * from];
            x += from, y += to;
        }
        const VecF x0 = x[0], x1 = x[from], x2 = x[2 * from], x3 = x[3 * from];
        const VecF even_a = x3 - bb * x1, odd_a = a * (x2 - bb * x0);
        const VecF even_b = x3 - aa * x1, odd_b = b * (x2 - aa * x0);
        y[0] = even_a + odd_a;
        y[to] = even_a - odd_a;
        y[2 * to] = even_b + odd_b;
        y[3 * to] = even_b - odd_b;
        y[4 * to] = both * x0 - sum * x2 + x[4 * from];
    }
};
template <int Taps>
struct OutputValues {  // A, of the output's gradient
    static constexpr int kTaps = Taps, kIn = kStep, kOut = kValues<Taps>;
    static EMBER_INLINE void apply(const VecF* x, int from, VecF* y, int to) {
        const VecF a(kA), b(kB), aa(kAA), bb(kBB);
        const VecF x0 = x[0], x1 = x[from], x2 = x[2 * from], x3 = x[3 * from];
        const VecF even_a = x0 + aa * x2, odd_a = a * (x1 + aa * x3);
        const VecF even_b = x0 + bb * x2, odd_b = b * (x1 + bb * x3);
        if constexpr (Taps == 3) {
            y[0] = x0;
            y += to;
        }
        y[0] = even_a + odd_a;
        y[to] = even_a - odd_a;
        y[2 * to] = even_b + odd_b;
        y[3 * to] = even_b - odd_b;
        y[4 * to] = x3;
    }
};
template <int Taps>
struct Outputs {  // A'
    static constexpr int kTaps = Taps, kIn = kValues<Taps>, kOut = kStep;
    static EMBER_INLINE void apply(const VecF* x, int from, VecF* y, int to) {
        const VecF a(kA), b(kB), aa(kAA), bb(kBB);
        VecF null(0.0f);
        if constexpr (Taps == 3) {
            null = x[0];
            x += from;
        }
        const VecF sum_a = x[0] + x[from], odd_a = a * (x[0] - x[from]);
        const VecF sum_b = x[2 * from] + x[3 * from], odd_b = b * (x[2 * from] - x[3 * from]);
        y[0] = null + sum_a + sum_b;
        y[to] = odd_a + odd_b;
        y[2 * to] = aa * sum_a + bb * sum_b;
        y[3 * to] = aa * odd_a + bb * odd_b + x[4 * from];
    }
};
template <int Taps>
struct WeightValues {  // G
    static constexpr int kTaps = Taps, kIn = Taps, kOut = kValues<Taps>;
    static EMBER_INLINE void apply(const VecF* x, int from, VecF* y, int to) {
        const VecF near_a(kNearA<Taps>), near_b(kNearB<Taps>);
        const VecF by_a(kNearA<Taps> * kA), by_b(kNearB<Taps> * kB);
        if constexpr (Taps == 3) {
            const VecF x0 = x[0], x1 = x[from], x2 = x[2 * from];
            const VecF even_a = near_a * (x0 + VecF(kAA) * x2), odd_a = by_a * x1;
            const VecF even_b = near_b * (x0 + VecF(kBB) * x2), odd_b = by_b * x1;
            y[0] = VecF(kNull) * x0;
            y[to] = even_a + odd_a;
            y[2 * to] = even_a - odd_a;
            y[3 * to] = even_b + odd_b;
            y[4 * to] = even_b - odd_b;
            y[5 * to] = x2;
        } else {
            const VecF x0 = x[0], x1 = x[from];
            y[0] = by_a * x1 + near_a * x0;
            y[to] = by_a * x1 - near_a * x0;
            y[2 * to] = by_b * x1 + near_b * x0;
            y[3 * to] = by_b * x1 - near_b * x0;
            y[4 * to] = x1;
        }
    }
};
template <int Taps>
struct Weights {  // G'
    static constexpr int kTaps = Taps, kIn = kValues<Taps>, kOut = Taps;
    static EMBER_INLINE void apply(const VecF* x, int from, VecF* y, int to) {
        const VecF near_a(kNearA<Taps>), near_b(kNearB<Taps>);
        const VecF by_a(kNearA<Taps> * kA), by_b(kNearB<Taps> * kB);
        const VecF* at = Taps == 3 ? x + from : x;
        const VecF sum_a = at[0] + at[from], odd_a = at[0] - at[from];
        const VecF sum_b = at[2 * from] + at[3 * from], odd_b = at[2 * from] - at[3 * from];
        if constexpr (Taps == 3) {
            const VecF even_a = near_a * sum_a, even_b = near_b * sum_b;
            y[0] = VecF(kNull) * x[0] + even_a + even_b;
            y[to] = by_a * odd_a + by_b * odd_b;
            y[2 * to] = VecF(kAA) * even_a + VecF(kBB) * even_b + at[4 * from];
        } else {
            y[0] = near_a * odd_a + near_b * odd_b;
            y[to] = by_a * sum_a + by_b * sum_b + at[4 * from];
        }
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

// Images cut into tiles. Pixel (y, x) of all tiles is the image's pixel (y * step - top,
// x * step - left), if there is one.
struct Tiled {
    int64_t channels, height, width, top, left, step, rows, columns;  // rows, columns of tiles
    EMBER_INLINE int64_t padded() const { return ceil_div(channels, VecF::size) * VecF::size; }
};

// Values of tiles or of weights: matrices whose rows are channels side by side. The matrices lie
// one register more apart, or all would fall into the same sets of a cache.
template <int Taps>
struct Spread {
    float* items;
    int64_t row, plane;
    EMBER_INLINE Spread(Context& context, int64_t rows, int64_t channels)
        : items(nullptr), row(channels), plane(rows * channels + VecF::size) {
        items = context.scratch_of<float>(kPlanes<Taps> * plane);
    }
    EMBER_INLINE void load(int64_t i, int64_t channel, VecF* values) const {
        const float* at = items + i * row + channel;
#pragma GCC unroll 36
        for (int v = 0; v < kPlanes<Taps>; v++) values[v] = VecF::load(at + v * plane);
    }
    EMBER_INLINE void store(int64_t i, int64_t channel, const VecF* values) const {
        float* at = items + i * row + channel;
#pragma GCC unroll 36
        for (int v = 0; v < kPlanes<Taps>; v++) values[v].store(at + v * plane);
    }
};

// The values of one row of tiles, of a register of channels from `channel`, to rows i, i + 1, ...
template <class Transform>
EMBER_NOINLINE void spread_tiles(const Tiled& x, const float* images, int64_t tile_row,
                                 int64_t channel, const Spread<Transform::kTaps>& to, int64_t i) {
    constexpr int kLanes = VecF::size, kSize = Transform::kIn;
    constexpr int64_t kColumns = (kTilesAcross * kStep + kSize - kStep) * kMostStride;
    alignas(64) float pixels[kSize][kColumns][kLanes];
    const int64_t lanes = least(kLanes, x.channels - channel), plane = x.height * x.width;
    const float* planes = images + (tile_row / x.rows * x.channels + channel) * plane;
    for (int64_t t0 = 0; t0 < x.columns; t0 += kTilesAcross) {
        const int64_t tiles = least(kTilesAcross, x.columns - t0);
        const int64_t left = t0 * kStep * x.step - x.left;
        const int64_t columns = (tiles * kStep + kSize - kStep - 1) * x.step + 1;
        for (int r = 0; r < kSize; r++) {
            const int64_t y = (tile_row % x.rows * kStep + r) * x.step - x.top;
            const bool inside = y >= 0 && y < x.height;
            const int64_t begin = inside ? clamp_to(-left, 0, columns) : columns;
            const int64_t end = inside ? clamp_to(x.width - left, begin, columns) : columns;
            memset(pixels[r], 0, size_t(begin) * sizeof pixels[r][0]);
            memset(pixels[r] + end, 0, size_t(columns - end) * sizeof pixels[r][0]);
            if (begin == end) continue;
            pack_transposed(planes + y * x.width + left + begin, plane, lanes, end - begin,
                            pixels[r][begin], kLanes);
        }
        for (int64_t t = 0; t < tiles; t++, i++) {
            VecF in[kSize * kSize], out[kPlanes<Transform::kTaps>];
#pragma GCC unroll 6
            for (int r = 0; r < kSize; r++)
#pragma GCC unroll 6
                for (int c = 0; c < kSize; c++)
                    in[r * kSize + c] = VecF::load(pixels[r][(t * kStep + c) * x.step]);
            transform<Transform>(in, out);
            to.store(i, channel, out);
        }
    }
}

// The pixels of one row of tiles, of a register of channels, from rows i, i + 1, ...
template <int Taps>
EMBER_NOINLINE void gather_tiles(const Tiled& x, const Spread<Taps>& from, int64_t i,
                                 int64_t tile_row, int64_t channel, const float* bias,
                                 float* images) {
    constexpr int kLanes = VecF::size;
    constexpr int64_t kColumns = kTilesAcross * kStep;
    alignas(64) float pixels[kStep][kColumns][kLanes];
    const int64_t lanes = least(kLanes, x.channels - channel), plane = x.height * x.width;
    float* planes = images + (tile_row / x.rows * x.channels + channel) * plane;
    const VecF added = bias ? load_first<float>(bias + channel, lanes) : VecF(0.0f);
    for (int64_t t0 = 0; t0 < x.columns; t0 += kTilesAcross) {
        const int64_t tiles = least(kTilesAcross, x.columns - t0);
        const int64_t left = t0 * kStep * x.step - x.left;
        for (int64_t t = 0; t < tiles; t++, i++) {
            VecF in[kPlanes<Taps>], out[kStep * kStep];
            from.load(i, channel, in);
            transform<Outputs<Taps>>(in, out);
#pragma GCC unroll 4
            for (int r = 0; r < kStep; r++)
#pragma GCC unroll 4
                for (int c = 0; c < kStep; c++)
                    (out[r * kStep + c] + added).store(pixels[r][t * kStep + c]);
        }
        const int64_t columns = least(tiles * kStep, ceil_div(x.width - left, x.step));
        for (int r = 0; r < kStep; r++) {
            const int64_t y = (tile_row % x.rows * kStep + r) * x.step - x.top;
            if (y >= x.height) break;
            for (int64_t c = 0; c < columns; c += kLanes) {
                const int64_t count = least(kLanes, columns - c);
                VecF block[kLanes];
#pragma GCC unroll 16
                for (int j = 0; j < kLanes; j++)
                    block[j] = VecF::load(pixels[r][least(c + j, kColumns - 1)]);
                transpose_rounds<float, kLanes / 2>(block);
                float* to = planes + y * x.width + left + c * x.step;
                for (int j = 0; j < lanes; j++, to += plane) {
                    if (x.step == 1) {
                        store_first(block[j], to, count);
                        continue;
                    }
                    alignas(64) float row[kLanes];
                    block[j].store(row);
                    for (int64_t q = 0; q < count; q++) to[q * x.step] = row[q];
                }
            }
        }
    }
}

// A convolution's taps that one phase of rows and columns has, by their numbers in the weight.
template <int Taps>
struct PhaseTaps {
    int64_t number[Taps * Taps], all;
    EMBER_INLINE PhaseTaps(const Conv2d& g, int64_t row, int64_t column, bool flipped)
        : all(g.r * g.s) {
        for (int64_t i = 0; i < Taps; i++)
            for (int64_t j = 0; j < Taps; j++) {
                const int64_t r = flipped ? Taps - 1 - i : i, s = flipped ? Taps - 1 - j : j;
                number[i * Taps + j] = (row + r * g.stride[0]) * g.s + column + s * g.stride[1];
            }
    }
};

// The values of the weight (in, out); the taps of a pair of channels are contiguous.
template <int Taps>
EMBER_NOINLINE void spread_weight(const float* weight, int64_t in_step, int64_t out_step,
                                  int64_t in, int64_t out, const PhaseTaps<Taps>& taps,
                                  const Spread<Taps>& to) {
    constexpr int kLanes = VecF::size;
    parallel_for(in, ceil_div(kGrainBytes / 16, out * taps.all), [&](int64_t begin, int64_t end) {
        alignas(64) float packed[kMostTaps][kLanes];
        for (int64_t i = begin; i < end; i++)
            for (int64_t o = 0; o < out; o += kLanes) {
                pack_transposed(weight + i * in_step + o * out_step, out_step,
                                least(kLanes, out - o), taps.all, packed[0], kLanes);
                VecF x[Taps * Taps], values[kPlanes<Taps>];
#pragma GCC unroll 9
                for (int t = 0; t < Taps * Taps; t++) x[t] = VecF::load(packed[taps.number[t]]);
                transform<WeightValues<Taps>>(x, values);
                to.store(i, o, values);
            }
    });
}

// The gradient of the weight (out, in, taps) from its values.
template <int Taps>
EMBER_NOINLINE void gather_weight(const Spread<Taps>& from, int64_t in, int64_t out,
                                  const PhaseTaps<Taps>& taps, float* weight) {
    constexpr int kLanes = VecF::size;
    parallel_for(in, ceil_div(kGrainBytes / 16, out * taps.all), [&](int64_t begin, int64_t end) {
        alignas(64) float packed[Taps * Taps][kLanes];
        for (int64_t i = begin; i < end; i++)
            for (int64_t o = 0; o < out; o += kLanes) {
                VecF values[kPlanes<Taps>], x[Taps * Taps];
                from.load(i, o, values);
                transform<Weights<Taps>>(values, x);
#pragma GCC unroll 9
                for (int t = 0; t < Taps * Taps; t++) x[t].store(packed[t]);
                for (int64_t j = 0; j < least(kLanes, out - o); j++) {
                    float* to = weight + ((o + j) * in + i) * taps.all;
#pragma GCC unroll 9
                    for (int t = 0; t < Taps * Taps; t++) to[taps.number[t]] = packed[t][j];
                }
            }
    });
}

// Taps of each phase, or 0 where the algorithm does not serve; `height` and `width` are what a
// phase writes.
EMBER_INLINE int winograd_taps(const Conv2d& g, int64_t height, int64_t width) {
    const int64_t stride = g.stride[0], taps = g.r / stride;
    const bool fits = g.r == g.s && g.stride[1] == stride && stride <= kMostStride &&
                      g.r == taps * stride && (taps == 2 || taps == 3) && g.groups == 1 &&
                      g.dilation[0] == 1 && g.dilation[1] == 1;
    const int64_t tiles = g.n * ceil_div(height, kStep) * ceil_div(width, kStep);
    const int64_t planes = (taps + kStep - 1) * (taps + kStep - 1);
    const bool pays = fits && g.dtype == DType::Float32 && least(g.c, g.k) >= kLeastChannels &&
                      tiles >= kLeastTiles &&
                      planes * stride * stride * g.c * g.k <= kWeightItems &&
                      // The edges' tiles must not be empty for the most part.
                      tiles * planes * 3 < g.n * height * width * taps * taps * 2;
    return pays ? int(taps) : 0;
}

// The algorithm rounds relative to the largest value of a tile, of which an infinity or NaN reaches
// all: false where values stand out from the mean magnitude, and the direct way is to be taken.
EMBER_NOINLINE bool is_even(Context& context, const float* items, int64_t count) {
    constexpr int64_t kChunk = 1 << 14;
    constexpr double kMostRatio = 4096, kMostSum = 1e30;
    struct Part {
        float largest;
        double sum;
    };
    const int64_t chunks = ceil_div(count, kChunk);
    Part* parts = context.scratch_of<Part>(chunks);
    parallel_for(chunks, 2, [&](int64_t begin, int64_t end) {
        for (int64_t c = begin; c < end; c++) {
            VecF largest(0.0f), sum(0.0f);
            for (int64_t i = c * kChunk; i < least(count, (c + 1) * kChunk); i += VecF::size) {
                const VecF x = abs(load_lanes<float>(items + i, least(VecF::size, count - i)));
                largest = max(x, largest);
                sum += x;
            }
            parts[c] = {reduce_max(largest), double(reduce_add(sum))};
        }
    });
    double largest = 0, sum = 0;
    for (int64_t c = 0; c < chunks; c++) {
        largest = parts[c].largest > largest ? parts[c].largest : largest;
        sum += parts[c].sum;
    }
    return largest * double(count) <= kMostRatio * sum && sum < kMostSum;
}
EMBER_INLINE bool even_input(Context& context, const Conv2d& g) {
    return is_even(context, static_cast<const float*>(g.input), g.n * g.c * g.h * g.w);
}
EMBER_INLINE bool even_output(Context& context, const Conv2d& g) {
    return is_even(context, static_cast<const float*>(g.output), g.n * g.k * g.out_h * g.out_w);
}

// What the two images of a convolution have in common: rows of tiles go in turns of `held`.
template <int Taps>
struct Turns {
    int64_t tile_rows, held;
    EMBER_INLINE Turns(const Tiled& x, int64_t images, int64_t channels)
        : tile_rows(images * x.rows), held(0) {
        held = clamp_to(kSpreadItems / (kPlanes<Taps> * channels * x.columns), 1, tile_rows);
        held = ceil_div(tile_rows, ceil_div(tile_rows, held));
    }
};

template <class Transform>
EMBER_INLINE void spread_rows(const Tiled& x, const float* images, Range rows,
                              const Spread<Transform::kTaps>& to) {
    const int64_t blocks = x.padded() / VecF::size;
    const int64_t grain = ceil_div(kGrainBytes / 4, x.columns * Transform::kIn * VecF::size * 4);
    parallel_for((rows.end - rows.begin) * blocks, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++)
            spread_tiles<Transform>(x, images, rows.begin + i / blocks, i % blocks * VecF::size, to,
                                    i / blocks * x.columns);
    });
}

template <int Taps>
EMBER_INLINE void gather_rows(const Tiled& x, const Spread<Taps>& from, Range rows,
                              const float* bias, float* images) {
    const int64_t blocks = x.padded() / VecF::size;
    const int64_t grain = ceil_div(kGrainBytes / 4, x.columns * kPlanes<Taps> * VecF::size);
    parallel_for((rows.end - rows.begin) * blocks, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++)
            gather_tiles(x, from, i / blocks * x.columns, rows.begin + i / blocks,
                         i % blocks * VecF::size, bias, images);
    });
}

// y (+)= x @ w for each of the values; `transposed` takes x' and y' instead: w (+)= x' @ y.
template <int Taps>
EMBER_INLINE void multiply(Context& context, const Spread<Taps>& a, bool transposed,
                           const Spread<Taps>& b, const Spread<Taps>& c, int64_t m, int64_t n,
                           int64_t k, bool add) {
    kernels::Gemm product;
    product.batch = kPlanes<Taps>;
    product.m = m, product.n = n, product.k = k, product.beta = add;
    product.a = a.items, product.a_batch = a.plane;
    product.a_row = transposed ? 1 : a.row, product.a_col = transposed ? a.row : 1;
    product.b = b.items, product.b_batch = b.plane, product.b_row = b.row, product.b_col = 1;
    product.c = c.items, product.c_batch = c.plane, product.c_row = c.row;
    kernels::gemm(DeviceType::CPU, context, product);
}

// The input's pixels of one phase, and the output's, as the forward direction takes them.
EMBER_INLINE Tiled phase_of_input(const Conv2d& g, int64_t row, int64_t column) {
    return {g.c,
            g.h,
            g.w,
            g.pad[0] - row,
            g.pad[1] - column,
            g.stride[0],
            ceil_div(g.out_h, kStep),
            ceil_div(g.out_w, kStep)};
}
EMBER_INLINE Tiled all_of_output(const Conv2d& g) {
    return {g.k, g.out_h, g.out_w, 0, 0, 1, ceil_div(g.out_h, kStep), ceil_div(g.out_w, kStep)};
}

constexpr int kMostPhases = kMostStride * kMostStride;

template <int Taps>
EMBER_NOINLINE void winograd_forward(Context& context, const Conv2d& g) {
    const Tiled out = all_of_output(g), first = phase_of_input(g, 0, 0);
    const Turns<Taps> turns(out, g.n, first.padded() + out.padded());
    const int64_t tiles = turns.held * out.columns, phases = g.stride[0] * g.stride[0];
    const Spread<Taps> x(context, tiles, first.padded()), y(context, tiles, out.padded());
    float* weights[kMostPhases];
    Spread<Taps> w(context, g.c, out.padded());
    for (int64_t p = 0; p < phases; p++) {
        if (p > 0) w = Spread<Taps>(context, g.c, out.padded());
        weights[p] = w.items;
        const PhaseTaps<Taps> taps(g, p / g.stride[0], p % g.stride[0], false);
        spread_weight(static_cast<const float*>(g.weight), taps.all, g.c * taps.all, g.c, g.k, taps,
                      w);
    }
    for (int64_t row = 0; row < turns.tile_rows; row += turns.held) {
        const Range rows{row, least(row + turns.held, turns.tile_rows)};
        for (int64_t p = 0; p < phases; p++) {
            spread_rows<InputValues<Taps>>(phase_of_input(g, p / g.stride[0], p % g.stride[0]),
                                           static_cast<const float*>(g.input), rows, x);
            w.items = weights[p];
            multiply(context, x, false, w, y, (rows.end - row) * out.columns, out.padded(), g.c,
                     p > 0);
        }
        gather_rows(out, y, rows, static_cast<const float*>(g.bias), static_cast<float*>(g.output));
    }
}

// Each phase of the input's positions takes from the output with taps of its own.
template <int Taps>
EMBER_NOINLINE void winograd_grad_input(Context& context, const Conv2d& g) {
    const int64_t stride = g.stride[0];
    const Tiled whole{g.c,
                      g.h,
                      g.w,
                      0,
                      0,
                      stride,
                      ceil_div(ceil_div(g.h, stride), kStep),
                      ceil_div(ceil_div(g.w, stride), kStep)};
    Tiled in = all_of_output(g);
    const Turns<Taps> most_turns(whole, g.n, in.padded() + whole.padded());
    const int64_t tiles = most_turns.held * whole.columns;
    const Spread<Taps> x(context, tiles, in.padded()), y(context, tiles, whole.padded()),
        w(context, g.k, whole.padded());
    for (int64_t py = 0; py < least(stride, g.h); py++)
        for (int64_t px = 0; px < least(stride, g.w); px++) {
            const int64_t r = (py + g.pad[0]) % stride, s = (px + g.pad[1]) % stride;
            const PhaseTaps<Taps> taps(g, r, s, true);
            spread_weight(static_cast<const float*>(g.weight), g.c * taps.all, taps.all, g.k, g.c,
                          taps, w);
            Tiled out = whole;
            out.top = -py, out.left = -px;
            out.rows = in.rows = ceil_div(ceil_div(g.h - py, stride), kStep);
            out.columns = in.columns = ceil_div(ceil_div(g.w - px, stride), kStep);
            in.top = Taps - 1 - (py + g.pad[0] - r) / stride;
            in.left = Taps - 1 - (px + g.pad[1] - s) / stride;
            const int64_t tile_rows = g.n * out.rows;
            for (int64_t row = 0; row < tile_rows; row += most_turns.held) {
                const Range rows{row, least(row + most_turns.held, tile_rows)};
                spread_rows<InputValues<Taps>>(in, static_cast<const float*>(g.output), rows, x);
                multiply(context, x, false, w, y, (rows.end - row) * out.columns, out.padded(), g.k,
                         false);
                gather_rows(out, y, rows, static_cast<const float*>(g.bias),
                            static_cast<float*>(g.input));
            }
        }
}

template <int Taps>
EMBER_NOINLINE void winograd_grad_weight(Context& context, const Conv2d& g) {
    const Tiled out = all_of_output(g), first = phase_of_input(g, 0, 0);
    const Turns<Taps> turns(out, g.n, first.padded() + out.padded());
    const int64_t tiles = turns.held * out.columns, phases = g.stride[0] * g.stride[0];
    const Spread<Taps> x(context, tiles, first.padded()), y(context, tiles, out.padded());
    float* weights[kMostPhases];
    Spread<Taps> w(context, g.c, out.padded());
    for (int64_t p = 0; p < phases; p++) {
        if (p > 0) w = Spread<Taps>(context, g.c, out.padded());
        weights[p] = w.items;
    }
    for (int64_t row = 0; row < turns.tile_rows; row += turns.held) {
        const Range rows{row, least(row + turns.held, turns.tile_rows)};
        spread_rows<OutputValues<Taps>>(out, static_cast<const float*>(g.output), rows, y);
        for (int64_t p = 0; p < phases; p++) {
            spread_rows<InputValues<Taps>>(phase_of_input(g, p / g.stride[0], p % g.stride[0]),
                                           static_cast<const float*>(g.input), rows, x);
            w.items = weights[p];
            multiply(context, x, true, y, w, g.c, out.padded(), (rows.end - row) * out.columns,
                     row > 0);
        }
    }
    for (int64_t p = 0; p < phases; p++) {
        w.items = weights[p];
        gather_weight(w, g.c, g.k, PhaseTaps<Taps>(g, p / g.stride[0], p % g.stride[0], false),
                      static_cast<float*>(g.weight));
    }
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
