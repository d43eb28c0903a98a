#pragma once

#include <cmath>

#include "kernels/formulas/traits.h"

// Orthogonal polynomials of a whole degree n in double, by their recurrences (DLMF 18.9) and, where
// those would be long, Chebyshev's by angles (DLMF 18.5).
namespace ember::formulas {

enum class Polynomial {
    ChebyshevT,
    ChebyshevU,
    ChebyshevV,
    ChebyshevW,
    H,
    He,
    L,
    P,
    ShiftedT,
    ShiftedU,
    ShiftedV,
    ShiftedW,  // Chebyshev's at 2 x - 1
};

// The recurrences of one family; start: the value of degree 1.
EMBER_FORMULA double by_recurrence(Polynomial kind, double n, double x, double start) {
    double before = 1, value = start;
    if (n == 0) return before;
    for (double k = 1; k < n && !std::isnan(value); k++) {
        double next;
        switch (kind) {
            case Polynomial::H: next = 2 * (x * value - k * before); break;
            case Polynomial::He: next = x * value - k * before; break;
            case Polynomial::L: next = ((2 * k + 1 - x) * value - k * before) / (k + 1); break;
            case Polynomial::P: next = ((2 * k + 1) * x * value - k * before) / (k + 1); break;
            default: next = 2 * x * value - before;
        }
        before = value;
        value = next;
    }
    return value;
}

// A quotient of sines or of cosines, of angles where `round`, otherwise hyperbolic.
EMBER_FORMULA double sines(double a, double b, bool round) {
    return round ? std::sin(a) / std::sin(b) : std::sinh(a) / std::sinh(b);
}
EMBER_FORMULA double cosines(double a, double b, bool round) {
    return round ? std::cos(a) / std::cos(b) : std::cosh(a) / std::cosh(b);
}

EMBER_FORMULA double chebyshev(Polynomial kind, double n, double x) {
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
    if (n <= 6 || (x > 1 && n <= 1000)) {
        double start = is_t ? x : is_u ? 2 * x : is_v ? 2 * x - 1 : 2 * x + 1;
        return sign * by_recurrence(kind, n, x, start);
    }
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
EMBER_FORMULA double polynomial(Polynomial kind, double x, double n) {
    if (std::isnan(x) || std::isnan(n)) return NAN;
    n = std::trunc(n);
    if (n < 0) return 0;
    switch (kind) {
        case Polynomial::H: return n <= 1024 ? by_recurrence(kind, n, x, 2 * x) : NAN;
        case Polynomial::He: return n <= 1024 ? by_recurrence(kind, n, x, x) : NAN;
        case Polynomial::L: return n <= 100000 ? by_recurrence(kind, n, x, 1 - x) : NAN;
        case Polynomial::P: return n <= 100000 ? by_recurrence(kind, n, x, x) : NAN;
        default: break;
    }
    if (std::isinf(n)) return NAN;
    int shifted = int(kind) - int(Polynomial::ShiftedT);
    return shifted < 0 ? chebyshev(kind, n, x) : chebyshev(Polynomial(shifted), n, 2 * x - 1);
}

}  // namespace ember::formulas
