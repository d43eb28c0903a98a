#pragma once

#include "kernel_test.h"
#include "kernels/pointwise.h"

// Plans over dense memory, for the tests of pointwise kernels.
namespace ember::test {

namespace k = ember::kernels;
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Operand {
    void* data;
    DType dtype;
};

inline Number number(double d) {
    Number n;
    n.kind = Number::Kind::Float;
    n.d = d;
    return n;
}
inline Number number(int64_t i) {
    Number n;
    n.i = i;
    return n;
}

inline Plan flat_plan(DType compute, int64_t n, std::initializer_list<Operand> operands,
                      std::initializer_list<Number> numbers = {}) {
    Plan plan;
    plan.ndim = 1;
    plan.operands = int(operands.size());
    plan.outputs = 1;
    plan.compute = compute;
    plan.numel = plan.sizes[0] = n;
    int i = 0;
    for (const Operand& o : operands) {
        plan.operand[i].data = static_cast<char*>(o.data);
        plan.operand[i].dtype = o.dtype;
        plan.operand[i++].strides[0] = n == 1 ? 0 : item_size(o.dtype);
    }
    i = 0;
    for (Number n : numbers) plan.immediate[i++] = n;
    return plan;
}

inline void run(const k::Pointwise& slot, const Plan& plan) {
    Context context;
    slot(DeviceType::CPU, context, plan);
}

template <class T>
std::vector<T> apply(const k::Pointwise& slot, std::vector<std::vector<T>> inputs,
                     std::initializer_list<Number> numbers = {}) {
    std::vector<T> out(inputs[0].size());
    Plan plan = flat_plan(DTypeOf<T>::value, int64_t(out.size()), {{out.data(), DTypeOf<T>::value}},
                          numbers);
    for (auto& in : inputs) {
        Plan::Operand& o = plan.operand[plan.operands++];
        o.data = reinterpret_cast<char*>(in.data());
        o.dtype = DTypeOf<T>::value;
        o.strides[0] = out.size() == 1 ? 0 : int64_t(sizeof(T));
    }
    run(slot, plan);
    return out;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace ember::test
