#include "kernels/conv.h"

#include "core/parallel.h"
#include "cpu/conv_kernel.h"
#include "cpu/conv_pad.h"
#include "kernels/matmul.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Conv2d;

// Correlates images with taps: forward and the input's gradient are both of this kind.
// out[o](y, x) = bias[o] + sum over i, t of weight(o, i, t) *
//                source[i][y * row_step + x * col_step + tap_offset[t]], for each image and group.
template <class T>
struct Correlation {
    int64_t groups, in_channels, out_channels;  // channels of one group
    int64_t taps;
    const int64_t *tap_offset, *tap_weight;  // offsets in a source plane and in a weight plane
    const T* weight;
    int64_t weight_group, weight_out, weight_in;
    bool dense;  // weight(o, ., .) is in_channels * taps items in order
    bool pixels;  // what fills registers: pixels of the output, or its channels
    Padding padding;
    int64_t row_step, col_step;
    const T* source;  // (images, groups * in_channels, source_height, source_width)
    int64_t source_height, source_width;
    T* out;
    int64_t out_image, out_plane, out_row, out_col;
    int64_t height, width;  // pixels of the output
    const T* bias;

    EMBER_INLINE int64_t depth() const { return in_channels * taps; }
};

// Pixels fill registers where there are few output channels, channels where there are many.
template <class T>
EMBER_INLINE bool by_pixels(int64_t out_channels, int64_t depth, int64_t width) {
    constexpr int64_t kLanes = Vec<T>::size, kStore = 8;
    return divide_up(width, kLanes) * out_channels * depth <=
           width * divide_up(out_channels, kLanes) * (depth + kStore);
}

// `lanes` output channels from `first` side by side: dst[p * stride + lane].
template <class T>
EMBER_NOINLINE void pack_weight(const Correlation<T>& x, int64_t group, int64_t first,
                                int64_t lanes, int64_t stride, T* dst) {
    const T* w = x.weight + group * x.weight_group + first * x.weight_out;
    if (x.dense) return pack(w, x.weight_out, int64_t(1), lanes, x.depth(), dst, stride);
    for (int64_t i = 0; i < x.in_channels; i++)
        for (int64_t t = 0; t < x.taps; t++, dst += stride) {
            const T* from = w + i * x.weight_in + x.tap_weight[t];
            for (int64_t l = 0; l < lanes; l++) dst[l] = from[l * x.weight_out];
            for (int64_t l = lanes; l < stride; l++) dst[l] = T(0);
        }
}

template <class T>
EMBER_INLINE void correlate_channels(const Correlation<T>& x, const T* source, T* out,
                                     const T* weights, const T* bias, const int64_t* offsets,
                                     int64_t begin, int64_t end) {
    using Shape = TileShape<T>;
    constexpr int64_t kStrip = Shape::kColumns, kLanes = Shape::kLanes;
    constexpr int64_t kTileRows = divide_up(Shape::kRows, kLanes) * kLanes;
    alignas(64) T tile[kTileRows * kStrip];
    const T* rows[Shape::kRows];
    const bool contiguous = x.out_col == 1 && x.out_row == x.width;
    const int64_t panels = divide_up(end - begin, Shape::kRows);
    GatherCall<T> call{x.depth(), rows, offsets, nullptr, tile, kStrip, false};
    for (int64_t o = 0; o < x.out_channels; o += kStrip) {
        const int64_t channels = least(kStrip, x.out_channels - o);
        call.b = weights + o * x.depth();
        for (int64_t p = 0; p < panels; p++) {
            const int64_t first = begin + p * (end - begin) / panels;
            const int64_t last = begin + (p + 1) * (end - begin) / panels;
            for (int64_t q = first; q < last; q++)
                rows[q - first] = source + q / x.width * x.row_step + q % x.width * x.col_step;
            ConvTiles<T>::gather[last - first - 1][channels > kLanes](call);
            if (contiguous) {
                store_channels(tile, last - first, channels, bias ? bias + o : nullptr,
                               out + o * x.out_plane + first, x.out_plane);
                continue;
            }
            for (int64_t q = first; q < last; q++) {
                T* at = out + o * x.out_plane + q / x.width * x.out_row + q % x.width * x.out_col;
                for (int64_t c = 0; c < channels; c++)
                    at[c * x.out_plane] =
                        tile[(q - first) * kStrip + c] + (bias ? bias[o + c] : T(0));
            }
        }
    }
}

template <class T>
EMBER_INLINE void correlate_pixels(const Correlation<T>& x, const T* source, T* out,
                                   const T* weights, const T* bias, const int64_t* offsets,
                                   int64_t begin, int64_t end) {
    using Shape = TileShape<T>;
    constexpr int64_t kLanes = Shape::kLanes;
    const int64_t a_row = divide_up(x.width, kLanes), registers = (end - begin) * a_row;
    const int64_t panels = divide_up(x.out_channels, Shape::kRows);
    const bool contiguous = x.out_col == 1;
    const T* from[kWide];
    T* to[kWide];
    int64_t counts[kWide];
    alignas(64) T strided[Shape::kRows * kWide * kLanes];
    PixelCall<T> call{x.depth(), nullptr, offsets, from, to, counts, x.out_plane, nullptr};
    for (int64_t p = 0; p < panels; p++) {
        const int64_t first = p * x.out_channels / panels;
        const int64_t count = (p + 1) * x.out_channels / panels - first;
        const int64_t wide = count == 1 ? kWide : 2;
        call.a = weights + p * x.depth() * Shape::kPanelRows;
        call.bias = bias ? bias + first : nullptr;
        for (int64_t q = 0; q < registers; q += wide) {
            T* at[kWide];
            for (int64_t v = 0; v < wide; v++) {
                // Behind the last register its work is done again, for nothing.
                const int64_t i = least(q + v, registers - 1);
                const int64_t y = begin + i / a_row, column = i % a_row * kLanes;
                from[v] = source + y * x.row_step + column;
                at[v] = out + first * x.out_plane + y * x.out_row + column * x.out_col;
                counts[v] = q + v < registers ? least(kLanes, x.width - column) : 0;
                to[v] = contiguous ? at[v] : strided + v * kLanes;
            }
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

template <class T>
EMBER_NOINLINE void correlate(Context& context, const Correlation<T>& x, int64_t images) {
    using Shape = TileShape<T>;
    constexpr int64_t kLanes = Shape::kLanes, kSlack = kWide * kLanes;
    if (images == 0 || x.height <= 0 || x.width <= 0 || x.out_channels == 0) return;
    const int64_t depth = x.depth(), in_planes = x.groups * x.in_channels;
    const bool pixels = x.pixels, copies = pixels || x.padding.changes(x.source_height, x.source_width);

    // Panels (pixels) or strips (channels) of weights, for each group.
    const int64_t lanes_stride = pixels ? Shape::kPanelRows : Shape::kColumns;
    const int64_t packs = divide_up(x.out_channels, pixels ? Shape::kRows : Shape::kColumns);
    T* weights = context.scratch_of<T>(x.groups * packs * depth * lanes_stride + kLanes);
    parallel_for(x.groups * packs, divide_up(16'384, depth * lanes_stride + 1),
                 [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            const int64_t g = i / packs, p = i % packs;
            const int64_t first = pixels ? p * x.out_channels / packs : p * lanes_stride;
            const int64_t last = pixels ? (p + 1) * x.out_channels / packs
                                        : least(first + lanes_stride, x.out_channels);
            pack_weight(x, g, first, last - first, lanes_stride,
                        weights + i * depth * lanes_stride);
        }
    });

    const int64_t plane = x.padding.plane();
    int64_t* offsets = context.scratch_of<int64_t>(depth);
    for (int64_t i = 0; i < x.in_channels; i++)
        for (int64_t t = 0; t < x.taps; t++) offsets[i * x.taps + t] = i * plane + x.tap_offset[t];

    const int64_t image_items = in_planes * plane;
    int64_t held = images;
    if (copies) held = most(1, least(images, kCopyItems / (image_items + 1)));
    T* copy = copies ? context.scratch_of<T>(held * image_items + kSlack) : nullptr;

    // Blocks of rows (pixels) or of pixels (channels).
    const int64_t units = pixels ? x.height : x.height * x.width;
    const int64_t products = depth * x.height *
                             (pixels ? divide_up(x.width, kLanes) * x.out_channels
                                     : x.width * divide_up(x.out_channels, kLanes));
    int64_t blocks = most(1, least(products / kTaskProducts, 64));
    blocks = least(blocks, pixels ? units : divide_up(units, 2 * Shape::kRows));
    const int64_t each = products < kTaskProducts ? kTaskProducts / (products + 1) : 1;

    for (int64_t n0 = 0; n0 < images; n0 += held) {
        const int64_t here = least(held, images - n0);
        const T* source = x.source + n0 * in_planes * x.source_height * x.source_width;
        if (copies) {
            parallel_for(here * in_planes, divide_up(16'384, plane + 1),
                         [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; i++)
                    pad_plane(source + i * x.source_height * x.source_width, x.source_height,
                              x.source_width, x.padding, copy + i * plane);
            });
            source = copy;
        }
        parallel_for(here * x.groups * blocks, each, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i++) {
                const int64_t b = i % blocks, g = i / blocks % x.groups, n = i / blocks / x.groups;
                const T* from = source + (n * x.groups + g) * x.in_channels * plane;
                T* to = x.out + (n0 + n) * x.out_image + g * x.out_channels * x.out_plane;
                const T* bias = x.bias ? x.bias + g * x.out_channels : nullptr;
                const T* w = weights + g * packs * depth * lanes_stride;
                const int64_t first = b * units / blocks, last = (b + 1) * units / blocks;
                if (pixels)
                    correlate_pixels(x, from, to, w, bias, offsets, first, last);
                else
                    correlate_channels(x, from, to, w, bias, offsets, first, last);
            }
        });
    }
}

// Space for `count` offsets of taps in a source plane and in a weight plane.
template <class T>
EMBER_INLINE void set_taps(Correlation<T>& x, int64_t* offsets, int64_t* weights, int64_t count) {
    x.taps = count;
    x.tap_offset = offsets;
    x.tap_weight = weights;
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
    x.dense = true;
    x.pixels = by_pixels<T>(x.out_channels, x.in_channels * taps, g.out_w);
    x.padding = forward_padding(g, x.pixels);
    x.row_step = g.stride[0] * x.padding.row();
    x.col_step = x.pixels ? 1 : g.stride[1];
    x.source = static_cast<const T*>(g.input);
    x.source_height = g.h;
    x.source_width = g.w;
    x.out = static_cast<T*>(g.output);
    x.height = g.out_h;
    x.width = x.out_row = g.out_w;
    x.out_col = 1;
    x.out_plane = g.out_h * g.out_w;
    x.out_image = g.k * x.out_plane;
    x.bias = static_cast<const T*>(g.bias);
    int64_t* offsets = context.scratch_of<int64_t>(2 * taps);
    set_taps(x, offsets, offsets + taps, taps);
    for (int64_t i = 0; i < taps; i++) {
        offsets[i] = i / g.s * g.dilation[0] * x.padding.row() +
                     x.padding.column(i % g.s * g.dilation[1]);
        offsets[taps + i] = i;
    }
    correlate(context, x, g.n);
}

// The taps of one dimension that reach the input's positions of one phase (their remainder modulo
// the stride), as shifts: position phase + i * stride takes from the output's position i + shift.
struct Phase {
    int64_t begin, step, lowest, highest;  // taps begin, begin + step, ...; range of the shifts
    EMBER_INLINE Phase(int64_t phase, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
        begin = 0;
        while (begin < kernel && (phase + pad - begin * dilation) % stride != 0) begin++;
        step = 1;
        while (step * dilation % stride != 0) step++;
        lowest = 0, highest = -1;
        if (begin >= kernel) return;
        const int64_t last = begin + (kernel - 1 - begin) / step * step;
        highest = (phase + pad - begin * dilation) / stride;
        lowest = (phase + pad - last * dilation) / stride;
    }
    EMBER_INLINE int64_t count(int64_t kernel) const {
        return begin < kernel ? (kernel - 1 - begin) / step + 1 : 0;
    }
};

// Each phase of the input's positions is a correlation of stride 1 with some of the taps.
template <class T>
void grad_input(Context& context, const Conv2d& g) {
    const int64_t taps = g.r * g.s;
    int64_t* offsets = context.scratch_of<int64_t>(2 * taps);
    Correlation<T> x;
    x.groups = g.groups;
    x.in_channels = g.k / g.groups;
    x.out_channels = g.c / g.groups;
    x.weight = static_cast<const T*>(g.weight);
    x.weight_out = taps;
    x.weight_in = x.out_channels * taps;
    x.weight_group = x.in_channels * x.weight_in;
    x.dense = false;
    x.col_step = 1;
    x.source = static_cast<const T*>(g.output);
    x.source_height = g.out_h;
    x.source_width = g.out_w;
    x.out_row = g.stride[0] * g.w;
    x.out_col = g.stride[1];
    x.out_plane = g.h * g.w;
    x.out_image = g.c * x.out_plane;
    x.bias = nullptr;
    for (int64_t py = 0; py < least(g.stride[0], g.h); py++)
        for (int64_t px = 0; px < least(g.stride[1], g.w); px++) {
            const Phase rows(py, g.r, g.stride[0], g.pad[0], g.dilation[0]);
            const Phase columns(px, g.s, g.stride[1], g.pad[1], g.dilation[1]);
            const int64_t count = rows.count(g.r) * columns.count(g.s);
            x.out = static_cast<T*>(g.input) + py * g.w + px;
            x.height = divide_up(g.h - py, g.stride[0]);
            x.width = divide_up(g.w - px, g.stride[1]);
            x.pixels = by_pixels<T>(x.out_channels, x.in_channels * count, x.width);
            Padding& p = x.padding;
            p = {};
            p.rows = g.out_h;
            p.columns = g.out_w;
            if (count > 0) {
                p.top = most(0, -rows.lowest);
                p.left = most(0, -columns.lowest);
                p.rows = most(p.top + x.height + rows.highest, p.top + g.out_h);
                p.columns = most(p.left + x.width + columns.highest, p.left + g.out_w);
            }
            x.row_step = p.row();
            set_taps(x, offsets, offsets + taps, count);
            int64_t t = 0;
            for (int64_t r = rows.begin, i = 0; count > 0 && r < g.r; r += rows.step, i++)
                for (int64_t s = columns.begin; s < g.s; s += columns.step, t++) {
                    const int64_t y = (py + g.pad[0] - r * g.dilation[0]) / g.stride[0];
                    const int64_t shift = (px + g.pad[1] - s * g.dilation[1]) / g.stride[1];
                    offsets[t] = (y + p.top) * p.row() + shift + p.left;
                    offsets[taps + t] = r * g.s + s;
                }
            correlate(context, x, g.n);
        }
}

// A convolution of one tap without borders is a matrix product for each image.
EMBER_INLINE bool is_product(const Conv2d& g) {
    return g.r == 1 && g.s == 1 && g.groups == 1 && g.stride[0] == 1 && g.stride[1] == 1 &&
           g.pad[0] == 0 && g.pad[1] == 0;
}

// (pixels, to) = (pixels, from) @ (from, to), planes being columns.
EMBER_INLINE void product(Context& context, const Conv2d& g, const void* in, int64_t from,
                          void* out, int64_t to, bool transposed, const void* bias) {
    kernels::Gemm x;
    const int64_t pixels = g.h * g.w;
    x.batch = g.n, x.m = pixels, x.n = to, x.k = from;
    x.a = in, x.a_batch = from * pixels, x.a_row = 1, x.a_col = pixels;
    x.b = g.weight, x.b_row = transposed ? to : 1, x.b_col = transposed ? 1 : from;
    x.c = out, x.c_batch = to * pixels, x.c_row = 1, x.c_col = pixels;
    x.bias = bias, x.dtype = g.dtype;
    kernels::gemm(DeviceType::CPU, context, x);
}

void conv2d(Context& context, const Conv2d& g) {
    if (is_product(g))
        return product(context, g, g.input, g.c, g.output, g.k, false, g.bias);
    in_floats(context, g, {true, true, false}, [&](auto tag, const Conv2d& x) __attribute__((always_inline)) {
        forward<typename decltype(tag)::type>(context, x);
    });
}

void conv2d_grad_input(Context& context, const Conv2d& g) {
    if (is_product(g)) return product(context, g, g.output, g.k, g.input, g.c, true, nullptr);
    in_floats(context, g, {false, true, true}, [&](auto tag, const Conv2d& x) __attribute__((always_inline)) {
        grad_input<typename decltype(tag)::type>(context, x);
    });
}

}  // namespace

void register_conv(Table& table) {
    table.set(kernels::conv2d, conv2d, kFloating);
    table.set(kernels::conv2d_grad_input, conv2d_grad_input, kFloating);
}

}  // namespace ember::cpu::EMBER_LEVEL
