#include "autograd/engine.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <vector>

#include "autograd/primitives.h"
#include "core/backend.h"
#include "core/profiler.h"
#include "core/unlock.h"

namespace ember::autograd {

namespace {

namespace prim = primitives;

bool sole_owner(const Tensor& t) {
    const TensorImpl& impl = *t.impl();
    return impl.refs.load(std::memory_order_acquire) == 1 &&
           impl.storage->refs.load(std::memory_order_acquire) == 1 && !impl.view_base;
}

Tensor (*sum_of_wrappers)(const Tensor& a, const Tensor& b) = nullptr;

bool has_wrapper(const Tensor& a, const Tensor& b) {
    return a.impl()->wrapper || b.impl()->wrapper;
}

void add_gradient(Tensor& sum, Tensor grad) {
    if (!sum.defined()) {
        sum = std::move(grad);
    } else if (!modes::grad_enabled() && !has_wrapper(sum, grad) && sole_owner(sum) &&
               sum.dtype() == grad.dtype() && !sum.has_overlap()) {
        prim::add_in_place(sum, grad);
    } else if (EMBER_UNLIKELY(has_wrapper(sum, grad))) {
        sum = sum_of_wrappers(sum, grad);
    } else {
        sum = prim::add(sum, grad);
    }
}

bool broadcasts_to(IntSpan from, IntSpan to) {
    if (from.size() > to.size()) return false;
    size_t lead = to.size() - from.size();
    for (size_t d = 0; d < from.size(); d++)
        if (from[d] != 1 && from[d] != to[lead + d]) return false;
    return true;
}

// The gradient as its receiver needs it: summed over dims the forward broadcast, in its dtype.
Tensor fit_gradient(Tensor grad, const GradMeta& meta, const Node& from, int index) {
    if (EMBER_UNLIKELY(!same(grad.sizes(), meta.sizes))) {
        EMBER_CHECK(broadcasts_to(meta.sizes, grad.sizes()),
                    "Function %s returned an invalid gradient at index %d: got %s but expected "
                    "shape compatible with %s",
                    from.name().c_str(), index, to_string(grad.sizes()).c_str(),
                    to_string(meta.sizes).c_str());
        grad = prim::sum_to_size(grad, meta.sizes);
    }
    if (EMBER_UNLIKELY(grad.dtype() != meta.dtype)) {
        EMBER_CHECK(
            is_floating(grad.dtype()) || is_complex(grad.dtype()),
            "Function %s returned an invalid gradient at index %d: expected dtype %s but got %s",
            from.name().c_str(), index, dtype_name(meta.dtype), dtype_name(grad.dtype()));
        grad = prim::cast(grad, meta.dtype);
    }
    if (EMBER_UNLIKELY(grad.device() != meta.device) && grad.dim() == 0)
        grad =
            prim::to_device(grad, meta.device);  // a number of the CPU went beside a GPU's tensors
    EMBER_CHECK(
        grad.device() == meta.device,
        "Function %s returned an invalid gradient at index %d: expected device %s but got %s",
        from.name().c_str(), index, to_string(meta.device).c_str(),
        to_string(grad.device()).c_str());
    return grad;
}

// Where a node of a GPU runs; a CPU's has no place of its own.
Device gpu_of(const Node& node) { return node.outputs.empty() ? Device() : node.outputs[0].device; }

struct Entry {
    explicit Entry(Node* n) : node(n) {}
    Node* node;
    int dependencies = 0;
    bool needed = true;     // runs
    bool captured = false;  // is a target
    bool queued = false;    // as a root
    GradList grads;
};

// Node to entry, by open addressing; small graphs stay within the object.
class EntryMap {
public:
    EntryMap() { entries_.reserve(32); }
    int find(const Node* node) const {
        for (size_t at = slot(node);; at = (at + 1) & mask_) {
            int index = table()[at];
            if (index < 0 || entries_[index].node == node) return index;
        }
    }
    int insert(Node* node) {  // not yet in the map
        if (entries_.size() * 2 > mask_) grow();
        entries_.emplace_back(node);
        place(int(entries_.size()) - 1);
        return int(entries_.size()) - 1;
    }
    Entry& operator[](int i) { return entries_[i]; }
    size_t size() const { return entries_.size(); }

private:
    static constexpr size_t kInline = 64;
    size_t slot(const Node* node) const {
        return (reinterpret_cast<uintptr_t>(node) * 0x9E3779B97F4A7C15u >> 32) & mask_;
    }
    const int* table() const { return mask_ < kInline ? inline_ : heap_.data(); }
    int* table() { return mask_ < kInline ? inline_ : heap_.data(); }
    void place(int index) {
        size_t at = slot(entries_[index].node);
        while (table()[at] >= 0) at = (at + 1) & mask_;
        table()[at] = index;
    }
    void grow() {
        mask_ = mask_ * 4 + 3;
        heap_.assign(mask_ + 1, -1);
        for (int i = 0; i < int(entries_.size()); i++) place(i);
    }
    std::vector<Entry> entries_;
    size_t mask_ = kInline - 1;
    struct Filled {
        int values[kInline];
        Filled() { std::fill(values, values + kInline, -1); }
        operator int*() { return values; }
        operator const int*() const { return values; }
    } inline_;
    std::vector<int> heap_;
};

struct Capture {
    int entry;
    uint32_t input_nr;
    int result;
};

thread_local std::vector<std::function<void()>>* callbacks = nullptr;
void (*failure_report)(const Node&) = nullptr;

// The hooks as they are now: a hook may add and remove hooks.
template <class F>
auto snapshot(const HookList<F>& hooks) {
    return hooks.items;
}

class Pass {
public:
    Pass(std::span<const Edge> targets, const BackwardOptions& options)
        : options_(options), targets_(targets) {}

    void add_root(const Edge& edge, Tensor grad) {
        int index = map_.find(edge.node.get());
        if (index < 0) {
            index = map_.insert(edge.node.get());
            discover(index);
        }
        receive(index, edge.input_nr, std::move(grad));
        roots_.push_back(index);
    }

    GradList run() {
        GradList results(int(targets_.size()));
        if (!targets_.empty()) mark_targets();
        for (int root : roots_) {
            // A root given twice, or reached from another root, is started once.
            Entry& entry = map_[root];
            if (entry.dependencies == 0 && !std::exchange(entry.queued, true)) push(root);
        }
        while (!ready_.empty()) {
            std::pop_heap(ready_.begin(), ready_.end());
            int index = ready_.back().second;
            ready_.pop_back();
            visit(index, results);
        }
        // What the caller queues next comes after all that ran elsewhere.
        for (auto [device, stream] : streams_)
            cuda_runtime()->wait_stream(current_gpu(), current_stream(current_gpu()), device.index,
                                        stream);
        return results;
    }

private:
    void discover(int first) {
        std::vector<int> stack{first};
        while (!stack.empty()) {
            int index = stack.back();
            stack.pop_back();
            Node* node = map_[index].node;
            for (const Edge& edge : node->next) {
                if (!edge) continue;
                int to = map_.find(edge.node.get());
                if (to < 0) {
                    to = map_.insert(edge.node.get());
                    stack.push_back(to);
                }
                map_[to].dependencies++;
            }
        }
    }

    // Keeps only nodes from which a target can be reached. What leads to a kept node is kept, so
    // that a kept node gets all of its gradient.
    void mark_targets() {
        for (size_t i = 0; i < map_.size(); i++) map_[int(i)].needed = false;
        for (size_t t = 0; t < targets_.size(); t++) {
            int index = targets_[t] ? map_.find(targets_[t].node.get()) : -1;
            if (index < 0) continue;
            map_[index].captured = true;
            if (!options_.accumulate)
                captures_.push_back({index, targets_[t].input_nr, int(t)});
            else if (map_[index].node->leaf())
                map_[index].needed = true;
        }
        std::vector<std::pair<int, int>> stack;
        std::vector<bool> seen(map_.size());
        for (int root : roots_) {
            if (seen[size_t(root)]) continue;
            seen[size_t(root)] = true;
            stack.emplace_back(root, 0);
            while (!stack.empty()) {
                auto& [index, at] = stack.back();
                Node* node = map_[index].node;
                if (at == node->next.size()) {
                    for (const Edge& edge : node->next) {
                        if (!edge) continue;
                        const Entry& to = map_[map_.find(edge.node.get())];
                        map_[index].needed |= to.needed || to.captured;
                    }
                    stack.pop_back();
                    continue;
                }
                const Edge& edge = node->next[at++];
                if (!edge) continue;
                int to = map_.find(edge.node.get());
                if (seen[size_t(to)]) continue;
                seen[size_t(to)] = true;
                stack.emplace_back(to, 0);
            }
        }
    }

    void push(int index) {
        ready_.emplace_back(map_[index].node->sequence, index);
        std::push_heap(ready_.begin(), ready_.end());
    }

    void receive(int index, uint32_t input_nr, Tensor grad) {
        Entry& entry = map_[index];
        if (entry.grads.empty()) entry.grads.resize(std::max(entry.node->outputs.size(), 1));
        // Formulas would read the items that it does not have.
        EMBER_CHECK(!grad.impl()->wrapper || entry.node->leaf(),
                    "backward: %s cannot take a sparse gradient", entry.node->name().c_str());
        std::optional<StreamGuard> receiver;
        if (Device gpu = gpu_of(*entry.node); EMBER_UNLIKELY(!gpu.is_cpu())) {
            // Made on the current stream, added up and used on the receiver's.
            void *from = current_stream(gpu.index), *to = entry.node->stream;
            if (from != to) {
                cuda_runtime()->wait_stream(gpu.index, to, gpu.index, from);
                record_stream(grad, to);
            }
            receiver.emplace(gpu, to);
        }
        add_gradient(entry.grads[input_nr], std::move(grad));
    }

    void run_tensor_hooks(Node& node, GradList& grads) {
        auto call = [](const HookList<GradHook>& hooks, Tensor& grad) {
            for (auto& [id, hook] : snapshot(hooks))
                if (Tensor changed = hook(grad); changed.defined()) grad = std::move(changed);
        };
        if (const Tensor* leaf = node.leaf()) {
            AutogradMeta& meta = autograd_meta(*leaf);
            if (!meta.hooks.items.empty() && grads[0].defined()) call(meta.hooks, grads[0]);
        }
        if (!node.hooks) return;
        for (size_t i = 0; i < node.hooks->tensor.size(); i++) {
            uint32_t output = node.hooks->tensor[i].first;
            if (grads[output].defined()) call(node.hooks->tensor[i].second, grads[output]);
        }
        if (node.hooks->retained.empty()) return;
        SmallVector<std::pair<uint32_t, Tensor>, 2> retained;  // they may die under the additions
        for (auto [output, impl] : node.hooks->retained)
            retained.emplace_back(output, Tensor(Ref<TensorImpl>(impl)));
        for (auto& [output, tensor] : retained) {
            if (!grads[output].defined()) continue;
            AutogradMeta& meta = autograd_meta(tensor);
            meta.grad = meta.grad.defined() ? prim::add(meta.grad, grads[output])
                                            : prim::clone(grads[output]);
        }
    }

    void apply(Node& node, GradList& grads, GradList& outs) {
        if (EMBER_LIKELY(!node.hooks)) {
            node.apply(grads, outs);
            return;
        }
        for (auto& [id, hook] : snapshot(node.hooks->pre)) hook(grads);
        if (node.hooks->post.items.empty()) {
            node.apply(grads, outs);
            return;
        }
        GradList kept = grads;
        node.apply(grads, outs);
        for (auto& [id, hook] : snapshot(node.hooks->post)) hook(outs, kept);
    }

    void visit(int index, GradList& results) {
        Ref<Node> node(map_[index].node);
        profiler::Range range;
        if (EMBER_UNLIKELY(profiler::recording()) && map_[index].needed)
            range.begin({.name = node->name(),
                         .kind = profiler::Kind::Backward,
                         .sequence = node->leaf() ? -1 : int64_t(node->sequence)});
        std::optional<StreamGuard> place;
        if (Device gpu = gpu_of(*node); EMBER_UNLIKELY(!gpu.is_cpu())) {
            std::pair here(gpu, node->stream);
            if (node->stream != current_stream(gpu.index) &&
                std::find(streams_.begin(), streams_.end(), here) == streams_.end())
                streams_.push_back(here);
            place.emplace(gpu, node->stream);
        }
        GradList grads = std::move(map_[index].grads);
        if (grads.empty()) grads.resize(std::max(node->outputs.size(), 1));
        run_tensor_hooks(*node, grads);
        if (map_[index].captured)
            for (const Capture& capture : captures_)
                if (capture.entry == index) results[capture.result] = grads[capture.input_nr];
        if (!map_[index].needed) return;
        GradList outs(node->next.size());
        {
            Running running(*node, !options_.retain_graph, unwanted_inputs(*node));
            apply(*node, grads, outs);
        }
        if (EMBER_UNLIKELY(modes::anomaly_enabled())) check_nan(*node, outs);
        grads.clear();
        for (int i = 0; i < node->next.size(); i++) {
            const Edge& edge = node->next[i];
            if (!edge) continue;
            int to = map_.find(edge.node.get());
            if (outs[i].defined() && (map_[to].needed || map_[to].captured))
                receive(to, edge.input_nr,
                        fit_gradient(std::move(outs[i]), edge.node->outputs[int(edge.input_nr)],
                                     *node, i));
            if (--map_[to].dependencies == 0 && (map_[to].needed || map_[to].captured)) push(to);
        }
    }

    // The inputs of a node, the first 64 by bit, from which no target can be reached.
    uint64_t unwanted_inputs(const Node& node) {
        if (targets_.empty()) return 0;
        uint64_t unwanted = 0;
        for (int i = 0; i < std::min(node.next.size(), 64); i++) {
            if (!node.next[i]) continue;
            const Entry& to = map_[map_.find(node.next[i].node.get())];
            unwanted |= uint64_t(!to.needed && !to.captured) << i;
        }
        return unwanted;
    }

    // Around a call of apply. What the node saved is freed when the last call ends: another pass,
    // of this thread or of one that ran while a kernel let Python's lock go, may be in it.
    class Running {
    public:
        Running(Node& node, bool release, uint64_t unwanted) : node_(node), release_(release) {
            // Two passes in one node may want different gradients.
            node_.unwanted = node_.running++ == 0 ? unwanted : 0;
        }
        ~Running() {
            if (--node_.running != 0) return;
            node_.unwanted = 0;
            bool failed = std::uncaught_exceptions() > exceptions_;
            if (EMBER_UNLIKELY(failed)) {
                if (modes::anomaly_enabled() && failure_report) failure_report(node_);
            } else if (release_) {
                node_.release_saved();
            }
        }

    private:
        Node& node_;
        bool release_;
        int exceptions_ = std::uncaught_exceptions();
    };

    void check_nan(const Node& node, const GradList& outs) {
        if (!modes::anomaly_check_nan()) return;
        GradModeGuard no_grad(false);
        for (int i = 0; i < outs.size(); i++) {
            if (!outs[i].defined() || is_integral(outs[i].dtype()) || !prim::has_nan(outs[i]))
                continue;
            std::string first = take_first_nan();
            raise("Function '%s' returned nan values in its output %d.%s%s%s%s",
                  node.name().c_str(), i, node.trace ? " Its forward was " : "",
                  node.trace ? called_at(*node.trace).c_str() : "",
                  first.empty() ? "" : "\nThe first forward that made a NaN: ", first.c_str());
        }
    }

    const BackwardOptions& options_;
    std::span<const Edge> targets_;
    EntryMap map_;
    SmallVector<int, 2> roots_;
    std::vector<Capture> captures_;
    std::vector<std::pair<uint64_t, int>> ready_;
    SmallVector<std::pair<Device, void*>, 2> streams_;  // other than the caller's that nodes ran on
};

// Two threads may add to one leaf while a kernel works without Python's lock; so the leaf is
// locked, and who waits for it lets Python's lock go, or the first could not finish.
class LeafLock {
public:
    explicit LeafLock(const TensorImpl* leaf)
        : mutex_(mutexes[(reinterpret_cast<uintptr_t>(leaf) >> 8) % kMutexes]) {
        if (EMBER_LIKELY(mutex_.try_lock())) return;
        void* token = unlock_interpreter ? unlock_interpreter() : nullptr;
        mutex_.lock();
        if (token) relock_interpreter(token);
    }
    ~LeafLock() { mutex_.unlock(); }
    LeafLock(const LeafLock&) = delete;

private:
    static constexpr size_t kMutexes = 64;
    static inline std::mutex mutexes[kMutexes];
    std::mutex& mutex_;
};

// The gradient a pass starts from.
Tensor first_gradient(const Edge& root, const Tensor& given, size_t i) {
    EMBER_CHECK(root,
                "backward: element %zu of tensors does not require grad and does not have a "
                "grad_fn",
                i);
    const GradMeta& meta = root.node->outputs[int(root.input_nr)];
    if (!given.defined()) {
        int64_t numel = 1;
        for (int64_t size : meta.sizes) numel *= size;
        EMBER_CHECK(
            numel == 1,
            "backward: grad can be implicitly created only for scalar outputs, got shape %s",
            to_string(meta.sizes).c_str());
        EMBER_CHECK(!is_complex(meta.dtype),
                    "backward: grad can be implicitly created only for real scalar outputs but got "
                    "%s",
                    dtype_name(meta.dtype));
        return prim::ones(meta.sizes, {meta.dtype, meta.device});
    }
    EMBER_CHECK(
        same(given.sizes(), meta.sizes),
        "backward: Mismatch in shape: grad_output[%zu] has a shape of %s and output[%zu] has "
        "a shape of %s",
        i, to_string(given.sizes()).c_str(), i, to_string(meta.sizes).c_str());
    if (given.dtype() == meta.dtype) return given;
    EMBER_CHECK(
        !is_complex(given.dtype()) && !is_complex(meta.dtype),
        "backward: for complex tensors, both grad_output and output must have one dtype, got "
        "grad_output[%zu] of dtype %s and output[%zu] of dtype %s",
        i, dtype_name(given.dtype()), i, dtype_name(meta.dtype));
    EMBER_CHECK(is_floating(given.dtype()) || is_complex(given.dtype()),
                "backward: grad_output[%zu] must be of a floating point dtype, got %s", i,
                dtype_name(given.dtype()));
    return prim::cast(given, meta.dtype);
}

}  // namespace

void accumulate_grad(const Tensor& leaf, Tensor grad) {
    LeafLock lock(leaf.impl());
    AutogradMeta& meta = autograd_meta(leaf);
    bool graph = modes::grad_enabled();
    if (meta.grad.defined()) {
        Tensor sum = meta.grad;  // .grad may be set to another while a kernel runs
        if (EMBER_UNLIKELY(has_wrapper(sum, grad)))
            meta.grad = sum_of_wrappers(sum, grad);
        else if (graph)
            meta.grad = prim::add(sum, grad);
        else
            prim::add_in_place(sum, grad);
        return;
    }
    if (EMBER_UNLIKELY(grad.impl()->wrapper)) {
        meta.grad = std::move(grad);
        return;
    }
    bool steal = !graph && sole_owner(grad) && same(grad.strides(), leaf.strides()) &&
                 grad.is_dense() && !grad.impl()->storage->read_only;
    if (steal) {
        meta.grad = std::move(grad);
    } else if (graph) {
        meta.grad = prim::clone(grad);
    } else {
        Tensor fresh = empty_like(leaf, grad.dtype());
        prim::copy_in_place(fresh, grad);
        meta.grad = std::move(fresh);
    }
}

void retain_grad(const Tensor& t) {
    EMBER_CHECK(t.requires_grad(),
                "retain_grad: can't retain_grad on Tensor that has "
                "requires_grad=False");
    Node* node = grad_fn(t);
    if (!node || t.impl()->retains_grad) return;
    node->hooks_for_change().retained.emplace_back(t.impl()->output_nr, t.impl());
    t.impl()->retains_grad = true;
}

GradList backward(std::span<const Edge> roots, std::span<const Tensor> grads,
                  std::span<const Edge> inputs, const BackwardOptions& options) {
    std::vector<std::function<void()>> queued;
    auto* outer = std::exchange(callbacks, &queued);
    struct Restore {
        std::vector<std::function<void()>>* outer;
        ~Restore() { callbacks = outer; }
    } restore{outer};
    GradModeGuard mode(options.create_graph);
    Pass pass(inputs, options);
    for (size_t i = 0; i < roots.size(); i++)
        pass.add_root(roots[i],
                      first_gradient(roots[i], i < grads.size() ? grads[i] : Tensor(), i));
    GradList results = pass.run();
    for (size_t i = 0; i < queued.size(); i++) {
        auto callback = std::move(queued[i]);  // it may queue others
        callback();
    }
    return results;
}

void queue_callback(std::function<void()> f) {
    EMBER_CHECK(callbacks != nullptr, "queue_callback: no backward pass is under way");
    callbacks->push_back(std::move(f));
}

uint64_t next_hook_id() {
    static std::atomic<uint64_t> next{0};
    return next++;
}

void set_sum_of_wrappers(Tensor (*sum)(const Tensor&, const Tensor&)) { sum_of_wrappers = sum; }

void set_failure_report(void (*report)(const Node&)) { failure_report = report; }

}  // namespace ember::autograd
