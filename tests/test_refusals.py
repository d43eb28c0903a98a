"""Calls that PyTorch refuses, and with which kind of exception."""

from __future__ import annotations

import ember
import pytest

torch = pytest.importorskip("torch")

CALLS = [
    "zeros()", "ones()", "empty()", "rand()", "randn()", "x.view()", "x.permute()", "x.expand()",
    "x.repeat()", "x.reshape()", "x.new_zeros()", "x.new_empty()", "x.flip()", "x.tile()",
    "full(2, 3)", "layer_norm(x, 3)", "nn.functional.layer_norm(x, 3)", "argmax(x > 1)",
    "argmin(x > 1)", "(x > 1).argmax(0)", "~x", "nn.functional.pad(x, (-4, 2))",
    "nn.functional.pad(x, (2, -5))", "nn.functional.pad(x, (-2, 0, -3, 1))",
    "index_add(x, 0, tensor([5]), x[:1])", "index_select(x, 0, tensor([5]))",
    "index_select(x, 0, tensor([-1]))", "x.index_copy(0, tensor([5]), x[:1])",
    "x.index_fill(0, tensor([5]), 1.0)", "arange(3, out=empty(0), dtype=float64)",
    "zeros(2, out=empty(0), dtype=int64)", "sort(x, out=(empty(0), empty(0)))",
    "sort(x, out=empty(0))", "max(x, 0, out=(empty(0, dtype=float64), empty(0, dtype=int64)))",
    "sort(x.requires_grad_(), out=(empty(0), empty(0, dtype=int64)))",
    "full((2,), 3.5, out=empty(0, dtype=int64))", "zeros(2, out=empty(2, requires_grad=True))",
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_kind_of_exception(call):
    kinds = []
    for framework in (torch, ember):
        x = framework.arange(6.0).reshape(2, 3)
        try:
            result = eval(call, {**vars(framework), "nn": framework.nn, "x": x})
            kinds.append(result.tolist() if isinstance(result, framework.Tensor) else None)
        except (TypeError, IndexError, RuntimeError) as error:
            kinds.append(type(error))
    assert kinds[0] is kinds[1] or kinds[0] == kinds[1]


RESULTS = [
    "zeros(2, 3, out=empty(0))", "ones(2, out=empty(0, dtype=int64))", "full((2,), 3, out=empty(0))",
    "arange(3, out=empty(0))", "arange(1, 7, 2, out=empty(0, dtype=int32))", "zeros(())",
    "sort(x, out=(empty(0), empty(0, dtype=int64)))[1]",
    "topk(x, 2, out=[empty(0), empty(0, dtype=int64)])[0]", "cummax(x, 1, out=(empty(0), empty(0, "
    "dtype=int64)))[0]", "nn.functional.pad(x, (-3, 3))", "nn.functional.pad(x, (-2, -1))",
    "mode(x, 0, out=(empty(3), empty(3, dtype=int64)))[0]", "zeros(size=(2,))",
]  # fmt: skip


@pytest.mark.parametrize("call", RESULTS)
def test_result(call):
    seen = []
    for framework in (torch, ember):
        x = framework.arange(6.0).reshape(2, 3)
        result = eval(call, {**vars(framework), "nn": framework.nn, "x": x})
        seen.append((result.tolist(), str(result.dtype).partition(".")[2], tuple(result.shape)))
    assert seen[0] == seen[1]


def test_layouts_that_factories_do_not_make():
    for make in (ember.zeros, ember.ones, ember.empty, ember.rand):
        with pytest.raises(NotImplementedError, match="strided"):
            make(2, layout=ember.sparse_coo)
        assert make(2, layout=ember.strided).shape == (2,)
