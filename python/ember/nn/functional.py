"""Functions of neural networks, with PyTorch's names and signatures.

Most are compiled and documented there; a function stands here in Python where it is composed of
others.
"""

from __future__ import annotations

from .. import _C
from .._C import (
    adaptive_avg_pool1d,
    adaptive_max_pool1d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    batch_norm,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    celu,
    channel_shuffle,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    cross_entropy,
    dropout,
    elu,
    gelu,
    glu,
    group_norm,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    layer_norm,
    leaky_relu,
    linear,
    log_softmax,
    logsigmoid,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    mish,
    mse_loss,
    nll_loss,
    pad,
    pixel_shuffle,
    pixel_unshuffle,
    prelu,
    relu,
    relu6,
    rms_norm,
    scaled_dot_product_attention,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softshrink,
    tanh,
    threshold,
)
from ._activation import (
    alpha_dropout,
    celu_,
    cosine_similarity,
    elu_,
    feature_alpha_dropout,
    gumbel_softmax,
    hardtanh_,
    leaky_relu_,
    normalize,
    pairwise_distance,
    pdist,
    relu_,
    rrelu,
    rrelu_,
    selu_,
    softmin,
    softsign,
    tanhshrink,
    threshold_,
)
from ._attention import (
    multi_head_attention_forward,
)
from ._ctc import (
    ctc_loss,
)
from ._embedding import (
    embedding,
    embedding_bag,
)
from ._loss import (
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    linear_cross_entropy,
    poisson_nll_loss,
    smooth_l1_loss,
)
from ._margin import (
    cosine_embedding_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from ._resampling import (
    affine_grid,
    grid_sample,
    interpolate,
    upsample,
    upsample_bilinear,
    upsample_nearest,
)
from ._spatial import (
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    fold,
    fractional_max_pool2d,
    fractional_max_pool3d,
    instance_norm,
    local_response_norm,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
    unfold,
)

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "affine_grid",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "celu_",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "ctc_loss",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "elu_",
    "embedding",
    "embedding_bag",
    "feature_alpha_dropout",
    "fold",
    "fractional_max_pool2d",
    "fractional_max_pool3d",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "grid_sample",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "leaky_relu_",
    "linear",
    "linear_cross_entropy",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mish",
    "mse_loss",
    "multi_head_attention_forward",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rms_norm",
    "rrelu",
    "rrelu_",
    "scaled_dot_product_attention",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    "unfold",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]

Tensor = _C.Tensor


def _dropout_channels(
    name: str, input: Tensor, p: float, training: bool, inplace: bool, batched: bool
) -> Tensor:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{name}: p must be between 0 and 1, got {p}")
    if not training or p == 0.0:
        return input
    lead = 2 if batched else 1
    shape = (*input.shape[:lead], *(1,) * (input.dim() - lead))
    keep = _C.empty(shape, dtype=input.dtype, device=input.device).bernoulli_(1 - p)
    if p < 1.0:
        keep.div_(1 - p)
    return input.mul_(keep) if inplace else input * keep


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Set whole channels of ``(N, C, L)`` or ``(C, L)`` to zero; see `dropout2d`."""
    if input.dim() not in (2, 3):
        raise RuntimeError(f"dropout1d: expected 2D or 3D input, got {input.dim()}D input")
    return _dropout_channels("dropout1d", input, p, training, inplace, input.dim() == 3)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Set whole channels to zero while training, and scale up the others.

    Parameters
    ----------
    input : Tensor
        Of shape ``(N, C, ...)``.
    p : float
        Probability that a channel becomes zero.
    training : bool
        Return the input itself where false.
    inplace : bool
        Change the input itself.
    """
    if input.dim() < 2:
        raise RuntimeError(f"dropout2d: expected at least 2D input, got {input.dim()}D input")
    return _dropout_channels("dropout2d", input, p, training, inplace, True)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Set whole channels of ``(N, C, D, H, W)`` or ``(C, D, H, W)`` to zero; see `dropout2d`."""
    if input.dim() not in (4, 5):
        raise RuntimeError(f"dropout3d: expected 4D or 5D input, got {input.dim()}D input")
    return _dropout_channels("dropout3d", input, p, training, inplace, input.dim() == 5)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Return a tensor with one more dimension, 1 at each class's position and 0 elsewhere.

    Parameters
    ----------
    tensor : Tensor
        Class indices, int64, of any shape.
    num_classes : int
        Size of the new last dimension; -1 takes the largest index plus 1.
    """
    if tensor.dtype != _C.int64:
        raise RuntimeError(f"one_hot: indices must be int64, got {tensor.dtype}")
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise RuntimeError("one_hot: num_classes must be given for an empty tensor")
        return _C.empty((*tensor.shape, num_classes), dtype=_C.int64, device=tensor.device)
    if tensor.min().item() < 0:
        raise RuntimeError(f"one_hot: indices must not be negative, got {tensor.min().item()}")
    largest = tensor.max().item()
    if num_classes == -1:
        num_classes = largest + 1
    elif num_classes < 1:
        raise RuntimeError(f"one_hot: num_classes must be positive, got {num_classes}")
    elif largest >= num_classes:
        raise RuntimeError(
            f"one_hot: indices must be below num_classes={num_classes}, got {largest}"
        )
    hot = _C.zeros((*tensor.shape, num_classes), dtype=_C.int64, device=tensor.device)
    return hot.scatter_(-1, tensor.unsqueeze(-1), 1)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input1^T W_o input2 + bias`` for each W_o of weight ``(out, in1, in2)``."""
    from .._einsum import einsum

    if weight.dim() != 3 or input1.shape[:-1] != input2.shape[:-1]:
        raise RuntimeError(
            f"bilinear: expected a weight of 3 dims and inputs with equal leading dims, got "
            f"{tuple(weight.shape)}, {tuple(input1.shape)} and {tuple(input2.shape)}"
        )
    if (input1.shape[-1], input2.shape[-1]) != tuple(weight.shape[1:]):
        raise RuntimeError(
            f"bilinear: inputs of {input1.shape[-1]} and {input2.shape[-1]} features do not fit a "
            f"weight of shape {tuple(weight.shape)}"
        )
    result = einsum("...i,oij,...j->...o", input1, weight, input2)
    return result if bias is None else result + bias


from .._overridable import publish  # noqa: E402  needs the functions above

publish(globals(), __all__)
