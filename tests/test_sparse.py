"""Sparse tensors against PyTorch's."""

from __future__ import annotations

import copy
import io
import pickle

import ember
import numpy as np
import pytest

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
FRAMEWORKS = [ember, torch]
FLOATS = ["float32", "float64"]


def sample(f, m=5, k=7, count=12, *, seed=0, dtype="float64", grad=False, layout="coo", twice=True):
    """A sparse matrix of a framework, by default with repeated indices."""
    rng = np.random.default_rng(seed)
    index = np.stack([rng.integers(0, m, count), rng.integers(0, k, count)])
    if not twice:
        index = np.stack(np.unravel_index(np.unique(index[0] * k + index[1]), (m, k)))
    values = rng.standard_normal(index.shape[1])
    items = f.tensor(values.tolist(), dtype=getattr(f, dtype))
    x = f.sparse_coo_tensor(f.tensor(index.tolist()), items, (m, k))
    if layout != "coo":
        x = x.to_sparse(layout=getattr(f, f"sparse_{layout}"))
    elif not twice:
        x = x.coalesce()
    return x.detach().requires_grad_() if grad else x


def dense(f, *shape, seed=1, dtype="float64", grad=False):
    values = np.random.default_rng(seed).standard_normal(shape)
    return f.tensor(values.tolist(), dtype=getattr(f, dtype)).requires_grad_(grad)


def hybrid(f, grad=False):
    """Two sparse dims and a dense one."""
    index = f.tensor([[0, 2, 2, 0], [1, 0, 0, 3]])
    x = f.sparse_coo_tensor(index, dense(f, 4, 3), (3, 4, 3))
    return x.detach().requires_grad_() if grad else x


def plain(x):
    """What a result holds: layout, coalesced or not, and elements."""
    if isinstance(x, (tuple, list)):
        return [plain(i) for i in x]
    if not hasattr(x, "layout"):
        return x
    layout = str(x.layout).partition(".")[2]
    with (ember if isinstance(x, ember.Tensor) else torch).no_grad():
        values = x.to_dense() if layout != "strided" else x
        return layout, str(x.dtype).partition(".")[2], tuple(x.shape), values.tolist()


def close(a, b, tolerance=1e-12):
    """Whether two results of `plain` agree."""
    if isinstance(a, list) or not isinstance(a, tuple):
        if isinstance(a, list):
            assert len(a) == len(b)
            for i, j in zip(a, b, strict=True):
                close(i, j, tolerance)
            return
        assert a == b
        return
    assert a[:3] == b[:3]
    np.testing.assert_allclose(a[3], b[3], rtol=tolerance, atol=tolerance)


def both(program, tolerance=1e-12):
    """Run a program with each framework; compare results or the kind of exception."""
    results = []
    for f in FRAMEWORKS:
        try:
            results.append(("value", plain(program(f))))
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            kind = next(k for k in (IndexError, TypeError, ValueError, RuntimeError)
                        if isinstance(error, k))  # fmt: skip
            results.append(("error", kind, str(error)))
    assert results[0][0] == results[1][0], results
    if results[0][0] == "error":
        assert results[0][1] is results[1][1], results
    else:
        close(results[0][1], results[1][1], tolerance)


# ---- Making them


CONSTRUCTIONS = {
    "coo": lambda f: f.sparse_coo_tensor([[0, 1], [1, 0]], [1.0, 2.0], (2, 3)),
    "inferred size": lambda f: f.sparse_coo_tensor([[0, 1], [1, 2]], [1.0, 2.0]),
    "integers": lambda f: f.sparse_coo_tensor([[0, 1]], [1, 2]),
    "dtype": lambda f: f.sparse_coo_tensor([[0, 1]], [1, 2], dtype=f.float64),
    "size alone": lambda f: f.sparse_coo_tensor((2, 3)),
    "hybrid": lambda f: f.sparse_coo_tensor([[0, 2]], [[1.0, 2], [3, 4]], (3, 2)),
    "no items": lambda f: f.sparse_coo_tensor(f.zeros(2, 0), f.zeros(0), (2, 3)),
    "other counts": lambda f: f.sparse_coo_tensor([[0, 1]], [1.0], (2,)),
    "dims too many": lambda f: f.sparse_coo_tensor([[0, 1]], [1.0, 2], (2, 3)),
    "indices of one dim": lambda f: f.sparse_coo_tensor([0, 1], [1.0, 2]),
    "outside": lambda f: f.sparse_coo_tensor([[0, 2]], [1.0, 2], (2,), check_invariants=True),
    "negative": lambda f: f.sparse_coo_tensor([[0, -1]], [1.0, 2], (2,), check_invariants=True),
    "csr": lambda f: f.sparse_csr_tensor([0, 1, 3], [2, 0, 2], [3.0, 4, 5]),
    "csr with size": lambda f: f.sparse_csr_tensor([0, 1, 3], [2, 0, 2], [3.0, 4, 5], (2, 9)),
    "csc": lambda f: f.sparse_csc_tensor([0, 1, 3], [1, 0, 1], [3.0, 4, 5]),
    "compressed": lambda f: f.sparse_compressed_tensor(
        [0, 1, 3], [1, 0, 1], [3.0, 4, 5], layout=f.sparse_csr
    ),
    "csr outside": lambda f: f.sparse_csr_tensor(
        [0, 1, 3], [2, 0, 9], [3.0, 4, 5], (2, 3), check_invariants=True
    ),
    "csr falling": lambda f: f.sparse_csr_tensor(
        [0, 2, 1], [2], [3.0], (2, 3), check_invariants=True
    ),
    "legacy": lambda f: f.sparse.FloatTensor(f.tensor([[0, 1]]), f.ones(2), f.Size([3])),
    "legacy size": lambda f: f.sparse.DoubleTensor(2, 3),
    "legacy dtype": lambda f: f.sparse.FloatTensor(f.tensor([[0]]), f.ones(1, dtype=f.float64)),
    "spdiags": lambda f: f.sparse.spdiags(
        f.arange(9.0).reshape(3, 3), f.tensor([0, 1, -2]), (4, 3)
    ),
}


@pytest.mark.parametrize("name", CONSTRUCTIONS)
def test_construction(name):
    both(CONSTRUCTIONS[name])


def test_invariants_switch():
    def outside():
        return ember.sparse_coo_tensor([[5]], [1.0], (2,))

    outside()
    with ember.sparse.check_sparse_tensor_invariants(), pytest.raises(RuntimeError, match="found"):
        outside()
    ember.sparse.check_sparse_tensor_invariants.enable()
    try:
        assert ember.sparse.check_sparse_tensor_invariants.is_enabled()
        with pytest.raises(RuntimeError, match="found"):
            outside()
    finally:
        ember.sparse.check_sparse_tensor_invariants.disable()
    outside()


def test_indices_outside_never_read_memory():
    """Unchecked constructors take any indices; what uses them raises."""
    bad = ember.sparse_coo_tensor([[0, 1], [9, 10**15]], [1.0, 2.0], (2, 3))
    for use in (
        lambda: bad @ ember.ones(3, 2),
        lambda: bad.to_dense(),
        lambda: ember.ones(2, 3) + bad,
        lambda: ember.ones(2, 3) * bad,
        lambda: ember.ones(2, 3).sparse_mask(bad),
    ):
        with pytest.raises((RuntimeError, IndexError)):
            use()
    for pointers, columns in [([0, 5, 1], [0, 1]), ([0, 1, 9], [0, 1]), ([-5, 1, 2], [0, 1]),
                              ([0, 1, 2], [0, -9])]:  # fmt: skip
        bad = ember.sparse_csr_tensor(pointers, columns, [1.0, 2.0], (2, 3))
        for use in (lambda: bad @ ember.ones(3, 2), lambda: bad.to_dense(), lambda: bad @ bad.t()):
            with pytest.raises((RuntimeError, IndexError)):
                use()


# ---- Parts, conversions, shapes, elementwise functions


PROGRAMS = {
    "coalesce": lambda f: sample(f).coalesce(),
    "coalesce hybrid": lambda f: hybrid(f).coalesce(),
    "coalesced indices": lambda f: sample(f).coalesce().indices(),
    "coalesced values": lambda f: sample(f).coalesce().values(),
    "indices": lambda f: sample(f)._indices(),
    "values": lambda f: sample(f)._values(),
    "indices of uncoalesced": lambda f: sample(f).indices(),
    "values of uncoalesced": lambda f: sample(f).values(),
    "counts": lambda f: [sample(f)._nnz(), hybrid(f).sparse_dim(), hybrid(f).dense_dim(),
                         sample(f).is_coalesced(), sample(f).coalesce().is_coalesced()],
    "of strided": lambda f: [f.ones(2, 3).sparse_dim(), f.ones(2, 3).dense_dim(),
                             f.ones(2).is_sparse, sample(f).is_sparse, sample(f).is_sparse_csr,
                             sample(f, layout="csr").is_sparse_csr],
    "coalesce strided": lambda f: f.ones(2).coalesce(),
    "is_coalesced strided": lambda f: f.ones(2).is_coalesced(),
    "values strided": lambda f: f.ones(2).values(),
    "size": lambda f: [tuple(sample(f).size()), sample(f).dim(), sample(f).numel(), len(sample(f)),
                       sample(f).size(-1), sample(f).stride(), sample(f).is_contiguous()],
    "crow_indices": lambda f: [sample(f, layout="csr").crow_indices(),
                               sample(f, layout="csr").col_indices(),
                               sample(f, layout="csr").values()],
    "ccol_indices": lambda f: [sample(f, layout="csc").ccol_indices(),
                               sample(f, layout="csc").row_indices(),
                               sample(f, layout="csc").values()],
    "crow of coo": lambda f: sample(f).crow_indices(),
    "col of csc": lambda f: sample(f, layout="csc").col_indices(),
    "to_sparse": lambda f: sample(f).to_dense().to_sparse(),
    "to_sparse of zeros": lambda f: f.zeros(2, 3).to_sparse(),
    "to_sparse 1": lambda f: sample(f).to_dense().to_sparse(1),
    "to_sparse 0": lambda f: f.ones(2, 3).to_sparse(0),
    "to_sparse 3": lambda f: f.ones(2, 3).to_sparse(3),
    "to_sparse scalar": lambda f: f.tensor(3.0).to_sparse(),
    "to csr": lambda f: sample(f).to_sparse_csr(),
    "to csc": lambda f: sample(f).to_sparse_csc(),
    "csr to csc": lambda f: sample(f, layout="csr").to_sparse_csc(),
    "csr to coo": lambda f: sample(f, layout="csr").to_sparse(),
    "csr to coo by name": lambda f: sample(f, layout="csr").to_sparse_coo(),
    "csc to csr": lambda f: sample(f, layout="csc").to_sparse_csr(),
    "csc to coo": lambda f: sample(f, layout="csc").to_sparse_coo(),
    "csr to csr": lambda f: sample(f, layout="csr").to_sparse(layout=f.sparse_csr),
    "dense to csr": lambda f: sample(f).to_dense().to_sparse_csr(),
    "bool": lambda f: sample(f).bool(),
    "bool to dense": lambda f: f.sparse_coo_tensor([[0, 0, 2]], [True, True, False], (4,)),
    "sparse_mask": lambda f: dense(f, 5, 7).sparse_mask(sample(f)),
    "sparse_mask coalesced": lambda f: dense(f, 5, 7).sparse_mask(sample(f, twice=False)),
    "sparse_mask csr": lambda f: dense(f, 5, 7).sparse_mask(sample(f, layout="csr")),
    "sparse_mask of sparse": lambda f: sample(f, twice=False).sparse_mask(
        sample(f, twice=False, seed=3)
    ),
    "sparse_mask size": lambda f: dense(f, 5, 6).sparse_mask(sample(f)),
    "t": lambda f: sample(f).t(),
    "T": lambda f: sample(f).T,
    "mT": lambda f: sample(f).mT,
    "t csr": lambda f: sample(f, layout="csr").t(),
    "transpose": lambda f: hybrid(f).transpose(0, 1),
    "transpose across": lambda f: hybrid(f).transpose(0, 2),
    "permute": lambda f: hybrid(f).permute(1, 0, 2),
    "unsqueeze": lambda f: hybrid(f).unsqueeze(1),
    "unsqueeze dense": lambda f: hybrid(f).unsqueeze(-1),
    "cat": lambda f: f.cat([sample(f), sample(f, seed=2)]),
    "cat 1": lambda f: f.cat([sample(f), sample(f, k=2, seed=2)], 1),
    "cat dense dim": lambda f: f.cat([hybrid(f), hybrid(f)], 2),
    "cat sizes": lambda f: f.cat([sample(f), sample(f, k=2)]),
    "stack": lambda f: f.stack([sample(f), sample(f, seed=2)], 1),
    "select": lambda f: sample(f).select(0, 1),
    "select 1": lambda f: sample(f).select(1, -1),
    "select dense": lambda f: hybrid(f).select(2, 1),
    "select outside": lambda f: sample(f).select(0, 9),
    "index": lambda f: sample(f)[2],
    "index two": lambda f: sample(f)[2, 3],
    "index outside": lambda f: sample(f)[5],
    "rows": lambda f: list(sample(f)),
    "unbind": lambda f: sample(f).unbind(1),
    "index_select": lambda f: sample(f).index_select(0, f.tensor([3, 1, 1])),
    "index_select 1": lambda f: sample(f).index_select(1, f.tensor([3, 0])),
    "index_select dense": lambda f: hybrid(f).index_select(2, f.tensor([2, 0])),
    "index_select none": lambda f: sample(f).index_select(0, f.tensor([], dtype=f.int64)),
    "index_select outside": lambda f: sample(f).index_select(0, f.tensor([5])),
    "sum": lambda f: sample(f).sum(),
    "sum 0": lambda f: f.sparse.sum(sample(f), 0),
    "sum 1": lambda f: f.sparse.sum(sample(f), 1),
    "sum method": lambda f: sample(f).sum(-1),
    "sum both": lambda f: f.sparse.sum(sample(f), (0, 1)),
    "sum dense dim": lambda f: f.sparse.sum(hybrid(f), 2),
    "sum sparse dims": lambda f: f.sparse.sum(hybrid(f), (0, 1)),
    "sum mixed": lambda f: f.sparse.sum(hybrid(f), (0, 2)),
    "sum dtype": lambda f: f.sparse.sum(sample(f), 0, dtype=f.float32),
    "sum csr": lambda f: sample(f, layout="csr").sum(),
    "sum csr 1": lambda f: sample(f, layout="csr").sum(1, keepdim=True),
    "sum csr 0": lambda f: sample(f, layout="csr").sum(0, keepdim=True),
    "sum csr without": lambda f: sample(f, layout="csr").sum(0),
    "softmax": lambda f: f.sparse.softmax(sample(f), 1),
    "softmax 0": lambda f: f.sparse.softmax(sample(f), 0),
    "softmax hybrid": lambda f: f.sparse.softmax(hybrid(f), 1),
    "softmax dense dim": lambda f: f.sparse.softmax(hybrid(f), 2),
    "log_softmax": lambda f: f.sparse.log_softmax(sample(f), 1),
    "norm": lambda f: sample(f).norm(),
    "any": lambda f: sample(f).bool().any(),
    "neg": lambda f: -sample(f),
    "times": lambda f: sample(f) * 3,
    "by": lambda f: 3 * sample(f),
    "times tensor": lambda f: sample(f) * f.tensor(2.0, dtype=f.float64),
    "over": lambda f: sample(f) / 4,
    "over sparse": lambda f: sample(f) / sample(f),
    "over strided": lambda f: sample(f) / dense(f, 5, 7),
    "power": lambda f: sample(f) ** 2,
    "add": lambda f: sample(f) + sample(f, seed=2),
    "add alpha": lambda f: f.add(sample(f), sample(f, seed=2), alpha=3),
    "add coalesced": lambda f: sample(f, twice=False) + sample(f, twice=False, seed=2),
    "add csr": lambda f: sample(f, layout="csr") + sample(f, layout="csr", seed=2),
    "add sizes": lambda f: sample(f) + sample(f, k=6),
    "add number": lambda f: sample(f) + 1,
    "add strided": lambda f: sample(f) + dense(f, 5, 7),
    "strided add": lambda f: dense(f, 5, 7) + sample(f),
    "strided add csr": lambda f: dense(f, 5, 7) + sample(f, layout="csr"),
    "strided sub": lambda f: dense(f, 5, 7) - sample(f),
    "strided add_": lambda f: dense(f, 5, 7).add_(sample(f), alpha=2),
    "strided add_ transposed": lambda f: dense(f, 7, 5).t().add_(sample(f)),
    "strided add hybrid": lambda f: dense(f, 3, 4, 3) + hybrid(f),
    "sub": lambda f: sample(f) - sample(f, seed=2),
    "mul": lambda f: sample(f) * sample(f, seed=2),
    "mul strided": lambda f: sample(f) * dense(f, 5, 7),
    "strided mul": lambda f: dense(f, 5, 7) * sample(f),
    "mul csr": lambda f: sample(f, layout="csr") * sample(f, layout="csr", seed=2),
    "promotion": lambda f: sample(f, dtype="float32") + sample(f, seed=2),
    "sin": lambda f: sample(f).sin(),
    "abs": lambda f: f.abs(sample(f)),
    "relu": lambda f: f.relu(sample(f)),
    "sqrt": lambda f: sample(f).abs().sqrt(),
    "tanh csr": lambda f: sample(f, layout="csr").tanh(),
    "isnan": lambda f: sample(f).isnan(),
    "floor": lambda f: sample(f).floor(),
    "float": lambda f: sample(f).float(),
    "long": lambda f: sample(f).long(),
    "to": lambda f: sample(f).to(f.float32),
    "to cpu": lambda f: sample(f).to("cpu"),
    "clone": lambda f: sample(f).clone(),
    "zeros_like": lambda f: f.zeros_like(sample(f)),
    "zero_": lambda f: sample(f).zero_(),
    "mul_": lambda f: sample(f).mul_(2),
    "add_": lambda f: sample(f).add_(sample(f, seed=2)),
    "div_": lambda f: sample(f).div_(2),
    "copy_": lambda f: sample(f, seed=2).copy_(sample(f)),
    "operators in place": lambda f: _in_place(f),
    "sparse_resize_": lambda f: sample(f).sparse_resize_((9, 8), 2, 0),
    "sparse_resize_ down": lambda f: sample(f).sparse_resize_((2, 2), 2, 0),
    "type": lambda f: str(sample(f).type()).partition(".")[2],
    "item": lambda f: f.sparse_coo_tensor([[0, 0]], [1.0, 2.0], (1,)).item(),
    "item of many": lambda f: sample(f).item(),
    "bool of many": lambda f: bool(sample(f)),
    "numpy": lambda f: sample(f).numpy(),
    "tolist": lambda f: sample(f).tolist(),
    "exp": lambda f: sample(f).exp(),
    "view": lambda f: sample(f).view(7, 5),
    "compare": lambda f: sample(f) == sample(f),
    "max": lambda f: sample(f).max(),
    "softmax of torch": lambda f: f.softmax(sample(f), 1),
    "conv": lambda f: f.nn.functional.conv1d(hybrid(f), f.ones(1, 4, 1)),
    "data": lambda f: sample(f).data,
    "device": lambda f: [str(sample(f).device), sample(f).is_cuda, sample(f).is_floating_point()],
}  # fmt: skip


def _in_place(f):
    x = sample(f)
    x *= 2
    x /= 3
    x += sample(f, seed=4)
    x -= sample(f, seed=5)
    return x


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name):
    both(PROGRAMS[name])


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


# ---- Copies, files, text


@pytest.mark.parametrize("layout", ["coo", "csr", "csc"])
def test_copies(layout):
    x = sample(ember, layout=layout)
    for y in (
        pickle.loads(pickle.dumps(x)),
        copy.copy(x),
        copy.deepcopy(x),
        _saved(x, ember, ember),
        _saved(sample(torch, layout=layout), torch, ember),
    ):
        close(plain(y), plain(x))
        assert y._nnz() == x._nnz()
    close(plain(_saved(x, ember, torch)), plain(x))
    assert copy.deepcopy(x)._items.data_ptr() != x._items.data_ptr()


def _saved(x, by, read_by):
    file = io.BytesIO()
    by.save({"x": x}, file)
    file.seek(0)
    return read_by.load(file)["x"]


@pytest.mark.parametrize(
    "program",
    [
        lambda f: sample(f),
        lambda f: sample(f).float(),
        lambda f: sample(f).coalesce().requires_grad_(),
        lambda f: sample(f, layout="csr"),
        lambda f: sample(f, layout="csc").float(),
        lambda f: hybrid(f),
        lambda f: f.sparse_coo_tensor((2, 3)),
        lambda f: f.sparse_coo_tensor([[0, 1]], [1, 2], (5,)),
    ],
)
def test_repr(program):
    text = repr(program(torch)).replace("torch.", "ember.")
    assert repr(program(ember)) == text


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


def test_where_items_would_be_read():
    """What does not know sparse tensors refuses them."""
    s = sample(ember)
    x = dense(ember, 5, 7, grad=True)
    for use in (
        lambda: ember.tensor(s),
        lambda: ember.Tensor(s),
        lambda: (x * 2).backward(s),
        lambda: setattr(x.detach(), "data", s),
        lambda: x.detach()[s],
        lambda: np.asarray(s),
        lambda: x.detach().__setitem__(0, s),
        lambda: ember.where(s, x, x),
        lambda: ember.cat([x, s]),
        lambda: ember.nn.functional.conv2d(s, s),
        lambda: s.index_add(0, ember.tensor([0]), s),
        lambda: ember.add(x, x, out=s),
    ):
        with pytest.raises((NotImplementedError, RuntimeError, TypeError, IndexError)):
            use()
