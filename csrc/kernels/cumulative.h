#pragma once

#include "core/table.h"
#include "core/view.h"

// Running results along the middle dimension of dense (outer, n, inner), from its end where
// `reverse`. float32 runs in float64, halves in float32.
namespace ember::kernels {

struct Cumulative {
    const void* in = nullptr;
    void* out = nullptr;
    int64_t* indices = nullptr;  // of cummax and cummin: where the running extreme stands
    int64_t outer = 1, n = 0, inner = 1;
    DType dtype = DType::Float32;
    bool reverse = false;
};
using CumulativeSlot = Slot<void(Context&, const Cumulative&)>;
extern CumulativeSlot cumsum, cumprod;  // int64 and floating
extern CumulativeSlot logcumsumexp;     // floating
extern CumulativeSlot cummax, cummin;   // the last of equals; NaN stays

}  // namespace ember::kernels
