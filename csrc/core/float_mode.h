#pragma once

#include <cstdint>

#include "core/macros.h"

// The processor's floating-point control register: rounding and the treatment of subnormals. It
// belongs to a thread; workers of the pool take the caller's.
namespace ember {

using FloatMode = uint64_t;

EMBER_INLINE FloatMode get_float_mode() {
#if defined(__x86_64__)
    return __builtin_ia32_stmxcsr() & ~0x3fu;  // without the sticky exception flags
#elif defined(__aarch64__)
    FloatMode mode;
    asm volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
#else
    return 0;
#endif
}

EMBER_INLINE void set_float_mode([[maybe_unused]] FloatMode mode) {
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(uint32_t(mode));
#elif defined(__aarch64__)
    asm volatile("msr fpcr, %0" ::"r"(mode));
#endif
}

// Reads and writes subnormals as zero in this thread, and in the pool when it works for this
// thread. Off at first. Returns whether the processor can.
EMBER_EXPORT bool set_flush_denormal(bool on);

}  // namespace ember
