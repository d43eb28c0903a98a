#include "cuda/params.cuh"
#include "kernels/norm.h"

// Dense (n, channels, inner): a block sums up a channel, then each item is scaled and shifted.
namespace ember::cuda {
namespace {

using kernels::BatchNorm;
using kernels::BatchNormBackward;

// y = (x - mean) * scale + shift, and backward grad * scale + (x - mean) * slope + shift.
template <class C>
struct Coefficients {
    C mean, scale, slope, shift;
};

template <class P, class C>
EMBER_DEVICE C param_or(const void* params, int64_t i, C otherwise) {
    return params ? C(widen(static_cast<const P*>(params)[i])) : otherwise;
}

EMBER_DEVICE int64_t item_of(int64_t i, int64_t channel, int64_t channels, int64_t inner) {
    return (i / inner * channels + channel) * inner + i % inner;
}

template <class T, class P>
__global__ void statistics_kernel(const BatchNorm a, Coefficients<Compute<T>>* out) {
    using C = Compute<T>;
    int64_t channel = blockIdx.x, count = a.n * a.inner;
    const T* in = static_cast<const T*>(a.in);
    C mean, invstd;
    if (a.training) {
        C sum = 0, squares = 0, rest = 0;
        for (int64_t i = threadIdx.x; i < count; i += blockDim.x)
            sum += widen(in[item_of(i, channel, a.channels, a.inner)]);
        mean = add_block(sum) / C(count);
        for (int64_t i = threadIdx.x; i < count; i += blockDim.x) {
            C d = C(widen(in[item_of(i, channel, a.channels, a.inner)])) - mean;
            squares += d * d;
            rest += d;
        }
        squares = add_block(squares);
        rest = add_block(rest);
        squares -= rest * rest / C(count);  // what the mean's rounding added
        invstd = C(1) / formulas::sqrt(squares / C(count) + C(a.eps));
        if (threadIdx.x == 0 && a.running_mean) {
            P& to_mean = static_cast<P*>(a.running_mean)[channel];
            P& to_var = static_cast<P*>(a.running_var)[channel];
            double keep = 1 - a.momentum, var = double(squares) / double(count - 1);
            to_mean = narrow<P>(keep * double(widen(to_mean)) + a.momentum * double(mean));
            to_var = narrow<P>(keep * double(widen(to_var)) + a.momentum * var);
        }
    } else {
        mean = param_or<P>(a.running_mean, channel, C(0));
        invstd = C(1) / formulas::sqrt(param_or<P>(a.running_var, channel, C(1)) + C(a.eps));
    }
    if (threadIdx.x != 0) return;
    static_cast<C*>(a.mean)[channel] = mean;
    static_cast<C*>(a.invstd)[channel] = invstd;
    out[channel] = {mean, invstd * param_or<P>(a.weight, channel, C(1)), 0,
                    param_or<P>(a.bias, channel, C(0))};
}

template <class T>
__global__ void normalize_kernel(const T* in, T* out, int64_t items, int64_t channels,
                                 int64_t inner, const Coefficients<Compute<T>>* coefficients) {
    using C = Compute<T>;
    EMBER_FOR_ITEMS(i, items) {
        Coefficients<C> k = coefficients[i / inner % channels];
        out[i] = narrow<T>(formulas::fma(C(widen(in[i])) - k.mean, k.scale, k.shift));
    }
}

template <class T, class P>
__global__ void sums_kernel(const BatchNormBackward a, Coefficients<Compute<T>>* out) {
    using C = Compute<T>;
    int64_t channel = blockIdx.x, count = a.n * a.inner;
    const T *in = static_cast<const T*>(a.in), *grad = static_cast<const T*>(a.grad);
    C mean = static_cast<const C*>(a.mean)[channel];
    C invstd = static_cast<const C*>(a.invstd)[channel];
    C sum = 0, dot = 0;
    for (int64_t i = threadIdx.x; i < count; i += blockDim.x) {
        int64_t at = item_of(i, channel, a.channels, a.inner);
        C g = widen(grad[at]);
        sum += g;
        dot += g * (C(widen(in[at])) - mean);
    }
    sum = add_block(sum);
    dot = add_block(dot);
    if (threadIdx.x != 0) return;
    if (a.grad_weight) static_cast<P*>(a.grad_weight)[channel] = narrow<P>(dot * invstd);
    if (a.grad_bias) static_cast<P*>(a.grad_bias)[channel] = narrow<P>(sum);
    C scale = invstd * param_or<P>(a.weight, channel, C(1));
    C slope = a.training ? -scale * invstd * invstd * dot / C(count) : C(0);
    C shift = a.training ? -scale * sum / C(count) : C(0);
    out[channel] = {mean, scale, slope, shift};
}

template <class T>
__global__ void grad_input_kernel(const T* grad, const T* in, T* out, int64_t items,
                                  int64_t channels, int64_t inner, bool training,
                                  const Coefficients<Compute<T>>* coefficients) {
    using C = Compute<T>;
    EMBER_FOR_ITEMS(i, items) {
        Coefficients<C> k = coefficients[i / inner % channels];
        C g = C(widen(grad[i])) * k.scale;
        if (training) g += formulas::fma(C(widen(in[i])) - k.mean, k.slope, k.shift);
        out[i] = narrow<T>(g);
    }
}

constexpr dim3 kChannelThreads(512);

void batch_norm(Context& context, const BatchNorm& a) {
    if (a.channels == 0) return;
    dispatch_with_params(a.dtype, a.param_dtype, [&](auto tag, auto param_tag) {
        using T = typename decltype(tag)::type;
        using P = typename decltype(param_tag)::type;
        using K = Coefficients<Compute<T>>;
        K* k = context.scratch_of<K>(a.channels);
        run(context, statistics_kernel<T, P>, dim3(unsigned(a.channels)), kChannelThreads, a, k);
        int64_t items = a.n * a.channels * a.inner;
        run_items(context, normalize_kernel<T>, items, static_cast<const T*>(a.in),
                  static_cast<T*>(a.out), items, a.channels, a.inner, static_cast<const K*>(k));
    });
}

void batch_norm_backward(Context& context, const BatchNormBackward& a) {
    if (a.channels == 0) return;
    dispatch_with_params(a.dtype, a.param_dtype, [&](auto tag, auto param_tag) {
        using T = typename decltype(tag)::type;
        using P = typename decltype(param_tag)::type;
        using K = Coefficients<Compute<T>>;
        K* k = context.scratch_of<K>(a.channels);
        run(context, sums_kernel<T, P>, dim3(unsigned(a.channels)), kChannelThreads, a, k);
        int64_t items = a.n * a.channels * a.inner;
        if (a.grad_input)
            run_items(context, grad_input_kernel<T>, items, static_cast<const T*>(a.grad),
                      static_cast<const T*>(a.in), static_cast<T*>(a.grad_input), items, a.channels,
                      a.inner, a.training, static_cast<const K*>(k));
    });
}

}  // namespace

void register_batch_norm(const Table& table) {
    table.set(kernels::batch_norm, batch_norm, kFloating);
    table.set(kernels::batch_norm_backward, batch_norm_backward, kFloating);
}

}  // namespace ember::cuda
