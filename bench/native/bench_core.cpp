#include <benchmark/benchmark.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "core/allocator.h"
#include "core/backend.h"
#include "core/generator.h"
#include "core/modes.h"
#include "core/parallel.h"
#include "kernels/random.h"

// Allocator, pool and random numbers. Times are per call; items are blocks or numbers.
namespace {

using namespace ember;

void allocator_pair(benchmark::State& state) {
    size_t bytes = size_t(state.range(0));
    for (auto _ : state) {
        void* block = allocate(bytes);
        benchmark::DoNotOptimize(block);
        deallocate(block, bytes);
    }
}
BENCHMARK(allocator_pair)->Arg(64)->Arg(3000)->Arg(60000)->Arg(1 << 20)->Arg(64 << 20);

void malloc_pair(benchmark::State& state) {
    size_t bytes = size_t(state.range(0));
    for (auto _ : state) {
        void* block = nullptr;
        if (posix_memalign(&block, 64, bytes) != 0) state.SkipWithError("no memory");
        benchmark::DoNotOptimize(block);
        std::free(block);
    }
}
BENCHMARK(malloc_pair)->Arg(64)->Arg(3000)->Arg(60000)->Arg(1 << 20)->Arg(64 << 20);

// A fresh output written once, as most operations make it.
void allocator_fresh_output(benchmark::State& state) {
    size_t bytes = size_t(state.range(0));
    for (auto _ : state) {
        void* block = allocate(bytes);
        std::memset(block, 1, bytes);
        benchmark::DoNotOptimize(block);
        deallocate(block, bytes);
    }
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(allocator_fresh_output)->Arg(1 << 20)->Arg(64 << 20);

void free_list_pair(benchmark::State& state) {
    for (auto _ : state) {
        void* block = FreeList<384>::take();
        benchmark::DoNotOptimize(block);
        FreeList<384>::give(block);
    }
}
BENCHMARK(free_list_pair);

// Many taken before they are given back in the same order, as a graph's nodes are.
void free_list_thousand(benchmark::State& state) {
    std::vector<void*> blocks(1000);
    for (auto _ : state) {
        for (void*& block : blocks) block = FreeList<384>::take();
        for (void* block : blocks) FreeList<384>::give(block);
    }
    state.SetItemsProcessed(state.iterations() * 1000);
}
BENCHMARK(free_list_thousand);

void grad_mode_guard(benchmark::State& state) {
    for (auto _ : state) {
        GradModeGuard guard(false);
        benchmark::DoNotOptimize(modes::grad_enabled());
    }
}
BENCHMARK(grad_mode_guard);

// Tasks of `range(1)` ns each, one for each of `range(0)` threads: what is above that is the
// pool's.
void pool_dispatch(benchmark::State& state) {
    int before = get_num_threads();
    set_num_threads(int(state.range(0)));
    auto spin_for = [](void* arg, int64_t) {
        auto end = std::chrono::steady_clock::now() +
                   std::chrono::nanoseconds(*static_cast<int64_t*>(arg));
        while (std::chrono::steady_clock::now() < end) {
        }
    };
    int64_t ns = state.range(1);
    for (auto _ : state) parallel_tasks(state.range(0), spin_for, &ns);
    set_num_threads(before);
}
BENCHMARK(pool_dispatch)->ArgsProduct({{1, 2, 4}, {0, 5000, 50000}})->UseRealTime();

// The same when the workers have gone to sleep.
void pool_dispatch_asleep(benchmark::State& state) {
    int before = get_num_threads();
    set_num_threads(2);
    for (auto _ : state) {
        state.PauseTiming();
        usleep(300);
        state.ResumeTiming();
        parallel_for(2, 1, [&](int64_t i, int64_t) { benchmark::DoNotOptimize(i); });
    }
    set_num_threads(before);
}
BENCHMARK(pool_dispatch_asleep)->UseRealTime()->Iterations(300);

constexpr int64_t kNumbers = 1 << 16;

// Calls f(context, fill, generator state) on kNumbers items of T.
template <class T, class F>
void fill(benchmark::State& state, F&& f) {
    load_cpu_kernels();
    std::vector<T> items(kNumbers);
    kernels::RandomFill out{items.data(), kNumbers, DTypeOf<T>::value, true};
    Generator generator(1);
    Context context;
    for (auto _ : state) {
        f(context, out, generator.source());
        benchmark::DoNotOptimize(items.data());
    }
    state.SetItemsProcessed(state.iterations() * kNumbers);
}

#define RANDOM_FILL(name, type, slot, ...)                                                      \
    void name(benchmark::State& state) {                                                        \
        fill<type>(state,                                                                       \
                   [](Context& c, const kernels::RandomFill& out, const RandomSource& source) { \
                       kernels::slot(DeviceType::CPU, c, out, source, ##__VA_ARGS__);           \
                   });                                                                          \
    }                                                                                           \
    BENCHMARK(name)
RANDOM_FILL(random_uniform, float, uniform, 0, 1);
RANDOM_FILL(random_uniform_double, double, uniform, 0, 1);
RANDOM_FILL(random_uniform_bfloat16, BFloat16, uniform, 0, 1);
RANDOM_FILL(random_normal, float, normal, 0, 1);
RANDOM_FILL(random_normal_double, double, normal, 0, 1);
RANDOM_FILL(random_randint, int64_t, randint, 10, 0);
RANDOM_FILL(random_randint_wide, int64_t, randint, (uint64_t(1) << 40) + 3, 0);
RANDOM_FILL(random_bernoulli, uint8_t, bernoulli, 0.3);
RANDOM_FILL(random_exponential, float, exponential, 1);
RANDOM_FILL(random_randperm, int64_t, randperm);
#undef RANDOM_FILL

void random_dropout(benchmark::State& state) {
    std::vector<float> input(kNumbers, 1.0f), output(kNumbers);
    std::vector<uint8_t> mask(kNumbers);
    fill<float>(state, [&](Context& c, const kernels::RandomFill&, const RandomSource& source) {
        kernels::dropout(DeviceType::CPU, c, input.data(), output.data(),
                         reinterpret_cast<bool*>(mask.data()), kNumbers, DType::Float32, source,
                         0.5);
    });
}
BENCHMARK(random_dropout);

}  // namespace
