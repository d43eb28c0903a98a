#pragma once

#include <Python.h>

#include "core/tensor.h"

// The Tensor type: a heap type of its own, because a fresh object through it costs a fraction of
// what pybind11's would.
namespace ember::python {

struct TensorObject {
    PyObject_HEAD TensorImpl* impl;  // one count, unless the tensor owns this object
    PyObject* dict;
    PyObject* weakrefs;
};

extern PyTypeObject* tensor_type;

inline bool is_tensor(PyObject* o) {
    return Py_TYPE(o) == tensor_type || PyType_IsSubtype(Py_TYPE(o), tensor_type);
}
// Borrows: valid while the object lives. The object must be a tensor.
inline const Tensor& tensor_of(PyObject* o) {
    static_assert(sizeof(Tensor) == sizeof(TensorImpl*));
    return reinterpret_cast<const Tensor&>(reinterpret_cast<TensorObject*>(o)->impl);
}
// The tensor's one Python object, made if there is none; None for an undefined tensor.
PyObject* wrap(Tensor tensor);
// An object of `type`, a subclass of Tensor, around a tensor that has no Python object yet.
PyObject* wrap_as(PyTypeObject* type, Tensor tensor);

bool add_tensor_type(PyObject* module);

}  // namespace ember::python
