"""Factors of matrices larger than a block of their kernels, by what they multiply to."""

from __future__ import annotations

import ember
import numpy as np
import pytest

DTYPES = ("float32", "float64", "complex64", "complex128")
EPS = {name: float(np.finfo(name).eps) for name in DTYPES}


def matrices(dtype: str, *shape: int) -> ember.Tensor:
    rng = np.random.default_rng(sum(shape))
    x = rng.standard_normal(shape)
    if dtype.startswith("complex"):
        x = x + 1j * rng.standard_normal(shape)
    return ember.from_numpy(x.astype(dtype))


def close(found: ember.Tensor, expected: ember.Tensor, steps: float = 20.0) -> bool:
    """Within so many roundings of the largest item for each row of a matrix."""
    assert found.shape == expected.shape and found.dtype == expected.dtype
    bound = steps * EPS[str(found.dtype).rpartition(".")[2]] * max(found.shape[-2:])
    return bool((found - expected).abs().max() <= bound * expected.abs().max())


def eye(x: ember.Tensor) -> ember.Tensor:
    return ember.eye(x.shape[-1], dtype=x.dtype).expand_as(x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape",
    [
        (33, 33),
        (200, 200),
        (2, 70, 70),
        (150, 40),
        (40, 150),
        (1, 65),
        (40, 3, 3),
        (19, 2, 4),
        (33, 8, 5),
    ],
)
def test_lu_and_qr_multiply_to_the_matrix(dtype: str, shape: tuple[int, ...]) -> None:
    a = matrices(dtype, *shape)
    p, lower, upper = ember.linalg.lu(a)
    assert close(p @ lower @ upper, a)
    assert lower.abs().max() < 1 + 1e-6 or dtype.startswith("complex")
    for mode in ("reduced", "complete"):
        q, r = ember.linalg.qr(a, mode)
        assert close(q @ r, a) and close(q.mH @ q, eye(q.mH @ q)) and bool((r == r.triu()).all())
    assert close(ember.linalg.qr(a, "r").R, ember.linalg.qr(a).R)
    packed, tau = ember.geqrf(a)
    q = ember.linalg.qr(a, "complete").Q
    if shape[-2] >= shape[-1]:
        assert close(ember.orgqr(packed, tau), q[..., : shape[-1]])
        c = matrices(dtype, *shape[:-1], 70)
        assert close(ember.ormqr(packed, tau, c), q @ c)
        assert close(ember.ormqr(packed, tau, c, transpose=True), q.mH @ c)
        assert close(ember.ormqr(packed, tau, c.mH, left=False), c.mH @ q)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(33, 33), (200, 200), (2, 70, 70), (40, 3, 3), (19, 8, 8)])
def test_solutions_solve(dtype: str, shape: tuple[int, ...]) -> None:
    a = matrices(dtype, *shape) + 2 * shape[-1] ** 0.5 * ember.eye(
        shape[-1], dtype=getattr(ember, dtype)
    )
    for columns in (1, 3, 150):
        b = matrices(dtype, *shape[:-1], columns)
        assert close(a @ ember.linalg.solve(a, b), b)
        assert close(ember.linalg.solve(a, b.mH, left=False) @ a, b.mH)
        factors = ember.linalg.lu_factor(a)
        assert close(a.mH @ ember.linalg.lu_solve(*factors, b, adjoint=True), b)
        upper = a.triu()
        assert close(upper @ ember.linalg.solve_triangular(a, b, upper=True), b)
        lower = a.tril(-1) / shape[-1] + ember.eye(shape[-1], dtype=a.dtype)
        x = ember.linalg.solve_triangular(lower, b, upper=False, unitriangular=True)
        assert close(lower @ x, b)
    assert close(a @ ember.linalg.inv(a), eye(a))
    definite = a @ a.mH
    lower, info = ember.linalg.cholesky_ex(definite)
    assert not info.any() and bool((lower == lower.tril()).all())
    assert close(lower @ lower.mH, definite)
    sign, log = ember.linalg.slogdet(a)
    expected = np.linalg.slogdet(a.to(ember.complex128).numpy())
    np.testing.assert_allclose(sign.numpy(), expected[0], rtol=1e-3)
    np.testing.assert_allclose(log.numpy(), expected[1], rtol=1e-5)


@pytest.mark.parametrize("n", [3, 40])
def test_columns_too_long_or_short_to_square(n: int) -> None:
    """Reflectors whose squares overflow, or vanish, are those of the scaled matrix."""
    a = matrices("float64", n, n)
    q, r = ember.linalg.qr(a)
    for scale in (1e200, 1e-200):
        scaled_q, scaled_r = ember.linalg.qr(a * scale)
        assert close(scaled_q, q) and close(scaled_r / scale, r)
    assert ember.linalg.qr(ember.zeros(n, n)).R.tolist() == ember.zeros(n, n).tolist()
    assert bool(ember.linalg.qr(ember.full((n, n), np.nan)).R.triu().diagonal().isnan().all())


def test_tall_columns_keep_their_digits() -> None:
    q, _ = ember.linalg.qr(matrices("float32", 100_000, 2))
    assert (q.mH @ q - ember.eye(2)).abs().max() < 1e-5


def test_pivots_that_are_no_rows_are_refused() -> None:
    lu, pivots = ember.linalg.lu_factor(matrices("float32", 3, 3))
    b = ember.ones(3, 1)
    for bad in (pivots * 0, pivots + 3, pivots.long(), pivots.repeat(2)):
        with pytest.raises(RuntimeError, match="pivots"):
            ember.linalg.lu_solve(lu, bad, b)
        with pytest.raises(RuntimeError, match="pivots"):
            ember.lu_unpack(lu, bad)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("size", [1.0, 1e-8, 1e8])
@pytest.mark.parametrize("rank", [1, 2])
def test_derivative_of_a_determinant_that_is_zero(rank: int, size: float, dtype: str) -> None:
    """The cofactors, by determinants of what is left without a row and a column."""
    a = matrices(dtype, 3, 3) * size
    a[2] = 0
    if rank == 1:
        a[1] = 0
    x = a.clone().requires_grad_()
    (found,) = ember.autograd.grad(ember.real(ember.linalg.det(x)), x, retain_graph=True)
    (again,) = ember.autograd.grad(ember.real(ember.linalg.det(x)), x, create_graph=True)
    cofactors = np.zeros((3, 3), dtype)
    for i in range(3):
        for j in range(3):
            m = np.delete(np.delete(a.numpy(), i, 0), j, 1)
            cofactors[i, j] = (-1) ** (i + j) * (m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0])
    np.testing.assert_allclose(found.numpy(), cofactors.conj(), atol=1e-13 * size**2)
    np.testing.assert_allclose(again.detach().numpy(), cofactors.conj(), atol=1e-6 * size**2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_small_matrices_of_a_batch_are_factored_as_alone(dtype: str) -> None:
    a = matrices(dtype, 50, 4, 4)
    a[3] = 0
    a[5, :, 1] = a[5, :, 0] = 1
    a[7, 2, 2], a[9, 0, 0] = np.nan, np.inf
    together = ember.linalg.lu_factor_ex(a)
    alone = [ember.linalg.lu_factor_ex(x) for x in a]
    for i, found in enumerate(together):
        expected = np.stack([x[i].numpy() for x in alone])
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)
    assert together.info[3] == 1 and together.info[5] == 2
    x = ember.linalg.solve_ex(a, matrices(dtype, 50, 4, 3)).result
    assert bool(x[3].isnan().all()) and bool(x[0].isfinite().all())
    lower, info = ember.linalg.cholesky_ex(a @ a.mT + 0.1 * ember.eye(4))
    assert [i for i in range(50) if info[i]] == [7, 9] and bool(lower[7].isnan().all())
    a[11] = a[11] @ a[11].mT + ember.diag(ember.tensor([1.0, 1.0, -99.0, 1.0]).to(a.dtype))
    a[12] = ember.eye(4)
    infos = ember.linalg.cholesky_ex(a).info
    assert infos.tolist() == [int(ember.linalg.cholesky_ex(x).info) for x in a]
    assert infos[11] == 3 and infos[12] == 0


@pytest.mark.parametrize("shape", [(300, 300), (30, 40, 40), (9000, 3, 3)])
def test_same_bits_for_any_number_of_threads(shape: tuple[int, ...]) -> None:
    a = matrices("float32", *shape)
    threads = ember.get_num_threads()
    results = []
    try:
        for count in (1, 2, 4):
            ember.set_num_threads(count)
            results.append(
                [
                    *ember.linalg.lu_factor(a),
                    *ember.linalg.qr(a),
                    ember.linalg.solve(a, a.mT),
                    ember.linalg.cholesky(a @ a.mT + ember.eye(shape[-1])),
                    ember.linalg.cross(a[..., :3], a[..., -3:]),
                ]
            )
    finally:
        ember.set_num_threads(threads)
    for other in results[1:]:
        assert all(map(ember.equal, results[0], other))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "complex64"])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_cross_products_along_any_dim(dim: int, dtype: str) -> None:
    a = 10 * matrices("complex128" if dtype == "complex64" else "float64", 3, 3, 3)
    a = a.to(getattr(ember, dtype))
    b = a.roll(1, 1)[:, :1] if dim != 1 else a.roll(1, 0)
    found = ember.linalg.cross(a, b, dim=dim).to(ember.complex128).numpy()
    full = np.broadcast_to(b.to(ember.complex128).numpy(), a.shape)
    expected = np.cross(a.to(ember.complex128).numpy(), full, axis=dim)
    np.testing.assert_allclose(
        found, expected, rtol=2e-2 if dtype == "float16" else 1e-4, atol=1e-2
    )
    assert not ember.linalg.cross(a, a, dim=dim).any()
