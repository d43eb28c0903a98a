#include "core/backend.h"
#include "core/table.h"
#include "core/unlock.h"
#include "python/tables.h"

// What ember.cuda is made of. Streams and events are the driver's handles, as integers.
namespace ember::python {

namespace {

constexpr int64_t kWaits = 2 * Unlocked::kWorthwhileNs;  // others may run Python meanwhile

PyObject* checked(PyObject* o) {
    if (!o) throw PythonError();
    return o;
}

bool available() { return cuda_available(); }
PyObject* unavailable_reason() {
    return checked(PyUnicode_FromString(cuda_unavailable_reason().c_str()));
}
int64_t device_count() { return cuda_available() ? cuda_runtime()->devices : 0; }
int64_t current_device() { return resolve_device({DeviceType::CUDA, -1}).index; }

int gpu(int64_t index) {
    EMBER_CHECK(index >= -1 && index < kMaxGpus, "device: there is no CUDA device %ld",
                long(index));
    return resolve_device({DeviceType::CUDA, int8_t(index)}).index;
}
void set_device(int64_t index) { set_current_gpu(gpu(index)); }

void* pointer(PyObject* handle) {
    void* p = PyLong_AsVoidPtr(handle);
    if (!p && PyErr_Occurred()) throw PythonError();
    return p;
}
PyObject* integer(void* handle) { return checked(PyLong_FromVoidPtr(handle)); }
const CudaRuntime& runtime() { return require_cuda("cuda"); }

PyObject* properties(int64_t index) {
    CudaProperties p = runtime().properties(gpu(index));
    return checked(Py_BuildValue("(siiiL)", p.name, p.major, p.minor, p.processors,
                                 static_cast<long long>(p.memory)));
}
PyObject* memory(int64_t index) {
    CudaMemory m = runtime().memory(gpu(index));
    return checked(Py_BuildValue(
        "{s:L,s:L,s:L,s:L,s:L,s:L,s:L,s:L}", "allocated_bytes", static_cast<long long>(m.allocated),
        "allocated_bytes_peak", static_cast<long long>(m.allocated_peak), "reserved_bytes",
        static_cast<long long>(m.reserved), "reserved_bytes_peak",
        static_cast<long long>(m.reserved_peak), "allocations",
        static_cast<long long>(m.allocations), "cache_hits", static_cast<long long>(m.cache_hits),
        "free_bytes", static_cast<long long>(m.free), "total_bytes",
        static_cast<long long>(m.total)));
}
void reset_peaks(int64_t index) { runtime().reset_peaks(gpu(index)); }
void empty_cache() {
    if (!cuda_available()) return;
    Unlocked unlocked(kWaits);
    runtime().empty_cache();
}

PyObject* create_stream(int64_t index, int64_t priority) {
    return integer(runtime().create_stream(gpu(index), int(priority)));
}
bool query_stream(int64_t index, PyObject* stream) {
    return runtime().query_stream(gpu(index), pointer(stream));
}
void synchronize_stream(int64_t index, PyObject* stream) {
    int device = gpu(index);
    void* handle = pointer(stream);
    Unlocked unlocked(kWaits);
    runtime().synchronize_stream(device, handle);
}
void synchronize_device(int64_t index) {
    int device = gpu(index);
    Unlocked unlocked(kWaits);
    runtime().synchronize_device(device);
}
PyObject* stream_of(int64_t index) { return integer(current_stream(gpu(index))); }
void set_stream(int64_t index, PyObject* stream) {
    set_current_stream(gpu(index), pointer(stream));
}
void wait_stream(int64_t index, PyObject* stream, int64_t other_index, PyObject* other) {
    runtime().wait_stream(gpu(index), pointer(stream), gpu(other_index), pointer(other));
}

PyObject* create_event(int64_t index, bool timing) {
    return integer(runtime().create_event(gpu(index), timing));
}
void destroy_event(PyObject* event) { runtime().destroy_event(pointer(event)); }
void record_event(PyObject* event, int64_t index, PyObject* stream) {
    runtime().record_event(pointer(event), gpu(index), pointer(stream));
}
void wait_event(PyObject* event, int64_t index, PyObject* stream) {
    runtime().wait_event(pointer(event), gpu(index), pointer(stream));
}
bool query_event(PyObject* event) { return runtime().query_event(pointer(event)); }
void synchronize_event(PyObject* event) {
    void* handle = pointer(event);
    Unlocked unlocked(kWaits);
    runtime().synchronize_event(handle);
}
double elapsed_ms(PyObject* first, PyObject* last) {
    return runtime().elapsed_ms(pointer(first), pointer(last));
}
void record_use(const Tensor& t, PyObject* stream) {
    PyObject* handle = checked(PyObject_GetAttrString(stream, "cuda_stream"));
    void* p = PyLong_AsVoidPtr(handle);
    Py_DECREF(handle);
    if (!p && PyErr_Occurred()) throw PythonError();
    record_stream(t, p);
}

PyObject* matrix_library() {
    if (!cuda_runtime()) return checked(Py_BuildValue("(Os)", Py_False, ""));
    bool found;
    const char* told = cuda_runtime()->matrix_library(&found);
    return checked(Py_BuildValue("(Os)", found ? Py_True : Py_False, told));
}

PyObject* names_of(DTypeMask mask) {
    PyObject* list = checked(PyList_New(0));
    for (int i = 0; i < kDTypeCount; i++) {
        if (!mask.has(DType(i))) continue;
        PyObject* name = PyUnicode_FromString(dtype_name(DType(i)));
        if (!name || PyList_Append(list, name) < 0) throw PythonError();
        Py_DECREF(name);
    }
    return list;
}

PyObject* kernel_slots() {
    cuda_runtime();  // fills its half of the table
    PyObject* list = checked(PyList_New(0));
    for (const SlotBase* slot = SlotBase::first(); slot; slot = slot->next) {
        PyObject* row =
            checked(Py_BuildValue("(sNN)", slot->name, names_of(slot->mask[int(DeviceType::CPU)]),
                                  names_of(slot->mask[int(DeviceType::CUDA)])));
        if (PyList_Append(list, row) < 0) throw PythonError();
        Py_DECREF(row);
    }
    return list;
}

// Asks Python where the packages of NVIDIA are; any thread may.
std::string find_library() {
    PyGILState_STATE state = PyGILState_Ensure();
    std::string path;
    PyObject* module = PyImport_ImportModule("ember.cuda");
    PyObject* found = module ? PyObject_CallMethod(module, "_cublas_path", nullptr) : nullptr;
    const char* text = found && PyUnicode_Check(found) ? PyUnicode_AsUTF8(found) : nullptr;
    if (text) path = text;
    PyErr_Clear();
    Py_XDECREF(found);
    Py_XDECREF(module);
    PyGILState_Release(state);
    return path;
}

}  // namespace

void bind_cuda(BindTable& t) {
    find_cublas = find_library;
    bind<&available>(t, kFunction, "_cuda_is_available()", "Whether a GPU can be used.");
    bind<&unavailable_reason>(t, kFunction, "_cuda_unavailable_reason()", "Why none can.");
    bind<&device_count>(t, kFunction, "_cuda_device_count()", "How many can.");
    bind<&current_device>(t, kFunction, "_cuda_current_device()", "The thread's current GPU.");
    bind<&set_device>(t, kFunction, "_cuda_set_device(index)", "Makes a GPU current.");
    bind<&properties>(t, kFunction, "_cuda_properties(index)",
                      "(name, major, minor, multiprocessors, bytes of memory)");
    bind<&memory>(t, kFunction, "_cuda_memory(index)", "The allocator's and the driver's figures.");
    bind<&reset_peaks>(t, kFunction, "_cuda_reset_peaks(index)", "Sets peaks to present values.");
    bind<&empty_cache>(t, kFunction, "_cuda_empty_cache()", "Gives unused memory to the driver.");
    bind<&create_stream>(t, kFunction, "_cuda_create_stream(index, priority)", "A new stream.");
    bind<&query_stream>(t, kFunction, "_cuda_query_stream(index, stream)", "Whether it is idle.");
    bind<&synchronize_stream>(t, kFunction, "_cuda_synchronize_stream(index, stream)",
                              "Waits for a stream's work.");
    bind<&synchronize_device>(t, kFunction, "_cuda_synchronize_device(index)",
                              "Waits for a GPU's work.");
    bind<&stream_of>(t, kFunction, "_cuda_current_stream(index)", "A GPU's current stream.");
    bind<&set_stream>(t, kFunction, "_cuda_set_stream(index, stream)", "Makes a stream current.");
    bind<&wait_stream>(t, kFunction, "_cuda_wait_stream(index, stream, other_index, other)",
                       "Later work of the first stream waits for present work of the other.");
    bind<&create_event>(t, kFunction, "_cuda_create_event(index, timing)", "A new event.");
    bind<&destroy_event>(t, kFunction, "_cuda_destroy_event(event)", "Frees an event.");
    bind<&record_event>(t, kFunction, "_cuda_record_event(event, index, stream)",
                        "The event happens when the stream's present work is done.");
    bind<&wait_event>(t, kFunction, "_cuda_wait_event(event, index, stream)",
                      "Later work of the stream waits for the event.");
    bind<&query_event>(t, kFunction, "_cuda_query_event(event)", "Whether it has happened.");
    bind<&synchronize_event>(t, kFunction, "_cuda_synchronize_event(event)", "Waits for it.");
    bind<&elapsed_ms>(t, kFunction, "_cuda_elapsed_ms(first, last)", "The time between events.");
    bind<&record_use>(t, kMethod, "record_stream(input, stream)",
                      "The tensor's memory is not used again before the stream's work is done.");
    bind<&matrix_library>(t, kFunction, "_cuda_matrix_library()",
                          "(whether cuBLASLt is found, its path or why not)");
    bind<&kernel_slots>(t, kFunction, "_kernel_slots()",
                        "(name, dtypes the CPU serves, dtypes CUDA serves) of each kernel.");
}

}  // namespace ember::python
