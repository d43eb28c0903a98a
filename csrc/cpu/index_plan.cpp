#include <cstring>

#include "cpu/index_common.h"
#include "cpu/walk.h"
#include "kernels/index.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::IndexPlan;

// Byte offset of every position in the strided tensor; raises before anything is written.
const int64_t* position_offsets(Context& ctx, const IndexPlan& p) {
    int64_t* offsets = ctx.scratch_of<int64_t>(p.count);
    for (int k = 0; k < p.indices; k++) {
        int64_t n = p.index_sizes[k];
        check_indices(p.index_error ? ErrorKind::Index : ErrorKind::Runtime, p.operation,
                      p.index[k], p.count, p.wrap ? -n : 0, n, p.dims[k]);
    }
    parallel_for(p.count, 8 * 1024, [&](int64_t begin, int64_t end) {
        for (int k = 0; k < p.indices; k++) {
            const int64_t* index = p.index[k];
            int64_t n = p.index_sizes[k], stride = p.index_strides[k];
            for (int64_t i = begin; i < end; i++) {
                int64_t offset = (index[i] + (index[i] < 0 ? n : 0)) * stride;
                offsets[i] = k == 0 ? offset : offsets[i] + offset;
            }
        }
    });
    return offsets;
}

// The kept dimensions as loops around the positions (`outer`), loops inside them (`inner`), and the
// innermost one as a row.
struct Loops {
    Walk<2> outer, inner;
    int64_t row_size = 1, row_strided = 0, row_values = 0;
};

// Inside go the dimensions that lie closer in `values` than the positions do; all of them where one
// value serves every position.
Loops make_loops(const IndexPlan& p) {
    Loops loops;
    int first = 0;
    auto inside = [&](int d) { return p.kept_values[d] <= p.count_values || p.count_values == 0; };
    if (p.kept > 0 && inside(0)) {
        loops.row_size = p.kept_sizes[0];
        loops.row_strided = p.kept_strides[0];
        loops.row_values = p.kept_values[0];
        first = 1;
    }
    for (int d = first; d < p.kept; d++) {
        Walk<2>& walk = inside(d) ? loops.inner : loops.outer;
        walk.push(p.kept_sizes[d], p.kept_strides[d], p.kept_values[d]);
    }
    return loops;
}

bool is_empty(const IndexPlan& p) {
    for (int d = 0; d < p.kept; d++) {
        if (p.kept_sizes[d] == 0) return true;
    }
    return p.count == 0;
}

// f(row in the strided tensor, row in values) for the positions [begin, end) and the inner walk's
// steps [from, to) of one outer step.
template <class F>
EMBER_INLINE void for_rows(const IndexPlan& p, const Loops& loops, const int64_t* offsets,
                           const int64_t outer_offset[2], int64_t begin, int64_t end, int64_t from,
                           int64_t to, F&& f) {
    char* strided = p.strided + outer_offset[0];
    char* values = p.values + outer_offset[1];
    if (loops.inner.ndim == 0) {
        for (int64_t i = begin; i < end; i++) f(strided + offsets[i], values + i * p.count_values);
        return;
    }
    Walk<2> inner = loops.inner;
    for (int64_t i = begin; i < end; i++) {
        inner.start(from);
        for (int64_t j = from; j < to; j++, inner.next()) {
            f(strided + offsets[i] + inner.offset[0],
              values + i * p.count_values + inner.offset[1]);
        }
    }
}

// Copies rows with the cheapest code for their shape: one item, one block, or item by item.
// `write` says the direction.
template <class F>
EMBER_INLINE void with_row_copy(const IndexPlan& p, const Loops& loops, bool write, F&& f) {
    int size = item_size(p.dtype);
    if (loops.row_size > 1 && loops.row_strided == size && loops.row_values == size) {
        size_t bytes = size_t(loops.row_size * size);
        if (write) return f([=](char* s, char* v) { memcpy(s, v, bytes); });
        return f([=](char* s, char* v) { memcpy(v, s, bytes); });
    }
    int64_t n = loops.row_size, s_step = loops.row_strided, v_step = loops.row_values;
    dispatch_size(size, [&](auto tag) {
        constexpr int64_t bytes = sizeof(typename decltype(tag)::type);
        if (write) {
            f([=](char* s, char* v) {
                for (int64_t j = 0; j < n; j++) memcpy(s + j * s_step, v + j * v_step, bytes);
            });
        } else {
            f([=](char* s, char* v) {
                for (int64_t j = 0; j < n; j++) memcpy(v + j * v_step, s + j * s_step, bytes);
            });
        }
    });
}

void index_get(Context& ctx, const IndexPlan& p) {
    if (is_empty(p)) return;
    const int64_t* offsets = position_offsets(ctx, p);
    Loops loops = make_loops(p);
    int64_t inner = loops.inner.numel();
    int64_t bytes = inner * loops.row_size * item_size(p.dtype);
    int64_t grain = clamp_to(kGrainBytes / (bytes + 8), 1, p.count);
    int64_t pieces = ceil_div(p.count, grain);
    with_row_copy(p, loops, false, [&](auto copy_row) {
        parallel_for(
            loops.outer.numel() * pieces, ceil_div(8 * 1024, grain * (bytes + 8)),
            [&](int64_t begin, int64_t end) {
                Walk<2> outer = loops.outer;
                outer.start(begin / pieces);
                int64_t piece = begin % pieces;
                for (int64_t task = begin; task < end; task++) {
                    int64_t first = piece * grain, last = clamp_to(first + grain, 0, p.count);
                    for_rows(p, loops, offsets, outer.offset, first, last, 0, inner, copy_row);
                    if (++piece == pieces) {
                        piece = 0;
                        outer.next();
                    }
                }
            });
    });
}

// Positions may be equal, so a task takes all of them, in order, for a part of what is kept.
template <class F>
EMBER_INLINE void put_rows(const IndexPlan& p, const Loops& loops, const int64_t* offsets,
                           F&& put_row) {
    int64_t inner = loops.inner.numel();
    int64_t bytes = p.count * (loops.row_size * item_size(p.dtype) + 8);
    int64_t grain = clamp_to(kGrainBytes / bytes, 1, inner);
    int64_t pieces = ceil_div(inner, grain);
    int64_t outer_grain = clamp_to(kGrainBytes / (bytes * grain), 1, kGrainBytes);
    parallel_for(loops.outer.numel() * pieces, outer_grain, [&](int64_t begin, int64_t end) {
        Walk<2> outer = loops.outer;
        outer.start(begin / pieces);
        int64_t piece = begin % pieces;
        for (int64_t task = begin; task < end; task++) {
            int64_t from = piece * grain, to = clamp_to(from + grain, 0, inner);
            for_rows(p, loops, offsets, outer.offset, 0, p.count, from, to, put_row);
            if (++piece == pieces) {
                piece = 0;
                outer.next();
            }
        }
    });
}

void index_put(Context& ctx, const IndexPlan& p, bool accumulate) {
    if (is_empty(p)) return;
    const int64_t* offsets = position_offsets(ctx, p);
    Loops loops = make_loops(p);
    // One wide row is cut in parts, which take the place of the inner walk.
    constexpr int64_t kPart = 256;
    if (loops.inner.ndim == 0 && loops.row_size >= 2 * kPart && loops.row_size % kPart == 0) {
        loops.inner.push(loops.row_size / kPart, loops.row_strided * kPart,
                         loops.row_values * kPart);
        loops.row_size = kPart;
    }
    if (!accumulate) {
        with_row_copy(p, loops, true,
                      [&](auto copy_row) { put_rows(p, loops, offsets, copy_row); });
        return;
    }
    int64_t n = loops.row_size, s_step = loops.row_strided, v_step = loops.row_values;
    dispatch_summable(p.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        put_rows(p, loops, offsets, [=](char* s, char* v) {
            for (int64_t j = 0; j < n; j++) {
                T& to = *reinterpret_cast<T*>(s + j * s_step);
                to = add_items(to, read_item(*reinterpret_cast<const T*>(v + j * v_step)));
            }
        });
    });
}

}  // namespace

void register_index_plan(Table& table) {
    table.set(kernels::index_get, index_get, kReal | kComplex);
    table.set(kernels::index_put, index_put, kReal | kComplex);
}

}  // namespace ember::cpu::EMBER_LEVEL
