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

void nonzero(Context& ctx, const kernels::Nonzero& a) {
    int64_t numel = 1;
    for (int d = 0; d < a.ndim; d++) numel *= a.sizes[d];
    if (numel == 0) return;
    const int64_t* starts = block_starts(ctx, a.counts, numel);
    dispatch_bits(a.dtype, [&](auto bits) {
        using T = decltype(bits.mask);
        const T* p = static_cast<const T*>(a.in);
        for_blocks(numel, [&](int64_t block, int64_t begin, int64_t end) {
            int64_t* out = a.out + starts[block] * a.row_stride;
            if (a.counts[block] == 0) return;
            if (a.ndim == 1) {
                for (int64_t i = begin; i < end; i++) {
                    if (!bits.nonzero(p[i])) continue;
                    *out = i;
                    out += a.row_stride;
                }
                return;
            }
            int last = a.ndim - 1;
            int64_t size = a.sizes[last];
            for (int64_t i = begin; i < end;) {
                int64_t row = i / size;
                int64_t row_end = clamp_to((row + 1) * size, 0, end);
                for (; i < row_end; i++) {
                    if (!bits.nonzero(p[i])) continue;
                    out[last * a.dim_stride] = i - row * size;
                    int64_t rest = row;
                    for (int d = last - 1; d > 0; d--) {
                        out[d * a.dim_stride] = rest % a.sizes[d];
                        rest /= a.sizes[d];
                    }
                    out[0] = rest;
                    out += a.row_stride;
                }
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
            for (int64_t i = begin; i < end; i++) {
                if (!mask[i]) continue;
                if constexpr (pack) {
                    *packed++ = full[i];
                } else {
                    full[i] = *packed++;
                }
            }
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
