#include "ops/optim.h"

#include <algorithm>
#include <cmath>

#include "core/modes.h"
#include "kernels/optim.h"
#include "ops/copy.h"
#include "ops/plan.h"

namespace ember::kernels {

EMBER_SLOT(sgd)
EMBER_SLOT(adam)
#define EMBER_RULE(name, states, numbers) EMBER_SLOT(name)
#include "kernels/formulas/optim.inc"
decltype(list_norm) list_norm("norm");
decltype(list_scale) list_scale("scale");
decltype(list_zero) list_zero("zero");

}  // namespace ember::kernels

namespace ember::ops {

namespace {

void check_lengths(const char* name, const TensorList& params, const TensorList& other,
                   const char* what) {
    EMBER_CHECK(other.size() == params.size(),
                "%s: expected %zu %s, one for each parameter, got %zu", name, params.size(), what,
                other.size());
}

void check_like(const char* name, const Tensor& param, const Tensor& other, const char* what) {
    EMBER_CHECK(same(param.sizes(), other.sizes()) && param.dtype() == other.dtype(),
                "%s: %s must have the parameter's shape %s and dtype %s, got %s and %s", name, what,
                to_string(param.sizes()).c_str(), dtype_name(param.dtype()),
                to_string(other.sizes()).c_str(), dtype_name(other.dtype()));
    EMBER_CHECK(param.device() == other.device(), "%s: %s must be on %s, got %s", name, what,
                to_string(param.device()).c_str(), to_string(other.device()).c_str());
}

// Memory in the order of `like`'s, for a kernel that walks all operands as one run; what is laid
// out otherwise is copied and, where the kernel writes it, copied back.
class Runs {
public:
    void* read(const Tensor& t, const Tensor& like) { return arranged(t, like).data(); }
    void* write(const char* name, const Tensor& t, const Tensor& like) {
        check_in_place(name, t);
        EMBER_CHECK(!t.has_overlap(), "%s: a tensor to update overlaps itself", name);
        Tensor run = arranged(t, like);
        if (!run.is(t)) back_.emplace_back(t, run);
        t.bump_version();
        return run.data();
    }
    // The layout all operands of one parameter share.
    Tensor layout(const Tensor& param) {
        if (param.is_dense()) return param;
        held_.push_back(empty(param.sizes(), param.options()));
        return held_.back();
    }
    void finish() {
        for (auto& [to, from] : back_) copy_(to, from);
    }

private:
    Tensor arranged(const Tensor& t, const Tensor& like) {
        if (same(t.strides(), like.strides())) return t;
        Tensor copy = empty_like(like);
        copy_(copy, t);
        held_.push_back(copy);
        return copy;
    }
    std::vector<Tensor> held_;
    std::vector<std::pair<Tensor, Tensor>> back_;
};

bool of_one_kind(const Tensor& a, const Tensor& b) {
    return a.dtype() == b.dtype() && a.device() == b.device();
}
// Whether no tensor before number i has its dtype and device.
bool first_of_kind(const TensorList& tensors, size_t i) {
    return std::none_of(tensors.begin(), tensors.begin() + std::ptrdiff_t(i),
                        [&](const Tensor& t) { return of_one_kind(t, tensors[i]); });
}

// Runs the kernel for the parameters of each dtype and device; make_item fills its item. A complex
// parameter is stepped as the real numbers that it consists of.
template <class Item, class Slot, class MakeItem, class Options>
void for_each_kind(const Slot& slot, const TensorList& params, MakeItem make_item,
                   const Options& options) {
    GradModeGuard no_grad(false);
    Runs runs;
    SmallVector<Item, 16> items;
    for (size_t k = 0; k < params.size(); k++) {
        if (!first_of_kind(params, k)) continue;
        const Tensor& first = params[k];
        DType dtype = real_of(first.dtype());
        slot.require(first.device(), dtype);
        items.clear();
        int64_t numel = 0;
        for (size_t i = k; i < params.size(); i++) {
            if (!of_one_kind(params[i], first)) continue;
            items.push_back(make_item(i, runs));
            if (is_complex(first.dtype())) items.back().numel *= 2;
            numel += items.back().numel;
        }
        launch(slot, first.device(), numel, static_cast<const Item*>(items.data()),
               int64_t(items.size()), dtype, options);
    }
    runs.finish();
}

}  // namespace

void fused_sgd_(const TensorList& params, const TensorList& grads,
                const TensorList& momentum_buffers, double lr, double momentum, double dampening,
                double weight_decay, bool nesterov, bool maximize, bool first_step) {
    constexpr const char* name = "sgd";
    check_lengths(name, params, grads, "gradients");
    bool buffers = momentum != 0;
    if (buffers) check_lengths(name, params, momentum_buffers, "momentum buffers");
    auto item = [&](size_t i, Runs& runs) {
        const Tensor& p = params[i];
        Tensor layout = runs.layout(p);
        check_like(name, p, grads[i], "the gradient");
        if (buffers) check_like(name, p, momentum_buffers[i], "the momentum buffer");
        return kernels::SgdItem{runs.write(name, p, layout), runs.read(grads[i], layout),
                                buffers ? runs.write(name, momentum_buffers[i], layout) : nullptr,
                                p.numel(), first_step};
    };
    kernels::Sgd options{lr, momentum, dampening, weight_decay, nesterov, maximize};
    for_each_kind<kernels::SgdItem>(kernels::sgd, params, item, options);
}

void fused_adam_(const TensorList& params, const TensorList& grads, const TensorList& exp_avgs,
                 const TensorList& exp_avg_sqs, const TensorList& max_exp_avg_sqs,
                 const TensorList& steps, double lr, double beta1, double beta2, double eps,
                 double weight_decay, bool decoupled, bool amsgrad, bool maximize) {
    constexpr const char* name = "adam";
    check_lengths(name, params, grads, "gradients");
    check_lengths(name, params, exp_avgs, "first moments");
    check_lengths(name, params, exp_avg_sqs, "second moments");
    check_lengths(name, params, steps, "steps");
    if (amsgrad) check_lengths(name, params, max_exp_avg_sqs, "largest second moments");
    auto item = [&](size_t i, Runs& runs) {
        const Tensor& p = params[i];
        Tensor layout = runs.layout(p);
        check_like(name, p, grads[i], "the gradient");
        check_like(name, p, exp_avgs[i], "the first moment");
        check_like(name, p, exp_avg_sqs[i], "the second moment");
        if (amsgrad) check_like(name, p, max_exp_avg_sqs[i], "the largest second moment");
        const Tensor& step = steps[i];
        EMBER_CHECK(step.dtype() == DType::Float32 && step.numel() == 1 && step.device().is_cpu(),
                    "adam: a step must be a float32 tensor of one element, got %s of shape %s",
                    dtype_name(step.dtype()), to_string(step.sizes()).c_str());
        double count = *step.as<float>() += 1;
        step.bump_version();
        return kernels::AdamItem{runs.write(name, p, layout),
                                 runs.read(grads[i], layout),
                                 runs.write(name, exp_avgs[i], layout),
                                 runs.write(name, exp_avg_sqs[i], layout),
                                 amsgrad ? runs.write(name, max_exp_avg_sqs[i], layout) : nullptr,
                                 p.numel(),
                                 count};
    };
    kernels::Adam options{lr, beta1, beta2, eps, weight_decay, decoupled, maximize};
    for_each_kind<kernels::AdamItem>(kernels::adam, params, item, options);
}

namespace {

struct Rule {
    const char* name;
    size_t states, numbers;
    const kernels::RuleSlot& slot;
};
const Rule kRules[] = {
#define EMBER_RULE(name, states, numbers) {#name, states, numbers, kernels::name},
#include "kernels/formulas/optim.inc"
};

}  // namespace

void fused_step_(std::string_view name, const TensorList& params, const TensorList& grads,
                 const TensorList& states, const std::vector<double>& numbers, double weight_decay,
                 double keep, bool maximize) {
    const Rule* rule = std::find_if(std::begin(kRules), std::end(kRules),
                                    [&](const Rule& r) { return r.name == name; });
    EMBER_CHECK(rule != std::end(kRules), "step: no rule is named %.*s", int(name.size()),
                name.data());
    check_lengths(rule->name, params, grads, "gradients");
    EMBER_CHECK(states.size() == rule->states * params.size() &&
                    numbers.size() == rule->numbers * params.size(),
                "%s: expected %zu states and %zu numbers for each of %zu parameters, got %zu and "
                "%zu in all",
                rule->name, rule->states, rule->numbers, params.size(), states.size(),
                numbers.size());
    auto item = [&](size_t i, Runs& runs) {
        const Tensor& p = params[i];
        Tensor layout = runs.layout(p);
        check_like(rule->name, p, grads[i], "the gradient");
        kernels::RuleItem item{
            runs.write(rule->name, p, layout), runs.read(grads[i], layout), {}, p.numel(), {}};
        for (size_t k = 0; k < rule->states; k++) {
            const Tensor& state = states[i * rule->states + k];
            check_like(rule->name, p, state, "the state");
            item.states[k] = runs.write(rule->name, state, layout);
        }
        std::copy_n(&numbers[i * rule->numbers], rule->numbers, item.numbers);
        return item;
    };
    kernels::RuleOptions options{weight_decay, keep, maximize};
    for_each_kind<kernels::RuleItem>(rule->slot, params, item, options);
}

namespace {

// The tensors of a list as dense runs, grouped by dtype and device: f(items, dtype, device).
template <class F>
void for_each_run(const char* name, const TensorList& tensors, bool writes, F f) {
    GradModeGuard no_grad(false);
    Runs runs;
    SmallVector<kernels::ListItem, 16> items;
    for (size_t k = 0; k < tensors.size(); k++) {
        if (!first_of_kind(tensors, k)) continue;
        const Tensor& first = tensors[k];
        DType dtype = first.dtype();
        EMBER_CHECK(is_floating(dtype), "%s: expected floating point tensors, got %s", name,
                    dtype_name(dtype));
        items.clear();
        for (const Tensor& t : tensors) {
            if (!of_one_kind(t, first)) continue;
            Tensor layout = runs.layout(t);
            items.push_back(
                {writes ? runs.write(name, t, layout) : runs.read(t, layout), t.numel()});
        }
        f(items, dtype, first.device());
    }
    runs.finish();
}

}  // namespace

Tensor list_norm(const TensorList& tensors, double p) {
    EMBER_CHECK(p == 2 || p == INFINITY, "norm: p must be 2 or inf for a list, got %g", p);
    double total = 0;
    DType result = tensors.empty() ? modes::default_dtype() : result_type(tensors);
    for_each_run("norm", tensors, false, [&](auto& items, DType dtype, Device device) {
        Tensor norm = empty({}, {DType::Float64, device});
        launch(kernels::list_norm, device, 0, static_cast<const kernels::ListItem*>(items.data()),
               int64_t(items.size()), dtype, p, norm.as<double>());
        double part = read_item<double>(norm);
        bool larger = part > total || std::isnan(part);
        total = p == 2 ? std::hypot(total, part) : larger ? part : total;
    });
    Tensor out = wrapped_number(number(total));
    out.impl()->wrapped_number = false;
    out = to_dtype(out, result);
    return tensors.empty() ? out : to_device(out, tensors[0].device());
}

void list_scale_(const TensorList& tensors, double factor) {
    for_each_run("scale", tensors, true, [&](auto& items, DType dtype, Device device) {
        launch(kernels::list_scale, device, 0, static_cast<const kernels::ListItem*>(items.data()),
               int64_t(items.size()), dtype, factor);
    });
}

}  // namespace ember::ops
