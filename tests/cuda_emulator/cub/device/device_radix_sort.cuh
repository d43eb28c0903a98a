#pragma once

#include <numeric>
#include <vector>

#include "cuda_runtime.h"

namespace cub {

struct DeviceRadixSort {
    template <class K, class V>
    static cudaError_t SortPairs(void* memory, size_t& bytes, const K* keys, K* sorted_keys,
                                 const V* values, V* sorted_values, int64_t count, int begin_bit,
                                 int end_bit, cudaStream_t) {
        bytes = 1;
        if (!memory) return cudaSuccess;
        auto part = [&](int64_t i) {
            return keys[i] << (64 - end_bit) >> (64 - end_bit + begin_bit);
        };
        emulator::launch(1, 1, [&] {
            std::vector<int64_t> order(count);
            std::iota(order.begin(), order.end(), int64_t(0));
            std::stable_sort(order.begin(), order.end(),
                             [&](int64_t a, int64_t b) { return part(a) < part(b); });
            for (int64_t i = 0; i < count; i++) {
                sorted_keys[i] = keys[order[i]];
                sorted_values[i] = values[order[i]];
            }
        });
        return cudaSuccess;
    }
};

}  // namespace cub
