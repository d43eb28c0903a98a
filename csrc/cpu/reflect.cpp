#include "cpu/factor.h"

// Householder's reflectors, one at a time within a panel and a panel at a time beyond it: the
// product of those of V is 1 - V T V^H with an upper triangular T (R. Schreiber and C. Van Loan,
// 1989).
namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::QrFactor;
using kernels::Reflect;

constexpr int64_t kWidth = 64;  // columns that are reflected at a time

// Columns are filled up with zeros to whole vectors, unless they are shorter than one.
template <class T>
constexpr int64_t kLanes = 64 / int64_t(sizeof(T));
template <class T>
EMBER_INLINE int64_t filled(int64_t rows) {
    return rows < kLanes<T> ? rows : ceil_div(rows, kLanes<T>) * kLanes<T>;
}
constexpr int64_t kBlock = 1024;  // rows of which all columns are looked at in turn

// sums_j = v^H c_j for filled columns c_j. Partial sums of lanes and of blocks, so that long ones
// stay exact.
template <class T>
EMBER_NOINLINE void dot_columns(T* sums, const T* v, const T* c, int64_t height, int64_t rows,
                                int64_t columns) {
    for (int64_t j = 0; j < columns; j++) sums[j] = T{};
    if (rows < kLanes<T>) {
        for (int64_t j = 0; j < columns; j++)
            for (int64_t i = 0; i < rows; i++)
                sums[j] = sums[j] + conjugate(v[i]) * c[j * height + i];
        return;
    }
    for (int64_t from = 0; from < rows; from += kBlock) {
        const int64_t end = from + kBlock < rows ? from + kBlock : rows;
        for (int64_t j = 0; j < columns; j++) {
            const T* y = c + j * height;
            T part[kLanes<T>] = {};
            for (int64_t i = from; i < end; i += kLanes<T>)
                for (int64_t l = 0; l < kLanes<T>; l++)
                    part[l] = part[l] + conjugate(v[i + l]) * y[i + l];
            for (int64_t half = kLanes<T> / 2; half > 0; half /= 2)
                for (int64_t l = 0; l < half; l++) part[l] = part[l] + part[l + half];
            sums[j] = sums[j] + part[0];
        }
    }
}

// c_j -= by_j v for filled columns c_j.
template <class T>
EMBER_NOINLINE void subtract_columns(T* c, int64_t height, const T* by, const T* v, int64_t rows,
                                     int64_t columns) {
    if (rows < kLanes<T>) {
        for (int64_t j = 0; j < columns; j++) subtract_rows(c + j * height, by + j, v, 0, 1, rows);
        return;
    }
    for (int64_t from = 0; from < rows; from += kBlock) {
        const int64_t end = from + kBlock < rows ? from + kBlock : rows;
        for (int64_t j = 0; j < columns; j++) {
            T* __restrict y = c + j * height;
            const T factor = by[j];
            for (int64_t i = from; i < end; i += kLanes<T>)
                for (int64_t l = 0; l < kLanes<T>; l++) y[i + l] = y[i + l] - factor * v[i + l];
        }
    }
}

// Columns of (rows, columns), whose rows lie `stride` apart.
template <class T>
EMBER_INLINE void to_columns(T* to, const T* from, int64_t stride, int64_t rows, int64_t columns) {
    const int64_t height = filled<T>(rows);
    for (int64_t j = 0; j < columns; j++)
        for (int64_t i = rows; i < height; i++) to[j * height + i] = T{};
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) to[j * height + i] = from[i * stride + j];
}

// The reflector that makes zeros of column 0 after row k, applied to the columns after it; its
// vector with zeros up to row k takes the column's place. Returns tau; `norm`: what row k becomes.
template <class T>
EMBER_INLINE T make_reflector(T* c, int64_t rows, int64_t k, int64_t columns, T* norm) {
    using R = RealOf<T>;
    // Squares within these bounds neither overflow nor lose digits.
    constexpr R kLeast = sizeof(R) == 4 ? R(1e-30) : R(1e-280);
    constexpr R kMost = sizeof(R) == 4 ? R(1e35) : R(1e300);
    const int64_t height = filled<T>(rows), from = height < kLanes<T> ? k : k - k % kLanes<T>;
    const int64_t count = height - from;
    T sums[kWidth], first = c[k];
    R scale = 1, below, square;
    for (int64_t i = from; i <= k; i++) c[i] = T{};
    auto measure = [&] {
        dot_columns(sums, c + from, c + from, height, count, columns);
        below = real_part(sums[0]), square = below + real_part(first * conjugate(first));
    };
    measure();
    if (!(square > kLeast && square < kMost)) {
        R largest = size_of(first);
        for (int64_t i = k + 1; i < rows; i++)
            if (size_of(c[i]) > largest) largest = size_of(c[i]);
        if (largest > 0 && largest <= std::numeric_limits<R>::max()) {
            scale = largest;
            first = first / of_real<T>(scale);
            for (int64_t i = k + 1; i < rows; i++) c[i] = c[i] / of_real<T>(scale);
            measure();
        }
    }
    bool trivial = below == 0;
    if constexpr (!std::is_floating_point_v<T>) trivial = trivial && first.im == 0;
    if (trivial) {
        *norm = first * of_real<T>(scale);
        for (int64_t i = k + 1; i < rows; i++) c[i] = T{};
        return T{};
    }
    const R root = std::sqrt(square), length = real_part(first) < 0 ? root : -root;
    const T by = of_real<T>(1) / (first - of_real<T>(length));
    const T tau = (of_real<T>(length) - first) / of_real<T>(length), factor = conjugate(tau);
    for (int64_t j = 1; j < columns; j++) {
        sums[j] = factor * (c[j * height + k] + conjugate(by) * sums[j]);
        c[j * height + k] = c[j * height + k] - sums[j];
    }
    for (int64_t i = from; i < height; i++) c[i] = c[i] * by;
    subtract_columns(c + height + from, height, sums + 1, c + from, count, columns - 1);
    *norm = of_real<T>(length * scale);
    return tau;
}

// Reflectors [first, last) of Q and the T of their product.
template <class T>
struct Panel {
    int64_t rows = 0, width = 0;
    T *v = nullptr, *adjoint, *triangle, *inner, *outer;  // triangle: T transposed

    // Room for reflectors of m items and c of so many columns.
    EMBER_INLINE void reserve(Context& context, int64_t m, int64_t columns) {
        if (v) return;
        const int64_t each = kPanel * (columns > kPanel ? columns : kPanel);
        v = context.scratch_of<T>(kPanel * (2 * m + kPanel) + 2 * each);
        adjoint = v + kPanel * m;
        triangle = adjoint + kPanel * m;
        inner = triangle + kPanel * kPanel;
        outer = inner + each;
    }

    // Of vectors below the diagonal of a, whose top left corner is that of the first one's item 1.
    EMBER_NOINLINE void fill(const T* a, int64_t a_row, const T* tau, int64_t m, int64_t count) {
        rows = m, width = count;
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < width; j++) {
                const T x = i > j ? a[i * a_row + j] : of_real<T>(i == j ? 1 : 0);
                v[i * width + j] = x;
                adjoint[j * rows + i] = conjugate(x);
            }
        for (int64_t i = 0; i < width * width; i++) inner[i] = triangle[i] = T{};
        subtract_product(inner, width, adjoint, rows, v, width, width, width, rows);
        // Column j of T is -tau_j times the columns before it by V^H v_j, which inner holds
        // negated.
        for (int64_t j = 0; j < width; j++) {
            T by[kPanel], *row = triangle + j * width;
            for (int64_t p = 0; p < j; p++) by[p] = tau[j] * inner[p * width + j];
            subtract_rows(row, by, triangle, width, j, j);
            for (int64_t p = 0; p < j; p++) row[p] = T{} - row[p];
            row[j] = tau[j];
        }
    }

    // c = (1 - V T V^H) c, or with T^H.
    // The first `known` columns of c hold ones on their diagonal and zeros beside.
    EMBER_NOINLINE void apply(T* c, int64_t c_row, int64_t columns, bool turned, int64_t known) {
        for (int64_t i = 0; i < width * columns; i++) inner[i] = outer[i] = T{};
        subtract_product(inner + known, columns, adjoint, rows, c + known, c_row, width,
                         columns - known, rows);
        for (int64_t i = 0; i < width; i++)
            for (int64_t j = 0; j < known; j++)
                inner[i * columns + j] = T{} - adjoint[i * rows + j];
        for (int64_t i = 0; i < width; i++) {
            const int64_t first = turned ? 0 : i, count = turned ? i + 1 : width - i;
            T by[kPanel];
            for (int64_t p = 0; p < count; p++)
                by[p] =
                    turned ? conjugate(triangle[i * width + p]) : triangle[(first + p) * width + i];
            subtract_rows(outer + i * columns, by, inner + first * columns, columns, count,
                          columns);
        }
        subtract_product(c, c_row, v, width, outer, columns, rows, columns, width);
    }
};

template <class T>
void factor_all(const QrFactor& g) {
    const int64_t m = g.m, n = g.n, rank = m < n ? m : n;
    for_matrices<T>(g.batch, m * n * rank, [&](int64_t begin, int64_t end) {
        Context context;
        T* columns = context.scratch_of<T>(filled<T>(m) * (n < kWidth ? n : kWidth));
        Panel<T> panel;
        for (int64_t at = begin; at < end; at++) {
            T* a = static_cast<T*>(g.a) + at * m * n;
            T* tau = static_cast<T*>(g.tau) + at * rank;
            for (int64_t k0 = 0; k0 < rank; k0 += kPanel) {
                const int64_t k1 = k0 + kPanel < rank ? k0 + kPanel : rank, rows = m - k0;
                const int64_t last = n <= kWidth && k1 == rank ? n : k1;
                T* corner = a + k0 * n + k0;
                const int64_t height = filled<T>(rows);
                to_columns(columns, corner, n, rows, last - k0);
                for (int64_t k = 0; k < k1 - k0; k++) {
                    T *column = columns + k * height, *row = corner + k * n;
                    tau[k0 + k] = make_reflector(column, rows, k, last - k0 - k, row + k);
                    for (int64_t j = k + 1; j < last - k0; j++) row[j] = columns[j * height + k];
                }
                for (int64_t i = 1; i < rows; i++)
                    for (int64_t j = 0; j < i && j < k1 - k0; j++)
                        corner[i * n + j] = columns[j * height + i];
                if (last == n) continue;
                panel.reserve(context, m, n);
                panel.fill(corner, n, tau + k0, rows, k1 - k0);
                panel.apply(a + k0 * n + last, n, n - last, true, 0);
            }
        }
    });
}

constexpr int64_t kFewReflectors = 8;  // are not worth a panel

// c (m, columns) = Q c of a few reflectors. memory: room for their vectors and kWidth columns.
template <class T>
EMBER_NOINLINE void reflect_few(const Reflect& g, const T* a, const T* tau, T* c, T* memory) {
    const int64_t m = g.m, height = filled<T>(m);
    T *vectors = memory, *columns = memory + g.count * height;
    to_columns(vectors, a, g.n, m, g.count);
    for (int64_t k = 0; k < g.count; k++) {
        for (int64_t i = 0; i < k; i++) vectors[k * height + i] = T{};
        vectors[k * height + k] = of_real<T>(1);
    }
    for (int64_t from = 0; from < g.columns; from += kWidth) {
        const int64_t width = g.columns - from < kWidth ? g.columns - from : kWidth;
        if (g.identity) {
            for (int64_t i = 0; i < width * height; i++) columns[i] = T{};
            for (int64_t j = 0; j < width && from + j < m; j++)
                columns[j * height + from + j] = of_real<T>(1);
        } else {
            to_columns(columns, c + from, g.columns, m, width);
        }
        for (int64_t s = 0; s < g.count; s++) {
            const int64_t k = g.adjoint ? s : g.count - 1 - s;
            const T factor = g.adjoint ? conjugate(tau[k]) : tau[k], *v = vectors + k * height;
            // Columns before the reflector are zero from its first row on.
            const int64_t first =
                g.identity && k > from ? (k - from < width ? k - from : width) : 0;
            T sums[kWidth], *c = columns + first * height;
            dot_columns(sums, v, c, height, height, width - first);
            for (int64_t j = 0; j < width - first; j++) sums[j] = factor * sums[j];
            subtract_columns(c, height, sums, v, height, width - first);
        }
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < width; j++)
                c[i * g.columns + from + j] = columns[j * height + i];
    }
}

template <class T>
void reflect_all(const Reflect& g) {
    const int64_t m = g.m, n = g.n, columns = g.columns;
    const bool few = g.count <= kFewReflectors;
    for_matrices<T>(g.batch, 2 * m * g.count * columns, [&](int64_t begin, int64_t end) {
        Context context;
        const int64_t width = g.count + (columns < kWidth ? columns : kWidth);
        T* memory = few ? context.scratch_of<T>(filled<T>(m) * width) : nullptr;
        Panel<T> panel;
        for (int64_t at = begin; at < end; at++) {
            const T* a = static_cast<const T*>(g.a) + at * m * n;
            const T* tau = static_cast<const T*>(g.tau) + at * g.count;
            T* whole = static_cast<T*>(g.c) + at * m * columns;
            if (few) {
                reflect_few(g, a, tau, whole, memory);
                continue;
            }
            if (g.identity)
                for (int64_t i = 0; i < m; i++)
                    for (int64_t j = 0; j < columns; j++)
                        whole[i * columns + j] = of_real<T>(i == j ? 1 : 0);
            panel.reserve(context, m, columns);
            const int64_t panels = ceil_div(g.count, kPanel);
            for (int64_t s = 0; s < panels; s++) {
                const int64_t k = (g.adjoint ? s : panels - 1 - s) * kPanel;
                // Columns before the reflector are zero from its first row on.
                const int64_t from = g.identity && !g.adjoint ? (k < columns ? k : columns) : 0;
                const int64_t width = g.count - k < kPanel ? g.count - k : kPanel;
                const int64_t rest = columns - from, known = width < rest ? width : rest;
                panel.fill(a + k * n + k, n, tau + k, m - k, width);
                panel.apply(whole + k * columns + from, columns, rest, g.adjoint,
                            g.identity && !g.adjoint ? known : 0);
            }
        }
    });
}

void qr_factor(Context&, const QrFactor& g) {
    for_type(g.dtype, [&]<class T>() { factor_all<T>(g); });
}
void reflect(Context&, const Reflect& g) {
    for_type(g.dtype, [&]<class T>() { reflect_all<T>(g); });
}

}  // namespace

void register_reflect(Table& table) {
    table.set(kernels::qr_factor, qr_factor, kFloats | kComplex);
    table.set(kernels::reflect, reflect, kFloats | kComplex);
}

}  // namespace ember::cpu::EMBER_LEVEL
