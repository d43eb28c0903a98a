#pragma once

#include "core/parallel.h"
#include "cpu/gemm_kernel.h"
#include "kernels/conv.h"

// What the convolution and the gradient of its weight share: borders, and halves by way of float32.
namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Conv2d;

constexpr int64_t kCopyItems = 4 << 20;    // of padded images held at one time
constexpr int64_t kTaskProducts = 40'000;  // products of registers that deserve a task of their own

EMBER_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
EMBER_INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

// Images with borders of zeros (or cropped, where a border is negative). Columns are split by their
// remainder modulo `phases` and those of one remainder lie side by side, so that a strided row is
// contiguous too.
struct Padding {
    int64_t top = 0, left = 0, rows = 0, columns = 0, phases = 1;
    EMBER_INLINE int64_t phase_columns() const { return divide_up(columns, phases); }
    EMBER_INLINE int64_t row() const { return phase_columns() * phases; }
    EMBER_INLINE int64_t plane() const { return rows * row(); }
    EMBER_INLINE bool changes(int64_t height, int64_t width) const {
        return top != 0 || left != 0 || rows != height || columns != width || phases != 1;
    }
    // Where column x lies in its row.
    EMBER_INLINE int64_t column(int64_t x) const {
        return x % phases * phase_columns() + x / phases;
    }
};

template <class T>
EMBER_NOINLINE void pad_plane(const T* in, int64_t height, int64_t width, const Padding& p, T* out) {
    const int64_t begin = least(most(p.left, 0), p.columns);
    const int64_t end = most(least(p.left + width, p.columns), begin);
    for (int64_t y = 0; y < p.rows; y++, out += p.row()) {
        const int64_t from = y - p.top;
        if (from < 0 || from >= height || p.phases > 1) memset(out, 0, size_t(p.row()) * sizeof(T));
        if (from < 0 || from >= height) continue;
        const T* row = in + from * width - p.left;
        if (p.phases > 1) {
            for (int64_t phase = 0; phase < p.phases; phase++) {
                T* to = out + phase * p.phase_columns();
                int64_t i = divide_up(most(begin - phase, 0), p.phases);
                for (; i * p.phases + phase < end; i++) to[i] = row[i * p.phases + phase];
            }
        } else {
            for (int64_t x = 0; x < begin; x++) out[x] = T(0);
            memcpy(out + begin, row + begin, size_t(end - begin) * sizeof(T));
            for (int64_t x = end; x < p.columns; x++) out[x] = T(0);
        }
    }
}

// The borders that the forward direction needs around its input; `split` puts the columns that one
// stride apart side by side. Without padding and split the input is taken as it is.
EMBER_INLINE Padding forward_padding(const Conv2d& g, bool split) {
    Padding p;
    p.top = g.pad[0];
    p.left = g.pad[1];
    p.rows = (g.out_h - 1) * g.stride[0] + (g.r - 1) * g.dilation[0] + 1;
    p.columns = (g.out_w - 1) * g.stride[1] + (g.s - 1) * g.dilation[1] + 1;
    if (split) p.phases = g.stride[1];
    if (!split && p.top == 0 && p.left == 0) {
        p.rows = g.h;
        p.columns = g.w;
    }
    return p;
}

template <class S>
EMBER_INLINE float* widen(Context& context, const void* from, int64_t n) {
    if (from == nullptr) return nullptr;
    float* to = context.scratch_of<float>(n);
    const S* in = static_cast<const S*>(from);
    parallel_for(n, kGrainBytes / 4, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i += VecF::size) {
            const int64_t count = least(end - i, VecF::size);
            store_first(load_first_as<VecF>(in + i, count), to + i, count);
        }
    });
    return to;
}

template <class S>
EMBER_INLINE void narrow(const float* in, void* to, int64_t n) {
    if (to == nullptr) return;
    S* out = static_cast<S*>(to);
    parallel_for(n, kGrainBytes / 4, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i += VecF::size) {
            const int64_t count = least(end - i, VecF::size);
            store_first_as(out + i, load_first<float>(in + i, count), count);
        }
    });
}

// Which tensors a slot reads; the others (of those given) it writes.
struct Reads {
    bool input, weight, output;
};

template <class S, class F>
EMBER_INLINE void through_floats(Context& context, const Conv2d& g, Reads reads, F f) {
    Conv2d x = g;
    const int64_t inputs = g.n * g.c * g.h * g.w, outputs = g.n * g.k * g.out_h * g.out_w;
    const int64_t weights = g.k * (g.c / g.groups) * g.r * g.s;
    auto prepare = [&](void* p, int64_t n, bool read) __attribute__((always_inline)) {
        return read || p == nullptr ? widen<S>(context, p, n) : context.scratch_of<float>(n);
    };
    x.dtype = DType::Float32;
    x.input = prepare(g.input, inputs, reads.input);
    x.weight = prepare(g.weight, weights, reads.weight);
    x.output = prepare(g.output, outputs, reads.output);
    x.bias = prepare(g.bias, g.k, reads.weight);
    f(TypeTag<float>{}, x);
    if (!reads.input) narrow<S>(static_cast<float*>(x.input), g.input, inputs);
    if (!reads.output) narrow<S>(static_cast<float*>(x.output), g.output, outputs);
    if (!reads.weight) {
        narrow<S>(static_cast<float*>(x.weight), g.weight, weights);
        narrow<S>(static_cast<float*>(x.bias), g.bias, g.k);
    }
}

// f(TypeTag<float or double>, the convolution in that type).
template <class F>
EMBER_INLINE void in_floats(Context& context, const Conv2d& g, Reads reads, F f) {
    switch (g.dtype) {
        case DType::Float32: return f(TypeTag<float>{}, g);
        case DType::Float64: return f(TypeTag<double>{}, g);
        case DType::Float16: return through_floats<Half>(context, g, reads, f);
        case DType::BFloat16: return through_floats<BFloat16>(context, g, reads, f);
        default: return;
    }
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
