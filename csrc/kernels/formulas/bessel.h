#pragma once

#include <cmath>

#include "kernels/formulas/traits.h"

// Modified Bessel functions of the first kind in double, times e^-|x| where `scaled`: the power
// series, whose terms are all positive, up to 25 (DLMF 10.25.2), then the asymptotic one (10.40.1).
namespace ember::formulas {

EMBER_FORMULA double modified_bessel(int order, double x, bool scaled) {
    double y = std::fabs(x), sign = order == 1 && x < 0 ? -1 : 1;
    if (std::isnan(x)) return x;
    if (y <= 25) {
        double quarter = 0.25 * y * y, term = order == 1 ? 0.5 * y : 1, sum = term;
        for (int k = 1; term > sum * 0x1p-58; k++) {
            term *= quarter / (double(k) * (k + order));
            sum += term;
        }
        return sign * (scaled ? sum * std::exp(-y) : sum);
    }
    if (std::isinf(y)) return scaled ? sign * 0.0 : sign * y;
    double mu = 4.0 * order, term = 1, sum = 1;
    for (int k = 1; k < 40 && std::fabs(term) > 0x1p-58; k++) {
        double odd = 2 * k - 1;
        term *= (odd * odd - mu) / (8 * k * y);
        sum += term;
    }
    sum /= 2.50662827463100050242 * std::sqrt(y);
    if (scaled) return sign * sum;
    double root = std::exp(0.5 * y);  // e^y may overflow where the result does not
    return sign * (root * sum) * root;
}

}  // namespace ember::formulas
