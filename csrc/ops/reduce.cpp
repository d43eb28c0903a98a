#include "kernels/reduce.h"

#include <cmath>

#include "kernels/complex.h"
#include "ops/complex.h"
#include "ops/copy.h"
#include "ops/factory.h"
#include "ops/formula.h"
#include "ops/index.h"
#include "ops/reduce.h"
#include "ops/view.h"

namespace ember::kernels {

EMBER_SLOT(sum)
EMBER_SLOT(nansum)
EMBER_SLOT(prod)
EMBER_COMPLEX_SLOT(prod)
EMBER_SLOT(max)
EMBER_SLOT(min)
EMBER_SLOT(any)
EMBER_SLOT(all)
EMBER_SLOT(norm)
EMBER_SLOT(variance)
EMBER_SLOT(logsumexp)
EMBER_SLOT(argmax)
EMBER_SLOT(argmin)

}  // namespace ember::kernels

namespace ember::ops {

namespace {

// Which dims a call reduces over.
struct Reduced {
    bool marked[kMaxDims] = {};
    int ndim;
    int64_t numel = 1;  // items reduced into one

    explicit Reduced(const Tensor& x) : ndim(x.dim()) {}  // none
    Reduced(const char* name, const Tensor& x, IntSpan dims) : ndim(x.dim()) {
        for (int64_t dim : dims) {
            int d = wrap_dim(name, dim, ndim);
            EMBER_CHECK(!marked[d] || ndim == 0,
                        "%s: dim %d appears multiple times in the list of dims", name, d);
            marked[d] = true;
        }
        if (dims.empty())
            for (int d = 0; d < ndim; d++) marked[d] = true;
        for (int d = 0; d < ndim; d++)
            if (marked[d]) numel *= x.impl()->sizes[d];
    }
    Dims dims() const {
        Dims list;
        for (int d = 0; d < ndim; d++)
            if (marked[d]) list.push_back(d);
        return list;
    }
    Dims sizes(const Tensor& x, bool keepdim) const {
        Dims out;
        for (int d = 0; d < ndim; d++) {
            if (!marked[d])
                out.push_back(x.impl()->sizes[d]);
            else if (keepdim)
                out.push_back(1);
        }
        return out;
    }
};

IntSpan span_of(const std::optional<Dims>& dim) { return dim ? IntSpan(*dim) : IntSpan(); }

// The gradient of a reduction with its dims back, so that it broadcasts against the input.
Tensor with_dims(const Tensor& g, const Reduced& reduced, bool keepdim) {
    if (keepdim || reduced.ndim == 0) return g;
    Dims sizes;
    int at = 0;
    for (int d = 0; d < reduced.ndim; d++)
        sizes.push_back(reduced.marked[d] ? 1 : g.impl()->sizes[at++]);
    return reshape(g, sizes);
}

Tensor output(const char* name, const Tensor& x, const Reduced& reduced, bool keepdim, DType dtype,
              const Dest& dest) {
    Dims sizes = reduced.sizes(x, keepdim);
    if (dest.fresh()) return empty(sizes, {dtype, x.device()});
    const Tensor& out = dest.tensor();
    check_out(name, out, dtype, needs_grad(x));
    check_same_device(name, x, out);
    resize_out(name, out, sizes);
    EMBER_CHECK(!out.has_overlap(), "%s: the out tensor overlaps itself", name);
    return out;
}

Tensor reduce(const kernels::Reduce& any_slot, const char* name, const Tensor& input,
              const Reduced& reduced, bool keepdim, DType dtype, double param, const Dest& dest) {
    Tensor x = input;
    const kernels::Reduce& slot = any_slot.of(x.dtype());
    slot.require(x.device(), x.dtype());
    // `out=` of another dtype, or over the input's memory, gets its values by a copy.
    bool aside = !dest.fresh() && (dest.tensor().dtype() != dtype ||
                                   dest.tensor().impl()->storage == x.impl()->storage);
    Tensor out = output(name, x, reduced, keepdim, dtype, aside ? Dest() : dest);
    if (out.numel() > 0) {
        ReducePlan plan;
        make_reduce_plan(plan, x, reduced.marked, out, keepdim);
        launch(slot, x.device(), x.numel() / 4, plan, param);
    }
    if (aside) {
        Tensor to = output(name, x, reduced, keepdim, dtype, dest);
        return copy_(to, out);
    }
    if (!dest.fresh()) out.bump_version();
    return out;
}

DType sum_type(const Tensor& x, std::optional<DType> dtype, const Dest& dest) {
    if (dtype) return *dtype;
    if (!dest.fresh()) return dest.tensor().dtype();
    return is_integral(x.dtype()) ? DType::Int64 : x.dtype();
}

// Sums in `dtype`, scaled: the body of sum, mean and nansum.
Tensor scaled_sum(const kernels::Reduce& slot, const char* name, const Tensor& x,
                  const Reduced& reduced, bool keepdim, DType dtype, double scale,
                  const Dest& dest) {
    bool direct = x.dtype() == dtype || (is_integral(x.dtype()) && dtype == DType::Int64);
    Tensor input = direct ? x : to_dtype(x, dtype);
    if (EMBER_UNLIKELY(is_complex(dtype))) {  // the parts apart
        GradModeGuard no_grad(false);
        Reduced of_parts = reduced;
        if (of_parts.ndim++ == 0) of_parts.marked[0] = false;  // a zero-dim tensor has no dim 0
        Tensor parts = parts_of(input);
        Tensor out = joined(reduce(slot, name, parts, of_parts, keepdim, parts.dtype(), scale, {}));
        if (dest.fresh()) return out;
        Tensor to = output(name, input, reduced, keepdim, dtype, dest);
        return copy_(to, out);
    }
    return reduce(slot, name, input, reduced, keepdim, dtype, scale, dest);
}

void check_not_empty(const char* name, const Tensor& x, const Reduced& reduced,
                     ErrorKind kind = ErrorKind::Index) {
    if (reduced.numel > 0 || (x.numel() == 0 && reduced.sizes(x, false).size() > 0 && [&] {
            for (int64_t s : reduced.sizes(x, false))
                if (s == 0) return true;
            return false;
        }()))
        return;
    raise(kind, "%s: expected the reduced dims to have non-zero size, got shape %s", name,
          to_string(x.sizes()).c_str());
}

}  // namespace

Tensor sum(const Tensor& x, const std::optional<Dims>& dim, bool keepdim,
           std::optional<DType> dtype, const Dest& dest) {
    Reduced reduced("sum", x, span_of(dim));
    Tensor out =
        scaled_sum(kernels::sum, "sum", x, reduced, keepdim, sum_type(x, dtype, dest), 1, dest);
    if (needs_grad(x))
        record(dim ? "SumBackward1" : "SumBackward0", out, {x},
               [reduced, keepdim, shape = Dims(x.sizes())](Backward& bw, const Tensor& g) {
                   bw.set(0, expand(with_dims(g, reduced, keepdim), shape));
               });
    return out;
}

Tensor mean(const Tensor& x, const std::optional<Dims>& dim, bool keepdim,
            std::optional<DType> dtype, const Dest& dest) {
    DType d = dtype.value_or(dest.fresh() ? x.dtype() : dest.tensor().dtype());
    EMBER_CHECK(
        is_floating(d) || is_complex(d),
        "mean: could not infer output dtype. Input dtype must be either a floating point or "
        "complex dtype. Got: %s",
        dtype_name(d));
    Reduced reduced("mean", x, span_of(dim));
    double scale = 1 / double(reduced.numel);
    Tensor out =
        scaled_sum(kernels::sum, "mean", x, reduced, keepdim, d, reduced.numel ? scale : NAN, dest);
    if (needs_grad(x))
        record(dim ? "MeanBackward1" : "MeanBackward0", out, {x},
               [reduced, keepdim, scale, shape = Dims(x.sizes())](Backward& bw, const Tensor& g) {
                   bw.set(0, expand(mul(with_dims(g, reduced, keepdim), scale), shape));
               });
    return out;
}

namespace {

// d prod / dx_i is the product of the others: by division where no item is zero; otherwise, over a
// dim, products of what stands before and after i.
Tensor prod_backward(const Tensor& g, const Tensor& x, const Tensor& y, int64_t dim) {
    if (!read_item<bool>(all(x, std::nullopt, false, {}))) {
        int64_t n = x.size(dim);
        std::vector<Tensor> parts;
        for (int64_t i = 0; i < n; i++) {
            std::vector<Tensor> others{narrow(x, dim, 0, i), narrow(x, dim, i + 1, n - i - 1)};
            parts.push_back(prod(cat(others, dim), dim, true, std::nullopt, {}));
        }
        return mul(g, conj(cat(parts, dim)));
    }
    return mul(g, conj(div(y, x)));
}

}  // namespace

Tensor prod(const Tensor& x, std::optional<int64_t> dim, bool keepdim, std::optional<DType> dtype,
            const Dest& dest) {
    Dims dims;
    if (dim) dims.push_back(*dim);
    Reduced reduced("prod", x, dims);
    DType d = sum_type(x, dtype, dest);
    Tensor input =
        x.dtype() == d || (is_integral(x.dtype()) && d == DType::Int64) ? x : to_dtype(x, d);
    Tensor out = reduce(kernels::prod, "prod", input, reduced, keepdim, d, 0, dest);
    if (needs_grad(x))
        record(dim ? "ProdBackward1" : "ProdBackward0", out, {x},
               [reduced, keepdim, dim, x = Saved(input), y = Saved::output(out)](Backward& bw,
                                                                                 const Tensor& g) {
                   Tensor value = x.get(bw);
                   if (value.dim() == 0) return bw.set(0, g);
                   Tensor result = with_dims(y.get(bw), reduced, keepdim);
                   Tensor grad = with_dims(g, reduced, keepdim);
                   if (dim) return bw.set(0, prod_backward(grad, value, result, *dim));
                   Tensor flat = prod_backward(reshape(grad, {1}), reshape(value, {-1}),
                                               reshape(result, {1}), 0);
                   bw.set(0, reshape(flat, Dims(value.sizes())));
               });
    return out;
}

namespace {

double correction_of(const char* name, std::optional<Number> correction,
                     std::optional<bool> unbiased) {
    EMBER_CHECK(!correction || !unbiased, "%s: give correction or unbiased, not both", name);
    return correction ? correction->as<double>() : unbiased && !*unbiased ? 0 : 1;
}

// 2 (x - mean) / (n - correction) times g.
Tensor var_backward(const Tensor& g, const Tensor& x, const Reduced& reduced, bool keepdim,
                    double correction) {
    double scale = 2 / std::max(0.0, double(reduced.numel) - correction);
    // In float32 for halves: what is left after the mean may be smaller than the mean's rounding.
    Tensor value = item_size(x.dtype()) == 2 ? to_dtype(x, DType::Float32) : x;
    Tensor centred = sub(value, mean(value, reduced.dims(), true, std::nullopt, {}));
    return mul(mul(with_dims(g, reduced, keepdim), centred), scale);
}

// Of complex numbers: the sum of the parts' variances.
Tensor complex_var(const char* name, const Tensor& x, const std::optional<Dims>& dim, double c,
                   bool keepdim, const Dest& dest, bool root) {
    Number correction = number(c);
    Tensor out = add(var(real(x), dim, correction, keepdim, std::nullopt, {}),
                     var(imag(x), dim, correction, keepdim, std::nullopt, {}));
    if (root) out = sqrt(out);
    if (dest.fresh()) return out;
    check_out(name, dest.tensor(), out.dtype(), needs_grad(x));
    resize_out(name, dest.tensor(), out.sizes());
    return copy_(dest.tensor(), out);
}

void require_floating(const char* name, const Tensor& x) {
    EMBER_CHECK(is_floating(x.dtype()), "%s: expected a floating point tensor, got %s", name,
                dtype_name(x.dtype()));
}

}  // namespace

Tensor var(const Tensor& x, const std::optional<Dims>& dim, std::optional<Number> correction,
           bool keepdim, std::optional<bool> unbiased, const Dest& dest) {
    if (is_complex(x.dtype()))
        return complex_var("var", x, dim, correction_of("var", correction, unbiased), keepdim, dest,
                           false);
    require_floating("var", x);
    Reduced reduced("var", x, span_of(dim));
    double c = correction_of("var", correction, unbiased);
    Tensor out = reduce(kernels::variance, "var", x, reduced, keepdim, x.dtype(), c, dest);
    if (needs_grad(x))
        record("VarBackward0", out, {x},
               [reduced, keepdim, c, x = Saved(x)](Backward& bw, const Tensor& g) {
                   bw.set(0, var_backward(g, x.get(bw), reduced, keepdim, c));
               });
    return out;
}

Tensor std_deviation(const Tensor& x, const std::optional<Dims>& dim,
                     std::optional<Number> correction, bool keepdim, std::optional<bool> unbiased,
                     const Dest& dest) {
    if (is_complex(x.dtype()))
        return complex_var("std", x, dim, correction_of("std", correction, unbiased), keepdim, dest,
                           true);
    require_floating("std", x);
    Reduced reduced("std", x, span_of(dim));
    double c = correction_of("std", correction, unbiased);
    Tensor out;
    {
        GradModeGuard no_grad(false);
        // The root of a half's variance is taken before it is rounded to the half.
        DType wide = x.dtype() == DType::Float64 ? DType::Float64 : DType::Float32;
        Tensor variance = reduce(kernels::variance, "std", x, reduced, keepdim, wide, c, {});
        out = pointwise(kernels::sqrt, "std", {variance}, {}, {wide, x.dtype()});
    }
    if (!dest.fresh()) {
        Tensor to = output("std", x, reduced, keepdim, x.dtype(), dest);
        return copy_(to, out);
    }
    if (needs_grad(x))
        record("StdBackward0", out, {x},
               [reduced, keepdim, c, x = Saved(x), y = Saved::output(out)](Backward& bw,
                                                                           const Tensor& g) {
                   Tensor deviation = y.get(bw), zero = wrapped_number(number(0.0));
                   Tensor half = div(g, mul(deviation, 2.0));
                   half = masked_fill(half, eq(deviation, zero), zero);
                   bw.set(0, var_backward(half, x.get(bw), reduced, keepdim, c));
               });
    return out;
}

std::tuple<Tensor, Tensor> var_mean(const Tensor& x, const std::optional<Dims>& dim,
                                    std::optional<Number> correction, bool keepdim,
                                    std::optional<bool> unbiased) {
    return {var(x, dim, correction, keepdim, unbiased, {}),
            mean(x, dim, keepdim, std::nullopt, {})};
}

namespace {

// Items equal to the result share its gradient evenly.
void record_extreme(const char* node, const Tensor& out, const Tensor& x, const Reduced& reduced,
                    bool keepdim) {
    record(node, out, {x},
           [reduced, keepdim, x = Saved(x), y = Saved::output(out)](Backward& bw, const Tensor& g) {
               Tensor value = x.get(bw);
               Tensor winners = eq(value, with_dims(y.get(bw), reduced, keepdim));
               Tensor share = to_dtype(winners, g.dtype());
               Tensor count = sum(share, reduced.dims(), true);
               bw.set(0, mul(share, div(with_dims(g, reduced, keepdim), count)));
           });
}

Tensor extreme(const kernels::Reduce& slot, const char* name, const char* node, const Tensor& x,
               const Dims& dim, bool keepdim, const Dest& dest) {
    Reduced reduced(name, x, dim);
    check_not_empty(name, x, reduced, dim.empty() ? ErrorKind::Runtime : ErrorKind::Index);
    Tensor out = reduce(slot, name, x, reduced, keepdim, x.dtype(), 0, dest);
    if (needs_grad(x)) record_extreme(node, out, x, reduced, keepdim);
    return out;
}

// Runs argmax or argmin along one dim; values may be left undefined.
Tensor index_along(const kernels::ReduceIndex& slot, const char* name, const Tensor& x, int dim,
                   bool keepdim, Tensor* values) {
    slot.require(x.device(), x.dtype());
    Dims dims{dim};
    Reduced reduced(name, x, dims);
    check_not_empty(name, x, reduced);
    Tensor indices = output(name, x, reduced, keepdim, DType::Int64, {});
    // The plan's byte strides of `out` are those of the values; indices are laid out alike.
    Tensor out = empty(indices.sizes(), x.options());
    if (out.numel() > 0) {
        ReducePlan plan;
        make_reduce_plan(plan, x, reduced.marked, out, keepdim);
        if (plan.reduced == 0) {
            plan.reduced = 1;
            plan.reduced_sizes[0] = 1;
            plan.reduced_in[0] = 0;
        }
        if (!values) plan.out = nullptr;
        launch(slot, x.device(), x.numel(), plan, indices.as<int64_t>());
    }
    if (values) *values = out;
    return indices;
}

std::tuple<Tensor, Tensor> extreme_dim(const kernels::ReduceIndex& slot, const char* name,
                                       const char* node, const Tensor& x, int64_t dim,
                                       bool keepdim) {
    int at = wrap_dim(name, dim, x.dim());
    Tensor values, indices = index_along(slot, name, x, at, keepdim, &values);
    if (needs_grad(x))
        record(node, values, {x},
               [at, keepdim, indices, shape = Dims(x.sizes())](Backward& bw, const Tensor& g) {
                   if (shape.empty()) return bw.set(0, g);
                   Tensor place = keepdim ? indices : unsqueeze(indices, at);
                   Tensor position = arange(number(shape[at]), std::nullopt, number(int64_t(1)),
                                            DType::Int64, g.device(), false);
                   Dims column(int(shape.size()));
                   for (int64_t& c : column) c = 1;
                   column[at] = shape[at];
                   Tensor chosen = eq(reshape(position, column), place);
                   bw.set(0, mul(keepdim ? g : unsqueeze(g, at), to_dtype(chosen, g.dtype())));
               });
    return {values, indices};
}

Tensor index_of(const kernels::ReduceIndex& slot, const char* name, const Tensor& x,
                std::optional<int64_t> dim, bool keepdim) {
    EMBER_CHECK(x.dtype() != DType::Bool, "%s: does not support bool input", name);
    GradModeGuard no_grad(false);
    if (dim) return index_along(slot, name, x, wrap_dim(name, *dim, x.dim()), keepdim, nullptr);
    Tensor flat = reshape(x, {-1});
    if (flat.numel() == 0)
        raise_index("%s: expected reduction dim to be specified for input.numel() == 0", name);
    Tensor index = index_along(slot, name, flat, 0, false, nullptr);
    if (!keepdim) return index;
    Dims ones(x.dim());
    for (int64_t& o : ones) o = 1;
    return reshape(index, ones);
}

}  // namespace

Tensor amax(const Tensor& x, const Dims& dim, bool keepdim, const Dest& dest) {
    return extreme(kernels::max, "amax", "AmaxBackward0", x, dim, keepdim, dest);
}
Tensor amin(const Tensor& x, const Dims& dim, bool keepdim, const Dest& dest) {
    return extreme(kernels::min, "amin", "AminBackward0", x, dim, keepdim, dest);
}
Tensor max_all(const Tensor& x) {
    EMBER_CHECK(x.numel() > 0,
                "max: expected reduction dim to be specified for input.numel() == 0");
    return extreme(kernels::max, "max", "MaxBackward1", x, {}, false, {});
}
Tensor min_all(const Tensor& x) {
    EMBER_CHECK(x.numel() > 0,
                "min: expected reduction dim to be specified for input.numel() == 0");
    return extreme(kernels::min, "min", "MinBackward1", x, {}, false, {});
}
std::tuple<Tensor, Tensor> max_dim(const Tensor& x, int64_t dim, bool keepdim) {
    return extreme_dim(kernels::argmax, "max", "MaxBackward0", x, dim, keepdim);
}
std::tuple<Tensor, Tensor> min_dim(const Tensor& x, int64_t dim, bool keepdim) {
    return extreme_dim(kernels::argmin, "min", "MinBackward0", x, dim, keepdim);
}
Tensor argmax(const Tensor& x, std::optional<int64_t> dim, bool keepdim) {
    return index_of(kernels::argmax, "argmax", x, dim, keepdim);
}
Tensor argmin(const Tensor& x, std::optional<int64_t> dim, bool keepdim) {
    return index_of(kernels::argmin, "argmin", x, dim, keepdim);
}

namespace {

Tensor truth(const kernels::Reduce& slot, const char* name, const Tensor& x,
             const std::optional<Dims>& dim, bool keepdim, const Dest& dest) {
    DType dtype = x.dtype() == DType::UInt8 ? DType::UInt8 : DType::Bool;
    Reduced reduced(name, x, span_of(dim));
    if (dim && dim->empty()) reduced = Reduced(x);  // as in PyTorch: each item by itself
    return reduce(slot, name, x, reduced, keepdim, dtype, 0, dest);
}

}  // namespace

namespace {

// What is not zero, of complex numbers.
Tensor truths(const Tensor& x) {
    return is_complex(x.dtype()) ? ne(x, wrapped_number(number(0.0))) : x;
}

}  // namespace

Tensor any(const Tensor& x, const std::optional<Dims>& dim, bool keepdim, const Dest& dest) {
    return truth(kernels::any, "any", truths(x), dim, keepdim, dest);
}
Tensor all(const Tensor& x, const std::optional<Dims>& dim, bool keepdim, const Dest& dest) {
    return truth(kernels::all, "all", truths(x), dim, keepdim, dest);
}

Tensor logsumexp(const Tensor& x, const Dims& dim, bool keepdim, const Dest& dest) {
    Tensor input = is_integral(x.dtype()) ? to_dtype(x, modes::default_dtype()) : x;
    Reduced reduced("logsumexp", input, dim);
    if (is_complex(input.dtype())) return logsumexp_complex(input, reduced.dims(), keepdim, dest);
    Tensor out =
        reduce(kernels::logsumexp, "logsumexp", input, reduced, keepdim, input.dtype(), 0, dest);
    if (needs_grad(x))
        record("LogsumexpBackward0", out, {x},
               [reduced, keepdim, x = Saved(x), y = Saved::output(out)](Backward& bw,
                                                                        const Tensor& g) {
                   Tensor value = x.get(bw), result = y.get(bw);
                   if (item_size(value.dtype()) == 2) {
                       // The exponent of a rounded result would be off by half its ULP.
                       value = to_dtype(value, DType::Float32);
                       result = logsumexp(value, reduced.dims(), keepdim, {});
                   }
                   result = with_dims(result, reduced, keepdim);
                   // -inf - -inf has no value, its limit is a gradient of zero.
                   Tensor finite =
                       masked_fill(result, eq(abs(result, {}), wrapped_number(number(INFINITY))),
                                   wrapped_number(number(0.0)));
                   bw.set(0, mul(with_dims(g, reduced, keepdim), exp(sub(value, finite))));
               });
    return out;
}

namespace {

// Gradients of the p-norm; where the norm is zero, zero is a subgradient.
Tensor norm_backward(const Tensor& g, const Tensor& x, const Tensor& y, double p,
                     const Dims& dims) {
    Tensor zero = wrapped_number(number(0.0));
    if (p == 0) return mul(x, 0.0);
    if (p == 1) return mul(g, sign(x));
    if (p == 2) {
        Tensor unit = div(x, y);
        return mul(g, masked_fill(unit, eq(y, zero), zero));
    }
    Tensor size = abs(x, {});
    if (std::isinf(p)) {
        Tensor winners = to_dtype(eq(size, y), g.dtype());
        return mul(mul(sign(x), winners), div(g, sum(winners, dims, true)));
    }
    Tensor power = pow(size, wrapped_number(number(p - 1)));
    power = masked_fill(power, eq(x, zero), zero);
    Tensor scale = div(g, pow(y, wrapped_number(number(p - 1))));
    return mul(mul(sign(x), power), masked_fill(scale, eq(y, zero), zero));
}

}  // namespace

Tensor norm(const Tensor& x, double p, const std::optional<Dims>& dim, bool keepdim,
            std::optional<DType> dtype, const Dest& dest) {
    Tensor input = dtype ? to_dtype(x, *dtype) : x;
    if (is_complex(input.dtype())) input = abs(input, {});
    require_floating("norm", input);
    Reduced reduced("norm", input, span_of(dim));
    if (p < 0 || std::isinf(p)) check_not_empty("norm", input, reduced, ErrorKind::Runtime);
    Tensor out = reduce(kernels::norm, "norm", input, reduced, keepdim, input.dtype(), p, dest);
    if (needs_grad(input))
        record("NormBackward0", out, {input},
               [reduced, keepdim, p, x = Saved(input), y = Saved::output(out)](Backward& bw,
                                                                               const Tensor& g) {
                   bw.set(0,
                          norm_backward(with_dims(g, reduced, keepdim), x.get(bw),
                                        with_dims(y.get(bw), reduced, keepdim), p, reduced.dims()));
               });
    return out;
}

Tensor sum_to_size(const Tensor& x, const Dims& size) {
    if (same(x.sizes(), size)) return x;
    int lead = x.dim() - size.size();
    Dims dims;
    bool fits = lead >= 0;
    for (int d = 0; fits && d < x.dim(); d++) {
        if (d >= lead && size[d - lead] == x.impl()->sizes[d]) continue;
        fits = d < lead || size[d - lead] == 1;
        dims.push_back(d);
    }
    EMBER_CHECK(fits, "sum_to_size: size %s is not expandable to size %s", to_string(size).c_str(),
                to_string(x.sizes()).c_str());
    Tensor out = sum(x, dims, true);
    return lead > 0 ? reshape(out, size) : out;
}

Tensor count_nonzero(const Tensor& x, const std::optional<Dims>& dim) {
    Reduced("count_nonzero", x, span_of(dim));  // checks the dims
    GradModeGuard no_grad(false);
    if (span_of(dim).empty() && x.device().is_cpu() && !is_complex(x.dtype()))
        return full({}, number(nonzero_total(x)), {DType::Int64, x.device()});
    return sum(ne(x, wrapped_number(number(int64_t(0)))), dim, false, std::nullopt, {});
}

// What is left out gets 0 times its gradient.
Tensor nansum(const Tensor& x, const std::optional<Dims>& dim, bool keepdim,
              std::optional<DType> dtype, const Dest& dest) {
    const char* name = "nansum";
    Reduced reduced(name, x, span_of(dim));
    EMBER_CHECK(!is_complex(x.dtype()), "%s: does not support complex inputs", name);
    if (!dest.fresh() && !dtype && is_floating(x.dtype()))
        check_out(name, dest.tensor(), x.dtype(), needs_grad(x));
    DType d = sum_type(x, dtype, dest);
    if (!is_floating(x.dtype()) || !is_floating(d)) return sum(x, dim, keepdim, dtype, dest);
    Tensor out = scaled_sum(kernels::nansum, name, x, reduced, keepdim, d, 1, dest);
    if (needs_grad(x))
        record("NansumBackward0", out, {x},
               [reduced, keepdim, x = Saved(x)](Backward& bw, const Tensor& g) {
                   Tensor kept = to_dtype(logical_not(isnan(x.get(bw)), {}), g.dtype());
                   bw.set(0, mul(with_dims(g, reduced, keepdim), kept));
               });
    return out;
}

Tensor nanmean(const Tensor& x, const std::optional<Dims>& dim, bool keepdim,
               std::optional<DType> dtype, const Dest& dest) {
    EMBER_CHECK(is_floating(x.dtype()),
                "nanmean: expected input to have floating point dtype but got %s",
                dtype_name(x.dtype()));
    Reduced("nanmean", x, span_of(dim));  // checks the dims
    Tensor total = nansum(x, dim, keepdim, dtype, {});
    Tensor count = sum(logical_not(isnan(x), {}), dim, keepdim, std::nullopt, {});
    return div(total, count, std::nullopt, dest);
}

}  // namespace ember::ops
