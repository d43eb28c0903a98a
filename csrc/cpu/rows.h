#pragma once

#include <limits>

#include "core/parallel.h"
#include "cpu/isa.h"
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
    template <class T>
    EMBER_INLINE void fetch(const T* p) const {
        prefetch(p + i);
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
    template <class T>
    EMBER_INLINE void fetch(const T*) const {}
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

// Whether rows of so many bytes had better be written past the caches: together with what is read
// they do not fit there, and they are made of whole cache lines or are long.
EMBER_INLINE bool rows_stream(const void* out, int64_t row_bytes, int64_t traffic) {
    bool whole_lines = ((reinterpret_cast<intptr_t>(out) | row_bytes) & 63) == 0;
    return traffic >= stream_threshold && (whole_lines || row_bytes >= 4096);
}

// Writes item(at) to [0, n) of `out`: past the caches if told to; then a fence must follow.
template <class V, class T, class F>
EMBER_INLINE void sweep_into(T* out, int64_t n, bool stream, F&& item) {
    constexpr int64_t size = V::size;
    int64_t i = 0;
    if (stream) {
        i = (-reinterpret_cast<intptr_t>(out) & (size * int64_t(sizeof(T)) - 1)) / sizeof(T);
        if (i > n) i = n;
        if (i > 0) {
            First<V> head{0, i};
            head.store(out, item(head));
        }
    }
    for (; i + size <= n; i += size) {
        V x = item(Whole<V>{i});
        if (stream) {
            stream_as(out + i, x);
        } else {
            store_as(out + i, x);
        }
    }
    if (i < n) {
        First<V> tail{i, n - i};
        tail.store(out, item(tail));
    }
}

// How many items ahead a row's last sweep prefetches with fetch(), so that memory does not rest
// while the row is in cache: the rows behind it; 0 where these would push it out.
template <class T>
EMBER_INLINE int64_t row_ahead(int64_t n) {
    int64_t least = 4096 / sizeof(T), most = 131072 / sizeof(T);
    return n > most ? 0 : n < least ? least : n;
}

// Rows whose sweeps take turns: together they stay in the first-level cache, and one row's sweep
// does not wait for the end of that row's last.
constexpr int64_t kTurns = 16;
template <class T>
EMBER_INLINE int64_t rows_in_turn(int64_t n) {
    return clamp_to(8192 / (n * int64_t(sizeof(T)) + 1), 1, kTurns);
}

// Reduces [0, n): step(state, at) with four states in turn, merge(state, state); the state starts
// at `start`.
template <class V, class S, class Step, class Merge>
EMBER_INLINE S sweep_reduce(int64_t n, S start, Step&& step, Merge&& merge) {
    S state = start;
    int64_t i = 0;
    if (n >= 4 * V::size) {
        S s1 = start, s2 = start, s3 = start;
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

// The sum over [begin, begin + n) of what step(state, at) adds to a state of zeros.
template <class V, class S, class Step>
EMBER_INLINE S sweep_add(int64_t begin, int64_t n, S zeros, Step&& step) {
    return sweep_reduce<V>(
        n, zeros,
        [&](S s, auto at) __attribute__((always_inline)) {
            at.i += begin;
            return step(s, at);
        },
        [](S a, S b) __attribute__((always_inline)) { return a + b; });
}

// The sum over a row: vectors over blocks, float64 over the blocks. term(at) must be 0 behind the
// row's end.
template <class V, class Term>
EMBER_INLINE double sweep_sum(int64_t n, Term&& term) {
    constexpr int64_t kItems = 4096;
    V zero = typename V::Scalar(0);
    double sum = 0;
    for (int64_t begin = 0; begin < n; begin += kItems) {
        auto step = [&](V s, auto at) __attribute__((always_inline)) { return s + term(at); };
        V part = sweep_add<V>(begin, clamp_to(n - begin, 0, kItems), zero, step);
        sum += double(reduce_add(part));
    }
    return sum;
}

struct Moments {
    double n, mean, squares;  // squares: sum of squared distances from the mean
};
constexpr Moments kNoMoments{0, std::numeric_limits<double>::quiet_NaN(), 0};

// By Chan, Golub and LeVeque's formula (1979): one pass over memory loses nothing to a large mean.
EMBER_INLINE void join_moments(Moments& a, const Moments& b) {
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
// From sums of x - pivot and of its square, where the pivot is the rounded mean; inverse is 1 / n.
EMBER_INLINE Moments moments_of(double n, double inverse, double pivot, double sum,
                                double squares) {
    double shift = sum * inverse;
    return {n, pivot + shift, squares - sum * shift};
}

// Of some numbers, and of their products with others.
template <class V>
struct Sums {
    V plain, product;
    friend EMBER_INLINE Sums operator+(Sums a, Sums b) {
        return {a.plain + b.plain, a.product + b.product};
    }
};

// Adds the moments of load(at), which must be 0 behind the end, to those so far: by blocks, each
// around the mean so far, or its own at the start, when it takes two passes. Where the two lie
// apart, what cancels is as small beside the joined squares as rounding is.
template <class V, class Load>
EMBER_INLINE void sweep_moments(Moments& so_far, int64_t n, Load&& load) {
    using C = typename V::Scalar;
    constexpr int64_t kItems = 4096;
    V zero = C(0);
    for (int64_t begin = 0; begin < n; begin += kItems) {
        int64_t count = clamp_to(n - begin, 0, kItems);
        double inverse = 1 / double(count), mean = so_far.mean;
        if (so_far.n == 0) {
            auto add = [&](V s, auto at) __attribute__((always_inline)) { return s + load(at); };
            mean = double(reduce_add(sweep_add<V>(begin, count, zero, add))) * inverse;
        }
        V pivot = C(mean);
        auto add = [&](Sums<V> s, auto at) __attribute__((always_inline)) {
            V d = at.or_else(load(at) - pivot, 0);
            return Sums<V>{s.plain + d, fma(d, d, s.product)};
        };
        Sums<V> sums = sweep_add<V>(begin, count, Sums<V>{zero, zero}, add);
        join_moments(so_far,
                     moments_of(double(count), inverse, double(pivot.v[0]),
                                double(reduce_add(sums.plain)), double(reduce_add(sums.product))));
    }
}

struct GradSums {
    double grad, dot;  // of grad, and of grad * (x - mean)
    EMBER_INLINE GradSums& operator+=(const GradSums& other) {
        grad += other.grad;
        dot += other.dot;
        return *this;
    }
};

// In vectors over blocks, in float64 over the blocks.
template <class V, class T>
EMBER_INLINE GradSums sweep_grad_sums(const T* grad, const T* in, V mean, int64_t n) {
    constexpr int64_t kItems = 4096;
    V zero = typename V::Scalar(0);
    GradSums all{0, 0};
    for (int64_t begin = 0; begin < n; begin += kItems) {
        auto add = [&](Sums<V> s, auto at) __attribute__((always_inline)) {
            V g = at.load(grad);  // 0 behind the end
            return Sums<V>{s.plain + g, fma(g, at.load(in) - mean, s.product)};
        };
        Sums<V> sums =
            sweep_add<V>(begin, clamp_to(n - begin, 0, kItems), Sums<V>{zero, zero}, add);
        all += {double(reduce_add(sums.plain)), double(reduce_add(sums.product))};
    }
    return all;
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
