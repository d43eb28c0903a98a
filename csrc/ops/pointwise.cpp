#include "ops/pointwise.h"

#include <cmath>
#include <limits>

#include "ops/reduce.h"

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

Tensor unary(const kernels::Pointwise& slot, const char* name, const Tensor& x, const Dest& dest,
             double ns_per_item = 0.5) {
    return pointwise(slot, name, {x}, dest, {x.dtype(), x.dtype(), {}, ns_per_item});
}

// Integers and bool compute in the default dtype.
Tensor unary_float(const kernels::Pointwise& slot, const char* name, const Tensor& x,
                   const Dest& dest) {
    DType dtype = floating(x.dtype());
    return pointwise(slot, name, {x}, dest, {dtype, dtype, {}, 2});
}

// A fused backward: kernel(grad, saved).
Tensor fused(const kernels::Pointwise& slot, const char* name, const Tensor& g, const Tensor& saved,
             Number a = {}, Number b = {}) {
    return pointwise(slot, name, {g, saved}, {}, {g.dtype(), g.dtype(), {a, b}, 2});
}

void require_number_type(const char* name, const Tensor& a, const Tensor& b) {
    EMBER_CHECK(pair_type(a, b) != DType::Bool, "%s: bool tensors have no %s; use logical_xor", name,
                name);
}

bool is_one(Number n) {
    return n.kind == Number::Kind::Float ? n.d == 1 : n.i == 1;
}

void check_alpha(const char* name, DType dtype, Number alpha) {
    EMBER_CHECK(alpha.kind != Number::Kind::Float || !is_integral(dtype),
                "%s: for integral input tensors, argument alpha must not be a floating point number",
                name);
    EMBER_CHECK(alpha.kind != Number::Kind::Bool || dtype == DType::Bool,
                "%s: boolean alpha only supported for bool results", name);
}

Tensor scaled(const Tensor& g, Number alpha) {
    return is_one(alpha) ? g : mul(g, wrapped_number(alpha));
}

Number negated(Number n) {
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
    require_number_type("sub", a, b);
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
    Tensor out = binary(kernels::mul, "mul", a, b, dest);
    if (needs_grad(a, b))
        record("MulBackward0", out, {a, b}, dest,
               [a = Saved(a, dest), b = Saved(b, dest)](Backward& bw, const Tensor& g) {
                   if (bw.needs(0)) bw.set(0, mul(g, b.get(bw)));
                   if (bw.needs(1)) bw.set(1, mul(g, a.get(bw)));
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
            record("DivBackward1", out, {a, b}, dest, [b = Saved(b, dest)](Backward& bw, const Tensor& g) {
                if (bw.needs(0)) bw.set(0, mul(g, 0.0));
                if (bw.needs(1)) bw.set(1, mul(mul(g, b.get(bw)), 0.0));
            });
        return out;
    }
    DType dtype = floating(pair_type(a, b));
    Tensor out = pointwise(kernels::div, "div", {a, b}, dest, {dtype, dtype});
    if (needs_grad(a, b))
        record("DivBackward0", out, {a, b}, dest,
               [a = Saved(a, dest), b = Saved(b, dest)](Backward& bw, const Tensor& g) {
                   Tensor divisor = b.get(bw);
                   if (bw.needs(0)) bw.set(0, div(g, divisor));
                   if (bw.needs(1))
                       bw.set(1, mul(neg(g), div(div(a.get(bw), divisor), divisor)));
               });
    return out;
}

Tensor floor_divide(const Tensor& a, const Tensor& b, const Dest& dest) {
    Tensor out = binary(kernels::floor_divide, "floor_divide", a, b, dest);
    if (needs_grad(a, b))
        record("FloorDivideBackward0", out, {a, b}, dest, [b = Saved(b, dest)](Backward& bw, const Tensor& g) {
            if (bw.needs(0)) bw.set(0, mul(g, 0.0));
            if (bw.needs(1)) bw.set(1, mul(mul(g, b.get(bw)), 0.0));
        });
    return out;
}

Tensor remainder(const Tensor& a, const Tensor& b, const Dest& dest) {
    Tensor out = binary(kernels::remainder, "remainder", a, b, dest);
    if (needs_grad(a, b))
        record("RemainderBackward0", out, {a, b}, dest,
               [a = Saved(a, dest), b = Saved(b, dest)](Backward& bw, const Tensor& g) {
                   if (bw.needs(0)) bw.set(0, g);
                   if (bw.needs(1))
                       bw.set(1, mul(neg(g), div(a.get(bw), b.get(bw), "floor", {})));
               });
    return out;
}

Tensor fmod(const Tensor& a, const Tensor& b, const Dest& dest) {
    Tensor out = binary(kernels::fmod, "fmod", a, b, dest);
    if (needs_grad(a, b))
        record("FmodBackward0", out, {a, b}, dest,
               [a = Saved(a, dest), b = Saved(b, dest)](Backward& bw, const Tensor& g) {
                   if (bw.needs(0)) bw.set(0, g);
                   if (bw.needs(1))
                       bw.set(1, mul(neg(g), div(a.get(bw), b.get(bw), "trunc", {})));
               });
    return out;
}

Tensor pow(const Tensor& a, const Tensor& b, const Dest& dest) {
    DType dtype = pair_type(a, b);
    if (is_integral(dtype) && b.numel() > 0 && b.impl()->wrapped_number)
        EMBER_CHECK(*b.as<int64_t>() >= 0,
                    "pow: integers to negative integer powers are not allowed");
    Tensor out = binary(kernels::pow, "pow", a, b, dest);
    if (!needs_grad(a, b)) return out;
    record("PowBackward0", out, {a, b}, dest,
           [a = Saved(a, dest), b = Saved(b, dest), y = Saved::output(out)](Backward& bw, const Tensor& g) {
               Tensor base = a.get(bw), exponent = b.get(bw);
               Tensor zero = wrapped_number(number(0.0));
               // b a^(b-1), but 0 where b is 0, also at a = 0.
               if (bw.needs(0)) {
                   Tensor slope = mul(exponent, pow(base, add(exponent, -1.0)));
                   bw.set(0, mul(g, where(eq(exponent, zero), zero, slope)));
               }
               // a^b log(a), but 0 where a is 0 and b is not negative.
               if (bw.needs(1)) {
                   Tensor flat = logical_and(eq(base, zero), ge(exponent, zero), {});
                   bw.set(1, mul(g, where(flat, zero, mul(y.get(bw), log(base)))));
               }
           });
    return out;
}

namespace {

// Where both are equal each gets half of the gradient.
Tensor extreme(const kernels::Pointwise& slot, const char* name, const char* node, const Tensor& a,
               const Tensor& b, const Dest& dest, Tensor (*wins)(const Tensor&, const Tensor&, const Dest&)) {
    Tensor out = binary(slot, name, a, b, dest);
    if (needs_grad(a, b))
        record(node, out, {a, b}, dest,
               [a = Saved(a, dest), b = Saved(b, dest), wins](Backward& bw, const Tensor& g) {
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

Tensor addcmul(const Tensor& x, const Tensor& a, const Tensor& b, Number value, const Dest& dest) {
    Tensor all[] = {x, a, b};
    DType dtype = result_type(all);
    check_alpha("addcmul", dtype, value);
    Tensor out = pointwise(kernels::addcmul, "addcmul", all, dest, {dtype, dtype, {value}});
    if (needs_grad(x, a, b))
        record("AddcmulBackward0", out, {x, a, b}, dest,
               [a = Saved(a, dest), b = Saved(b, dest), value](Backward& bw, const Tensor& g) {
                   if (bw.needs(0)) bw.set(0, g);
                   if (bw.needs(1)) bw.set(1, scaled(mul(g, b.get(bw)), value));
                   if (bw.needs(2)) bw.set(2, scaled(mul(g, a.get(bw)), value));
               });
    return out;
}

Tensor addcdiv(const Tensor& x, const Tensor& a, const Tensor& b, Number value, const Dest& dest) {
    Tensor all[] = {x, a, b};
    DType dtype = result_type(all);
    EMBER_CHECK(!is_integral(dtype),
                "addcdiv: integer division is not supported; give floating point tensors");
    Tensor out = pointwise(kernels::addcdiv, "addcdiv", all, dest, {dtype, dtype, {value}});
    if (needs_grad(x, a, b))
        record("AddcdivBackward0", out, {x, a, b}, dest,
               [a = Saved(a, dest), b = Saved(b, dest), value](Backward& bw, const Tensor& g) {
                   Tensor divisor = b.get(bw);
                   if (bw.needs(0)) bw.set(0, g);
                   if (bw.needs(1)) bw.set(1, scaled(div(g, divisor), value));
                   if (bw.needs(2))
                       bw.set(2, neg(scaled(mul(g, div(div(a.get(bw), divisor), divisor)), value)));
               });
    return out;
}

Tensor lerp(const Tensor& a, const Tensor& b, const Tensor& weight, const Dest& dest) {
    Tensor all[] = {a, b, weight};
    DType dtype = float_result_type(all);
    EMBER_CHECK(a.dtype() == b.dtype(), "lerp: expected dtype %s for `end` but got dtype %s",
                dtype_name(a.dtype()), dtype_name(b.dtype()));
    Tensor out = pointwise(kernels::lerp, "lerp", all, dest, {dtype, dtype});
    if (needs_grad(a, b, weight))
        record("LerpBackward0", out, {a, b, weight}, dest,
               [a = Saved(a, dest), b = Saved(b, dest), w = Saved(weight, dest)](Backward& bw, const Tensor& g) {
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
    EMBER_CHECK(is_integral(pair_type(a, b)), "%s: expected integers or bool, got %s and %s", name,
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
    EMBER_CHECK(is_integral(x.dtype()), "bitwise_not: expected integers or bool, got %s",
                dtype_name(x.dtype()));
    return unary(kernels::bitwise_not, "bitwise_not", x, dest);
}

Tensor eq(const Tensor& a, const Tensor& b, const Dest& dest) {
    return comparison(kernels::eq, "eq", a, b, dest);
}
Tensor ne(const Tensor& a, const Tensor& b, const Dest& dest) {
    return comparison(kernels::ne, "ne", a, b, dest);
}
Tensor lt(const Tensor& a, const Tensor& b, const Dest& dest) {
    return comparison(kernels::lt, "lt", a, b, dest);
}
Tensor le(const Tensor& a, const Tensor& b, const Dest& dest) {
    return comparison(kernels::le, "le", a, b, dest);
}
Tensor gt(const Tensor& a, const Tensor& b, const Dest& dest) {
    return comparison(kernels::gt, "gt", a, b, dest);
}
Tensor ge(const Tensor& a, const Tensor& b, const Dest& dest) {
    return comparison(kernels::ge, "ge", a, b, dest);
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

}  // namespace

Tensor isnan(const Tensor& x) { return predicate(kernels::isnan, "isnan", x); }
Tensor isinf(const Tensor& x) { return predicate(kernels::isinf, "isinf", x); }
Tensor isfinite(const Tensor& x) { return predicate(kernels::isfinite, "isfinite", x); }

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b, const Dest& dest) {
    EMBER_CHECK(condition.dtype() == DType::Bool || condition.dtype() == DType::UInt8,
                "where: expected condition to be a boolean tensor, got %s",
                dtype_name(condition.dtype()));
    DType dtype = pair_type(a, b);
    Tensor out = pointwise(kernels::where, "where", {condition, a, b}, dest, {dtype, dtype});
    if (needs_grad(a, b))
        record("WhereBackward0", out, {a, b}, [c = Saved(condition)](Backward& bw, const Tensor& g) {
            Tensor zero = wrapped_number(number(0.0)), mask = c.get(bw);
            if (bw.needs(0)) bw.set(0, where(mask, g, zero));
            if (bw.needs(1)) bw.set(1, where(mask, zero, g));
        });
    return out;
}

Tensor masked_fill(const Tensor& x, const Tensor& mask, const Tensor& value, const Dest& dest) {
    EMBER_CHECK(mask.dtype() == DType::Bool, "masked_fill: mask must be bool, got %s",
                dtype_name(mask.dtype()));
    EMBER_CHECK(value.dim() == 0, "masked_fill: value must be a number or a zero-dim tensor, got %s",
                to_string(value.sizes()).c_str());
    EMBER_CHECK(!value.impl()->wrapped_number || can_cast(value.dtype(), x.dtype()),
                "masked_fill: value cannot be converted to type %s without overflow",
                dtype_name(x.dtype()));
    Tensor out = pointwise(kernels::where, "masked_fill", {mask, value, x}, dest,
                           {x.dtype(), x.dtype()});
    if (needs_grad(x, value))
        record("MaskedFillBackward0", out, {x, value}, dest, [m = Saved(mask, dest)](Backward& bw, const Tensor& g) {
            Tensor zero = wrapped_number(number(0.0)), covered = m.get(bw);
            if (bw.needs(0)) bw.set(0, where(covered, zero, g));
            if (bw.needs(1)) bw.set(1, sum(where(covered, g, zero)));
        });
    return out;
}

// ---- Unary

Tensor neg(const Tensor& x, const Dest& dest) {
    EMBER_CHECK(x.dtype() != DType::Bool,
                "neg: bool tensors have no negative; use `~` or logical_not");
    Tensor out = unary(kernels::neg, "neg", x, dest);
    if (needs_grad(x))
        record("NegBackward0", out, {x}, dest,
               [](Backward& bw, const Tensor& g) { bw.set(0, neg(g)); });
    return out;
}

Tensor abs(const Tensor& x, const Dest& dest) {
    Tensor out = unary(kernels::abs, "abs", x, dest);
    if (needs_grad(x))
        record("AbsBackward0", out, {x}, dest, [x = Saved(x, dest)](Backward& bw, const Tensor& g) {
            bw.set(0, mul(g, sign(x.get(bw))));
        });
    return out;
}

Tensor square(const Tensor& x, const Dest& dest) {
    Tensor out = unary(kernels::square, "square", x, dest);
    if (needs_grad(x))
        record("PowBackward0", out, {x}, dest, [x = Saved(x, dest)](Backward& bw, const Tensor& g) {
            bw.set(0, mul(g, mul(x.get(bw), 2.0)));
        });
    return out;
}

namespace {

// Piecewise constant: the gradient is zero.
Tensor step_function(const kernels::Pointwise& slot, const char* name, const char* node,
                     const Tensor& x, const Dest& dest) {
    Tensor out = unary(slot, name, x, dest);
    if (needs_grad(x))
        record(node, out, {x}, dest, [](Backward& bw, const Tensor& g) { bw.set(0, mul(g, 0.0)); });
    return out;
}

// The derivative, as a function of the input or of the result.
using Slope = Tensor (*)(const Tensor& g, const Tensor& saved);

Tensor by_input(const kernels::Pointwise& slot, const char* name, const char* node, const Tensor& x,
                const Dest& dest, Slope slope) {
    Tensor out = unary_float(slot, name, x, dest);
    if (needs_grad(x))
        record(node, out, {x}, dest, [x = Saved(x, dest), slope](Backward& bw, const Tensor& g) {
            bw.set(0, slope(g, x.get(bw)));
        });
    return out;
}

Tensor by_result(const kernels::Pointwise& slot, const char* name, const char* node, const Tensor& x,
                 const Dest& dest, Slope slope) {
    Tensor out = unary_float(slot, name, x, dest);
    if (needs_grad(x))
        record(node, out, {x}, dest, [y = Saved::output(out), slope](Backward& bw, const Tensor& g) {
            bw.set(0, slope(g, y.get(bw)));
        });
    return out;
}

}  // namespace

Tensor sign(const Tensor& x, const Dest& dest) {
    return step_function(kernels::sign, "sign", "SignBackward0", x, dest);
}
Tensor floor(const Tensor& x, const Dest& dest) {
    return step_function(kernels::floor, "floor", "FloorBackward0", x, dest);
}
Tensor ceil(const Tensor& x, const Dest& dest) {
    return step_function(kernels::ceil, "ceil", "CeilBackward0", x, dest);
}
Tensor round(const Tensor& x, const Dest& dest) {
    return step_function(kernels::round, "round", "RoundBackward0", x, dest);
}
Tensor trunc(const Tensor& x, const Dest& dest) {
    return step_function(kernels::trunc, "trunc", "TruncBackward0", x, dest);
}

Tensor reciprocal(const Tensor& x, const Dest& dest) {
    return by_result(kernels::reciprocal, "reciprocal", "ReciprocalBackward0", x, dest,
                     [](const Tensor& g, const Tensor& y) { return mul(neg(g), mul(y, y)); });
}
Tensor exp(const Tensor& x, const Dest& dest) {
    return by_result(kernels::exp, "exp", "ExpBackward0", x, dest,
                     [](const Tensor& g, const Tensor& y) { return mul(g, y); });
}
Tensor exp2(const Tensor& x, const Dest& dest) {
    return by_result(kernels::exp2, "exp2", "Exp2Backward0", x, dest,
                     [](const Tensor& g, const Tensor& y) { return mul(mul(g, y), M_LN2); });
}
Tensor expm1(const Tensor& x, const Dest& dest) {
    return by_result(kernels::expm1, "expm1", "Expm1Backward0", x, dest,
                     [](const Tensor& g, const Tensor& y) { return mul(g, add(y, 1.0)); });
}
Tensor log(const Tensor& x, const Dest& dest) {
    return by_input(kernels::log, "log", "LogBackward0", x, dest,
                    [](const Tensor& g, const Tensor& x) { return div(g, x); });
}
Tensor log2(const Tensor& x, const Dest& dest) {
    return by_input(kernels::log2, "log2", "Log2Backward0", x, dest,
                    [](const Tensor& g, const Tensor& x) { return div(g, mul(x, M_LN2)); });
}
Tensor log10(const Tensor& x, const Dest& dest) {
    return by_input(kernels::log10, "log10", "Log10Backward0", x, dest,
                    [](const Tensor& g, const Tensor& x) { return div(g, mul(x, M_LN10)); });
}
Tensor log1p(const Tensor& x, const Dest& dest) {
    return by_input(kernels::log1p, "log1p", "Log1PBackward0", x, dest,
                    [](const Tensor& g, const Tensor& x) { return div(g, add(x, 1.0)); });
}
Tensor sqrt(const Tensor& x, const Dest& dest) {
    return by_result(kernels::sqrt, "sqrt", "SqrtBackward0", x, dest,
                     [](const Tensor& g, const Tensor& y) { return div(g, mul(y, 2.0)); });
}
Tensor rsqrt(const Tensor& x, const Dest& dest) {
    return by_result(kernels::rsqrt, "rsqrt", "RsqrtBackward0", x, dest,
                     [](const Tensor& g, const Tensor& y) {
                         return mul(mul(g, mul(y, mul(y, y))), -0.5);
                     });
}
Tensor sin(const Tensor& x, const Dest& dest) {
    return by_input(kernels::sin, "sin", "SinBackward0", x, dest,
                    [](const Tensor& g, const Tensor& x) { return mul(g, cos(x)); });
}
Tensor cos(const Tensor& x, const Dest& dest) {
    return by_input(kernels::cos, "cos", "CosBackward0", x, dest,
                    [](const Tensor& g, const Tensor& x) { return neg(mul(g, sin(x))); });
}
Tensor erf(const Tensor& x, const Dest& dest) {
    return by_input(kernels::erf, "erf", "ErfBackward0", x, dest,
                    [](const Tensor& g, const Tensor& x) {
                        return mul(g, mul(exp(neg(square(x))), M_2_SQRTPI));
                    });
}

Tensor tanh(const Tensor& x, const Dest& dest) {
    return by_result(kernels::tanh, "tanh", "TanhBackward0", x, dest,
                     [](const Tensor& g, const Tensor& y) {
                         if (!modes::grad_enabled())
                             return fused(kernels::tanh_backward, "tanh_backward", g, y);
                         return sub(g, mul(g, square(y)));
                     });
}

Tensor sigmoid(const Tensor& x, const Dest& dest) {
    return by_result(kernels::sigmoid, "sigmoid", "SigmoidBackward0", x, dest,
                     [](const Tensor& g, const Tensor& y) {
                         if (!modes::grad_enabled())
                             return fused(kernels::sigmoid_backward, "sigmoid_backward", g, y);
                         return mul(g, sub(y, square(y)));
                     });
}

Tensor relu(const Tensor& x, const Dest& dest) {
    EMBER_CHECK(x.dtype() != DType::Bool, "relu: bool tensors are not supported");
    Tensor out = unary(kernels::relu, "relu", x, dest);
    if (needs_grad(x))
        record("ReluBackward0", out, {x}, dest, [y = Saved::output(out)](Backward& bw, const Tensor& g) {
            if (!modes::grad_enabled()) {
                bw.set(0, fused(kernels::relu_backward, "relu_backward", g, y.get(bw)));
                return;
            }
            Tensor zero = wrapped_number(number(0.0));
            bw.set(0, where(le(y.get(bw), zero), zero, g));
        });
    return out;
}

Tensor silu(const Tensor& x, const Dest& dest) {
    return by_input(kernels::silu, "silu", "SiluBackward0", x, dest,
                    [](const Tensor& g, const Tensor& x) {
                        if (!modes::grad_enabled())
                            return fused(kernels::silu_backward, "silu_backward", g, x);
                        Tensor s = sigmoid(x);
                        return mul(g, mul(s, add(mul(x, sub(wrapped_number(number(1.0)), s)), 1.0)));
                    });
}

namespace {

// d/dx of x Phi(x): Phi(x) + x phi(x).
Tensor gelu_slope(const Tensor& g, const Tensor& x) {
    if (!modes::grad_enabled()) return fused(kernels::gelu_backward, "gelu_backward", g, x);
    Tensor cdf = mul(add(erf(mul(x, M_SQRT1_2)), 1.0), 0.5);
    Tensor density = mul(exp(mul(square(x), -0.5)), M_2_SQRTPI * M_SQRT1_2 * 0.5);
    return mul(g, add(cdf, mul(x, density)));
}

// The same for 0.5 x (1 + tanh(k (x + 0.044715 x^3))), k = sqrt(2 / pi) (Hendrycks and Gimpel, 2016).
Tensor gelu_tanh_slope(const Tensor& g, const Tensor& x) {
    if (!modes::grad_enabled())
        return fused(kernels::gelu_tanh_backward, "gelu_tanh_backward", g, x);
    constexpr double k = M_2_SQRTPI * M_SQRT1_2, c = 0.044715;
    Tensor x2 = square(x);
    Tensor t = tanh(mul(mul(x, add(mul(x2, c), 1.0)), k));
    Tensor inner = mul(add(mul(x2, 3 * c), 1.0), k);
    Tensor one = wrapped_number(number(1.0));
    Tensor slope = add(add(t, 1.0), mul(mul(x, sub(one, square(t))), inner));
    return mul(g, mul(slope, 0.5));
}

}  // namespace

Tensor gelu(const Tensor& x, std::string_view approximate, const Dest& dest) {
    EMBER_CHECK(is_floating(x.dtype()), "gelu: expected a floating point tensor, got %s",
                dtype_name(x.dtype()));
    if (approximate == "tanh")
        return by_input(kernels::gelu_tanh, "gelu", "GeluBackward0", x, dest, gelu_tanh_slope);
    EMBER_CHECK(approximate == "none", "gelu: approximate argument must be either none or tanh, "
                "got '%.*s'", int(approximate.size()), approximate.data());
    return by_input(kernels::gelu, "gelu", "GeluBackward0", x, dest, gelu_slope);
}

Tensor softplus(const Tensor& x, double beta, double threshold) {
    EMBER_CHECK(is_floating(x.dtype()), "softplus: expected a floating point tensor, got %s",
                dtype_name(x.dtype()));
    Tensor out = pointwise(kernels::softplus, "softplus", {x}, {},
                           {x.dtype(), x.dtype(), {number(beta), number(threshold)}, 3});
    if (needs_grad(x))
        record("SoftplusBackward0", out, {x}, [x = Saved(x), beta, threshold](Backward& bw, const Tensor& g) {
            Tensor scaled_x = mul(x.get(bw), beta);
            bw.set(0, where(gt(scaled_x, wrapped_number(number(threshold))), g,
                            mul(g, sigmoid(scaled_x))));
        });
    return out;
}

Tensor log_sigmoid(const Tensor& x) {
    EMBER_CHECK(is_floating(x.dtype()), "logsigmoid: expected a floating point tensor, got %s",
                dtype_name(x.dtype()));
    return by_input(kernels::log_sigmoid, "logsigmoid", "LogSigmoidBackward0", x, {},
                    [](const Tensor& g, const Tensor& x) { return mul(g, sigmoid(neg(x))); });
}

Tensor leaky_relu(const Tensor& x, double slope, const Dest& dest) {
    EMBER_CHECK(is_floating(x.dtype()), "leaky_relu: expected a floating point tensor, got %s",
                dtype_name(x.dtype()));
    EMBER_CHECK(!dest.is_in_place() || slope >= 0 || !needs_grad(x),
                "leaky_relu_: in place needs a slope that is not negative, got %g", slope);
    Tensor out = pointwise(kernels::leaky_relu, "leaky_relu", {x}, dest,
                           {x.dtype(), x.dtype(), {number(slope)}});
    if (!needs_grad(x)) return out;
    // The sign of the result is the sign of the input unless the slope is negative.
    Saved saved = dest.is_in_place() ? Saved::output(out) : Saved(x);
    record("LeakyReluBackward0", out, {x}, dest, [saved, slope](Backward& bw, const Tensor& g) {
        Tensor x = saved.get(bw);
        if (!modes::grad_enabled()) {
            bw.set(0, fused(kernels::leaky_relu_backward, "leaky_relu_backward", g, x, number(slope)));
            return;
        }
        bw.set(0, where(gt(x, wrapped_number(number(0.0))), g, mul(g, slope)));
    });
    return out;
}

Tensor clamp(const Tensor& x, std::optional<Number> min, std::optional<Number> max,
             const Dest& dest) {
    EMBER_CHECK(min || max, "clamp: at least one of min or max must not be None");
    SmallVector<Tensor, 4> all{x};
    if (min) all.push_back(wrapped_number(*min));
    if (max) all.push_back(wrapped_number(*max));
    DType dtype = result_type(all);
    EMBER_CHECK(dtype != DType::Bool, "clamp: bool tensors are not supported");
    Number low = min ? *min : number(-std::numeric_limits<double>::infinity());
    Number high = max ? *max : number(std::numeric_limits<double>::infinity());
    if (is_integral(dtype)) {
        if (!min) low = number(std::numeric_limits<int64_t>::min());
        if (!max) high = number(std::numeric_limits<int64_t>::max());
    }
    Tensor out = pointwise(kernels::clamp, "clamp", {x}, dest, {dtype, dtype, {low, high}});
    if (needs_grad(x))
        record("ClampBackward1", out, {x}, dest, [x = Saved(x, dest), low, high](Backward& bw, const Tensor& g) {
            Tensor value = x.get(bw);
            if (!modes::grad_enabled()) {
                bw.set(0, fused(kernels::clamp_backward, "clamp_backward", g, value, low, high));
                return;
            }
            Tensor inside = logical_and(ge(value, wrapped_number(low)), le(value, wrapped_number(high)), {});
            bw.set(0, where(inside, g, wrapped_number(number(0.0))));
        });
    return out;
}

Tensor clamp_tensor(const Tensor& x, const Tensor& min, const Tensor& max, const Dest& dest) {
    EMBER_CHECK(min.defined() || max.defined(), "clamp: at least one of min or max must not be None");
    auto bounded = [&](const Tensor& value, const Tensor& bound, const kernels::Pointwise& slot,
                       const Dest& to) { return binary(slot, "clamp", value, bound, to); };
    Tensor out = min.defined() ? bounded(x, min, kernels::maximum, max.defined() ? Dest() : dest) : x;
    if (max.defined()) out = bounded(out, max, kernels::minimum, dest);
    auto record_clamp = [&](auto saved_x, auto saved_min, auto saved_max) {
        record("ClampBackward0", out, {x, min, max}, dest,
               [=](Backward& bw, const Tensor& g) {
                   Tensor v = saved_x.get(bw), low = saved_min.get(bw), high = saved_max.get(bw);
                   Tensor zero = wrapped_number(number(0.0));
                   Tensor below = low.defined() ? lt(v, low) : Tensor();
                   Tensor above = high.defined() ? gt(v, high) : Tensor();
                   if (below.defined() && above.defined())
                       below = logical_and(below, ge(high, low), {});
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
    if (needs_grad(x, min, max)) record_clamp(Saved(x, dest), Saved(min), Saved(max));
    return out;
}

}  // namespace ember::ops
