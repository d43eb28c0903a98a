#include <cmath>

#include "kernels/special.h"
#include "ops/copy.h"
#include "ops/formula.h"
#include "ops/special.h"

// Special functions of two tensors; see special.h.
namespace ember::ops {

// The end of a composition: what `out=` or in place get is the fresh result's copy.
Tensor deliver(const char* name, const Tensor& result, const Dest& dest) {
    if (dest.fresh()) return result;
    const Tensor& out = dest.tensor();
    if (dest.is_in_place()) {
        EMBER_CHECK(can_cast(result.dtype(), out.dtype()),
                    "%s: result type %s can't be cast to the desired output type %s", name,
                    dtype_name(result.dtype()), dtype_name(out.dtype()));
        EMBER_CHECK(same(out.sizes(), result.sizes()),
                    "%s: output with shape %s doesn't match the broadcast shape %s", name,
                    to_string(out.sizes()).c_str(), to_string(result.sizes()).c_str());
        return copy_(out, result);
    }
    check_out(name, out, result.dtype(), result.requires_grad());
    resize_out(name, out, result.sizes());
    GradModeGuard no_grad(false);
    return copy_(out, result);
}

namespace {

Tensor constant(double value) { return wrapped_number(number(value)); }

DType float_type(const Tensor& a, const Tensor& b) {
    Tensor both[] = {a, b};
    return float_result_type(both);
}
DType pair_type(const Tensor& a, const Tensor& b) {
    Tensor both[] = {a, b};
    return result_type(both);
}

// The derivatives times g with respect to a and b, as functions of both.
using Slope = Tensor (*)(const Tensor& g, const Tensor& a, const Tensor& b);

Tensor pair(const kernels::Pointwise& slot, const char* name, const char* node, DType dtype,
            const Tensor& a, const Tensor& b, const Dest& dest, Slope by_a, Slope by_b) {
    Tensor copy;
    const Tensor& first = original(a, dest, needs_grad(a) ? a : b, copy);
    // The number is zeta's factor.
    Tensor out = pointwise(slot, name, {a, b}, dest, {dtype, dtype, {number(1.0)}, 20});
    if (needs_grad(a, b))
        record(node, out, {a, b}, dest,
               [a = Saved(first, dest), b = Saved(b, dest), by_a, by_b, dtype](Backward& bw,
                                                                               const Tensor& g) {
                   // A number or a tensor without dims may be of a dtype that rounds more.
                   Tensor x = to_dtype(a.get(bw), dtype), y = to_dtype(b.get(bw), dtype);
                   if (bw.needs(0)) bw.set(0, by_a(g, x, y));
                   if (bw.needs(1)) bw.set(1, by_b(g, x, y));
               });
    return out;
}

void floats_only(const char* name, const Tensor& a, const Tensor& b) {
    EMBER_CHECK(is_floating(pair_type(a, b)), "%s: not implemented for %s", name,
                dtype_name(pair_type(a, b)));
}

[[noreturn]] void no_derivative(const char* name) {
    raise(ErrorKind::NotImplemented, "%s: has no derivative by this argument", name);
}

}  // namespace

Tensor atan2(const Tensor& a, const Tensor& b, const Dest& dest) {
    return pair(
        kernels::atan2, "atan2", "Atan2Backward0", float_type(a, b), a, b, dest,
        [](const Tensor& g, const Tensor& y, const Tensor& x) {
            return mul(g, div(x, add(square(y), square(x))));
        },
        [](const Tensor& g, const Tensor& y, const Tensor& x) {
            return mul(g, div(neg(y), add(square(y), square(x))));
        });
}

Tensor hypot(const Tensor& a, const Tensor& b, const Dest& dest) {
    floats_only("hypot", a, b);
    return pair(
        kernels::hypot, "hypot", "HypotBackward0", pair_type(a, b), a, b, dest,
        [](const Tensor& g, const Tensor& x, const Tensor& y) {
            return mul(g, div(x, hypot(x, y, {})));
        },
        [](const Tensor& g, const Tensor& x, const Tensor& y) {
            return mul(g, div(y, hypot(x, y, {})));
        });
}

Tensor copysign(const Tensor& a, const Tensor& b, const Dest& dest) {
    return pair(
        kernels::copysign, "copysign", "CopysignBackward0", float_type(a, b), a, b, dest,
        [](const Tensor& g, const Tensor& x, const Tensor& y) {
            return mul(g, mul(sign(x), copysign(sign(x), y, {})));
        },
        [](const Tensor& g, const Tensor&, const Tensor&) { return no_slope(g); });
}

Tensor nextafter(const Tensor& a, const Tensor& b, const Dest& dest) {
    floats_only("nextafter", a, b);
    Slope none = [](const Tensor&, const Tensor&, const Tensor&) -> Tensor {
        no_derivative("nextafter");
    };
    return pair(kernels::nextafter, "nextafter", "NextafterBackward0", pair_type(a, b), a, b, dest,
                none, none);
}

namespace {

// The first where it wins or the other is NaN.
Tensor chosen(const Tensor& wins, const Tensor& other) {
    return logical_or(wins, isnan(other), {});
}

}  // namespace

Tensor fmax(const Tensor& a, const Tensor& b, const Dest& dest) {
    DType dtype = pair_type(a, b);
    if (is_integral(dtype)) return maximum(a, b, dest);
    return pair(
        kernels::fmax, "fmax", "FmaxBackward0", dtype, a, b, dest,
        [](const Tensor& g, const Tensor& x, const Tensor& y) {
            return where(chosen(ge(x, y), y), g, constant(0));
        },
        [](const Tensor& g, const Tensor& x, const Tensor& y) {
            return where(chosen(ge(x, y), y), constant(0), g);
        });
}
Tensor fmin(const Tensor& a, const Tensor& b, const Dest& dest) {
    DType dtype = pair_type(a, b);
    if (is_integral(dtype)) return minimum(a, b, dest);
    return pair(
        kernels::fmin, "fmin", "FminBackward0", dtype, a, b, dest,
        [](const Tensor& g, const Tensor& x, const Tensor& y) {
            return where(chosen(le(x, y), y), g, constant(0));
        },
        [](const Tensor& g, const Tensor& x, const Tensor& y) {
            return where(chosen(le(x, y), y), constant(0), g);
        });
}

Tensor zeta(const Tensor& s, const Tensor& q, const Dest& dest) {
    return pair(
        kernels::zeta, "special_zeta", "SpecialZetaBackward0", float_type(s, q), s, q, dest,
        [](const Tensor&, const Tensor&, const Tensor&) -> Tensor {
            no_derivative("special_zeta");
        },
        [](const Tensor& g, const Tensor& s, const Tensor& q) {
            return mul(g, mul(neg(s), zeta(add(s, 1.0), q)));
        });
}

Tensor polynomial(formulas::Polynomial kind, const Tensor& x, const Tensor& n, const Dest& dest) {
    constexpr const char* kNames[] = {
        "special_chebyshev_polynomial_t",         "special_chebyshev_polynomial_u",
        "special_chebyshev_polynomial_v",         "special_chebyshev_polynomial_w",
        "special_hermite_polynomial_h",           "special_hermite_polynomial_he",
        "special_laguerre_polynomial_l",          "special_legendre_polynomial_p",
        "special_shifted_chebyshev_polynomial_t", "special_shifted_chebyshev_polynomial_u",
        "special_shifted_chebyshev_polynomial_v", "special_shifted_chebyshev_polynomial_w",
    };
    const char* name = kNames[int(kind)];
    DType dtype = float_type(x, n);
    Tensor out = pointwise(kernels::polynomial, name, {x, n}, dest,
                           {dtype, dtype, {number(int64_t(kind))}, 100});
    if (needs_grad(x, n))
        record("SpecialPolynomialBackward0", out, {x, n}, dest,
               [name](Backward&, const Tensor&) { no_derivative(name); });
    return out;
}

// 0 log 0 is 0, and so are its derivatives.
Tensor xlogy(const Tensor& a, const Tensor& b, const Dest& dest) {
    return pair(
        kernels::xlogy, "xlogy", "XlogyBackward0", float_type(a, b), a, b, dest,
        [](const Tensor& g, const Tensor& x, const Tensor& y) {
            Tensor flat = logical_and(eq(x, constant(0)), le(y, constant(0)), {});
            return where(flat, constant(0), xlogy(g, y));
        },
        [](const Tensor& g, const Tensor& x, const Tensor& y) { return div(mul(g, x), y); });
}
Tensor xlog1py(const Tensor& a, const Tensor& b, const Dest& dest) {
    return pair(
        kernels::xlog1py, "special_xlog1py", "SpecialXlog1PyBackward0", float_type(a, b), a, b,
        dest,
        [](const Tensor& g, const Tensor& x, const Tensor& y) {
            Tensor flat = logical_and(eq(x, constant(0)), le(y, constant(-1)), {});
            return where(flat, constant(0), mul(g, log1p(y, {})));
        },
        [](const Tensor& g, const Tensor& x, const Tensor& y) {
            return div(mul(g, x), add(y, 1.0));
        });
}

Tensor logaddexp(const Tensor& a, const Tensor& b, const Dest& dest) {
    floats_only("logaddexp", a, b);
    return pair(
        kernels::logaddexp, "logaddexp", "LogaddexpBackward0", pair_type(a, b), a, b, dest,
        [](const Tensor& g, const Tensor& x, const Tensor& y) {
            return div(g, add(exp(sub(y, x)), 1.0));
        },
        [](const Tensor& g, const Tensor& x, const Tensor& y) {
            return div(g, add(exp(sub(x, y)), 1.0));
        });
}
Tensor logaddexp2(const Tensor& a, const Tensor& b, const Dest& dest) {
    floats_only("logaddexp2", a, b);
    return pair(
        kernels::logaddexp2, "logaddexp2", "Logaddexp2Backward0", pair_type(a, b), a, b, dest,
        [](const Tensor& g, const Tensor& x, const Tensor& y) {
            return div(g, add(exp2(sub(y, x), {}), 1.0));
        },
        [](const Tensor& g, const Tensor& x, const Tensor& y) {
            return div(g, add(exp2(sub(x, y), {}), 1.0));
        });
}

Tensor heaviside(const Tensor& x, const Tensor& values, const Dest& dest) {
    EMBER_CHECK(x.dtype() == values.dtype(),
                "heaviside: input and values must have one dtype, got %s and %s",
                dtype_name(x.dtype()), dtype_name(values.dtype()));
    EMBER_CHECK(dest.fresh() || dest.tensor().dtype() == x.dtype(),
                "heaviside: out must have dtype %s, got %s", dtype_name(x.dtype()),
                dtype_name(dest.tensor().dtype()));
    Tensor out;
    {
        GradModeGuard no_grad(false);
        out = where(eq(x, constant(0)), values, to_dtype(gt(x, constant(0)), x.dtype()));
    }
    out = deliver("heaviside", out, dest);
    if (needs_grad(x, values))
        record("HeavisideBackward0", out, {x, values}, dest, [](Backward&, const Tensor&) {
            raise(ErrorKind::NotImplemented, "heaviside: has no derivative");
        });
    return out;
}

Tensor ldexp(const Tensor& x, const Tensor& exponent, const Dest& dest) {
    return mul(x, pow(constant(2), exponent), dest);
}

Tensor float_power(const Tensor& a, const Tensor& b, const Dest& dest) {
    DType dtype =
        is_complex(a.dtype()) || is_complex(b.dtype()) ? DType::Complex128 : DType::Float64;
    EMBER_CHECK(dest.fresh() || dest.tensor().dtype() == dtype,
                "float_power: the result has dtype %s, got an output of %s", dtype_name(dtype),
                dest.fresh() ? "" : dtype_name(dest.tensor().dtype()));
    auto wide = [dtype](const Tensor& x) {
        return x.impl()->wrapped_number || x.dtype() == dtype ? x : to_dtype(x, dtype);
    };
    return pow(wide(a), wide(b), dest);
}

// ---- Integers

namespace {

Tensor whole(const kernels::Pointwise& slot, const char* name, const Tensor& a, const Tensor& b,
             const Dest& dest, int64_t n = 0) {
    DType dtype = pair_type(a, b);
    EMBER_CHECK(is_integral(dtype) && dtype != DType::Bool, "%s: not implemented for %s", name,
                dtype_name(dtype));
    if (!dest.fresh() && dest.tensor().dtype() != dtype)
        return deliver(name, whole(slot, name, a, b, {}, n), dest);
    // The kernel counts in 64 bits, so what wraps into the dtype has to wrap before.
    Tensor left = to_dtype(a, dtype), right = to_dtype(b, dtype);
    return pointwise(slot, name, {left, right}, dest, {dtype, dtype, {number(n)}, 10});
}

int64_t bits_of(const Tensor& a, const Tensor& b) { return item_size(pair_type(a, b)) * 8; }

}  // namespace

Tensor gcd(const Tensor& a, const Tensor& b, const Dest& dest) {
    return whole(kernels::gcd, "gcd", a, b, dest);
}
Tensor lcm(const Tensor& a, const Tensor& b, const Dest& dest) {
    return whole(kernels::lcm, "lcm", a, b, dest, bits_of(a, b) == 64 ? 64 : 32);
}
Tensor bitwise_left_shift(const Tensor& a, const Tensor& b, const Dest& dest) {
    return whole(kernels::shift_left, "bitwise_left_shift", a, b, dest, bits_of(a, b));
}
Tensor bitwise_right_shift(const Tensor& a, const Tensor& b, const Dest& dest) {
    bool has_sign = pair_type(a, b) != DType::UInt8;
    return whole(kernels::shift_right, "bitwise_right_shift", a, b, dest,
                 bits_of(a, b) - (has_sign ? 1 : 0));
}

}  // namespace ember::ops
