#pragma once

#include <optional>
#include <string_view>
#include <tuple>
#include <vector>

#include "autograd/record.h"

// Order and search. NaN counts as larger than every number; sorting is stable always.
namespace ember::ops {

using TensorPair = std::tuple<Tensor, Tensor>;

TensorPair sort(const Tensor& x, int64_t dim, bool descending, std::optional<bool> stable);
Tensor argsort(const Tensor& x, int64_t dim, bool descending, bool stable);
Tensor msort(const Tensor& x, const Dest& out);
TensorPair topk(const Tensor& x, int64_t k, int64_t dim, bool largest, bool sorted);
// k counts from 1.
TensorPair kthvalue(const Tensor& x, int64_t k, int64_t dim, bool keepdim);
Tensor median_all(const Tensor& x);
Tensor nanmedian_all(const Tensor& x);
TensorPair median(const Tensor& x, int64_t dim, bool keepdim);
TensorPair nanmedian(const Tensor& x, int64_t dim, bool keepdim);
TensorPair mode(const Tensor& x, int64_t dim, bool keepdim);
// q: a number or a vector, whose dim comes first in the result.
Tensor quantile(const Tensor& x, const Tensor& q, std::optional<int64_t> dim, bool keepdim,
                std::string_view interpolation, const Dest& out);
Tensor nanquantile(const Tensor& x, const Tensor& q, std::optional<int64_t> dim, bool keepdim,
                   std::string_view interpolation, const Dest& out);

struct Unique {
    Tensor values, inverse, counts;  // the last two undefined where they are not wanted
};
// Ascending, of all items or of the slices of `dim`.
Unique unique(const Tensor& x, std::optional<int64_t> dim, bool want_inverse, bool want_counts);
// Of neighbours that are equal, the first.
Unique unique_consecutive(const Tensor& x, std::optional<int64_t> dim, bool want_inverse,
                          bool want_counts);

Tensor searchsorted(const Tensor& sorted_sequence, const Tensor& values, bool out_int32, bool right,
                    std::optional<std::string_view> side, const Dest& out, const Tensor& sorter);
Tensor bucketize(const Tensor& x, const Tensor& boundaries, bool out_int32, bool right,
                 const Dest& out);
Tensor isin(const Tensor& elements, const Tensor& test_elements, bool assume_unique, bool invert,
            const Dest& out);
Tensor bincount(const Tensor& x, const Tensor& weights, int64_t minlength);
Tensor histc(const Tensor& x, int64_t bins, Number min, Number max, const Dest& out);

// ---- For operations that pick items along a dim

// x with `dim` last, dense, without a record; a zero-dim x as (1,).
Tensor with_last(const Tensor& x, int dim);
// Writes results to `out=` where it was given.
Tensor into(const char* name, const Dest& out, const Tensor& value, bool needs_grad);
// Records values = x gathered along `dim` at `indices`; `repeats`: an item may be taken twice.
void record_picks(const char* node, const Tensor& values, const Tensor& x, int dim,
                  const Tensor& indices, bool repeats);

}  // namespace ember::ops
