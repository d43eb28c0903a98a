#pragma once

#include "core/table.h"
#include "core/view.h"

namespace ember::kernels {

// A two-dimensional convolution and its gradients. All tensors are contiguous and have `dtype`;
// halves accumulate in float32. Each slot says which of them it reads and which it writes. The CPU
// also takes input and output as channels_last, of one group where it writes 16 channels or more,
// and of depthwise convolutions of a multiple of 16.
struct Conv2d {
    int64_t n = 0, c = 0, h = 0, w = 0;  // input (n, c, h, w)
    int64_t k = 0, r = 0, s = 0;         // weight (k, c / groups, r, s)
    int64_t out_h = 0, out_w = 0;        // output (n, k, out_h, out_w)
    int64_t stride[2] = {1, 1}, pad[2] = {0, 0}, dilation[2] = {1, 1};  // of rows, of columns
    int64_t groups = 1;
    void* input = nullptr;
    void* weight = nullptr;
    void* bias = nullptr;  // of the channels that are written, or null
    void* output = nullptr;
    DType dtype = DType::Float32;
    bool channels_last = false;  // input (n, h, w, c), output (n, out_h, out_w, k)
};

using Conv2dSlot = Slot<void(Context&, const Conv2d&)>;

extern Conv2dSlot conv2d;              // input, weight, bias -> output
extern Conv2dSlot conv2d_grad_input;   // weight, gradient in `output`, bias -> those in `input`
extern Conv2dSlot conv2d_grad_weight;  // input, gradient in `output` -> those in `weight`

}  // namespace ember::kernels
