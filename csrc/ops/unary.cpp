#include <cmath>
#include <limits>

#include "ops/copy.h"
#include "ops/formula.h"

// Pointwise functions of one tensor: arithmetic, elementary functions, activations.
namespace ember::ops {

namespace {

Tensor unary(const kernels::Pointwise& slot, const char* name, const Tensor& x, const Dest& dest,
             double ns_per_item = 0.5) {
    return pointwise(slot, name, {x}, dest, {x.dtype(), x.dtype(), {}, ns_per_item});
}

// Integers and bool compute in the default dtype.
Tensor unary_float(const kernels::Pointwise& slot, const char* name, const Tensor& x,
                   const Dest& dest) {
    DType dtype = is_integral(x.dtype()) ? modes::default_dtype() : x.dtype();
    return pointwise(slot, name, {x}, dest, {dtype, dtype, {}, 2});
}

// A fused backward: kernel(grad, saved).
Tensor fused(const kernels::Pointwise& slot, const char* name, const Tensor& g, const Tensor& saved,
             Number a = {}, Number b = {}) {
    return pointwise(slot, name, {g, saved}, {}, {g.dtype(), g.dtype(), {a, b}, 2});
}

}  // namespace

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
    Tensor copy;
    const Tensor& first = original(x, dest, x, copy);
    EMBER_CHECK(!dest.is_in_place() || !is_complex(x.dtype()),
                "abs_: in place is not supported for complex tensors");
    Tensor out = pointwise(kernels::abs, "abs", {x}, dest, {x.dtype(), real_of(x.dtype())});
    if (needs_grad(x))
        record("AbsBackward0", out, {x}, dest, [x = Saved(first)](Backward& bw, const Tensor& g) {
            bw.set(0, mul(g, sgn(x.get(bw), {})));
        });
    return out;
}

Tensor square(const Tensor& x, const Dest& dest) {
    Tensor copy;
    const Tensor& first = original(x, dest, x, copy);
    DType dtype = x.dtype() == DType::Bool ? DType::Int64 : x.dtype();  // a power, as in PyTorch
    Tensor out = pointwise(kernels::square, "square", {x}, dest, {dtype, dtype});
    if (needs_grad(x))
        record("PowBackward0", out, {x}, dest, [x = Saved(first)](Backward& bw, const Tensor& g) {
            bw.set(0, mul(g, mul(conj(x.get(bw)), 2.0)));
        });
    return out;
}

namespace {

// Piecewise constant: the gradient is zero.
Tensor step_function(const kernels::Pointwise& slot, const char* name, const char* node,
                     const Tensor& x, const Dest& dest) {
    Tensor out = unary(slot, name, x, dest);
    if (needs_grad(x))
        record(node, out, {x}, dest, [](Backward& bw, const Tensor& g) { bw.set(0, no_slope(g)); });
    return out;
}

// The derivative, as a function of the input or of the result: of their conjugates where they are
// complex, which gives the derivative's conjugate for every function that is real on real numbers.
using Slope = Tensor (*)(const Tensor& g, const Tensor& saved);

Tensor by_input(const kernels::Pointwise& slot, const char* name, const char* node, const Tensor& x,
                const Dest& dest, Slope slope) {
    Tensor copy;
    const Tensor& first = original(x, dest, x, copy);
    Tensor out = unary_float(slot, name, x, dest);
    if (needs_grad(x))
        record(node, out, {x}, dest, [x = Saved(first), slope](Backward& bw, const Tensor& g) {
            bw.set(0, slope(g, conj(x.get(bw))));
        });
    return out;
}

Tensor by_result(const kernels::Pointwise& slot, const char* name, const char* node,
                 const Tensor& x, const Dest& dest, Slope slope) {
    Tensor out = unary_float(slot, name, x, dest);
    if (needs_grad(x))
        record(node, out, {x}, dest,
               [y = Saved::output(out), slope](Backward& bw, const Tensor& g) {
                   bw.set(0, slope(g, conj(y.get(bw))));
               });
    return out;
}

}  // namespace

Tensor sign(const Tensor& x, const Dest& dest) {
    if (is_complex(x.dtype()))
        raise(ErrorKind::NotImplemented, "sign: complex tensors are not supported; use sgn");
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
    return by_result(
        kernels::rsqrt, "rsqrt", "RsqrtBackward0", x, dest,
        [](const Tensor& g, const Tensor& y) { return mul(mul(g, mul(y, mul(y, y))), -0.5); });
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
                         if (!modes::grad_enabled() && !is_complex(y.dtype()))
                             return fused(kernels::tanh_backward, "tanh_backward", g, y);
                         return sub(g, mul(g, square(y)));
                     });
}

Tensor sigmoid(const Tensor& x, const Dest& dest) {
    return by_result(kernels::sigmoid, "sigmoid", "SigmoidBackward0", x, dest,
                     [](const Tensor& g, const Tensor& y) {
                         if (!modes::grad_enabled() && !is_complex(y.dtype()))
                             return fused(kernels::sigmoid_backward, "sigmoid_backward", g, y);
                         return mul(g, sub(y, square(y)));
                     });
}

Tensor relu(const Tensor& x, const Dest& dest) {
    EMBER_CHECK(x.dtype() != DType::Bool, "relu: bool tensors are not supported");
    Tensor out = unary(kernels::relu, "relu", x, dest);
    if (needs_grad(x))
        record("ReluBackward0", out, {x}, dest,
               [y = Saved::output(out)](Backward& bw, const Tensor& g) {
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
    if (is_complex(x.dtype())) return mul(x, sigmoid(x), dest);
    return by_input(
        kernels::silu, "silu", "SiluBackward0", x, dest, [](const Tensor& g, const Tensor& x) {
            if (!modes::grad_enabled()) return fused(kernels::silu_backward, "silu_backward", g, x);
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

// The same for 0.5 x (1 + tanh(k (x + 0.044715 x^3))), k = sqrt(2 / pi) (Hendrycks and Gimpel,
// 2016).
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
    if (!is_floating(x.dtype()))
        raise(ErrorKind::NotImplemented, "gelu: expected a floating point tensor, got %s",
              dtype_name(x.dtype()));
    if (approximate == "tanh")
        return by_input(kernels::gelu_tanh, "gelu", "GeluBackward0", x, dest, gelu_tanh_slope);
    EMBER_CHECK(approximate == "none",
                "gelu: approximate argument must be either none or tanh, "
                "got '%.*s'",
                int(approximate.size()), approximate.data());
    return by_input(kernels::gelu, "gelu", "GeluBackward0", x, dest, gelu_slope);
}

Tensor softplus(const Tensor& x, double beta, double threshold) {
    EMBER_CHECK(is_floating(x.dtype()), "softplus: expected a floating point tensor, got %s",
                dtype_name(x.dtype()));
    Tensor out = pointwise(kernels::softplus, "softplus", {x}, {},
                           {x.dtype(), x.dtype(), {number(beta), number(threshold)}, 3});
    if (needs_grad(x))
        record("SoftplusBackward0", out, {x},
               [x = Saved(x), beta, threshold](Backward& bw, const Tensor& g) {
                   // In float32 for halves: close to the threshold rounding would choose the other
                   // side.
                   Tensor value = x.get(bw);
                   if (!modes::grad_enabled()) {
                       bw.set(0, fused(kernels::softplus_backward, "softplus_backward", g, value,
                                       number(beta), number(threshold)));
                       return;
                   }
                   if (item_size(value.dtype()) == 2) value = to_dtype(value, DType::Float32);
                   Tensor scaled_x = mul(value, beta);
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
            bw.set(0,
                   fused(kernels::leaky_relu_backward, "leaky_relu_backward", g, x, number(slope)));
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
    refuse_complex("clamp", dtype);
    EMBER_CHECK(dtype != DType::Bool, "clamp: bool tensors are not supported");
    for (const Tensor& bound : std::span(all.begin(), all.end()).subspan(1))
        check_number_fits("clamp", bound, dtype);
    Number low = min ? *min : number(-std::numeric_limits<double>::infinity());
    Number high = max ? *max : number(std::numeric_limits<double>::infinity());
    if (is_integral(dtype)) {
        if (!min) low = number(std::numeric_limits<int64_t>::min());
        if (!max) high = number(std::numeric_limits<int64_t>::max());
    }
    Tensor copy;
    const Tensor& first = original(x, dest, x, copy);
    Tensor out = pointwise(kernels::clamp, "clamp", {x}, dest, {dtype, dtype, {low, high}});
    if (needs_grad(x))
        record("ClampBackward1", out, {x}, dest,
               [x = Saved(first), low, high](Backward& bw, const Tensor& g) {
                   Tensor value = x.get(bw);
                   if (!modes::grad_enabled()) {
                       bw.set(0, fused(kernels::clamp_backward, "clamp_backward", g, value, low,
                                       high));
                       return;
                   }
                   Tensor inside = logical_and(ge(value, wrapped_number(low)),
                                               le(value, wrapped_number(high)), {});
                   bw.set(0, where(inside, g, wrapped_number(number(0.0))));
               });
    return out;
}

}  // namespace ember::ops
