#include "kernels/pool.h"

#include <limits>

#include "core/parallel.h"
#include "cpu/padding.h"
#include "cpu/vec.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Pool2d;

template <class S, class T>
EMBER_INLINE S item_from(T x) {
    if constexpr (std::is_same_v<S, Half>)
        return to_half(x);
    else if constexpr (std::is_same_v<S, BFloat16>)
        return to_bfloat16(x);
    else
        return S(x);
}

// Every second item of two registers.
template <class T>
EMBER_INLINE Vec<T> even_items(Vec<T> lower, Vec<T> upper) {
    using Index = typename IntOfSize<sizeof(T)>::type;
    Raw<Index> even;
#pragma GCC unroll 16
    for (int i = 0; i < Vec<T>::size; i++) even[i] = Index(2 * i);
    return {__builtin_shuffle(lower.v, upper.v, even)};
}

// How the rows of a plane are read. Rows without borders and of a small stride are read where they
// are; others are copied first, with `fill` around them and columns one stride apart side by side.
struct RowReader {
    bool copies;
    int64_t step;  // 1 or 2: between the items of a register
    Padding padding;
};

template <class S, class T>
EMBER_INLINE RowReader row_reader(const Pool2d& g) {
    RowReader r{true, 1, {}};
    const int64_t reach = (g.out_w - 1) * g.stride[1] + (g.kernel[1] - 1) * g.dilation[1] + 1;
    r.padding.rows = g.h;
    if (std::is_same_v<S, T> && g.pad[1] == 0 && reach <= g.w && g.stride[1] <= 2) {
        r.copies = false;
        r.step = g.stride[1];
        r.padding.columns = g.w;
    } else {
        r.padding.left = g.pad[1];
        r.padding.columns = reach;
        r.padding.phases = g.stride[1];
    }
    return r;
}

// Where a row that is read has the columns of a window's taps.
const int64_t* places_of_taps(Context& context, const Pool2d& g, const RowReader& reader) {
    int64_t* places = context.scratch_of<int64_t>(g.kernel[1]);
    for (int64_t s = 0; s < g.kernel[1]; s++) {
        const int64_t column = s * g.dilation[1];
        places[s] = reader.copies ? reader.padding.column(column) : column;
    }
    return places;
}

// `count` items, `step` apart, from p.
template <class T>
EMBER_INLINE Vec<T> read_items(const T* p, int64_t step, int64_t count) {
    constexpr int64_t kLanes = Vec<T>::size;
    if (step == 1) return count == kLanes ? Vec<T>::load(p) : load_first<T>(p, count);
    const int64_t items = 2 * count - 1;
    if (items == 2 * kLanes - 1)
        return even_items(Vec<T>::load(p), load_first<T>(p + kLanes, kLanes - 1));
    return even_items(load_first<T>(p, least(items, kLanes)),
                      load_first<T>(p + kLanes, most(items - kLanes, 0)));
}

// Planes of a task, where one costs `items` of `bytes` and `taps` windows' items besides.
EMBER_INLINE int64_t planes_of_task(double items, double taps, int64_t bytes) {
    const double work = (items + taps) * double(bytes);
    return work < 2 * kGrainBytes ? int64_t(2 * kGrainBytes / (work + 1)) + 1 : 1;
}

EMBER_INLINE double count_taps(const Pool2d& g) {
    return double(g.out_h) * double(g.out_w) * double(g.kernel[0]) * double(g.kernel[1]);
}

// Calls rows(plane, items, row length) for each plane, whose rows begin at `items`.
template <class S, class T, class F>
EMBER_INLINE void for_each_plane(Context& context, const Pool2d& g, const RowReader& reader, T fill,
                                 F rows) {
    const int64_t plane = reader.padding.plane();
    const int64_t each = planes_of_task(double(g.h * g.w), count_taps(g), sizeof(T));
    T* copy = nullptr;
    if (reader.copies)
        copy = context.scratch_of<T>(ceil_div(g.planes, each) * plane + Vec<T>::size);
    parallel_for(g.planes, each, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            const S* in = static_cast<const S*>(g.input) + i * g.h * g.w;
            if (reader.copies) {
                T* to = copy + begin / each * plane;
                pad_plane(in, g.h, g.w, reader.padding, fill, to);
                rows(i, static_cast<const T*>(to));
            } else {
                rows(i, reinterpret_cast<const T*>(in));
            }
        }
    });
}

// The first tap of a window that lies in the plane.
EMBER_INLINE int64_t first_tap(int64_t start, int64_t dilation) {
    return start < 0 ? (-start + dilation - 1) / dilation : 0;
}

template <class I>
EMBER_INLINE void store_indices(int64_t* out, Vec<I> index, int64_t base, int64_t count) {
    if constexpr (sizeof(I) == 8) {
        store_first(index + Vec<I>(base), out, count);
    } else {
        typedef I Part __attribute__((vector_size(EMBER_VECTOR_BYTES / 2)));
        constexpr int64_t kPart = Vec<int64_t>::size;
        Part parts[2];
        memcpy(parts, &index.v, sizeof parts);
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            Vec<int64_t> wide = {__builtin_convertvector(parts[i], Raw<int64_t>)};
            const int64_t here = least(most(count - i * kPart, 0), kPart);
            store_first(wide + Vec<int64_t>(base), out + i * kPart, here);
        }
    }
}

template <class S, class T>
void max_as(Context& context, const Pool2d& g) {
    using V = Vec<T>;
    using I = typename V::Int::Scalar;
    constexpr int64_t kLanes = V::size;
    T lowest = std::numeric_limits<T>::lowest();
    if constexpr (std::is_floating_point_v<T>) lowest = -std::numeric_limits<T>::infinity();
    const RowReader reader = row_reader<S, T>(g);
    const int64_t length = reader.padding.row();
    // Offset of the first column of each window that lies in the plane, from the window's start.
    I* first_column = context.scratch_of<I>(g.out_w + kLanes);
    for (int64_t x = 0; x < g.out_w; x++)
        first_column[x] = I(first_tap(x * g.stride[1] - g.pad[1], g.dilation[1]) * g.dilation[1]);
    const int64_t* place = places_of_taps(context, g, reader);
    Vec<I> lane;
    for (int i = 0; i < kLanes; i++) lane.v[i] = I(i * g.stride[1]);

    for_each_plane<S, T>(context, g, reader, lowest, [&](int64_t plane, const T* items) {
        S* out = static_cast<S*>(g.output) + plane * g.out_h * g.out_w;
        int64_t* indices = g.indices ? g.indices + plane * g.out_h * g.out_w : nullptr;
        for (int64_t y = 0; y < g.out_h; y++) {
            const int64_t top = y * g.stride[0] - g.pad[0];
            const int64_t first = first_tap(top, g.dilation[0]);
            for (int64_t x = 0; x < g.out_w; x += kLanes) {
                const int64_t count = least(kLanes, g.out_w - x);
                V best(lowest);
                Vec<I> tap =
                    load_first<I>(first_column + x, count) + Vec<I>(I(first * g.dilation[0] * g.w));
                for (int64_t r = first; r < g.kernel[0]; r++) {
                    const int64_t row = top + r * g.dilation[0];
                    if (row >= g.h) break;
                    for (int64_t s = 0; s < g.kernel[1]; s++) {
                        const T* from = items + row * length + x * reader.step + place[s];
                        const V value = read_items(from, reader.step, count);
                        if (!indices) {
                            best = maximum(value, best);
                            continue;
                        }
                        auto better = value > best;
                        if constexpr (std::is_floating_point_v<T>)
                            better = better | (value != value);
                        best = select(better, value, best);
                        tap = select(better, Vec<I>(I(r * g.dilation[0] * g.w + s * g.dilation[1])),
                                     tap);
                    }
                }
                const int64_t at = y * g.out_w + x;
                if constexpr (std::is_same_v<S, T>) {
                    store_first(best, out + at, count);
                } else {
                    for (int64_t i = 0; i < count; i++) out[at + i] = item_from<S>(best.v[i]);
                }
                if (indices)
                    store_indices(indices + at, tap + lane, top * g.w + x * g.stride[1] - g.pad[1],
                                  count);
            }
        }
    });
}

// Windows of unequal sizes, item by item.
template <class S, class T>
void max_adaptive_as(Context&, const Pool2d& g) {
    const int64_t each = planes_of_task(0, 4 * double(g.h * g.w), sizeof(T));
    parallel_for(g.planes, each, [&](int64_t begin, int64_t end) {
        int64_t i = begin * g.out_h * g.out_w;
        for (int64_t p = begin; p < end; p++) {
            const S* plane = static_cast<const S*>(g.input) + p * g.h * g.w;
            for (int64_t y = 0; y < g.out_h; y++) {
                const int64_t top = y * g.h / g.out_h, bottom = ceil_div((y + 1) * g.h, g.out_h);
                for (int64_t x = 0; x < g.out_w; x++, i++) {
                    const int64_t left = x * g.w / g.out_w;
                    const int64_t right = ceil_div((x + 1) * g.w, g.out_w);
                    int64_t where = top * g.w + left;
                    T best = item_as<T>(plane[where]);
                    for (int64_t r = top; r < bottom; r++)
                        for (int64_t c = left; c < right; c++) {
                            const T value = item_as<T>(plane[r * g.w + c]);
                            const bool better = value > best || value != value;
                            best = better ? value : best;
                            where = better ? r * g.w + c : where;
                        }
                    static_cast<S*>(g.output)[i] = item_from<S>(best);
                    if (g.indices) g.indices[i] = where;
                }
            }
        }
    });
}

// Gradients of windows that overlap add up in T: for each plane, add(plane, sums).
template <class S, class T, class F>
EMBER_INLINE void add_to_planes(Context& context, const Pool2d& g, F add) {
    const int64_t items = g.h * g.w;
    const int64_t each = planes_of_task(double(items), 4 * count_taps(g), sizeof(T));
    T* scratch = nullptr;
    if constexpr (!std::is_same_v<S, T>)
        scratch = context.scratch_of<T>(ceil_div(g.planes, each) * items);
    parallel_for(g.planes, each, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            S* out = static_cast<S*>(g.input) + i * items;
            T* sums = scratch + begin / each * items;
            if constexpr (std::is_same_v<S, T>) sums = out;
            memset(sums, 0, size_t(items) * sizeof(T));
            add(i, sums);
            if constexpr (!std::is_same_v<S, T>)
                for (int64_t q = 0; q < items; q++) out[q] = item_from<S>(sums[q]);
        }
    });
}

template <class S, class T>
void max_backward_as(Context& context, const Pool2d& g) {
    const int64_t outputs = g.out_h * g.out_w, items = g.h * g.w;
    add_to_planes<S, T>(context, g, [&](int64_t plane, T* sums) {
        const S* grad = static_cast<const S*>(g.output) + plane * outputs;
        const int64_t* indices = g.indices + plane * outputs;
        for (int64_t i = 0; i < outputs; i++)
            if (EMBER_LIKELY(uint64_t(indices[i]) < uint64_t(items)))  // not those of empty windows
                sums[indices[i]] += item_as<T>(grad[i]);
    });
}

// Items of the window from `start` along one dimension: those in the plane, and those that the
// average divides by.
struct Window {
    int64_t begin, end, counted;
    EMBER_INLINE Window(const Pool2d& g, int d, int64_t position) {
        const int64_t size = d ? g.w : g.h, start = position * g.stride[d] - g.pad[d];
        const int64_t stop = least(start + g.kernel[d], size + g.pad[d]);
        begin = most(start, 0);
        end = least(stop, size);
        counted = g.count_include_pad ? stop - start : end - begin;
    }
};

template <class S, class T>
void avg_as(Context& context, const Pool2d& g) {
    using V = Vec<T>;
    constexpr int64_t kLanes = V::size;
    const RowReader reader = row_reader<S, T>(g);
    const int64_t length = reader.padding.row();
    const int64_t* place = places_of_taps(context, g, reader);
    T* counted = context.scratch_of<T>(g.out_w + kLanes);
    for (int64_t x = 0; x < g.out_w; x++) counted[x] = T(most(Window(g, 1, x).counted, 1));

    for_each_plane<S, T>(context, g, reader, T(0), [&](int64_t plane, const T* items) {
        S* out = static_cast<S*>(g.output) + plane * g.out_h * g.out_w;
        for (int64_t y = 0; y < g.out_h; y++) {
            const Window rows(g, 0, y);
            for (int64_t x = 0; x < g.out_w; x += kLanes) {
                const int64_t count = least(kLanes, g.out_w - x);
                V sum{Raw<T>{}};
                for (int64_t row = rows.begin; row < rows.end; row++)
                    for (int64_t s = 0; s < g.kernel[1]; s++)
                        sum += read_items(items + row * length + x * reader.step + place[s],
                                          reader.step, count);
                V divisor = V(T(g.divisor));
                if (g.divisor == 0)
                    divisor = load_first<T>(counted + x, count) * V(T(rows.counted));
                const V mean = sum / divisor;
                S* at = out + y * g.out_w + x;
                if constexpr (std::is_same_v<S, T>) {
                    store_first(mean, at, count);
                } else {
                    store_first_as(at, mean, count);
                }
            }
        }
    });
}

// The mean of whole numbers, cut off as their division is.
void avg_integers(const Pool2d& g) {
    const int64_t outputs = g.out_h * g.out_w;
    parallel_for(g.planes, planes_of_task(double(g.h * g.w), count_taps(g), 8),
                 [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin * outputs; i < end * outputs; i++) {
                         const Window rows(g, 0, i % outputs / g.out_w), columns(g, 1, i % g.out_w);
                         const int64_t* plane =
                             static_cast<const int64_t*>(g.input) + i / outputs * g.h * g.w;
                         uint64_t sum = 0;
                         for (int64_t r = rows.begin; r < rows.end; r++)
                             for (int64_t c = columns.begin; c < columns.end; c++)
                                 sum += uint64_t(plane[r * g.w + c]);
                         int64_t by = g.divisor;
                         if (by == 0) by = most(rows.counted * columns.counted, 1);
                         // The lowest number by -1 has no quotient.
                         static_cast<int64_t*>(g.output)[i] =
                             by == -1 ? int64_t(0 - sum) : int64_t(sum) / by;
                     }
                 });
}

template <class S, class T>
void avg_backward_as(Context& context, const Pool2d& g) {
    add_to_planes<S, T>(context, g, [&](int64_t plane, T* sums) {
        const S* grad = static_cast<const S*>(g.output) + plane * g.out_h * g.out_w;
        for (int64_t y = 0; y < g.out_h; y++) {
            const Window rows(g, 0, y);
            for (int64_t x = 0; x < g.out_w; x++) {
                const Window columns(g, 1, x);
                const T divisor = T(g.divisor != 0 ? g.divisor : rows.counted * columns.counted);
                const T each = item_as<T>(grad[y * g.out_w + x]) / divisor;
                for (int64_t row = rows.begin; row < rows.end; row++)
                    for (int64_t c = columns.begin; c < columns.end; c++)
                        sums[row * g.w + c] += each;
            }
        }
    });
}

// f(TypeTag<stored>, TypeTag<computed>)
template <class F>
EMBER_INLINE void by_float(DType dtype, F f) {
    switch (dtype) {
        case DType::Float32: return f(TypeTag<float>{}, TypeTag<float>{});
        case DType::Float64: return f(TypeTag<double>{}, TypeTag<double>{});
        case DType::Float16: return f(TypeTag<Half>{}, TypeTag<float>{});
        case DType::BFloat16: return f(TypeTag<BFloat16>{}, TypeTag<float>{});
        default: return;
    }
}

// The same pooling with windows and strides that reach no further than the padded plane.
EMBER_INLINE Pool2d cut(const Pool2d& given) {
    Pool2d g = given;
    for (int d = 0; d < 2; d++) {
        const int64_t end = (d ? g.w : g.h) + 2 * g.pad[d];
        g.kernel[d] = least(g.kernel[d], ceil_div(end, g.dilation[d]));
        g.stride[d] = least(g.stride[d], end);
    }
    return g;
}

#define EMBER_TYPES(f) \
    [&](auto s, auto t) { f<typename decltype(s)::type, typename decltype(t)::type>(context, g); }

void max_pool2d(Context& context, const Pool2d& given) {
    const Pool2d g = cut(given);
    if (g.adaptive) return by_float(g.dtype, EMBER_TYPES(max_adaptive_as));
    switch (g.dtype) {
        case DType::UInt8: return max_as<uint8_t, int32_t>(context, g);
        case DType::Int8: return max_as<int8_t, int32_t>(context, g);
        case DType::Int16: return max_as<int16_t, int32_t>(context, g);
        case DType::Int32: return max_as<int32_t, int32_t>(context, g);
        case DType::Int64: return max_as<int64_t, int64_t>(context, g);
        default: return by_float(g.dtype, EMBER_TYPES(max_as));
    }
}
void max_pool2d_backward(Context& context, const Pool2d& given) {
    const Pool2d g = cut(given);
    by_float(g.dtype, EMBER_TYPES(max_backward_as));
}
void avg_pool2d(Context& context, const Pool2d& given) {
    const Pool2d g = cut(given);
    if (g.dtype == DType::Int64) return avg_integers(g);
    by_float(g.dtype, EMBER_TYPES(avg_as));
}
void avg_pool2d_backward(Context& context, const Pool2d& given) {
    const Pool2d g = cut(given);
    by_float(g.dtype, EMBER_TYPES(avg_backward_as));
}
#undef EMBER_TYPES

}  // namespace

void register_pool(Table& table) {
    table.set(kernels::max_pool2d, max_pool2d, kNumeric);
    table.set(kernels::max_pool2d_backward, max_pool2d_backward, kFloating);
    table.set(kernels::avg_pool2d, avg_pool2d, kFloating | dtypes(DType::Int64));
    table.set(kernels::avg_pool2d_backward, avg_pool2d_backward, kFloating);
}

}  // namespace ember::cpu::EMBER_LEVEL
