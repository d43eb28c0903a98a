#include "ops/attention.h"
#include "ops/loss.h"
#include "ops/norm.h"
#include "ops/softmax.h"
#include "python/tables.h"

namespace ember::python {

namespace {

// PyTorch's rule for a missing dim: 0 for 0, 1 and 3 dims, else 1.
int64_t implicit_dim(const Tensor& x) {
    return x.dim() == 0 || x.dim() == 1 || x.dim() == 3 ? 0 : 1;
}

Tensor softmax(const Tensor& input, std::optional<int64_t> dim, int64_t,
               std::optional<DType> dtype) {
    return ops::softmax(input, dim ? *dim : implicit_dim(input), dtype);
}
Tensor log_softmax(const Tensor& input, std::optional<int64_t> dim, int64_t,
                   std::optional<DType> dtype) {
    return ops::log_softmax(input, dim ? *dim : implicit_dim(input), dtype);
}
Tensor softmax_dim(const Tensor& input, int64_t dim, std::optional<DType> dtype) {
    return ops::softmax(input, dim, dtype);
}
Tensor log_softmax_dim(const Tensor& input, int64_t dim, std::optional<DType> dtype) {
    return ops::log_softmax(input, dim, dtype);
}

}  // namespace

void bind_nn(BindTable& t) {
    constexpr int both = kFunction | kMethod;
    bind<&softmax_dim, &softmax>(
        t, both,
        {"softmax(input, dim, dtype=None, *, out=None)",
         "softmax(input, dim=None, _stacklevel=3, dtype=None)"},
        "exp(input) / sum(exp(input)) along dim, without overflow; the input is cast to dtype "
        "first. "
        "Floating point only. Without dim: dim 0 of tensors with 0, 1 or 3 dims, else dim 1.");
    bind<&log_softmax_dim, &log_softmax>(
        t, both,
        {"log_softmax(input, dim, dtype=None, *, out=None)",
         "log_softmax(input, dim=None, _stacklevel=3, dtype=None)"},
        "log(softmax(input, dim)), without overflow. Floating point only.");
    bind<&ops::layer_norm>(
        t, kFunction,
        "layer_norm(input, normalized_shape: tuple, weight=None, bias=None, eps=1e-05)",
        "(input - mean) / sqrt(var + eps) * weight + bias over the last dims, whose sizes are "
        "normalized_shape (Ba, Kiros and Hinton, 2016). RuntimeError where shapes do not fit.");
    bind<&ops::batch_norm>(
        t, kFunction,
        "batch_norm(input, running_mean: Tensor | None, running_var: Tensor | None, weight=None, "
        "bias=None, training=False, "
        "momentum=0.1, eps=1e-05)",
        "Normalises each channel (dim 1) by the batch's statistics while training, which then move "
        "the running ones by `momentum`, or by the running ones (Ioffe and Szegedy, 2015). "
        "ValueError "
        "for one value a channel in training.");
    bind<&ops::scaled_dot_product_attention>(
        t, kFunction,
        "scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, "
        "is_causal=False, scale=None, enable_gqa=False)",
        "softmax(scale * query @ key.T + mask) @ value (Vaswani et al., 2017); the matrix of "
        "weights "
        "is never in memory, but for dropout. query: (..., L, E); key: (..., S, E); value: (..., "
        "S, "
        "Ev); the leading dims broadcast. attn_mask, broadcast to (..., L, S): bool, true where a "
        "query sees a key, or added to the scores; with it, queries that see no key give 0. "
        "is_causal: query i sees keys 0 to i alone. scale: by default 1 / sqrt(E). dropout_p: the "
        "probability that a weight becomes 0, also outside of training. enable_gqa: dim -3 of key "
        "and value counts fewer heads than the query's, each serves several. RuntimeError for "
        "shapes or dtypes that do not fit.");
    bind<&ops::cross_entropy>(
        t, kFunction,
        "cross_entropy(input, target, weight=None, size_average=None, ignore_index=-100, "
        "reduce=None, "
        "reduction='mean', label_smoothing=0.0)",
        "-log(softmax(input)) at the target. input: (C,), (N, C) or (N, C, ...); target: int64 "
        "without "
        "the class dim, or probabilities of input's shape; weight: (C,). IndexError for a target "
        "outside [0, C) that is not ignore_index; ValueError for shapes that do not fit.");
    bind<&ops::nll_loss>(
        t, kFunction,
        "nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, "
        "reduction='mean')",
        "Minus the log-probability at the target. Shapes and errors as cross_entropy's.");
    bind<&ops::mse_loss>(
        t, kFunction,
        "mse_loss(input, target, size_average=None, reduce=None, reduction='mean', weight=None)",
        "(input - target)^2, broadcast.");
    bind<&ops::binary_cross_entropy>(
        t, kFunction,
        "binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, "
        "reduction='mean')",
        "-(t log(p) + (1 - t) log(1 - p)) with logarithms bounded by -100. input: probabilities; "
        "RuntimeError outside [0, 1]; target: of the same shape and dtype.");
    bind<&ops::binary_cross_entropy_with_logits>(
        t, kFunction,
        "binary_cross_entropy_with_logits(input, target, weight=None, size_average=None, "
        "reduce=None, "
        "reduction='mean', pos_weight=None)",
        "binary_cross_entropy(sigmoid(input), target) without overflow; pos_weight multiplies the "
        "positive part.");
}

}  // namespace ember::python
