#pragma once

#include "kernels/formulas/math.h"
#include "kernels/formulas/normal_tail.h"

// The error function's relatives.
namespace ember::formulas {

// e^(-x^2) or e^(x^2) with the square's rounding error, which the exponent magnifies.
template <class V>
EMBER_FORMULA V exp_square(V x, bool negative) {
    V infinity = V(ScalarOf<V>(__builtin_inf()));
    V square = x * x, lost = product_error(x, x, square);
    V e = exp(negative ? -square : square);
    V better = fma(e, negative ? -lost : lost, e);
    return select((e == V(0)) | (e == infinity), e, better);
}

#if !defined(__CUDACC__) && !defined(EMBER_SCALAR_FORMULAS)
template <class V>
EMBER_FORMULA V erfc(V x) {
    V y = min(V(is_float<V> ? 11 : 28), abs(x));
    V tail = V(2) * exp_square(y, true) * scaled_normal_tail(y * V(1.4142135623730951));
    return select(x < V(0), V(2) - tail, tail);
}
#endif

// e^(x^2) erfc(x); for x >= 0, where it is asymptotic in the end (DLMF 7.12.1), and for all.
template <class V>
EMBER_FORMULA V scaled_erfc(V x) {
    V t = V(0.5) / (x * x);
    V far = horner(t, 1, -1, 3, -15, 105, -945, 10395) * V(0.56418958354775628695) / x;
    V near = V(2) * scaled_normal_tail(x * V(1.4142135623730951));
    return select(x > V(is_float<V> ? 10 : 20), far, near);
}
template <class V>
EMBER_FORMULA V erfcx(V x) {
    V y = abs(x), tail = scaled_erfc(y);
    return select(x < V(0), V(2) * exp_square(min(V(is_float<V> ? 11 : 28), y), false) - tail,
                  tail);
}

// The normal distribution's quantile at 1/2 + q, which is `tail` from the nearer end (M. Wichura,
// "Algorithm AS 241", 1988: rational minimax approximations, 1e-16).
template <class V>
EMBER_FORMULA V normal_quantile(V q, V tail) {
    V r = fma(-q, q, V(0.180625));
    V middle = q *
               horner(r, 3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
                      1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
                      3.3430575583588128105e4, 2.5090809287301226727e3) /
               horner(r, 1.0, 4.2313330701600911252e1, 6.8718700749205790830e2,
                      5.3941960214247511077e3, 2.1213794301586595867e4, 3.9307895800092710610e4,
                      2.8729085735721942674e4, 5.2264952788528545610e3);
    auto inside = abs(q) <= V(0.425);
    if (!any(!inside)) return middle;
    V s = sqrt(-log(tail)), t = s - V(1.6);
    V side = horner(t, 1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
                    3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
                    2.27238449892691845833e-2, 7.74545014278341407640e-4) /
             horner(t, 1.0, 2.05319162663775882187e0, 1.67638483018380384940e0,
                    6.89767334985100004550e-1, 1.48103976427480074590e-1, 1.51986665636164571966e-2,
                    5.47593808499534494600e-4, 1.05075007164441684324e-9);
    auto far = s > V(5);
    if (any(far)) {
        t = s - V(5);
        V end =
            horner(t, 6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
                   2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                   2.71155556874348757815e-5, 2.01033439929228813265e-7) /
            horner(t, 1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1,
                   1.48753612908506148525e-2, 7.86869131145613259100e-4, 1.84631831751005468180e-5,
                   1.42151175831644588870e-7, 2.04426310338993978564e-15);
        side = select(far, end, side);
    }
    side = select(tail == V(0), V(ScalarOf<V>(__builtin_inf())), side);
    return select(inside, middle, copysign(side, q));
}
template <class V>
EMBER_FORMULA V ndtri(V p) {
    return normal_quantile(p - V(0.5), min(p, V(1) - p));
}
template <class V>
EMBER_FORMULA V erfinv(V x) {
    return normal_quantile(V(0.5) * x, V(0.5) * (V(1) - abs(x))) * V(0.70710678118654752440);
}

// The logarithm of the normal distribution below x.
template <class V>
EMBER_FORMULA V log_ndtr(V x) {
    V lower = log(V(0.5) * scaled_erfc(abs(x) * V(0.70710678118654752440))) - V(0.5) * x * x;
    return select(x < V(-1), lower, log1p(-normal(-x).below));
}

}  // namespace ember::formulas
