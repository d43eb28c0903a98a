#include "ops/special.h"
#include "python/tables.h"

namespace ember::python {

namespace {

Tensor clamp_min(const Tensor& x, Number min, const Dest& dest) {
    return ops::clamp(x, min, std::nullopt, dest);
}
Tensor tensor_min(const Tensor& x, const Tensor& min, const Dest& dest) {
    return ops::clamp_tensor(x, min, {}, dest);
}
Tensor tensor_max(const Tensor& x, const Tensor& max, const Dest& dest) {
    return ops::clamp_tensor(x, {}, max, dest);
}
Dest where(const Tensor& x, bool inplace) { return inplace ? Dest::in_place(x) : Dest(); }
Tensor relu(const Tensor& x, bool inplace) { return ops::relu(x, where(x, inplace)); }
Tensor silu(const Tensor& x, bool inplace) { return ops::silu(x, where(x, inplace)); }
Tensor leaky_relu(const Tensor& x, double slope, bool inplace) {
    return ops::leaky_relu(x, slope, where(x, inplace));
}
Tensor clamp_max(const Tensor& x, Number max, const Dest& dest) {
    return ops::clamp(x, std::nullopt, max, dest);
}

}  // namespace

void bind_pointwise(BindTable& t) {
    constexpr int all = kFunction | kMethod | kInPlace, both = kFunction | kMethod;
    constexpr int unary = all | kInPlaceFunction;

    bind_dest<&ops::add>(
        t, all,
        "add(input: Tensor | Number, other: Tensor | Number, *, alpha: complex=1, out=None)",
        "input + alpha * other, broadcast and promoted. Any dtype; alpha must be "
        "whole for integers.");
    bind_dest<&ops::sub>(
        t, all,
        "sub(input: Tensor | Number, other: Tensor | Number, *, alpha: complex=1, out=None)",
        "input - alpha * other, broadcast and promoted. Raises RuntimeError for two bool tensors.");
    t.alias("subtract", "sub");
    bind<&ops::rsub>(t, both, "rsub(input, other: Tensor | Number, alpha: complex=1)",
                     "other - alpha * input, broadcast and promoted.");
    bind_dest<&ops::mul>(t, all, "mul(input: Tensor | Number, other: Tensor | Number, *, out=None)",
                         "input * other, broadcast and promoted.");
    t.alias("multiply", "mul");
    bind_dest<&ops::div>(
        t, all,
        "div(input: Tensor | Number, other: Tensor | Number, *, rounding_mode=None, out=None)",
        "input / other. rounding_mode None divides truly (integers give the default dtype), "
        "'trunc' "
        "rounds towards zero, 'floor' down. Integer division by zero raises RuntimeError.");
    t.alias("divide", "div");
    t.alias("true_divide", "div");
    bind_dest<&ops::floor_divide>(
        t, all, "floor_divide(input: Tensor | Number, other: Tensor | Number, *, out=None)",
        "input / other rounded down. Integer division by zero raises RuntimeError.");
    bind_dest<&ops::remainder>(
        t, all, "remainder(input: Tensor | Number, other: Tensor | Number, *, out=None)",
        "input - other * floor(input / other): has the divisor's sign, as Python's `%`.");
    bind_dest<&ops::fmod>(
        t, all, "fmod(input, other: Tensor | Number, *, out=None)",
        "input - other * trunc(input / other): has the dividend's sign, as C's fmod.");
    bind_dest<&ops::pow>(
        t, all, "pow(input: Tensor | Number, exponent: Tensor | Number, *, out=None)",
        "input ** exponent, broadcast and promoted. Integers to a negative whole number raise "
        "RuntimeError.");
    bind_dest<&ops::maximum>(
        t, both, "maximum(input, other, *, out=None)",
        "The larger of both, broadcast and promoted; NaN where either is NaN.");
    bind_dest<&ops::minimum>(
        t, both, "minimum(input, other, *, out=None)",
        "The smaller of both, broadcast and promoted; NaN where either is NaN.");
    bind_dest<&ops::addcmul>(t, all,
                             "addcmul(input, tensor1, tensor2, *, value: complex=1, out=None)",
                             "input + value * tensor1 * tensor2, broadcast and promoted.");
    bind_dest<&ops::addcdiv>(
        t, all, "addcdiv(input, tensor1, tensor2, *, value: complex=1, out=None)",
        "input + value * tensor1 / tensor2, broadcast and promoted. Floating point only.");
    bind_dest<&ops::lerp>(t, all, "lerp(input, end, weight: Tensor | Number, *, out=None)",
                          "input + weight * (end - input). Floating point only.");

    bind_dest<&ops::bitwise_and>(
        t, all, "bitwise_and(input: Tensor | Number, other: Tensor | Number, *, out=None)",
        "Bitwise and of integers or bools; RuntimeError for others.");
    bind_dest<&ops::bitwise_or>(
        t, all, "bitwise_or(input: Tensor | Number, other: Tensor | Number, *, out=None)",
        "Bitwise or of integers or bools; RuntimeError for others.");
    bind_dest<&ops::bitwise_xor>(
        t, all, "bitwise_xor(input: Tensor | Number, other: Tensor | Number, *, out=None)",
        "Bitwise exclusive or of integers or bools; RuntimeError for others.");
    bind_dest<&ops::bitwise_not>(t, all, "bitwise_not(input, *, out=None)",
                                 "Bitwise complement of integers, logical not of bools.");

    bind_dest<&ops::eq>(t, all, "eq(input, other: Tensor | Number, *, out=None)",
                        "input == other by element: bool.");
    bind_dest<&ops::ne>(t, all, "ne(input, other: Tensor | Number, *, out=None)",
                        "input != other by element: bool.");
    t.alias("not_equal", "ne");
    bind_dest<&ops::lt>(t, all, "lt(input, other: Tensor | Number, *, out=None)",
                        "input < other by element: bool.");
    t.alias("less", "lt");
    bind_dest<&ops::le>(t, all, "le(input, other: Tensor | Number, *, out=None)",
                        "input <= other by element: bool.");
    t.alias("less_equal", "le");
    bind_dest<&ops::gt>(t, all, "gt(input, other: Tensor | Number, *, out=None)",
                        "input > other by element: bool.");
    t.alias("greater", "gt");
    bind_dest<&ops::ge>(t, all, "ge(input, other: Tensor | Number, *, out=None)",
                        "input >= other by element: bool.");
    t.alias("greater_equal", "ge");
    bind_dest<&ops::logical_and>(t, all, "logical_and(input, other, *, out=None)",
                                 "Whether both are non-zero: bool.");
    bind_dest<&ops::logical_or>(t, all, "logical_or(input, other, *, out=None)",
                                "Whether one is non-zero: bool.");
    bind_dest<&ops::logical_xor>(t, all, "logical_xor(input, other, *, out=None)",
                                 "Whether exactly one is non-zero: bool.");
    bind_dest<&ops::logical_not>(t, all, "logical_not(input, *, out=None)",
                                 "Whether the element is zero: bool.");
    bind<&ops::isnan>(t, both, "isnan(input)", "Whether the element is NaN: bool.");
    bind<&ops::isinf>(t, both, "isinf(input)", "Whether the element is infinite: bool.");
    bind<&ops::isfinite>(t, both, "isfinite(input)",
                         "Whether the element is neither infinite nor NaN: bool.");
    bind_dest<&ops::masked_fill>(t, all,
                                 "masked_fill(input, mask, value: Tensor | Number, *, out=None)",
                                 "input with value where mask (bool, broadcast) is True.");

    bind_dest<&ops::neg>(t, unary, "neg(input, *, out=None)", "-input. RuntimeError for bool.");
    t.alias("negative", "neg");
    bind_dest<&ops::abs>(t, unary, "abs(input, *, out=None)",
                         "The absolute value; real also of complex numbers.");
    t.alias("absolute", "abs");
    bind_dest<&ops::sign>(t, all, "sign(input, *, out=None)",
                          "-1, 0 or 1 by sign. RuntimeError for complex tensors, which sgn takes.");
    bind_dest<&ops::square>(t, unary, "square(input, *, out=None)", "input * input.");
    bind_dest<&ops::reciprocal>(t, unary, "reciprocal(input, *, out=None)", "1 / input.");
    bind_dest<&ops::floor>(t, unary, "floor(input, *, out=None)", "Rounded down.");
    bind_dest<&ops::ceil>(t, unary, "ceil(input, *, out=None)", "Rounded up.");
    bind_dest<&ops::round_decimals>(
        t, unary, "round(input, *, decimals=0, out=None)",
        "Rounded to the nearest whole number, or to that many decimals; halves to the even one.");
    bind_dest<&ops::trunc>(t, unary, "trunc(input, *, out=None)", "Rounded towards zero.");
    t.alias("fix", "trunc");
    bind_dest<&ops::exp>(
        t, unary, "exp(input, *, out=None)",
        "e ** input. Integers give the default dtype, as in all functions of this kind.");
    bind_dest<&ops::exp2>(t, unary, "exp2(input, *, out=None)", "2 ** input.");
    bind_dest<&ops::expm1>(t, unary, "expm1(input, *, out=None)", "exp(input) - 1, exact near 0.");
    bind_dest<&ops::log>(t, unary, "log(input, *, out=None)", "The natural logarithm.");
    bind_dest<&ops::log2>(t, unary, "log2(input, *, out=None)", "The logarithm to base 2.");
    bind_dest<&ops::log10>(t, unary, "log10(input, *, out=None)", "The logarithm to base 10.");
    bind_dest<&ops::log1p>(t, unary, "log1p(input, *, out=None)", "log(1 + input), exact near 0.");
    bind_dest<&ops::sqrt>(t, unary, "sqrt(input, *, out=None)", "The square root.");
    bind_dest<&ops::rsqrt>(t, unary, "rsqrt(input, *, out=None)", "1 / sqrt(input).");
    bind_dest<&ops::sin>(t, unary, "sin(input, *, out=None)", "The sine of radians.");
    bind_dest<&ops::cos>(t, unary, "cos(input, *, out=None)", "The cosine of radians.");
    bind_dest<&ops::erf>(t, unary, "erf(input, *, out=None)", "The error function.");
    bind_dest<&ops::tanh>(t, unary, "tanh(input, *, out=None)", "The hyperbolic tangent.");
    bind_dest<&ops::sigmoid>(t, unary, "sigmoid(input, *, out=None)", "1 / (1 + exp(-input)).");

    bind<&relu>(t, both, "relu(input, inplace=False)", "max(input, 0).");
    bind_dest<&ops::relu>(t, kInPlace | kInPlaceFunction, "relu(input, *, out=None)",
                          "max(input, 0), in place.");
    bind<&silu>(t, kFunction, "silu(input, inplace=False)",
                "input * sigmoid(input) (Hendrycks and Gimpel, 2016; Elfwing et al., 2017).");
    bind_dest<&ops::gelu>(
        t, kFunction, "gelu(input, *, approximate='none', out=None)",
        "input * Phi(input), Phi the standard normal distribution function; approximate='tanh' "
        "uses "
        "the authors' approximation (Hendrycks and Gimpel, 2016). Floating point only.");
    bind<&leaky_relu>(t, kFunction, "leaky_relu(input, negative_slope=0.01, inplace=False)",
                      "input where positive, else negative_slope * input. Floating point only.");
    bind<&ops::softplus>(
        t, kFunction, "softplus(input, beta=1.0, threshold=20.0, *, out=None)",
        "log(1 + exp(beta * input)) / beta; input itself where beta * input > threshold.");
    bind<&ops::log_sigmoid>(t, kFunction, "logsigmoid(input)", "log(sigmoid(input)).");
    bind_dest<&ops::clamp_tensor, &ops::clamp>(t, unary,
                                               {"clamp(input, min=None, max=None, *, out=None)",
                                                "clamp(input, min=None, max=None, *, out=None)"},
                                               "The nearest value in [min, max]; numbers or "
                                               "tensors, which broadcast. RuntimeError when both "
                                               "are None.");
    t.alias("clip", "clamp");
    bind_dest<&tensor_min, &clamp_min>(
        t, unary, {"clamp_min(input, min, *, out=None)", "clamp_min(input, min, *, out=None)"},
        "clamp(min=min).");
    bind_dest<&tensor_max, &clamp_max>(
        t, unary, {"clamp_max(input, max, *, out=None)", "clamp_max(input, max, *, out=None)"},
        "clamp(max=max).");
}

}  // namespace ember::python
