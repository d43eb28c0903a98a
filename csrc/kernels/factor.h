#pragma once

#include "core/table.h"
#include "core/view.h"

namespace ember::kernels {

// P L U of each of `batch` contiguous (m, n) matrices in their own place: L without its unit
// diagonal, U, and the row exchanged with each (from 1). info: the first zero on U's diagonal (from
// 1), or 0.
struct LuFactor {
    int64_t batch = 0, m = 0, n = 0;
    void* a = nullptr;
    int32_t *pivots = nullptr, *info = nullptr;  // (batch, min(m, n)), (batch,)
    DType dtype = DType::Float32;
};

// Solves a x = b for triangular a (n, n) and b (n, columns) in b's place, all contiguous. Zeros on
// the diagonal give infinities.
struct Substitute {
    int64_t batch = 0, n = 0, columns = 0;
    const void* a = nullptr;
    void* b = nullptr;
    bool upper = false, unit = false;
    DType dtype = DType::Float32;
};

extern Slot<void(Context&, const LuFactor&)> lu_factor;
extern Slot<void(Context&, const Substitute&)> substitute;

}  // namespace ember::kernels
