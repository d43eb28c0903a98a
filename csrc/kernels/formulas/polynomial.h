#pragma once

#include <cmath>

#include "kernels/formulas/math.h"
#include "kernels/formulas/polynomial_kind.h"

// Orthogonal polynomials of a whole degree n on vectors of double, by their recurrences (DLMF 18.9)
// and, where those would be long, Chebyshev's by angles (DLMF 18.5).
namespace ember::formulas {

// The recurrences of one family; start: the values of degree 1.
template <class V>
EMBER_FORMULA V by_recurrence(Polynomial kind, V n, V x, V start) {
    V before(1), value = select(n == V(0), before, start);
    for (double k = 1;; k++) {
        auto rises = n > V(k);
        if (!any(rises & (value == value))) return value;
        V next;
        switch (kind) {
            case Polynomial::H: next = V(2) * fma(x, value, V(-k) * before); break;
            case Polynomial::He: next = fma(x, value, V(-k) * before); break;
            case Polynomial::L:
                next = ((V(2 * k + 1) - x) * value - V(k) * before) * V(1 / (k + 1));
                break;
            case Polynomial::P:
                next = (V(2 * k + 1) * x * value - V(k) * before) * V(1 / (k + 1));
                break;
            default: next = fma(x + x, value, -before);
        }
        before = value;
        value = select(rises, next, value);
    }
}

// A quotient of sines or of cosines, of angles where `round`, otherwise hyperbolic.
EMBER_FORMULA double sines(double a, double b, bool round) {
    return round ? std::sin(a) / std::sin(b) : std::sinh(a) / std::sinh(b);
}
EMBER_FORMULA double cosines(double a, double b, bool round) {
    return round ? std::cos(a) / std::cos(b) : std::cosh(a) / std::cosh(b);
}

EMBER_FORMULA double chebyshev_by_angle(Polynomial kind, double n, double x) {
    if (std::isinf(n)) return NAN;
    double sign = 1;
    if (x < 0) {  // V and W are each other's mirror images
        x = -x;
        if (std::fmod(n, 2) != 0) sign = -1;
        if (kind == Polynomial::ChebyshevV)
            kind = Polynomial::ChebyshevW;
        else if (kind == Polynomial::ChebyshevW)
            kind = Polynomial::ChebyshevV;
    }
    bool is_t = kind == Polynomial::ChebyshevT, is_u = kind == Polynomial::ChebyshevU;
    bool is_v = kind == Polynomial::ChebyshevV;
    if (x == 1) return sign * (is_t || is_v ? 1 : is_u ? n + 1 : 2 * n + 1);
    bool round = x < 1;
    double angle = round ? std::acos(x) : std::acosh(x);
    if (is_t) return sign * cosines(n * angle, 0, round);
    if (is_u) return sign * sines((n + 1) * angle, angle, round);
    double wide = (n + 0.5) * angle;
    return sign * (is_v ? cosines(wide, 0.5 * angle, round) : sines(wide, 0.5 * angle, round));
}

// Degrees are cut to whole numbers; 0 below degree 0, NaN for degrees whose recurrence would take
// too long: above 1024 (those of Hermite have overflowed) or 100,000.
template <class V>
EMBER_FORMULA V polynomial(V number, V x, V n) {
    auto kind = Polynomial(int(uniform_item(number)));
    V limit(1024), start = x, not_a_number(NAN);
    if (kind >= Polynomial::ShiftedT) {
        kind = Polynomial(int(kind) - int(Polynomial::ShiftedT));
        x = start = V(2) * x - V(1);
    }
    bool chebyshev = kind <= Polynomial::ChebyshevW;
    if (kind == Polynomial::ChebyshevU || kind == Polynomial::H) start = V(2) * x;
    if (kind == Polynomial::ChebyshevV) start = V(2) * x - V(1);
    if (kind == Polynomial::ChebyshevW) start = V(2) * x + V(1);
    if (kind == Polynomial::L) start = V(1) - x;
    if (kind == Polynomial::L || kind == Polynomial::P) limit = V(100000);
    if (chebyshev) limit = select(abs(x) > V(1), V(1000), V(64));
    n = trunc(n);
    auto beyond = n > limit;
    V value = by_recurrence(kind, select(beyond, V(0), n), x, start);
    if (any(beyond)) {
        V far = not_a_number;
        if (chebyshev)
            far = itemwise([kind](double n, double x) { return chebyshev_by_angle(kind, n, x); }, n,
                           x);
        value = select(beyond, far, value);
    }
    value = select(n < V(0), V(0), value);
    return select((x == x) & (n == n), value, not_a_number);
}

}  // namespace ember::formulas
