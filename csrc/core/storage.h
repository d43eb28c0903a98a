#pragma once

#include <atomic>
#include <cstddef>

#include "core/device.h"

namespace ember {

// Memory with an owner: the allocator's, numpy's, DLPack's or a mapped file's alike.
// Tensors that share memory share one Storage, and with it the version counter of in-place changes.
struct Storage {
    using Deleter = void (*)(void* data, size_t bytes, void* owner);

    char* data = nullptr;
    size_t bytes = 0;
    Deleter deleter = nullptr;
    void* owner = nullptr;
    std::atomic<uint32_t> refs{1};
    std::atomic<uint32_t> version{0};
    Device device;
    bool embedded = false;   // lives in a tensor's block
    bool read_only = false;  // memory that may not be written (a numpy array's flag)

    void retain() { refs.fetch_add(1, std::memory_order_relaxed); }
    EMBER_EXPORT void release();
    // Counts a change made in place. Racing writers lose a count at worst, never a change.
    void bump_version() {
        version.store(version.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
};

}  // namespace ember
