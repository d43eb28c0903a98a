#include "kernels/activation.h"

#include "cpu/pointwise_float.h"
#include "kernels/formulas/activation.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

namespace f = formulas;

using Elu = decltype([](auto x, auto n) { return f::elu(x, n.first, n.second, n.third); });
using EluBackward = decltype([](auto g, auto x, auto n) {
    return f::elu_backward(g, x, n.first, n.second, n.third);
});
using Hardsigmoid = decltype([](auto x) { return f::hardsigmoid(x); });
using HardsigmoidBackward = decltype([](auto g, auto x) { return f::hardsigmoid_backward(g, x); });
using Hardswish = decltype([](auto x) { return f::hardswish(x); });
using HardswishBackward = decltype([](auto g, auto x) { return f::hardswish_backward(g, x); });
using Hardtanh = decltype([](auto x, auto n) { return f::hardtanh(x, n.first, n.second); });
using HardtanhBackward =
    decltype([](auto g, auto x, auto n) { return f::hardtanh_backward(g, x, n.first, n.second); });
using Hardshrink = decltype([](auto x, auto n) { return f::hardshrink(x, n.first); });
using Softshrink = decltype([](auto x, auto n) { return f::softshrink(x, n.first); });
using ShrinkBackward =
    decltype([](auto g, auto x, auto n) { return f::shrink_backward(g, x, n.first); });
using Threshold = decltype([](auto x, auto n) { return f::threshold(x, n.first, n.second); });
using ThresholdBackward =
    decltype([](auto g, auto x, auto n) { return f::threshold_backward(g, x, n.first); });
using Mish = decltype([](auto x) { return f::mish(x); });
using MishBackward = decltype([](auto g, auto x) { return f::mish_backward(g, x); });
using Glu = decltype([](auto x, auto gate) { return f::glu(x, gate); });

}  // namespace

void register_activation(Table& table) {
    table.set(kernels::elu, kernel<Elu, 1, 2>, kFloating);
    table.set(kernels::elu_backward, kernel<EluBackward, 2, 2>, kFloating);
    table.set(kernels::hardsigmoid, kernel<Hardsigmoid, 1, 2>, kFloating);
    table.set(kernels::hardsigmoid_backward, kernel<HardsigmoidBackward, 2, 2>, kFloating);
    table.set(kernels::hardswish, kernel<Hardswish, 1, 2>, kFloating);
    table.set(kernels::hardswish_backward, kernel<HardswishBackward, 2, 2>, kFloating);
    table.set(kernels::hardtanh, kernel<Hardtanh, 1, 2>, kFloating);
    table.set(kernels::hardtanh_backward, kernel<HardtanhBackward, 2, 2>, kFloating);
    table.set(kernels::hardshrink, kernel<Hardshrink, 1, 2>, kFloating);
    table.set(kernels::softshrink, kernel<Softshrink, 1, 2>, kFloating);
    table.set(kernels::shrink_backward, kernel<ShrinkBackward, 2, 2>, kFloating);
    table.set(kernels::threshold, kernel<Threshold, 1, 2>, kFloating);
    table.set(kernels::threshold_backward, kernel<ThresholdBackward, 2, 2>, kFloating);
    table.set(kernels::mish, kernel<Mish, 1, 2>, kFloating);
    table.set(kernels::mish_backward, kernel<MishBackward, 2, 3>, kFloating);
    table.set(kernels::glu, kernel<Glu, 2, 2>, kFloating);
}

}  // namespace ember::cpu::EMBER_LEVEL
