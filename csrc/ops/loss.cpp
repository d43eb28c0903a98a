#include "ops/loss.h"

#include <cmath>

#include "kernels/loss.h"
#include "ops/copy.h"
#include "ops/factory.h"
#include "ops/formula.h"
#include "ops/softmax.h"
#include "ops/view.h"

namespace ember::kernels {

EMBER_SLOT(cross_entropy)
EMBER_SLOT(cross_entropy_backward)
EMBER_SLOT(nll_loss)
EMBER_SLOT(nll_loss_backward)

}  // namespace ember::kernels

namespace ember::ops {

namespace {

using kernels::LossReduction;

// `size_average` and `reduce` are what PyTorch had before `reduction`.
LossReduction read_reduction(const char* name, std::string_view reduction,
                             std::optional<bool> size_average, std::optional<bool> reduce) {
    if (size_average || reduce) {
        if (!reduce.value_or(true)) return LossReduction::None;
        return size_average.value_or(true) ? LossReduction::Mean : LossReduction::Sum;
    }
    if (reduction == "mean") return LossReduction::Mean;
    if (reduction == "sum") return LossReduction::Sum;
    if (reduction == "none") return LossReduction::None;
    raise_value("%s: reduction must be 'none', 'mean' or 'sum', got '%.*s'", name,
                int(reduction.size()), reduction.data());
}

Tensor reduced(const Tensor& loss, LossReduction reduction) {
    if (reduction == LossReduction::None) return loss;
    if (reduction == LossReduction::Sum) return sum(loss);
    return mean(loss, std::nullopt, false, std::nullopt, {});
}

// Checks a loss with class indices and fills in the kernel's layout; tensors it made stay in
// `held`.
struct ClassProblem {
    kernels::ClassLoss k;
    Tensor input, target, weight;
    int class_dim;

    ClassProblem(const char* name, const Tensor& x, const Tensor& t, const Tensor& w,
                 int64_t ignore_index, LossReduction reduction) {
        EMBER_CHECK(x.dim() >= 1, "%s: expected an input with at least 1 dim, got 0", name);
        if (!is_floating(x.dtype()))
            raise(ErrorKind::NotImplemented, "%s: expected a floating point input, got %s", name,
                  dtype_name(x.dtype()));
        EMBER_CHECK(is_integral(t.dtype()) && t.dtype() != DType::Bool,
                    "%s: expected class indices of dtype int64, got %s", name,
                    dtype_name(t.dtype()));
        class_dim = x.dim() == 1 ? 0 : 1;
        Dims expected(x.sizes());
        expected.erase(class_dim);
        if (!same(t.sizes(), expected)) {
            // ValueError where PyTorch raises it: for batches of other sizes, and for three dims.
            bool batches = t.dim() > 0 && x.dim() > 1 && t.impl()->sizes[0] != expected[0];
            raise(batches || x.dim() == 3 || x.dim() > 4 ? ErrorKind::Value : ErrorKind::Runtime,
                  "%s: expected target of shape %s for input %s, got %s", name,
                  to_string(expected).c_str(), to_string(x.sizes()).c_str(),
                  to_string(t.sizes()).c_str());
        }
        k.classes = x.impl()->sizes[class_dim];
        EMBER_CHECK(
            !w.defined() || (w.dim() == 1 && w.numel() == k.classes && w.dtype() == x.dtype()),
            "%s: weight must have shape (%ld,) and dtype %s, got %s and %s", name, long(k.classes),
            dtype_name(x.dtype()), to_string(w.sizes()).c_str(), dtype_name(w.dtype()));
        check_same_device(name, x, t);
        check_same_device(name, x, w);
        input = contiguous(x);
        target = contiguous(to_dtype(t, DType::Int64));
        weight = w.defined() ? contiguous(w) : w;
        k.operation = name;
        k.input = input.data();
        k.target = target.as<int64_t>();
        k.weight = weight.defined() ? weight.data() : nullptr;
        k.n = class_dim == 0 ? 1 : x.impl()->sizes[0];
        for (int d = 2; d < x.dim(); d++) k.inner *= x.impl()->sizes[d];
        k.ignore_index = ignore_index;
        k.reduction = reduction;
        k.dtype = x.dtype();
    }
    Tensor loss_tensor() const {
        return k.reduction == LossReduction::None ? empty(target.sizes(), input.options())
                                                  : empty({}, input.options());
    }
};

// q, (…, C, …): how much of each class's negative log-probability a row's loss has; no gradient.
Tensor class_shares(const kernels::ClassLoss& k, const Tensor& input, const Tensor& target,
                    const Tensor& weight, int class_dim) {
    GradModeGuard no_grad(false);
    Dims column(input.dim());
    for (int64_t& c : column) c = 1;
    column[class_dim] = k.classes;
    Tensor classes = reshape(arange(number(k.classes), std::nullopt, number(int64_t(1)),
                                    DType::Int64, input.device(), false),
                             column);
    Tensor place = unsqueeze(target, class_dim);
    Tensor w = weight.defined() ? reshape(detach(weight), column)
                                : full(column, number(int64_t(1)), input.options());
    Tensor hit = to_dtype(eq(classes, place), input.dtype());
    Tensor q = mul(mul(hit, w), 1 - k.label_smoothing);
    if (k.label_smoothing > 0) q = add(q, mul(w, k.label_smoothing / double(k.classes)));
    return masked_fill(q, eq(place, wrapped_number(number(k.ignore_index))),
                       wrapped_number(number(0.0)));
}

// The gradient of each row's loss: what came back, divided as the mean divided.
Tensor row_gradient(const Tensor& g, const kernels::ClassLoss& k, double total_weight,
                    int class_dim) {
    if (k.reduction == LossReduction::None) return unsqueeze(g, class_dim);
    if (k.reduction == LossReduction::Sum) return g;
    return mul(g, total_weight == 0 ? 0 : 1 / total_weight);  // 0: no row counts
}

Tensor cross_entropy_with_classes(const Tensor& input, const Tensor& target, const Tensor& weight,
                                  int64_t ignore_index, LossReduction reduction,
                                  double label_smoothing) {
    ClassProblem problem("cross_entropy", input, target, weight, ignore_index, reduction);
    kernels::cross_entropy.require(input.device(), input.dtype());
    problem.k.label_smoothing = label_smoothing;
    Tensor loss = problem.loss_tensor();
    DType statistics = input.dtype() == DType::Float64 ? DType::Float64 : DType::Float32;
    Tensor logsumexp = empty(problem.target.sizes(), {statistics, input.device()});
    Tensor total_weight = empty({}, {DType::Float64, input.device()});
    launch(kernels::cross_entropy, input.device(), problem.input.numel() * 2, problem.k,
           loss.data(), logsumexp.data(), total_weight.as<double>());
    if (!needs_grad(input)) return loss;
    record("CrossEntropyBackward0", loss, {input},
           [x = Saved(input), t = Saved(target), w = Saved(weight), logsumexp, total_weight,
            ignore_index, reduction, label_smoothing](Backward& bw, const Tensor& g) {
               Tensor logits = x.get(bw);
               ClassProblem problem("cross_entropy", logits, t.get(bw), w.get(bw), ignore_index,
                                    reduction);
               problem.k.label_smoothing = label_smoothing;
               if (modes::grad_enabled()) {  // g (softmax(x) sum(q) - q)
                   int dim = problem.class_dim;
                   Tensor q =
                       class_shares(problem.k, problem.input, problem.target, problem.weight, dim);
                   Tensor slope =
                       sub(mul(softmax(logits, dim, std::nullopt), sum(q, {dim}, true)), q);
                   return bw.set(0, mul(slope, row_gradient(g, problem.k,
                                                            read_item<double>(total_weight), dim)));
               }
               Tensor grad = contiguous(g), out = empty(logits.sizes(), logits.options());
               launch(kernels::cross_entropy_backward, logits.device(), logits.numel() * 2,
                      problem.k, static_cast<const void*>(grad.data()),
                      static_cast<const void*>(logsumexp.data()),
                      static_cast<const double*>(total_weight.as<double>()), out.data());
               bw.set(0, out);
           });
    return loss;
}

}  // namespace

Tensor cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight,
                     std::optional<bool> size_average, int64_t ignore_index,
                     std::optional<bool> reduce, std::string_view reduction,
                     double label_smoothing) {
    LossReduction r = read_reduction("cross_entropy", reduction, size_average, reduce);
    EMBER_CHECK(label_smoothing >= 0 && label_smoothing <= 1,
                "cross_entropy: label_smoothing must be between 0.0 and 1.0, got %g",
                label_smoothing);
    bool probabilities = is_floating(target.dtype()) && same(target.sizes(), input.sizes());
    if (!probabilities) {
        EMBER_CHECK(
            !is_floating(target.dtype()),
            "cross_entropy: expected class indices (int64) or probabilities of shape %s, got "
            "%s of shape %s",
            to_string(input.sizes()).c_str(), dtype_name(target.dtype()),
            to_string(target.sizes()).c_str());
        return cross_entropy_with_classes(input, target, weight, ignore_index, r, label_smoothing);
    }
    EMBER_CHECK(ignore_index < 0,
                "cross_entropy: ignore_index is not supported for floating point target");
    EMBER_CHECK(input.dim() >= 1, "cross_entropy: expected an input with at least 1 dim, got 0");
    int dim = input.dim() == 1 ? 0 : 1;
    int64_t classes = input.impl()->sizes[dim];
    Tensor share = target;
    if (label_smoothing > 0)
        share = add(mul(share, 1 - label_smoothing), label_smoothing / double(classes));
    if (weight.defined()) {
        EMBER_CHECK(weight.dim() == 1 && weight.numel() == classes,
                    "cross_entropy: weight must have shape (%ld,), got %s", long(classes),
                    to_string(weight.sizes()).c_str());
        Dims column(input.dim());
        for (int64_t& c : column) c = 1;
        column[dim] = classes;
        share = mul(share, reshape(weight, column));
    }
    Tensor rows = neg(sum(mul(log_softmax(input, dim, std::nullopt), share), {dim}, false));
    return reduced(rows, r);
}

Tensor nll_loss(const Tensor& input, const Tensor& target, const Tensor& weight,
                std::optional<bool> size_average, int64_t ignore_index, std::optional<bool> reduce,
                std::string_view reduction) {
    LossReduction r = read_reduction("nll_loss", reduction, size_average, reduce);
    ClassProblem problem("nll_loss", input, target, weight, ignore_index, r);
    kernels::nll_loss.require(input.device(), input.dtype());
    Tensor loss = problem.loss_tensor();
    Tensor total_weight = empty({}, {DType::Float64, input.device()});
    launch(kernels::nll_loss, input.device(), problem.target.numel() * 2, problem.k, loss.data(),
           total_weight.as<double>());
    if (!needs_grad(input)) return loss;
    record("NllLossBackward0", loss, {input},
           [input_options = input.options(), shape = Dims(input.sizes()), t = Saved(target),
            w = Saved(weight), total_weight, ignore_index, r](Backward& bw, const Tensor& g) {
               // The gradient is linear in g and free of the input, whose values are not needed.
               Tensor like = empty(shape, input_options);
               ClassProblem problem("nll_loss", like, t.get(bw), w.get(bw), ignore_index, r);
               if (modes::grad_enabled()) {
                   int dim = problem.class_dim;
                   Tensor q = class_shares(problem.k, like, problem.target, problem.weight, dim);
                   return bw.set(
                       0, mul(neg(q),
                              row_gradient(g, problem.k, read_item<double>(total_weight), dim)));
               }
               Tensor grad = contiguous(g);
               launch(kernels::nll_loss_backward, like.device(), like.numel(), problem.k,
                      static_cast<const void*>(grad.data()),
                      static_cast<const double*>(total_weight.as<double>()), like.data());
               bw.set(0, like);
           });
    return loss;
}

namespace {

// A loss by element: kernel(input, target), with the fused backward kernel(grad, input, target).
struct ElementLoss {
    const char* name;
    const char* node;
    const kernels::Pointwise& forward;
    const kernels::Pointwise& backward;
    // The derivative by the input, and by the target.
    Tensor (*by_input)(const Tensor& x, const Tensor& t);
    Tensor (*by_target)(const Tensor& x, const Tensor& t);
};

Tensor element_loss(const ElementLoss& loss, const Tensor& input, const Tensor& target) {
    Tensor both[] = {input, target};
    DType dtype = result_type(both);
    EMBER_CHECK(is_floating(dtype), "%s: expected floating point tensors, got %s", loss.name,
                dtype_name(dtype));
    Tensor out = pointwise(loss.forward, loss.name, {input, target}, {}, {dtype, dtype, {}, 2});
    if (needs_grad(input, target))
        record(loss.node, out, {input, target},
               [&loss, x = Saved(input), t = Saved(target), dtype](Backward& bw, const Tensor& g) {
                   Tensor value = x.get(bw), goal = t.get(bw);
                   if (bw.needs(0)) {
                       if (modes::grad_enabled())
                           bw.set(0, mul(g, loss.by_input(value, goal)));
                       else
                           bw.set(0, pointwise(loss.backward, loss.name, {g, value, goal}, {},
                                               {dtype, dtype, {number(1.0)}, 2}));
                   }
                   if (bw.needs(1)) bw.set(1, mul(g, loss.by_target(value, goal)));
               });
    return out;
}

Tensor one_minus(const Tensor& x) { return sub(wrapped_number(number(1.0)), x); }

const ElementLoss kSquaredError = {
    "mse_loss",
    "MseLossBackward0",
    kernels::mse,
    kernels::mse_backward,
    [](const Tensor& x, const Tensor& t) { return mul(sub(x, t), 2.0); },
    [](const Tensor& x, const Tensor& t) { return mul(sub(t, x), 2.0); }};

// PyTorch bounds the denominator by the float nearest to 1e-12.
const ElementLoss kBinaryCrossEntropy = {
    "binary_cross_entropy",
    "BinaryCrossEntropyBackward0",
    kernels::bce,
    kernels::bce_backward,
    [](const Tensor& x, const Tensor& t) {
        return div(sub(x, t),
                   clamp(mul(x, one_minus(x)), number(double(1e-12f)), std::nullopt, {}));
    },
    [](const Tensor& x, const Tensor& t) {
        (void)t;
        Number bound = number(-100.0);
        return sub(clamp(log(one_minus(x)), bound, std::nullopt, {}),
                   clamp(log(x), bound, std::nullopt, {}));
    }};

const ElementLoss kWithLogits = {
    "binary_cross_entropy_with_logits",
    "BinaryCrossEntropyWithLogitsBackward0",
    kernels::bce_with_logits,
    kernels::bce_with_logits_backward,
    [](const Tensor& x, const Tensor& t) { return sub(sigmoid(x), t); },
    [](const Tensor& x, const Tensor& t) {
        (void)t;
        return neg(x);
    }};

}  // namespace

Tensor mse_loss(const Tensor& input, const Tensor& target, std::optional<bool> size_average,
                std::optional<bool> reduce, std::string_view reduction, const Tensor& weight) {
    LossReduction r = read_reduction("mse_loss", reduction, size_average, reduce);
    Tensor loss = element_loss(kSquaredError, input, target);
    if (!weight.defined()) return reduced(loss, r);
    Tensor weighted = mul(loss, weight);
    return r == LossReduction::Mean ? div(sum(weighted), sum(expand(weight, Dims(loss.sizes()))))
                                    : reduced(weighted, r);
}

Tensor binary_cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight,
                            std::optional<bool> size_average, std::optional<bool> reduce,
                            std::string_view reduction) {
    constexpr const char* name = "binary_cross_entropy";
    LossReduction r = read_reduction(name, reduction, size_average, reduce);
    if (!same(target.sizes(), input.sizes()))
        raise_value("%s: target size %s must be the input's size %s", name,
                    to_string(target.sizes()).c_str(), to_string(input.sizes()).c_str());
    EMBER_CHECK(input.dtype() == target.dtype(), "%s: expected target of dtype %s, got %s", name,
                dtype_name(input.dtype()), dtype_name(target.dtype()));
    if (input.numel() > 0 && is_floating(input.dtype())) {
        GradModeGuard no_grad(false);
        Tensor low = amin(input, {}, false, {}), high = amax(input, {}, false, {});
        Tensor inside = logical_and(ge(low, wrapped_number(number(0.0))),
                                    le(high, wrapped_number(number(1.0))), {});
        EMBER_CHECK(read_item<bool>(inside), "%s: all elements of input should be between 0 and 1",
                    name);
    }
    Tensor loss = element_loss(kBinaryCrossEntropy, input, target);
    return reduced(weight.defined() ? mul(loss, weight) : loss, r);
}

Tensor binary_cross_entropy_with_logits(const Tensor& input, const Tensor& target,
                                        const Tensor& weight, std::optional<bool> size_average,
                                        std::optional<bool> reduce, std::string_view reduction,
                                        const Tensor& pos_weight) {
    constexpr const char* name = "binary_cross_entropy_with_logits";
    LossReduction r = read_reduction(name, reduction, size_average, reduce);
    if (!same(target.sizes(), input.sizes()))
        raise_value("%s: target size %s must be the input's size %s", name,
                    to_string(target.sizes()).c_str(), to_string(input.sizes()).c_str());
    Tensor loss;
    if (pos_weight.defined()) {
        broadcast_sizes(name, input.sizes(), pos_weight.sizes());  // checks
        // (1 - t) x - (1 + (p - 1) t) log(sigmoid(x)).
        Tensor factor = add(mul(add(pos_weight, -1.0), target), 1.0);
        loss = sub(mul(one_minus(target), input), mul(factor, log_sigmoid(input)));
    } else {
        loss = element_loss(kWithLogits, input, target);
    }
    return reduced(weight.defined() ? mul(loss, weight) : loss, r);
}

}  // namespace ember::ops
