#include "ops/windows.h"

#include "ops/copy.h"
#include "ops/formula.h"
#include "ops/view.h"

namespace ember::ops {

namespace {

using Axes = SmallVector<Axis, kMaxAxes>;

// (N, C, kernels..., outs..., rest...) whatever the order in memory.
Tensor as_columns(const Tensor& windows, WindowOrder order) {
    if (order == WindowOrder::Columns) return windows;
    Dims dims(windows.dim());
    for (int d = 0; d < windows.dim(); d++) dims[d] = d;
    dims[1] = 2, dims[2] = 3, dims[3] = 1;
    return permute(windows, dims);
}

// Calls visit(part of the windows, part of the image) for each tap, of the places where the tap
// lies in the image.
template <class F>
void for_each_tap(const Tensor& windows, const Tensor& image, std::span<const Axis> axes,
                  WindowOrder order, F visit) {
    if (windows.numel() == 0 || image.numel() == 0) return;
    Tensor columns = as_columns(windows, order);
    int rank = int(axes.size());
    int64_t taps = 1;
    for (const Axis& a : axes) taps *= a.kernel;
    for (int64_t t = 0; t < taps; t++) {
        Tensor part = columns, under = image;
        int64_t left = t;
        bool inside = true;
        for (int i = rank - 1; i >= 0 && inside; i--) {
            const Axis& a = axes[size_t(i)];
            int64_t shift = left % a.kernel * a.dilation - a.pad;  // input of output 0
            int64_t first = shift < 0 ? (-shift + a.stride - 1) / a.stride : 0;
            int64_t count = a.in > shift ? (a.in - shift - 1) / a.stride + 1 : 0;
            count = std::min(count, a.out) - first;
            inside = count > 0;
            if (!inside) break;
            part = narrow(part, 2 + rank + i, first, count);
            int64_t begin = first * a.stride + shift;
            under = slice(under, 2 + i, begin, begin + (count - 1) * a.stride + 1, a.stride);
            left /= a.kernel;
        }
        if (!inside) continue;
        left = t;
        for (int i = rank - 1; i >= 0; i--) {
            part = select(part, 2 + i, left % axes[size_t(i)].kernel);
            left /= axes[size_t(i)].kernel;
        }
        visit(part, under);
    }
}

bool covers(std::span<const Axis> axes) {
    for (const Axis& a : axes)
        if (a.pad > 0 || (a.out - 1) * a.stride + a.reach() > a.in) return false;
    return true;
}

void append_rest(Dims& sizes, const Tensor& x, int from) {
    for (int d = from; d < x.dim(); d++) sizes.push_back(x.impl()->sizes[d]);
}

}  // namespace

void read_sizes(const char* name, const char* what, const Dims& given, int rank, int64_t least,
                int64_t* sizes) {
    EMBER_CHECK(given.size() == 1 || given.size() == rank,
                "%s: %s must be one number or %d, got %s", name, what, rank,
                to_string(given).c_str());
    for (int i = 0; i < rank; i++) {
        sizes[i] = given[given.size() == 1 ? 0 : i];
        EMBER_CHECK(sizes[i] >= least && sizes[i] < (int64_t(1) << 31),
                    "%s: %s must be at least %ld, got %s", name, what, long(least),
                    to_string(given).c_str());
    }
}

Tensor gather_windows(const Tensor& x, std::span<const Axis> axes, WindowOrder order) {
    Dims sizes{x.size(0), x.size(1)};
    if (order == WindowOrder::Images) {
        sizes = {x.size(0), axes[0].out, x.size(1), axes[0].kernel};
    } else {
        for (const Axis& a : axes) sizes.push_back(a.kernel);
        for (const Axis& a : axes) sizes.push_back(a.out);
    }
    append_rest(sizes, x, 2 + int(axes.size()));
    Tensor windows = covers(axes) ? empty(sizes, x.options()) : zeros(sizes, x.options());
    {
        GradModeGuard no_grad(false);
        for_each_tap(windows, x, axes, order,
                     [](const Tensor& part, const Tensor& under) { copy_(part, under); });
    }
    if (needs_grad(x))
        record("Im2ColBackward0", windows, {x},
               [axes = Axes(axes), order](Backward& bw, const Tensor& g) {
                   bw.set(0, scatter_windows(g, axes, order));
               });
    return windows;
}

Tensor scatter_windows(const Tensor& windows, std::span<const Axis> axes, WindowOrder order) {
    if (kHalves.has(windows.dtype()))
        return to_dtype(scatter_windows(to_dtype(windows, DType::Float32), axes, order),
                        windows.dtype());
    Dims sizes{windows.size(0), windows.size(order == WindowOrder::Images ? 2 : 1)};
    for (const Axis& a : axes) sizes.push_back(a.in);
    append_rest(sizes, windows, 2 + 2 * int(axes.size()));
    Tensor image = zeros(sizes, windows.options());
    {
        GradModeGuard no_grad(false);
        for_each_tap(windows, image, axes, order, [](const Tensor& part, const Tensor& under) {
            ops::add(under, part, number(int64_t(1)), Dest::in_place(under));
        });
    }
    if (needs_grad(windows))
        record("Col2ImBackward0", image, {windows},
               [axes = Axes(axes), order](Backward& bw, const Tensor& g) {
                   bw.set(0, gather_windows(g, axes, order));
               });
    return image;
}

namespace {

void read_axes(const char* name, Axis* axes, const Dims& kernel_size, const Dims& dilation,
               const Dims& padding, const Dims& stride) {
    int64_t kernel[2], step[2], pad[2], by[2];
    read_sizes(name, "kernel_size", kernel_size, 2, 1, kernel);
    read_sizes(name, "dilation", dilation, 2, 1, by);
    read_sizes(name, "padding", padding, 2, 0, pad);
    read_sizes(name, "stride", stride, 2, 1, step);
    for (int i = 0; i < 2; i++) {
        Axis& a = axes[i];
        a.kernel = kernel[i], a.dilation = by[i], a.pad = pad[i], a.stride = step[i];
        EMBER_CHECK(a.in + 2 * a.pad >= a.reach(),
                    "%s: the padded image (size %ld, padding %ld) must not be smaller than the "
                    "window (%ld)",
                    name, long(a.in), long(a.pad), long(a.reach()));
        a.out = (a.in + 2 * a.pad - a.reach()) / a.stride + 1;
    }
}

}  // namespace

Tensor im2col(const Tensor& input, const Dims& kernel_size, const Dims& dilation,
              const Dims& padding, const Dims& stride) {
    bool batched = input.dim() == 4;
    bool empty_image = input.dim() < 3;
    for (int d = batched ? 1 : 0; d < input.dim(); d++)
        empty_image = empty_image || input.impl()->sizes[d] == 0;
    EMBER_CHECK((input.dim() == 3 || batched) && !empty_image,
                "unfold: expected (N, C, H, W) or (C, H, W) with non-zero dimensions, got shape %s",
                to_string(input.sizes()).c_str());
    Tensor x = batched ? input : unsqueeze(input, 0);
    Axis axes[2];
    axes[0].in = x.size(2), axes[1].in = x.size(3);
    read_axes("unfold", axes, kernel_size, dilation, padding, stride);
    Tensor windows = gather_windows(x, axes, WindowOrder::Columns);
    Tensor columns = reshape(windows, {x.size(0), x.size(1) * axes[0].kernel * axes[1].kernel,
                                       axes[0].out * axes[1].out});
    return batched ? columns : squeeze_dims(columns, {0});
}

Tensor col2im(const Tensor& input, const Dims& output_size, const Dims& kernel_size,
              const Dims& dilation, const Dims& padding, const Dims& stride) {
    bool batched = input.dim() == 3;
    EMBER_CHECK((input.dim() == 2 || batched) && input.size(-1) != 0 && input.size(-2) != 0,
                "fold: expected (N, C * kernel items, L) or (C * kernel items, L) with non-zero "
                "dimensions, got shape %s",
                to_string(input.sizes()).c_str());
    int64_t out[2];
    read_sizes("fold", "output_size", output_size, 2, 1, out);
    Tensor x = batched ? input : unsqueeze(input, 0);
    Axis axes[2];
    axes[0].in = out[0], axes[1].in = out[1];
    read_axes("fold", axes, kernel_size, dilation, padding, stride);
    int64_t items = axes[0].kernel * axes[1].kernel, count = axes[0].out * axes[1].out;
    EMBER_CHECK(x.size(1) % items == 0,
                "fold: expected size of input's dimension 1 to be divisible by the product of "
                "kernel_size %ld, got %ld",
                long(items), long(x.size(1)));
    EMBER_CHECK(x.size(2) == count, "fold: expected %ld windows, got an input of shape %s",
                long(count), to_string(input.sizes()).c_str());
    Tensor windows = reshape(x, {x.size(0), x.size(1) / items, axes[0].kernel, axes[1].kernel,
                                 axes[0].out, axes[1].out});
    Tensor image = scatter_windows(windows, axes, WindowOrder::Columns);
    return batched ? image : squeeze_dims(image, {0});
}

}  // namespace ember::ops
