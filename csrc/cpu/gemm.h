#pragma once

#include "core/parallel.h"
#include "core/view.h"
#include "cpu/gemm_pack.h"
#include "kernels/matmul.h"

// Products of row-major C: which operands are packed, how the work is cut, and the loops around the
// tile. S is the type of A and B, T the one that computes, C the type of C, PerItem how many k a
// packed item holds.
// Every choice depends on sizes and strides alone, so results do not depend on the number of
// threads.
namespace ember::cpu::EMBER_LEVEL {
namespace {

template <class S, class T, class C = S>
struct Product {
    int64_t m, n, k;
    const S* a;
    int64_t a_row, a_col;
    const S* b;
    int64_t b_row, b_col;
    C* c;
    int64_t c_row;
    double alpha, beta;
    const C* column_bias;
    const C* row_bias;
    bool relu;
};

template <int PerItem>  // items of k in a packed panel: a panel of A stays in L1, twice that in L2
constexpr int64_t kDepth = PerItem > 1 ? 512 : 256;
constexpr int64_t kBlockColumns = 512;  // times kDepth: a block of B stays in L2
constexpr int64_t kBlockRows = 168;  // the block of C that a task owns: kBlockRows x kBlockColumns
constexpr int64_t kTaskWork = 400'000;      // multiplications that deserve a task of their own
constexpr int64_t kSplitWork = 250'000;     // from here on two tasks pay, though smaller ones
constexpr int64_t kPackingTasks = 8;        // for which columns are cut though A is packed
constexpr int64_t kDirectDepths = 8;        // times kDepth: up to here B is read where it lies
constexpr int64_t kFlatRows = 256;          // up to here B is packed strip by strip
constexpr int64_t kPanelBytes = 128 << 10;  // of A that a task packs at one time
constexpr int64_t kPackItems = 8 << 20;     // of B that are packed at one time

template <class T>
EMBER_INLINE T scale_of(double x) {
    if constexpr (std::is_floating_point_v<T>)
        return T(x);
    else
        return T(int64_t(x));
}

// How a product is cut. Rows and columns of C go to tasks in blocks of nearly even size.
struct Grid {
    int64_t row_blocks, column_blocks, columns;  // columns of a block
    EMBER_INLINE int64_t tasks() const { return row_blocks * column_blocks; }

    // Neighbouring tasks have neighbouring rows, so that a thread reads the rows that it wrote in
    // the operation before, and not those in another core's cache. Of a quarter of the rows those
    // come first that share columns, and with them a block of B.
    struct Cell {
        int64_t row, column;
    };
    EMBER_INLINE static int64_t parts(int64_t blocks) {
        return blocks >= 4 ? 4 : blocks >= 2 ? 2 : 1;
    }
    EMBER_INLINE Cell cell(int64_t task) const {
        const int64_t height = row_blocks / parts(row_blocks), each = height * column_blocks;
        const int64_t i = task % each;
        return {task / each * height + i % height, i / height};
    }
};

template <class T, int PerItem>
EMBER_INLINE Grid cut(int64_t m, int64_t n, int64_t k, bool a_in_place) {
    constexpr int64_t kStrip = TileShape<T>::kColumns, kRows = TileShape<T>::kRows;
    const int64_t work = m * n * k;
    if (work < kSplitWork) return {1, 1, ceil_div(n, kStrip) * kStrip};
    int64_t wanted = work / (kTaskWork * PerItem);
    if (wanted < 2) wanted = 2;
    if (wanted > 64) wanted = 64;
    int64_t columns = ceil_div(n, ceil_div(n, kBlockColumns));
    // Wide, flat products have too few rows to cut; where A is packed, each cut packs it again.
    const int64_t most_rows = ceil_div(m, 2 * kRows);
    const int64_t enough = a_in_place ? wanted : least(wanted, kPackingTasks);
    if (most_rows * ceil_div(n, columns) < enough)
        columns = ceil_div(n, ceil_div(enough, most_rows));
    columns = ceil_div(columns, kStrip) * kStrip;
    const int64_t column_blocks = ceil_div(n, columns);
    int64_t row_blocks = ceil_div(wanted, column_blocks);
    if (row_blocks > most_rows) row_blocks = most_rows;
    row_blocks -= row_blocks % Grid::parts(row_blocks);
    const int64_t least_rows = ceil_div(m, kBlockRows), parts = Grid::parts(least_rows);
    if (row_blocks < least_rows) row_blocks = ceil_div(least_rows, parts) * parts;
    return {row_blocks, column_blocks, columns};
}

// Strip s of columns of a packed B starts at s * kColumns * k, k in items. Within it k is not cut.
template <class T>
EMBER_INLINE int64_t packed_size(int64_t n, int64_t k) {
    return ceil_div(n, TileShape<T>::kColumns) * TileShape<T>::kColumns * k;
}

template <int PerItem, class S, class T, class C>
EMBER_INLINE void pack_strips(const Product<S, T, C>& x, int64_t first, int64_t last, T* packed) {
    constexpr int64_t kStrip = TileShape<T>::kColumns;
    for (int64_t s = first; s < last; s++) {
        const int64_t j = s * kStrip, lanes = x.n - j < kStrip ? x.n - j : kStrip;
        const int64_t k = ceil_div(x.k, PerItem);
        pack<PerItem>(x.b + j * x.b_col, x.b_col, x.b_row, lanes, x.k, packed + j * k, kStrip);
        if constexpr (PerItem == 4) lift_signs(packed + j * k, k * kStrip);
    }
}

// Converts a block of sums to the stored type, with the epilogue.
template <int PerItem = 1, class S, class T, class C>
EMBER_NOINLINE void finish(const Product<S, T, C>& x, Range rows, Range columns, const T* sums,
                           int64_t stride) {
    constexpr int64_t kLanes = Vec<T>::size;
    const Vec<T> alpha(scale_of<T>(x.alpha)), beta(scale_of<T>(x.beta));
    for (int64_t i = rows.begin; i < rows.end; i++) {
        C* c = x.c + i * x.c_row;
        const T* from = sums + (i - rows.begin) * stride - columns.begin;
        for (int64_t j = columns.begin; j < columns.end; j += kLanes) {
            const int64_t n = least(kLanes, columns.end - j);
            Vec<T> v = alpha * load_first<T>(from + j, n);
            if (x.beta != 0) v += beta * load_lanes<T>(c + j, n);
            if (x.column_bias) v += load_lanes<T>(x.column_bias + j, n);
            if (x.row_bias) v += Vec<T>(item_as<T>(x.row_bias[i]));
            if (x.relu) v = rectify(v);
            store_sums<PerItem>(c + j, v, n);
        }
    }
}

// Whether the tile can read A's items where they lie: k that stand side by side are an item.
template <int PerItem, class S, class T>
constexpr bool kHoldsItems = PerItem == 1 ? std::is_same_v<S, T> : std::is_same_v<S, BFloat16>;

template <int PerItem, class S, class T, class C>
EMBER_INLINE bool holds_items(const Product<S, T, C>& x, int64_t a_batch) {
    if constexpr (PerItem == 1 || !kHoldsItems<PerItem, S, T>) return kHoldsItems<PerItem, S, T>;
    return x.a_col == 1 && x.k % PerItem == 0 && x.a_row % PerItem == 0 && a_batch % PerItem == 0 &&
           reinterpret_cast<uintptr_t>(x.a) % sizeof(T) == 0;
}

// The block rows x columns of C. `packed` is B in strips, or null where B is read in place; A's
// panels are packed here unless `a_in_place`. `sums` holds the block where C is not T and k is cut.
template <int PerItem, class S, class T, class C>
EMBER_INLINE void block(const Product<S, T, C>& x, Range rows, Range columns,
                        const std::type_identity_t<T>* packed, bool a_in_place,
                        std::type_identity_t<T>* sums) {
    using Shape = TileShape<T>;
    constexpr int64_t kStrip = Shape::kColumns, kLanes = Shape::kLanes;
    constexpr bool kDirect = std::is_same_v<C, T>;
    constexpr int64_t kPanelItems = kDepth<PerItem> * Shape::kPanelRows;
    constexpr int64_t kGroup = kPanelBytes / (kPanelItems * sizeof(T));
    alignas(64) T packed_a[kGroup * kPanelItems];
    const int64_t height = rows.end - rows.begin;
    const int64_t panels = ceil_div(height, Shape::kRows);
    const int64_t k = ceil_div(x.k, PerItem), depths = most(1, ceil_div(k, kDepth<PerItem>));

    TileCall<T> call;
    call.b_row = packed ? kStrip : x.b_row;
    const bool whole = depths == 1, by_group = x.a_row == 1;
    alignas(64) T tile_sums[kDirect ? 1 : Shape::kRows * kStrip];
    call.c_row = kDirect ? x.c_row : whole ? kStrip : columns.end - columns.begin;
    for (int64_t d = 0; d < depths; d++) {
        const Range depth = piece(k, depths, d);
        call.k = depth.end - depth.begin;
        const int64_t first = depth.begin * PerItem;
        const int64_t count_k = least(call.k * PerItem, x.k - first);
        const bool last = d + 1 == depths;
        Epilogue<T>& e = call.epilogue;
        e = {};
        e.beta = d > 0 ? T(1) : T(0);
        if constexpr (kDirect) {
            e.alpha = scale_of<T>(x.alpha);
            if (d == 0) e.beta = scale_of<T>(x.beta);
            e.relu = last && x.relu;
        }
        for (int64_t q = 0; q < panels; q++) {
            const Range part = piece(height, panels, q);
            const int64_t i = rows.begin + part.begin;
            T* panel = packed_a + (by_group ? q % kGroup * kPanelItems : 0);
            const int count = int(part.end - part.begin);
            const S* a = x.a + i * x.a_row + first * x.a_col;
            if (kHoldsItems<PerItem, S, T> && a_in_place) {
                call.a = reinterpret_cast<const T*>(a);
                call.a_row = x.a_row / PerItem;
                call.a_col = x.a_col;
            } else {
                if (!by_group) {
                    pack<PerItem>(a, x.a_row, x.a_col, count, count_k, panel, Shape::kPanelRows);
                } else if (q % kGroup == 0) {
                    const int64_t here = least(kGroup, panels - q);
                    int64_t begins[kGroup];
                    for (int64_t g = 0; g < here; g++)
                        begins[g] = piece(height, panels, q + g).begin - part.begin;
                    pack_panels<PerItem>(a, x.a_col, begins, here, x.m - i, count_k, panel,
                                         kPanelItems);
                }
                if constexpr (PerItem == 4) sum_lifts(panel, call.k, call.lift);
                call.a = panel;
                call.a_row = 1;
                call.a_col = Shape::kPanelRows;
            }
            const TileFn<T>* tiles = Tiles<T, true, PerItem>::table[count - 1];
            if constexpr (kHoldsItems<PerItem, S, T>) {
                if (!packed || a_in_place) tiles = Tiles<T, false, PerItem>::table[count - 1];
            }
            if constexpr (kDirect) e.row_bias = last && x.row_bias ? x.row_bias + i : nullptr;
            for (int64_t j = columns.begin; j < columns.end; j += kStrip) {
                const int64_t width = columns.end - j < kStrip ? columns.end - j : kStrip;
                if (packed)
                    call.b = packed + j * k + depth.begin * kStrip;
                else
                    call.b = reinterpret_cast<const T*>(x.b) + j + depth.begin * x.b_row;
                if constexpr (kDirect) {
                    call.c = x.c + i * x.c_row + j;
                    e.column_bias = last && x.column_bias ? x.column_bias + j : nullptr;
                } else {
                    call.c =
                        whole ? tile_sums : sums + part.begin * call.c_row + (j - columns.begin);
                }
                const bool one = width <= kLanes;
                call.tail = one ? width : width - kLanes;
                tiles[!one](call);
                if constexpr (!kDirect)
                    if (whole)
                        finish<PerItem>(x, {i, i + count}, {j, j + width}, tile_sums, kStrip);
            }
        }
    }
    if constexpr (!kDirect)
        if (!whole) finish<PerItem>(x, rows, columns, sums, call.c_row);
}

// One strip of columns of C from column j on, packing B's in pieces that stay in L1.
template <class T>
EMBER_NOINLINE void strip_product(Product<T, T> x, Range rows, int64_t j) {
    constexpr int64_t kStrip = TileShape<T>::kColumns;
    alignas(64) T packed[kDepth<1> * kStrip];
    const int64_t width = least(kStrip, x.n - j), depths = most(1, ceil_div(x.k, kDepth<1>));
    for (int64_t d = 0; d < depths; d++) {
        const Range depth = piece(x.k, depths, d);
        Product<T, T> part = x;
        part.k = depth.end - depth.begin;
        part.a += depth.begin * x.a_col;
        part.b += depth.begin * x.b_row + j * x.b_col;
        part.c += j;
        if (d > 0) part.beta = 1;
        const bool last = d + 1 == depths;
        part.column_bias = last && x.column_bias ? x.column_bias + j : nullptr;
        if (!last) part.row_bias = nullptr;
        part.relu = last && x.relu;
        pack(part.b, x.b_col, x.b_row, width, part.k, packed, kStrip);
        block<1>(part, rows, {0, width}, packed, true, nullptr);
    }
}

// One row of C from columns of B that lie side by side.
template <class S, class T, int Vectors, int Unroll>
EMBER_INLINE void row_times_columns(const Product<S, T>& x, int64_t j, int64_t n, T* out) {
    constexpr int kLanes = Vec<T>::size;
    Vec<T> acc[Unroll][Vectors];
#pragma GCC unroll 4
    for (int u = 0; u < Unroll; u++)
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; v++) acc[u][v] = Vec<T>{Raw<T>{}};
    const S* a = x.a;
    const S* b = x.b + j;
    auto step = [&](int u) __attribute__((always_inline)) {
        Vec<T> scale(item_as<T>(*a));
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; v++)
            acc[u][v] += scale * load_lanes<T>(b + v * kLanes, Vectors > 1 ? kLanes : n);
        a += x.a_col;
        b += x.b_row;
    };
    int64_t p = 0;
    for (; p + Unroll <= x.k; p += Unroll) {
#pragma GCC unroll 4
        for (int u = 0; u < Unroll; u++) step(u);
    }
    for (; p < x.k; p++) step(0);
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; v++) {
#pragma GCC unroll 4
        for (int u = 1; u < Unroll; u++) acc[0][v] += acc[u][v];
        acc[0][v].store(out + v * kLanes);
    }
}

// Rows of A and columns of B that are both contiguous: dot products, four columns at a time.
template <class S, class T, int Rows, int Columns>
EMBER_INLINE void dots(const Product<S, T>& x, int64_t i, int64_t j, T* out, int64_t stride) {
    constexpr int kLanes = Vec<T>::size;
    Vec<T> acc[Rows][Columns];
#pragma GCC unroll 4
    for (int r = 0; r < Rows; r++)
#pragma GCC unroll 4
        for (int c = 0; c < Columns; c++) acc[r][c] = Vec<T>{Raw<T>{}};
    const S* a = x.a + i * x.a_row;
    const S* b = x.b + j * x.b_col;
    auto step = [&](int64_t p, int64_t n) __attribute__((always_inline)) {
        Vec<T> column[Columns];
#pragma GCC unroll 4
        for (int c = 0; c < Columns; c++) column[c] = load_lanes<T>(b + c * x.b_col + p, n);
#pragma GCC unroll 4
        for (int r = 0; r < Rows; r++) {
            Vec<T> row = load_lanes<T>(a + r * x.a_row + p, n);
#pragma GCC unroll 4
            for (int c = 0; c < Columns; c++) acc[r][c] += row * column[c];
        }
    };
    int64_t p = 0;
    for (; p + kLanes <= x.k; p += kLanes) step(p, kLanes);
    if (p < x.k) step(p, x.k - p);
#pragma GCC unroll 4
    for (int r = 0; r < Rows; r++)
#pragma GCC unroll 4
        for (int c = 0; c < Columns; c++) out[r * stride + c] = reduce_add(acc[r][c]);
}

constexpr int64_t kFewRows = 4;  // up to here a product is bound by reading B once

// C of one to kFewRows rows without packing; false where B's layout does not allow it.
template <class S, class T>
EMBER_INLINE bool few_rows(const Product<S, T>& x) {
    constexpr int64_t kLanes = Vec<T>::size, kChunk = 64;
    const bool by_columns = x.m == 1 && x.b_col == 1 && x.n > 1;
    const bool by_dots = x.b_row == 1 && (x.a_col == 1 || x.k == 1);
    if (!by_columns && !by_dots) return false;
    const int64_t item_bytes = x.k * int64_t(sizeof(S)) * kChunk;
    const int64_t chunks =
        item_bytes >= 4 * kGrainBytes ? 1 : 4 * kGrainBytes / (item_bytes + 1) + 1;
    parallel_for(x.n, chunks * kChunk, [&](int64_t begin, int64_t end) {
        T sums[kFewRows * kChunk];
        for (int64_t j0 = begin; j0 < end; j0 += kChunk) {
            const int64_t j1 = end - j0 < kChunk ? end : j0 + kChunk;
            int64_t j = j0;
            if (by_columns) {
                for (; j + 4 * kLanes <= j1; j += 4 * kLanes)
                    row_times_columns<S, T, 4, 2>(x, j, kLanes, sums + (j - j0));
                for (; j < j1; j += kLanes) {
                    T rest[kLanes];
                    const int64_t n = j1 - j < kLanes ? j1 - j : kLanes;
                    row_times_columns<S, T, 1, 4>(x, j, n, rest);
                    memcpy(sums + (j - j0), rest, size_t(n) * sizeof(T));
                }
            } else {
                auto rows = [&](auto count, int64_t i) __attribute__((always_inline)) {
                    constexpr int kCount = decltype(count)::value;
                    for (j = j0; j + 4 <= j1; j += 4)
                        dots<S, T, kCount, 4>(x, i, j, sums + i * kChunk + (j - j0), kChunk);
                    for (; j < j1; j++)
                        dots<S, T, kCount, 1>(x, i, j, sums + i * kChunk + (j - j0), kChunk);
                };
                int64_t i = 0;
                for (; i + 2 <= x.m; i += 2) rows(std::integral_constant<int, 2>{}, i);
                if (i < x.m) rows(std::integral_constant<int, 1>{}, i);
            }
            finish(x, {0, x.m}, {j0, j1}, sums, kChunk);
        }
    });
    return true;
}

// Whether rows that lie so many bytes apart begin in the same few sets of a cache.
EMBER_INLINE bool share_sets(int64_t bytes) {
    constexpr int64_t kPage = 4096, kLine = 64;
    return (bytes + kLine) % kPage < 2 * kLine;
}

// `batch` products whose operands lie a_batch, b_batch, c_batch items apart.
template <int PerItem, class S, class T, class C>
EMBER_INLINE void products(Context& context, const Product<S, T, C>& first, int64_t batch,
                           int64_t a_batch, int64_t b_batch, int64_t c_batch) {
    constexpr bool kDirect = std::is_same_v<C, T>;
    constexpr bool kInPlace = std::is_same_v<S, T> && PerItem == 1;
    constexpr int64_t kStrip = TileShape<T>::kColumns, kRows = TileShape<T>::kRows;
    constexpr int64_t kLocalItems = 16 << 10;
    const int64_t m = first.m, n = first.n, k = ceil_div(first.k, PerItem);
    const int64_t work = m * n * first.k;
    const bool sums_in_c = kDirect || k <= kDepth<PerItem>;

    if constexpr (std::is_same_v<S, T> || std::is_floating_point_v<T>) {
        if (batch == 1 && m <= kFewRows && k > 0 && few_rows(first)) return;
    }
    // Where packing costs more than rows that are far apart do.
    const int64_t a_reach = first.a_row > first.a_col ? first.a_row : first.a_col;
    const bool b_in_place =
        kInPlace && first.b_col == 1 &&
        (m <= 2 * kRows || (first.b_row <= 512 && k <= kDirectDepths * kDepth<PerItem>));
    const bool a_in_place = holds_items<PerItem>(first, a_batch) &&
                            (a_reach < 1024 * PerItem || (first.a_row != 1 && n <= 4 * kStrip) ||
                             (first.a_col == 1 && !share_sets(first.a_row * int64_t(sizeof(S)))));

    auto at = [&](int64_t i) __attribute__((always_inline)) {
        Product<S, T, C> x = first;
        x.a += i * a_batch;
        x.b += i * b_batch;
        x.c += i * c_batch;
        return x;
    };

    const Grid grid = cut<T, PerItem>(m, n, first.k, a_in_place);
    if constexpr (kInPlace) {
        if (b_in_place && batch == 1 && grid.tasks() == 1)
            return block<1>(first, {0, m}, {0, n}, nullptr, a_in_place, nullptr);
    }

    // Small products: one task does several, and packs B on its stack.
    if (grid.tasks() == 1 && (b_in_place || packed_size<T>(n, k) <= kLocalItems)) {
        const int64_t each = work < kTaskWork ? kTaskWork / (work + 1) + 1 : 1;
        T* sums = sums_in_c ? nullptr : context.scratch_of<T>(batch * m * n);
        parallel_for(batch, each, [&](int64_t begin, int64_t end) {
            alignas(64) T packed[kLocalItems];
            for (int64_t i = begin; i < end; i++) {
                Product<S, T, C> x = at(i);
                if (!b_in_place && (i == begin || b_batch != 0))
                    pack_strips<PerItem>(x, 0, ceil_div(n, kStrip), packed);
                block<PerItem>(x, {0, m}, {0, n}, b_in_place ? nullptr : packed, a_in_place,
                               sums_in_c ? nullptr : sums + i * m * n);
            }
        });
        return;
    }

    // Not so many rows: a task packs its own strips of B as it goes, and reads A where it lies.
    if constexpr (kInPlace) {
        if (!b_in_place && m <= kFlatRows && (a_reach < 1024 || first.a_col == 1)) {
            const int64_t strips = ceil_div(n, kStrip);
            int64_t row_blocks = 1;
            if (work * batch >= 2 * kTaskWork && strips * batch < 4)
                row_blocks = most(1, least(ceil_div(4, strips * batch), m / 48));
            const int64_t tasks = batch * strips * row_blocks;
            const int64_t each = kTaskWork / 2 / (ceil_div(work * batch, tasks) + 1) + 1;
            parallel_for(tasks, each, [&](int64_t begin, int64_t end) {
                for (int64_t t = begin; t < end; t++)
                    strip_product(at(t / row_blocks / strips), piece(m, row_blocks, t % row_blocks),
                                  t / row_blocks % strips * kStrip);
            });
            return;
        }
    }

    // Large ones: B is packed by all, as many columns and products at a time as the limit admits.
    int64_t group_columns = n, group_products = 1;
    T* packed = nullptr;
    if (!b_in_place) {
        const int64_t whole = packed_size<T>(n, k);
        if (whole > kPackItems) {
            group_columns = kPackItems / (k * grid.columns) * grid.columns;
            if (group_columns < grid.columns) group_columns = grid.columns;
        } else {
            group_products = b_batch == 0 ? batch : kPackItems / whole;
        }
        if (group_products > batch) group_products = batch;
        packed = context.scratch_of<T>(packed_size<T>(group_columns, k) *
                                       (b_batch == 0 ? 1 : group_products));
    } else {
        group_products = batch;
    }
    T* sums = sums_in_c ? nullptr : context.scratch_of<T>(group_products * m * group_columns);

    for (int64_t i0 = 0; i0 < batch; i0 += group_products) {
        const int64_t here = batch - i0 < group_products ? batch - i0 : group_products;
        for (int64_t j0 = 0; j0 < n; j0 += group_columns) {
            const int64_t width = n - j0 < group_columns ? n - j0 : group_columns;
            auto part = [&](int64_t i) __attribute__((always_inline)) {
                Product<S, T, C> x = at(i0 + i);
                x.n = width;
                x.b += j0 * x.b_col;
                x.c += j0;
                if (x.column_bias) x.column_bias += j0;
                return x;
            };
            const int64_t strips = ceil_div(width, kStrip);
            const int64_t size = packed_size<T>(width, k);
            if (!b_in_place) {
                const int64_t copies = b_batch == 0 ? 1 : here;
                parallel_for(copies * strips, ceil_div(kGrainBytes * 2, k * kStrip * 4),
                             [&](int64_t begin, int64_t end) {
                                 for (int64_t t = begin; t < end; t++) {
                                     Product<S, T, C> x = part(t / strips);
                                     pack_strips<PerItem>(x, t % strips, t % strips + 1,
                                                          packed + t / strips * size);
                                 }
                             });
            }
            Grid here_grid = grid;
            here_grid.column_blocks = ceil_div(width, grid.columns);
            const int64_t tasks = here_grid.tasks();
            parallel_for(here * tasks, 1, [&](int64_t begin, int64_t end) {
                for (int64_t t = begin; t < end; t++) {
                    const int64_t i = t / tasks;
                    const Grid::Cell cell = here_grid.cell(t % tasks);
                    Product<S, T, C> x = part(i);
                    const Range rows = piece(m, grid.row_blocks, cell.row);
                    const int64_t j = cell.column * grid.columns;
                    const Range columns{j, width - j < grid.columns ? width : j + grid.columns};
                    T* block_sums = sums_in_c ? nullptr
                                              : sums + i * m * width + rows.begin * width +
                                                    (rows.end - rows.begin) * j;
                    block<PerItem>(x, rows, columns,
                                   b_in_place ? nullptr : packed + (b_batch == 0 ? 0 : i * size),
                                   a_in_place, block_sums);
                }
            });
        }
    }
}

// What a kernel is asked for, as products of row-major C.
template <class S, class T, class C>
struct Products {
    Product<S, T, C> first;
    int64_t batch, a_batch, b_batch, c_batch;
};

template <class S, class T, class C>
EMBER_INLINE Products<S, T, C> products_of(const kernels::Gemm& g) {
    Product<S, T, C> x{
        g.m,
        g.n,
        g.k,
        static_cast<const S*>(g.a),
        g.a_row,
        g.a_col,
        static_cast<const S*>(g.b),
        g.b_row,
        g.b_col,
        static_cast<C*>(g.c),
        g.c_row,
        g.alpha,
        g.beta,
        static_cast<const C*>(g.bias),
        nullptr,
        g.activation == kernels::Gemm::Activation::Relu,
    };
    int64_t batch = g.batch, a_batch = g.a_batch, b_batch = g.b_batch;
    // Column-major C, or a single column: the transposed product has rows to write.
    if (g.n == 1 ? g.m > 1 && g.c_row == 1 : g.c_col != 1) {
        x = {g.n,     g.m, g.k,     x.b,     g.b_col, g.b_row, x.a,           g.a_col,
             g.a_row, x.c, g.c_col, g.alpha, g.beta,  nullptr, x.column_bias, x.relu};
        a_batch = g.b_batch;
        b_batch = g.a_batch;
    }
    if (batch > 1 && b_batch == 0 && a_batch == x.m * x.a_row && g.c_batch == x.m * x.c_row &&
        x.row_bias == nullptr) {
        x.m *= batch;
        batch = 1;
    }
    return {x, batch, a_batch, b_batch, g.c_batch};
}

template <class S, class T, int PerItem = 1, class C = S>
EMBER_INLINE void gemm_as(Context& context, const kernels::Gemm& g) {
    const Products<S, T, C> x = products_of<S, T, C>(g);
    products<PerItem>(context, x.first, x.batch, x.a_batch, x.b_batch, x.c_batch);
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
