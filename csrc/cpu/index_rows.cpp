#include <cstring>

#include "cpu/index_common.h"
#include "cpu/rows.h"
#include "kernels/index.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::IndexRows;

// How many rows of so many bytes are prefetched: the processor cannot see which will be next.
EMBER_INLINE int64_t rows_ahead(int64_t bytes) { return clamp_to(4096 / bytes, 4, 16); }

// The indices as int64, every one of them within [0, n).
const int64_t* checked_indices(Context& ctx, const IndexRows& a, ErrorKind kind) {
    const int64_t* index = static_cast<const int64_t*>(a.index);
    if (a.index_dtype == DType::Int32) {
        const int32_t* narrow = static_cast<const int32_t*>(a.index);
        int64_t* wide = ctx.scratch_of<int64_t>(a.count);
        for (int64_t i = 0; i < a.count; i++) wide[i] = narrow[i];
        index = wide;
    }
    check_indices(kind, a.operation, index, a.count, 0, a.n, a.dim);
    return index;
}

void index_select(Context& ctx, const IndexRows& a) {
    if (a.outer == 0 || a.inner == 0 || a.count == 0) return;
    int64_t chunk = a.inner * item_size(a.dtype);
    int64_t grain = clamp_to(kGrainBytes / chunk, 1, kGrainBytes);
    const int64_t* index = checked_indices(ctx, a, ErrorKind::Index);
    const bool stream = rows_stream(a.out, chunk, 2 * a.outer * a.count * chunk);
    auto move = [&](auto copy_one) {
        parallel_for(a.outer * a.count, grain, [&](int64_t begin, int64_t end) {
            int64_t o = begin / a.count, i = begin % a.count;
            for (int64_t row = begin; row < end;) {
                int64_t stop = i + (end - row) < a.count ? i + (end - row) : a.count;
                row += stop - i;
                for (; i < stop; i++) copy_one(o * a.count + i, o * a.n + index[i]);
                o++;
                i = 0;
            }
            if (stream) stream_fence();
        });
    };
    const char* in = static_cast<const char*>(a.in);
    char* out = static_cast<char*>(a.out);
    if (chunk <= 16 && (chunk & (chunk - 1)) == 0) {
        dispatch_size(int(chunk), [&](auto tag) {
            using T = typename decltype(tag)::type;
            move([in, out](int64_t to, int64_t from) {
                memcpy(out + to * int64_t(sizeof(T)), in + from * int64_t(sizeof(T)), sizeof(T));
            });
        });
    } else if (stream) {
        const int64_t ahead = a.outer == 1 ? rows_ahead(chunk) : a.count;
        move([=](int64_t to, int64_t from) {
            if (to + ahead < a.count) prefetch(in + index[to + ahead] * chunk, chunk);
            stream_copy(out + to * chunk, in + from * chunk, chunk);
        });
    } else {
        move([=](int64_t to, int64_t from) {
            memcpy(out + to * chunk, in + from * chunk, size_t(chunk));
        });
    }
}

// How adding rows is divided: by outer slices and columns where rows are wide, else by ranges of
// destination rows, each of which reads all indices. Either way one destination's terms are added
// in one task, in the order of the indices.
struct Cut {
    int64_t outer, columns, column_size, ranges, range_size;
    int64_t tasks() const { return outer * columns * ranges; }
};

Cut cut_rows(const IndexRows& a) {
    Cut cut{1, 1, a.inner, 1, a.n};
    int64_t row = a.inner * item_size(a.dtype);
    int64_t wanted = (a.outer * row * (a.count + a.n)) / kGrainBytes;
    if (wanted < 2) return cut;
    cut.outer = a.outer;
    int64_t columns = clamp_to(ceil_div(wanted, a.outer), 1, row / 256);
    if (columns > 1) {
        cut.column_size = ceil_div(ceil_div(a.inner, columns), 64) * 64;
        cut.columns = ceil_div(a.inner, cut.column_size);
    }
    if (cut.outer * cut.columns < 4) {
        cut.range_size = ceil_div(a.n, clamp_to(wanted, 1, 4));
        cut.ranges = ceil_div(a.n, cut.range_size);
    }
    return cut;
}

// f(outer index, first and end column, first and end destination row)
template <class F>
EMBER_INLINE void for_cut(const IndexRows& a, const Cut& cut, F&& f) {
    int64_t tasks = cut.tasks();
    parallel_for(tasks, 1, [&](int64_t begin, int64_t end) {
        for (int64_t t = begin; t < end; t++) {
            int64_t range = t % cut.ranges, column = t / cut.ranges % cut.columns;
            int64_t o0 = t / cut.ranges / cut.columns;
            int64_t o1 = cut.outer == 1 ? a.outer : o0 + 1;
            int64_t c0 = column * cut.column_size, r0 = range * cut.range_size;
            int64_t c1 = clamp_to(c0 + cut.column_size, 0, a.inner);
            int64_t r1 = clamp_to(r0 + cut.range_size, 0, a.n);
            for (int64_t o = o0; o < o1; o++) f(o, c0, c1, r0, r1);
        }
    });
}

template <class T>
EMBER_INLINE void add_row(T* __restrict out, const T* __restrict in, int64_t n,
                          Arithmetic<T> scale) {
    if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
        const VecF factor(scale);
        sweep<VecF>(0, n, [&](auto at) __attribute__((always_inline)) {
            at.store(out, at.load(out) + at.load(in) * factor);
        });
    } else {
        for (int64_t i = 0; i < n; i++) out[i] = add_items(out[i], scale_item(in[i], scale));
    }
}

// f(destination, source, destination's number, i) for the rows that go to [r0, r1).
template <class T, class F>
EMBER_INLINE void for_rows(const IndexRows& a, const int64_t* index, const T* in, T* out,
                           int64_t columns, int64_t r0, int64_t r1, F&& f) {
    const int64_t bytes = columns * int64_t(sizeof(T)), ahead = rows_ahead(bytes);
    auto row = [&](int64_t i) { return in + (a.source ? a.source[i] : i) * a.inner; };
    for (int64_t i = 0; i < a.count; i++) {
        int64_t r = index[i], soon = i + ahead < a.count ? index[i + ahead] : r1;
        if (soon >= r0 && soon < r1) {
            prefetch(out + soon * a.inner, bytes);
            prefetch(row(i + ahead), bytes);
        }
        if (r >= r0 && r < r1) f(out + r * a.inner, row(i), r, i);
    }
}

template <class T>
void add_rows(const IndexRows& a, const int64_t* index, Arithmetic<T> alpha) {
    const T* in = static_cast<const T*>(a.in);
    const T* factors = static_cast<const T*>(a.factors);
    T* out = static_cast<T*>(a.out);
    for_cut(a, cut_rows(a), [&](int64_t o, int64_t c0, int64_t c1, int64_t r0, int64_t r1) {
        const T* from = in + o * a.count * a.inner + c0;
        for_rows(a, index, from, out + o * a.n * a.inner + c0, c1 - c0, r0, r1,
                 [&](T* to, const T* row, int64_t, int64_t i) {
                     add_row(to, row, c1 - c0,
                             factors ? Arithmetic<T>(alpha * read_item(factors[i])) : alpha);
                 });
    });
}

void index_add(Context& ctx, const IndexRows& a, Number alpha) {
    if (a.outer == 0 || a.inner == 0 || a.count == 0) return;
    const int64_t* index = checked_indices(ctx, a, ErrorKind::Runtime);
    if (a.source) {
        check_indices(ErrorKind::Runtime, a.operation, a.source, a.count, 0, a.source_rows, 0);
    }
    dispatch_real(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        add_rows<T>(a, index, alpha.as<Arithmetic<T>>());
    });
}

template <class T>
void embedding_rows(const IndexRows& a, const int64_t* index, int64_t padding_index,
                    const int64_t* frequency) {
    const T* in = static_cast<const T*>(a.in);
    T* out = static_cast<T*>(a.out);
    for_cut(a, cut_rows(a), [&](int64_t, int64_t c0, int64_t c1, int64_t r0, int64_t r1) {
        size_t bytes = size_t(c1 - c0) * sizeof(T);
        if (c1 - c0 == a.inner) {
            memset(static_cast<void*>(out + r0 * a.inner), 0, size_t(r1 - r0) * bytes);
        } else {
            for (int64_t r = r0; r < r1; r++) {
                memset(static_cast<void*>(out + r * a.inner + c0), 0, bytes);
            }
        }
        auto add = [&](T* to, const T* row, int64_t r, int64_t) {
            if (r == padding_index) return;
            Arithmetic<T> scale = frequency ? Arithmetic<T>(1) / Arithmetic<T>(frequency[r]) : 1;
            add_row(to, row, c1 - c0, scale);
        };
        for_rows(a, index, in + c0, out + c0, c1 - c0, r0, r1, add);
    });
}

void embedding_backward(Context& ctx, const IndexRows& a, int64_t padding_index,
                        bool by_frequency) {
    if (a.inner == 0) return;
    const int64_t* index = checked_indices(ctx, a, ErrorKind::Index);
    int64_t* frequency = nullptr;
    if (by_frequency) {
        frequency = ctx.scratch_of<int64_t>(a.n);
        memset(frequency, 0, size_t(a.n) * sizeof(int64_t));
        for (int64_t i = 0; i < a.count; i++) frequency[index[i]]++;
    }
    dispatch<Half, BFloat16, float, double>(a.dtype, [&](auto tag) {
        embedding_rows<typename decltype(tag)::type>(a, index, padding_index, frequency);
    });
}

}  // namespace

void register_index_rows(Table& table) {
    table.set(kernels::index_select, index_select, kReal | kComplex);
    table.set(kernels::index_add, index_add, kReal);
    table.set(kernels::embedding_backward, embedding_backward, kFloating);
}

}  // namespace ember::cpu::EMBER_LEVEL
