#include "core/profiler.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <mutex>
#include <utility>

#include "core/allocator.h"

namespace ember::profiler {

namespace detail {
bool recording = false;
}

namespace {

constexpr int kEventBits = 40;  // of an open event's number; the recording's stands above

std::mutex mutex;
std::vector<Event> events;
int64_t current = 0;  // which recording this is
bool with_memory = false;

thread_local int depth = 0;

int64_t thread_number() {
    static thread_local int64_t number = syscall(SYS_gettid);
    return number;
}

void finish(Event& event, int64_t time, int64_t allocated) {
    event.end = time;
    event.bytes = with_memory ? allocated - event.bytes : 0;
}

int64_t allocated() { return with_memory ? memory_stats().allocated : 0; }

// Null for an event of an earlier recording.
Event* find(int64_t event) {
    size_t index = size_t(event & ((int64_t(1) << kEventBits) - 1));
    if (event >> kEventBits != current || index >= events.size()) return nullptr;
    return &events[index];
}

}  // namespace

int64_t now() {
    auto time = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
}

void start(bool memory) {
    std::lock_guard lock(mutex);
    events.clear();
    current++;
    with_memory = memory;
    __atomic_store_n(&detail::recording, true, __ATOMIC_RELAXED);
}

std::vector<Event> stop() {
    std::lock_guard lock(mutex);
    __atomic_store_n(&detail::recording, false, __ATOMIC_RELAXED);
    int64_t time = now(), bytes = allocated();
    for (Event& event : events)
        if (event.end < 0) finish(event, time, bytes);
    return std::exchange(events, {});
}

int64_t open(Description description) {
    std::lock_guard lock(mutex);
    if (!detail::recording) return -1;
    Event& event = events.emplace_back();
    static_cast<Description&>(event) = std::move(description);
    event.thread = thread_number();
    event.depth = depth++;
    event.bytes = allocated();
    event.begin = now();
    return current << kEventBits | int64_t(events.size() - 1);
}

void close(int64_t event, int64_t sequence) {
    int64_t time = now();
    std::lock_guard lock(mutex);
    depth--;
    Event* e = find(event);
    if (!e) return;
    finish(*e, time, allocated());
    if (sequence >= 0) e->sequence = sequence;
}

}  // namespace ember::profiler
