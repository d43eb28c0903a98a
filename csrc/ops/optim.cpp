#include "ops/optim.h"

#include <cmath>

#include "core/modes.h"
#include "kernels/optim.h"
#include "ops/copy.h"
#include "ops/plan.h"

namespace ember::kernels {

EMBER_SLOT(sgd)
EMBER_SLOT(adam)
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

// Runs `step(items, dtype)` for the parameters of each dtype; make_item fills the kernel's item.
template <class Item, class Slot, class MakeItem, class Options>
void for_each_dtype(const Slot& slot, const TensorList& params, MakeItem make_item,
                    const Options& options) {
    GradModeGuard no_grad(false);
    Runs runs;
    SmallVector<Item, 16> items;
    for (uint32_t done = 0; const Tensor& first : params) {
        DType dtype = first.dtype();
        if (done >> int(dtype) & 1) continue;
        done |= 1u << int(dtype);
        slot.require(first.device(), dtype);
        items.clear();
        int64_t numel = 0;
        for (size_t i = 0; i < params.size(); i++) {
            if (params[i].dtype() != dtype) continue;
            items.push_back(make_item(i, runs));
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
    for_each_dtype<kernels::SgdItem>(kernels::sgd, params, item, options);
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
    for_each_dtype<kernels::AdamItem>(kernels::adam, params, item, options);
}

namespace {

// The tensors of a list as dense runs, grouped by dtype: f(items, dtype).
template <class F>
void for_each_run(const char* name, const TensorList& tensors, bool writes, F f) {
    GradModeGuard no_grad(false);
    Runs runs;
    SmallVector<kernels::ListItem, 16> items;
    for (uint32_t done = 0; const Tensor& first : tensors) {
        DType dtype = first.dtype();
        if (done >> int(dtype) & 1) continue;
        done |= 1u << int(dtype);
        EMBER_CHECK(is_floating(dtype), "%s: expected floating point tensors, got %s", name,
                    dtype_name(dtype));
        items.clear();
        for (const Tensor& t : tensors) {
            if (t.dtype() != dtype) continue;
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
