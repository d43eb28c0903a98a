#pragma once

#include "cuda/common.cuh"

namespace ember::cuda {

// Division of numbers below 2^31 by one that is known before (Granlund and Montgomery, 1994).
struct Divider {
    uint32_t divisor = 1, magic = 1, shift = 0;

    Divider() = default;
    explicit Divider(int64_t d) : divisor(uint32_t(d)) {
        while ((uint64_t(1) << shift) < divisor) shift++;
        uint64_t excess = (uint64_t(1) << shift) - divisor;
        magic = uint32_t((excess << 32) / divisor + 1);
    }
    EMBER_DEVICE uint32_t divide(uint32_t n) const { return (__umulhi(n, magic) + n) >> shift; }
};

constexpr int kLayoutDims = 24;  // more would not fit a kernel's arguments; plans coalesce before

// Dimensions, innermost first, with strides of N operands: from an item's number to its offsets.
template <int N>
struct Layout {
    int ndim = 0;
    bool wide = false;  // numbers do not fit the dividers
    Divider divider[kLayoutDims];
    int64_t sizes[kLayoutDims];
    int64_t strides[N][kLayoutDims];

    template <class... S>
    void push(const char* operation, int64_t size, S... stride) {
        static_assert(sizeof...(S) == N);
        if (size == 1) return;
        if (ndim == kLayoutDims)
            raise(ErrorKind::NotImplemented,
                  "%s: CUDA kernels take at most %d dims that cannot be "
                  "merged",
                  operation, kLayoutDims);
        sizes[ndim] = size;
        int k = 0;
        ((strides[k++][ndim] = stride), ...);
        ndim++;
    }
    // After the last dimension.
    int64_t finish() {
        int64_t numel = 1;
        for (int d = 0; d < ndim; d++) numel *= sizes[d];
        wide = numel >= int64_t(1) << 31;
        for (int d = 0; d < ndim && !wide && numel > 0; d++) divider[d] = Divider(sizes[d]);
        return numel;
    }

    EMBER_DEVICE void offsets(int64_t item, int64_t (&at)[N]) const {
        for (int k = 0; k < N; k++) at[k] = 0;
        for (int d = 0; d < ndim; d++) {
            int64_t position;
            if (d == ndim - 1) {
                position = item;
            } else if (wide) {
                int64_t rest = item / sizes[d];
                position = item - rest * sizes[d];
                item = rest;
            } else {
                uint32_t rest = divider[d].divide(uint32_t(item));
                position = uint32_t(item) - rest * divider[d].divisor;
                item = rest;
            }
            for (int k = 0; k < N; k++) at[k] += position * strides[k][d];
        }
    }
};

}  // namespace ember::cuda
