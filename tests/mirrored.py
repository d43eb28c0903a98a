"""Runs one program text on Ember and on PyTorch and compares what comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ember
import numpy as np
import pytest
from torch_bridge import to_ember

torch = pytest.importorskip("torch")

NUMBERS = ["uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"]
DTYPES = ["bool", *NUMBERS]


def sample(shape: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> torch.Tensor:
    """A PyTorch tensor of small numbers, distinct where the dtype lets them be."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return torch.from_numpy(np.asarray(rng.random(shape) < 0.5))
    count = int(np.prod(shape))
    values = torch.from_numpy(rng.permutation(count).reshape(shape))
    if dtype.startswith(("float", "bfloat")):
        values = values.double() / 8 - count / 16
    return (
        (values % 100).to(getattr(torch, dtype))
        if count > 100
        else values.to(getattr(torch, dtype))
    )


def long(*items: int) -> torch.Tensor:
    """A PyTorch vector of indices."""
    return torch.tensor(items, dtype=torch.int64)


def strided(t: torch.Tensor, kind: str) -> torch.Tensor:
    """The same values in another layout."""
    if kind == "transposed" and t.dim() >= 2:
        return t.transpose(0, -1).contiguous().transpose(0, -1)
    if kind == "gapped" and t.dim() >= 1:
        wide = torch.zeros((*t.shape[:-1], 2 * t.shape[-1] + 1), dtype=t.dtype)
        wide[..., 1::2] = t
        return wide[..., 1::2]
    return t.contiguous()


def mirror(value: Any, kind: str = "plain") -> Any:
    """Ember's counterpart, laid out alike."""
    if isinstance(value, torch.Tensor):
        if kind == "plain" or value.dim() == 0:
            return to_ember(value)
        base = to_ember(value.detach())
        if kind == "transposed" and value.dim() >= 2:
            base = base.transpose(0, -1).contiguous().transpose(0, -1)
        elif kind == "gapped":
            wide = ember.zeros((*value.shape[:-1], 2 * value.shape[-1] + 1), dtype=base.dtype)
            part = wide.as_strided(base.shape, (*wide.stride()[:-1], 2), 1)
            part.copy_(base)
            base = part
        return base.requires_grad_() if value.requires_grad else base
    if isinstance(value, (tuple, list)):
        return type(value)(mirror(v, kind) for v in value)
    return value


def assert_same(ours: Any, theirs: Any, rtol: float = 0.0, atol: float = 0.0) -> None:
    """Equal in structure, dtype, shape and values."""
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, ember.Tensor), type(ours)
        assert str(ours.dtype).split(".")[-1] == str(theirs.dtype).split(".")[-1]
        assert tuple(ours.shape) == tuple(theirs.shape)
        a, b = ours.detach(), theirs.detach()
        if theirs.dtype == torch.bfloat16:
            a, b = a.to(ember.float32), b.float()
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=rtol, atol=atol)
    elif isinstance(theirs, (tuple, list)):
        assert isinstance(ours, (tuple, list))
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b, rtol, atol)
    else:
        assert ours == theirs or (ours != ours and theirs != theirs)


def run(text: str, names: dict[str, Any], lib: Any) -> Any:
    """The value of an expression, or of `result` after statements."""
    scope = {"lib": lib, "np": np, **names}
    try:
        code = compile(text, text, "eval")
    except SyntaxError:
        exec(text, scope)
        return scope["result"]
    return eval(code, scope)


def compare(
    text: str, names: dict[str, Any], kind: str = "plain", rtol: float = 0.0, atol: float = 0.0
) -> tuple[Any, Any]:
    """Run `text` with tensors of both libraries and compare; returns both results."""
    theirs = run(text, {k: strided_value(v, kind) for k, v in names.items()}, torch)
    ours = run(text, {k: mirror(v, kind) for k, v in names.items()}, ember)
    assert_same(ours, theirs, rtol, atol)
    return ours, theirs


def strided_value(value: Any, kind: str) -> Any:
    if isinstance(value, torch.Tensor):
        grad = value.requires_grad
        copy = strided(value.detach().clone(), kind)
        return copy.requires_grad_() if grad else copy
    if isinstance(value, (tuple, list)):
        return type(value)(strided_value(v, kind) for v in value)
    return value


def gradients(text: str, names: dict[str, Any], lib: Any, wrt: list[str]) -> list[Any]:
    """First and second derivatives of a weighted sum of cubes of the result."""
    inputs = [names[name] for name in wrt]
    out = run(text, names, lib)
    weight = lib.arange(out.numel(), dtype=out.dtype).reshape(out.shape) / 7 + 1
    loss = (out * out * out * weight).sum()
    first = lib.autograd.grad(loss, inputs, create_graph=True, allow_unused=True)
    smooth = [g for g in first if g is not None and g.requires_grad]
    if not smooth:
        return [*first, *[None] * len(inputs)]
    total = sum(((g * g).sum() for g in smooth[1:]), (smooth[0] * smooth[0]).sum())
    second = lib.autograd.grad(total, inputs, allow_unused=True)
    return [*first, *second]


def compare_gradients(
    text: str, names: dict[str, Any], wrt: list[str], kind: str = "plain", rtol: float = 1e-12
) -> None:
    """Compare first and second derivatives with respect to the float64 tensors named `wrt`."""
    theirs = {k: strided_value(v, kind) for k, v in names.items()}
    ours = {k: mirror(v, kind) for k, v in names.items()}
    for name in wrt:
        theirs[name].requires_grad_()
        ours[name].requires_grad_()
    expected = gradients(text, theirs, torch, wrt)
    got = gradients(text, ours, ember, wrt)
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        if b is None or a is None:  # a derivative that is zero may be absent
            other = b if a is None else a
            assert other is None or not bool((other != 0).any())
        else:
            assert_same(a, b, rtol, 1e-12)


def raises(call: Callable[[], Any]) -> type[BaseException] | None:
    """The type of what the call raises, None where it returns."""
    try:
        call()
    except Exception as error:
        return type(error)
    return None
