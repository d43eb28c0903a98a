#pragma once

#include <cstddef>
#include <cstdint>

#include "core/macros.h"

// CPU memory. Blocks up to 64 KiB come from lists of the thread by size class (at most a quarter
// larger than asked, an eighth above 512 bytes), larger ones from heaps shared by all threads. Any
// thread may free a block, also after the thread that took it has ended, and after a fork.
namespace ember {

// The address sanitizer needs blocks of their own with exact bounds.
#if defined(__SANITIZE_ADDRESS__) && !defined(EMBER_CACHING_ALLOCATOR)
#define EMBER_PLAIN_ALLOCATOR
#endif

// 64-byte aligned, uninitialised, never null. Raises OutOfMemory.
EMBER_EXPORT void* allocate(size_t bytes);
// `bytes` as it was asked for.
EMBER_EXPORT void deallocate(void* data, size_t bytes);

struct MemoryStats {
    int64_t allocated;  // bytes in blocks now in use, as rounded
    int64_t allocated_peak;
    int64_t reserved;  // bytes held of the system, in use or kept for reuse
    int64_t reserved_peak;
    int64_t allocations;  // calls of allocate so far
    int64_t cache_hits;   // those that needed nothing from the system or the shared lists
};
EMBER_EXPORT MemoryStats memory_stats();
EMBER_EXPORT void reset_peak_memory_stats();
// Returns what no block uses to the system; other threads keep their small lists.
EMBER_EXPORT void trim_memory();

namespace detail {

constexpr size_t kSmallLimit = 64 * 1024;
constexpr int kClasses = 65;

// 64-byte steps up to 512, then eight classes a doubling.
constexpr int class_of(size_t bytes) {
    if (bytes <= 512) return int((bytes + 63) / 64);
    int exponent = 63 - __builtin_clzll(bytes - 1);
    return 9 + (exponent - 9) * 8 + int((bytes - 1) >> (exponent - 3)) - 8;
}
constexpr size_t class_bytes(int size_class) {
    if (size_class <= 8) return size_t(size_class < 1 ? 1 : size_class) * 64;
    int step = size_class - 9;
    return size_t(step % 8 + 9) << (step / 8 + 6);
}

// Free blocks of one class; a block's first word points to the next.
struct FreeBlocks {
    void* head;
    uint32_t count, limit;
};

struct ThreadCache {
    FreeBlocks blocks[kClasses];
    uint32_t bytes[kClasses];
    // What this thread has taken less what it has freed since it last told the common count.
    int64_t pending, pending_peak;
    int64_t allocations, misses;
    ThreadCache *next, *previous;
};

// Never null: a thread that has no cache yet points to an empty one whose limits are zero.
// Initial-exec keeps an access at one load; a pointer fits what glibc leaves for such variables.
extern EMBER_EXPORT constinit thread_local ThreadCache* thread_cache
    __attribute__((tls_model("initial-exec")));

EMBER_EXPORT void* take_slow(int size_class);
EMBER_EXPORT void give_slow(void* block, int size_class);

}  // namespace detail

// Fixed-size blocks for small objects (tensor headers, graph nodes): the same lists without the
// statistics.
template <size_t Size>
struct FreeList {
    static_assert(Size > 0 && Size <= 8192);
    static constexpr int kClass = detail::class_of(Size);

    EMBER_INLINE static void* take() {
#ifndef EMBER_PLAIN_ALLOCATOR
        detail::FreeBlocks& list = detail::thread_cache->blocks[kClass];
        if (void* block = list.head; EMBER_LIKELY(block != nullptr)) {
            list.head = *static_cast<void**>(block);
            list.count--;
            return block;
        }
#endif
        return detail::take_slow(kClass);
    }
    EMBER_INLINE static void give(void* block) {
#ifndef EMBER_PLAIN_ALLOCATOR
        detail::FreeBlocks& list = detail::thread_cache->blocks[kClass];
        if (EMBER_LIKELY(list.count < list.limit)) {
            *static_cast<void**>(block) = list.head;
            list.head = block;
            list.count++;
            return;
        }
#endif
        detail::give_slow(block, kClass);
    }
};

}  // namespace ember
