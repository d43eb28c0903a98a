"""Rows of recurrent networks and their cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .base import FLOATS, Arr, Bad, Case, Spec, arr, case, given, index, ulps

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def _params(
    rng: np.random.Generator,
    kind: str,
    dtype: str,
    width: int,
    hidden: int,
    layers: int,
    directions: int,
    bias: bool = True,
    proj: int = 0,
    layout: str = "plain",
) -> list[Arr]:
    rows, state, found = GATES[kind] * hidden, proj or hidden, []
    for layer in range(layers):
        shapes = [(rows, width if layer == 0 else state * directions), (rows, state)]
        shapes += [(rows,), (rows,)] if bias else []
        shapes += [(proj, hidden)] if proj else []
        for shape in shapes * directions:
            where = layout if len(shape) == 2 else "plain"
            found.append(arr(rng, shape, dtype, where, -0.6, 0.6))
    return found


def _states(
    rng: np.random.Generator,
    kind: str,
    dtype: str,
    count: int,
    batch: int,
    hidden: int,
    proj: int = 0,
) -> Any:
    h = arr(rng, (count, batch, proj or hidden), dtype, low=-1, high=1)
    return [h, arr(rng, (count, batch, hidden), dtype, low=-1, high=1)] if kind == "lstm" else h


def _network(
    rng: np.random.Generator,
    kind: str,
    dtype: str,
    steps: int | Sequence[int],
    batch: int,
    width: int,
    hidden: int,
    layers: int = 1,
    directions: int = 1,
    batch_first: bool = False,
    layout: str = "plain",
    bias: bool = True,
    proj: int = 0,
    dropout: float = 0.0,
    note: str = "",
) -> Case:
    """A padded network, or a packed one where `steps` are batch sizes."""
    hx = _states(rng, kind, dtype, layers * directions, batch, hidden, proj)
    params = _params(rng, kind, dtype, width, hidden, layers, directions, bias, proj, layout)
    options = (params, bias, layers, dropout, dropout > 0, directions == 2)
    if not isinstance(steps, int):
        data = arr(rng, (sum(steps), width), dtype, layout, -1, 1)
        return case(data, index(list(steps), on_host=True), hx, *options, note=note)
    shape = (batch, steps, width) if batch_first else (steps, batch, width)
    x = arr(rng, shape, dtype, layout, -1, 1)
    return case(x, hx, *options, batch_first, note=note)


def _padded(kind: str):
    def cases(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        def network(*args: Any, **kwargs: Any) -> Case:
            return _network(rng, kind, dtype, *args, **kwargs)

        yield network(4, 3, 5, 6)
        yield network(4, 3, 5, 6, bias=False)
        yield network(1, 3, 5, 6, note="one step")
        yield network(4, 3, 5, 6, layout="transposed")
        yield network(4, 3, 5, 6, layout="stepped", batch_first=True)
        yield network(4, 1, 5, 6, batch_first=True, note="one sequence")
        yield network(5, 19, 3, 37, note="more units than a register has lanes")
        yield network(3, 2, 5, 4, layers=3)
        yield network(3, 2, 5, 4, directions=2)
        yield network(1, 2, 5, 4, directions=2, bias=False)
        yield network(3, 2, 5, 4, layers=2, directions=2, batch_first=True)
        yield network(3, 0, 5, 4, note="no sequences")
        yield network(3, 2, 0, 4, note="no input")
        if kind == "lstm":
            yield network(3, 2, 5, 4, proj=3)
            yield network(3, 2, 5, 4, layers=2, directions=2, bias=False, proj=2)

    return cases


def _packed(kind: str):
    def cases(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        def network(sizes: Sequence[int], *args: Any, **kwargs: Any) -> Case:
            return _network(rng, kind, dtype, sizes, *args, **kwargs)

        yield network([3, 3, 2, 1], 3, 5, 6)
        yield network([3, 3, 3], 3, 5, 6, bias=False)
        yield network([4], 4, 5, 6)
        yield network([1, 1, 1], 1, 5, 6, directions=2)
        yield network([4, 2, 2, 1], 4, 5, 6, layout="transposed")
        yield network([4, 2, 2, 1], 4, 5, 6, layers=2, directions=2)
        yield network([19, 12, 9, 8, 2], 19, 3, 20, directions=2)
        if kind == "lstm":
            yield network([3, 1], 3, 5, 4, directions=2, proj=3)

    return cases


def _grads(kind: str):
    def cases(rng: np.random.Generator) -> Iterable[Case]:
        def network(*args: Any, **kwargs: Any) -> Case:
            return _network(rng, kind, "float64", *args, **kwargs)

        yield network(2, 2, 2, 2)
        yield network(1, 1, 2, 2, bias=False)
        yield network(2, 1, 2, 2, layers=2, directions=2, bias=False)
        if kind == "lstm":
            yield network(2, 1, 2, 2, bias=False, proj=1)

    return cases


def _packed_grads(kind: str):
    def cases(rng: np.random.Generator) -> Iterable[Case]:
        yield _network(rng, kind, "float64", [2, 1], 2, 2, 2)
        yield _network(rng, kind, "float64", [2, 1], 2, 1, 2, directions=2, bias=False)

    return cases


def _dropped(kind: str):
    def cases(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        yield _network(rng, kind, dtype, 4, 3, 5, 6, layers=3, dropout=0.4)
        yield _network(rng, kind, dtype, 4, 3, 5, 6, layers=2, directions=2, dropout=0.2)
        yield _network(rng, kind, dtype, 3, 2, 5, 4, layers=2, dropout=1.0)
        yield _network(rng, kind, dtype, [3, 2, 1], 3, 5, 4, layers=2, dropout=0.5)

    return cases


def _cell(kind: str):
    def cases(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for batch, width, hidden, layout in (
            (3, 5, 4, "plain"), (3, 5, 4, "transposed"), (1, 3, 37, "stepped"), (0, 3, 4, "plain"),
        ):  # fmt: skip
            w, u, b, v = _params(rng, kind, dtype, width, hidden, 1, 1, layout=layout)
            h = arr(rng, (batch, hidden), dtype, layout, -1, 1)
            hx = [h, arr(rng, (batch, hidden), dtype, layout, -1, 1)] if kind == "lstm" else h
            x = arr(rng, (batch, width), dtype, layout, -1, 1)
            yield case(x, hx, w, u, b, v)
            yield case(x, hx, w, u)
            yield case(x, hx, w, u, b_ih=b)
            yield case(x, hx, w, u, b_hh=v)

    return cases


def _cell_grads(kind: str):
    def cases(rng: np.random.Generator) -> Iterable[Case]:
        w, u, b, v = _params(rng, kind, "float64", 2, 3, 1, 1)
        h = arr(rng, (2, 3), "float64", low=-1, high=1)
        hx = [h, arr(rng, (2, 3), "float64", low=-1, high=1)] if kind == "lstm" else h
        x = arr(rng, (2, 2), "float64", low=-1, high=1)
        yield case(x, hx, w, u, b, v)
        yield case(x, hx, w, u)

    return cases


def _changed(good: Case, **changes: Any) -> Case:
    """The sample with some arguments replaced, by position (``a0``, ``a1``, ...)."""
    args = list(good.args)
    for name, value in changes.items():
        args[int(name[1:])] = value
    return case(*args)


def _ones(*shape: int, dtype: str = "float64") -> Arr:
    return given(np.ones(shape), dtype)


def _bad(kind: str) -> tuple[Bad, ...]:
    """In float64: PyTorch's float32 path reads past initial states that do not fit."""
    good = _network(np.random.default_rng(0), kind, "float64", 3, 2, 5, 4)
    params = good.args[2]

    def states(*shape: int) -> Any:
        return [_ones(*shape), _ones(*shape)] if kind == "lstm" else _ones(*shape)

    found = [
        _changed(good, a0=_ones(0, 2, 5)),
        _changed(good, a0=_ones(3, 2, 6)),
        _changed(good, a0=_ones(3, 2, 5, dtype="float32")),
        _changed(good, a0=index(np.ones((3, 2, 5)))),
        _changed(good, a1=states(1, 3, 4)),
        _changed(good, a1=states(1, 1, 4)),
        _changed(good, a1=states(2, 2, 4)),
        _changed(good, a1=states(1, 2, 3)),
        _changed(good, a2=params[:3]),
        _changed(good, a2=params * 2),
        _changed(good, a2=[*params[:2], _ones(3), _ones(3)]),
        _changed(good, a4=-1),
        _changed(good, a4=2),
        _changed(good, a4=0),
    ]
    if kind == "lstm":
        found.append(_changed(good, a1=[_ones(1, 2, 4)]))
        found.append(_changed(good, a1=[_ones(1, 2, 4), _ones(1, 2, 3)]))
        narrow = _network(np.random.default_rng(0), kind, "float64", 3, 2, 5, 4, proj=3)
        found.append(_changed(narrow, a1=[_ones(1, 2, 3), _ones(1, 2, 5)]))
    return tuple(Bad(c, "RuntimeError") for c in found)


def _packed_bad(kind: str) -> tuple[Bad, ...]:
    good = _network(np.random.default_rng(0), kind, "float64", [2, 2, 1], 2, 5, 4)
    hx = _states(np.random.default_rng(0), kind, "float64", 1, 3, 4)
    return tuple(
        Bad(c, "RuntimeError")
        for c in (
            _changed(good, a1=index([2, 2, 2])),
            _changed(good, a1=given([2, 2, 1], "float64", grad=False, role="mask")),
            _changed(good, a1=index([2, 2, 1], dtype="int32")),
            _changed(good, a2=hx),
        )
    )


def _cell_bad(kind: str) -> tuple[Bad, ...]:
    good = next(iter(_cell(kind)("float32", np.random.default_rng(0))))
    short = _ones(3, dtype="float32")

    def states(*shape: int) -> Any:
        t = _ones(*shape, dtype="float32")
        return [t, t] if kind == "lstm" else t

    return (
        Bad(_changed(good, a0=_ones(5, dtype="float32")), "RuntimeError", "IndexError"),
        Bad(_changed(good, a0=_ones(3, 6, dtype="float32")), "RuntimeError"),
        Bad(_changed(good, a0=_ones(3, 5, dtype="float64")), "RuntimeError"),
        Bad(_changed(good, a1=states(2, 4)), "RuntimeError"),
        Bad(_changed(good, a1=states(1, 4)), "RuntimeError"),
        Bad(_changed(good, a1=states(3, 5)), "RuntimeError"),
        Bad(_changed(good, a2=_ones(7, 5, dtype="float32")), "RuntimeError"),
        Bad(_changed(good, a4=short), "RuntimeError"),
    )


TOL = ulps(
    256,
    "states below 1 from some ten products and functions a step, and the steps before",
    lambda lib, *a, **k: 2.0,
)


def _large(kind: str):
    return lambda rng: _network(rng, kind, "float32", 9, 45, 37, 83, directions=2)


SPECS = []
for _kind in GATES:
    SPECS += [
        Spec(
            _kind, _padded(_kind), FLOATS, tol=TOL, grad=True, grad_cases=_grads(_kind),
            bad=_bad(_kind), large=_large(_kind),
        ),
        Spec(
            f"{_kind}_packed", _packed(_kind), FLOATS, fn=_kind, tol=TOL, grad=True,
            grad_cases=_packed_grads(_kind), bad=_packed_bad(_kind),
        ),
        Spec(f"{_kind}_dropout", _dropped(_kind), ("float32", "float64"), fn=_kind, tol=TOL,
             seeded=True),
        Spec(
            f"{_kind}_cell", _cell(_kind), FLOATS, tol=TOL, grad=True,
            grad_cases=_cell_grads(_kind), bad=_cell_bad(_kind), strides=False,
        ),
    ]  # fmt: skip
