#pragma once

#include <Python.h>

#include <utility>

namespace ember::python {

// An owned reference to a Python object, or none.
class PyRef {
public:
    PyRef() = default;
    static PyRef steal(PyObject* o) {
        PyRef r;
        r.object_ = o;
        return r;
    }
    static PyRef borrow(PyObject* o) { return steal(Py_XNewRef(o)); }
    PyRef(const PyRef& other) : object_(Py_XNewRef(other.object_)) {}
    PyRef(PyRef&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    ~PyRef() { Py_XDECREF(object_); }
    PyRef& operator=(PyRef other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }
    PyObject* get() const { return object_; }
    PyObject* release() { return std::exchange(object_, nullptr); }
    explicit operator bool() const { return object_ != nullptr; }

private:
    PyObject* object_ = nullptr;
};

// A function of any of CPython's calling conventions, for a PyMethodDef whose flags name it.
template <class R, class... A>
PyCFunction as_method(R (*f)(A...)) {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}

}  // namespace ember::python
