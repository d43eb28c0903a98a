#pragma once

#include "core/table.h"
#include "core/view.h"

namespace ember::kernels {

// One dim of a linear map: output i is the sum of weight[t] * input[index[t]] for t in
// [begin[i], begin[i + 1]). A null `begin` is the identity.
struct Taps {
    const int64_t* begin = nullptr;
    const int64_t* index = nullptr;
    const double* weight = nullptr;
    int64_t most = 0;  // taps of one output
    int64_t count = 0;
    bool neighbours = true;  // the indices of one output span no more than `most`
};

// A linear map of rows and one of columns on each of contiguous planes, float32 or float64.
struct Resample {
    int64_t planes = 0, in_h = 0, in_w = 0, out_h = 0, out_w = 0;
    Taps rows, columns;
    const void* in = nullptr;  // (planes, in_h, in_w)
    void* out = nullptr;       // (planes, out_h, out_w)
    DType dtype = DType::Float32;
};

extern Slot<void(Context&, const Resample&)> resample;

}  // namespace ember::kernels
