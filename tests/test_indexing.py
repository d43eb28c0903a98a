"""Indexing and the operations on indices, against PyTorch."""

from __future__ import annotations

import re

import pytest

torch = pytest.importorskip("torch")

import ember
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from mirrored import (
    DTYPES,
    NUMBERS,
    assert_same,
    compare,
    compare_gradients,
    gradients,
    mirror,
    run,
    sample,
    strided,
)
from torch_bridge import to_ember

KINDS = ["plain", "transposed", "gapped"]

pytestmark = [pytest.mark.kernels, pytest.mark.filterwarnings("ignore::UserWarning")]


def long(*items):
    return torch.tensor(items, dtype=torch.int64)


# ---- x[...]

BASIC = [
    "x[0]", "x[-1]", "x[1, 2]", "x[1, 2, 3]", "x[:]", "x[1:]", "x[:-1]", "x[::2]", "x[5:2]",
    "x[0:10]", "x[-100:100]", "x[:, 1]", "x[:, :, 1:3]", "x[..., 0]", "x[0, ...]", "x[..., 1, :]",
    "x[None]", "x[None, ..., None]", "x[:, None, 1]", "x[...]", "x[()]", "x[1, None, 2]",
    "x[0, :, 1::2]", "x[:0]", "x[:, 2:1]", "x[np.int64(1)]", "x[lib.tensor(1)]",
    "x[lib.tensor(0):lib.tensor(2)]", "x[np.array(1)]", "x[0:1, 1:2, 2:3]", "x[::100]",
    "x[[0, slice(0, 1)]]", "x[[0, None]]", "x[:, ::3, 2::2]", "x[1, ..., None]", "x[None, None, 0]",
]  # fmt: skip

ADVANCED = [
    "x[[0, 1]]", "x[[True, False]]", "x[i]", "x[i.int()]", "x[j]", "x[:, i]", "x[i, i]",
    "x[i, :, i]", "x[:, i, i]", "x[i, i, i]", "x[0, :, i]", "x[0, i]", "x[..., i]", "x[i, ...]",
    "x[i, None, i]", "x[None, i]", "x[:, j]", "x[j, i]", "x[m]", "x[m, 1]", "x[m, i]", "x[n]",
    "x[:, p]", "x[0, p]", "x[q]", "x[:, [0, 2], [1, 1]]", "x[1:, i]", "x[:, 1:, i]", "x[[]]",
    "x[:, []]", "x[np.array([0, 1])]", "x[np.array([True, False])]", "x[True]", "x[False]",
    "x[:, True, i]", "x[True, i]", "x[lib.tensor(True)]", "x[range(2)]", "x[(0, 1),]",
    "x[i[:, None], i]", "x[i[:, None], :, i]", "x[[0, -1]]", "x[:, lib.tensor([-1, -2])]",
    "x[[[0, 1], [1, 0]]]", "x[m.byte()]", "x[~m]",
    "x[i, 1:, None, i]", "x[j, ..., None]", "x[q.nonzero()[:, 0]]",
]  # fmt: skip


def index_names(dtype: str = "float64") -> dict:
    return {
        "x": sample((2, 3, 4), dtype),
        "i": long(1, 0),
        "j": long([[0, 1], [1, 1], [0, 0]]),
        "m": torch.tensor([False, True]),
        "n": sample((2, 3), "bool", 1),
        "p": sample((3, 4), "bool", 2),
        "q": sample((2, 3, 4), "bool", 3),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", BASIC)
def test_basic_index_is_a_view(text, kind):
    names = index_names()
    theirs, ours = strided(names["x"].clone(), kind), mirror(names["x"], kind)
    a, b = run(text, {"x": ours}, ember), run(text, {"x": theirs}, torch)
    assert_same(a, b)
    assert a.stride() == b.stride()
    assert a.data_ptr() == 0 or ours.data_ptr() <= a.data_ptr()
    assert a._base is ours or a._base is ours._base
    a.fill_(77)
    b.fill_(77)
    assert_same(ours, theirs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ADVANCED)
def test_advanced_index(text, kind):
    ours, _ = compare(text, index_names(), kind)
    assert ours._base is None


@pytest.mark.parametrize("dtype", DTYPES)
def test_advanced_index_of_every_dtype(dtype):
    for text in ["x[i]", "x[:, i]", "x[i, :, i]", "x[q]", "x[n]", "x[1, 2, 3]", "x[:, ::2]"]:
        compare(text, index_names(dtype))


@pytest.mark.autograd
@pytest.mark.parametrize("text", [*BASIC, *ADVANCED])
def test_gradient_of_index(text):
    names = index_names()
    compare_gradients(text, names, ["x"])


def test_zero_sizes():
    for text in ["x[i]", "x[:, i]", "x[:, :, k]", "x[n]", "x[0, :, k]", "x[..., 1:]", "x[[]]"]:
        names = {
            "x": torch.zeros(2, 3, 0) if "k" not in text else torch.zeros(2, 0, 3),
            "i": long(1, 0),
            "k": long(2, 2),
            "n": torch.ones(2, 3, dtype=torch.bool),
        }
        compare(text, names)


def test_zero_dim():
    for text in ["x[...]", "x[()]", "x[None]", "x[True]", "x[False]", "x[lib.tensor(True)]"]:
        compare(text, {"x": torch.tensor(5.0)})


BAD_INDEX = [
    ("x[5]", IndexError),
    ("x[-3]", IndexError),
    ("x[0, 9]", IndexError),
    ("x[0, 0, 0, 0]", IndexError),
    ("x[..., 0, 0, 0, 0]", IndexError),
    ("x[..., ...]", IndexError),
    ("x[1.5]", IndexError),
    ("x[object()]", IndexError),
    ("x[{}]", IndexError),
    ("x['a']", TypeError),
    ("x[['a']]", ValueError),
    ("x[lib.tensor(1.5)]", IndexError),
    ("x[lib.tensor([1.0])]", IndexError),
    ("x[lib.tensor([0, 1]).short()]", IndexError),
    ("x[::-1]", ValueError),
    ("x[::0]", ValueError),
    ("x[0:1.5]", TypeError),
    ("x[lib.tensor([0, 5])]", IndexError),
    ("x[lib.tensor([-3])]", IndexError),
    ("x[:, lib.tensor([3])]", IndexError),
    ("x[lib.tensor([True, False, True])]", IndexError),
    ("x[:, lib.tensor([True, False])]", IndexError),
    ("x[lib.zeros(2, 3, 4, 1) > 0]", IndexError),
    ("x[lib.tensor([0, 1]), lib.tensor([0, 1, 2])]", IndexError),
    ("x[0, 0, 0][0]", IndexError),
    ("x[0, 0, 0][:]", IndexError),
    ("x[2**70]", IndexError),
    ("x[[2**70]]", ValueError),
    ("x[[0], [0], [0], [0]]", IndexError),
    ("x.__delitem__(0)", TypeError),
    ("x.__setitem__(9, 1)", IndexError),
    ("x.__setitem__([9], 1)", IndexError),
    ("x.__setitem__(0, [1])", TypeError),
    ("x.__setitem__(0, None)", TypeError),
    ("x.__setitem__(0, 'a')", TypeError),
    ("x.__setitem__(0, np.zeros(4))", TypeError),
    ("x.__setitem__(0, lib.zeros(5))", RuntimeError),
    ("x.__setitem__(0, lib.zeros(2, 3, 4))", RuntimeError),
    ("x.__setitem__([0, 1], lib.zeros(5))", RuntimeError),
    ("x.__setitem__([0, 1], lib.zeros(3, 2, 3, 4))", RuntimeError),
    ("x.__setitem__([0, 1], lib.zeros(1, dtype=lib.float64))", RuntimeError),
    ("x.__setitem__(x > 3, lib.zeros(5))", RuntimeError),
    ("x[:1].expand(2, 3, 4).__setitem__(slice(1, None), x)", RuntimeError),
    ("x[:1].expand(2, 3, 4).__setitem__(slice(None), x)", RuntimeError),
    ("x[:1].expand(2, 3, 4).__setitem__([0], 1)", RuntimeError),
    ("x.byte().__setitem__(0, 300)", RuntimeError),
    ("x.byte().__setitem__([0], 300)", RuntimeError),
    ("x.int().__setitem__(0, float('nan'))", RuntimeError),
    ("x.int().__setitem__(0, 1e10)", RuntimeError),
]


@pytest.mark.parametrize("text, error", BAD_INDEX)
def test_bad_index(text, error):
    x = ember.arange(24.0).reshape(2, 3, 4)
    with pytest.raises(error):
        run(text, {"x": x}, ember)
    assert x.tolist() == ember.arange(24.0).reshape(2, 3, 4).tolist()


# ---- x[...] = value

ASSIGN = [
    "x[0] = 5", "x[-1, 2] = 1.5", "x[:, 1:] = -1", "x[...] = 3", "x[()] = 3", "x[None] = 2",
    "x[0] = v4", "x[:, 0] = v4", "x[:, :, 2:] = x[:, :, :2]", "x[0] = x[1]", "x[1:] = x[:1]",
    "x[0] = v4.expand(1, 1, 3, 4)", "x[0, 0, 0] = v4[1:2]", "x[:, ::2] = v4", "x[5:2] = 9",
    "x[i] = 7", "x[i] = v4", "x[:, i] = v4", "x[i, :, i] = 3", "x[j, i] = v4", "x[[0, 0]] = v4",
    "x[m] = 5", "x[n] = 6", "x[q] = 8", "x[q] = x[q] * 2", "x[:, p] = 4", "x[0, p] = 4",
    "x[n] = v4", "x[m, 1] = v4", "x[~q] = 0", "x[True] = 1", "x[False] = 1", "x[[]] = 1",
    "x[i] += 1", "x[:, 0] += v4", "x[q] -= 1", "x[0] *= 2", "x[i, i] += 1", "x[1:, i] = v4",
    "x[[0, 1], None, [1, 2]] = v4", "x[0, :, i] = v4[:3, None]", "x[q] = v1", "x[n, 1] = v1",
    "x[i] = v4.expand(1, 1, 1, 3, 4)", "x[-1:, [0, 2]] = v4", "x[np.array([0])] = 2",
    "x[..., [0, 1]] = 4", "x[0, 1] = True",
]  # fmt: skip


def assign_names(dtype: str = "float64") -> dict:
    x = sample((2, 3, 4), dtype)
    return {**index_names(dtype), "v4": sample((4,), dtype, 5), "v1": x.flatten()[:1].clone()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ASSIGN)
def test_assignment(text, kind):
    if text.startswith("x[[0, 0]]") and kind == "plain":
        pytest.skip("equal places: the last wins here, PyTorch leaves it open")
    compare("def f():\n    " + text + "\nf()\nresult = x", assign_names(), kind)


@pytest.mark.parametrize("dtype", NUMBERS)
def test_assignment_of_every_dtype(dtype):
    for text in [
        "x[0] = 5",
        "x[i] = v4",
        "x[q] = 3",
        "x[n] = v4",
        "x[:, 1] = v4",
        "x[0, 0, 0] = 2",
    ]:
        compare(text + "\nresult = x", assign_names(dtype))


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("target", DTYPES)
def test_assignment_converts(source, target):
    for text in ["x[0] = v4", "x[q] = v4[0]", "x[1, 1, 1] = v4[1]"]:
        names = {
            **assign_names(target),
            "v4": sample((4,), source, 5).abs() if source != "bool" else sample((4,), source, 5),
        }
        compare(text + "\nresult = x", names)


@pytest.mark.autograd
@pytest.mark.parametrize("text", [t for t in ASSIGN if "[[0, 0]]" not in t])
def test_gradient_of_assignment(text):
    wrt = [n for n in ("x", "v4", "v1") if n in text]
    program = f"y = x * 2\n{text.replace('x[', 'y[')}\nresult = y"
    compare_gradients(program, assign_names(), wrt)


@pytest.mark.autograd
def test_assignment_to_a_view_changes_the_base():
    text = "y = x * 2\nz = y[0]\nz[i] = v4\nw = z[:, 1:]\nw[...] = w.clone() * v4[1:]\nresult = y + z.sum()"
    compare_gradients(text, assign_names(), ["x", "v4"])


@pytest.mark.autograd
def test_assignment_to_leaves_and_saved_tensors():
    leaf = ember.ones(3, requires_grad=True)
    for index in (0, [0], slice(1), leaf.detach() > 0):
        with pytest.raises(RuntimeError, match="leaf"):
            leaf[index] = 1
    with ember.no_grad():
        leaf[0] = 5
        leaf[[1]] = 6
    assert leaf.tolist() == [5, 6, 1]
    y = leaf * 2
    z = y * y
    y[0] = 1
    with pytest.raises(RuntimeError, match="modified"):
        z.sum().backward()


def test_read_only_memory_is_not_written():
    array = np.arange(6.0)
    array.flags.writeable = False
    x = ember.from_numpy(array)
    for index in (0, [0], slice(2), x > 1, None):
        with pytest.raises(RuntimeError, match="read-only"):
            x[index] = 1
    assert array.tolist() == [0, 1, 2, 3, 4, 5]


# ---- Generated indices


def entries(size: int):
    whole = st.just(slice(None))
    integer = st.integers(-size, size - 1) if size else whole
    bound = st.none() | st.integers(-size - 2, size + 2)
    part = st.builds(slice, bound, bound, st.none() | st.integers(1, 3))
    items = st.lists(st.integers(-size, size - 1), min_size=3, max_size=3) if size else whole
    mask = st.lists(st.booleans(), min_size=size, max_size=size).filter(lambda m: sum(m) in (1, 3))
    return st.one_of(whole, integer, part, items, mask if size > 2 else integer)


@st.composite
def indexed(draw):
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    used = draw(st.integers(0, len(shape)))
    index = [draw(entries(size)) for size in shape[:used]]
    if draw(st.booleans()):
        index.insert(draw(st.integers(0, len(index))), None)
    if used == len(shape) and draw(st.booleans()):
        index.insert(draw(st.integers(0, len(index))), ...)
    return tuple(shape), index


def both_indices(index):
    def convert(lib, item):
        return lib.tensor(item) if isinstance(item, list) else item

    return (tuple(convert(lib, item) for item in index) for lib in (torch, ember))


@settings(max_examples=400, deadline=None)
@given(indexed())
def test_generated_indices(case):
    shape, index = case
    theirs, ours = both_indices(index)
    x = sample(shape)
    assert_same(mirror(x)[ours], x[theirs])


@settings(max_examples=300, deadline=None)
@given(indexed(), st.integers(0, 3))
def test_generated_assignments(case, cut):
    shape, index = case
    theirs, ours = both_indices(index)
    x = sample(shape)
    part = x[theirs]
    value = sample(tuple(part.shape), seed=1) if cut else torch.tensor(3.5, dtype=torch.float64)
    if cut > 1 and part.dim() > 0:
        value = value.sum(0, keepdim=cut == 2)
    counted = torch.arange(x.numel(), dtype=torch.float64).reshape(shape)[theirs].flatten().tolist()
    if len(set(counted)) != len(counted):
        value = torch.tensor(2.5, dtype=torch.float64)  # equal places: the order is PyTorch's own
    y = mirror(x)
    x[theirs] = value
    y[ours] = to_ember(value)
    assert_same(y, x)


# ---- Operations


def op_names(dtype: str = "float64") -> dict:
    return {
        "x": sample((4, 5, 3), dtype),
        "i": long(2, 0, 2),
        "u": long(3, 1, 0),
        "s": sample((4, 3, 3), dtype, 1),
        "g": torch.from_numpy(np.random.default_rng(7).integers(0, 3, (3, 4, 2))),
        "h": torch.from_numpy(np.random.default_rng(8).permuted(
            np.tile(np.arange(4), (5, 3, 1)), axis=2).transpose(2, 0, 1)[:, :4, :2].copy()),
        "f": sample((4, 5, 3), dtype, 2),
        "m": sample((4, 5, 3), "bool", 3),
        "r": sample((5, 1), "bool", 4),
        "o": sample((), dtype, 0) + (2 if dtype != "bool" else 0) if dtype != "bool"
        else torch.tensor(True),
    }  # fmt: skip


OPS = [
    ("lib.index_select(x, 1, i)", "x"),
    ("x.index_select(-1, i.int())", "x"),
    ("x.index_select(0, lib.tensor(1))", "x"),
    ("x.index_select(0, i[:0])", "x"),
    ("lib.index_add(x, 1, i, s)", "x s"),
    ("x.index_add(1, i.int(), s, alpha=3)", "x s"),
    ("x.index_copy(1, u, s)", "x s"),
    ("x.index_fill(1, lib.tensor([0, -1]), 2)", "x"),
    ("lib.index_fill(x, 0, u, o)", "x o"),
    ("lib.gather(x, 0, g)", "x"),
    ("x.gather(1, g)", "x"),
    ("x.gather(-1, g.int())", "x"),
    ("x.gather(1, g[:0])", "x"),
    ("x.gather(2, g[:, :, :1].expand(3, 4, 2))", "x"),
    ("lib.scatter(x, 0, h, f)", "x f"),
    ("x.scatter(0, h, 2)", "x"),
    ("x.scatter(0, h[:0], f)", "x f"),
    ("x.scatter(0, g, 1, reduce='add')", ""),
    ("lib.scatter_add(x, 0, g, f)", "x f"),
    ("x.scatter_add(1, g, f[:3, :4, :2])", "x f"),
    ("x.scatter_add(2, g, f)", "x f"),
    ("lib.masked_select(x, m)", "x"),
    ("x.masked_select(r)", "x"),
    ("x.masked_scatter(m, f)", "x f"),
    ("x.masked_scatter(r, f)", "x f"),
    ("lib.take(x, g)", "x"),
    ("x.take(lib.tensor([-1, 3, -60]))", "x"),
    ("lib.index_put(x, (i, i), f[0, 0, :1])", "x f"),
    ("x.index_put((i,), f[0], True)", "x f"),
    ("x.index_put((m,), f[0, 0, 0])", "x f"),
    ("x.index_put((i, i, i), f[0, 0], accumulate=True)", "x f"),
    ("x.masked_fill(r, o)", "x o"),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text, wrt", OPS)
def test_operation(text, wrt, kind):
    compare(text, op_names(), kind, rtol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("text, wrt", OPS)
def test_operation_of_every_dtype(text, wrt, dtype):
    if dtype == "bool" and ("alpha" in text or "'add'" in text):
        pytest.skip("no such sum of bools")
    half = dtype in ("float16", "bfloat16")
    compare(text, op_names(dtype), rtol=1e-2 if half else 1e-6)


@pytest.mark.autograd
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text, wrt", OPS)
def test_gradient_of_operation(text, wrt, kind):
    if not wrt:
        pytest.skip("PyTorch has no derivative")
    # PyTorch wants f of the index's size here.
    text = re.sub(
        r"(scatter\w*\((?:x, )?\d, ([gh])(\[:0\])?, f)\)", r"\1[:\2.shape[0], :4, :2]\3)", text
    )
    compare_gradients(text, op_names(), wrt.split(), kind)


@pytest.mark.autograd
def test_gradient_with_a_source_larger_than_the_index():
    for text in [
        "lib.scatter(x, 0, h, f)",
        "lib.scatter_add(x, 0, g, f)",
        "x.scatter(0, g[:0], f)",
    ]:
        names = {k: mirror(v) for k, v in op_names().items()}
        names["x"].requires_grad_()
        names["f"].requires_grad_()
        for larger in (True, False):
            part = (
                text
                if larger
                else re.sub(r", ([gh])(\[:0\])?, f", r", \1\2, f[:\1.shape[0], :4, :2]\2", text)
            )
            grads = gradients(part, names, ember, ["x", "f"])
            if larger:
                first = grads
        for a, b in zip(first, grads, strict=True):
            if a is not None and b is not None:
                assert ember.equal(a, b)


@pytest.mark.autograd
def test_gradient_of_adding_scatter():
    names = op_names()
    wrt = {k: mirror(v) for k, v in names.items()}
    wrt["x"].requires_grad_()
    wrt["f"].requires_grad_()
    adding = gradients("x.scatter(0, g, f, reduce='add')", wrt, ember, ["x", "f"])
    plain = gradients("x.scatter_add(0, g, f)", wrt, ember, ["x", "f"])
    for a, b in zip(adding, plain, strict=True):
        assert ember.equal(a, b)


IN_PLACE = [
    "index_add_(1, i, s)", "index_add_(1, i, s, alpha=0.5)", "index_copy_(1, u, s)",
    "index_fill_(1, u, 2.5)", "scatter_(0, h, f)", "scatter_(0, h, 1.5)",
    "scatter_(0, g, f, reduce='add')", "scatter_add_(0, g, f)", "masked_scatter_(m, f)",
    "index_put_((i,), f[0], True)", "masked_fill_(m, 2)", "index_put_((m,), f[0, 0, :1])",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", IN_PLACE)
def test_in_place(text, kind):
    ours, _ = compare(f"before = x._version\nx.{text}\nresult = x", op_names(), kind, rtol=1e-14)
    assert ours._version > 0


@pytest.mark.autograd
@pytest.mark.parametrize("text", IN_PLACE)
def test_gradient_in_place(text):
    if "reduce" in text:
        pytest.skip("PyTorch has no derivative; the form that is not in place is tested above")
    text = re.sub(r"(scatter\w*_\(., ([gh]), f)\)", r"\1[:\2.shape[0], :4, :2])", text)
    wrt = ["x"] + [n for n in ("s", "f") if f"{n})" in text or f" {n}" in text or f"{n}[" in text]
    compare_gradients(f"y = x * 2\ny.{text}\nresult = y", op_names(), wrt)
    on_view = f"y = lib.cat([x, x]) * 2\nz = y[4:]\nz.{text}\nresult = y"
    compare_gradients(on_view, op_names(), wrt)


@pytest.mark.parametrize(
    "text",
    [
        "lib.index_select(x, 1, i, out=y)", "lib.gather(x, 0, g, out=y)", "lib.take(x, g, out=y)",
        "lib.masked_select(x, m, out=y)", "lib.index_add(x, 1, i, s, out=y)",
        "lib.scatter(x, 0, h, f, out=y)", "lib.scatter_add(x, 0, g, f, out=y)",
        "lib.index_copy(x, 1, u, s, out=y)",
    ],
)  # fmt: skip
@pytest.mark.parametrize("start", ["lib.zeros(0, dtype=lib.float64)", "lib.zeros_like(RESULT).t()"])
def test_out(text, start):
    def program(lib_start):
        return f"y = {lib_start}\n{text}\nresult = y"

    if "RESULT" in start:
        plain = text.replace(", out=y", "")
        start = f"lib.zeros_like(({plain}).transpose(0, -1).contiguous()).transpose(0, -1)"
    compare(program(start), op_names(), rtol=1e-14)


def test_out_must_fit():
    x, i = ember.ones(3, 2), ember.tensor([0, 1])
    with pytest.raises(RuntimeError, match="out"):
        ember.index_select(x, 0, i, out=ember.ones(2, 2, dtype=ember.int64))
    with pytest.raises(RuntimeError):
        ember.index_select(x, 0, i, out=ember.ones(1, 2).expand(2, 2))


def test_operands_that_share_memory():
    for text in [
        "x.index_add_(0, lib.tensor([1, 2]), x[:2])", "x.scatter_(0, g, x)",
        "x.index_copy_(0, lib.tensor([3, 2, 1, 0]), x)", "x[1:] = x[:-1]", "x[:, 1:] = x[:, :-1]",
        "x[[1, 2]] = x[:2]", "x.masked_scatter_(m, x)", "lib.index_select(x, 0, i, out=x)",
        "x[x > 0] = x[x > 0] + 1", "x += x[0]",
    ]:  # fmt: skip
        names = op_names()
        names["g"] = torch.tensor([[[3]], [[2]], [[1]], [[0]]]).expand(4, 5, 3).contiguous()
        theirs = {k: v.clone() for k, v in names.items()}
        theirs["x"] = theirs["x"].clone()
        # PyTorch refuses or leaves these open, so the right operand is copied for it.
        expected = text.replace(", x)", ", x.clone())").replace("x[:2])", "x[:2].clone())")
        expected = expected.replace("= x[", "= 1 * x[").replace("= 1 * x[0]", "= x[0].clone()")
        expected = expected.replace(
            "lib.index_select(x, 0, i, out=x)", "x = lib.index_select(x, 0, i)"
        )
        want = run(expected + "\nresult = x", theirs, torch)
        got = run(text + "\nresult = x", {k: mirror(v) for k, v in names.items()}, ember)
        assert_same(got, want)


# ---- Masks, embedding


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 0), (3, 5), (2, 3, 4), (40000,), (130, 257)])
def test_nonzero(shape, dtype):
    x = sample(shape, dtype)
    x = x * sample(shape, "bool", 1).to(x.dtype) if dtype != "bool" else x
    compare("lib.nonzero(x)", {"x": x})
    compare("x.nonzero(as_tuple=True)", {"x": x})
    compare("lib.argwhere(x)", {"x": x}, "transposed")
    compare("y = lib.zeros(0, dtype=lib.int64)\nlib.nonzero(x, out=y)\nresult = y", {"x": x})


def test_nonzero_of_floats():
    x = torch.tensor([0.0, -0.0, float("nan"), float("inf"), 1e-45, -1.0])
    compare("lib.nonzero(x)", {"x": x})
    compare("lib.nonzero(x)", {"x": x.double()})


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_embedding(dtype):
    names = {"w": sample((7, 5), dtype), "i": long([[0, 6, 3], [3, 3, 0]])}
    for options in ["", ", padding_idx=3", ", padding_idx=-7", ", scale_grad_by_freq=True"]:
        text = f"lib.nn.functional.embedding(i, w{options})"
        compare(text, names)
        compare(text, names, "transposed")
        compare(text.replace("(i,", "(i.int(),"), names)
        compare(text.replace("(i,", "(i[0, 0],"), names)
        compare(text.replace("(i,", "(i[:, :0],"), names)


@pytest.mark.autograd
@pytest.mark.parametrize("options", ["", ", padding_idx=3", ", padding_idx=-7"])
def test_gradient_of_embedding(options):
    names = {"w": sample((7, 5)), "i": long([[0, 6, 3], [3, 3, 0]])}
    compare_gradients(f"lib.nn.functional.embedding(i, w{options})", names, ["w"])


@pytest.mark.autograd
@pytest.mark.parametrize("options", ["", ", 3", ", None, None, 2.0, True", ", 3, None, 2.0, True"])
def test_fused_gradient_of_embedding_is_the_formula(options):
    grads = []
    for create_graph in (False, True):
        w = mirror(sample((7, 5))).requires_grad_()
        i = ember.tensor([[0, 6, 3], [3, 3, 0]])
        y = eval(f"ember.nn.functional.embedding(i, w{options})")
        loss = (y * ember.arange(30.0, dtype=ember.float64).reshape(2, 3, 5)).sum()
        grads += ember.autograd.grad(loss, [w], create_graph=create_graph)
    np.testing.assert_allclose(grads[0].numpy(), grads[1].detach().numpy(), rtol=1e-14)
    w = sample((7, 5)).requires_grad_()
    i = long([[0, 6, 3], [3, 3, 0]])
    y = eval(f"torch.nn.functional.embedding(i, w{options})")
    (y * torch.arange(30.0, dtype=torch.float64).reshape(2, 3, 5)).sum().backward()
    np.testing.assert_allclose(grads[0].numpy(), w.grad.numpy(), rtol=1e-14)


def test_one_hot():
    for text in ["F.one_hot(i)", "F.one_hot(i, 9)", "F.one_hot(i[:0], 3)", "F.one_hot(i[0])"]:
        text = text.replace("F.", "lib.nn.functional.")
        compare(text, {"i": long(2, 0, 5)})


@pytest.mark.parametrize("count", [1, 100, 20000])
def test_many_indices_give_the_same_bits_with_any_threads(count):
    rng = np.random.default_rng(0)
    x = ember.from_numpy(rng.standard_normal((50, 33)).astype(np.float32))
    s = ember.from_numpy(rng.standard_normal((count, 33)).astype(np.float32))
    i = ember.from_numpy(rng.integers(0, 50, count))
    before, results = ember.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            ember.set_num_threads(threads)
            put = x.clone()
            put.index_put_((i,), s, True)
            wide = i.unsqueeze(1).expand(count, 33)
            results.append([x.index_add(0, i, s), put, x.scatter_add(0, wide, s)])
    finally:
        ember.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert ember.equal(a, b)


# ---- Bad arguments

I64 = "lib.tensor([0, 2])"
BAD_OPS = [
    ("x.index_select(0, lib.tensor([0, 7]))", IndexError),
    ("x.index_select(0, lib.tensor([-1]))", IndexError),
    ("x.t().index_select(0, lib.tensor([7]))", IndexError),
    ("x.index_select(0, lib.zeros(2, 2).long())", IndexError),
    ("x.index_select(5, i)", IndexError),
    ("x.index_select(0, i.float())", RuntimeError),
    ("x.index_select(0, 1)", TypeError),
    ("x[0, 0].index_select(0, i)", RuntimeError),
    ("x.index_add(0, lib.tensor([0, 7]), lib.ones(2, 4))", RuntimeError),
    ("x.t().index_add(1, lib.tensor([0, 7]), lib.ones(4, 2))", RuntimeError),
    ("x.index_add(0, lib.tensor([-1]), lib.ones(1, 4))", RuntimeError),
    ("x.index_add(0, i, lib.ones(3, 4))", RuntimeError),
    ("x.index_add(0, i, lib.ones(2, 5))", RuntimeError),
    ("x.index_add(0, i, lib.ones(2, 4).double())", RuntimeError),
    ("x.index_add(0, i.float(), lib.ones(2, 4))", RuntimeError),
    ("x.index_add(0, lib.zeros(2, 1).long(), lib.ones(2, 4))", IndexError),
    ("x.index_copy(0, lib.tensor([7]), lib.ones(1, 4))", IndexError),
    ("x.index_copy(0, lib.tensor([-1]), lib.ones(1, 4))", IndexError),
    ("x.index_copy(0, i, lib.ones(2, 5))", RuntimeError),
    ("x.index_copy(0, i, lib.ones(2, 4).double())", RuntimeError),
    ("x.index_copy(0, i.int(), lib.ones(2, 4))", RuntimeError),
    ("x.index_fill(0, lib.tensor([7]), 1)", IndexError),
    ("x.index_fill(0, i.int(), 1)", IndexError),
    ("x.index_fill(0, i, lib.ones(2))", RuntimeError),
    ("x.gather(0, lib.tensor([[7]]))", RuntimeError),
    ("x.gather(0, lib.tensor([[-1]]))", RuntimeError),
    ("x.gather(0, i)", RuntimeError),
    ("x.gather(0, lib.tensor([[0.0]]))", RuntimeError),
    ("x.gather(0, lib.zeros(2, 5).long())", RuntimeError),
    ("x.gather(5, lib.tensor([[0]]))", IndexError),
    ("x.scatter(0, lib.tensor([[7]]), 1.0)", RuntimeError),
    ("x.scatter(0, lib.tensor([[0, 1]]), lib.ones(1, 1))", RuntimeError),
    ("x.scatter(0, lib.tensor([[0]]), lib.ones(1, 1).double())", RuntimeError),
    ("x.scatter(0, lib.zeros(2, 5).long(), 1.0)", RuntimeError),
    ("x.scatter(0, lib.tensor([[0]]), 1.0, reduce='x')", RuntimeError),
    ("x.byte().scatter(0, lib.tensor([[0]]), 300)", RuntimeError),
    ("x.scatter_add(0, lib.tensor([[0]]), 1.0)", TypeError),
    ("x.scatter_add(0, lib.tensor([[9]]), lib.ones(1, 1))", RuntimeError),
    ("x.expand(2, 3, 4).scatter_(0, lib.zeros(1, 1, 1).long(), 1.0)", RuntimeError),
    ("x.masked_select(x)", RuntimeError),
    ("x.masked_select(lib.tensor([True, False]))", RuntimeError),
    ("x.masked_scatter(x > 3, lib.ones(2))", RuntimeError),
    ("x.masked_scatter(x > 3, lib.ones(20).long())", RuntimeError),
    ("x.masked_scatter(x, lib.ones(20))", RuntimeError),
    ("x[0].masked_scatter_(x > 3, lib.ones(20))", RuntimeError),
    ("x.take(lib.tensor([12]))", IndexError),
    ("x.take(lib.tensor([-13]))", IndexError),
    ("x.take(i.int())", RuntimeError),
    ("x[:0].take(i)", IndexError),
    ("x.index_put((i,), lib.ones(3))", RuntimeError),
    ("x.index_put((i,), lib.ones(4).double())", RuntimeError),
    ("x.index_put((i, i, i), lib.ones(1))", IndexError),
    ("x.index_put((i, None), lib.ones(1))", TypeError),
    ("x.index_put((lib.tensor([9]),), lib.ones(1))", IndexError),
    ("lib.nn.functional.embedding(lib.tensor([7]), x)", IndexError),
    ("lib.nn.functional.embedding(lib.tensor([-1]), x)", IndexError),
    ("lib.nn.functional.embedding(i.float(), x)", RuntimeError),
    ("lib.nn.functional.embedding(i.short(), x)", RuntimeError),
    ("lib.nn.functional.embedding(i, x[0])", RuntimeError),
    ("lib.nn.functional.one_hot(lib.tensor([-1]))", RuntimeError),
    ("lib.nn.functional.one_hot(i, 2)", RuntimeError),
    ("lib.nn.functional.one_hot(i.int())", RuntimeError),
]


@pytest.mark.parametrize("text, error", BAD_OPS)
def test_bad_arguments(text, error):
    names = {"x": torch.arange(12.0).reshape(3, 4), "i": long(0, 2)}
    with pytest.raises(error):
        run(text, {k: v.clone() for k, v in names.items()}, torch)
    ours = {k: mirror(v) for k, v in names.items()}
    with pytest.raises(error):
        run(text, ours, ember)
    assert_same(ours["x"], names["x"])


def test_what_is_not_supported_says_so():
    x, i = ember.ones(3, 4), ember.tensor([[0]])
    with pytest.raises(NotImplementedError, match="max_norm"):
        ember.nn.functional.embedding(i, x, max_norm=1.0)
    with pytest.raises(NotImplementedError, match="sparse"):
        ember.nn.functional.embedding(i, x, sparse=True)
    with pytest.raises(NotImplementedError, match="multiply"):
        x.scatter(0, i, 2.0, reduce="multiply")
