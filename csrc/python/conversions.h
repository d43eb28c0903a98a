#pragma once

#include "python/bind.h"

// Tensors from Python's and numpy's data and back. The functions throw PythonError or Error.
namespace ember::python {

// A reference that is let go at the end of its scope.
class Held {
public:
    Held() = default;
    explicit Held(PyObject* o) : o_(o) {}
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held() { Py_XDECREF(o_); }
    // For calls whose failure has set an exception.
    static PyObject* checked(PyObject* o) {
        if (!o) throw PythonError();
        return o;
    }
    PyObject* get() const { return o_; }
    void reset(PyObject* o) { Py_XSETREF(o_, o); }
    PyObject* detach() { return std::exchange(o_, nullptr); }

private:
    PyObject* o_ = nullptr;
};

struct DataOptions {
    std::optional<DType> dtype;
    std::optional<Device> device;
    bool copy = true;  // false: share memory with tensors and arrays where dtype and device allow
};
// Numbers, nested sequences, numpy's arrays and scalars, tensors. Never requires grad.
Tensor tensor_from_data(const char* name, PyObject* data, const DataOptions& options);
// Of a nested sequence or a number.
Tensor tensor_from_sequence(const char* name, PyObject* data, std::optional<DType> dtype);

PyObject* item_of(const Tensor& t);  // of the one element
PyObject* item_at(DType dtype, const void* p);
PyObject* list_of(const Tensor& t, int dim,
                  const char* data);     // nested lists of dims from `dim` on
std::string type_name(const Tensor& t);  // "ember.FloatTensor"

bool is_array(PyObject* o);                                   // numpy.ndarray
bool is_array_scalar(PyObject* o);                            // numpy.generic
Tensor tensor_from_array(const char* name, PyObject* array);  // shares memory
PyObject* array_of(const Tensor& t);                          // shares memory

// Each file's functions and methods; add_conversions puts them together.
void bind_numpy(BindTable& table);     // convert_numpy.cpp
void bind_dlpack(BindTable& table);    // convert_dlpack.cpp
void bind_metadata(BindTable& table);  // tensor_metadata.cpp
void bind_copying(BindTable& table);   // tensor_copying.cpp
bool add_copying(PyObject* module);

}  // namespace ember::python
