#pragma once

#include "core/parallel.h"
#include "cpu/conv_kernel.h"
#include "cpu/winograd_transforms.h"
#include "kernels/conv.h"
#include "kernels/matmul.h"

// Convolutions by Winograd's algorithm. A stride of 2 makes four phases of rows and columns, each
// with taps of its own: 4 x 4 taps are 2 x 2 in each, and 3 x 3 taps are 2 x 2, 2 x 1, 1 x 2 and 1.
namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Conv2d;

constexpr int kMostStride = 2, kMostTaps = 36;  // of a weight
constexpr int kMostPhases = kMostStride * kMostStride;
constexpr int64_t kTilesAcross = 8;         // whose pixels are held at one time
constexpr int64_t kSpreadItems = 2 << 20;   // of values of images held at one time
constexpr int64_t kWeightItems = 12 << 20;  // of values of the weight, at most
constexpr int64_t kBlockItems = 160 << 10;  // of them at one time, to stay in L2
constexpr int64_t kPackedTaps = 144;        // of the weight, transposed at one time
constexpr int64_t kLeastChannels = 16, kLeastTiles = 16;

// Images cut into tiles. Pixel (y, x) of all tiles is the image's pixel (y * step - top,
// x * step - left), if there is one.
struct Tiled {
    int64_t channels, height, width, top, left, step, rows, columns;  // rows, columns of tiles
    bool channels_last;
    EMBER_INLINE int64_t plane() const { return channels_last ? 1 : height * width; }
    EMBER_INLINE int64_t pixel() const { return channels_last ? channels : 1; }
    EMBER_INLINE int64_t padded() const { return ceil_div(channels, VecF::size) * VecF::size; }
    bool operator==(const Tiled&) const = default;
};

// Values of tiles or of weights: matrices whose rows are channels side by side. The matrices lie
// one register more apart, or all would fall into the same sets of a cache.
template <int Taps>
struct Spread {
    float* items = nullptr;
    int64_t row = 0, plane = 0;
    EMBER_INLINE Spread() = default;
    EMBER_INLINE Spread(Context& context, int64_t rows, int64_t channels)
        : row(channels), plane(rows * channels + VecF::size) {
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
    const int64_t lanes = least(kLanes, x.channels - channel), pixel = x.pixel();
    const float* image = images + tile_row / x.rows * x.channels * x.height * x.width;
    const float* planes = image + channel * x.plane();
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
            pack(planes + (y * x.width + left + begin) * pixel, x.plane(), pixel, lanes,
                 end - begin, pixels[r][begin], kLanes);
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
    const int64_t lanes = least(kLanes, x.channels - channel), plane = x.plane();
    float* image = images + tile_row / x.rows * x.channels * x.height * x.width;
    float* planes = image + channel * plane;
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
            float* row = planes + (y * x.width + left) * x.pixel();
            if (x.channels_last) {
                for (int64_t c = 0; c < columns; c++, row += x.step * x.channels)
                    store_first(VecF::load(pixels[r][c]), row, lanes);
                continue;
            }
            for (int64_t c = 0; c < columns; c += kLanes) {
                const int64_t count = least(kLanes, columns - c);
                VecF block[kLanes];
#pragma GCC unroll 16
                for (int j = 0; j < kLanes; j++)
                    block[j] = VecF::load(pixels[r][least(c + j, kColumns - 1)]);
                transpose_rounds<float, kLanes / 2>(block);
                float* to = row + c * x.step;
                for (int j = 0; j < lanes; j++, to += plane) {
                    if (x.step == 1) {
                        store_first(block[j], to, count);
                        continue;
                    }
                    alignas(64) float items[kLanes];
                    block[j].store(items);
                    for (int64_t q = 0; q < count; q++) to[q * x.step] = items[q];
                }
            }
        }
    }
}

// A convolution's taps that one phase of rows and columns has, by their numbers in the weight; none
// where the phase has fewer rows or columns of them than the others.
template <int Taps>
struct PhaseTaps {
    int64_t number[Taps * Taps], all, rows, columns;
    EMBER_INLINE PhaseTaps() = default;
    EMBER_INLINE PhaseTaps(const Conv2d& g, int64_t row, int64_t column, bool flipped)
        : all(g.r * g.s),
          rows(ceil_div(g.r - row, g.stride[0])),
          columns(ceil_div(g.s - column, g.stride[1])) {
        for (int64_t i = 0; i < Taps; i++)
            for (int64_t j = 0; j < Taps; j++) {
                const int64_t r = flipped ? rows - 1 - i : i, s = flipped ? columns - 1 - j : j;
                number[i * Taps + j] = i < rows && j < columns ? (row + r * g.stride[0]) * g.s +
                                                                     column + s * g.stride[1]
                                                               : -1;
            }
    }
    // Values that the taps give; the last, that at infinity, is zero where the last tap is missing.
    EMBER_INLINE int64_t value_rows() const { return kStep + rows - 1; }
    EMBER_INLINE int64_t value_columns() const { return kStep + columns - 1; }
};

// What is multiplied: tiles of each phase of the source with the phase's taps. All products add up
// in the tiles of the result.
template <int Taps>
struct Phases {
    int count;
    Tiled source[kMostPhases], result;
    PhaseTaps<Taps> taps[kMostPhases];
};

template <int Taps>
EMBER_INLINE Phases<Taps> phases_of_input(const Conv2d& g) {
    const int64_t stride = g.stride[0];
    const int64_t rows = ceil_div(g.out_h, kStep), columns = ceil_div(g.out_w, kStep);
    Phases<Taps> x;
    x.count = int(stride * stride);
    x.result = {g.k, g.out_h, g.out_w, 0, 0, 1, rows, columns, g.channels_last};
    for (int p = 0; p < x.count; p++) {
        const int64_t row = p / stride, column = p % stride;
        const int64_t top = g.pad[0] - row, left = g.pad[1] - column;
        x.source[p] = {g.c, g.h, g.w, top, left, stride, rows, columns, g.channels_last};
        x.taps[p] = {g, row, column, false};
    }
    return x;
}

// One phase of the input's positions, which takes from the output with taps of its own.
template <int Taps>
EMBER_INLINE Phases<Taps> phase_of_gradient(const Conv2d& g, int64_t row, int64_t column) {
    const int64_t stride = g.stride[0];
    const int64_t rows = ceil_div(ceil_div(g.h - row, stride), kStep);
    const int64_t columns = ceil_div(ceil_div(g.w - column, stride), kStep);
    const int64_t r = (row + g.pad[0]) % stride, s = (column + g.pad[1]) % stride;
    Phases<Taps> x;
    x.count = 1;
    const PhaseTaps<Taps>& taps = x.taps[0] = {g, r, s, true};
    const int64_t top = taps.rows - 1 - (row + g.pad[0] - r) / stride;
    const int64_t left = taps.columns - 1 - (column + g.pad[1] - s) / stride;
    x.source[0] = {g.k, g.out_h, g.out_w, top, left, 1, rows, columns, g.channels_last};
    x.result = {g.c, g.h, g.w, -row, -column, stride, rows, columns, g.channels_last};
    return x;
}

// Values of the weight for each phase: those of input channels `in` and output channels `out`, of
// which a pair's taps are contiguous.
template <int Taps>
EMBER_NOINLINE void spread_weight(const float* weight, int64_t in_step, int64_t out_step, Range in,
                                  Range out, const Phases<Taps>& phases, const Spread<Taps>* to) {
    constexpr int64_t kLanes = VecF::size, kWidth = TileShape<float>::kColumns;
    const int64_t all = phases.taps[0].all, channels = out.end - out.begin;
    const int64_t each = in_step == all ? kPackedTaps / all : 1;
    const int64_t grain = ceil_div(kGrainBytes / 16, channels * all * each);
    parallel_for(ceil_div(in.end - in.begin, each), grain, [&](int64_t begin, int64_t end) {
        alignas(64) float packed[kPackedTaps][kWidth];
        for (int64_t o = 0; o < channels; o += kWidth) {
            const int64_t width = least(kWidth, ceil_div(channels - o, kLanes) * kLanes);
            for (int64_t i = begin * each; i < least(end * each, in.end - in.begin); i += each) {
                const int64_t here = least(each, in.end - in.begin - i);
                pack_transposed(weight + (in.begin + i) * in_step + (out.begin + o) * out_step,
                                out_step, least(kWidth, channels - o), here * all, packed[0],
                                kWidth);
                for (int64_t j = 0; j < here; j++)
                    for (int64_t l = 0; l < width; l += kLanes)
                        for (int p = 0; p < phases.count; p++) {
                            VecF x[Taps * Taps], values[kPlanes<Taps>];
#pragma GCC unroll 9
                            for (int t = 0; t < Taps * Taps; t++) {
                                const int64_t number = phases.taps[p].number[t];
                                x[t] = number < 0 ? VecF(0.0f)
                                                  : VecF::load(packed[j * all + number] + l);
                            }
                            transform<WeightValues<Taps>>(x, values);
                            to[p].store(i + j, o + l, values);
                        }
            }
        }
    });
}

// The gradient of the weight (out, in, taps) from its values.
template <int Taps>
EMBER_NOINLINE void gather_weight(const Spread<Taps>* from, int64_t in_channels, Range in,
                                  Range out, const Phases<Taps>& phases, float* weight) {
    constexpr int64_t kLanes = VecF::size, kWidth = TileShape<float>::kColumns;
    const int64_t all = phases.taps[0].all, channels = out.end - out.begin;
    const int64_t each = kPackedTaps / all;
    const int64_t grain = ceil_div(kGrainBytes / 16, channels * all * each);
    parallel_for(ceil_div(in.end - in.begin, each), grain, [&](int64_t begin, int64_t end) {
        // The last register's transposition reads beyond the taps.
        alignas(64) float packed[kPackedTaps + kLanes][kWidth];
        for (int64_t o = 0; o < channels; o += kWidth) {
            const int64_t width = least(kWidth, ceil_div(channels - o, kLanes) * kLanes);
            for (int64_t i = begin * each; i < least(end * each, in.end - in.begin); i += each) {
                const int64_t here = least(each, in.end - in.begin - i);
                for (int64_t j = 0; j < here; j++)
                    for (int64_t l = 0; l < width; l += kLanes)
                        for (int p = 0; p < phases.count; p++) {
                            VecF values[kPlanes<Taps>], x[Taps * Taps];
                            from[p].load(i + j, o + l, values);
                            transform<Weights<Taps>>(values, x);
#pragma GCC unroll 9
                            for (int t = 0; t < Taps * Taps; t++) {
                                const int64_t number = phases.taps[p].number[t];
                                if (number >= 0) x[t].store(packed[j * all + number] + l);
                            }
                        }
                store_channels(packed[0], here * all, least(kWidth, channels - o),
                               static_cast<const float*>(nullptr),
                               weight + ((out.begin + o) * in_channels + in.begin + i) * all,
                               in_channels * all);
            }
        }
    });
}

// Taps of each phase, or 0 where the algorithm does not serve; `height` and `width` are what a
// phase writes.
EMBER_INLINE int winograd_taps(const Conv2d& g, int64_t height, int64_t width) {
    const int64_t stride = g.stride[0], taps = ceil_div(g.r, stride);
    const bool fits = g.r == g.s && g.stride[1] == stride && stride <= kMostStride &&
                      g.r > stride && (taps == 2 || taps == 3) && g.groups == 1 &&
                      g.dilation[0] == 1 && g.dilation[1] == 1 && g.dtype == DType::Float32;
    if (!fits || least(g.c, g.k) < kLeastChannels) return 0;
    const int64_t tiles = g.n * ceil_div(height, kStep) * ceil_div(width, kStep);
    const int64_t values = stride * (kStep - 1) + g.r;  // of all phases, in one dim
    const int64_t phases = stride * stride;
    const bool pays = tiles >= kLeastTiles &&
                      // The edges' tiles must not be empty for the most part.
                      tiles * values * values * 3 < g.n * height * width * g.r * g.s * 2;
    const int64_t planes = (taps + kStep - 1) * (taps + kStep - 1) * phases;
    const bool fits_memory =
        planes * g.c * g.k <= kWeightItems || planes * tiles * (g.c + g.k) <= kSpreadItems;
    return pays && fits_memory ? int(taps) : 0;
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

// product.c (+)= product.a @ product.b for each of the values of the taps; without `add`, values
// that the taps lack are left alone.
template <int Taps>
EMBER_INLINE void multiply(Context& context, const PhaseTaps<Taps>& taps, const Spread<Taps>& a,
                           const Spread<Taps>& b, const Spread<Taps>& c, kernels::Gemm product) {
    const int64_t columns = taps.value_columns(), rows = taps.value_rows();
    const bool whole = columns == kValues<Taps>;
    product.batch = whole ? rows * columns : columns;
    product.a_batch = a.plane, product.b_batch = b.plane, product.c_batch = c.plane;
    for (int64_t row = 0; row < (whole ? 1 : rows); row++) {
        kernels::Gemm x = product;
        const int64_t first = row * kValues<Taps>;
        x.a = static_cast<const float*>(product.a) + first * a.plane;
        x.b = static_cast<const float*>(product.b) + first * b.plane;
        x.c = static_cast<float*>(product.c) + first * c.plane;
        kernels::gemm(DeviceType::CPU, context, x);
    }
}

// How the work is cut, and its memory: rows of tiles go in turns of `held`, and within a turn the
// weight's values go in blocks, or where there are several turns all at once.
template <int Taps>
struct Work {
    int64_t held, in, out, block_in, block_out;
    Spread<Taps> x[kMostPhases], y, w[kMostPhases];

    Work(Context& context, const Phases<Taps>& phases, int64_t images)
        : in(phases.source[0].channels), out(phases.result.padded()) {
        const int64_t columns = phases.result.columns, tile_rows = images * phases.result.rows;
        const int64_t channels = phases.count * phases.source[0].padded() + out;
        // To go over a large weight once is worth a longer turn.
        const int64_t most_items = most(kSpreadItems, kPlanes<Taps> * phases.count * in * out / 2);
        held = clamp_to(most_items / (kPlanes<Taps> * channels * columns), 1, tile_rows);
        held = ceil_div(tile_rows, ceil_div(tile_rows, held));
        block_in = in, block_out = out;
        if (held == tile_rows) {
            constexpr int64_t kStrip = TileShape<float>::kColumns;
            const int64_t pairs = kBlockItems / (kPlanes<Taps> * phases.count);
            block_out = least(out, phases.count > 1 ? kStrip : 2 * kStrip);
            block_in = ceil_div(in, ceil_div(in * block_out, pairs));
        }
        for (int p = 0; p < phases.count; p++) {
            x[p] = {context, held * columns, phases.source[p].padded()};
            w[p] = {context, block_in, block_out};
        }
        y = {context, held * columns, out};
    }
    EMBER_INLINE bool whole() const { return block_in == in && block_out == out; }
    // f(input channels, output channels) for each block.
    template <class F>
    EMBER_INLINE void for_blocks(F f) const {
        for (int64_t o = 0; o < out; o += block_out)
            for (int64_t i = 0; i < in; i += block_in)
                f(Range{i, least(i + block_in, in)}, Range{o, least(o + block_out, out)});
    }
};

// With `spread` the source's values are those that the call before left.
template <int Taps>
EMBER_NOINLINE void winograd_correlate(Context& context, const Work<Taps>& work,
                                       const Phases<Taps>& phases, int64_t images,
                                       const float* source, const float* weight, int64_t in_step,
                                       int64_t out_step, const float* bias, float* result,
                                       bool spread = false) {
    const int64_t tile_rows = images * phases.result.rows;
    const int64_t outs = phases.result.channels;
    const Spread<Taps>& y = work.y;
    // The first phase has all taps, or is the only one.
    if (phases.taps[0].rows < Taps || phases.taps[0].columns < Taps)
        memset(y.items, 0, size_t(kPlanes<Taps> * y.plane) * sizeof(float));
    for (int64_t row = 0; row < tile_rows; row += work.held) {
        const Range rows{row, least(row + work.held, tile_rows)};
        for (int p = 0; p < phases.count && !spread; p++)
            spread_rows<InputValues<Taps>>(phases.source[p], source, rows, work.x[p]);
        work.for_blocks([&](Range in, Range out) {
            if (row == 0 || !work.whole())
                spread_weight(weight, in_step, out_step, in, {out.begin, least(out.end, outs)},
                              phases, work.w);
            for (int p = 0; p < phases.count; p++) {
                const Spread<Taps>&x = work.x[p], &w = work.w[p];
                kernels::Gemm product;
                product.m = (rows.end - row) * phases.result.columns,
                product.n = out.end - out.begin;
                product.k = in.end - in.begin, product.beta = in.begin > 0 || p > 0;
                product.a = x.items + in.begin, product.a_row = x.row, product.a_col = 1;
                product.b = w.items, product.b_row = w.row, product.b_col = 1;
                product.c = y.items + out.begin, product.c_row = y.row;
                multiply(context, phases.taps[p], x, w, y, product);
            }
        });
        gather_rows(phases.result, y, rows, bias, result);
    }
}

template <int Taps>
EMBER_NOINLINE void winograd_forward(Context& context, const Conv2d& g) {
    const int64_t taps = g.r * g.s;
    const Phases<Taps> phases = phases_of_input<Taps>(g);
    winograd_correlate(context, Work<Taps>(context, phases, g.n), phases, g.n,
                       static_cast<const float*>(g.input), static_cast<const float*>(g.weight),
                       taps, g.c * taps, static_cast<const float*>(g.bias),
                       static_cast<float*>(g.output));
}

template <int Taps>
EMBER_NOINLINE void winograd_grad_input(Context& context, const Conv2d& g) {
    const int64_t taps = g.r * g.s;
    // The first phase has the most tiles.
    const Work<Taps> work(context, phase_of_gradient<Taps>(g, 0, 0), g.n);
    Tiled before{};
    for (int64_t row = 0; row < least(g.stride[0], g.h); row++)
        for (int64_t column = 0; column < least(g.stride[1], g.w); column++) {
            const Phases<Taps> phase = phase_of_gradient<Taps>(g, row, column);
            const Tiled& source = phase.source[0];
            winograd_correlate(context, work, phase, g.n, static_cast<const float*>(g.output),
                               static_cast<const float*>(g.weight), g.c * taps, taps,
                               static_cast<const float*>(g.bias), static_cast<float*>(g.input),
                               source == before && work.held == g.n * source.rows);
            before = source;
        }
}

template <int Taps>
EMBER_NOINLINE void winograd_grad_weight(Context& context, const Conv2d& g) {
    const Phases<Taps> phases = phases_of_input<Taps>(g);
    const Work<Taps> work(context, phases, g.n);
    const Spread<Taps>& y = work.y;
    const int64_t tile_rows = g.n * phases.result.rows;
    for (int64_t row = 0; row < tile_rows; row += work.held) {
        const Range rows{row, least(row + work.held, tile_rows)};
        spread_rows<OutputValues<Taps>>(phases.result, static_cast<const float*>(g.output), rows,
                                        y);
        for (int p = 0; p < phases.count; p++)
            spread_rows<InputValues<Taps>>(phases.source[p], static_cast<const float*>(g.input),
                                           rows, work.x[p]);
        work.for_blocks([&](Range in, Range out) {
            for (int p = 0; p < phases.count; p++) {
                const Spread<Taps>&x = work.x[p], &w = work.w[p];
                kernels::Gemm product;
                product.m = in.end - in.begin, product.n = out.end - out.begin;
                product.k = (rows.end - row) * phases.result.columns, product.beta = row > 0;
                product.a = x.items + in.begin, product.a_row = 1, product.a_col = x.row;
                product.b = y.items + out.begin, product.b_row = y.row, product.b_col = 1;
                product.c = w.items, product.c_row = w.row;
                multiply(context, phases.taps[p], x, y, w, product);
            }
            if (rows.end == tile_rows)
                gather_weight(work.w, g.c, in, {out.begin, least(out.end, g.k)}, phases,
                              static_cast<float*>(g.weight));
        });
    }
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
