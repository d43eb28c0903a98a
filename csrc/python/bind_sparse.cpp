#include "ops/factory.h"
#include "ops/sparse.h"
#include "python/tables.h"

// What python/ember/sparse is made of.
namespace ember::python {

namespace {

Tensor sparse_matmul(const Tensor& rows, const Tensor& columns, const Tensor& order,
                     const Tensor& column_offsets, const Tensor& column_rows,
                     const Tensor& column_order, const Tensor& values, const Tensor& dense) {
    return ops::sparse_matmul({{rows, columns, order}, {column_offsets, column_rows, column_order}},
                              values, dense);
}

PyObject* make_wrapper(PyObject* cls, const Dims& size, std::optional<DType> dtype,
                       std::optional<Device> device) {
    const char* name = "_make_wrapper_subclass";
    auto* type = reinterpret_cast<PyTypeObject*>(cls);
    if (!PyType_Check(cls) || !PyType_IsSubtype(type, tensor_type) || type == tensor_type)
        raise_type("%s: expected a subclass of Tensor", name);
    TensorOptions options{dtype.value_or(modes::default_dtype()), device.value_or(Device())};
    checked_numel(name, size, options.dtype);
    Dims strides;
    for (int64_t n : size) strides.push_back(n * 0);
    Tensor wrapper = alias(ops::zeros({}, options), size, strides, 0);
    wrapper.impl()->wrapper = true;
    return wrap_as(type, wrapper);
}

}  // namespace

void bind_sparse(BindTable& t) {
    bind<&sparse_matmul>(
        t, kFunction,
        "_sparse_matmul(rows, columns, order: Tensor | None, column_offsets: Tensor | None, "
        "column_rows: Tensor | None, column_order: Tensor | None, values, dense)",
        "A sparse matrix times a dense one. The sparse one's items by rows: offsets (m + 1,), "
        "columns and, unless the values stand in this order, where each one's value is; the same "
        "by columns, which gradients need.");
    bind<&make_wrapper>(t, kFunction,
                        "_make_wrapper_subclass(cls, size, *, dtype=None, device=None)",
                        "An instance of a subclass of Tensor without items of its own, for classes "
                        "whose __torch_function__ does all the work.");
}

}  // namespace ember::python
