#include "cuda/common.cuh"
#include "kernels/formulas/math.h"
#include "kernels/softmax.h"

namespace ember::cuda {
namespace {

using kernels::Softmax;
using kernels::SoftmaxBackward;

// Rows of dense (outer, n, inner): where inner is 1 a block works on each, else a thread.
struct Rows {
    int64_t rows, n, inner;
    Rows(int64_t outer, int64_t count, int64_t inside)
        : rows(outer * inside), n(count), inner(inside) {}
    EMBER_DEVICE int64_t first(int64_t row) const { return row / inner * n * inner + row % inner; }
};

template <class T, bool log>
__global__ void softmax_row_kernel(const T* in, T* out, Rows r) {
    using C = Compute<T>;
    for (int64_t row = blockIdx.x; row < r.rows; row += gridDim.x) {
        const T* x = in + row * r.n;
        T* y = out + row * r.n;
        C largest = C(-INFINITY);
        for (int64_t i = threadIdx.x; i < r.n; i += blockDim.x)
            largest = larger(C(widen(x[i])), largest);
        largest = max_block(largest);
        C sum = 0;
        for (int64_t i = threadIdx.x; i < r.n; i += blockDim.x)
            sum += formulas::exp(C(widen(x[i])) - largest);
        sum = add_block(sum);
        C finish = log ? formulas::log(sum) : C(1) / sum;
        for (int64_t i = threadIdx.x; i < r.n; i += blockDim.x) {
            C shifted = C(widen(x[i])) - largest;
            y[i] = narrow<T>(log ? shifted - finish : formulas::exp(shifted) * finish);
        }
        __syncthreads();
    }
}

template <class T, bool log>
__global__ void softmax_column_kernel(const T* in, T* out, Rows r) {
    using C = Compute<T>;
    EMBER_FOR_ITEMS(row, r.rows) {
        const T* x = in + r.first(row);
        T* y = out + r.first(row);
        C largest = C(-INFINITY), sum = 0;
        for (int64_t i = 0; i < r.n; i++) largest = larger(C(widen(x[i * r.inner])), largest);
        for (int64_t i = 0; i < r.n; i++) sum += formulas::exp(C(widen(x[i * r.inner])) - largest);
        C finish = log ? formulas::log(sum) : C(1) / sum;
        for (int64_t i = 0; i < r.n; i++) {
            C shifted = C(widen(x[i * r.inner])) - largest;
            y[i * r.inner] = narrow<T>(log ? shifted - finish : formulas::exp(shifted) * finish);
        }
    }
}

template <bool log, class C>
EMBER_DEVICE C slope(C g, C y, C sum) {
    return log ? g - formulas::exp(y) * sum : y * (g - sum);
}

template <class T, bool log>
__global__ void backward_row_kernel(const T* grad, const T* output, T* out, Rows r) {
    using C = Compute<T>;
    for (int64_t row = blockIdx.x; row < r.rows; row += gridDim.x) {
        int64_t first = row * r.n;
        C sum = 0;
        for (int64_t i = first + threadIdx.x; i < first + r.n; i += blockDim.x)
            sum += log ? C(widen(grad[i])) : C(widen(grad[i])) * C(widen(output[i]));
        sum = add_block(sum);
        for (int64_t i = first + threadIdx.x; i < first + r.n; i += blockDim.x)
            out[i] = narrow<T>(slope<log>(C(widen(grad[i])), C(widen(output[i])), sum));
        __syncthreads();
    }
}

template <class T, bool log>
__global__ void backward_column_kernel(const T* grad, const T* output, T* out, Rows r) {
    using C = Compute<T>;
    EMBER_FOR_ITEMS(row, r.rows) {
        int64_t first = r.first(row), end = first + r.n * r.inner;
        C sum = 0;
        for (int64_t i = first; i < end; i += r.inner)
            sum += log ? C(widen(grad[i])) : C(widen(grad[i])) * C(widen(output[i]));
        for (int64_t i = first; i < end; i += r.inner)
            out[i] = narrow<T>(slope<log>(C(widen(grad[i])), C(widen(output[i])), sum));
    }
}

// As many threads as a row has items for, in whole warps.
dim3 row_threads(int64_t n) { return dim3(unsigned(clamp_to(ceil_div(n, 4 * 32), 1, 16) * 32)); }

template <bool log>
void forward(Context& context, const Softmax& a) {
    Rows rows(a.outer, a.n, a.inner);
    if (rows.rows == 0 || a.n == 0) return;
    dispatch_floating(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        const T* in = static_cast<const T*>(a.in);
        T* out = static_cast<T*>(a.out);
        if (a.inner == 1)
            run(context, softmax_row_kernel<T, log>, blocks_for(rows.rows, 1), row_threads(a.n), in,
                out, rows);
        else
            run_items(context, softmax_column_kernel<T, log>, rows.rows, in, out, rows);
    });
}

template <bool log>
void backward(Context& context, const SoftmaxBackward& a) {
    Rows rows(a.outer, a.n, a.inner);
    if (rows.rows == 0 || a.n == 0) return;
    dispatch_floating(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        const T *grad = static_cast<const T*>(a.grad), *y = static_cast<const T*>(a.output);
        T* out = static_cast<T*>(a.grad_input);
        if (a.inner == 1)
            run(context, backward_row_kernel<T, log>, blocks_for(rows.rows, 1), row_threads(a.n),
                grad, y, out, rows);
        else
            run_items(context, backward_column_kernel<T, log>, rows.rows, grad, y, out, rows);
    });
}

}  // namespace

void register_softmax(const Table& table) {
    table.set(kernels::softmax, forward<false>, kFloating);
    table.set(kernels::log_softmax, forward<true>, kFloating);
    table.set(kernels::softmax_backward, backward<false>, kFloating);
    table.set(kernels::log_softmax_backward, backward<true>, kFloating);
}

}  // namespace ember::cuda
