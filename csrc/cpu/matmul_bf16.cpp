#include "cpu/gemm.h"

// Products by instructions that multiply pairs of bfloat16 or fours of int8 and add them up, at
// twice and four times the speed of float32's. Other dtypes go to the kernel of the level below.
namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Gemm;

void (*gemm_below)(Context&, const Gemm&);

// Where float32 gains more from rounding than its packing takes.
bool deserves_rounding(const Gemm& g) {
    return g.m >= 16 && g.n >= 16 && g.m * g.n * g.k > 32 * 32 * 32;
}

void gemm(Context& context, const Gemm& g) {
    const bool rounded =
        g.dtype == DType::Float32 && g.precision == Gemm::Precision::Medium && deserves_rounding(g);
    if (!rounded && g.dtype != DType::BFloat16 && g.dtype != DType::Int8)
        return gemm_below(context, g);
    if (g.batch <= 0 || g.m <= 0 || g.n <= 0) return;
    if (rounded) return gemm_as<float, float, 2>(context, g);
    if (g.dtype == DType::BFloat16) return gemm_as<BFloat16, float, 2>(context, g);
    if (g.wide) return gemm_as<int8_t, uint32_t, 4, uint32_t>(context, g);
    gemm_as<int8_t, uint32_t, 4>(context, g);
}

}  // namespace

void register_matmul_bf16(Table& table) {
    gemm_below =
        reinterpret_cast<void (*)(Context&, const Gemm&)>(kernels::gemm.fn[int(table.device)]);
    table.set(kernels::gemm, gemm, kNumeric);
}

}  // namespace ember::cpu::EMBER_LEVEL
