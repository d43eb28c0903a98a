"""Softmax over many classes, most of them rare."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence as SequenceOf

from ... import _C
from .. import functional as F
from .container import ModuleList, Sequential
from .linear import Linear
from .module import Module

Tensor = _C.Tensor

_ASMoutput = namedtuple("_ASMoutput", ["output", "loss"])


class AdaptiveLogSoftmaxWithLoss(Module):
    """Classes by frequency: the frequent ones in the head, the others in clusters (Grave, 2017).

    Parameters
    ----------
    in_features : int
        Width of the input.
    n_classes : int
        Number of classes, the most frequent first.
    cutoffs : sequence of int
        Where the clusters begin, rising.
    div_value : float
        Cluster ``i`` projects to ``in_features // div_value ** (i + 1)`` features.
    head_bias : bool
        Whether the head has a bias.

    Raises
    ------
    ValueError
        The cutoffs do not rise between 1 and ``n_classes - 1``.
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: SequenceOf[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        rising = cutoffs == sorted(set(cutoffs)) and all(int(c) == c for c in cutoffs)
        if not cutoffs or not rising or cutoffs[0] <= 0 or cutoffs[-1] > n_classes - 1:
            raise ValueError(
                "AdaptiveLogSoftmaxWithLoss: cutoffs must be integers that rise from 1 to "
                f"n_classes - 1 = {n_classes - 1} at most, got {cutoffs}"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = cutoffs[0]
        self.n_clusters = len(cutoffs)
        self.head_size = self.shortlist_size + self.n_clusters
        where = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **where)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            hidden = int(in_features // div_value ** (i + 1))
            classes = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, hidden, bias=False, **where),
                    Linear(hidden, classes, bias=False, **where),
                )
            )

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        self.head.reset_parameters()
        for projection in self.tail:
            for layer in projection:
                layer.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _ASMoutput:
        """Return the targets' log-probabilities ``output`` and the ``loss``, minus their mean.

        Parameters
        ----------
        input_ : Tensor
            Of shape ``(N, in_features)`` or ``(in_features,)``.
        target_ : Tensor
            Classes, of shape ``(N,)`` or ``()``.
        """
        if target_.dim() > 1 or input_.dim() != target_.dim() + 1:
            raise RuntimeError(
                "AdaptiveLogSoftmaxWithLoss: expected an input of shape (N, in_features) with a "
                "target of shape (N,), or both without N, got "
                f"{tuple(input_.shape)} and {tuple(target_.shape)}"
            )
        batched = target_.dim() == 1
        input = input_ if batched else input_.unsqueeze(0)
        target = target_ if batched else target_.unsqueeze(0)
        if input.size(0) != target.size(0):
            raise RuntimeError(
                "AdaptiveLogSoftmaxWithLoss: input and target must have the same batch size, got "
                f"{input.size(0)} and {target.size(0)}"
            )
        if target.numel() > 0 and not bool(((target >= 0) & (target < self.n_classes)).all()):
            raise RuntimeError(
                "AdaptiveLogSoftmaxWithLoss: target values should be in "
                f"[0, {self.n_classes - 1}], got values in range "
                f"[{target.min().item()}, {target.max().item()}]"
            )

        output = input.new_zeros(target.size(0))
        in_head = target
        for i in range(self.n_clusters):
            low, high = self.cutoffs[i], self.cutoffs[i + 1]
            rows = ((target >= low) & (target < high)).nonzero().squeeze(1)
            if rows.numel() == 0:
                continue
            log_probs = F.log_softmax(self.tail[i](input[rows]), dim=1)
            local = log_probs.gather(1, (target[rows] - low).unsqueeze(1)).squeeze(1)
            output = output.index_copy(0, rows, local)
            in_head = in_head.index_fill(0, rows, self.shortlist_size + i)
        log_probs = F.log_softmax(self.head(input), dim=1)
        output = output + log_probs.gather(1, in_head.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return _ASMoutput(output if batched else output.squeeze(0), loss)

    def _all_log_probs(self, input: Tensor, head: Tensor) -> Tensor:
        log_probs = F.log_softmax(head, dim=1)
        parts = [log_probs[:, : self.shortlist_size]]
        for i, projection in enumerate(self.tail):
            cluster = log_probs[:, self.shortlist_size + i].unsqueeze(1)
            parts.append(F.log_softmax(projection(input), dim=1) + cluster)
        return _C.cat(parts, 1)

    def log_prob(self, input: Tensor) -> Tensor:
        """Return the log-probabilities of all classes, ``(N, n_classes)``."""
        return self._all_log_probs(input, self.head(input))

    def predict(self, input: Tensor) -> Tensor:
        """Return the likeliest class of each row; clusters are opened only where they win."""
        head = self.head(input)
        best = head.argmax(dim=1)
        rare = best >= self.shortlist_size
        if not bool(rare.any()):
            return best
        return best.index_put((rare,), self._all_log_probs(input[rare], head[rare]).argmax(dim=1))
