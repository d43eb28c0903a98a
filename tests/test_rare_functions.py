"""Functions that no row of the table fits, beside PyTorch: in place at random, settings, sparse parts."""

from __future__ import annotations

import ember
import numpy as np
import pytest

torch = pytest.importorskip("torch")

FRAMEWORKS = [ember, torch]


def both(make) -> list:
    """What a function of the framework gives in each, as lists."""
    results = []
    for framework in FRAMEWORKS:
        framework.manual_seed(3)
        result = make(framework)
        results.append(result.tolist() if isinstance(result, framework.Tensor) else result)
    return results


FILLS = [("cauchy_", (1.0, 2.0)), ("cauchy_", ()), ("geometric_", (0.3,)), ("log_normal_", ()),
         ("log_normal_", (0.5, 0.25))]  # fmt: skip


@pytest.mark.parametrize("name, args", FILLS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(5,), (4, 9), ()])
def test_fills_are_torchs(name, args, dtype, shape):
    ours, theirs = both(lambda f: getattr(f.empty(shape, dtype=getattr(f, dtype)), name)(*args))
    assert np.allclose(ours, theirs, rtol=1e-6 if dtype == "float32" else 1e-12, atol=0)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_fills_refuse(framework):
    x, whole = framework.empty(3), framework.empty(3, dtype=framework.int64)
    for call in (
        lambda: x.cauchy_(0, -1),
        lambda: x.geometric_(0),
        lambda: x.geometric_(1.5),
        lambda: x.log_normal_(0, 0),
        lambda: whole.cauchy_(),
        lambda: whole.log_normal_(),
    ):
        with pytest.raises(RuntimeError):
            call()
    assert whole.geometric_(0.5).min() >= 1


def test_fills_cut_gradients():
    x = ember.ones(3, requires_grad=True)
    y = x.clone()
    y.geometric_(0.5)
    y.sum().backward()
    assert x.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", ["igamma_", "igammac_"])
def test_incomplete_gamma_in_place(name):
    def make(f):
        return getattr(f.tensor([0.5, 2.0, 300.0]), name)(f.tensor([1.0, 1.5, 310.0]))

    assert np.allclose(*both(make), rtol=1e-5)


@pytest.mark.parametrize("name", ["indices_copy", "values_copy"])
def test_copies_of_sparse_parts(name):
    x = ember.eye(2).to_sparse().coalesce()
    part = getattr(x, name.removesuffix("_copy"))()
    copied = getattr(ember, name)(x)
    assert copied.tolist() == part.tolist() and copied.data_ptr() != part.data_ptr()


def test_incomplete_gamma_continues_where_its_method_changes():
    a = ember.tensor([1e5, 1e5 * (1 + 1e-12)], dtype=ember.float64)
    for z in (-3.0, -0.5, 0.0, 2.0):
        below, above = ember.igamma(a, a + z * a.sqrt()).tolist()
        assert abs(below - above) < 1e-9


def test_linear_cross_entropy():
    x, w, target = ember.randn(5, 3), ember.randn(4, 3), ember.tensor([0, 1, 2, 3, 0])
    functional = ember.nn.functional
    expected = functional.cross_entropy(x @ w.T, target)
    assert ember.allclose(functional.linear_cross_entropy(x, w, target), expected)


def test_multi_head_attention_forward():
    def make(f):
        rng = np.random.default_rng(0)
        x, w, b, ow, ob = (
            f.from_numpy(rng.standard_normal(shape).astype("float32"))
            for shape in ((5, 2, 4), (12, 4), (12,), (4, 4), (4,))
        )
        forward = f.nn.functional.multi_head_attention_forward
        return forward(x, x, x, 4, 2, w, b, None, None, False, 0.0, ow, ob)[0]

    assert np.allclose(*both(make), rtol=1e-4, atol=1e-5)


def test_incomplete_gamma_of_large_arguments():
    for name in ("igamma", "igammac"):
        x = [1e30, 1e30, 1.0, 2e5, 0.0]
        a = [1e30, 1.0, 1e30, 2e5, 1e8]
        ours = getattr(ember, name)(*(ember.tensor(v, dtype=ember.float64) for v in (a, x)))
        assert np.isfinite(ours.numpy()).all()
        half, small = ours[0].item(), ours[1].item()
        assert abs(half - 0.5) < 1e-9 and small == (1.0 if name == "igamma" else 0.0)


SAME = [
    lambda f: f.zeros(2, 3).is_set_to(f.zeros(2, 3)),
    lambda f: (lambda x: x.is_set_to(x.view(2, 3)))(f.zeros(2, 3)),
    lambda f: f.zeros(2, 3).T.dim_order(),
    lambda f: f.zeros(2, 3, 4, 5).contiguous(memory_format=f.channels_last).dim_order(),
    lambda f: f.zeros(3, dtype=f.float64).new_empty_strided((2, 3), (1, 2)).stride(),
    lambda f: f.zeros(3, dtype=f.float64).new_empty_strided((2,), (1,), dtype=f.int8).dtype.itemsize,
    lambda f: f.tensor([1.0, 2.0]).map_(f.tensor([3.0, 4.0]), lambda a, b: a * b),
    lambda f: f.tensor([1.0, 2.0]).map2_(f.tensor([3.0, 4.0]), f.ones(2), lambda a, b, c: a * b + c),
    lambda f: (lambda x: x.const_data_ptr() == x.data_ptr())(f.zeros(2)),
    lambda f: [p.tolist() for p in f.arange(5).unsafe_chunk(2)],
    lambda f: [p.tolist() for p in f.unsafe_split(f.arange(5), 2)],
    lambda f: [p.tolist() for p in f.arange(5).unsafe_split_with_sizes([1, 4])],
    lambda f: f.detach_copy(f.ones(2, requires_grad=True)).requires_grad,
    lambda f: f.view_as_real_copy(f.tensor([1 + 2j])),
    lambda f: f.view_as_real(f.view_as_complex_copy(f.tensor([[1.0, 2.0]]))),
    lambda f: f.is_neg(f.ones(1)) or f.ones(1).is_neg(),
    lambda f: f.is_storage(f.ones(1).untyped_storage()) and not f.is_storage(3),
    lambda f: f.empty_like(f.ones(2, 3).T).stride(),
    lambda f: f.empty_strided((2, 2), (1, 2)).stride(),
    lambda f: f.get_device(f.ones(1)),
    lambda f: f.is_inference(f.ones(1)),
    lambda f: f.gcd_(f.tensor([4]), f.tensor([6])),
    lambda f: f.lcm_(f.tensor([4]), f.tensor([6])),
    lambda f: f.ldexp_(f.tensor([4.0]), f.tensor([2])),
    lambda f: f.dropout_(f.ones(8), 0.5, True),
    lambda f: [t.shape for t in f.lu_unpack(*f.linalg.lu_factor(f.eye(3)))],
    lambda f: f.crow_indices_copy(f.eye(2).to_sparse_csr()),
    lambda f: f.col_indices_copy(f.eye(2).to_sparse_csr()),
    lambda f: f.ccol_indices_copy(f.eye(2).to_sparse_csc()),
    lambda f: f.row_indices_copy(f.eye(2).to_sparse_csc()),
    lambda f: f.nn.functional.upsample(f.arange(4.0)[None, None], 8),
    lambda f: f.nn.functional.upsample_nearest(f.arange(4.0).view(1, 1, 2, 2), scale_factor=2),
    lambda f: f.nn.functional.upsample_bilinear(f.arange(4.0).view(1, 1, 2, 2), (3, 3)),
    lambda f: f.nn.functional.dropout1d(f.ones(2, 3, 4), 0.5),
    lambda f: f.nn.functional.dropout3d(f.ones(2, 3, 2, 2, 2), 0.5),
    lambda f: f.svd_lowrank(f.arange(12.0).view(4, 3), 2, M=f.ones(3))[1].round(decimals=3),
    lambda f: f.get_deterministic_debug_mode(),
    lambda f: f.is_deterministic_algorithms_warn_only_enabled(),
    lambda f: f.are_deterministic_algorithms_enabled(),
    lambda f: f.compiled_with_cxx11_abi(),
    lambda f: f.is_warn_always_enabled(),
    lambda f: f.get_device_module("cpu") is f.cpu,
    lambda f: f.random.initial_seed(),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("index", range(len(SAME)))
def test_same_as_torch(index):
    ours, theirs = both(SAME[index])
    if isinstance(ours, list) and ours != theirs:
        assert np.allclose(np.asarray(ours), np.asarray(theirs))
    else:
        assert ours == theirs


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_fork_rng_puts_back(framework):
    framework.manual_seed(5)
    with framework.random.fork_rng():
        framework.manual_seed(6)
        first = framework.rand(2)
    second = framework.rand(2)
    framework.manual_seed(5)
    assert framework.equal(second, framework.rand(2)) and not framework.equal(first, second)


def test_settings():
    try:
        for given, level in (("warn", 1), (2, 2), ("default", 0)):
            ember.set_deterministic_debug_mode(given)
            assert ember.get_deterministic_debug_mode() == level
        ember.set_warn_always(True)
        assert ember.is_warn_always_enabled()
        ember.set_num_interop_threads(3)
        assert ember.get_num_interop_threads() == 3
        for call in (
            lambda: ember.set_deterministic_debug_mode("loud"),
            lambda: ember.set_num_interop_threads(0),
        ):
            with pytest.raises(RuntimeError):
                call()
        with pytest.raises(TypeError):
            ember.set_warn_always(1)
    finally:
        ember.set_warn_always(False)
        ember.set_deterministic_debug_mode(0)


def test_description():
    assert "ember" in ember.show_config()


def test_autocast_settings():
    kept = ember.get_autocast_dtype("cpu")
    try:
        ember.set_autocast_dtype("cpu", ember.float16)
        assert ember.get_autocast_cpu_dtype() is ember.float16
        ember.set_autocast_cpu_dtype(ember.bfloat16)
        assert ember.get_autocast_dtype("cpu") is ember.bfloat16
        gpu = ember.get_autocast_gpu_dtype()
        ember.set_autocast_gpu_dtype(gpu)
        ember.set_autocast_enabled("cpu", True)
        assert ember.is_autocast_cpu_enabled()
        ember.set_autocast_cpu_enabled(False)
        assert not ember.is_autocast_enabled("cpu")
        ember.set_autocast_cache_enabled(True)
        ember.clear_autocast_cache()
        assert ember.is_autocast_cache_enabled()
    finally:
        ember.set_autocast_dtype("cpu", kept)
        ember.set_autocast_enabled("cpu", False)


def test_hostile_powers_of_the_projection():
    for q, niter in ((9, 1), (-1, 1), (1, -1), (1, 2**63)):
        with pytest.raises(ValueError, match="svd_lowrank"):
            ember.svd_lowrank(ember.ones(3, 3), q, niter)
    with pytest.raises(TypeError, match="got a tensor"):
        ember.nn.functional.max_unpool2d(ember.ones(1, 1, 2, 2), ember.zeros(1, 1, 2, 2).long(),
                                         ember.ones(2).expand(2))  # fmt: skip


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_out_must_not_require_gradients(framework):
    x, out = framework.ones(2, 2), framework.zeros(2, 2, requires_grad=True)
    for call in (
        lambda: framework.addmm(x, x, x, out=out),
        lambda: framework.cumprod(x, 0, out=out),
        lambda: framework.logcumsumexp(x, 0, out=out),
        lambda: framework.tril(x, out=out),
    ):
        with pytest.raises(RuntimeError, match="requires grad"):
            call()
    with framework.no_grad():
        assert framework.addmm(x, x, x, out=out) is out


NAMED_INPUT = "cholesky cond eig eigh eigvals eigvalsh matrix_exp matrix_norm matrix_rank norm pinv vector_norm"


@pytest.mark.parametrize("name", [*NAMED_INPUT.split(), "cholesky_ex"])
def test_matrices_by_the_name_that_torch_takes(name):
    for framework in FRAMEWORKS:
        function = getattr(framework.linalg, name)
        function(input=framework.eye(3))
        with pytest.raises(TypeError):
            function(A=framework.eye(3))
