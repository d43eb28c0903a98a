#include "kernels/sparse.h"

#include "core/error.h"
#include "cpu/rows.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::SparsePattern;
using kernels::SparseProduct;
using kernels::SparseSample;

// Whether all of index[0, count) lie within [0, n).
EMBER_INLINE bool all_below(const int64_t* index, int64_t count, int64_t n) {
    uint64_t outside = 0;
    for (int64_t i = 0; i < count; i++) outside |= uint64_t(uint64_t(index[i]) >= uint64_t(n));
    return outside == 0;
}

void check_pattern(const char* name, const SparsePattern& p) {
    bool rising = p.rows[0] == 0 && p.rows[p.m] == p.count;
    for (int64_t r = 0; r < p.m; r++) rising &= p.rows[r] <= p.rows[r + 1];
    if (!rising)
        raise("%s: the row offsets of a sparse matrix must rise from 0 to %ld, its number of items",
              name, long(p.count));
    if (!all_below(p.columns, p.count, p.k))
        raise("%s: an index of a sparse matrix is outside of its %ld rows or columns", name,
              long(p.k));
    if (p.order && !all_below(p.order, p.count, p.count))
        raise("%s: the order of a sparse matrix names items that it lacks", name);
}

// f(first row, end row) over ranges of rows that are worth a task.
template <class F>
EMBER_INLINE void for_rows(const SparsePattern& p, int64_t row_bytes, F&& f) {
    int64_t per_row = p.m ? (p.count / p.m + 1) * (row_bytes + 32) : 1;
    parallel_for(p.m, clamp_to(kGrainBytes / per_row, 1, kGrainBytes), f);
}

// `width` vectors of out's row r, from column j on.
template <int width, class T, class At>
EMBER_INLINE void product_columns(const SparseProduct& a, int64_t r, At at) {
    using V = Lanes<T>;
    const T* values = static_cast<const T*>(a.values);
    const T* dense = static_cast<const T*>(a.dense);
    V sums[width];
    for (int w = 0; w < width; w++) sums[w] = V(T(0));
    for (int64_t i = a.pattern.rows[r]; i < a.pattern.rows[r + 1]; i++) {
        V value = V(values[a.pattern.order ? a.pattern.order[i] : i]);
        const T* row = dense + a.pattern.columns[i] * a.dense_row;
        for (int w = 0; w < width; w++) sums[w] = fma(value, at.load(row + w * V::size), sums[w]);
    }
    T* out = static_cast<T*>(a.out) + r * a.n;
    for (int w = 0; w < width; w++) at.store(out + w * V::size, sums[w]);
}

template <class T>
void product(const SparseProduct& a) {
    using V = Lanes<T>;
    for_rows(a.pattern, a.n * int64_t(sizeof(T)), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            int64_t j = 0;
            for (; j + 4 * V::size <= a.n; j += 4 * V::size)
                product_columns<4, T>(a, r, Whole<V>{j});
            for (; j + V::size <= a.n; j += V::size) product_columns<1, T>(a, r, Whole<V>{j});
            if (j < a.n) product_columns<1, T>(a, r, First<V>{j, a.n - j});
        }
    });
}

template <class T>
void sample(const SparseSample& s) {
    using V = Lanes<T>;
    const SparsePattern& p = s.pattern;
    T* out = static_cast<T*>(s.out);
    for_rows(p, s.n * int64_t(sizeof(T)), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const T* a = static_cast<const T*>(s.a) + r * s.a_row;
            for (int64_t i = p.rows[r]; i < p.rows[r + 1]; i++) {
                const T* b = static_cast<const T*>(s.b) + p.columns[i] * s.b_row;
                V sum = V(T(0));
                int64_t j = 0;
                for (; j + V::size <= s.n; j += V::size)
                    sum = fma(Whole<V>{j}.load(a), Whole<V>{j}.load(b), sum);
                if (j < s.n) {
                    First<V> at{j, s.n - j};
                    sum = fma(at.load(a), at.load(b), sum);
                }
                out[p.order ? p.order[i] : i] = T(reduce_add(sum));
            }
        }
    });
}

void sparse_matmul(Context&, const SparseProduct& a) {
    check_pattern("sparse matmul", a.pattern);
    a.dtype == DType::Float64 ? product<double>(a) : product<float>(a);
}

void sparse_sample(Context&, const SparseSample& s) {
    check_pattern("sparse matmul", s.pattern);
    s.dtype == DType::Float64 ? sample<double>(s) : sample<float>(s);
}

}  // namespace

void register_sparse(Table& table) {
    table.set(kernels::sparse_matmul, sparse_matmul, kFloats);
    table.set(kernels::sparse_sample, sparse_sample, kFloats);
}

}  // namespace ember::cpu::EMBER_LEVEL
