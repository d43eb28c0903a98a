#include "cpu/factor.h"

// Householder's reflectors, one at a time within a panel and a panel at a time beyond it: the
// product of those of V is 1 - V T V^H with an upper triangular T (R. Schreiber and C. Van Loan,
// 1989).
namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::QrFactor;
using kernels::Reflect;

constexpr int64_t kWidth = 64;  // columns that are reflected at a time

// sums[j] = the sum of conj(v_i) c_ij over rows: of partial sums, so that long ones stay exact.
template <class T>
EMBER_INLINE void dot_columns(T* __restrict sums, const T* v, int64_t v_stride, const T* c,
                              int64_t c_row, int64_t rows, int64_t columns) {
    constexpr int64_t kPart = 64;
    for (int64_t j = 0; j < columns; j++) sums[j] = T{};
    for (int64_t i0 = 0; i0 < rows; i0 += kPart) {
        const int64_t i1 = i0 + kPart < rows ? i0 + kPart : rows;
        T part[kWidth];
        for (int64_t j = 0; j < columns; j++) part[j] = T{};
        for (int64_t i = i0; i < i1; i++) {
            const T by = T{} - conjugate(v[i * v_stride]);
            subtract_rows(part, &by, c + i * c_row, 0, 1, columns);
        }
        for (int64_t j = 0; j < columns; j++) sums[j] = sums[j] + part[j];
    }
}

template <class T>
EMBER_INLINE RealOf<T> largest_of(const T* x, int64_t stride, int64_t n) {
    RealOf<T> largest = 0;
    for (int64_t i = 0; i < n; i++) {
        const auto size = size_of(x[i * stride]);
        if (size > largest) largest = size;
    }
    return largest;
}

// The reflector that makes zeros of all but the first of `rows` items of column 0 of c; applied to
// the columns after it. Returns tau.
template <class T>
EMBER_INLINE T make_reflector(T* c, int64_t c_row, int64_t rows, int64_t columns) {
    using R = RealOf<T>;
    constexpr bool kReal = std::is_floating_point_v<T>;
    // Squares within these bounds neither overflow nor lose digits.
    constexpr R kLeast = sizeof(R) == 4 ? R(1e-30) : R(1e-280);
    constexpr R kMost = sizeof(R) == 4 ? R(1e35) : R(1e300);
    T sums[kWidth];
    R scale = 1;
    dot_columns(sums, c + c_row, c_row, c + c_row, c_row, rows - 1, columns);
    T first = c[0];
    R square = real_part(sums[0]), whole = square + real_part(first * conjugate(first));
    if (!(whole > kLeast && whole < kMost)) {
        const R largest = largest_of(c, c_row, rows);
        if (largest > 0 && largest <= std::numeric_limits<R>::max()) {
            scale = largest;
            for (int64_t i = 0; i < rows; i++) c[i * c_row] = c[i * c_row] / of_real<T>(scale);
            dot_columns(sums, c + c_row, c_row, c + c_row, c_row, rows - 1, columns);
            first = c[0];
            square = real_part(sums[0]), whole = square + real_part(first * conjugate(first));
        }
    }
    bool trivial = square == 0;
    if constexpr (!kReal) trivial = trivial && first.im == 0;
    if (trivial) {
        c[0] = first * of_real<T>(scale);
        for (int64_t i = 1; i < rows; i++) c[i * c_row] = T{};
        return T{};
    }
    const R root = std::sqrt(whole), norm = real_part(first) < 0 ? root : -root;
    const T by = of_real<T>(1) / (first - of_real<T>(norm));
    const T tau = (of_real<T>(norm) - first) / of_real<T>(norm), factor = conjugate(tau);
    for (int64_t i = 1; i < rows; i++) c[i * c_row] = c[i * c_row] * by;
    for (int64_t j = 1; j < columns; j++) sums[j] = factor * (c[j] + conjugate(by) * sums[j]);
    for (int64_t j = 1; j < columns; j++) c[j] = c[j] - sums[j];
    for (int64_t i = 1; i < rows; i++)
        subtract_rows(c + i * c_row + 1, c + i * c_row, sums + 1, 0, 1, columns - 1);
    c[0] = of_real<T>(norm * scale);
    return tau;
}

// Reflectors [first, last) of Q and the T of their product.
template <class T>
struct Panel {
    int64_t rows = 0, width = 0;
    T *v = nullptr, *adjoint, *triangle, *inner, *outer;

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
        // Column j is -tau_j times the triangle before it by V^H v_j, which inner holds negated.
        for (int64_t j = 0; j < width; j++) {
            for (int64_t i = 0; i < j; i++) {
                T sum{};
                for (int64_t p = i; p < j; p++)
                    sum = sum - triangle[i * width + p] * inner[p * width + j];
                triangle[i * width + j] = T{} - tau[j] * sum;
            }
            triangle[j * width + j] = tau[j];
        }
    }

    // c = (1 - V T V^H) c, or with T^H.
    EMBER_NOINLINE void apply(T* c, int64_t c_row, int64_t columns, bool turned) {
        for (int64_t i = 0; i < width * columns; i++) inner[i] = outer[i] = T{};
        subtract_product(inner, columns, adjoint, rows, c, c_row, width, columns, rows);
        for (int64_t i = 0; i < width; i++)
            for (int64_t p = turned ? 0 : i; p < (turned ? i + 1 : width); p++) {
                const T by = turned ? conjugate(triangle[p * width + i]) : triangle[i * width + p];
                subtract_rows(outer + i * columns, &by, inner + p * columns, 0, 1, columns);
            }
        subtract_product(c, c_row, v, width, outer, columns, rows, columns, width);
    }
};

template <class T>
void factor_all(const QrFactor& g) {
    const int64_t m = g.m, n = g.n, rank = m < n ? m : n;
    for_matrices<T>(g.batch, m * n * rank, [&](int64_t begin, int64_t end) {
        Context context;
        Panel<T> panel;
        for (int64_t at = begin; at < end; at++) {
            T* a = static_cast<T*>(g.a) + at * m * n;
            T* tau = static_cast<T*>(g.tau) + at * rank;
            for (int64_t k0 = 0; k0 < rank; k0 += kPanel) {
                const int64_t k1 = k0 + kPanel < rank ? k0 + kPanel : rank;
                const int64_t last = n <= kWidth && k1 == rank ? n : k1;
                for (int64_t k = k0; k < k1; k++)
                    tau[k] = make_reflector(a + k * n + k, n, m - k, last - k);
                if (last == n) continue;
                panel.reserve(context, m, n);
                panel.fill(a + k0 * n + k0, n, tau + k0, m - k0, k1 - k0);
                panel.apply(a + k0 * n + last, n, n - last, true);
            }
        }
    });
}

// c = (1 - tau v v^H) c for the v whose first item, a 1, is not stored.
template <class T>
EMBER_INLINE void reflect_rows(T* c, int64_t c_row, const T* v, int64_t v_stride, T tau,
                               int64_t rows, int64_t columns) {
    for (int64_t from = 0; from < columns; from += kWidth, c += kWidth) {
        const int64_t count = columns - from < kWidth ? columns - from : kWidth;
        T sums[kWidth];
        dot_columns(sums, v + v_stride, v_stride, c + c_row, c_row, rows - 1, count);
        for (int64_t j = 0; j < count; j++) {
            sums[j] = tau * (c[j] + sums[j]);
            c[j] = c[j] - sums[j];
        }
        for (int64_t i = 1; i < rows; i++)
            subtract_rows(c + i * c_row, v + i * v_stride, sums, 0, 1, count);
    }
}

template <class T>
void reflect_all(const Reflect& g) {
    constexpr int64_t kFewReflectors = 8;
    const int64_t m = g.m, n = g.n, columns = g.columns;
    const bool few = g.count <= kFewReflectors;
    const int64_t height = few ? 1 : kPanel, panels = ceil_div(g.count, height);
    for_matrices<T>(g.batch, 2 * m * g.count * columns, [&](int64_t begin, int64_t end) {
        Context context;
        Panel<T> panel;
        for (int64_t at = begin; at < end; at++) {
            const T* a = static_cast<const T*>(g.a) + at * m * n;
            const T* tau = static_cast<const T*>(g.tau) + at * g.count;
            for (int64_t s = 0; s < panels; s++) {
                const int64_t k = (g.adjoint ? s : panels - 1 - s) * height;
                // Columns before the reflector are zero from its first row on.
                const int64_t from = g.identity && !g.adjoint ? (k < columns ? k : columns) : 0;
                T* c = static_cast<T*>(g.c) + at * m * columns + k * columns + from;
                const T* v = a + k * n + k;
                if (few) {
                    reflect_rows(c, columns, v, n, g.adjoint ? conjugate(tau[k]) : tau[k], m - k,
                                 columns - from);
                    continue;
                }
                panel.reserve(context, m, columns);
                panel.fill(v, n, tau + k, m - k, g.count - k < height ? g.count - k : height);
                panel.apply(c, columns, columns - from, g.adjoint);
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
