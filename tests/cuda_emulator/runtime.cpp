#include <sys/mman.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

#include "emulator.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, bytes) ((void)(data), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(data, bytes) ((void)(data), (void)(bytes))
#endif

// Streams, events and memory of the emulated device. All work is done when it is asked for. The
// device's memory is a range of addresses that is closed but while kernels and copies run, so that
// the host that touches it crashes as it would with a GPU; a zone behind each block tells of
// kernels that write past its end.
namespace {

constexpr size_t kMemory = size_t(1) << 30, kReserved = size_t(8) << 30;
constexpr size_t kZone = 64, kHuge = size_t(2) << 20;
constexpr unsigned char kFresh = 0xA5, kGuard = 0x5A;
constexpr int kZonesAtOnce = 64;

std::recursive_mutex mutex;
cudaError_t last_error;

struct Arena {
    char* base = nullptr;
    size_t top = 0, used = 0;             // of the range: what has been handed out, what is
    std::multimap<size_t, size_t> holes;  // bytes to offset
    std::map<size_t, size_t> blocks;      // offset to bytes
    size_t next_check = 0;                // an offset
    int accesses = 0;

    char* reserve() {
        if (!base) {
            void* memory = mmap(nullptr, kReserved + kHuge, PROT_NONE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (memory == MAP_FAILED) emulator::fail("no addresses for the device's memory");
            auto address = (reinterpret_cast<uintptr_t>(memory) + kHuge - 1) / kHuge * kHuge;
            base = reinterpret_cast<char*>(address);
            madvise(base, kReserved, MADV_HUGEPAGE);  // fewer pages to open and close
        }
        return base;
    }
    void protect(int protection) {
        if (top) mprotect(base, (top + kHuge - 1) / kHuge * kHuge, protection);
    }
    void check(size_t offset, size_t bytes) {
        const char* zone = base + offset + bytes;
        ASAN_UNPOISON_MEMORY_REGION(zone, kZone);
        for (size_t i = 0; i < kZone; i++)
            if (static_cast<unsigned char>(zone[i]) != kGuard)
                emulator::fail("a kernel has written past the end of a block of memory");
        ASAN_POISON_MEMORY_REGION(zone, kZone);
    }
    // Some blocks in turn.
    void check_some() {
        auto block = blocks.lower_bound(next_check);
        for (int i = 0; i < kZonesAtOnce && !blocks.empty(); i++) {
            if (block == blocks.end()) {
                next_check = 0;
                return;
            }
            check(block->first, block->second);
            next_check = block->first + 1;
            ++block;
        }
    }
};
Arena& arena = *new Arena;

size_t whole(size_t bytes) { return (bytes + 15) / 16 * 16; }

}  // namespace

namespace emulator {

DeviceAccess::DeviceAccess() {
    mutex.lock();
    if (arena.accesses++ == 0) arena.protect(PROT_READ | PROT_WRITE);
}
DeviceAccess::~DeviceAccess() {
    if (arena.accesses == 1) {
        arena.check_some();
        arena.protect(PROT_NONE);
    }
    arena.accesses--;
    mutex.unlock();
}

bool is_valid(dim3 grid, dim3 block) {
    bool valid = grid.x >= 1 && grid.x <= INT32_MAX && grid.y >= 1 && grid.y <= 65535 &&
                 grid.z >= 1 && grid.z <= 65535 && block.x >= 1 && block.x <= 1024 &&
                 block.y == 1 && block.z == 1;
    if (!valid) last_error = cudaErrorInvalidConfiguration;
    return valid;
}

}  // namespace emulator

using emulator::DeviceAccess;

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
const char* cudaGetErrorString(cudaError_t error) {
    return error == cudaErrorInvalidConfiguration ? "invalid configuration argument"
           : error == cudaErrorMemoryAllocation   ? "out of memory"
                                                  : "no error";
}
const char* cudaGetErrorName(cudaError_t error) {
    return error == cudaErrorInvalidConfiguration ? "cudaErrorInvalidConfiguration"
           : error == cudaErrorMemoryAllocation   ? "cudaErrorMemoryAllocation"
                                                  : "cudaSuccess";
}
cudaError_t cudaGetDeviceCount(int* count) {
    *count = 1;
    return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
    *device = 0;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
    *properties = {"emulated", 8, 0, 1, kMemory};
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
    *value = 1;
    return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }

// ---- Memory

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
    *pool = reinterpret_cast<cudaMemPool_t>(&arena);
    return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) { return cudaSuccess; }

cudaError_t cudaMallocFromPoolAsync(void** data, size_t bytes, cudaMemPool_t, cudaStream_t) {
    DeviceAccess access;
    if (bytes > kMemory - arena.used) return last_error = cudaErrorMemoryAllocation;
    size_t size = whole(bytes) + kZone, offset;
    auto hole = arena.holes.lower_bound(size);
    if (hole != arena.holes.end() && hole->first == size) {
        offset = hole->second;
        arena.holes.erase(hole);
    } else {
        arena.reserve();
        if (size > kReserved - arena.top) return last_error = cudaErrorMemoryAllocation;
        offset = arena.top;
        arena.top += size;
        arena.protect(PROT_READ | PROT_WRITE);
    }
    arena.used += bytes;
    arena.blocks[offset] = bytes;
    char* begin = arena.base + offset;
    ASAN_UNPOISON_MEMORY_REGION(begin, size);
    memset(begin, kFresh, bytes);
    memset(begin + bytes, kGuard, size - bytes);
    ASAN_POISON_MEMORY_REGION(begin + bytes, size - bytes);
    *data = begin;
    return cudaSuccess;
}

cudaError_t cudaFreeAsync(void* data, cudaStream_t) {
    DeviceAccess access;
    size_t offset = size_t(static_cast<char*>(data) - arena.base);
    auto block = arena.blocks.find(offset);
    if (block == arena.blocks.end()) emulator::fail("what is freed is no block of memory");
    size_t bytes = block->second, size = whole(bytes) + kZone;
    arena.check(offset, bytes);
    arena.blocks.erase(block);
    arena.used -= bytes;
    arena.holes.emplace(size, offset);
    ASAN_POISON_MEMORY_REGION(data, size);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
    std::lock_guard lock(mutex);
    *free = kMemory - arena.used;
    *total = kMemory;
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned) {
    *data = malloc(bytes);
    return *data ? cudaSuccess : last_error = cudaErrorMemoryAllocation;
}
cudaError_t cudaFreeHost(void* data) {
    free(data);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                            cudaStream_t) {
    DeviceAccess access;
    memmove(to, from, bytes);
    return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) {
    DeviceAccess access;
    memset(to, value, bytes);
    return cudaSuccess;
}

// ---- Streams and events

struct EmulatedEvent {
    std::chrono::steady_clock::time_point at;
};

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) {
    *stream = reinterpret_cast<cudaStream_t>(new char);
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamQuery(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    *event = new EmulatedEvent;
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete event;
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
    event->at = std::chrono::steady_clock::now();
    return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t first, cudaEvent_t last) {
    *ms = std::chrono::duration<float, std::milli>(last->at - first->at).count();
    return cudaSuccess;
}
