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

inline AutogradMeta& autograd_meta(const Tensor& t) {
    if (!t.impl()->meta) t.impl()->meta = new AutogradMeta;
    return *t.impl()->meta;
}

}  // namespace ember
