#include <limits>

#include "cpu/pointwise.h"
#include "kernels/formulas/integer.h"

// Pointwise kernels of integers, bool and raw items: plain loops that the compiler vectorises.
namespace ember::cpu::EMBER_LEVEL {
namespace {

using namespace formulas;

// A number as T; beyond T's range the nearest end.
template <class T>
EMBER_INLINE T saturate(Number n) {
    using Limits = std::numeric_limits<T>;
    if (n.kind == Number::Kind::Float) {
        if (n.d != n.d) return 0;
        if (n.d <= double(Limits::lowest())) return Limits::lowest();
        if (n.d >= double(Limits::max())) return Limits::max();
        return T(n.d);
    }
    if (n.i < int64_t(Limits::lowest())) return Limits::lowest();
    if (n.i > int64_t(Limits::max())) return Limits::max();
    return T(n.i);
}

// The plan's numbers for a loop over T.
template <class T>
struct Numbers {
    T first, low, high;
    EMBER_INLINE explicit Numbers(const Number* n)
        : first(n[0].as<T>()), low(saturate<T>(n[0])), high(saturate<T>(n[1])) {}
};

// R = f(First, T, T, numbers) or with fewer inputs.
template <class F, int Inputs, class R, class First, class T>
__attribute__((flatten)) void loop(char* const* data, int64_t n, const Number* immediate, bool) {
    R* out = reinterpret_cast<R*>(data[0]);
    const First* a = reinterpret_cast<const First*>(data[1]);
    Numbers<T> numbers(immediate);
    F f;
    if constexpr (Inputs == 1) {
#pragma GCC ivdep
        for (int64_t i = 0; i < n; i++) out[i] = R(call(f, numbers, a[i]));
    } else if constexpr (Inputs == 2) {
        const T* b = reinterpret_cast<const T*>(data[2]);
#pragma GCC ivdep
        for (int64_t i = 0; i < n; i++) out[i] = R(call(f, numbers, a[i], b[i]));
    } else {
        const T* b = reinterpret_cast<const T*>(data[2]);
        const T* c = reinterpret_cast<const T*>(data[3]);
#pragma GCC ivdep
        for (int64_t i = 0; i < n; i++) out[i] = R(call(f, numbers, a[i], b[i], c[i]));
    }
}

// A kernel of the integers (bool counts as uint8 where the slot's mask admits it).
template <class F, int Inputs, int Cost>
void kernel(Context&, const Plan& plan) {
    auto run = [&](auto tag) {
        using T = typename decltype(tag)::type;
        static constexpr LoopInfo info{loop<F, Inputs, T, T, T>,
                                       DTypeOf<T>::value,
                                       DTypeOf<T>::value,
                                       DTypeOf<T>::value,
                                       false,
                                       Cost};
        start(plan, info);
    };
    dispatch<uint8_t, int8_t, int16_t, int32_t, int64_t>(plan.compute, run);
}

// The same for bool, on bytes of 0 and 1.
template <class F, int Inputs>
void bool_kernel(Context&, const Plan& plan) {
    static constexpr LoopInfo info{loop<F, Inputs, uint8_t, uint8_t, uint8_t>,
                                   DType::Bool,
                                   DType::Bool,
                                   DType::Bool,
                                   false,
                                   1};
    start(plan, info);
}

template <class F, class G, int Inputs>
void with_bool(Context& context, const Plan& plan) {
    if (plan.compute == DType::Bool)
        bool_kernel<G, Inputs>(context, plan);
    else
        kernel<F, Inputs, 1>(context, plan);
}

template <class F>
void comparison(Context&, const Plan& plan) {
    auto run = [&](auto tag) {
        using T = typename decltype(tag)::type;
        using Item = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;
        static constexpr LoopInfo info{loop<F, 2, uint8_t, Item, Item>,
                                       DType::Bool,
                                       DTypeOf<T>::value,
                                       DTypeOf<T>::value,
                                       false,
                                       1};
        start(plan, info);
    };
    dispatch<bool, uint8_t, int8_t, int16_t, int32_t, int64_t>(plan.compute, run);
}

// A kernel on items of any dtype that looks at their bits alone, chosen by their size.
template <class F, int Inputs, bool Conditional>
void bits_kernel(Context&, const Plan& plan) {
    auto run = [&](auto unsigned_item) {
        using U = decltype(unsigned_item);
        using First = std::conditional_t<Conditional, uint8_t, U>;
        LoopInfo info{loop<F, Inputs, U, First, U>,
                      plan.compute,
                      plan.compute,
                      Conditional ? DType::Bool : plan.compute,
                      false,
                      1};
        start(plan, info);
    };
    switch (item_size(plan.compute)) {
        case 1: return run(uint8_t{});
        case 2: return run(uint16_t{});
        case 4: return run(uint32_t{});
        default: return run(uint64_t{});
    }
}

template <class T>
EMBER_INLINE T nonzero(T divisor, const char* name) {
    if (EMBER_UNLIKELY(divisor == 0)) raise("%s: ZeroDivisionError: a divisor is zero", name);
    return divisor;
}

using Add = decltype([](auto a, auto b, auto n) { return wrap_add(a, wrap_multiply(n.first, b)); });
using AddBool = decltype([](auto a, auto b, auto n) { return a | (b & (n.first != 0)); });
using Multiply = decltype([](auto a, auto b) { return wrap_multiply(a, b); });
using And = decltype([](auto a, auto b) { return a & b; });
using Or = decltype([](auto a, auto b) { return a | b; });
using Xor = decltype([](auto a, auto b) { return a ^ b; });
using Not = decltype([](auto a) { return ~a; });
using NotBool = decltype([](auto a) { return a ^ 1; });
using FloorDivide =
    decltype([](auto a, auto b) { return divide_flooring(a, nonzero(b, "floor_divide")); });
using TruncDivide =
    decltype([](auto a, auto b) { return divide_truncating(a, nonzero(b, "div")); });
using Remainder =
    decltype([](auto a, auto b) { return remainder_flooring(a, nonzero(b, "remainder")); });
using Fmod = decltype([](auto a, auto b) { return remainder_truncating(a, nonzero(b, "fmod")); });
using Power = decltype([](auto a, auto b) { return power(a, b); });
using Maximum = decltype([](auto a, auto b) { return a > b ? a : b; });
using Minimum = decltype([](auto a, auto b) { return a < b ? a : b; });
using Equal = decltype([](auto a, auto b) { return a == b; });
using NotEqual = decltype([](auto a, auto b) { return a != b; });
using Less = decltype([](auto a, auto b) { return a < b; });
using LessEqual = decltype([](auto a, auto b) { return a <= b; });
using Greater = decltype([](auto a, auto b) { return a > b; });
using GreaterEqual = decltype([](auto a, auto b) { return a >= b; });
using Negate = decltype([](auto a) { return wrap_negate(a); });
using Absolute = decltype([](auto a) { return absolute(a); });
using NegateHalf = decltype([](uint16_t bits) { return bits ^ 0x8000; });
using AbsoluteHalf = decltype([](uint16_t bits) { return bits & 0x7fff; });
using Sign = decltype([](auto a) { return sign_of(a); });
using Square = decltype([](auto a) { return wrap_multiply(a, a); });
using Identity = decltype([](auto a) { return a; });
using Relu = decltype([](auto a) { return a > 0 ? a : decltype(a)(0); });
using Clamp = decltype([](auto a, auto n) {
    auto raised = a < n.low ? n.low : a;
    return raised > n.high ? n.high : raised;
});
using Addcmul = decltype([](auto x, auto a, auto b, auto n) {
    return wrap_add(x, wrap_multiply(n.first, wrap_multiply(a, b)));
});
using Where = decltype([](uint8_t condition, auto a, auto b) { return condition ? a : b; });

void bitwise_not(Context& context, const Plan& plan) {
    if (plan.compute == DType::Bool)
        bool_kernel<NotBool, 1>(context, plan);
    else
        bits_kernel<Not, 1, false>(context, plan);
}

template <class F, class OfHalf>
void with_halves(Context& context, const Plan& plan) {
    if (is_integral(plan.compute)) return kernel<F, 1, 1>(context, plan);
    DType half = plan.compute;
    LoopInfo info{loop<OfHalf, 1, uint16_t, uint16_t, uint16_t>, half, half, half, false, 1};
    start(plan, info);
}

constexpr IntegerKernels kIntegerKernels = {
    .add = with_bool<Add, AddBool, 2>,
    .mul = with_bool<Multiply, And, 2>,
    .floor_divide = kernel<FloorDivide, 2, 4>,
    .trunc_divide = kernel<TruncDivide, 2, 4>,
    .remainder = kernel<Remainder, 2, 4>,
    .fmod = kernel<Fmod, 2, 4>,
    .pow = kernel<Power, 2, 4>,
    .maximum = with_bool<Maximum, Or, 2>,
    .minimum = with_bool<Minimum, And, 2>,
    .eq = comparison<Equal>,
    .ne = comparison<NotEqual>,
    .lt = comparison<Less>,
    .le = comparison<LessEqual>,
    .gt = comparison<Greater>,
    .ge = comparison<GreaterEqual>,
    .neg = with_halves<Negate, NegateHalf>,
    .abs = with_halves<Absolute, AbsoluteHalf>,
    .sign = with_bool<Sign, Identity, 1>,
    .square = with_bool<Square, Identity, 1>,
    .identity = with_bool<Identity, Identity, 1>,
    .relu = kernel<Relu, 1, 1>,
    .clamp = kernel<Clamp, 1, 1>,
    .addcmul = kernel<Addcmul, 3, 1>,
};

}  // namespace

void register_pointwise_int(Table& table) {
    pointwise_shared.integers = kIntegerKernels;
    table.set(kernels::bitwise_and, bits_kernel<And, 2, false>, kIntegral);
    table.set(kernels::bitwise_or, bits_kernel<Or, 2, false>, kIntegral);
    table.set(kernels::bitwise_xor, bits_kernel<Xor, 2, false>, kIntegral);
    table.set(kernels::bitwise_not, bitwise_not, kIntegral);
    table.set(kernels::logical_and, bool_kernel<And, 2>, kReal | kComplex);
    table.set(kernels::logical_or, bool_kernel<Or, 2>, kReal | kComplex);
    table.set(kernels::logical_xor, bool_kernel<Xor, 2>, kReal | kComplex);
    table.set(kernels::logical_not, bool_kernel<NotBool, 1>, kReal | kComplex);
    table.set(kernels::where, bits_kernel<Where, 3, true>, kReal);
}

}  // namespace ember::cpu::EMBER_LEVEL
