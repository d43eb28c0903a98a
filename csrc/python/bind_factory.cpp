#include "ops/copy.h"
#include "ops/factory.h"
#include "ops/index.h"
#include "ops/pointwise.h"
#include "python/tables.h"

namespace ember::python {

namespace {

using Format = std::optional<MemoryFormat>;

// In page-locked memory where that is asked for.
Tensor placed(Tensor t, bool pin_memory, bool requires_grad) {
    return ops::with_grad(pin_memory ? ops::pin_memory(t) : t, requires_grad);
}
Tensor zeros(const Dims& size, std::optional<DType> dtype, StridedLayout,
             std::optional<Device> device, bool pin_memory, bool requires_grad) {
    return placed(ops::zeros_op(size, dtype, device), pin_memory, requires_grad);
}
Tensor ones(const Dims& size, std::optional<DType> dtype, StridedLayout,
            std::optional<Device> device, bool pin_memory, bool requires_grad) {
    return placed(ops::ones_op(size, dtype, device), pin_memory, requires_grad);
}
Tensor full(const Dims& size, Number value, std::optional<DType> dtype, StridedLayout,
            std::optional<Device> device, bool pin_memory, bool requires_grad) {
    return placed(ops::full_op(size, value, dtype, device), pin_memory, requires_grad);
}
Tensor empty(const Dims& size, std::optional<DType> dtype, StridedLayout,
             std::optional<Device> device, bool pin_memory, bool requires_grad, Format format) {
    return placed(ops::empty_op(size, dtype, device, false, format), pin_memory, requires_grad);
}
Tensor empty_strided(const Dims& size, const Dims& stride, std::optional<DType> dtype,
                     StridedLayout, std::optional<Device> device, bool pin_memory,
                     bool requires_grad) {
    return placed(ops::empty_strided_op(size, stride, dtype, device, false), pin_memory,
                  requires_grad);
}
template <Tensor (*F)(const Tensor&, std::optional<DType>, std::optional<Device>, bool, Format)>
Tensor like(const Tensor& input, std::optional<DType> dtype, StridedLayout,
            std::optional<Device> device, bool requires_grad, Format format) {
    return F(input, dtype, device, requires_grad, format);
}
Tensor full_like(const Tensor& input, Number value, std::optional<DType> dtype, StridedLayout,
                 std::optional<Device> device, bool requires_grad, Format format) {
    return ops::full_like(input, value, dtype, device, requires_grad, format);
}
Tensor arange_end(Number end, std::optional<DType> dtype, StridedLayout,
                  std::optional<Device> device, bool requires_grad) {
    return ops::arange(end, std::nullopt, ops::number(int64_t(1)), dtype, device, requires_grad);
}
Tensor arange(Number start, Number end, Number step, std::optional<DType> dtype, StridedLayout,
              std::optional<Device> device, bool requires_grad) {
    return ops::arange(start, end, step, dtype, device, requires_grad);
}
Tensor linspace(double start, double end, int64_t steps, std::optional<DType> dtype, StridedLayout,
                std::optional<Device> device, bool requires_grad) {
    return ops::linspace(start, end, steps, dtype, device, requires_grad);
}
Tensor eye(int64_t n, std::optional<int64_t> m, std::optional<DType> dtype, StridedLayout,
           std::optional<Device> device, bool requires_grad) {
    return ops::eye(n, m, dtype, device, requires_grad);
}
Tensor where(const Tensor& condition, const Tensor& input, const Tensor& other, const Dest& out) {
    return ops::where(condition, input, other, out);
}
Tensor where_method(const Tensor& input, const Tensor& condition, const Tensor& other) {
    return ops::where(condition, input, other);
}

}  // namespace

void bind_factory(BindTable& t) {
    constexpr int both = kFunction | kMethod;
#define EMBER_OPTIONS "dtype=None, layout=None, device=None, requires_grad=False"
#define EMBER_PINNED "dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False"
    bind<&zeros>(t, kFunction, "zeros(*size, out=None, " EMBER_PINNED ")", "A tensor of zeros.");
    bind<&ones>(t, kFunction, "ones(*size, out=None, " EMBER_PINNED ")", "A tensor of ones.");
    bind<&full>(t, kFunction,
                "full(size: tuple, fill_value: complex, *, out=None, " EMBER_PINNED ")",
                "A tensor filled with a number, whose kind gives the dtype.");
    bind<&empty>(t, kFunction, "empty(*size, out=None, " EMBER_PINNED ", memory_format=None)",
                 "A tensor of uninitialised memory.");
    bind<&empty_strided>(t, kFunction, "empty_strided(size, stride, *, " EMBER_PINNED ")",
                         "Uninitialised memory with these strides (in elements).");
    bind<&like<ops::empty_like_op>>(
        t, kFunction, "empty_like(input, *, " EMBER_OPTIONS ", memory_format=None)",
        "Uninitialised memory of input's shape, dtype and dense layout.");
    bind<&like<ops::zeros_like>>(t, kFunction,
                                 "zeros_like(input, *, " EMBER_OPTIONS ", memory_format=None)",
                                 "Zeros of input's shape, dtype and dense layout.");
    bind<&like<ops::ones_like>>(t, kFunction,
                                "ones_like(input, *, " EMBER_OPTIONS ", memory_format=None)",
                                "Ones of input's shape, dtype and dense layout.");
    bind<&full_like>(t, kFunction,
                     "full_like(input, fill_value: complex, *, " EMBER_OPTIONS
                     ", memory_format=None)",
                     "A number in input's shape, dtype and dense layout.");
    bind<&arange_end, &arange>(
        t, kFunction,
        {"arange(end, *, out=None, " EMBER_OPTIONS ")",
         "arange(start, end, step=1, *, out=None, " EMBER_OPTIONS ")"},
        "start, start + step, … up to but not including end. int64 for whole numbers.");
    bind<&linspace>(t, kFunction, "linspace(start, end, steps, *, out=None, " EMBER_OPTIONS ")",
                    "`steps` numbers from start to end, both included, evenly spaced.");
    bind<&eye>(t, kFunction, "eye(n, m=None, *, out=None, " EMBER_OPTIONS ")",
               "The n x m matrix with ones on the diagonal; m is n by default.");
    bind<&ops::tril>(t, both, "tril(input, diagonal=0, *, out=None)",
                     "The lower triangle of the last two dims, zeros above `diagonal`.");
    bind<&ops::triu>(t, both, "triu(input, diagonal=0, *, out=None)",
                     "The upper triangle of the last two dims, zeros below `diagonal`.");
    bind<&where, &ops::nonzero_tuple>(
        t, kFunction,
        {"where(condition, input: Tensor | Number, other: Tensor | Number, *, out=None)",
         "where(condition)"},
        "input where condition (bool) is True, else other; broadcast and promoted. With the "
        "condition "
        "alone: the indices of its non-zero elements, one tensor a dim.");
    bind<&where_method>(t, kMethod, "where(input, condition, other: Tensor | Number)",
                        "The tensor where condition (bool) is True, else other.");
#undef EMBER_OPTIONS
#undef EMBER_PINNED
}

}  // namespace ember::python
