#include "core/parallel.h"
#include "cpu/conv_depthwise.h"
#include "cpu/conv_kernel.h"
#include "cpu/conv_pad.h"
#include "cpu/conv_winograd.h"
#include "kernels/conv.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

constexpr int64_t kDepth = 1024;  // pixels summed in one go: keeps the error of long sums small

// The gradient of the weight sums over all pixels of all images. Images go to `parts` partial sums
// in the order of their numbers and the parts are added in order, so the result depends on the
// sizes alone.
template <class T>
struct WeightGradient {
    const Conv2d& g;
    Padding padding;
    int64_t channels, outputs, rows;  // of one group; rows = channels * taps
    int64_t pixels;
    const int64_t* row_offset;  // of each (channel, tap) in an image
    bool dots;
    int64_t parts;
};

// Output channels in the lanes of registers: `grad` is packed in strips of (pixels, kColumns).
// out is (strips, rows, kColumns).
template <class T>
EMBER_INLINE void gather_rows(const WeightGradient<T>& x, const T* image, const T* grad,
                              const int64_t* pixel_offset, Range rows, int64_t strip, T* out,
                              bool accumulate) {
    using Shape = TileShape<T>;
    constexpr int64_t kStrip = Shape::kColumns;
    const bool wide = x.outputs - strip * kStrip > Shape::kLanes;
    const T* from[Shape::kRows];
    const int64_t count = rows.end - rows.begin;
    for (int64_t i = 0; i < count; i++) from[i] = image + x.row_offset[rows.begin + i];
    GatherCall<T> call{0, from, nullptr, nullptr, nullptr, kStrip, accumulate};
    call.out = out + (strip * x.rows + rows.begin) * kStrip;
    for (int64_t q = 0; q < x.pixels; q += kDepth) {
        call.depth = least(kDepth, x.pixels - q);
        call.offsets = pixel_offset + q;
        call.b = grad + (strip * x.pixels + q) * kStrip;
        ConvTiles<T>::gather[count - 1][wide](call);
        call.accumulate = true;
    }
}

// Pixels in the lanes. out is (outputs, rows).
template <class T>
EMBER_INLINE void dot_rows(const WeightGradient<T>& x, const T* image, const T* grad, Range rows,
                           T* out, bool accumulate) {
    DotCall<T> call;
    call.height = x.g.out_h;
    call.width = x.g.out_w;
    call.grad_plane = x.pixels;
    call.image = image;
    call.image_row = x.g.stride[0] * x.padding.row();
    call.out_row = x.rows;
    call.accumulate = accumulate;
    call.offsets = x.row_offset + rows.begin;
    const int64_t count = rows.end - rows.begin;
    int64_t k = 0;
    auto some = [&](auto channels) __attribute__((always_inline)) {
        call.grad = grad + k * x.pixels;
        call.out = out + k * x.rows + rows.begin;
        DotTiles<T>::template Of<decltype(channels)::value>::table[count - 1](call);
        k += decltype(channels)::value;
    };
    while (k + kDotChannels <= x.outputs) some(std::integral_constant<int, kDotChannels>{});
    while (k < x.outputs) some(std::integral_constant<int, 1>{});
}

template <class T>
void grad_weight(Context& context, const Conv2d& g) {
    using Shape = TileShape<T>;
    constexpr int64_t kStrip = Shape::kColumns, kLanes = Shape::kLanes;
    const int64_t taps = g.r * g.s;
    WeightGradient<T> x{g,     {}, g.c / g.groups, g.k / g.groups, 0, g.out_h * g.out_w, nullptr,
                        false, 1};
    x.rows = x.channels * taps;
    T* result = static_cast<T*>(g.weight);
    if (g.n * x.pixels * x.rows == 0) {
        memset(result, 0, size_t(g.groups * x.outputs * x.rows) * sizeof(T));
        return;
    }
    const int64_t registers = g.out_h * ceil_div(g.out_w, kLanes) * x.outputs;
    x.dots = !g.channels_last && registers * 4 < x.pixels * ceil_div(x.outputs, kLanes) * 3;
    x.padding = forward_padding(g, x.dots);
    const Padding& p = x.padding;
    const bool copies = p.changes(g.h, g.w);
    const int64_t plane = p.plane(), image_items = g.c * plane;
    const int64_t pixel = g.channels_last ? g.c : 1;

    int64_t* row_offset = context.scratch_of<int64_t>(x.rows);
    for (int64_t c = 0, i = 0; c < x.channels; c++)
        for (int64_t r = 0; r < g.r; r++)
            for (int64_t s = 0; s < g.s; s++, i++)
                row_offset[i] = c * (g.channels_last ? 1 : plane) +
                                (r * g.dilation[0] * p.row() + p.column(s * g.dilation[1])) * pixel;
    x.row_offset = row_offset;
    int64_t* pixel_offset = nullptr;
    if (!x.dots) {
        pixel_offset = context.scratch_of<int64_t>(x.pixels);
        for (int64_t q = 0; q < x.pixels; q++)
            pixel_offset[q] =
                (q / g.out_w * g.stride[0] * p.row() + q % g.out_w * g.stride[1]) * pixel;
    }

    // Tasks: parts of the batch, groups, strips of output channels, panels of rows.
    const int64_t height = x.dots ? kDotTaps : Shape::kRows;
    const int64_t panels = ceil_div(x.rows, height);
    const int64_t strips = x.dots ? 1 : ceil_div(x.outputs, kStrip);
    const int64_t out_items = x.dots ? x.outputs * x.rows : strips * x.rows * kStrip;
    const int64_t tiles = g.groups * strips * panels;
    const int64_t products =
        g.n * g.groups * x.rows * (x.dots ? registers : x.pixels * ceil_div(x.outputs, kLanes));
    x.parts = least(least(ceil_div(least(products / kTaskProducts, 64), tiles), g.n), 16);
    x.parts = most(1, x.parts);
    const int64_t task_panels =
        most(1, panels * x.parts * strips * g.groups * kTaskProducts / (products + 1));
    const int64_t runs = ceil_div(panels, task_panels);
    T* sums = context.scratch_of<T>(x.parts * g.groups * out_items);

    const int64_t packed_items = x.dots ? 0 : g.groups * strips * x.pixels * kStrip;
    const int64_t held = most(1, least(g.n, kCopyItems / most(image_items, packed_items)));
    T* copy = copies ? context.scratch_of<T>(held * image_items + kLanes) : nullptr;
    T* packed = x.dots ? nullptr : context.scratch_of<T>(held * packed_items);
    for (int64_t n0 = 0; n0 < g.n; n0 += held) {
        const int64_t here = least(held, g.n - n0);
        const T* images = static_cast<const T*>(g.input) + n0 * g.c * g.h * g.w;
        const T* grads = static_cast<const T*>(g.output) + n0 * g.k * x.pixels;
        if (copies) {
            pad_images(images, here, g.c, g.h, g.w, p, g.channels_last, copy);
            images = copy;
        }
        if (!x.dots)
            parallel_for(here * g.groups * strips, ceil_div(16'384, x.pixels * kStrip),
                         [&](int64_t begin, int64_t end) {
                             for (int64_t i = begin; i < end; i++) {
                                 const int64_t first = i % strips * kStrip;
                                 const int64_t step = g.channels_last ? 1 : x.pixels;
                                 pack(grads + i / strips * x.outputs * x.pixels + first * step,
                                      step, g.channels_last ? x.outputs : 1,
                                      least(kStrip, x.outputs - first), x.pixels,
                                      packed + i * x.pixels * kStrip, kStrip);
                             }
                         });
        parallel_for(x.parts * g.groups * strips * runs, 1, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i++) {
                const int64_t run = i % runs, strip = i / runs % strips;
                const int64_t group = i / runs / strips % g.groups;
                const int64_t part = i / runs / strips / g.groups;
                const Range numbers = piece(g.n, x.parts, part);
                T* out = sums + (part * g.groups + group) * out_items;
                for (int64_t n = most(n0, numbers.begin); n < least(n0 + here, numbers.end); n++) {
                    const T* image = images + ((n - n0) * g.groups + group) * x.channels * plane;
                    const int64_t at = (n - n0) * g.groups + group;
                    const int64_t last = least(panels, (run + 1) * task_panels);
                    for (int64_t q = run * task_panels; q < last; q++) {
                        const Range rows = piece(x.rows, panels, q);
                        if (x.dots)
                            dot_rows(x, image, grads + at * x.outputs * x.pixels, rows, out,
                                     n > numbers.begin);
                        else
                            gather_rows(x, image, packed + at * strips * x.pixels * kStrip,
                                        pixel_offset, rows, strip, out, n > numbers.begin);
                    }
                }
            }
        });
    }

    // The parts in order, then each strip's rows and channels to their place.
    const int64_t items = g.groups * out_items;
    parallel_for(items, kGrainBytes / 8, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i += kLanes) {
            const int64_t count = least(kLanes, end - i);
            Vec<T> sum = load_first<T>(sums + i, count);
            for (int64_t part = 1; part < x.parts; part++)
                sum += load_first<T>(sums + part * items + i, count);
            store_first(sum, x.dots ? result + i : sums + i, count);
        }
    });
    if (x.dots) return;
    const int64_t cuts = ceil_div(x.rows, kLanes);
    parallel_for(g.groups * strips * cuts, 16, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            const int64_t row = i % cuts * kLanes, strip = i / cuts % strips,
                          group = i / cuts / strips;
            const int64_t count = least(kLanes, x.rows - row), first = strip * kStrip;
            alignas(64) T tile[kLanes * kStrip];
            memcpy(tile, sums + ((group * strips + strip) * x.rows + row) * kStrip,
                   size_t(count * kStrip) * sizeof(T));
            store_channels(tile, count, least(kStrip, x.outputs - first),
                           static_cast<const T*>(nullptr),
                           result + (group * x.outputs + first) * x.rows + row, x.rows);
        }
    });
}

// The window is the whole image: (k, images) @ (images, items of an image).
void image_product(Context& context, const Conv2d& g) {
    kernels::Gemm x;
    x.m = g.k, x.n = g.c * g.r * g.s, x.k = g.n, x.dtype = g.dtype;
    x.a = g.output, x.a_row = 1, x.a_col = g.k;
    x.b = g.input, x.b_row = x.n, x.b_col = 1;
    x.c = g.weight, x.c_row = x.n;
    kernels::gemm(DeviceType::CPU, context, x);
}

void conv2d_grad_weight(Context& context, const Conv2d& given) {
    const Conv2d g = checked(given);
    if (is_product(g) && g.out_h * g.out_w == 1) return image_product(context, g);
    in_floats(context, g, {true, false, true},
              [&](auto tag, const Conv2d& x) __attribute__((always_inline)) {
                  using T = typename decltype(tag)::type;
                  if (is_depthwise(x)) {
                      const Depthwise d(context, x, false);
                      if (fits_lanes(d)) return depthwise_grad_weight<T>(context, d);
                  }
                  int winograd = winograd_taps(x, x.out_h, x.out_w);
                  if (winograd && !(even_input(context, x) && even_output(context, x)))
                      winograd = 0;
                  if (winograd == 3) return winograd_grad_weight<3>(context, x);
                  if (winograd == 2) return winograd_grad_weight<2>(context, x);
                  grad_weight<T>(context, x);
              });
}

}  // namespace

void register_conv_weight(Table& table) {
    table.set(kernels::conv2d_grad_weight, conv2d_grad_weight, kFloating);
}

}  // namespace ember::cpu::EMBER_LEVEL
