#pragma once

#include "cuda/common.cuh"

namespace ember::cuda {

// Sorts pairs by their keys' lowest `bits` bits; equal keys keep their order.
void sort_pairs(Context& context, const uint64_t* keys, uint64_t* sorted_keys,
                const int64_t* values, int64_t* sorted_values, int64_t count, int bits);

}  // namespace ember::cuda
