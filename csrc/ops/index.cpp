#include "ops/index.h"

#include "kernels/index.h"

namespace ember::ops {
Tensor index_add(const Tensor&, int64_t, const Tensor&, const Tensor&, Number, const Dest&) {
    raise("index_add: not yet");
}
}  // namespace ember::ops
