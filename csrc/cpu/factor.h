#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

#include "core/parallel.h"
#include "cpu/level.h"
#include "cpu/sizes.h"
#include "kernels/factor.h"
#include "kernels/matmul.h"

// What factorisations are made of: rows minus multiples of rows, which are for the compiler to
// vectorise, and products of blocks.
namespace ember::cpu::EMBER_LEVEL {
namespace {

constexpr int64_t kPanel = 32;  // columns or rows that are done by themselves

template <class T>
struct Complex {
    T re, im;
    friend EMBER_INLINE Complex operator+(Complex a, Complex b) {
        return {a.re + b.re, a.im + b.im};
    }
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
    constexpr int64_t kShort = 8;  // for which vectors do not pay
    if (n < kShort) {
        for (int64_t j = 0; j < n; j++) {
            T rest = row[j];
            for (int64_t p = 0; p < count; p++) rest = rest - by[p] * rows[p * stride + j];
            row[j] = rest;
        }
        return;
    }
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

EMBER_INLINE float conjugate(float x) { return x; }
EMBER_INLINE double conjugate(double x) { return x; }
template <class T>
EMBER_INLINE Complex<T> conjugate(Complex<T> x) {
    return {x.re, -x.im};
}
EMBER_INLINE float real_part(float x) { return x; }
EMBER_INLINE double real_part(double x) { return x; }
template <class T>
EMBER_INLINE T real_part(Complex<T> x) {
    return x.re;
}
template <class T>
using RealOf = decltype(real_part(T()));
template <class T>
EMBER_INLINE T of_real(RealOf<T> x) {
    if constexpr (std::is_floating_point_v<T>)
        return x;
    else
        return {x, 0};
}

// c (m, n) -= a (m, k) b (k, n), of rows that lie `*_row` apart.
template <class T>
EMBER_NOINLINE void subtract_product(T* c, int64_t c_row, const T* a, int64_t a_row, const T* b,
                                     int64_t b_row, int64_t m, int64_t n, int64_t k) {
    constexpr int64_t kPaysToPack = 16 * 16 * 16;
    if (m * n * k == 0) return;
    if constexpr (std::is_floating_point_v<T>) {
        if (m * n * k >= kPaysToPack) {
            kernels::Gemm g;
            g.m = m, g.n = n, g.k = k;
            g.a = a, g.a_row = a_row, g.a_col = 1;
            g.b = b, g.b_row = b_row, g.b_col = 1;
            g.c = c, g.c_row = c_row;
            g.alpha = -1, g.beta = 1;
            g.dtype = sizeof(T) == 4 ? DType::Float32 : DType::Float64;
            Context context;
            return kernels::gemm(DeviceType::CPU, context, g);
        }
    }
    const int64_t cost = n * k * int64_t(sizeof(T));
    parallel_for(m, clamp_to(4 * kGrainBytes / cost, 1, 1 << 20), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++)
            subtract_rows(c + i * c_row, a + i * a_row, b, b_row, k, n);
    });
}

// f(first, last) over matrices of a batch; `cost`: multiplications that one takes.
template <class T, class F>
EMBER_INLINE void for_matrices(int64_t batch, int64_t cost, F&& f) {
    parallel_for(batch, clamp_to(4 * kGrainBytes / (cost * int64_t(sizeof(T)) + 1), 1, 1 << 20), f);
}

// f.template operator()<T>() for the C++ type of a dtype.
template <class F>
EMBER_INLINE void for_type(DType dtype, F&& f) {
    switch (dtype) {
        case DType::Float32: return f.template operator()<float>();
        case DType::Float64: return f.template operator()<double>();
        case DType::Complex64: return f.template operator()<Complex<float>>();
        default: return f.template operator()<Complex<double>>();
    }
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
