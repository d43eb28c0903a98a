#pragma once

#include "core/table.h"
#include "core/view.h"

namespace ember::kernels {

// How lines of n complex numbers are transformed, X[k] = sum of x[j] e^(-2 pi i j k / n). Tables
// are pairs of the dtype's real numbers.
struct FourierPlan {
    int64_t n = 1;
    // Stages: n is a product of small numbers, one stage each.
    // Split: n = first->n * second->n, a matrix whose columns and then rows are transformed.
    // Chirp: a convolution by transforms of `first`'s length, for any n (L. Bluestein, 1970).
    enum class Way : uint8_t { Stages, Split, Chirp } way = Way::Stages;
    int stages = 0;
    int radix[64];
    // Stages: for each, with r m items left, e^(-2 pi i p k / (r m)) of p < m and 0 < k < r, then
    // e^(-2 pi i k / r) of k < r. Split: e^(-2 pi i j k / n), (first, second).
    // Chirp: e^(-pi i j^2 / n).
    const void* table = nullptr;
    const void* filter = nullptr;  // Chirp: the transform of the conjugate chirp over its length
    const FourierPlan *first = nullptr, *second = nullptr;
};

// Transforms of lines of n items that lie `inner` apart: (lines / inner, n, inner). Inverse ones
// have the opposite sign in the exponent; both are multiplied by the factor.
struct Fourier {
    // Half lines are the first n / 2 + 1 items of what is symmetric up to conjugation.
    enum class Kind : uint8_t { Complex, RealToHalf, HalfToReal } kind = Kind::Complex;
    bool inverse = false;  // of Complex; RealToHalf never is, HalfToReal always
    int64_t n = 0, lines = 0, inner = 1;
    const void* in = nullptr;
    void* out = nullptr;
    double factor = 1;
    const FourierPlan* plan = nullptr;  // of n, or of n / 2 where n is even and one side is real
    const void* unit = nullptr;         // for the latter e^(-2 pi i k / n), k <= n / 2
    DType dtype = DType::Float32;       // of the parts
};

extern Slot<void(Context&, const Fourier&)> fourier;

}  // namespace ember::kernels
