#pragma once

#include "autograd/record.h"

// Operations that return another header over the same memory, with their gradients.
namespace ember::ops {

// Raises where the new sizes do not fit the strides. One size may be -1.
Tensor view(const Tensor& x, const Dims& size);
Tensor view_dtype(const Tensor& x, DType dtype);     // reinterprets the bytes
Tensor reshape(const Tensor& x, const Dims& shape);  // a view where it can be, else a copy
Tensor view_as(const Tensor& x, const Tensor& other);
Tensor reshape_as(const Tensor& x, const Tensor& other);
Tensor flatten(const Tensor& x, int64_t start_dim, int64_t end_dim);
Tensor unflatten(const Tensor& x, int64_t dim, const Dims& sizes);
Tensor permute(const Tensor& x, const Dims& dims);
Tensor transpose(const Tensor& x, int64_t dim0, int64_t dim1);
Tensor t(const Tensor& x);   // of up to 2 dims
Tensor T(const Tensor& x);   // all dims reversed
Tensor mT(const Tensor& x);  // the last two dims swapped
Tensor movedim(const Tensor& x, const Dims& source, const Dims& destination);
Tensor expand(const Tensor& x, const Dims& size);
Tensor expand_as(const Tensor& x, const Tensor& other);
Tensor broadcast_to(const Tensor& x, const Dims& size);
Tensor squeeze(const Tensor& x);
Tensor squeeze_dims(const Tensor& x, const Dims& dim);
Tensor unsqueeze(const Tensor& x, int64_t dim);
Tensor select(const Tensor& x, int64_t dim, int64_t index);
Tensor slice(const Tensor& x, int64_t dim, int64_t start, int64_t end, int64_t step);
Tensor narrow(const Tensor& x, int64_t dim, int64_t start, int64_t length);
std::vector<Tensor> split(const Tensor& x, int64_t split_size, int64_t dim);
std::vector<Tensor> split_sizes(const Tensor& x, const Dims& split_sizes, int64_t dim);
std::vector<Tensor> chunk(const Tensor& x, int64_t chunks, int64_t dim);
std::vector<Tensor> unbind(const Tensor& x, int64_t dim);
std::vector<Tensor> broadcast_tensors(const std::vector<Tensor>& tensors);
Tensor as_strided(const Tensor& x, const Dims& size, const Dims& stride,
                  std::optional<int64_t> storage_offset);
Tensor diagonal(const Tensor& x, int64_t offset, int64_t dim1, int64_t dim2);
// Copies of x side by side, as often as `repeats` says for each dim; more dims than x has go
// before.
Tensor repeat(const Tensor& x, const Dims& repeats);
// (*, C r^2, H, W) to (*, C, H r, W r), and back; (N, C, ...) with the channels of g groups
// interleaved.
Tensor pixel_shuffle(const Tensor& x, int64_t upscale_factor);
Tensor pixel_unshuffle(const Tensor& x, int64_t downscale_factor);
Tensor channel_shuffle(const Tensor& x, int64_t groups);
Tensor detach(const Tensor& x);
Tensor detach_(const Tensor& x);

// The strides of `x` seen with `sizes` without a copy; false where there are none.
bool view_strides(const Tensor& x, IntSpan sizes, Dims& strides);
// `sizes` with a -1 replaced; raises `<name>: …` unless the product is numel.
Dims infer_size(const char* name, const Dims& sizes, int64_t numel);

}  // namespace ember::ops
