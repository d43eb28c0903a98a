#include "cpu/factor.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Cholesky;
using kernels::ExchangeRows;
using kernels::LuFactor;
using kernels::Substitute;

// P L U of `width` columns that lie `rows` apart, in place; returns the first zero (from 1) or 0.
// Columns take part when their turn comes, so that each is read and written once for all before it.
template <class T>
EMBER_INLINE int64_t factor_panel(T* panel, int64_t rows, int64_t width, int32_t* pivots) {
    int64_t failed = 0;
    for (int64_t k = 0; k < width; k++) {
        T* column = panel + k * rows;
        for (int64_t p = 0; p + 1 < k; p++)
            subtract_rows(column + p + 1, column + p, panel + p * rows + p + 1, 0, 1, k - p - 1);
        subtract_rows(column + k, column, panel + k, rows, k, rows - k);
        int64_t best = k;
        auto largest = size_of(column[k]);
        for (int64_t i = k + 1; i < rows; i++) {
            const auto size = size_of(column[i]);
            if (size > largest || (size != size && largest == largest)) {
                best = i;
                largest = size;
            }
        }
        pivots[k] = int32_t(best);
        for (int64_t j = 0; best != k && j < width; j++) {
            const T held = panel[j * rows + k];
            panel[j * rows + k] = panel[j * rows + best];
            panel[j * rows + best] = held;
        }
        const T top = column[k];
        if (largest == 0) {
            if (failed == 0) failed = k + 1;
            continue;
        }
        for (int64_t i = k + 1; i < rows; i++) column[i] = column[i] / top;
    }
    return failed;
}

// Returns whether the number of exchanges is odd. panel: room for (m, kPanel).
template <class T>
EMBER_NOINLINE bool factor_one(T* a, int64_t m, int64_t n, int32_t* pivots, int32_t* info,
                               T* panel) {
    const int64_t rank = m < n ? m : n;
    bool odd = false;
    *info = 0;
    for (int64_t k0 = 0; k0 < rank; k0 += kPanel) {
        const int64_t k1 = k0 + kPanel < rank ? k0 + kPanel : rank, width = k1 - k0;
        const int64_t rows = m - k0;
        T* corner = a + k0 * n + k0;
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < width; j++) panel[j * rows + i] = corner[i * n + j];
        const int64_t failed = factor_panel(panel, rows, width, pivots + k0);
        if (failed != 0 && *info == 0) *info = int32_t(k0 + failed);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < width; j++) corner[i * n + j] = panel[j * rows + i];
        for (int64_t k = k0; k < k1; k++) {
            const int64_t from = k0 + pivots[k];
            odd ^= from != k;
            swap_rows(a + k * n, a + from * n, k0);
            swap_rows(a + k * n + k1, a + from * n + k1, n - k1);
            pivots[k] = int32_t(from + 1);
        }
        if (k1 == n) continue;
        for (int64_t k = k0 + 1; k < k1; k++)
            subtract_rows(a + k * n + k1, a + k * n + k0, a + k0 * n + k1, n, k - k0, n - k1);
        subtract_product(a + k1 * n + k1, n, a + k1 * n + k0, n, a + k0 * n + k1, n, m - k1, n - k1,
                         width);
    }
    return odd;
}

// Small matrices of a batch are done side by side, an item of each in a vector.
constexpr int64_t kSmall = 8;
template <class T>
constexpr int64_t kLanes = 64 / int64_t(sizeof(T));

// Lanes beyond `count` matrices of `size` items repeat the last one.
template <class T>
EMBER_INLINE void to_lanes(T* x, const T* from, int64_t size, int64_t count) {
    for (int64_t l = 0; l < kLanes<T>; l++)
        for (int64_t i = 0; i < size; i++)
            x[i * kLanes<T> + l] = from[(l < count ? l : count - 1) * size + i];
}
template <class T>
EMBER_INLINE void from_lanes(T* to, const T* x, int64_t size, int64_t count) {
    for (int64_t l = 0; l < count; l++)
        for (int64_t i = 0; i < size; i++) to[l * size + i] = x[i * kLanes<T> + l];
}

// f(at, count) over a batch.
template <class T, class F>
EMBER_INLINE void for_lanes(int64_t batch, int64_t cost, F&& f) {
    for_matrices<T>(ceil_div(batch, kLanes<T>), kLanes<T> * cost, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            const int64_t at = i * kLanes<T>, rest = batch - at;
            f(at, rest < kLanes<T> ? rest : kLanes<T>);
        }
    });
}

// Which row each matrix exchanges is a choice of lanes.
template <class T>
EMBER_NOINLINE void factor_lanes(const LuFactor& g, int64_t at, int64_t count) {
    constexpr int64_t kWide = kLanes<T>;
    const int64_t m = g.m, n = g.n, rank = m < n ? m : n;
    T x[kSmall * kSmall * kWide], sign[kWide], failed[kWide];
    to_lanes(x, static_cast<const T*>(g.a) + at * m * n, m * n, count);
    for (int64_t l = 0; l < kWide; l++) sign[l] = 1, failed[l] = 0;
    for (int64_t k = 0; k < rank; k++) {
        T *top = x + k * n * kWide, best[kWide], largest[kWide];
        for (int64_t l = 0; l < kWide; l++) {
            best[l] = T(k);
            largest[l] = size_of(top[k * kWide + l]);
        }
        for (int64_t i = k + 1; i < m; i++)
            for (int64_t l = 0; l < kWide; l++) {
                const T size = size_of(x[(i * n + k) * kWide + l]);
                const bool better =
                    (size > largest[l]) | ((size != size) & (largest[l] == largest[l]));
                best[l] = better ? T(i) : best[l];
                largest[l] = better ? size : largest[l];
            }
        for (int64_t i = k + 1; i < m; i++)
            for (int64_t j = 0; j < n; j++)
                for (int64_t l = 0; l < kWide; l++) {
                    T *here = top + j * kWide + l, *there = x + (i * n + j) * kWide + l;
                    const T upper = *here, lower = *there;
                    *here = best[l] == T(i) ? lower : upper;
                    *there = best[l] == T(i) ? upper : lower;
                }
        for (int64_t l = 0; l < kWide; l++) {
            sign[l] = best[l] == T(k) ? sign[l] : -sign[l];
            failed[l] = (largest[l] == 0) & (failed[l] == 0) ? T(k + 1) : failed[l];
        }
        for (int64_t i = k + 1; i < m; i++) {
            T *row = x + i * n * kWide, *by = row + k * kWide;
            for (int64_t l = 0; l < kWide; l++)
                by[l] = by[l] / (largest[l] == 0 ? T(1) : top[k * kWide + l]);
            for (int64_t j = k + 1; j < n; j++)
                for (int64_t l = 0; l < kWide; l++)
                    row[j * kWide + l] = row[j * kWide + l] - by[l] * top[j * kWide + l];
        }
        for (int64_t l = 0; l < count; l++) g.pivots[(at + l) * rank + k] = int32_t(best[l]) + 1;
    }
    from_lanes(static_cast<T*>(g.a) + at * m * n, x, m * n, count);
    for (int64_t l = 0; l < count; l++) {
        g.info[at + l] = int32_t(failed[l]);
        static_cast<T*>(g.sign)[at + l] = sign[l];
    }
}

template <class T>
void factor_all(const LuFactor& g) {
    const int64_t m = g.m, n = g.n, rank = m < n ? m : n;
    if constexpr (std::is_floating_point_v<T>)
        if (m <= kSmall && n <= kSmall && g.batch >= kLanes<T>)
            return for_lanes<T>(g.batch, m * n * rank,
                                [&](int64_t at, int64_t count) { factor_lanes<T>(g, at, count); });
    for_matrices<T>(g.batch, m * n * rank, [&](int64_t begin, int64_t end) {
        Context context;
        T* panel = context.scratch_of<T>(m * (rank < kPanel ? rank : kPanel));
        for (int64_t i = begin; i < end; i++) {
            const bool odd = factor_one(static_cast<T*>(g.a) + i * m * n, m, n, g.pivots + i * rank,
                                        g.info + i, panel);
            static_cast<T*>(g.sign)[i] = of_real<T>(odd ? -1 : 1);
        }
    });
}

template <class T>
void exchange_all(const ExchangeRows& g) {
    for_matrices<T>(g.batch, g.count * g.columns, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            T* b = static_cast<T*>(g.b) + i * g.n * g.columns;
            for (int64_t s = 0; s < g.count; s++) {
                const int64_t k = g.reverse ? g.count - 1 - s : s;
                swap_rows(b + k * g.columns, b + (g.pivots[i * g.count + k] - 1) * g.columns,
                          g.columns);
            }
        }
    });
}

// Rows [first, last) of a system, and of those columns [from, from + count), once all that comes
// of the rows done before is subtracted.
template <class T>
EMBER_NOINLINE void substitute_block(const Substitute& g, const T* a, T* b, int64_t first,
                                     int64_t last, int64_t from, int64_t count) {
    const int64_t stride = g.columns;
    T* x = b + from;
    for (int64_t s = 0; s < last - first; s++) {
        const int64_t i = g.upper ? last - 1 - s : first + s, done = g.upper ? i + 1 : first;
        T* row = x + i * stride;
        subtract_rows(row, a + i * g.n + done, x + done * stride, stride, s, count);
        const T by = a[i * g.n + i];
        for (int64_t j = 0; !g.unit && j < count; j++) row[j] = row[j] / by;
    }
}

template <class T>
EMBER_INLINE void substitute_one(const Substitute& g, const T* a, T* b) {
    constexpr int64_t kBlock = 64, kColumns = 128;
    const int64_t n = g.n, columns = g.columns;
    for (int64_t done = 0; done < n; done += kBlock) {
        const int64_t height = n - done < kBlock ? n - done : kBlock;
        const int64_t first = g.upper ? n - done - height : done, before = g.upper ? n - done : 0;
        subtract_product(b + first * columns, columns, a + first * n + before, n,
                         b + before * columns, columns, height, columns, done);
        const int64_t cost = height * height * kColumns * int64_t(sizeof(T));
        parallel_for(ceil_div(columns, kColumns), clamp_to(4 * kGrainBytes / cost, 1, 1 << 20),
                     [&](int64_t begin, int64_t end) {
                         for (int64_t from = begin * kColumns; from < end * kColumns;
                              from += kColumns) {
                             const int64_t rest = columns - from;
                             if (rest > 0)
                                 substitute_block(g, a, b, first, first + height, from,
                                                  rest < kColumns ? rest : kColumns);
                         }
                     });
    }
}

template <class T>
EMBER_NOINLINE void substitute_lanes(const Substitute& g, int64_t at, int64_t count) {
    constexpr int64_t kWide = kLanes<T>;
    const int64_t n = g.n, columns = g.columns;
    T a[kSmall * kSmall * kWide], x[kSmall * kSmall * kWide];
    T* b = static_cast<T*>(g.b) + at * n * columns;
    to_lanes(a, static_cast<const T*>(g.a) + at * n * n, n * n, count);
    to_lanes(x, b, n * columns, count);
    for (int64_t s = 0; s < n; s++) {
        const int64_t i = g.upper ? n - 1 - s : s, done = g.upper ? i + 1 : 0;
        const T* by = a + i * n * kWide;
        for (int64_t j = 0; j < columns; j++) {
            T* item = x + (i * columns + j) * kWide;
            for (int64_t p = done; p < done + s; p++)
                for (int64_t l = 0; l < kWide; l++)
                    item[l] = item[l] - by[p * kWide + l] * x[(p * columns + j) * kWide + l];
            for (int64_t l = 0; !g.unit && l < kWide; l++) item[l] = item[l] / by[i * kWide + l];
        }
    }
    from_lanes(b, x, n * columns, count);
}

template <class T>
void substitute_all(const Substitute& g) {
    if constexpr (std::is_floating_point_v<T>)
        if (g.n <= kSmall && g.columns <= kSmall && g.batch >= kLanes<T>)
            return for_lanes<T>(g.batch, g.n * g.n * g.columns, [&](int64_t at, int64_t count) {
                substitute_lanes<T>(g, at, count);
            });
    for_matrices<T>(g.batch, g.n * g.n * g.columns, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++)
            substitute_one(g, static_cast<const T*>(g.a) + i * g.n * g.n,
                           static_cast<T*>(g.b) + i * g.n * g.columns);
    });
}

// by: room for (kPanel, n).
template <class T>
EMBER_NOINLINE int32_t cholesky_one(T* u, int64_t n, T* by) {
    for (int64_t k0 = 0; k0 < n; k0 += kPanel) {
        const int64_t k1 = k0 + kPanel < n ? k0 + kPanel : n;
        for (int64_t p = 0; p < k0; p++)
            for (int64_t i = k0; i < k1; i++) by[(i - k0) * k0 + p] = conjugate(u[p * n + i]);
        subtract_product(u + k0 * n + k0, n, by, k0, u + k0, n, k1 - k0, n - k0, k0);
        for (int64_t i = k0; i < k1; i++) {
            for (int64_t p = k0; p < i; p++) by[p - k0] = conjugate(u[p * n + i]);
            T* row = u + i * n;
            subtract_rows(row + i, by, u + k0 * n + i, n, i - k0, n - i);
            const auto square = real_part(row[i]);
            if (!(square > 0)) return int32_t(i + 1);
            const T root = of_real<T>(std::sqrt(square));
            row[i] = root;
            for (int64_t j = i + 1; j < n; j++) row[j] = row[j] / root;
            for (int64_t j = 0; j < i; j++) row[j] = T{};
        }
    }
    return 0;
}

template <class T>
EMBER_NOINLINE void cholesky_lanes(const Cholesky& g, int64_t at, int64_t count) {
    constexpr int64_t kWide = kLanes<T>;
    const int64_t n = g.n;
    T x[kSmall * kSmall * kWide], failed[kWide], root[kWide];
    T* a = static_cast<T*>(g.a) + at * n * n;
    to_lanes(x, a, n * n, count);
    for (int64_t l = 0; l < kWide; l++) failed[l] = 0;
    for (int64_t i = 0; i < n; i++) {
        T* row = x + i * n * kWide;
        for (int64_t p = 0; p < i; p++) {
            const T* above = x + p * n * kWide;
            for (int64_t j = i; j < n; j++)
                for (int64_t l = 0; l < kWide; l++)
                    row[j * kWide + l] -= above[i * kWide + l] * above[j * kWide + l];
        }
        for (int64_t l = 0; l < kWide; l++) {
            const T square = row[i * kWide + l];
            const bool positive = square > 0;
            failed[l] = (failed[l] == 0) & !positive ? T(i + 1) : failed[l];
            row[i * kWide + l] = root[l] = std::sqrt(positive ? square : T(1));
        }
        for (int64_t j = i + 1; j < n; j++)
            for (int64_t l = 0; l < kWide; l++) row[j * kWide + l] /= root[l];
        for (int64_t j = 0; j < i * kWide; j++) row[j] = 0;
    }
    from_lanes(a, x, n * n, count);
    for (int64_t l = 0; l < count; l++) g.info[at + l] = int32_t(failed[l]);
}

template <class T>
void cholesky_all(const Cholesky& g) {
    if constexpr (std::is_floating_point_v<T>)
        if (g.n <= kSmall && g.batch >= kLanes<T>)
            return for_lanes<T>(g.batch, g.n * g.n * g.n, [&](int64_t at, int64_t count) {
                cholesky_lanes<T>(g, at, count);
            });
    for_matrices<T>(g.batch, g.n * g.n * g.n / 2, [&](int64_t begin, int64_t end) {
        Context context;
        T* by = context.scratch_of<T>(kPanel * g.n);
        for (int64_t i = begin; i < end; i++)
            g.info[i] = cholesky_one(static_cast<T*>(g.a) + i * g.n * g.n, g.n, by);
    });
}

void lu_factor(Context&, const LuFactor& g) {
    for_type(g.dtype, [&]<class T>() { factor_all<T>(g); });
}
void exchange_rows(Context&, const ExchangeRows& g) {
    for_type(g.dtype, [&]<class T>() { exchange_all<T>(g); });
}
void substitute(Context&, const Substitute& g) {
    for_type(g.dtype, [&]<class T>() { substitute_all<T>(g); });
}
void cholesky(Context&, const Cholesky& g) {
    for_type(g.dtype, [&]<class T>() { cholesky_all<T>(g); });
}

}  // namespace

void register_factor(Table& table) {
    table.set(kernels::lu_factor, lu_factor, kFloats | kComplex);
    table.set(kernels::exchange_rows, exchange_rows, kFloats | kComplex);
    table.set(kernels::substitute, substitute, kFloats | kComplex);
    table.set(kernels::cholesky, cholesky, kFloats | kComplex);
}

}  // namespace ember::cpu::EMBER_LEVEL
