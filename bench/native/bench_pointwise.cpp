#include <benchmark/benchmark.h>

#include <vector>

#include "core/allocator.h"
#include "core/backend.h"
#include "core/view.h"
#include "kernels/pointwise.h"

// Pointwise kernels: cost of a call on few items, time an item in cache, bytes a second beyond it.
namespace {

using namespace ember;
namespace k = ember::kernels;

// Dense float32 operands, the output first.
struct Operands {
    Plan plan;
    int64_t bytes;

    Operands(int operands, int64_t n) : bytes(n * 4) {
        load_cpu_kernels();
        plan.ndim = 1;
        plan.operands = operands;
        plan.outputs = 1;
        plan.compute = DType::Float32;
        plan.numel = plan.sizes[0] = n;
        plan.immediate[0].i = 1;
        for (int i = 0; i < operands; i++) {
            Plan::Operand& o = plan.operand[i];
            o.data = static_cast<char*>(allocate(size_t(bytes)));
            o.dtype = DType::Float32;
            o.strides[0] = 4;
            auto* items = reinterpret_cast<float*>(o.data);
            for (int64_t j = 0; j < n; j++) items[j] = 0.01f + float(j % 1000) * 0.004f;
        }
    }
    Operands(const Operands&) = delete;
    ~Operands() {
        for (int i = 0; i < plan.operands; i++) deallocate(plan.operand[i].data, size_t(bytes));
    }
};

void run(benchmark::State& state, const k::Pointwise& slot, Operands& operands) {
    Context context;
    for (auto _ : state) slot(DeviceType::CPU, context, operands.plan);
    state.SetItemsProcessed(state.iterations() * operands.plan.numel);
    state.SetBytesProcessed(state.iterations() * operands.bytes * operands.plan.operands);
}

void pointwise(benchmark::State& state, const k::Pointwise* slot, int operands) {
    Operands o(operands, state.range(0));
    run(state, *slot, o);
}
BENCHMARK_CAPTURE(pointwise, add, &k::add, 3)
    ->Arg(4)
    ->Arg(4096)
    ->Arg(1 << 20)
    ->Arg(16 << 20)
    ->UseRealTime();
BENCHMARK_CAPTURE(pointwise, copy, &k::copy, 2)
    ->Arg(4)
    ->Arg(4096)
    ->Arg(1 << 20)
    ->Arg(16 << 20)
    ->UseRealTime();
BENCHMARK_CAPTURE(pointwise, exp, &k::exp, 2)->Arg(4)->Arg(4096)->Arg(16 << 20)->UseRealTime();
BENCHMARK_CAPTURE(pointwise, log, &k::log, 2)->Arg(4096)->UseRealTime();
BENCHMARK_CAPTURE(pointwise, tanh, &k::tanh, 2)->Arg(4096)->UseRealTime();
BENCHMARK_CAPTURE(pointwise, erf, &k::erf, 2)->Arg(4096)->UseRealTime();
BENCHMARK_CAPTURE(pointwise, gelu, &k::gelu, 2)->Arg(4096)->UseRealTime();
BENCHMARK_CAPTURE(pointwise, pow, &k::pow, 3)->Arg(4096)->UseRealTime();

void add_number(benchmark::State& state) {
    Operands o(3, state.range(0));
    o.plan.operand[2].strides[0] = 0;
    run(state, k::add, o);
}
BENCHMARK(add_number)->Arg(4)->Arg(4096)->UseRealTime();

// (n, n): the input, or the second of two, is transposed.
void transposed(benchmark::State& state, const k::Pointwise* slot, int operands) {
    int64_t n = state.range(0);
    Operands o(operands, n * n);
    o.plan.ndim = 2;
    o.plan.sizes[0] = o.plan.sizes[1] = n;
    for (int i = 0; i < operands; i++) {
        bool last = i == operands - 1;
        o.plan.operand[i].strides[0] = last ? 4 * n : 4;
        o.plan.operand[i].strides[1] = last ? 4 : 4 * n;
    }
    run(state, *slot, o);
}
BENCHMARK_CAPTURE(transposed, copy, &k::copy, 2)->Arg(1000)->Arg(4096)->UseRealTime();
BENCHMARK_CAPTURE(transposed, add, &k::add, 3)->Arg(1000)->Arg(4096)->UseRealTime();

// A row of `range` items added to each of 4096 rows.
void add_row(benchmark::State& state) {
    int64_t n = state.range(0);
    Operands o(3, n * 4096);
    o.plan.ndim = 2;
    o.plan.sizes[0] = n;
    o.plan.sizes[1] = 4096;
    for (int i = 0; i < 3; i++) o.plan.operand[i].strides[1] = i == 2 ? 0 : 4 * n;
    run(state, k::add, o);
}
BENCHMARK(add_row)->Arg(10)->Arg(128)->UseRealTime();

void bfloat16_add(benchmark::State& state) {
    Operands o(3, state.range(0));
    o.plan.compute = DType::BFloat16;
    for (int i = 0; i < 3; i++) {
        o.plan.operand[i].dtype = DType::BFloat16;
        o.plan.operand[i].strides[0] = 2;
    }
    run(state, k::add, o);
}
BENCHMARK(bfloat16_add)->Arg(4096)->UseRealTime();

}  // namespace
