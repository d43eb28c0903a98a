#include "cuda/common.cuh"
#include "kernels/formulas/math.h"
#include "kernels/norm.h"

// Dense (n, groups, channels, inner): a block a group forward, and for the input's gradient; a
// block a channel for those of weight and bias.
namespace ember::cuda {
namespace {

using kernels::GroupNorm;
using kernels::GroupNormBackward;

template <class T>
__global__ void group_norm_kernel(const GroupNorm a) {
    int64_t row = blockIdx.x, n = a.channels * a.inner, first_channel = row % a.groups * a.channels;
    const T* in = static_cast<const T*>(a.in) + row * n;
    const T *weight = static_cast<const T*>(a.weight), *bias = static_cast<const T*>(a.bias);
    T sum = 0, squares = 0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += in[i];
    T mean = add_block(sum) / T(n);
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
        squares += (in[i] - mean) * (in[i] - mean);
    T rstd = T(1) / formulas::sqrt(add_block(squares) / T(n) + T(a.eps));
    if (threadIdx.x == 0) {
        static_cast<T*>(a.mean)[row] = mean;
        static_cast<T*>(a.rstd)[row] = rstd;
    }
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
        int64_t channel = first_channel + i / a.inner;
        T x = (in[i] - mean) * rstd;
        if (weight) x *= weight[channel];
        if (bias) x += bias[channel];
        static_cast<T*>(a.out)[row * n + i] = x;
    }
}

template <class T>
__global__ void grad_input_kernel(const GroupNormBackward a) {
    int64_t row = blockIdx.x, n = a.channels * a.inner, first_channel = row % a.groups * a.channels;
    const T* in = static_cast<const T*>(a.in) + row * n;
    const T* grad = static_cast<const T*>(a.grad) + row * n;
    const T* weight = static_cast<const T*>(a.weight);
    T mean = static_cast<const T*>(a.mean)[row], rstd = static_cast<const T*>(a.rstd)[row];
    T sum = 0, dot = 0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
        T g = weight ? grad[i] * weight[first_channel + i / a.inner] : grad[i];
        sum += g;
        dot += g * ((in[i] - mean) * rstd);
    }
    sum = add_block(sum) / T(n);
    dot = add_block(dot) / T(n);
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
        T g = weight ? grad[i] * weight[first_channel + i / a.inner] : grad[i];
        static_cast<T*>(a.grad_input)[row * n + i] =
            rstd * ((g - sum) - (in[i] - mean) * rstd * dot);
    }
}

template <class T>
__global__ void grad_params_kernel(const GroupNormBackward a) {
    int64_t channel = blockIdx.x, all = a.groups * a.channels;
    const T *in = static_cast<const T*>(a.in), *grad = static_cast<const T*>(a.grad);
    T weight = 0, bias = 0;
    for (int64_t i = threadIdx.x; i < a.n * a.inner; i += blockDim.x) {
        int64_t image = i / a.inner, at = (image * all + channel) * a.inner + i % a.inner;
        int64_t row = image * a.groups + channel / a.channels;
        T x = (in[at] - static_cast<const T*>(a.mean)[row]) * static_cast<const T*>(a.rstd)[row];
        weight += grad[at] * x;
        bias += grad[at];
    }
    weight = add_block(weight);
    bias = add_block(bias);
    if (threadIdx.x != 0) return;
    if (a.grad_weight) static_cast<T*>(a.grad_weight)[channel] = weight;
    if (a.grad_bias) static_cast<T*>(a.grad_bias)[channel] = bias;
}

void group_norm(Context& context, const GroupNorm& a) {
    if (a.n * a.groups == 0) return;
    dispatch<float, double>(a.dtype, [&](auto tag) {
        run(context, group_norm_kernel<typename decltype(tag)::type>,
            dim3(unsigned(a.n * a.groups)), dim3(kThreads), a);
    });
}

void group_norm_backward(Context& context, const GroupNormBackward& a) {
    dispatch<float, double>(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        if (a.grad_input && a.n * a.groups > 0)
            run(context, grad_input_kernel<T>, dim3(unsigned(a.n * a.groups)), dim3(kThreads), a);
        if ((a.grad_weight || a.grad_bias) && a.groups * a.channels > 0)
            run(context, grad_params_kernel<T>, dim3(unsigned(a.groups * a.channels)),
                dim3(kThreads), a);
    });
}

}  // namespace

void register_group_norm(const Table& table) {
    table.set(kernels::group_norm, group_norm, kFloats);
    table.set(kernels::group_norm_backward, group_norm_backward, kFloats);
}

}  // namespace ember::cuda
