#include "cpu/index_common.h"
#include "cpu/walk.h"
#include "kernels/index.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Combine;
using kernels::Gather;

enum Offset { kIndex, kData, kOther };

EMBER_INLINE int64_t numel_of(const Gather& g) {
    int64_t n = 1;
    for (int d = 0; d < g.ndim; d++) n *= g.sizes[d];
    return n;
}

// Raises for the first of n indices, `step` apart, outside of data's dim.
EMBER_INLINE void check_row(const Gather& g, const int64_t* index, int64_t step, int64_t n) {
    if (step == 0) n = 1;
    if ((step == 1 || n == 1) && all_within(index, n, 0, g.dim_size)) return;
    for (int64_t j = 0; j < n; j++) {
        int64_t i = index[j * step];
        if (i < 0 || i >= g.dim_size) {
            EMBER_RAISE_OUTSIDE(ErrorKind::Runtime, g.operation, i, g.dim, g.dim_size);
        }
    }
}

void check(const Gather& g) {
    Walk<1> walk;
    int last = g.ndim - 1;
    for (int d = last - 1; d >= 0; d--) walk.push(g.sizes[d], g.index_strides[d]);
    int64_t size = g.sizes[last], step = g.index_strides[last];
    parallel_for(walk.numel(), clamp_to(kGrainBytes / size, 1, kGrainBytes),
                 [&](int64_t begin, int64_t end) {
                     Walk<1> w = walk;
                     w.start(begin);
                     for (int64_t row = begin; row < end; row++, w.next()) {
                         check_row(g, g.index + w.offset[0], step, size);
                     }
                 });
}

// Reads only: the indices of a piece are checked before it is read.
template <class T>
void gather_items(const Gather& g) {
    Walk<3> walk;
    int last = g.ndim - 1;
    auto along = [&](int d) { return d == g.dim ? 0 : g.data_strides[d]; };
    for (int d = last - 1; d >= 0; d--) {
        walk.push(g.sizes[d], g.index_strides[d], along(d), g.other_strides[d]);
    }
    int64_t size = g.sizes[last], index_step = g.index_strides[last], data_step = along(last);
    int64_t other_step = g.other_strides[last], dim_step = g.data_strides[g.dim];
    // One long row is cut too.
    int64_t pieces = clamp_to(size / (16 * 1024), 1, 1024);
    int64_t piece = ceil_div(size, pieces);
    auto read_piece = [=](T* out, const T* data, const int64_t* index, int64_t n) {
        if (index_step == 1 && other_step == 1 && data_step == 0 && dim_step == 1) {
            for (int64_t j = 0; j < n; j++) out[j] = data[index[j]];
        } else if (index_step == 1 && other_step == 1 && data_step == 1) {
            for (int64_t j = 0; j < n; j++) out[j] = data[j + index[j] * dim_step];
        } else {
            for (int64_t j = 0; j < n; j++) {
                out[j * other_step] = data[j * data_step + index[j * index_step] * dim_step];
            }
        }
    };
    parallel_for(walk.numel() * pieces, clamp_to(8 * 1024 / piece, 1, 8 * 1024),
                 [&](int64_t begin, int64_t end) {
                     Walk<3> w = walk;
                     w.start(begin / pieces);
                     int64_t p = begin % pieces;
                     for (int64_t task = begin; task < end; task++) {
                         int64_t first = p * piece, n = clamp_to(size - first, 0, piece);
                         const int64_t* index = g.index + w.offset[kIndex] + first * index_step;
                         if (n > 0) check_row(g, index, index_step, n);
                         read_piece(
                             static_cast<T*>(g.other) + w.offset[kOther] + first * other_step,
                             static_cast<const T*>(g.data) + w.offset[kData] + first * data_step,
                             index, n);
                         if (++p == pieces) {
                             p = 0;
                             w.next();
                         }
                     }
                 });
}

// Items that may meet in one place differ in their position along `dim` alone: a task takes all of
// that dimension, in order, for a range of the other positions.
template <class T, class F>
EMBER_INLINE void scatter_items(const Gather& g, F&& f) {
    check(g);
    Walk<3> walk;
    int line_dim = g.dim == g.ndim - 1 ? -1 : g.ndim - 1;
    for (int d = g.ndim - 1; d >= 0; d--) {
        if (d == g.dim || d == line_dim) continue;
        walk.push(g.sizes[d], g.index_strides[d], g.data_strides[d], g.other_strides[d]);
    }
    struct Steps {
        int64_t size = 1, index = 0, data = 0, other = 0;
    } line,
        dim{g.sizes[g.dim], g.index_strides[g.dim], g.data_strides[g.dim], g.other_strides[g.dim]};
    if (line_dim >= 0) {
        line = {g.sizes[line_dim], g.index_strides[line_dim], g.data_strides[line_dim],
                g.other_strides[line_dim]};
    }
    int64_t pieces = clamp_to(line.size * dim.size / (8 * 1024), 1, ceil_div(line.size, 64));
    int64_t piece = ceil_div(line.size, pieces);
    pieces = ceil_div(line.size, piece);
    int64_t grain = clamp_to(8 * 1024 / (piece * dim.size), 1, 8 * 1024);
    parallel_for(walk.numel() * pieces, grain, [&](int64_t begin, int64_t end) {
        Walk<3> w = walk;
        w.start(begin / pieces);
        int64_t p = begin % pieces;
        for (int64_t task = begin; task < end; task++) {
            const int64_t* index = g.index + w.offset[kIndex];
            T* data = static_cast<T*>(g.data) + w.offset[kData];
            const T* other = static_cast<const T*>(g.other) + w.offset[kOther];
            int64_t stop = clamp_to((p + 1) * piece, 0, line.size);
            if (line.size == 1) {
                for (int64_t k = 0; k < dim.size; k++) {
                    f(data[index[k * dim.index] * dim.data], other[k * dim.other]);
                }
            } else if (line.index == 0 && line.data == 1 && line.other == 1) {  // whole slices
                for (int64_t k = 0; k < dim.size; k++) {
                    T* to = data + index[k * dim.index] * dim.data;
                    const T* from = other + k * dim.other;
#pragma GCC ivdep
                    for (int64_t j = p * piece; j < stop; j++) f(to[j], from[j]);
                }
            } else {
                for (int64_t k = 0; k < dim.size; k++) {
                    for (int64_t j = p * piece; j < stop; j++) {
                        int64_t i = index[k * dim.index + j * line.index];
                        f(data[i * dim.data + j * line.data],
                          other[k * dim.other + j * line.other]);
                    }
                }
            }
            if (++p == pieces) {
                p = 0;
                w.next();
            }
        }
    });
}

void gather(Context&, const Gather& g) {
    if (numel_of(g) == 0) return;
    dispatch_size(item_size(g.dtype),
                  [&](auto tag) { gather_items<typename decltype(tag)::type>(g); });
}

void scatter(Context&, const Gather& g) {
    if (numel_of(g) == 0) return;
    dispatch_size(item_size(g.dtype), [&](auto tag) {
        using T = typename decltype(tag)::type;
        scatter_items<T>(g, [](T& to, T from) { to = from; });
    });
}

void scatter_add(Context&, const Gather& g) {
    if (numel_of(g) == 0) return;
    dispatch_summable(g.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        scatter_items<T>(g, [](T& to, T from) { to = add_items(to, read_item(from)); });
    });
}

template <class T>
EMBER_INLINE void combine_items(const Gather& g, Combine how) {
    switch (how) {
        case Combine::Product:
            return scatter_items<T>(g, [](T& to, T from) {
                if constexpr (std::is_same_v<T, Half>) {
                    to = to_half(to_float(to) * to_float(from));
                } else if constexpr (std::is_same_v<T, BFloat16>) {
                    to = to_bfloat16(to_float(to) * to_float(from));
                } else {
                    to = T(scale_item(to, read_item(from)));
                }
            });
        case Combine::Largest:
            return scatter_items<T>(g, [](T& to, T from) {
                auto x = read_item(from);
                to = (x != x) | (x > read_item(to)) ? from : to;
            });
        case Combine::Smallest:
            return scatter_items<T>(g, [](T& to, T from) {
                auto x = read_item(from);
                to = (x != x) | (x < read_item(to)) ? from : to;
            });
    }
}

void scatter_reduce(Context&, const Gather& g, Combine how) {
    if (numel_of(g) == 0) return;
    dispatch<uint8_t, int8_t, int16_t, int32_t, int64_t, Half, BFloat16, float, double>(
        g.dtype, [&](auto tag) { combine_items<typename decltype(tag)::type>(g, how); });
}

}  // namespace

void register_index_gather(Table& table) {
    table.set(kernels::gather, gather, kReal | kComplex);
    table.set(kernels::scatter, scatter, kReal | kComplex);
    table.set(kernels::scatter_add, scatter_add, kReal | kComplex);
    table.set(kernels::scatter_reduce, scatter_reduce, kNumeric);
}

}  // namespace ember::cpu::EMBER_LEVEL
