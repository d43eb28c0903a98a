#include "ops/conv.h"

#include "kernels/conv.h"
#include "ops/copy.h"
#include "ops/formula.h"
#include "ops/view.h"

namespace ember::kernels {

Conv2dSlot conv2d("conv2d");
Conv2dSlot conv2d_grad_input("conv2d_grad_input");
Conv2dSlot conv2d_grad_weight("conv2d_grad_weight");

}  // namespace ember::kernels

namespace ember::ops {

namespace {

using kernels::Conv2d;

// A convolution is linear in the input and in the weight. With its two adjoints it makes a set
// that is closed under differentiation:
//     y = conv(x, w)     x' = grad_input(g, w)     w' = grad_weight(x, g)
// Each takes the shapes from `shape`, whose pointers are set anew.
Tensor convolve(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2d& shape);
Tensor grad_input(const Tensor& g, const Tensor& w, const Conv2d& shape);
Tensor grad_weight(const Tensor& x, const Tensor& g, const Conv2d& shape);

int64_t estimated_ns(const Conv2d& k) {
    double products = double(k.n) * double(k.k) * double(k.out_h) * double(k.out_w) *
                      double(k.c / k.groups) * double(k.r) * double(k.s);
    return int64_t(2e-2 * products);
}

Dims input_sizes(const Conv2d& k) { return {k.n, k.c, k.h, k.w}; }
Dims weight_sizes(const Conv2d& k) { return {k.k, k.c / k.groups, k.r, k.s}; }
Dims output_sizes(const Conv2d& k) { return {k.n, k.k, k.out_h, k.out_w}; }

Tensor convolve(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2d& shape) {
    Tensor input = contiguous(x), weight = contiguous(w),
           b = bias.defined() ? contiguous(bias) : bias;
    Tensor out = empty(output_sizes(shape), x.options());
    Conv2d k = shape;
    k.input = input.data();
    k.weight = weight.data();
    k.bias = b.defined() ? b.data() : nullptr;
    k.output = out.data();
    if (out.numel() > 0) launch(kernels::conv2d, x.device(), estimated_ns(k), k);
    if (!needs_grad(x, w, bias)) return out;
    record("ConvolutionBackward0", out, {x, w, bias},
           [x = Saved(x), w = Saved(w), shape](Backward& bw, const Tensor& g) {
               if (bw.needs(0)) bw.set(0, grad_input(g, w.get(bw), shape));
               if (bw.needs(1)) bw.set(1, grad_weight(x.get(bw), g, shape));
               if (bw.needs(2)) bw.set(2, sum(g, {0, 2, 3}, false));
           });
    return out;
}

Tensor grad_input(const Tensor& g, const Tensor& w, const Conv2d& shape) {
    Tensor grad = contiguous(g), weight = contiguous(w);
    Tensor out = empty(input_sizes(shape), g.options());
    Conv2d k = shape;
    k.output = grad.data();
    k.weight = weight.data();
    k.input = out.data();
    if (out.numel() > 0) launch(kernels::conv2d_grad_input, g.device(), estimated_ns(k), k);
    if (needs_grad(g, w))
        record("ConvolutionBackwardBackward0", out, {g, w},
               [g = Saved(g), w = Saved(w), shape](Backward& bw, const Tensor& gg) {
                   if (bw.needs(0)) bw.set(0, convolve(gg, w.get(bw), {}, shape));
                   if (bw.needs(1)) bw.set(1, grad_weight(gg, g.get(bw), shape));
               });
    return out;
}

Tensor grad_weight(const Tensor& x, const Tensor& g, const Conv2d& shape) {
    Tensor input = contiguous(x), grad = contiguous(g);
    Tensor out = empty(weight_sizes(shape), g.options());
    Conv2d k = shape;
    k.input = input.data();
    k.output = grad.data();
    k.weight = out.data();
    if (out.numel() > 0) launch(kernels::conv2d_grad_weight, g.device(), estimated_ns(k), k);
    if (needs_grad(x, g))
        record("ConvolutionBackwardBackward0", out, {x, g},
               [x = Saved(x), g = Saved(g), shape](Backward& bw, const Tensor& gg) {
                   if (bw.needs(0)) bw.set(0, grad_input(g.get(bw), gg, shape));
                   if (bw.needs(1)) bw.set(1, convolve(x.get(bw), gg, {}, shape));
               });
    return out;
}

void read_pair(const char* what, const Dims& given, int64_t least, int64_t* pair) {
    EMBER_CHECK(given.size() == 1 || given.size() == 2,
                "conv2d: %s must be one number or two, got %s", what, to_string(given).c_str());
    for (int i = 0; i < 2; i++) {
        pair[i] = given[given.size() == 1 ? 0 : i];
        EMBER_CHECK(pair[i] >= least && pair[i] < (int64_t(1) << 31),
                    "conv2d: %s must be at least %ld, got %s", what, long(least),
                    to_string(given).c_str());
    }
}

int64_t out_size(int64_t in, int64_t pad, int64_t dilation, int64_t kernel, int64_t stride) {
    return (in + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
}

}  // namespace

Tensor conv2d(const Tensor& input, const Tensor& weight, const Tensor& bias, const Dims& stride,
              const Dims& padding, const Dims& dilation, int64_t groups) {
    EMBER_CHECK(weight.dim() == 4, "conv2d: expected a weight of 4 dims, got shape %s",
                to_string(weight.sizes()).c_str());
    if (input.dim() == 3)
        return squeeze_dims(
            conv2d(unsqueeze(input, 0), weight, bias, stride, padding, dilation, groups), {0});
    EMBER_CHECK(input.dim() == 4,
                "conv2d: expected 3D (unbatched) or 4D (batched) input, got shape %s",
                to_string(input.sizes()).c_str());
    EMBER_CHECK(
        input.dtype() == weight.dtype() && (!bias.defined() || bias.dtype() == input.dtype()),
        "conv2d: input, weight and bias must have one dtype, got %s, %s and %s",
        dtype_name(input.dtype()), dtype_name(weight.dtype()),
        bias.defined() ? dtype_name(bias.dtype()) : "None");
    check_same_device("conv2d", input, weight);
    check_same_device("conv2d", input, bias);
    Conv2d k;
    k.n = input.size(0), k.c = input.size(1), k.h = input.size(2), k.w = input.size(3);
    k.k = weight.size(0), k.r = weight.size(2), k.s = weight.size(3);
    k.groups = groups;
    k.dtype = input.dtype();
    read_pair("stride", stride, 1, k.stride);
    read_pair("padding", padding, 0, k.pad);
    read_pair("dilation", dilation, 1, k.dilation);
    EMBER_CHECK(
        groups >= 1 && k.k % groups == 0 && k.c % groups == 0,
        "conv2d: groups must be positive and divide both channel counts, got %ld for %ld and %ld",
        long(groups), long(k.c), long(k.k));
    EMBER_CHECK(
        weight.size(1) == k.c / groups && k.k > 0,
        "conv2d: given groups=%ld, weight of size %s, expected input %s to have %ld channels, "
        "but got %ld channels instead",
        long(groups), to_string(weight.sizes()).c_str(), to_string(input.sizes()).c_str(),
        long(weight.size(1) * groups), long(k.c));
    EMBER_CHECK(!bias.defined() || (bias.dim() == 1 && bias.numel() == k.k),
                "conv2d: bias must have shape (%ld,), got %s", long(k.k),
                bias.defined() ? to_string(bias.sizes()).c_str() : "");
    int64_t reach_h = k.dilation[0] * (k.r - 1) + 1, reach_w = k.dilation[1] * (k.s - 1) + 1;
    EMBER_CHECK(
        k.r > 0 && k.s > 0 && k.h + 2 * k.pad[0] >= reach_h && k.w + 2 * k.pad[1] >= reach_w,
        "conv2d: the padded input (%ld x %ld) must not be smaller than the kernel (%ld x %ld)",
        long(k.h + 2 * k.pad[0]), long(k.w + 2 * k.pad[1]), long(reach_h), long(reach_w));
    k.out_h = out_size(k.h, k.pad[0], k.dilation[0], k.r, k.stride[0]);
    k.out_w = out_size(k.w, k.pad[1], k.dilation[1], k.s, k.stride[1]);
    kernels::conv2d.require(input.device(), input.dtype());
    return convolve(input, weight, bias, k);
}

Tensor conv2d_mode(const Tensor& input, const Tensor& weight, const Tensor& bias,
                   const Dims& stride, std::string_view padding, const Dims& dilation,
                   int64_t groups) {
    if (padding == "valid") return conv2d(input, weight, bias, stride, {0}, dilation, groups);
    if (padding != "same")
        raise("conv2d: padding must be 'same', 'valid' or numbers, got '%.*s'", int(padding.size()),
              padding.data());
    EMBER_CHECK(weight.dim() == 4, "conv2d: expected a weight of 4 dims, got shape %s",
                to_string(weight.sizes()).c_str());
    for (int64_t s : stride)
        EMBER_CHECK(s == 1, "conv2d: strided convolutions are not supported with padding='same'");
    int64_t by[2];
    read_pair("dilation", dilation, 1, by);
    Dims even(2), uneven(4);
    bool odd = false;
    for (int i = 0; i < 2; i++) {
        int64_t total = by[i] * (weight.size(2 + i) - 1);
        even[i] = total / 2;
        // What an even kernel needs more goes after, where PyTorch puts it.
        uneven[2 * (1 - i)] = 0;
        uneven[2 * (1 - i) + 1] = total % 2;
        odd |= total % 2 != 0;
    }
    Tensor x = odd ? constant_pad(input, uneven, number(0.0)) : input;
    return conv2d(x, weight, bias, stride, even, dilation, groups);
}

}  // namespace ember::ops
