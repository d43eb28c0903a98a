#pragma once

#include "core/table.h"
#include "core/view.h"

// softmax(scale * query @ key^T + mask) @ value for every head of every batch; the matrix of
// weights is never in memory. Halves compute in float32, which is then the dtype of masks and
// log_sums.
namespace ember::kernels {

struct Attention {
    // A matrix for each head of each batch; strides count elements and may be 0 in inputs.
    struct Matrices {
        void* data = nullptr;
        int64_t batch = 0, head = 0, row = 0, col = 0;
    };
    int64_t batch = 0, heads = 0;
    int64_t group = 1;  // so many heads of the query in a row share one of key and value
    int64_t queries = 0, keys = 0, width = 0, value_width = 0;
    Matrices query;            // (queries, width)
    Matrices key;              // (keys, width)
    Matrices value;            // (keys, value_width)
    Matrices mask;             // (queries, keys), added to the scores; null: none
    Matrices out;              // (queries, value_width), column stride 1
    void* log_sums = nullptr;  // (batch, heads, queries): log(sum(exp(scores))), or null
    double scale = 1;
    bool causal = false;  // query i sees the keys 0 to i
    DType dtype = DType::Float32;
};
// With a mask a query that sees no key gets zeros, and infinity as its log_sums.
extern Slot<void(Context&, const Attention&)> attention;

// `out` and `log_sums` are what the forward gave.
struct AttentionBackward : Attention {
    Matrices grad;  // of out
    // Column stride 1; null where not wanted.
    Matrices grad_query, grad_key, grad_value;
};
extern Slot<void(Context&, const AttentionBackward&)> attention_backward;

}  // namespace ember::kernels
