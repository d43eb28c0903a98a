#include "cuda/cublas.h"
#include "cuda/tile.cuh"
#include "kernels/matmul.h"

namespace ember::cuda {
namespace {

using kernels::Gemm;

template <class T>
struct Left {
    const T* data;
    int64_t batch, row, column;
    bool rows_inner;
    EMBER_DEVICE auto operator()(int64_t z, int64_t i, int64_t q) const {
        return widen(data[z * batch + i * row + q * column]);
    }
};
template <class T>
struct Right {
    const T* data;
    int64_t batch, row, column;
    bool columns_inner;
    EMBER_DEVICE auto operator()(int64_t z, int64_t q, int64_t j) const {
        return widen(data[z * batch + q * row + j * column]);
    }
};

// c = alpha * sum + beta * c + bias, then the activation
template <class T, class Out>
struct Finish {
    using C = Accumulate<T>;
    Out* data;
    int64_t batch, row, column;
    const Out* bias;
    C alpha, beta;
    bool relu;
    EMBER_DEVICE void operator()(int64_t z, int, int64_t i, int64_t j, C sum) const {
        Out& to = data[z * batch + i * row + j * column];
        sum *= alpha;
        if (beta != C(0)) sum += beta * C(widen(to));
        if (bias) sum += C(widen(bias[j]));
        if (relu && sum < C(0)) sum = C(0);
        to = narrow<Out>(sum);
    }
};

template <class T, class Out = T>
void tiled(const Context& context, const Gemm& g) {
    using C = Accumulate<T>;
    Left<T> a{static_cast<const T*>(g.a), g.a_batch, g.a_row, g.a_col, g.a_row == 1};
    Right<T> b{static_cast<const T*>(g.b), g.b_batch, g.b_row, g.b_col, g.b_col == 1};
    Finish<T, Out> c{static_cast<Out*>(g.c),
                     g.c_batch,
                     g.c_row,
                     g.c_col,
                     static_cast<const Out*>(g.bias),
                     C(g.alpha),
                     C(g.beta),
                     g.activation == Gemm::Activation::Relu};
    run_tiles<T>(context, a, b, c, g.batch, g.m, g.n, g.k);
}

void gemm(Context& context, const Gemm& g) {
    if (g.wide) return tiled<int8_t, int32_t>(context, g);
    if (cublas_gemm(context, g)) return;
    dispatch<float, double, Half, BFloat16, uint8_t, int8_t, int16_t, int32_t, int64_t>(
        g.dtype, [&](auto tag) { tiled<typename decltype(tag)::type>(context, g); });
}

}  // namespace

void register_matmul(const Table& table) { table.set(kernels::gemm, gemm, kNumeric); }

}  // namespace ember::cuda
