#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "cuda/common.cuh"
#include "cuda/runtime.h"
#include "ember_build_id.h"

// The build lists the families: EMBER_FAMILY(softmax).
#define EMBER_FAMILY(family) void register_##family(const Table&);
namespace ember::cuda {
#include "cuda_families.inc"
}
#undef EMBER_FAMILY

namespace ember::cuda {
namespace {

// One a device, in the host's memory.
Fault* faults[kMaxGpus];
std::mutex fault_mutex;

bool synchronous() {
    static const bool on = [] {
        const char* text = std::getenv("EMBER_CUDA_SYNC");
        return text && *text && strcmp(text, "0") != 0;
    }();
    return on;
}

void finish(const Context& context) {
    check(context.operation, cudaGetLastError());
    if (synchronous()) check(context.operation, cudaStreamSynchronize(stream_of(context)));
    raise_faults(context.device.index);
}

// The loader's or the driver's own words.
void say(CudaRuntime& runtime, const char* text, const char* more = "") {
    snprintf(runtime.reason, sizeof runtime.reason, "%s%s", text, more);
}

void find_devices(CudaRuntime& runtime) {
    // The runtime opens the driver's library itself, but does not tell what the loader said.
    void* driver = dlopen(kEmulated ? nullptr : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!driver) {
        const char* why = dlerror();
        return say(runtime, "the NVIDIA driver's library cannot be loaded: ", why ? why : "");
    }
    int count = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) {
        cudaGetLastError();
        return say(runtime, "the driver says: ", cudaGetErrorString(error));
    }
    if (count == 0) return say(runtime, "the driver knows no device");
    for (int device = 0; device < std::min(count, kMaxGpus); device++) {
        const char* why = prepare_memory(device);
        if (why) return say(runtime, why);
        prepare_faults(device);
        runtime.devices = device + 1;
    }
}

}  // namespace

void raise_cuda(const char* operation, cudaError_t error) {
    cudaGetLastError();  // the next call is not to meet it, unless the device is lost
    raise(
        "%s: CUDA error: %s (%s); work is asynchronous, so an earlier operation may have caused "
        "it: EMBER_CUDA_SYNC=1 names the one that did",
        operation, cudaGetErrorString(error), cudaGetErrorName(error));
}

void select_device(int device) {
    int current = -1;
    if (cudaGetDevice(&current) == cudaSuccess && current == device) return;
    check("set_device", cudaSetDevice(device));
}

void prepare_faults(int device) {
    void* record = nullptr;
    check("init",
          cudaHostAlloc(&record, sizeof(Fault), cudaHostAllocPortable | cudaHostAllocMapped));
    memset(record, 0, sizeof(Fault));
    faults[device] = static_cast<Fault*>(record);
}

// The address is the same on the host and, by unified addressing, on every device.
Fault* fault_of(const Context& context) { return faults[context.device.index]; }

void raise_faults(int device) {
    Fault* fault = faults[device];
    if (EMBER_LIKELY(fault->what == Fault::What::None)) return;
    std::lock_guard lock(fault_mutex);
    Fault::What what = fault->what;
    fault->what = Fault::What::None;
    const char* operation = fault->operation;
    long long index = fault->index, size = fault->size;
    int dim = fault->dim;
    switch (what) {
        case Fault::What::None: return;
        case Fault::What::IndexError:
        case Fault::What::IndexRuntime:
            raise(what == Fault::What::IndexError ? ErrorKind::Index : ErrorKind::Runtime,
                  "%s: index %lld is out of bounds for dimension %d with size %lld", operation,
                  index, dim, size);
        case Fault::What::Target:
            raise_index("%s: target %lld is out of bounds for %lld classes", operation, index,
                        size);
        case Fault::What::ZeroDivisor: raise("%s: ZeroDivisionError: a divisor is zero", operation);
        case Fault::What::NotProbability:
            raise("binary_cross_entropy: all elements of input should be between 0 and 1");
    }
}

}  // namespace ember::cuda

// Fills the table's slots, also where no device can be used, and says what the runtime offers.
// Returns null, or why this library does not go with the one that loads it.
extern "C" EMBER_EXPORT const char* ember_cuda_init(const char* build_id, const ember::Table& table,
                                                    ember::CudaRuntime& runtime) {
    using namespace ember::cuda;
    if (strcmp(build_id, EMBER_BUILD_ID) != 0)
        return "the library is of another build than libember.so (" EMBER_BUILD_ID ")";
#define EMBER_FAMILY(family) register_##family(table);
#include "cuda_families.inc"
#undef EMBER_FAMILY
    fill_memory(runtime);
    fill_streams(runtime);
    runtime.finish = finish;
    try {
        find_devices(runtime);
    } catch (const std::exception& e) {
        runtime.devices = 0;
        say(runtime, e.what());
    }
    return nullptr;
}
