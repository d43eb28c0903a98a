#pragma once

#include "cpu/reduce_simple.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

template <class C>
struct Variance {
    using Compute = C;
    using Part = Moments;
    using V = Vec<C>;
    static constexpr bool writes_indices = false;

    static EMBER_INLINE Part identity() { return {0, 0, 0}; }
    static EMBER_INLINE void combine(Part& a, const Part& b) { join_moments(a, b); }
    static EMBER_INLINE double finish(const Part& part, double correction) {
        double divisor = part.n - correction;
        return part.squares / (divisor > 0 ? divisor : 0);
    }

    static EMBER_INLINE void absorb(Part& part, const C* p, int64_t n, int64_t, double) {
        sweep_moments<V>(part, n,
                         [&](auto at) __attribute__((always_inline)) { return at.load(p); });
    }

    static EMBER_INLINE void tile(const C* p, int64_t stride, int64_t rows, int64_t columns,
                                  int64_t, Part* parts, double) {
        alignas(64) C pivots[V::size], sums[V::size], squares[V::size];
        double inverse = 1 / double(rows);
        for (int64_t c = 0; c < columns; c += V::size) {
            int64_t n = clamp_to(columns - c, 0, V::size);
            auto row = [&](int64_t r) __attribute__((always_inline)) {
                const C* at = p + r * stride + c;
                return n == V::size ? V::load(at) : load_first<C>(at, n);
            };
            V total = row(0);
            for (int64_t r = 1; r < rows; r++) {
                prefetch(p + r * stride + c + kColumnsAhead);
                total += row(r);
            }
            V mean = total * V(C(inverse)), sum = C(0), square = C(0);
            for (int64_t r = 0; r < rows; r++) {
                V d = row(r) - mean;
                sum += d;
                square = fma(d, d, square);
            }
            mean.store(pivots);
            sum.store(sums);
            square.store(squares);
            for (int64_t j = 0; j < n; j++) {
                combine(parts[c + j],
                        moments_of(double(rows), inverse, pivots[j], sums[j], squares[j]));
            }
        }
    }
};

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
