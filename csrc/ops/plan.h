#pragma once

#include "autograd/record.h"
#include "core/view.h"
#include "kernels/pointwise.h"
#include "ops/launch.h"

namespace ember::ops {

// (5, 1, 4) and (3, 1) give (5, 3, 4); raises RuntimeError naming `name` when they do not match.
EMBER_EXPORT Dims broadcast_sizes(const char* name, IntSpan a, IntSpan b);

// The dtype an operation on these computes in, by PyTorch's rules: tensors with dims count before
// zero-dim ones, those before Python numbers, unless a later group is of a higher category.
EMBER_EXPORT DType result_type(std::span<const Tensor> inputs);
// The same, with integers and bool taken to the default dtype.
EMBER_EXPORT DType float_result_type(std::span<const Tensor> inputs);
EMBER_EXPORT bool can_cast(DType from, DType to);
// Raises RuntimeError for a zero-dim `value` outside of a dtype's range. As in PyTorch fractions
// are cut off, negative numbers wrap around into uint8, and bool takes everything.
EMBER_EXPORT void check_number_fits(const char* name, const Tensor& value, DType dtype);

// Raises unless `out=` fits: no gradients asked for, castable dtype, same device.
EMBER_EXPORT void check_out(const char* name, const Tensor& out, DType result,
                            bool inputs_need_grad);
// `out` with `sizes`: resized when it has others (as PyTorch resizes `out=`).
EMBER_EXPORT void resize_out(const char* name, const Tensor& out, IntSpan sizes);

// Raises unless both are on one device; `other` may be undefined.
inline void check_same_device(const char* name, const Tensor& t, const Tensor& other) {
    EMBER_CHECK(!other.defined() || t.device() == other.device(),
                "%s: all tensors must be on one device, got %s and %s", name,
                to_string(t.device()).c_str(), to_string(other.device()).c_str());
}

struct PointwiseOptions {
    DType compute;             // inputs convert to it
    DType out;                 // dtype of a fresh result
    double ns_per_item = 0.5;  // of one core, for letting Python's lock go
    Number immediate[4];

    PointwiseOptions(DType compute_in, DType result, std::initializer_list<Number> numbers = {},
                     double ns = 0.5)
        : compute(compute_in), out(result), ns_per_item(ns) {
        std::copy(numbers.begin(), numbers.end(), immediate);
    }
};

using Operands = std::span<const Tensor* const>;

// Broadcasts, checks, allocates (or takes `dest`), runs, counts the change in place.
EMBER_EXPORT Tensor pointwise(const kernels::Pointwise& slot, const char* name, Operands inputs,
                              const Dest& dest, const PointwiseOptions& options);
inline Tensor pointwise(const kernels::Pointwise& slot, const char* name,
                        std::initializer_list<TensorRef> inputs, const Dest& dest,
                        const PointwiseOptions& options) {
    const Tensor* list[kMaxOperands];
    size_t n = 0;
    for (const Tensor& t : inputs) list[n++] = &t;
    return pointwise(slot, name, Operands(list, n), dest, options);
}

// The plan of `operands` (outputs first), all broadcast to the sizes of operand 0.
EMBER_EXPORT void make_plan(Plan& plan, Operands operands, int outputs, DType compute);

// How a reduction of `in` over the dims marked reads and writes; `out` has the kept dims (size 1 or
// absent where reduced).
EMBER_EXPORT void make_reduce_plan(ReducePlan& plan, const Tensor& in, const bool* reduced,
                                   const Tensor& out, bool keepdim);

// A tensor over a Python number: takes the least part in promotion.
EMBER_EXPORT Tensor wrapped_number(Number number);
inline Number number(double d) {
    Number n;
    n.kind = Number::Kind::Float;
    n.d = d;
    return n;
}
inline Number number(int64_t i) {
    Number n;
    n.kind = Number::Kind::Int;
    n.i = i;
    return n;
}

}  // namespace ember::ops
