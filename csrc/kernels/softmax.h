#pragma once

#include "core/table.h"
#include "core/view.h"

// Softmax along the middle dimension of dense (outer, n, inner). Halves compute in float32.
namespace ember::kernels {

struct Softmax {
    const void* in = nullptr;
    void* out = nullptr;  // may be `in`
    int64_t outer = 1, n = 0, inner = 1;
    DType dtype = DType::Float32;
};
extern Slot<void(Context&, const Softmax&)> softmax, log_softmax;

struct SoftmaxBackward {
    const void* grad = nullptr;
    const void* output = nullptr;  // what the forward gave
    void* grad_input = nullptr;    // may be `grad`
    int64_t outer = 1, n = 0, inner = 1;
    DType dtype = DType::Float32;
};
// softmax: y * (grad - sum(grad * y)); log_softmax: grad - exp(y) * sum(grad)
extern Slot<void(Context&, const SoftmaxBackward&)> softmax_backward, log_softmax_backward;

}  // namespace ember::kernels
