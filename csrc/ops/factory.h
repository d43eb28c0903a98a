#pragma once

#include <optional>

#include "autograd/record.h"

// Creation of tensors from sizes and numbers.
namespace ember::ops {

Tensor zeros(IntSpan sizes, TensorOptions options);
Tensor full(IntSpan sizes, Number value, TensorOptions options);
// The remaining functions take dtype, device and requires_grad as PyTorch does.
Tensor empty_op(const Dims& size, std::optional<DType> dtype, std::optional<Device> device,
                bool requires_grad, std::optional<MemoryFormat> memory_format);
Tensor zeros_op(const Dims& size, std::optional<DType> dtype, std::optional<Device> device);
Tensor ones_op(const Dims& size, std::optional<DType> dtype, std::optional<Device> device);
Tensor full_op(const Dims& size, Number fill_value, std::optional<DType> dtype,
               std::optional<Device> device);
Tensor empty_strided_op(const Dims& size, const Dims& stride, std::optional<DType> dtype,
                        std::optional<Device> device, bool requires_grad);
Tensor empty_like_op(const Tensor& input, std::optional<DType> dtype, std::optional<Device> device,
                     bool requires_grad, std::optional<MemoryFormat> memory_format);
Tensor zeros_like(const Tensor& input, std::optional<DType> dtype, std::optional<Device> device,
                  bool requires_grad, std::optional<MemoryFormat> memory_format);
Tensor ones_like(const Tensor& input, std::optional<DType> dtype, std::optional<Device> device,
                 bool requires_grad, std::optional<MemoryFormat> memory_format);
Tensor full_like(const Tensor& input, Number fill_value, std::optional<DType> dtype,
                 std::optional<Device> device, bool requires_grad,
                 std::optional<MemoryFormat> memory_format);
Tensor arange(Number start, std::optional<Number> end, Number step, std::optional<DType> dtype,
              std::optional<Device> device, bool requires_grad);
Tensor linspace(double start, double end, int64_t steps, std::optional<DType> dtype,
                std::optional<Device> device, bool requires_grad);
Tensor eye(int64_t n, std::optional<int64_t> m, std::optional<DType> dtype,
           std::optional<Device> device, bool requires_grad);
Tensor tril(const Tensor& x, int64_t diagonal);
Tensor triu(const Tensor& x, int64_t diagonal);

// Makes a fresh leaf ask for gradients; raises for dtypes that have none.
Tensor with_grad(Tensor t, bool requires_grad);

}  // namespace ember::ops
