"""Functions that are approximated on vectors, in float64 far and wide: against SciPy and NumPy,
with zeros, subnormal and infinite numbers; and reductions of a few columns."""

from __future__ import annotations

from collections.abc import Callable

import ember
import numpy as np
import pytest

sp = pytest.importorskip("scipy.special")

RNG = np.random.default_rng(5)
SPECIAL = np.array([0.0, -0.0, 5e-324, 1e-310, 1.0, 2.0, np.inf, -np.inf, np.nan, 1e308, -1.0])


def spread(low: float, high: float) -> np.ndarray:
    """Numbers of all magnitudes up to the bounds, an odd count."""
    even = RNG.uniform(low, high, 400)
    small = 10 ** RNG.uniform(-300, 0, 61)
    return np.concatenate([even, small, -small if low < 0 else small])


def near(ours: np.ndarray, theirs: np.ndarray, scale: np.ndarray | float, ulps: float) -> None:
    finite = np.isfinite(theirs) & (np.abs(theirs) > 1e-290)
    error = np.abs(ours - theirs)[finite] / np.maximum(np.abs(theirs), scale)[finite]
    assert error.max(initial=0) < ulps * 2**-52


# Name, reference, range, and whether errors are measured at a scale of 1: near zeros.
BESSEL: list[tuple[str, Callable, float, float, bool]] = [
    ("i0", sp.i0, -700, 700, False),
    ("i0", sp.i0, -25, 25, False),
    ("i0e", sp.i0e, -1e5, 1e5, False),
    ("i0e", sp.i0e, -25, 25, False),
    ("i1", sp.i1, -25, 25, False),
    ("i1e", sp.i1e, -25, 25, False),
    ("modified_bessel_k0", sp.k0, 0, 4, False),
    ("modified_bessel_k0", sp.k0, 0, 600, False),
    ("modified_bessel_k1", sp.k1, 0, 4, False),
    ("scaled_modified_bessel_k0", sp.k0e, 0, 50, False),
    ("scaled_modified_bessel_k1", sp.k1e, 0, 1e4, False),
    ("bessel_j0", sp.j0, -40, 40, True),
    ("bessel_j1", sp.j1, -40, 40, True),
    ("bessel_y0", sp.y0, 0, 40, True),
    ("bessel_y1", sp.y1, 0, 40, True),
    ("gammaln", sp.gammaln, 0, 50, True),
    ("gammaln", sp.gammaln, -30, 0, True),
]


@pytest.mark.parametrize(("name", "reference", "low", "high", "at_one"), BESSEL)
def test_functions_far_and_wide(name, reference, low, high, at_one):
    x = spread(low, high)
    ours = getattr(ember.special, name)(ember.from_numpy(x)).numpy()
    near(ours, reference(x), 1.0 if at_one else 0.0, 24)


@pytest.mark.parametrize("name", sorted({row[0] for row in BESSEL}))
def test_functions_at_the_ends(name):
    reference = next(row[1] for row in BESSEL if row[0] == name)
    with np.errstate(all="ignore"):
        theirs = reference(SPECIAL)
    ours = getattr(ember.special, name)(ember.from_numpy(SPECIAL)).numpy()
    size = np.abs(SPECIAL)
    regular = (size == 0) | ((size > 1e-300) & (size < 1e300))  # SciPy gives up beyond
    assert np.allclose(ours[regular], theirs[regular], 1e-14, equal_nan=True)
    assert np.isnan(ours[np.isnan(SPECIAL)]).all()


def test_lgamma_near_its_zeros():
    d = np.concatenate([10 ** RNG.uniform(-15, -7, 50), -(10 ** RNG.uniform(-15, -7, 50))])
    one, two = 1 + d, 2 + d
    slope = ember.lgamma(ember.from_numpy(one)).numpy() / (one - 1)
    assert np.allclose(slope, -np.euler_gamma + np.pi**2 / 12 * (one - 1), 1e-13)
    slope = ember.lgamma(ember.from_numpy(two)).numpy() / (two - 2)
    assert np.allclose(slope, 1 - np.euler_gamma + (np.pi**2 / 12 - 0.5) * (two - 2), 1e-13)


def test_airy():
    x = np.concatenate([RNG.uniform(-12, 12, 800), SPECIAL[:6]])
    scale = np.where(x < 0, np.abs(sp.airy(x)[2]), 0)  # Bi: as large, where both swing
    near(ember.special.airy_ai(ember.from_numpy(x)).numpy(), sp.airy(x)[0], scale, 100)


POLYNOMIALS = {
    "chebyshev_polynomial_t": sp.eval_chebyt,
    "chebyshev_polynomial_u": sp.eval_chebyu,
    "shifted_chebyshev_polynomial_t": sp.eval_sh_chebyt,
    "shifted_chebyshev_polynomial_u": sp.eval_sh_chebyu,
    "hermite_polynomial_h": sp.eval_hermite,
    "hermite_polynomial_he": sp.eval_hermitenorm,
    "laguerre_polynomial_l": sp.eval_laguerre,
    "legendre_polynomial_p": sp.eval_legendre,
}


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_degrees_mixed_in_a_vector(name):
    f, reference = getattr(ember.special, name), POLYNOMIALS[name]
    n = RNG.integers(0, 90, 601)
    x = RNG.uniform(0 if "shifted" in name else -1, 1, n.size)
    ours = f(ember.from_numpy(x), ember.from_numpy(n)).numpy()
    theirs = reference(n, x)
    assert np.allclose(
        ours, theirs, 1e-10, 1e-11 * np.abs(theirs).max() if "h" in name[:2] else 1e-11
    )
    odd = ember.tensor([-1.0, 2.7, np.nan, np.inf, -np.inf], dtype=ember.float64)
    assert np.allclose(
        f(0.5, odd).numpy(), [0, reference(2, 0.5), np.nan, np.nan, 0], equal_nan=True
    )


def test_parts_of_numbers():
    x = np.concatenate([SPECIAL, -SPECIAL, spread(-1e3, 1e3)])
    mantissa, exponent = ember.frexp(ember.from_numpy(x))
    theirs, powers = np.frexp(x)
    finite = np.isfinite(x)
    assert np.array_equal(mantissa.numpy(), theirs, equal_nan=True)
    assert np.array_equal(exponent.numpy()[finite], powers[finite])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_neighbours(dtype):
    with np.errstate(over="ignore"):
        a, b = (v.ravel().astype(dtype) for v in np.meshgrid(SPECIAL, -SPECIAL[::-1]))
    ours = ember.nextafter(ember.from_numpy(a), ember.from_numpy(b)).numpy()
    theirs = np.nextafter(a, b)
    assert np.array_equal(ours, theirs, equal_nan=True)
    assert np.array_equal(np.signbit(ours)[theirs == 0], np.signbit(theirs)[theirs == 0])


@pytest.mark.parametrize("name", ["fmod", "remainder"])
def test_remainders_are_exact(name):
    x, y = 2.0 ** RNG.uniform(-60, 60, (2, 4001)) * RNG.choice([-1, 1], (2, 4001))
    wide = 10.0 ** RNG.uniform(-308, 308, (2, 501))
    whole = np.arange(1.0, 500) * 0.1  # quotients that round up to whole numbers
    ends = np.meshgrid(SPECIAL, SPECIAL)
    a = np.concatenate([x, wide[0], whole, ends[0].ravel()])
    b = np.concatenate([y, wide[1], np.full(499, 0.1), ends[1].ravel()])
    with np.errstate(all="ignore"):
        theirs = np.fmod(a, b)
        if name == "remainder":
            theirs = np.where((theirs != 0) & ((b < 0) != (theirs < 0)), theirs + b, theirs)
    ours = getattr(ember, name)(ember.from_numpy(a), ember.from_numpy(b)).numpy()
    assert np.array_equal(ours, theirs, equal_nan=True)


PARTS = [*SPECIAL, 0.5, -1e-160, -1e200, 710.0, -745.0, 30.0, -160.0, np.pi / 2, 1e10, -1e17, 1e-8]


@pytest.mark.parametrize(
    "name", "exp expm1 log log2 log10 sqrt sin cos tan sinh cosh tanh abs angle".split()
)
def test_complex_at_the_ends(name):
    z = np.array([complex(a, b) for a in PARTS for b in PARTS])
    with np.errstate(all="ignore"):
        theirs = getattr(np, name)(z)
        if name == "expm1":  # NumPy's multiplies infinities and zeros
            z, theirs = z[np.isfinite(theirs)], theirs[np.isfinite(theirs)]
        ours = getattr(ember, name)(ember.from_numpy(z)).numpy()
        parts = [(ours, theirs)]
        if np.iscomplexobj(theirs):
            parts = [(ours.real, theirs.real), (ours.imag, theirs.imag)]
        close = np.abs(ours - theirs) <= 4e-15 * np.abs(theirs)
        each = [(a == b) | (np.isnan(a) & np.isnan(b)) for a, b in parts]
        each = [
            same | (np.abs(a - b) <= 4e-15 * np.abs(b))
            for same, (a, b) in zip(each, parts, strict=True)
        ]
    assert (close | np.logical_and.reduce(each)).all()


@pytest.mark.parametrize("columns", [1, 2, 3, 7, 31, 32, 33])
@pytest.mark.parametrize("rows", [130, 2049, 200_003])
@pytest.mark.parametrize("name", ["sum", "prod", "amax", "var", "norm"])
def test_few_columns(name, rows, columns):
    x = RNG.normal(size=(rows, columns)).astype("float32") ** (0 if name == "prod" else 1)
    x[rows // 2] *= 1.5
    ours, before = [], ember.get_num_threads()
    for count in (1, 2, 3):
        ember.set_num_threads(count)
        ours.append(getattr(ember, name)(ember.from_numpy(x), dim=0))
    ember.set_num_threads(before)
    theirs = {
        "sum": lambda v: v.sum(0),
        "prod": lambda v: v.prod(0),
        "amax": lambda v: v.max(0),
        "var": lambda v: v.var(0, ddof=1),
        "norm": lambda v: np.linalg.norm(v, axis=0),
    }[name](x.astype("float64"))
    assert np.allclose(ours[0].numpy(), theirs, 1e-5, 1e-6 * rows)
    assert all(ember.equal(ours[0], other) for other in ours[1:])
