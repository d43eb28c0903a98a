#include <benchmark/benchmark.h>

#include <vector>

#include "core/backend.h"
#include "core/parallel.h"
#include "kernels/attention.h"

// Attention, forward and backward, on heads that lie side by side as a projection leaves them. The
// rate counts the products' operations, of all keys also under a causal mask.
namespace {

using namespace ember;
using kernels::Attention;

// (batch, positions, heads, width) as a matrix for each head.
Attention::Matrices heads_of(std::vector<char>& data, int64_t positions, int64_t heads,
                             int64_t width) {
    return {data.data(), positions * heads * width, width, heads * width, 1};
}

void attention(benchmark::State& state, DType dtype, bool backward) {
    load_cpu_kernels();
    const int64_t batch = state.range(0), heads = state.range(1), queries = state.range(2);
    const int64_t keys = state.range(3), width = state.range(4);
    set_num_threads(int(state.range(6)));
    const int64_t row = batch * heads * width * item_size(dtype);
    std::vector<std::vector<char>> memory;
    auto matrices = [&](int64_t positions) {
        memory.emplace_back(size_t(positions * row));
        return heads_of(memory.back(), positions, heads, width);
    };
    std::vector<float> log_sums(size_t(batch * heads * queries));
    kernels::AttentionBackward k;
    k.batch = batch, k.heads = heads, k.queries = queries, k.keys = keys;
    k.width = k.value_width = width;
    k.query = matrices(queries), k.key = matrices(keys), k.value = matrices(keys);
    k.out = matrices(queries), k.grad = matrices(queries);
    k.grad_query = matrices(queries), k.grad_key = matrices(keys), k.grad_value = matrices(keys);
    k.log_sums = log_sums.data();
    k.scale = 0.125;
    k.causal = state.range(5) != 0;
    k.dtype = dtype;
    for (auto _ : state) {
        Context context;
        if (backward)
            kernels::attention_backward(DeviceType::CPU, context, k);
        else
            kernels::attention(DeviceType::CPU, context, k);
        benchmark::ClobberMemory();
    }
    const double product = 2.0 * double(batch * heads * queries * keys * width);
    state.counters["flop"] = benchmark::Counter((backward ? 5 : 2) * product,
                                                benchmark::Counter::kIsIterationInvariantRate);
}

// batch, heads, queries, keys, width, causal, threads
void training(benchmark::internal::Benchmark* b) {
    for (int64_t threads : {1, 2}) {
        b->Args({64, 4, 64, 64, 32, 0, threads});
        b->Args({16, 6, 256, 256, 64, 1, threads});
        b->Args({8, 3, 64, 64, 64, 0, threads});
        b->Args({1, 8, 1024, 1024, 64, 0, threads});
        b->Args({4, 8, 128, 128, 64, 0, threads});
    }
}
void decoding(benchmark::internal::Benchmark* b) {
    for (int64_t threads : {1, 2}) b->Args({4, 8, 1, 256, 64, 0, threads});
}

BENCHMARK_CAPTURE(attention, float32, DType::Float32, false)
    ->Apply(training)
    ->Apply(decoding)
    ->UseRealTime();
BENCHMARK_CAPTURE(attention, bfloat16, DType::BFloat16, false)
    ->Apply(training)
    ->Apply(decoding)
    ->UseRealTime();
BENCHMARK_CAPTURE(attention, float32_backward, DType::Float32, true)
    ->Apply(training)
    ->UseRealTime();
BENCHMARK_CAPTURE(attention, bfloat16_backward, DType::BFloat16, true)
    ->Apply(training)
    ->UseRealTime();

}  // namespace
