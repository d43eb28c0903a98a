#pragma once

#include "core/tensor.h"

// The few operations that autograd itself needs; csrc/ops defines them. Each is differentiable.
namespace ember::autograd::primitives {

Tensor add(const Tensor& a, const Tensor& b);
void add_in_place(const Tensor& a, const Tensor& b);
Tensor zeros(IntSpan sizes, TensorOptions options);
Tensor ones(IntSpan sizes, TensorOptions options);
Tensor clone(const Tensor& t);
void copy_in_place(const Tensor& to, const Tensor& from);
Tensor cast(const Tensor& t, DType dtype);
Tensor to_device(const Tensor& t, Device device);
Tensor sum_to_size(const Tensor& t, IntSpan sizes);
Tensor as_strided(const Tensor& t, IntSpan sizes, IntSpan strides, int64_t offset);
// The gradient of as_strided with respect to its base of the given layout.
Tensor as_strided_backward(const Tensor& grad, IntSpan base_sizes, IntSpan base_strides,
                           int64_t base_offset, IntSpan sizes, IntSpan strides, int64_t offset);
bool has_nan(const Tensor& t);

}  // namespace ember::autograd::primitives
