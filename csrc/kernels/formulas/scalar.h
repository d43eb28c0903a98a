#pragma once

#include <cmath>

#include "kernels/formulas/traits.h"

// What formulas call, for one float or double: a CUDA thread's number, or the reference in tests.
namespace ember::formulas {

template <class T>
EMBER_FORMULA T select(bool condition, T a, T b) {
    return condition ? a : b;
}

#define EMBER_SCALAR_1(name)                                   \
    EMBER_FORMULA float name(float x) { return ::name##f(x); } \
    EMBER_FORMULA double name(double x) { return ::name(x); }
#define EMBER_SCALAR_2(name)                                               \
    EMBER_FORMULA float name(float x, float y) { return ::name##f(x, y); } \
    EMBER_FORMULA double name(double x, double y) { return ::name(x, y); }
EMBER_SCALAR_1(exp)
EMBER_SCALAR_1(exp2)
EMBER_SCALAR_1(expm1)
EMBER_SCALAR_1(log)
EMBER_SCALAR_1(log1p)
EMBER_SCALAR_1(log2)
EMBER_SCALAR_1(log10)
EMBER_SCALAR_1(sqrt)
EMBER_SCALAR_1(sin)
EMBER_SCALAR_1(cos)
EMBER_SCALAR_1(tanh)
EMBER_SCALAR_1(erf)
EMBER_SCALAR_1(tan)
EMBER_SCALAR_1(asin)
EMBER_SCALAR_1(acos)
EMBER_SCALAR_1(atan)
EMBER_SCALAR_1(sinh)
EMBER_SCALAR_1(cosh)
EMBER_SCALAR_1(asinh)
EMBER_SCALAR_1(acosh)
EMBER_SCALAR_1(atanh)
EMBER_SCALAR_1(erfc)
EMBER_SCALAR_1(floor)
EMBER_SCALAR_1(ceil)
EMBER_SCALAR_1(trunc)
EMBER_SCALAR_2(pow)
EMBER_SCALAR_2(fmod)
EMBER_SCALAR_2(copysign)
EMBER_SCALAR_2(nextafter)
EMBER_SCALAR_2(fmin)
EMBER_SCALAR_2(fmax)
EMBER_SCALAR_2(hypot)
EMBER_SCALAR_2(atan2)
#undef EMBER_SCALAR_1
#undef EMBER_SCALAR_2

EMBER_FORMULA float abs(float x) { return ::fabsf(x); }
EMBER_FORMULA double abs(double x) { return ::fabs(x); }
EMBER_FORMULA float round(float x) { return ::rintf(x); }
EMBER_FORMULA double round(double x) { return ::rint(x); }
EMBER_FORMULA float fma(float a, float b, float c) { return ::fmaf(a, b, c); }
EMBER_FORMULA double fma(double a, double b, double c) { return ::fma(a, b, c); }

EMBER_FORMULA float product_error(float a, float b, float product) { return fma(a, b, -product); }
EMBER_FORMULA double product_error(double a, double b, double product) {
    return fma(a, b, -product);
}
EMBER_FORMULA double sine_cosine(double x, double& cosine) {
    cosine = ::cos(x);
    return ::sin(x);
}
EMBER_FORMULA bool any(bool condition) { return condition; }

// f computes in double.
template <class T, class F>
EMBER_FORMULA T through_double(T x, F f) {
    return T(f(double(x)));
}

template <class T>
EMBER_FORMULA T max(T a, T b) {
    return a > b ? a : b;
}
template <class T>
EMBER_FORMULA T min(T a, T b) {
    return a < b ? a : b;
}
template <class T>
EMBER_FORMULA T maximum(T a, T b) {
    return a > b || a != a ? a : b;
}
template <class T>
EMBER_FORMULA T minimum(T a, T b) {
    return a < b || a != a ? a : b;
}

template <class T>
EMBER_FORMULA T sigmoid(T x) {
    T e = exp(-abs(x));
    return (x < T(0) ? e : T(1)) / (T(1) + e);
}

template <class T>
struct Normal {
    T density, below;
};
EMBER_FORMULA Normal<float> normal(float x) {
    return {0.39894228f * ::expf(-0.5f * x * x), 0.5f * ::erfcf(-0.70710678f * x)};
}
EMBER_FORMULA Normal<double> normal(double x) {
    return {0.3989422804014327 * ::exp(-0.5 * x * x), 0.5 * ::erfc(-0.7071067811865476 * x)};
}

}  // namespace ember::formulas
