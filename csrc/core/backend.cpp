#include "core/backend.h"

#include <dlfcn.h>

#include <filesystem>

#include "core/error.h"
#include "core/table.h"
#include "ember_build_id.h"

namespace ember {

namespace {

struct Loaded {
    CudaRuntime runtime;
    bool usable = false;  // the library is there and is this build's
    std::string reason;   // why no GPU can be used

    Loaded() {
        Dl_info here;
        std::filesystem::path path = "libember_cuda.so";
        if (dladdr(reinterpret_cast<void*>(&load_cpu_kernels), &here) && here.dli_fname)
            path = std::filesystem::path(here.dli_fname).parent_path() / path;
        std::error_code unreadable;
        if (!std::filesystem::exists(path, unreadable)) {
            reason = "this build has no CUDA library (" + path.string() + " does not exist)";
            return;
        }
        void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (!library) {
            reason = dlerror();
            return;
        }
        using Init = const char* (*)(const char*, const Table&, CudaRuntime&);
        auto init = reinterpret_cast<Init>(dlsym(library, "ember_cuda_init"));
        if (!init) {
            reason = dlerror();
            return;
        }
        if (const char* why = init(EMBER_BUILD_ID, Table{DeviceType::CUDA}, runtime)) {
            reason = path.string() + ": " + why;
            return;
        }
        usable = true;
        if (runtime.devices == 0) reason = runtime.reason;
    }
};

// Never destroyed: tensors of static objects are freed through it.
const Loaded& loaded() {
    static const Loaded* const library = new Loaded;
    return *library;
}

struct Current {
    int gpu = 0;
    void* streams[kMaxGpus] = {};
};
thread_local Current current;

}  // namespace

const CudaRuntime* cuda_runtime() { return loaded().usable ? &loaded().runtime : nullptr; }

bool cuda_available() { return loaded().usable && loaded().runtime.devices > 0; }

std::string cuda_unavailable_reason() { return loaded().reason; }

const CudaRuntime& require_cuda(const char* name) {
    EMBER_CHECK(cuda_available(), "%s: CUDA is not available: %s", name, loaded().reason.c_str());
    return loaded().runtime;
}

std::string (*find_cublas)() = nullptr;

int current_gpu() { return current.gpu; }

void set_current_gpu(int index) {
    current.gpu = resolve_device({DeviceType::CUDA, int8_t(index)}).index;
}

void* current_stream(int gpu) { return current.streams[gpu]; }
void set_current_stream(int gpu, void* stream) { current.streams[gpu] = stream; }

Device resolve_device(Device device) {
    if (device.is_cpu()) return device;
    if (device.type == DeviceType::Meta)
        raise(ErrorKind::NotImplemented,
              "device: no tensor can be made without memory, on the meta device");
    const CudaRuntime& runtime = require_cuda("device");
    if (device.index < 0) device.index = int8_t(current.gpu);
    EMBER_CHECK(device.index < runtime.devices, "device: expected one of %d CUDA devices, got %d",
                runtime.devices, device.index);
    return device;
}

StreamGuard::StreamGuard(Device device, void* stream)
    : gpu_(resolve_device(device).index),
      gpu_before_(current.gpu),
      stream_before_(current.streams[gpu_]) {
    current.gpu = gpu_;
    current.streams[gpu_] = stream;
}

StreamGuard::~StreamGuard() {
    current.streams[gpu_] = stream_before_;
    current.gpu = gpu_before_;
}

}  // namespace ember
