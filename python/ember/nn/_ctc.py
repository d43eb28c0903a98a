"""Connectionist temporal classification (Graves et al., 2006)."""

from __future__ import annotations

from collections.abc import Sequence

from .. import _C
from .._autocast import in_float32

Tensor = _C.Tensor

# Log-probability of what cannot be: far below all others, but finite, so that gradients are zero
# instead of undefined.
_IMPOSSIBLE = -1e30


def _lengths(name: str, lengths: Tensor | Sequence[int], count: int) -> Tensor:
    made = lengths if isinstance(lengths, Tensor) else _C.tensor(lengths, dtype=_C.int64)
    if made.is_floating_point() or made.dtype == _C.bool:
        raise RuntimeError(f"ctc_loss: {name} must be integers, got {made.dtype}")
    if made.numel() != count:
        raise RuntimeError(f"ctc_loss: {name} must have {count} elements, got {made.numel()}")
    return made.reshape(count).to(_C.int64)


def _padded(targets: Tensor, lengths: Tensor) -> Tensor:
    """Targets as ``(N, S)``, from that or from all in one row."""
    count, longest = lengths.numel(), int(lengths.max()) if lengths.numel() else 0
    if targets.dim() == 2:
        if targets.shape[0] != count or targets.shape[1] < longest:
            raise RuntimeError(
                f"ctc_loss: targets must have shape ({count}, {longest}) or longer, "
                f"got {tuple(targets.shape)}"
            )
        return targets[:, :longest]
    if targets.dim() != 1 or targets.numel() != int(lengths.sum()):
        raise RuntimeError(
            "ctc_loss: targets must be a matrix or one row as long as target_lengths say, "
            f"{int(lengths.sum())}, got shape {tuple(targets.shape)}"
        )
    padded = targets.new_zeros((count, longest))
    padded[_C.arange(longest, device=lengths.device) < lengths.unsqueeze(1)] = targets
    return padded


@in_float32
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Return minus the log-probability of label sequences of unknown alignment.

    The gradient is that of the function itself; PyTorch's assumes that `log_probs` came from
    `log_softmax`, through which both give the same.

    Parameters
    ----------
    log_probs : Tensor
        Log-probabilities, of shape ``(T, N, C)`` or ``(T, C)``.
    targets : Tensor
        Labels without blanks, of shape ``(N, S)`` or all in one row.
    input_lengths, target_lengths : Tensor or sequence of int
        Lengths of each sample, of shape ``(N,)`` or ``()``.
    blank : int
        The label that stands for none.
    reduction : str
        ``"mean"`` (over samples, each divided by its target's length), ``"sum"`` or ``"none"``.
    zero_infinity : bool
        Count 0 where the input is too short for its target, instead of infinity.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"ctc_loss: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    if log_probs.dtype not in (_C.float32, _C.float64):
        raise RuntimeError(f"ctc_loss: log_probs must be float32 or 64, got {log_probs.dtype}")
    if log_probs.dim() not in (2, 3):
        raise RuntimeError(f"ctc_loss: log_probs must have 2 or 3 dims, got {log_probs.dim()}")
    batched = log_probs.dim() == 3
    if not batched:
        log_probs, targets = log_probs.unsqueeze(1), targets.reshape(1, -1)
    steps, count, classes = log_probs.shape
    if steps == 0 or count == 0:
        raise RuntimeError(
            f"ctc_loss: log_probs must not be empty, got shape {tuple(log_probs.shape)}"
        )
    if not 0 <= blank < classes:
        raise RuntimeError(f"ctc_loss: blank must lie in [0, {classes}), got {blank}")
    if targets.dtype not in (_C.int64, _C.int32):
        raise RuntimeError(f"ctc_loss: targets must be int64 or int32, got {targets.dtype}")
    input_lengths = _lengths("input_lengths", input_lengths, count)
    target_lengths = _lengths("target_lengths", target_lengths, count)
    if not 0 <= int(input_lengths.min()) <= int(input_lengths.max()) <= steps:
        raise RuntimeError(f"ctc_loss: input_lengths must lie in [0, {steps}]")
    if int(target_lengths.min()) < 0:
        raise RuntimeError("ctc_loss: target_lengths must not be negative")
    # The lengths may lie on the CPU though the rest does not.
    device = log_probs.device
    input_lengths, target_lengths = input_lengths.to(device), target_lengths.to(device)
    labels = _padded(targets.to(device, _C.int64), target_lengths)
    used = _C.arange(labels.shape[1], device=device) < target_lengths.unsqueeze(1)
    labels = _C.where(used, labels, blank)
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise RuntimeError(f"ctc_loss: labels must lie in [0, {classes})")

    loss = -_log_likelihood(log_probs, labels, input_lengths, target_lengths, blank)
    none = loss > -_IMPOSSIBLE / 2
    loss = _C.where(none, 0.0 if zero_infinity else float("inf"), loss)
    if reduction == "mean":
        return (loss / target_lengths.clamp(min=1)).mean()
    if reduction == "sum":
        return loss.sum()
    return loss if batched else loss.squeeze(0)


def _log_likelihood(
    log_probs: Tensor, labels: Tensor, input_lengths: Tensor, target_lengths: Tensor, blank: int
) -> Tensor:
    """The forward recursion over states: labels with blanks around and between them."""
    steps, count, _ = log_probs.shape
    states = 2 * labels.shape[1] + 1
    path = labels.new_full((count, states), blank)
    path[:, 1::2] = labels
    # A blank may be skipped between two labels that differ.
    may_skip = _C.zeros_like(path, dtype=_C.bool)
    may_skip[:, 3::2] = labels[:, 1:] != labels[:, :-1]
    emitted = log_probs.gather(2, path.unsqueeze(0).expand(steps, count, states))
    places = _C.arange(states, device=labels.device)
    last = (2 * target_lengths).unsqueeze(1)
    start = (places < 2) & (places <= last)
    alpha = _C.where(start, emitted[0], _IMPOSSIBLE)
    before = _C.where(places == 0, 0.0, _IMPOSSIBLE).to(log_probs.dtype)
    ended = alpha
    for t in range(1, steps):
        one = _C.pad(alpha, (1, 0), value=_IMPOSSIBLE)[:, :-1]
        two = _C.pad(alpha, (2, 0), value=_IMPOSSIBLE)[:, :-2]
        two = _C.where(may_skip, two, _IMPOSSIBLE)
        alpha = _C.stack((alpha, one, two)).logsumexp(0) + emitted[t]
        alpha = alpha.clamp(min=_IMPOSSIBLE)
        ended = _C.where((input_lengths > t).unsqueeze(1), alpha, ended)
    # An input of no steps says nothing, with certainty.
    ended = _C.where((input_lengths > 0).unsqueeze(1), ended, before)
    final = _C.where((places == last) | (places == last - 1), ended, _IMPOSSIBLE)
    return final.logsumexp(1)
