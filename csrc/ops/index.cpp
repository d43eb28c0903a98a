#include "ops/index.h"

#include "kernels/index.h"

namespace ember::kernels {
decltype(index_select) index_select("index_select");
decltype(index_add) index_add("index_add");
decltype(embedding_backward) embedding_backward("embedding");
decltype(gather) gather("gather");
decltype(scatter) scatter("scatter");
decltype(scatter_add) scatter_add("scatter_add");
decltype(index_get) index_get("index");
decltype(index_put) index_put("index_put");
decltype(nonzero_count) nonzero_count("nonzero");
decltype(nonzero) nonzero("nonzero");
decltype(masked_select) masked_select("masked_select");
decltype(masked_scatter) masked_scatter("masked_scatter");
}  // namespace ember::kernels

namespace ember::ops {
Tensor index_add(const Tensor&, int64_t, const Tensor&, const Tensor&, Number, const Dest&) {
    raise("index_add: not yet");
}
}  // namespace ember::ops
