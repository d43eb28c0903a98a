#include "core/parallel.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>

#include "core/error.h"
#include "core/float_mode.h"
#include "core/system.h"

namespace ember {

namespace {

constexpr int kMaxThreads = 1024;
// How long a worker looks for the next job before it sleeps: about the time between two kernels of
// a training loop. Waking it from a sleep costs more than this many microseconds of small kernels.
constexpr auto kSpinTime = std::chrono::microseconds(40);

EMBER_INLINE void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

void futex_wait(std::atomic<uint32_t>& word, uint32_t value) {
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}
void futex_wake(std::atomic<uint32_t>& word) {
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

// The tasks are cut into one range a thread, so that a thread meets the memory again that its
// caches kept from the operation before; who has finished its own range helps with the next ones
// (affinity scheduling: Markatos and LeBlanc, 1994).
constexpr int kMaxRanges = 64;

struct alignas(64) Range {
    std::atomic<int64_t> next;
    int64_t end;
};

struct Job {
    void (*fn)(void*, int64_t);
    void* arg;
    FloatMode float_mode;
    std::atomic<bool> failed{false};
    std::mutex mutex;  // of what follows
    int64_t failed_task = -1;
    std::exception_ptr exception;
    int ranges;
    Range range[kMaxRanges];

    Job(void (*function)(void*, int64_t), void* argument, int64_t tasks, int threads)
        : fn(function),
          arg(argument),
          float_mode(get_float_mode()),
          ranges(std::min(threads, kMaxRanges)) {
        int64_t share = tasks / ranges, more = tasks % ranges, begin = 0;
        for (int r = 0; r < ranges; r++) {
            range[r].next.store(begin, std::memory_order_relaxed);
            range[r].end = begin += share + (r < more);
        }
    }

    void run(int64_t task) {
        try {
            fn(arg, task);
        } catch (...) {
            std::lock_guard lock(mutex);
            if (failed_task < 0 || task < failed_task) {
                failed_task = task;
                exception = std::current_exception();
            }
            failed.store(true, std::memory_order_relaxed);
        }
    }
};

thread_local bool inside_task = false;

// Runs what is left of the job's tasks, those of the thread's own range first.
void run_tasks(Job& job, int thread) {
    bool nested = inside_task;
    inside_task = true;
    for (int i = 0; i < job.ranges; i++) {
        Range& range = job.range[(thread + i) % job.ranges];
        while (range.next.load(std::memory_order_relaxed) < range.end) {
            int64_t task = range.next.fetch_add(1, std::memory_order_relaxed);
            if (task < range.end) job.run(task);
        }
    }
    inside_task = nested;
}

// The state of the word that a worker and the thread that posts to it share. Each side sleeps on it
// in one state only: the worker in Sleeping, the poster in Awaited.
enum State : uint32_t { Idle, Sleeping, Posted, Running, Awaited };

struct Pool;

struct alignas(128) Worker {
    std::atomic<uint32_t> state{Idle};
    Job* job = nullptr;
    Pool* pool;
    int number;  // the thread that posts is 0

    Worker(Pool* owner, int n) : pool(owner), number(n) {}

    void post(Job& work) {
        job = &work;
        if (state.exchange(Posted, std::memory_order_acq_rel) == Sleeping) futex_wake(state);
    }

    // Takes the job back if the worker has not begun, and waits for it otherwise.
    void finish(bool spin) {
        uint32_t expected = Posted;
        if (state.compare_exchange_strong(expected, Idle, std::memory_order_acq_rel)) return;
        if (spin) {
            auto deadline = std::chrono::steady_clock::now() + kSpinTime;
            do {
                for (int i = 0; i < 32; i++) {
                    if (state.load(std::memory_order_acquire) < Running) return;
                    pause();
                }
            } while (std::chrono::steady_clock::now() < deadline);
        }
        expected = Running;
        if (!state.compare_exchange_strong(expected, Awaited, std::memory_order_acq_rel)) return;
        while (state.load(std::memory_order_acquire) == Awaited) futex_wait(state, Awaited);
    }

    // Until there is a job. The job may have been taken back meanwhile.
    bool wait(bool spin) {
        if (spin) {
            auto deadline = std::chrono::steady_clock::now() + kSpinTime;
            do {
                for (int i = 0; i < 32; i++) {
                    if (state.load(std::memory_order_acquire) == Posted) return begin();
                    pause();
                }
            } while (std::chrono::steady_clock::now() < deadline);
        }
        uint32_t expected = Idle;
        if (!state.compare_exchange_strong(expected, Sleeping, std::memory_order_acq_rel))
            return begin();
        while (state.load(std::memory_order_acquire) == Sleeping) futex_wait(state, Sleeping);
        return begin();
    }

    bool begin() {
        uint32_t expected = Posted;
        return state.compare_exchange_strong(expected, Running, std::memory_order_acq_rel);
    }
};

struct Pool {
    std::atomic<bool> busy{false};
    std::atomic<bool> spin{true};  // no use when threads outnumber cores
    int workers = 0;               // started so far; changed under `busy`, as is the list
    Worker* worker[kMaxThreads] = {};

    // Starts workers until there are `wanted`, or the system has no more; returns their number.
    int start(int wanted);
};

void* work(void* p) {
    Worker& self = *static_cast<Worker*>(p);
    FloatMode own = get_float_mode();
    for (;;) {
        if (!self.wait(self.pool->spin.load(std::memory_order_relaxed))) continue;
        if (self.job->float_mode != own) set_float_mode(own = self.job->float_mode);
        run_tasks(*self.job, self.number);
        if (self.state.exchange(Idle, std::memory_order_acq_rel) == Awaited) futex_wake(self.state);
    }
    return nullptr;
}

int Pool::start(int wanted) {
    if (EMBER_LIKELY(workers >= wanted)) return wanted;
    // Signals are for the program's own threads.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    // Detached, and never freed: workers sleep until the process ends, in no destructor's way.
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    while (workers < wanted) {
        auto* added = new (std::nothrow) Worker(this, workers + 1);
        if (!added) break;
        pthread_t thread;
        if (pthread_create(&thread, &attributes, work, added) != 0) {
            delete added;
            break;
        }
        pthread_setname_np(thread, "ember");
        worker[workers++] = added;
    }
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return workers;
}

std::atomic<int> thread_count{0};  // 0: not known yet
std::atomic<Pool*> current_pool{nullptr};

// Threads do not survive a fork: the child starts its own pool on first need.
void forget_pool() { current_pool.store(nullptr, std::memory_order_relaxed); }

Pool* get_pool() {
    Pool* pool = current_pool.load(std::memory_order_acquire);
    if (EMBER_LIKELY(pool != nullptr)) return pool;
    static const bool once = (pthread_atfork(nullptr, nullptr, forget_pool), true);
    (void)once;
    auto* made = new (std::nothrow) Pool;
    if (!made) return nullptr;
    made->spin = thread_count.load(std::memory_order_relaxed) <= usable_cores();
    if (current_pool.compare_exchange_strong(pool, made, std::memory_order_acq_rel)) return made;
    delete made;  // another thread was faster
    return pool;
}

int default_num_threads() {
    const char* text = getenv("EMBER_NUM_THREADS");
    if (!text || !*text) return std::min(usable_cores(), kMaxThreads);
    char* end;
    long n = strtol(text, &end, 10);
    if (*end || n < 1 || n > kMaxThreads)
        raise_value("EMBER_NUM_THREADS: expected a number from 1 to %d, got \"%s\"", kMaxThreads,
                    text);
    return int(n);
}

}  // namespace

int get_num_threads() {
    int n = thread_count.load(std::memory_order_relaxed);
    if (EMBER_LIKELY(n > 0)) return n;
    int fresh = default_num_threads();
    return thread_count.compare_exchange_strong(n, fresh) ? fresh : n;
}

void set_num_threads(int n) {
    if (n < 1 || n > kMaxThreads)
        raise_value("set_num_threads: expected a number from 1 to %d, got %d", kMaxThreads, n);
    thread_count.store(n, std::memory_order_relaxed);
    if (Pool* pool = get_pool()) pool->spin = n <= usable_cores();
}

bool set_flush_denormal(bool on) {
#if defined(__x86_64__)
    constexpr FloatMode kFlush = 0x8040;  // results (FTZ) and operands (DAZ)
#elif defined(__aarch64__)
    constexpr FloatMode kFlush = 1 << 24;
#else
    constexpr FloatMode kFlush = 0;
#endif
    FloatMode mode = get_float_mode();
    set_float_mode(on ? mode | kFlush : mode & ~kFlush);
    return kFlush != 0;
}

void parallel_tasks(int64_t tasks, void (*fn)(void* arg, int64_t task), void* arg) {
    if (tasks <= 0) return;
    if (tasks == 1) {
        fn(arg, 0);
        return;
    }
    int threads = int(std::min<int64_t>(get_num_threads(), tasks));
    Pool* pool = threads > 1 && !inside_task ? get_pool() : nullptr;
    if (pool && pool->busy.exchange(true, std::memory_order_acquire)) pool = nullptr;
    int posted = pool ? pool->start(threads - 1) : 0;
    Job job(fn, arg, tasks, posted + 1);
    for (int i = 0; i < posted; i++) pool->worker[i]->post(job);
    run_tasks(job, 0);
    if (pool) {
        bool spin = pool->spin.load(std::memory_order_relaxed);
        for (int i = 0; i < posted; i++) pool->worker[i]->finish(spin);
        pool->busy.store(false, std::memory_order_release);
    }
    if (EMBER_UNLIKELY(job.failed.load(std::memory_order_relaxed)))
        std::rethrow_exception(job.exception);
}

}  // namespace ember
