#pragma once

#include <limits>

#include "core/parallel.h"
#include "cpu/sizes.h"
#include "cpu/vec.h"

// Sweeps over rows of items of any floating type T in vectors of their compute type.
namespace ember::cpu::EMBER_LEVEL {
namespace {

template <class T>
using Compute = std::conditional_t<sizeof(T) == 8, double, float>;
template <class T>
using Lanes = Vec<Compute<T>>;

template <class F>
EMBER_INLINE void dispatch_floating(DType dtype, F&& f) {
    dispatch<Half, BFloat16, float, double>(dtype, f);
}

// With the item types of data and of parameters, which may be wider than halves.
template <class F>
EMBER_INLINE void dispatch_with_params(DType dtype, DType param_dtype, F&& f) {
    dispatch_floating(dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        if constexpr (sizeof(T) == 2) {
            if (param_dtype == DType::Float32) return f(tag, TypeTag<float>{});
        }
        f(tag, tag);
    });
}

template <class T>
EMBER_INLINE Compute<T> widen_item(T x) {
    if constexpr (sizeof(T) == 2) {
        return ember::to_float(x);
    } else {
        return x;
    }
}
template <class T>
EMBER_INLINE T narrow_item(double x) {
    if constexpr (std::is_same_v<T, Half>) {
        return to_half(float(x));
    } else if constexpr (std::is_same_v<T, BFloat16>) {
        return to_bfloat16(float(x));
    } else {
        return T(x);
    }
}

// The lanes with number below n.
template <class C>
EMBER_INLINE Mask<sizeof(C)> lanes_below(int64_t n) {
    using I = typename Vec<C>::Int::Scalar;
    Vec<I> lane;
    for (int i = 0; i < Vec<I>::size; i++) lane.v[i] = I(i);
    return lane < Vec<I>(I(n));
}

// Where in a row a vector stands: whole, or its first n items.
template <class V>
struct Whole {
    int64_t i;
    template <class T>
    EMBER_INLINE V load(const T* p) const {
        return load_as<V>(p + i);
    }
    template <class T>
    EMBER_INLINE void store(T* p, V x) const {
        store_as(p + i, x);
    }
    EMBER_INLINE V or_else(V x, typename V::Scalar) const { return x; }
};
template <class V>
struct First {
    int64_t i, n;
    template <class T>
    EMBER_INLINE V load(const T* p) const {
        return load_first_as<V>(p + i, n);
    }
    template <class T>
    EMBER_INLINE void store(T* p, V x) const {
        store_first_as(p + i, x, n);
    }
    // x in the row, `other` in the lanes behind it.
    EMBER_INLINE V or_else(V x, typename V::Scalar other) const {
        return select(lanes_below<typename V::Scalar>(n), x, V(other));
    }
};

// body(at) for the vectors of [begin, end), the last of which may be partial.
template <class V, class F>
EMBER_INLINE void sweep(int64_t begin, int64_t end, F&& body) {
    int64_t i = begin;
    for (; i + V::size <= end; i += V::size) body(Whole<V>{i});
    if (i < end) body(First<V>{i, end - i});
}

// Reduces [0, n): step(state, at) with four states in turn, merge(state, state); the state starts
// at `start`.
template <class V, class Step, class Merge>
EMBER_INLINE V sweep_reduce(int64_t n, V start, Step&& step, Merge&& merge) {
    V state = start;
    int64_t i = 0;
    if (n >= 4 * V::size) {
        V s1 = start, s2 = start, s3 = start;
        for (; i + 4 * V::size <= n; i += 4 * V::size) {
            state = step(state, Whole<V>{i});
            s1 = step(s1, Whole<V>{i + V::size});
            s2 = step(s2, Whole<V>{i + 2 * V::size});
            s3 = step(s3, Whole<V>{i + 3 * V::size});
        }
        state = merge(merge(state, s1), merge(s2, s3));
    }
    for (; i + V::size <= n; i += V::size) state = step(state, Whole<V>{i});
    if (i < n) state = step(state, First<V>{i, n - i});
    return state;
}

// The sum over a row: vectors over blocks, float64 over the blocks. term(at) must be 0 behind the
// row's end.
template <class V, class Term>
EMBER_INLINE double sweep_sum(int64_t n, Term&& term) {
    constexpr int64_t kItems = 4096;
    V zero = typename V::Scalar(0);
    double sum = 0;
    for (int64_t begin = 0; begin < n; begin += kItems) {
        auto step = [&](V s, auto at) __attribute__((always_inline)) {
            at.i += begin;
            return s + term(at);
        };
        auto merge = [](V a, V b) __attribute__((always_inline)) { return a + b; };
        V part = sweep_reduce<V>(clamp_to(n - begin, 0, kItems), zero, step, merge);
        sum += double(reduce_add(part));
    }
    return sum;
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
