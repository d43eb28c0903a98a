#include "ops/softmax.h"

#include "kernels/softmax.h"
#include "ops/copy.h"
#include "ops/formula.h"

namespace ember::kernels {

EMBER_SLOT(softmax)
EMBER_SLOT(log_softmax)
EMBER_SLOT(softmax_backward)
EMBER_SLOT(log_softmax_backward)

}  // namespace ember::kernels

namespace ember::ops {

namespace {

// (outer, n, inner) of a contiguous tensor around dim.
template <class K>
K around(const Tensor& x, int dim) {
    K k;
    k.dtype = x.dtype();
    k.n = x.dim() ? x.impl()->sizes[dim] : 1;
    for (int d = 0; d < dim; d++) k.outer *= x.impl()->sizes[d];
    for (int d = dim + 1; d < x.dim(); d++) k.inner *= x.impl()->sizes[d];
    return k;
}

Tensor forward(const Slot<void(Context&, const kernels::Softmax&)>& slot, const Tensor& input,
               int dim) {
    slot.require(input.device(), input.dtype());
    Tensor x = contiguous(input), out = empty(x.sizes(), x.options());
    if (out.numel() == 0) return out;
    auto k = around<kernels::Softmax>(x, dim);
    k.in = x.data();
    k.out = out.data();
    launch(slot, x.device(), x.numel() * 2, k);
    return out;
}

Tensor backward(const Slot<void(Context&, const kernels::SoftmaxBackward&)>& slot, const Tensor& g,
                const Tensor& y, int dim) {
    Tensor grad = contiguous(g), out = empty(y.sizes(), y.options());
    if (out.numel() == 0) return out;
    auto k = around<kernels::SoftmaxBackward>(y, dim);
    k.grad = grad.data();
    k.output = y.data();
    k.grad_input = out.data();
    launch(slot, y.device(), y.numel() * 2, k);
    return out;
}

Tensor prepared(const char* name, const Tensor& input, std::optional<DType> dtype) {
    Tensor x = dtype ? to_dtype(input, *dtype) : input;
    if (!is_floating(x.dtype()))
        raise(ErrorKind::NotImplemented, "%s: expected a floating point tensor, got %s", name,
              dtype_name(x.dtype()));
    return x;
}

}  // namespace

Tensor softmax(const Tensor& input, int64_t dim, std::optional<DType> dtype) {
    Tensor x = prepared("softmax", input, dtype);
    int at = wrap_dim("softmax", dim, x.dim());
    Tensor out = forward(kernels::softmax, x, at);
    if (needs_grad(x))
        record("SoftmaxBackward0", out, {x},
               [at, y = Saved::output(out)](Backward& bw, const Tensor& g) {
                   Tensor result = y.get(bw);
                   if (!modes::grad_enabled())
                       return bw.set(0, backward(kernels::softmax_backward, g, result, at));
                   Tensor weighted = mul(g, result);
                   bw.set(0, sub(weighted, mul(result, sum(weighted, {at}, true))));
               });
    return out;
}

Tensor log_softmax(const Tensor& input, int64_t dim, std::optional<DType> dtype) {
    Tensor x = prepared("log_softmax", input, dtype);
    int at = wrap_dim("log_softmax", dim, x.dim());
    Tensor out = forward(kernels::log_softmax, x, at);
    if (needs_grad(x))
        record("LogSoftmaxBackward0", out, {x},
               [at, y = Saved::output(out)](Backward& bw, const Tensor& g) {
                   Tensor result = y.get(bw);
                   if (!modes::grad_enabled())
                       return bw.set(0, backward(kernels::log_softmax_backward, g, result, at));
                   bw.set(0, sub(g, mul(exp(result), sum(g, {at}, true))));
               });
    return out;
}

}  // namespace ember::ops
