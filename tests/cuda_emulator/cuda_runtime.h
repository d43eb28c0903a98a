#pragma once

#include <math.h>  // gives the global namespace functions of float, as nvcc does

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <utility>

// CUDA as far as csrc/cuda uses it, on the processor: kernels are functions whose threads run one
// after the other (fibers.cpp), and the device's memory is the process's own (runtime.cpp).

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define __grid_constant__
#define __shared__ static  // blocks run one after the other

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};

// ---- What a thread sees

namespace emulator {

extern dim3 thread_index, block_index, block_size, grid_size;

void launch(dim3 grid, dim3 block, const std::function<void()>& thread);
void wait_for_block();
void wait_for_warp();
// Where this thread leaves a value for its warp, and where another lane has left its own.
void* exchange_slot();
const void* exchange_slot_of(int lane);
int lane();
// The next exchange uses other slots, so that one meeting an exchange is enough.
void next_exchange();

template <class T, class Read>
auto exchange(T x, Read read) {
    static_assert(sizeof(T) <= 8);
    memcpy(exchange_slot(), &x, sizeof x);
    wait_for_warp();
    auto result = read([](int from) {
        T y;
        memcpy(&y, exchange_slot_of(from), sizeof y);
        return y;
    });
    next_exchange();
    return result;
}

}  // namespace emulator

#define threadIdx emulator::thread_index
#define blockIdx emulator::block_index
#define blockDim emulator::block_size
#define gridDim emulator::grid_size

inline void __syncthreads() { emulator::wait_for_block(); }
inline void __syncwarp(unsigned = ~0u) { emulator::wait_for_warp(); }
inline void __threadfence_system() {}
template <class T>
T __shfl_xor_sync(unsigned, T x, int step) {
    return emulator::exchange(x, [&](auto of) { return of(emulator::lane() ^ step); });
}
template <class T>
T __shfl_up_sync(unsigned, T x, int step) {
    int from = emulator::lane() - step;
    return emulator::exchange(x, [&](auto of) { return from < 0 ? x : of(from); });
}
inline unsigned __ballot_sync(unsigned, bool vote) {
    return emulator::exchange(vote, [](auto of) {
        unsigned votes = 0;
        for (int from = 0; from < 32; from++) votes |= unsigned(of(from)) << from;
        return votes;
    });
}

template <class T, class U>
T atomicAdd(T* at, U x) {
    T before = *at;
    *at = T(before + x);
    return before;
}
template <class T>
T atomicMax(T* at, T x) {
    T before = *at;
    *at = std::max(before, x);
    return before;
}
template <class T>
T atomicCAS(T* at, T expected, T x) {
    T before = *at;
    if (before == expected) *at = x;
    return before;
}

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline uint32_t __umulhi(uint32_t a, uint32_t b) { return uint32_t(uint64_t(a) * b >> 32); }
inline float __uint_as_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
inline double cospi(double x) { return std::cos(M_PI * x); }
inline float cospif(float x) { return float(cospi(double(x))); }
using std::isinf;

// ---- The runtime

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorNotReady = 600
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToDevice = 3, cudaMemcpyDefault };
enum cudaDeviceAttr { cudaDevAttrMemoryPoolsSupported };
enum cudaMemPoolAttr { cudaMemPoolAttrReleaseThreshold };
enum cudaDataType { CUDA_R_32F, CUDA_R_64F, CUDA_R_16F, CUDA_R_16BF = 14 };
constexpr unsigned cudaHostAllocPortable = 1, cudaHostAllocMapped = 2, cudaEventDisableTiming = 2,
                   cudaStreamNonBlocking = 1;
using cudaStream_t = struct EmulatedStream*;
using cudaEvent_t = struct EmulatedEvent*;
using cudaMemPool_t = struct EmulatedPool*;
struct cudaDeviceProp {
    char name[256];
    int major, minor, multiProcessorCount;
    size_t totalGlobalMem;
};

cudaError_t cudaGetLastError();
const char* cudaGetErrorString(cudaError_t error);
const char* cudaGetErrorName(cudaError_t error);
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);
cudaError_t cudaDeviceSynchronize();

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device);
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value);
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t bytes);
cudaError_t cudaMallocFromPoolAsync(void** data, size_t bytes, cudaMemPool_t pool,
                                    cudaStream_t stream);
cudaError_t cudaFreeAsync(void* data, cudaStream_t stream);
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);
cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void* data);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream);

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamQuery(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t first, cudaEvent_t last);
