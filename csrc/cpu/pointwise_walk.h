#pragma once

#include "core/parallel.h"
#include "core/view.h"
#include "cpu/level.h"

// Cuts a plan into tiles over two of its dims and visits them.
namespace ember::cpu::EMBER_LEVEL {
namespace {

constexpr int64_t kTileItems = 1024;    // of tiles that need buffers: 4 or 8 KiB an operand
constexpr int64_t kDenseItems = 16384;  // of tiles that need none
constexpr int64_t kSquare = 32;         // its root: the side of tiles that transpose

struct Tiling {
    int dim[kMaxDims];     // the plan's dims in the order of visits; a tile spans the first two
    int64_t inner, outer;  // items of a full tile along these
    int64_t inner_tiles, outer_tiles, tiles;
};

// What f(tile) gets: where each operand's part begins, and how much of it there is.
struct Tile {
    char* data[kMaxOperands];
    int64_t inner, outer;
    EMBER_INLINE int64_t items() const { return inner * outer; }
};

EMBER_INLINE int64_t stride_of(const Plan& plan, const Tiling& t, int operand, int at) {
    return at < plan.ndim ? plan.operand[operand].strides[t.dim[at]] : 0;
}

// Where some operand lies far apart along dim 0: the dim in which it is closest, else 0.
EMBER_INLINE int transposed_dim(const Plan& plan) {
    if (plan.ndim == 1 || plan.sizes[0] < 8) return 0;
    for (int k = 0; k < plan.operands; k++) {
        const int64_t* strides = plan.operand[k].strides;
        auto distance = [strides](int d) __attribute__((always_inline)) {
            return strides[d] < 0 ? -strides[d] : strides[d];
        };
        int best = 0;
        for (int d = 1; d < plan.ndim; d++)
            if (strides[d] != 0 && plan.sizes[d] >= 8 && distance(d) < distance(best)) best = d;
        if (best != 0 && distance(0) >= 32) return best;
    }
    return 0;
}

// `side` is that of tiles that transpose.
EMBER_INLINE void make_tiling(const Plan& plan, bool dense, int64_t side, Tiling& t) {
    for (int d = 0; d < plan.ndim; d++) t.dim[d] = d;
    int64_t limit = dense ? kDenseItems : kTileItems;
    int64_t n0 = plan.sizes[0];
    t.inner = n0 < limit ? n0 : limit;
    if (int d = dense ? 0 : transposed_dim(plan)) {
        t.dim[1] = d;
        t.dim[d] = 1;
        if (n0 > side) t.inner = side;
        limit = t.inner * side;
    }
    int64_t n1 = plan.ndim > 1 ? plan.sizes[t.dim[1]] : 1;
    int64_t room = dense ? 1 : limit / t.inner;
    t.outer = n1 < room ? n1 : room;
    t.inner_tiles = (n0 + t.inner - 1) / t.inner;
    t.outer_tiles = (n1 + t.outer - 1) / t.outer;
    t.tiles = t.inner_tiles * t.outer_tiles;
    for (int d = 2; d < plan.ndim; d++) t.tiles *= plan.sizes[t.dim[d]];
}

// Calls f(tile) for the tiles [begin, end).
template <class F>
EMBER_INLINE void visit_tiles(const Plan& plan, const Tiling& t, int64_t begin, int64_t end, F f) {
    int64_t index[kMaxDims];
    char* base[kMaxOperands];
    int64_t at0 = begin % t.inner_tiles, rest = begin / t.inner_tiles;
    int64_t at1 = rest % t.outer_tiles;
    rest /= t.outer_tiles;
    for (int k = 0; k < plan.operands; k++) base[k] = plan.operand[k].data;
    for (int d = 2; d < plan.ndim; d++) {
        index[d] = rest % plan.sizes[t.dim[d]];
        rest /= plan.sizes[t.dim[d]];
        for (int k = 0; k < plan.operands; k++) base[k] += index[d] * stride_of(plan, t, k, d);
    }
    int64_t n0 = plan.sizes[0], n1 = plan.ndim > 1 ? plan.sizes[t.dim[1]] : 1;
    for (int64_t i = begin; i < end; i++) {
        int64_t from0 = at0 * t.inner, from1 = at1 * t.outer;
        Tile tile;
        tile.inner = n0 - from0 < t.inner ? n0 - from0 : t.inner;
        tile.outer = n1 - from1 < t.outer ? n1 - from1 : t.outer;
        for (int k = 0; k < plan.operands; k++)
            tile.data[k] =
                base[k] + from0 * plan.operand[k].strides[0] + from1 * stride_of(plan, t, k, 1);
        f(tile);
        if (++at0 < t.inner_tiles) continue;
        at0 = 0;
        if (++at1 < t.outer_tiles) continue;
        at1 = 0;
        for (int d = 2; d < plan.ndim; d++) {
            bool wraps = ++index[d] == plan.sizes[t.dim[d]];
            int64_t step = wraps ? 1 - index[d] : 1;
            for (int k = 0; k < plan.operands; k++) base[k] += step * stride_of(plan, t, k, d);
            if (!wraps) break;
            index[d] = 0;
        }
    }
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
