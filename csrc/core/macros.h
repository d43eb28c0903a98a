#pragma once

// Functions in headers that level files (csrc/cpu, compiled once per instruction set) include must
// leave no symbol behind: the linker would keep one level's copy for all levels.
#define EMBER_INLINE inline __attribute__((always_inline))
#define EMBER_NOINLINE __attribute__((noinline))
#define EMBER_EXPORT __attribute__((visibility("default")))
#define EMBER_LIKELY(x) __builtin_expect(!!(x), 1)
#define EMBER_UNLIKELY(x) __builtin_expect(!!(x), 0)

#ifdef __CUDACC__
#define EMBER_FORMULA __host__ __device__ __forceinline__
#else
#define EMBER_FORMULA EMBER_INLINE
#endif
