#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "core/backend.h"
#include "core/parallel.h"
#include "kernels/matmul.h"

// Matrix products of contiguous or transposed operands; the rate is in floating-point operations.
namespace {

using namespace ember;

struct Layout {
    bool a_transposed, b_transposed;
};

void product(benchmark::State& state, DType dtype, Layout layout) {
    load_cpu_kernels();
    const int64_t m = state.range(0), n = state.range(1), k = state.range(2);
    set_num_threads(int(state.range(3)));
    const size_t bytes = size_t(item_size(dtype));
    std::vector<char> a(size_t(m * k) * bytes), b(size_t(k * n) * bytes), c(size_t(m * n) * bytes);
    kernels::Gemm g;
    g.m = m, g.n = n, g.k = k, g.dtype = dtype;
    g.a = a.data(), g.a_row = layout.a_transposed ? 1 : k, g.a_col = layout.a_transposed ? m : 1;
    g.b = b.data(), g.b_row = layout.b_transposed ? 1 : n, g.b_col = layout.b_transposed ? k : 1;
    g.c = c.data(), g.c_row = n;
    for (auto _ : state) {
        Context context;
        kernels::gemm(DeviceType::CPU, context, g);
        benchmark::ClobberMemory();
    }
    state.counters["flop"] =
        benchmark::Counter(2.0 * double(m * n * k), benchmark::Counter::kIsIterationInvariantRate);
}

void squares(benchmark::internal::Benchmark* b) {
    for (int64_t threads : {1, 2})
        for (int64_t n : {8, 16, 32, 64, 96, 100, 128, 255, 256, 512, 1000, 1024, 2048})
            b->Args({n, n, n, threads});
}
// The products of a linear layer of 784 inputs and 128 outputs: forward, and both gradients.
void layers(benchmark::internal::Benchmark* b) {
    for (int64_t threads : {1, 2}) {
        b->Args({64, 128, 784, threads});
        b->Args({64, 10, 128, threads});
        b->Args({1, 1000, 1000, threads});
    }
}

BENCHMARK_CAPTURE(product, float32, DType::Float32, {false, false})->Apply(squares)->UseRealTime();
BENCHMARK_CAPTURE(product, float32_b_transposed, DType::Float32, {false, true})
    ->Apply(layers)
    ->UseRealTime();
BENCHMARK_CAPTURE(product, float32_a_transposed, DType::Float32, {true, false})
    ->Apply(layers)
    ->UseRealTime();
BENCHMARK_CAPTURE(product, float64, DType::Float64, {false, false})
    ->Args({256, 256, 256, 1})
    ->UseRealTime();
BENCHMARK_CAPTURE(product, bfloat16, DType::BFloat16, {false, false})
    ->Args({256, 256, 256, 1})
    ->UseRealTime();

}  // namespace
