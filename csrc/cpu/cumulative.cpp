#include "kernels/cumulative.h"

#include <cmath>

#include "core/parallel.h"
#include "cpu/sizes.h"
#include "cpu/sort_keys.h"
#include "cpu/vec.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Cumulative;

constexpr int64_t kColumns = 64;  // run side by side where inner > 1
constexpr int64_t kRows = 8;      // run side by side where inner is 1: their sums do not wait

EMBER_INLINE float widen(Half x) { return ember::to_float(x); }
EMBER_INLINE float widen(BFloat16 x) { return ember::to_float(x); }
EMBER_INLINE double widen(float x) { return x; }
EMBER_INLINE double widen(double x) { return x; }
EMBER_INLINE uint64_t widen(int64_t x) { return uint64_t(x); }  // wraps around
EMBER_INLINE void narrow(float x, Half& to) { to = to_half(x); }
EMBER_INLINE void narrow(float x, BFloat16& to) { to = to_bfloat16(x); }
EMBER_INLINE void narrow(double x, float& to) { to = float(x); }
EMBER_INLINE void narrow(double x, double& to) { to = x; }
EMBER_INLINE void narrow(uint64_t x, int64_t& to) { to = int64_t(x); }

// f(first, lane_step, lanes) for every group of lanes that run side by side; items of one lane are
// `inner` apart.
template <class F>
EMBER_INLINE void for_lanes(const Cumulative& a, F&& f) {
    if (a.inner == 1) {
        int64_t grain = 16 * 1024 / a.n;
        grain = grain < kRows ? kRows : grain / kRows * kRows;
        parallel_for(a.outer, grain, [&](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; r += kRows)
                f(r * a.n, a.n, end - r < kRows ? end - r : kRows);
        });
        return;
    }
    int64_t tiles = (a.inner + kColumns - 1) / kColumns, grain = 16 * 1024 / (a.n * kColumns);
    parallel_for(a.outer * tiles, grain < 1 ? 1 : grain, [&](int64_t begin, int64_t end) {
        for (int64_t t = begin; t < end; t++) {
            int64_t column = t % tiles * kColumns;
            int64_t left = a.inner - column;
            f(t / tiles * a.n * a.inner + column, 1, left < kColumns ? left : kColumns);
        }
    });
}

// state = step(state, item), written at each place. `lanes` is a constant where that pays.
template <class T, class A, class Step>
EMBER_INLINE void run_lanes(const T* in, T* out, int64_t n, int64_t first_place, int64_t place_step,
                            int64_t lane_step, int64_t lanes, A start, Step&& step) {
    A state[kColumns];
    for (int64_t l = 0; l < lanes; l++) state[l] = start;
    for (int64_t j = 0; j < n; j++) {
        int64_t place = first_place + j * place_step;
        for (int64_t l = 0; l < lanes; l++) {
            state[l] = step(state[l], widen(in[place + l * lane_step]));
            narrow(state[l], out[place + l * lane_step]);
        }
    }
}

template <class T, class A, class Step>
EMBER_INLINE void running(const Cumulative& a, A start, Step&& step) {
    int64_t place_step = a.reverse ? -a.inner : a.inner;
    int64_t first_place = a.reverse ? (a.n - 1) * a.inner : 0;
    for_lanes(a, [&](int64_t first, int64_t lane_step, int64_t lanes) {
        const T* in = static_cast<const T*>(a.in) + first;
        T* out = static_cast<T*>(a.out) + first;
        if (lane_step == 1 && lanes == kColumns)
            run_lanes(in, out, a.n, first_place, place_step, 1, kColumns, start, step);
        else if (lane_step != 1 && lanes == kRows)
            run_lanes(in, out, a.n, first_place, place_step, lane_step, kRows, start, step);
        else
            run_lanes(in, out, a.n, first_place, place_step, lane_step, lanes, start, step);
    });
}

// x's items moved up by `by` places, behind those of `fill`.
template <int by, class A, size_t... I>
EMBER_INLINE Vec<A> moved_up(Vec<A> x, Vec<A> fill, std::index_sequence<I...>) {
    constexpr int size = int(sizeof...(I));
    return {__builtin_shufflevector(fill.v, x.v, (int(I) < by ? int(I) : int(I) - by + size)...)};
}
template <class A, size_t... I>
EMBER_INLINE Vec<A> reversed(Vec<A> x, std::index_sequence<I...>) {
    return {__builtin_shufflevector(x.v, x.v, (sizeof...(I) - 1 - I)...)};
}

// Vec<A>::size items of T, and back.
template <class A, class T>
EMBER_INLINE Vec<A> load_wide(const T* p) {
    if constexpr (sizeof(T) == 2) {
        return load_as<Vec<A>>(p);
    } else {
        typedef T Narrow __attribute__((vector_size(Vec<A>::size * sizeof(T))));
        Narrow items;
        memcpy(&items, p, sizeof items);
        return {__builtin_convertvector(items, Raw<A>)};
    }
}
template <class A, class T>
EMBER_INLINE void store_narrow(T* p, Vec<A> x) {
    if constexpr (sizeof(T) == 2) {
        store_as(p, x);
    } else {
        typedef T Narrow __attribute__((vector_size(Vec<A>::size * sizeof(T))));
        Narrow items = __builtin_convertvector(x.v, Narrow);
        memcpy(p, &items, sizeof items);
    }
}

template <bool product, class V>
EMBER_INLINE V joined(V a, V b) {
    if constexpr (product) return a * b;
    return a + b;
}

// Within a vector in log2(size) steps; only one operation a vector waits for the one before.
template <bool product, bool reverse, class A, class T>
EMBER_INLINE void scan_row(const T* in, T* out, int64_t n) {
    using V = Vec<A>;
    constexpr std::make_index_sequence<size_t(V::size)> lanes;
    const V neutral = A(product ? 1 : 0);
    V carry = neutral;
    int64_t i = 0;
    for (; i + V::size <= n; i += V::size) {
        const int64_t at = reverse ? n - V::size - i : i;
        V x = load_wide<A>(in + at);
        if constexpr (reverse) x = reversed(x, lanes);
        x = joined<product>(x, moved_up<1>(x, neutral, lanes));
        if constexpr (V::size > 2) x = joined<product>(x, moved_up<2>(x, neutral, lanes));
        if constexpr (V::size > 4) x = joined<product>(x, moved_up<4>(x, neutral, lanes));
        if constexpr (V::size > 8) x = joined<product>(x, moved_up<8>(x, neutral, lanes));
        V y = joined<product>(carry, x);
        carry = joined<product>(carry, V(A(x.v[V::size - 1])));
        store_narrow(out + at, reverse ? reversed(y, lanes) : y);
    }
    A last = carry.v[0];
    for (; i < n; i++) {
        const int64_t at = reverse ? n - 1 - i : i;
        last = joined<product>(last, A(widen(in[at])));
        narrow(last, out[at]);
    }
}

template <bool product>
void accumulate(Context&, const Cumulative& a) {
    dispatch<Half, BFloat16, float, double, int64_t>(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        using A = decltype(widen(T{}));
        if (a.inner > 1) {
            running<T, A>(a, A(product ? 1 : 0),
                          [](A s, A x) { return product ? A(s * x) : A(s + x); });
            return;
        }
        int64_t grain = clamp_to(16 * 1024 / a.n, 1, 16 * 1024);
        parallel_for(a.outer, grain, [&](int64_t begin, int64_t end) {
            for (int64_t row = begin; row < end; row++) {
                const T* in = static_cast<const T*>(a.in) + row * a.n;
                T* out = static_cast<T*>(a.out) + row * a.n;
                if (a.reverse) {
                    scan_row<product, true, A>(in, out, a.n);
                } else {
                    scan_row<product, false, A>(in, out, a.n);
                }
            }
        });
    });
}

void logcumsumexp(Context&, const Cumulative& a) {
    dispatch<Half, BFloat16, float, double>(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        using A = decltype(widen(T{}));
        running<T, A>(a, A(-INFINITY), [](A s, A x) {
            A low = s < x || s != s ? s : x, high = s < x || s != s ? x : s;
            if (low != low || high != high) return A(NAN);
            // Of two equal infinities the difference has no value.
            return low == high && std::isinf(low) ? high
                                                  : A(std::log1p(std::exp(low - high)) + high);
        });
    });
}

// The best item so far of `lanes` rows that lie side by side, and where it stands.
template <int64_t lanes, class U, class K>
EMBER_INLINE void run_extremes(const K& keys, const U* in, U* out, int64_t* indices, int64_t n,
                               int64_t step, int64_t count) {
    U top[lanes] = {}, value[lanes] = {};
    int64_t best[lanes] = {};
    for (int64_t j = 0; j < n; j++, in += step, out += step, indices += step) {
        for (int64_t i = 0; i < (lanes == 1 ? 1 : count); i++) {
            const U item = in[i];
            U key = keys(item);
            key = keys.is_nan(key) ? U(~U(0)) : key;
            const bool better = j == 0 || key >= top[i];
            top[i] = better ? key : top[i];
            out[i] = value[i] = better ? item : value[i];
            indices[i] = best[i] = better ? j : best[i];
        }
    }
}

template <bool smallest>
void extremes(Context&, const Cumulative& a) {
    with_keys(a.dtype, smallest, [&](auto keys) {
        using U = typename decltype(keys)::Bits;
        const U* in = static_cast<const U*>(a.in);
        U* out = static_cast<U*>(a.out);
        for_lanes(a, [&](int64_t first, int64_t lane_step, int64_t lanes) {
            if (lane_step == 1) {
                return run_extremes<kColumns>(keys, in + first, out + first, a.indices + first, a.n,
                                              a.inner, lanes);
            }
            for (int64_t at = first; at < first + lanes * lane_step; at += lane_step)
                run_extremes<1>(keys, in + at, out + at, a.indices + at, a.n, 1, 1);
        });
    });
}

}  // namespace

void register_cumulative(Table& table) {
    table.set(kernels::cumsum, accumulate<false>, kFloating | dtypes(DType::Int64));
    table.set(kernels::cumprod, accumulate<true>, kFloating | dtypes(DType::Int64));
    table.set(kernels::logcumsumexp, logcumsumexp, kFloating);
    table.set(kernels::cummax, extremes<false>, kReal);
    table.set(kernels::cummin, extremes<true>, kReal);
}

}  // namespace ember::cpu::EMBER_LEVEL
