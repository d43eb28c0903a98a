#pragma once

#include "core/table.h"
#include "core/view.h"

// Products with a sparse matrix (m, k) whose items stand row by row: those of row r are
// [rows[r], rows[r + 1]), each with its column. Kernels check rows, columns and order before they
// use them, and add in the order of the items, whatever the number of threads.
namespace ember::kernels {

struct SparsePattern {
    int64_t m = 0, k = 0, count = 0;
    const int64_t* rows = nullptr;     // (m + 1,)
    const int64_t* columns = nullptr;  // (count,)
    const int64_t* order = nullptr;    // (count,) where an item's value stands; null: at its place
};

// out (m, n) = sparse (m, k) @ dense (k, n)
struct SparseProduct {
    SparsePattern pattern;
    const void* values = nullptr;  // (count,)
    const void* dense = nullptr;   // rows of n items, `dense_row` apart
    void* out = nullptr;           // dense
    int64_t n = 0, dense_row = 0;
    DType dtype = DType::Float32;
};
extern Slot<void(Context&, const SparseProduct&)> sparse_matmul;

// out (count,) = the items of a (m, n) @ b (k, n)^T at the pattern
struct SparseSample {
    SparsePattern pattern;
    const void *a = nullptr, *b = nullptr;  // rows of n items
    void* out = nullptr;
    int64_t n = 0, a_row = 0, b_row = 0;
    DType dtype = DType::Float32;
};
extern Slot<void(Context&, const SparseSample&)> sparse_sample;

}  // namespace ember::kernels
