#pragma once

#include "core/table.h"
#include "core/view.h"

// Layer, group and batch normalisation on dense tensors. `dtype` is that of inputs, outputs and
// their gradients; weights, biases, running statistics and their gradients have `param_dtype`,
// which is `dtype` or, for halves, may be float32. Saved statistics are float64 for float64, else
// float32.
namespace ember::kernels {

struct LayerNorm {
    const void* in = nullptr;  // (rows, n)
    void* out = nullptr;
    const void *weight = nullptr, *bias = nullptr;  // (n,) or null
    void *mean = nullptr, *rstd = nullptr;          // (rows,)
    int64_t rows = 0, n = 0;
    double eps = 0;
    DType dtype = DType::Float32, param_dtype = DType::Float32;
    bool centred = true;  // else the mean is taken to be 0: the root mean square alone
};
extern Slot<void(Context&, const LayerNorm&)> layer_norm;

struct LayerNormBackward {
    const void *grad = nullptr, *in = nullptr;  // (rows, n)
    const void* weight = nullptr;               // (n,) or null
    const void *mean = nullptr, *rstd = nullptr;
    void* grad_input = nullptr;                         // (rows, n) or null
    void *grad_weight = nullptr, *grad_bias = nullptr;  // (n,) or null
    int64_t rows = 0, n = 0;
    DType dtype = DType::Float32, param_dtype = DType::Float32;
    bool centred = true;
};
extern Slot<void(Context&, const LayerNormBackward&)> layer_norm_backward;

// float32 and float64 alone, parameters too.
struct GroupNorm {
    const void* in = nullptr;  // (n, groups, channels, inner), channels of one group
    void* out = nullptr;
    const void *weight = nullptr, *bias = nullptr;  // (groups * channels,) or null
    void *mean = nullptr, *rstd = nullptr;          // (n, groups)
    int64_t n = 0, groups = 1, channels = 0, inner = 1;
    double eps = 0;
    DType dtype = DType::Float32;
};
extern Slot<void(Context&, const GroupNorm&)> group_norm;

struct GroupNormBackward {
    const void *grad = nullptr, *in = nullptr;  // (n, groups, channels, inner)
    const void* weight = nullptr;               // (groups * channels,) or null
    const void *mean = nullptr, *rstd = nullptr;
    void* grad_input = nullptr;                         // or null
    void *grad_weight = nullptr, *grad_bias = nullptr;  // (groups * channels,) or null
    int64_t n = 0, groups = 1, channels = 0, inner = 1;
    DType dtype = DType::Float32;
};
extern Slot<void(Context&, const GroupNormBackward&)> group_norm_backward;

struct BatchNorm {
    const void* in = nullptr;  // (n, channels, inner)
    void* out = nullptr;
    const void *weight = nullptr, *bias = nullptr;         // (channels,) or null
    void *running_mean = nullptr, *running_var = nullptr;  // (channels,); null in training only
    void *mean = nullptr, *invstd = nullptr;               // (channels,), what was used; required
    int64_t n = 0, channels = 0, inner = 1;
    double eps = 0;
    double momentum = 0;    // running = (1 - momentum) * running + momentum * batch's
    bool training = false;  // with the batch's statistics, else with the running ones
    DType dtype = DType::Float32, param_dtype = DType::Float32;
};
extern Slot<void(Context&, const BatchNorm&)> batch_norm;

struct BatchNormBackward {
    const void *grad = nullptr, *in = nullptr;  // (n, channels, inner)
    const void* weight = nullptr;               // (channels,) or null
    const void *mean = nullptr, *invstd = nullptr;
    void* grad_input = nullptr;                         // or null
    void *grad_weight = nullptr, *grad_bias = nullptr;  // (channels,) or null
    int64_t n = 0, channels = 0, inner = 1;
    bool training = false;  // the statistics depended on the input
    DType dtype = DType::Float32, param_dtype = DType::Float32;
};
extern Slot<void(Context&, const BatchNormBackward&)> batch_norm_backward;

}  // namespace ember::kernels
