#pragma once

#include "cpu/vec.h"

// Convolutions of 3 x 3 taps, and of 2 x 2, by Winograd's algorithm (Lavin and Gray, arXiv
// 1509.09308): a tile of 4 x 4 outputs takes 36 multiplications for each pair of channels instead
// of 144, or 25 instead of 64. Values of the input, of the weight and of the output are those of
// polynomials at the points 0 (for 3 taps), a, -a, b, -b and infinity, where a convolution is a
// product of each value alone:
//     y = A' [(G w G') * (B' x B)] A,   36 or 25 matrix products over the channels,
// and the weight's gradient, its adjoint, is G' [(B' x B) * (A y A')] G.
// The points 3/4 and 3/2 round about four times less than the usual 1 and 2 do.
namespace ember::cpu::EMBER_LEVEL {
namespace {

constexpr int kStep = 4;
template <int Taps>
constexpr int kValues = kStep + Taps - 1;
template <int Taps>
constexpr int kPlanes = kValues<Taps> * kValues<Taps>;

constexpr float kA = 0.75f, kB = 1.5f, kAA = kA * kA, kBB = kB * kB;
// Over the product of a point's distances from the others: for the points a and b.
constexpr float kNull = 1 / (kAA * kBB);
template <int Taps>
constexpr float kNearA = 1 / (2 * (Taps == 3 ? kAA : kA) * (kAA - kBB));
template <int Taps>
constexpr float kNearB = 1 / (2 * (Taps == 3 ? kBB : kB) * (kBB - kAA));

// The one-dimensional transforms, of values a step apart. The value at 0 is the first, if any.
template <int Taps>
struct InputValues {  // B'
    static constexpr int kTaps = Taps, kIn = kValues<Taps>, kOut = kValues<Taps>;
    static EMBER_INLINE void apply(const VecF* x, int from, VecF* y, int to) {
        const VecF both(kAA * kBB), sum(kAA + kBB), a(kA), b(kB), aa(kAA), bb(kBB);
        if constexpr (Taps == 3) {
            y[0] = both * x[0] - sum * x[2 * from] + x[4 * from];
            x += from, y += to;
        }
        const VecF x0 = x[0], x1 = x[from], x2 = x[2 * from], x3 = x[3 * from];
        const VecF even_a = x3 - bb * x1, odd_a = a * (x2 - bb * x0);
        const VecF even_b = x3 - aa * x1, odd_b = b * (x2 - aa * x0);
        y[0] = even_a + odd_a;
        y[to] = even_a - odd_a;
        y[2 * to] = even_b + odd_b;
        y[3 * to] = even_b - odd_b;
        y[4 * to] = both * x0 - sum * x2 + x[4 * from];
    }
};
template <int Taps>
struct OutputValues {  // A, of the output's gradient
    static constexpr int kTaps = Taps, kIn = kStep, kOut = kValues<Taps>;
    static EMBER_INLINE void apply(const VecF* x, int from, VecF* y, int to) {
        const VecF a(kA), b(kB), aa(kAA), bb(kBB);
        const VecF x0 = x[0], x1 = x[from], x2 = x[2 * from], x3 = x[3 * from];
        const VecF even_a = x0 + aa * x2, odd_a = a * (x1 + aa * x3);
        const VecF even_b = x0 + bb * x2, odd_b = b * (x1 + bb * x3);
        if constexpr (Taps == 3) {
            y[0] = x0;
            y += to;
        }
        y[0] = even_a + odd_a;
        y[to] = even_a - odd_a;
        y[2 * to] = even_b + odd_b;
        y[3 * to] = even_b - odd_b;
        y[4 * to] = x3;
    }
};
template <int Taps>
struct Outputs {  // A'
    static constexpr int kTaps = Taps, kIn = kValues<Taps>, kOut = kStep;
    static EMBER_INLINE void apply(const VecF* x, int from, VecF* y, int to) {
        const VecF a(kA), b(kB), aa(kAA), bb(kBB);
        VecF null(0.0f);
        if constexpr (Taps == 3) {
            null = x[0];
            x += from;
        }
        const VecF sum_a = x[0] + x[from], odd_a = a * (x[0] - x[from]);
        const VecF sum_b = x[2 * from] + x[3 * from], odd_b = b * (x[2 * from] - x[3 * from]);
        y[0] = null + sum_a + sum_b;
        y[to] = odd_a + odd_b;
        y[2 * to] = aa * sum_a + bb * sum_b;
        y[3 * to] = aa * odd_a + bb * odd_b + x[4 * from];
    }
};
template <int Taps>
struct WeightValues {  // G
    static constexpr int kTaps = Taps, kIn = Taps, kOut = kValues<Taps>;
    static EMBER_INLINE void apply(const VecF* x, int from, VecF* y, int to) {
        const VecF near_a(kNearA<Taps>), near_b(kNearB<Taps>);
        const VecF by_a(kNearA<Taps> * kA), by_b(kNearB<Taps> * kB);
        if constexpr (Taps == 3) {
            const VecF x0 = x[0], x1 = x[from], x2 = x[2 * from];
            const VecF even_a = near_a * (x0 + VecF(kAA) * x2), odd_a = by_a * x1;
            const VecF even_b = near_b * (x0 + VecF(kBB) * x2), odd_b = by_b * x1;
            y[0] = VecF(kNull) * x0;
            y[to] = even_a + odd_a;
            y[2 * to] = even_a - odd_a;
            y[3 * to] = even_b + odd_b;
            y[4 * to] = even_b - odd_b;
            y[5 * to] = x2;
        } else {
            const VecF x0 = x[0], x1 = x[from];
            y[0] = by_a * x1 + near_a * x0;
            y[to] = by_a * x1 - near_a * x0;
            y[2 * to] = by_b * x1 + near_b * x0;
            y[3 * to] = by_b * x1 - near_b * x0;
            y[4 * to] = x1;
        }
    }
};
template <int Taps>
struct Weights {  // G'
    static constexpr int kTaps = Taps, kIn = kValues<Taps>, kOut = Taps;
    static EMBER_INLINE void apply(const VecF* x, int from, VecF* y, int to) {
        const VecF near_a(kNearA<Taps>), near_b(kNearB<Taps>);
        const VecF by_a(kNearA<Taps> * kA), by_b(kNearB<Taps> * kB);
        const VecF* at = Taps == 3 ? x + from : x;
        const VecF sum_a = at[0] + at[from], odd_a = at[0] - at[from];
        const VecF sum_b = at[2 * from] + at[3 * from], odd_b = at[2 * from] - at[3 * from];
        if constexpr (Taps == 3) {
            const VecF even_a = near_a * sum_a, even_b = near_b * sum_b;
            y[0] = VecF(kNull) * x[0] + even_a + even_b;
            y[to] = by_a * odd_a + by_b * odd_b;
            y[2 * to] = VecF(kAA) * even_a + VecF(kBB) * even_b + at[4 * from];
        } else {
            y[0] = near_a * odd_a + near_b * odd_b;
            y[to] = by_a * sum_a + by_b * sum_b + at[4 * from];
        }
    }
};

// Both dims of a square of registers.
template <class Transform>
EMBER_INLINE void transform(const VecF* x, VecF* y) {
    constexpr int kIn = Transform::kIn, kOut = Transform::kOut;
    VecF half[kOut * kIn];
#pragma GCC unroll 6
    for (int j = 0; j < kIn; j++) Transform::apply(x + j, kIn, half + j, kIn);
#pragma GCC unroll 6
    for (int i = 0; i < kOut; i++) Transform::apply(half + i * kIn, 1, y + i * kOut, 1);
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
