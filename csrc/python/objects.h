#pragma once

#include <Python.h>

#include "core/tensor.h"

// Python's dtype, device, memory_format and Size objects.
namespace ember {
class Generator;
}

namespace ember::python {

PyObject* wrap_dtype(DType dtype);  // new reference
bool is_dtype(PyObject* o);
DType dtype_of(PyObject* o);
PyObject* wrap_device(Device device);
bool is_device(PyObject* o);
// "cuda:0", "cpu", a device object or an index.
Device read_device(PyObject* o, const char* name);
PyObject* wrap_size(IntSpan sizes);  // ember.Size
bool is_memory_format(PyObject* o);
bool is_layout(PyObject* o);
bool is_strided(PyObject* layout);
MemoryFormat memory_format_of(PyObject* o);
bool is_generator(PyObject* o);
Generator* generator_of(PyObject* o);

bool add_objects(PyObject* module);

}  // namespace ember::python
