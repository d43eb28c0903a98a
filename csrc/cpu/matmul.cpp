#include "kernels/matmul.h"

#include "cpu/gemm.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Gemm;

template <class S, class T>
void gemm_as(Context& context, const Gemm& g) {
    Product<S, T> x{
        g.m,
        g.n,
        g.k,
        static_cast<const S*>(g.a),
        g.a_row,
        g.a_col,
        static_cast<const S*>(g.b),
        g.b_row,
        g.b_col,
        static_cast<S*>(g.c),
        g.c_row,
        g.alpha,
        g.beta,
        static_cast<const S*>(g.bias),
        nullptr,
        g.activation == Gemm::Activation::Relu,
    };
    int64_t batch = g.batch, a_batch = g.a_batch, b_batch = g.b_batch;
    // Column-major C, or a single column: the transposed product has rows to write.
    if (g.n == 1 ? g.m > 1 && g.c_row == 1 : g.c_col != 1) {
        x = {g.n,     g.m, g.k,     x.b,     g.b_col, g.b_row, x.a,           g.a_col,
             g.a_row, x.c, g.c_col, g.alpha, g.beta,  nullptr, x.column_bias, x.relu};
        a_batch = g.b_batch;
        b_batch = g.a_batch;
    }
    if (batch > 1 && b_batch == 0 && a_batch == x.m * x.a_row && g.c_batch == x.m * x.c_row &&
        x.row_bias == nullptr) {
        x.m *= batch;
        batch = 1;
    }
    products<S, T>(context, x, batch, a_batch, b_batch, g.c_batch);
}

void gemm(Context& context, const Gemm& g) {
    if (g.batch <= 0 || g.m <= 0 || g.n <= 0) return;
    switch (g.dtype) {
        case DType::Float32: return gemm_as<float, float>(context, g);
        case DType::Float64: return gemm_as<double, double>(context, g);
        case DType::Float16: return gemm_as<Half, float>(context, g);
        case DType::BFloat16: return gemm_as<BFloat16, float>(context, g);
        case DType::UInt8: return gemm_as<uint8_t, uint32_t>(context, g);
        case DType::Int8: return gemm_as<int8_t, uint32_t>(context, g);
        case DType::Int16: return gemm_as<int16_t, uint32_t>(context, g);
        case DType::Int32: return gemm_as<uint32_t, uint32_t>(context, g);
        case DType::Int64: return gemm_as<uint64_t, uint64_t>(context, g);
        default: return;
    }
}

}  // namespace

void register_matmul(Table& table) { table.set(kernels::gemm, gemm, kNumeric); }

}  // namespace ember::cpu::EMBER_LEVEL
