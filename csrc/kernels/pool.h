#pragma once

#include "core/table.h"
#include "core/view.h"

namespace ember::kernels {

// Pooling over windows of contiguous planes; halves compute in float32, integers in themselves.
// Every window begins within the padded plane. The backward slots read the gradient in `output` and
// write `input` wholly.
struct Pool2d {
    int64_t planes = 0, h = 0, w = 0;  // input (planes, h, w)
    int64_t out_h = 0, out_w = 0;      // output (planes, out_h, out_w)
    int64_t kernel[2] = {1, 1}, stride[2] = {1, 1}, pad[2] = {0, 0};  // of rows, of columns
    int64_t dilation[2] = {1, 1};                                     // max alone
    // Max alone: window i of n is [floor(i * size / n), ceil((i + 1) * size / n)) of each dim.
    bool adaptive = false;
    bool count_include_pad = true;  // average alone, as the next
    int64_t divisor = 0;            // 0: the number of items in the window
    void* input = nullptr;
    void* output = nullptr;
    int64_t* indices = nullptr;  // of the maximum in its plane; forward, null where not wanted
    DType dtype = DType::Float32;
};

using Pool2dSlot = Slot<void(Context&, const Pool2d&)>;

extern Pool2dSlot max_pool2d, max_pool2d_backward;  // the first of equals, NaN wins
extern Pool2dSlot avg_pool2d, avg_pool2d_backward;

}  // namespace ember::kernels
