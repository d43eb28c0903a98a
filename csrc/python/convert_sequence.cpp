#include <cmath>
#include <limits>

#include "ops/copy.h"
#include "python/conversions.h"

// Tensors from numbers and nested sequences: one pass finds the shape, one the dtype, one fills.
namespace ember::python {

namespace {

bool is_sequence(PyObject* o) {
    if (PyList_Check(o) || PyTuple_Check(o)) return true;
    if (PyUnicode_Check(o) || PyBytes_Check(o) || is_tensor(o) || is_array_scalar(o)) return false;
    return PySequence_Check(o);
}

// The items of a sequence; lists may change under it while items convert themselves.
class Items {
public:
    explicit Items(PyObject* o) : held_(Held::checked(listed(o))) {}
    Py_ssize_t size() const { return PySequence_Fast_GET_SIZE(held_.get()); }
    PyObject* at(Py_ssize_t i) const { return PySequence_Fast_GET_ITEM(held_.get(), i); }

private:
    // As many items as the sequence says it has: iterating over it need not end.
    static PyObject* listed(PyObject* o) {
        if (PyList_Check(o) || PyTuple_Check(o)) return Py_NewRef(o);
        Py_ssize_t n = PySequence_Size(o);
        PyObject* list = n < 0 ? nullptr : PyList_New(0);
        for (Py_ssize_t i = 0; list && i < n; i++) {
            PyObject* item = PySequence_GetItem(o, i);
            if (!item || PyList_Append(list, item) < 0) Py_CLEAR(list);
            Py_XDECREF(item);
        }
        return list;
    }

    Held held_;
};

[[noreturn]] void raise_text(const char* name, PyObject* o) {
    raise_type("%s: invalid data type '%s'", name, Py_TYPE(o)->tp_name);
}

void measure(const char* name, PyObject* o, Dims& sizes) {
    if (!is_sequence(o)) return;
    if (sizes.size() == kMaxDims)
        raise_value("%s: too many dimensions '%s'", name, Py_TYPE(o)->tp_name);
    Items items(o);
    sizes.push_back(items.size());
    if (items.size() == 0) return;
    PyObject* first = items.at(0);
    if (PyUnicode_Check(first) || PyBytes_Check(first))
        raise_value("%s: too many dimensions '%s'", name, Py_TYPE(first)->tp_name);
    measure(name, first, sizes);
}

DType dtype_of_array_scalar(const char* name, PyObject* o) {
    Held array(Held::checked(PyObject_CallMethod(o, "__array__", nullptr)));
    return tensor_from_array(name, array.get()).dtype();
}

// What the numbers of a sequence are; Python's ints and floats are counted by kind, since that is
// all most lists hold.
struct Kinds {
    bool truth = false, whole = false, real = false;
    std::optional<DType> other;

    void add(DType dtype) { other = other ? promote(*other, dtype) : dtype; }
    DType result() const {
        Kinds all = *this;
        if (truth) all.add(DType::Bool);
        if (whole) all.add(DType::Int64);
        if (real) all.add(modes::default_dtype());
        return all.other.value_or(modes::default_dtype());
    }
};

void add_number(const char* name, PyObject* o, Kinds& kinds) {
    if (is_tensor(o))
        kinds.add(tensor_of(o).dtype());
    else if (is_array_scalar(o) || is_array(o))
        kinds.add(dtype_of_array_scalar(name, o));
    else if (PyFloat_Check(o))
        kinds.real = true;
    else if (PyBool_Check(o))
        kinds.truth = true;
    else if (PyLong_Check(o) || PyIndex_Check(o))
        kinds.whole = true;
    else if (PyComplex_Check(o))
        raise_type("%s: complex numbers are not supported", name);
    else if (PyUnicode_Check(o) || PyBytes_Check(o))
        raise_text(name, o);
    else if (is_sequence(o))
        raise_type("%s: expected a number, got %s", name, Py_TYPE(o)->tp_name);
    else
        raise("%s: could not infer dtype of %s", name, Py_TYPE(o)->tp_name);
}

void find_kinds(const char* name, PyObject* o, int depth, Kinds& kinds) {
    if (depth == 0) return add_number(name, o, kinds);
    if (!is_sequence(o)) raise_type("%s: expected a sequence, got %s", name, Py_TYPE(o)->tp_name);
    Items items(o);
    if (depth > 1) {
        for (Py_ssize_t i = 0; i < items.size(); i++)
            find_kinds(name, items.at(i), depth - 1, kinds);
        return;
    }
    for (Py_ssize_t i = 0; i < items.size(); i++) {
        PyObject* item = items.at(i);
        if (PyFloat_CheckExact(item))
            kinds.real = true;
        else if (PyLong_CheckExact(item))
            kinds.whole = true;
        else
            add_number(name, item, kinds);
    }
}

[[noreturn]] void raise_overflow(const char* name, DType dtype) {
    raise("%s: value cannot be converted to type %s without overflow", name, dtype_name(dtype));
}

double real_value(const char* name, PyObject* o) {
    if (EMBER_LIKELY(PyFloat_CheckExact(o))) return PyFloat_AS_DOUBLE(o);
    if (PyUnicode_Check(o) || PyBytes_Check(o)) raise_text(name, o);
    if (is_tensor(o) && tensor_of(o).numel() != 1)
        raise_value("%s: only one element tensors can be converted to Python scalars", name);
    if (is_sequence(o)) raise_type("%s: expected a number, got %s", name, Py_TYPE(o)->tp_name);
    double value = PyFloat_AsDouble(o);
    if (value == -1 && PyErr_Occurred()) throw PythonError();
    return value;
}

int64_t whole_value(const char* name, PyObject* o) {
    int overflow = 0;
    long long value = PyLong_AsLongLongAndOverflow(o, &overflow);
    if (overflow) raise_value("%s: an integer does not fit into 64 bits", name);
    if (value == -1 && PyErr_Occurred()) throw PythonError();
    return value;
}

template <class T>
T integer_value(const char* name, PyObject* o) {
    using Limits = std::numeric_limits<T>;
    constexpr DType dtype = DTypeOf<T>::value;
    bool real = PyFloat_Check(o) || (is_tensor(o) && is_floating(tensor_of(o).dtype())) ||
                (!PyIndex_Check(o) && !is_tensor(o));
    if (real) {
        double value = std::trunc(real_value(name, o));
        bool fits = value >= double(Limits::lowest()) && value < std::ldexp(1.0, Limits::digits);
        if (!fits) raise_overflow(name, dtype);
        return T(value);
    }
    if (is_tensor(o) && tensor_of(o).numel() != 1)
        raise_value("%s: only one element tensors can be converted to Python scalars", name);
    int64_t value;
    if (EMBER_LIKELY(PyLong_Check(o))) {
        value = whole_value(name, o);
    } else {
        Held whole(Held::checked(PyNumber_Index(o)));
        value = whole_value(name, whole.get());
    }
    // Negative numbers wrap in uint8, as PyTorch's do.
    bool fits =
        value <= int64_t(Limits::max()) &&
        value >= (std::is_signed_v<T> ? int64_t(Limits::lowest()) : -int64_t(Limits::max()));
    if (!fits) raise_overflow(name, dtype);
    return T(value);
}

template <class T>
T value_as(const char* name, PyObject* o) {
    if constexpr (std::is_same_v<T, bool>) {
        if (PyBool_Check(o)) return o == Py_True;
        return real_value(name, o) != 0;
    } else if constexpr (std::is_same_v<T, Half>) {
        return to_half(float(real_value(name, o)));
    } else if constexpr (std::is_same_v<T, BFloat16>) {
        return to_bfloat16(float(real_value(name, o)));
    } else if constexpr (std::is_integral_v<T>) {
        return integer_value<T>(name, o);
    } else {
        return T(real_value(name, o));
    }
}

template <class T>
void fill(const char* name, PyObject* o, const Dims& sizes, int dim, T*& out) {
    if (dim == sizes.size()) {
        *out++ = value_as<T>(name, o);
        return;
    }
    if (!is_sequence(o))
        raise_type("%s: expected a sequence of length %ld at dim %d, got %s", name,
                   long(sizes[dim]), dim, Py_TYPE(o)->tp_name);
    Items items(o);
    for (Py_ssize_t i = 0; i < sizes[dim]; i++) {
        if (items.size() != sizes[dim])
            raise_value("%s: expected sequence of length %ld at dim %d (got %zd)", name,
                        long(sizes[dim]), dim, items.size());
        if (dim + 1 < sizes.size()) {
            Held item(Py_NewRef(items.at(i)));
            fill(name, item.get(), sizes, dim + 1, out);
            continue;
        }
        PyObject* item = items.at(i);
        if (EMBER_LIKELY(PyFloat_CheckExact(item) || PyLong_CheckExact(item))) {
            *out++ = value_as<T>(name, item);
        } else {
            Held held(Py_NewRef(item));
            *out++ = value_as<T>(name, item);
        }
    }
    if (sizes[dim] == 0 && items.size() != 0)
        raise_value("%s: expected sequence of length 0 at dim %d (got %zd)", name, dim,
                    items.size());
}

// Whether the way down the first items leads to an array with dims: numpy then joins faster.
bool leads_to_array(PyObject* o) {
    for (int depth = 0; depth < kMaxDims && (PyList_Check(o) || PyTuple_Check(o)); depth++) {
        if (PySequence_Fast_GET_SIZE(o) == 0) return false;
        o = PySequence_Fast_GET_ITEM(o, 0);
    }
    return is_array(o);
}

}  // namespace

Tensor tensor_from_sequence(const char* name, PyObject* data, std::optional<DType> dtype) {
    if (PyUnicode_Check(data) || PyBytes_Check(data)) raise_text(name, data);
    if (leads_to_array(data)) {
        Held numpy(Held::checked(PyImport_ImportModule("numpy")));
        Held array(Held::checked(PyObject_CallMethod(numpy.get(), "array", "O", data)));
        return tensor_from_data(name, array.get(), {dtype, std::nullopt, true});
    }
    Dims sizes;
    measure(name, data, sizes);
    if (!dtype) {
        Kinds kinds;
        find_kinds(name, data, sizes.size(), kinds);
        dtype = kinds.result();
    }
    Tensor out = empty(sizes, {*dtype, {}});
    if (is_complex(*dtype)) raise_type("%s: complex dtypes are not supported", name);
    dispatch<bool, uint8_t, int8_t, int16_t, int32_t, int64_t, Half, BFloat16, float, double>(
        *dtype, [&](auto tag) {
            using T = typename decltype(tag)::type;
            T* items = out.as<T>();
            fill(name, data, sizes, 0, items);
        });
    return out;
}

// ---- Back to Python

PyObject* item_at(DType dtype, const void* p) {
    switch (dtype) {
        case DType::Bool: return PyBool_FromLong(*static_cast<const bool*>(p));
        case DType::UInt8: return PyLong_FromLong(*static_cast<const uint8_t*>(p));
        case DType::Int8: return PyLong_FromLong(*static_cast<const int8_t*>(p));
        case DType::Int16: return PyLong_FromLong(*static_cast<const int16_t*>(p));
        case DType::Int32: return PyLong_FromLong(*static_cast<const int32_t*>(p));
        case DType::Int64: return PyLong_FromLongLong(*static_cast<const int64_t*>(p));
        case DType::Float16: return PyFloat_FromDouble(to_float(*static_cast<const Half*>(p)));
        case DType::BFloat16: return PyFloat_FromDouble(to_float(*static_cast<const BFloat16*>(p)));
        case DType::Float32: return PyFloat_FromDouble(*static_cast<const float*>(p));
        case DType::Float64: return PyFloat_FromDouble(*static_cast<const double*>(p));
        case DType::Complex64: {
            auto* c = static_cast<const float*>(p);
            return PyComplex_FromDoubles(c[0], c[1]);
        }
        case DType::Complex128: {
            auto* c = static_cast<const double*>(p);
            return PyComplex_FromDoubles(c[0], c[1]);
        }
    }
    return nullptr;
}

PyObject* item_of(const Tensor& t) {
    EMBER_CHECK(t.numel() == 1, "item: a Tensor with %ld elements cannot be converted to Scalar",
                long(t.numel()));
    Tensor here = ops::to_device(t, {});
    return item_at(here.dtype(), here.data());
}

PyObject* list_of(const Tensor& t, int dim, const char* data) {
    if (dim == t.dim()) return item_at(t.dtype(), data);
    int64_t size = t.impl()->sizes[dim], step = t.impl()->strides[dim] * t.item_bytes();
    PyObject* list = PyList_New(size);
    for (int64_t i = 0; list && i < size; i++) {
        PyObject* item = list_of(t, dim + 1, data + i * step);
        if (!item) Py_CLEAR(list);
        if (list) PyList_SET_ITEM(list, i, item);
    }
    return list;
}

}  // namespace ember::python
