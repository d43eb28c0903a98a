#include "cuda/params.cuh"
#include "kernels/norm.h"

namespace ember::cuda {
namespace {

using kernels::LayerNorm;
using kernels::LayerNormBackward;

// A block a row.
template <class T, class P>
__global__ void layer_norm_kernel(const LayerNorm a) {
    using C = Compute<T>;
    const P *weight = static_cast<const P*>(a.weight), *bias = static_cast<const P*>(a.bias);
    for (int64_t row = blockIdx.x; row < a.rows; row += gridDim.x) {
        const T* in = static_cast<const T*>(a.in) + row * a.n;
        T* out = static_cast<T*>(a.out) + row * a.n;
        C sum = 0, squares = 0;
        for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x) sum += widen(in[i]);
        C mean = a.centred ? add_block(sum) / C(a.n) : C(0);
        for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x) {
            C d = C(widen(in[i])) - mean;
            squares += d * d;
        }
        C rstd = C(1) / formulas::sqrt(add_block(squares) / C(a.n) + C(a.eps));
        if (threadIdx.x == 0) {
            static_cast<C*>(a.mean)[row] = mean;
            static_cast<C*>(a.rstd)[row] = rstd;
        }
        for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x) {
            C x = (C(widen(in[i])) - mean) * rstd;
            if (weight) x *= C(widen(weight[i]));
            if (bias) x += C(widen(bias[i]));
            out[i] = narrow<T>(x);
        }
        __syncthreads();
    }
}

template <class T, class P>
__global__ void grad_input_kernel(const LayerNormBackward a) {
    using C = Compute<T>;
    const P* weight = static_cast<const P*>(a.weight);
    for (int64_t row = blockIdx.x; row < a.rows; row += gridDim.x) {
        const T* in = static_cast<const T*>(a.in) + row * a.n;
        const T* grad = static_cast<const T*>(a.grad) + row * a.n;
        T* out = static_cast<T*>(a.grad_input) + row * a.n;
        C mean = static_cast<const C*>(a.mean)[row], rstd = static_cast<const C*>(a.rstd)[row];
        C sum = 0, dot = 0;
        for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x) {
            C g = widen(grad[i]);
            if (weight) g *= C(widen(weight[i]));
            sum += g;
            dot += g * ((C(widen(in[i])) - mean) * rstd);
        }
        sum = a.centred ? add_block(sum) / C(a.n) : C(0);
        dot = add_block(dot) / C(a.n);
        for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x) {
            C g = widen(grad[i]);
            if (weight) g *= C(widen(weight[i]));
            out[i] = narrow<T>(rstd * ((g - sum) - (C(widen(in[i])) - mean) * rstd * dot));
        }
        __syncthreads();
    }
}

// Gradients of weight and bias over `chunk` rows: parts (chunks, 2, n). A thread a column.
template <class T>
__global__ void grad_params_kernel(const LayerNormBackward a, int64_t chunk, Compute<T>* parts) {
    using C = Compute<T>;
    const T *in = static_cast<const T*>(a.in), *grad = static_cast<const T*>(a.grad);
    int64_t begin = blockIdx.y * chunk, end = begin + chunk < a.rows ? begin + chunk : a.rows;
    EMBER_FOR_ITEMS(i, a.n) {
        C weight = 0, bias = 0;
        for (int64_t row = begin; row < end; row++) {
            C g = widen(grad[row * a.n + i]);
            C mean = static_cast<const C*>(a.mean)[row], rstd = static_cast<const C*>(a.rstd)[row];
            weight += g * ((C(widen(in[row * a.n + i])) - mean) * rstd);
            bias += g;
        }
        parts[(blockIdx.y * 2) * a.n + i] = weight;
        parts[(blockIdx.y * 2 + 1) * a.n + i] = bias;
    }
}

template <class C, class P>
__global__ void add_chunks_kernel(const C* parts, int64_t chunks, int64_t n, P* weight, P* bias) {
    EMBER_FOR_ITEMS(i, n) {
        C sums[2] = {};
        for (int64_t c = 0; c < chunks; c++)
            for (int k = 0; k < 2; k++) sums[k] += parts[(c * 2 + k) * n + i];
        if (weight) weight[i] = narrow<P>(sums[0]);
        if (bias) bias[i] = narrow<P>(sums[1]);
    }
}

dim3 row_threads(int64_t n) { return dim3(unsigned(clamp_to(ceil_div(n, 4 * 32), 1, 16) * 32)); }

void layer_norm(Context& context, const LayerNorm& a) {
    if (a.rows == 0) return;
    dispatch_with_params(a.dtype, a.param_dtype, [&](auto tag, auto param_tag) {
        using T = typename decltype(tag)::type;
        using P = typename decltype(param_tag)::type;
        run(context, layer_norm_kernel<T, P>, blocks_for(a.rows, 1), row_threads(a.n), a);
    });
}

void layer_norm_backward(Context& context, const LayerNormBackward& a) {
    dispatch_with_params(a.dtype, a.param_dtype, [&](auto tag, auto param_tag) {
        using T = typename decltype(tag)::type;
        using P = typename decltype(param_tag)::type;
        using C = Compute<T>;
        if (a.grad_input && a.rows > 0)
            run(context, grad_input_kernel<T, P>, blocks_for(a.rows, 1), row_threads(a.n), a);
        if (!(a.grad_weight || a.grad_bias) || a.n == 0) return;
        int64_t chunks = clamp_to(a.rows / 64, 1, 256), chunk = ceil_div(a.rows, chunks);
        C* parts = context.scratch_of<C>(chunks * 2 * a.n);
        dim3 grid(blocks_for(a.n), unsigned(chunks));
        run(context, grad_params_kernel<T>, grid, dim3(kThreads), a, chunk, parts);
        run_items(context, add_chunks_kernel<C, P>, a.n, static_cast<const C*>(parts), chunks, a.n,
                  static_cast<P*>(a.grad_weight), static_cast<P*>(a.grad_bias));
    });
}

}  // namespace

void register_norm(const Table& table) {
    table.set(kernels::layer_norm, layer_norm, kFloating);
    table.set(kernels::layer_norm_backward, layer_norm_backward, kFloating);
}

}  // namespace ember::cuda
