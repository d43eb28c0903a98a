#include "python/reader.h"

#include <cmath>
#include <cstring>

#include "ops/plan.h"

namespace ember::python {

void wrong_type(const Param& param, const char* expected, PyObject* got) {
    if (overrides(got)) leave_to_override();
    PyErr_Format(PyExc_TypeError, "%s(): argument '%U' (position %d) must be %s, not %s",
                 param.function, param.name, param.position, expected, Py_TYPE(got)->tp_name);
    throw PythonError();
}

namespace {

// numpy's scalars and whatever else converts by __index__ or __float__ without being a tensor.
bool is_foreign_number(PyObject* o) {
    if (is_tensor(o) || PyUnicode_Check(o) || PyTuple_Check(o) || PyList_Check(o)) return false;
    if (o == Py_None || PyObject_HasAttrString(o, "__array_interface__") == 0) return false;
    PyNumberMethods* number = Py_TYPE(o)->tp_as_number;
    if (!number || PyObject_HasAttrString(o, "ndim") == 0) return false;
    if (Py_TYPE(o)->tp_as_sequence && PyObject_HasAttrString(o, "__array_finalize__")) return false;
    return number->nb_index || number->nb_float;
}

bool is_complex_number(PyObject* o) {
    return PyComplex_Check(o) || std::strncmp(Py_TYPE(o)->tp_name, "numpy.complex", 13) == 0;
}

int64_t index_value(PyObject* o, const Param& p) {
    int overflow = 0;
    long long value = PyLong_AsLongLongAndOverflow(o, &overflow);
    if (overflow) {
        PyErr_Format(PyExc_OverflowError, "%s(): argument '%U' does not fit into 64 bits",
                     p.function, p.name);
        throw PythonError();
    }
    if (value == -1 && PyErr_Occurred()) throw PythonError();
    return value;
}

}  // namespace

bool is_number(PyObject* o) {
    return PyFloat_Check(o) || PyLong_Check(o) || (is_foreign_number(o) && !is_complex_number(o));
}
bool is_any_number(PyObject* o) {
    return PyFloat_Check(o) || PyLong_Check(o) || is_complex_number(o) || is_foreign_number(o);
}

Number read_number(PyObject* o) {
    Number n;
    if (PyBool_Check(o)) {
        n.kind = Number::Kind::Bool;
        n.i = o == Py_True;
    } else if (PyLong_Check(o)) {
        int overflow = 0;
        n.i = PyLong_AsLongLongAndOverflow(o, &overflow);
        if (overflow) {
            PyErr_SetString(PyExc_OverflowError, "a Python integer does not fit into 64 bits");
            throw PythonError();
        }
    } else if (PyFloat_Check(o)) {
        n = ops::number(PyFloat_AS_DOUBLE(o));
    } else if (is_complex_number(o)) {
        Py_complex c = PyComplex_AsCComplex(o);
        if (c.real == -1 && PyErr_Occurred()) throw PythonError();
        n = ops::number(c.real, c.imag);
    } else if (Py_TYPE(o)->tp_as_number->nb_index) {
        PyObject* whole = PyNumber_Index(o);
        if (!whole) throw PythonError();
        n.i = PyLong_AsLongLong(whole);
        Py_DECREF(whole);
        if (n.i == -1 && PyErr_Occurred()) throw PythonError();
    } else {
        double d = PyFloat_AsDouble(o);
        if (d == -1 && PyErr_Occurred()) throw PythonError();
        n = ops::number(d);
    }
    return n;
}

bool accepts_int(PyObject* o) {
    if (PyLong_Check(o)) return true;
    if (PyFloat_Check(o) || PyUnicode_Check(o)) return false;
    if (is_tensor(o)) return tensor_of(o).numel() == 1 && is_integral(tensor_of(o).dtype());
    return PyIndex_Check(o);
}

int64_t read_int(PyObject* o, const Param& p) {
    if (EMBER_LIKELY(PyLong_CheckExact(o))) return index_value(o, p);
    if (!accepts_int(o)) wrong_type(p, "int", o);
    PyObject* whole = PyNumber_Index(o);
    if (!whole) throw PythonError();
    struct Drop {
        PyObject* o;
        ~Drop() { Py_DECREF(o); }
    } drop{whole};
    return index_value(whole, p);
}

double read_double(PyObject* o, const Param& p) {
    if (EMBER_LIKELY(PyFloat_CheckExact(o))) return PyFloat_AS_DOUBLE(o);
    if (is_tensor(o))
        plain_tensor_of(o);
    else if (!is_number(o))
        wrong_type(p, "float", o);
    double value = PyFloat_AsDouble(o);
    if (value == -1 && PyErr_Occurred()) throw PythonError();
    return value;
}

bool accepts_ints(PyObject* o) {
    if (accepts_int(o)) return true;
    if (!PyTuple_Check(o) && !PyList_Check(o)) return false;
    Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
    for (Py_ssize_t i = 0; i < n; i++)
        if (!accepts_int(PySequence_Fast_GET_ITEM(o, i))) return false;
    return true;
}

Dims read_ints(PyObject* o, const Param& p) {
    Dims dims;
    if (accepts_int(o) && !p.sequence) {
        dims.push_back(read_int(o, p));
        return dims;
    }
    if (!PyTuple_Check(o) && !PyList_Check(o)) wrong_type(p, "tuple of ints", o);
    Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
    for (Py_ssize_t i = 0; i < n; i++) {
        // A list can shrink while an item's __index__ runs.
        if (i >= PySequence_Fast_GET_SIZE(o)) break;
        PyObject* item = PySequence_Fast_GET_ITEM(o, i);
        if (!accepts_int(item)) {
            PyErr_Format(PyExc_TypeError,
                         "%s(): argument '%U' must be tuple of ints, but found element of type %s "
                         "at pos %zd",
                         p.function, p.name, Py_TYPE(item)->tp_name, i);
            throw PythonError();
        }
        dims.push_back(read_int(item, p));
    }
    return dims;
}

void Arg<const Tensor&>::convert(PyObject* o, const Param& p) {
    if (o == Py_None && p.none_ok()) return;
    if (!PyLong_CheckExact(o) && !PyFloat_CheckExact(o) && is_tensor(o)) {
        tensor_ = &plain_tensor_of(o);
        return;
    }
    if (!p.number_ok || !is_any_number(o)) wrong_type(p, "Tensor", o);
    made_ = ops::wrapped_number(read_number(o));
}

Arg<const std::vector<Tensor>&>::Arg(PyObject* o, const Param& p) {
    if (!accepts(o, p)) wrong_type(p, "tuple of Tensors", o);
    Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
    tensors_.reserve(size_t(n));
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject* item = PySequence_Fast_GET_ITEM(o, i);
        if (!is_tensor(item)) {
            if (overrides(item)) leave_to_override();
            PyErr_Format(PyExc_TypeError,
                         "%s(): expected Tensor as element %zd in argument '%U', but got %s",
                         p.function, i, p.name, Py_TYPE(item)->tp_name);
            throw PythonError();
        }
        tensors_.push_back(plain_tensor_of(item));
    }
}

Arg<const std::vector<double>&>::Arg(PyObject* o, const Param& p) {
    if (!accepts(o, p)) wrong_type(p, "tuple of numbers", o);
    Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
    numbers_.reserve(size_t(n));
    for (Py_ssize_t i = 0; i < n; i++)
        numbers_.push_back(read_double(PySequence_Fast_GET_ITEM(o, i), p));
}

Arg<bool>::Arg(PyObject* o, const Param& p) {
    if (!PyBool_Check(o)) wrong_type(p, "bool", o);
    value_ = o == Py_True;
}

Arg<Number>::Arg(PyObject* o, const Param& p) {
    if (PyLong_CheckExact(o)) {
        value_.i = index_value(o, p);
        return;
    }
    if (is_tensor(o)) {
        const Tensor& t = plain_tensor_of(o);
        if (t.numel() != 1) wrong_type(p, "Number", o);
        PyObject* item = PyObject_CallMethod(o, "item", nullptr);
        if (!item) throw PythonError();
        value_ = read_number(item);
        Py_DECREF(item);
        if (value_.kind == Number::Kind::Complex && !p.complex_ok) wrong_type(p, "Number", o);
        return;
    }
    if (!accepts(o, p)) wrong_type(p, "Number", o);
    value_ = read_number(o);
}

bool Arg<DType>::accepts(PyObject* o, const Param&) {
    return is_dtype(o) || o == reinterpret_cast<PyObject*>(&PyFloat_Type) ||
           o == reinterpret_cast<PyObject*>(&PyLong_Type) ||
           o == reinterpret_cast<PyObject*>(&PyBool_Type) ||
           o == reinterpret_cast<PyObject*>(&PyComplex_Type);
}

Arg<DType>::Arg(PyObject* o, const Param& p) {
    if (is_dtype(o))
        value_ = dtype_of(o);
    else if (o == reinterpret_cast<PyObject*>(&PyFloat_Type))
        value_ = DType::Float64;
    else if (o == reinterpret_cast<PyObject*>(&PyLong_Type))
        value_ = DType::Int64;
    else if (o == reinterpret_cast<PyObject*>(&PyBool_Type))
        value_ = DType::Bool;
    else if (o == reinterpret_cast<PyObject*>(&PyComplex_Type))
        value_ = DType::Complex128;
    else
        wrong_type(p, "dtype", o);
}

Arg<StridedLayout>::Arg(PyObject* o, const Param& p) {
    if (!accepts(o, p)) wrong_type(p, "layout", o);
    if (o != Py_None && !is_strided(o))
        raise(ErrorKind::NotImplemented, "%s: makes strided tensors alone; see ember.sparse",
              p.function);
}

Arg<MemoryFormat>::Arg(PyObject* o, const Param& p) {
    if (!is_memory_format(o)) wrong_type(p, "memory_format", o);
    value_ = memory_format_of(o);
}

Arg<std::string_view>::Arg(PyObject* o, const Param& p) {
    if (!PyUnicode_Check(o)) wrong_type(p, "str", o);
    Py_ssize_t n;
    const char* text = PyUnicode_AsUTF8AndSize(o, &n);
    if (!text) throw PythonError();
    value_ = {text, size_t(n)};
}

Arg<Generator*>::Arg(PyObject* o, const Param& p) {
    if (o == Py_None) return;
    if (!is_generator(o)) wrong_type(p, "Generator", o);
    value_ = generator_of(o);
}

Arg<const Dest&>::Arg(PyObject* o, const Param& p) {
    if (o == Py_None) return;
    if (!is_tensor(o)) wrong_type(p, "Tensor", o);
    const Tensor& out = plain_tensor_of(o);
    EMBER_CHECK(!(modes::grad_enabled() && out.requires_grad()),
                "%s: functions with out=... arguments don't support automatic differentiation, but "
                "out requires grad",
                p.function);
    dest_ = Dest::out(out);
}

}  // namespace ember::python
