#pragma once

#include <cstdint>

#include "core/macros.h"

namespace ember {

EMBER_EXPORT int get_num_threads();
// Raises ValueError unless n is at least 1.
EMBER_EXPORT void set_num_threads(int n);

// Runs fn(arg, i) for i in [0, tasks), each once, on at most get_num_threads() threads, the caller
// among them. Exceptions of a task reach the caller (the first by index); the others still run.
// Called inside a task, or while another thread uses the pool, it runs in the caller alone.
EMBER_EXPORT void parallel_tasks(int64_t tasks, void (*fn)(void* arg, int64_t task), void* arg);

// Runs f(begin, end) over [0, n) cut into pieces of `grain` (the last may be shorter). The cut
// depends on n and grain alone, so results do not depend on the number of threads.
template <class F>
EMBER_INLINE void parallel_for(int64_t n, int64_t grain, F&& f) {
    if (n <= 0) return;
    if (n <= grain) {
        f(int64_t(0), n);
        return;
    }
    struct Call {
        F& f;
        int64_t n, grain;
    } call{f, n, grain};
    auto run = [](void* arg, int64_t task) {
        Call& c = *static_cast<Call*>(arg);
        int64_t begin = task * c.grain;
        int64_t end = begin + c.grain < c.n ? begin + c.grain : c.n;
        c.f(begin, end);
    };
    parallel_tasks((n + grain - 1) / grain, run, &call);
}

// Bytes of memory traffic, or the equivalent in arithmetic, that make one task worth waking a
// worker.
constexpr int64_t kGrainBytes = 64 * 1024;

}  // namespace ember
