#include "python/tensor_type.h"

#include <Python.h>
#include <structmember.h>

#include "python/autograd.h"
#include "python/tables.h"

namespace ember::python {

PyTypeObject* tensor_type = nullptr;

namespace {

// Objects of exactly the base type are reused; making and freeing one is most of a small
// operation's Python time.
constexpr int kMaxFree = 256;
TensorObject* free_objects[kMaxFree];
int free_count = 0;

TensorObject* allocate_object(PyTypeObject* type) {
    if (type == tensor_type && free_count > 0) {
        TensorObject* o = free_objects[--free_count];
        PyObject_Init(reinterpret_cast<PyObject*>(o), type);
        PyObject_GC_Track(o);
        return o;
    }
    auto* o = reinterpret_cast<TensorObject*>(type->tp_alloc(type, 0));
    return o;
}

// The tensor lives on in C++: it keeps the object, with its attributes and its identity. Objects
// of Python subclasses arrive here too, at the end of subtype_dealloc, which leaves dict and
// weak references alone because this type has its own.
bool hand_over_to_tensor(TensorObject* o) {
    TensorImpl* impl = o->impl;
    if (!impl || impl->owns_pyobject || impl->refs.load(std::memory_order_acquire) == 1)
        return false;
    bool plain = Py_TYPE(o) == tensor_type && o->dict == nullptr && o->weakrefs == nullptr;
    if (plain) return false;
    impl->owns_pyobject = true;
    Py_SET_REFCNT(reinterpret_cast<PyObject*>(o), 1);
    if (!PyObject_GC_IsTracked(reinterpret_cast<PyObject*>(o))) PyObject_GC_Track(o);
    impl->release();  // its count was the object's
    return true;
}

void dealloc(PyObject* self) {
    auto* o = reinterpret_cast<TensorObject*>(self);
    PyTypeObject* type = Py_TYPE(self);
    if (hand_over_to_tensor(o)) return;
    PyObject_GC_UnTrack(self);
    TensorImpl* impl = std::exchange(o->impl, nullptr);
    if (impl) impl->pyobject = nullptr;
    if (o->weakrefs) PyObject_ClearWeakRefs(self);
    Py_CLEAR(o->dict);
    if (impl) impl->release();
    if (type == tensor_type && free_count < kMaxFree) {
        free_objects[free_count++] = o;
        Py_DECREF(type);
        return;
    }
    type->tp_free(self);
    Py_DECREF(type);
}

int traverse(PyObject* self, visitproc visit, void* arg) {
    auto* o = reinterpret_cast<TensorObject*>(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(o->dict);
    return o->impl ? visit_owned(*o->impl, visit, arg) : 0;
}

int clear(PyObject* self) {
    auto* o = reinterpret_cast<TensorObject*>(self);
    Py_CLEAR(o->dict);
    if (o->impl) clear_owned(*o->impl);
    return 0;
}

void release_from_tensor(void* object) {
    PyGILState_STATE state = PyGILState_Ensure();
    auto* o = static_cast<TensorObject*>(object);
    o->impl = nullptr;
    Py_DECREF(reinterpret_cast<PyObject*>(o));
    PyGILState_Release(state);
}

PyMemberDef members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(TensorObject, dict), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TensorObject, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

}  // namespace

PyObject* wrap_as(PyTypeObject* type, Tensor tensor) {
    TensorObject* o = allocate_object(type);
    if (!o) return nullptr;
    o->dict = nullptr;
    o->weakrefs = nullptr;
    o->impl = tensor.impl();
    o->impl->retain();
    o->impl->pyobject = o;
    return reinterpret_cast<PyObject*>(o);
}

PyObject* wrap(Tensor tensor) {
    if (!tensor.defined()) Py_RETURN_NONE;
    TensorImpl* impl = tensor.impl();
    if (auto* o = static_cast<PyObject*>(impl->pyobject)) {
        if (impl->owns_pyobject) {  // the reference the tensor had becomes the caller's
            impl->owns_pyobject = false;
            impl->retain();
            return o;
        }
        return Py_NewRef(o);
    }
    return wrap_as(tensor_type, std::move(tensor));
}

bool add_tensor_type(PyObject* module) {
    std::vector<PyType_Slot> slots = {
        {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
        {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
        {Py_tp_clear, reinterpret_cast<void*>(clear)},
        {Py_tp_members, members},
    };
    add_tensor_slots(slots);
    slots.push_back({0, nullptr});
    PyType_Spec spec = {"ember.Tensor", sizeof(TensorObject), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
                        slots.data()};
    tensor_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
    if (!tensor_type) return false;
    release_pyobject = release_from_tensor;
    return PyModule_AddObjectRef(module, "Tensor", reinterpret_cast<PyObject*>(tensor_type)) == 0;
}

}  // namespace ember::python
