#include "ops/conv.h"
#include "ops/matmul.h"
#include "ops/pool.h"
#include "python/tables.h"

namespace ember::python {

namespace {

PyObject* max_pool2d(const Tensor& input, const Dims& kernel_size, const Dims& stride,
                     const Dims& padding, const Dims& dilation, bool ceil_mode,
                     bool return_indices) {
    if (!return_indices)
        return wrap(ops::max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode));
    auto [out, indices] =
        ops::max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode);
    return Py_BuildValue("NN", wrap(out), wrap(indices));
}

}  // namespace

void bind_matmul(BindTable& t) {
    constexpr int both = kFunction | kMethod, all = both | kInPlace;
    bind<&ops::matmul>(t, both, "matmul(input, other, *, out=None)",
                       "The matrix product in all ranks: dot for two vectors; batch dims "
                       "broadcast. Both must have one "
                       "dtype (RuntimeError). Halves accumulate in float32.");
    bind<&ops::mm>(t, both, "mm(input, mat2, *, out=None)", "(m, k) @ (k, n).");
    bind<&ops::bmm>(t, both, "bmm(input, mat2, *, out=None)", "(b, m, k) @ (b, k, n).");
    bind<&ops::mv>(t, both, "mv(input, vec, *, out=None)", "(m, k) @ (k,).");
    bind<&ops::dot>(t, both, "dot(input, tensor, *, out=None)", "The dot product of two vectors.");
    bind<&ops::outer>(t, both, "outer(input, vec2)", "(m,) and (n,) give (m, n).");
    t.alias("ger", "outer");
    bind_dest<&ops::addmm>(t, all, "addmm(input, mat1, mat2, *, beta=1, alpha=1, out=None)",
                           "beta * input + alpha * (mat1 @ mat2); input broadcasts.");
    bind_dest<&ops::baddbmm>(
        t, all, "baddbmm(input, batch1, batch2, *, beta=1, alpha=1, out=None)",
        "beta * input + alpha * (batch1 @ batch2), by batch; input broadcasts.");
    bind<&ops::linear>(t, kFunction, "linear(input, weight, bias=None)",
                       "input (…, in) @ weight (out, in) transposed + bias (out,).");
    bind<&ops::conv2d_mode, &ops::conv2d>(
        t, kFunction,
        {"conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)",
         "conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)"},
        "Cross-correlation of (N, C, H, W) or (C, H, W) with weight (K, C / groups, R, S), plus "
        "bias "
        "(K,). stride, padding and dilation are one number or two; padding may be 'valid' or "
        "'same'. "
        "RuntimeError where shapes do not fit.");
    bind<&max_pool2d>(
        t, kFunction,
        "max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, "
        "return_indices=False)",
        "The largest of each window of (N, C, H, W) or (C, H, W), NaN where there is one; with "
        "return_indices also its index (int64) in its plane. stride is kernel_size by default.");
    bind<&ops::avg_pool2d>(
        t, kFunction,
        "avg_pool2d(input, kernel_size, stride=None, padding=0, ceil_mode=False, "
        "count_include_pad=True, divisor_override=None)",
        "The mean of each window of (N, C, H, W) or (C, H, W); stride is kernel_size by default.");
}

}  // namespace ember::python
