#pragma once

#include "core/table.h"
#include "core/view.h"

// Reading and writing at positions that an index tensor gives. Indices are int64, or int32 too
// where a struct has `index_dtype`. Every kernel that writes where an index says checks all indices
// before; sums add in the order of the indices, whatever the number of threads.
namespace ember::kernels {

// Slices of one dimension of a dense tensor, picked or added to by a vector of indices.
// Negative indices do not wrap.
struct IndexRows {
    const char* operation = nullptr;  // names the caller in errors
    int dim = 0;                      // the same
    int64_t outer = 1, n = 0, count = 0, inner = 1;
    const void* index = nullptr;  // (count,)
    DType index_dtype = DType::Int64;
    const void* in = nullptr;
    void* out = nullptr;
    DType dtype = DType::Float32;
    const int64_t* source = nullptr;  // (count,) rows of `in`, which has `source_rows` of them
    int64_t source_rows = 0;
    const void* factors = nullptr;  // (count,)
};
// in (outer, n, inner), out (outer, count, inner)
extern Slot<void(Context&, const IndexRows&)> index_select;
// in (outer, count, inner), out (outer, n, inner) += alpha * in. It alone knows `source`, where the
// i-th row to add is source[i] of in (1, source_rows, inner), and `factors` of these rows.
extern Slot<void(Context&, const IndexRows&, Number alpha)> index_add;
// in: the result's gradient (count, inner); out (n, inner) is filled, zeros included; outer is 1.
// Rows of `padding_index` (-1: none) get no gradient; `scale_by_frequency` divides by occurrences.
extern Slot<void(Context&, const IndexRows&, int64_t padding_index, bool scale_by_frequency)>
    embedding_backward;

// gather reads data at (.., index[..], ..) along `dim` into `other`; scatter writes `other` to
// those places of data, the last of equals winning; scatter_add adds. Strides count elements, and
// those of `other` may be 0 where it is read. Negative indices do not wrap.
struct Gather {
    const char* operation = nullptr;
    int ndim = 0, dim = 0;           // ndim is at least 1
    const int64_t* sizes = nullptr;  // of index and other
    int64_t dim_size = 0;            // of data along dim
    const int64_t *index_strides = nullptr, *data_strides = nullptr, *other_strides = nullptr;
    const int64_t* index = nullptr;
    void *data = nullptr, *other = nullptr;
    DType dtype = DType::Float32;
};
extern Slot<void(Context&, const Gather&)> gather, scatter, scatter_add;

// As scatter_add with another way to combine; NaN wins. Bool is not served.
enum class Combine : uint8_t { Product, Largest, Smallest };
extern Slot<void(Context&, const Gather&, Combine)> scatter_reduce;

// Advanced indexing. `indices` vectors of `count` positions each take the place of as many
// dimensions of a strided tensor. The dimensions that stay are coalesced, innermost first. `values`
// holds the result of a read, or what is written; byte strides, and those of values may be 0 where
// it is read.
struct IndexPlan {
    const char* operation = nullptr;
    bool wrap = true;         // negative indices count from the end
    bool index_error = true;  // what an index outside raises; else RuntimeError
    int indices = 0;
    int64_t count = 0;
    const int64_t* index[kMaxDims];   // (count,) each
    int dims[kMaxDims];               // dimension each indexes, for errors
    int64_t index_sizes[kMaxDims];    // of those dimensions
    int64_t index_strides[kMaxDims];  // of those dimensions, in the strided tensor
    int kept = 0;
    int64_t kept_sizes[kMaxDims], kept_strides[kMaxDims], kept_values[kMaxDims];
    int64_t count_values = 0;  // byte stride of `values` from one position to the next
    char *strided = nullptr, *values = nullptr;
    DType dtype = DType::Float32;
};
extern Slot<void(Context&, const IndexPlan&)> index_get;
// The last of equal positions wins; with `accumulate` they add up.
extern Slot<void(Context&, const IndexPlan&, bool accumulate)> index_put;

// Selection by a mask, in two steps over dense memory: nonzero_count writes how many items of each
// block of kNonzeroBlock are not zero; the caller sums them up, allocates and calls a fill with the
// same counts.
constexpr int64_t kNonzeroBlock = 16384;
EMBER_INLINE int64_t nonzero_blocks(int64_t numel) {
    return (numel + kNonzeroBlock - 1) / kNonzeroBlock;
}
extern Slot<void(Context&, const void* in, DType dtype, int64_t numel, int64_t* counts)>
    nonzero_count;
// out[i * row_stride + d * dim_stride] is the index along d of the i-th nonzero item.
struct Nonzero {
    const void* in = nullptr;
    DType dtype = DType::Bool;
    int ndim = 0;
    const int64_t* sizes = nullptr;
    const int64_t* counts = nullptr;
    int64_t* out = nullptr;
    int64_t row_stride = 0, dim_stride = 0;
};
extern Slot<void(Context&, const Nonzero&)> nonzero;
// `mask` is bool or uint8. masked_select packs the items of `full` where it is set into `packed`;
// masked_scatter writes them back there.
struct Masked {
    const void* mask = nullptr;
    int64_t numel = 0;
    const int64_t* counts = nullptr;
    void *full = nullptr, *packed = nullptr;
    DType dtype = DType::Float32;
};
extern Slot<void(Context&, const Masked&)> masked_select, masked_scatter;

}  // namespace ember::kernels
