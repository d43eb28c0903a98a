#pragma once

#include "autograd/record.h"

namespace ember::ops {

// softmax(scale * query @ key^T + mask) @ value; query (…, L, E), key (…, S, E), value (…, S, Ev).
// The leading dims broadcast; `mask`, bool or added to the scores, to (…, L, S). A scale that is
// not given is 1 / sqrt(E). With `grouped`, dim -3 of key and value may be a divisor of the
// query's.
Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                    const Tensor& mask, double dropout_p, bool causal,
                                    std::optional<double> scale, bool grouped);

}  // namespace ember::ops
