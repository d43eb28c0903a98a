#include "kernels/special.h"

#include <math.h>

#include <bit>

#include "cpu/pointwise.h"
#include "kernels/formulas/bessel.h"
#include "kernels/formulas/gamma.h"
#include "kernels/formulas/normal_tails.h"

// Scalar loops over the C library's functions and the formulas that it lacks. All floating dtypes
// compute in double, all integers in int64: one loop a function.
namespace ember::cpu::EMBER_LEVEL {
namespace {

namespace f = formulas;

struct Numbers {
    const Number* immediate;
    EMBER_INLINE double operator[](int i) const { return immediate[i].as<double>(); }
};

// R = f(T, ..., numbers).
template <class F, int Inputs, class R, class T>
void loop(char* const* data, int64_t n, const Number* immediate, bool) {
    R* out = reinterpret_cast<R*>(data[0]);
    const T* a = reinterpret_cast<const T*>(data[1]);
    Numbers numbers{immediate};
    F f;
    if constexpr (Inputs == 1) {
        for (int64_t i = 0; i < n; i++) out[i] = R(call(f, numbers, a[i]));
    } else {
        const T* b = reinterpret_cast<const T*>(data[2]);
        for (int64_t i = 0; i < n; i++) out[i] = R(call(f, numbers, a[i], b[i]));
    }
}

constexpr int kCost = 16;

template <class F, int Inputs, class T = double>
void kernel(Context&, const Plan& plan) {
    static constexpr LoopInfo info{loop<F, Inputs, T, T>,
                                   DTypeOf<T>::value,
                                   DTypeOf<T>::value,
                                   DTypeOf<T>::value,
                                   false,
                                   kCost};
    start(plan, info);
}

// Answers are bytes of 0 and 1.
template <class F>
void predicate(Context&, const Plan& plan) {
    static constexpr LoopInfo info{
        loop<F, 1, uint8_t, double>, DType::Bool, DType::Float64, DType::Float64, false, 1};
    start(plan, info);
}

using Tan = decltype([](double x) { return ::tan(x); });
using Asin = decltype([](double x) { return ::asin(x); });
using Acos = decltype([](double x) { return ::acos(x); });
using Atan = decltype([](double x) { return ::atan(x); });
using Sinh = decltype([](double x) { return ::sinh(x); });
using Cosh = decltype([](double x) { return ::cosh(x); });
using Asinh = decltype([](double x) { return ::asinh(x); });
using Acosh = decltype([](double x) { return ::acosh(x); });
using Atanh = decltype([](double x) { return ::atanh(x); });
using Frac = decltype([](double x) { return x - ::trunc(x); });
using Erfc = decltype([](double x) { return ::erfc(x); });
using Erfcx = decltype([](double x) { return f::erfcx(x); });
using Erfinv = decltype([](double x) { return f::erfinv(x); });
using Ndtr = decltype([](double x) { return 0.5 * ::erfc(-f::kSqrtHalf * x); });
using Ndtri = decltype([](double x) { return f::ndtri(x); });
using LogNdtr = decltype([](double x) { return f::log_ndtr(x); });
using Lgamma = decltype([](double x) {
    int sign;  // lgamma itself would write to a global
    return ::lgamma_r(x, &sign);
});
using Digamma = decltype([](double x) { return f::digamma(x); });
using Polygamma =
    decltype([](double x, const Numbers& n) { return f::polygamma(int64_t(n[0]), x); });
using I0 = decltype([](double x) { return f::modified_bessel(0, x, false); });
using I0e = decltype([](double x) { return f::modified_bessel(0, x, true); });
using I1 = decltype([](double x) { return f::modified_bessel(1, x, false); });
using I1e = decltype([](double x) { return f::modified_bessel(1, x, true); });
using J0 = decltype([](double x) { return ::j0(x); });
using J1 = decltype([](double x) { return ::j1(x); });
using Y0 = decltype([](double x) { return ::y0(x); });
using Y1 = decltype([](double x) { return ::y1(x); });
using Sinc = decltype([](double x) {
    double y = 3.14159265358979323846 * x;
    return y == 0 ? 1 : ::sin(y) / y;
});
using Entr = decltype([](double x) {
    return x > 0 ? -x * ::log(x) : x == 0 ? 0 : x < 0 ? -INFINITY : x;
});
using Logit = decltype([](double x, const Numbers& n) {
    double p = x < n[0] ? n[0] : x > n[1] ? n[1] : x;
    return ::log(p / (1 - p));
});
using NanToNum = decltype([](double x, const Numbers& n) {
    return x != x ? n[0] : x == INFINITY ? n[1] : x == -INFINITY ? n[2] : x;
});
using Mantissa = decltype([](double x) {
    int exponent;
    return ::frexp(x, &exponent);
});
using Exponent = decltype([](double x) {
    int exponent = 0;
    ::frexp(x, &exponent);
    return double(exponent);
});

using Signbit = decltype([](double x) { return ::signbit(x) != 0; });
using IsPosInf = decltype([](double x) { return x == INFINITY; });
using IsNegInf = decltype([](double x) { return x == -INFINITY; });

using Atan2 = decltype([](double y, double x) { return ::atan2(y, x); });
using Hypot = decltype([](double a, double b) { return ::hypot(a, b); });
using Copysign = decltype([](double a, double b) { return ::copysign(a, b); });
using Fmax = decltype([](double a, double b) { return ::fmax(a, b); });
using Fmin = decltype([](double a, double b) { return ::fmin(a, b); });
using Zeta = decltype([](double s, double q) { return f::zeta(s, q); });
using Xlogy = decltype([](double a, double b) { return b != b ? b : a == 0 ? 0 : a * ::log(b); });
using Xlog1py = decltype([](double a, double b) {
    return b != b ? b : a == 0 ? 0 : a * ::log1p(b);
});
using LogAddExp = decltype([](double a, double b) {
    if (::isinf(a) && a == b) return a;
    return ::fmax(a, b) + ::log1p(::exp(-::fabs(a - b)));
});
using LogAddExp2 = decltype([](double a, double b) {
    if (::isinf(a) && a == b) return a;
    return ::fmax(a, b) + ::log1p(::exp2(-::fabs(a - b))) * 1.44269504088896340736;
});

// The neighbour of a number is one of its own dtype.
using NextFloat = decltype([](float a, float b) { return ::nextafterf(a, b); });
using NextDouble = decltype([](double a, double b) { return ::nextafter(a, b); });

template <class H, H (*FromFloat)(float)>
void next_half(char* const* data, int64_t n, const Number*, bool) {
    H* out = reinterpret_cast<H*>(data[0]);
    const H* a = reinterpret_cast<const H*>(data[1]);
    const H* b = reinterpret_cast<const H*>(data[2]);
    for (int64_t i = 0; i < n; i++) {
        float from = to_float(a[i]), to = to_float(b[i]);
        if (from != from || to != to) {
            out[i] = FromFloat(from + to);
        } else if (from == to) {
            out[i] = b[i];
        } else if (from == 0) {
            out[i].bits = uint16_t(to < 0 ? 0x8001 : 1);
        } else {
            // Magnitudes are ordered as their bits are.
            out[i].bits = uint16_t(a[i].bits + ((to > from) == (from > 0) ? 1 : -1));
        }
    }
}

void nextafter(Context& context, const Plan& plan) {
    static constexpr LoopInfo half{next_half<Half, to_half>, DType::Float16, DType::Float16,
                                   DType::Float16,           false,          1};
    static constexpr LoopInfo bfloat16{next_half<BFloat16, to_bfloat16>,
                                       DType::BFloat16,
                                       DType::BFloat16,
                                       DType::BFloat16,
                                       false,
                                       1};
    switch (plan.compute) {
        case DType::Float16: return start(plan, half);
        case DType::BFloat16: return start(plan, bfloat16);
        case DType::Float32: return kernel<NextFloat, 2, float>(context, plan);
        default: return kernel<NextDouble, 2>(context, plan);
    }
}

EMBER_INLINE uint64_t magnitude(int64_t x) { return x < 0 ? 0 - uint64_t(x) : uint64_t(x); }
EMBER_INLINE uint64_t common_divisor(int64_t a, int64_t b) {
    uint64_t x = magnitude(a), y = magnitude(b);
    while (y != 0) {
        uint64_t rest = x % y;
        x = y;
        y = rest;
    }
    return x;
}

using Gcd = decltype([](int64_t a, int64_t b) { return int64_t(common_divisor(a, b)); });
using Lcm = decltype([](int64_t a, int64_t b, const Numbers& n) {
    uint64_t divisor = common_divisor(a, b);
    if (divisor == 0) return int64_t(0);
    int64_t product = int64_t(magnitude(a) / divisor * magnitude(b));
    if (n[0] == 32) product = int32_t(product);  // wraps as the dtype does
    return int64_t(magnitude(product));
});
using ShiftLeft = decltype([](int64_t a, int64_t b, const Numbers& n) {
    return b < 0 || b >= int64_t(n[0]) ? 0 : int64_t(uint64_t(a) << b);
});
using ShiftRight = decltype([](int64_t a, int64_t b, const Numbers& n) {
    int64_t most = int64_t(n[0]);
    return a >> (b < 0 || b >= most ? most : b);
});

}  // namespace

void register_special(Table& table) {
    table.set(kernels::tan, kernel<Tan, 1>, kFloating);
    table.set(kernels::asin, kernel<Asin, 1>, kFloating);
    table.set(kernels::acos, kernel<Acos, 1>, kFloating);
    table.set(kernels::atan, kernel<Atan, 1>, kFloating);
    table.set(kernels::sinh, kernel<Sinh, 1>, kFloating);
    table.set(kernels::cosh, kernel<Cosh, 1>, kFloating);
    table.set(kernels::asinh, kernel<Asinh, 1>, kFloating);
    table.set(kernels::acosh, kernel<Acosh, 1>, kFloating);
    table.set(kernels::atanh, kernel<Atanh, 1>, kFloating);
    table.set(kernels::frac, kernel<Frac, 1>, kFloating);
    table.set(kernels::erfc, kernel<Erfc, 1>, kFloating);
    table.set(kernels::erfcx, kernel<Erfcx, 1>, kFloating);
    table.set(kernels::erfinv, kernel<Erfinv, 1>, kFloating);
    table.set(kernels::ndtr, kernel<Ndtr, 1>, kFloating);
    table.set(kernels::ndtri, kernel<Ndtri, 1>, kFloating);
    table.set(kernels::log_ndtr, kernel<LogNdtr, 1>, kFloating);
    table.set(kernels::lgamma, kernel<Lgamma, 1>, kFloating);
    table.set(kernels::digamma, kernel<Digamma, 1>, kFloating);
    table.set(kernels::polygamma, kernel<Polygamma, 1>, kFloating);
    table.set(kernels::i0, kernel<I0, 1>, kFloating);
    table.set(kernels::i0e, kernel<I0e, 1>, kFloating);
    table.set(kernels::i1, kernel<I1, 1>, kFloating);
    table.set(kernels::i1e, kernel<I1e, 1>, kFloating);
    table.set(kernels::bessel_j0, kernel<J0, 1>, kFloating);
    table.set(kernels::bessel_j1, kernel<J1, 1>, kFloating);
    table.set(kernels::bessel_y0, kernel<Y0, 1>, kFloating);
    table.set(kernels::bessel_y1, kernel<Y1, 1>, kFloating);
    table.set(kernels::sinc, kernel<Sinc, 1>, kFloating);
    table.set(kernels::entr, kernel<Entr, 1>, kFloating);
    table.set(kernels::logit, kernel<Logit, 1>, kFloating);
    table.set(kernels::nan_to_num, kernel<NanToNum, 1>, kFloating);
    table.set(kernels::frexp_mantissa, kernel<Mantissa, 1>, kFloating);
    table.set(kernels::frexp_exponent, kernel<Exponent, 1>, kFloating);
    table.set(kernels::signbit, predicate<Signbit>, kReal);
    table.set(kernels::isposinf, predicate<IsPosInf>, kReal);
    table.set(kernels::isneginf, predicate<IsNegInf>, kReal);
    table.set(kernels::atan2, kernel<Atan2, 2>, kFloating);
    table.set(kernels::hypot, kernel<Hypot, 2>, kFloating);
    table.set(kernels::copysign, kernel<Copysign, 2>, kFloating);
    table.set(kernels::nextafter, nextafter, kFloating);
    table.set(kernels::fmax, kernel<Fmax, 2>, kFloating);
    table.set(kernels::fmin, kernel<Fmin, 2>, kFloating);
    table.set(kernels::zeta, kernel<Zeta, 2>, kFloating);
    table.set(kernels::xlogy, kernel<Xlogy, 2>, kFloating);
    table.set(kernels::xlog1py, kernel<Xlog1py, 2>, kFloating);
    table.set(kernels::logaddexp, kernel<LogAddExp, 2>, kFloating);
    table.set(kernels::logaddexp2, kernel<LogAddExp2, 2>, kFloating);
    table.set(kernels::gcd, kernel<Gcd, 2, int64_t>, kIntegers);
    table.set(kernels::lcm, kernel<Lcm, 2, int64_t>, kIntegers);
    table.set(kernels::shift_left, kernel<ShiftLeft, 2, int64_t>, kIntegers);
    table.set(kernels::shift_right, kernel<ShiftRight, 2, int64_t>, kIntegers);
}

}  // namespace ember::cpu::EMBER_LEVEL
