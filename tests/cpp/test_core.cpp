#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "core/allocator.h"
#include "core/error.h"
#include "core/float_mode.h"
#include "core/generator.h"
#include "core/modes.h"
#include "core/parallel.h"
#include "core/view.h"

using namespace ember;

namespace {

// Runs f in a forked child and tells whether it returned true there within 20 seconds.
bool in_child(bool (*f)()) {
    std::fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(20);  // a hang ends the child by a signal
        _exit(f() ? 0 : 1);
    }
    int status = -1;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// ---- Errors

void test_errors() {
    CHECK_RAISES(Runtime, raise("op: expected %d, got %s", 3, "x"));
    CHECK_RAISES(Index, raise_index("op: %d", 1));
    CHECK_RAISES(Value, raise_value("op"));
    CHECK_RAISES(Type, raise_type("op"));
    CHECK_RAISES(OutOfMemory, raise(ErrorKind::OutOfMemory, "op"));
    CHECK_RAISES(Runtime, EMBER_CHECK(1 + 1 == 3, "op: %s", "no"));
    std::string longer(2000, 'y');
    CHECK(format("<%s>", longer.c_str()) == "<" + longer + ">");
    CHECK(format("%ld and %s", 5L, "z") == "5 and z");
}

// ---- Allocator

bool aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 64 == 0; }

void test_size_classes() {
    for (size_t bytes = 1; bytes <= detail::kSmallLimit; bytes++) {
        size_t rounded = detail::class_bytes(detail::class_of(bytes));
        bool fits = rounded >= bytes && rounded % 64 == 0;
        bool tight = bytes <= 512 ? rounded < bytes + 64 : rounded <= bytes + bytes / 8;
        bool exact = detail::class_of(rounded) == detail::class_of(bytes);
        if (!fits || !tight || !exact) {
            CHECK(fits && tight && exact);
            return;
        }
    }
    CHECK(detail::class_of(detail::kSmallLimit) == detail::kClasses - 1);
    CHECK(detail::class_of(0) == 0);
}

// Live blocks never share memory: each keeps the pattern written over all of it.
void test_blocks_are_separate() {
    std::mt19937 random(1);
    struct Block {
        unsigned char* data;
        size_t bytes;
        unsigned char fill;
    };
    std::vector<Block> live;
    auto check_and_free = [&](size_t i) {
        Block b = live[i];
        bool intact = true;
        for (size_t k = 0; k < b.bytes; k++) intact &= b.data[k] == b.fill;
        CHECK(intact);
        deallocate(b.data, b.bytes);
        live[i] = live.back();
        live.pop_back();
    };
    int64_t before = memory_stats().allocated;
    for (int step = 0; step < 4000; step++) {
        if (live.size() > 200 || (!live.empty() && random() % 3 == 0)) {
            check_and_free(random() % live.size());
            continue;
        }
        int magnitude = int(random() % 22);
        size_t bytes = (size_t(1) << magnitude) + random() % (size_t(1) << magnitude) - 1;
        auto fill = static_cast<unsigned char>(random());
        auto* data = static_cast<unsigned char*>(allocate(bytes));
        CHECK(aligned(data));
        memset(data, fill, bytes);
        live.push_back({data, bytes, fill});
        if (step % 1000 == 999) trim_memory();
    }
    CHECK(memory_stats().allocated > before);
    while (!live.empty()) check_and_free(live.size() - 1);
    CHECK(memory_stats().allocated == before);
}

void test_statistics() {
    reset_peak_memory_stats();
    MemoryStats start = memory_stats();
    void* a = allocate(10 << 20);
    void* b = allocate(1000);
    MemoryStats with = memory_stats();
    CHECK(with.allocated >= start.allocated + (10 << 20) + 1000);
    CHECK(with.allocations == start.allocations + 2);
    deallocate(a, 10 << 20);
    deallocate(b, 1000);
    MemoryStats end = memory_stats();
    CHECK(end.allocated == start.allocated);
    CHECK(end.allocated_peak >= with.allocated);
    CHECK(end.allocated_peak <= with.allocated + 100);
    reset_peak_memory_stats();
    CHECK(memory_stats().allocated_peak == memory_stats().allocated);
    a = allocate(10 << 20);
    deallocate(a, 10 << 20);
#ifndef EMBER_PLAIN_ALLOCATOR
    CHECK(memory_stats().cache_hits > end.cache_hits);
    size_t reserved = size_t(memory_stats().reserved);
    CHECK(reserved >= 10 << 20);
    trim_memory();
    CHECK(size_t(memory_stats().reserved) + (10 << 20) <= reserved);
#endif
}

void test_out_of_memory() {
    int64_t before = memory_stats().allocated;
    for (size_t bytes : {~size_t(0), size_t(1) << 63, size_t(1) << 62, size_t(1) << 46}) {
#ifdef EMBER_PLAIN_ALLOCATOR
        if (bytes == size_t(1) << 62 || bytes == size_t(1) << 46) continue;  // would end the run
#endif
        CHECK_RAISES(OutOfMemory, allocate(bytes));
    }
    CHECK(memory_stats().allocated == before);
    Context context;
    CHECK_RAISES(OutOfMemory, context.scratch(~size_t(0)));
}

#ifndef EMBER_PLAIN_ALLOCATOR
long page_faults() {
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

// Outputs made and dropped in a loop touch no new page after the first round.
void test_large_blocks_are_reused() {
    constexpr size_t bytes = 64 << 20;
    long faults = 0;
    for (int round = 0; round < 4; round++) {
        if (round == 1) faults = page_faults();
        void* a = allocate(bytes);
        memset(a, round, bytes);
        deallocate(a, bytes);
    }
    CHECK(page_faults() - faults < 16);
    trim_memory();
}

// What was cached gives way before the process grows past its peak.
void test_reserved_follows_peak() {
    trim_memory();
    reset_peak_memory_stats();
    int64_t base = memory_stats().reserved;
    // Ever larger blocks, none of which fits where an earlier one was.
    for (size_t bytes = 20 << 20; bytes <= 200 << 20; bytes += 20 << 20) {
        void* a = allocate(bytes);
        memset(a, 1, 4096);
        deallocate(a, bytes);
    }
    CHECK(memory_stats().reserved_peak - base < int64_t(300) << 20);
    trim_memory();
}
#endif

void test_free_list() {
    using List = FreeList<200>;
    std::vector<void*> blocks;
    for (int i = 0; i < 5000; i++) {
        blocks.push_back(List::take());
        memset(blocks.back(), i, 200);
    }
    bool all_aligned = true, intact = true;
    for (int i = 0; i < 5000; i++) {
        all_aligned &= aligned(blocks[size_t(i)]);
        for (int k = 0; k < 200; k++)
            intact &= static_cast<unsigned char*>(blocks[size_t(i)])[k] == (i & 255);
    }
    CHECK(all_aligned);
    CHECK(intact);
    for (void* block : blocks) List::give(block);
    void* again = List::take();
    CHECK(again != nullptr);
    List::give(again);
}

#ifndef EMBER_PLAIN_ALLOCATOR
// Memory of small objects serves other sizes, and the system, when they are gone.
void test_small_blocks_return() {
    trim_memory();
    int64_t base = memory_stats().reserved;
    using List = FreeList<256>;
    void* chain = nullptr;
    for (int i = 0; i < 200000; i++) {
        void* block = List::take();
        *static_cast<void**>(block) = chain;
        chain = block;
    }
    int64_t full = memory_stats().reserved;
    CHECK(full - base >= int64_t(200000) * 256 - (1 << 20));
    while (chain) {
        void* next = *static_cast<void**>(chain);
        List::give(chain);
        chain = next;
    }
    std::vector<void*> others;
    for (int i = 0; i < 100; i++) others.push_back(allocate(300000));
    CHECK(memory_stats().reserved < full + (1 << 20));
    for (void* other : others) deallocate(other, 300000);
    trim_memory();
    CHECK(memory_stats().reserved - base < int64_t(8) << 20);
}
#endif

void test_scratch() {
    int64_t before = memory_stats().allocated;
    {
        Context context;
        auto* a = context.scratch_of<double>(1000);
        void* b = context.scratch(0);
        CHECK(aligned(a) && aligned(b) && a != b);
        for (int i = 0; i < 1000; i++) a[i] = i;
        CHECK(memory_stats().allocated > before);
    }
    CHECK(memory_stats().allocated == before);
}

// Blocks wander: each thread takes some, frees what others left, and ends.
void test_allocator_with_threads() {
    int64_t before = memory_stats().allocated;
    struct Parcel {
        unsigned char* data;
        size_t bytes;
        unsigned char fill;
    };
    std::mutex mutex;
    std::vector<Parcel> parcels;
    std::atomic<int> damaged{0};
    auto open = [&](Parcel p) {
        for (size_t k = 0; k < p.bytes; k += 61)
            if (p.data[k] != p.fill) damaged++;
        deallocate(p.data, p.bytes);
    };
    auto work = [&](unsigned seed) {
        std::mt19937 random(seed);
        for (int step = 0; step < 3000; step++) {
            size_t bytes = 1 + random() % (step % 50 == 0 ? 2000000 : 3000);
            Parcel mine{static_cast<unsigned char*>(allocate(bytes)), bytes,
                        static_cast<unsigned char>(random())};
            memset(mine.data, mine.fill, bytes);
            Parcel other{};
            {
                std::lock_guard lock(mutex);
                parcels.push_back(mine);
                size_t i = random() % parcels.size();
                std::swap(parcels[i], parcels.back());
                if (parcels.size() > 100) {
                    other = parcels.back();
                    parcels.pop_back();
                }
            }
            if (other.data) open(other);
            if (step % 500 == 499) {
                CHECK(memory_stats().allocated >= 0);
                trim_memory();
            }
        }
    };
    for (int round = 0; round < 2; round++) {
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < 4; i++) threads.emplace_back(work, 7 * i + unsigned(round));
        for (std::thread& thread : threads) thread.join();
    }
    for (Parcel p : parcels) open(p);
    CHECK(damaged == 0);
    CHECK(memory_stats().allocated == before);
}

// ---- Pool

// Marks each task that runs; `tasks` marks of 1 mean that each ran once.
struct Marks {
    std::vector<std::atomic<int>> count;
    explicit Marks(int64_t tasks) : count(size_t(tasks)) {}
    static void mark(void* arg, int64_t task) { static_cast<Marks*>(arg)->count[size_t(task)]++; }
    bool once() const {
        for (const auto& c : count)
            if (c != 1) return false;
        return true;
    }
};

bool tasks_run_once() {
    for (int threads : {1, 2, 3, 4}) {
        set_num_threads(threads);
        if (get_num_threads() != threads) return false;
        for (int64_t tasks : {0, 1, 2, 3, 7, 64, 1000}) {
            Marks marks(tasks);
            parallel_tasks(tasks, Marks::mark, &marks);
            if (!marks.once()) return false;
        }
    }
    return true;
}

void test_tasks() {
    CHECK(tasks_run_once());
    CHECK_RAISES(Value, set_num_threads(0));
    CHECK_RAISES(Value, set_num_threads(-3));
    set_num_threads(4);
    for (int i = 0; i < 2000; i++) {
        Marks marks(5);
        parallel_tasks(5, Marks::mark, &marks);
        if (!marks.once()) CHECK(false);
        if (i % 400 == 0) usleep(1000);  // let the workers fall asleep
    }
}

void test_parallel_for_cuts() {
    set_num_threads(3);
    for (int64_t n : {0, 1, 9, 10, 11, 95, 100}) {
        std::mutex mutex;
        std::vector<std::pair<int64_t, int64_t>> pieces;
        parallel_for(n, 10, [&](int64_t begin, int64_t end) {
            std::lock_guard lock(mutex);
            pieces.emplace_back(begin, end);
        });
        std::sort(pieces.begin(), pieces.end());
        int64_t next = 0;
        for (auto [begin, end] : pieces) {
            CHECK(begin == next && end > begin && end - begin <= 10);
            CHECK(end == n || end - begin == 10);
            next = end;
        }
        CHECK(next == n);
    }
}

void test_task_exceptions() {
    for (int threads : {1, 4}) {
        set_num_threads(threads);
        std::atomic<int> ran{0};
        std::string message;
        try {
            parallel_for(100, 1, [&](int64_t i, int64_t) {
                ran++;
                if (i == 20 || i == 63 || i == 99) raise("task %d", int(i));
            });
        } catch (const Error& error) {
            message = error.what();
        }
        CHECK(message == "task 20");
        CHECK(ran == 100);
        Marks marks(50);
        parallel_tasks(50, Marks::mark, &marks);  // the pool is as good as before
        CHECK(marks.once());
    }
}

void test_nested_and_concurrent_use() {
    set_num_threads(4);
    std::vector<std::atomic<int>> hits(64 * 64);
    parallel_for(64, 1, [&](int64_t i, int64_t) {
        std::thread::id outer = std::this_thread::get_id();
        parallel_for(64, 1, [&](int64_t j, int64_t) {
            if (std::this_thread::get_id() == outer) hits[size_t(i * 64 + j)]++;
        });
    });
    CHECK(std::all_of(hits.begin(), hits.end(), [](const auto& h) { return h == 1; }));

    std::atomic<int> wrong{0};
    std::vector<std::thread> users;
    for (int u = 0; u < 4; u++)
        users.emplace_back([&] {
            for (int i = 0; i < 500; i++) {
                Marks marks(16);
                parallel_tasks(16, Marks::mark, &marks);
                if (!marks.once()) wrong++;
            }
        });
    for (std::thread& user : users) user.join();
    CHECK(wrong == 0);
}

void test_float_mode() {
    set_num_threads(4);
    volatile float least = 1.17549435e-38f;
    auto flushed = [&] {
        std::atomic<int> zeros{0};
        parallel_for(64, 1, [&](int64_t, int64_t) { zeros += least * 0.5f == 0.0f; });
        return zeros.load();
    };
    CHECK(flushed() == 0);
    if (set_flush_denormal(true)) {
        CHECK(flushed() == 64);
        CHECK(set_flush_denormal(false));
    }
    CHECK(flushed() == 0);
}

bool child_works() {
    void* a = allocate(3 << 20);
    memset(a, 1, 3 << 20);
    deallocate(a, 3 << 20);
    for (int i = 0; i < 1000; i++) deallocate(allocate(100), 100);
    return tasks_run_once() && memory_stats().allocated >= 0 &&
           default_generator().initial_seed() != 0;
}

// A child must work whatever the other threads were doing when it was made.
void test_fork() {
    CHECK(in_child(child_works));
    std::atomic<bool> stop{false};
    std::thread allocating([&] {
        while (!stop) {
            deallocate(allocate(500), 500);
            deallocate(allocate(200000), 200000);
            default_generator().manual_seed(1);
        }
    });
    std::thread computing([&] {
        while (!stop) {
            Marks marks(8);
            parallel_tasks(8, Marks::mark, &marks);
        }
    });
    for (int i = 0; i < 5; i++) CHECK(in_child(child_works));
    stop = true;
    allocating.join();
    computing.join();
    CHECK(tasks_run_once());
}

// ---- Modes

void test_modes() {
    CHECK(modes::grad_enabled() && !modes::inference_enabled());
    {
        GradModeGuard off(false);
        CHECK(!modes::grad_enabled());
        std::thread([] { CHECK(modes::grad_enabled()); }).join();
        {
            InferenceModeGuard inference(true);
            CHECK(modes::inference_enabled() && !modes::grad_enabled());
            GradModeGuard on(true);
            CHECK(modes::inference_enabled() && modes::grad_enabled());
        }
        CHECK(!modes::inference_enabled() && !modes::grad_enabled());
        ModesGuard borrowed(modes::kGrad);
        CHECK(modes::grad_enabled());
    }
    CHECK(modes::grad_enabled());
    modes::set_anomaly(true, false);
    CHECK(modes::anomaly_enabled() && !modes::anomaly_check_nan());
    modes::set_anomaly(false, true);
    modes::set_deterministic(true, true);
    CHECK(modes::deterministic() && modes::deterministic_warn_only());
    modes::set_deterministic(false, false);
    modes::set_default_dtype(DType::Float64);
    CHECK(modes::default_dtype() == DType::Float64);
    CHECK_RAISES(Type, modes::set_default_dtype(DType::Int32));
    modes::set_default_dtype(DType::Float32);
}

// ---- Generator

// The standard library's mt19937 is the published definition.
void test_words() {
    for (uint64_t seed : {uint64_t(5489), uint64_t(0), uint64_t(1) << 40 | 77}) {
        MersenneTwister ours;
        seed_twister(ours, seed);
        std::mt19937 published(static_cast<uint32_t>(seed));
        bool equal = true;
        for (int i = 0; i < 2000; i++) equal &= next_word(ours) == published();
        CHECK(equal);
        uint64_t high = published(), low = published();
        CHECK(next_word64(ours) == (high << 32 | low));
    }
    MersenneTwister t;
    seed_twister(t, 5489);
    CHECK(next_word(t) == 3499211612u);
    for (int i = 2; i < 10000; i++) next_word(t);
    CHECK(next_word(t) == 4123659995u);
}

void test_generator_state() {
    constexpr size_t bytes = Generator::kStateBytes;
    std::vector<uint8_t> state(bytes), other(bytes);
    Generator a(42), b;
    CHECK(b.initial_seed() == Generator::kDefaultSeed);
    for (int drawn : {0, 1, 600, 23, 1, 1000}) {
        for (int i = 0; i < drawn; i++) next_word(a.twister());
        a.get_state(state.data());
        b.set_state(state.data(), bytes);
        b.get_state(other.data());
        CHECK(state == other);
        CHECK(b.initial_seed() == 42);
        Generator c;
        c.copy_state(a);
        uint32_t word = next_word(a.twister());
        CHECK(next_word(b.twister()) == word && next_word(c.twister()) == word);
    }
    a.twister().has_normal = true;
    a.twister().normal = 1.5;
    a.get_state(state.data());
    b.set_state(state.data(), bytes);
    CHECK(b.twister().has_normal && b.twister().normal == 1.5);
    a.manual_seed(42);
    CHECK(!a.twister().has_normal);

    CHECK_RAISES(Runtime, b.set_state(state.data(), bytes - 1));
    auto broken = [&](size_t at, uint8_t value) {
        std::vector<uint8_t> bad = state;
        bad[at] = value;
        CHECK_RAISES(Runtime, b.set_state(bad.data(), bytes));
    };
    broken(12, 0);     // not seeded
    broken(9, 7);      // more words left than there are
    broken(8, 0);      // left does not fit next
    broken(23, 0x80);  // next far outside
    uint32_t word = next_word(b.twister());
    b.set_state(state.data(), bytes);
    CHECK(next_word(b.twister()) == word);

    uint64_t first = a.seed(), second = a.seed();
    CHECK(first != second && a.initial_seed() == second);
}

}  // namespace

int main() {
    RUN(test_errors);
    RUN(test_size_classes);
    RUN(test_blocks_are_separate);
    RUN(test_statistics);
    RUN(test_out_of_memory);
#ifndef EMBER_PLAIN_ALLOCATOR
    RUN(test_large_blocks_are_reused);
    RUN(test_reserved_follows_peak);
#endif
    RUN(test_free_list);
#ifndef EMBER_PLAIN_ALLOCATOR
    RUN(test_small_blocks_return);
#endif
    RUN(test_scratch);
    RUN(test_allocator_with_threads);
    RUN(test_tasks);
    RUN(test_parallel_for_cuts);
    RUN(test_task_exceptions);
    RUN(test_nested_and_concurrent_use);
    RUN(test_float_mode);
    RUN(test_fork);
    RUN(test_modes);
    RUN(test_words);
    RUN(test_generator_state);
    return summary();
}
