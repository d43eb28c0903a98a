#pragma once

#include <optional>
#include <string_view>
#include <tuple>
#include <vector>

#include "autograd/record.h"

// Rearrangements that copy, pieces, diagonals, and views made in place.
namespace ember::ops {

// ---- Copies

Tensor flip(const Tensor& x, const Dims& dims);
Tensor fliplr(const Tensor& x);
Tensor flipud(const Tensor& x);
// Without dims the flattened tensor rolls.
Tensor roll(const Tensor& x, const Dims& shifts, const Dims& dims);
Tensor rot90(const Tensor& x, int64_t k, const Dims& dims);
Tensor tile(const Tensor& x, const Dims& dims);
Tensor repeat_interleave(const Tensor& x, const Tensor& repeats, std::optional<int64_t> dim,
                         std::optional<int64_t> output_size);
// The index of each repeated item: 0 as often as repeats[0] says, and so on.
Tensor repeat_indices(const Tensor& repeats, std::optional<int64_t> output_size);
Tensor take_along_dim(const Tensor& x, const Tensor& indices, std::optional<int64_t> dim,
                      const Dest& out);

// ---- Pieces and joins

std::vector<Tensor> tensor_split(const Tensor& x, int64_t sections, int64_t dim);
std::vector<Tensor> tensor_split_at(const Tensor& x, const Dims& indices, int64_t dim);
// Windows of `size` items, `step` apart, along a dim: a view with them as the last dim.
Tensor unfold(const Tensor& x, int64_t dimension, int64_t size, int64_t step);
Tensor hstack(const std::vector<Tensor>& tensors, const Dest& out);
Tensor vstack(const std::vector<Tensor>& tensors, const Dest& out);
Tensor dstack(const std::vector<Tensor>& tensors, const Dest& out);
Tensor column_stack(const std::vector<Tensor>& tensors, const Dest& out);
Tensor atleast(const Tensor& x, int dims);  // 1 to 3

// ---- Diagonals and triangles

Tensor diag(const Tensor& x, int64_t diagonal, const Dest& out);
Tensor diagflat(const Tensor& x, int64_t offset);
Tensor diag_embed(const Tensor& x, int64_t offset, int64_t dim1, int64_t dim2);
Tensor fill_diagonal_(const Tensor& x, Number value, bool wrap);
Tensor tril_(const Tensor& x, int64_t diagonal);
Tensor triu_(const Tensor& x, int64_t diagonal);
// (2, count): rows and columns.
Tensor tril_indices(int64_t row, int64_t col, int64_t offset, std::optional<DType> dtype,
                    std::optional<Device> device);
Tensor triu_indices(int64_t row, int64_t col, int64_t offset, std::optional<DType> dtype,
                    std::optional<Device> device);

// ---- Copies with a part replaced

Tensor select_scatter(const Tensor& x, const Tensor& src, int64_t dim, int64_t index);
Tensor slice_scatter(const Tensor& x, const Tensor& src, int64_t dim, std::optional<int64_t> start,
                     std::optional<int64_t> end, int64_t step);
Tensor diagonal_scatter(const Tensor& x, const Tensor& src, int64_t offset, int64_t dim1,
                        int64_t dim2);
Tensor as_strided_scatter(const Tensor& x, const Tensor& src, const Dims& size, const Dims& stride,
                          std::optional<int64_t> storage_offset);
// At places of the flattened tensor; negative indices wrap.
Tensor put(const Tensor& x, const Tensor& index, const Tensor& source, bool accumulate,
           const Dest& dest);

// ---- Views made of the tensor itself

Tensor squeeze_(const Tensor& x);
Tensor squeeze_dims_(const Tensor& x, const Dims& dim);
Tensor unsqueeze_(const Tensor& x, int64_t dim);
Tensor t_(const Tensor& x);
Tensor transpose_(const Tensor& x, int64_t dim0, int64_t dim1);
Tensor as_strided_(const Tensor& x, const Dims& size, const Dims& stride,
                   std::optional<int64_t> storage_offset);
// Items keep their order in memory; new ones are uninitialised.
Tensor resize_(const Tensor& x, const Dims& size, std::optional<MemoryFormat> memory_format);

// ---- Distances

// The p-norm of x - y.
Tensor dist(const Tensor& x, const Tensor& y, double p);
// Between the rows of x1 (…, p, m) and x2 (…, r, m): (…, p, r).
Tensor cdist(const Tensor& x1, const Tensor& x2, double p,
             std::optional<std::string_view> compute_mode);

}  // namespace ember::ops
