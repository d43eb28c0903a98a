#include "ops/pool.h"

#include "kernels/pool.h"
#include "ops/copy.h"
#include "ops/index.h"
#include "ops/plan.h"
#include "ops/view.h"

namespace ember::kernels {

Pool2dSlot max_pool2d("max_pool2d");
Pool2dSlot max_pool2d_backward("max_pool2d_backward");
Pool2dSlot avg_pool2d("avg_pool2d");
Pool2dSlot avg_pool2d_backward("avg_pool2d_backward");

}  // namespace ember::kernels

namespace ember::ops {

namespace {

using kernels::Pool2d;

struct Pair {
    int64_t v[2];
    Pair(const char* name, const char* what, const Dims& given, int64_t least) {
        EMBER_CHECK(given.size() == 1 || given.size() == 2,
                    "%s: %s must be one number or two, got %s", name, what,
                    to_string(given).c_str());
        for (int i = 0; i < 2; i++) {
            v[i] = given[given.size() == 1 ? 0 : i];
            EMBER_CHECK(v[i] >= least && v[i] < (int64_t(1) << 31),
                        "%s: %s must be at least %ld, got %s", name, what, long(least),
                        to_string(given).c_str());
        }
    }
};

Pool2d pool_shape(const char* name, const Tensor& x, const Dims& kernel, const Dims& stride,
                  const Dims& padding, const Dims& dilation, bool ceil_mode) {
    EMBER_CHECK(x.dim() == 3 || x.dim() == 4, "%s: expected a 3D or 4D input, got shape %s", name,
                to_string(x.sizes()).c_str());
    Pair k(name, "kernel_size", kernel, 1), s(name, "stride", stride.empty() ? kernel : stride, 1),
        p(name, "padding", padding, 0), d(name, "dilation", dilation, 1);
    Pool2d pool;
    pool.h = x.size(-2), pool.w = x.size(-1);
    pool.planes = x.size(0) * (x.dim() == 4 ? x.size(1) : 1);
    bool empty = pool.h == 0 || pool.w == 0 || (x.dim() == 4 && x.size(1) == 0);
    EMBER_CHECK(!empty, "%s: expected an input with non-empty planes and channels, got shape %s",
                name, to_string(x.sizes()).c_str());
    pool.dtype = x.dtype();
    int64_t in[2] = {pool.h, pool.w}, out[2];
    for (int i = 0; i < 2; i++) {
        EMBER_CHECK(p.v[i] <= k.v[i] / 2,
                    "%s: padding must be at most half of the kernel size, got "
                    "padding %ld and kernel size %ld",
                    name, long(p.v[i]), long(k.v[i]));
        int64_t span = in[i] + 2 * p.v[i] - d.v[i] * (k.v[i] - 1) - 1;
        EMBER_CHECK(span >= 0 || (ceil_mode && span > -s.v[i]),
                    "%s: input %s is too small for the kernel: its output would have no size", name,
                    to_string(x.sizes()).c_str());
        out[i] = span < 0 ? 1 : (span + (ceil_mode ? s.v[i] - 1 : 0)) / s.v[i] + 1;
        // The last window has to begin within the input or the padding before it.
        if (ceil_mode && (out[i] - 1) * s.v[i] >= in[i] + p.v[i]) out[i]--;
        EMBER_CHECK(out[i] > 0,
                    "%s: input %s is too small for the kernel: its output would have no "
                    "size",
                    name, to_string(x.sizes()).c_str());
        pool.kernel[i] = k.v[i], pool.stride[i] = s.v[i], pool.pad[i] = p.v[i];
        pool.dilation[i] = d.v[i];
    }
    pool.out_h = out[0], pool.out_w = out[1];
    return pool;
}

Dims output_sizes(const Tensor& x, const Pool2d& pool) {
    Dims sizes(x.sizes());
    sizes[x.dim() - 2] = pool.out_h;
    sizes[x.dim() - 1] = pool.out_w;
    return sizes;
}

int64_t estimated_ns(const Pool2d& p) {
    return p.planes * p.out_h * p.out_w * p.kernel[0] * p.kernel[1] / 2;
}

// Adds g at the places of the maxima; its own derivative reads them.
Tensor max_backward(const Tensor& g, const Tensor& indices, const Dims& sizes, const Pool2d& pool) {
    Tensor grad = contiguous(g), out = empty(sizes, g.options());
    Pool2d p = pool;
    p.output = grad.data();
    p.input = out.data();
    p.indices = indices.as<int64_t>();
    if (out.numel() > 0) launch(kernels::max_pool2d_backward, g.device(), out.numel(), p);
    if (needs_grad(g))
        record("MaxPool2DWithIndicesBackwardBackward0", out, {g},
               [indices](Backward& bw, const Tensor& gg) {
                   Tensor planes = flatten(gg, -2, -1);
                   Tensor read = gather(planes, -1, flatten(indices, -2, -1), false, {});
                   bw.set(0, reshape(read, Dims(indices.sizes())));
               });
    return out;
}

Tensor average(const Tensor& x, const Pool2d& pool);

// The adjoint of the average, whose adjoint the average is.
Tensor average_backward(const Tensor& g, const Dims& sizes, const Pool2d& pool) {
    Tensor grad = contiguous(g), out = empty(sizes, g.options());
    Pool2d p = pool;
    p.output = grad.data();
    p.input = out.data();
    if (out.numel() > 0) launch(kernels::avg_pool2d_backward, g.device(), out.numel(), p);
    if (needs_grad(g))
        record("AvgPool2DBackwardBackward0", out, {g},
               [pool](Backward& bw, const Tensor& gg) { bw.set(0, average(gg, pool)); });
    return out;
}

Tensor average(const Tensor& x, const Pool2d& pool) {
    Tensor input = contiguous(x), out = empty(output_sizes(x, pool), x.options());
    Pool2d p = pool;
    p.input = input.data();
    p.output = out.data();
    if (out.numel() > 0) launch(kernels::avg_pool2d, x.device(), estimated_ns(p), p);
    if (needs_grad(x))
        record("AvgPool2DBackward0", out, {x},
               [pool, sizes = Dims(x.sizes())](Backward& bw, const Tensor& g) {
                   bw.set(0, average_backward(g, sizes, pool));
               });
    return out;
}

}  // namespace

std::tuple<Tensor, Tensor> max_pool2d_with_indices(const Tensor& input, const Dims& kernel_size,
                                                   const Dims& stride, const Dims& padding,
                                                   const Dims& dilation, bool ceil_mode) {
    Pool2d pool =
        pool_shape("max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode);
    kernels::max_pool2d.require(input.device(), input.dtype());
    Tensor x = contiguous(input), out = empty(output_sizes(x, pool), x.options());
    Tensor indices = empty(out.sizes(), {DType::Int64, x.device()});
    pool.input = x.data();
    pool.output = out.data();
    pool.indices = indices.as<int64_t>();
    if (out.numel() > 0) launch(kernels::max_pool2d, x.device(), estimated_ns(pool), pool);
    if (needs_grad(input))
        record("MaxPool2DWithIndicesBackward0", out, {input},
               [indices, pool, sizes = Dims(input.sizes())](Backward& bw, const Tensor& g) {
                   bw.set(0, max_backward(g, indices, sizes, pool));
               });
    return {out, indices};
}

Tensor max_pool2d(const Tensor& input, const Dims& kernel_size, const Dims& stride,
                  const Dims& padding, const Dims& dilation, bool ceil_mode) {
    if (needs_grad(input))
        return std::get<0>(
            max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode));
    Pool2d pool =
        pool_shape("max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode);
    kernels::max_pool2d.require(input.device(), input.dtype());
    Tensor x = contiguous(input), out = empty(output_sizes(x, pool), x.options());
    pool.input = x.data();
    pool.output = out.data();
    if (out.numel() > 0) launch(kernels::max_pool2d, x.device(), estimated_ns(pool), pool);
    return out;
}

Tensor avg_pool2d(const Tensor& input, const Dims& kernel_size, const Dims& stride,
                  const Dims& padding, bool ceil_mode, bool count_include_pad,
                  std::optional<int64_t> divisor_override) {
    Pool2d pool = pool_shape("avg_pool2d", input, kernel_size, stride, padding, {1}, ceil_mode);
    EMBER_CHECK(!divisor_override || *divisor_override != 0,
                "avg_pool2d: divisor must be not zero");
    pool.count_include_pad = count_include_pad;
    pool.divisor = divisor_override.value_or(0);
    kernels::avg_pool2d.require(input.device(), input.dtype());
    return average(input, pool);
}

}  // namespace ember::ops
