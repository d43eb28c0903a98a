#pragma once

#include "core/profiler.h"
#include "core/tensor.h"
#include "python/ref.h"

// Operations, as they come in from Python, in a recording of the profiler.
namespace ember::python {

// Lives as long as the call of an operation. `name` ends at its first bracket.
class OperationRange {
public:
    OperationRange(const char* name, bool in_place, PyObject* self, PyObject* const* args,
                   Py_ssize_t nargs, PyObject* kwnames) {
        begin(name, in_place, self, args, nargs, kwnames);
    }
    // Of an operator, where something is recorded.
    OperationRange(const char* name, PyObject* a, PyObject* b = nullptr) {
        if (EMBER_UNLIKELY(profiler::recording())) begin(name, false, a, &b, b ? 1 : 0, nullptr);
    }
    OperationRange(const OperationRange&) = delete;
    ~OperationRange() {
        if (EMBER_UNLIKELY(event_ >= 0)) end();
    }

private:
    void begin(const char* name, bool in_place, PyObject* self, PyObject* const* args,
               Py_ssize_t nargs, PyObject* kwnames) noexcept;
    void end() noexcept;
    int64_t event_ = -1;
    uint64_t sequence_;  // of the first node that the call may make
};

// Whether a bound function was called by Python; not when by recorded_call.
bool begins_call();
// Calls the function within an event. The function asks first whether to come here, so that it
// bears no trace of events when nothing is recorded.
PyObject* recorded_call(PyObject* (*function)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*),
                        const char* name, bool in_place, PyObject* self, PyObject* const* args,
                        Py_ssize_t nargs, PyObject* kwnames);

// With what the recording wants to know of each event: where it was called.
profiler::Description described(std::string name, profiler::Kind kind);

// Dotted path, from the module that was called first, of the one whose forward runs; empty outside
// of modules, or where it is that first one.
std::string module_path();

bool add_profiler(PyObject* module);

}  // namespace ember::python
