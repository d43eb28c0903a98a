#pragma once

#include <Python.h>

#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "autograd/record.h"
#include "core/tensor.h"
#include "python/objects.h"
#include "python/override.h"
#include "python/tensor_type.h"

// Reads Python arguments into C++ parameters. One Arg<T> a parameter type: `accepts` decides
// between overloads, the constructor converts (and may hold what it made), `get` hands it to the
// function.
namespace ember {
class Generator;
}

namespace ember::python {

// One parameter of a signature such as "sum(input, dim=None, keepdim=False, *, dtype=None)".
struct Param {
    PyObject* name = nullptr;      // interned
    PyObject* fallback = nullptr;  // default value; null: required
    const char* function = "";
    int position = 0;
    bool keyword_only = false;
    bool number_ok = false;   // annotated `Tensor | Number`
    bool rest = false;        // `*size`: takes all further positions, or one sequence
    bool complex_ok = false;  // annotated `complex`
    bool none_given = false;  // annotated `Tensor | None`
    bool sequence = false;    // annotated `tuple`: one int does not do
    bool none_ok() const { return none_given || fallback == Py_None; }
    const char* text() const { return PyUnicode_AsUTF8(name); }
};

struct PythonError {};  // a Python exception is set

// TypeError, unless the object's type defines __torch_function__, which is then called.
[[noreturn]] void wrong_type(const Param& param, const char* expected, PyObject* got);
// The tensor of an object whose type does not define __torch_function__; otherwise that is called.
inline const Tensor& plain_tensor_of(PyObject* o) {
    if (EMBER_UNLIKELY(!is_plain(o)) && overrides(o)) leave_to_override();
    return tensor_of(o);
}

bool is_number(PyObject* o);      // bool, int, float and numpy's real scalars
bool is_any_number(PyObject* o);  // complex ones too
Number read_number(PyObject* o);
int64_t read_int(PyObject* o, const Param& param);
double read_double(PyObject* o, const Param& param);
bool accepts_int(PyObject* o);
bool accepts_ints(PyObject* o);
Dims read_ints(PyObject* o, const Param& param);

template <class T>
struct Arg;

template <>
struct Arg<const Tensor&> {
    static bool accepts(PyObject* o, const Param& p) {
        return is_tensor(o) || (p.number_ok && is_any_number(o)) || (o == Py_None && p.none_ok());
    }
    Arg(PyObject* o, const Param& p) {
        if (EMBER_LIKELY(is_plain(o)))
            tensor_ = &tensor_of(o);
        else
            convert(o, p);
    }
    const Tensor& get() const { return tensor_ ? *tensor_ : made_; }

private:
    void convert(PyObject* o, const Param& p);
    const Tensor* tensor_ = nullptr;  // the object's
    Tensor made_;                     // of a number; undefined for None
};

template <>
struct Arg<const std::vector<Tensor>&> {
    static bool accepts(PyObject* o, const Param&) { return PyTuple_Check(o) || PyList_Check(o); }
    Arg(PyObject* o, const Param& p);
    const std::vector<Tensor>& get() const { return tensors_; }

private:
    std::vector<Tensor> tensors_;
};

template <>
struct Arg<std::vector<Tensor>> : Arg<const std::vector<Tensor>&> {
    using Arg<const std::vector<Tensor>&>::Arg;
};

// A list or tuple of numbers.
template <>
struct Arg<const std::vector<double>&> {
    static bool accepts(PyObject* o, const Param&) { return PyTuple_Check(o) || PyList_Check(o); }
    Arg(PyObject* o, const Param& p);
    const std::vector<double>& get() const { return numbers_; }

private:
    std::vector<double> numbers_;
};

template <>
struct Arg<const Dims&> {
    static bool accepts(PyObject* o, const Param& p) {
        return (accepts_ints(o) && !(p.sequence && accepts_int(o))) ||
               (o == Py_None && p.none_ok());
    }
    Arg(PyObject* o, const Param& p) {
        if (o != Py_None || !p.none_ok()) dims_ = read_ints(o, p);
    }
    const Dims& get() const { return dims_; }

private:
    Dims dims_;
};

template <>
struct Arg<Dims> : Arg<const Dims&> {
    using Arg<const Dims&>::Arg;
};

template <>
struct Arg<int64_t> {
    static bool accepts(PyObject* o, const Param&) { return accepts_int(o); }
    Arg(PyObject* o, const Param& p) : value_(read_int(o, p)) {}
    int64_t get() const { return value_; }

private:
    int64_t value_;
};

template <>
struct Arg<double> {
    static bool accepts(PyObject* o, const Param&) { return is_number(o) || is_tensor(o); }
    Arg(PyObject* o, const Param& p) : value_(read_double(o, p)) {}
    double get() const { return value_; }

private:
    double value_;
};

template <>
struct Arg<bool> {
    static bool accepts(PyObject* o, const Param&) { return PyBool_Check(o); }
    Arg(PyObject* o, const Param& p);
    bool get() const { return value_; }

private:
    bool value_;
};

template <>
struct Arg<Number> {
    static bool accepts(PyObject* o, const Param& p) {
        return (p.complex_ok ? is_any_number(o) : is_number(o)) || is_tensor(o);
    }
    Arg(PyObject* o, const Param& p);
    Number get() const { return value_; }

private:
    Number value_;
};

template <>
struct Arg<DType> {
    // A dtype, or Python's bool, int, float or complex.
    static bool accepts(PyObject* o, const Param&);
    Arg(PyObject* o, const Param& p);
    DType get() const { return value_; }

private:
    DType value_;
};

template <>
struct Arg<Device> {
    static bool accepts(PyObject* o, const Param&) {
        return is_device(o) || PyUnicode_Check(o) || (accepts_int(o) && !is_tensor(o));
    }
    Arg(PyObject* o, const Param& p) : value_(read_device(o, p.function)) {}
    Device get() const { return value_; }

private:
    Device value_;
};

// `layout=`: functions make strided tensors alone. NotImplementedError for other layouts.
struct StridedLayout {};
template <>
struct Arg<StridedLayout> {
    static bool accepts(PyObject* o, const Param&) { return o == Py_None || is_layout(o); }
    Arg(PyObject* o, const Param& p);
    StridedLayout get() const { return {}; }
};

template <>
struct Arg<MemoryFormat> {
    static bool accepts(PyObject* o, const Param&) { return is_memory_format(o); }
    Arg(PyObject* o, const Param& p);
    MemoryFormat get() const { return value_; }

private:
    MemoryFormat value_;
};

template <>
struct Arg<std::string_view> {
    static bool accepts(PyObject* o, const Param&) { return PyUnicode_Check(o); }
    Arg(PyObject* o, const Param& p);
    std::string_view get() const { return value_; }

private:
    std::string_view value_;
};

// The CPU generator, or null for the default one.
template <>
struct Arg<Generator*> {
    static bool accepts(PyObject* o, const Param&) { return o == Py_None || is_generator(o); }
    Arg(PyObject* o, const Param& p);
    Generator* get() const { return value_; }

private:
    Generator* value_ = nullptr;
};

template <>
struct Arg<const Dest&> {
    static bool accepts(PyObject* o, const Param&) { return o == Py_None || is_tensor(o); }
    Arg(PyObject* o, const Param& p);
    const Dest& get() const { return dest_; }

private:
    Dest dest_;
};

template <>
struct Arg<PyObject*> {
    static bool accepts(PyObject*, const Param&) { return true; }
    Arg(PyObject* o, const Param&) : value_(o) {}
    PyObject* get() const { return value_; }

private:
    PyObject* value_;
};

template <class T>
struct Arg<std::optional<T>> {
    static bool accepts(PyObject* o, const Param& p) {
        return o == Py_None || Arg<T>::accepts(o, p);
    }
    Arg(PyObject* o, const Param& p) {
        if (o != Py_None) value_ = Arg<T>(o, p).get();
    }
    std::optional<T> get() const { return value_; }

private:
    std::optional<T> value_;
};
template <class T>
struct Arg<const std::optional<T>&> : Arg<std::optional<T>> {
    using Arg<std::optional<T>>::Arg;
};

}  // namespace ember::python
