#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/tensor.h"

namespace ember {

using GradList = SmallVector<Tensor, 4>;

struct Edge {
    Ref<Node> node;
    uint32_t input_nr = 0;
    explicit operator bool() const { return bool(node); }
};

// What the gradient of one forward output has to look like; the engine sums and casts to it.
struct GradMeta {
    SmallVector<int64_t, 4> sizes;
    DType dtype = DType::Float32;
    Device device;
};

// Hooks in the order of registration; ids let handles remove them. A hook on a gradient returns
// the gradient to go on with, or an undefined tensor to leave it.
using GradHook = std::function<Tensor(const Tensor& grad)>;
using NodePreHook = std::function<void(GradList& grads)>;
using NodePostHook = std::function<void(GradList& inputs_grads, const GradList& outputs_grads)>;
template <class F>
struct HookList {
    std::vector<std::pair<uint64_t, F>> items;
    void add(uint64_t id, F f) { items.emplace_back(id, std::move(f)); }
    bool remove(uint64_t id) {
        return std::erase_if(items, [&](auto& item) { return item.first == id; }) > 0;
    }
};

struct NodeHooks {
    std::vector<std::pair<uint32_t, HookList<GradHook>>> tensor;  // by output number
    std::vector<std::pair<uint32_t, TensorImpl*>> retained;       // weak: tensors that keep .grad
    HookList<NodePreHook> pre;
    HookList<NodePostHook> post;
    std::shared_ptr<void> metadata;  // Python's `grad_fn.metadata`
};

// Where the forward of an operation ran.
struct Trace {
    std::string module;  // dotted path of the module that it ran in, or nothing
    std::string stack;   // of Python
};

// One differentiable operation that ran. Inputs of apply are the gradients of the forward's
// outputs, its results the gradients of the forward's inputs, one for each edge of `next`.
class EMBER_EXPORT Node {
public:
    explicit Node(const char* node_name);
    Node(const Node&) = delete;
    virtual ~Node() = default;

    // `grads` may hold undefined tensors, which stand for zeros.
    virtual void apply(GradList& grads, GradList& results) = 0;
    // Frees what was saved; applying afterwards raises.
    virtual void release_saved() {}
    virtual const Tensor* leaf() const { return nullptr; }  // of an AccumulateGrad
    virtual std::string name() const { return name_; }

    bool needs(int input) const {
        return input < next.size() && next[input] && !(input < 64 && unwanted >> input & 1);
    }
    NodeHooks& hooks_for_change() {
        if (!hooks) hooks = std::make_unique<NodeHooks>();
        return *hooks;
    }
    uint32_t add_output(const Tensor& output);
    static uint64_t next_sequence();  // of this thread's next node

    void retain() { refs_.fetch_add(1, std::memory_order_relaxed); }
    void release() {
        if (refs_.load(std::memory_order_acquire) == 1 ||
            refs_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            destroy(this);
    }
    uint32_t use_count() const { return refs_.load(std::memory_order_relaxed); }

    SmallVector<Edge, 3> next;
    SmallVector<GradMeta, 1> outputs;
    uint64_t sequence;       // forward order within a thread; the engine goes backward by it
    void* stream = nullptr;  // of a GPU: what the forward ran on and the gradient will
    uint32_t running = 0;    // calls of apply under way: what it saved is not freed under them
    uint64_t unwanted = 0;   // inputs, by bit, that the pass under way needs no gradients of
    std::unique_ptr<NodeHooks> hooks;
    std::shared_ptr<Trace> trace;  // under anomaly mode
    void* pyobject = nullptr;      // weak: its Python object, while there is one

    static void* operator new(size_t bytes);
    static void operator delete(void* p, size_t bytes);

protected:
    const char* name_;

private:
    // Iterative: a chain of a million nodes is freed without recursion.
    static void destroy(Node* node);
    std::atomic<uint32_t> refs_{1};
    Node* next_dead_ = nullptr;
};

}  // namespace ember
