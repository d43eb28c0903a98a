#include "kernels/sort.h"

#include "core/parallel.h"
#include "cpu/sort_keys.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Rank;
using kernels::Sort;

constexpr int64_t kFewItems = 40;      // sorted by insertion
constexpr int64_t kChunk = 64 * 1024;  // items of a row that one task moves
constexpr int64_t kMaxChunks = 16;     // of a row
constexpr int64_t kRowTasks = 16;      // each has its own scratch

// The first `kept` of n items come in order; others are lost.
template <class Item>
EMBER_INLINE void insertion_sort(Item* items, int64_t n, int64_t kept) {
    for (int64_t i = 1; i < n; i++) {
        Item x = items[i];
        int64_t j = i < kept ? i : kept - 1;
        if (i >= kept && !x.before(items[j])) continue;
        for (; j > 0 && x.before(items[j - 1]); j--) items[j] = items[j - 1];
        items[j] = x;
    }
}

// Sorts by the digits of the key, the least significant first. Uses `other` (n items) and returns
// the one of the two that holds the result. Items come in order of their positions.
template <class Item>
Item* radix_sort(Item* items, Item* other, int64_t n, int key_bytes) {
    if (n <= kFewItems) {
        insertion_sort(items, n, n);
        return items;
    }
    int64_t chunks = (n + kChunk - 1) / kChunk;
    if (chunks > kMaxChunks) chunks = kMaxChunks;
    int64_t chunk = (n + chunks - 1) / chunks;
    int64_t places[kMaxChunks][256];
    for (int d = Item::kIndexDigits; d < Item::kIndexDigits + key_bytes; d++) {
        parallel_for(n, chunk, [&](int64_t begin, int64_t end) {
            int64_t* count = places[begin / chunk];
            for (int v = 0; v < 256; v++) count[v] = 0;
            for (int64_t i = begin; i < end; i++) count[items[i].digit(d)]++;
        });
        int64_t place = 0, largest = 0;
        for (int v = 0; v < 256; v++) {
            int64_t first = place;
            for (int64_t c = 0; c * chunk < n; c++) {
                int64_t count = places[c][v];
                places[c][v] = place;
                place += count;
            }
            if (place - first > largest) largest = place - first;
        }
        if (largest == n) continue;
        parallel_for(n, chunk, [&](int64_t begin, int64_t end) {
            int64_t* place = places[begin / chunk];
            for (int64_t i = begin; i < end; i++) other[place[items[i].digit(d)]++] = items[i];
        });
        Item* sorted = other;
        other = items;
        items = sorted;
    }
    return items;
}

// The item that k others precede. Uses `other` (n items).
template <class Item>
Item nth_item(const Item* items, Item* other, int64_t n, int64_t k) {
    for (int d = Item::kDigits - 1; d >= 0 && n > kFewItems; d--) {
        int64_t count[256] = {};
        for (int64_t i = 0; i < n; i++) count[items[i].digit(d)]++;
        int digit = 0;
        while (k >= count[digit]) k -= count[digit++];
        if (count[digit] == n) continue;
        int64_t kept = 0;
        for (int64_t i = 0; i < n; i++)
            if (items[i].digit(d) == digit) other[kept++] = items[i];
        items = other;
        n = kept;
    }
    if (items != other)
        for (int64_t i = 0; i < n; i++) other[i] = items[i];
    insertion_sort(other, n, k + 1);
    return other[k];
}

// f(row, scratch of 2 * `capacity` items) for each row: rows side by side where there are several.
template <class Item, class F>
EMBER_INLINE void for_rows(Context& context, int64_t rows, int64_t capacity, int64_t work, F&& f) {
    int64_t tasks = rows * work < 32 * 1024 ? 1 : rows < kRowTasks ? rows : kRowTasks;
    if (tasks < 4 && work >= 4 * kChunk) tasks = 1;  // each row's own chunks are the tasks
    Item* scratch = context.scratch_of<Item>(tasks * 2 * capacity);
    int64_t grain = (rows + tasks - 1) / tasks;
    parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
        Item* own = scratch + begin / grain * 2 * capacity;
        for (int64_t r = begin; r < end; r++) f(r, own);
    });
}

// f(Keys, Item) with positions of 32 bits where they do.
template <class F>
EMBER_INLINE void with_items(const Sort& a, F&& f) {
    with_keys(a.dtype, a.descending, [&](auto keys) {
        if constexpr (sizeof(typename decltype(keys)::Bits) < 8) {
            if (a.n <= int64_t(0xffffffff)) return f(keys, Narrow{});
        }
        f(keys, Broad{});
    });
}

template <class Item, class K>
EMBER_INLINE void fill_items(const K& keys, const typename K::Bits* in, Item* items, int64_t n) {
    parallel_for(n, kChunk, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) items[i] = Item::make(keys(in[i]), i);
    });
}

template <class Item, class K>
EMBER_INLINE void write_items(const K& keys, const typename K::Bits* in, const Item* items,
                              typename K::Bits* values, int64_t* indices, int64_t n) {
    using U = typename K::Bits;
    parallel_for(n, kChunk, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            U key = U(items[i].key());
            values[i] = keys.shared(key) ? in[items[i].index()] : keys.bits(key);
            indices[i] = items[i].index();
        }
    });
}

void sort(Context& context, const Sort& a) {
    with_items(a, [&](auto keys, auto item) {
        using U = typename decltype(keys)::Bits;
        using Item = decltype(item);
        const U* in = static_cast<const U*>(a.in);
        U* values = static_cast<U*>(a.values);
        for_rows<Item>(context, a.rows, a.n, a.n, [&](int64_t r, Item* scratch) {
            const U* row = in + r * a.n;
            fill_items(keys, row, scratch, a.n);
            Item* sorted = radix_sort(scratch, scratch + a.n, a.n, sizeof(U));
            write_items(keys, row, sorted, values + r * a.n, a.indices + r * a.n, a.n);
        });
    });
}

// Keeps the k first of n items, in place, in the order they stand in. Uses `other` (n items).
template <class Item>
EMBER_INLINE Item keep_first(Item* items, Item* other, int64_t n, int64_t k) {
    Item last = nth_item<Item>(items, other, n, k - 1);
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++)
        if (!last.before(items[i])) items[kept++] = items[i];
    return last;
}

// Candidates gather in a buffer; whenever it is full, all but the best k go, and from then on only
// what precedes the last of those comes in. Most blocks of a long row are passed over at once.
template <class Item, class K>
int64_t gather_candidates(const K& keys, const typename K::Bits* in, int64_t n, int64_t k,
                          Item* items, Item* other, int64_t capacity) {
    using U = typename K::Bits;
    constexpr int64_t block = 16;
    int64_t count = 0;
    bool bounded = false;
    U bound = 0;
    for (int64_t begin = 0; begin < n; begin += block) {
        int64_t end = begin + block < n ? begin + block : n;
        if (bounded) {
            U any = 0;
            for (int64_t i = begin; i < end; i++) any |= U(keys(in[i]) < bound);
            if (!any) continue;
        }
        for (int64_t i = begin; i < end; i++) {
            U key = keys(in[i]);
            if (bounded && key >= bound) continue;
            items[count++] = Item::make(key, i);
            if (count == capacity && i + 1 < n) {
                bound = U(keep_first(items, other, count, k).key());
                count = k;
                bounded = true;
            }
        }
    }
    return count;
}

void topk(Context& context, const Sort& a) {
    int64_t capacity = 2 * a.k + 24 < a.n ? 2 * a.k + 24 : a.n;
    with_items(a, [&](auto keys, auto item) {
        using U = typename decltype(keys)::Bits;
        using Item = decltype(item);
        const U* in = static_cast<const U*>(a.in);
        U* values = static_cast<U*>(a.values);
        for_rows<Item>(context, a.rows, capacity, a.n, [&](int64_t r, Item* scratch) {
            const U* row = in + r * a.n;
            Item* other = scratch + capacity;
            int64_t count = gather_candidates(keys, row, a.n, a.k, scratch, other, capacity);
            if (count > a.k) keep_first(scratch, other, count, a.k);
            Item* sorted = radix_sort(scratch, other, a.k, sizeof(U));
            write_items(keys, row, sorted, values + r * a.k, a.indices + r * a.k, a.k);
        });
    });
}

void kth(Context& context, const Sort& a, Rank rank) {
    with_items(a, [&](auto keys, auto item) {
        using U = typename decltype(keys)::Bits;
        using Item = decltype(item);
        const U* in = static_cast<const U*>(a.in);
        U* values = static_cast<U*>(a.values);
        for_rows<Item>(context, a.rows, a.n, a.n, [&](int64_t r, Item* scratch) {
            const U* row = in + r * a.n;
            int64_t k = a.k, nans = 0;
            for (int64_t i = 0; i < a.n; i++) {
                U key = keys(row[i]);
                nans += keys.is_nan(key);
                scratch[i] = Item::make(key, i);
            }
            // NaNs stand behind all numbers: the first of them is the item behind the last number.
            int64_t numbers = a.n - nans;
            if (rank == Rank::Median) k = nans > 0 ? numbers : (a.n - 1) / 2;
            if (rank == Rank::NanMedian) k = numbers > 0 ? (numbers - 1) / 2 : 0;
            int64_t at = nth_item<Item>(scratch, scratch + a.n, a.n, k).index();
            values[r] = row[at];
            a.indices[r] = at;
        });
    });
}

// Merges of runs of indices, from the bottom up.
template <class K>
EMBER_INLINE void sort_row_indices(const K& keys, const typename K::Bits* in, int64_t rows,
                                   int64_t n, int64_t* indices, int64_t* other) {
    auto after = [&](int64_t a, int64_t b) {  // whether row a must stand behind row b
        const auto *x = in + a * n, *y = in + b * n;
        for (int64_t i = 0; i < n; i++) {
            auto p = keys(x[i]), q = keys(y[i]);
            if (p != q) return p > q;
        }
        return false;
    };
    for (int64_t i = 0; i < rows; i++) indices[i] = i;
    int64_t *from = indices, *to = other;
    for (int64_t width = 1; width < rows; width *= 2) {
        for (int64_t begin = 0; begin < rows; begin += 2 * width) {
            int64_t middle = begin + width < rows ? begin + width : rows;
            int64_t end = begin + 2 * width < rows ? begin + 2 * width : rows;
            int64_t a = begin, b = middle;
            for (int64_t i = begin; i < end; i++) {
                bool second = a == middle || (b < end && after(from[a], from[b]));
                to[i] = second ? from[b++] : from[a++];
            }
        }
        int64_t* merged = to;
        to = from;
        from = merged;
    }
    if (from != indices)
        for (int64_t i = 0; i < rows; i++) indices[i] = from[i];
}

void sort_rows(Context& context, const Sort& a) {
    int64_t* other = context.scratch_of<int64_t>(a.rows);
    with_keys(a.dtype, false, [&](auto keys) {
        using U = typename decltype(keys)::Bits;
        sort_row_indices(keys, static_cast<const U*>(a.in), a.rows, a.n, a.indices, other);
    });
}

constexpr int64_t kSearched = 128;  // values that are searched side by side

// For each of n keys, how many of a row's keys stand before it: row(i) < key, or with `right` <=.
// A short row is counted through, a long one halved, by all keys in step and without branches.
template <bool right, class U, class Row>
EMBER_INLINE void count_before(const U* keys, int64_t n, int64_t row_size, Row&& row,
                               int64_t* places) {
    auto before = [](U at, U key) { return right ? at <= key : at < key; };
    if (row_size <= 64) {
        U counts[kSearched] = {};
        for (int64_t k = 0; k < row_size; k++) {
            const U at = row(k);
            for (int64_t i = 0; i < kSearched; i++) counts[i] = U(counts[i] + before(at, keys[i]));
        }
        for (int64_t i = 0; i < n; i++) places[i] = int64_t(counts[i]);
        return;
    }
    for (int64_t i = 0; i < n; i++) places[i] = 0;
    for (int64_t left = row_size; left > 0; left -= (left + 1) / 2) {
        const int64_t half = (left + 1) / 2;
        for (int64_t i = 0; i < n; i++)
            places[i] += before(row(places[i] + half - 1), keys[i]) ? half : 0;
    }
}

void searchsorted(Context&, const kernels::Search& a) {
    with_keys(a.dtype, false, [&](auto keys) {
        using U = typename decltype(keys)::Bits;
        const int64_t row_values = a.one_row ? a.rows * a.count : a.count;
        parallel_for(a.rows * a.count, 4096, [&](int64_t begin, int64_t end) {
            U wanted[kSearched] = {};
            int64_t places[kSearched];
            for (int64_t i = begin; i < end;) {
                const int64_t r = i / row_values, row_end = (r + 1) * row_values;
                int64_t n = (row_end < end ? row_end : end) - i;
                if (n > kSearched) n = kSearched;
                const U* sorted = static_cast<const U*>(a.sorted) + r * a.n;
                const int64_t* sorter = a.sorter ? a.sorter + r * a.n : nullptr;
                for (int64_t j = 0; j < n; j++)
                    wanted[j] = keys(static_cast<const U*>(a.values)[i + j]);
                auto find = [&](auto&& row) {
                    if (a.right)
                        count_before<true>(wanted, n, a.n, row, places);
                    else
                        count_before<false>(wanted, n, a.n, row, places);
                };
                if (sorter)
                    find([&](int64_t k) { return keys(sorted[sorter[k]]); });
                else
                    find([&](int64_t k) { return keys(sorted[k]); });
                for (int64_t j = 0; j < n; j++) {
                    if (a.out_dtype == DType::Int32)
                        static_cast<int32_t*>(a.out)[i + j] = int32_t(places[j]);
                    else
                        static_cast<int64_t*>(a.out)[i + j] = places[j];
                }
                i += n;
            }
        });
    });
}

}  // namespace

void register_sort(Table& table) {
    table.set(kernels::sort, sort, kReal);
    table.set(kernels::topk, topk, kNumeric);
    table.set(kernels::kth, kth, kReal);
    table.set(kernels::sort_rows, sort_rows, kReal);
    table.set(kernels::searchsorted, searchsorted, kReal);
}

}  // namespace ember::cpu::EMBER_LEVEL
