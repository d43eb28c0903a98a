#include "python/profile.h"

#include <cstring>
#include <new>

#include "python/bind.h"

namespace ember::python {

namespace {

struct {
    bool shapes, stack, modules;
} noted;  // of each event

thread_local bool within_call = false;
PyObject* find_module_path;  // nn's; null until nn is imported

// Sizes of a tensor or of those in a list; [] for what is none. As JSON.
void append_shape(std::string& text, PyObject* o) {
    text += '[';
    if (is_tensor(o)) {
        IntSpan sizes = tensor_of(o).sizes();
        for (size_t i = 0; i < sizes.size(); i++)
            text += (i ? ", " : "") + std::to_string(sizes[i]);
    } else if (PyTuple_Check(o) || PyList_Check(o)) {
        bool first = true;
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); i++) {
            PyObject* item = PySequence_Fast_GET_ITEM(o, i);
            if (!is_tensor(item)) continue;
            if (!std::exchange(first, false)) text += ", ";
            append_shape(text, item);
        }
    }
    text += ']';
}

std::string shapes_of(PyObject* self, PyObject* const* args, Py_ssize_t count) {
    std::string text = "[";
    if (self) append_shape(text, self);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (text.size() > 1) text += ", ";
        append_shape(text, args[i]);
    }
    return text + "]";
}

// Innermost frame first, one a line: "file(line): function".
std::string stack() {
    std::string text;
    PyRef frame = PyRef::borrow(reinterpret_cast<PyObject*>(PyEval_GetFrame()));
    while (frame) {
        auto* f = reinterpret_cast<PyFrameObject*>(frame.get());
        PyRef code = PyRef::steal(reinterpret_cast<PyObject*>(PyFrame_GetCode(f)));
        auto* c = reinterpret_cast<PyCodeObject*>(code.get());
        const char *file = PyUnicode_AsUTF8(c->co_filename), *name = PyUnicode_AsUTF8(c->co_name);
        if (!file || !name) PyErr_Clear();
        text += std::string(file ? file : "?") + "(" + std::to_string(PyFrame_GetLineNumber(f)) +
                "): " + (name ? name : "?") + "\n";
        frame = PyRef::steal(reinterpret_cast<PyObject*>(PyFrame_GetBack(f)));
    }
    return text;
}

PyObject* start(PyObject*, PyObject* args) {
    int shapes, memory, with_stack, modules;
    if (!PyArg_ParseTuple(args, "pppp:_profiler_start", &shapes, &memory, &with_stack, &modules))
        return nullptr;
    noted = {shapes != 0, with_stack != 0, modules != 0};
    profiler::start(memory != 0);
    Py_RETURN_NONE;
}

PyObject* stop(PyObject*, PyObject*) {
    std::vector<profiler::Event> events = profiler::stop();
    PyRef list = PyRef::steal(PyList_New(Py_ssize_t(events.size())));
    for (size_t i = 0; list && i < events.size(); i++) {
        const profiler::Event& e = events[i];
        PyObject* event = Py_BuildValue(
            "(siLLLiLLsss)", e.name.c_str(), int(e.kind), static_cast<long long>(e.begin),
            static_cast<long long>(e.end), static_cast<long long>(e.thread), e.depth,
            static_cast<long long>(e.sequence), static_cast<long long>(e.bytes), e.shapes.c_str(),
            e.stack.c_str(), e.module.c_str());
        if (!event) return nullptr;
        PyList_SET_ITEM(list.get(), Py_ssize_t(i), event);
    }
    return list.release();
}

PyObject* is_recording(PyObject*, PyObject*) { return PyBool_FromLong(profiler::recording()); }

PyObject* open_range(PyObject*, PyObject* name) {
    if (!profiler::recording()) return PyLong_FromLong(-1);
    const char* text = PyUnicode_AsUTF8(name);
    if (!text) return nullptr;
    return PyLong_FromLongLong(profiler::open(described(text, profiler::Kind::User)));
}

PyObject* close_range(PyObject*, PyObject* event) {
    int64_t number = PyLong_AsLongLong(event);
    if (number == -1 && PyErr_Occurred()) return nullptr;
    if (number >= 0) profiler::close(number);
    Py_RETURN_NONE;
}

PyObject* set_module_path(PyObject*, PyObject* function) {
    Py_XSETREF(find_module_path, Py_NewRef(function));
    Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"_profiler_start", start, METH_VARARGS, nullptr},
    {"_profiler_stop", stop, METH_NOARGS, nullptr},
    {"_profiler_recording", is_recording, METH_NOARGS, nullptr},
    {"_profiler_open", open_range, METH_O, nullptr},
    {"_profiler_close", close_range, METH_O, nullptr},
    {"_set_module_path", set_module_path, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

profiler::Description described(std::string name, profiler::Kind kind) {
    profiler::Description d{.name = std::move(name), .kind = kind};
    if (noted.stack) d.stack = stack();
    if (noted.modules) d.module = module_path();
    return d;
}

bool begins_call() { return !std::exchange(within_call, false); }

PyObject* recorded_call(PyObject* (*function)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*),
                        const char* name, bool in_place, PyObject* self, PyObject* const* args,
                        Py_ssize_t nargs, PyObject* kwnames) {
    OperationRange range(name, in_place, self, args, nargs, kwnames);
    within_call = true;
    PyObject* result = function(self, args, nargs, kwnames);
    within_call = false;  // the recording may have ended before the call
    return result;
}

void OperationRange::begin(const char* name, bool in_place, PyObject* self, PyObject* const* args,
                           Py_ssize_t nargs, PyObject* kwnames) noexcept try {
    std::string full(name, std::strcspn(name, "("));
    if (in_place) full += '_';
    profiler::Description d = described("aten::" + full, profiler::Kind::Operation);
    if (noted.shapes)
        d.shapes = shapes_of(self, args, nargs + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0));
    sequence_ = Node::next_sequence();
    event_ = profiler::open(std::move(d));
} catch (const std::bad_alloc&) {
    // The operation counts more than its event.
}

void OperationRange::end() noexcept {
    bool recorded = Node::next_sequence() != sequence_;
    profiler::close(event_, recorded ? int64_t(sequence_) : -1);
}

std::string module_path() {
    if (!find_module_path) return {};
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyRef path = PyRef::steal(PyObject_CallNoArgs(find_module_path));
    const char* text = path ? PyUnicode_AsUTF8(path.get()) : nullptr;
    std::string result = text ? text : "";
    PyErr_Restore(type, value, traceback);  // drops an error of the search
    return result;
}

bool add_profiler(PyObject* module) { return PyModule_AddFunctions(module, functions) == 0; }

}  // namespace ember::python
