#include "core/heap.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "core/system.h"

namespace ember {

namespace {

constexpr size_t kHuge = size_t(2) << 20;
constexpr size_t kHeader = 64;
// Requests from here on ask first whether the machine has that much: mapping alone never fails.
constexpr size_t kAskFirst = size_t(256) << 20;

constexpr size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

size_t page_size() {
    static const size_t size = size_t(sysconf(_SC_PAGESIZE));
    return size;
}

// At most a quarter of the machine stays cached in blocks nobody uses.
size_t cache_bound() {
    static const size_t bound = size_t(total_memory() / 4);
    return bound;
}

void* map_pages(size_t bytes) {
    bool huge = bytes >= kHuge;
    size_t padded = huge ? bytes + kHuge - page_size() : bytes;
    void* p = mmap(nullptr, padded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return nullptr;
    if (!huge) return p;
    char* begin = static_cast<char*>(p);
    char* aligned = reinterpret_cast<char*>(round_up(reinterpret_cast<size_t>(begin), kHuge));
    char* end = begin + padded;
    if (aligned > begin) munmap(begin, size_t(aligned - begin));
    if (end > aligned + bytes) munmap(aligned + bytes, size_t(end - aligned) - bytes);
    madvise(aligned, bytes, MADV_HUGEPAGE);
    return aligned;
}

}  // namespace

// A mapping; its header is followed by blocks without gaps.
struct alignas(kHeader) Heap::Segment {
    Segment* next;
    Segment** link;
    size_t bytes;
};

// Header of a block; its payload follows.
struct alignas(kHeader) Heap::Block {
    size_t bytes;     // with the header
    Block* previous;  // the neighbour below, null for the segment's first block
    Segment* segment;
    bool free, clean;
    Block* next_free;
    Block* previous_free;

    char* begin() { return reinterpret_cast<char*>(this); }
    Block* following() {
        char* end = begin() + bytes;
        bool last = end == reinterpret_cast<char*>(segment) + segment->bytes;
        return last ? nullptr : reinterpret_cast<Block*>(end);
    }
    bool whole_segment() { return previous == nullptr && following() == nullptr; }
};

// Eight bins a doubling.
int Heap::bin_of(size_t bytes) {
    int exponent = 63 - __builtin_clzll(bytes);
    return std::min((exponent - 6) * 8 + int(bytes >> (exponent - 3)) - 8, kBins - 1);
}

void Heap::insert(Block* block) {
    int bin = bin_of(block->bytes);
    Block*& head = bins_[block->clean][bin];
    block->free = true;
    block->previous_free = nullptr;
    block->next_free = head;
    if (head) head->previous_free = block;
    head = block;
    occupied_[block->clean][bin / 64] |= uint64_t(1) << bin % 64;
    if (!block->clean) dirty_ += block->bytes;
}

void Heap::remove(Block* block) {
    int bin = bin_of(block->bytes);
    Block*& head = bins_[block->clean][bin];
    if (block->previous_free)
        block->previous_free->next_free = block->next_free;
    else
        head = block->next_free;
    if (block->next_free) block->next_free->previous_free = block->previous_free;
    if (!head) occupied_[block->clean][bin / 64] &= ~(uint64_t(1) << bin % 64);
    block->free = false;
    if (!block->clean) dirty_ -= block->bytes;
}

// The smallest fitting block among the first of the first bin that has one.
Heap::Block* Heap::find(bool clean, size_t bytes) {
    constexpr int kLooks = 16;
    int first = bin_of(bytes);
    for (int word = first / 64; word < kBins / 64; word++) {
        uint64_t bits = occupied_[clean][word];
        if (word == first / 64) bits &= ~uint64_t(0) << first % 64;
        for (; bits; bits &= bits - 1) {
            Block* best = nullptr;
            int looks = kLooks;
            for (Block* b = bins_[clean][word * 64 + __builtin_ctzll(bits)]; b && looks-- > 0;
                 b = b->next_free)
                if (b->bytes >= bytes && (!best || b->bytes < best->bytes)) best = b;
            if (best) return best;
        }
    }
    return nullptr;
}

Heap::Block* Heap::merge(Block* first, Block* second) {
    first->bytes += second->bytes;
    if (Block* next = first->following()) next->previous = first;
    return first;
}

// Free neighbours, some with pages and some without, that fit together.
Heap::Block* Heap::find_run(size_t bytes) {
    for (Segment* s = segments_; s; s = s->next) {
        if (s->bytes < bytes) continue;
        Block* start = nullptr;
        size_t run = 0;
        for (Block* b = reinterpret_cast<Block*>(s + 1); b; b = b->following()) {
            if (!b->free) {
                start = nullptr;
                run = 0;
                continue;
            }
            if (!start) start = b;
            run += b->bytes;
            if (run < bytes) continue;
            for (Block* part = start; part != b; part = part->following()) remove(part);
            remove(b);
            bool clean = b->clean;
            while (start != b) {
                Block* second = start->following();
                bool last = second == b;
                merge(start, second);
                if (last) break;
            }
            // What is left over after the request is the end of b.
            start->clean = clean;
            insert(start);
            return start;
        }
    }
    return nullptr;
}

Heap::Block* Heap::grow(size_t bytes) {
    size_t needed = bytes + sizeof(Segment);
    size_t size = std::clamp(mapped_, first_segment_, largest_growth_);
    if (needed > size || needed > largest_growth_ / 4) size = needed;
    size = round_up(size, size < kHuge ? page_size() : kHuge);
    if (size >= kAskFirst && size > size_t(available_memory())) return nullptr;
    void* memory = map_pages(size);
    if (!memory && size > needed) memory = map_pages(size = round_up(needed, page_size()));
    if (!memory) return nullptr;
    auto* segment = new (memory) Segment{segments_, &segments_, size};
    if (segments_) segments_->link = &segment->next;
    segments_ = segment;
    mapped_ += size;
    auto* block = new (segment + 1) Block{};
    block->bytes = size - sizeof(Segment);
    block->segment = segment;
    block->clean = true;
    insert(block);
    return block;
}

// Gives the pages of a free block back, and its mapping where it fills one. Returns the block, null
// when it is gone.
Heap::Block* Heap::release(Block* block) {
    remove(block);
    if (block->whole_segment()) {
        Segment* segment = block->segment;
        *segment->link = segment->next;
        if (segment->next) segment->next->link = segment->link;
        mapped_ -= segment->bytes;
        munmap(segment, segment->bytes);
        return nullptr;
    }
    size_t page = page_size();
    char* begin = reinterpret_cast<char*>(
        round_up(reinterpret_cast<size_t>(block->begin() + sizeof(Block)), page));
    char* end = reinterpret_cast<char*>(reinterpret_cast<size_t>(block->begin() + block->bytes) /
                                        page * page);
    if (end > begin) madvise(begin, size_t(end - begin), MADV_DONTNEED);
    block->clean = true;
    Block* before = block->previous;
    Block* after = block->following();
    if (after && after->free && after->clean) {
        remove(after);
        merge(block, after);
    }
    if (before && before->free && before->clean) {
        remove(before);
        block = merge(before, block);
    }
    if (block->whole_segment()) {
        insert(block);
        return release(block);
    }
    insert(block);
    return block;
}

size_t Heap::release_largest() {
    for (int word = kBins / 64 - 1; word >= 0; word--) {
        uint64_t bits = occupied_[0][word];
        if (!bits) continue;
        Block* block = bins_[0][word * 64 + 63 - __builtin_clzll(bits)];
        size_t bytes = block->bytes;
        release(block);
        return bytes;
    }
    return 0;
}

// Before new pages are used: cached ones go until the process keeps little more than its peak need.
void Heap::make_room(size_t bytes) {
    size_t need = std::max(live_peak_, live_ + bytes);
    size_t limit = need + need / 8 + slack_;
    while (dirty_ > 0 && live_ + dirty_ + bytes > limit) release_largest();
}

void* Heap::carve(Block* block, size_t bytes) {
    remove(block);
    size_t rest = block->bytes - bytes;
    // A splinter serves nobody; it stays with the block.
    if (rest >= 1024 + bytes / 64) {
        auto* tail = new (block->begin() + bytes) Block{};
        tail->bytes = rest;
        tail->previous = block;
        tail->segment = block->segment;
        tail->clean = block->clean;
        block->bytes = bytes;
        if (Block* next = tail->following()) next->previous = tail;
        insert(tail);
    }
    live_ += block->bytes;
    live_peak_ = std::max(live_peak_, live_);
    reserved_peak_ = std::max(reserved_peak_, live_ + dirty_);
    return block + 1;
}

void* Heap::take(size_t bytes, bool* fresh) {
    bytes = round_up(bytes, kHeader) + sizeof(Block);
    std::lock_guard lock(mutex_);
    *fresh = false;
    if (Block* block = find(false, bytes)) return carve(block, bytes);
    *fresh = true;
    make_room(bytes);
    Block* block = find(true, bytes);
    if (!block) block = find_run(bytes);
    if (!block) block = grow(bytes);
    return block ? carve(block, bytes) : nullptr;
}

void Heap::give(void* data) {
    std::lock_guard lock(mutex_);
    Block* block = static_cast<Block*>(data) - 1;
    live_ -= block->bytes;
    block->clean = false;
    Block* before = block->previous;
    Block* after = block->following();
    if (after && after->free && !after->clean) {
        remove(after);
        merge(block, after);
    }
    if (before && before->free && !before->clean) {
        remove(before);
        block = merge(before, block);
    }
    insert(block);
    while (EMBER_UNLIKELY(dirty_ > cache_bound())) release_largest();
}

void Heap::trim() {
    std::lock_guard lock(mutex_);
    while (release_largest() > 0) {
    }
    // Segments that were mapped and never used.
    for (Segment* s = segments_; s;) {
        Segment* next = s->next;
        auto* block = reinterpret_cast<Block*>(s + 1);
        if (block->free && block->whole_segment()) release(block);
        s = next;
    }
}

void Heap::count(size_t* reserved, size_t* reserved_peak) {
    std::lock_guard lock(mutex_);
    *reserved += live_ + dirty_;
    *reserved_peak += reserved_peak_;
}

void Heap::reset_peak() {
    std::lock_guard lock(mutex_);
    live_peak_ = live_;
    reserved_peak_ = live_ + dirty_;
}

}  // namespace ember
