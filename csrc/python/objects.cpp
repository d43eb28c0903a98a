#include "python/objects.h"

#include <cstring>

#include "python/reader.h"

namespace ember::python {

namespace {

// dtype and memory_format are enumerations of singletons; one layout serves both.
struct EnumObject {
    PyObject_HEAD int value;
    const char* name;
};

PyTypeObject *dtype_type, *format_type, *layout_type, *device_type, *size_type;
PyObject* dtypes_by_value[kDTypeCount];
PyObject* formats_by_value[4];

const EnumObject* as_enum(PyObject* o) { return reinterpret_cast<EnumObject*>(o); }

PyObject* enum_repr(PyObject* self) {
    return PyUnicode_FromFormat("ember.%s", as_enum(self)->name);
}

// A string makes pickle look up the name in the type's module, ember.
PyObject* enum_reduce(PyObject* self, PyObject*) {
    return PyUnicode_FromString(as_enum(self)->name);
}

PyObject* enum_copy(PyObject* self, PyObject*) { return Py_NewRef(self); }

PyMethodDef enum_methods[] = {
    {"__reduce__", enum_reduce, METH_NOARGS, nullptr},
    {"__copy__", enum_copy, METH_NOARGS, nullptr},
    {"__deepcopy__", enum_copy, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

DType value_of(PyObject* self) { return DType(as_enum(self)->value); }
PyObject* dtype_is_floating(PyObject* self, void*) {
    return PyBool_FromLong(is_floating(value_of(self)));
}
PyObject* dtype_is_complex(PyObject* self, void*) {
    return PyBool_FromLong(is_complex(value_of(self)));
}
PyObject* dtype_is_signed(PyObject* self, void*) {
    DType d = value_of(self);
    return PyBool_FromLong(d != DType::Bool && d != DType::UInt8);
}
PyObject* dtype_itemsize(PyObject* self, void*) {
    return PyLong_FromLong(item_size(value_of(self)));
}
PyGetSetDef dtype_getset[] = {
    {"is_floating_point", dtype_is_floating, nullptr, nullptr, nullptr},
    {"is_complex", dtype_is_complex, nullptr, nullptr, nullptr},
    {"is_signed", dtype_is_signed, nullptr, nullptr, nullptr},
    {"itemsize", dtype_itemsize, nullptr, "Bytes of one element.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyTypeObject* make_enum_type(const char* name, PyGetSetDef* getset) {
    PyType_Slot slots[] = {
        {Py_tp_repr, reinterpret_cast<void*>(enum_repr)},
        {Py_tp_methods, enum_methods},
        {getset ? Py_tp_getset : 0, getset},
        {0, nullptr},
    };
    PyType_Spec spec = {name, sizeof(EnumObject), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    return reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
}

PyObject* make_enum(PyObject* module, PyTypeObject* type, int value, const char* name) {
    auto* o = PyObject_New(EnumObject, type);
    if (!o) return nullptr;
    o->value = value;
    o->name = name;
    auto* object = reinterpret_cast<PyObject*>(o);
    return PyModule_AddObjectRef(module, name, object) == 0 ? object : nullptr;
}

// ---- device

struct DeviceObject {
    PyObject_HEAD Device device;
};

Device parse_device(std::string_view text, const char* name) {
    Device device;
    size_t colon = text.find(':');
    std::string_view type = text.substr(0, colon);
    if (type == "cpu")
        device.type = DeviceType::CPU;
    else if (type == "cuda")
        device.type = DeviceType::CUDA;
    else if (type == "meta")
        device.type = DeviceType::Meta;
    else
        raise("%s: expected a device of type cpu, cuda or meta, got '%.*s'", name, int(text.size()),
              text.data());
    if (colon == text.npos) return device;
    std::string_view digits = text.substr(colon + 1);
    int index = 0;
    bool valid = !digits.empty() && digits.size() <= 3;
    for (char c : digits) {
        valid &= c >= '0' && c <= '9';
        index = index * 10 + (c - '0');
    }
    EMBER_CHECK(valid && index < 128, "%s: invalid device string '%.*s'", name, int(text.size()),
                text.data());
    device.index = int8_t(index);
    return device;
}

PyObject* device_new(PyTypeObject*, PyObject* args, PyObject* kwargs) {
    static const char* names[] = {"type", "index", nullptr};
    PyObject* type = nullptr;
    int index = -1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|i:device", const_cast<char**>(names), &type,
                                     &index))
        return nullptr;
    Device device = read_device(type, "device");
    if (index >= 0) {
        EMBER_CHECK(device.index < 0,
                    "device: type '%s' must not have an index when index is given",
                    to_string(device).c_str());
        EMBER_CHECK(index < 128, "device: index must be less than 128, got %d", index);
        device.index = int8_t(index);
    }
    return wrap_device(device);
}

PyObject* device_new_guarded(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
    try {
        return device_new(type, args, kwargs);
    } catch (const Error& e) {
        PyErr_SetString(PyExc_RuntimeError, e.what());
    } catch (const PythonError&) {
    }
    return nullptr;
}

Device device_value(PyObject* o) { return reinterpret_cast<DeviceObject*>(o)->device; }

PyObject* device_str(PyObject* self) {
    return PyUnicode_FromString(to_string(device_value(self)).c_str());
}
PyObject* device_repr(PyObject* self) {
    Device d = device_value(self);
    if (d.index < 0) return PyUnicode_FromFormat("device(type='%s')", device_type_name(d.type));
    return PyUnicode_FromFormat("device(type='%s', index=%d)", device_type_name(d.type), d.index);
}
Py_hash_t device_hash(PyObject* self) {
    Device d = device_value(self);
    return Py_hash_t(d.type) * 1000 + d.index + 2;
}
PyObject* device_compare(PyObject* a, PyObject* b, int op) {
    if (!is_device(a) || !is_device(b) || (op != Py_EQ && op != Py_NE)) Py_RETURN_NOTIMPLEMENTED;
    return PyBool_FromLong((device_value(a) == device_value(b)) == (op == Py_EQ));
}
PyObject* device_reduce(PyObject* self, PyObject*) {
    return Py_BuildValue("O(N)", Py_TYPE(self), device_str(self));
}
PyObject* device_get_type(PyObject* self, void*) {
    return PyUnicode_InternFromString(device_type_name(device_value(self).type));
}
PyObject* device_get_index(PyObject* self, void*) {
    Device d = device_value(self);
    if (d.index < 0) Py_RETURN_NONE;
    return PyLong_FromLong(d.index);
}
// What makes tensors makes them on the CPU unless told.
PyObject* device_enter(PyObject* self, PyObject*) {
    Device device = reinterpret_cast<DeviceObject*>(self)->device;
    if (device.is_cpu()) return Py_NewRef(self);
    return PyErr_Format(PyExc_NotImplementedError,
                        "device: only the CPU can be a block's device, got %s; pass device= to "
                        "what makes tensors",
                        to_string(device).c_str());
}
PyObject* device_exit(PyObject*, PyObject*) { return Py_NewRef(Py_None); }

PyMethodDef device_methods[] = {
    {"__reduce__", device_reduce, METH_NOARGS, nullptr},
    {"__enter__", device_enter, METH_NOARGS, "Makes tensors there in the block; the CPU alone."},
    {"__exit__", device_exit, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef device_getset[] = {
    {"type", device_get_type, nullptr, "'cpu', 'cuda' or 'meta'.", nullptr},
    {"index", device_get_index, nullptr, "The device's number, or None for the current one.",
     nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

// ---- Size

PyObject* size_repr(PyObject* self) {
    PyObject* list = PySequence_List(self);
    if (!list) return nullptr;
    PyObject* text = PyUnicode_FromFormat("ember.Size(%R)", list);
    Py_DECREF(list);
    return text;
}
PyObject* size_numel(PyObject* self, PyObject*) {
    PyObject* product = PyLong_FromLong(1);
    for (Py_ssize_t i = 0; product && i < PyTuple_GET_SIZE(self); i++) {
        PyObject* next = PyNumber_Multiply(product, PyTuple_GET_ITEM(self, i));
        Py_SETREF(product, next);
    }
    return product;
}
PyObject* as_size(PyObject* tuple) {  // steals
    if (!tuple || !PyTuple_CheckExact(tuple)) return tuple;
    PyObject* size = PyObject_CallOneArg(reinterpret_cast<PyObject*>(size_type), tuple);
    Py_DECREF(tuple);
    return size;
}
PyObject* size_concat(PyObject* a, PyObject* b) {
    return as_size(PyTuple_Type.tp_as_sequence->sq_concat(a, b));
}
PyObject* size_repeat(PyObject* a, Py_ssize_t n) {
    return as_size(PyTuple_Type.tp_as_sequence->sq_repeat(a, n));
}
PyObject* size_subscript(PyObject* self, PyObject* key) {
    return as_size(PyTuple_Type.tp_as_mapping->mp_subscript(self, key));
}
PyObject* size_reduce(PyObject* self, PyObject*) {
    return Py_BuildValue("O(N)", Py_TYPE(self), PySequence_Tuple(self));
}
PyMethodDef size_methods[] = {
    {"numel", size_numel, METH_NOARGS, "The number of elements of a tensor of this size."},
    {"__reduce__", size_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

bool make_types() {
    dtype_type = make_enum_type("ember.dtype", dtype_getset);
    format_type = make_enum_type("ember.memory_format", nullptr);
    layout_type = make_enum_type("ember.layout", nullptr);
    PyType_Slot device_slots[] = {
        {Py_tp_new, reinterpret_cast<void*>(device_new_guarded)},
        {Py_tp_repr, reinterpret_cast<void*>(device_repr)},
        {Py_tp_str, reinterpret_cast<void*>(device_str)},
        {Py_tp_hash, reinterpret_cast<void*>(device_hash)},
        {Py_tp_richcompare, reinterpret_cast<void*>(device_compare)},
        {Py_tp_methods, device_methods},
        {Py_tp_getset, device_getset},
        {Py_tp_doc, const_cast<char*>("device(type, index=None)\n\nWhere a tensor's memory is: "
                                      "'cpu', 'cuda' or 'cuda:<index>'.")},
        {0, nullptr},
    };
    PyType_Spec device_spec = {"ember.device", sizeof(DeviceObject), 0, Py_TPFLAGS_DEFAULT,
                               device_slots};
    device_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&device_spec));
    PyType_Slot size_slots[] = {
        {Py_tp_base, &PyTuple_Type},
        {Py_tp_repr, reinterpret_cast<void*>(size_repr)},
        {Py_sq_concat, reinterpret_cast<void*>(size_concat)},
        {Py_sq_repeat, reinterpret_cast<void*>(size_repeat)},
        {Py_mp_subscript, reinterpret_cast<void*>(size_subscript)},
        {Py_tp_methods, size_methods},
        {Py_tp_doc, const_cast<char*>("The size of a tensor: a tuple with `numel()`.")},
        {0, nullptr},
    };
    PyType_Spec size_spec = {"ember.Size", 0, 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                             size_slots};
    size_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&size_spec));
    return dtype_type && format_type && layout_type && device_type && size_type;
}

}  // namespace

PyObject* wrap_dtype(DType dtype) { return Py_NewRef(dtypes_by_value[int(dtype)]); }
bool is_dtype(PyObject* o) { return Py_TYPE(o) == dtype_type; }
DType dtype_of(PyObject* o) { return value_of(o); }

PyObject* wrap_device(Device device) {
    auto* o = PyObject_New(DeviceObject, device_type);
    if (o) o->device = device;
    return reinterpret_cast<PyObject*>(o);
}
bool is_device(PyObject* o) { return Py_TYPE(o) == device_type; }

Device read_device(PyObject* o, const char* name) {
    if (is_device(o)) return device_value(o);
    if (PyUnicode_Check(o)) {
        Py_ssize_t n;
        const char* text = PyUnicode_AsUTF8AndSize(o, &n);
        if (!text) throw PythonError();
        return parse_device({text, size_t(n)}, name);
    }
    if (!PyLong_Check(o))
        raise_type("%s: device must be a string, a device or an index, got %s", name,
                   Py_TYPE(o)->tp_name);
    long index = PyLong_AsLong(o);
    if (index == -1 && PyErr_Occurred()) throw PythonError();
    EMBER_CHECK(index >= 0 && index < 128, "%s: the device index must be in [0, 128), got %ld",
                name, index);
    return {DeviceType::CUDA, int8_t(index)};
}

PyObject* wrap_size(IntSpan sizes) {
    PyObject* size = size_type->tp_alloc(size_type, Py_ssize_t(sizes.size()));
    for (size_t i = 0; size && i < sizes.size(); i++)
        PyTuple_SET_ITEM(size, Py_ssize_t(i), PyLong_FromLongLong(sizes[i]));
    return size;
}

bool is_layout(PyObject* o) { return Py_TYPE(o) == layout_type; }
bool is_strided(PyObject* layout) { return as_enum(layout)->value == 0; }
bool is_memory_format(PyObject* o) { return Py_TYPE(o) == format_type; }
MemoryFormat memory_format_of(PyObject* o) { return MemoryFormat(as_enum(o)->value); }

bool add_objects(PyObject* module) {
    if (!make_types()) return false;
    static constexpr const char* aliases[][2] = {
        {"float32", "float"},    {"float64", "double"},    {"float16", "half"},
        {"int16", "short"},      {"int32", "int"},         {"int64", "long"},
        {"complex64", "cfloat"}, {"complex128", "cdouble"}};
    for (int i = 0; i < kDTypeCount; i++) {
        dtypes_by_value[i] = make_enum(module, dtype_type, i, dtype_name(DType(i)));
        if (!dtypes_by_value[i]) return false;
        for (auto& [name, alias] : aliases)
            if (std::strcmp(name, dtype_name(DType(i))) == 0)
                PyModule_AddObjectRef(module, alias, dtypes_by_value[i]);
    }
    static constexpr const char* formats[] = {"contiguous_format", "preserve_format",
                                              "channels_last", "channels_last_3d"};
    for (int i = 0; i < 4; i++) {
        formats_by_value[i] = make_enum(module, format_type, i, formats[i]);
        if (!formats_by_value[i]) return false;
    }
    int layout = 0;
    for (const char* name : {"strided", "sparse_coo", "sparse_csr", "sparse_csc"})
        if (!make_enum(module, layout_type, layout++, name)) return false;
    auto add = [&](const char* name, PyTypeObject* type) {
        return PyModule_AddObjectRef(module, name, reinterpret_cast<PyObject*>(type)) == 0;
    };
    return add("dtype", dtype_type) && add("memory_format", format_type) &&
           add("layout", layout_type) && add("device", device_type) && add("Size", size_type);
}

}  // namespace ember::python
