#include "cuda/keys.cuh"
#include "cuda/sort_pairs.h"
#include "kernels/sort.h"

// All rows are sorted at once, by pairs of a row and a key.
namespace ember::cuda {
namespace {

using kernels::Rank;
using kernels::Sort;

int bits_for(int64_t count) {
    int bits = 1;
    while (int64_t(1) << bits < count) bits++;
    return bits;
}

// Small keys stand below their row's number, in one word.
template <class K>
__global__ void keys_kernel(const K keys, const typename K::Bits* in, int64_t count, int64_t n,
                            uint64_t* out, int64_t* items) {
    EMBER_FOR_ITEMS(i, count) {
        uint64_t key = keys(in[i]);
        if constexpr (sizeof(key) > sizeof(in[i])) key |= uint64_t(i / n) << (8 * sizeof(in[i]));
        out[i] = key;
        items[i] = i;
    }
}
__global__ void row_keys_kernel(const int64_t* items, int64_t count, int64_t n, uint64_t* keys) {
    EMBER_FOR_ITEMS(i, count) { keys[i] = uint64_t(items[i] / n); }
}

// Numbers of all items, by their rows and then by their keys; equal keys keep their order.
template <class K>
const int64_t* ordered(Context& context, const Sort& a, const K& keys) {
    int64_t count = a.rows * a.n;
    uint64_t* words = context.scratch_of<uint64_t>(2 * count);
    int64_t* items = context.scratch_of<int64_t>(2 * count);
    run_items(context, keys_kernel<K>, count, keys, static_cast<const typename K::Bits*>(a.in),
              count, a.n, words, items);
    int key_bits = 8 * sizeof(typename K::Bits), row_bits = bits_for(a.rows);
    bool one_word = key_bits < 64;
    if (one_word)
        EMBER_CHECK(key_bits + row_bits <= 64, "%s: %ld rows are too many for one launch",
                    context.operation, long(a.rows));
    sort_pairs(context, words, words + count, items, items + count, count,
               one_word ? key_bits + row_bits : 64);
    if (one_word || a.rows == 1) return items + count;
    run_items(context, row_keys_kernel, count, static_cast<const int64_t*>(items + count), count,
              a.n, words);
    sort_pairs(context, words, words + count, items + count, items, count, row_bits);
    return items;
}

// The first k of each row.
template <class U>
__global__ void first_kernel(const U* in, const int64_t* items, int64_t rows, int64_t n, int64_t k,
                             U* values, int64_t* indices) {
    EMBER_FOR_ITEMS(i, rows * k) {
        int64_t item = items[i / k * n + i % k];
        values[i] = in[item];
        indices[i] = item % n;
    }
}

void first(Context& context, const Sort& a, int64_t k) {
    if (a.rows == 0 || k == 0) return;
    with_keys(a.dtype, a.descending, [&](auto keys) {
        using U = typename decltype(keys)::Bits;
        const int64_t* items = ordered(context, a, keys);
        run_items(context, first_kernel<U>, a.rows * k, static_cast<const U*>(a.in), items, a.rows,
                  a.n, k, static_cast<U*>(a.values), a.indices);
    });
}
void sort(Context& context, const Sort& a) { first(context, a, a.n); }
void topk(Context& context, const Sort& a) { first(context, a, a.k); }

template <class K>
__global__ void ranked_kernel(const K keys, const typename K::Bits* in, const int64_t* items,
                              int64_t rows, int64_t n, int64_t k, Rank rank,
                              typename K::Bits* values, int64_t* indices) {
    EMBER_FOR_ITEMS(r, rows) {
        const int64_t* row = items + r * n;
        // NaNs stand behind all numbers: the first of them is the item behind the last number.
        int64_t numbers = 0;
        for (int64_t left = n; left > 0;) {
            int64_t half = left / 2;
            bool nan = keys.is_nan(keys(in[row[numbers + half]]));
            numbers = nan ? numbers : numbers + half + 1;
            left = nan ? half : left - half - 1;
        }
        int64_t wanted = k;
        if (rank == Rank::Median) wanted = numbers < n ? numbers : (n - 1) / 2;
        if (rank == Rank::NanMedian) wanted = numbers > 0 ? (numbers - 1) / 2 : 0;
        values[r] = in[row[wanted]];
        indices[r] = row[wanted] % n;
    }
}
void kth(Context& context, const Sort& a, Rank rank) {
    if (a.rows == 0) return;
    with_keys(a.dtype, a.descending, [&](auto keys) {
        using K = decltype(keys);
        using U = typename K::Bits;
        const int64_t* items = ordered(context, a, keys);
        run_items(context, ranked_kernel<K>, a.rows, keys, static_cast<const U*>(a.in), items,
                  a.rows, a.n, a.k, rank, static_cast<U*>(a.values), a.indices);
    });
}

template <class K>
__global__ void column_keys_kernel(const K keys, const typename K::Bits* in, const int64_t* order,
                                   int64_t rows, int64_t n, int64_t column, uint64_t* out) {
    EMBER_FOR_ITEMS(i, rows) { out[i] = keys(in[order[i] * n + column]); }
}
__global__ void number_rows_kernel(int64_t* order, int64_t rows) {
    EMBER_FOR_ITEMS(i, rows) { order[i] = i; }
}

// A stable sort by each column, the last one first.
void sort_rows(Context& context, const Sort& a) {
    uint64_t* words = context.scratch_of<uint64_t>(2 * a.rows);
    int64_t *order = a.indices, *other = context.scratch_of<int64_t>(a.rows);
    run_items(context, number_rows_kernel, a.rows, order, a.rows);
    with_keys(a.dtype, false, [&](auto keys) {
        using K = decltype(keys);
        using U = typename K::Bits;
        for (int64_t column = a.n - 1; column >= 0; column--) {
            run_items(context, column_keys_kernel<K>, a.rows, keys, static_cast<const U*>(a.in),
                      static_cast<const int64_t*>(order), a.rows, a.n, column, words);
            sort_pairs(context, words, words + a.rows, order, other, a.rows, 8 * sizeof(U));
            std::swap(order, other);
        }
    });
    if (order != a.indices)
        check(context.operation, cudaMemcpyAsync(a.indices, order, size_t(a.rows) * sizeof(int64_t),
                                                 cudaMemcpyDeviceToDevice, stream_of(context)));
}

template <class K>
__global__ void search_kernel(const kernels::Search a, const K keys) {
    using U = typename K::Bits;
    EMBER_FOR_ITEMS(i, a.rows * a.count) {
        int64_t start = a.one_row ? 0 : i / a.count * a.n;
        const U* row = static_cast<const U*>(a.sorted) + start;
        const int64_t* sorter = a.sorter ? a.sorter + start : nullptr;
        U key = keys(static_cast<const U*>(a.values)[i]);
        int64_t low = 0, left = a.n;
        while (left > 0) {
            int64_t half = left / 2;
            U at = keys(row[sorter ? sorter[low + half] : low + half]);
            bool up = a.right ? at <= key : at < key;
            low = up ? low + half + 1 : low;
            left = up ? left - half - 1 : half;
        }
        if (a.out_dtype == DType::Int32)
            static_cast<int32_t*>(a.out)[i] = int32_t(low);
        else
            static_cast<int64_t*>(a.out)[i] = low;
    }
}
void searchsorted(Context& context, const kernels::Search& a) {
    with_keys(a.dtype, false, [&](auto keys) {
        run_items(context, search_kernel<decltype(keys)>, a.rows * a.count, a, keys);
    });
}

}  // namespace

void register_sort(const Table& table) {
    table.set(kernels::sort, sort, kReal);
    table.set(kernels::topk, topk, kNumeric);
    table.set(kernels::kth, kth, kReal);
    table.set(kernels::sort_rows, sort_rows, kReal);
    table.set(kernels::searchsorted, searchsorted, kReal);
}

}  // namespace ember::cuda
