#include "autograd/record.h"

#include "autograd/engine.h"
#include "autograd/primitives.h"

namespace ember {

namespace {

namespace prim = autograd::primitives;

thread_local std::string first_nan;  // under anomaly mode: the operation that first made a NaN
std::string (*trace_source)() = nullptr;

// The end of a path: adds what arrives to the leaf's .grad. The leaf knows it weakly, so that all
// operations of a graph share one. Python's lock orders its making and its death.
class AccumulateGrad final : public Node {
public:
    explicit AccumulateGrad(Tensor leaf) : Node("AccumulateGrad"), leaf_(std::move(leaf)) {
        sequence = UINT64_MAX;
        add_output(leaf_);
        autograd_meta(leaf_).accumulator = this;
    }
    ~AccumulateGrad() override { leaf_.impl()->meta->accumulator = nullptr; }

    void apply(GradList& grads, GradList&) override {
        if (!grads[0].defined()) return;
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
    explicit Layout(const Tensor& t)
        : sizes(t.sizes()), strides(t.strides()), offset(t.offset()) {}
};

// The origin of a base after one of its views was changed in place by `fn`: the gradient of the
// view's part goes through fn, the rest passes.
class CopySlices final : public Node {
public:
    CopySlices(const Tensor& base, const Tensor& view, Ref<Node> fn)
        : Node("CopySlices"), base_(base), view_(view), fn_(std::move(fn)) {
        next.push_back(gradient_edge(base));
        for (int i = 1; i < fn_->next.size(); i++) next.push_back(fn_->next[i]);
        fn_->outputs.clear();
        fn_->add_output(view);
    }

    void apply(GradList& grads, GradList& results) override {
        if (!fn_) raise_backward_twice(*this);
        if (!grads[0].defined()) return;
        Tensor all = empty_strided(base_.sizes, base_.strides, grads[0].options());
        prim::copy_in_place(all, grads[0]);
        Tensor part =
            prim::as_strided(all, view_.sizes, view_.strides, view_.offset - base_.offset);
        GradList part_grads{prim::clone(part)}, part_results(fn_->next.size());
        fn_->apply(part_grads, part_results);
        for (int i = 1; i < part_results.size(); i++) results[i] = std::move(part_results[i]);
        if (!needs(0)) return;
        if (part_results[0].defined())
            prim::copy_in_place(part, part_results[0]);
        else
            prim::copy_in_place(part, prim::zeros(part.sizes(), part.options()));
        results[0] = all;
    }
    void release_saved() override { fn_.reset(); }

private:
    Layout base_, view_;
    Ref<Node> fn_;
};

Tensor base_of(const Tensor& t) { return Tensor(Ref<TensorImpl>(t.impl()->view_base)); }

void replace_grad_fn(TensorImpl& t, Ref<Node> node, uint32_t output_nr) {
    if (t.grad_fn) t.grad_fn->release();
    t.grad_fn = node.detach();
    t.output_nr = output_nr;
    if (t.retains_grad) t.grad_fn->hooks_for_change().retained.emplace_back(output_nr, &t);
}

// Gives a view the node that derives it from its base as the base is now.
void derive_from_base(const Tensor& view, const Tensor& base) {
    auto backward = [layout = Layout(view), origin = Layout(base)](Backward& bw, const Tensor& g) {
        bw.set(0, prim::as_strided_backward(g, origin.sizes, origin.strides, origin.offset,
                                            layout.sizes, layout.strides, layout.offset));
    };
    Ref<Node> node = make_node("AsStridedBackward0", {base}, std::move(backward));
    uint32_t nr = node->add_output(view);
    replace_grad_fn(*view.impl(), std::move(node), nr);
    view.impl()->attr_version = view.version();
}

}  // namespace

namespace autograd {
void set_trace_source(std::string (*source)()) { trace_source = source; }
}  // namespace autograd

bool any_needs_grad(std::span<const Tensor> tensors) {
    if (!modes::grad_enabled()) return false;
    for (const Tensor& t : tensors)
        if (t.defined() && t.requires_grad()) return true;
    return false;
}

Node* grad_fn(const Tensor& t) {
    TensorImpl& impl = *t.impl();
    if (impl.view_base && impl.attr_version != t.version()) {
        Tensor base = base_of(t);
        if (impl.grad_fn || base.requires_grad()) derive_from_base(t, base);
    }
    return impl.grad_fn;
}

Edge gradient_edge(const Tensor& t) {
    if (!t.defined() || !t.requires_grad()) return {};
    if (Node* node = grad_fn(t)) return {Ref<Node>(node), t.impl()->output_nr};
    AutogradMeta& meta = autograd_meta(t);
    if (meta.accumulator) return {Ref<Node>(meta.accumulator), 0};
    return {Ref<Node>::adopt(new AccumulateGrad(t)), 0};
}

void connect(Node& node, Inputs inputs) {
    for (const Tensor& input : inputs) node.next.push_back(gradient_edge(input));
}

void connect(Node& node, std::span<const Tensor> inputs) {
    node.next.reserve(int(inputs.size()));
    for (const Tensor& input : inputs) node.next.push_back(gradient_edge(input));
}

Saved::Saved(const Tensor& input) : tensor_(input) {
    if (!input.defined()) return;
    version_ = input.version();
    EMBER_CHECK(!input.impl()->inference,
                "inference tensors cannot be saved for backward: clone them outside of "
                "inference_mode first");
}

Saved::Saved(const Tensor& input, const Dest& dest) : Saved(input) {
    if (dest.is_in_place() && input.defined() &&
        input.impl()->storage == dest.tensor().impl()->storage)
        version_--;
}

Saved Saved::output(const Tensor& out, uint32_t output_nr) {
    Saved saved;
    saved.tensor_ = alias(out);
    saved.version_ = out.version();
    saved.output_nr_ = output_nr;
    saved.is_output_ = true;
    return saved;
}

Tensor Saved::get(Node& node) const {
    if (!tensor_.defined()) return {};
    EMBER_CHECK(tensor_.version() == version_,
                "one of the variables needed for gradient computation has been modified by an "
                "inplace operation: a tensor of shape %s that %s saved is at version %u, expected "
                "version %u",
                to_string(tensor_.sizes()).c_str(), node.name().c_str(), tensor_.version(),
                version_);
    if (!is_output_ || !modes::grad_enabled()) return tensor_;
    Tensor out = alias(tensor_);
    node.retain();
    out.impl()->grad_fn = &node;
    out.impl()->output_nr = output_nr_;
    return out;
}

void raise_backward_twice(const Node& node) {
    raise("%s: trying to backward through the graph a second time, but its saved tensors were "
          "freed; pass retain_graph=True to the first backward to keep them",
          node.name().c_str());
}

void set_history(const Tensor& out, Ref<Node> node, const Dest& dest) {
    if (EMBER_UNLIKELY(modes::anomaly_enabled())) note_anomaly(*node, out);
    TensorImpl& impl = *out.impl();
    if (!is_floating(impl.dtype) && !is_complex(impl.dtype)) return;
    if (dest.is_in_place() && impl.view_base) {
        Tensor base = base_of(out);
        auto slices = Ref<Node>::adopt(new CopySlices(base, out, std::move(node)));
        uint32_t nr = slices->add_output(base);
        replace_grad_fn(*base.impl(), std::move(slices), nr);
        derive_from_base(out, base);
        return;
    }
    uint32_t nr = node->add_output(out);
    replace_grad_fn(impl, std::move(node), nr);
}

void note_anomaly(Node& node, const Tensor& out) {
    if (trace_source) node.trace = std::make_shared<std::string>(trace_source());
    if (!first_nan.empty() || !is_floating(out.dtype())) return;
    GradModeGuard no_grad(false);
    if (!prim::has_nan(out)) return;
    first_nan = node.name() + (node.trace ? ", called at\n" + *node.trace : "");
}

namespace autograd {
std::string take_first_nan() { return std::exchange(first_nan, {}); }
}  // namespace autograd

void check_in_place(const char* name, const Tensor& self) {
    TensorImpl& impl = *self.impl();
    EMBER_CHECK(!impl.storage->read_only, "%s: the tensor's memory is read-only", name);
    EMBER_CHECK(!impl.inference || modes::inference_enabled(),
                "%s: inplace update to an inference tensor outside of inference_mode is not "
                "allowed; clone it first",
                name);
    if (!modes::grad_enabled() || !self.requires_grad()) {
        if (!impl.view_base || !impl.view_in_no_grad || !modes::grad_enabled()) return;
    }
    if (impl.view_base) {
        EMBER_CHECK(!impl.view_in_no_grad || !self.requires_grad(),
                    "%s: a view was created in no_grad mode and is being modified in place with "
                    "grad mode enabled",
                    name);
        EMBER_CHECK(!impl.view_of_many,
                    "%s: this view is one of several that one call returned (split, chunk, "
                    "unbind); such views must not be modified in place",
                    name);
        TensorImpl& base = *impl.view_base;
        EMBER_CHECK(!base.requires_grad || base.grad_fn,
                    "%s: a view of a leaf Variable that requires grad is being used in an "
                    "in-place operation",
                    name);
        return;
    }
    EMBER_CHECK(impl.grad_fn,
                "%s: a leaf Variable that requires grad is being used in an in-place operation",
                name);
}

void mark_view(const Tensor& view, const Tensor& base, bool one_of_many) {
    TensorImpl& v = *view.impl();
    TensorImpl* root = base.impl()->view_base ? base.impl()->view_base : base.impl();
    if (v.inference) return;
    root->retain();
    v.view_base = root;
    v.attr_version = view.version();
    v.view_in_no_grad = !modes::grad_enabled() || base.impl()->view_in_no_grad;
    v.view_of_many = one_of_many || base.impl()->view_of_many;
}

}  // namespace ember
