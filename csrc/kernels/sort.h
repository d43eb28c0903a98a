#pragma once

#include "core/table.h"
#include "core/view.h"

// Order along the last dimension of dense (rows, n). NaN counts as larger than every number, and as
// equal to NaN; zeros of both signs are equal. Equal items keep their order.
namespace ember::kernels {

struct Sort {
    const void* in = nullptr;
    void* values = nullptr;
    int64_t* indices = nullptr;
    int64_t rows = 0, n = 0;
    int64_t k = 0;  // items wanted of each row; sort gives all
    DType dtype = DType::Float32;
    bool descending = false;
};
// values and indices (rows, n)
extern Slot<void(Context&, const Sort&)> sort;
// The first k of the sorted row: (rows, k).
extern Slot<void(Context&, const Sort&)> topk;

enum class Rank : uint8_t {
    Kth,        // the item that k others precede
    Median,     // the lower median; the first NaN where there is one
    NanMedian,  // the lower median of what is not NaN
};
// One item of each row: (rows,); n > 0.
extern Slot<void(Context&, const Sort&, Rank)> kth;

// The order of the rows themselves, compared item by item from the first: indices (rows,).
extern Slot<void(Context&, const Sort&)> sort_rows;

// For each of `values` the first position in an ascending row where it could stand, or with `right`
// the last. Row r of `values` (rows, count) searches row r of `sorted` (rows, n), or row 0 where
// `one_row`. Where `sorter` is given, row[sorter[i]] is what ascends.
struct Search {
    const void *sorted = nullptr, *values = nullptr;
    const int64_t* sorter = nullptr;
    void* out = nullptr;  // int64, or int32
    int64_t rows = 1, n = 0, count = 0;
    DType dtype = DType::Float32, out_dtype = DType::Int64;
    bool one_row = false, right = false;
};
extern Slot<void(Context&, const Search&)> searchsorted;

}  // namespace ember::kernels
