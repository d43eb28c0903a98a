#pragma once

#include "cpu/reduce_simple.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

struct Moments {
    double n, mean, squares;  // squares: sum of squared distances from the mean
};

// In two passes over a block that stays in cache; blocks are joined by Chan, Golub and LeVeque's
// formula (1979), so that one pass over memory loses nothing to a large mean.
template <class C>
struct Variance {
    using Compute = C;
    using Part = Moments;
    using V = Vec<C>;
    static constexpr bool writes_indices = false;

    static EMBER_INLINE Part identity() { return {0, 0, 0}; }
    static EMBER_INLINE void combine(Part& a, const Part& b) {
        if (b.n == 0) return;
        if (a.n == 0) {
            a = b;
            return;
        }
        double n = a.n + b.n, delta = b.mean - a.mean;
        a.mean += delta * (b.n / n);
        a.squares += b.squares + delta * delta * (a.n * b.n / n);
        a.n = n;
    }
    static EMBER_INLINE double finish(const Part& part, double correction) {
        double divisor = part.n - correction;
        return part.squares / (divisor > 0 ? divisor : 0);
    }

    static EMBER_INLINE void absorb(Part& part, const C* p, int64_t n, int64_t, double) {
        C pivot = C(double(Simple<C, Sum<C>>::block(p, n, {})) / double(n));
        V mean = pivot, zero = C(0), sum = zero, squares = zero, sum2 = zero, squares2 = zero;
        int64_t i = 0;
        for (; i + 2 * V::size <= n; i += 2 * V::size) {
            V d = V::load(p + i) - mean, e = V::load(p + i + V::size) - mean;
            sum += d;
            sum2 += e;
            squares = fma(d, d, squares);
            squares2 = fma(e, e, squares2);
        }
        for (; i < n; i += V::size) {
            int64_t count = clamp_to(n - i, 0, V::size);
            V d = select(lanes_below<C>(count), load_first<C>(p + i, count) - mean, zero);
            sum += d;
            squares = fma(d, d, squares);
        }
        combine(part,
                moments(double(n), pivot, reduce_add(sum + sum2), reduce_add(squares + squares2)));
    }

    static EMBER_INLINE void tile(const C* p, int64_t stride, int64_t rows, int64_t columns,
                                  int64_t, Part* parts, double) {
        alignas(64) C pivots[V::size], sums[V::size], squares[V::size];
        V inverse = C(1.0 / double(rows));
        for (int64_t c = 0; c < columns; c += V::size) {
            int64_t n = clamp_to(columns - c, 0, V::size);
            auto row = [&](int64_t r) __attribute__((always_inline)) {
                const C* at = p + r * stride + c;
                return n == V::size ? V::load(at) : load_first<C>(at, n);
            };
            V total = row(0);
            for (int64_t r = 1; r < rows; r++) total += row(r);
            V mean = total * inverse, sum = C(0), square = C(0);
            for (int64_t r = 0; r < rows; r++) {
                V d = row(r) - mean;
                sum += d;
                square = fma(d, d, square);
            }
            mean.store(pivots);
            sum.store(sums);
            square.store(squares);
            for (int64_t j = 0; j < n; j++) {
                combine(parts[c + j], moments(double(rows), pivots[j], sums[j], squares[j]));
            }
        }
    }

private:
    // From sums of x - pivot and of its square, where the pivot is the rounded mean.
    static EMBER_INLINE Part moments(double n, double pivot, double sum, double squares) {
        double shift = sum / n;
        return {n, pivot + shift, squares - sum * shift};
    }
};

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
