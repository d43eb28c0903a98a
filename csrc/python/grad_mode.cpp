#include <cstring>

#include "core/modes.h"
#include "python/autograd.h"

// Gradient mode, inference mode, anomaly and deterministic modes.
namespace ember::python {

namespace {

// ---- The bases of no_grad, enable_grad, set_grad_enabled and inference_mode. Entering and leaving
// happens in C, decorating in Python (autograd/grad_mode.py).

struct ModeObject {
    PyObject_HEAD uint32_t before;
    bool mode;
};
ModeObject* as_mode(PyObject* o) { return reinterpret_cast<ModeObject*>(o); }

constexpr uint32_t kGradBits = modes::kGrad;
constexpr uint32_t kInferenceBits = modes::kGrad | modes::kInference;

template <uint32_t Bits>
void set_mode(bool on) {
    if constexpr (Bits == kGradBits)
        modes::set_grad_enabled(on);
    else
        modes::set_inference_enabled(on);
}

template <uint32_t Bits>
PyObject* enter(PyObject* self, PyObject*) {
    as_mode(self)->before = modes::word;
    set_mode<Bits>(as_mode(self)->mode);
    if constexpr (Bits == kGradBits) Py_RETURN_NONE;
    return Py_NewRef(self);
}
template <uint32_t Bits>
void restore(PyObject* self) {
    modes::word = (modes::word & ~Bits) | (as_mode(self)->before & Bits);
}
template <uint32_t Bits>
PyObject* leave(PyObject* self, PyObject* const*, Py_ssize_t) {
    restore<Bits>(self);
    Py_RETURN_NONE;
}

PyObject* allocate(PyTypeObject* type, bool mode) {
    PyObject* self = type->tp_alloc(type, 0);
    if (self) {
        as_mode(self)->mode = mode;
        as_mode(self)->before = modes::word;
    }
    return self;
}

// no_grad() makes a context manager; no_grad(f) decorates f.
template <bool Mode>
PyObject* new_without_argument(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
    PyObject* function = nullptr;
    if (EMBER_UNLIKELY(PyTuple_GET_SIZE(args) > 0 || kwargs)) {
        static const char* names[] = {"orig_func", nullptr};
        if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", const_cast<char**>(names), &function))
            return nullptr;
    }
    PyObject* self = allocate(type, Mode);
    if (!self || !function || function == Py_None) return self;
    PyObject* decorated = PyObject_CallOneArg(self, function);
    Py_DECREF(self);
    return decorated;
}

PyObject* new_set_grad_enabled(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
    static const char* names[] = {"mode", nullptr};
    int mode;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "p:set_grad_enabled", const_cast<char**>(names),
                                     &mode))
        return nullptr;
    PyObject* self = allocate(type, mode != 0);
    if (self) modes::set_grad_enabled(mode != 0);  // also without a with block
    return self;
}
// It acted at once; a with block restores what was before that.
PyObject* enter_set_grad_enabled(PyObject* self, PyObject*) {
    modes::set_grad_enabled(as_mode(self)->mode);
    Py_RETURN_NONE;
}
PyObject* undo_set_grad_enabled(PyObject* self, PyObject*) {
    restore<kGradBits>(self);
    Py_RETURN_NONE;
}

PyObject* new_inference_mode(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
    PyObject* mode = Py_True;
    if (EMBER_UNLIKELY(PyTuple_GET_SIZE(args) > 0 || kwargs)) {
        static const char* names[] = {"mode", nullptr};
        if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:inference_mode",
                                         const_cast<char**>(names), &mode))
            return nullptr;
    }
    if (PyBool_Check(mode)) return allocate(type, mode == Py_True);
    PyObject* self = allocate(type, true);
    if (!self) return nullptr;
    PyObject* decorated = PyObject_CallOneArg(self, mode);
    Py_DECREF(self);
    return decorated;
}

void dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject* get_mode(PyObject* self, void*) { return PyBool_FromLong(as_mode(self)->mode); }
PyGetSetDef getset[] = {
    {"mode", get_mode, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

template <uint32_t Bits>
PyMethodDef block_methods[] = {
    {"__enter__", enter<Bits>, METH_NOARGS, nullptr},
    {"__exit__", as_method(leave<Bits>), METH_FASTCALL, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyMethodDef set_grad_enabled_methods[] = {
    {"__enter__", enter_set_grad_enabled, METH_NOARGS, nullptr},
    {"__exit__", as_method(leave<kGradBits>), METH_FASTCALL, nullptr},
    {"_undo", undo_set_grad_enabled, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

bool add_type(PyObject* module, const char* name, newfunc make, PyMethodDef* methods) {
    PyType_Slot slots[] = {
        {Py_tp_new, reinterpret_cast<void*>(make)},
        {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
        {Py_tp_methods, methods},
        {Py_tp_getset, getset},
        {0, nullptr},
    };
    auto* full_name = new std::string(std::string("ember._C.") + name);  // the type points at it
    PyType_Spec spec = {full_name->c_str(), sizeof(ModeObject), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
    PyObject* type = PyType_FromSpec(&spec);
    return type && PyModule_AddObjectRef(module, name, type) == 0;
}

// ---- Functions

template <bool (*F)()>
PyObject* ask(PyObject*, PyObject*) {
    return PyBool_FromLong(F());
}

template <void (*F)(bool)>
PyObject* tell(PyObject*, PyObject* value) {
    int on = PyObject_IsTrue(value);
    if (on < 0) return nullptr;
    F(on != 0);
    Py_RETURN_NONE;
}

template <void (*F)(bool, bool)>
PyObject* tell_two(PyObject*, PyObject* args) {
    int first, second;
    if (!PyArg_ParseTuple(args, "pp", &first, &second)) return nullptr;
    F(first != 0, second != 0);
    Py_RETURN_NONE;
}

constexpr const char* kPrecisions[] = {"none", "ieee", "tf32", "bf16"};

bool device_of(const char* name, DeviceType& type) {
    type = strcmp(name, "cuda") == 0 ? DeviceType::CUDA : DeviceType::CPU;
    if (type == DeviceType::CUDA || strcmp(name, "cpu") == 0) return true;
    PyErr_Format(PyExc_ValueError, "matmul precision: expected cpu or cuda, got '%s'", name);
    return false;
}

PyObject* get_matmul_precision(PyObject*, PyObject* args) {
    const char* device;
    DeviceType type;
    if (!PyArg_ParseTuple(args, "s", &device) || !device_of(device, type)) return nullptr;
    return PyUnicode_FromString(kPrecisions[int(modes::matmul_precision(type))]);
}

PyObject* set_matmul_precision(PyObject*, PyObject* args) {
    const char *device, *name;
    DeviceType type;
    if (!PyArg_ParseTuple(args, "ss", &device, &name) || !device_of(device, type)) return nullptr;
    const bool gpu = type == DeviceType::CUDA;
    for (int i = 0; i < (gpu ? 3 : 4); i++) {
        if (strcmp(name, kPrecisions[i]) != 0) continue;
        modes::set_matmul_precision(type, modes::MatmulPrecision(i));
        Py_RETURN_NONE;
    }
    return PyErr_Format(PyExc_RuntimeError, "fp32_precision: expected %s, got '%s'",
                        gpu ? "none, ieee or tf32" : "none, ieee, tf32 or bf16", name);
}

PyMethodDef functions[] = {
    {"is_grad_enabled", ask<modes::grad_enabled>, METH_NOARGS,
     "is_grad_enabled() -> bool\n\nWhether operations of this thread are recorded."},
    {"_set_grad_enabled", tell<modes::set_grad_enabled>, METH_O, nullptr},
    {"is_inference_mode_enabled", ask<modes::inference_enabled>, METH_NOARGS,
     "is_inference_mode_enabled() -> bool"},
    {"is_anomaly_enabled", ask<modes::anomaly_enabled>, METH_NOARGS,
     "is_anomaly_enabled() -> bool"},
    {"is_anomaly_check_nan_enabled", ask<modes::anomaly_check_nan>, METH_NOARGS,
     "is_anomaly_check_nan_enabled() -> bool"},
    {"_set_anomaly", tell_two<modes::set_anomaly>, METH_VARARGS, nullptr},
    {"are_deterministic_algorithms_enabled", ask<modes::deterministic>, METH_NOARGS,
     "are_deterministic_algorithms_enabled() -> bool"},
    {"is_deterministic_algorithms_warn_only_enabled", ask<modes::deterministic_warn_only>,
     METH_NOARGS, "is_deterministic_algorithms_warn_only_enabled() -> bool"},
    {"_get_matmul_precision", get_matmul_precision, METH_VARARGS, nullptr},
    {"_set_matmul_precision", set_matmul_precision, METH_VARARGS, nullptr},
    {"_set_deterministic", tell_two<modes::set_deterministic>, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool add_grad_mode(PyObject* module) {
    return add_type(module, "_NoGrad", new_without_argument<false>, block_methods<kGradBits>) &&
           add_type(module, "_EnableGrad", new_without_argument<true>, block_methods<kGradBits>) &&
           add_type(module, "_SetGradEnabled", new_set_grad_enabled, set_grad_enabled_methods) &&
           add_type(module, "_InferenceMode", new_inference_mode, block_methods<kInferenceBits>) &&
           PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace ember::python
