#include "cpu/gemm.h"

// Products of bfloat16 by dot products of pairs, at twice the speed of float32's. Other dtypes go
// to the kernel of the level below.
namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Gemm;

void (*gemm_below)(Context&, const Gemm&);

void gemm(Context& context, const Gemm& g) {
    if (g.dtype != DType::BFloat16) return gemm_below(context, g);
    if (g.batch > 0 && g.m > 0 && g.n > 0) gemm_as<BFloat16, float, 2>(context, g);
}

}  // namespace

void register_matmul_bf16(Table& table) {
    gemm_below =
        reinterpret_cast<void (*)(Context&, const Gemm&)>(kernels::gemm.fn[int(table.device)]);
    table.set(kernels::gemm, gemm, kNumeric);
}

}  // namespace ember::cpu::EMBER_LEVEL
