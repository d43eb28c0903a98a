#pragma once

#include "cuda/common.cuh"
#include "kernels/matmul.h"

namespace ember::cuda {

// Runs the product by cuBLASLt; false where that is not to be had or does not serve it.
bool cublas_gemm(Context& context, const kernels::Gemm& gemm);

}  // namespace ember::cuda
