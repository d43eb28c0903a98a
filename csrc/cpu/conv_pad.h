#pragma once

#include "core/error.h"
#include "core/parallel.h"
#include "cpu/gemm_kernel.h"
#include "cpu/padding.h"
#include "kernels/conv.h"

// What the convolution and the gradient of its weight share: borders, and halves by way of float32.
namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Conv2d;

constexpr int64_t kCopyItems = 4 << 20;    // of padded images held at one time
constexpr int64_t kTaskProducts = 40'000;  // products of registers that deserve a task of their own

// A convolution without borders whose window is one pixel, or the whole image, is a matrix product.
EMBER_INLINE bool is_product(const Conv2d& g) {
    const bool pixel = g.r == 1 && g.s == 1 && g.stride[0] == 1 && g.stride[1] == 1;
    const bool image = g.r == g.h && g.s == g.w && !g.channels_last;
    return g.groups == 1 && g.pad[0] == 0 && g.pad[1] == 0 && (pixel || image);
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

// The taps of one dimension that reach the input's positions of one phase (their remainder modulo
// the stride), as shifts: position phase + i * stride takes from the output's position i + shift.
struct Phase {
    int64_t begin, step;  // taps begin, begin + step, ...
    int64_t first, each;  // the shift of the first, the difference to the next
    EMBER_INLINE Phase(int64_t phase, int64_t kernel, int64_t stride, int64_t pad,
                       int64_t dilation) {
        begin = 0;
        while (begin < kernel && (phase + pad - begin * dilation) % stride != 0) begin++;
        step = 1;
        while (step < kernel && step * dilation % stride != 0) step++;
        first = (phase + pad - begin * dilation) / stride;
        each = -step * dilation / stride;
    }
    EMBER_INLINE int64_t count(int64_t kernel) const {
        return begin < kernel ? (kernel - 1 - begin) / step + 1 : 0;
    }
    EMBER_INLINE int64_t shift(int64_t i) const { return first + i * each; }
    // Which of them tap t is, or -1.
    EMBER_INLINE int64_t index(int64_t t) const {
        return t < begin || (t - begin) % step != 0 ? -1 : (t - begin) / step;
    }
};

// Images with borders, or as channels_last those of one plane of wide pixels.
template <class T>
EMBER_INLINE void pad_images(const T* in, int64_t images, int64_t channels, int64_t height,
                             int64_t width, Padding p, bool channels_last, T* out) {
    if (channels_last) p.left *= channels, p.columns *= channels, width *= channels, channels = 1;
    const int64_t plane = p.plane();
    parallel_for(images * channels, ceil_div(16'384, plane + 1), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++)
            pad_plane(in + i * height * width, height, width, p, T(0), out + i * plane);
    });
}

// The same convolution, whose padded images have a size that can be counted: a stride beyond the
// image is cut to it, which changes nothing.
EMBER_INLINE Conv2d checked(const Conv2d& given) {
    Conv2d g = given;
    int64_t items = most(g.c, g.k) * int64_t(sizeof(double)) * 2;
    bool overflows = false;
    for (int d = 0; d < 2; d++) {
        // Borders of the gradient reach as far as the kernel.
        const int64_t size = d ? g.w : g.h, kernel = d ? g.s : g.r;
        g.stride[d] = least(g.stride[d], size + 2 * g.pad[d]);
        const int64_t padded = size + 2 * g.pad[d] + g.dilation[d] * (kernel - 1) + g.stride[d];
        overflows = overflows || __builtin_mul_overflow(items, padded, &items);
    }
    if (overflows)
        raise(ErrorKind::OutOfMemory,
              "conv2d: images of %ld x %ld with padding %ld x %ld are too large", long(g.h),
              long(g.w), long(g.pad[0]), long(g.pad[1]));
    return g;
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
    x.bias = prepare(g.bias, reads.input ? g.k : g.c, reads.weight);
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
