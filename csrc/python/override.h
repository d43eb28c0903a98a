#pragma once

#include <initializer_list>

#include "python/tensor_type.h"

// PyTorch's __torch_function__ protocol: a function that meets an argument whose type defines
// __torch_function__ hands itself and its arguments to that. Tensors and parameters pay a
// comparison of their type for it.
namespace ember::python {

extern PyTypeObject* parameter_type;  // ember.nn.Parameter, once there is one

inline bool is_plain(PyObject* o) {
    return Py_TYPE(o) == tensor_type || Py_TYPE(o) == parameter_type;
}

// How many entered TorchFunctionModes all threads have; whether this one has any, which then see
// every function before the arguments' types do.
extern int entered_modes;
bool mode_on_this_thread();
inline bool has_mode() { return EMBER_UNLIKELY(entered_modes != 0) && mode_on_this_thread(); }

// Whether functions must ask o's type. False for tensors and parameters, and while the protocol
// is off.
bool type_overrides(PyTypeObject* type);
inline bool overrides(PyObject* o) {
    return has_mode() || (!is_plain(o) && type_overrides(Py_TYPE(o)));
}

// Raises NotImplementedError for a tensor without items of its own, which `name` would read.
const Tensor& with_items(const char* name, const Tensor& t);

// Thrown out of the function that reads its arguments; its caller then calls the override.
struct Leaving {};
[[noreturn]] void leave_to_override();
// After an exception was caught: whether it was that one. Once.
bool left_to_override();

// Calls __torch_function__ of the types among the arguments, subclasses before their bases. `func`
// (stolen) is the public function object. Where all return NotImplemented: TypeError, or
// NotImplemented itself for an operator.
PyObject* call_override(PyObject* func, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames,
                        bool is_operator = false);
// The same of a method or operator of Tensor by its name.
PyObject* override_method(const char* name, std::initializer_list<PyObject*> args,
                          bool is_operator = false);
// Of an attribute: `slot` is "__get__" or "__set__".
PyObject* override_attribute(const char* name, const char* slot,
                             std::initializer_list<PyObject*> args);

bool add_override(PyObject* module);

}  // namespace ember::python
