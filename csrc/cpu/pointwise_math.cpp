#include "cpu/pointwise_float.h"

// Transcendental functions, activations, their fused backwards, and losses by element.
namespace ember::cpu::EMBER_LEVEL {
namespace {

namespace f = formulas;

using Exp = decltype([](auto x) { return f::exp(x); });
using Exp2 = decltype([](auto x) { return f::exp2(x); });
using Expm1 = decltype([](auto x) { return f::expm1(x); });
using Log = decltype([](auto x) { return f::log(x); });
using Log2 = decltype([](auto x) { return f::log2(x); });
using Log10 = decltype([](auto x) { return f::log10(x); });
using Log1p = decltype([](auto x) { return f::log1p(x); });
using Sin = decltype([](auto x) { return f::sin(x); });
using Cos = decltype([](auto x) { return f::cos(x); });
using Erf = decltype([](auto x) { return f::erf(x); });
using Tanh = decltype([](auto x) { return f::tanh(x); });
using Sigmoid = decltype([](auto x) { return f::sigmoid(x); });

using Silu = decltype([](auto x) { return f::silu(x); });
using Gelu = decltype([](auto x) { return f::gelu(x); });
using GeluTanh = decltype([](auto x) { return f::gelu_tanh(x); });
using Softplus = decltype([](auto x, auto n) { return f::softplus(x, n.first, n.second); });
using LogSigmoid = decltype([](auto x) { return f::log_sigmoid(x); });
using LeakyRelu = decltype([](auto x, auto n) { return f::leaky_relu(x, n.first); });

using TanhBackward = decltype([](auto g, auto y) { return f::tanh_backward(g, y); });
using SigmoidBackward = decltype([](auto g, auto y) { return f::sigmoid_backward(g, y); });
using ReluBackward = decltype([](auto g, auto x) { return f::relu_backward(g, x); });
using SiluBackward = decltype([](auto g, auto x) { return f::silu_backward(g, x); });
using GeluBackward = decltype([](auto g, auto x) { return f::gelu_backward(g, x); });
using GeluTanhBackward = decltype([](auto g, auto x) { return f::gelu_tanh_backward(g, x); });
using LeakyReluBackward =
    decltype([](auto g, auto x, auto n) { return f::leaky_relu_backward(g, x, n.first); });
using ClampBackward =
    decltype([](auto g, auto x, auto n) { return f::clamp_backward(g, x, n.first, n.second); });

using Mse = decltype([](auto x, auto target) { return f::mse(x, target); });
using Bce = decltype([](auto x, auto target) {
    using V = decltype(x);
    EMBER_CHECK(all((x >= V(0)) & (x <= V(1))),
                "binary_cross_entropy: all elements of input should be between 0 and 1");
    return f::bce(x, target);
});
using BceWithLogits = decltype([](auto x, auto target) { return f::bce_with_logits(x, target); });
using MseBackward =
    decltype([](auto g, auto x, auto t, auto n) { return f::mse_backward(g, x, t, n.first); });
using BceBackward =
    decltype([](auto g, auto x, auto t, auto n) { return f::bce_backward(g, x, t, n.first); });
using BceWithLogitsBackward = decltype([](auto g, auto x, auto t, auto n) {
    return f::bce_with_logits_backward(g, x, t, n.first);
});

}  // namespace

void register_pointwise_math(Table& table) {
    table.set(kernels::exp, kernel<Exp, 1, 2>, kFloating);
    table.set(kernels::exp2, kernel<Exp2, 1, 2>, kFloating);
    table.set(kernels::expm1, kernel<Expm1, 1, 2>, kFloating);
    table.set(kernels::log, kernel<Log, 1, 2>, kFloating);
    table.set(kernels::log2, kernel<Log2, 1, 3>, kFloating);
    table.set(kernels::log10, kernel<Log10, 1, 3>, kFloating);
    table.set(kernels::log1p, kernel<Log1p, 1, 3>, kFloating);
    table.set(kernels::sin, kernel<Sin, 1, 6>, kFloating);
    table.set(kernels::cos, kernel<Cos, 1, 6>, kFloating);
    table.set(kernels::erf, kernel<Erf, 1, 3>, kFloating);
    table.set(kernels::tanh, kernel<Tanh, 1, 2>, kFloating);
    table.set(kernels::sigmoid, kernel<Sigmoid, 1, 2>, kFloating);

    table.set(kernels::silu, kernel<Silu, 1, 2>, kFloating);
    table.set(kernels::gelu, kernel<Gelu, 1, 3>, kFloating);
    table.set(kernels::gelu_tanh, kernel<GeluTanh, 1, 2>, kFloating);
    table.set(kernels::softplus, kernel<Softplus, 1, 4>, kFloating);
    table.set(kernels::log_sigmoid, kernel<LogSigmoid, 1, 4>, kFloating);
    table.set(kernels::leaky_relu, kernel<LeakyRelu, 1>, kFloating);

    table.set(kernels::tanh_backward, kernel<TanhBackward, 2>, kFloating);
    table.set(kernels::sigmoid_backward, kernel<SigmoidBackward, 2>, kFloating);
    table.set(kernels::relu_backward, kernel<ReluBackward, 2>, kFloating);
    table.set(kernels::silu_backward, kernel<SiluBackward, 2, 2>, kFloating);
    table.set(kernels::gelu_backward, kernel<GeluBackward, 2, 3>, kFloating);
    table.set(kernels::gelu_tanh_backward, kernel<GeluTanhBackward, 2, 2>, kFloating);
    table.set(kernels::leaky_relu_backward, kernel<LeakyReluBackward, 2>, kFloating);
    table.set(kernels::clamp_backward, kernel<ClampBackward, 2>, kFloating);

    table.set(kernels::mse, kernel<Mse, 2>, kFloating);
    table.set(kernels::bce, kernel<Bce, 2, 4>, kFloating);
    table.set(kernels::bce_with_logits, kernel<BceWithLogits, 2, 4>, kFloating);
    table.set(kernels::mse_backward, kernel<MseBackward, 3>, kFloating);
    table.set(kernels::bce_backward, kernel<BceBackward, 3>, kFloating);
    table.set(kernels::bce_with_logits_backward, kernel<BceWithLogitsBackward, 3, 2>, kFloating);
}

}  // namespace ember::cpu::EMBER_LEVEL
