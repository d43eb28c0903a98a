#include "python/conversions.h"

#include "ops/copy.h"
#include "ops/factory.h"
#include "ops/view.h"
#include "python/tables.h"

namespace ember::python {

namespace {

bool is_text(PyObject* o) { return PyUnicode_Check(o) || PyBytes_Check(o); }

Tensor from_tensor(const Tensor& x, const DataOptions& options) {
    if (!options.copy) return ops::to(x, options.device, options.dtype, false, false, std::nullopt);
    GradModeGuard no_grad(false);
    return ops::to(x, options.device, options.dtype, false, true, std::nullopt);
}

}  // namespace

Tensor tensor_from_data(const char* name, PyObject* data, const DataOptions& options) {
    if (is_tensor(data)) return from_tensor(with_items(name, tensor_of(data)), options);
    if (is_array(data)) return from_tensor(tensor_from_array(name, data), options);
    bool plain = PyList_Check(data) || PyTuple_Check(data) || is_text(data);
    if (!plain && !PyLong_CheckExact(data) && !PyFloat_CheckExact(data) && !PyType_Check(data) &&
        PyObject_HasAttrString(data, "__array__")) {
        Held numpy(Held::checked(PyImport_ImportModule("numpy")));
        Held array(Held::checked(PyObject_CallMethod(numpy.get(), "asarray", "O", data)));
        return from_tensor(tensor_from_array(name, array.get()), options);
    }
    Tensor t = tensor_from_sequence(name, data, options.dtype);
    return ops::to(t, options.device, std::nullopt, false, false, std::nullopt);
}

namespace {

Tensor tensor(PyObject* data, std::optional<DType> dtype, std::optional<Device> device,
              bool requires_grad, bool) {
    return ops::with_grad(tensor_from_data("tensor", data, {dtype, device}), requires_grad);
}

Tensor as_tensor(PyObject* data, std::optional<DType> dtype, std::optional<Device> device) {
    return tensor_from_data("as_tensor", data, {dtype, device, false});
}

Tensor asarray(PyObject* data, std::optional<DType> dtype, std::optional<Device> device,
               std::optional<bool> copy, bool requires_grad) {
    Tensor t = tensor_from_data("asarray", data, {dtype, device, copy.value_or(false)});
    if (copy && !*copy && !is_tensor(data) && !is_array(data))
        raise_value("asarray: can't alias %s without a copy", Py_TYPE(data)->tp_name);
    if (copy && !*copy && is_tensor(data))
        if (t.impl()->storage != tensor_of(data).impl()->storage)
            raise_value("asarray: can't alias a tensor of another dtype without a copy");
    if (!requires_grad) return t;
    return ops::with_grad(is_tensor(data) && t.is(tensor_of(data)) ? alias(t) : t, true);
}

Tensor new_tensor(const Tensor& self, PyObject* data, std::optional<DType> dtype,
                  std::optional<Device> device, bool requires_grad) {
    DataOptions options{dtype.value_or(self.dtype()), device.value_or(self.device())};
    return ops::with_grad(tensor_from_data("new_tensor", data, options), requires_grad);
}

PyObject* item(const Tensor& t) { return item_of(t); }
PyObject* as_complex(const Tensor& t) {
    Held value(Held::checked(item_of(t)));
    Py_complex c = PyComplex_AsCComplex(value.get());
    if (c.real == -1 && PyErr_Occurred()) throw PythonError();
    return PyComplex_FromCComplex(c);
}
PyObject* tolist(const Tensor& t) {
    Tensor here = ops::to_device(t, {});
    return list_of(here, 0, static_cast<const char*>(here.data()));
}

// ---- Tensor(…): sizes, or data in the default dtype

bool all_integers(PyObject* args) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); i++) {
        PyObject* o = PyTuple_GET_ITEM(args, i);
        if (is_array(o) || !accepts_int(o) || is_tensor(o)) return false;
    }
    return true;
}

// `typed`: a tensor among the arguments must be of the dtype already.
Tensor construct(PyObject* args, DType dtype, bool typed) {
    TensorOptions options{dtype, {}};
    Py_ssize_t n = PyTuple_GET_SIZE(args);
    if (n == 0) return empty({{0}}, options);
    Param size;
    size.function = "Tensor";
    size.position = 1;
    static PyObject* name = PyUnicode_InternFromString("size");
    size.name = name;
    if (all_integers(args)) return empty(read_ints(args, size), options);
    PyObject* data = PyTuple_GET_ITEM(args, 0);
    if (n > 1) raise_type("Tensor: expected sizes or one sequence of data, got %zd arguments", n);
    if (PyTuple_Check(data) && !PyTuple_CheckExact(data))  // an ember.Size
        return empty(read_ints(data, size), options);
    if (is_tensor(data)) {
        Tensor same = with_items("Tensor", tensor_of(data));
        if (typed && same.dtype() != dtype)
            raise_type("Tensor: expected a tensor of %s, got %s", dtype_name(dtype),
                       dtype_name(same.dtype()));
        return ops::view(same, Dims(same.sizes()));
    }
    if (is_text(data) || !PySequence_Check(data))
        raise_type("Tensor: data must be a sequence, got %s", Py_TYPE(data)->tp_name);
    return tensor_from_data("Tensor", data, {options.dtype, std::nullopt});
}

PyObject* tensor_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
    try {
        Py_ssize_t given = kwargs ? PyDict_GET_SIZE(kwargs) : 0;
        PyObject* device = kwargs ? PyDict_GetItemString(kwargs, "device") : nullptr;
        // A subclass may take keywords of its own in __init__.
        if (type == tensor_type && given > (device ? 1 : 0))
            raise_type("Tensor: the only keyword is device; ember.tensor takes dtype and others");
        Tensor t = construct(args, modes::default_dtype(), false);
        if (device && device != Py_None)
            t = ops::to(t, read_device(device, "Tensor"), std::nullopt, false, false, std::nullopt);
        return type == tensor_type ? wrap(t) : wrap_as(type, t);
    } catch (...) {
        return translate_exception();
    }
}

Tensor legacy_new(DType dtype, PyObject* args) {
    if (!PyTuple_Check(args)) raise_type("_legacy_new: expected a tuple of arguments");
    return construct(args, dtype, true);
}

void bind_creation(BindTable& t) {
    bind<&legacy_new>(t, kFunction, "_legacy_new(dtype, args)",
                      "What FloatTensor(*args) and its like make: sizes, or data of the dtype.");
    bind<&tensor>(t, kFunction,
                  "tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False)",
                  "A new tensor with a copy of data: numbers, nested sequences, numpy's arrays, "
                  "tensors. Whole "
                  "numbers give int64, floats the default dtype, bools bool. ValueError for ragged "
                  "sequences.");
    bind<&as_tensor>(
        t, kFunction, "as_tensor(data, dtype=None, device=None)",
        "data as a tensor: tensors and numpy's arrays share memory where dtype and device agree.");
    bind<&asarray>(t, kFunction,
                   "asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False)",
                   "obj as a tensor; copy True always copies, False raises ValueError where it "
                   "would have to.");
    bind<&new_tensor>(t, kMethod,
                      "new_tensor(input, data, *, dtype=None, device=None, requires_grad=False)",
                      "tensor(data) with this tensor's dtype and device by default.");
    bind<&item>(t, kMethod, "item(input)",
                "The only element as a Python number. RuntimeError for more or fewer.");
    bind<&as_complex>(t, kMethod, "__complex__(input)", "The only element as a complex number.");
    bind<&tolist>(t, kMethod, "tolist(input)",
                  "Nested lists of Python numbers; a number if zero-dim.");
}

}  // namespace

void add_conversion_slots(std::vector<PyType_Slot>& slots) {
    slots.push_back({Py_tp_new, reinterpret_cast<void*>(tensor_new)});
}

bool add_conversions(PyObject* module) {
    static BindTable table;
    bind_creation(table);
    bind_numpy(table);
    bind_dlpack(table);
    bind_metadata(table);
    bind_copying(table);
    return table.install(module, tensor_type) && add_copying(module);
}

}  // namespace ember::python
