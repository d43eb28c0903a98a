"""Products of reduced precision: what `set_float32_matmul_precision` allows, and those of int8."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import ember
import numpy as np
import pytest

pytestmark = pytest.mark.kernels

LEVEL = ember._C._cpu_level()
# The least and the most that ||error|| / ||result|| may be of random factors. Where the processor
# cannot multiply faster by rounding, the result has the bits of "highest".
ROUNDED = {
    "high": (1e-6, 2e-5) if LEVEL == "amx" else None,
    "medium": (5e-4, 5e-3) if LEVEL in ("bf16", "amx") else None,
}


@pytest.fixture(autouse=True)
def highest() -> Iterator[None]:
    ember.set_float32_matmul_precision("highest")
    yield
    ember.set_float32_matmul_precision("highest")


def at(precision: str, f: Callable[[], ember.Tensor]) -> ember.Tensor:
    ember.set_float32_matmul_precision(precision)
    try:
        return f()
    finally:
        ember.set_float32_matmul_precision("highest")


def check(precision: str, f: Callable[..., ember.Tensor], *args: ember.Tensor) -> None:
    exact = f(*(a.double() for a in args)).numpy()
    plain = f(*args).numpy()
    found = at(precision, lambda: f(*args)).numpy()
    bounds = ROUNDED[precision]
    if bounds is None:
        np.testing.assert_array_equal(found, plain)
        return
    error = np.linalg.norm(found - exact) / np.linalg.norm(exact)
    assert bounds[0] < error < bounds[1], error
    assert np.linalg.norm(plain - exact) < 1e-6 * np.linalg.norm(exact)


def factors(m: int, k: int, n: int) -> tuple[ember.Tensor, ember.Tensor]:
    ember.manual_seed(m + k + n)
    return ember.randn(m, k), ember.randn(k, n)


@pytest.mark.parametrize("precision", ROUNDED)
@pytest.mark.parametrize(
    "shape", [(64, 64, 64), (65, 129, 67), (300, 77, 33), (40, 1100, 96), (130, 64, 600)]
)
def test_norm_of_the_error(precision: str, shape: tuple[int, int, int]) -> None:
    a, b = factors(*shape)
    check(precision, ember.matmul, a, b)
    check(precision, lambda a, b: a.mm(b), a.t().contiguous().t(), b)
    check(precision, lambda a, b: a.mm(b), a, b.t().contiguous().t())
    check(precision, lambda a, b: a @ b, a.repeat(1, 2)[:, ::2], b.repeat(1, 2)[:, ::2])


@pytest.mark.parametrize("precision", ROUNDED)
def test_every_product_of_matrices(precision: str) -> None:
    a, b = factors(70, 90, 80)
    c, bias = ember.randn(70, 80), ember.randn(80)
    batch = ember.randn(3, 70, 90), ember.randn(3, 90, 80)
    check(precision, lambda c, a, b: ember.addmm(c, a, b, beta=0.5, alpha=2), c, a, b)
    check(precision, ember.bmm, *batch)
    check(precision, ember.baddbmm, c.expand(3, 70, 80), *batch)
    check(precision, lambda a, b, bias: ember.nn.functional.linear(a, b.t(), bias), a, b, bias)
    check(precision, lambda a, b: ember.mm(a, b, out=a.new_empty(70, 80)), a, b)


@pytest.mark.parametrize("precision", ROUNDED)
def test_gradients_are_products_too(precision: str) -> None:
    def gradient(a: ember.Tensor, b: ember.Tensor) -> ember.Tensor:
        left = a.detach().requires_grad_()
        (left @ b).backward(ember.ones(70, 80, dtype=a.dtype) + a @ b)
        return left.grad

    check(precision, gradient, *factors(70, 90, 80))


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_other_dtypes_stay(precision: str) -> None:
    a, b = factors(64, 64, 64)
    for dtype in (ember.float64, ember.float16, ember.bfloat16, ember.int32):
        x, y = (10 * a).to(dtype), (10 * b).to(dtype)
        assert ember.equal(at(precision, lambda x=x, y=y: x @ y), x @ y)


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_infinity_and_nan(precision: str) -> None:
    a, b = factors(200, 64, 96)
    b[3] = b[3].abs() + 0.1
    a[150, 3], a[20, 5] = float("inf"), float("nan")
    found = at(precision, lambda: a @ b)
    assert ember.isposinf(found[150]).all() and found[20].isnan().all()
    assert ember.isfinite(found).sum() == 198 * 96


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_same_bits_with_any_number_of_threads(precision: str) -> None:
    a, b = factors(333, 700, 411)
    before = ember.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 4):
            ember.set_num_threads(threads)
            results.append(at(precision, lambda: a @ b))
    finally:
        ember.set_num_threads(before)
    assert ember.equal(results[0], results[1]) and ember.equal(results[0], results[2])


def test_one_setting_in_all_threads_and_names() -> None:
    cpu, cuda = ember.backends.mkldnn.matmul, ember.backends.cuda.matmul
    for name, expected in (
        ("high", ("tf32", "tf32")),
        ("medium", ("bf16", "tf32")),
        ("highest", ("ieee", "ieee")),
    ):
        thread = threading.Thread(target=ember.set_float32_matmul_precision, args=(name,))
        thread.start()
        thread.join()
        assert ember.get_float32_matmul_precision() == name
        assert (cpu.fp32_precision, cuda.fp32_precision) == expected
        assert cuda.allow_tf32 is (name != "highest")
    cuda.allow_tf32 = True
    assert cuda.fp32_precision == "tf32" and cpu.fp32_precision == "ieee"
    assert ember.get_float32_matmul_precision() == "high"
    cuda.allow_tf32 = False
    cpu.fp32_precision = "bf16"
    assert ember.get_float32_matmul_precision() == "medium"
    a, b = factors(64, 64, 64)
    by_backend = a @ b
    assert ember.equal(by_backend, at("medium", lambda: a @ b))


def test_unknown_precisions_change_nothing() -> None:
    cpu, cuda = ember.backends.mkldnn.matmul, ember.backends.cuda.matmul
    for setting, name in ((cpu, "int8"), (cuda, "bf16")):
        with pytest.raises(RuntimeError, match=f"fp32_precision: expected none, .*got '{name}'"):
            setting.fp32_precision = name
    with pytest.raises(TypeError):
        cpu.fp32_precision = 3
    assert ember.get_float32_matmul_precision() == "highest"


# ---- int8


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1), (3, 5, 7), (64, 64, 64), (65, 131, 67), (17, 1030, 33), (300, 258, 140), (5, 0, 4)],
)
def test_int_mm_is_exact(shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    rng = np.random.default_rng(m)
    x, y = (rng.integers(-128, 128, s).astype(np.int8) for s in ((m, k), (k, n)))
    wide = x.astype(np.int32) @ y.astype(np.int32)
    a, b = ember.from_numpy(x), ember.from_numpy(y)
    for left in (a, a.t().contiguous().t(), a.repeat_interleave(2, 1)[:, ::2]):
        for right in (b, b.t().contiguous().t(), b.repeat_interleave(2, 1)[:, ::2]):
            found = ember._int_mm(left, right)
            assert found.dtype == ember.int32
            np.testing.assert_array_equal(found.numpy(), wide)
            # Products of int8 are int8 and go around.
            np.testing.assert_array_equal((left @ right).numpy(), wide.astype(np.int8))
    out = ember.empty(0, dtype=ember.int32)
    assert ember._int_mm(a, b, out=out) is out
    np.testing.assert_array_equal(out.numpy(), wide)


def test_int_mm_of_the_extremes() -> None:
    for x in (-128, 127):
        for y in (-128, 127):
            a, b = (ember.full(s, v, dtype=ember.int8) for s, v in (((40, 999), x), ((999, 50), y)))
            assert (ember._int_mm(a, b) == 999 * x * y).all()


def test_int_mm_refuses() -> None:
    a = ember.ones(3, 4, dtype=ember.int8)
    with pytest.raises(RuntimeError, match="_int_mm: expected two tensors of int8, got int8 and"):
        ember._int_mm(a, ember.ones(4, 3))
    with pytest.raises(RuntimeError, match="_int_mm: shapes cannot be multiplied"):
        ember._int_mm(a, a)
    with pytest.raises(RuntimeError, match="_int_mm: expected tensors with 2 and 2 dims"):
        ember._int_mm(a, a[0])
    with pytest.raises(RuntimeError, match="_int_mm: expected an output of int32, got int8"):
        ember._int_mm(a, a.t(), out=ember.empty(3, 3, dtype=ember.int8))
