#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>

#include "core/macros.h"

namespace ember {

// Memory from the operating system, cut into blocks of any size: best fit by size bins, neighbours
// merge when freed. Pages stay with the process when blocks are freed, because faulting them in
// again costs more than most kernels; how many stay is bounded by what the program has used at its
// peak. The allocator keeps small objects away from it.
class Heap {
public:
    constexpr Heap(size_t first_segment, size_t largest_growth, size_t slack)
        : first_segment_(first_segment), largest_growth_(largest_growth), slack_(slack) {}

    // 64-byte aligned; null when the system has no memory. `fresh` tells whether it took pages that
    // were not there yet.
    void* take(size_t bytes, bool* fresh);
    void give(void* data);
    // Returns the pages of all free blocks to the system.
    void trim();

    // Bytes with pages: in use, or free and kept; and their greatest number so far.
    void count(size_t* reserved, size_t* reserved_peak);
    void reset_peak();

    std::mutex& mutex() { return mutex_; }

private:
    struct Segment;
    struct Block;
    static constexpr int kBins = 384;

    static int bin_of(size_t bytes);
    void insert(Block* block);
    void remove(Block* block);
    Block* find(bool clean, size_t bytes);
    Block* find_run(size_t bytes);
    Block* grow(size_t bytes);
    Block* merge(Block* first, Block* second);
    void make_room(size_t bytes);
    Block* release(Block* block);
    size_t release_largest();
    void* carve(Block* block, size_t bytes);

    std::mutex mutex_;
    Segment* segments_ = nullptr;
    // Free blocks by size: [0] with pages, [1] clean: never touched, or given back to the system.
    Block* bins_[2][kBins] = {};
    uint64_t occupied_[2][kBins / 64] = {};
    size_t first_segment_, largest_growth_, slack_;
    size_t mapped_ = 0;
    size_t live_ = 0, live_peak_ = 0;
    size_t dirty_ = 0;  // bytes of free blocks with pages
    size_t reserved_peak_ = 0;
};

}  // namespace ember
