#include "cuda/pointwise.cuh"

// Bits, logic, selection, and copies with conversion; what all pointwise kernels share on the host.
namespace ember::cuda {

double number_on_host(const char* data, DType dtype, int64_t* whole) {
    double x = 0;
    auto take = [&](auto tag) {
        using T = typename decltype(tag)::type;
        T item;
        memcpy(&item, data, sizeof item);
        if constexpr (is_half<T>)
            x = to_float(item);
        else
            x = double(item);
        if constexpr (std::is_integral_v<T>)
            *whole = int64_t(item);
        else
            *whole = x >= -0x1p63 && x < 0x1p63 ? int64_t(x) : INT64_MIN;
    };
    dispatch_real(dtype, take);
    return x;
}

double rounded_on_host(double x, DType dtype) {
    if (dtype == DType::Float16) return to_float(to_half(float(x)));
    if (dtype == DType::BFloat16) return to_float(to_bfloat16(float(x)));
    return x;
}

bool is_dense(const Plan& plan, DType dtype, DType out) {
    if (plan.ndim != 1) return false;
    for (int k = 0; k < plan.operands; k++) {
        if (plan.on_host >> k & 1) continue;
        DType expected = k == 0 ? out : dtype;
        if (plan.operand[k].dtype != expected ||
            plan.operand[k].strides[0] != item_size(expected) ||
            reinterpret_cast<uintptr_t>(plan.operand[k].data) % 16 != 0)
            return false;
    }
    return true;
}

namespace {

EMBER_BINARY(And, a& b)
EMBER_BINARY(Or, a | b)
EMBER_BINARY(Xor, a ^ b)
EMBER_UNARY(Not, ~x)
EMBER_UNARY(IsZero, x == V(0))
EMBER_UNARY(Identity, x)
EMBER_BINARY(LogicalAnd, a != V(0) && b != V(0))
EMBER_BINARY(LogicalOr, a != V(0) || b != V(0))
EMBER_BINARY(LogicalXor, (a != V(0)) != (b != V(0)))
EMBER_TERNARY(Where, a != V(0) ? b : c)

void bitwise_not(Context& context, const Plan& plan) {
    if (plan.compute == DType::Bool)
        integer_kernel<IsZero, 1>(context, plan);
    else
        integer_kernel<Not, 1>(context, plan);
}

// Operands of any dtype count as true where they are not zero.
template <class F, int Inputs>
void logical(Context& context, const Plan& plan) {
    dispatch_compute(plan.compute, [&](auto tag) {
        run_general<F, typename decltype(tag)::type, Inputs>(context, plan, false);
    });
}

void where(Context& context, const Plan& plan) {
    dispatch_compute(plan.compute, [&](auto tag) {
        using C = typename decltype(tag)::type;
        auto call = make_call<C, 3>(context, plan, false);
        call.rounds &= ~2u;  // the condition is no number of the compute dtype
        run_items(context, general_kernel<Where, C, 3>, plan.numel, call);
    });
}

void copy(Context& context, const Plan& plan) {
    const Plan::Operand &out = plan.operand[0], &in = plan.operand[1];
    if (plan.ndim == 1 && plan.on_host == 0 && out.dtype == in.dtype &&
        out.strides[0] == item_size(out.dtype) && in.strides[0] == item_size(in.dtype)) {
        check(context.operation,
              cudaMemcpyAsync(out.data, in.data, size_t(plan.numel) * size_t(item_size(out.dtype)),
                              cudaMemcpyDeviceToDevice, stream_of(context)));
        return;
    }
    // What computes is what the input's values need; the output's dtype rounds.
    Plan typed = plan;
    typed.compute = in.dtype;
    dispatch_compute(in.dtype, [&](auto tag) {
        run_general<Identity, typename decltype(tag)::type, 1>(context, typed, false);
    });
}

}  // namespace

void register_pointwise_int(const Table& table) {
    table.set(kernels::copy, copy, kReal);
    table.set(kernels::bitwise_and, integer_kernel<And, 2>, kIntegral);
    table.set(kernels::bitwise_or, integer_kernel<Or, 2>, kIntegral);
    table.set(kernels::bitwise_xor, integer_kernel<Xor, 2>, kIntegral);
    table.set(kernels::bitwise_not, bitwise_not, kIntegral);
    table.set(kernels::logical_and, logical<LogicalAnd, 2>, kReal);
    table.set(kernels::logical_or, logical<LogicalOr, 2>, kReal);
    table.set(kernels::logical_xor, logical<LogicalXor, 2>, kReal);
    table.set(kernels::logical_not, logical<IsZero, 1>, kReal);
    table.set(kernels::where, where, kReal);
}

}  // namespace ember::cuda
