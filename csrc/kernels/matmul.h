#pragma once

#include "core/table.h"
#include "core/view.h"

namespace ember::kernels {

// c = alpha * a @ b + beta * c, then + bias, then activation; for each of `batch` products.
// Any strides (in elements) are served: a column stride of 1 is row-major, a row stride of 1 is
// transposed; others are packed. c has column stride 1 or row stride 1. Batch strides may be 0
// for a and b. All operands have `dtype`; halves accumulate in float32, integers in their own type.
// Where `wide`, a and b hold int8 (and dtype says so), c int32.
struct Gemm {
    int64_t batch = 1, m = 0, n = 0, k = 0;
    const void* a = nullptr;  // (m, k)
    int64_t a_batch = 0, a_row = 0, a_col = 0;
    const void* b = nullptr;  // (k, n)
    int64_t b_batch = 0, b_row = 0, b_col = 0;
    void* c = nullptr;  // (m, n)
    int64_t c_batch = 0, c_row = 0, c_col = 1;
    const void* bias = nullptr;  // (n,) or null, shared by the batch
    double alpha = 1, beta = 0;  // beta == 0 never reads c
    enum class Activation : uint8_t { None, Relu } activation = Activation::None;
    DType dtype = DType::Float32;
    bool wide = false;
    // How float32 may be multiplied, where that is faster: High as sums of products of bfloat16
    // that keep 16 bits of each factor, on a GPU as TF32; Medium as bfloat16.
    enum class Precision : uint8_t { Highest, High, Medium } precision = Precision::Highest;
};

extern Slot<void(Context&, const Gemm&)> gemm;

}  // namespace ember::kernels
