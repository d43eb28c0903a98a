#pragma once

#include <cmath>

#include "cpu/reduce_variance.h"
#include "kernels/formulas/math.h"

// Norms, logsumexp.
namespace ember::cpu::EMBER_LEVEL {
namespace {

enum class Power { Zero, One, Two, Largest, Smallest, Any };

// Rare and long, so one copy serves all loops.
template <class C>
EMBER_NOINLINE Vec<C> raise_magnitude(Vec<C> x, C power) {
    return formulas::pow(abs(x), Vec<C>(power));
}

// The p-norm: sums |x|^p in vectors and the sums of blocks in float64.
template <class C, Power power>
struct Norm {
    double param;
    using V = Vec<C>;
    using Part = Result<C>;
    static constexpr C pad() { return 0; }
    static EMBER_INLINE C start() { return 0; }
    EMBER_INLINE V step(V a, V x) const {
        if constexpr (power == Power::Zero) {
            return select(x == V(C(0)), a, a + V(C(1)));
        } else if constexpr (power == Power::One) {
            return a + abs(x);
        } else if constexpr (power == Power::Two) {
            return fma(x, x, a);
        } else if constexpr (power == Power::Largest) {
            return maximum(a, abs(x));
        } else {
            return a + raise_magnitude(x, C(param));
        }
    }
    EMBER_INLINE V merge(V a, V b) const {
        if constexpr (power == Power::Largest) return maximum(a, b);
        return a + b;
    }
    static EMBER_INLINE Part join(Part a, Part b) {
        if constexpr (power == Power::Largest) return b > a || b != b ? b : a;
        return a + b;
    }
    static EMBER_INLINE Part finish(Part x, double p) {
        if constexpr (power == Power::Two) return std::sqrt(x);
        if constexpr (power == Power::Any) return std::pow(x, 1 / p);
        return x;
    }
};

// Neutral to a negative power's sum and to the smallest is infinity.
template <class C>
struct NegativeNorm : Norm<C, Power::Any> {
    static constexpr C pad() { return std::numeric_limits<C>::infinity(); }
};
template <class C>
struct SmallestNorm {
    double param;
    using V = Vec<C>;
    using Part = Result<C>;
    static constexpr C pad() { return std::numeric_limits<C>::infinity(); }
    static EMBER_INLINE C start() { return std::numeric_limits<C>::infinity(); }
    EMBER_INLINE V step(V a, V x) const { return minimum(a, abs(x)); }
    EMBER_INLINE V merge(V a, V b) const { return minimum(a, b); }
    static EMBER_INLINE Part join(Part a, Part b) { return b < a || b != b ? b : a; }
    static EMBER_INLINE Part finish(Part x, double) { return x; }
};

struct LogSum {
    double shift, sum;  // the logarithm of sum * exp(shift)
};

template <class C>
struct LogSumExp {
    using Compute = C;
    using Part = LogSum;
    using V = Vec<C>;
    static constexpr bool writes_indices = false;

    static EMBER_INLINE Part identity() { return {0, 0}; }
    static EMBER_INLINE void combine(Part& a, const Part& b) {
        if (b.sum == 0) return;
        if (a.sum == 0) {
            a = b;
        } else if (a.shift >= b.shift) {
            a.sum += b.sum * std::exp(b.shift - a.shift);
        } else {
            a = {b.shift, b.sum + a.sum * std::exp(a.shift - b.shift)};
        }
    }
    static EMBER_INLINE double finish(const Part& part, double) {
        return part.shift + std::log(part.sum);
    }
    // An infinite maximum is no shift: exp makes 0 or infinity of the items as it is.
    static EMBER_INLINE V shift_of(V largest) {
        return select(abs(largest) < V(std::numeric_limits<C>::infinity()), largest, V(C(0)));
    }

    static EMBER_INLINE void absorb(Part& part, const C* p, int64_t n, int64_t, double) {
        V shift = shift_of(V(Simple<C, Max<C>>::block(p, n, {})));
        V sum = C(0);
        int64_t i = 0;
        for (; i + V::size <= n; i += V::size) sum += formulas::exp(V::load(p + i) - shift);
        if (i < n) {
            V x = formulas::exp(load_first<C>(p + i, n - i) - shift);
            sum += select(lanes_below<C>(n - i), x, V(C(0)));
        }
        combine(part, {double(shift.v[0]), double(reduce_add(sum))});
    }

    static EMBER_INLINE void tile(const C* p, int64_t stride, int64_t rows, int64_t columns,
                                  int64_t, Part* parts, double) {
        alignas(64) C shifts[V::size], sums[V::size];
        for (int64_t c = 0; c < columns; c += V::size) {
            int64_t n = clamp_to(columns - c, 0, V::size);
            auto row = [&](int64_t r) __attribute__((always_inline)) {
                const C* at = p + r * stride + c;
                return n == V::size ? V::load(at) : load_first<C>(at, n);
            };
            V largest = row(0);
            for (int64_t r = 1; r < rows; r++) {
                prefetch(p + r * stride + c + kColumnsAhead);
                largest = maximum(largest, row(r));
            }
            V shift = shift_of(largest), sum = C(0);
            for (int64_t r = 0; r < rows; r++) sum += formulas::exp(row(r) - shift);
            shift.store(shifts);
            sum.store(sums);
            for (int64_t j = 0; j < n; j++) combine(parts[c + j], {shifts[j], sums[j]});
        }
    }
};

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
