#pragma once

#include "autograd/record.h"

// Images (N, C, dims...) read at points (N, dims..., rank): nn.functional.grid_sample on the CPU,
// without gradients of its own.
namespace ember::ops {

Tensor grid_sample(const Tensor& input, const Tensor& grid, std::string_view mode,
                   std::string_view padding_mode, bool align_corners);
// Gradients of the input and of the grid; undefined where not wanted.
std::tuple<Tensor, Tensor> grid_sample_backward(const Tensor& grad, const Tensor& input,
                                                const Tensor& grid, std::string_view mode,
                                                std::string_view padding_mode, bool align_corners,
                                                bool of_input, bool of_grid);

}  // namespace ember::ops
