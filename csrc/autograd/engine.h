#pragma once

#include "autograd/record.h"

namespace ember::autograd {

struct BackwardOptions {
    bool retain_graph = false;
    bool create_graph = false;
    bool accumulate = true;  // into leaves' .grad; off for autograd.grad
};

// Runs the graph backward from `roots` with the gradients given (undefined: ones, for one item).
// With `inputs` only what leads to them runs: their gradients are returned (undefined where none
// arrived) or, with `accumulate`, go to the leaves among them and to tensors that retain theirs.
EMBER_EXPORT GradList backward(std::span<const Edge> roots, std::span<const Tensor> grads,
                               std::span<const Edge> inputs, const BackwardOptions& options);

// Adds `grad` to the leaf's .grad; steals it where nobody else holds it.
EMBER_EXPORT void accumulate_grad(const Tensor& leaf, Tensor grad);

// Makes a non-leaf keep its gradient in .grad.
EMBER_EXPORT void retain_grad(const Tensor& t);

// Runs f when the backward pass under way in this thread ends; raises outside one.
EMBER_EXPORT void queue_callback(std::function<void()> f);

EMBER_EXPORT uint64_t next_hook_id();

// Adds gradients of which one or both are wrappers (see TensorImpl); csrc/python knows their class.
EMBER_EXPORT void set_sum_of_wrappers(Tensor (*sum)(const Tensor& a, const Tensor& b));

// Anomaly mode: where the forward of a node's operation is taken from, who hears of a node whose
// backward fails (an exception is on its way), and forgetting the NaN noted first.
EMBER_EXPORT void set_trace_source(Trace (*source)());
EMBER_EXPORT void set_failure_report(void (*report)(const Node& node));
EMBER_EXPORT std::string take_first_nan();
// "called in module 'layers.3' at" and the stack.
EMBER_EXPORT std::string called_at(const Trace& trace);

}  // namespace ember::autograd
