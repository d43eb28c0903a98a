#include <cub/device/device_radix_sort.cuh>

#include "cuda/sort_pairs.h"

namespace ember::cuda {

void sort_pairs(Context& context, const uint64_t* keys, uint64_t* sorted_keys,
                const int64_t* values, int64_t* sorted_values, int64_t count, int bits) {
    size_t bytes = 0;
    auto sort = [&](void* memory) {
        check(context.operation,
              cub::DeviceRadixSort::SortPairs(memory, bytes, keys, sorted_keys, values,
                                              sorted_values, count, 0, bits, stream_of(context)));
    };
    sort(nullptr);  // asks for the bytes alone
    sort(context.scratch(bytes));
}

}  // namespace ember::cuda
