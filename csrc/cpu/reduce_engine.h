#pragma once

#include <limits>
#include <type_traits>

#include "core/parallel.h"
#include "cpu/sizes.h"
#include "cpu/vec.h"
#include "cpu/walk.h"

// How any reduction runs over a ReducePlan. An operation works on one compute type (float, double,
// int64 or int32; items of other dtypes are converted into a buffer in cache) and knows how to take
// a block of consecutive items into a partial result (`absorb`), and rows of many columns into as
// many partial results (`tile`). `combine` joins partial results, `store` writes results made of
// them. All cuts depend on sizes alone, and so does the order of every sum.
//
// The engine reaches an operation through pointers: it is compiled once, not once per operation.
namespace ember::cpu::EMBER_LEVEL {
namespace {

constexpr int64_t kBlock = 2048;        // items of one block
constexpr int64_t kWide = 1024;         // columns of one tile
constexpr int64_t kTileRows = 64;       // rows of one tile
constexpr int64_t kPieceItems = 65536;  // of one reduction cut among threads
constexpr int64_t kPartBytes = 24;      // of the largest partial result
constexpr int64_t kAhead = 4096;        // bytes that consecutive items are prefetched ahead
constexpr int64_t kColumnsAhead = 128;  // columns, where a tile is read by columns

struct Operation {
    int64_t item;     // bytes of an input item
    int64_t compute;  // bytes of an item of the compute type
    int64_t part;     // bytes of a partial result
    bool direct;      // input items are of the compute type
    void (*load)(const char* from, int64_t stride, int64_t n, char* to);
    void (*start)(const Operation&, char* parts, int64_t n);
    void (*absorb)(const Operation&, char* parts, const char* items, int64_t stride, int64_t n,
                   int64_t rows, int64_t number);
    void (*tile)(const Operation&, const char* items, int64_t stride, int64_t rows, int64_t columns,
                 int64_t number, char* parts);
    void (*combine)(const Operation&, char* parts, const char* others, int64_t n);
    void (*store)(const Operation&, const ReducePlan&, int64_t offset, int64_t stride,
                  const char* parts, int64_t n);
    double param;
    int64_t* indices;  // of argmax and argmin
};

// Results travel as the widest of their kind.
template <class C>
using Result = std::conditional_t<std::is_integral_v<C>, int64_t, double>;

template <class T, class C>
void load_items(const char* from, int64_t stride, int64_t n, char* target) {
    C* to = reinterpret_cast<C*>(target);
    auto convert = [](T x) {
        if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
            return C(ember::to_float(x));
        } else {
            return C(x);
        }
    };
    int64_t i = 0;
    if (stride == int64_t(sizeof(T))) {
        const T* p = reinterpret_cast<const T*>(from);
        if constexpr (std::is_same_v<C, float> && sizeof(T) == 2) {
            for (; i + 2 * VecF::size <= n; i += 2 * VecF::size) {
                prefetch(from + i * 2 + kAhead);
                load_as<VecF>(p + i).store(to + i);
                load_as<VecF>(p + i + VecF::size).store(to + i + VecF::size);
            }
        }
        for (; i < n; i++) to[i] = convert(p[i]);
        return;
    }
    for (; i < n; i++) to[i] = convert(*reinterpret_cast<const T*>(from + i * stride));
}

template <class C>
EMBER_INLINE void set_input(Operation& op, DType dtype) {
    op.compute = sizeof(C);
    auto pick = [&](auto tag) {
        using Given = typename decltype(tag)::type;
        using T = std::conditional_t<std::is_same_v<Given, bool>, uint8_t, Given>;
        op.item = sizeof(T);
        op.direct = std::is_same_v<T, C>;
        op.load = load_items<T, C>;
    };
    if constexpr (std::is_same_v<C, int64_t>) {
        dispatch<bool, uint8_t, int8_t, int16_t, int32_t, int64_t>(dtype, pick);
    } else if constexpr (std::is_same_v<C, int32_t>) {
        dispatch<bool, uint8_t, int8_t, int16_t, int32_t>(dtype, pick);
    } else if constexpr (std::is_same_v<C, float>) {
        dispatch<Half, BFloat16, float>(dtype, pick);
    } else {
        dispatch<Half, BFloat16, float, double>(dtype, pick);
    }
}

// Calls f with the type a reduction of this dtype computes in: float64 also where the result is,
// int32 for integers of at most `narrow` bytes.
template <int narrow, class F>
EMBER_INLINE void dispatch_compute(const ReducePlan& p, F&& f) {
    if constexpr (narrow > 0) {
        if (is_integral(p.in_dtype) && item_size(p.in_dtype) <= narrow)
            return f(TypeTag<int32_t>{});
    }
    if (is_integral(p.in_dtype)) return f(TypeTag<int64_t>{});
    if (p.in_dtype == DType::Float64 || p.out_dtype == DType::Float64) return f(TypeTag<double>{});
    f(TypeTag<float>{});
}
template <class F>
EMBER_INLINE void dispatch_float_compute(const ReducePlan& p, F&& f) {
    if (p.in_dtype == DType::Float64 || p.out_dtype == DType::Float64) return f(TypeTag<double>{});
    f(TypeTag<float>{});
}

template <class R>
EMBER_NOINLINE void store_results(DType dtype, char* to, int64_t stride, const R* from, int64_t n) {
    auto write = [=](auto tag) {
        using T = typename decltype(tag)::type;
        for (int64_t i = 0; i < n; i++) {
            T x;
            if constexpr (std::is_same_v<T, Half>) {
                x = to_half(float(from[i]));
            } else if constexpr (std::is_same_v<T, BFloat16>) {
                x = to_bfloat16(float(from[i]));
            } else {
                x = T(from[i]);
            }
            *reinterpret_cast<T*>(to + i * stride) = x;
        }
    };
    if constexpr (std::is_same_v<R, double>) {
        dispatch<float, double, Half, BFloat16, bool, uint8_t>(dtype, write);
    } else {
        dispatch<int64_t, bool, uint8_t, int8_t, int16_t, int32_t, float, double, Half, BFloat16>(
            dtype, write);
    }
}

// Blocks of the items [begin, end) of one result, counted over the reduced dimensions.
EMBER_INLINE void absorb_run(const Operation& op, char* part, const char* from, int64_t stride,
                             int64_t n, int64_t number, char* buffer) {
    bool in_place = op.direct && stride == op.item;
    for (int64_t i = 0; i < n; i += kBlock) {
        int64_t count = clamp_to(n - i, 0, kBlock);
        const char* items = from + i * stride;
        if (!in_place) {
            op.load(items, stride, count, buffer);
            items = buffer;
        }
        op.absorb(op, part, items, 0, count, 1, number + i);
    }
}

void absorb_range(const Operation& op, const ReducePlan& p, const char* base, int64_t begin,
                  int64_t end, char* part) {
    alignas(64) char buffer[kBlock * 8];
    if (begin == end) return;  // a reduced dim may have size 0
    if (p.reduced <= 1) {
        int64_t stride = p.reduced == 0 ? 0 : p.reduced_in[0];
        absorb_run(op, part, base + begin * stride, stride, end - begin, begin, buffer);
        return;
    }
    int64_t size = p.reduced_sizes[0], stride = p.reduced_in[0];
    Walk<1> walk;
    for (int d = 1; d < p.reduced; d++) walk.push(p.reduced_sizes[d], p.reduced_in[d]);
    walk.start(begin / size);
    int64_t at = begin % size, filled = 0;
    bool pack = size < 64;  // short runs are put together
    for (int64_t i = begin; i < end;) {
        int64_t n = clamp_to(size - at, 0, end - i);
        const char* from = base + walk.offset[0] + at * stride;
        walk.next();
        prefetch(base + walk.offset[0], n * op.item);
        if (pack) {
            if (filled + n > kBlock) {
                op.absorb(op, part, buffer, 0, filled, 1, i - filled);
                filled = 0;
            }
            op.load(from, stride, n, buffer + filled * op.compute);
            filled += n;
        } else {
            absorb_run(op, part, from, stride, n, i, buffer);
        }
        i += n;
        at = 0;
    }
    if (filled > 0) op.absorb(op, part, buffer, 0, filled, 1, end - filled);
}

// Tiles of `columns` columns, `column_stride` bytes apart, and the rows [begin, end).
void tile_range(const Operation& op, const ReducePlan& p, const char* base, int64_t column_stride,
                int64_t columns, int64_t begin, int64_t end, char* parts) {
    constexpr int64_t kItems = 4096;
    alignas(64) char buffer[kItems * 8];
    if (begin == end) return;
    int64_t size = p.reduced == 0 ? 1 : p.reduced_sizes[0];
    int64_t stride = p.reduced == 0 ? 0 : p.reduced_in[0];
    bool in_place = op.direct && column_stride == op.item && stride % op.item == 0;
    int64_t most = in_place ? kTileRows : clamp_to(kItems / columns, 1, kTileRows);
    Walk<1> walk;
    for (int d = 1; d < p.reduced; d++) walk.push(p.reduced_sizes[d], p.reduced_in[d]);
    walk.start(begin / size);
    int64_t at = begin % size;
    for (int64_t i = begin; i < end;) {
        int64_t rows = clamp_to(size - at, 0, clamp_to(end - i, 0, most));
        const char* from = base + walk.offset[0] + at * stride;
        if (in_place) {
            op.tile(op, from, stride / op.item, rows, columns, i, parts);
        } else {
            for (int64_t r = 0; r < rows; r++) {
                const char* row = from + r * stride;
                if (column_stride == op.item) prefetch(row + rows * stride, columns * op.item);
                op.load(row, column_stride, columns, buffer + r * columns * op.compute);
            }
            op.tile(op, buffer, columns, rows, columns, i, parts);
        }
        i += rows;
        at += rows;
        if (at == size) {
            at = 0;
            walk.next();
        }
    }
}

enum Kept { kIn, kOut };

EMBER_INLINE Walk<2> walk_kept(const ReducePlan& p, int first) {
    Walk<2> walk;
    for (int d = first; d < p.kept; d++) walk.push(p.kept_sizes[d], p.kept_in[d], p.kept_out[d]);
    return walk;
}

// Rows of at most a block each: some of them a call.
void reduce_short_rows(const ReducePlan& p, const Operation& op) {
    constexpr int64_t kRows = 128;
    int64_t n = p.reduced_numel, stride = p.reduced == 0 ? op.item : p.reduced_in[0];
    int64_t row_stride = p.kept == 0 ? 0 : p.kept_in[0];
    int64_t out_stride = p.kept == 0 ? 0 : p.kept_out[0];
    int64_t run_size = p.kept == 0 ? 1 : p.kept_sizes[0];
    bool in_place = op.direct && stride == op.item && row_stride % op.item == 0;
    bool dense = stride == op.item && row_stride == n * op.item;
    int64_t most = in_place ? kRows : clamp_to(kBlock / n, 1, kRows);
    int64_t grain = clamp_to(kGrainBytes / (n * op.item + 16), 1, kGrainBytes);
    Walk<2> kept = walk_kept(p, 0);
    parallel_for(p.kept_numel, grain, [&](int64_t begin, int64_t end) {
        alignas(64) char buffer[kBlock * 8];
        alignas(8) char parts[kRows * kPartBytes];
        Walk<2> at = kept;
        at.start(begin);
        for (int64_t k = begin; k < end;) {
            int64_t left = p.kept == 0 ? 1 : run_size - at.index[0];
            int64_t rows = clamp_to(left, 1, clamp_to(end - k, 1, most));
            const char* from = p.in + at.offset[kIn];
            op.start(op, parts, rows);
            if (in_place) {
                op.absorb(op, parts, from, row_stride / op.item, n, rows, 0);
            } else if (dense) {
                op.load(from, stride, rows * n, buffer);
                op.absorb(op, parts, buffer, n, n, rows, 0);
            } else {
                for (int64_t r = 0; r < rows; r++) {
                    op.load(from + r * row_stride, stride, n, buffer + r * n * op.compute);
                }
                op.absorb(op, parts, buffer, n, n, rows, 0);
            }
            op.store(op, p, at.offset[kOut], out_stride, parts, rows);
            k += rows;
            at.next(rows);
        }
    });
}

// One result after the other, each from its blocks.
void reduce_rows(Context& ctx, const ReducePlan& p, const Operation& op) {
    Walk<2> kept = walk_kept(p, 0);
    int64_t pieces = ceil_div(p.reduced_numel, kPieceItems);
    if (pieces > 1 && p.kept_numel < 32) {
        char* parts = ctx.scratch_of<char>(p.kept_numel * pieces * op.part);
        parallel_for(p.kept_numel * pieces, 1, [&](int64_t begin, int64_t end) {
            for (int64_t task = begin; task < end; task++) {
                Walk<2> at = kept;
                at.start(task / pieces);
                int64_t first = task % pieces * kPieceItems;
                int64_t last = clamp_to(first + kPieceItems, 0, p.reduced_numel);
                op.start(op, parts + task * op.part, 1);
                absorb_range(op, p, p.in + at.offset[kIn], first, last, parts + task * op.part);
            }
        });
        kept.start(0);
        for (int64_t k = 0; k < p.kept_numel; k++, kept.next()) {
            char* part = parts + k * pieces * op.part;
            for (int64_t i = 1; i < pieces; i++) op.combine(op, part, part + i * op.part, 1);
            op.store(op, p, kept.offset[kOut], 0, part, 1);
        }
        return;
    }
    int64_t grain = clamp_to(kGrainBytes / (p.reduced_numel * op.item + 16), 1, kGrainBytes);
    parallel_for(p.kept_numel, grain, [&](int64_t begin, int64_t end) {
        alignas(8) char part[kPartBytes];
        Walk<2> at = kept;
        at.start(begin);
        for (int64_t k = begin; k < end; k++, at.next()) {
            op.start(op, part, 1);
            absorb_range(op, p, p.in + at.offset[kIn], 0, p.reduced_numel, part);
            op.store(op, p, at.offset[kOut], 0, part, 1);
        }
    });
}

// Many results side by side along the innermost kept dimension, from tiles.
void reduce_columns(Context& ctx, const ReducePlan& p, const Operation& op) {
    int64_t size = p.kept_sizes[0], stride = p.kept_in[0];
    int64_t total = p.kept_numel * p.reduced_numel * op.item;
    Walk<2> outer = walk_kept(p, 1);
    int64_t outer_numel = outer.numel();
    // Until there is work for some threads rows are cut where they are many, so that memory is read
    // in long runs, and columns elsewhere.
    int64_t cuts = ceil_div(size, kWide);
    if (p.reduced_numel < 16 * kTileRows)
        cuts = clamp_to(total / kGrainBytes / outer_numel, cuts, ceil_div(size, 128));
    int64_t width = clamp_to(ceil_div(ceil_div(size, cuts), 64) * 64, 64, kWide);
    cuts = ceil_div(size, width);
    int64_t chunks = outer_numel * cuts;
    int64_t row_items = width < size ? width : size;
    int64_t piece = p.reduced_numel;
    if (chunks < 32 && p.reduced_numel * row_items > 2 * kPieceItems) {
        piece = clamp_to(kPieceItems / row_items, ceil_div(piece * chunks, 64), piece);
        piece = ceil_div(piece, kTileRows) * kTileRows;
    }
    int64_t pieces = ceil_div(p.reduced_numel, piece);

    auto columns_of = [&](int64_t cut) { return clamp_to(size - cut * width, 0, width); };
    auto reduce_chunk = [&](int64_t offset, int64_t cut, int64_t begin, int64_t end, char* parts) {
        op.start(op, parts, columns_of(cut));
        tile_range(op, p, p.in + offset + cut * width * stride, stride, columns_of(cut), begin, end,
                   parts);
    };
    auto store_chunk = [&](int64_t offset, int64_t cut, const char* parts) {
        op.store(op, p, offset + cut * width * p.kept_out[0], p.kept_out[0], parts,
                 columns_of(cut));
    };
    if (pieces > 1) {
        int64_t bytes = width * op.part;
        char* parts = ctx.scratch_of<char>(chunks * pieces * bytes);
        parallel_for(chunks * pieces, 1, [&](int64_t begin, int64_t end) {
            for (int64_t task = begin; task < end; task++) {
                int64_t chunk = task / pieces, first = task % pieces * piece;
                Walk<2> at = outer;
                at.start(chunk / cuts);
                reduce_chunk(at.offset[kIn], chunk % cuts, first,
                             clamp_to(first + piece, 0, p.reduced_numel), parts + task * bytes);
            }
        });
        outer.start(0);
        for (int64_t o = 0; o < outer_numel; o++, outer.next()) {
            for (int64_t cut = 0; cut < cuts; cut++) {
                char* first = parts + (o * cuts + cut) * pieces * bytes;
                for (int64_t i = 1; i < pieces; i++) {
                    op.combine(op, first, first + i * bytes, columns_of(cut));
                }
                store_chunk(outer.offset[kOut], cut, first);
            }
        }
        return;
    }
    int64_t grain = clamp_to(kGrainBytes / (p.reduced_numel * row_items * op.item), 1, chunks);
    parallel_for(chunks, grain, [&](int64_t begin, int64_t end) {
        alignas(64) char parts[kWide * kPartBytes];
        Walk<2> at = outer;
        at.start(begin / cuts);
        int64_t cut = begin % cuts;
        for (int64_t chunk = begin; chunk < end; chunk++) {
            reduce_chunk(at.offset[kIn], cut, 0, p.reduced_numel, parts);
            store_chunk(at.offset[kOut], cut, parts);
            if (++cut == cuts) {
                cut = 0;
                at.next();
            }
        }
    });
}

// A few columns that fill their memory: some rows are taken for one, so that tiles are wide, and
// the partial results of these columns joined.
void reduce_narrow(Context& ctx, const ReducePlan& p, const Operation& op) {
    int64_t columns = p.kept_sizes[0], together = 64 / columns, width = columns * together;
    int64_t rows = p.reduced_numel / together;
    ReducePlan wide = p;
    wide.reduced_sizes[0] = rows;
    wide.reduced_in[0] *= together;
    int64_t piece = kPieceItems / width, pieces = ceil_div(rows, piece), bytes = width * op.part;
    char* parts = ctx.scratch_of<char>(pieces * bytes);
    parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            op.start(op, parts + i * bytes, width);
            tile_range(op, wide, p.in, op.item, width, i * piece,
                       clamp_to((i + 1) * piece, 0, rows), parts + i * bytes);
        }
    });
    for (int64_t i = 1; i < pieces; i++) op.combine(op, parts, parts + i * bytes, width);
    for (int64_t i = 1; i < together; i++)
        op.combine(op, parts, parts + i * columns * op.part, columns);
    tile_range(op, p, p.in, op.item, columns, rows * together, p.reduced_numel, parts);
    op.store(op, p, 0, p.kept_out[0], parts, columns);
}

EMBER_INLINE int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

void run_reduction(Context& ctx, const ReducePlan& p, const Operation& op) {
    if (p.kept_numel == 0) return;
    if (p.kept == 0 && p.reduced == 1 && p.reduced_numel <= kBlock && op.direct &&
        p.reduced_in[0] == op.item) {  // the shortest way for tiny sizes
        alignas(8) char part[kPartBytes];
        op.start(op, part, 1);
        op.absorb(op, part, p.in, 0, p.reduced_numel, 1, 0);
        op.store(op, p, 0, 0, part, 1);
        return;
    }
    // Side by side where that is how items lie in memory, or where a result has only a few items.
    bool columns = p.kept > 0 && p.kept_sizes[0] >= 4 && p.reduced_numel > 0 &&
                   (p.reduced == 0 || p.reduced_numel <= 4 ||
                    magnitude(p.kept_in[0]) < magnitude(p.reduced_in[0]));
    bool narrow = p.kept == 1 && p.reduced == 1 && p.kept_sizes[0] <= 32 && !op.indices &&
                  p.kept_in[0] == op.item && p.reduced_in[0] == p.kept_sizes[0] * op.item &&
                  p.kept_sizes[0] * p.reduced_numel > 2 * kBlock;
    if (narrow) {
        reduce_narrow(ctx, p, op);
    } else if (columns) {
        reduce_columns(ctx, p, op);
    } else if (p.reduced <= 1 && p.reduced_numel > 0 && p.reduced_numel <= kBlock) {
        reduce_short_rows(p, op);
    } else {
        reduce_rows(ctx, p, op);
    }
}

// Runs Impl, a type without state that has Compute, Part, and the static functions named below;
// they are handed the plan's number.
template <class Impl>
EMBER_INLINE Operation operation_of(const ReducePlan& p, double param, int64_t* indices = nullptr) {
    using C = typename Impl::Compute;
    using Part = typename Impl::Part;
    static_assert(sizeof(Part) <= kPartBytes);
    Operation op;
    set_input<C>(op, p.in_dtype);
    op.part = sizeof(Part);
    op.param = param;
    op.indices = indices;
    op.start = [](const Operation&, char* parts, int64_t n) {
        for (int64_t i = 0; i < n; i++) reinterpret_cast<Part*>(parts)[i] = Impl::identity();
    };
    op.absorb = [](const Operation& o, char* parts, const char* items, int64_t stride, int64_t n,
                   int64_t rows, int64_t number) {
        for (int64_t r = 0; r < rows; r++) {
            Impl::absorb(reinterpret_cast<Part*>(parts)[r],
                         reinterpret_cast<const C*>(items) + r * stride, n, number, o.param);
        }
    };
    op.tile = [](const Operation& o, const char* items, int64_t stride, int64_t rows,
                 int64_t columns, int64_t number, char* parts) {
        Impl::tile(reinterpret_cast<const C*>(items), stride, rows, columns, number,
                   reinterpret_cast<Part*>(parts), o.param);
    };
    op.combine = [](const Operation&, char* parts, const char* others, int64_t n) {
        for (int64_t i = 0; i < n; i++) {
            Impl::combine(reinterpret_cast<Part*>(parts)[i],
                          reinterpret_cast<const Part*>(others)[i]);
        }
    };
    op.store = [](const Operation& o, const ReducePlan& plan, int64_t offset, int64_t stride,
                  const char* parts, int64_t n) {
        const Part* from = reinterpret_cast<const Part*>(parts);
        if constexpr (Impl::writes_indices) {
            int64_t item = item_size(plan.out_dtype);
            int64_t* to = o.indices + offset / item;
            for (int64_t i = 0; i < n; i++) to[i * (stride / item)] = from[i].index;
            if (plan.out == nullptr) return;
        }
        Result<C> results[128];
        for (int64_t i = 0; i < n; i += 128) {
            int64_t count = clamp_to(n - i, 0, 128);
            for (int64_t j = 0; j < count; j++) results[j] = Impl::finish(from[i + j], o.param);
            store_results(plan.out_dtype, plan.out + offset + i * stride, stride, results, count);
        }
    };
    return op;
}

template <class Impl>
EMBER_INLINE void reduce(Context& ctx, const ReducePlan& p, double param,
                         int64_t* indices = nullptr) {
    run_reduction(ctx, p, operation_of<Impl>(p, param, indices));
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
