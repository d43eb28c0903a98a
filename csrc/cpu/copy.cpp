#include "cpu/convert.h"
#include "cpu/isa.h"
#include "cpu/move.h"
#include "cpu/pointwise.h"
#include "cpu/pointwise_walk.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

constexpr int64_t kMaxItem = 16;  // bytes

// One operand as tiles see it.
struct Access {
    DType dtype;
    int item;
    int64_t inner, outer;  // strides in bytes
    // Whether the tile's items lie one behind the other.
    EMBER_INLINE bool dense(const Tile& tile) const {
        return (inner == item || tile.inner == 1) &&
               (tile.outer == 1 || outer == tile.inner * item);
    }
};

EMBER_INLINE Access access(const Plan& plan, const Tiling& tiling, int operand) {
    DType dtype = plan.operand[operand].dtype;
    return {dtype, item_size(dtype), plan.operand[operand].strides[0],
            stride_of(plan, tiling, operand, 1)};
}

// Whether the first operands' rows are dense and long enough to be run in place, one by one.
EMBER_INLINE bool rows_are_dense(const Plan& plan, int operands) {
    if (plan.ndim > 1 && plan.sizes[0] < 512) return false;
    for (int k = 0; k < operands; k++)
        if (plan.operand[k].strides[0] != item_size(plan.operand[k].dtype)) return false;
    return true;
}

EMBER_INLINE bool is_number(const Plan& plan, int operand) {
    for (int d = 0; d < plan.ndim; d++)
        if (plan.operand[operand].strides[d] != 0) return false;
    return true;
}

EMBER_INLINE int64_t bytes_an_item(const Plan& plan) {
    int64_t bytes = 0;
    for (int k = 0; k < plan.operands; k++) bytes += item_size(plan.operand[k].dtype);
    return bytes;
}

// Whether the output had better go past the caches: large, written in long runs, and not read.
EMBER_INLINE bool streams(const Plan& plan) {
    const Plan::Operand& out = plan.operand[0];
    int64_t item = item_size(out.dtype);
    if (plan.numel * bytes_an_item(plan) < stream_threshold || out.strides[0] != item ||
        plan.sizes[0] * item < 4096)
        return false;
    for (int k = 1; k < plan.operands; k++)
        if (plan.operand[k].data == out.data) return false;
    return true;
}

// Tiles of one task: pieces of 128 KiB, larger where there are very many.
EMBER_INLINE int64_t task_tiles(const Tiling& t, int64_t tile_bytes) {
    int64_t bytes = 2 * kGrainBytes, share = t.tiles * tile_bytes / 256;
    if (share > bytes) bytes = share < (4 << 20) ? share : 4 << 20;
    return bytes > tile_bytes ? bytes / tile_bytes : 1;
}

// ---- Pointwise plans

struct Job {
    const Plan& plan;
    const LoopInfo& info;
    bool stream;
    Access operand[kMaxOperands];
    DType native[kMaxOperands];  // what the loop wants
    bool rounds[kMaxOperands];   // whether it is rounded to the compute dtype on the way
    Tiling tiling;

    Job(const Plan& p, const LoopInfo& i, bool s) : plan(p), info(i), stream(s) {}
};

struct Buffers {
    alignas(64) char operand[kMaxOperands][kTileItems * kMaxItem];
    alignas(64) char moved[kTileItems * kMaxItem];
    alignas(64) char rounded[kTileItems * kMaxItem];
    // What an operand's buffer holds: a broadcast operand is loaded once.
    const char* source[kMaxOperands] = {};
    int64_t inner[kMaxOperands], items[kMaxOperands];
};

// n dense items of operand k to what the loop wants.
EMBER_INLINE void convert_operand(const Job& job, int k, char* out, const char* in, int64_t n,
                                  char* buffer) {
    DType dtype = job.operand[k].dtype;
    if (job.rounds[k]) {
        convert(dtype, job.plan.compute, buffer, in, n);
        convert(job.plan.compute, job.native[k], out, buffer, n);
    } else {
        convert(dtype, job.native[k], out, in, n);
    }
}

EMBER_INLINE char* load_tile(const Job& job, const Tile& tile, int k, Buffers& buffers) {
    const Access& a = job.operand[k];
    char* in = tile.data[k];
    bool dense = a.dense(tile), native = a.dtype == job.native[k];
    if (dense && native) return in;
    char* out = buffers.operand[k];
    int64_t n = tile.items();
    if (buffers.source[k] == in && buffers.inner[k] == tile.inner && buffers.items[k] >= n)
        return out;
    buffers.source[k] = in;
    buffers.inner[k] = tile.inner;
    buffers.items[k] = n;
    if (a.inner == 0 && a.outer == 0) {
        alignas(16) char item[kMaxItem], rounded[kMaxItem];
        int size = item_size(job.native[k]);
        convert_operand(job, k, item, in, 1, rounded);
        move(size, {out, size, 0, item, 0, 0, n, 1});
        return out;
    }
    if (!dense) {
        char* moved = native ? out : buffers.moved;
        move(a.item,
             {moved, a.item, tile.inner * a.item, in, a.inner, a.outer, tile.inner, tile.outer});
        if (native) return out;
        in = moved;
    }
    convert_operand(job, k, out, in, n, buffers.rounded);
    return out;
}

// Takes the tile's items, dense and of dtype `from` at `in`, to their place in the output.
EMBER_INLINE void store_tile(const Access& a, const Tile& tile, DType from, const char* in,
                             char* buffer) {
    int64_t n = tile.items();
    bool dense = a.dense(tile);
    if (from != a.dtype) {
        convert(from, a.dtype, dense ? tile.data[0] : buffer, in, n);
        if (dense) return;
        in = buffer;
    }
    move(a.item,
         {tile.data[0], a.inner, a.outer, in, a.item, tile.inner * a.item, tile.inner, tile.outer});
}

EMBER_INLINE void run_tile(const Job& job, const Tile& tile, Buffers& buffers) {
    const Access& out = job.operand[0];
    char* data[kMaxOperands];
    for (int k = 1; k < job.plan.operands; k++) data[k] = load_tile(job, tile, k, buffers);
    bool in_place = out.dtype == job.info.out && out.dense(tile);
    data[0] = in_place ? tile.data[0] : buffers.operand[0];
    job.info.loop(data, tile.items(), job.plan.immediate, in_place && job.stream);
    if (!in_place) store_tile(out, tile, job.info.out, data[0], buffers.moved);
}

void run_tiles(const Job& job, int64_t begin, int64_t end) {
    Buffers buffers;
    visit_tiles(job.plan, job.tiling, begin, end,
                [&](Tile& tile) __attribute__((always_inline)) { run_tile(job, tile, buffers); });
    if (job.stream) stream_fence();
}

// A short plan of one dim, as one tile: a small tensor and a number, say.
void run_alone(const Job& job) {
    Buffers buffers;
    Tile tile;
    for (int k = 0; k < job.plan.operands; k++) tile.data[k] = job.plan.operand[k].data;
    tile.inner = job.plan.numel;
    tile.outer = 1;
    run_tile(job, tile, buffers);
}

void run_pointwise(const Plan& plan, const LoopInfo& info) {
    bool alone = plan.ndim == 1 && plan.numel <= kTileItems;
    Job job(plan, info, !alone && streams(plan));
    bool dense = rows_are_dense(plan, plan.operands);
    for (int k = 0; k < plan.operands; k++) {
        DType dtype = plan.operand[k].dtype;
        job.native[k] = k == 0 ? info.out : k == 1 ? info.first : info.in;
        dense = dense && dtype == job.native[k];
        bool half = kHalves.has(plan.compute) && job.native[k] == DType::Float32;
        job.rounds[k] =
            k > 0 && half && dtype != plan.compute && !(info.exact_numbers && is_number(plan, k));
        if (alone) job.operand[k] = {dtype, item_size(dtype), plan.operand[k].strides[0], 0};
    }
    if (alone) return run_alone(job);
    make_tiling(plan, dense, kSquare, job.tiling);
    for (int k = 0; k < plan.operands; k++) job.operand[k] = access(plan, job.tiling, k);
    int64_t tile_bytes = job.tiling.inner * job.tiling.outer * bytes_an_item(plan) * info.cost;
    parallel_for(job.tiling.tiles, task_tiles(job.tiling, tile_bytes),
                 [&](int64_t begin, int64_t end) { run_tiles(job, begin, end); });
}

// ---- Copies

struct CopyJob {
    const Plan& plan;
    bool stream;
    Access out, in;
    Tiling tiling;

    CopyJob(const Plan& p, bool s) : plan(p), stream(s) {}
};

void copy_tiles(const CopyJob& job, int64_t begin, int64_t end) {
    alignas(64) char moved[kTileItems * kMaxItem], converted[kTileItems * kMaxItem];
    const Access &out = job.out, &in = job.in;
    visit_tiles(job.plan, job.tiling, begin, end, [&](Tile& tile) __attribute__((always_inline)) {
        const char* source = tile.data[1];
        bool dense = in.dense(tile);
        if (out.dtype == in.dtype) {
            if (job.stream && dense && out.dense(tile))
                stream_copy(tile.data[0], source, tile.items() * out.item);
            else
                move(out.item, {tile.data[0], out.inner, out.outer, source, in.inner, in.outer,
                                tile.inner, tile.outer, job.stream});
            return;
        }
        if (!dense) {
            move(in.item, {moved, in.item, tile.inner * in.item, source, in.inner, in.outer,
                           tile.inner, tile.outer});
            source = moved;
        }
        store_tile(out, tile, in.dtype, source, converted);
    });
    if (job.stream) stream_fence();
}

void copy(Context& context, const Plan& plan) {
    const Plan::Operand &out = plan.operand[0], &in = plan.operand[1];
    int64_t out_item = item_size(out.dtype), in_item = item_size(in.dtype);
    if (plan.ndim == 1 && plan.numel * out_item <= kSmallBytes && out.strides[0] == out_item &&
        in.strides[0] == in_item) {
        convert(in.dtype, out.dtype, out.data, in.data, plan.numel);
        return;
    }
    if (plan.numel == 0) return;
    const bool fill = is_number(plan, 1);
    if (fill && in.dtype != out.dtype) {  // converted once
        alignas(16) char number[kMaxItem];
        convert(in.dtype, out.dtype, number, in.data, 1);
        Plan same = plan;
        same.operand[1].data = number;
        same.operand[1].dtype = out.dtype;
        return copy(context, same);
    }
    CopyJob job(plan, streams(plan));
    make_tiling(plan, rows_are_dense(plan, fill ? 1 : 2),
                in.dtype == out.dtype ? 2 * kSquare : kSquare, job.tiling);
    job.out = access(plan, job.tiling, 0);
    job.in = access(plan, job.tiling, 1);
    int64_t tile_bytes = job.tiling.inner * job.tiling.outer * (out_item + in_item);
    parallel_for(job.tiling.tiles, task_tiles(job.tiling, tile_bytes),
                 [&](int64_t begin, int64_t end) { copy_tiles(job, begin, end); });
}

}  // namespace

void register_copy(Table& table) {
    pointwise_shared.run = run_pointwise;
    table.set(kernels::copy, copy, kReal | kComplex);
}

}  // namespace ember::cpu::EMBER_LEVEL
