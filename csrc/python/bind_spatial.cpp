#include "ops/conv.h"
#include "ops/grid_sample.h"
#include "ops/norm.h"
#include "ops/pool.h"
#include "ops/resample.h"
#include "ops/view.h"
#include "ops/windows.h"
#include "python/tables.h"

namespace ember::python {

namespace {

using MaxPool = Tensor (*)(const Tensor&, const Dims&, const Dims&, const Dims&, const Dims&, bool);
using MaxPoolWithIndices = std::tuple<Tensor, Tensor> (*)(const Tensor&, const Dims&, const Dims&,
                                                          const Dims&, const Dims&, bool);
using AdaptiveMaxPool = std::tuple<Tensor, Tensor> (*)(const Tensor&, const Dims&);

PyObject* pair(std::tuple<Tensor, Tensor> results) {
    return Py_BuildValue("NN", wrap(std::get<0>(results)), wrap(std::get<1>(results)));
}

template <MaxPool Alone, MaxPoolWithIndices Both>
PyObject* max_pool(const Tensor& input, const Dims& kernel_size, const Dims& stride,
                   const Dims& padding, const Dims& dilation, bool ceil_mode, bool return_indices) {
    if (!return_indices)
        return wrap(Alone(input, kernel_size, stride, padding, dilation, ceil_mode));
    return pair(Both(input, kernel_size, stride, padding, dilation, ceil_mode));
}

template <AdaptiveMaxPool F>
PyObject* adaptive_max_pool(const Tensor& input, const Dims& output_size, bool return_indices) {
    auto results = F(input, output_size);
    return return_indices ? pair(std::move(results)) : wrap(std::get<0>(results));
}

Tensor avg_pool1d(const Tensor& input, const Dims& kernel_size, const Dims& stride,
                  const Dims& padding, bool ceil_mode, bool count_include_pad) {
    return ops::avg_pool1d(input, kernel_size, stride, padding, ceil_mode, count_include_pad,
                           std::nullopt);
}

constexpr const char* kConvolution =
    "Cross-correlation of (N, C, dims...) or (C, dims...) with weight (K, C / groups, dims...), "
    "plus bias (K,). stride, padding and dilation are one number or one a dim; padding may be "
    "'valid' or 'same'. RuntimeError where shapes do not fit.";
constexpr const char* kTransposed =
    "The adjoint of a convolution: (N, C, dims...) or (C, dims...) with weight (C, K / groups, "
    "dims...), plus bias (K,). output_padding makes the result longer at its end. RuntimeError "
    "where shapes do not fit.";
constexpr const char* kMaxPool =
    "The largest of each window of (N, C, dims...) or (C, dims...), NaN where there is one; with "
    "return_indices also its index (int64) in its plane. stride is kernel_size by default.";
constexpr const char* kAvgPool =
    "The mean of each window of (N, C, dims...) or (C, dims...); stride is kernel_size by default.";
constexpr const char* kAdaptive =
    " of windows [floor(i * size / n), ceil((i + 1) * size / n)) of (N, C, dims...) or (C, "
    "dims...), for n outputs a dim.";

}  // namespace

void bind_spatial(BindTable& t) {
    bind<&ops::grid_sample>(
        t, kFunction,
        "_grid_sample(input, grid, mode: str, padding_mode: str, align_corners: bool)",
        "Images read at points, without a gradient.");
    bind<&ops::grid_sample_backward>(
        t, kFunction,
        "_grid_sample_backward(grad, input, grid, mode: str, padding_mode: str, "
        "align_corners: bool, of_input: bool, of_grid: bool)",
        "The gradients of images and points, or None where not wanted.");
    static const std::string adaptive_avg = std::string("Means") + kAdaptive;
    static const std::string adaptive_max =
        std::string("Maxima") + kAdaptive + " With return_indices also their indices (int64).";
#define EMBER_CONVOLUTION(rank)                                                                  \
    bind<&ops::conv##rank##d_mode, &ops::conv##rank##d>(                                         \
        t, kFunction,                                                                            \
        {"conv" #rank "d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)",  \
         "conv" #rank "d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)"}, \
        kConvolution);                                                                           \
    bind<&ops::conv_transpose##rank##d>(t, kFunction,                                            \
                                        "conv_transpose" #rank                                   \
                                        "d(input, weight, bias=None, stride=1, padding=0, "      \
                                        "output_padding=0, groups=1, dilation=1)",               \
                                        kTransposed);                                            \
    bind<&max_pool<&ops::max_pool##rank##d, &ops::max_pool##rank##d_with_indices>>(              \
        t, kFunction,                                                                            \
        "max_pool" #rank                                                                         \
        "d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, "            \
        "return_indices=False)",                                                                 \
        kMaxPool);                                                                               \
    bind<&ops::adaptive_avg_pool##rank##d>(                                                      \
        t, kFunction, "adaptive_avg_pool" #rank "d(input, output_size)", adaptive_avg.c_str());  \
    bind<&adaptive_max_pool<&ops::adaptive_max_pool##rank##d>>(                                  \
        t, kFunction, "adaptive_max_pool" #rank "d(input, output_size, return_indices=False)",   \
        adaptive_max.c_str());
    EMBER_CONVOLUTION(1)
    EMBER_CONVOLUTION(2)
    EMBER_CONVOLUTION(3)
#undef EMBER_CONVOLUTION
    bind<&avg_pool1d>(t, kFunction,
                      "avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, "
                      "count_include_pad=True)",
                      kAvgPool);
    bind<&ops::avg_pool2d>(t, kFunction,
                           "avg_pool2d(input, kernel_size, stride=None, padding=0, "
                           "ceil_mode=False, count_include_pad=True, divisor_override=None)",
                           kAvgPool);
    bind<&ops::avg_pool3d>(t, kFunction,
                           "avg_pool3d(input, kernel_size, stride=None, padding=0, "
                           "ceil_mode=False, count_include_pad=True, divisor_override=None)",
                           kAvgPool);
    bind<&ops::interpolate>(t, kFunction,
                            "_interpolate(input, size, mode, align_corners=False, antialias=False, "
                            "scale0=0.0, scale1=0.0, scale2=0.0)",
                            "What nn.functional.interpolate calls, with its arguments checked.");
    bind<&ops::im2col>(t, kFunction, "_im2col(input, kernel_size, dilation, padding, stride)",
                       "nn.functional.unfold.");
    bind<&ops::col2im>(t, kFunction,
                       "_col2im(input, output_size, kernel_size, dilation, padding, stride)",
                       "nn.functional.fold.");
    bind<&ops::rms_norm>(
        t, kFunction, "rms_norm(input, normalized_shape, weight=None, eps=None)",
        "input / sqrt(mean(input^2) + eps) * weight over the last dims, whose sizes are "
        "normalized_shape (Zhang and Sennrich, 2019). Without eps it is the distance from 1 to the "
        "next number. RuntimeError where shapes do not fit.");
    bind<&ops::group_norm>(
        t, kFunction, "group_norm(input, num_groups, weight=None, bias=None, eps=1e-05)",
        "Normalises the channels (dim 1) by groups, for each image, times weight (C,) plus bias "
        "(C,) (Wu and He, 2018). RuntimeError where num_groups does not divide the channels.");
    bind<&ops::instance_norm>(
        t, kFunction,
        "_instance_norm(input, running_mean: Tensor | None, running_var: Tensor | None, weight: "
        "Tensor | None, bias: Tensor | None, use_input_stats, momentum, eps)",
        "nn.functional.instance_norm.");
    bind<&ops::pixel_shuffle>(
        t, kFunction, "pixel_shuffle(input, upscale_factor)",
        "(*, C r^2, H, W) to (*, C, H r, W r) for r = upscale_factor (Shi et al., 2016).");
    bind<&ops::pixel_unshuffle>(t, kFunction, "pixel_unshuffle(input, downscale_factor)",
                                "(*, C, H r, W r) to (*, C r^2, H, W) for r = downscale_factor.");
    bind<&ops::channel_shuffle>(
        t, kFunction, "channel_shuffle(input, groups)",
        "(N, C, ...) with the channels of `groups` groups interleaved (Zhang et al., 2018).");
}

}  // namespace ember::python
