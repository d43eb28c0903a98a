#pragma once

#include <memory>

#include "autograd/meta.h"
#include "python/reader.h"
#include "python/ref.h"

// Python callables as hooks on tensors and nodes.
namespace ember::python {

// The callable, shared by the list it is called from and by the handle that takes it away. A list
// drops cells without a callable when another is added.
struct HookCell {
    PyRef fn;
};
using HookRef = std::shared_ptr<HookCell>;

struct TensorHook {
    HookRef cell;
    Tensor operator()(const Tensor& grad) const;
};
struct LeafHook {  // after the gradient was accumulated
    HookRef cell;
    void operator()(const Tensor& leaf) const;
};
struct NodeBeforeHook {
    HookRef cell;
    void operator()(GradList& grads) const;
};
struct NodeAfterHook {
    HookRef cell;
    void operator()(GradList& results, const GradList& grads) const;
};

// Adds a hook of type H (one of the above) that calls `fn`; returns the handle that removes it.
template <class H, class F>
PyObject* add_hook(HookList<F>& list, PyObject* fn);

// For the garbage collector: the callables of hooks that nobody else can reach.
int visit_hooks(const NodeHooks& hooks, visitproc visit, void* arg);
int visit_hooks(const AutogradMeta& meta, visitproc visit, void* arg);

// Gradients as Python sees them (None for undefined) and back.
PyRef grads_to_tuple(const GradList& grads);
void tuple_to_grads(PyObject* tuple, GradList& grads, const char* hook);

PyRef call(PyObject* fn, std::initializer_list<PyObject*> args);  // throws PythonError

bool add_hooks(PyObject* module);

}  // namespace ember::python
