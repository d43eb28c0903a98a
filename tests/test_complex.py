"""Complex tensors against PyTorch's: conversions, promotion, parts as views that autograd follows,
rotary embeddings, the rules of gradients, files."""

from __future__ import annotations

import copy
import io
import itertools
import pickle
import warnings
from typing import Any

import ember
import numpy as np
import pytest
from ember.autograd import gradcheck
from opspecs.base import ALL, COMPLEX, EPS, case, given
from opspecs.compare import bits, dtype_name, quiet, same_type, to_numpy, torch

needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is the reference")

rng = np.random.default_rng(0)
Z = rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4))
R = rng.normal(size=(3, 4, 2))


def outcome(program: Any, lib: Any) -> Any:
    try:
        with quiet():
            return program(lib)
    except Exception as e:
        return e


def leaves(x: Any) -> list:
    return [y for item in x for y in leaves(item)] if isinstance(x, (tuple, list)) else [x]


def agree(program: Any, tolerance: float = 1e-12) -> None:
    """The program on both libraries gives the same values and dtypes, or the same kind of error."""
    ours, theirs = outcome(program, ember), outcome(program, torch)
    if isinstance(theirs, Exception):
        assert isinstance(ours, Exception), f"PyTorch raises {theirs!r}, got {ours}"
        assert same_type(ours, theirs), f"{ours!r} for {theirs!r}"
        return
    assert not isinstance(ours, Exception), repr(ours)
    ours, theirs = leaves(ours), leaves(theirs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        if isinstance(a, ember.Tensor):
            assert dtype_name(a) == dtype_name(b) and tuple(a.shape) == tuple(b.shape)
            assert np.allclose(to_numpy(a), to_numpy(b), tolerance, tolerance, equal_nan=True)
        elif type(a).__name__ == "dtype":
            assert str(a).removeprefix("ember.") == str(b).removeprefix("torch.")
        else:
            assert a == b and type(a) is type(b)


def complex_leaf(lib: Any) -> Any:
    return lib.from_numpy(Z.copy()).requires_grad_()


def real_leaf(lib: Any) -> Any:
    return lib.from_numpy(R.copy()).requires_grad_()


# ---- Parts as views


def change_real_part(lib: Any) -> Any:
    z = complex_leaf(lib)
    y = z * 2
    y.real.mul_(3)
    (y.abs() ** 2).sum().backward()
    return z.grad, y.detach()


def assign_through_view_as_real(lib: Any) -> Any:
    z = complex_leaf(lib)
    y = z * z
    parts = lib.view_as_real(y)
    parts[..., 0] = parts[..., 1] * 2
    (y * y).imag.sum().backward()
    return z.grad, y.detach()


def turn_through_view_as_complex(lib: Any) -> Any:
    r = real_leaf(lib)
    y = r * 2
    lib.view_as_complex(y).mul_(1j)
    (y**3).sum().backward()
    return r.grad, y.detach()


def change_views_of_views(lib: Any) -> Any:
    z = complex_leaf(lib)
    y = z.clone()
    y.imag = y.real
    y.t()[1].mul_(2j)
    y.abs().sum().backward()
    return z.grad, y.detach()


def read_part_of_changed_base(lib: Any) -> Any:
    z = complex_leaf(lib)
    y = z * 1
    part = y.real
    y.mul_(1j)
    (part**2).sum().backward()
    return z.grad, part.detach()


def read_complex_view_of_changed_base(lib: Any) -> Any:
    r = real_leaf(lib)
    y = r * 1
    view = lib.view_as_complex(y)
    y.mul_(2)
    (view * view).abs().sum().backward()
    return r.grad, view.detach()


def second_order_through_changed_part(lib: Any) -> Any:
    z = complex_leaf(lib)
    y = z * 2
    y.real.mul_(3)
    (g,) = lib.autograd.grad((y.abs() ** 3).sum(), z, create_graph=True)
    (g.abs() ** 2).sum().backward()
    return z.grad, g.detach()


def change_part_of_leaf(lib: Any) -> Any:
    complex_leaf(lib).real.mul_(2)


def rotary(lib: Any) -> Any:
    """Queries (batch, time, heads, dim) turned by angles that grow with the position."""
    q = lib.from_numpy(np.random.default_rng(1).normal(size=(2, 5, 3, 8)).astype("float32"))
    q.requires_grad_()
    inverse = 1.0 / (10000.0 ** (lib.arange(0, 8, 2).float() / 8))
    angles = lib.outer(lib.arange(5).float(), inverse)
    turns = lib.polar(lib.ones_like(angles), angles)
    pairs = lib.view_as_complex(q.reshape(*q.shape[:-1], -1, 2))
    turned = lib.view_as_real(pairs * turns.view(1, 5, 1, 4)).flatten(3)
    (turned**3).sum().backward()
    return turned.detach(), q.grad


@needs_torch
@pytest.mark.parametrize(
    "program",
    [
        change_real_part, assign_through_view_as_real, turn_through_view_as_complex,
        change_views_of_views, read_part_of_changed_base, read_complex_view_of_changed_base,
        second_order_through_changed_part, change_part_of_leaf,
    ],
)  # fmt: skip
def test_gradients_follow_parts(program: Any) -> None:
    agree(program)


@needs_torch
def test_rotary_embedding() -> None:
    agree(rotary, 1e-4)


def test_parts_share_memory() -> None:
    z = ember.tensor([1 + 2j, 3 - 1j])
    z.real[0] = 5
    z.imag = ember.tensor([7.0, 8.0])
    assert z.tolist() == [5 + 7j, 3 + 8j]
    pairs = ember.view_as_real(z)
    assert pairs.data_ptr() == z.data_ptr() and pairs._base is z
    assert ember.view_as_complex(pairs).data_ptr() == z.data_ptr()
    assert z.real.stride() == (2,) and z.imag.storage_offset() == 1
    version = z._version
    pairs.mul_(2)
    assert z._version == version + 1 and z[0].item() == 10 + 14j
    assert ember.ones(2).real.tolist() == [1.0, 1.0]


def test_conjugates_are_computed_at_once() -> None:
    z = ember.tensor([1 + 2j])
    assert z.conj().tolist() == [1 - 2j] and not z.conj().is_conj()
    assert z.resolve_conj() is z and ember.ones(2).conj().tolist() == [1.0, 1.0]
    assert z.conj_physical_() is z and z.item() == 1 - 2j


# ---- Rules of gradients


def backward_of_complex(lib: Any) -> Any:
    complex_leaf(lib).sum().backward()


def real_seed_for_complex(lib: Any) -> Any:
    complex_leaf(lib).sum().backward(lib.ones((), dtype=lib.float64))


def complex_seed_for_real(lib: Any) -> Any:
    real_leaf(lib).sum().backward(lib.ones((), dtype=lib.complex128))


def complex_gradient_of_real(lib: Any) -> Any:
    real_leaf(lib).grad = lib.ones(3, 4, 2, dtype=lib.complex128)


def real_leaf_of_complex_result(lib: Any) -> Any:
    x = lib.from_numpy(R[..., 0].copy()).requires_grad_()
    (x * (1 + 2j)).abs().sum().backward()
    return x.grad


def casts(lib: Any) -> Any:
    z = complex_leaf(lib)
    (z.to(lib.complex64).abs().sum() + z.real.to(lib.complex128).pow(2).sum().abs()).backward()
    return z.grad


def discarded_imaginary_part(lib: Any) -> Any:
    z = complex_leaf(lib)
    (z.to(lib.float64) ** 2).sum().backward()
    return z.grad


@needs_torch
@pytest.mark.parametrize(
    "program",
    [
        backward_of_complex, real_seed_for_complex, complex_seed_for_real, complex_gradient_of_real,
        real_leaf_of_complex_result, casts, discarded_imaginary_part,
    ],
)  # fmt: skip
def test_rules(program: Any) -> None:
    agree(program, 1e-6)


def test_implicit_gradient_needs_a_real_scalar() -> None:
    z = ember.tensor(1j, requires_grad=True)
    with pytest.raises(RuntimeError, match="only for real scalar outputs but got complex64"):
        (z * 2).backward()


def test_gradcheck_sees_each_part() -> None:
    z = ember.from_numpy(Z[:1, :2].copy()).requires_grad_()

    class Wrong(ember.autograd.Function):
        """The gradient of z * z without the conjugate."""

        @staticmethod
        def forward(ctx: Any, z: Any) -> Any:
            ctx.save_for_backward(z)
            return z * z

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2 * ctx.saved_tensors[0]

    assert gradcheck(lambda z: z * z, z)
    with pytest.raises(ember.autograd.gradcheck.__globals__["GradcheckError"], match="mismatch"):
        gradcheck(Wrong.apply, z)


# ---- Values in and out


@needs_torch
@pytest.mark.parametrize(
    "program",
    [
        lambda l: l.tensor([1j, 2, 3.0]),
        lambda l: l.tensor([[1, 2j], [True, 0.5]]),
        lambda l: l.tensor([1j], dtype=l.float32),
        lambda l: l.tensor([1j], dtype=l.int64),
        lambda l: l.tensor([1j, 0], dtype=l.bool),
        lambda l: l.tensor(np.complex64(1 + 2j)),
        lambda l: l.tensor([np.complex64(1 + 2j), np.complex128(1)]),
        lambda l: l.full((2,), 1j),
        lambda l: l.full((2,), 1j, dtype=l.float32),
        lambda l: l.full_like(l.ones(2), 1j),
        lambda l: l.zeros(2).new_full((2,), 1j, dtype=l.complex64),
        lambda l: l.ones(2, dtype=complex),
        lambda l: l.eye(2, dtype=l.complex64),
        lambda l: l.arange(3, dtype=l.complex64),
        lambda l: l.linspace(0, 1, 3, dtype=l.complex64),
        lambda l: l.zeros(2).fill_(1j),
        lambda l: l.zeros(2).fill_(1 + 0j),
        lambda l: l.zeros(2).masked_fill(l.tensor([True, False]), 1j),
        lambda l: l.zeros(2).add_(1j),
        lambda l: l.add(l.ones(2), 1, alpha=1j),
        lambda l: l.zeros(3).__setitem__(0, 1j),
        lambda l: float(l.tensor(1 + 0j)),
        lambda l: float(l.tensor(1j)),
        lambda l: int(l.tensor(2 + 0j)),
        lambda l: complex(l.tensor(1j)),
        lambda l: complex(l.tensor(2)),
        lambda l: bool(l.tensor(1j)),
        lambda l: l.tensor([1j, 2]).tolist(),
        lambda l: l.tensor(1j).item(),
        lambda l: 1j in l.tensor([1j, 2]),
        lambda l: l.where(l.tensor([True, False]), 1j, 2.0),
        lambda l: l.tensor([1.0]).imag,
        lambda l: l.tensor([1j]) < 1,
        lambda l: l.ones(2, dtype=l.complex64).type().rpartition(".")[2],
        lambda l: l.ones(2).sum(dtype=l.complex64),
        lambda l: l.tensor([3, 1]).prod(dtype=l.complex64),
        lambda l: l.tensor([1j]).mean(dtype=l.float32),
        lambda l: l.var_mean(l.tensor([1j, 2])),
        lambda l: l.tensor([3, 1]).cdouble() * l.tensor([1.0, 2]).cfloat(),
    ],
)
def test_values(program: Any) -> None:
    agree(program, 1e-6)


def test_default_dtype_gives_the_complex_one() -> None:
    before = ember.get_default_dtype()
    try:
        ember.set_default_dtype(ember.float64)
        assert ember.tensor(1j).dtype is ember.complex128
        assert (ember.ones(2, dtype=ember.int64) * 1j).dtype is ember.complex128
        assert (ember.ones(2, dtype=ember.float32) * 1j).dtype is ember.complex64
    finally:
        ember.set_default_dtype(before)
    assert ember.full((1,), 1j).dtype is ember.complex64


def test_casting_to_real_warns() -> None:
    z = ember.tensor([1 + 2j])
    for cast in (lambda: z.float(), lambda: z.to(ember.int32), lambda: ember.zeros(1).copy_(z)):
        with pytest.warns(UserWarning, match="discards the imaginary part"):
            assert cast().tolist() == [1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert z.bool().tolist() == [True] and z.to(ember.complex128).tolist() == [1 + 2j]
        with pytest.raises(UserWarning):
            z.float()


@needs_torch
@pytest.mark.parametrize("name", ["add", "mul", "div", "eq", "pow", "where", "logical_and", "lt"])
def test_promotion(name: str) -> None:
    others = [d for d in ALL if d != "float16"]  # with which PyTorch gives complex32
    operands = [given([1, 2, 3], d) for d in (*COMPLEX, *others)]
    operands += [given(2, d) for d in (*COMPLEX, *others)] + [True, 2, 3.0, 1.5 + 0.5j]
    for a, b in itertools.product(operands, operands):
        sample = case(a, b)
        kinds = {x.dtype for x in sample.arrays()}
        number = any(isinstance(x, complex) for x in (a, b))
        if not kinds & set(COMPLEX) and not (number and kinds):
            continue

        def call(lib: Any, sample: Any = sample) -> Any:
            args, _ = sample.build(lib)
            if name == "where":
                args.insert(0, lib.from_numpy(np.array([True, False, True])))
            return getattr(lib, name)(*args)

        ours, theirs = outcome(call, ember), outcome(call, torch)
        if isinstance(theirs, Exception):
            extended = not isinstance(a, (bool, int, float, complex))
            assert isinstance(ours, Exception) or not extended, f"{name}{sample}: {theirs!r}"
            continue
        agree(call, 1e-5)


@needs_torch
@pytest.mark.parametrize("dtype", COMPLEX)
def test_random_numbers_are_torchs(dtype: str) -> None:
    for draw in ("rand", "randn"):
        ours, theirs = (
            (lib.manual_seed(3), getattr(lib, draw)(7, dtype=getattr(lib, dtype)))[1]
            for lib in (ember, torch)
        )
        if draw == "rand":
            assert bits(ours) == bits(theirs)
        else:  # scaled by the root of a half, which may round differently
            assert np.allclose(ours.numpy(), theirs.numpy(), 4 * EPS[dtype], 0)
    drawn = ember.randn(4000, dtype=getattr(ember, dtype))
    assert abs(drawn.abs().square().mean().item() - 1) < 0.1


@needs_torch
def test_printing() -> None:
    nan = np.array([1 + 2j, np.nan, complex(np.inf, -1)])
    for values in (Z, Z * 1e6, Z.round(), nan, np.array(3 - 1j), np.zeros((0, 2), complex)):
        for kind in (np.complex64, np.complex128):
            ours = repr(ember.from_numpy(values.astype(kind)))
            assert ours.replace("ember", "torch") == repr(torch.from_numpy(values.astype(kind)))


# ---- Memory shared with others, files


def test_numpy_and_dlpack_share_memory() -> None:
    for kind in (np.complex64, np.complex128):
        array = Z.astype(kind)
        t = ember.from_numpy(array)
        t[0, 0] = 9j
        assert array[0, 0] == 9j and t.numpy().dtype == kind
        assert np.array_equal(np.from_dlpack(t), array)
        assert ember.equal(ember.from_dlpack(t), t)
        with pytest.raises(ValueError):
            ember.from_numpy(array.astype(array.dtype.newbyteorder(">")))


def test_copies_and_pickles() -> None:
    z = ember.from_numpy(Z.astype(np.complex64)).t()
    for same in (pickle.loads(pickle.dumps(z)), copy.deepcopy(z), z.clone()):
        assert ember.equal(same, z) and same.dtype is z.dtype and same.stride() == z.stride()


@needs_torch
def test_files() -> None:
    z = ember.from_numpy(Z.astype(np.complex64))
    t = torch.from_numpy(Z.astype(np.complex64))
    file = io.BytesIO()
    ember.save({"z": z, "wide": z.cdouble()}, file)
    file.seek(0)
    loaded = torch.load(file)
    assert torch.equal(loaded["z"], t) and loaded["wide"].dtype is torch.complex128
    file = io.BytesIO()
    torch.save({"z": t, "turned": t.t()}, file)
    file.seek(0)
    back = ember.load(file)
    assert ember.equal(back["z"], z) and ember.equal(back["turned"], z.t())
    with pytest.raises(RuntimeError, match="different dtypes"):
        ember.save([z, z.real], io.BytesIO())
