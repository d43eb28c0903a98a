#include "cpu/gemm.h"

// Products on AMX tiles: of bfloat16, of int8, and of float32 and float16 in pieces of bfloat16: an
// item's bfloat16, and that of the remainder. Two factors in two pieces make three products, the
// lowest left out; float16, which two pieces hold exactly, four.
// A block of 32 x 32 of C is four tiles of sums; A gives two tiles of 16 rows, B two of 16 columns,
// each 64 bytes deep. Four loads (32 cycles) feed four products (64 cycles), so that products are
// the limit while operands come from the caches. Other dtypes and small products go to the level
// below.
namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Gemm;

constexpr int64_t kSide = 32, kStep = 16;  // of a block; items of 4 bytes in a tile's row
constexpr int64_t kDeep = 256;             // items: a panel of A, 32 KiB, stays in L1
// Rows of a packed panel are a line more than whole pages apart, or few sets would hold them all.
constexpr int64_t kPanelRow = kDeep + kStep;
// A task's part of C: its strips of B, kDeep of them, stay in L2 (512 KiB), as do its sums (256).
constexpr int64_t kTaskRows = 128, kTaskColumns = 512, kLeastColumns = 64, kManyTasks = 64;
constexpr int64_t kTilePackItems = 8 << 20;               // of B that are packed at one time
constexpr int64_t kTileGrain = 8 << 20;                   // multiplications that deserve a worker
constexpr int64_t kLeastRows = 8, kLeastWork = 64 << 10;  // below these tiles do not pay

void (*gemm_below)(Context&, const Gemm&);

struct alignas(64) TileConfig {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
};

// GCC 12 does not tell its optimiser what the tile instructions read and write.
EMBER_INLINE void memory_is_read(const void* p) { asm volatile("" : : "r"(p) : "memory"); }

// Tiles of the whole size while it lives. Without them a thread is cheaper to switch.
class WholeTiles {
public:
    EMBER_INLINE WholeTiles() {
        TileConfig config;
        for (int i = 0; i < 8; i++) {
            config.row_bytes[i] = 64;
            config.rows[i] = kStep;
        }
        memory_is_read(&config);
        _tile_loadconfig(&config);
    }
    EMBER_INLINE ~WholeTiles() { _tile_release(); }
    WholeTiles(const WholeTiles&) = delete;
    WholeTiles& operator=(const WholeTiles&) = delete;
};

// 32 rows of A as tiles take them: items of contiguous k, rows kPanelRow apart, zeros past the last
// row and the last k.
template <int PerItem, class S, class T>
EMBER_NOINLINE void pack_panel(const S* a, int64_t row, int64_t col, int64_t rows, int64_t k,
                               T* out) {
    constexpr int64_t kAtOnce = kStep * PerItem;
    for (int64_t p = 0; p < k; p += kAtOnce, a += kAtOnce * col, out += kStep) {
        const int64_t depth = least(kAtOnce, k - p);
        for (int64_t first = 0; first < kSide; first += kStep) {
            Vec<T> lines[kStep];
            const int64_t lanes = clamp_to(rows - first, 0, kStep);
            const S* from = a + first * row;
            if (col == 1) {
                for (int64_t i = 0; i < kStep; i++) {
                    lines[i] = Vec<T>{Raw<T>{}};
                    if (i < lanes) lines[i] = load_items<T, PerItem>(from + i * row, depth);
                }
            } else {
                alignas(64) T square[kStep * kStep] = {};
                pack<PerItem>(from, row, col, lanes, depth, square, kStep);
                for (int64_t i = 0; i < kStep; i++) lines[i] = Vec<T>::load(square + i * kStep);
                transpose_rounds<T, kStep / 2>(lines);
            }
            for (int64_t i = 0; i < kStep; i++) lines[i].store(out + (first + i) * kPanelRow);
        }
    }
}

// A strip of 32 columns of B, `items` deep: zeros past the last column and the last k.
template <int PerItem, class S, class T>
EMBER_INLINE void pack_strip(const S* b, int64_t row, int64_t col, int64_t columns, int64_t k,
                             T* out, int64_t items) {
    pack<PerItem>(b, col, row, columns, k, out, kSide);
    const int64_t packed = ceil_div(k, PerItem) * kSide;
    memset(out + packed, 0, size_t(items * kSide - packed) * sizeof(T));
}

// sums (32, 32) = a (32 rows a_bytes apart, 16 steps) @ b (16 steps, 32), added to what is there
// unless `fresh`. Of three terms, the product of the lower pieces is left out.
template <int PerItem, int Terms, class T>
EMBER_INLINE void multiply_block(const T* const* a, int64_t a_bytes, const T* const* b,
                                 int64_t steps, bool fresh, T* sums) {
#define EMBER_TILE_PRODUCT(c, a, b) \
    if constexpr (PerItem == 2)     \
        _tile_dpbf16ps(c, a, b);    \
    else                            \
        _tile_dpbssd(c, a, b)
    constexpr int64_t kRowBytes = kSide * sizeof(T);
    memory_is_read(sums);
    if (fresh) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, sums, kRowBytes);
        _tile_loadd(1, sums + kStep, kRowBytes);
        _tile_loadd(2, sums + kStep * kSide, kRowBytes);
        _tile_loadd(3, sums + kStep * kSide + kStep, kRowBytes);
    }
    for (int term = 0; term < Terms; term++) {
        const char* left = reinterpret_cast<const char*>(a[term / 2]);
        const T* right = b[term % 2];
        for (int64_t s = 0; s < steps; s++, left += 64, right += kStep * kSide) {
            _tile_loadd(4, left, a_bytes);
            _tile_loadd(6, right, kRowBytes);
            EMBER_TILE_PRODUCT(0, 4, 6);
            _tile_loadd(7, right + kStep, kRowBytes);
            EMBER_TILE_PRODUCT(1, 4, 7);
            _tile_loadd(5, left + kStep * a_bytes, a_bytes);
            EMBER_TILE_PRODUCT(2, 5, 6);
            EMBER_TILE_PRODUCT(3, 5, 7);
        }
    }
    _tile_stored(0, sums, kRowBytes);
    _tile_stored(1, sums + kStep, kRowBytes);
    _tile_stored(2, sums + kStep * kSide, kRowBytes);
    _tile_stored(3, sums + kStep * kSide + kStep, kRowBytes);
    memory_is_read(sums);
#undef EMBER_TILE_PRODUCT
}

EMBER_INLINE bool all_finite(const float* x, int64_t n) {
    VecF rest = 0;
    for (int64_t i = 0; i < n; i += VecF::size) {
        VecF v = VecF::load(x + i);
        rest += v - v;
    }
    return !any(rest != rest);
}

// The block rows x columns of C, from packed strips of B. False, and C as it was, where a sum in
// pieces is not finite: infinity less its bfloat16 is NaN.
template <int PerItem, int Terms, class S, class T, class C>
EMBER_INLINE bool task(const Product<S, T, C>& x, Range rows, Range columns, const T* packed,
                       int64_t items) {
    constexpr int kPieces = Terms > 1 ? 2 : 1;
    alignas(64) T sums[kTaskRows * kTaskColumns];
    alignas(64) T panel[kPieces][kSide * kPanelRow];
    const int64_t strips = ceil_div(columns.end - columns.begin, kSide);
    const int64_t depths = ceil_div(items, kDeep);
    const bool keep = depths > 1 || kPieces > 1;
    // Rows whole pages or halves of them apart share few sets of L1.
    const int64_t a_bytes = x.a_row * int64_t(sizeof(S));
    const bool in_place =
        !kRounds<S, PerItem> && x.a_col == 1 && (a_bytes % 2048 != 0 || strips <= 2);
    WholeTiles tiles;
    for (int64_t d = 0; d < depths; d++) {
        const int64_t first = d * kDeep * PerItem, depth = least(kDeep * PerItem, x.k - first);
        const int64_t steps = ceil_div(depth, kStep * PerItem);
        for (int64_t i = rows.begin; i < rows.end; i += kSide) {
            const int64_t count = least(kSide, rows.end - i);
            const S* from = x.a + i * x.a_row + first * x.a_col;
            const bool whole = count == kSide && depth == steps * kStep * PerItem;
            const T* a[kPieces];
            if (in_place && whole) {
                a[0] = reinterpret_cast<const T*>(from);
            } else {
                pack_panel<PerItem>(from, x.a_row, x.a_col, count, depth, panel[0]);
                if constexpr (kPieces == 2)
                    pack_panel<PerItem>(reinterpret_cast<const Remainder<S>*>(from), x.a_row,
                                        x.a_col, count, depth, panel[1]);
                for (int p = 0; p < kPieces; p++) a[p] = panel[p];
                memory_is_read(panel);
            }
            const int64_t row_bytes = a[0] == panel[0] ? kPanelRow * int64_t(sizeof(T)) : a_bytes;
            for (int64_t s = 0; s < strips; s++) {
                const T* b[kPieces];
                for (int p = 0; p < kPieces; p++)
                    b[p] = packed + ((s * kPieces + p) * items + d * kDeep) * kSide;
                T* block =
                    keep ? sums + ((i - rows.begin) / kSide * strips + s) * kSide * kSide : sums;
                multiply_block<PerItem, Terms>(a, row_bytes, b, steps, d == 0, block);
                const int64_t j = columns.begin + s * kSide;
                if (kPieces == 1 && d + 1 == depths)
                    finish(x, {i, i + count}, {j, least(j + kSide, columns.end)}, block, kSide);
            }
        }
    }
    if constexpr (kPieces == 2) {
        const int64_t blocks = ceil_div(rows.end - rows.begin, kSide) * strips;
        if (!all_finite(sums, blocks * kSide * kSide)) return false;
        for (int64_t t = 0; t < blocks; t++) {
            const int64_t i = rows.begin + t / strips * kSide;
            const int64_t j = columns.begin + t % strips * kSide;
            finish(x, {i, least(i + kSide, rows.end)}, {j, least(j + kSide, columns.end)},
                   sums + t * kSide * kSide, kSide);
        }
    }
    return true;
}

// The block rows x columns of C, by the level below.
template <class S, class T, class C>
void exact_block(Context& context, const Product<S, T, C>& x, Range rows, Range columns,
                 DType dtype) {
    Gemm g;
    g.dtype = dtype;
    g.m = rows.end - rows.begin, g.n = columns.end - columns.begin, g.k = x.k;
    g.a = x.a + rows.begin * x.a_row, g.a_row = x.a_row, g.a_col = x.a_col;
    g.b = x.b + columns.begin * x.b_col, g.b_row = x.b_row, g.b_col = x.b_col;
    g.c = x.c + rows.begin * x.c_row + columns.begin, g.c_row = x.c_row;
    g.bias = x.column_bias ? x.column_bias + columns.begin : nullptr;
    g.alpha = x.alpha, g.beta = x.beta;
    g.activation = x.relu ? Gemm::Activation::Relu : Gemm::Activation::None;
    if (x.row_bias) {  // transposed it is one of columns
        std::swap(g.m, g.n);
        std::swap(g.a, g.b);
        g.a_row = x.b_col, g.a_col = x.b_row, g.b_row = x.a_col, g.b_col = x.a_row;
        g.c_row = 1, g.c_col = x.c_row;
        g.bias = x.row_bias + rows.begin;
    }
    gemm_below(context, g);
}

template <int PerItem, int Terms, class S, class T, class C>
void multiply(Context& context, const Gemm& g) {
    constexpr int kPieces = Terms > 1 ? 2 : 1;
    const Products<S, T, C> all = products_of<S, T, C>(g);
    const Product<S, T, C>& x = all.first;
    const int64_t items = ceil_div(x.k, kStep * PerItem) * kStep;
    int64_t task_rows = kTaskRows, task_columns = kTaskColumns;
    auto few = [&] {
        return all.batch * ceil_div(x.m, task_rows) * ceil_div(x.n, task_columns) < kManyTasks;
    };
    while (few() && task_columns > kLeastColumns) task_columns /= 2;
    while (few() && task_rows > kSide) task_rows /= 2;
    const int64_t row_blocks = ceil_div(x.m, task_rows),
                  column_blocks = ceil_div(x.n, task_columns);
    const int64_t strips = task_columns / kSide, strip_items = kPieces * items * kSide;
    // A unit is a block of columns of one product; as many are packed at a time as the limit
    // admits.
    const int64_t units = all.batch * column_blocks;
    const int64_t group = least(units, most(1, kTilePackItems / (strips * strip_items)));
    T* packed = context.scratch_of<T>(group * strips * strip_items);
    uint8_t* done = context.scratch_of<uint8_t>(group * row_blocks);
    auto product = [&](int64_t unit) {
        Product<S, T, C> one = x;
        one.a += unit / column_blocks * all.a_batch;
        one.b += unit / column_blocks * all.b_batch;
        one.c += unit / column_blocks * all.c_batch;
        return one;
    };
    auto columns_of = [&](int64_t unit) {
        const int64_t j = unit % column_blocks * task_columns;
        return Range{j, least(j + task_columns, x.n)};
    };
    auto rows_of = [&](int64_t block) {
        return Range{block * task_rows, least((block + 1) * task_rows, x.m)};
    };
    for (int64_t u0 = 0; u0 < units; u0 += group) {
        const int64_t here = least(group, units - u0);
        const int64_t pack_grain = ceil_div(kGrainBytes, strip_items * int64_t(sizeof(T)));
        parallel_for(here * strips, pack_grain, [&](int64_t begin, int64_t end) {
            for (int64_t t = begin; t < end; t++) {
                const int64_t unit = u0 + t / strips;
                const Range columns = columns_of(unit);
                const int64_t j = columns.begin + t % strips * kSide;
                const int64_t count = least(kSide, columns.end - j);
                if (count <= 0) continue;
                const S* b = product(unit).b + j * x.b_col;
                T* to = packed + t * strip_items;
                pack_strip<PerItem>(b, x.b_row, x.b_col, count, x.k, to, items);
                if constexpr (kPieces == 2)
                    pack_strip<PerItem>(reinterpret_cast<const Remainder<S>*>(b), x.b_row, x.b_col,
                                        count, x.k, to + items * kSide, items);
            }
        });
        const int64_t work = task_rows * task_columns * x.k;
        parallel_for(
            here * row_blocks, ceil_div(kTileGrain, work), [&](int64_t begin, int64_t end) {
                for (int64_t t = begin; t < end; t++) {
                    const int64_t unit = t / row_blocks;
                    done[t] = task<PerItem, Terms>(product(u0 + unit), rows_of(t % row_blocks),
                                                   columns_of(u0 + unit),
                                                   packed + unit * strips * strip_items, items);
                }
            });
        for (int64_t t = 0; t < here * row_blocks; t++) {
            const int64_t unit = u0 + t / row_blocks;
            if (!done[t])
                exact_block(context, product(unit), rows_of(t % row_blocks), columns_of(unit),
                            g.dtype);
        }
    }
}

void gemm(Context& context, const Gemm& g) {
    using Precision = Gemm::Precision;
    if (g.batch <= 0 || g.m < kLeastRows || g.n < kLeastRows || g.k < kSide ||
        g.m * g.n * g.k < kLeastWork)
        return gemm_below(context, g);
    if (g.dtype == DType::BFloat16) return multiply<2, 1, BFloat16, float, BFloat16>(context, g);
    if (g.dtype == DType::Float16) return multiply<2, 4, Half, float, Half>(context, g);
    if (g.dtype == DType::Float32 && g.precision == Precision::High)
        return multiply<2, 3, float, float, float>(context, g);
    if (g.dtype == DType::Float32 && g.precision == Precision::Medium)
        return multiply<2, 1, float, float, float>(context, g);
    if (g.dtype == DType::Int8 && g.wide)
        return multiply<4, 1, int8_t, uint32_t, uint32_t>(context, g);
    if (g.dtype == DType::Int8) return multiply<4, 1, int8_t, uint32_t, int8_t>(context, g);
    gemm_below(context, g);
}

}  // namespace

void register_matmul_amx(Table& table) {
    gemm_below =
        reinterpret_cast<void (*)(Context&, const Gemm&)>(kernels::gemm.fn[int(table.device)]);
    table.set(kernels::gemm, gemm, kNumeric);
}

}  // namespace ember::cpu::EMBER_LEVEL
