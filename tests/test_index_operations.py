"""Operations on indices and masks, against PyTorch."""

from __future__ import annotations

import re

import ember
import numpy as np
import pytest
from mirrored import (
    DTYPES,
    assert_same,
    compare,
    compare_gradients,
    gradients,
    long,
    mirror,
    run,
    sample,
    torch,
)

KINDS = ["plain", "transposed", "gapped"]

pytestmark = [pytest.mark.kernels, pytest.mark.filterwarnings("ignore::UserWarning")]


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
        fitting = re.sub(r"([gh])(\[:0\])?, f", r"\1\2, f[:\1.shape[0], :4, :2]\2", text)
        first, second = (gradients(t, names, ember, ["x", "f"]) for t in (text, fitting))
        for a, b in zip(first, second, strict=True):
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
        names = {"w": w, "i": ember.tensor([[0, 6, 3], [3, 3, 0]])}
        y = run(f"lib.nn.functional.embedding(i, w{options})", names, ember)
        loss = (y * ember.arange(30.0, dtype=ember.float64).reshape(2, 3, 5)).sum()
        grads += ember.autograd.grad(loss, [w], create_graph=create_graph)
    np.testing.assert_allclose(grads[0].numpy(), grads[1].detach().numpy(), rtol=1e-14)
    w = sample((7, 5)).requires_grad_()
    names = {"w": w, "i": long([[0, 6, 3], [3, 3, 0]])}
    y = run(f"lib.nn.functional.embedding(i, w{options})", names, torch)
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
    ("x.index_put((), lib.ones(1))", RuntimeError),
    ("x.index_put([], lib.ones(4), True)", RuntimeError),
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
    with pytest.raises(NotImplementedError, match="sparse"):
        ember.nn.functional.embedding(i, x, sparse=True)
