#include "ops/cumulative.h"

#include <cmath>
#include <limits>

#include "kernels/complex.h"
#include "kernels/cumulative.h"
#include "ops/copy.h"
#include "ops/formula.h"
#include "ops/index.h"
#include "ops/view.h"

namespace ember::kernels {

EMBER_SLOT(cumsum)
EMBER_SLOT(cumprod)
EMBER_COMPLEX_SLOT(cumprod)
EMBER_SLOT(logcumsumexp)
EMBER_SLOT(cummax)
EMBER_SLOT(cummin)

}  // namespace ember::kernels

namespace ember::ops {

namespace {

// Without a record. `indices` may be null.
Tensor run(const kernels::CumulativeSlot& any_slot, const Tensor& input, int dim, bool reverse,
           int64_t* indices = nullptr) {
    if (EMBER_UNLIKELY(is_complex(input.dtype()) && &any_slot == &kernels::cumsum)) {
        Tensor x = contiguous(input);  // the parts are summed apart
        return joined(run(any_slot, parts_of(x.dim() ? x : alias(x, {{1}}, {{1}}, x.offset())), dim,
                          reverse));
    }
    const kernels::CumulativeSlot& slot = any_slot.of(input.dtype());
    slot.require(input.device(), input.dtype());
    Tensor x = contiguous(input), out = empty(x.sizes(), x.options());
    if (x.numel() == 0) return out;
    kernels::Cumulative args;
    args.in = x.data();
    args.out = out.data();
    args.indices = indices;
    args.dtype = x.dtype();
    args.reverse = reverse;
    args.n = x.dim() ? x.impl()->sizes[dim] : 1;
    for (int d = 0; d < dim; d++) args.outer *= x.impl()->sizes[d];
    for (int d = dim + 1; d < x.dim(); d++) args.inner *= x.impl()->sizes[d];
    launch(slot, x.device(), 2 * x.numel(), args);
    return out;
}

// Puts a result of dtype `dtype` (where it was asked for) into its destination.
Tensor deliver(const char* name, const Tensor& x, const Tensor& result, std::optional<DType> dtype,
               const Dest& dest) {
    GradModeGuard no_grad(false);
    Tensor value = dtype ? to_dtype(result, *dtype) : result;
    if (dest.fresh()) return value;
    if (dest.is_in_place())
        EMBER_CHECK(!dtype || *dtype == x.dtype(), "%s_: dtype %s must be that of the tensor, %s",
                    name, dtype_name(*dtype), dtype_name(x.dtype()));
    if (dest.is_in_place()) check_in_place(name, x, needs_grad(x));
    return dest.is_in_place() ? copy_(x, value) : into(name, dest, value, needs_grad(x));
}

// Integers and bool run in int64.
Tensor widened(const Tensor& x, std::optional<DType> dtype) {
    DType d = dtype.value_or(x.dtype());
    return to_dtype(x, is_integral(d) ? DType::Int64 : d);
}

DType result_dtype(const Tensor& x, std::optional<DType> dtype, const Dest& dest) {
    if (dtype) return *dtype;
    if (!dest.fresh()) return dest.tensor().dtype();
    return is_integral(x.dtype()) ? DType::Int64 : x.dtype();
}

Tensor running_sum(const Tensor& x, int dim, bool reverse) {
    Tensor out = run(kernels::cumsum, x, dim, reverse);
    if (needs_grad(x))
        record("CumsumBackward0", out, {x}, [dim, reverse](Backward& bw, const Tensor& g) {
            bw.set(0, running_sum(g, dim, !reverse));
        });
    return out;
}

// d/dx_i sum_k g_k y_k is the product of what precedes x_i times g_i + x_{i+1} (g_{i+1} + x_{i+2}
// (…)): exact also where items are zero, in as many steps as there are items.
Tensor cumprod_backward(const Tensor& g, const Tensor& x, const Tensor& y, int dim) {
    Tensor zero = wrapped_number(number(0.0));
    bool has_zero;
    {
        GradModeGuard no_grad(false);
        has_zero = read_item<bool>(any(eq(x, zero), std::nullopt, false, {}));
    }
    if (!has_zero) return div(running_sum(mul(g, y), dim, true), x);
    int64_t n = x.size(dim);
    std::vector<Tensor> tails(static_cast<size_t>(n));
    tails[size_t(n - 1)] = select(g, dim, n - 1);
    for (int64_t i = n - 2; i >= 0; i--)
        tails[size_t(i)] = add(select(g, dim, i), mul(select(x, dim, i + 1), tails[size_t(i + 1)]));
    Tensor head = narrow(x, dim, 0, n - 1), first = narrow(x, dim, 0, 1);
    Tensor before = cat({add(mul(first, 0.0), 1.0), cumprod(head, dim, std::nullopt, {})}, dim);
    return mul(before, stack(tails, dim));
}

Tensor running_log_sum(const Tensor& x, int dim, bool reverse) {
    Tensor out = run(kernels::logcumsumexp, x, dim, reverse);
    if (needs_grad(x))
        record("LogcumsumexpBackward0", out, {x},
               [dim, reverse, x = Saved(x), y = Saved::output(out)](Backward& bw, const Tensor& g) {
                   Tensor value = x.get(bw), result = y.get(bw);
                   // In logarithms, positive and negative gradients apart.
                   Tensor zero = wrapped_number(number(0.0));
                   Tensor none = wrapped_number(number(-INFINITY));
                   auto part = [&](const Tensor& side) {
                       Tensor log_side = where(gt(side, zero), log(side), none);
                       Tensor reached = eq(result, none);  // all items so far are -inf
                       Tensor terms = sub(log_side, masked_fill(result, reached, zero));
                       return exp(add(running_log_sum(terms, dim, !reverse), value));
                   };
                   bw.set(0, sub(part(g), part(neg(g))));
               });
    return out;
}

}  // namespace

Tensor cumsum(const Tensor& x, int64_t dim, std::optional<DType> dtype, const Dest& dest) {
    int at = wrap_dim("cumsum", dim, x.dim());
    DType d = result_dtype(x, dtype, dest);
    Tensor out = deliver("cumsum", x, run(kernels::cumsum, widened(x, d), at, false), d, dest);
    if (needs_grad(x))
        record("CumsumBackward0", out, {x}, dest,
               [at](Backward& bw, const Tensor& g) { bw.set(0, running_sum(g, at, true)); });
    return out;
}

Tensor cumprod(const Tensor& x, int64_t dim, std::optional<DType> dtype, const Dest& dest) {
    int at = wrap_dim("cumprod", dim, x.dim());
    DType d = result_dtype(x, dtype, dest);
    Tensor copy;
    const Tensor& input = original(x, dest, x, copy);
    Tensor out = deliver("cumprod", x, run(kernels::cumprod, widened(x, d), at, false), d, dest);
    if (needs_grad(x))
        record("CumprodBackward0", out, {x}, dest,
               [at, x = Saved(input), y = Saved::output(out)](Backward& bw, const Tensor& g) {
                   Tensor value = x.get(bw);
                   if (value.dim() == 0 || value.numel() == 0) return bw.set(0, g);
                   bw.set(0, cumprod_backward(g, conj(value), conj(y.get(bw)), at));
               });
    return out;
}

Tensor logcumsumexp(const Tensor& x, int64_t dim, const Dest& dest) {
    int at = wrap_dim("logcumsumexp", dim, x.dim());
    if (!dest.fresh()) {
        GradModeGuard no_grad(false);
        return into("logcumsumexp", dest, run(kernels::logcumsumexp, x, at, false), needs_grad(x));
    }
    return running_log_sum(x, at, false);
}

namespace {

TensorPair running_extreme(const kernels::CumulativeSlot& slot, const char* name, const char* node,
                           const Tensor& x, int64_t dim) {
    int at = wrap_dim(name, dim, x.dim());
    Tensor indices = empty(x.sizes(), {DType::Int64, x.device()});
    Tensor values = run(slot, x, at, false, indices.as<int64_t>());
    record_picks(node, values, x, at, indices, true);
    return {values, indices};
}

}  // namespace

TensorPair cummax(const Tensor& x, int64_t dim) {
    return running_extreme(kernels::cummax, "cummax", "CummaxBackward0", x, dim);
}
TensorPair cummin(const Tensor& x, int64_t dim) {
    return running_extreme(kernels::cummin, "cummin", "CumminBackward0", x, dim);
}

Tensor diff(const Tensor& x, int64_t n, int64_t dim, const Tensor& prepend, const Tensor& append,
            const Dest& out) {
    EMBER_CHECK(x.dim() > 0, "diff: expected an input of at least one dim");
    int at = wrap_dim("diff", dim, x.dim());
    EMBER_CHECK(n >= 0, "diff: order must be non-negative, got %ld", long(n));
    std::vector<Tensor> parts;
    for (const Tensor* part : {&prepend, &x, &append})
        if (part->defined()) parts.push_back(*part);
    for (const Tensor& part : parts)
        EMBER_CHECK(part.dim() == x.dim(), "diff: prepend and append must have %d dims, got %d",
                    x.dim(), part.dim());
    Tensor y = parts.size() > 1 ? cat(parts, at) : x;
    bool logical = y.dtype() == DType::Bool;
    int64_t length = y.size(at);
    if (n > length) n = length;
    if (n == 0) return into("diff", out, out.fresh() ? clone(y, std::nullopt) : y, needs_grad(x));
    for (int64_t i = 0; i < n; i++) {
        int64_t left = y.size(at) - 1;
        Tensor upper = narrow(y, at, 1, left), lower = narrow(y, at, 0, left);
        y = logical ? logical_xor(upper, lower, {}) : sub(upper, lower);
    }
    return into("diff", out, y, needs_grad(x));
}

namespace {

// y[1:] + y[:-1] along the dim, weighed by the widths of x's intervals where x is given.
Tensor trapezoids(const char* name, const Tensor& y, const Tensor& x, int at) {
    int64_t n = y.size(at);
    Tensor heights = n > 0 ? add(narrow(y, at, 1, n - 1), narrow(y, at, 0, n - 1)) : y;
    if (!x.defined()) return heights;
    EMBER_CHECK(x.dim() > 0, "%s: x must have at least one dim", name);
    Tensor widths;
    if (x.dim() == 1) {
        EMBER_CHECK(x.numel() == n,
                    "%s: there must be one x for each sample: expected %ld, got %ld", name, long(n),
                    long(x.numel()));
        Dims column(y.dim());
        for (int64_t& c : column) c = 1;
        column[at] = n - 1 > 0 ? n - 1 : 0;
        widths = reshape(diff(x, 1, -1, {}, {}, {}), column);
    } else {
        int lead = x.dim() < y.dim() ? y.dim() - x.dim() : 0;
        Dims sizes;
        for (int d = 0; d < lead; d++) sizes.push_back(1);
        for (int64_t s : x.sizes()) sizes.push_back(s);
        widths = diff(reshape(x, sizes), 1, at, {}, {}, {});
    }
    return mul(heights, widths);
}

void require_numbers(const char* name, const Tensor& y) {
    EMBER_CHECK(y.dtype() != DType::Bool, "%s: received a bool input for `y`", name);
}

}  // namespace

Tensor trapezoid_x(const Tensor& y, const Tensor& x, int64_t dim) {
    int at = wrap_dim("trapezoid", dim, y.dim());
    require_numbers("trapezoid", y);
    if (y.size(at) == 0) return sum(y, {at}, false);
    return div(sum(trapezoids("trapezoid", y, x, at), {at}, false), wrapped_number(number(2.0)));
}
Tensor trapezoid_dx(const Tensor& y, Number dx, int64_t dim) {
    int at = wrap_dim("trapezoid", dim, y.dim());
    require_numbers("trapezoid", y);
    if (y.size(at) == 0) {
        Tensor none = sum(y, {at}, false);
        return zeros(none.sizes(), y.options());
    }
    Tensor total = sum(trapezoids("trapezoid", y, {}, at), {at}, false);
    return mul(total, dx.as<double>() / 2);
}
Tensor cumulative_trapezoid_x(const Tensor& y, const Tensor& x, int64_t dim) {
    int at = wrap_dim("cumulative_trapezoid", dim, y.dim());
    require_numbers("cumulative_trapezoid", y);
    Tensor total = cumsum(trapezoids("cumulative_trapezoid", y, x, at), at, std::nullopt, {});
    return div(total, wrapped_number(number(2.0)));
}
Tensor cumulative_trapezoid_dx(const Tensor& y, Number dx, int64_t dim) {
    int at = wrap_dim("cumulative_trapezoid", dim, y.dim());
    require_numbers("cumulative_trapezoid", y);
    Tensor total = cumsum(trapezoids("cumulative_trapezoid", y, {}, at), at, std::nullopt, {});
    return mul(total, dx.as<double>() / 2);
}

}  // namespace ember::ops
