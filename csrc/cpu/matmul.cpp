#include "cpu/gemm.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Gemm;

void gemm(Context& context, const Gemm& g) {
    if (g.batch <= 0 || g.m <= 0 || g.n <= 0) return;
    switch (g.dtype) {
        case DType::Float32: return gemm_as<float, float>(context, g);
        case DType::Float64: return gemm_as<double, double>(context, g);
        case DType::Float16: return gemm_as<Half, float>(context, g);
        case DType::BFloat16: return gemm_as<BFloat16, float>(context, g);
        case DType::UInt8: return gemm_as<uint8_t, uint32_t>(context, g);
        case DType::Int8:
            if (g.wide) return gemm_as<int8_t, uint32_t, 1, uint32_t>(context, g);
            return gemm_as<int8_t, uint32_t>(context, g);
        case DType::Int16: return gemm_as<int16_t, uint32_t>(context, g);
        case DType::Int32: return gemm_as<uint32_t, uint32_t>(context, g);
        case DType::Int64: return gemm_as<uint64_t, uint64_t>(context, g);
        default: return;
    }
}

}  // namespace

void register_matmul(Table& table) { table.set(kernels::gemm, gemm, kNumeric); }

}  // namespace ember::cpu::EMBER_LEVEL
