#pragma once

#include "cpu/rows.h"
#include "kernels/formulas/math.h"

// A row's maximum and the sum of its exponentials, for what is made of softmax.
namespace ember::cpu::EMBER_LEVEL {
namespace {

template <class T>
constexpr Compute<T> kLowest = -std::numeric_limits<Compute<T>>::infinity();

// Passes over NaN, which the exponentials bring to light.
template <class T>
EMBER_INLINE Compute<T> row_max(const T* in, int64_t n) {
    using V = Lanes<T>;
    auto step = [&](V m, auto at) __attribute__((always_inline)) {
        return max(at.or_else(at.load(in), kLowest<T>), m);
    };
    auto merge = [](V a, V b) __attribute__((always_inline)) { return max(a, b); };
    return reduce_max(sweep_reduce<V>(n, V(kLowest<T>), step, merge));
}

// The sum of exp(x - shift), each of which `keep(at, exponential)` is given. The work hides the way
// of the row `ahead` items further on from memory.
template <class T, class Keep>
EMBER_INLINE double row_exp_sum(const T* in, int64_t n, Compute<T> shift, int64_t ahead,
                                Keep&& keep) {
    using V = Lanes<T>;
    V origin = shift;
    return sweep_sum<V>(n, [&](auto at) __attribute__((always_inline)) {
        at.fetch(in + ahead);
        V e = at.or_else(formulas::exp(at.load(in) - origin), 0);
        keep(at, e);
        return e;
    });
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
