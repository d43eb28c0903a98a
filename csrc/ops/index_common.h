#pragma once

#include "kernels/index.h"
#include "ops/index.h"

// Shared by ops/index.cpp, ops/index_mask.cpp and ops/index_advanced.cpp.
namespace ember::ops {

// What an operation that changes part of x writes to: a copy of x, `out=` holding one, or x itself.
Tensor write_target(const char* name, const Tensor& x, const Dest& dest, bool needs_grad);
// A result of `sizes`, fresh or `out=`.
Tensor read_target(const char* name, const Tensor& x, IntSpan sizes, const Dest& dest,
                   bool needs_grad);
// Counts the change of a tensor that was there before.
inline Tensor written(Tensor out, const Dest& dest) {
    if (!dest.fresh()) out.bump_version();
    return out;
}
// An operand that is read while the result is written: a copy where it lies in the destination's
// memory. To be called before the destination is resized.
Tensor apart(const Tensor& operand, const Dest& dest);
// Contiguous int64; raises RuntimeError for other dtypes than int64 and int32.
Tensor index_items(const char* name, const Tensor& index);

// ---- gather, scatter and their kin

using GatherSlot = Slot<void(Context&, const kernels::Gather&)>;
// int64; raises RuntimeError for other dtypes than int64 and int32.
Tensor gather_index(const char* name, const Tensor& index);
// Raises unless `index` is no larger than `x` apart from `dim`.
void check_beside(const char* name, const Tensor& x, int dim, const Tensor& index);
// The part of src that index covers; a number for all places.
Tensor source_beside(const char* name, const Tensor& x, const Tensor& index, const Tensor& src);
// Writes `part` to the places of x, or of the destination; without a record.
Tensor scatter_with(const GatherSlot& slot, const char* name, const Tensor& x, int at,
                    const Tensor& index, const Tensor& part, const Dest& dest, bool wanted);
Tensor scatter_combined(kernels::Combine how, const char* name, const Tensor& x, int at,
                        const Tensor& index, const Tensor& part, const Dest& dest, bool wanted);

// Without records, for kernels.
Tensor dense(const Tensor& t);
Tensor expanded(const Tensor& t, IntSpan sizes);

// Advanced indexing of the dims of `strided` that have an index (vectors of one length, contiguous
// int64; undefined where a dim stays). `values` has the dims that stay, in order, with those of
// `count_sizes` behind the first `position` of them. Values whose count dims cannot be walked by
// one stride are replaced by a copy.
void make_index_plan(kernels::IndexPlan& plan, const char* name, const Tensor& strided,
                     std::span<const Tensor> indices, IntSpan count_sizes, int position,
                     Tensor& values);

}  // namespace ember::ops
