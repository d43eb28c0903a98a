#include <benchmark/benchmark.h>

#include <vector>

#include "core/backend.h"
#include "core/parallel.h"
#include "kernels/conv.h"
#include "kernels/pool.h"

// Convolutions and their gradients (batch, channels, size, output channels, kernel, padding,
// groups, threads), the first two those of LeNet; and pooling. Rates are in floating-point
// operations.
namespace {

using namespace ember;

void convolution(benchmark::State& state, kernels::Conv2dSlot& slot) {
    load_cpu_kernels();
    kernels::Conv2d g;
    g.n = state.range(0), g.c = state.range(1), g.h = g.w = state.range(2);
    g.k = state.range(3), g.r = g.s = state.range(4);
    g.pad[0] = g.pad[1] = state.range(5);
    g.groups = state.range(6);
    set_num_threads(int(state.range(7)));
    g.out_h = g.out_w = g.h + 2 * g.pad[0] - g.r + 1;
    const int64_t weights = g.k * g.c / g.groups * g.r * g.s;
    std::vector<float> input(size_t(g.n * g.c * g.h * g.w));
    std::vector<float> weight(static_cast<size_t>(weights));
    std::vector<float> output(size_t(g.n * g.k * g.out_h * g.out_w));
    g.input = input.data(), g.weight = weight.data(), g.output = output.data();
    for (auto _ : state) {
        Context context;
        slot(DeviceType::CPU, context, g);
        benchmark::ClobberMemory();
    }
    state.counters["flop"] = benchmark::Counter(2.0 * double(g.n * g.out_h * g.out_w * weights),
                                                benchmark::Counter::kIsIterationInvariantRate);
}

void shapes(benchmark::internal::Benchmark* b) {
    for (int64_t threads : {1, 2}) {
        b->Args({64, 1, 28, 6, 5, 2, 1, threads});
        b->Args({64, 6, 14, 16, 5, 0, 1, threads});
        b->Args({64, 32, 12, 64, 3, 0, 1, threads});
        b->Args({4, 64, 56, 64, 3, 1, 1, threads});
        b->Args({4, 96, 56, 96, 3, 1, 96, threads});
        b->Args({4, 64, 56, 256, 1, 0, 1, threads});
    }
}

BENCHMARK_CAPTURE(convolution, forward, kernels::conv2d)->Apply(shapes)->UseRealTime();
BENCHMARK_CAPTURE(convolution, grad_input, kernels::conv2d_grad_input)
    ->Apply(shapes)
    ->UseRealTime();
BENCHMARK_CAPTURE(convolution, grad_weight, kernels::conv2d_grad_weight)
    ->Apply(shapes)
    ->UseRealTime();

void pooling(benchmark::State& state, kernels::Pool2dSlot& slot) {
    load_cpu_kernels();
    kernels::Pool2d g;
    g.planes = 64 * 6, g.h = g.w = 28, g.out_h = g.out_w = 14;
    g.kernel[0] = g.kernel[1] = g.stride[0] = g.stride[1] = 2;
    std::vector<float> input(size_t(g.planes * g.h * g.w)), output(input.size() / 4);
    std::vector<int64_t> indices(output.size());
    g.input = input.data(), g.output = output.data(), g.indices = indices.data();
    for (auto _ : state) {
        Context context;
        slot(DeviceType::CPU, context, g);
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * int64_t(input.size() * sizeof(float)));
}
BENCHMARK_CAPTURE(pooling, max, kernels::max_pool2d)->UseRealTime();
BENCHMARK_CAPTURE(pooling, max_backward, kernels::max_pool2d_backward)->UseRealTime();
BENCHMARK_CAPTURE(pooling, avg, kernels::avg_pool2d)->UseRealTime();
BENCHMARK_CAPTURE(pooling, avg_backward, kernels::avg_pool2d_backward)->UseRealTime();

}  // namespace
