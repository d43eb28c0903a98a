#include "ops/pointwise.h"

#include <cmath>
#include <limits>

#include "ops/copy.h"
#include "ops/formula.h"

namespace ember::ops {

namespace {

using Pair = std::initializer_list<std::reference_wrapper<const Tensor>>;

DType pair_type(const Tensor& a, const Tensor& b) {
    if (a.dtype() == b.dtype() && a.dim() > 0 && b.dim() > 0) return a.dtype();
    Tensor both[] = {a, b};
    return result_type(both);
}

DType floating(DType dtype) { return is_integral(dtype) ? modes::default_dtype() : dtype; }

// Computes and returns in the promoted dtype.
Tensor binary(const kernels::Pointwise& slot, const char* name, const Tensor& a, const Tensor& b,
              const Dest& dest, Number immediate = {}) {
    DType dtype = pair_type(a, b);
    return pointwise(slot, name, {a, b}, dest, {dtype, dtype, {immediate}});
}

Tensor comparison(const kernels::Pointwise& slot, const char* name, const Tensor& a,
                  const Tensor& b, const Dest& dest) {
    return pointwise(slot, name, {a, b}, dest, {pair_type(a, b), DType::Bool});
}

void refuse_bool(const char* name, const Tensor& a, const Tensor& b) {
    EMBER_CHECK(a.dtype() != DType::Bool && b.dtype() != DType::Bool,
                "%s: bool tensors cannot be subtracted; use logical_xor, or `~` for a mask", name);
}

bool is_one(Number n) { return n.kind >= Number::Kind::Float ? n.d == 1 && n.imag == 0 : n.i == 1; }

void check_alpha(const char* name, DType dtype, Number alpha) {
    EMBER_CHECK(
        alpha.kind != Number::Kind::Float || !is_integral(dtype),
        "%s: for integral input tensors, argument alpha must not be a floating point number", name);
    EMBER_CHECK(alpha.kind != Number::Kind::Complex || is_complex(dtype),
                "%s: for non-complex input tensors, argument alpha must not be a complex number",
                name);
    EMBER_CHECK(alpha.kind != Number::Kind::Bool || dtype == DType::Bool,
                "%s: boolean alpha only supported for bool results", name);
}

// The gradient of alpha x.
Tensor scaled(const Tensor& g, Number alpha) {
    alpha.imag = -alpha.imag;
    return is_one(alpha) ? g : mul(g, wrapped_number(alpha));
}

Number negated(Number n) {
    if (n.kind == Number::Kind::Complex) return number(-n.d, -n.imag);
    if (n.kind == Number::Kind::Float) return number(-n.d);
    return number(int64_t(0 - uint64_t(n.i)));
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b, Number alpha, const Dest& dest) {
    if (!is_one(alpha)) check_alpha("add", pair_type(a, b), alpha);
    Tensor out = binary(kernels::add, "add", a, b, dest, alpha);
    if (needs_grad(a, b))
        record("AddBackward0", out, {a, b}, dest, [alpha](Backward& bw, const Tensor& g) {
            if (bw.needs(0)) bw.set(0, g);
            if (bw.needs(1)) bw.set(1, scaled(g, alpha));
        });
    return out;
}

Tensor sub(const Tensor& a, const Tensor& b, Number alpha, const Dest& dest) {
    refuse_bool("sub", a, b);
    if (!is_one(alpha)) check_alpha("sub", pair_type(a, b), alpha);
    Tensor out = binary(kernels::add, "sub", a, b, dest, negated(alpha));
    if (needs_grad(a, b))
        record("SubBackward0", out, {a, b}, dest, [alpha](Backward& bw, const Tensor& g) {
            if (bw.needs(0)) bw.set(0, g);
            if (bw.needs(1)) bw.set(1, scaled(neg(g), alpha));
        });
    return out;
}

Tensor rsub(const Tensor& a, const Tensor& b, Number alpha) { return sub(b, a, alpha, {}); }

Tensor mul(const Tensor& a, const Tensor& b, const Dest& dest) {
    Tensor copy;
    const Tensor& first = original(a, dest, b, copy);
    Tensor out = binary(kernels::mul, "mul", a, b, dest);
    if (needs_grad(a, b))
        record("MulBackward0", out, {a, b}, dest,
               [a = Saved::when(b.requires_grad(), first, dest),
                b = Saved::when(a.requires_grad(), b, dest)](Backward& bw, const Tensor& g) {
                   if (bw.needs(0)) bw.set(0, mul(g, conj(b.get(bw))));
                   if (bw.needs(1)) bw.set(1, mul(g, conj(a.get(bw))));
               });
    return out;
}

Tensor div(const Tensor& a, const Tensor& b, std::optional<std::string_view> rounding_mode,
           const Dest& dest) {
    if (rounding_mode && *rounding_mode == "floor") return floor_divide(a, b, dest);
    if (rounding_mode) {
        EMBER_CHECK(*rounding_mode == "trunc",
                    "div: rounding_mode must be None, 'trunc' or 'floor', got '%.*s'",
                    int(rounding_mode->size()), rounding_mode->data());
        Tensor out = binary(kernels::trunc_divide, "div", a, b, dest);
        if (needs_grad(a, b))
            record("DivBackward1", out, {a, b}, dest, [](Backward& bw, const Tensor& g) {
                if (bw.needs(0)) bw.set(0, no_slope(g));
                if (bw.needs(1)) bw.set(1, no_slope(g));
            });
        return out;
    }
    DType dtype = floating(pair_type(a, b));
    Tensor copy;
    const Tensor& first = original(a, dest, b, copy);
    Tensor out = pointwise(kernels::div, "div", {a, b}, dest, {dtype, dtype});
    if (needs_grad(a, b))
        record("DivBackward0", out, {a, b}, dest,
               [a = Saved::when(b.requires_grad(), first, dest), b = Saved(b, dest)](
                   Backward& bw, const Tensor& g) {
                   Tensor divisor = conj(b.get(bw));
                   if (bw.needs(0)) bw.set(0, div(g, divisor));
                   if (bw.needs(1))
                       bw.set(1, mul(neg(g), div(div(conj(a.get(bw)), divisor), divisor)));
               });
    return out;
}

Tensor floor_divide(const Tensor& a, const Tensor& b, const Dest& dest) {
    Tensor out = binary(kernels::floor_divide, "floor_divide", a, b, dest);
    if (needs_grad(a, b))
        record("FloorDivideBackward0", out, {a, b}, dest, [](Backward& bw, const Tensor& g) {
            if (bw.needs(0)) bw.set(0, no_slope(g));
            if (bw.needs(1)) bw.set(1, no_slope(g));
        });
    return out;
}

Tensor remainder(const Tensor& a, const Tensor& b, const Dest& dest) {
    Tensor copy;
    const Tensor& first = original(a, dest, b, copy);
    Tensor out = binary(kernels::remainder, "remainder", a, b, dest);
    if (needs_grad(a, b))
        record("RemainderBackward0", out, {a, b}, dest,
               [a = Saved::when(b.requires_grad(), first, dest),
                b = Saved::when(b.requires_grad(), b, dest)](Backward& bw, const Tensor& g) {
                   if (bw.needs(0)) bw.set(0, g);
                   if (bw.needs(1)) bw.set(1, mul(neg(g), div(a.get(bw), b.get(bw), "floor", {})));
               });
    return out;
}

Tensor fmod(const Tensor& a, const Tensor& b, const Dest& dest) {
    Tensor copy;
    const Tensor& first = original(a, dest, b, copy);
    Tensor out = binary(kernels::fmod, "fmod", a, b, dest);
    if (needs_grad(a, b))
        record("FmodBackward0", out, {a, b}, dest,
               [a = Saved::when(b.requires_grad(), first, dest),
                b = Saved::when(b.requires_grad(), b, dest)](Backward& bw, const Tensor& g) {
                   if (bw.needs(0)) bw.set(0, g);
                   if (bw.needs(1)) bw.set(1, mul(neg(g), div(a.get(bw), b.get(bw), "trunc", {})));
               });
    return out;
}

Tensor pow(const Tensor& a, const Tensor& b, const Dest& dest) {
    DType dtype = pair_type(a, b);
    bool by_number = b.impl()->wrapped_number;
    if (dtype == DType::Bool && by_number) return logical_or(a, logical_not(b, {}), dest);
    if (is_integral(dtype) && by_number && b.dtype() == DType::Int64)
        EMBER_CHECK(*b.as<int64_t>() >= 0,
                    "pow: integers to negative integer powers are not allowed");
    Tensor copy;
    const Tensor& first = original(a, dest, a.requires_grad() ? a : b, copy);
    Tensor out = binary(kernels::pow, "pow", a, b, dest);
    if (!needs_grad(a, b)) return out;
    record("PowBackward0", out, {a, b}, dest,
           [a = Saved(first, dest), b = Saved(b, dest),
            y = b.requires_grad() ? Saved::output(out) : Saved()](Backward& bw, const Tensor& g) {
               Tensor base = a.get(bw), exponent = b.get(bw);
               Tensor zero = wrapped_number(number(0.0));
               // b a^(b-1), but 0 where b is 0, also at a = 0.
               if (bw.needs(0)) {
                   // A number stays one: as a tensor it would round to the default dtype.
                   Tensor less =
                       exponent.impl()->wrapped_number && exponent.dtype() == DType::Float64
                           ? wrapped_number(number(*exponent.as<double>() - 1.0))
                           : add(exponent, -1.0);
                   Tensor slope = mul(exponent, pow(base, less));
                   bw.set(0, mul(g, conj(where(eq(exponent, zero), zero, slope))));
               }
               // a^b log(a), but 0 where a is 0 and b is not negative.
               if (bw.needs(1)) {
                   Tensor grows = ge(real(exponent), zero);
                   if (is_complex(exponent.dtype()))
                       grows = logical_and(grows, eq(imag(exponent), zero), {});
                   Tensor flat = logical_and(eq(base, zero), grows, {});
                   bw.set(1, mul(g, conj(where(flat, zero, mul(y.get(bw), log(base))))));
               }
           });
    return out;
}

namespace {

// Where both are equal each gets half of the gradient.
Tensor extreme(const kernels::Pointwise& slot, const char* name, const char* node, const Tensor& a,
               const Tensor& b, const Dest& dest,
               Tensor (*wins)(const Tensor&, const Tensor&, const Dest&)) {
    Tensor copy;
    const Tensor& first = original(a, dest, a.requires_grad() ? a : b, copy);
    Tensor out = binary(slot, name, a, b, dest);
    if (needs_grad(a, b))
        record(node, out, {a, b}, dest,
               [a = Saved(first, dest), b = Saved(b, dest), wins](Backward& bw, const Tensor& g) {
                   Tensor x = a.get(bw), y = b.get(bw), zero = wrapped_number(number(0.0));
                   Tensor half = where(eq(x, y), mul(g, 0.5), g);
                   if (bw.needs(0)) bw.set(0, where(wins(y, x, {}), zero, half));
                   if (bw.needs(1)) bw.set(1, where(wins(x, y, {}), zero, half));
               });
    return out;
}

}  // namespace

Tensor maximum(const Tensor& a, const Tensor& b, const Dest& dest) {
    return extreme(kernels::maximum, "maximum", "MaximumBackward0", a, b, dest, gt);
}
Tensor minimum(const Tensor& a, const Tensor& b, const Dest& dest) {
    return extreme(kernels::minimum, "minimum", "MinimumBackward0", a, b, dest, lt);
}

Tensor clamp_tensor(const Tensor& x, const Tensor& min, const Tensor& max, const Dest& dest) {
    EMBER_CHECK(min.defined() || max.defined(),
                "clamp: at least one of min or max must not be None");
    auto bounded = [&](const Tensor& value, const Tensor& bound, const kernels::Pointwise& slot,
                       const Dest& to) { return binary(slot, "clamp", value, bound, to); };
    Tensor copy;
    const Tensor& first = original(x, dest, needs_grad(x) ? x : needs_grad(min) ? min : max, copy);
    Tensor out;
    Tensor all[] = {x, min.defined() ? min : x, max.defined() ? max : x};
    DType dtype = result_type(all);
    if (min.defined() && max.defined() && is_floating(dtype)) {
        out = pointwise(kernels::clamp_between, "clamp", {x, min, max}, dest, {dtype, dtype});
    } else {
        out = min.defined() ? bounded(x, min, kernels::maximum, max.defined() ? Dest() : dest) : x;
        if (max.defined()) out = bounded(out, max, kernels::minimum, dest);
    }
    auto record_clamp = [&](auto saved_x, auto saved_min, auto saved_max) {
        record("ClampBackward0", out, {x, min, max}, dest, [=](Backward& bw, const Tensor& g) {
            Tensor v = saved_x.get(bw), low = saved_min.get(bw), high = saved_max.get(bw);
            Tensor zero = wrapped_number(number(0.0));
            Tensor below = low.defined() ? lt(v, low) : Tensor();
            Tensor above = high.defined() ? gt(v, high) : Tensor();
            if (below.defined() && above.defined()) below = logical_and(below, ge(high, low), {});
            if (bw.needs(0)) {
                Tensor inside = g;
                if (below.defined()) inside = where(lt(v, low), zero, inside);
                if (above.defined()) inside = where(above, zero, inside);
                bw.set(0, inside);
            }
            if (bw.needs(1)) bw.set(1, where(below, g, zero));
            if (bw.needs(2)) {
                Tensor capped = low.defined() ? logical_or(above, lt(high, low), {}) : above;
                bw.set(2, where(capped, g, zero));
            }
        });
    };
    if (needs_grad(x, min, max)) record_clamp(Saved(first, dest), Saved(min), Saved(max));
    return out;
}

Tensor addcmul(const Tensor& x, const Tensor& a, const Tensor& b, Number value, const Dest& dest) {
    Tensor all[] = {x, a, b};
    DType dtype = result_type(all);
    if (is_integral(dtype) && value.kind == Number::Kind::Float)
        value = number(value.as<int64_t>());  // cut off, as PyTorch does
    Tensor out = pointwise(kernels::addcmul, "addcmul", {x, a, b}, dest, {dtype, dtype, {value}});
    if (needs_grad(x, a, b))
        record("AddcmulBackward0", out, {x, a, b}, dest,
               [a = Saved::when(b.requires_grad(), a, dest),
                b = Saved::when(a.requires_grad(), b, dest), value](Backward& bw, const Tensor& g) {
                   if (bw.needs(0)) bw.set(0, g);
                   if (bw.needs(1)) bw.set(1, scaled(mul(g, conj(b.get(bw))), value));
                   if (bw.needs(2)) bw.set(2, scaled(mul(g, conj(a.get(bw))), value));
               });
    return out;
}

Tensor addcdiv(const Tensor& x, const Tensor& a, const Tensor& b, Number value, const Dest& dest) {
    Tensor all[] = {x, a, b};
    DType dtype = result_type(all);
    EMBER_CHECK(!is_integral(dtype),
                "addcdiv: integer division is not supported; give floating point tensors");
    Tensor out = pointwise(kernels::addcdiv, "addcdiv", {x, a, b}, dest, {dtype, dtype, {value}});
    if (needs_grad(x, a, b))
        record("AddcdivBackward0", out, {x, a, b}, dest,
               [a = Saved::when(b.requires_grad(), a, dest),
                b = Saved::when(a.requires_grad() || b.requires_grad(), b, dest),
                value](Backward& bw, const Tensor& g) {
                   Tensor divisor = conj(b.get(bw));
                   if (bw.needs(0)) bw.set(0, g);
                   if (bw.needs(1)) bw.set(1, scaled(div(g, divisor), value));
                   if (bw.needs(2)) {
                       Tensor ratio = div(div(conj(a.get(bw)), divisor), divisor);
                       bw.set(2, neg(scaled(mul(g, ratio), value)));
                   }
               });
    return out;
}

Tensor lerp(const Tensor& a, const Tensor& b, const Tensor& weight, const Dest& dest) {
    Tensor all[] = {a, b, weight};
    DType dtype = float_result_type(all);
    if (is_complex(a.dtype()) && b.dtype() == a.dtype())
        return add(a, mul(weight, sub(b, a)), number(int64_t(1)), dest);
    EMBER_CHECK(is_floating(a.dtype()), "lerp: expected floating point tensors, got %s",
                dtype_name(a.dtype()));
    EMBER_CHECK(a.dtype() == b.dtype(), "lerp: expected dtype %s for `end` but got dtype %s",
                dtype_name(a.dtype()), dtype_name(b.dtype()));
    Tensor copy;
    const Tensor& first = original(a, dest, weight, copy);
    Tensor out = pointwise(kernels::lerp, "lerp", {a, b, weight}, dest, {dtype, dtype});
    if (needs_grad(a, b, weight))
        record("LerpBackward0", out, {a, b, weight}, dest,
               [a = Saved::when(weight.requires_grad(), first, dest),
                b = Saved::when(weight.requires_grad(), b, dest),
                w = Saved(weight, dest)](Backward& bw, const Tensor& g) {
                   Tensor part = w.get(bw);
                   if (bw.needs(0)) bw.set(0, sub(g, mul(g, part)));
                   if (bw.needs(1)) bw.set(1, mul(g, part));
                   if (bw.needs(2)) bw.set(2, mul(g, sub(b.get(bw), a.get(bw))));
               });
    return out;
}

// ---- Bits, comparisons, logic: no gradients

namespace {

Tensor bitwise(const kernels::Pointwise& slot, const char* name, const Tensor& a, const Tensor& b,
               const Dest& dest) {
    if (!is_integral(pair_type(a, b)))
        raise(ErrorKind::NotImplemented, "%s: expected integers or bool, got %s and %s", name,
              dtype_name(a.dtype()), dtype_name(b.dtype()));
    return binary(slot, name, a, b, dest);
}

}  // namespace

Tensor bitwise_and(const Tensor& a, const Tensor& b, const Dest& dest) {
    return bitwise(kernels::bitwise_and, "bitwise_and", a, b, dest);
}
Tensor bitwise_or(const Tensor& a, const Tensor& b, const Dest& dest) {
    return bitwise(kernels::bitwise_or, "bitwise_or", a, b, dest);
}
Tensor bitwise_xor(const Tensor& a, const Tensor& b, const Dest& dest) {
    return bitwise(kernels::bitwise_xor, "bitwise_xor", a, b, dest);
}
Tensor bitwise_not(const Tensor& x, const Dest& dest) {
    if (!is_integral(x.dtype()))
        raise(ErrorKind::NotImplemented, "bitwise_not: expected integers or bool, got %s",
              dtype_name(x.dtype()));
    return pointwise(kernels::bitwise_not, "bitwise_not", {x}, dest, {x.dtype(), x.dtype()});
}

namespace {

const kernels::Pointwise& ordered(const kernels::Pointwise& slot, const char* name, const Tensor& a,
                                  const Tensor& b) {
    refuse_complex(name, a.dtype());
    refuse_complex(name, b.dtype());
    return slot;
}

}  // namespace

Tensor eq(const Tensor& a, const Tensor& b, const Dest& dest) {
    return comparison(kernels::eq, "eq", a, b, dest);
}
Tensor ne(const Tensor& a, const Tensor& b, const Dest& dest) {
    return comparison(kernels::ne, "ne", a, b, dest);
}
Tensor lt(const Tensor& a, const Tensor& b, const Dest& dest) {
    return comparison(ordered(kernels::lt, "lt", a, b), "lt", a, b, dest);
}
Tensor le(const Tensor& a, const Tensor& b, const Dest& dest) {
    return comparison(ordered(kernels::le, "le", a, b), "le", a, b, dest);
}
Tensor gt(const Tensor& a, const Tensor& b, const Dest& dest) {
    return comparison(ordered(kernels::gt, "gt", a, b), "gt", a, b, dest);
}
Tensor ge(const Tensor& a, const Tensor& b, const Dest& dest) {
    return comparison(ordered(kernels::ge, "ge", a, b), "ge", a, b, dest);
}
Tensor logical_and(const Tensor& a, const Tensor& b, const Dest& dest) {
    return comparison(kernels::logical_and, "logical_and", a, b, dest);
}
Tensor logical_or(const Tensor& a, const Tensor& b, const Dest& dest) {
    return comparison(kernels::logical_or, "logical_or", a, b, dest);
}
Tensor logical_xor(const Tensor& a, const Tensor& b, const Dest& dest) {
    return comparison(kernels::logical_xor, "logical_xor", a, b, dest);
}
Tensor logical_not(const Tensor& x, const Dest& dest) {
    return pointwise(kernels::logical_not, "logical_not", {x}, dest, {x.dtype(), DType::Bool});
}

namespace {

Tensor predicate(const kernels::Pointwise& slot, const char* name, const Tensor& x) {
    return pointwise(slot, name, {x}, {}, {x.dtype(), DType::Bool});
}

// Integers are finite; the answer is laid out as x is.
Tensor for_integers(const Tensor& x, bool answer) {
    GradModeGuard no_grad(false);
    Tensor out = empty_like(x, DType::Bool);
    return fill_(out, wrapped_number(number(int64_t(answer))));
}

}  // namespace

Tensor isnan(const Tensor& x) {
    return is_integral(x.dtype()) ? for_integers(x, false) : predicate(kernels::isnan, "isnan", x);
}
Tensor isinf(const Tensor& x) {
    return is_integral(x.dtype()) ? for_integers(x, false) : predicate(kernels::isinf, "isinf", x);
}
Tensor isfinite(const Tensor& x) {
    return is_integral(x.dtype()) ? for_integers(x, true)
                                  : predicate(kernels::isfinite, "isfinite", x);
}

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b, const Dest& dest) {
    EMBER_CHECK(condition.dtype() == DType::Bool || condition.dtype() == DType::UInt8,
                "where: expected condition to be a boolean tensor, got %s",
                dtype_name(condition.dtype()));
    DType dtype = pair_type(a, b);
    for (const Tensor* t : {&a, &b})
        if (t->impl()->wrapped_number && is_integral(dtype)) check_number_fits("where", *t, dtype);
    Tensor out = pointwise(kernels::where, "where", {condition, a, b}, dest, {dtype, dtype});
    if (needs_grad(a, b))
        record("WhereBackward0", out, {a, b},
               [c = Saved(condition)](Backward& bw, const Tensor& g) {
                   Tensor zero = wrapped_number(number(0.0)), mask = c.get(bw);
                   if (bw.needs(0)) bw.set(0, where(mask, g, zero));
                   if (bw.needs(1)) bw.set(1, where(mask, zero, g));
               });
    return out;
}

Tensor masked_fill(const Tensor& x, const Tensor& mask, const Tensor& value, const Dest& dest) {
    EMBER_CHECK(mask.dtype() == DType::Bool, "masked_fill: mask must be bool, got %s",
                dtype_name(mask.dtype()));
    EMBER_CHECK(value.dim() == 0,
                "masked_fill: value must be a number or a zero-dim tensor, got %s",
                to_string(value.sizes()).c_str());
    check_number_fits("masked_fill", value, x.dtype());
    Tensor out =
        pointwise(kernels::where, "masked_fill", {mask, value, x}, dest, {x.dtype(), x.dtype()});
    if (needs_grad(x, value))
        record("MaskedFillBackward0", out, {x, value}, dest,
               [m = Saved(mask, dest)](Backward& bw, const Tensor& g) {
                   Tensor zero = wrapped_number(number(0.0)), covered = m.get(bw);
                   if (bw.needs(0)) bw.set(0, where(covered, zero, g));
                   if (bw.needs(1)) bw.set(1, sum(where(covered, g, zero)));
               });
    return out;
}

}  // namespace ember::ops
