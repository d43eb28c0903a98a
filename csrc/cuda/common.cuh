#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <type_traits>

#include "core/error.h"
#include "core/table.h"
#include "core/view.h"

#define EMBER_DEVICE __device__ __forceinline__

namespace ember::cuda {

// Whether the processor plays the device (tests/cuda_emulator).
#ifdef EMBER_CUDA_EMULATED
constexpr bool kEmulated = true;
#else
constexpr bool kEmulated = false;
#endif

// ---- Host: errors, launches

[[noreturn]] void raise_cuda(const char* operation, cudaError_t error);
inline void check(const char* operation, cudaError_t error) {
    if (EMBER_UNLIKELY(error != cudaSuccess)) raise_cuda(operation, error);
}

inline cudaStream_t stream_of(const Context& context) {
    return static_cast<cudaStream_t>(context.stream);
}

constexpr int kThreads = 256;
constexpr int64_t kMaxBlocks = 1 << 16;  // kernels walk on from there

__host__ __device__ inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t clamp_to(int64_t x, int64_t low, int64_t high) {
    return x < low ? low : x > high ? high : x;
}
inline unsigned blocks_for(int64_t items, int64_t per_block = kThreads) {
    return unsigned(clamp_to(ceil_div(items, per_block), 1, kMaxBlocks));
}

// kernel<<<...>>>(args) on the context's stream; Context::finish asks whether it could start.
template <class... P, class... A>
void run(const Context& context, void (*kernel)(P...), dim3 grid, dim3 block, A&&... args) {
#ifndef EMBER_CUDA_EMULATED
    kernel<<<grid, block, 0, stream_of(context)>>>(std::forward<A>(args)...);
#else
    emulator::launch(grid, block, [&] { kernel(args...); });
#endif
}
// One thread an item, or several items a thread.
template <class... P, class... A>
void run_items(const Context& context, void (*kernel)(P...), int64_t items, A&&... args) {
    if (items > 0)
        run(context, kernel, blocks_for(items), dim3(kThreads), std::forward<A>(args)...);
}

// ---- What went wrong on the device

// Lies in the host's memory, where kernels write it and every later call looks. A kernel that finds
// bad input leaves it out and goes on, so that nothing is read or written outside of the tensors.
struct Fault {
    enum class What : int { None, IndexError, IndexRuntime, Target, ZeroDivisor, NotProbability };
    volatile What what;
    const char* volatile operation;  // the host's pointer
    volatile long long index, size;
    volatile int dim;
};
Fault* fault_of(const Context& context);

EMBER_DEVICE void report(Fault* fault, Fault::What what, const char* operation, int64_t index = 0,
                         int64_t size = 0, int dim = 0) {
    fault->operation = operation;
    fault->index = index;
    fault->size = size;
    fault->dim = dim;
    __threadfence_system();
    fault->what = what;
}

// ---- Numbers: halves are stored, float computes

template <class T>
inline constexpr bool is_half = std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;
template <class T>
using Compute = std::conditional_t<is_half<T>, float, T>;

EMBER_DEVICE float widen(Half x) { return __half2float(__ushort_as_half(x.bits)); }
EMBER_DEVICE float widen(BFloat16 x) { return __uint_as_float(uint32_t(x.bits) << 16); }
template <class T>
EMBER_DEVICE T widen(T x) {
    return x;
}
template <class T, class C>
EMBER_DEVICE T narrow(C x) {
    if constexpr (std::is_same_v<T, Half>)
        return {__half_as_ushort(__float2half_rn(float(x)))};
    else if constexpr (std::is_same_v<T, BFloat16>)
        return {__bfloat16_as_ushort(__float2bfloat16_rn(float(x)))};
    else
        return T(x);
}

// As the CPU converts: numbers outside of the range give the lowest, fractions are cut off.
template <class D, class S>
EMBER_DEVICE D convert(S x) {
    if constexpr (std::is_same_v<D, bool>) {
        return x != S(0);
    } else if constexpr (std::is_floating_point_v<S> && std::is_integral_v<D>) {
        using I = std::conditional_t<sizeof(D) == 8, long long, int>;
        constexpr S limit = sizeof(D) == 8 ? S(0x1p63) : S(0x1p31);
        constexpr I lowest = sizeof(D) == 8 ? I(INT64_MIN) : I(INT32_MIN);
        return D(x >= -limit && x < limit ? I(x) : lowest);
    } else {
        return narrow<D>(x);
    }
}

// An item of any real dtype as C (float, double or int64_t).
template <class C>
EMBER_DEVICE C load_as(const char* p, DType dtype) {
    switch (dtype) {
        case DType::Bool:
        case DType::UInt8: return C(*reinterpret_cast<const uint8_t*>(p));
        case DType::Int8: return C(*reinterpret_cast<const int8_t*>(p));
        case DType::Int16: return C(*reinterpret_cast<const int16_t*>(p));
        case DType::Int32: return C(*reinterpret_cast<const int32_t*>(p));
        case DType::Int64: return C(*reinterpret_cast<const int64_t*>(p));
        case DType::Float16: return convert<C>(widen(*reinterpret_cast<const Half*>(p)));
        case DType::BFloat16: return convert<C>(widen(*reinterpret_cast<const BFloat16*>(p)));
        case DType::Float32: return convert<C>(*reinterpret_cast<const float*>(p));
        default: return convert<C>(*reinterpret_cast<const double*>(p));
    }
}

template <class C>
EMBER_DEVICE void store_as(char* p, DType dtype, C x) {
    switch (dtype) {
        case DType::Bool: *reinterpret_cast<bool*>(p) = convert<bool>(x); return;
        case DType::UInt8: *reinterpret_cast<uint8_t*>(p) = convert<uint8_t>(x); return;
        case DType::Int8: *reinterpret_cast<int8_t*>(p) = convert<int8_t>(x); return;
        case DType::Int16: *reinterpret_cast<int16_t*>(p) = convert<int16_t>(x); return;
        case DType::Int32: *reinterpret_cast<int32_t*>(p) = convert<int32_t>(x); return;
        case DType::Int64: *reinterpret_cast<int64_t*>(p) = convert<int64_t>(x); return;
        case DType::Float16: *reinterpret_cast<Half*>(p) = narrow<Half>(x); return;
        case DType::BFloat16: *reinterpret_cast<BFloat16*>(p) = narrow<BFloat16>(x); return;
        case DType::Float32: *reinterpret_cast<float*>(p) = float(x); return;
        default: *reinterpret_cast<double*>(p) = double(x); return;
    }
}

// x as the dtype would hold it.
template <class C>
EMBER_DEVICE C round_to(C x, DType dtype) {
    if constexpr (std::is_same_v<C, int64_t>) {
        switch (dtype) {
            case DType::Bool: return x != 0;
            case DType::UInt8: return uint8_t(x);
            case DType::Int8: return int8_t(x);
            case DType::Int16: return int16_t(x);
            case DType::Int32: return int32_t(x);
            default: return x;
        }
    } else {
        if (dtype == DType::Float16) return widen(narrow<Half>(x));
        if (dtype == DType::BFloat16) return widen(narrow<BFloat16>(x));
        return x;
    }
}

template <class F>
void dispatch_floating(DType dtype, F&& f) {
    dispatch<float, double, Half, BFloat16>(dtype, f);
}
template <class F>
void dispatch_real(DType dtype, F&& f) {
    dispatch<bool, uint8_t, int8_t, int16_t, int32_t, int64_t, Half, BFloat16, float, double>(dtype,
                                                                                              f);
}
// The type a dtype computes in: int64_t for integers and bool, double, or float.
template <class F>
void dispatch_compute(DType dtype, F&& f) {
    if (is_integral(dtype)) return f(TypeTag<int64_t>{});
    if (dtype == DType::Float64) return f(TypeTag<double>{});
    f(TypeTag<float>{});
}

// Moving items needs no more than their size.
struct alignas(16) Bytes16 {
    uint64_t words[2];
};
template <class F>
void dispatch_size(int bytes, F&& f) {
    switch (bytes) {
        case 1: return f(TypeTag<uint8_t>{});
        case 2: return f(TypeTag<uint16_t>{});
        case 4: return f(TypeTag<uint32_t>{});
        case 8: return f(TypeTag<uint64_t>{});
        default: return f(TypeTag<Bytes16>{});
    }
}

// Of each thread of a one-dimensional grid: the items it visits.
#define EMBER_FOR_ITEMS(i, n)                                        \
    for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, \
                 i##_step = int64_t(gridDim.x) * blockDim.x;         \
         i < (n); i += i##_step)

// The sum, or what `join` makes, of one value of each of a warp's threads; in all of them.
template <class T, class F>
EMBER_DEVICE T join_warp(T x, F join) {
    for (int step = 16; step > 0; step /= 2) x = join(x, x.shuffle(step));
    return x;
}
template <class T>
EMBER_DEVICE T add_warp(T x) {
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(~0u, x, step);
    return x;
}
// The same over a block of at most 1024 threads (whole warps). All threads call it.
template <class T>
EMBER_DEVICE T add_block(T x) {
    __shared__ T parts[32];
    x = add_warp(x);
    __syncthreads();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
    __syncthreads();
    T sum = threadIdx.x % 32 < blockDim.x / 32 ? parts[threadIdx.x % 32] : T(0);
    return add_warp(sum);
}
// NaN wins.
template <class T>
EMBER_DEVICE T larger(T a, T b) {
    return a > b || a != a ? a : b;
}
template <class T>
EMBER_DEVICE T max_block(T x) {
    __shared__ T parts[32];
    for (int step = 16; step > 0; step /= 2) x = larger(x, __shfl_xor_sync(~0u, x, step));
    __syncthreads();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
    __syncthreads();
    T most = threadIdx.x % 32 < blockDim.x / 32 ? parts[threadIdx.x % 32] : parts[0];
    for (int step = 16; step > 0; step /= 2) most = larger(most, __shfl_xor_sync(~0u, most, step));
    return most;
}

}  // namespace ember::cuda
