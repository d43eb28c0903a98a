#include "ops/conv.h"

#include "kernels/conv.h"
#include "ops/copy.h"
#include "ops/formula.h"
#include "ops/matmul.h"
#include "ops/view.h"
#include "ops/windows.h"

namespace ember::kernels {

Conv2dSlot conv2d("conv2d");
Conv2dSlot conv2d_grad_input("conv2d_grad_input");
Conv2dSlot conv2d_grad_weight("conv2d_grad_weight");

}  // namespace ember::kernels

namespace ember::ops {

namespace {

using kernels::Conv2d;

// A convolution of `rank` spatial dims: (n, c, in...) with (k, c / groups, kernel...) gives
// (n, k, out...).
struct Convolution {
    int rank = 2;
    int64_t n = 0, c = 0, k = 0, groups = 1;
    Axis axes[kMaxAxes];
    MemoryFormat format = MemoryFormat::Contiguous;  // of all results

    std::span<const Axis> spatial() const { return {axes, size_t(rank)}; }
    Dims sizes(int64_t first, int64_t second, int64_t Axis::* member) const {
        Dims all{first, second};
        for (const Axis& a : spatial()) all.push_back(a.*member);
        return all;
    }
    Dims input() const { return sizes(n, c, &Axis::in); }
    Dims weight() const { return sizes(k, c / groups, &Axis::kernel); }
    Dims output() const { return sizes(n, k, &Axis::out); }

    // As the kernel takes it; one dim has a single row.
    Conv2d planes(DType dtype) const {
        const Axis row, &h = rank > 1 ? axes[rank - 2] : row, &w = axes[rank - 1];
        Conv2d x;
        x.n = n, x.c = c, x.k = k, x.groups = groups, x.dtype = dtype;
        x.h = h.in, x.r = h.kernel, x.out_h = h.out;
        x.w = w.in, x.s = w.kernel, x.out_w = w.out;
        x.stride[0] = h.stride, x.pad[0] = h.pad, x.dilation[0] = h.dilation;
        x.stride[1] = w.stride, x.pad[1] = w.pad, x.dilation[1] = w.dilation;
        return x;
    }
    // Of a convolution of 3 dims the one of 2 dims over images of one depth each, whose channels
    // are what the window over the depth sees.
    Convolution slices() const {
        Convolution x = *this;
        x.rank = 2;
        x.n = n * axes[0].out;
        x.c = c * axes[0].kernel;
        x.axes[0] = axes[1], x.axes[1] = axes[2];
        x.format = MemoryFormat::Contiguous;
        return x;
    }
    std::span<const Axis> depth() const { return {axes, 1}; }
};

// A convolution is linear in the input and in the weight. With its two adjoints it makes a set
// that is closed under differentiation:
//     y = conv(x, w)     x' = grad_input(g, w)     w' = grad_weight(x, g)
// Here of at most 2 dims.
Tensor convolve(const Tensor& x, const Tensor& w, const Tensor& bias, const Convolution& shape);
Tensor grad_input(const Tensor& g, const Tensor& w, const Tensor& bias, const Convolution& shape);
Tensor grad_weight(const Tensor& x, const Tensor& g, const Convolution& shape);

int64_t estimated_ns(const Conv2d& k) {
    double products = double(k.n) * double(k.k) * double(k.out_h) * double(k.out_w) *
                      double(k.c / k.groups) * double(k.r) * double(k.s);
    return int64_t(2e-2 * products);
}

// The format in which a kernel takes images and writes those of `channels`.
MemoryFormat kernel_format(const Convolution& shape, const Tensor& x, int64_t channels) {
    constexpr int64_t kLanes = 16;
    const bool depthwise = shape.groups == shape.c && shape.groups == shape.k;
    const bool served = depthwise && shape.groups > 1 ? channels % kLanes == 0
                                                      : shape.groups == 1 && channels >= kLanes;
    return x.device().is_cpu() && served ? shape.format : MemoryFormat::Contiguous;
}

// Sum over all dims but the channels.
Tensor bias_gradient(const Tensor& g) {
    Dims dims{0};
    for (int d = 2; d < g.dim(); d++) dims.push_back(d);
    return sum(g, dims, false);
}

Tensor convolve(const Tensor& x, const Tensor& w, const Tensor& bias, const Convolution& shape) {
    const MemoryFormat format = kernel_format(shape, x, shape.k);
    Tensor input = contiguous(x, format), weight = contiguous(w),
           b = bias.defined() ? contiguous(bias) : bias;
    Tensor out = empty_in(shape.output(), x.options(), format);
    Conv2d k = shape.planes(x.dtype());
    k.channels_last = format != MemoryFormat::Contiguous;
    k.input = input.data();
    k.weight = weight.data();
    k.bias = b.defined() ? b.data() : nullptr;
    k.output = out.data();
    if (out.numel() > 0) launch(kernels::conv2d, x.device(), estimated_ns(k), k);
    if (format != shape.format) out = contiguous(out, shape.format);
    if (!needs_grad(x, w, bias)) return out;
    record("ConvolutionBackward0", out, {x, w, bias},
           [x = Saved(x), w = Saved(w), shape](Backward& bw, const Tensor& g) {
               if (bw.needs(0)) bw.set(0, grad_input(g, w.get(bw), {}, shape));
               if (bw.needs(1)) bw.set(1, grad_weight(x.get(bw), g, shape));
               if (bw.needs(2)) bw.set(2, bias_gradient(g));
           });
    return out;
}

Tensor grad_input(const Tensor& g, const Tensor& w, const Tensor& bias, const Convolution& shape) {
    const MemoryFormat format = kernel_format(shape, g, shape.c);
    Tensor grad = contiguous(g, format), weight = contiguous(w),
           b = bias.defined() ? contiguous(bias) : bias;
    Tensor out = empty_in(shape.input(), g.options(), format);
    Conv2d k = shape.planes(g.dtype());
    k.channels_last = format != MemoryFormat::Contiguous;
    k.output = grad.data();
    k.weight = weight.data();
    k.bias = b.defined() ? b.data() : nullptr;
    k.input = out.data();
    if (out.numel() > 0) launch(kernels::conv2d_grad_input, g.device(), estimated_ns(k), k);
    if (format != shape.format) out = contiguous(out, shape.format);
    if (needs_grad(g, w, bias))
        record("ConvolutionBackward0", out, {g, w, bias},
               [g = Saved(g), w = Saved(w), shape](Backward& bw, const Tensor& gg) {
                   if (bw.needs(0)) bw.set(0, convolve(gg, w.get(bw), {}, shape));
                   if (bw.needs(1)) bw.set(1, grad_weight(gg, g.get(bw), shape));
                   if (bw.needs(2)) bw.set(2, bias_gradient(gg));
               });
    return out;
}

Tensor grad_weight(const Tensor& x, const Tensor& g, const Convolution& shape) {
    const MemoryFormat format = kernel_format(shape, x, shape.k);
    Tensor input = contiguous(x, format), grad = contiguous(g, format);
    Tensor out = empty(shape.weight(), g.options());
    Conv2d k = shape.planes(g.dtype());
    k.channels_last = format != MemoryFormat::Contiguous;
    k.input = input.data();
    k.output = grad.data();
    k.weight = out.data();
    if (out.numel() > 0) launch(kernels::conv2d_grad_weight, g.device(), estimated_ns(k), k);
    if (shape.format != MemoryFormat::Contiguous) out = contiguous(out, shape.format);
    if (needs_grad(x, g))
        record("ConvolutionBackwardBackward0", out, {x, g},
               [x = Saved(x), g = Saved(g), shape](Backward& bw, const Tensor& gg) {
                   if (bw.needs(0)) bw.set(0, grad_input(g.get(bw), gg, {}, shape));
                   if (bw.needs(1)) bw.set(1, convolve(x.get(bw), gg, {}, shape));
               });
    return out;
}

// Adds (channels,) to dim 1.
Tensor add_bias(const Tensor& y, const Tensor& bias) {
    if (!bias.defined()) return y;
    Dims shape(y.dim());
    for (int d = 0; d < y.dim(); d++) shape[d] = d == 1 ? -1 : 1;
    return formula::add(y, reshape(bias, shape));
}

// Images of one depth each, (n * out, k, h, w), from (n, k, out, h, w), and back.
Tensor to_slices(const Tensor& x) { return flatten(transpose(x, 1, 2), 0, 1); }
Tensor from_slices(const Tensor& x, const Convolution& shape) {
    return contiguous(transpose(unflatten(x, 0, {shape.n, shape.axes[0].out}), 1, 2), shape.format);
}

Tensor convolve_volumes(const Tensor& x, const Tensor& w, const Tensor& bias,
                        const Convolution& shape) {
    Tensor images = gather_windows(x, shape.depth(), WindowOrder::Images);
    const Convolution slices = shape.slices();
    Tensor y = convolve(reshape(images, slices.input()), reshape(w, slices.weight()), bias, slices);
    return from_slices(y, shape);
}

Tensor transpose_volumes(const Tensor& x, const Tensor& w, const Convolution& shape) {
    const Convolution slices = shape.slices();
    Tensor images = grad_input(to_slices(x), reshape(w, slices.weight()), {}, slices);
    Dims sizes{shape.n,          shape.axes[0].out, shape.c, shape.axes[0].kernel,
               shape.axes[1].in, shape.axes[2].in};
    return scatter_windows(reshape(images, sizes), shape.depth(), WindowOrder::Images);
}

// Whole numbers have no kernel of their own: they are matrix products of what the windows see.
Tensor convolve_integers(const Tensor& x, const Tensor& w, const Convolution& s) {
    Tensor columns = gather_windows(x, s.spatial(), WindowOrder::Columns);
    int64_t depth = w.numel() / s.k;
    columns = reshape(columns,
                      {s.n, s.groups, depth, s.n ? columns.numel() / (s.n * s.groups * depth) : 0});
    Tensor y = matmul(reshape(w, {1, s.groups, s.k / s.groups, depth}), columns);
    return reshape(y, s.output());
}

Tensor transpose_integers(const Tensor& x, const Tensor& w, const Convolution& s) {
    int64_t depth = w.numel() / s.k;
    Tensor grad = reshape(x, {s.n, s.groups, s.k / s.groups, s.n ? x.numel() / (s.n * s.k) : 0});
    Tensor weight = reshape(w, {1, s.groups, s.k / s.groups, depth});
    Dims sizes{s.n, s.c};
    for (const Axis& a : s.spatial()) sizes.push_back(a.kernel);
    for (const Axis& a : s.spatial()) sizes.push_back(a.out);
    Tensor columns = reshape(matmul(transpose(weight, 2, 3), grad), sizes);
    return scatter_windows(columns, s.spatial(), WindowOrder::Columns);
}

void check_operands(const char* name, int rank, const Tensor& input, const Tensor& weight,
                    const Tensor& bias) {
    EMBER_CHECK(weight.dim() == rank + 2, "%s: expected a weight of %d dims, got shape %s", name,
                rank + 2, to_string(weight.sizes()).c_str());
    EMBER_CHECK(input.dim() == rank + 2 || input.dim() == rank + 1,
                "%s: expected %dD (unbatched) or %dD (batched) input, got shape %s", name, rank + 1,
                rank + 2, to_string(input.sizes()).c_str());
    EMBER_CHECK(
        input.dtype() == weight.dtype() && (!bias.defined() || bias.dtype() == input.dtype()),
        "%s: input, weight and bias must have one dtype, got %s, %s and %s", name,
        dtype_name(input.dtype()), dtype_name(weight.dtype()),
        bias.defined() ? dtype_name(bias.dtype()) : "None");
    check_same_device(name, input, weight);
    check_same_device(name, input, bias);
}

void check_bias(const char* name, const Tensor& bias, int64_t channels) {
    EMBER_CHECK(!bias.defined() || (bias.dim() == 1 && bias.numel() == channels),
                "%s: bias must have shape (%ld,), got %s", name, long(channels),
                bias.defined() ? to_string(bias.sizes()).c_str() : "");
}

// What conv and conv_transpose read alike. `image` is the side of the input of conv: in, not out.
Convolution read(const char* name, int rank, const Tensor& x, const Tensor& weight,
                 const Dims& stride, const Dims& padding, const Dims& dilation, int64_t groups) {
    Convolution shape;
    shape.rank = rank;
    shape.n = x.size(0);
    shape.groups = groups;
    shape.k = weight.size(0);
    shape.format = format_of(x) != MemoryFormat::Contiguous ? format_of(x) : format_of(weight);
    int64_t step[kMaxAxes], pad[kMaxAxes], by[kMaxAxes];
    read_sizes(name, "stride", stride, rank, 1, step);
    read_sizes(name, "padding", padding, rank, 0, pad);
    read_sizes(name, "dilation", dilation, rank, 1, by);
    for (int i = 0; i < rank; i++) {
        Axis& a = shape.axes[i];
        a.kernel = weight.size(2 + i), a.stride = step[i], a.pad = pad[i], a.dilation = by[i];
        EMBER_CHECK(a.kernel > 0, "%s: the kernel must not be empty, got a weight of shape %s",
                    name, to_string(weight.sizes()).c_str());
    }
    return shape;
}

Tensor conv(const char* name, int rank, const Tensor& input, const Tensor& weight,
            const Tensor& bias, const Dims& stride, const Dims& padding, const Dims& dilation,
            int64_t groups) {
    check_operands(name, rank, input, weight, bias);
    if (input.dim() == rank + 1)
        return squeeze_dims(
            conv(name, rank, unsqueeze(input, 0), weight, bias, stride, padding, dilation, groups),
            {0});
    Convolution s = read(name, rank, input, weight, stride, padding, dilation, groups);
    s.c = input.size(1);
    EMBER_CHECK(
        groups >= 1 && s.k % groups == 0 && s.c % groups == 0,
        "%s: groups must be positive and divide both channel counts, got %ld for %ld and %ld", name,
        long(groups), long(s.c), long(s.k));
    EMBER_CHECK(weight.size(1) == s.c / groups && s.k > 0,
                "%s: given groups=%ld, weight of size %s, expected input %s to have %ld channels, "
                "but got %ld channels instead",
                name, long(groups), to_string(weight.sizes()).c_str(),
                to_string(input.sizes()).c_str(), long(weight.size(1) * groups), long(s.c));
    check_bias(name, bias, s.k);
    for (int i = 0; i < rank; i++) {
        Axis& a = s.axes[i];
        a.in = input.size(2 + i);
        EMBER_CHECK(a.in + 2 * a.pad >= a.reach(),
                    "%s: the padded input (size %ld in dim %d) must not be smaller than the kernel "
                    "(%ld)",
                    name, long(a.in + 2 * a.pad), 2 + i, long(a.reach()));
        a.out = (a.in + 2 * a.pad - a.reach()) / a.stride + 1;
    }
    if (kIntegers.has(input.dtype()) && weight.numel() > 0)
        return add_bias(convolve_integers(input, weight, s), bias);
    kernels::conv2d.require(input.device(), input.dtype());
    return rank == 3 ? convolve_volumes(input, weight, bias, s) : convolve(input, weight, bias, s);
}

Tensor conv_mode(const char* name, int rank, const Tensor& input, const Tensor& weight,
                 const Tensor& bias, const Dims& stride, std::string_view padding,
                 const Dims& dilation, int64_t groups) {
    if (padding == "valid")
        return conv(name, rank, input, weight, bias, stride, {0}, dilation, groups);
    if (padding != "same")
        raise("%s: padding must be 'same', 'valid' or numbers, got '%.*s'", name,
              int(padding.size()), padding.data());
    EMBER_CHECK(weight.dim() == rank + 2, "%s: expected a weight of %d dims, got shape %s", name,
                rank + 2, to_string(weight.sizes()).c_str());
    for (int64_t s : stride)
        EMBER_CHECK(s == 1, "%s: strided convolutions are not supported with padding='same'", name);
    int64_t by[kMaxAxes];
    read_sizes(name, "dilation", dilation, rank, 1, by);
    Dims even(rank), uneven(2 * rank);
    bool odd = false;
    for (int i = 0; i < rank; i++) {
        int64_t total = by[i] * (weight.size(2 + i) - 1);
        even[i] = total / 2;
        // What an even kernel needs more goes after, where PyTorch puts it.
        uneven[2 * (rank - 1 - i)] = 0;
        uneven[2 * (rank - 1 - i) + 1] = total % 2;
        odd |= total % 2 != 0;
    }
    Tensor x = odd ? constant_pad(input, uneven, number(0.0)) : input;
    return conv(name, rank, x, weight, bias, stride, even, dilation, groups);
}

Tensor conv_transpose(const char* name, int rank, const Tensor& input, const Tensor& weight,
                      const Tensor& bias, const Dims& stride, const Dims& padding,
                      const Dims& output_padding, int64_t groups, const Dims& dilation) {
    check_operands(name, rank, input, weight, bias);
    if (input.dim() == rank + 1)
        return squeeze_dims(conv_transpose(name, rank, unsqueeze(input, 0), weight, bias, stride,
                                           padding, output_padding, groups, dilation),
                            {0});
    Convolution s = read(name, rank, input, weight, stride, padding, dilation, groups);
    EMBER_CHECK(groups >= 1 && s.k > 0 && s.k % groups == 0,
                "%s: groups must be positive and divide the input's channels, got %ld for %ld",
                name, long(groups), long(s.k));
    EMBER_CHECK(input.size(1) == s.k,
                "%s: given a weight of size %s, expected input %s to have %ld channels, but got "
                "%ld channels instead",
                name, to_string(weight.sizes()).c_str(), to_string(input.sizes()).c_str(),
                long(s.k), long(input.size(1)));
    s.c = weight.size(1) * groups;
    EMBER_CHECK(s.c > 0, "%s: expected a weight with channels, got shape %s", name,
                to_string(weight.sizes()).c_str());
    check_bias(name, bias, s.c);
    int64_t more[kMaxAxes];
    read_sizes(name, "output_padding", output_padding, rank, 0, more);
    for (int i = 0; i < rank; i++) {
        Axis& a = s.axes[i];
        a.out = input.size(2 + i);
        EMBER_CHECK(more[i] < a.stride || more[i] < a.dilation,
                    "%s: output_padding must be smaller than stride or dilation, got %ld, %ld and "
                    "%ld",
                    name, long(more[i]), long(a.stride), long(a.dilation));
        int64_t span;
        bool overflows = a.out == 0 || __builtin_mul_overflow(a.out - 1, a.stride, &span) ||
                         __builtin_add_overflow(span, a.reach() + more[i] - 2 * a.pad, &a.in);
        EMBER_CHECK(!overflows && a.in > 0,
                    "%s: given an input of size %s the output would have no size in dim %d", name,
                    to_string(input.sizes()).c_str(), 2 + i);
    }
    if (kIntegers.has(input.dtype())) return add_bias(transpose_integers(input, weight, s), bias);
    kernels::conv2d_grad_input.require(input.device(), input.dtype());
    if (rank < 3) return grad_input(input, weight, bias, s);
    // The sums over the depth and with the bias are of one precision.
    const DType wide = kHalves.has(input.dtype()) ? DType::Float32 : input.dtype();
    Tensor sums = transpose_volumes(to_dtype(input, wide), to_dtype(weight, wide), s);
    return to_dtype(add_bias(sums, bias.defined() ? to_dtype(bias, wide) : bias), input.dtype());
}

}  // namespace

#define EMBER_CONVOLUTION(rank)                                                                   \
    Tensor conv##rank##d(const Tensor& input, const Tensor& weight, const Tensor& bias,           \
                         const Dims& stride, const Dims& padding, const Dims& dilation,           \
                         int64_t groups) {                                                        \
        return conv("conv" #rank "d", rank, input, weight, bias, stride, padding, dilation,       \
                    groups);                                                                      \
    }                                                                                             \
    Tensor conv##rank##d_mode(const Tensor& input, const Tensor& weight, const Tensor& bias,      \
                              const Dims& stride, std::string_view padding, const Dims& dilation, \
                              int64_t groups) {                                                   \
        return conv_mode("conv" #rank "d", rank, input, weight, bias, stride, padding, dilation,  \
                         groups);                                                                 \
    }                                                                                             \
    Tensor conv_transpose##rank##d(                                                               \
        const Tensor& input, const Tensor& weight, const Tensor& bias, const Dims& stride,        \
        const Dims& padding, const Dims& output_padding, int64_t groups, const Dims& dilation) {  \
        return conv_transpose("conv_transpose" #rank "d", rank, input, weight, bias, stride,      \
                              padding, output_padding, groups, dilation);                         \
    }
EMBER_CONVOLUTION(1)
EMBER_CONVOLUTION(2)
EMBER_CONVOLUTION(3)
#undef EMBER_CONVOLUTION

}  // namespace ember::ops
