#include "cpu/pointwise_float.h"

// Arithmetic, comparisons, rounding and powers.
namespace ember::cpu::EMBER_LEVEL {
namespace {

namespace f = formulas;

using Add = decltype([](auto a, auto b, auto n) { return fma(n.first, b, a); });
using Multiply = decltype([](auto a, auto b) { return a * b; });
using Divide = decltype([](auto a, auto b) { return a / b; });
using FloorDivide = decltype([](auto a, auto b) { return f::floor_divide(a, b); });
using TruncDivide = decltype([](auto a, auto b) { return trunc(a / b); });
using Remainder = decltype([](auto a, auto b) { return f::remainder(a, b); });
using Fmod = decltype([](auto a, auto b) { return f::fmod(a, b); });
using Maximum = decltype([](auto a, auto b) { return maximum(a, b); });
using Minimum = decltype([](auto a, auto b) { return minimum(a, b); });
using Addcmul = decltype([](auto x, auto a, auto b, auto n) { return fma(n.first * a, b, x); });
using Addcdiv = decltype([](auto x, auto a, auto b, auto n) { return x + n.first * a / b; });
using Lerp = decltype([](auto a, auto b, auto weight) { return f::lerp(a, b, weight); });

using Equal = decltype([](auto a, auto b) { return a == b; });
using NotEqual = decltype([](auto a, auto b) { return a != b; });
using Less = decltype([](auto a, auto b) { return a < b; });
using LessEqual = decltype([](auto a, auto b) { return a <= b; });
using Greater = decltype([](auto a, auto b) { return a > b; });
using GreaterEqual = decltype([](auto a, auto b) { return a >= b; });
using IsNan = decltype([](auto x) { return x != x; });
using IsInf = decltype([](auto x) { return abs(x) == decltype(x)(__builtin_inf()); });
using IsFinite = decltype([](auto x) { return abs(x) < decltype(x)(__builtin_inf()); });

using IsPositiveInfinity = decltype([](auto x) { return x == decltype(x)(__builtin_inf()); });
using IsNegativeInfinity = decltype([](auto x) { return x == -decltype(x)(__builtin_inf()); });
using SignBit = decltype([](auto x) { return copysign(decltype(x)(1), x) < decltype(x)(0); });

using Negate = decltype([](auto x) { return -x; });
using Absolute = decltype([](auto x) { return abs(x); });
using Sign = decltype([](auto x) { return f::sign(x); });
using Square = decltype([](auto x) { return x * x; });
using Reciprocal = decltype([](auto x) { return decltype(x)(1) / x; });
using Floor = decltype([](auto x) { return floor(x); });
using Ceil = decltype([](auto x) { return ceil(x); });
using Round = decltype([](auto x) { return round(x); });
using Trunc = decltype([](auto x) { return trunc(x); });
using Sqrt = decltype([](auto x) { return sqrt(x); });
using Rsqrt = decltype([](auto x) { return f::rsqrt(x); });
using Relu = decltype([](auto x) { return f::relu(x); });
using Clamp = decltype([](auto x, auto n) { return f::clamp(x, n.first, n.second); });

using Power = decltype([](auto a, auto b) { return f::pow(a, b); });
using Cube = decltype([](auto x) { return x * x * x; });
using ReciprocalSquare = decltype([](auto x) { return decltype(x)(1) / (x * x); });

// One exponent for all: those that PyTorch computes otherwise.
template <class T>
void uniform_power(char* const* data, int64_t n, const Number* immediate, bool stream) {
    T exponent;
    memcpy(&exponent, data[2], sizeof exponent);
    Loop run = long_loop<Power, 2, T>;
    if (exponent == T(2)) run = loop<Square, 1, T>;
    if (exponent == T(3)) run = loop<Cube, 1, T>;
    if (exponent == T(0.5)) run = loop<Sqrt, 1, T>;
    if (exponent == T(-0.5)) run = loop<Rsqrt, 1, T>;
    if (exponent == T(-1)) run = loop<Reciprocal, 1, T>;
    if (exponent == T(-2)) run = loop<ReciprocalSquare, 1, T>;
    run(data, n, immediate, stream);
}

template <class T>
constexpr LoopInfo kUniformPower = {
    uniform_power<T>, DTypeOf<T>::value, DTypeOf<T>::value, DTypeOf<T>::value, false, 2};

void power(Context& context, const Plan& plan) {
    bool uniform = true;
    for (int d = 0; d < plan.ndim; d++) uniform = uniform && plan.operand[2].strides[d] == 0;
    if (!uniform || is_integral(plan.compute))
        numeric_kernel<Power, 2, &IntegerKernels::pow, 16>(context, plan);
    else
        start(plan, plan.compute == DType::Float64 ? kUniformPower<double> : kUniformPower<float>);
}

template <class H>
void halves_to_float(void* out, const void* in, int64_t n) {
    float* d = static_cast<float*>(out);
    const H* s = static_cast<const H*>(in);
    int64_t i = 0;
    for (; i + VecF::size <= n; i += VecF::size) load_as<VecF>(s + i).store(d + i);
    if (i < n) store_first(load_first_as<VecF>(s + i, n - i), d + i, n - i);
}

template <class H>
void float_to_halves(void* out, const void* in, int64_t n) {
    H* d = static_cast<H*>(out);
    const float* s = static_cast<const float*>(in);
    int64_t i = 0;
    for (; i + VecF::size <= n; i += VecF::size) store_as(d + i, VecF::load(s + i));
    if (i < n) store_first_as(d + i, load_first<float>(s + i, n - i), n - i);
}

template <class F, IntegerKernels::Kernel IntegerKernels::* Integer>
constexpr auto comparison = numeric_kernel<F, 2, Integer, 1, Result::Bool>;
template <class F>
constexpr auto predicate = kernel<F, 1, 1, Result::Bool>;
template <class F>
constexpr auto rounding = numeric_kernel<F, 1, &IntegerKernels::identity>;
template <class F, IntegerKernels::Kernel IntegerKernels::* Integer>
constexpr auto of_sign = numeric_kernel<F, 1, Integer, 1, Result::Same, false, true>;

}  // namespace

void register_pointwise_float(Table& table) {
    pointwise_shared.halves = {halves_to_float<Half>, float_to_halves<Half>};
    pointwise_shared.bfloats = {halves_to_float<BFloat16>, float_to_halves<BFloat16>};

    using I = IntegerKernels;
    constexpr Result kSame = Result::Same;
    table.set(kernels::add, numeric_kernel<Add, 2, &I::add>, kReal);
    table.set(kernels::mul, numeric_kernel<Multiply, 2, &I::mul, 1, kSame, true>, kReal);
    table.set(kernels::div, kernel<Divide, 2, 1, kSame, true>, kFloating);
    table.set(kernels::floor_divide, numeric_kernel<FloorDivide, 2, &I::floor_divide, 4>, kNumeric);
    table.set(kernels::trunc_divide, numeric_kernel<TruncDivide, 2, &I::trunc_divide>, kNumeric);
    table.set(kernels::remainder, numeric_kernel<Remainder, 2, &I::remainder, 4>, kNumeric);
    table.set(kernels::fmod, numeric_kernel<Fmod, 2, &I::fmod, 4>, kNumeric);
    table.set(kernels::pow, power, kNumeric);
    table.set(kernels::maximum, numeric_kernel<Maximum, 2, &I::maximum>, kReal);
    table.set(kernels::minimum, numeric_kernel<Minimum, 2, &I::minimum>, kReal);
    table.set(kernels::addcmul, numeric_kernel<Addcmul, 3, &I::addcmul>, kNumeric);
    table.set(kernels::addcdiv, kernel<Addcdiv, 3>, kFloating);
    table.set(kernels::lerp, kernel<Lerp, 3, 1, kSame, true>, kFloating);

    table.set(kernels::eq, comparison<Equal, &I::eq>, kReal);
    table.set(kernels::ne, comparison<NotEqual, &I::ne>, kReal);
    table.set(kernels::lt, comparison<Less, &I::lt>, kReal);
    table.set(kernels::le, comparison<LessEqual, &I::le>, kReal);
    table.set(kernels::gt, comparison<Greater, &I::gt>, kReal);
    table.set(kernels::ge, comparison<GreaterEqual, &I::ge>, kReal);
    table.set(kernels::isnan, predicate<IsNan>, kFloating);
    table.set(kernels::isinf, predicate<IsInf>, kFloating);
    table.set(kernels::isfinite, predicate<IsFinite>, kFloating);
    // Integers are asked as floats, which keep the sign and are finite.
    table.set(kernels::isposinf, predicate<IsPositiveInfinity>, kReal);
    table.set(kernels::isneginf, predicate<IsNegativeInfinity>, kReal);
    table.set(kernels::signbit, predicate<SignBit>, kReal);

    table.set(kernels::neg, of_sign<Negate, &I::neg>, kNumeric);
    table.set(kernels::abs, of_sign<Absolute, &I::abs>, kNumeric);
    table.set(kernels::sign, numeric_kernel<Sign, 1, &I::sign>, kReal);
    table.set(kernels::square, numeric_kernel<Square, 1, &I::square>, kReal);
    table.set(kernels::reciprocal, kernel<Reciprocal, 1>, kFloating);
    table.set(kernels::floor, rounding<Floor>, kNumeric);
    table.set(kernels::ceil, rounding<Ceil>, kNumeric);
    table.set(kernels::round, rounding<Round>, kNumeric);
    table.set(kernels::trunc, rounding<Trunc>, kNumeric);
    table.set(kernels::sqrt, kernel<Sqrt, 1>, kFloating);
    table.set(kernels::rsqrt, kernel<Rsqrt, 1>, kFloating);
    table.set(kernels::relu, numeric_kernel<Relu, 1, &I::relu>, kNumeric);
    table.set(kernels::clamp, numeric_kernel<Clamp, 1, &I::clamp>, kNumeric);
}

}  // namespace ember::cpu::EMBER_LEVEL
