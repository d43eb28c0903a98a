#include "cuda/index.cuh"

// A block of threads a block of kNonzeroBlock items: first it counts, then it writes behind what
// the blocks before it have.
namespace ember::cuda {
namespace {

using kernels::kNonzeroBlock;

// Zero by bits; a float's sign does not count.
template <class T>
struct Unsigned {
    T mask;
    EMBER_DEVICE bool nonzero(T x) const { return (x & mask) != 0; }
};

template <class F>
void dispatch_bits(DType dtype, F&& f) {
    int clear = is_floating(dtype) ? 1 : 0;
    switch (item_size(dtype)) {
        case 1: return f(Unsigned<uint8_t>{uint8_t(0xff)});
        case 2: return f(Unsigned<uint16_t>{uint16_t(uint16_t(0xffff) >> clear)});
        case 4: return f(Unsigned<uint32_t>{~uint32_t(0) >> clear});
        default: return f(Unsigned<uint64_t>{~uint64_t(0) >> clear});
    }
}

template <class T>
__global__ void count_kernel(const T* in, Unsigned<T> bits, int64_t numel, int64_t* counts) {
    for (int64_t block = blockIdx.x; block * kNonzeroBlock < numel; block += gridDim.x) {
        int64_t begin = block * kNonzeroBlock;
        int64_t end = begin + kNonzeroBlock < numel ? begin + kNonzeroBlock : numel;
        int count = 0;
        for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x)
            count += bits.nonzero(in[i]);
        count = add_block(count);
        if (threadIdx.x == 0) counts[block] = count;
        __syncthreads();
    }
}

// write(i, how many nonzero items come before) for each nonzero item i.
template <class T, class Write>
__global__ void __launch_bounds__(kThreads)
    fill_kernel(const T* in, Unsigned<T> bits, int64_t numel, const int64_t* counts,
                const __grid_constant__ Write write) {
    __shared__ int warps[kThreads / 32];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int64_t block = blockIdx.x; block * kNonzeroBlock < numel; block += gridDim.x) {
        long long before = 0;
        for (int64_t b = threadIdx.x; b < block; b += blockDim.x) before += counts[b];
        int64_t rank = add_block(before);
        int64_t begin = block * kNonzeroBlock;
        int64_t end = begin + kNonzeroBlock < numel ? begin + kNonzeroBlock : numel;
        for (int64_t first = begin; first < end; first += kThreads) {
            int64_t i = first + threadIdx.x;
            bool set = i < end && bits.nonzero(in[i]);
            unsigned ballot = __ballot_sync(~0u, set);
            if (lane == 0) warps[warp] = __popc(ballot);
            __syncthreads();
            int64_t mine = rank + __popc(ballot & ((1u << lane) - 1));
            for (int w = 0; w < kThreads / 32; w++) {
                if (w < warp) mine += warps[w];
                rank += warps[w];
            }
            if (set) write(i, mine);
            __syncthreads();
        }
    }
}

unsigned blocks_of(int64_t numel) { return blocks_for(numel, kNonzeroBlock); }

void nonzero_count(Context& context, const void* in, DType dtype, int64_t numel, int64_t* counts) {
    if (numel == 0) return;
    dispatch_bits(dtype, [&](auto bits) {
        using T = decltype(bits.mask);
        run(context, count_kernel<T>, blocks_of(numel), dim3(kThreads), static_cast<const T*>(in),
            bits, numel, counts);
    });
}

struct WriteIndex {
    int ndim;
    int64_t sizes[kMaxDims];
    int64_t* out;
    int64_t row_stride, dim_stride;
    EMBER_DEVICE void operator()(int64_t i, int64_t row) const {
        for (int d = ndim - 1; d >= 0; d--) {
            out[row * row_stride + d * dim_stride] = i % sizes[d];
            i /= sizes[d];
        }
    }
};

void nonzero(Context& context, const kernels::Nonzero& a) {
    int64_t numel = 1;
    WriteIndex write{a.ndim, {}, a.out, a.row_stride, a.dim_stride};
    for (int d = 0; d < a.ndim; d++) numel *= write.sizes[d] = a.sizes[d];
    if (numel == 0) return;
    dispatch_bits(a.dtype, [&](auto bits) {
        using T = decltype(bits.mask);
        run(context, fill_kernel<T, WriteIndex>, blocks_of(numel), dim3(kThreads),
            static_cast<const T*>(a.in), bits, numel, a.counts, write);
    });
}

template <class T, bool pack>
struct Move {
    T *full, *packed;
    EMBER_DEVICE void operator()(int64_t i, int64_t rank) const {
        if constexpr (pack)
            packed[rank] = full[i];
        else
            full[i] = packed[rank];
    }
};

template <bool pack>
void masked_move(Context& context, const kernels::Masked& a) {
    if (a.numel == 0) return;
    dispatch_size(item_size(a.dtype), [&](auto tag) {
        using T = typename decltype(tag)::type;
        Move<T, pack> move{static_cast<T*>(a.full), static_cast<T*>(a.packed)};
        run(context, fill_kernel<uint8_t, Move<T, pack>>, blocks_of(a.numel), dim3(kThreads),
            static_cast<const uint8_t*>(a.mask), Unsigned<uint8_t>{0xff}, a.numel, a.counts, move);
    });
}

}  // namespace

void register_index_mask(const Table& table) {
    table.set(kernels::nonzero_count, nonzero_count, kReal);
    table.set(kernels::nonzero, nonzero, kReal);
    table.set(kernels::masked_select, masked_move<true>, kReal | kComplex);
    table.set(kernels::masked_scatter, masked_move<false>, kReal | kComplex);
}

}  // namespace ember::cuda
