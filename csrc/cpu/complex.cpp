#include "kernels/complex.h"

#include <math.h>

#include "cpu/pointwise.h"
#include "kernels/special.h"

// What complex_math.cpp leaves, in scalar loops: elementary functions are the C library's of double
// precision, for both dtypes.
namespace ember::cpu::EMBER_LEVEL {
namespace {

template <class T>
struct Complex {
    T re, im;
    friend EMBER_INLINE Complex operator*(Complex a, Complex b) {
        return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
    }
    // R. L. Smith, "Algorithm 116: complex division", 1962: divides by the larger part first, so
    // that no square overflows.
    friend EMBER_INLINE Complex operator/(Complex a, Complex b) {
        T re = b.re < 0 ? -b.re : b.re, im = b.im < 0 ? -b.im : b.im;
        if (re == 0 && im == 0) return {a.re / re, a.im / im};
        if (re >= im) {
            T ratio = b.im / b.re, scale = T(1) / (b.re + b.im * ratio);
            return {(a.re + a.im * ratio) * scale, (a.im - a.re * ratio) * scale};
        }
        T ratio = b.re / b.im, scale = T(1) / (b.re * ratio + b.im);
        return {(a.re * ratio + a.im) * scale, (a.im * ratio - a.re) * scale};
    }
    friend EMBER_INLINE bool operator==(Complex a, Complex b) {
        return a.re == b.re && a.im == b.im;
    }
};
using Single = Complex<float>;
using Double = Complex<double>;

template <class T>
constexpr DType kDType = DType::Bool;  // of predicates, which are bytes
template <>
constexpr DType kDType<float> = DType::Float32;
template <>
constexpr DType kDType<double> = DType::Float64;
template <>
constexpr DType kDType<Single> = DType::Complex64;
template <>
constexpr DType kDType<Double> = DType::Complex128;

// R = f(First, C, C).
template <class F, int Inputs, class R, class First, class C>
void loop(char* const* data, int64_t n, const Number*, bool) {
    R* out = reinterpret_cast<R*>(data[0]);
    const First* a = reinterpret_cast<const First*>(data[1]);
    F f;
    if constexpr (Inputs == 1) {
#pragma GCC ivdep
        for (int64_t i = 0; i < n; i++) out[i] = R(f(a[i]));
    } else if constexpr (Inputs == 2) {
        const C* b = reinterpret_cast<const C*>(data[2]);
#pragma GCC ivdep
        for (int64_t i = 0; i < n; i++) out[i] = R(f(a[i], b[i]));
    } else {
        const C* b = reinterpret_cast<const C*>(data[2]);
        const C* c = reinterpret_cast<const C*>(data[3]);
#pragma GCC ivdep
        for (int64_t i = 0; i < n; i++) out[i] = R(f(a[i], b[i], c[i]));
    }
}

template <class F, int Inputs, class R, class First, class C, int Cost>
constexpr LoopInfo kInfo = {
    loop<F, Inputs, R, First, C>, kDType<R>, kDType<C>, kDType<First>, false, Cost};

template <class F>
void comparison(Context&, const Plan& plan) {
    if (plan.compute == DType::Complex64)
        start(plan, kInfo<F, 2, uint8_t, Single, Single, 1>);
    else
        start(plan, kInfo<F, 2, uint8_t, Double, Double, 1>);
}

template <class F, int Inputs = 1>
void function(Context&, const Plan& plan) {
    start(plan, kInfo<F, Inputs, Double, Double, Double, 16>);
}
template <class F>
void predicate(Context&, const Plan& plan) {
    start(plan, kInfo<F, 1, uint8_t, Double, Double, 1>);
}
void where(Context&, const Plan& plan) {
    using Where = decltype([](uint8_t condition, auto a, auto b) { return condition ? a : b; });
    if (plan.compute == DType::Complex64)
        start(plan, kInfo<Where, 3, Single, uint8_t, Single, 1>);
    else
        start(plan, kInfo<Where, 3, Double, uint8_t, Double, 1>);
}

// Plan::compute is the dtype of the parts.
void complex(Context&, const Plan& plan) {
    using Join = decltype([](auto re, auto im) { return Complex<decltype(re)>{re, im}; });
    if (plan.compute == DType::Float32)
        start(plan, kInfo<Join, 2, Single, float, float, 1>);
    else
        start(plan, kInfo<Join, 2, Double, double, double, 1>);
}

using Equal = decltype([](auto a, auto b) { return a == b; });
using NotEqual = decltype([](auto a, auto b) { return !(a == b); });

using IsNan = decltype([](Double x) { return x.re != x.re || x.im != x.im; });
using IsInf = decltype([](Double x) { return ::isinf(x.re) || ::isinf(x.im); });
using IsFinite = decltype([](Double x) { return ::isfinite(x.re) && ::isfinite(x.im); });

typedef _Complex double Native;
EMBER_INLINE Native native(Double x) {
    Native z;
    __real__ z = x.re;
    __imag__ z = x.im;
    return z;
}
EMBER_INLINE Double back(Native x) { return {__real__ x, __imag__ x}; }

#define EMBER_FUNCTION(Name, call) \
    using Name = decltype([](Double x) { return back(call(native(x))); });
EMBER_FUNCTION(Sqrt, __builtin_csqrt)
EMBER_FUNCTION(Asin, __builtin_casin)
EMBER_FUNCTION(Acos, __builtin_cacos)
EMBER_FUNCTION(Atan, __builtin_catan)
EMBER_FUNCTION(Asinh, __builtin_casinh)
EMBER_FUNCTION(Acosh, __builtin_cacosh)
EMBER_FUNCTION(Atanh, __builtin_catanh)
#undef EMBER_FUNCTION

// log|1 + x| = log1p(2 re + re^2 + im^2) / 2 where x is small.
using Log1p = decltype([](Double x) {
    double re = 1 + x.re, angle = ::atan2(x.im, re);
    if (::fabs(x.re) < 0.5 && ::fabs(x.im) < 0.5)
        return Double{0.5 * ::log1p(x.re * (2 + x.re) + x.im * x.im), angle};
    return Double{::log(::hypot(re, x.im)), angle};
});
using Rsqrt = decltype([](Double x) { return Double{1, 0} / Sqrt()(x); });
// Exponents that products or a root give more exactly than logarithms do, PyTorch's list.
using Power = decltype([](Double a, Double b) {
    if (b.im == 0) {
        if (b.re == 0) return Double{1, 0};
        if (b.re == 1) return a;
        if (b.re == 2) return a * a;
        if (b.re == 3) return a * a * a;
        if (b.re == 0.5) return Sqrt()(a);
        if (b.re == -0.5) return Rsqrt()(a);
        if (b.re == -1) return Double{1, 0} / a;
        if (b.re == -2) return Double{1, 0} / (a * a);
        if (a == Double{0, 0} && b.re > 0) return Double{0, 0};
    }
    return back(__builtin_cpow(native(a), native(b)));
});

// ---- Running products

template <class T>
void running_product(const kernels::Cumulative& c) {
    parallel_for(c.outer * c.inner, 1024, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            int64_t start = i / c.inner * c.n * c.inner + i % c.inner;
            auto* in = static_cast<const Complex<T>*>(c.in) + start;
            auto* out = static_cast<Complex<T>*>(c.out) + start;
            Complex<T> result{1, 0};
            for (int64_t k = 0; k < c.n; k++) {
                int64_t at = (c.reverse ? c.n - 1 - k : k) * c.inner;
                out[at] = result = result * in[at];
            }
        }
    });
}

void cumprod(Context&, const kernels::Cumulative& c) {
    c.dtype == DType::Complex64 ? running_product<float>(c) : running_product<double>(c);
}

}  // namespace

void register_complex(Table& table) {
    namespace k = kernels::of_complex;
    table.set(k::pow, function<Power, 2>, kComplex);
    table.set(k::eq, comparison<Equal>, kComplex);
    table.set(k::ne, comparison<NotEqual>, kComplex);
    table.set(k::where, where, kComplex);
    table.set(k::isnan, predicate<IsNan>, kComplex);
    table.set(k::isinf, predicate<IsInf>, kComplex);
    table.set(k::isfinite, predicate<IsFinite>, kComplex);

    table.set(k::log1p, function<Log1p>, kComplex);
    table.set(k::asin, function<Asin>, kComplex);
    table.set(k::acos, function<Acos>, kComplex);
    table.set(k::atan, function<Atan>, kComplex);
    table.set(k::asinh, function<Asinh>, kComplex);
    table.set(k::acosh, function<Acosh>, kComplex);
    table.set(k::atanh, function<Atanh>, kComplex);

    table.set(k::cumprod, cumprod, kComplex);
    table.set(kernels::complex, complex, kFloats);
}

}  // namespace ember::cpu::EMBER_LEVEL
