#include "ops/pool.h"

#include "kernels/pool.h"
#include "ops/copy.h"
#include "ops/formula.h"
#include "ops/index.h"
#include "ops/view.h"
#include "ops/windows.h"

namespace ember::kernels {

Pool2dSlot max_pool2d("max_pool2d");
Pool2dSlot max_pool2d_backward("max_pool2d_backward");
Pool2dSlot avg_pool2d("avg_pool2d");
Pool2dSlot avg_pool2d_backward("avg_pool2d_backward");

}  // namespace ember::kernels

namespace ember::ops {

namespace {

using kernels::Pool2d;

// Windows over `rank` dims of `planes` images. One dim has a single row; of three dims the last two
// are pooled first, then the depth, whose rows are the planes already pooled.
struct Pooling {
    int rank = 2;
    int64_t planes = 0;
    Axis axes[kMaxAxes];
    bool adaptive[kMaxAxes] = {};                    // windows of unequal sizes
    Dims sizes;                                      // of the result
    MemoryFormat format = MemoryFormat::Contiguous;  // of the result and of the gradient

    Pool2d over(DType dtype, int64_t count, const Axis& h, const Axis& w, bool unequal) const {
        Pool2d p;
        p.planes = count;
        p.h = h.in, p.out_h = h.out, p.w = w.in, p.out_w = w.out;
        p.kernel[0] = h.kernel, p.stride[0] = h.stride, p.pad[0] = h.pad;
        p.kernel[1] = w.kernel, p.stride[1] = w.stride, p.pad[1] = w.pad;
        p.dilation[0] = h.dilation, p.dilation[1] = w.dilation;
        p.adaptive = unequal;
        p.dtype = dtype;
        return p;
    }
    Pool2d rows(DType dtype) const {
        const Axis row, &h = rank > 1 ? axes[rank - 2] : row;
        return over(dtype, rank == 3 ? planes * axes[0].in : planes, h, axes[rank - 1],
                    adaptive[rank - 1]);
    }
    Pool2d depth(DType dtype) const {
        Axis items;
        items.in = items.out = axes[1].out * axes[2].out;
        return over(dtype, planes, axes[0], items, adaptive[0]);
    }
    int64_t items(int64_t Axis::* member) const {
        int64_t n = 1;
        for (int i = 0; i < rank; i++) n *= axes[i].*member;
        return n;
    }
};

Pooling pooling_of(const char* name, int rank, const Tensor& x) {
    EMBER_CHECK(x.dim() == rank + 1 || x.dim() == rank + 2,
                "%s: expected a %dD or %dD input, got shape %s", name, rank + 1, rank + 2,
                to_string(x.sizes()).c_str());
    Pooling p;
    p.rank = rank;
    p.sizes = Dims(x.sizes());
    if (x.dim() == rank + 2) p.format = format_of(x);
    p.planes = 1;
    for (int d = 0; d < x.dim() - rank; d++) p.planes *= x.impl()->sizes[d];
    for (int i = 0; i < rank; i++) p.axes[i].in = x.size(x.dim() - rank + i);
    bool empty = p.items(&Axis::in) == 0 || (x.dim() == rank + 2 && x.size(1) == 0);
    EMBER_CHECK(!empty, "%s: expected an input with non-empty planes and channels, got shape %s",
                name, to_string(x.sizes()).c_str());
    return p;
}

Pooling pool_shape(const char* name, int rank, const Tensor& x, const Dims& kernel,
                   const Dims& stride, const Dims& padding, const Dims& dilation, bool ceil_mode) {
    Pooling pool = pooling_of(name, rank, x);
    int64_t k[kMaxAxes], s[kMaxAxes], p[kMaxAxes], by[kMaxAxes];
    read_sizes(name, "kernel_size", kernel, rank, 1, k);
    read_sizes(name, "stride", stride.empty() ? kernel : stride, rank, 1, s);
    read_sizes(name, "padding", padding, rank, 0, p);
    read_sizes(name, "dilation", dilation, rank, 1, by);
    for (int i = 0; i < rank; i++) {
        Axis& a = pool.axes[i];
        a.kernel = k[i], a.stride = s[i], a.pad = p[i], a.dilation = by[i];
        EMBER_CHECK(a.pad <= a.kernel / 2,
                    "%s: padding must be at most half of the kernel size, got "
                    "padding %ld and kernel size %ld",
                    name, long(a.pad), long(a.kernel));
        int64_t span = a.in + 2 * a.pad - a.reach();
        EMBER_CHECK(span >= 0 || (ceil_mode && span > -a.stride),
                    "%s: input %s is too small for the kernel: its output would have no size", name,
                    to_string(x.sizes()).c_str());
        a.out = span < 0 ? 1 : (span + (ceil_mode ? a.stride - 1 : 0)) / a.stride + 1;
        // The last window has to begin within the input or the padding before it.
        if (ceil_mode && (a.out - 1) * a.stride >= a.in + a.pad) a.out--;
        EMBER_CHECK(a.out > 0,
                    "%s: input %s is too small for the kernel: its output would have no "
                    "size",
                    name, to_string(x.sizes()).c_str());
        pool.sizes[x.dim() - rank + i] = a.out;
    }
    return pool;
}

int64_t estimated_ns(const Pool2d& p) {
    return p.planes * p.out_h * p.out_w * p.kernel[0] * p.kernel[1] / 2;
}

void run(const kernels::Pool2dSlot& slot, Pool2d p, const Tensor& input, const Tensor& output,
         const Tensor& indices = {}) {
    p.input = input.data();
    p.output = output.data();
    p.indices = indices.defined() ? indices.as<int64_t>() : nullptr;
    launch(slot, input.device(), estimated_ns(p), p);
}

// Adds g at the places of the maxima; its own derivative reads them.
Tensor max_backward(const Tensor& g, const Tensor& indices, const Dims& sizes,
                    const Pooling& pool) {
    Tensor grad = contiguous(g), out = empty(sizes, g.options());
    Pool2d p;
    p.planes = pool.planes;
    p.h = pool.items(&Axis::in);
    p.out_h = pool.items(&Axis::out);
    p.w = p.out_w = 1;
    p.dtype = g.dtype();
    if (out.numel() > 0) run(kernels::max_pool2d_backward, p, out, grad, indices);
    out = contiguous(out, pool.format);
    if (needs_grad(g))
        record("MaxPoolWithIndicesBackwardBackward0", out, {g},
               [indices, rank = pool.rank](Backward& bw, const Tensor& gg) {
                   Tensor planes = flatten(gg, -rank, -1);
                   Tensor read = gather(planes, -1, flatten(indices, -rank, -1), false, {});
                   bw.set(0, reshape(read, Dims(indices.sizes())));
               });
    return out;
}

// The maxima of volumes: of each of their planes, then over the depth.
void max_of_volumes(const Pooling& pool, const Tensor& x, const Tensor& out,
                    const Tensor& indices) {
    const Pool2d rows = pool.rows(x.dtype()), depth = pool.depth(x.dtype());
    Dims halfway{pool.planes, pool.axes[0].in * depth.out_w};
    Tensor best = empty(halfway, x.options()), where;
    if (indices.defined()) where = empty(halfway, indices.options());
    run(kernels::max_pool2d, rows, x, best, where);
    run(kernels::max_pool2d, depth, best, out, indices);
    if (!indices.defined()) return;
    // An index into the planes halfway becomes one into the volume.
    GradModeGuard no_grad(false);
    Tensor at = view(indices, {pool.planes, depth.out_h * depth.out_w});
    at = clamp(at, number(int64_t(0)), number(halfway[1] - 1), {});
    Tensor plane = floor_divide(at, wrapped_number(number(depth.out_w)), {});
    Tensor place = gather(where, 1, at, false, {});
    Tensor start = ops::mul(plane, wrapped_number(number(rows.h * rows.w)));
    copy_(view(indices, Dims(at.sizes())), formula::add(place, start));
}

std::tuple<Tensor, Tensor> max_pool(const Tensor& input, const Pooling& pool, bool with_indices) {
    kernels::max_pool2d.require(input.device(), input.dtype());
    Tensor x = contiguous(input), out = empty(pool.sizes, x.options()), indices;
    if (with_indices || needs_grad(input)) indices = empty(out.sizes(), {DType::Int64, x.device()});
    if (out.numel() > 0 && pool.rank == 3)
        max_of_volumes(pool, x, out, indices);
    else if (out.numel() > 0)
        run(kernels::max_pool2d, pool.rows(x.dtype()), x, out, indices);
    out = contiguous(out, pool.format);
    if (needs_grad(input))
        record("MaxPoolWithIndicesBackward0", out, {input},
               [indices, pool, sizes = Dims(input.sizes())](Backward& bw, const Tensor& g) {
                   bw.set(0, max_backward(g, indices, sizes, pool));
               });
    return {out, indices.defined() ? contiguous(indices, pool.format) : indices};
}

Tensor average(const Tensor& x, const Pool2d& pool, const Dims& sizes, MemoryFormat format);

// The adjoint of the average, whose adjoint the average is.
Tensor average_backward(const Tensor& g, const Pool2d& pool, const Dims& sizes,
                        MemoryFormat format) {
    Tensor grad = contiguous(g), out = empty(sizes, g.options());
    if (out.numel() > 0) run(kernels::avg_pool2d_backward, pool, out, grad);
    out = contiguous(out, format);
    if (needs_grad(g))
        record("AvgPool2DBackwardBackward0", out, {g},
               [pool, sizes = Dims(g.sizes()), format](Backward& bw, const Tensor& gg) {
                   bw.set(0, average(gg, pool, sizes, format));
               });
    return out;
}

Tensor average(const Tensor& x, const Pool2d& pool, const Dims& sizes, MemoryFormat format) {
    Tensor input = contiguous(x), out = empty(sizes, x.options());
    if (out.numel() > 0) run(kernels::avg_pool2d, pool, input, out);
    out = contiguous(out, format);
    if (needs_grad(x))
        record("AvgPool2DBackward0", out, {x},
               [pool, sizes = Dims(x.sizes()), format](Backward& bw, const Tensor& g) {
                   bw.set(0, average_backward(g, pool, sizes, format));
               });
    return out;
}

Tensor avg_pool(const char* name, int rank, const Tensor& input, const Dims& kernel_size,
                const Dims& stride, const Dims& padding, bool ceil_mode, bool count_include_pad,
                std::optional<int64_t> divisor_override) {
    Pooling pool = pool_shape(name, rank, input, kernel_size, stride, padding, {1}, ceil_mode);
    EMBER_CHECK(!divisor_override || *divisor_override != 0, "%s: divisor must be not zero", name);
    kernels::avg_pool2d.require(input.device(), input.dtype());
    Pool2d rows = pool.rows(input.dtype());
    rows.count_include_pad = count_include_pad;
    rows.divisor = divisor_override.value_or(0);
    if (rank < 3) return average(input, rows, pool.sizes, pool.format);
    if (!is_floating(input.dtype()))
        raise(ErrorKind::NotImplemented, "%s: no CPU kernel for %s", name,
              dtype_name(input.dtype()));
    // The mean over a box is the mean over its depth of means over its planes.
    Pool2d depth = pool.depth(input.dtype());
    depth.count_include_pad = count_include_pad;
    depth.divisor = rows.divisor;
    if (divisor_override) rows.divisor = 1;
    Tensor planes = average(input, rows, {pool.planes, depth.h, rows.out_h * rows.out_w},
                            MemoryFormat::Contiguous);
    return average(planes, depth, pool.sizes, pool.format);
}

std::tuple<Tensor, Tensor> adaptive_max_pool(const char* name, int rank, const Tensor& input,
                                             const Dims& output_size) {
    Pooling pool = pooling_of(name, rank, input);
    int64_t out[kMaxAxes];
    read_sizes(name, "output_size", output_size, rank, 0, out);
    for (int i = 0; i < rank; i++) {
        Axis& a = pool.axes[i];
        a.out = out[i];
        pool.sizes[input.dim() - rank + i] = a.out;
        pool.adaptive[i] = a.out == 0 || a.in % a.out != 0;
    }
    // Equal windows are ordinary ones, of all dims that go through one kernel.
    if (rank > 1)
        pool.adaptive[rank - 1] = pool.adaptive[rank - 2] =
            pool.adaptive[rank - 1] || pool.adaptive[rank - 2];
    for (int i = 0; i < rank; i++)
        if (!pool.adaptive[i]) pool.axes[i].kernel = pool.axes[i].stride = pool.axes[i].in / out[i];
    EMBER_CHECK(is_floating(input.dtype()), "%s: expected a floating point input, got %s", name,
                dtype_name(input.dtype()));
    return max_pool(input, pool, true);
}

}  // namespace

#define EMBER_POOLING(rank)                                                                    \
    Tensor max_pool##rank##d(const Tensor& input, const Dims& kernel_size, const Dims& stride, \
                             const Dims& padding, const Dims& dilation, bool ceil_mode) {      \
        return std::get<0>(max_pool(input,                                                     \
                                    pool_shape("max_pool" #rank "d", rank, input, kernel_size, \
                                               stride, padding, dilation, ceil_mode),          \
                                    false));                                                   \
    }                                                                                          \
    std::tuple<Tensor, Tensor> max_pool##rank##d_with_indices(                                 \
        const Tensor& input, const Dims& kernel_size, const Dims& stride, const Dims& padding, \
        const Dims& dilation, bool ceil_mode) {                                                \
        return max_pool(input,                                                                 \
                        pool_shape("max_pool" #rank "d", rank, input, kernel_size, stride,     \
                                   padding, dilation, ceil_mode),                              \
                        true);                                                                 \
    }                                                                                          \
    Tensor avg_pool##rank##d(const Tensor& input, const Dims& kernel_size, const Dims& stride, \
                             const Dims& padding, bool ceil_mode, bool count_include_pad,      \
                             std::optional<int64_t> divisor_override) {                        \
        return avg_pool("avg_pool" #rank "d", rank, input, kernel_size, stride, padding,       \
                        ceil_mode, count_include_pad, divisor_override);                       \
    }                                                                                          \
    std::tuple<Tensor, Tensor> adaptive_max_pool##rank##d(const Tensor& input,                 \
                                                          const Dims& output_size) {           \
        return adaptive_max_pool("adaptive_max_pool" #rank "d", rank, input, output_size);     \
    }
EMBER_POOLING(1)
EMBER_POOLING(2)
EMBER_POOLING(3)
#undef EMBER_POOLING

}  // namespace ember::ops
