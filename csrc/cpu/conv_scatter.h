#pragma once

#include "core/parallel.h"
#include "cpu/conv_pad.h"
#include "cpu/gemm_pack.h"
#include "kernels/matmul.h"

// The gradient of a convolution's input as one matrix product, (pixels, outputs) by (outputs,
// channels * taps), whose results are added where the taps saw the input. It multiplies nothing in
// vain, where the correlation would mostly meet the zeros around a small output, and its rows are
// long, where a wide stride would leave each phase few taps.
namespace ember::cpu::EMBER_LEVEL {
namespace {

EMBER_INLINE bool suits_scatter(const Conv2d& g) {
    const int64_t correlated = g.h * g.w * ceil_div(g.r, g.stride[0]) * ceil_div(g.s, g.stride[1]);
    const bool narrow = correlated > 2 * g.out_h * g.out_w * g.r * g.s && g.c * g.r * g.s >= 128;
    const bool wide = g.stride[1] >= 3 && g.c * g.r * g.s >= 32;
    return g.groups == 1 && g.dilation[1] == 1 && g.k >= 32 && (narrow || wide);
}

// One plane of the gradient: `columns` holds this channel's taps for each pixel of the output.
template <class T>
EMBER_NOINLINE void add_columns(const Conv2d& g, const T* columns, int64_t step, T bias, T* plane) {
    constexpr int64_t kLanes = Vec<T>::size;
    for (int64_t i = 0; i < g.h * g.w; i++) plane[i] = bias;
    for (int64_t y = 0; y < g.out_h; y++)
        for (int64_t x = 0; x < g.out_w; x++, columns += step) {
            const int64_t left = x * g.stride[1] - g.pad[1];
            const int64_t first = most(0, -left), last = least(g.s, g.w - left);
            for (int64_t r = 0; r < g.r; r++) {
                const int64_t row = y * g.stride[0] + r * g.dilation[0] - g.pad[0];
                if (row < 0 || row >= g.h) continue;
                T* to = plane + row * g.w + left;
                for (int64_t s = first; s < last; s += kLanes) {
                    const int64_t count = least(kLanes, last - s);
                    store_first(
                        load_first<T>(to + s, count) + load_first<T>(columns + r * g.s + s, count),
                        to + s, count);
                }
            }
        }
}

template <class T>
EMBER_NOINLINE void scatter_grad_input(Context& context, const Conv2d& g) {
    const int64_t pixels = g.out_h * g.out_w, taps = g.r * g.s, width = g.c * taps;
    const int64_t held = clamp_to(kCopyItems / (pixels * width + 1), 1, most(1, g.n));
    const int64_t depth = ceil_div(g.k, Vec<T>::size) * Vec<T>::size;  // packed in whole registers
    T* rows = context.scratch_of<T>(held * pixels * depth);
    T* columns = context.scratch_of<T>(held * pixels * width);
    const T* grads = static_cast<const T*>(g.output);
    const T* bias = static_cast<const T*>(g.bias);
    T* result = static_cast<T*>(g.input);
    for (int64_t n0 = 0; n0 < g.n; n0 += held) {
        const int64_t here = least(held, g.n - n0);
        parallel_for(here, 1, [&](int64_t begin, int64_t end) {
            for (int64_t n = begin; n < end; n++)
                pack_transposed(grads + (n0 + n) * g.k * pixels, pixels, g.k, pixels,
                                rows + n * pixels * depth, depth);
        });
        kernels::Gemm product;
        product.m = here * pixels, product.n = width, product.k = g.k, product.dtype = g.dtype;
        product.a = rows, product.a_row = depth, product.a_col = 1;
        product.b = g.weight, product.b_row = width, product.b_col = 1;
        product.c = columns, product.c_row = width;
        kernels::gemm(DeviceType::CPU, context, product);
        const int64_t grain = ceil_div(kGrainBytes, pixels * taps * int64_t(sizeof(T)) + 1);
        parallel_for(here * g.c, grain, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i++)
                add_columns(g, columns + i / g.c * pixels * width + i % g.c * taps, width,
                            bias ? bias[i % g.c] : T(0), result + (n0 * g.c + i) * g.h * g.w);
        });
    }
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
