"""Which dtype two operands meet in: every pair of dtypes as tensors, zero-dim tensors and numbers."""

from __future__ import annotations

import itertools

import ember
import numpy as np
import pytest
from opspecs.base import ALL, FLOATS, Case, case, given
from opspecs.compare import bits, dtype_name, quiet, same_type, to_numpy, torch

pytestmark = pytest.mark.kernels
needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is the reference")

OPERATIONS = (
    "add", "sub", "mul", "div", "floor_divide", "remainder", "fmod", "pow", "maximum", "eq", "lt",
    "logical_and", "bitwise_or", "where",
)  # fmt: skip
NUMBERS = (True, 2, 3.0)


def operands() -> list:
    tensors = [given([1, 2, 3], d) for d in ALL]
    return [*tensors, *(given(2, d) for d in ALL), *NUMBERS]


def call(lib, name: str, sample: Case):
    args, _ = sample.build(lib)
    if name == "where":
        args.insert(0, lib.from_numpy(np.array([True, False, True])))
    try:
        with quiet():
            return getattr(lib, name)(*args)
    except Exception as e:
        return e


@needs_torch
@pytest.mark.parametrize("name", OPERATIONS)
def test_pairs(name: str) -> None:
    done = 0
    for a, b in itertools.product(operands(), operands()):
        sample = case(a, b)
        if not sample.arrays():
            continue
        ours, theirs = call(ember, name, sample), call(torch, name, sample)
        where = f"{name}{sample}"
        if isinstance(theirs, Exception):
            # Numbers first are Ember's extension of the functions, errors of kinds are PyTorch's.
            if not isinstance(ours, Exception):
                assert isinstance(a, bool | int | float), f"{where}: PyTorch raises {theirs!r}"
            else:
                assert same_type(ours, theirs), f"{where}: {ours!r} for {theirs!r}"
            continue
        assert not isinstance(ours, Exception), f"{where}: raised {ours!r}"
        assert dtype_name(ours) == dtype_name(theirs), f"{where}: {ours.dtype}, {theirs.dtype}"
        if dtype_name(ours) in FLOATS and name == "pow":
            assert np.allclose(to_numpy(ours), to_numpy(theirs), rtol=2.0**-6), where
        else:
            assert np.array_equal(to_numpy(ours), to_numpy(theirs)), f"{where}: {ours}, {theirs}"
        done += 1
    assert done > 50


@needs_torch
@pytest.mark.parametrize("name", ["add", "mul", "div"])
def test_in_place_keeps_the_dtype(name: str) -> None:
    """A result of a higher kind than the tensor's raises; any other is cast to its dtype."""
    for a, b in itertools.product([given([1, 2, 3], d) for d in ALL], operands()):
        outcome = []
        for lib in (ember, torch):
            x, y = case(a, b).build(lib)[0]
            try:
                with quiet():
                    getattr(x, name + "_")(y)
                outcome.append(x)
            except Exception as e:
                outcome.append(e)
        ours, theirs = outcome
        where = f"{name}_{case(a, b)}"
        if isinstance(theirs, Exception):
            assert isinstance(ours, type(theirs)), f"{where}: {ours!r} for {theirs!r}"
        else:
            assert not isinstance(ours, Exception), f"{where}: {ours!r}"
            assert dtype_name(ours) == dtype_name(theirs) == a.dtype, where
            assert np.array_equal(to_numpy(ours), to_numpy(theirs)), f"{where}: {ours}, {theirs}"


@needs_torch
@pytest.mark.parametrize("default", ["float64", "float16"])
def test_default_dtype(default: str) -> None:
    """Numbers and integers become what set_default_dtype says."""
    try:
        for lib in (ember, torch):
            lib.set_default_dtype(getattr(lib, default))
        for a, b in itertools.product(
            [given([1, 2], d) for d in ("int32", "bool", "float32")], NUMBERS
        ):
            for name in ("add", "div", "pow"):
                ours, theirs = call(ember, name, case(a, b)), call(torch, name, case(a, b))
                assert dtype_name(ours) == dtype_name(theirs), f"{name}{case(a, b)}: {ours.dtype}"
        assert dtype_name(ember.exp(ember.ones(2, dtype=ember.int32))) == default
        assert dtype_name(ember.full((2,), 1.5)) == default
    finally:
        for lib in (ember, torch):
            lib.set_default_dtype(lib.float32)


@needs_torch
def test_result_type() -> None:
    for a, b in itertools.product(ALL, ALL):
        ours = ember.promote_types(getattr(ember, a), getattr(ember, b))
        theirs = torch.promote_types(getattr(torch, a), getattr(torch, b))
        assert str(ours).rpartition(".")[2] == str(theirs).rpartition(".")[2]
        assert ember.can_cast(getattr(ember, a), getattr(ember, b)) == torch.can_cast(
            getattr(torch, a), getattr(torch, b)
        )
    for a, b in itertools.product(operands(), operands()):
        ours = ember.result_type(*case(a, b).build(ember)[0])
        theirs = torch.result_type(*case(a, b).build(torch)[0])
        assert str(ours).rpartition(".")[2] == str(theirs).rpartition(".")[2], (
            f"{case(a, b)}: {ours}"
        )


# ---- Memory that is written while it is read


def overlapping() -> list:
    """(what is written, what is read) of one tensor of 12 numbers."""
    return [
        lambda x: (x[1:], x[:-1]),
        lambda x: (x[:-1], x[1:]),
        lambda x: (x[::2], x[:6]),
        lambda x: (x.view(3, 4)[:, 1:], x.view(3, 4)[:, :3]),
        lambda x: (x[:9].view(3, 3), x[:9].view(3, 3).t()),
        lambda x: (x[:9].view(3, 3), x[0]),
        lambda x: (x, x),
    ]


@pytest.mark.parametrize("dtype", ["float32", "int64", "bfloat16"])
@pytest.mark.parametrize("name", ["add_", "mul_", "copy_", "sub_", "maximum"])
def test_overlapping_operands(name: str, dtype: str) -> None:
    """As if what is read had been copied before."""
    for pick in overlapping():
        results = []
        for apart in (False, True):
            x = ember.arange(12, dtype=getattr(ember, dtype))
            written, read = pick(x)
            read = read.clone() if apart else read
            if name == "maximum":
                ember.maximum(written, read, out=written)
            else:
                getattr(written, name)(read)
            results.append(bits(x))
        assert results[0] == results[1]


@needs_torch
@pytest.mark.parametrize(
    "name", ["add_", "mul_", "copy_", "fill_", "zero_", "exp_", "uniform_", "clamp_"]
)
def test_writing_to_an_expanded_tensor_raises(name: str) -> None:
    x = ember.ones(3).expand(2, 3)
    args = {
        "add_": (1,),
        "mul_": (2,),
        "copy_": (ember.ones(2, 3),),
        "fill_": (1,),
        "clamp_": (0, 1),
    }
    y = torch.ones(3).expand(2, 3)
    theirs = {**args, "copy_": (torch.ones(2, 3),)}
    try:
        getattr(y, name)(*theirs.get(name, ()))
    except RuntimeError:
        with pytest.raises(RuntimeError, match=name.rstrip("_")):
            getattr(x, name)(*args.get(name, ()))
    else:
        getattr(x, name)(*args.get(name, ()))
        assert np.array_equal(x.numpy(), y.numpy())


def test_numbers_in_derivatives_keep_the_tensors_precision():
    x = ember.tensor([0.3], dtype=ember.float64, requires_grad=True)
    for call, slope in (
        (lambda: ember.special.xlog1py(x, 3), np.log1p(3.0)),
        (lambda: ember.special.xlog1py(x, ember.tensor(3.0)), np.log1p(3.0)),
        (lambda: ember.xlogy(x, 7), np.log(7.0)),
    ):
        (grad,) = ember.autograd.grad(call().sum(), x)
        np.testing.assert_allclose(grad.numpy(), slope, rtol=1e-15)


def test_linear_without_features():
    for shape, weight in (((2, 1, 2), (0, 2)), ((1, 2, 0), (3, 0)), ((0, 2, 3), (4, 3))):
        x, w = ember.ones(shape, requires_grad=True), ember.ones(weight, requires_grad=True)
        ember.nn.functional.linear(x, w).sum().backward()
        assert (x.grad.shape == shape and not x.grad.count_nonzero()) or shape[0] == 0
        assert w.grad.shape == weight and not w.grad.count_nonzero()
