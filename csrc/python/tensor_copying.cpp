#include <cstring>

#include "autograd/meta.h"
#include "ops/copy.h"
#include "ops/factory.h"
#include "ops/view.h"
#include "python/conversions.h"
#include "python/tables.h"

// Storages, subclasses, pickle and deep copies.
namespace ember::python {

namespace {

// ---- Storages

uint64_t storage_id(const Tensor& t) { return reinterpret_cast<uintptr_t>(t.impl()->storage); }
Fact storage_identity(const Tensor& t) { return {PyLong_FromUnsignedLongLong(storage_id(t))}; }

// All bytes of the storage, shared.
Tensor storage_bytes(const Tensor& t) {
    Tensor bytes = alias(t, {{int64_t(t.impl()->storage->bytes)}}, {{1}}, 0);
    bytes.impl()->dtype = DType::UInt8;
    return bytes;
}

// A tensor of `like`'s layout and dtype over other bytes, laid out as like's storage.
Tensor over_bytes(const Tensor& bytes, DType dtype, IntSpan sizes, IntSpan strides,
                  int64_t offset) {
    Tensor out = alias(bytes, sizes, strides, offset);
    out.impl()->dtype = dtype;
    return out;
}

Tensor tensor_from_storage(const Tensor& storage, DType dtype, int64_t offset, const Dims& size,
                           const Dims& stride) {
    const char* name = "_tensor_from_storage";
    EMBER_CHECK(storage.dtype() == DType::UInt8 && storage.dim() == 1 && storage.is_contiguous(),
                "%s: storage must be a contiguous uint8 vector, got %s of shape %s", name,
                dtype_name(storage.dtype()), to_string(storage.sizes()).c_str());
    EMBER_CHECK(size.size() == stride.size(), "%s: size %s and stride %s must be equally long",
                name, to_string(size).c_str(), to_string(stride).c_str());
    int64_t width = item_size(dtype);
    EMBER_CHECK(storage.offset() % width == 0,
                "%s: the storage must begin at a multiple of %ld bytes, got %ld", name, long(width),
                long(storage.offset()));
    int64_t numel = checked_numel(name, size, dtype), last = offset,
            items = storage.numel() / width;
    bool inside = offset >= 0;
    for (int d = 0; d < size.size(); d++) {
        int64_t reach = 0;
        inside = inside && stride[d] >= 0;
        if (inside && numel > 0)
            inside = !__builtin_mul_overflow(size[d] - 1, stride[d], &reach) &&
                     !__builtin_add_overflow(last, reach, &last);
    }
    EMBER_CHECK(
        inside && (numel > 0 ? last < items : offset <= items),
        "%s: size %s, stride %s and offset %ld are out of bounds for a storage of %ld items", name,
        to_string(size).c_str(), to_string(stride).c_str(), long(offset), long(items));
    return over_bytes(storage, dtype, size, stride, storage.offset() / width + offset);
}

// ---- Subclasses

PyTypeObject* checked_class(const char* name, PyObject* cls) {
    if (!PyType_Check(cls) || !PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(cls), tensor_type))
        raise_type("%s: expected a subclass of Tensor, got %s", name,
                   PyType_Check(cls) ? reinterpret_cast<PyTypeObject*>(cls)->tp_name
                                     : Py_TYPE(cls)->tp_name);
    return reinterpret_cast<PyTypeObject*>(cls);
}

// Neither calls __torch_function__ of the tensor's type.
PyObject* make_subclass(PyObject* cls, PyObject* data, bool requires_grad) {
    PyTypeObject* type = checked_class("_make_subclass", cls);
    if (!is_tensor(data))
        raise_type("_make_subclass: expected a Tensor, got %s", Py_TYPE(data)->tp_name);
    return wrap_as(type, ops::with_grad(ops::detach(tensor_of(data)), requires_grad));
}

PyObject* as_subclass(PyObject* input, PyObject* cls) {
    const Tensor& t = tensor_of(input);
    PyTypeObject* type = checked_class("as_subclass", cls);
    return wrap_as(type, ops::view(t, Dims(t.sizes())));
}

// ---- Pickle

PyObject* attributes_of(PyObject* self) {
    PyObject* dict = reinterpret_cast<TensorObject*>(self)->dict;
    return dict && PyDict_GET_SIZE(dict) > 0 ? dict : nullptr;
}

void set_attributes(PyObject* o, PyObject* attributes) {
    if (attributes == Py_None) return;
    Held dict(Held::checked(PyObject_GenericGetDict(o, nullptr)));
    if (PyDict_Update(dict.get(), attributes) < 0) throw PythonError();
}

PyObject* rebuild_function = nullptr;

PyObject* int_tuple(IntSpan items) {
    PyObject* tuple = Held::checked(PyTuple_New(Py_ssize_t(items.size())));
    for (size_t i = 0; i < items.size(); i++)
        PyTuple_SET_ITEM(tuple, Py_ssize_t(i), PyLong_FromLongLong(items[i]));
    return tuple;
}

// (rebuild, (class, bytes, dtype, size, stride, requires_grad, attributes, device)): the elements
// alone, with the tensor's dense layout.
PyObject* reduce(PyObject* self, PyObject*) {
    const Tensor& t = tensor_of(self);
    Tensor items = t;
    {
        GradModeGuard no_grad(false);
        if (!t.is_dense()) items = ops::clone(t, MemoryFormat::Contiguous);
        items = ops::to_device(items, {});
    }
    Held bytes(Held::checked(PyBytes_FromStringAndSize(static_cast<const char*>(items.data()),
                                                       t.numel() * t.item_bytes())));
    Held dtype(wrap_dtype(t.dtype())), size(int_tuple(t.sizes())),
        stride(int_tuple(items.strides()));
    PyObject* attributes = attributes_of(self);
    return Held::checked(
        Py_BuildValue("O(OOOOOOOs)", rebuild_function, Py_TYPE(self), bytes.get(), dtype.get(),
                      size.get(), stride.get(), t.requires_grad() ? Py_True : Py_False,
                      attributes ? attributes : Py_None, to_string(t.device()).c_str()));
}

PyObject* rebuild(PyObject* cls, PyObject* bytes, DType dtype, const Dims& size, const Dims& stride,
                  bool requires_grad, PyObject* attributes, Device device) {
    const char* name = "_rebuild_tensor";
    PyTypeObject* type = checked_class(name, cls);
    if (!PyBytes_Check(bytes))
        raise_type("%s: expected bytes, got %s", name, Py_TYPE(bytes)->tp_name);
    if (attributes != Py_None && !PyDict_Check(attributes))
        raise_type("%s: expected a dict of attributes, got %s", name, Py_TYPE(attributes)->tp_name);
    Tensor t = empty_strided(size, stride, {dtype, {}});
    int64_t expected = t.numel() * t.item_bytes();
    EMBER_CHECK(PyBytes_GET_SIZE(bytes) == expected && t.is_dense(),
                "%s: size %s and stride %s of %s take %ld bytes without gaps, got %ld", name,
                to_string(size).c_str(), to_string(stride).c_str(), dtype_name(dtype),
                long(expected), long(PyBytes_GET_SIZE(bytes)));
    std::memcpy(t.data(), PyBytes_AS_STRING(bytes), size_t(expected));
    t = ops::to_device(t, device);
    ops::with_grad(t, requires_grad);
    Held out(Held::checked(wrap_as(type, t)));
    set_attributes(out.get(), attributes);
    return out.detach();
}

// ---- Copies

// copy.copy: another tensor over the same memory.
PyObject* shallow_copy(PyObject* self, PyObject*) {
    const Tensor& t = tensor_of(self);
    Held out(Held::checked(wrap_as(Py_TYPE(self), ops::with_grad(alias(t), t.requires_grad()))));
    if (PyObject* attributes = attributes_of(self)) set_attributes(out.get(), attributes);
    return out.detach();
}

PyObject* call_deepcopy(PyObject* o, PyObject* memo) {
    Held copy(Held::checked(PyImport_ImportModule("copy")));
    return Held::checked(PyObject_CallMethod(copy.get(), "deepcopy", "OO", o, memo));
}

// The copy of a storage, made once in one deep copy: tensors that share memory share it afterwards.
Tensor copied_storage(const Tensor& t, PyObject* memo) {
    Held key(Held::checked(
        Py_BuildValue("(sK)", "ember.storage", static_cast<unsigned long long>(storage_id(t)))));
    if (PyObject* known = PyDict_GetItemWithError(memo, key.get())) return tensor_of(known);
    if (PyErr_Occurred()) throw PythonError();
    Tensor copy = ops::clone(storage_bytes(t), MemoryFormat::Contiguous);
    Held wrapped(Held::checked(wrap(copy)));
    if (PyDict_SetItem(memo, key.get(), wrapped.get()) < 0) throw PythonError();
    return copy;
}

PyObject* deep_copy(PyObject* self, PyObject* memo) {
    const Tensor& t = tensor_of(self);
    if (!PyDict_Check(memo))
        raise_type("__deepcopy__: expected a dict as memo, got %s", Py_TYPE(memo)->tp_name);
    Held id(Held::checked(PyLong_FromVoidPtr(self)));
    if (PyObject* known = PyDict_GetItemWithError(memo, id.get())) return Py_NewRef(known);
    if (PyErr_Occurred()) throw PythonError();
    EMBER_CHECK(
        !t.requires_grad() || !grad_fn(t),
        "__deepcopy__: only tensors created by the user (graph leaves) can be copied deeply; "
        "detach this one first");
    GradModeGuard no_grad(false);
    Tensor copy =
        over_bytes(copied_storage(t, memo), t.dtype(), t.sizes(), t.strides(), t.offset());
    ops::with_grad(copy, t.requires_grad());
    Held out(Held::checked(wrap_as(Py_TYPE(self), copy)));
    if (PyDict_SetItem(memo, id.get(), out.get()) < 0) throw PythonError();
    if (t.impl()->meta && t.impl()->meta->grad.defined()) {
        Held grad(Held::checked(wrap(t.impl()->meta->grad)));
        Held copied(call_deepcopy(grad.get(), memo));
        if (!is_tensor(copied.get()))
            raise_type("__deepcopy__: the copy of a gradient is a %s",
                       Py_TYPE(copied.get())->tp_name);
        autograd_meta(copy).grad = tensor_of(copied.get());
    }
    if (PyObject* attributes = attributes_of(self)) {
        Held copied(call_deepcopy(attributes, memo));
        set_attributes(out.get(), copied.get());
    }
    return out.detach();
}

template <PyObject* (*F)(PyObject*, PyObject*)>
PyObject* guarded(PyObject* self, PyObject* argument) {
    try {
        return F(self, argument);
    } catch (...) {
        return translate_exception();
    }
}

PyMethodDef object_methods[] = {
    {"__reduce_ex__", guarded<reduce>, METH_O, "Pickles class, elements, layout and attributes."},
    {"__copy__", guarded<shallow_copy>, METH_NOARGS, "Another tensor over the same memory."},
    {"__deepcopy__", guarded<deep_copy>, METH_O,
     "A copy of the memory, class, gradient and attributes. RuntimeError for non-leaves."},
};

bool put(PyObject* descriptor, const char* name) {
    if (!descriptor) return false;
    bool done = PyDict_SetItemString(tensor_type->tp_dict, name, descriptor) == 0;
    Py_DECREF(descriptor);
    return done;
}

}  // namespace

void bind_copying(BindTable& t) {
    bind<&storage_identity>(t, kMethod, "_storage_id(input)",
                            "A number that tells storages apart.");
    bind<&storage_bytes>(t, kFunction, "_storage_tensor(input)",
                         "All bytes of the tensor's storage, as a uint8 vector that shares it.");
    bind<&tensor_from_storage>(
        t, kFunction, "_tensor_from_storage(storage, dtype, storage_offset, size, stride)",
        "A tensor over the memory of a uint8 vector. RuntimeError outside of it.");
    bind<&as_subclass>(t, kMethod, "as_subclass(input, cls)",
                       "A view of this tensor as an instance of a subclass of Tensor.");
    bind<&make_subclass>(t, kFunction, "_make_subclass(cls, data, require_grad=False)",
                         "An instance of a subclass of Tensor over data's memory: a leaf.");
    bind<&rebuild>(
        t, kFunction,
        "_rebuild_tensor(cls, data, dtype, size, stride, requires_grad, attributes, device='cpu')",
        "What a pickled tensor is rebuilt by.");
}

bool add_copying(PyObject* module) {
    rebuild_function = PyObject_GetAttrString(module, "_rebuild_tensor");
    PyObject* subclass = PyObject_GetAttrString(module, "_make_subclass");
    if (!rebuild_function || !subclass) return false;
    bool done = put(PyStaticMethod_New(subclass), "_make_subclass");
    Py_DECREF(subclass);
    for (PyMethodDef& method : object_methods)
        done = done && put(PyDescr_NewMethod(tensor_type, &method), method.ml_name);
    // Above numpy's arrays, so that `array * tensor` asks the tensor.
    done = done && put(PyLong_FromLong(1000), "__array_priority__");
    PyType_Modified(tensor_type);
    return done;
}

}  // namespace ember::python
