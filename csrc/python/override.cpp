#include "python/override.h"

#include <string>
#include <vector>

#include "python/ref.h"

namespace ember::python {

PyTypeObject* parameter_type = nullptr;
int entered_modes = 0;

namespace {

thread_local std::vector<PyObject*> modes;  // the innermost last

PyObject *protocol_name, *disabled_function;
thread_local bool protocol_off = false, leaving = false;

// What the type itself says, borrowed; null where functions need not ask.
PyObject* override_of(PyTypeObject* type) {
    PyObject* found = _PyType_Lookup(type, protocol_name);
    return found == disabled_function ? nullptr : found;
}

// Each type once, subclasses before their bases, else in order of the arguments.
void collect(PyObject* o, std::vector<PyObject*>& found) {
    if (is_plain(o) || !override_of(Py_TYPE(o))) return;
    auto at = found.begin();
    for (; at != found.end(); ++at) {
        if (Py_TYPE(*at) == Py_TYPE(o)) return;
        if (PyType_IsSubtype(Py_TYPE(o), Py_TYPE(*at))) break;
    }
    for (auto rest = at; rest != found.end(); ++rest)
        if (Py_TYPE(*rest) == Py_TYPE(o)) return;
    found.insert(at, o);
}

void collect_deep(PyObject* o, std::vector<PyObject*>& found) {
    if (!PyTuple_Check(o) && !PyList_Check(o)) return collect(o, found);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); i++)
        collect(PySequence_Fast_GET_ITEM(o, i), found);
}

// The innermost mode's answer, during which those around it are in force.
PyObject* ask_mode(PyObject* func, PyObject* types, PyObject* args, PyObject* kwargs) {
    PyRef mode = PyRef::steal(modes.back());
    modes.pop_back();
    entered_modes--;
    PyRef handler = PyRef::steal(PyObject_GetAttr(mode.get(), protocol_name));
    PyObject* result = nullptr;
    if (handler)
        result = PyObject_CallFunctionObjArgs(handler.get(), func, types, args, kwargs, nullptr);
    modes.push_back(Py_NewRef(mode.get()));
    entered_modes++;
    return result;
}

// The first answer that is not NotImplemented.
PyObject* ask(const std::vector<PyObject*>& found, PyObject* func, PyObject* args,
              PyObject* kwargs) {
    PyRef types = PyRef::steal(PyTuple_New(Py_ssize_t(found.size())));
    if (!types) return nullptr;
    for (size_t i = 0; i < found.size(); i++)
        PyTuple_SET_ITEM(types.get(), Py_ssize_t(i),
                         Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(found[i]))));
    if (!modes.empty()) {
        PyObject* result = ask_mode(func, types.get(), args, kwargs);
        if (result != Py_NotImplemented) return result;
        Py_DECREF(result);
    }
    for (PyObject* o : found) {
        PyRef handler = PyRef::steal(PyObject_GetAttr(o, protocol_name));
        if (!handler) return nullptr;
        PyObject* result =
            PyObject_CallFunctionObjArgs(handler.get(), func, types.get(), args, kwargs, nullptr);
        if (result != Py_NotImplemented) return result;
        Py_DECREF(result);
    }
    Py_RETURN_NOTIMPLEMENTED;
}

PyObject* refuse(PyObject* func, const std::vector<PyObject*>& found) {
    std::string types = found.empty() ? "the mode" : "";
    for (PyObject* o : found)
        types += (types.empty() ? "" : ", ") + std::string(Py_TYPE(o)->tp_name);
    PyErr_Format(PyExc_TypeError, "%R: __torch_function__ of %s returned NotImplemented", func,
                 types.c_str());
    return nullptr;
}

PyObject* disabled(PyObject*, PyObject* arguments) {
    PyObject *func, *types, *args = nullptr, *kwargs = nullptr;
    if (!PyArg_ParseTuple(arguments, "OO|OO:_disabled_torch_function_impl", &func, &types, &args,
                          &kwargs))
        return nullptr;
    bool was_off = std::exchange(protocol_off, true);
    PyRef positional = args ? PyRef::steal(PySequence_Tuple(args)) : PyRef::steal(PyTuple_New(0));
    PyObject* result = nullptr;
    if (positional)
        result = PyObject_Call(func, positional.get(), kwargs == Py_None ? nullptr : kwargs);
    protocol_off = was_off;
    return result;
}

PyObject* set_enabled(PyObject*, PyObject* on) {
    return PyBool_FromLong(!std::exchange(protocol_off, !PyObject_IsTrue(on)));
}
PyObject* enabled(PyObject*, PyObject*) { return PyBool_FromLong(!protocol_off); }

PyObject* push_mode(PyObject*, PyObject* mode) {
    modes.push_back(Py_NewRef(mode));
    entered_modes++;
    Py_RETURN_NONE;
}
PyObject* pop_mode(PyObject*, PyObject*) {
    if (modes.empty()) {
        PyErr_SetString(PyExc_RuntimeError, "TorchFunctionMode: none is entered on this thread");
        return nullptr;
    }
    PyObject* mode = modes.back();
    modes.pop_back();
    entered_modes--;
    return mode;
}

PyObject* set_parameter_type(PyObject*, PyObject* type) {
    if (!PyType_Check(type) ||
        !PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(type), tensor_type)) {
        PyErr_SetString(PyExc_TypeError, "_set_parameter_type: expected a subclass of Tensor");
        return nullptr;
    }
    Py_XSETREF(parameter_type, reinterpret_cast<PyTypeObject*>(Py_NewRef(type)));
    Py_RETURN_NONE;
}

PyObject* has_override(PyObject*, PyObject* objects) {
    PyRef all = PyRef::steal(PySequence_Tuple(objects));
    if (!all) return nullptr;
    if (has_mode()) Py_RETURN_TRUE;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(all.get()); i++)
        if (overrides(PyTuple_GET_ITEM(all.get(), i))) Py_RETURN_TRUE;
    Py_RETURN_FALSE;
}

bool any_override(PyObject* o) {
    if (!PyTuple_Check(o) && !PyList_Check(o)) return overrides(o);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); i++)
        if (overrides(PySequence_Fast_GET_ITEM(o, i))) return true;
    return false;
}

// _overridden(function, args, kwargs): what the types among the arguments of a function of Python
// make of it, as a tuple of one; None where there are none.
PyObject* overridden(PyObject*, PyObject* const* given, Py_ssize_t n) {
    if (n != 3 || !PyTuple_Check(given[1]) || !PyDict_Check(given[2])) {
        PyErr_SetString(PyExc_TypeError, "_overridden: expected a function, a tuple and a dict");
        return nullptr;
    }
    PyObject *func = given[0], *args = given[1], *kwargs = given[2];
    bool asks = has_mode();
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); i++)
        asks = asks || any_override(PyTuple_GET_ITEM(args, i));
    PyObject *key, *value;
    for (Py_ssize_t at = 0; PyDict_Next(kwargs, &at, &key, &value);)
        asks = asks || any_override(value);
    if (!asks) Py_RETURN_NONE;
    std::vector<PyObject*> found;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); i++)
        collect_deep(PyTuple_GET_ITEM(args, i), found);
    for (Py_ssize_t at = 0; PyDict_Next(kwargs, &at, &key, &value);) collect_deep(value, found);
    PyRef result = PyRef::steal(ask(found, func, args, kwargs));
    if (!result) return nullptr;
    return result.get() == Py_NotImplemented ? refuse(func, found) : PyTuple_Pack(1, result.get());
}

// overrides.handle_torch_function
PyObject* handle(PyObject*, PyObject* arguments) {
    PyObject *func, *relevant, *args, *kwargs;
    if (!PyArg_ParseTuple(arguments, "OO!O!O!:_handle_torch_function", &func, &PyTuple_Type,
                          &relevant, &PyTuple_Type, &args, &PyDict_Type, &kwargs))
        return nullptr;
    std::vector<PyObject*> found;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(relevant); i++)
        collect(PyTuple_GET_ITEM(relevant, i), found);
    PyObject* result = ask(found, func, args, kwargs);
    if (result != Py_NotImplemented) return result;
    Py_DECREF(result);
    return refuse(func, found);
}

// ---- with DisableTorchFunctionSubclass(): …

struct OffObject {
    PyObject_HEAD bool was_off;
};

PyObject* off_enter(PyObject* self, PyObject*) {
    reinterpret_cast<OffObject*>(self)->was_off = std::exchange(protocol_off, true);
    return Py_NewRef(self);
}
PyObject* off_exit(PyObject* self, PyObject*) {
    protocol_off = reinterpret_cast<OffObject*>(self)->was_off;
    Py_RETURN_NONE;
}
PyMethodDef off_methods[] = {
    {"__enter__", off_enter, METH_NOARGS, nullptr},
    {"__exit__", off_exit, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyType_Slot off_slots[] = {
    {Py_tp_methods, off_methods},
    {Py_tp_new, reinterpret_cast<void*>(PyType_GenericNew)},
    {Py_tp_doc, const_cast<char*>("While entered, functions take instances of subclasses of Tensor "
                                  "for tensors and call no __torch_function__.")},
    {0, nullptr},
};
PyType_Spec off_spec = {"ember._C.DisableTorchFunctionSubclass", sizeof(OffObject), 0,
                        Py_TPFLAGS_DEFAULT, off_slots};

PyMethodDef functions[] = {
    {"_disabled_torch_function_impl", disabled, METH_VARARGS,
     "_disabled_torch_function_impl(func, types, args=(), kwargs=None)\n\nThe __torch_function__ "
     "of "
     "types whose instances functions take for plain tensors, such as Parameter."},
    {"_set_torch_function_enabled", set_enabled, METH_O, nullptr},
    {"_is_torch_function_enabled", enabled, METH_NOARGS, nullptr},
    {"_push_function_mode", push_mode, METH_O, nullptr},
    {"_pop_function_mode", pop_mode, METH_NOARGS, nullptr},
    {"_overridden", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(overridden)),
     METH_FASTCALL, nullptr},
    {"_set_parameter_type", set_parameter_type, METH_O, nullptr},
    {"_has_torch_function", has_override, METH_O,
     "_has_torch_function(objects)\n\nWhether a type among these defines __torch_function__."},
    {"_handle_torch_function", handle, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool mode_on_this_thread() { return !modes.empty(); }

bool type_overrides(PyTypeObject* type) {
    // The most frequent keys and operands that are not tensors.
    if (type == &PyLong_Type || type == &PyFloat_Type || type == &PySlice_Type) return false;
    return !protocol_off && override_of(type) != nullptr;
}

const Tensor& with_items(const char* name, const Tensor& t) {
    if (EMBER_UNLIKELY(t.impl()->wrapper))
        raise(ErrorKind::NotImplemented, "%s: expected a strided tensor, got a %s", name,
              t.impl()->pyobject ? Py_TYPE(static_cast<PyObject*>(t.impl()->pyobject))->tp_name
                                 : "wrapper");
    return t;
}

void leave_to_override() {
    leaving = true;
    throw Leaving();
}

bool left_to_override() { return std::exchange(leaving, false); }

PyObject* call_override(PyObject* func, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames,
                        bool is_operator) {
    PyRef function = PyRef::steal(func);
    Py_ssize_t named = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    std::vector<PyObject*> found;
    for (Py_ssize_t i = 0; i < nargs + named; i++) collect_deep(args[i], found);
    PyRef positional = PyRef::steal(PyTuple_New(nargs)), keywords;
    if (named) keywords = PyRef::steal(PyDict_New());
    if (!function || !positional || (named && !keywords)) return nullptr;
    for (Py_ssize_t i = 0; i < nargs; i++)
        PyTuple_SET_ITEM(positional.get(), i, Py_NewRef(args[i]));
    for (Py_ssize_t i = 0; i < named; i++)
        if (PyDict_SetItem(keywords.get(), PyTuple_GET_ITEM(kwnames, i), args[nargs + i]) < 0)
            return nullptr;
    PyObject* result = ask(found, function.get(), positional.get(), keywords.get());
    if (result != Py_NotImplemented || is_operator) return result;
    Py_DECREF(result);
    return refuse(function.get(), found);
}

PyObject* override_method(const char* name, std::initializer_list<PyObject*> args,
                          bool is_operator) {
    PyObject* func = PyObject_GetAttrString(reinterpret_cast<PyObject*>(tensor_type), name);
    return call_override(func, args.begin(), Py_ssize_t(args.size()), nullptr, is_operator);
}

PyObject* override_attribute(const char* name, const char* slot,
                             std::initializer_list<PyObject*> args) {
    PyRef attribute =
        PyRef::steal(PyObject_GetAttrString(reinterpret_cast<PyObject*>(tensor_type), name));
    if (!attribute) return nullptr;
    PyObject* func = PyObject_GetAttrString(attribute.get(), slot);
    return call_override(func, args.begin(), Py_ssize_t(args.size()), nullptr);
}

bool add_override(PyObject* module) {
    protocol_name = PyUnicode_InternFromString("__torch_function__");
    if (!protocol_name || PyModule_AddFunctions(module, functions) < 0) return false;
    disabled_function = PyObject_GetAttrString(module, "_disabled_torch_function_impl");
    PyObject* off = PyType_FromSpec(&off_spec);
    bool done = disabled_function && off &&
                PyModule_AddObjectRef(module, "DisableTorchFunctionSubclass", off) == 0;
    Py_XDECREF(off);
    return done;
}

}  // namespace ember::python
