"""Runs the same lines on Ember and on PyTorch and compares what they leave."""

from __future__ import annotations

import textwrap
import warnings

import ember
import numpy as np


def _torch():
    import torch

    return torch


class Raised:
    def __init__(self, error: Exception) -> None:
        self.kind, self.text = type(error).__name__, str(error)

    def __repr__(self) -> str:
        return f"{self.kind}: {self.text}"


def run(code: str, module, names: dict | None = None):
    """Execute ``code``, in which ``torch`` is ``module``; return ``out`` or what it raised."""
    scope = {} if names is None else names
    scope.update(torch=module, np=np)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(compile(textwrap.dedent(code), "<case>", "exec"), scope)
        except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError) as error:
            return Raised(error)
    return scope["out"]


def same(a, b, where: str = "out", rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """Assert that an Ember value and a PyTorch value say the same."""
    if isinstance(a, Raised) or isinstance(b, Raised):
        assert isinstance(a, Raised) and isinstance(b, Raised), f"{where}: {a!r} != {b!r}"
        assert a.kind == b.kind, f"{where}: {a!r} != {b!r}"
    elif isinstance(a, ember.Tensor):
        assert b is not None, f"{where}: {a} is not None"
        dtypes = [str(t.dtype).split(".")[1] for t in (a, b)]
        assert dtypes[0] == dtypes[1], f"{where}: {dtypes}"
        assert tuple(a.shape) == tuple(b.shape), f"{where}: {a.shape} {b.shape}"
        assert a.requires_grad == b.requires_grad, f"{where}: requires_grad {a.requires_grad}"
        np.testing.assert_allclose(
            a.detach().numpy(), b.detach().numpy(), rtol=rtol, atol=atol, err_msg=where
        )
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), f"{where}: {a} {b}"
        for key in a:
            same(a[key], b[key], f"{where}[{key!r}]", rtol, atol)
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), f"{where}: {a} {b}"
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            same(x, y, f"{where}[{i}]", rtol, atol)
    elif isinstance(a, float):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=where)
    else:
        assert a == b, f"{where}: {a!r} != {b!r}"


def compare(code: str, names: dict | None = None) -> None:
    """Run on both, and compare ``out``; neither may raise."""
    got, expected = run(code, ember, names), run(code, _torch(), names)
    assert not isinstance(expected, Raised), f"the case itself fails on PyTorch: {expected!r}"
    same(got, expected)


def compare_error(code: str, match: str) -> None:
    """Run on both; both raise the same type, and Ember's text contains ``match``."""
    got, expected = run(code, ember), run(code, _torch())
    assert isinstance(expected, Raised), f"PyTorch does not raise: {expected!r}"
    same(got, expected)
    assert match in got.text, got.text
