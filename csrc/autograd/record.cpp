#include "autograd/record.h"

#include "autograd/engine.h"
#include "autograd/primitives.h"

namespace ember {

namespace {

namespace prim = autograd::primitives;

thread_local std::string first_nan;  // under anomaly mode: the operation that first made a NaN
Trace (*trace_source)() = nullptr;

// The end of a path: adds what arrives to the leaf's .grad. The leaf knows it weakly, so that all
// operations of a graph share one. Python's lock orders its making and its death.
class AccumulateGrad final : public Node {
public:
    explicit AccumulateGrad(Tensor leaf) : Node("AccumulateGrad"), leaf_(std::move(leaf)) {
        sequence = UINT64_MAX;
        add_output(leaf_);
        autograd_meta(leaf_).accumulator = this;
    }
    ~AccumulateGrad() override {
        AutogradMeta& meta = *leaf_.impl()->meta;
        if (meta.accumulator == this) meta.accumulator = nullptr;
    }

    void apply(GradList& grads, GradList&) override {
        if (!grads[0].defined() || !leaf_.impl()->requires_grad) return;
        autograd::accumulate_grad(leaf_, std::move(grads[0]));
        AutogradMeta& meta = autograd_meta(leaf_);
        if (meta.after_accumulate.items.empty()) return;
        auto after = meta.after_accumulate.items;  // hooks may add and remove hooks
        for (auto& [id, hook] : after) hook(leaf_);
    }
    const Tensor* leaf() const override { return &leaf_; }

private:
    Tensor leaf_;
};

// How a view lies in its base's memory.
struct Layout {
    Dims sizes, strides;
    int64_t offset;
    DType dtype;
    explicit Layout(const Tensor& t)
        : sizes(t.sizes()), strides(t.strides()), offset(t.offset()), dtype(t.dtype()) {}

    // The same memory as numbers of the parts of complex ones.
    Layout parts() const {
        Layout real = *this;
        if (!is_complex(dtype)) return real;
        for (int64_t& s : real.strides) s *= 2;
        real.sizes.push_back(2);
        real.strides.push_back(1);
        real.offset *= 2;
        real.dtype = real_of(dtype);
        return real;
    }
};

// The part of `all`, which lies as `base` does, where `view` lies. One may be complex and the other
// real: view_as_real and view_as_complex make such views.
Tensor part_of(const Tensor& all, const Layout& base, const Layout& view) {
    if (EMBER_LIKELY(base.dtype == view.dtype))
        return prim::as_strided(all, view.sizes, view.strides, view.offset - base.offset);
    Layout real = view.parts();
    Tensor part = prim::as_strided(is_complex(base.dtype) ? prim::view_as_real(all) : all,
                                   real.sizes, real.strides, real.offset - base.parts().offset);
    return is_complex(view.dtype) ? prim::view_as_complex(part) : part;
}

// The gradient of a base from that of its view.
Tensor spread_to_base(const Tensor& g, const Layout& base, const Layout& view) {
    if (EMBER_LIKELY(base.dtype == view.dtype))
        return prim::as_strided_backward(g, base.sizes, base.strides, base.offset, view.sizes,
                                         view.strides, view.offset);
    Layout from = base.parts(), to = view.parts();
    Tensor spread =
        prim::as_strided_backward(is_complex(view.dtype) ? prim::view_as_real(g) : g, from.sizes,
                                  from.strides, from.offset, to.sizes, to.strides, to.offset);
    return is_complex(base.dtype) ? prim::view_as_complex(spread) : spread;
}

// The origin of a base after one of its views was changed in place by `fn`: the gradient of the
// view's part goes through fn, the rest passes. Edge 0 leads to the base as it was; the others are
// fn's without the edge of the view.
class CopySlices final : public Node {
public:
    CopySlices(const Tensor& base, const Tensor& view, Ref<Node> fn, int self_input)
        : Node("CopySlices"), base_(base), view_(view), fn_(std::move(fn)), self_(self_input) {
        next.push_back(gradient_edge(base));
        for (int i = 0; i < fn_->next.size(); i++)
            if (i != self_) next.push_back(fn_->next[i]);
        fn_->outputs.clear();
        fn_->add_output(view);
        if (view.numel() == 0 && base_.dtype == view_.dtype)
            view_.offset = base_.offset;  // it may lie behind the end
    }

    void apply(GradList& grads, GradList& results) override {
        if (!fn_) raise_backward_twice(*this);
        if (!grads[0].defined()) return;
        Ref<Node> fn = fn_;
        Tensor all = empty_strided(base_.sizes, base_.strides, grads[0].options());
        prim::copy_in_place(all, grads[0]);
        Tensor part = part_of(all, base_, view_);
        GradList part_grads{prim::clone(part)}, part_results(fn->next.size());
        fn->apply(part_grads, part_results);
        for (int i = 0, to = 1; i < part_results.size(); i++)
            if (i != self_) results[to++] = std::move(part_results[i]);
        if (!needs(0)) return;
        Tensor& passed = part_results[self_];
        prim::copy_in_place(part,
                            passed.defined() ? passed : prim::zeros(part.sizes(), part.options()));
        results[0] = all;
    }
    void release_saved() override { fn_.reset(); }

private:
    Layout base_, view_;
    Ref<Node> fn_;
    int self_;
};

Tensor base_of(const Tensor& t) { return Tensor(Ref<TensorImpl>(t.impl()->view_base)); }

void replace_grad_fn(TensorImpl& t, Ref<Node> node, uint32_t output_nr) {
    if (EMBER_UNLIKELY(t.retains_grad)) {
        forget_retained_grad(&t);
        node->hooks_for_change().retained.emplace_back(output_nr, &t);
    }
    if (t.grad_fn) t.grad_fn->release();
    t.grad_fn = node.detach();
    t.output_nr = output_nr;
}

[[noreturn]] void raise_unclear_view(const char* name, ViewOrigin origin, const char* what) {
    switch (origin) {
        case ViewOrigin::Plain: break;
        case ViewOrigin::NoGrad:
            raise(
                "%s: a view was created in no_grad mode and %s modified inplace with grad mode "
                "enabled; move both the view and the change into the no_grad block, or both out "
                "of it",
                name, what);
        case ViewOrigin::Inference:
            raise(
                "%s: a view was created in inference mode and %s modified inplace in normal "
                "mode; move both the view and the change into the inference_mode block, or both "
                "out of it",
                name, what);
        case ViewOrigin::Many:
            raise(
                "%s: a view is one of several that one call returned (split, chunk, unbind) and "
                "%s modified inplace; use an operation that is not in place",
                name, what);
        case ViewOrigin::Function:
            raise(
                "%s: a view was created inside a custom Function (or is an input it returned as "
                "it was) and %s modified inplace, which would override the Function's own "
                "backward; return a clone from the Function",
                name, what);
    }
    raise("%s: unknown origin of a view", name);
}

// Gives a view the node that derives it from its base as the base is now.
void derive_from_base(const Tensor& view, const Tensor& base) {
    TensorImpl& impl = *view.impl();
    if (impl.view_origin != ViewOrigin::Plain)
        raise_unclear_view("grad_fn", impl.view_origin, "its base or another view of its base was");
    GradModeGuard record(true);
    auto backward = [layout = Layout(view), origin = Layout(base)](Backward& bw, const Tensor& g) {
        bw.set(0, spread_to_base(g, origin, layout));
    };
    Ref<Node> node = make_node("AsStridedBackward0", {base}, {}, std::move(backward));
    uint32_t nr = node->add_output(view);
    replace_grad_fn(impl, std::move(node), nr);
    impl.attr_version = view.version();
}

thread_local PackFunction pack_function __attribute__((tls_model("initial-exec"))) = nullptr;

}  // namespace

namespace autograd {
void set_trace_source(Trace (*source)()) { trace_source = source; }
}  // namespace autograd

bool any_needs_grad(std::span<const Tensor> tensors) {
    if (!modes::grad_enabled()) return false;
    for (const Tensor& t : tensors)
        if (t.defined() && t.requires_grad()) return true;
    return false;
}

Node* grad_fn(const Tensor& t) {
    TensorImpl& impl = *t.impl();
    if (EMBER_UNLIKELY(impl.view_base && impl.attr_version != t.version())) {
        Tensor base = base_of(t);
        if (impl.grad_fn || base.requires_grad()) derive_from_base(t, base);
    }
    return impl.grad_fn;
}

Edge gradient_edge(const Tensor& t) {
    if (!t.defined() || !t.requires_grad()) return {};
    if (Node* node = grad_fn(t)) return {Ref<Node>(node), t.impl()->output_nr};
    if (!t.impl()->requires_grad) return {};  // a view of a leaf, made without gradients
    AutogradMeta& meta = autograd_meta(t);
    if (meta.accumulator) return {Ref<Node>(meta.accumulator), 0};
    return {Ref<Node>::adopt(new AccumulateGrad(t)), 0};
}

void connect(Node& node, Inputs inputs, const Dest& dest) {
    for (const Tensor& input : inputs) {
        TensorImpl* view = nullptr;
        if (EMBER_UNLIKELY(dest.is_in_place()) && input.defined() && input.is_view() &&
            input.shares_version(dest.tensor()) &&
            input.impl()->attr_version + 1 == input.version())
            view = input.impl();
        if (view) view->attr_version++;
        node.next.push_back(gradient_edge(input));
        if (view) view->attr_version--;
    }
}

void connect(Node& node, std::span<const Tensor> inputs) {
    node.next.reserve(int(inputs.size()));
    for (const Tensor& input : inputs) node.next.push_back(gradient_edge(input));
}

thread_local uint32_t Saved::moved = 0;

PackFunction set_pack_function(PackFunction pack) { return std::exchange(pack_function, pack); }

Saved::Saved(const Tensor& input) : tensor_(input) {
    if (!input.defined()) return;
    version_ = input.version();
    EMBER_CHECK(!input.impl()->inference,
                "inference tensors cannot be saved for backward; clone them outside of "
                "inference_mode, or use no_grad in its place");
    if (EMBER_UNLIKELY(pack_function != nullptr)) pack();
}

Saved::Saved(const Tensor& input, const Dest& dest) {
    if (EMBER_UNLIKELY(dest.is_in_place() && input.defined() &&
                       input.shares_version(dest.tensor())))
        overwritten_ = true;
    else
        *this = Saved(input);
}

Saved Saved::output(const Tensor& out, uint32_t output_nr) {
    Saved saved;
    saved.tensor_ = alias(out);
    saved.version_ = out.version();
    saved.output_nr_ = output_nr;
    saved.is_output_ = true;
    if (EMBER_UNLIKELY(pack_function != nullptr)) saved.pack();
    return saved;
}

void Saved::pack() {
    Ref<Packed> packed = pack_function(is_output_ ? tensor_ : alias(tensor_));
    if (!packed) return;
    if (!is_output_) packed->edge = gradient_edge(tensor_);
    packed_ = std::move(packed);
    tensor_ = Tensor();
}

namespace {

[[noreturn]] void raise_modified(const Node& node) {
    raise(
        "%s: one of the variables needed for gradient computation has been modified by an inplace "
        "operation: a tensor that it saved was overwritten by the operation itself",
        node.name().c_str());
}

// The same memory as an output of `edge`'s node.
Tensor attached(const Tensor& data, const Edge& edge) {
    Tensor t = alias(data);
    if (!edge) return t;
    edge.node->retain();
    t.impl()->grad_fn = edge.node.get();
    t.impl()->output_nr = edge.input_nr;
    return t;
}

}  // namespace

Tensor Saved::get(Node& node) const {
    if (EMBER_UNLIKELY(overwritten_)) raise_modified(node);
    if (EMBER_UNLIKELY(bool(packed_))) {
        Tensor data = packed_->unpack();
        if (!modes::grad_enabled()) return data;
        return attached(data, is_output_ ? Edge{Ref<Node>(&node), output_nr_} : packed_->edge);
    }
    if (!tensor_.defined()) return {};
    EMBER_CHECK(tensor_.version() == version_,
                "%s: one of the variables needed for gradient computation has been modified by an "
                "inplace operation: a tensor of shape %s is at version %u; expected version %u",
                node.name().c_str(), to_string(tensor_.sizes()).c_str(), tensor_.version(),
                version_);
    if (!is_output_ || !modes::grad_enabled()) return tensor_;
    return attached(tensor_, {Ref<Node>(&node), output_nr_});
}

const Tensor& copy_original(const Tensor& x, const Tensor& of, Tensor& copy) {
    if (!needs_grad(of)) return x;
    copy = prim::clone(x);
    return copy;
}

void raise_backward_twice(const Node& node) {
    raise(
        "%s: trying to backward through the graph a second time, but its saved tensors were "
        "freed; pass retain_graph=True to the first backward to keep them",
        node.name().c_str());
}

void set_history(const Tensor& out, Ref<Node> node, const Dest& dest, int self_input) {
    if (EMBER_UNLIKELY(modes::anomaly_enabled())) note_anomaly(*node, out);
    TensorImpl& impl = *out.impl();
    if (!is_floating(impl.dtype) && !is_complex(impl.dtype)) return;
    if (dest.is_in_place() && impl.view_base) {
        Tensor base = base_of(out);
        auto slices = Ref<Node>::adopt(new CopySlices(base, out, std::move(node), self_input));
        uint32_t nr = slices->add_output(base);
        replace_grad_fn(*base.impl(), std::move(slices), nr);
        // The view's own node is made when it is asked for, as for any other view of the base.
        impl.attr_version = out.version() - 1;
        if (impl.retains_grad) derive_from_base(out, base);
        return;
    }
    uint32_t nr = node->add_output(out);
    replace_grad_fn(impl, std::move(node), nr);
}

void set_origin(const Tensor& out, Ref<Node> node, uint32_t output_nr) {
    replace_grad_fn(*out.impl(), std::move(node), output_nr);
    out.impl()->attr_version = out.version();
}

void note_anomaly(Node& node, const Tensor& out) {
    if (trace_source) node.trace = std::make_shared<Trace>(trace_source());
    if (!first_nan.empty() || is_integral(out.dtype())) return;
    GradModeGuard no_grad(false);
    if (!prim::has_nan(out)) return;
    first_nan = node.name() + (node.trace ? ", " + autograd::called_at(*node.trace) : "");
}

namespace autograd {
std::string take_first_nan() { return std::exchange(first_nan, {}); }

std::string called_at(const Trace& trace) {
    std::string in = trace.module.empty() ? "" : " in module '" + trace.module + "'";
    return "called" + in + " at\n" + trace.stack;
}
}  // namespace autograd

void check_in_place(const char* name, const Tensor& self, bool recorded) {
    const TensorImpl& impl = *self.impl();
    EMBER_CHECK(!impl.storage->read_only, "%s: the tensor's memory is read-only", name);
    EMBER_CHECK(!impl.inference || modes::inference_enabled(),
                "%s: inplace update to an inference tensor outside of inference_mode is not "
                "allowed; clone it first",
                name);
    if (!modes::grad_enabled()) return;
    bool requires_grad = self.requires_grad();
    if (!requires_grad && !recorded) return;
    if (impl.view_base) {
        if (impl.view_origin != ViewOrigin::Plain)
            raise_unclear_view(name, impl.view_origin, "is being");
        EMBER_CHECK(!requires_grad || impl.view_base->grad_fn,
                    "%s: a view of a leaf Variable that requires grad is being used in an in-place "
                    "operation",
                    name);
        return;
    }
    EMBER_CHECK(!requires_grad || impl.grad_fn,
                "%s: a leaf Variable that requires grad is being used in an in-place operation",
                name);
}

void check_operand(const char* name, const Tensor& t) {
    const TensorImpl& impl = *t.impl();
    if (EMBER_LIKELY(!impl.view_base) || impl.view_origin == ViewOrigin::Plain ||
        impl.attr_version == t.version() || !needs_grad(t))
        return;
    raise_unclear_view(name, impl.view_origin, "its base or another view of its base was");
}

void mark_view(const Tensor& view, const Tensor& base, bool one_of_many) {
    TensorImpl& v = *view.impl();
    TensorImpl* root = base.impl()->view_base ? base.impl()->view_base : base.impl();
    // Other bits have no gradient, but for the parts of complex numbers.
    if (v.inference || real_of(v.dtype) != real_of(root->dtype)) return;
    root->retain();
    v.view_base = root;
    v.attr_version = view.version();
    if (EMBER_UNLIKELY(one_of_many))
        v.view_origin = ViewOrigin::Many;
    else if (EMBER_UNLIKELY(!modes::grad_enabled()))
        v.view_origin = modes::inference_enabled() ? ViewOrigin::Inference : ViewOrigin::NoGrad;
    else
        v.view_origin = base.impl()->view_origin;
}

}  // namespace ember
