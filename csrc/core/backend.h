#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/device.h"
#include "core/macros.h"

namespace ember {

struct Context;
struct Table;

// Fills the kernel table for this processor and returns the level's name: "baseline", "avx2",
// "avx512", "bf16" or "amx". EMBER_ISA names a lower one. Works once; later calls return the name.
// Raises ValueError when EMBER_ISA is no level or one this machine lacks.
EMBER_EXPORT const char* load_cpu_kernels();

constexpr int kMaxGpus = 32;

struct CudaMemory {
    int64_t allocated, allocated_peak;  // bytes in blocks now in use, as rounded
    int64_t reserved, reserved_peak;    // bytes held of the driver, in use or kept for reuse
    int64_t allocations, cache_hits;
    int64_t free, total;  // of the device, as the driver says
};

struct CudaProperties {
    char name[256];
    int major, minor, processors;
    int64_t memory;
};

// What libember_cuda gives besides kernels. Streams and events are the driver's; a null stream is
// the default one. What can fail raises RuntimeError or OutOfMemory.
struct CudaRuntime {
    int devices = 0;  // that can be used; where none can, `reason` says why
    char reason[768] = {};

    void (*set_device)(int device);
    void (*finish)(const Context& context);
    // Memory in the order of a stream. `handle` frees it: at once for later work on that stream,
    // after what other streams it was used on have under way.
    void* (*allocate)(int device, void* stream, size_t bytes, void** handle);
    void (*deallocate)(void* handle);
    void (*record_use)(void* handle, void* stream);
    CudaMemory (*memory)(int device);
    void (*reset_peaks)(int device);
    void (*empty_cache)();
    void* (*allocate_pinned)(size_t bytes);
    void (*deallocate_pinned)(void* data);
    // Between any two memories of host and devices, on a stream of `device`.
    void (*copy)(void* to, const void* from, size_t bytes, int device, void* stream, bool wait);

    void* (*create_stream)(int device, int priority);
    bool (*query_stream)(int device, void* stream);
    void (*synchronize_stream)(int device, void* stream);
    void (*synchronize_device)(int device);
    void* (*create_event)(int device, bool timing);
    void (*destroy_event)(void* event);
    void (*record_event)(void* event, int device, void* stream);
    void (*wait_event)(void* event, int device, void* stream);
    bool (*query_event)(void* event);
    void (*synchronize_event)(void* event);
    float (*elapsed_ms)(void* first, void* last);
    // Work queued on `stream` from now on waits for what is queued on `other` now.
    void (*wait_stream)(int device, void* stream, int other_device, void* other);
    CudaProperties (*properties)(int device);
    // Where cuBLASLt is, or why it cannot be had.
    const char* (*matrix_library)(bool* found);
};

// Loads libember_cuda on the first call; null where this build has none or it does not fit.
EMBER_EXPORT const CudaRuntime* cuda_runtime();
// Whether a GPU can be used, and if not, why.
EMBER_EXPORT bool cuda_available();
EMBER_EXPORT std::string cuda_unavailable_reason();
// Raises `<name>: CUDA is not available: …`.
EMBER_EXPORT const CudaRuntime& require_cuda(const char* name);
// Python sets it: where an installed package has libcublasLt, or an empty path.
extern EMBER_EXPORT std::string (*find_cublas)();

// Each thread has a current GPU, and on each GPU a current stream.
EMBER_EXPORT int current_gpu();
EMBER_EXPORT void set_current_gpu(int index);  // raises unless there is such a GPU
EMBER_EXPORT void* current_stream(int gpu);
EMBER_EXPORT void set_current_stream(int gpu, void* stream);
// With the current GPU's index where none is given. Raises where there is no such device.
EMBER_EXPORT Device resolve_device(Device device);

// Makes a GPU and a stream of it current.
class EMBER_EXPORT StreamGuard {
public:
    StreamGuard(Device device, void* stream);
    ~StreamGuard();
    StreamGuard(const StreamGuard&) = delete;
    StreamGuard& operator=(const StreamGuard&) = delete;

private:
    int gpu_, gpu_before_;
    void* stream_before_;
};

}  // namespace ember
