#pragma once

#include "autograd/node.h"

namespace ember {

// The part of a tensor's autograd state that only some tensors have: leaves with a gradient,
// tensors with hooks.
struct AutogradMeta {
    Tensor grad;
    Node* accumulator = nullptr;  // weak: the node of a leaf; it clears this when it dies
    HookList<GradHook> hooks;     // of a leaf; others keep theirs in their node
    HookList<std::function<void(const Tensor& leaf)>> after_accumulate;
};

EMBER_EXPORT void destroy_autograd_meta(AutogradMeta* meta);
EMBER_EXPORT void release_node(Node* node);
// The node of a tensor that kept its .grad must not know it longer than it lives.
EMBER_EXPORT void forget_retained_grad(TensorImpl* impl);

inline AutogradMeta& autograd_meta(const Tensor& t) {
    if (!t.impl()->meta) t.impl()->meta = new AutogradMeta;
    return *t.impl()->meta;
}

}  // namespace ember
