#include <vector>

#include "cuda/common.cuh"
#include "cuda/runtime.h"

// Streams, events, copies between memories, and the devices' properties.
namespace ember::cuda {
namespace {

cudaStream_t as_stream(void* stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t as_event(void* event) { return static_cast<cudaEvent_t>(event); }

void copy(void* to, const void* from, size_t bytes, int device, void* stream, bool wait) {
    select_device(device);
    raise_faults(device);
    check("copy", cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, as_stream(stream)));
    if (!wait) return;
    check("copy", cudaStreamSynchronize(as_stream(stream)));
    raise_faults(device);
}

void* create_stream(int device, int priority) {
    select_device(device);
    cudaStream_t stream;
    check("Stream", cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, priority));
    return stream;
}

bool is_done(const char* name, cudaError_t state) {
    if (state != cudaErrorNotReady) check(name, state);
    return state == cudaSuccess;
}

bool query_stream(int device, void* stream) {
    select_device(device);
    return is_done("Stream.query", cudaStreamQuery(as_stream(stream)));
}

void synchronize_stream(int device, void* stream) {
    select_device(device);
    check("synchronize", cudaStreamSynchronize(as_stream(stream)));
    raise_faults(device);
}

void synchronize_device(int device) {
    select_device(device);
    check("synchronize", cudaDeviceSynchronize());
    raise_faults(device);
}

void* create_event(int device, bool timing) {
    select_device(device);
    cudaEvent_t event;
    check("Event", cudaEventCreateWithFlags(&event, timing ? 0 : cudaEventDisableTiming));
    return event;
}
void destroy_event(void* event) { cudaEventDestroy(as_event(event)); }
void record_event(void* event, int device, void* stream) {
    select_device(device);
    check("Event.record", cudaEventRecord(as_event(event), as_stream(stream)));
}
void wait_event(void* event, int device, void* stream) {
    select_device(device);
    check("Event.wait", cudaStreamWaitEvent(as_stream(stream), as_event(event), 0));
}
bool query_event(void* event) { return is_done("Event.query", cudaEventQuery(as_event(event))); }
void synchronize_event(void* event) {
    check("Event.synchronize", cudaEventSynchronize(as_event(event)));
}
float elapsed_ms(void* first, void* last) {
    float ms = 0;
    check("Event.elapsed_time", cudaEventElapsedTime(&ms, as_event(first), as_event(last)));
    return ms;
}

void wait_stream(int device, void* stream, int other_device, void* other) {
    if (device == other_device && stream == other) return;
    void* event = create_event(other_device, false);
    record_event(event, other_device, other);
    wait_event(event, device, stream);
    destroy_event(event);  // the driver keeps it until it has happened
}

CudaProperties properties(int device) {
    cudaDeviceProp found;
    check("get_device_properties", cudaGetDeviceProperties(&found, device));
    CudaProperties p{};
    strncpy(p.name, found.name, sizeof p.name - 1);
    p.major = found.major;
    p.minor = found.minor;
    p.processors = found.multiProcessorCount;
    p.memory = int64_t(found.totalGlobalMem);
    return p;
}

}  // namespace

void fill_streams(CudaRuntime& runtime) {
    runtime.set_device = select_device;
    runtime.copy = copy;
    runtime.create_stream = create_stream;
    runtime.query_stream = query_stream;
    runtime.synchronize_stream = synchronize_stream;
    runtime.synchronize_device = synchronize_device;
    runtime.create_event = create_event;
    runtime.destroy_event = destroy_event;
    runtime.record_event = record_event;
    runtime.wait_event = wait_event;
    runtime.query_event = query_event;
    runtime.synchronize_event = synchronize_event;
    runtime.elapsed_ms = elapsed_ms;
    runtime.wait_stream = wait_stream;
    runtime.properties = properties;
    runtime.matrix_library = matrix_library;
}

}  // namespace ember::cuda
