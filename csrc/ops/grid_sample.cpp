#include "ops/grid_sample.h"

#include "kernels/grid_sample.h"
#include "ops/copy.h"
#include "ops/factory.h"
#include "ops/launch.h"

namespace ember::kernels {

EMBER_SLOT(grid_sample)
EMBER_SLOT(grid_sample_backward)

}  // namespace ember::kernels

namespace ember::ops {

namespace {

using kernels::GridSample;

GridSample problem(const Tensor& input, const Tensor& grid, std::string_view mode,
                   std::string_view padding_mode, bool align_corners) {
    const char* name = "grid_sample";
    GridSample g;
    g.rank = input.dim() - 2;
    EMBER_CHECK((g.rank == 2 || g.rank == 3) && grid.dim() == input.dim() &&
                    grid.size(-1) == g.rank && grid.size(0) == input.size(0),
                "%s: input and grid do not fit, got %s and %s", name,
                to_string(input.sizes()).c_str(), to_string(grid.sizes()).c_str());
    EMBER_CHECK(input.dtype() == grid.dtype(), "%s: expected tensors of one dtype, got %s and %s",
                name, dtype_name(input.dtype()), dtype_name(grid.dtype()));
    kernels::grid_sample.require(input.device(), input.dtype());
    kernels::grid_sample.require(grid.device(), grid.dtype());
    using Mode = GridSample::Mode;
    using Padding = GridSample::Padding;
    g.mode = mode == "nearest" ? Mode::Nearest : mode == "bicubic" ? Mode::Cubic : Mode::Linear;
    EMBER_CHECK(g.mode != Mode::Cubic || g.rank == 2, "%s: mode 'bicubic' needs a 4D input", name);
    g.padding = padding_mode == "border"       ? Padding::Border
                : padding_mode == "reflection" ? Padding::Reflection
                                               : Padding::Zeros;
    g.align_corners = align_corners;
    g.batch = input.size(0);
    g.channels = input.size(1);
    g.points = 1;
    int64_t plane = 1;
    for (int d = 0; d < g.rank; d++) {
        g.points *= grid.size(d + 1);
        g.size[d] = input.size(d + 2);
        plane *= g.size[d];
        EMBER_CHECK(g.size[d] > 0 && g.size[d] <= 1 << 21 && plane < int64_t(1) << 31,
                    "%s: images may have up to 2^21 items a dim and 2^31 in all, got %s", name,
                    to_string(input.sizes()).c_str());
    }
    g.input = input.data();
    g.grid = grid.data();
    g.dtype = input.dtype();
    return g;
}

int64_t work_of(const GridSample& g) { return g.batch * g.points * (g.channels * 2 + 8); }

}  // namespace

Tensor grid_sample(const Tensor& input, const Tensor& grid, std::string_view mode,
                   std::string_view padding_mode, bool align_corners) {
    GradModeGuard no_grad(false);
    Tensor in = contiguous(input), at = contiguous(grid);
    GridSample g = problem(in, at, mode, padding_mode, align_corners);
    Dims sizes(grid.sizes());
    sizes.pop_back();
    sizes.insert(1, g.channels);
    Tensor out = empty(sizes, input.options());
    g.out = out.data();
    if (out.numel() > 0) launch(kernels::grid_sample, input.device(), work_of(g), g);
    return out;
}

std::tuple<Tensor, Tensor> grid_sample_backward(const Tensor& grad, const Tensor& input,
                                                const Tensor& grid, std::string_view mode,
                                                std::string_view padding_mode, bool align_corners,
                                                bool of_input, bool of_grid) {
    GradModeGuard no_grad(false);
    Tensor in = contiguous(input), at = contiguous(grid), by = contiguous(grad);
    GridSample g = problem(in, at, mode, padding_mode, align_corners);
    EMBER_CHECK(by.dtype() == in.dtype() && by.numel() == g.batch * g.channels * g.points,
                "grid_sample: the gradient does not fit, got %s", to_string(by.sizes()).c_str());
    Tensor grad_input, grad_grid;
    if (of_input) grad_input = zeros(in.sizes(), in.options());
    if (of_grid) grad_grid = zeros(at.sizes(), at.options());
    g.grad = by.data();
    g.grad_input = of_input ? grad_input.data() : nullptr;
    g.grad_grid = of_grid ? grad_grid.data() : nullptr;
    if (by.numel() > 0) launch(kernels::grid_sample_backward, input.device(), 4 * work_of(g), g);
    return {grad_input, grad_grid};
}

}  // namespace ember::ops
