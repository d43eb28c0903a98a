#pragma once

#include "cuda/layout.cuh"
#include "kernels/formulas/pointwise.h"
#include "kernels/pointwise.h"

// A pointwise kernel from a formula on single numbers. Dense operands of one floating dtype are
// read by 16 bytes; all others by their strides, converted as they are read and written.
namespace ember::cuda {

// The plan's numbers, and where a formula reports bad input.
template <class C>
struct Numbers {
    C first, second, third;
    int64_t low, high;  // of integers: the same, at most the dtype's range
    Fault* fault;
    const char* operation;

    Numbers(const Context& context, const Plan& plan)
        : first(plan.immediate[0].as<C>()),
          second(plan.immediate[1].as<C>()),
          third(plan.immediate[2].as<C>()),
          low(0),
          high(0),
          fault(fault_of(context)),
          operation(context.operation) {
        if constexpr (std::is_same_v<C, int64_t>) {
            low = saturated(plan.immediate[0], plan.compute);
            high = saturated(plan.immediate[1], plan.compute);
        }
    }

private:
    static int64_t saturated(Number n, DType dtype) {
        int bits = item_size(dtype) * 8;
        bool is_unsigned = dtype == DType::UInt8 || dtype == DType::Bool;
        int64_t low = is_unsigned ? 0 : int64_t(~uint64_t(0) << (bits - 1));
        int64_t high = is_unsigned ? 255 : ~low;
        if (n.kind == Number::Kind::Float) {
            if (n.d != n.d) return 0;
            return n.d <= double(low) ? low : n.d >= double(high) ? high : int64_t(n.d);
        }
        return clamp_to(n.i, low, high);
    }
};

template <class F, class N, class... V>
EMBER_DEVICE auto call(const N& numbers, V... items) {
    if constexpr (requires(F f) { f(items..., numbers); })
        return F{}(items..., numbers);
    else
        return F{}(items...);
}
template <class F, class N, class C, size_t... I>
EMBER_DEVICE auto call_array(const N& numbers, const C* x, std::index_sequence<I...>) {
    return call<F>(numbers, x[I]...);
}

template <class C, int Inputs>
struct Call {
    Layout<Inputs + 1> layout;
    int64_t numel;
    char* data[Inputs + 1];
    DType dtype[Inputs + 1];
    DType compute;
    uint32_t on_host, rounds;  // bits of operands: given by value; wider than the compute dtype
    C value[Inputs + 1];
    Numbers<C> numbers;
};

template <class F, class C, int Inputs>
__global__ void general_kernel(const __grid_constant__ Call<C, Inputs> call) {
    EMBER_FOR_ITEMS(i, call.numel) {
        int64_t at[Inputs + 1];
        call.layout.offsets(i, at);
        C x[Inputs];
        for (int k = 1; k <= Inputs; k++) {
            if (call.on_host >> k & 1)
                x[k - 1] = call.value[k];
            else
                x[k - 1] = load_as<C>(call.data[k] + at[k], call.dtype[k]);
            if (call.rounds >> k & 1) x[k - 1] = round_to(x[k - 1], call.compute);
        }
        auto y = call_array<F>(call.numbers, x, std::make_index_sequence<Inputs>());
        char* out = call.data[0] + at[0];
        if constexpr (std::is_same_v<decltype(y), bool>)
            store_as<int64_t>(out, call.dtype[0], y);
        else if constexpr (std::is_same_v<C, int64_t>)
            store_as<int64_t>(out, call.dtype[0], round_to(int64_t(y), call.compute));
        else
            store_as<C>(out, call.dtype[0], y);
    }
}

template <class T, int Size>
struct alignas(sizeof(T) * Size) Pack {
    T item[Size];
};

template <class F, class T, int Inputs, class R>
__global__ void dense_kernel(const __grid_constant__ Call<Compute<T>, Inputs> call) {
    using C = Compute<T>;
    constexpr int size = 16 / sizeof(T);
    using In = Pack<T, size>;
    using Out = Pack<R, size>;
    EMBER_FOR_ITEMS(p, ceil_div(call.numel, size)) {
        int64_t first = p * size;
        In in[Inputs];
        Out out;
        bool whole = first + size <= call.numel;
        for (int k = 0; k < Inputs; k++) {
            if (call.on_host >> (k + 1) & 1) continue;
            const T* from = reinterpret_cast<const T*>(call.data[k + 1]) + first;
            if (whole)
                in[k] = *reinterpret_cast<const In*>(from);
            else
                for (int j = 0; j < size; j++)
                    if (first + j < call.numel) in[k].item[j] = from[j];
        }
        for (int j = 0; j < size; j++) {
            if (!whole && first + j >= call.numel) break;
            C x[Inputs];
            for (int k = 0; k < Inputs; k++)
                x[k] = call.on_host >> (k + 1) & 1 ? call.value[k + 1] : C(widen(in[k].item[j]));
            out.item[j] =
                narrow<R>(call_array<F>(call.numbers, x, std::make_index_sequence<Inputs>()));
        }
        R* to = reinterpret_cast<R*>(call.data[0]) + first;
        if (whole)
            *reinterpret_cast<Out*>(to) = out;
        else
            for (int j = 0; j < size; j++)
                if (first + j < call.numel) to[j] = out.item[j];
    }
}

double number_on_host(const char* data, DType dtype, int64_t* whole);
double rounded_on_host(double x, DType dtype);

template <class C, int Inputs>
Call<C, Inputs> make_call(const Context& context, const Plan& plan, bool exact_numbers) {
    Call<C, Inputs> call{.numbers = Numbers<C>(context, plan)};
    call.numel = plan.numel;
    call.compute = plan.compute;
    call.on_host = plan.on_host;
    call.rounds = 0;
    for (int k = 0; k <= Inputs; k++) {
        call.data[k] = plan.operand[k].data;
        call.dtype[k] = plan.operand[k].dtype;
        if (plan.on_host >> k & 1) {
            int64_t whole;
            double x = number_on_host(plan.operand[k].data, plan.operand[k].dtype, &whole);
            call.value[k] = std::is_same_v<C, int64_t> ? C(whole) : C(x);
            if (!exact_numbers && !std::is_same_v<C, int64_t>)
                call.value[k] = C(rounded_on_host(double(call.value[k]), plan.compute));
        }
        bool exact = exact_numbers && (plan.on_host >> k & 1);
        if (k > 0 && call.dtype[k] != plan.compute && !exact) call.rounds |= 1u << k;
    }
    for (int d = 0; d < plan.ndim; d++) {
        const auto* operand = plan.operand;
        if constexpr (Inputs == 1)
            call.layout.push(context.operation, plan.sizes[d], operand[0].strides[d],
                             operand[1].strides[d]);
        else if constexpr (Inputs == 2)
            call.layout.push(context.operation, plan.sizes[d], operand[0].strides[d],
                             operand[1].strides[d], operand[2].strides[d]);
        else
            call.layout.push(context.operation, plan.sizes[d], operand[0].strides[d],
                             operand[1].strides[d], operand[2].strides[d], operand[3].strides[d]);
    }
    call.layout.finish();
    return call;
}

// Whether all operands are dense runs of `dtype` that begin at a multiple of 16 bytes; the result's
// dtype may be another one.
bool is_dense(const Plan& plan, DType dtype, DType out);

template <class F, class C, int Inputs>
void run_general(Context& context, const Plan& plan, bool exact_numbers) {
    run_items(context, general_kernel<F, C, Inputs>, plan.numel,
              make_call<C, Inputs>(context, plan, exact_numbers));
}

enum class Result { Same, Bool };

template <class F, int Inputs, Result Kind, bool ExactNumbers, class T>
bool run_dense(Context& context, const Plan& plan) {
    using R = std::conditional_t<Kind == Result::Bool, bool, T>;
    if (plan.compute != DTypeOf<T>::value || !is_dense(plan, DTypeOf<T>::value, DTypeOf<R>::value))
        return false;
    run_items(context, dense_kernel<F, T, Inputs, R>, ceil_div(plan.numel, 16 / sizeof(T)),
              make_call<Compute<T>, Inputs>(context, plan, ExactNumbers));
    return true;
}

// A kernel of floating dtypes.
template <class F, int Inputs, Result Kind = Result::Same, bool ExactNumbers = false>
void float_kernel(Context& context, const Plan& plan) {
    if (run_dense<F, Inputs, Kind, ExactNumbers, float>(context, plan) ||
        run_dense<F, Inputs, Kind, ExactNumbers, Half>(context, plan) ||
        run_dense<F, Inputs, Kind, ExactNumbers, BFloat16>(context, plan))
        return;
    if (plan.compute == DType::Float64)
        run_general<F, double, Inputs>(context, plan, ExactNumbers);
    else
        run_general<F, float, Inputs>(context, plan, ExactNumbers);
}

// A kernel of integers and bool, which compute in int64 and wrap when they are stored.
template <class F, int Inputs>
void integer_kernel(Context& context, const Plan& plan) {
    run_general<F, int64_t, Inputs>(context, plan, false);
}

// F for floating dtypes, I for the others.
template <class F, class I, int Inputs, Result Kind = Result::Same, bool ExactNumbers = false>
void numeric_kernel(Context& context, const Plan& plan) {
    if (is_integral(plan.compute))
        integer_kernel<I, Inputs>(context, plan);
    else
        float_kernel<F, Inputs, Kind, ExactNumbers>(context, plan);
}

}  // namespace ember::cuda

// struct Name: a formula of (a, b) or of (a, b, n), n being the plan's numbers.
#define EMBER_UNARY(Name, expression)             \
    struct Name {                                 \
        template <class V>                        \
        EMBER_DEVICE auto operator()(V x) const { \
            return expression;                    \
        }                                         \
    };
#define EMBER_UNARY_NUMBERS(Name, expression)          \
    struct Name {                                      \
        template <class V, class N>                    \
        EMBER_DEVICE auto operator()(V x, N n) const { \
            return expression;                         \
        }                                              \
    };
#define EMBER_BINARY(Name, expression)                 \
    struct Name {                                      \
        template <class V>                             \
        EMBER_DEVICE auto operator()(V a, V b) const { \
            return expression;                         \
        }                                              \
    };
#define EMBER_BINARY_NUMBERS(Name, expression)              \
    struct Name {                                           \
        template <class V, class N>                         \
        EMBER_DEVICE auto operator()(V a, V b, N n) const { \
            return expression;                              \
        }                                                   \
    };
#define EMBER_TERNARY(Name, expression)                     \
    struct Name {                                           \
        template <class V>                                  \
        EMBER_DEVICE auto operator()(V a, V b, V c) const { \
            return expression;                              \
        }                                                   \
    };
#define EMBER_TERNARY_NUMBERS(Name, expression)                  \
    struct Name {                                                \
        template <class V, class N>                              \
        EMBER_DEVICE auto operator()(V a, V b, V c, N n) const { \
            return expression;                                   \
        }                                                        \
    };
