#pragma once

#include "cuda/layout.cuh"
#include "kernels/reduce.h"

// Reductions: what an operation gathers, joins and stores is a type; how the work is cut depends on
// the plan alone, and no atomics are used, so results are the same bits every time.
namespace ember::cuda {

template <class T>
EMBER_DEVICE T shuffle(const T& x, int step) {
    static_assert(sizeof(T) % 4 == 0);
    T y;
    const auto* from = reinterpret_cast<const unsigned*>(&x);
    auto* to = reinterpret_cast<unsigned*>(&y);
    for (size_t i = 0; i < sizeof(T) / 4; i++) to[i] = __shfl_xor_sync(~0u, from[i], step);
    return y;
}

struct Reduction {
    Layout<2> kept;          // in, out
    Layout<1> reduced;       // in
    int64_t outputs, items;  // items reduced into each output
    int64_t chunk;           // of a split
    const char* in;
    char* out;
    DType in_dtype, out_dtype;
    int64_t* indices;
    bool across;     // lanes walk the outputs, else the items
    int per_output;  // warps of an output where lanes walk the items: 1 or all
};

constexpr int kReduceWarps = 8;

template <class Op>
__global__ void __launch_bounds__(32 * kReduceWarps)
    reduce_kernel(const __grid_constant__ Reduction r, const Op op, typename Op::Acc* parts) {
    using Acc = typename Op::Acc;
    __shared__ Acc shared[kReduceWarps][32];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int64_t output, begin = blockIdx.y * r.chunk, step;
    int64_t end = begin + r.chunk < r.items ? begin + r.chunk : r.items;
    if (r.across) {
        output = int64_t(blockIdx.x) * 32 + lane;
        begin += warp;
        step = kReduceWarps;
    } else {
        int slice = warp % r.per_output;
        output = (int64_t(blockIdx.x) * kReduceWarps + warp) / r.per_output;
        begin += slice * 32 + lane;
        step = 32 * r.per_output;
    }
    bool inside = output < r.outputs;
    Acc acc = op.init();
    int64_t at[2] = {0, 0};
    if (inside) {
        r.kept.offsets(output, at);
        for (int64_t i = begin; i < end; i += step) {
            int64_t from[1];
            r.reduced.offsets(i, from);
            op.add(acc, load_as<typename Op::Item>(r.in + at[0] + from[0], r.in_dtype), i);
        }
    }
    if (!r.across)
        for (int s = 16; s > 0; s /= 2) acc = op.join(acc, shuffle(acc, s));
    bool leads = r.across ? warp == 0 : lane == 0 && warp % r.per_output == 0;
    int others = r.across ? kReduceWarps : r.per_output;
    if (others > 1) {
        shared[warp][lane] = acc;
        __syncthreads();
        if (leads)
            for (int w = 1; w < others; w++) acc = op.join(acc, shared[warp + w][lane]);
    }
    if (!leads || !inside) return;
    if (gridDim.y > 1)
        parts[output * gridDim.y + blockIdx.y] = acc;
    else
        op.store(acc, r, at[1]);
}

// A warp an output joins its splits.
template <class Op>
__global__ void join_kernel(const __grid_constant__ Reduction r, const Op op,
                            const typename Op::Acc* parts, int splits) {
    int lane = threadIdx.x % 32;
    int64_t output = int64_t(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32;
    if (output >= r.outputs) return;
    typename Op::Acc acc = op.init();
    for (int s = lane; s < splits; s += 32) acc = op.join(acc, parts[output * splits + s]);
    for (int s = 16; s > 0; s /= 2) acc = op.join(acc, shuffle(acc, s));
    int64_t at[2];
    r.kept.offsets(output, at);
    if (lane == 0) op.store(acc, r, at[1]);
}

template <class Op>
void run_reduction(Context& context, const ReducePlan& p, const Op& op,
                   int64_t* indices = nullptr) {
    Reduction r;
    for (int d = 0; d < p.kept; d++)
        r.kept.push(context.operation, p.kept_sizes[d], p.kept_in[d], p.kept_out[d]);
    for (int d = 0; d < p.reduced; d++)
        r.reduced.push(context.operation, p.reduced_sizes[d], p.reduced_in[d]);
    r.kept.finish();
    r.reduced.finish();
    r.outputs = p.kept_numel;
    r.items = p.reduced_numel;
    r.in = p.in;
    r.out = p.out;
    r.in_dtype = p.in_dtype;
    r.out_dtype = p.out_dtype;
    r.indices = indices;
    if (r.outputs == 0) return;
    r.across = r.outputs >= 32 && p.kept > 0 &&
               (r.items < 8 || p.reduced == 0 || p.kept_in[0] < p.reduced_in[0]);
    r.per_output = r.items > 1024 || r.outputs < 1024 ? kReduceWarps : 1;
    int64_t per_block = r.across ? 32 : kReduceWarps / r.per_output;
    int64_t blocks = ceil_div(r.outputs, per_block);
    EMBER_CHECK(blocks <= INT32_MAX, "%s: %ld results are too many for one launch",
                context.operation, long(r.outputs));
    // About 1024 blocks, of at least 64 items a thread.
    int64_t threads = r.across ? kReduceWarps : 32 * r.per_output;
    int splits = int(clamp_to(1024 / blocks, 1, ceil_div(r.items, 64 * threads) + 1));
    r.chunk = ceil_div(r.items, splits);
    auto* parts = splits > 1 ? context.scratch_of<typename Op::Acc>(r.outputs * splits) : nullptr;
    run(context, reduce_kernel<Op>, dim3(unsigned(blocks), unsigned(splits)),
        dim3(32 * kReduceWarps), r, op, parts);
    if (splits > 1)
        run(context, join_kernel<Op>, dim3(unsigned(ceil_div(r.outputs, kReduceWarps))),
            dim3(32 * kReduceWarps), r, op, static_cast<const typename Op::Acc*>(parts), splits);
}

}  // namespace ember::cuda
