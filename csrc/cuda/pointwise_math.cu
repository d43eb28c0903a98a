#include "cuda/pointwise.cuh"

// Transcendental functions, activations, their fused backwards, and losses by element.
namespace ember::cuda {
namespace {

namespace f = formulas;

EMBER_UNARY(Exp, f::exp(x))
EMBER_UNARY(Exp2, f::exp2(x))
EMBER_UNARY(Expm1, f::expm1(x))
EMBER_UNARY(Log, f::log(x))
EMBER_UNARY(Log2, f::log2(x))
EMBER_UNARY(Log10, f::log10(x))
EMBER_UNARY(Log1p, f::log1p(x))
EMBER_UNARY(Sin, f::sin(x))
EMBER_UNARY(Cos, f::cos(x))
EMBER_UNARY(Erf, f::erf(x))
EMBER_UNARY(Tanh, f::tanh(x))
EMBER_UNARY(Sigmoid, f::sigmoid(x))

EMBER_UNARY(Silu, f::silu(x))
EMBER_UNARY(Gelu, f::gelu(x))
EMBER_UNARY(GeluTanh, f::gelu_tanh(x))
EMBER_UNARY_NUMBERS(Softplus, f::softplus(x, n.first, n.second))
EMBER_UNARY(LogSigmoid, f::log_sigmoid(x))
EMBER_UNARY_NUMBERS(LeakyRelu, f::leaky_relu(x, n.first))

EMBER_BINARY(TanhBackward, f::tanh_backward(a, b))
EMBER_BINARY(SigmoidBackward, f::sigmoid_backward(a, b))
EMBER_BINARY(ReluBackward, f::relu_backward(a, b))
EMBER_BINARY(SiluBackward, f::silu_backward(a, b))
EMBER_BINARY(GeluBackward, f::gelu_backward(a, b))
EMBER_BINARY(GeluTanhBackward, f::gelu_tanh_backward(a, b))
EMBER_BINARY_NUMBERS(LeakyReluBackward, f::leaky_relu_backward(a, b, n.first))
EMBER_BINARY_NUMBERS(ClampBackward, f::clamp_backward(a, b, n.first, n.second))

EMBER_BINARY(Mse, f::mse(a, b))
struct Bce {
    template <class V, class N>
    EMBER_DEVICE V operator()(V x, V target, N n) const {
        if (!(x >= V(0) && x <= V(1))) report(n.fault, Fault::What::NotProbability, n.operation);
        return f::bce(x, target);
    }
};
EMBER_BINARY(BceWithLogits, f::bce_with_logits(a, b))
EMBER_TERNARY_NUMBERS(MseBackward, f::mse_backward(a, b, c, n.first))
EMBER_TERNARY_NUMBERS(BceBackward, f::bce_backward(a, b, c, n.first))
EMBER_TERNARY_NUMBERS(BceWithLogitsBackward, f::bce_with_logits_backward(a, b, c, n.first))

}  // namespace

void register_pointwise_math(const Table& table) {
    table.set(kernels::exp, float_kernel<Exp, 1>, kFloating);
    table.set(kernels::exp2, float_kernel<Exp2, 1>, kFloating);
    table.set(kernels::expm1, float_kernel<Expm1, 1>, kFloating);
    table.set(kernels::log, float_kernel<Log, 1>, kFloating);
    table.set(kernels::log2, float_kernel<Log2, 1>, kFloating);
    table.set(kernels::log10, float_kernel<Log10, 1>, kFloating);
    table.set(kernels::log1p, float_kernel<Log1p, 1>, kFloating);
    table.set(kernels::sin, float_kernel<Sin, 1>, kFloating);
    table.set(kernels::cos, float_kernel<Cos, 1>, kFloating);
    table.set(kernels::erf, float_kernel<Erf, 1>, kFloating);
    table.set(kernels::tanh, float_kernel<Tanh, 1>, kFloating);
    table.set(kernels::sigmoid, float_kernel<Sigmoid, 1>, kFloating);

    table.set(kernels::silu, float_kernel<Silu, 1>, kFloating);
    table.set(kernels::gelu, float_kernel<Gelu, 1>, kFloating);
    table.set(kernels::gelu_tanh, float_kernel<GeluTanh, 1>, kFloating);
    table.set(kernels::softplus, float_kernel<Softplus, 1>, kFloating);
    table.set(kernels::log_sigmoid, float_kernel<LogSigmoid, 1>, kFloating);
    table.set(kernels::leaky_relu, float_kernel<LeakyRelu, 1>, kFloating);

    table.set(kernels::tanh_backward, float_kernel<TanhBackward, 2>, kFloating);
    table.set(kernels::sigmoid_backward, float_kernel<SigmoidBackward, 2>, kFloating);
    table.set(kernels::relu_backward, float_kernel<ReluBackward, 2>, kFloating);
    table.set(kernels::silu_backward, float_kernel<SiluBackward, 2>, kFloating);
    table.set(kernels::gelu_backward, float_kernel<GeluBackward, 2>, kFloating);
    table.set(kernels::gelu_tanh_backward, float_kernel<GeluTanhBackward, 2>, kFloating);
    table.set(kernels::leaky_relu_backward, float_kernel<LeakyReluBackward, 2>, kFloating);
    table.set(kernels::clamp_backward, float_kernel<ClampBackward, 2>, kFloating);

    table.set(kernels::mse, float_kernel<Mse, 2>, kFloating);
    table.set(kernels::bce, float_kernel<Bce, 2>, kFloating);
    table.set(kernels::bce_with_logits, float_kernel<BceWithLogits, 2>, kFloating);
    table.set(kernels::mse_backward, float_kernel<MseBackward, 3>, kFloating);
    table.set(kernels::bce_backward, float_kernel<BceBackward, 3>, kFloating);
    table.set(kernels::bce_with_logits_backward, float_kernel<BceWithLogitsBackward, 3>, kFloating);
}

}  // namespace ember::cuda
