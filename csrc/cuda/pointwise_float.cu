#include "cuda/pointwise.cuh"
#include "kernels/formulas/integer.h"

// Arithmetic, comparisons, rounding and powers, of floats and integers.
namespace ember::cuda {
namespace {

namespace f = formulas;

EMBER_BINARY_NUMBERS(Add, f::fma(n.first, b, a))
EMBER_BINARY(Multiply, a* b)
EMBER_BINARY(Divide, a / b)
EMBER_BINARY(FloorDivide, f::floor_divide(a, b))
EMBER_BINARY(TruncDivide, f::trunc(a / b))
EMBER_BINARY(Remainder, f::remainder(a, b))
EMBER_BINARY(Fmod, f::fmod(a, b))
EMBER_BINARY(Maximum, f::maximum(a, b))
EMBER_BINARY(Minimum, f::minimum(a, b))
EMBER_BINARY(Power, f::pow(a, b))
EMBER_TERNARY_NUMBERS(Addcmul, f::fma(n.first* b, c, a))
EMBER_TERNARY_NUMBERS(Addcdiv, a + n.first * b / c)
EMBER_TERNARY(Lerp, f::lerp(a, b, c))

EMBER_BINARY(Equal, a == b)
EMBER_BINARY(NotEqual, a != b)
EMBER_BINARY(Less, a < b)
EMBER_BINARY(LessEqual, a <= b)
EMBER_BINARY(Greater, a > b)
EMBER_BINARY(GreaterEqual, a >= b)
EMBER_UNARY(IsNan, x != x)
EMBER_UNARY(IsInf, f::abs(x) == V(INFINITY))
EMBER_UNARY(IsFinite, f::abs(x) < V(INFINITY))
EMBER_UNARY(IsPositiveInfinity, x == V(INFINITY))
EMBER_UNARY(IsNegativeInfinity, x == -V(INFINITY))
EMBER_UNARY(SignBit, f::copysign(V(1), x) < V(0))

EMBER_UNARY(Negate, -x)
EMBER_UNARY(Absolute, f::abs(x))
EMBER_UNARY(Sign, f::sign(x))
EMBER_UNARY(Square, x* x)
EMBER_UNARY(Reciprocal, V(1) / x)
EMBER_UNARY(Floor, f::floor(x))
EMBER_UNARY(Ceil, f::ceil(x))
EMBER_UNARY(Round, f::round(x))
EMBER_UNARY(Trunc, f::trunc(x))
EMBER_UNARY(Sqrt, f::sqrt(x))
EMBER_UNARY(Rsqrt, f::rsqrt(x))
EMBER_UNARY(Relu, f::relu(x))
EMBER_UNARY_NUMBERS(Clamp, f::clamp(x, n.first, n.second))

// A divisor of zero is reported, and 1 takes its place.
template <class N>
EMBER_DEVICE int64_t divisor(int64_t b, const N& n) {
    if (b != 0) return b;
    report(n.fault, Fault::What::ZeroDivisor, n.operation);
    return 1;
}

EMBER_BINARY_NUMBERS(AddInt, f::wrap_add(a, f::wrap_multiply(n.first, b)))
EMBER_BINARY(MultiplyInt, f::wrap_multiply(a, b))
EMBER_BINARY_NUMBERS(FloorDivideInt, f::divide_flooring(a, divisor(b, n)))
EMBER_BINARY_NUMBERS(TruncDivideInt, f::divide_truncating(a, divisor(b, n)))
EMBER_BINARY_NUMBERS(RemainderInt, f::remainder_flooring(a, divisor(b, n)))
EMBER_BINARY_NUMBERS(FmodInt, f::remainder_truncating(a, divisor(b, n)))
EMBER_BINARY(PowerInt, f::power(a, b))
EMBER_BINARY(MaximumInt, a > b ? a : b)
EMBER_BINARY(MinimumInt, a < b ? a : b)
EMBER_TERNARY_NUMBERS(AddcmulInt, f::wrap_add(a, f::wrap_multiply(n.first, f::wrap_multiply(b, c))))
EMBER_UNARY(NegateInt, f::wrap_negate(x))
EMBER_UNARY(AbsoluteInt, f::absolute(x))
EMBER_UNARY(SignInt, f::sign_of(x))
EMBER_UNARY(SquareInt, f::wrap_multiply(x, x))
EMBER_UNARY(Identity, x)
EMBER_UNARY(ReluInt, x > 0 ? x : V(0))
EMBER_UNARY_NUMBERS(ClampInt, f::min(f::max(x, n.low), n.high))

template <class F>
constexpr auto comparison = numeric_kernel<F, F, 2, Result::Bool>;
template <class F>
constexpr auto rounding = numeric_kernel<F, Identity, 1>;

}  // namespace

void register_pointwise_float(const Table& table) {
    constexpr Result kSame = Result::Same;
    table.set(kernels::add, numeric_kernel<Add, AddInt, 2>, kReal);
    table.set(kernels::mul, numeric_kernel<Multiply, MultiplyInt, 2, kSame, true>, kReal);
    table.set(kernels::div, float_kernel<Divide, 2, kSame, true>, kFloating);
    table.set(kernels::floor_divide, numeric_kernel<FloorDivide, FloorDivideInt, 2>, kNumeric);
    table.set(kernels::trunc_divide, numeric_kernel<TruncDivide, TruncDivideInt, 2>, kNumeric);
    table.set(kernels::remainder, numeric_kernel<Remainder, RemainderInt, 2>, kNumeric);
    table.set(kernels::fmod, numeric_kernel<Fmod, FmodInt, 2>, kNumeric);
    table.set(kernels::pow, numeric_kernel<Power, PowerInt, 2>, kNumeric);
    table.set(kernels::maximum, numeric_kernel<Maximum, MaximumInt, 2>, kReal);
    table.set(kernels::minimum, numeric_kernel<Minimum, MinimumInt, 2>, kReal);
    table.set(kernels::addcmul, numeric_kernel<Addcmul, AddcmulInt, 3>, kNumeric);
    table.set(kernels::addcdiv, float_kernel<Addcdiv, 3>, kFloating);
    table.set(kernels::lerp, float_kernel<Lerp, 3, kSame, true>, kFloating);

    table.set(kernels::eq, comparison<Equal>, kReal);
    table.set(kernels::ne, comparison<NotEqual>, kReal);
    table.set(kernels::lt, comparison<Less>, kReal);
    table.set(kernels::le, comparison<LessEqual>, kReal);
    table.set(kernels::gt, comparison<Greater>, kReal);
    table.set(kernels::ge, comparison<GreaterEqual>, kReal);
    table.set(kernels::isnan, float_kernel<IsNan, 1, Result::Bool>, kFloating);
    table.set(kernels::isinf, float_kernel<IsInf, 1, Result::Bool>, kFloating);
    table.set(kernels::isfinite, float_kernel<IsFinite, 1, Result::Bool>, kFloating);
    // Integers are asked as floats, which keep the sign and are finite.
    table.set(kernels::isposinf, float_kernel<IsPositiveInfinity, 1, Result::Bool>, kReal);
    table.set(kernels::isneginf, float_kernel<IsNegativeInfinity, 1, Result::Bool>, kReal);
    table.set(kernels::signbit, float_kernel<SignBit, 1, Result::Bool>, kReal);

    table.set(kernels::neg, numeric_kernel<Negate, NegateInt, 1>, kNumeric);
    table.set(kernels::abs, numeric_kernel<Absolute, AbsoluteInt, 1>, kNumeric);
    table.set(kernels::sign, numeric_kernel<Sign, SignInt, 1>, kReal);
    table.set(kernels::square, numeric_kernel<Square, SquareInt, 1>, kReal);
    table.set(kernels::reciprocal, float_kernel<Reciprocal, 1>, kFloating);
    table.set(kernels::floor, rounding<Floor>, kNumeric);
    table.set(kernels::ceil, rounding<Ceil>, kNumeric);
    table.set(kernels::round, rounding<Round>, kNumeric);
    table.set(kernels::trunc, rounding<Trunc>, kNumeric);
    table.set(kernels::sqrt, float_kernel<Sqrt, 1>, kFloating);
    table.set(kernels::rsqrt, float_kernel<Rsqrt, 1>, kFloating);
    table.set(kernels::relu, numeric_kernel<Relu, ReluInt, 1>, kNumeric);
    table.set(kernels::clamp, numeric_kernel<Clamp, ClampInt, 1>, kNumeric);
}

}  // namespace ember::cuda
