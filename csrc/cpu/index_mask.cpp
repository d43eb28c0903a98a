#include <cstring>

#include "cpu/index_common.h"
#include "kernels/index.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::kNonzeroBlock;

// Zero by bits; a float's sign does not count.
template <class T>
struct Unsigned {
    T mask;
    EMBER_INLINE bool nonzero(T x) const { return (x & mask) != 0; }
};

template <class F>
EMBER_INLINE void dispatch_bits(DType dtype, F&& f) {
    int clear = is_floating(dtype) ? 1 : 0;
    switch (item_size(dtype)) {
        case 1: return f(Unsigned<uint8_t>{uint8_t(0xff)});
        case 2: return f(Unsigned<uint16_t>{uint16_t(uint16_t(0xffff) >> clear)});
        case 4: return f(Unsigned<uint32_t>{~uint32_t(0) >> clear});
        default: return f(Unsigned<uint64_t>{~uint64_t(0) >> clear});
    }
}

// f(block, begin, end) for the blocks of [0, numel), a few blocks a task.
template <class F>
EMBER_INLINE void for_blocks(int64_t numel, F&& f) {
    parallel_for(kernels::nonzero_blocks(numel), 4, [&](int64_t first, int64_t last) {
        for (int64_t block = first; block < last; block++) {
            int64_t begin = block * kNonzeroBlock;
            f(block, begin, clamp_to(begin + kNonzeroBlock, 0, numel));
        }
    });
}

// The number of set items before each block.
const int64_t* block_starts(Context& ctx, const int64_t* counts, int64_t numel) {
    int64_t blocks = kernels::nonzero_blocks(numel);
    int64_t* starts = ctx.scratch_of<int64_t>(blocks);
    int64_t total = 0;
    for (int64_t b = 0; b < blocks; b++) {
        starts[b] = total;
        total += counts[b];
    }
    return starts;
}

void nonzero_count(Context&, const void* in, DType dtype, int64_t numel, int64_t* counts) {
    dispatch_bits(dtype, [&](auto bits) {
        using T = decltype(bits.mask);
        const T* p = static_cast<const T*>(in);
        for_blocks(numel, [&](int64_t block, int64_t begin, int64_t end) {
            int64_t count = 0;
            for (int64_t i = begin; i < end;) {
                int64_t stop = clamp_to(i + 128, 0, end);
                T part = 0;  // at most 128, which every T holds
                for (; i < stop; i++) part = T(part + bits.nonzero(p[i]));
                count += part;
            }
            counts[block] = count;
        });
    });
}

// f(i) for the items [begin, end), but for stretches in which none is set(i).
template <class Set, class F>
EMBER_INLINE void for_stretches(int64_t begin, int64_t end, Set&& set, F&& f) {
    constexpr int64_t kStretch = 16;
    for (int64_t i = begin; i < end;) {
        if (i + kStretch <= end) {
            int any = 0;
            for (int64_t k = 0; k < kStretch; k++) any |= set(i + k);
            if (any == 0) {
                i += kStretch;
                continue;
            }
        }
        for (int64_t stop = clamp_to(i + kStretch, 0, end); i < stop; i++) f(i);
    }
}

// Every item is written where the next one set belongs, which takes no branches; a block ends with
// its last one set, before it could write into the next.
void nonzero(Context& ctx, const kernels::Nonzero& a) {
    int64_t numel = 1;
    for (int d = 0; d < a.ndim; d++) numel *= a.sizes[d];
    if (numel == 0) return;
    const int64_t* starts = block_starts(ctx, a.counts, numel);
    const int last = a.ndim - 1;
    dispatch_bits(a.dtype, [&](auto bits) {
        using T = decltype(bits.mask);
        const T* p = static_cast<const T*>(a.in);
        for_blocks(numel, [&](int64_t block, int64_t begin, int64_t end) {
            int64_t* out = a.out + starts[block] * a.row_stride;
            const int64_t* const out_end = out + a.counts[block] * a.row_stride;
            const int64_t size = a.sizes[last];
            int64_t index[kMaxDims];
            for (int64_t i = begin; i < end && out != out_end;) {
                const int64_t row = i / size, row_end = clamp_to((row + 1) * size, 0, end);
                for (int64_t d = last - 1, rest = row; d >= 0; d--) {
                    index[d] = rest % a.sizes[d];
                    rest /= a.sizes[d];
                }
                for_stretches(
                    i, row_end, [&](int64_t k) { return bits.nonzero(p[k]); },
                    [&](int64_t k) {
                        if (out == out_end) return;
                        for (int d = 0; d < last; d++) out[d * a.dim_stride] = index[d];
                        out[last * a.dim_stride] = k - row * size;
                        out += a.row_stride & -int64_t(bits.nonzero(p[k]));
                    });
                i = row_end;
            }
        });
    });
}

template <bool pack>
void masked_move(Context& ctx, const kernels::Masked& a) {
    const int64_t* starts = block_starts(ctx, a.counts, a.numel);
    const uint8_t* mask = static_cast<const uint8_t*>(a.mask);
    dispatch_size(item_size(a.dtype), [&](auto tag) {
        using T = typename decltype(tag)::type;
        T* full = static_cast<T*>(a.full);
        for_blocks(a.numel, [&](int64_t block, int64_t begin, int64_t end) {
            T* packed = static_cast<T*>(a.packed) + starts[block];
            const T* const packed_end = packed + a.counts[block];
            for_stretches(
                begin, end, [&](int64_t i) { return mask[i] != 0; },
                [&](int64_t i) {
                    if (packed == packed_end) return;
                    if constexpr (pack) {
                        *packed = full[i];
                    } else if constexpr (std::is_integral_v<T>) {
                        const T chosen = T(-T(mask[i] != 0));
                        full[i] = T((*packed & chosen) | (full[i] & T(~chosen)));
                    } else if (mask[i]) {
                        full[i] = *packed;
                    }
                    packed += mask[i] != 0;
                });
        });
    });
}

}  // namespace

void register_index_mask(Table& table) {
    table.set(kernels::nonzero_count, nonzero_count, kReal);
    table.set(kernels::nonzero, nonzero, kReal);
    table.set(kernels::masked_select, masked_move<true>, kReal | kComplex);
    table.set(kernels::masked_scatter, masked_move<false>, kReal | kComplex);
}

}  // namespace ember::cpu::EMBER_LEVEL
