#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "cuda/common.cuh"
#include "cuda/runtime.h"

// Blocks that were freed are kept by size, for the stream they were allocated on; the driver's
// stream-ordered pool gives what is not there, and keeps what it gets back. So a block is used
// again without waiting: later work of the same stream comes after all that used it.
namespace ember::cuda {
namespace {

constexpr size_t kStep = kEmulated ? 1 : 512;  // an emulated device sees what is written behind
constexpr size_t kLargeStep = size_t(2) << 20;

// Whole steps below 1 MiB; above, an eighth of the size's power of two, at most 2 MiB.
size_t rounded(size_t bytes) {
    size_t step = kStep;
    while (step < kLargeStep && bytes / step > 2048) step *= 2;
    return (bytes + step - 1) / step * step;
}

struct Pool;

struct Block {
    void* data;
    size_t bytes;
    cudaStream_t stream;
    Pool* pool;
    std::vector<cudaStream_t> users;  // other streams that work on it
};

struct Key {
    size_t bytes;
    cudaStream_t stream;
    bool operator==(const Key&) const = default;
};
struct KeyHash {
    size_t operator()(const Key& key) const {
        return (key.bytes / kStep * 0x9E3779B97F4A7C15u) ^ reinterpret_cast<uintptr_t>(key.stream);
    }
};

struct Pool {
    std::mutex mutex;
    int device = 0;
    cudaMemPool_t driver = nullptr;
    std::unordered_map<Key, std::vector<Block*>, KeyHash> free;
    int64_t in_use = 0, in_use_peak = 0, held = 0, held_peak = 0;
    int64_t allocations = 0, hits = 0;
};

// Never destroyed: tensors may outlive every static object.
Pool* const pools = new Pool[kMaxGpus];

void return_to_driver(Block* block) {
    cudaFreeAsync(block->data, block->stream);
    block->pool->held -= int64_t(block->bytes);
    delete block;
}

// Under the mutex.
void release_free(Pool& pool) {
    for (auto& [key, blocks] : pool.free)
        for (Block* block : blocks) return_to_driver(block);
    pool.free.clear();
    cudaDeviceSynchronize();
    cudaMemPoolTrimTo(pool.driver, 0);
}

[[noreturn]] void raise_out_of_memory(Pool& pool, size_t bytes) {
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    auto mib = [](auto n) { return double(n) / double(1 << 20); };
    raise(ErrorKind::OutOfMemory,
          "CUDA out of memory: cannot have %.1f MiB on cuda:%d, which has %.1f MiB, of which %.1f "
          "MiB are free (%.1f MiB in use by tensors, %.1f MiB reserved)",
          mib(bytes), pool.device, mib(total), mib(free), mib(pool.in_use), mib(pool.held));
}

void* allocate(int device, void* stream, size_t bytes, void** handle) {
    Pool& pool = pools[device];
    auto on = static_cast<cudaStream_t>(stream);
    std::lock_guard lock(pool.mutex);
    if (bytes > size_t(1) << 60) raise_out_of_memory(pool, bytes);
    size_t size = rounded(bytes);
    pool.allocations++;
    Block* block;
    auto kept = pool.free.find({size, on});
    if (kept != pool.free.end() && !kept->second.empty()) {
        block = kept->second.back();
        kept->second.pop_back();
        pool.hits++;
    } else {
        select_device(device);
        void* data = nullptr;
        cudaError_t error = cudaMallocFromPoolAsync(&data, size, pool.driver, on);
        if (error == cudaErrorMemoryAllocation) {
            cudaGetLastError();  // forget it
            release_free(pool);
            error = cudaMallocFromPoolAsync(&data, size, pool.driver, on);
        }
        if (error == cudaErrorMemoryAllocation) {
            cudaGetLastError();
            raise_out_of_memory(pool, bytes);
        }
        check("allocate", error);
        block = new Block{data, size, on, &pool, {}};
        pool.held += int64_t(size);
        pool.held_peak = std::max(pool.held_peak, pool.held);
    }
    pool.in_use += int64_t(size);
    pool.in_use_peak = std::max(pool.in_use_peak, pool.in_use);
    *handle = block;
    return block->data;
}

// Never raises: at the end of the process the driver may be gone already.
void deallocate(void* handle) {
    auto* block = static_cast<Block*>(handle);
    Pool& pool = *block->pool;
    std::lock_guard lock(pool.mutex);
    pool.in_use -= int64_t(block->bytes);
    if (!block->users.empty()) cudaSetDevice(pool.device);
    for (cudaStream_t user : block->users) {
        cudaEvent_t done;
        if (cudaEventCreateWithFlags(&done, cudaEventDisableTiming) != cudaSuccess) continue;
        cudaEventRecord(done, user);
        cudaStreamWaitEvent(block->stream, done, 0);
        cudaEventDestroy(done);
    }
    block->users.clear();
    pool.free[{block->bytes, block->stream}].push_back(block);
}

void record_use(void* handle, void* stream) {
    auto* block = static_cast<Block*>(handle);
    auto user = static_cast<cudaStream_t>(stream);
    if (user == block->stream) return;
    std::lock_guard lock(block->pool->mutex);
    for (cudaStream_t known : block->users)
        if (known == user) return;
    block->users.push_back(user);
}

CudaMemory memory(int device) {
    Pool& pool = pools[device];
    std::lock_guard lock(pool.mutex);
    size_t free = 0, total = 0;
    select_device(device);
    check("memory_stats", cudaMemGetInfo(&free, &total));
    return {pool.in_use,      pool.in_use_peak, pool.held,     pool.held_peak,
            pool.allocations, pool.hits,        int64_t(free), int64_t(total)};
}

void reset_peaks(int device) {
    Pool& pool = pools[device];
    std::lock_guard lock(pool.mutex);
    pool.in_use_peak = pool.in_use;
    pool.held_peak = pool.held;
}

void empty_cache() {
    for (int device = 0; device < kMaxGpus; device++) {
        Pool& pool = pools[device];
        if (!pool.driver) continue;
        std::lock_guard lock(pool.mutex);
        select_device(device);
        release_free(pool);
    }
}

void* allocate_pinned(size_t bytes) {
    void* data = nullptr;
    cudaError_t error = cudaHostAlloc(&data, bytes ? bytes : 1, cudaHostAllocPortable);
    if (error == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        raise(ErrorKind::OutOfMemory, "pin_memory: cannot pin %zu bytes of the host's memory",
              bytes);
    }
    check("pin_memory", error);
    return data;
}

void deallocate_pinned(void* data) { cudaFreeHost(data); }

}  // namespace

const char* prepare_memory(int device) {
    int pooled = 0;
    cudaDeviceGetAttribute(&pooled, cudaDevAttrMemoryPoolsSupported, device);
    if (!pooled) return "the device has no memory pools, which stream-ordered allocation needs";
    Pool& pool = pools[device];
    pool.device = device;
    if (cudaError_t error = cudaDeviceGetDefaultMemPool(&pool.driver, device))
        return cudaGetErrorString(error);
    uint64_t keep = UINT64_MAX;  // what is freed stays with the pool until empty_cache trims it
    cudaMemPoolSetAttribute(pool.driver, cudaMemPoolAttrReleaseThreshold, &keep);
    return nullptr;
}

void fill_memory(CudaRuntime& runtime) {
    runtime.allocate = allocate;
    runtime.deallocate = deallocate;
    runtime.record_use = record_use;
    runtime.memory = memory;
    runtime.reset_peaks = reset_peaks;
    runtime.empty_cache = empty_cache;
    runtime.allocate_pinned = allocate_pinned;
    runtime.deallocate_pinned = deallocate_pinned;
}

}  // namespace ember::cuda
