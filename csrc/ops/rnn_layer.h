#pragma once

#include <memory>
#include <vector>

#include "autograd/record.h"
#include "kernels/rnn.h"

namespace ember::ops {

// Of one direction of one layer. Biases are both there or both missing.
struct RnnWeights {
    Tensor input, hidden;  // (G H, I), (G H, P)
    Tensor input_bias, hidden_bias;
    Tensor projection;  // (P, H) or undefined: P is H
};

struct RnnResult {
    Tensor out;   // (rows, P)
    Tensor h, c;  // the last states, (batch, P) and (batch, H); c for Lstm
};

// offsets[t] is the first row of step t in all (rows, …) matrices; the last item counts the rows.
using RnnOffsets = std::shared_ptr<const std::vector<int64_t>>;

// One direction of one layer in float32 or float64 over rows of sequences (kernels/rnn.h), by its
// formula where a device has no kernel or the states are projected. The caller has checked shapes
// and dtypes.
RnnResult rnn_layer(kernels::Rnn::Cell cell, const Tensor& input, const Tensor& h, const Tensor& c,
                    const RnnWeights& weights, const RnnOffsets& offsets, bool reverse);

}  // namespace ember::ops
