#include "kernels/conv.h"

#include "core/parallel.h"
#include "cpu/conv_depthwise.h"
#include "cpu/conv_kernel.h"
#include "cpu/conv_pad.h"
#include "cpu/conv_scatter.h"
#include "cpu/conv_winograd.h"
#include "kernels/matmul.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Conv2d;

// Correlates images with taps: forward and the input's gradient are both of this kind.
// out[o](y, x) = bias[o] + sum over i, r, s of weight(o, i, r, s) *
//                source[i](y * row_step + row_shift[r], x * col_step + column_shift[s]),
// for each image and group. The sum runs over (r, i, s) in this order, so that rows of taps that
// fall into the border are skipped as a whole.
template <class T>
struct Correlation {
    int64_t groups, in_channels, out_channels;  // channels of one group
    int64_t tap_rows, tap_columns;
    int64_t *row_shift, *column_shift;  // in the padded source
    const T* weight;
    int64_t weight_group, weight_out, weight_in, weight_taps;
    int64_t* place;  // of each tap of the weight: of its first channel in the sum, or -1
    bool pixels;     // what fills registers: pixels of the output, or its channels
    Padding padding;
    int64_t row_step, col_step;
    const T* source;  // (images, groups * in_channels, source_height, source_width)
    int64_t source_height, source_width;
    bool channels_last;
    T* out;
    int64_t out_image, out_plane, out_row, out_col;
    int64_t height, width;  // pixels of the output
    const T* bias;

    EMBER_INLINE int64_t depth() const { return tap_rows * in_channels * tap_columns; }
    // Items between the padded source's pixels, and between its channels.
    EMBER_INLINE int64_t pixel() const { return channels_last ? groups * in_channels : 1; }
    EMBER_INLINE int64_t plane() const { return channels_last ? 1 : padding.plane(); }
};

// The part of the sum that lies in the image, for each row of the output.
struct Reach {
    const int64_t *begin, *end;
    EMBER_INLINE Range over(int64_t first, int64_t last) const {
        Range r{begin[first], end[first]};
        for (int64_t y = first + 1; y <= last; y++) {
            r.begin = least(r.begin, begin[y]);
            r.end = most(r.end, end[y]);
        }
        return r;
    }
};

// Pixels fill registers where there are few output channels, channels where there are many. These
// take more time to be stored, which counts where sums are short.
template <class T>
EMBER_INLINE bool by_pixels(int64_t out_channels, int64_t depth, int64_t width) {
    constexpr int64_t kLanes = Vec<T>::size, kShort = 128;
    const int64_t store = depth < kShort ? 8 : 0;
    return ceil_div(width, kLanes) * out_channels * depth <=
           width * ceil_div(out_channels, kLanes) * (depth + store);
}

// `lanes` output channels from `first` side by side: dst[p * stride + lane], p as in the sum.
template <class T>
EMBER_NOINLINE void pack_weight(const Correlation<T>& x, int64_t group, int64_t first,
                                int64_t lanes, int64_t stride, T* dst) {
    constexpr int64_t kLanes = Vec<T>::size;
    const T* w = x.weight + group * x.weight_group + first * x.weight_out;
    for (int64_t i = 0; i < x.in_channels; i++, w += x.weight_in)
        for (int64_t t = 0; t < x.weight_taps; t += kLanes) {
            const int64_t taps = least(kLanes, x.weight_taps - t);
            for (int64_t l = 0; l < stride; l += kLanes) {
                Vec<T> block[kLanes];
#pragma GCC unroll 16
                for (int j = 0; j < kLanes; j++) {
                    block[j] = Vec<T>{Raw<T>{}};
                    if (l + j < lanes)
                        block[j] = load_first<T>(w + (l + j) * x.weight_out + t, taps);
                }
                transpose_rounds<T, kLanes / 2>(block);
#pragma GCC unroll 16
                for (int j = 0; j < kLanes; j++)
                    if (j < taps && x.place[t + j] >= 0)
                        block[j].store(dst + (x.place[t + j] + i * x.tap_columns) * stride + l);
            }
        }
}

template <class T>
EMBER_INLINE void correlate_channels(const Correlation<T>& x, const T* source, T* out,
                                     const T* weights, const T* bias, const int64_t* offsets,
                                     const Reach& reach, int64_t begin, int64_t end) {
    using Shape = TileShape<T>;
    constexpr int64_t kStrip = Shape::kColumns, kLanes = Shape::kLanes;
    constexpr int64_t kTileRows = ceil_div(Shape::kRows, kLanes) * kLanes;
    alignas(64) T tile[kTileRows * kStrip];
    const T* rows[Shape::kRows];
    const bool contiguous = x.out_col == 1 && x.out_row == x.width;
    const int64_t row_items = x.row_step * x.padding.row();
    const int64_t panels = ceil_div(end - begin, Shape::kRows);
    GatherCall<T> call{0, rows, nullptr, nullptr, tile, kStrip, false};
    for (int64_t o = 0; o < x.out_channels; o += kStrip) {
        const int64_t channels = least(kStrip, x.out_channels - o);
        for (int64_t p = 0; p < panels; p++) {
            const int64_t first = begin + p * (end - begin) / panels;
            const int64_t last = begin + (p + 1) * (end - begin) / panels;
            for (int64_t q = first; q < last; q++)
                rows[q - first] =
                    source + (q / x.width * row_items + q % x.width * x.col_step) * x.pixel();
            const Range sum = reach.over(first / x.width, (last - 1) / x.width);
            call.depth = sum.end - sum.begin;
            call.offsets = offsets + sum.begin;
            call.b = weights + o * x.depth() + sum.begin * kStrip;
            ConvTiles<T>::gather[last - first - 1][channels > kLanes](call);
            if (contiguous) {
                store_channels(tile, last - first, channels, bias ? bias + o : nullptr,
                               out + o * x.out_plane + first, x.out_plane);
                continue;
            }
            for (int64_t q = first; q < last; q++) {
                T* at = out + o * x.out_plane + q / x.width * x.out_row + q % x.width * x.out_col;
                const T* from = tile + (q - first) * kStrip;
                if (x.channels_last) {
                    for (int64_t c = 0; c < channels; c += kLanes) {
                        const int64_t count = least(kLanes, channels - c);
                        Vec<T> sum = Vec<T>::load(from + c);
                        if (bias) sum += load_first<T>(bias + o + c, count);
                        store_first(sum, at + c, count);
                    }
                    continue;
                }
                for (int64_t c = 0; c < channels; c++)
                    at[c * x.out_plane] = from[c] + (bias ? bias[o + c] : T(0));
            }
        }
    }
}

template <class T>
EMBER_INLINE void correlate_pixels(const Correlation<T>& x, const T* source, T* out,
                                   const T* weights, const T* bias, const int64_t* offsets,
                                   const Reach& reach, int64_t begin, int64_t end) {
    using Shape = TileShape<T>;
    constexpr int64_t kLanes = Shape::kLanes;
    const int64_t a_row = ceil_div(x.width, kLanes), registers = (end - begin) * a_row;
    const int64_t panels = ceil_div(x.out_channels, Shape::kRows);
    const bool contiguous = x.out_col == 1;
    const T* from[kWide];
    T* to[kWide];
    int64_t counts[kWide];
    alignas(64) T strided[Shape::kRows * kWide * kLanes];
    PixelCall<T> call{0, nullptr, nullptr, from, to, counts, x.out_plane, nullptr};
    for (int64_t p = 0; p < panels; p++) {
        const int64_t first = p * x.out_channels / panels;
        const int64_t count = (p + 1) * x.out_channels / panels - first;
        const int64_t wide = count == 1 ? kWide : 2;
        const T* panel = weights + p * x.depth() * Shape::kPanelRows;
        call.bias = bias ? bias + first : nullptr;
        for (int64_t q = 0; q < registers; q += wide) {
            T* at[kWide];
            for (int64_t v = 0; v < wide; v++) {
                // Behind the last register its work is done again, for nothing.
                const int64_t i = least(q + v, registers - 1);
                const int64_t y = begin + i / a_row, column = i % a_row * kLanes;
                from[v] = source + y * x.row_step * x.padding.row() + column;
                at[v] = out + first * x.out_plane + y * x.out_row + column * x.out_col;
                counts[v] = q + v < registers ? least(kLanes, x.width - column) : 0;
                to[v] = contiguous ? at[v] : strided + v * kLanes;
            }
            const int64_t last = least(q + wide, registers) - 1;
            const Range sum = reach.over(begin + q / a_row, begin + last / a_row);
            call.depth = sum.end - sum.begin;
            call.offsets = offsets + sum.begin;
            call.a = panel + sum.begin * Shape::kPanelRows;
            call.out_row = contiguous ? x.out_plane : kWide * kLanes;
            if (count == 1)
                pixel_tile<T, 1, kWide>(call);
            else
                ConvTiles<T>::pixel[count - 1](call);
            if (contiguous) continue;
            for (int64_t v = 0; v < wide; v++)
                for (int64_t c = 0; c < count; c++)
                    for (int64_t i = 0; i < counts[v]; i++)
                        at[v][c * x.out_plane + i * x.out_col] = to[v][c * call.out_row + i];
        }
    }
}

// The tiles of one plane each, for depthwise convolutions, or null where they do not serve.
template <class T>
EMBER_INLINE const PlaneFn<T>* tiles_of_planes(const Correlation<T>& x) {
    const bool serves = x.pixels && x.in_channels == 1 && x.out_channels == 1 && x.out_col == 1 &&
                        x.height >= kPlaneRows && x.tap_rows > 1;
    if (!serves) return nullptr;
    const int64_t apart = x.row_shift[1] - x.row_shift[0];
    return apart == 1 || apart == -1 ? plane_tiles<T>(x.tap_rows, x.row_step) : nullptr;
}

template <class T>
EMBER_INLINE void correlate_plane(const Correlation<T>& x, const PlaneFn<T>* tiles, const T* source,
                                  T* out, const T* weights, const T* bias, int64_t begin,
                                  int64_t end) {
    constexpr int64_t kLanes = Vec<T>::size;
    const bool upwards = x.row_shift[1] > x.row_shift[0];
    const int64_t last = x.tap_rows - 1, row = x.padding.row();
    PlaneCall<T> call;
    call.columns = x.tap_columns;
    call.weight_row = (upwards ? 1 : -1) * x.tap_columns * TileShape<T>::kPanelRows;
    call.weight = upwards ? weights : weights - last * call.weight_row;
    call.shift = x.column_shift;
    call.source_row = row;
    call.out_row = x.out_row;
    call.bias = bias ? *bias : T(0);
    const T* first = source + x.row_shift[upwards ? 0 : last] * row;
    for (int64_t y = begin; y < end; y += kPlaneRows) {
        // Of the last rows some are done again.
        const int64_t at = least(y, end - kPlaneRows);
        for (int64_t c = 0; c < x.width; c += 2 * kLanes) {
            call.count = least(2 * kLanes, x.width - c);
            call.source = first + at * x.row_step * row + c;
            call.out = out + at * x.out_row + c;
            tiles[call.count > kLanes](call);
        }
    }
}

template <class T>
EMBER_NOINLINE void correlate(Context& context, const Correlation<T>& x, int64_t images) {
    using Shape = TileShape<T>;
    constexpr int64_t kLanes = Shape::kLanes, kSlack = kWide * kLanes;
    if (images == 0 || x.height <= 0 || x.width <= 0 || x.out_channels == 0) return;
    const int64_t depth = x.depth(), in_planes = x.groups * x.in_channels;
    const bool pixels = x.pixels,
               copies = pixels || x.padding.changes(x.source_height, x.source_width);

    // Panels (pixels) or strips (channels) of weights, for each group.
    const int64_t lanes_stride = pixels ? Shape::kPanelRows : Shape::kColumns;
    const int64_t packs = ceil_div(x.out_channels, pixels ? Shape::kRows : Shape::kColumns);
    T* weights = context.scratch_of<T>(x.groups * packs * depth * lanes_stride + kLanes);
    parallel_for(x.groups * packs, ceil_div(16'384, depth * lanes_stride + 1),
                 [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; i++) {
                         const int64_t g = i / packs, p = i % packs;
                         const int64_t first =
                             pixels ? p * x.out_channels / packs : p * lanes_stride;
                         const int64_t last = pixels ? (p + 1) * x.out_channels / packs
                                                     : least(first + lanes_stride, x.out_channels);
                         pack_weight(x, g, first, last - first, lanes_stride,
                                     weights + i * depth * lanes_stride);
                     }
                 });

    const int64_t plane = x.padding.plane(), pixel = x.pixel();
    int64_t* offsets = context.scratch_of<int64_t>(depth);
    for (int64_t r = 0, p = 0; r < x.tap_rows; r++)
        for (int64_t i = 0; i < x.in_channels; i++)
            for (int64_t c = 0; c < x.tap_columns; c++, p++)
                offsets[p] =
                    i * x.plane() + (x.row_shift[r] * x.padding.row() + x.column_shift[c]) * pixel;
    int64_t* ranges = context.scratch_of<int64_t>(2 * x.height);
    const int64_t image_begin = x.padding.top, image_end = x.padding.top + x.source_height;
    for (int64_t y = 0; y < x.height; y++) {
        int64_t first = x.tap_rows, last = 0;
        for (int64_t r = 0; r < x.tap_rows; r++) {
            const int64_t row = y * x.row_step + x.row_shift[r];
            if (row < image_begin || row >= image_end) continue;
            first = least(first, r);
            last = r + 1;
        }
        ranges[y] = least(first, last) * x.in_channels * x.tap_columns;
        ranges[x.height + y] = last * x.in_channels * x.tap_columns;
    }
    const Reach reach{ranges, ranges + x.height};

    const int64_t image_items = in_planes * plane;
    int64_t held = images;
    if (copies) held = most(1, least(images, kCopyItems / (image_items + 1)));
    T* copy = copies ? context.scratch_of<T>(held * image_items + kSlack) : nullptr;

    // Blocks of rows (pixels) or of pixels (channels).
    const int64_t units = pixels ? x.height : x.height * x.width;
    const int64_t products = depth * x.height *
                             (pixels ? ceil_div(x.width, kLanes) * x.out_channels
                                     : x.width * ceil_div(x.out_channels, kLanes));
    int64_t blocks = most(1, least(products / kTaskProducts, 64));
    // Registers of pixels go in pairs: a block of one row of an odd number would waste the last.
    blocks = least(blocks, pixels ? ceil_div(units * ceil_div(x.width, kLanes), 4)
                                  : ceil_div(units, 2 * Shape::kRows));
    const PlaneFn<T>* tiles = tiles_of_planes(x);
    blocks = least(blocks, tiles ? units / kPlaneRows : units);
    const int64_t each = products < kTaskProducts ? kTaskProducts / (products + 1) : 1;

    for (int64_t n0 = 0; n0 < images; n0 += held) {
        const int64_t here = least(held, images - n0);
        const T* source = x.source + n0 * in_planes * x.source_height * x.source_width;
        if (copies) {
            pad_images(source, here, in_planes, x.source_height, x.source_width, x.padding,
                       x.channels_last, copy);
            source = copy;
        }
        parallel_for(here * x.groups * blocks, each, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i++) {
                const int64_t b = i % blocks, g = i / blocks % x.groups, n = i / blocks / x.groups;
                const T* from = source + n * image_items + g * x.in_channels * x.plane();
                T* to = x.out + (n0 + n) * x.out_image + g * x.out_channels * x.out_plane;
                const T* bias = x.bias ? x.bias + g * x.out_channels : nullptr;
                const T* w = weights + g * packs * depth * lanes_stride;
                const int64_t first = b * units / blocks, last = (b + 1) * units / blocks;
                if (tiles)
                    correlate_plane(x, tiles, from, to, w, bias, first, last);
                else if (pixels)
                    correlate_pixels(x, from, to, w, bias, offsets, reach, first, last);
                else
                    correlate_channels(x, from, to, w, bias, offsets, reach, first, last);
            }
        });
    }
}

template <class T>
void forward(Context& context, const Conv2d& g) {
    const int64_t taps = g.r * g.s;
    Correlation<T> x;
    x.groups = g.groups;
    x.in_channels = g.c / g.groups;
    x.out_channels = g.k / g.groups;
    x.weight = static_cast<const T*>(g.weight);
    x.weight_out = x.in_channels * taps;
    x.weight_group = x.out_channels * x.weight_out;
    x.weight_in = taps;
    x.weight_taps = taps;
    x.pixels = !g.channels_last && by_pixels<T>(x.out_channels, x.in_channels * taps, g.out_w);
    x.channels_last = g.channels_last;
    x.padding = forward_padding(g, x.pixels);
    x.row_step = g.stride[0];
    x.col_step = x.pixels ? 1 : g.stride[1];
    x.source = static_cast<const T*>(g.input);
    x.source_height = g.h;
    x.source_width = g.w;
    x.out = static_cast<T*>(g.output);
    x.height = g.out_h;
    x.width = g.out_w;
    x.out_col = g.channels_last ? g.k : 1;
    x.out_row = g.out_w * x.out_col;
    x.out_plane = g.channels_last ? 1 : g.out_h * g.out_w;
    x.out_image = g.k * g.out_h * g.out_w;
    x.bias = static_cast<const T*>(g.bias);
    x.tap_rows = g.r;
    x.tap_columns = g.s;
    x.row_shift = context.scratch_of<int64_t>(g.r + g.s + taps);
    x.column_shift = x.row_shift + g.r;
    x.place = x.column_shift + g.s;
    for (int64_t r = 0; r < g.r; r++) x.row_shift[r] = r * g.dilation[0];
    for (int64_t s = 0; s < g.s; s++) x.column_shift[s] = x.padding.column(s * g.dilation[1]);
    for (int64_t t = 0; t < taps; t++) x.place[t] = t / g.s * x.in_channels * g.s + t % g.s;
    correlate(context, x, g.n);
}

// Each phase of the input's positions is a correlation of stride 1 with some of the taps.
template <class T>
void grad_input(Context& context, const Conv2d& g) {
    const int64_t taps = g.r * g.s;
    Correlation<T> x;
    x.row_shift = context.scratch_of<int64_t>(g.r + g.s + taps);
    x.column_shift = x.row_shift + g.r;
    x.place = x.column_shift + g.s;
    x.groups = g.groups;
    x.in_channels = g.k / g.groups;
    x.out_channels = g.c / g.groups;
    x.weight = static_cast<const T*>(g.weight);
    x.weight_out = taps;
    x.weight_in = x.out_channels * taps;
    x.weight_group = x.in_channels * x.weight_in;
    x.weight_taps = taps;
    x.row_step = x.col_step = 1;
    x.source = static_cast<const T*>(g.output);
    x.source_height = g.out_h;
    x.source_width = g.out_w;
    x.channels_last = g.channels_last;
    const int64_t pixel = g.channels_last ? g.c : 1;
    x.out_row = g.stride[0] * g.w * pixel;
    x.out_col = g.stride[1] * pixel;
    x.out_plane = g.channels_last ? 1 : g.h * g.w;
    x.out_image = g.c * g.h * g.w;
    x.bias = static_cast<const T*>(g.bias);
    for (int64_t py = 0; py < least(g.stride[0], g.h); py++)
        for (int64_t px = 0; px < least(g.stride[1], g.w); px++) {
            const Phase rows(py, g.r, g.stride[0], g.pad[0], g.dilation[0]);
            const Phase columns(px, g.s, g.stride[1], g.pad[1], g.dilation[1]);
            x.tap_rows = rows.count(g.r);
            x.tap_columns = columns.count(g.s);
            const int64_t count = x.tap_rows * x.tap_columns;
            x.out = static_cast<T*>(g.input) + (py * g.w + px) * pixel;
            x.height = ceil_div(g.h - py, g.stride[0]);
            x.width = ceil_div(g.w - px, g.stride[1]);
            x.pixels =
                !x.channels_last && by_pixels<T>(x.out_channels, x.in_channels * count, x.width);
            Padding& p = x.padding;
            p = {};
            p.rows = g.out_h;
            p.columns = g.out_w;
            if (count > 0) {
                p.top = most(0, -rows.shift(x.tap_rows - 1));
                p.left = most(0, -columns.shift(x.tap_columns - 1));
                p.rows = p.top + most(x.height + rows.first, g.out_h);
                p.columns = p.left + most(x.width + columns.first, g.out_w);
            }
            for (int64_t i = 0; i < x.tap_rows; i++) x.row_shift[i] = p.top + rows.shift(i);
            for (int64_t i = 0; i < x.tap_columns; i++)
                x.column_shift[i] = p.left + columns.shift(i);
            for (int64_t t = 0; t < taps; t++) {
                const int64_t i = rows.index(t / g.s), j = columns.index(t % g.s);
                x.place[t] = i < 0 || j < 0 ? -1 : i * x.in_channels * x.tap_columns + j;
            }
            correlate(context, x, g.n);
        }
}

// (pixels, to) = (pixels, from) @ (from, to), planes being columns.
EMBER_INLINE void product(Context& context, const Conv2d& g, const void* in, int64_t from,
                          void* out, int64_t to, bool transposed, const void* bias) {
    kernels::Gemm x;
    const int64_t pixels = g.out_h * g.out_w;
    x.batch = g.n, x.m = pixels, x.n = to, x.k = from;
    x.a = in, x.a_batch = from * pixels, x.a_row = 1, x.a_col = pixels;
    x.b = g.weight, x.b_row = transposed ? to : 1, x.b_col = transposed ? 1 : from;
    x.c = out, x.c_batch = to * pixels, x.c_row = 1, x.c_col = pixels;
    if (pixels == 1 || g.channels_last) {
        x.batch = 1, x.m = g.n * pixels;
        x.a_row = from, x.a_col = 1, x.c_row = to, x.c_col = 1;
    }
    x.bias = bias, x.dtype = g.dtype;
    kernels::gemm(DeviceType::CPU, context, x);
}

void conv2d(Context& context, const Conv2d& given) {
    const Conv2d g = checked(given);
    if (is_product(g))
        return product(context, g, g.input, g.c * g.r * g.s, g.output, g.k, false, g.bias);
    in_floats(context, g, {true, true, false},
              [&](auto tag, const Conv2d& x) __attribute__((always_inline)) {
                  using T = typename decltype(tag)::type;
                  if (is_depthwise(x)) {
                      const Depthwise d(context, x, false);
                      if (suits_lanes(d))
                          return depthwise(context, d, static_cast<const T*>(x.input),
                                           static_cast<T*>(x.output));
                  }
                  int winograd = winograd_taps(x, x.out_h, x.out_w);
                  if (winograd && !even_input(context, x)) winograd = 0;
                  if (winograd == 3) return winograd_forward<3>(context, x);
                  if (winograd == 2) return winograd_forward<2>(context, x);
                  forward<T>(context, x);
              });
}

void conv2d_grad_input(Context& context, const Conv2d& given) {
    const Conv2d g = checked(given);
    if (is_product(g) && (g.bias == nullptr || g.r * g.s == 1))
        return product(context, g, g.output, g.k, g.input, g.c * g.r * g.s, true, g.bias);
    in_floats(context, g, {false, true, true},
              [&](auto tag, const Conv2d& x) __attribute__((always_inline)) {
                  using T = typename decltype(tag)::type;
                  if (is_depthwise(x)) {
                      const Depthwise d(context, x, true);
                      if (suits_lanes(d))
                          return depthwise(context, d, static_cast<const T*>(x.output),
                                           static_cast<T*>(x.input));
                  }
                  int winograd =
                      winograd_taps(x, ceil_div(x.h, x.stride[0]), ceil_div(x.w, x.stride[1]));
                  if (winograd && !even_output(context, x)) winograd = 0;
                  if (winograd == 3) return winograd_grad_input<3>(context, x);
                  if (winograd == 2) return winograd_grad_input<2>(context, x);
                  if (!x.channels_last && suits_scatter(x))
                      return scatter_grad_input<T>(context, x);
                  grad_input<T>(context, x);
              });
}

}  // namespace

void register_conv(Table& table) {
    table.set(kernels::conv2d, conv2d, kFloating);
    table.set(kernels::conv2d_grad_input, conv2d_grad_input, kFloating);
}

}  // namespace ember::cpu::EMBER_LEVEL
