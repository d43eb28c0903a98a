#include "kernels/factor.h"

#include "core/parallel.h"
#include "cpu/level.h"
#include "cpu/sizes.h"

// Rows minus multiples of rows, which are for the compiler to vectorise, blocked so that these lie
// in the cache.
namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::LuFactor;
using kernels::Substitute;

template <class T>
struct Complex {
    T re, im;
    friend EMBER_INLINE Complex operator-(Complex a, Complex b) {
        return {a.re - b.re, a.im - b.im};
    }
    friend EMBER_INLINE Complex operator*(Complex a, Complex b) {
        return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
    }
    friend EMBER_INLINE Complex operator/(Complex a, Complex b) {
        // By the larger part first, so that no square overflows (R. L. Smith, 1962).
        T re = b.re < 0 ? -b.re : b.re, im = b.im < 0 ? -b.im : b.im;
        if (re >= im) {
            T ratio = re == 0 ? T(0) : b.im / b.re, scale = T(1) / (b.re + b.im * ratio);
            return {(a.re + a.im * ratio) * scale, (a.im - a.re * ratio) * scale};
        }
        T ratio = b.re / b.im, scale = T(1) / (b.re * ratio + b.im);
        return {(a.re * ratio + a.im) * scale, (a.im * ratio - a.re) * scale};
    }
    friend EMBER_INLINE bool operator==(Complex a, Complex b) {
        return a.re == b.re && a.im == b.im;
    }
};

// LAPACK takes a complex number for as large as its parts together.
template <class T>
EMBER_INLINE T size_of(T x) {
    return x < 0 ? -x : x;
}
template <class T>
EMBER_INLINE T size_of(Complex<T> x) {
    return size_of(x.re) + size_of(x.im);
}

// row -= the sum of by[p] * rows[p * stride] over p < count, of `n` items.
template <class T>
EMBER_INLINE void subtract_rows(T* __restrict row, const T* by, const T* rows, int64_t stride,
                                int64_t count, int64_t n) {
    int64_t p = 0;
    for (; p + 4 <= count; p += 4) {
        const T a = by[p], b = by[p + 1], c = by[p + 2], d = by[p + 3];
        const T* __restrict u = rows + p * stride;
        const T* __restrict v = u + stride;
        const T* __restrict w = v + stride;
        const T* __restrict x = w + stride;
        for (int64_t j = 0; j < n; j++) row[j] = row[j] - a * u[j] - b * v[j] - c * w[j] - d * x[j];
    }
    for (; p < count; p++) {
        const T a = by[p];
        const T* __restrict u = rows + p * stride;
        for (int64_t j = 0; j < n; j++) row[j] = row[j] - a * u[j];
    }
}

template <class T>
EMBER_INLINE void swap_rows(T* a, T* b, int64_t n) {
    for (int64_t j = 0; a != b && j < n; j++) {
        const T held = a[j];
        a[j] = b[j];
        b[j] = held;
    }
}

template <class T>
EMBER_NOINLINE void factor_one(T* a, int64_t m, int64_t n, int32_t* pivots, int32_t* info) {
    constexpr int64_t kPanel = 32;
    const int64_t rank = m < n ? m : n;
    *info = 0;
    for (int64_t k0 = 0; k0 < rank; k0 += kPanel) {
        const int64_t k1 = k0 + kPanel < rank ? k0 + kPanel : rank;
        for (int64_t k = k0; k < k1; k++) {
            int64_t best = k;
            auto largest = size_of(a[k * n + k]);
            for (int64_t i = k + 1; i < m; i++) {
                const auto size = size_of(a[i * n + k]);
                if (size > largest || (size != size && largest == largest)) {
                    best = i;
                    largest = size;
                }
            }
            pivots[k] = int32_t(best + 1);
            swap_rows(a + k * n, a + best * n, n);
            const T top = a[k * n + k];
            const bool zero = largest == 0;
            if (zero && *info == 0) *info = int32_t(k + 1);
            for (int64_t i = k + 1; i < m; i++) {
                T* row = a + i * n;
                if (!zero) row[k] = row[k] / top;
                subtract_rows(row + k + 1, row + k, a + k * n + k + 1, n, 1, k1 - k - 1);
            }
        }
        if (k1 == n) continue;
        for (int64_t k = k0 + 1; k < k1; k++)
            subtract_rows(a + k * n + k1, a + k * n + k0, a + k0 * n + k1, n, k - k0, n - k1);
        const int64_t cost = (k1 - k0) * (n - k1) * int64_t(sizeof(T));
        parallel_for(m - k1, clamp_to(4 * kGrainBytes / (cost + 1), 1, 1 << 20),
                     [&](int64_t begin, int64_t end) {
                         for (int64_t i = k1 + begin; i < k1 + end; i++)
                             subtract_rows(a + i * n + k1, a + i * n + k0, a + k0 * n + k1, n,
                                           k1 - k0, n - k1);
                     });
    }
}

template <class T>
void factor_all(const LuFactor& g) {
    const int64_t rank = g.m < g.n ? g.m : g.n, cost = g.m * g.n * rank * int64_t(sizeof(T));
    parallel_for(g.batch, clamp_to(4 * kGrainBytes / (cost + 1), 1, 1 << 20),
                 [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; i++)
                         factor_one(static_cast<T*>(g.a) + i * g.m * g.n, g.m, g.n,
                                    g.pivots + i * rank, g.info + i);
                 });
}

// Columns [from, from + count) of one system.
template <class T>
EMBER_NOINLINE void substitute_columns(const Substitute& g, const T* a, T* b, int64_t from,
                                       int64_t count) {
    const int64_t n = g.n, stride = g.columns;
    T* x = b + from;
    for (int64_t s = 0; s < n; s++) {
        const int64_t i = g.upper ? n - 1 - s : s, first = g.upper ? i + 1 : 0;
        T* row = x + i * stride;
        subtract_rows(row, a + i * n + first, x + first * stride, stride, s, count);
        const T by = a[i * n + i];
        for (int64_t j = 0; !g.unit && j < count; j++) row[j] = row[j] / by;
    }
}

template <class T>
void substitute_all(const Substitute& g) {
    constexpr int64_t kChunk = 128;
    const int64_t chunks = ceil_div(g.columns, kChunk);
    const int64_t width = g.columns < kChunk ? g.columns : kChunk;
    const int64_t cost = g.n * g.n * width * int64_t(sizeof(T));
    parallel_for(g.batch * chunks, clamp_to(4 * kGrainBytes / (cost + 1), 1, 1 << 20),
                 [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; i++) {
                         const int64_t at = i / chunks, from = i % chunks * kChunk;
                         const int64_t rest = g.columns - from;
                         substitute_columns(g, static_cast<const T*>(g.a) + at * g.n * g.n,
                                            static_cast<T*>(g.b) + at * g.n * g.columns, from,
                                            rest < kChunk ? rest : kChunk);
                     }
                 });
}

void lu_factor(Context&, const LuFactor& g) {
    switch (g.dtype) {
        case DType::Float32: return factor_all<float>(g);
        case DType::Float64: return factor_all<double>(g);
        case DType::Complex64: return factor_all<Complex<float>>(g);
        default: return factor_all<Complex<double>>(g);
    }
}
void substitute(Context&, const Substitute& g) {
    switch (g.dtype) {
        case DType::Float32: return substitute_all<float>(g);
        case DType::Float64: return substitute_all<double>(g);
        case DType::Complex64: return substitute_all<Complex<float>>(g);
        default: return substitute_all<Complex<double>>(g);
    }
}

}  // namespace

void register_factor(Table& table) {
    table.set(kernels::lu_factor, lu_factor, kFloats | kComplex);
    table.set(kernels::substitute, substitute, kFloats | kComplex);
}

}  // namespace ember::cpu::EMBER_LEVEL
