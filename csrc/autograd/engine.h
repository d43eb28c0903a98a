#pragma once

#include "autograd/record.h"

namespace ember::autograd {

struct BackwardOptions {
    bool retain_graph = false;
    bool create_graph = false;
    bool allow_unused = false;
    bool accumulate = true;  // into leaves' .grad; off for autograd.grad
};

// Runs the graph backward from `roots` with the gradients given (undefined: ones, for one item).
// With `inputs`, returns (or accumulates) the gradients of these alone.
EMBER_EXPORT GradList backward(std::span<const Tensor> roots, std::span<const Tensor> grads,
                               std::span<const Tensor> inputs, const BackwardOptions& options);

// Adds `grad` to the leaf's .grad; steals it where nobody else holds it.
EMBER_EXPORT void accumulate_grad(const Tensor& leaf, Tensor grad);

// Runs f when the backward pass under way in this thread ends; raises outside one.
EMBER_EXPORT void queue_callback(std::function<void()> f);

EMBER_EXPORT uint64_t next_hook_id();
EMBER_EXPORT void set_trace_source(std::string (*source)());

}  // namespace ember::autograd
