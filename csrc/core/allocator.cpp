#include "core/allocator.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#include "core/error.h"
#include "core/heap.h"

namespace ember {

namespace detail {

namespace {

constinit ThreadCache empty_cache{};

}  // namespace

constinit thread_local ThreadCache* thread_cache __attribute__((tls_model("initial-exec"))) =
    &empty_cache;

}  // namespace detail

namespace {

using namespace detail;

constexpr size_t kMiB = size_t(1) << 20;
// Below, blocks are cut from spans of their class; above, each comes from the heap by itself.
constexpr size_t kSpanLimit = 8 * 1024;
constexpr int kSpanClasses = class_of(kSpanLimit) + 1;
constexpr size_t kSpanBytes = 64 * 1024;
// Fresh blocks a thread draws at once: few, so that small programs touch few pages.
constexpr size_t kFreshBytes = 8 * 1024;
constexpr size_t kListBytes = 128 * 1024;  // a thread's list of one class
constexpr size_t kSweepBytes = 16 * kMiB;
constexpr int64_t kPendingLimit = 64 * 1024;
constexpr size_t kLargest = size_t(PTRDIFF_MAX) / 2;

// Requests under 1 MiB stay apart from larger ones, so that they cannot splinter what those need.
constexpr size_t kLargeRequest = kMiB;
constinit Heap small_heap{kMiB, 32 * kMiB, 16 * kMiB};
constinit Heap large_heap{8 * kMiB, 64 * kMiB, 32 * kMiB};

Heap& heap_for(size_t bytes) { return bytes < kLargeRequest ? small_heap : large_heap; }

struct Span {
    char* begin;
    uint32_t free;  // counted while sweeping
};

// Blocks of one class that no thread has.
struct CentralList {
    std::mutex mutex;
    void* head = nullptr;
    size_t count = 0;
    size_t sweep_at = kSweepBytes;  // bytes
    std::vector<Span>* spans = nullptr;
    char* fresh = nullptr;  // of the newest span: blocks never handed out
    char* fresh_end = nullptr;
};
constinit CentralList central[kSpanClasses];

// Counts of all threads. `mutex` guards the list of caches, which other threads only read.
struct Registry {
    std::mutex mutex;
    ThreadCache* caches = nullptr;
    std::atomic<int64_t> allocated{0}, allocated_peak{0};
    int64_t past_allocations = 0, past_misses = 0;  // of threads that ended
};
constinit Registry registry;

// Fields of a cache are written by their thread and read by memory_stats.
int64_t peek(const int64_t& field) { return __atomic_load_n(&field, __ATOMIC_RELAXED); }
void poke(int64_t& field, int64_t value) { __atomic_store_n(&field, value, __ATOMIC_RELAXED); }

void raise_peak(int64_t value) {
    int64_t peak = registry.allocated_peak.load(std::memory_order_relaxed);
    while (value > peak &&
           !registry.allocated_peak.compare_exchange_weak(peak, value, std::memory_order_relaxed)) {
    }
}

// Adds a thread's pending bytes, and `more`, to the common count.
void fold(ThreadCache& cache, int64_t more) {
    int64_t pending = peek(cache.pending), peak = peek(cache.pending_peak);
    int64_t before = registry.allocated.fetch_add(pending + more, std::memory_order_relaxed);
    raise_peak(before + std::max(peak, pending + more));
    poke(cache.pending, 0);
    poke(cache.pending_peak, 0);
}

EMBER_INLINE void count_taken(ThreadCache& cache, size_t bytes) {
    int64_t pending = peek(cache.pending) + int64_t(bytes);
    poke(cache.pending, pending);
    poke(cache.allocations, peek(cache.allocations) + 1);
    if (pending > peek(cache.pending_peak)) {
        poke(cache.pending_peak, pending);
        if (EMBER_UNLIKELY(pending > kPendingLimit)) fold(cache, 0);
    }
}

EMBER_INLINE void count_given(ThreadCache& cache, size_t bytes) {
    int64_t pending = peek(cache.pending) - int64_t(bytes);
    poke(cache.pending, pending);
    if (EMBER_UNLIKELY(pending < -kPendingLimit)) fold(cache, 0);
}

// Sorts a central list by span and returns spans that are free as a whole to the heap.
void sweep(CentralList& list, size_t bytes) {
    if (!list.spans || list.count == 0) return;
    std::vector<Span>& spans = *list.spans;
    std::sort(spans.begin(), spans.end(),
              [](const Span& a, const Span& b) { return a.begin < b.begin; });
    for (Span& span : spans) span.free = 0;
    auto span_of = [&](void* block) -> Span& {
        auto after = std::upper_bound(
            spans.begin(), spans.end(), static_cast<char*>(block),
            [](const char* address, const Span& span) { return address < span.begin; });
        return *(after - 1);
    };
    for (void* b = list.head; b; b = *static_cast<void**>(b)) span_of(b).free++;
    uint32_t whole = uint32_t(kSpanBytes / bytes);
    void* kept = nullptr;
    size_t count = 0;
    for (void* b = list.head; b;) {
        void* next = *static_cast<void**>(b);
        if (span_of(b).free < whole) {
            *static_cast<void**>(b) = kept;
            kept = b;
            count++;
        }
        b = next;
    }
    list.head = kept;
    list.count = count;
    // The span fresh blocks come from cannot be whole: one of its blocks was never given out. When
    // none is left of it, it is like the others.
    std::erase_if(spans, [&](const Span& span) {
        if (span.free < whole) return false;
        small_heap.give(span.begin);
        return true;
    });
    list.sweep_at = std::max(kSweepBytes, 2 * count * bytes);
}

void give_central(int size_class, void* first, void* last, size_t count) {
    if (size_class >= kSpanClasses) {
        for (void* b = first; b;) {
            void* next = b == last ? nullptr : *static_cast<void**>(b);
            small_heap.give(b);
            b = next;
        }
        return;
    }
    size_t bytes = class_bytes(size_class);
    CentralList& list = central[size_class];
    std::lock_guard lock(list.mutex);
    *static_cast<void**>(last) = list.head;
    list.head = first;
    list.count += count;
    if (EMBER_UNLIKELY(list.count * bytes > list.sweep_at)) sweep(list, bytes);
}

[[noreturn]] void raise_out_of_memory(size_t bytes) {
    MemoryStats stats = memory_stats();
    raise(ErrorKind::OutOfMemory,
          "allocate: cannot have %zu bytes of CPU memory (%.1f MiB in use, %.1f MiB reserved)",
          bytes, double(stats.allocated) / double(kMiB), double(stats.reserved) / double(kMiB));
}

void* take_from(Heap& heap, size_t bytes, bool* fresh) {
    void* data = heap.take(bytes, fresh);
    if (EMBER_LIKELY(data != nullptr)) return data;
    trim_memory();
    data = heap.take(bytes, fresh);
    if (!data) raise_out_of_memory(bytes);
    return data;
}

// Up to `wanted` linked blocks; at least one.
void* take_central(int size_class, size_t wanted, uint32_t* taken) {
    size_t bytes = class_bytes(size_class);
    bool fresh;
    *taken = 1;
    if (size_class >= kSpanClasses) {
        void* block = take_from(small_heap, bytes, &fresh);
        *static_cast<void**>(block) = nullptr;
        return block;
    }
    CentralList& list = central[size_class];
    std::unique_lock lock(list.mutex);
    for (;;) {
        void* head = list.head;
        if (head) {
            size_t count = std::min(wanted, list.count);
            void* last = head;
            for (size_t i = 1; i < count; i++) last = *static_cast<void**>(last);
            list.head = *static_cast<void**>(last);
            list.count -= count;
            *static_cast<void**>(last) = nullptr;
            *taken = uint32_t(count);
            return head;
        }
        if (list.fresh != list.fresh_end) break;
        lock.unlock();  // taking from the heap may trim, which visits every list
        char* span = static_cast<char*>(take_from(small_heap, kSpanBytes, &fresh));
        lock.lock();
        if (list.fresh != list.fresh_end) {  // another thread was faster
            lock.unlock();
            small_heap.give(span);
            lock.lock();
            continue;
        }
        if (!list.spans) list.spans = new std::vector<Span>;
        list.spans->push_back({span, 0});
        list.fresh = span;
        list.fresh_end = span + kSpanBytes / bytes * bytes;
    }
    size_t left = size_t(list.fresh_end - list.fresh) / bytes;
    size_t count = std::min({wanted, std::max<size_t>(1, kFreshBytes / bytes), left});
    char* first = list.fresh;
    list.fresh += count * bytes;
    for (size_t i = 0; i < count; i++)
        *reinterpret_cast<void**>(first + i * bytes) =
            i + 1 < count ? first + (i + 1) * bytes : nullptr;
    *taken = uint32_t(count);
    return first;
}

// Gives the central list all but `keep` blocks of a thread's list.
void flush(FreeBlocks& list, int size_class, uint32_t keep) {
    if (list.count <= keep) return;
    // The longest unused are at the end, but finding them walks the list; any will do.
    void* first = list.head;
    uint32_t count = list.count - keep;
    void* last = first;
    for (uint32_t i = 1; i < count; i++) last = *static_cast<void**>(last);
    list.head = *static_cast<void**>(last);
    list.count = keep;
    give_central(size_class, first, last, count);
}

pthread_key_t exit_key;

void end_thread(void* p) {
    auto* cache = static_cast<ThreadCache*>(p);
    thread_cache = &empty_cache;
    for (int c = 0; c < kClasses; c++) flush(cache->blocks[c], c, 0);
    fold(*cache, 0);
    std::lock_guard lock(registry.mutex);
    registry.past_allocations += cache->allocations;
    registry.past_misses += cache->misses;
    if (cache->previous)
        cache->previous->next = cache->next;
    else
        registry.caches = cache->next;
    if (cache->next) cache->next->previous = cache->previous;
    std::free(cache);
}

void lock_all() {
    registry.mutex.lock();
    for (CentralList& list : central) list.mutex.lock();
    small_heap.mutex().lock();
    large_heap.mutex().lock();
}

void unlock_all() {
    large_heap.mutex().unlock();
    small_heap.mutex().unlock();
    for (CentralList& list : central) list.mutex.unlock();
    registry.mutex.unlock();
}

// The child has one thread. The others' caches may have been caught in the middle of a change:
// their blocks are lost, their counts are kept.
void after_fork_in_child() {
    unlock_all();
    for (ThreadCache* cache = registry.caches; cache; cache = cache->next) {
        if (cache == thread_cache) continue;
        registry.allocated.fetch_add(peek(cache->pending), std::memory_order_relaxed);
        registry.past_allocations += peek(cache->allocations);
        registry.past_misses += peek(cache->misses);
    }
    registry.caches = thread_cache == &empty_cache ? nullptr : thread_cache;
    if (registry.caches) registry.caches->next = registry.caches->previous = nullptr;
}

// This thread's cache, made on first need.
ThreadCache& own_cache() {
    if (EMBER_LIKELY(thread_cache != &empty_cache)) return *thread_cache;
    static const bool once = [] {
        pthread_key_create(&exit_key, end_thread);
        pthread_atfork(lock_all, unlock_all, after_fork_in_child);
        return true;
    }();
    (void)once;
    auto* cache = static_cast<ThreadCache*>(std::calloc(1, sizeof(ThreadCache)));
    if (!cache) raise_out_of_memory(sizeof(ThreadCache));
    for (int c = 0; c < kClasses; c++) {
        size_t block_bytes = class_bytes(c);
        cache->bytes[c] = uint32_t(block_bytes);
        cache->blocks[c].limit = uint32_t(std::clamp<size_t>(kListBytes / block_bytes, 2, 256));
    }
    {
        std::lock_guard lock(registry.mutex);
        cache->next = registry.caches;
        if (cache->next) cache->next->previous = cache;
        registry.caches = cache;
    }
    pthread_setspecific(exit_key, cache);
    thread_cache = cache;
    return *cache;
}

#ifdef EMBER_PLAIN_ALLOCATOR
// For sanitizers: every block is its own, with exact bounds.
void* take_plain(size_t bytes) {
    void* data = nullptr;
    if (posix_memalign(&data, 64, std::max<size_t>(bytes, 1)) != 0) raise_out_of_memory(bytes);
    return data;
}
#endif

EMBER_NOINLINE void* allocate_slow(size_t bytes) {
    if (bytes > kLargest) raise_out_of_memory(bytes);
    ThreadCache& cache = own_cache();
#ifdef EMBER_PLAIN_ALLOCATOR
    count_taken(cache, bytes);
    return take_plain(bytes);
#endif
    if (bytes <= kSmallLimit) {
        int size_class = class_of(bytes);
        FreeBlocks& list = cache.blocks[size_class];
        void* block = list.head;
        if (block) {
            list.head = *static_cast<void**>(block);
            list.count--;
        } else {
            block = take_slow(size_class);
            poke(cache.misses, peek(cache.misses) + 1);
        }
        count_taken(cache, cache.bytes[size_class]);
        return block;
    }
    bool fresh;
    void* data = take_from(heap_for(bytes), bytes, &fresh);
    poke(cache.allocations, peek(cache.allocations) + 1);
    if (fresh) poke(cache.misses, peek(cache.misses) + 1);
    fold(cache, int64_t(bytes));
    return data;
}

EMBER_NOINLINE void deallocate_slow(void* data, size_t bytes) {
    ThreadCache& cache = own_cache();
#ifdef EMBER_PLAIN_ALLOCATOR
    count_given(cache, bytes);
    std::free(data);
    return;
#endif
    if (bytes <= kSmallLimit) {
        int size_class = class_of(bytes);
        give_slow(data, size_class);
        count_given(cache, class_bytes(size_class));
        return;
    }
    fold(cache, -int64_t(bytes));
    heap_for(bytes).give(data);
}

}  // namespace

void* detail::take_slow(int size_class) {
#ifdef EMBER_PLAIN_ALLOCATOR
    return take_plain(class_bytes(size_class));
#endif
    ThreadCache& cache = own_cache();
    FreeBlocks& list = cache.blocks[size_class];
    uint32_t taken;
    void* block = take_central(size_class, std::max<uint32_t>(list.limit / 2, 1), &taken);
    list.head = *static_cast<void**>(block);
    list.count = taken - 1;
    return block;
}

void detail::give_slow(void* block, int size_class) {
#ifdef EMBER_PLAIN_ALLOCATOR
    std::free(block);
    return;
#endif
    ThreadCache& cache = own_cache();
    FreeBlocks& list = cache.blocks[size_class];
    if (list.count >= list.limit) flush(list, size_class, list.limit / 2);
    *static_cast<void**>(block) = list.head;
    list.head = block;
    list.count++;
}

void* allocate(size_t bytes) {
#ifndef EMBER_PLAIN_ALLOCATOR
    if (EMBER_LIKELY(bytes <= kSmallLimit)) {
        int size_class = class_of(bytes);
        ThreadCache& cache = *thread_cache;
        FreeBlocks& list = cache.blocks[size_class];
        if (void* block = list.head; EMBER_LIKELY(block != nullptr)) {
            list.head = *static_cast<void**>(block);
            list.count--;
            count_taken(cache, cache.bytes[size_class]);
            return block;
        }
    }
#endif
    return allocate_slow(bytes);
}

void deallocate(void* data, size_t bytes) {
#ifndef EMBER_PLAIN_ALLOCATOR
    if (EMBER_LIKELY(bytes <= kSmallLimit)) {
        int size_class = class_of(bytes);
        ThreadCache& cache = *thread_cache;
        FreeBlocks& list = cache.blocks[size_class];
        if (EMBER_LIKELY(list.count < list.limit)) {
            *static_cast<void**>(data) = list.head;
            list.head = data;
            list.count++;
            count_given(cache, cache.bytes[size_class]);
            return;
        }
    }
#endif
    deallocate_slow(data, bytes);
}

MemoryStats memory_stats() {
    MemoryStats stats{};
    std::lock_guard lock(registry.mutex);
    int64_t now = registry.allocated.load(std::memory_order_relaxed), peak = now;
    stats.allocations = registry.past_allocations;
    int64_t misses = registry.past_misses;
    for (ThreadCache* cache = registry.caches; cache; cache = cache->next) {
        int64_t pending = peek(cache->pending);
        peak = now + std::max(peek(cache->pending_peak), pending);
        now += pending;
        raise_peak(std::max(peak, now));
        stats.allocations += peek(cache->allocations);
        misses += peek(cache->misses);
    }
    stats.allocated = now;
    stats.allocated_peak = std::max(now, registry.allocated_peak.load(std::memory_order_relaxed));
    stats.cache_hits = std::max<int64_t>(0, stats.allocations - misses);
    size_t reserved = 0, reserved_peak = 0;
    for (Heap* heap : {&small_heap, &large_heap}) heap->count(&reserved, &reserved_peak);
    stats.reserved = int64_t(reserved);
    stats.reserved_peak = int64_t(reserved_peak);
    return stats;
}

void reset_peak_memory_stats() {
    fold(own_cache(), 0);
    registry.allocated_peak.store(registry.allocated.load(std::memory_order_relaxed),
                                  std::memory_order_relaxed);
    small_heap.reset_peak();
    large_heap.reset_peak();
}

void trim_memory() {
    if (thread_cache != &empty_cache)
        for (int c = 0; c < kClasses; c++) flush(thread_cache->blocks[c], c, 0);
    for (int c = 0; c < kSpanClasses; c++) {
        CentralList& list = central[c];
        std::lock_guard lock(list.mutex);
        sweep(list, class_bytes(c));
    }
    small_heap.trim();
    large_heap.trim();
}

}  // namespace ember
