"""Products with sparse matrices, gradients and sparse gradients, against PyTorch's."""

from __future__ import annotations

import copy
import io

import ember
import numpy as np
import pytest
from sparse_support import both, dense, sample, torch

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
FLOATS = ["float32", "float64"]


# ---- Products


PRODUCTS = {
    "sparse @ strided": lambda f, s, d: s @ d(7, 3),
    "strided @ sparse": lambda f, s, d: d(3, 5) @ s,
    "@ vector": lambda f, s, d: s @ d(7),
    "mv": lambda f, s, d: f.mv(s, d(7)),
    "mm": lambda f, s, d: f.mm(s, d(7, 20)),
    "mm method": lambda f, s, d: s.mm(d(7, 1)),
    "matmul": lambda f, s, d: f.matmul(s, d(7, 33)),
    "sparse.mm": lambda f, s, d: f.sparse.mm(s, d(7, 70)),
    "no columns": lambda f, s, d: f.sparse.mm(s, d(7, 0)),
    "transposed strided": lambda f, s, d: s @ d(4, 7).t(),
    "transposed sparse": lambda f, s, d: s.t() @ d(5, 4),
    "sparse.addmm": lambda f, s, d: f.sparse.addmm(d(5, 2), s, d(7, 2), beta=2, alpha=3),
    "addmm": lambda f, s, d: f.addmm(d(5, 2), s, d(7, 2), beta=0.5),
    "linear": lambda f, s, d: f.nn.functional.linear(d(3, 7), s),
    "sparse @ sparse": lambda f, s, d: s @ s.t(),
}


@pytest.mark.parametrize("layout", ["coo", "csr", "csc"])
@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_product(name, dtype, layout):
    if name == "sparse @ sparse" and layout == "csc":
        pytest.skip("the reference multiplies no csc matrices")

    def program(f):
        result = PRODUCTS[name](
            f, sample(f, layout=layout, dtype=dtype), lambda *s: dense(f, *s, dtype=dtype)
        )
        return result.to_dense() if layout != "coo" else result

    both(program, 1e-12 if dtype == "float64" else 1e-5)


MORE_PRODUCTS = {
    "spmm": lambda f: f.spmm(sample(f), dense(f, 7, 3)),
    "smm": lambda f: f.smm(sample(f, twice=False), dense(f, 7, 3)),
    "hspmm": lambda f: f.hspmm(sample(f, twice=False), dense(f, 7, 3)),
    "sspaddmm": lambda f: f.sspaddmm(
        sample(f, k=3), sample(f, twice=False), dense(f, 7, 3), beta=2, alpha=3
    ),
    "bmm": lambda f: f.bmm(f.stack([sample(f), sample(f, seed=3)]), dense(f, 2, 7, 3)),
    "shapes": lambda f: sample(f) @ dense(f, 5, 3),
    "shapes reversed": lambda f: dense(f, 5, 3) @ sample(f),
    "shapes sparse": lambda f: sample(f) @ sample(f),
    "dtypes": lambda f: sample(f) @ dense(f, 7, 3, dtype="float32"),
    "with a number": lambda f: sample(f) @ 3,
    "without items": lambda f: f.sparse_coo_tensor((5, 7)) @ f.ones(7, 2),
    "integers": lambda f: sample(f).long() @ dense(f, 7, 3).long(),
    "sampled_addmm": lambda f: f.sparse.sampled_addmm(
        sample(f, layout="csr"), dense(f, 5, 3), dense(f, 3, 7), beta=0.5, alpha=2
    ),
}


@pytest.mark.parametrize("name", MORE_PRODUCTS)
def test_other_product(name):
    both(MORE_PRODUCTS[name])


@pytest.mark.kernels
def test_product_is_the_same_on_any_number_of_threads():
    x = sample(ember, 3000, 2000, 40000, dtype="float32", grad=True)
    y = dense(ember, 2000, 37, dtype="float32", grad=True)
    before = ember.get_num_threads()
    seen = []
    try:
        for threads in (1, 2, 4):
            ember.set_num_threads(threads)
            x.grad = y.grad = None
            out = x @ y
            out.square().sum().backward()
            seen.append([t.detach().numpy().tobytes() for t in (out, y.grad, x.grad._values())])
    finally:
        ember.set_num_threads(before)
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", *FLOATS])
@pytest.mark.parametrize("n", [1, 7, 16, 65, 300])
def test_kernels_against_strided(dtype, n):
    x, y = sample(ember, 40, 30, 200, dtype=dtype), dense(ember, 30, n, dtype=dtype)
    expected = sample(ember, 40, 30, 200).to_dense() @ y.double()
    tolerance = {"float16": 1e-2, "bfloat16": 1e-1, "float32": 1e-5, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(
        (x @ y).double().numpy(), expected.numpy(), rtol=tolerance, atol=tolerance
    )


# ---- Gradients


GRADIENTS = {
    "product": lambda f, s, d: s @ d,
    "sparse.mm": lambda f, s, d: f.sparse.mm(s, d),
    "transposed": lambda f, s, d: d.t() @ s.t(),
    "to_dense": lambda f, s, d: s.to_dense() * 3,
    "coalesce": lambda f, s, d: s.coalesce().values() ** 2,
    "times": lambda f, s, d: (s * 2).to_dense() @ d,
    "add": lambda f, s, d: (s + s).to_dense(),
    "sum": lambda f, s, d: f.sparse.sum(s) * 2,
    "sum 0": lambda f, s, d: f.sparse.sum(s, 0).to_dense() ** 2,
    "softmax": lambda f, s, d: f.sparse.softmax(s, 1).to_dense() @ d,
    "log_softmax": lambda f, s, d: f.sparse.log_softmax(s, 1).to_dense() @ d,
    "addmm": lambda f, s, d: f.sparse.addmm(d[:5], s, d),
    "strided add": lambda f, s, d: (d.t() @ d)[0, 0] * f.ones(5, 7, dtype=f.float64) + s,
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient(name):
    """Of a sparse leaf: sparse, with its pattern; and of the strided operand.

    Some of the reference's are strided: the pattern's part of them counts.
    """

    def program(f):
        s, d = sample(f, twice=False, grad=True), dense(f, 7, 3, grad=True)
        out = GRADIENTS[name](f, s, d)
        (out * dense(f, *out.shape, seed=7)).sum().backward()
        grad = s.grad
        if f is torch and grad.layout is torch.strided:
            grad = grad.sparse_mask(s.detach())
        return [grad, d.grad] if d.grad is not None else grad

    both(program)


@pytest.mark.parametrize("name", ["product", "sparse.mm", "to_dense"])
def test_gradient_of_compressed(name):
    def program(f):
        s = sample(f, layout="csr", grad=True)
        d = dense(f, 7, 3, grad=True)
        out = GRADIENTS[name](f, s, d)
        (out * dense(f, *out.shape, seed=7)).sum().backward()
        grad = s.grad.to_dense() * (s.detach().to_dense() != 0)
        return [grad, d.grad] if d.grad is not None else grad

    both(program)


def test_gradient_through_values():
    """Values that need gradients get them, at repeated indices too."""

    def program(f):
        v = dense(f, 4, grad=True)
        s = f.sparse_coo_tensor([[0, 1, 1, 2], [2, 0, 0, 1]], v, (3, 4))
        assert s.requires_grad and not s.is_leaf
        (s @ dense(f, 4, 2)).square().sum().backward()
        return v.grad

    both(program)


def test_second_order():
    from ember.autograd import gradcheck, gradgradcheck

    index = ember.tensor([[0, 2, 1, 0, 2], [1, 0, 3, 1, 2]])
    v, d = dense(ember, 5, grad=True), dense(ember, 4, 3, grad=True)

    def product(v, d):
        return ember.sparse_coo_tensor(index, v, (3, 4)) @ d

    assert gradcheck(product, (v, d))
    assert gradgradcheck(product, (v, d))

    def sparse_product(v):
        s = ember.sparse_coo_tensor(index, v, (3, 4))
        return (s @ s.t()).to_dense()

    assert gradcheck(sparse_product, (v,))
    assert gradgradcheck(sparse_product, (v,))
    rows = ember.tensor([1, 1, 2])
    for part in (lambda s: s[1], lambda s: s.index_select(0, rows), lambda s: s.narrow(1, 1, 2)):
        assert gradcheck(
            lambda v, part=part: part(ember.sparse_coo_tensor(index, v, (3, 4))).to_dense(), (v,)
        )
    for dim in (0, 1):
        assert gradcheck(
            lambda v, dim=dim: ember.sparse.softmax(
                ember.sparse_coo_tensor(index, v, (3, 4)), dim
            ).to_dense(),
            (v,),
        )


def test_autograd_grad():
    def program(f):
        s = sample(f, twice=False, grad=True)
        d = dense(f, 7, 2, grad=True)
        ds, dd = f.autograd.grad(f.sparse.mm(s, d).square().sum(), (s, d))
        return [ds, dd]

    both(program)


def test_leaf_state():
    s = sample(ember, grad=True)
    assert s.is_leaf and s.requires_grad and s.grad is None and s.grad_fn is None
    (s @ ember.ones(7, 2, dtype=ember.float64)).sum().backward()
    assert s.grad.layout is ember.sparse_coo
    (s @ ember.ones(7, 2, dtype=ember.float64)).sum().backward()
    assert s.grad._values().tolist() == [4.0] * 12
    s.grad.zero_()
    s.grad = None
    assert s.grad is None
    seen = []
    s.register_hook(lambda g: seen.append(g.layout))
    (s * 2).to_dense().sum().backward()
    assert seen == [ember.sparse_coo]
    assert not s.detach().requires_grad
    with pytest.raises(RuntimeError, match="leaf"):
        s.mul_(2)
    with ember.no_grad():
        s.mul_(2)
    values = ember.ones(2)
    t = ember.sparse_coo_tensor([[0, 1]], values, (2,), requires_grad=True)
    assert t.requires_grad and not values.requires_grad


# ---- Training


def test_sparse_embedding():
    def program(f):
        e = f.nn.Embedding(10, 3, padding_idx=2, sparse=True)
        with f.no_grad():
            e.weight.copy_(dense(f, 10, 3))
        optimizer = f.optim.SGD(e.parameters(), lr=0.1)
        grads = []
        for _ in range(2):
            optimizer.zero_grad()
            x = f.tensor([[1, 2, 2], [5, 1, 9]])
            (e(x).square().sum() + e(f.tensor([1, 3])).sum()).backward()
            assert e.weight.grad.is_sparse
            grads.append(e.weight.grad.coalesce())
            optimizer.step()
        e(x).sum().backward()  # adds to the last gradient
        (e.weight * 2).sum().backward()  # a strided one
        return [*grads, e.weight.grad, e.weight]

    both(program, 1e-5)


@pytest.mark.parametrize("maximize", [False, True])
def test_sparse_adam(maximize):
    def program(f):
        e = f.nn.Embedding(10, 3, sparse=True)
        with f.no_grad():
            e.weight.copy_(dense(f, 10, 3))
        optimizer = f.optim.SparseAdam(e.parameters(), lr=0.1, maximize=maximize)
        for i in range(4):
            optimizer.zero_grad()
            e(f.tensor([[1, 2, 2], [5, i, 9]])).square().sum().backward()
            optimizer.step()
        state = optimizer.state[e.weight]
        return [e.weight, state["exp_avg"], state["exp_avg_sq"]]

    both(program, 1e-5)
    w = ember.ones(3, requires_grad=True)
    w.sum().backward()
    with pytest.raises(RuntimeError, match="dense"):
        ember.optim.SparseAdam([w]).step()
    with pytest.raises(ValueError, match="betas"):
        ember.optim.SparseAdam([w], betas=(1.0, 0.9))


def test_in_a_module():
    """A sparse buffer and a sparse parameter: copies, state, casts, files."""

    class Graph(ember.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("links", sample(ember, 4, 4, 6, dtype="float32"))
            self.weight = ember.nn.Parameter(sample(ember, 4, 4, 6, seed=2, dtype="float32"))

        def forward(self, x):
            return self.links @ (self.weight @ x)

    graph = Graph()
    x = ember.ones(4, 2)
    expected = graph(x)
    expected.sum().backward()
    assert graph.weight.grad.is_sparse
    twin = copy.deepcopy(graph)
    assert isinstance(twin.weight, ember.nn.Parameter)
    assert len(list(twin.parameters())) == 1
    assert ember.equal(twin(x), expected)
    file = io.BytesIO()
    ember.save(graph.state_dict(), file)
    file.seek(0)
    with ember.no_grad():
        twin.weight.mul_(2)
    twin.load_state_dict(ember.load(file))
    assert ember.equal(twin(x), expected)
    twin.double()
    assert twin.links.dtype is twin.weight.dtype is ember.float64
    assert ember.allclose(twin(x.double()).float(), expected)
    twin.zero_grad()
    assert twin.weight.grad is None


def test_sparse_embedding_refuses():
    w = ember.ones(5, 2, requires_grad=True)
    x = ember.tensor([1, 1])
    out = ember.nn.functional.embedding(x, w * 2, sparse=True)
    with pytest.raises(RuntimeError, match="cannot take a sparse gradient"):
        out.sum().backward()
    with pytest.raises(RuntimeError, match="scale_grad_by_freq"):
        ember.nn.functional.embedding(x, w, scale_grad_by_freq=True, sparse=True)
    out = ember.nn.functional.embedding(x, w, sparse=True).sum()
    out.backward()
    optimizer = ember.optim.SGD([w], lr=0.1, momentum=0.9)
    with pytest.raises((RuntimeError, NotImplementedError)):
        optimizer.step()
    ember.optim.SGD([w], lr=0.1).step()
    assert w.tolist()[1] == pytest.approx([0.8, 0.8])
