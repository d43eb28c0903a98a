#include "ops/special.h"

#include <cmath>
#include <limits>

#include "kernels/special.h"
#include "ops/copy.h"
#include "ops/formula.h"
#include "ops/view.h"

namespace ember::ops {

namespace {

constexpr double kNs = 20;

Tensor constant(double value) { return wrapped_number(number(value)); }

// The derivative times g, as a function of the input.
using Slope = Tensor (*)(const Tensor& g, const Tensor& x);

Tensor elementary(const kernels::Pointwise& slot, const char* name, const char* node,
                  const Tensor& x, const Dest& dest, Slope slope,
                  std::initializer_list<Number> numbers = {}) {
    Tensor copy;
    const Tensor& first = original(x, dest, x, copy);
    DType dtype = is_integral(x.dtype()) ? modes::default_dtype() : x.dtype();
    Tensor out = pointwise(slot, name, {x}, dest, {dtype, dtype, numbers, kNs});
    if (needs_grad(x))
        record(node, out, {x}, dest, [x = Saved(first), slope](Backward& bw, const Tensor& g) {
            bw.set(0, slope(g, conj(x.get(bw))));
        });
    return out;
}

// As PyTorch, which has no derivative for these.
Tensor without_slope(const kernels::Pointwise& slot, const char* name, const char* node,
                     const Tensor& x, const Dest& dest,
                     std::initializer_list<Number> numbers = {}) {
    DType dtype = is_integral(x.dtype()) ? modes::default_dtype() : x.dtype();
    Tensor out = pointwise(slot, name, {x}, dest, {dtype, dtype, numbers, kNs});
    if (needs_grad(x))
        record(node, out, {x}, dest, [name](Backward&, const Tensor&) {
            raise(ErrorKind::NotImplemented, "%s: has no derivative", name);
        });
    return out;
}

Tensor one_plus(const Tensor& x) { return add(x, 1.0); }
Tensor one_minus(const Tensor& x) { return add(neg(x), 1.0); }

}  // namespace

Tensor tan(const Tensor& x, const Dest& dest) {
    return elementary(
        kernels::tan, "tan", "TanBackward0", x, dest,
        [](const Tensor& g, const Tensor& x) { return mul(g, one_plus(square(tan(x, {})))); });
}
Tensor asin(const Tensor& x, const Dest& dest) {
    return elementary(
        kernels::asin, "asin", "AsinBackward0", x, dest,
        [](const Tensor& g, const Tensor& x) { return mul(g, rsqrt(one_minus(square(x)), {})); });
}
Tensor acos(const Tensor& x, const Dest& dest) {
    return elementary(kernels::acos, "acos", "AcosBackward0", x, dest,
                      [](const Tensor& g, const Tensor& x) {
                          return mul(neg(g), rsqrt(one_minus(square(x)), {}));
                      });
}
Tensor atan(const Tensor& x, const Dest& dest) {
    return elementary(kernels::atan, "atan", "AtanBackward0", x, dest,
                      [](const Tensor& g, const Tensor& x) { return div(g, one_plus(square(x))); });
}
Tensor sinh(const Tensor& x, const Dest& dest) {
    return elementary(kernels::sinh, "sinh", "SinhBackward0", x, dest,
                      [](const Tensor& g, const Tensor& x) { return mul(g, cosh(x)); });
}
Tensor cosh(const Tensor& x, const Dest& dest) {
    return elementary(kernels::cosh, "cosh", "CoshBackward0", x, dest,
                      [](const Tensor& g, const Tensor& x) { return mul(g, sinh(x)); });
}
Tensor asinh(const Tensor& x, const Dest& dest) {
    return elementary(
        kernels::asinh, "asinh", "AsinhBackward0", x, dest,
        [](const Tensor& g, const Tensor& x) { return mul(g, rsqrt(one_plus(square(x)), {})); });
}
Tensor acosh(const Tensor& x, const Dest& dest) {
    return elementary(
        kernels::acosh, "acosh", "AcoshBackward0", x, dest,
        [](const Tensor& g, const Tensor& x) { return mul(g, rsqrt(add(square(x), -1.0), {})); });
}
Tensor atanh(const Tensor& x, const Dest& dest) {
    return elementary(
        kernels::atanh, "atanh", "AtanhBackward0", x, dest,
        [](const Tensor& g, const Tensor& x) { return div(g, one_minus(square(x))); });
}
Tensor frac(const Tensor& x, const Dest& dest) {
    EMBER_CHECK(is_floating(x.dtype()), "frac: not implemented for %s", dtype_name(x.dtype()));
    return elementary(kernels::frac, "frac", "FracBackward0", x, dest,
                      [](const Tensor& g, const Tensor&) { return g; });
}
Tensor deg2rad(const Tensor& x, const Dest& dest) {
    refuse_complex("deg2rad", x.dtype());
    return mul(x, constant(M_PI / 180), dest);
}
Tensor rad2deg(const Tensor& x, const Dest& dest) {
    refuse_complex("rad2deg", x.dtype());
    return mul(x, constant(180 / M_PI), dest);
}

// ---- The error function and the normal distribution

Tensor erfc(const Tensor& x, const Dest& dest) {
    return elementary(kernels::erfc, "erfc", "ErfcBackward0", x, dest,
                      [](const Tensor& g, const Tensor& x) {
                          return mul(g, mul(exp(neg(square(x))), -M_2_SQRTPI));
                      });
}
Tensor erfcx(const Tensor& x, const Dest& dest) {
    return elementary(kernels::erfcx, "special_erfcx", "SpecialErfcxBackward0", x, dest,
                      [](const Tensor& g, const Tensor& x) {
                          return mul(g, add(mul(mul(x, 2.0), erfcx(x)), -M_2_SQRTPI));
                      });
}
Tensor erfinv(const Tensor& x, const Dest& dest) {
    return elementary(kernels::erfinv, "erfinv", "ErfinvBackward0", x, dest,
                      [](const Tensor& g, const Tensor& x) {
                          return mul(g, mul(exp(square(erfinv(x))), 1 / M_2_SQRTPI));
                      });
}
Tensor ndtr(const Tensor& x, const Dest& dest) {
    return elementary(kernels::ndtr, "special_ndtr", "SpecialNdtrBackward0", x, dest,
                      [](const Tensor& g, const Tensor& x) {
                          return mul(g,
                                     mul(exp(mul(square(x), -0.5)), 0.5 * M_SQRT1_2 * M_2_SQRTPI));
                      });
}
Tensor ndtri(const Tensor& x, const Dest& dest) {
    return elementary(kernels::ndtri, "special_ndtri", "SpecialNdtriBackward0", x, dest,
                      [](const Tensor& g, const Tensor& x) {
                          return mul(g, mul(exp(mul(square(ndtri(x)), 0.5)), std::sqrt(2 * M_PI)));
                      });
}
Tensor log_ndtr(const Tensor& x, const Dest& dest) {
    return elementary(kernels::log_ndtr, "special_log_ndtr", "SpecialLogNdtrBackward0", x, dest,
                      [](const Tensor& g, const Tensor& x) {
                          return mul(div(g, erfcx(mul(x, -M_SQRT1_2))), M_SQRT1_2 * M_2_SQRTPI);
                      });
}

// ---- The gamma function

Tensor lgamma(const Tensor& x, const Dest& dest) {
    return elementary(kernels::lgamma, "lgamma", "LgammaBackward0", x, dest,
                      [](const Tensor& g, const Tensor& x) { return mul(g, digamma(x)); });
}
Tensor digamma(const Tensor& x, const Dest& dest) {
    return elementary(kernels::digamma, "digamma", "DigammaBackward0", x, dest,
                      [](const Tensor& g, const Tensor& x) { return mul(g, polygamma(1, x)); });
}
Tensor polygamma(int64_t n, const Tensor& x, const Dest& dest) {
    EMBER_CHECK(n >= 0, "polygamma: n must not be negative, got %ld", long(n));
    if (n == 0) return digamma(x, dest);
    Tensor copy;
    const Tensor& first = original(x, dest, x, copy);
    DType dtype = is_integral(x.dtype()) ? modes::default_dtype() : x.dtype();
    Tensor out;
    if (n == 1) {
        out = pointwise(kernels::trigamma, "polygamma", {x}, dest, {dtype, dtype, {}, kNs});
    } else {  // DLMF 5.15.1
        double factor = std::tgamma(double(n) + 1) * (n % 2 ? 1 : -1);
        Tensor order = constant(double(n) + 1);
        out = pointwise(kernels::zeta, "polygamma", {order, x}, dest,
                        {dtype, dtype, {number(factor)}, 100});
    }
    if (needs_grad(x))
        record("PolygammaBackward0", out, {x}, dest,
               [x = Saved(first), n](Backward& bw, const Tensor& g) {
                   bw.set(0, mul(g, polygamma(n + 1, x.get(bw))));
               });
    return out;
}
Tensor mvlgamma(const Tensor& x, int64_t p, const Dest& dest) {
    EMBER_CHECK(p >= 1, "mvlgamma: p has to be greater than or equal to 1, got %ld", long(p));
    EMBER_CHECK(x.dtype() != DType::Bool, "mvlgamma: the input may not be a bool tensor");
    Tensor value = is_integral(x.dtype()) ? to_dtype(x, modes::default_dtype()) : x;
    Tensor halves = mul(arange(number(int64_t(0)), number(p), number(int64_t(1)), value.dtype(),
                               value.device(), false),
                        -0.5);
    Tensor total = sum(lgamma(add(unsqueeze(value, -1), halves), {}), {-1}, false);
    double offset = 0.25 * double(p) * double(p - 1) * std::log(M_PI);
    return deliver("mvlgamma", add(total, offset), dest);
}

// ---- Bessel functions

namespace {

// y / x, and `at_zero` at zero.
Tensor over(const Tensor& y, const Tensor& x, const Tensor& beside, double at_zero) {
    Tensor zero = le(abs(x, {}), constant(1e-30));
    Tensor divisor = where(zero, constant(1), x);
    return where(zero, constant(at_zero), sub(beside, div(y, divisor)));
}

}  // namespace

Tensor i0(const Tensor& x, const Dest& dest) {
    return elementary(kernels::modified_first_bessel, "i0", "I0Backward0", x, dest,
                      [](const Tensor& g, const Tensor& x) { return mul(g, i1(x)); },
                      {number(0.0), number(0.0)});
}
Tensor i0e(const Tensor& x, const Dest& dest) {
    return elementary(
        kernels::modified_first_bessel, "special_i0e", "SpecialI0EBackward0", x, dest,
        [](const Tensor& g, const Tensor& x) { return mul(g, sub(i1e(x), mul(sign(x), i0e(x)))); },
        {number(0.0), number(1.0)});
}
Tensor i1(const Tensor& x, const Dest& dest) {
    return elementary(
        kernels::modified_first_bessel, "special_i1", "SpecialI1Backward0", x, dest,
        [](const Tensor& g, const Tensor& x) { return mul(g, over(i1(x), x, i0(x), 0.5)); },
        {number(1.0), number(0.0)});
}
Tensor i1e(const Tensor& x, const Dest& dest) {
    return elementary(kernels::modified_first_bessel, "special_i1e", "SpecialI1EBackward0", x, dest,
                      [](const Tensor& g, const Tensor& x) {
                          Tensor y = i1e(x);
                          return mul(g, over(y, x, sub(i0e(x), mul(sign(x), y)), 0.5));
                      },
                      {number(1.0), number(1.0)});
}
Tensor bessel_j0(const Tensor& x, const Dest& dest) {
    return without_slope(kernels::bessel, "special_bessel_j0", "SpecialBesselJ0Backward0", x, dest,
                         {number(0.0), number(1.0)});
}
Tensor bessel_j1(const Tensor& x, const Dest& dest) {
    return without_slope(kernels::bessel, "special_bessel_j1", "SpecialBesselJ1Backward0", x, dest,
                         {number(1.0), number(1.0)});
}
Tensor bessel_y0(const Tensor& x, const Dest& dest) {
    return without_slope(kernels::bessel, "special_bessel_y0", "SpecialBesselY0Backward0", x, dest,
                         {number(0.0), number(2.0)});
}
Tensor bessel_y1(const Tensor& x, const Dest& dest) {
    return without_slope(kernels::bessel, "special_bessel_y1", "SpecialBesselY1Backward0", x, dest,
                         {number(1.0), number(2.0)});
}
Tensor k0(const Tensor& x, const Dest& dest) {
    return without_slope(kernels::modified_second_bessel, "special_modified_bessel_k0",
                         "SpecialModifiedBesselK0Backward0", x, dest, {number(0.0), number(0.0)});
}
Tensor k0e(const Tensor& x, const Dest& dest) {
    return without_slope(kernels::modified_second_bessel, "special_scaled_modified_bessel_k0",
                         "SpecialScaledModifiedBesselK0Backward0", x, dest,
                         {number(0.0), number(1.0)});
}
Tensor k1(const Tensor& x, const Dest& dest) {
    return without_slope(kernels::modified_second_bessel, "special_modified_bessel_k1",
                         "SpecialModifiedBesselK1Backward0", x, dest, {number(1.0), number(0.0)});
}
Tensor k1e(const Tensor& x, const Dest& dest) {
    return without_slope(kernels::modified_second_bessel, "special_scaled_modified_bessel_k1",
                         "SpecialScaledModifiedBesselK1Backward0", x, dest,
                         {number(1.0), number(1.0)});
}
Tensor airy_ai(const Tensor& x, const Dest& dest) {
    return without_slope(kernels::airy_ai, "special_airy_ai", "SpecialAiryAiBackward0", x, dest);
}
Tensor spherical_bessel_j0(const Tensor& x, const Dest& dest) {
    return without_slope(kernels::spherical_bessel_j0, "special_spherical_bessel_j0",
                         "SpecialSphericalBesselJ0Backward0", x, dest);
}

// ---- Others of one tensor

Tensor sinc(const Tensor& x, const Dest& dest) {
    if (is_complex(x.dtype())) {
        Tensor zero = eq(x, constant(0)), angle = mul(where(zero, constant(1), x), M_PI);
        return deliver("sinc", where(zero, constant(1), div(sin(angle), angle)), dest);
    }
    return elementary(kernels::sinc, "sinc", "SincBackward0", x, dest,
                      [](const Tensor& g, const Tensor& x) {
                          Tensor zero = eq(x, constant(0)), angle = mul(x, M_PI);
                          Tensor divisor = where(zero, constant(1), x);
                          Tensor slope = sub(cos(angle), div(sin(angle), mul(divisor, M_PI)));
                          return mul(g, where(zero, constant(0), div(slope, divisor)));
                      });
}
Tensor entr(const Tensor& x, const Dest& dest) {
    return elementary(
        kernels::entr, "special_entr", "SpecialEntrBackward0", x, dest,
        [](const Tensor& g, const Tensor& x) { return mul(g, neg(one_plus(log(x)))); });
}

Tensor logit(const Tensor& x, std::optional<double> eps, const Dest& dest) {
    double low = eps ? *eps : -std::numeric_limits<double>::infinity();
    double high = eps ? 1 - *eps : -low;
    Tensor copy;
    const Tensor& first = original(x, dest, x, copy);
    DType dtype = is_integral(x.dtype()) ? modes::default_dtype() : x.dtype();
    Tensor out = pointwise(kernels::logit, "logit", {x}, dest,
                           {dtype, dtype, {number(low), number(high)}, kNs});
    if (needs_grad(x))
        record("LogitBackward0", out, {x}, dest,
               [x = Saved(first), low, high, bounded = eps.has_value()](Backward& bw,
                                                                        const Tensor& g) {
                   Tensor p = x.get(bw);
                   double from = bounded ? low : 0, to = bounded ? high : 1;
                   double beyond = bounded ? 0 : std::numeric_limits<double>::quiet_NaN();
                   if (!modes::grad_enabled()) {
                       bw.set(0, pointwise(kernels::logit_backward, "logit_backward", {g, p}, {},
                                           {g.dtype(),
                                            g.dtype(),
                                            {number(from), number(to), number(beyond)}}));
                       return;
                   }
                   Tensor inside = logical_and(ge(p, constant(from)), le(p, constant(to)), {});
                   Tensor slope = div(g, mul(p, one_minus(p)));
                   bw.set(0, where(inside, slope, constant(beyond)));
               });
    return out;
}

Tensor nan_to_num(const Tensor& x, std::optional<double> nan, std::optional<double> posinf,
                  std::optional<double> neginf, const Dest& dest) {
    if (is_complex(x.dtype())) {  // the parts apart
        Tensor parts = nan_to_num(view_as_real(x), nan, posinf, neginf, {});
        return deliver("nan_to_num", view_as_complex(contiguous(parts)), dest);
    }
    if (is_integral(x.dtype()) && dest.is_in_place()) return x;
    if (is_integral(x.dtype()))
        return pointwise(kernels::copy, "nan_to_num", {x}, dest, {x.dtype(), x.dtype()});
    double most = x.dtype() == DType::Float16    ? 65504.0
                  : x.dtype() == DType::BFloat16 ? 0x1.FEp127
                  : x.dtype() == DType::Float32  ? double(std::numeric_limits<float>::max())
                                                 : std::numeric_limits<double>::max();
    Tensor copy;
    const Tensor& first = original(x, dest, x, copy);
    Tensor out = pointwise(
        kernels::nan_to_num, "nan_to_num", {x}, dest,
        {x.dtype(),
         x.dtype(),
         {number(nan.value_or(0)), number(posinf.value_or(most)), number(neginf.value_or(-most))}});
    if (needs_grad(x))
        record("NanToNumBackward0", out, {x}, dest,
               [x = Saved(first)](Backward& bw, const Tensor& g) {
                   bw.set(0, mul(g, isfinite(x.get(bw))));
               });
    return out;
}

std::tuple<Tensor, Tensor> frexp(const Tensor& x) {
    EMBER_CHECK(is_floating(x.dtype()), "frexp: only supports floating-point dtypes, got %s",
                dtype_name(x.dtype()));
    Tensor mantissa = pointwise(kernels::frexp_mantissa, "frexp", {x}, {}, {x.dtype(), x.dtype()});
    Tensor exponent =
        pointwise(kernels::frexp_exponent, "frexp", {x}, {}, {x.dtype(), DType::Int32});
    if (needs_grad(x))
        record("FrexpBackward0", mantissa, {x},
               [e = Saved(exponent)](Backward& bw, const Tensor& g) {
                   bw.set(0, div(g, exp2(to_dtype(e.get(bw), g.dtype()), {})));
               });
    return {mantissa, exponent};
}

Tensor round_decimals(const Tensor& x, int64_t decimals, const Dest& dest) {
    if (decimals == 0) return round(x, dest);
    EMBER_CHECK(is_floating(x.dtype()), "round: decimals is not implemented for %s",
                dtype_name(x.dtype()));
    double power = std::pow(10.0, double(std::abs(decimals)));
    Tensor out = pointwise(decimals > 0 ? kernels::round_parts : kernels::round_multiple, "round",
                           {x}, dest, {x.dtype(), x.dtype(), {number(power)}});
    if (needs_grad(x))
        record("RoundBackward1", out, {x}, dest,
               [](Backward& bw, const Tensor& g) { bw.set(0, no_slope(g)); });
    return out;
}

// ---- Predicates

namespace {

Tensor answer(const kernels::Pointwise& slot, const char* name, const Tensor& x, const Dest& dest) {
    return pointwise(slot, name, {x}, dest, {x.dtype(), DType::Bool});
}

void check_bool_out(const char* name, const Dest& dest) {
    EMBER_CHECK(dest.fresh() || dest.tensor().dtype() == DType::Bool,
                "%s: out must be a bool tensor, got %s", name, dtype_name(dest.tensor().dtype()));
}

}  // namespace

Tensor signbit(const Tensor& x, const Dest& dest) {
    check_bool_out("signbit", dest);
    return answer(kernels::signbit, "signbit", x, dest);
}
Tensor isposinf(const Tensor& x, const Dest& dest) {
    check_bool_out("isposinf", dest);
    return answer(kernels::isposinf, "isposinf", x, dest);
}
Tensor isneginf(const Tensor& x, const Dest& dest) {
    check_bool_out("isneginf", dest);
    return answer(kernels::isneginf, "isneginf", x, dest);
}
Tensor isreal(const Tensor& x) {
    if (is_complex(x.dtype())) {
        GradModeGuard no_grad(false);
        return eq(imag(x), constant(0));
    }
    GradModeGuard no_grad(false);
    return fill_(empty_like(x, DType::Bool), constant(1));
}

}  // namespace ember::ops
