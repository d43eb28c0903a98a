"""What attention keeps in memory and how its results lie there; its values: opspecs/attention.py."""

from __future__ import annotations

import ember
import pytest
from ember.nn import functional as F


def heads(batch: int, length: int, count: int, width: int) -> ember.Tensor:
    """Heads side by side, as a model's projection leaves them."""
    return ember.randn(batch, length, count, width).transpose(1, 2)


def test_no_matrix_of_weights_in_memory() -> None:
    """Forward and backward need memory in proportion to the length, not to its square."""
    length = 2048
    q, k, v = (heads(1, length, 2, 8).requires_grad_() for _ in range(3))
    hidden = ember.zeros(length, dtype=ember.bool)
    hidden[5:] = True
    mask = hidden.expand(2, length, length)
    before = ember.memory_stats()["allocated_bytes"]
    ember.reset_peak_memory_stats()
    for options in ({}, {"is_causal": True}, {"attn_mask": mask}):
        F.scaled_dot_product_attention(q, k, v, **options).sum().backward()
    grown = ember.memory_stats()["allocated_bytes_peak"] - before
    assert grown < 2 * length * length * 4 / 8


def test_results_lie_as_the_next_projection_reads_them() -> None:
    q, k, v = (heads(2, 9, 3, 4).requires_grad_() for _ in range(3))
    out = F.scaled_dot_product_attention(q, k, v)
    assert out.transpose(1, 2).is_contiguous()
    out.sum().backward()
    assert all(x.grad.transpose(1, 2).is_contiguous() for x in (q, k, v))


def test_order_of_a_model_whose_batch_is_second() -> None:
    """(L, N, H, D) in memory, as `nn.MultiheadAttention` has it."""
    q, k, v = (ember.randn(9, 2, 3, 4).permute(1, 2, 0, 3) for _ in range(3))
    assert F.scaled_dot_product_attention(q, k, v).permute(2, 0, 1, 3).is_contiguous()


@pytest.mark.parametrize("dtype", [ember.float32, ember.bfloat16])
def test_gradients_that_nobody_wants_are_not_made(dtype: ember.dtype) -> None:
    all_of = [heads(2, 40, 3, 8).to(dtype).requires_grad_() for _ in range(3)]
    full = ember.autograd.grad(F.scaled_dot_product_attention(*all_of).sum(), all_of)
    for i in range(3):
        some = [x.detach() for x in all_of]
        some[i].requires_grad_()
        F.scaled_dot_product_attention(*some).sum().backward()
        assert ember.equal(some[i].grad, full[i])
        assert all(some[j].grad is None for j in range(3) if j != i)


def test_contiguous_queries_give_contiguous_results() -> None:
    q, k, v = (ember.randn(2, 3, 9, 4, requires_grad=True) for _ in range(3))
    out = F.scaled_dot_product_attention(q, k, v)
    assert out.view(6, 9, 4).shape == (6, 9, 4)
    out.sum().backward()
    assert all(x.grad.is_contiguous() for x in (q, k, v))


@pytest.mark.parametrize("dtype", [ember.bfloat16, ember.float16])
@pytest.mark.parametrize("grad", [False, True])
def test_halves_round_once_whichever_way_they_go(dtype: ember.dtype, grad: bool) -> None:
    """With a mask that takes a gradient the formula runs, and is no coarser than the kernel."""
    ember.manual_seed(0)
    q, k, v = (ember.randn(2, 4, 64, 64).to(dtype) for _ in range(3))
    mask = (3 * ember.randn(4, 64, 64)).to(dtype)
    exact = F.scaled_dot_product_attention(*(x.double() for x in (q, k, v)), mask.double())
    out = F.scaled_dot_product_attention(q, k, v, mask.requires_grad_(grad))
    step = ember.finfo(dtype).eps
    assert (out.double() - exact).abs().max() <= step * exact.abs().max()


@pytest.mark.parametrize("dtype", [ember.bfloat16, ember.float16])
@pytest.mark.parametrize(
    ("queries", "keys", "width", "causal"),
    [(65, 65, 64, True), (200, 200, 32, True), (37, 131, 18, False), (33, 17, 7, False)],
)
def test_results_and_gradients_of_halves_are_within_a_step(
    dtype: ember.dtype, queries: int, keys: int, width: int, causal: bool
) -> None:
    """Lengths and widths that fill no block, no register and no pair."""
    ember.manual_seed(0)
    halves = [heads(2, n, 3, width).to(dtype) for n in (queries, keys, keys)]
    grad = heads(2, queries, 3, width).to(dtype)
    results = []
    for to in (dtype, ember.float64):
        inputs = [x.to(to).requires_grad_() for x in halves]
        out = F.scaled_dot_product_attention(*inputs, is_causal=causal)
        results.append([out, *ember.autograd.grad(out, inputs, grad.to(to))])
    for value, exact in zip(*results, strict=True):
        error = (value.double() - exact).abs().max()
        assert error <= ember.finfo(dtype).eps * exact.abs().max()
