#include "cuda/layout.cuh"
#include "cuda/tile.cuh"
#include "kernels/conv.h"

// Convolutions as products whose matrices are gathered from the images as they are read.
namespace ember::cuda {
namespace {

using kernels::Conv2d;

// The problem with 32-bit sizes, and dividers for the numbers of pixels and taps.
struct Shape {
    int n, c, h, w, k, r, s, out_h, out_w;
    int stride[2], pad[2], dilation[2];
    int groups, group_c, group_k;
    Divider by_out_w, by_out, by_w, by_plane, by_s, by_taps;

    explicit Shape(const Context& context, const Conv2d& g)
        : n(int(g.n)),
          c(int(g.c)),
          h(int(g.h)),
          w(int(g.w)),
          k(int(g.k)),
          r(int(g.r)),
          s(int(g.s)),
          out_h(int(g.out_h)),
          out_w(int(g.out_w)),
          groups(int(g.groups)),
          group_c(int(g.c / g.groups)),
          group_k(int(g.k / g.groups)) {
        for (int d = 0; d < 2; d++) {
            stride[d] = int(g.stride[d]);
            pad[d] = int(g.pad[d]);
            dilation[d] = int(g.dilation[d]);
        }
        auto limited = [&](int64_t size) {
            EMBER_CHECK(size < int64_t(1) << 31, "%s: more than 2^31 items are not served on CUDA",
                        context.operation);
            return Divider(size < 1 ? 1 : size);
        };
        limited(g.n * g.h * g.w);
        limited(g.n * g.out_h * g.out_w);
        limited((g.c / g.groups + g.k / g.groups) * g.r * g.s);
        by_out_w = limited(g.out_w);
        by_out = limited(g.out_h * g.out_w);
        by_w = limited(g.w);
        by_plane = limited(g.h * g.w);
        by_s = limited(g.s);
        by_taps = limited(g.r * g.s);
    }
    EMBER_DEVICE static void split(const Divider& by, int number, int& whole, int& rest) {
        whole = int(by.divide(uint32_t(number)));
        rest = number - whole * int(by.divisor);
    }
};

// The input under tap q of the window of output pixel p.
template <class T>
struct Window {
    Shape g;
    const T* input;
    EMBER_DEVICE Compute<T> at(int group, int p, int q) const {
        int image, pixel, y, x, channel, tap, i, j;
        g.split(g.by_out, p, image, pixel);
        g.split(g.by_out_w, pixel, y, x);
        g.split(g.by_taps, q, channel, tap);
        g.split(g.by_s, tap, i, j);
        int row = y * g.stride[0] - g.pad[0] + i * g.dilation[0];
        int column = x * g.stride[1] - g.pad[1] + j * g.dilation[1];
        if (row < 0 || row >= g.h || column < 0 || column >= g.w) return 0;
        int64_t plane = int64_t(image) * g.c + group * g.group_c + channel;
        return widen(input[(plane * g.h + row) * g.w + column]);
    }
};

// ---- Forward: (pixels, taps) @ (taps, channels out)

template <class T>
struct Pixels {
    Window<T> window;
    static constexpr bool rows_inner = true;
    EMBER_DEVICE Compute<T> operator()(int64_t group, int64_t p, int64_t q) const {
        return window.at(int(group), int(p), int(q));
    }
};
template <class T>
struct Weights {
    Shape g;
    const T* weight;
    static constexpr bool columns_inner = false;
    EMBER_DEVICE Compute<T> operator()(int64_t group, int64_t q, int64_t o) const {
        int64_t taps = int64_t(g.group_c) * g.r * g.s;
        return widen(weight[(group * g.group_k + o) * taps + q]);
    }
};
template <class T>
struct ToOutput {
    Shape g;
    T* output;
    const T* bias;
    EMBER_DEVICE void operator()(int64_t group, int, int64_t p, int64_t o, Compute<T> sum) const {
        int image, pixel;
        g.split(g.by_out, int(p), image, pixel);
        int64_t channel = group * g.group_k + o;
        if (bias) sum += widen(bias[channel]);
        output[(int64_t(image) * g.k + channel) * g.out_h * g.out_w + pixel] = narrow<T>(sum);
    }
};

void conv2d(Context& context, const Conv2d& a) {
    Shape g(context, a);
    dispatch_floating(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        Pixels<T> pixels{{g, static_cast<const T*>(a.input)}};
        Weights<T> weights{g, static_cast<const T*>(a.weight)};
        ToOutput<T> out{g, static_cast<T*>(a.output), static_cast<const T*>(a.bias)};
        run_tiles<T>(context, pixels, weights, out, a.groups, a.n * a.out_h * a.out_w, g.group_k,
                     int64_t(g.group_c) * g.r * g.s);
    });
}

// ---- Gradient of the input: (input pixels, taps of channels out) @ (those, channels in)

template <class T>
struct Gradients {
    Shape g;
    const T* grad;
    static constexpr bool rows_inner = true;
    EMBER_DEVICE Compute<T> operator()(int64_t group, int64_t p, int64_t q) const {
        int image, pixel, y, x, channel, tap, i, j;
        g.split(g.by_plane, int(p), image, pixel);
        g.split(g.by_w, pixel, y, x);
        g.split(g.by_taps, int(q), channel, tap);
        g.split(g.by_s, tap, i, j);
        int row = y + g.pad[0] - i * g.dilation[0], column = x + g.pad[1] - j * g.dilation[1];
        if (row < 0 || column < 0 || row % g.stride[0] != 0 || column % g.stride[1] != 0) return 0;
        row /= g.stride[0];
        column /= g.stride[1];
        if (row >= g.out_h || column >= g.out_w) return 0;
        int64_t plane = int64_t(image) * g.k + group * g.group_k + channel;
        return widen(grad[(plane * g.out_h + row) * g.out_w + column]);
    }
};
template <class T>
struct TurnedWeights {
    Shape g;
    const T* weight;
    static constexpr bool columns_inner = false;
    EMBER_DEVICE Compute<T> operator()(int64_t group, int64_t q, int64_t channel) const {
        int out, tap;
        g.split(g.by_taps, int(q), out, tap);
        int64_t taps = int64_t(g.r) * g.s;
        return widen(weight[((group * g.group_k + out) * g.group_c + channel) * taps + tap]);
    }
};
template <class T>
struct ToInput {
    Shape g;
    T* input;
    const T* bias;
    EMBER_DEVICE void operator()(int64_t group, int, int64_t p, int64_t channel,
                                 Compute<T> sum) const {
        int image, pixel;
        g.split(g.by_plane, int(p), image, pixel);
        if (bias) sum += widen(bias[group * g.group_c + channel]);
        int64_t plane = int64_t(image) * g.c + group * g.group_c + channel;
        input[plane * g.h * g.w + pixel] = narrow<T>(sum);
    }
};

void conv2d_grad_input(Context& context, const Conv2d& a) {
    Shape g(context, a);
    dispatch_floating(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        Gradients<T> grads{g, static_cast<const T*>(a.output)};
        TurnedWeights<T> weights{g, static_cast<const T*>(a.weight)};
        ToInput<T> out{g, static_cast<T*>(a.input), static_cast<const T*>(a.bias)};
        run_tiles<T>(context, grads, weights, out, a.groups, a.n * a.h * a.w, g.group_c,
                     int64_t(g.group_k) * g.r * g.s);
    });
}

// ---- Gradient of the weight: (channels out, pixels) @ (pixels, taps), the pixels in several parts
// that are added up in their order

template <class T>
struct OutputRows {
    Shape g;
    const T* grad;
    static constexpr bool rows_inner = false;
    EMBER_DEVICE Compute<T> operator()(int64_t group, int64_t o, int64_t p) const {
        int image, pixel;
        g.split(g.by_out, int(p), image, pixel);
        int64_t plane = int64_t(image) * g.k + group * g.group_k + o;
        return widen(grad[plane * g.out_h * g.out_w + pixel]);
    }
};
template <class T>
struct Columns {
    Window<T> window;
    static constexpr bool columns_inner = false;
    EMBER_DEVICE Compute<T> operator()(int64_t group, int64_t p, int64_t q) const {
        return window.at(int(group), int(p), int(q));
    }
};
template <class C>
struct ToParts {
    C* parts;  // (splits, groups, channels out of a group, taps)
    int64_t groups, rows, taps;
    EMBER_DEVICE void operator()(int64_t group, int split, int64_t o, int64_t q, C sum) const {
        parts[((split * groups + group) * rows + o) * taps + q] = sum;
    }
};

template <class T>
__global__ void add_parts(const Compute<T>* parts, int splits, int64_t count, T* out) {
    EMBER_FOR_ITEMS(i, count) {
        Compute<T> sum = 0;
        for (int s = 0; s < splits; s++) sum += parts[s * count + i];
        out[i] = narrow<T>(sum);
    }
}

void conv2d_grad_weight(Context& context, const Conv2d& a) {
    Shape g(context, a);
    dispatch_floating(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        using C = Compute<T>;
        const T* grad = static_cast<const T*>(a.output);
        if (a.weight) {
            int64_t taps = int64_t(g.group_c) * g.r * g.s, pixels = a.n * a.out_h * a.out_w;
            int64_t tiles = ceil_div(g.group_k, kTile) * ceil_div(taps, kTile) * a.groups;
            // About 512 blocks, of at least 256 pixels each.
            int splits = int(clamp_to(512 / (tiles ? tiles : 1), 1, ceil_div(pixels, 256) + 1));
            int64_t count = a.k * taps;
            C* parts = context.scratch_of<C>(count * splits);
            OutputRows<T> rows{g, grad};
            Columns<T> columns{{g, static_cast<const T*>(a.input)}};
            ToParts<C> out{parts, a.groups, g.group_k, taps};
            run_tiles<T>(context, rows, columns, out, a.groups, g.group_k, taps, pixels, splits);
            run_items(context, add_parts<T>, count, static_cast<const C*>(parts), splits, count,
                      static_cast<T*>(a.weight));
        }
    });
}

}  // namespace

void register_conv(const Table& table) {
    table.set(kernels::conv2d, conv2d, kFloating);
    table.set(kernels::conv2d_grad_input, conv2d_grad_input, kFloating);
    table.set(kernels::conv2d_grad_weight, conv2d_grad_weight, kFloating);
}

}  // namespace ember::cuda
