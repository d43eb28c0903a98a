#include <Python.h>

#include "core/backend.h"
#include "core/unlock.h"
#include "core/warn.h"
#include "python/override.h"
#include "python/profile.h"
#include "python/tables.h"

namespace ember::python {

namespace {

PyObject *out_of_memory = nullptr, *no_factors = nullptr;

// Only a thread that holds the lock lets it go: kernels also run on threads Python does not know.
void* unlock() { return PyGILState_Check() ? PyEval_SaveThread() : nullptr; }
void relock(void* state) { PyEval_RestoreThread(static_cast<PyThreadState*>(state)); }

void issue_warning(const char* text) {
    if (PyGILState_Check() && PyErr_WarnEx(PyExc_UserWarning, text, 1) < 0) throw PythonError();
}

bool fill_module(PyObject* module) {
    load_cpu_kernels();
    unlock_interpreter = unlock;
    relock_interpreter = relock;
    warn_user = issue_warning;
    out_of_memory = PyErr_NewExceptionWithDoc(
        "ember.OutOfMemoryError", "A device or the machine has no memory left for a tensor.",
        PyExc_RuntimeError, nullptr);
    if (!out_of_memory || PyModule_AddObjectRef(module, "OutOfMemoryError", out_of_memory) < 0)
        return false;
    no_factors = PyErr_NewExceptionWithDoc(
        "ember.linalg.LinAlgError",
        "A matrix that an operation cannot do with: singular, not positive definite.",
        PyExc_RuntimeError, nullptr);
    if (!no_factors || PyModule_AddObjectRef(module, "_LinAlgError", no_factors) < 0) return false;
    if (!add_objects(module) || !add_tensor_type(module) || !add_override(module) ||
        !add_runtime(module))
        return false;
    static BindTable table;
    bind_pointwise(table);
    bind_complex(table);
    bind_reduce(table);
    bind_view(table);
    bind_factory(table);
    bind_random(table);
    bind_runtime(table);
    bind_optim(table);
    bind_nn(table);
    bind_activation(table);
    bind_matmul(table);
    bind_linalg(table);
    bind_index(table);
    bind_cuda(table);
    bind_autocast(table);
    bind_sort(table);
    bind_shape(table);
    bind_spatial(table);
    bind_rnn(table);
    bind_sparse(table);
    bind_special(table);
    return table.install(module, tensor_type) && add_conversions(module) && add_autograd(module) &&
           add_profiler(module);
}

PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                          "ember._C",
                          "Ember's compiled core.",
                          -1,
                          nullptr,
                          nullptr,
                          nullptr,
                          nullptr,
                          nullptr};

}  // namespace

PyObject* out_of_memory_error() { return out_of_memory; }
PyObject* linalg_error() { return no_factors; }

}  // namespace ember::python

PyMODINIT_FUNC PyInit__C() {
    using namespace ember::python;
    PyObject* module = PyModule_Create(&definition);
    if (!module) return nullptr;
    try {
        if (fill_module(module)) return module;
    } catch (...) {
        translate_exception();
    }
    Py_DECREF(module);
    return nullptr;
}
