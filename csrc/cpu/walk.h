#pragma once

#include <cstdint>

#include "core/view.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

// Counts through a box of dimensions, innermost first, and keeps N offsets along.
template <int N>
struct Walk {
    int ndim = 0;
    int64_t sizes[kMaxDims];
    int64_t strides[N][kMaxDims];
    int64_t index[kMaxDims];
    int64_t offset[N];

    template <class... S>
    EMBER_INLINE void push(int64_t size, S... stride) {
        static_assert(sizeof...(S) == N);
        int64_t given[N] = {int64_t(stride)...};
        sizes[ndim] = size;
        for (int k = 0; k < N; k++) strides[k][ndim] = given[k];
        ndim++;
    }
    EMBER_INLINE int64_t numel() const {
        int64_t n = 1;
        for (int d = 0; d < ndim; d++) n *= sizes[d];
        return n;
    }
    EMBER_INLINE void start(int64_t position) {
        for (int k = 0; k < N; k++) offset[k] = 0;
        for (int d = 0; d < ndim; d++) {
            index[d] = position == 0 ? 0 : position % sizes[d];
            position /= sizes[d];
            for (int k = 0; k < N; k++) offset[k] += index[d] * strides[k][d];
        }
    }
    // Steps `count` positions forward, at most to the end of the innermost dimension.
    EMBER_INLINE void next(int64_t count = 1) {
        for (int d = 0; d < ndim; d++) {
            for (int k = 0; k < N; k++) offset[k] += count * strides[k][d];
            index[d] += count;
            if (index[d] < sizes[d]) return;
            count = 1;
            for (int k = 0; k < N; k++) offset[k] -= sizes[d] * strides[k][d];
            index[d] = 0;
        }
    }
};

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
