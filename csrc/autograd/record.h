#pragma once

#include <atomic>
#include <optional>

#include "autograd/meta.h"
#include "core/modes.h"

// How an operation enters the graph:
//
//     Tensor exp(const Tensor& x, Dest dest) {
//         Tensor out = pointwise(kernels::exp, "exp", {x}, dest);
//         if (needs_grad(x))
//             record("ExpBackward0", out, {x}, dest, [y = Saved::output(out)](Backward& bw, const
//             Tensor& g) {
//                 bw.set(0, mul(g, y.get(bw)));
//             });
//         return out;
//     }
//
// A closure computes the gradients of the inputs; the engine sums them over broadcast dims and
// casts them to the input's dtype, so formulas are plain mathematics. Under create_graph the
// closure runs with gradient mode on, so what it calls must be differentiable; a fused kernel may
// stand beside the formula behind `if (!modes::grad_enabled())`.
namespace ember {

// Where an operation puts its result: a fresh tensor, `out=`, or its first input in place.
class Dest {
public:
    enum class Kind : uint8_t { Fresh, Out, InPlace };
    Dest() = default;
    static Dest out(const Tensor& t) { return {&t, Kind::Out}; }
    static Dest in_place(const Tensor& t) { return {&t, Kind::InPlace}; }
    Kind kind() const { return kind_; }
    bool fresh() const { return kind_ == Kind::Fresh; }
    bool is_in_place() const { return kind_ == Kind::InPlace; }
    const Tensor& tensor() const { return *tensor_; }

private:
    Dest(const Tensor* t, Kind kind) : tensor_(t), kind_(kind) {}
    const Tensor* tensor_ = nullptr;
    Kind kind_ = Kind::Fresh;
};

// Whether an operation on these inputs has to be recorded.
template <class... T>
inline bool needs_grad(const T&... inputs) {
    return modes::grad_enabled() && (... || (inputs.defined() && inputs.requires_grad()));
}
EMBER_EXPORT bool any_needs_grad(std::span<const Tensor> tensors);

// The edge along which the gradient of `t` flows; none where t needs no gradient.
EMBER_EXPORT Edge gradient_edge(const Tensor& t);
// The node that made `t`, made anew for a view whose base changed in place; null for a leaf.
EMBER_EXPORT Node* grad_fn(const Tensor& t);

// Handed to a closure: which gradients are wanted, and where they go.
struct Backward {
    Node& node;
    GradList& results;
    bool needs(int input) const { return node.needs(input); }
    void set(int input, Tensor grad) { results[input] = std::move(grad); }
};

// A tensor as a hook on saved tensors packed it (autograd.graph.saved_tensors_hooks).
class EMBER_EXPORT Packed {
public:
    virtual ~Packed() = default;
    virtual Tensor unpack() = 0;
    Edge edge;  // of an input: where its gradient goes
    void retain() { refs_.fetch_add(1, std::memory_order_relaxed); }
    void release() {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

private:
    std::atomic<uint32_t> refs_{1};
};

// A tensor kept for the backward. Unpacking raises when the tensor was changed in place since.
class EMBER_EXPORT Saved {
public:
    Saved() = default;
    explicit Saved(const Tensor& input);
    // With the destination of the operation: an input that it overwrote is not kept (it would hold
    // its own node) and raises when unpacked.
    Saved(const Tensor& input, const Dest& dest);
    // Kept only if `wanted`: an input that no gradient needs must not live on.
    static Saved when(bool wanted, const Tensor& input, const Dest& dest = {}) {
        return wanted ? Saved(input, dest) : Saved();
    }
    Saved(const Saved&) = default;
    Saved& operator=(const Saved&) = default;
    Saved& operator=(Saved&&) = default;
    Saved(Saved&& other) noexcept
        : tensor_(std::move(other.tensor_)),
          packed_(std::move(other.packed_)),
          version_(other.version_),
          output_nr_(other.output_nr_),
          is_output_(other.is_output_),
          overwritten_(other.overwritten_) {
        moved += defined();
    }
    // Counts moves, from which a closure's node learns whether the closure holds any.
    static thread_local uint32_t moved __attribute__((tls_model("initial-exec")));
    // An output of the operation being recorded: kept without its node, so no cycle.
    static Saved output(const Tensor& out, uint32_t output_nr = 0);
    Tensor get(const Backward& bw) const { return get(bw.node); }
    Tensor get(Node& node) const;
    bool defined() const { return tensor_.defined() || packed_ || overwritten_; }

private:
    void pack();
    Tensor tensor_;
    Ref<Packed> packed_;  // in place of the memory of tensor_
    uint32_t version_ = 0;
    uint32_t output_nr_ : 29 = 0;
    bool is_output_ : 1 = false;
    bool overwritten_ : 1 = false;
};

EMBER_EXPORT const Tensor& copy_original(const Tensor& x, const Tensor& of, Tensor& copy);
// The value of `x` from before an operation that may overwrite it, for the gradient of `of`: where
// it does and `of` wants one, a copy (kept in `copy`); x itself otherwise. To be called before the
// kernel.
inline const Tensor& original(const Tensor& x, const Dest& dest, const Tensor& of, Tensor& copy) {
    if (EMBER_LIKELY(!dest.is_in_place()) || !x.is(dest.tensor())) return x;
    return copy_original(x, of, copy);
}

// A node over a closure. F(Backward&, const Tensor& grad) for one output; F(Backward&, GradList&)
// for several, where undefined gradients stand for zeros.
template <class F>
class ClosureNode final : public Node {
public:
    ClosureNode(const char* name, F f) : Node(name) {
        uint32_t before = Saved::moved;
        f_.emplace(std::move(f));
        holds_saved_ = Saved::moved != before;
    }
    void apply(GradList& grads, GradList& results) override {
        if (EMBER_UNLIKELY(!f_)) raise_released();
        Backward bw{*this, results};
        if constexpr (std::is_invocable_v<F&, Backward&, const Tensor&>) {
            if (grads[0].defined()) (*f_)(bw, grads[0]);
        } else {
            (*f_)(bw, grads);
        }
    }
    // A closure without saved tensors can run again.
    void release_saved() override {
        if (holds_saved_) f_.reset();
    }

private:
    [[noreturn]] void raise_released();
    std::optional<F> f_;
    bool holds_saved_;
};

[[noreturn]] EMBER_EXPORT void raise_backward_twice(const Node& node);
template <class F>
void ClosureNode<F>::raise_released() {
    raise_backward_twice(*this);
}

// Makes `node` the origin of `out`: its next output. In place on a view rewrites the base's
// history; `self_input` is the number of the input that was changed.
EMBER_EXPORT void set_history(const Tensor& out, Ref<Node> node, const Dest& dest,
                              int self_input = 0);
// Makes `node` the origin of `out` by its output `output_nr`, which the node knows already.
EMBER_EXPORT void set_origin(const Tensor& out, Ref<Node> node, uint32_t output_nr);
// `dest` in place: its change is counted already, and views of the same memory lead to where they
// led before it.
EMBER_EXPORT void connect(Node& node, std::initializer_list<TensorRef> inputs, const Dest& dest);
EMBER_EXPORT void connect(Node& node, std::span<const Tensor> inputs);
// Anomaly mode: keeps the trace and notes the first operation whose output has a NaN.
EMBER_EXPORT void note_anomaly(Node& node, const Tensor& out);

using Inputs = std::initializer_list<TensorRef>;

template <class F>
Ref<Node> make_node(const char* name, Inputs inputs, const Dest& dest, F f) {
    auto node = Ref<Node>::adopt(new ClosureNode<F>(name, std::move(f)));
    connect(*node, inputs, dest);
    return node;
}

template <class F>
void record(const char* name, const Tensor& out, Inputs inputs, const Dest& dest, F f) {
    set_history(out, make_node(name, inputs, dest, std::move(f)), dest);
}
template <class F>
void record(const char* name, const Tensor& out, Inputs inputs, F f) {
    set_history(out, make_node(name, inputs, {}, std::move(f)), Dest());
}
// Several outputs; the closure gets all gradients.
template <class F>
void record(const char* name, std::span<const Tensor> outs, Inputs inputs, F f) {
    Ref<Node> node = make_node(name, inputs, {}, std::move(f));
    for (const Tensor& out : outs) set_history(out, node, Dest());
}
template <class F>
void record_list(const char* name, const Tensor& out, std::span<const Tensor> inputs, F f) {
    auto node = Ref<Node>::adopt(new ClosureNode<F>(name, std::move(f)));
    connect(*node, inputs);
    set_history(out, std::move(node), Dest());
}

// Before a change in place: leaf rules, views, inference tensors, read-only memory. `recorded`:
// other inputs of the operation need gradients, so that it will be recorded whatever self is.
EMBER_EXPORT void check_in_place(const char* name, const Tensor& self, bool recorded = false);
// Before a change in place: raises for an operand whose gradient would have no way (a view that
// cannot be derived from its changed base).
EMBER_EXPORT void check_operand(const char* name, const Tensor& t);
// `view` shares memory with `base`: keeps the relation for later changes in place.
EMBER_EXPORT void mark_view(const Tensor& view, const Tensor& base, bool one_of_many = false);

// While set, saved tensors of this thread go through `pack`; returns what was set before.
using PackFunction = Ref<Packed> (*)(const Tensor& data);
EMBER_EXPORT PackFunction set_pack_function(PackFunction pack);

}  // namespace ember
