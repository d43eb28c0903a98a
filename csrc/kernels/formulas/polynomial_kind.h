#pragma once

namespace ember::formulas {

// The families of polynomials, of which the kernel's first number is one.
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

}  // namespace ember::formulas
