#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "autograd/record.h"

// Reading and writing at positions that tensors of indices or masks give. Indices are int64 or
// int32; they wrap around (-1 is the last) only where it is said.
namespace ember::ops {

// ---- Along one dim, by a vector of indices

Tensor index_select(const Tensor& x, int64_t dim, const Tensor& index, const Dest& dest = {});
// x with alpha * source added to the slices of `dim` that index names.
Tensor index_add(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                 Number alpha, const Dest& dest);
Tensor index_copy(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                  const Dest& dest = {});
// Negative indices wrap; `value` is zero-dim.
Tensor index_fill(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& value,
                  const Dest& dest = {});
// Rows of `weight` (n, d) for indices of any shape (*): (*, d). Rows of padding_idx get no
// gradient.
Tensor embedding(const Tensor& input, const Tensor& weight, std::optional<int64_t> padding_idx,
                 std::optional<double> max_norm, double norm_type, bool scale_grad_by_freq,
                 bool sparse);

// ---- Item by item along one dim: index has the input's number of dims

Tensor gather(const Tensor& x, int64_t dim, const Tensor& index, bool sparse_grad = false,
              const Dest& dest = {});
// `src` is a tensor no smaller than index, or a wrapped number. Of equal places the last one wins;
// reduce "add" adds, "multiply" multiplies.
Tensor scatter(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src,
               std::optional<std::string_view> reduce, const Dest& dest = {});
Tensor scatter_add(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src,
                   const Dest& dest = {});

Tensor scatter_multiply(const Tensor& x, int dim, const Tensor& index, const Tensor& src,
                        const Dest& dest);
// reduce: sum, prod, mean, amax, amin. Without include_self, what x has at the places written does
// not count.
Tensor scatter_reduce(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src,
                      std::string_view reduce, bool include_self, const Dest& dest = {});
// By a vector of indices along dim; reduce: prod, mean, amax, amin.
Tensor index_reduce(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                    std::string_view reduce, bool include_self, const Dest& dest = {});
// Row to[i] of the result (count, d) gets factors[i], or 1, times row from[i] of x (n, d), for all
// i in order: sums of picked rows, and their own gradient.
Tensor sum_rows(const Tensor& x, const Tensor& from, const Tensor& to, int64_t count,
                const Tensor& factors);

// ---- Masks

// The items of x where mask, broadcast against x, is true, as a vector.
Tensor masked_select(const Tensor& x, const Tensor& mask, const Dest& dest = {});
// x with the first items of source at the places where mask is true, in order.
Tensor masked_scatter(const Tensor& x, const Tensor& mask, const Tensor& source,
                      const Dest& dest = {});
Tensor nonzero(const Tensor& x, const Dest& dest = {});  // (count, x.dim())
int64_t nonzero_total(const Tensor& x);                  // of real dtypes
std::vector<Tensor> nonzero_tuple(const Tensor& x);      // x.dim() vectors; one for a zero-dim x

// ---- Advanced indexing

// Items at places of the flattened tensor; negative indices wrap.
Tensor take(const Tensor& x, const Tensor& index, const Dest& dest = {});
// x[indices[0], indices[1], …] as numpy defines it; an undefined tensor stands for `:`. Indices are
// integers, which wrap, or masks, which stand for as many dims as they have.
Tensor index(const Tensor& x, const std::vector<Tensor>& indices);
// x with values, which broadcast, at these places: the last of equal ones, or added up.
Tensor index_put(const Tensor& x, const std::vector<Tensor>& indices, const Tensor& values,
                 bool accumulate, const Dest& dest = {});

// A wrapped number as a zero-dim tensor of that dtype; RuntimeError where an integer would
// overflow. Other tensors are cast.
Tensor fitting_number(const char* name, const Tensor& value, TensorOptions options);

// ---- Views by integers and slices

// What a view takes along one dim of the tensor, or a new dim of size 1.
struct ViewItem {
    enum class Kind : uint8_t { Integer, Slice, New } kind;
    int64_t start = 0, step = 1, length = 1;  // in range
};
using ViewItems = SmallVector<ViewItem, 6>;
// Dims behind the last item are taken whole. One view and one node, however many items.
Tensor basic_index(const Tensor& x, const ViewItems& items);
// The same without a relation to x, for writing where no gradient is at stake.
Tensor basic_alias(const Tensor& x, const ViewItems& items);

}  // namespace ember::ops
