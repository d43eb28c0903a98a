#pragma once

#include <span>

#include "autograd/record.h"

// Windows that move over the spatial dims of images (N, C, dims...).
namespace ember::ops {

// One spatial dim and the window over it: output o sees the inputs
// o * stride - pad + t * dilation for t in [0, kernel); those outside are zero.
struct Axis {
    int64_t in = 1, out = 1, kernel = 1, stride = 1, pad = 0, dilation = 1;

    int64_t reach() const { return dilation * (kernel - 1) + 1; }
};
constexpr int kMaxAxes = 3;

// An option of an operation over `rank` spatial dims, which is one number or `rank` of them, each
// at least `least`. Raises `<name>: <what> must be ...`.
void read_sizes(const char* name, const char* what, const Dims& given, int rank, int64_t least,
                int64_t* sizes);

// How gathered windows lie: (N, C, kernels..., outs..., rest...), or, of one axis, with the
// position of the window among the images: (N, out, C, kernel, rest...).
enum class WindowOrder { Columns, Images };

// The items under each window, where dim 2 of x is the first of `axes` and dims behind them go
// along; and its adjoint, which adds the items of all windows up.
Tensor gather_windows(const Tensor& x, std::span<const Axis> axes, WindowOrder order);
Tensor scatter_windows(const Tensor& windows, std::span<const Axis> axes, WindowOrder order);

// (N, C, H, W) or (C, H, W) to (N, C * kernel items, windows), and the adjoint.
Tensor im2col(const Tensor& input, const Dims& kernel_size, const Dims& dilation,
              const Dims& padding, const Dims& stride);
Tensor col2im(const Tensor& input, const Dims& output_size, const Dims& kernel_size,
              const Dims& dilation, const Dims& padding, const Dims& stride);

}  // namespace ember::ops
