#include "kernels/softmax.h"

#include "cpu/rows.h"
#include "kernels/formulas/math.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Softmax;
using kernels::SoftmaxBackward;

constexpr int64_t kTile = 512;  // columns swept together where inner > 1

template <class T>
constexpr bool is_half = sizeof(T) == 2;

template <class T>
constexpr Compute<T> kLowest = -std::numeric_limits<Compute<T>>::infinity();

template <class T>
EMBER_INLINE Compute<T> row_max(const T* in, int64_t n) {
    using V = Lanes<T>;
    auto step = [&](V m, auto at) __attribute__((always_inline)) {
        return maximum(m, at.or_else(at.load(in), kLowest<T>));
    };
    auto merge = [](V a, V b) __attribute__((always_inline)) { return maximum(a, b); };
    return reduce_max(sweep_reduce<V>(n, V(kLowest<T>), step, merge));
}

template <class T>
EMBER_INLINE void softmax_row(const T* in, T* out, int64_t n) {
    using V = Lanes<T>;
    V largest = row_max(in, n);
    double sum = sweep_sum<V>(n, [&](auto at) __attribute__((always_inline)) {
        V e = at.or_else(formulas::exp(at.load(in) - largest), 0);
        // Halves would round twice: theirs are computed again below.
        if constexpr (!is_half<T>) at.store(out, e);
        return e;
    });
    V scale = Compute<T>(1 / sum);
    sweep<V>(0, n, [&](auto at) __attribute__((always_inline)) {
        if constexpr (is_half<T>) {
            at.store(out, formulas::exp(at.load(in) - largest) * scale);
        } else {
            at.store(out, at.load(out) * scale);
        }
    });
}

template <class T>
EMBER_INLINE void log_softmax_row(const T* in, T* out, int64_t n) {
    using V = Lanes<T>;
    V largest = row_max(in, n);
    double sum = sweep_sum<V>(n, [&](auto at) __attribute__((always_inline)) {
        return at.or_else(formulas::exp(at.load(in) - largest), 0);
    });
    V log_sum = formulas::log(V(Compute<T>(sum)));
    sweep<V>(0, n, [&](auto at) __attribute__((always_inline)) {
        at.store(out, (at.load(in) - largest) - log_sum);
    });
}

// `width` columns next to each other, `inner` items from one row to the next.
template <class T, bool log>
EMBER_INLINE void softmax_columns(const T* in, T* out, int64_t n, int64_t inner, int64_t width) {
    using C = Compute<T>;
    using V = Lanes<T>;
    alignas(64) C largest[kTile], sum[kTile];
    sweep<V>(0, width, [&](auto at) __attribute__((always_inline)) {
        V m = at.load(in);
        for (int64_t r = 1; r < n; r++) m = maximum(m, at.load(in + r * inner));
        at.store(largest, m);
        at.store(sum, V(C(0)));
    });
    for (int64_t r = 0; r < n; r++) {
        const T* from = in + r * inner;
        T* to = out + r * inner;
        sweep<V>(0, width, [&](auto at) __attribute__((always_inline)) {
            V e = formulas::exp(at.load(from) - at.load(largest));
            if constexpr (!log && !is_half<T>) at.store(to, e);
            at.store(sum, at.load(sum) + e);
        });
    }
    sweep<V>(0, width, [&](auto at) __attribute__((always_inline)) {
        at.store(sum, log ? formulas::log(at.load(sum)) : V(C(1)) / at.load(sum));
    });
    for (int64_t r = 0; r < n; r++) {
        const T* from = in + r * inner;
        T* to = out + r * inner;
        sweep<V>(0, width, [&](auto at) __attribute__((always_inline)) {
            V finish = at.load(sum);
            if constexpr (log) {
                at.store(to, (at.load(from) - at.load(largest)) - finish);
            } else if constexpr (is_half<T>) {
                at.store(to, formulas::exp(at.load(from) - at.load(largest)) * finish);
            } else {
                at.store(to, at.load(to) * finish);
            }
        });
    }
}

template <class T>
EMBER_INLINE void softmax_row_backward(const T* grad, const T* y, T* out, int64_t n) {
    using V = Lanes<T>;
    V dot = Compute<T>(sweep_sum<V>(n, [&](auto at) __attribute__((always_inline)) {
        return at.load(grad) * at.load(y);  // zeros behind the end
    }));
    sweep<V>(0, n, [&](auto at) __attribute__((always_inline)) {
        at.store(out, at.load(y) * (at.load(grad) - dot));
    });
}

template <class T>
EMBER_INLINE void log_softmax_row_backward(const T* grad, const T* y, T* out, int64_t n) {
    using V = Lanes<T>;
    V sum = Compute<T>(
        sweep_sum<V>(n, [&](auto at) __attribute__((always_inline)) { return at.load(grad); }));
    sweep<V>(0, n, [&](auto at) __attribute__((always_inline)) {
        at.store(out, at.load(grad) - formulas::exp(at.load(y)) * sum);
    });
}

template <class T, bool log>
EMBER_INLINE void softmax_columns_backward(const T* grad, const T* y, T* out, int64_t n,
                                           int64_t inner, int64_t width) {
    using C = Compute<T>;
    using V = Lanes<T>;
    alignas(64) C sum[kTile];
    sweep<V>(0, width, [&](auto at) __attribute__((always_inline)) {
        V s = C(0);
        for (int64_t r = 0; r < n; r++) {
            V g = at.load(grad + r * inner);
            s += log ? g : g * at.load(y + r * inner);
        }
        at.store(sum, s);
    });
    for (int64_t r = 0; r < n; r++) {
        int64_t row = r * inner;
        sweep<V>(0, width, [&](auto at) __attribute__((always_inline)) {
            V g = at.load(grad + row), p = at.load(y + row), s = at.load(sum);
            at.store(out + row, log ? g - formulas::exp(p) * s : p * (g - s));
        });
    }
}

// on_row(first item) for each of `outer` rows, or on_columns(first item, width) for tiles of
// columns. An exponential is worth about 16 bytes of traffic.
template <class Row, class Columns>
EMBER_INLINE void for_slices(int64_t outer, int64_t n, int64_t inner, int item, Row&& on_row,
                             Columns&& on_columns) {
    if (outer == 0 || n == 0 || inner == 0) return;
    int64_t cost = n * (2 * item + 16);
    if (inner == 1) {
        parallel_for(outer, clamp_to(kGrainBytes / cost, 1, kGrainBytes),
                     [&](int64_t begin, int64_t end) {
                         for (int64_t o = begin; o < end; o++) on_row(o * n);
                     });
        return;
    }
    int64_t width = clamp_to(ceil_div(kGrainBytes / cost, 64) * 64, 64, kTile);
    int64_t tiles = ceil_div(inner, width);
    int64_t grain =
        clamp_to(kGrainBytes / (cost * (width < inner ? width : inner)), 1, kGrainBytes);
    parallel_for(outer * tiles, grain, [&](int64_t begin, int64_t end) {
        for (int64_t t = begin; t < end; t++) {
            int64_t column = t % tiles * width;
            on_columns(t / tiles * n * inner + column, clamp_to(inner - column, 0, width));
        }
    });
}

template <bool log>
void forward(Context&, const Softmax& a) {
    dispatch_floating(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        const T* in = static_cast<const T*>(a.in);
        T* out = static_cast<T*>(a.out);
        for_slices(
            a.outer, a.n, a.inner, sizeof(T),
            [&](int64_t i) {
                if constexpr (log) {
                    log_softmax_row(in + i, out + i, a.n);
                } else {
                    softmax_row(in + i, out + i, a.n);
                }
            },
            [&](int64_t i, int64_t width) {
                softmax_columns<T, log>(in + i, out + i, a.n, a.inner, width);
            });
    });
}

template <bool log>
void backward(Context&, const SoftmaxBackward& a) {
    dispatch_floating(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        const T* grad = static_cast<const T*>(a.grad);
        const T* y = static_cast<const T*>(a.output);
        T* out = static_cast<T*>(a.grad_input);
        for_slices(
            a.outer, a.n, a.inner, sizeof(T),
            [&](int64_t i) {
                if constexpr (log) {
                    log_softmax_row_backward(grad + i, y + i, out + i, a.n);
                } else {
                    softmax_row_backward(grad + i, y + i, out + i, a.n);
                }
            },
            [&](int64_t i, int64_t width) {
                softmax_columns_backward<T, log>(grad + i, y + i, out + i, a.n, a.inner, width);
            });
    });
}

}  // namespace

void register_softmax(Table& table) {
    table.set(kernels::softmax, forward<false>, kFloating);
    table.set(kernels::log_softmax, forward<true>, kFloating);
    table.set(kernels::softmax_backward, backward<false>, kFloating);
    table.set(kernels::log_softmax_backward, backward<true>, kFloating);
}

}  // namespace ember::cpu::EMBER_LEVEL
