"""Rows of a table whose gradient is sparse."""

from __future__ import annotations

from typing import Any

from .. import _C
from ..autograd.function import Function
from ._tensor import Tensor, make_coo


class SparseEmbedding(Function):
    """`nn.functional.embedding` with a gradient that names the rows it is for."""

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor, padding_idx: int | None, by_frequency: bool
    ) -> Tensor:
        if by_frequency:
            raise RuntimeError("embedding: scale_grad_by_freq needs dense gradients")
        out = _C.embedding(input, weight, padding_idx)
        ctx.save_for_backward(input)
        ctx.size = weight.shape
        ctx.padding = -1 if padding_idx is None else padding_idx % weight.shape[0]
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple:
        (input,) = ctx.saved_tensors
        rows, items = input.reshape(-1).long(), grad.reshape(-1, ctx.size[1])
        if ctx.padding >= 0:
            keep = (rows != ctx.padding).nonzero().squeeze(1)
            rows, items = rows[keep], items[keep]
        return None, make_coo(rows.unsqueeze(0), items, ctx.size), None, None
