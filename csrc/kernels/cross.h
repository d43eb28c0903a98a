#pragma once

#include "core/table.h"
#include "core/view.h"

namespace ember::kernels {

// Cross products of contiguous a and b (outer, 3, inner) along the middle.
struct Cross {
    int64_t outer = 0, inner = 0;
    const void *a = nullptr, *b = nullptr;
    void* result = nullptr;
    DType dtype = DType::Float32;
};

extern Slot<void(Context&, const Cross&)> cross;

}  // namespace ember::kernels
