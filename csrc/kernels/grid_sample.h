#pragma once

#include "core/table.h"
#include "core/view.h"

namespace ember::kernels {

// Images (N, C, size...) read at points (N, P, rank), whose last dim's coordinate comes first, into
// (N, C, P). No size exceeds 2^21 and no image 2^31 items.
struct GridSample {
    enum class Mode : uint8_t { Nearest, Linear, Cubic } mode = Mode::Linear;
    enum class Padding : uint8_t { Zeros, Border, Reflection } padding = Padding::Zeros;
    bool align_corners = false;
    int rank = 2;  // 2 or 3
    int64_t batch = 0, channels = 0, points = 0, size[3] = {};
    const void *input = nullptr, *grid = nullptr;
    void* out = nullptr;
    // Backward: of the result (N, C, P), and where the inputs' go or null; that of the images
    // starts as zeros.
    const void* grad = nullptr;
    void *grad_input = nullptr, *grad_grid = nullptr;
    DType dtype = DType::Float32;
};

extern Slot<void(Context&, const GridSample&)> grid_sample, grid_sample_backward;

}  // namespace ember::kernels
