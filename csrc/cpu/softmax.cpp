#include "kernels/softmax.h"

#include <cmath>

#include "cpu/row_exponentials.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Softmax;
using kernels::SoftmaxBackward;

constexpr int64_t kTile = 512;      // columns swept together where inner > 1
constexpr int64_t kBuffer = 16384;  // items of rows that wait to be scaled
constexpr int64_t kInCache = 128 * 1024;
constexpr int64_t kRowsTogether = 8;

template <class T>
constexpr bool is_half = sizeof(T) == 2;

// Where the rows lie, and how they are written.
struct Rows {
    int64_t count, n, ahead;
    bool stream;
};

// The exponentials wait in a buffer to be scaled where the output is written past the caches or
// would round them twice, and in the output elsewhere. Halves' longer rows compute them again.
template <class T>
void softmax_rows(const T* in, T* out, const Rows& rows) {
    using C = Compute<T>;
    using V = Lanes<T>;
    alignas(64) C buffer[kBuffer], largest[kTurns], scale[kTurns];
    const int64_t n = rows.n;
    const bool kept = (is_half<T> || rows.stream) && n * rows.count <= kBuffer;
    const bool again = is_half<T> && !kept, stream = rows.stream && (kept || again);
    for (int64_t r = 0; r < rows.count; r++) largest[r] = row_max(in + r * n, n);
    for (int64_t r = 0; r < rows.count; r++) {
        const T* from = in + r * n;
        C* to = buffer + r * n;
        if constexpr (!is_half<T>) to = kept ? to : out + r * n;
        auto keep = [&](auto at, V e) __attribute__((always_inline)) {
            if (!again) at.store(to, e);
        };
        scale[r] = C(1 / row_exp_sum(from, n, largest[r], rows.ahead, keep));
    }
    for (int64_t r = 0; r < rows.count; r++) {
        const T* from = in + r * n;
        const C* e = buffer + r * n;
        if constexpr (!is_half<T>) e = kept ? e : out + r * n;
        V shift = largest[r], factor = scale[r];
        if (again) {
            sweep_into<V>(out + r * n, n, stream, [&](auto at) __attribute__((always_inline)) {
                return formulas::exp(at.load(from) - shift) * factor;
            });
        } else {
            sweep_into<V>(out + r * n, n, stream, [&](auto at) __attribute__((always_inline)) {
                return at.load(e) * factor;
            });
        }
    }
}

template <class T>
void log_softmax_rows(const T* in, T* out, const Rows& rows) {
    using C = Compute<T>;
    using V = Lanes<T>;
    C largest[kTurns], sum[kTurns];
    const int64_t n = rows.n;
    for (int64_t r = 0; r < rows.count; r++) largest[r] = row_max(in + r * n, n);
    for (int64_t r = 0; r < rows.count; r++)
        sum[r] = C(row_exp_sum(in + r * n, n, largest[r], rows.ahead, [](auto, V) {}));
    sweep<V>(0, rows.count, [&](auto at) __attribute__((always_inline)) {
        at.store(sum, formulas::log(at.load(sum)));
    });
    for (int64_t r = 0; r < rows.count; r++) {
        const T* from = in + r * n;
        V shift = largest[r], log_sum = sum[r];
        sweep_into<V>(out + r * n, n, rows.stream, [&](auto at) __attribute__((always_inline)) {
            return (at.load(from) - shift) - log_sum;
        });
    }
}

// `width` columns next to each other, `inner` items from one row to the next. Columns that fit in
// cache are swept for their maximum first. Of others some rows are taken at a time, so that each
// row comes from memory once: what was summed is scaled to the larger maximum.
template <class T, bool log>
void softmax_columns(const T* in, T* out, int64_t n, int64_t inner, int64_t width, bool stream) {
    using C = Compute<T>;
    using V = Lanes<T>;
    alignas(64) C largest[kTile], sum[kTile];
    const int64_t block = n * width * int64_t(sizeof(T)) <= kInCache ? n : kRowsTogether;
    const bool kept = !log && !is_half<T> && !stream && block == n;
    sweep<V>(0, width, [&](auto at) __attribute__((always_inline)) {
        at.store(largest, V(kLowest<T>));
        at.store(sum, V(C(0)));
    });
    // exp(-inf - x) is 0 for any finite x, and an infinite maximum is no shift.
    auto finite = [](V x) __attribute__((always_inline)) { return abs(x) < V(-kLowest<T>); };
    for (int64_t first = 0; first < n; first += block) {
        const T* from = in + first * inner;
        T* to = out + first * inner;
        const int64_t rows = clamp_to(n - first, 0, block);
        sweep<V>(0, width, [&](auto at) __attribute__((always_inline)) {
            V old = at.load(largest), top = old;
            for (int64_t r = 0; r < rows; r++) {
                at.fetch(from + (r + block) * inner);
                top = maximum(top, at.load(from + r * inner));
            }
            V shift = select(finite(top), top, V(C(0)));
            V total = C(0);
            for (int64_t r = 0; r < rows; r++) {
                V e = formulas::exp(at.load(from + r * inner) - shift);
                if (kept) at.store(to + r * inner, e);
                total += e;
            }
            at.store(largest, top);
            at.store(sum, fma(at.load(sum), formulas::exp(old - shift), total));
        });
    }
    sweep<V>(0, width, [&](auto at) __attribute__((always_inline)) {
        V total = select(finite(at.load(largest)), at.load(sum), V(C(NAN)));
        at.store(sum, log ? formulas::log(total) : V(C(1)) / total);
    });
    for (int64_t r = 0; r < n; r++) {
        const T* from = kept ? out + r * inner : in + r * inner;
        sweep_into<V>(out + r * inner, width, stream, [&](auto at) __attribute__((always_inline)) {
            at.fetch(from + kRowsTogether * inner);
            V x = at.load(from), finish = at.load(sum);
            if (kept) return x * finish;
            if constexpr (log) return (x - at.load(largest)) - finish;
            return formulas::exp(x - at.load(largest)) * finish;
        });
    }
}

template <class T, bool log>
void softmax_rows_backward(const T* grad, const T* y, T* out, const Rows& rows) {
    using V = Lanes<T>;
    Compute<T> sums[kTurns];
    const int64_t n = rows.n;
    for (int64_t r = 0; r < rows.count; r++) {
        const T *g = grad + r * n, *p = y + r * n;
        sums[r] = Compute<T>(sweep_sum<V>(n, [&](auto at) __attribute__((always_inline)) {
            return log ? at.load(g) : at.load(g) * at.load(p);  // zeros behind the end
        }));
    }
    for (int64_t r = 0; r < rows.count; r++) {
        const T *g = grad + r * n, *p = y + r * n;
        V sum = sums[r];
        sweep_into<V>(out + r * n, n, rows.stream, [&](auto at) __attribute__((always_inline)) {
            if constexpr (log) return at.load(g) - formulas::exp(at.load(p)) * sum;
            at.fetch(g + rows.ahead);
            at.fetch(p + rows.ahead);
            return at.load(p) * (at.load(g) - sum);
        });
    }
}

template <class T, bool log>
void softmax_columns_backward(const T* grad, const T* y, T* out, int64_t n, int64_t inner,
                              int64_t width, bool stream) {
    using C = Compute<T>;
    using V = Lanes<T>;
    alignas(64) C sum[kTile];
    sweep<V>(0, width, [&](auto at) __attribute__((always_inline)) { at.store(sum, V(C(0))); });
    for (int64_t first = 0; first < n; first += kRowsTogether) {
        const T *from = grad + first * inner, *of = y + first * inner;
        const int64_t rows = clamp_to(n - first, 0, kRowsTogether);
        sweep<V>(0, width, [&](auto at) __attribute__((always_inline)) {
            V s = at.load(sum);
            for (int64_t r = 0; r < rows; r++) {
                at.fetch(from + (r + kRowsTogether) * inner);
                V g = at.load(from + r * inner);
                if constexpr (!log) {
                    at.fetch(of + (r + kRowsTogether) * inner);
                    g *= at.load(of + r * inner);
                }
                s += g;
            }
            at.store(sum, s);
        });
    }
    for (int64_t r = 0; r < n; r++) {
        const T *from = grad + r * inner, *of = y + r * inner;
        sweep_into<V>(out + r * inner, width, stream, [&](auto at) __attribute__((always_inline)) {
            at.fetch(from + kRowsTogether * inner);
            at.fetch(of + kRowsTogether * inner);
            V g = at.load(from), p = at.load(of), s = at.load(sum);
            return log ? g - formulas::exp(p) * s : p * (g - s);
        });
    }
}

// on_rows(first item, rows) for some of `outer` rows, or on_columns(first item, width, whether past
// the caches) for tiles of columns. An exponential is worth about 16 bytes of traffic; there are
// `arrays` in memory.
template <class T, class OnRows, class Columns>
EMBER_INLINE void for_slices(const T* out, bool in_place, int64_t outer, int64_t n, int64_t inner,
                             int arrays, OnRows&& on_rows, Columns&& on_columns) {
    if (outer == 0 || n == 0 || inner == 0) return;
    const int64_t item = sizeof(T), cost = n * (2 * item + 16);
    if (inner == 1) {
        const bool stream = !in_place && rows_stream(out, n * item, arrays * outer * n * item);
        const int64_t turns = rows_in_turn<T>(n), ahead = row_ahead<T>(n);
        parallel_for(outer, clamp_to(kGrainBytes / cost, 1, kGrainBytes),
                     [&](int64_t begin, int64_t end) {
                         for (int64_t o = begin; o < end; o += turns)
                             on_rows(o * n, Rows{clamp_to(end - o, 1, turns), n, ahead, stream});
                         if (stream) stream_fence();
                     });
        return;
    }
    const bool stream = !in_place && inner * item % 64 == 0 &&
                        rows_stream(out, inner * item, arrays * outer * n * inner * item);
    // Enough tiles for some threads, or larger ones that are work enough for a task.
    int64_t width = clamp_to(ceil_div(outer * inner, 8), kGrainBytes / cost, kTile);
    width = clamp_to(ceil_div(width, 64) * 64, 64, kTile);
    int64_t tiles = ceil_div(inner, width);
    int64_t grain =
        clamp_to(kGrainBytes / (cost * (width < inner ? width : inner)), 1, kGrainBytes);
    parallel_for(outer * tiles, grain, [&](int64_t begin, int64_t end) {
        for (int64_t t = begin; t < end; t++) {
            int64_t column = t % tiles * width;
            on_columns(t / tiles * n * inner + column, clamp_to(inner - column, 0, width), stream);
        }
        if (stream) stream_fence();
    });
}

template <bool log>
void forward(Context&, const Softmax& a) {
    dispatch_floating(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        const T* in = static_cast<const T*>(a.in);
        T* out = static_cast<T*>(a.out);
        for_slices(
            out, in == out, a.outer, a.n, a.inner, 2,
            [&](int64_t i, const Rows& rows) {
                if constexpr (log) {
                    log_softmax_rows(in + i, out + i, rows);
                } else {
                    softmax_rows(in + i, out + i, rows);
                }
            },
            [&](int64_t i, int64_t width, bool stream) {
                softmax_columns<T, log>(in + i, out + i, a.n, a.inner, width, stream);
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
            out, grad == out, a.outer, a.n, a.inner, 3,
            [&](int64_t i, const Rows& rows) {
                softmax_rows_backward<T, log>(grad + i, y + i, out + i, rows);
            },
            [&](int64_t i, int64_t width, bool stream) {
                softmax_columns_backward<T, log>(grad + i, y + i, out + i, a.n, a.inner, width,
                                                 stream);
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
