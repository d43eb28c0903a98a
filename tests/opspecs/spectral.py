"""Rows of Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from .base import COMPLEX, EXACT, Bad, Case, Spec, arr, case, given, ulps

Make = Callable[[str, np.random.Generator], Iterable[Case]]

REAL = ("float32", "float64")
# log2(n) steps of butterflies, relative to the largest sum that can come out.
TRANSFORM = ulps(
    32, "a sum of up to a hundred terms", scale=lambda lib, x, *a, **k: abs(x * 1.0).sum()
)
VECTOR = (((8,), "plain"), ((3, 5), "transposed"), ((2, 6), "stepped"), ((2, 3, 4), "plain"))


def along(forms: Iterable[tuple[tuple, dict]], shapes: Iterable = VECTOR) -> Make:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for shape, layout in shapes:
            for args, kw in forms:
                yield case(arr(rng, shape, dtype, layout, -2, 2), *args, **kw)

    return make


ONE = (
    ((), {}), ((5,), {}), ((12,), {}), ((), {"dim": 0}), ((), {"norm": "ortho"}),
    ((4,), {"dim": 0, "norm": "forward"}), ((), {"norm": "backward"}),
)  # fmt: skip
GRIDS = (((4, 6), "plain"), ((3, 5), "transposed"), ((2, 3, 4), "stepped"))
SEVERAL = (
    ((), {}), (((3, 4),), {}), ((), {"dim": (0, 1)}), ((), {"dim": (-1,)}), (((2,),), {}),
    (((-1, 5),), {"dim": (1, 0), "norm": "forward"}), ((), {"norm": "ortho"}),
)  # fmt: skip
TWO = (((), {}), (((3, 4),), {}), ((), {"dim": (1, 0)}), ((), {"norm": "ortho"}))

V, M = given(np.arange(1.0, 5), "float32"), given(np.ones((2, 3)), "float32")
Z = given(np.arange(1.0, 5) + 1j, "complex64")
BAD = (
    Bad(case(M, norm="sideways"), "RuntimeError"),
    Bad(case(given([True], "bool"), norm=2), "RuntimeError", "TypeError"),
    Bad(case([1.0]), "TypeError"),
)
BAD_ONE = (
    *BAD,
    Bad(case(V, 0), "RuntimeError"),
    Bad(case(V, dim=1), "IndexError"),
    Bad(case(given(1.0, "float32")), "IndexError"),
)
BAD_MANY = (
    *BAD,
    Bad(case(M, (2,), (0, 1)), "RuntimeError"),
    Bad(case(M, (2, 2, 2)), "RuntimeError", "RuntimeError|IndexError"),
    Bad(case(M, dim=(0, 0)), "RuntimeError"),
    Bad(case(M, dim=(0, 2)), "IndexError"),
    Bad(case(M, (2, 0)), "RuntimeError"),
)


def transform(name: str, forms: Iterable, shapes: Iterable, dtypes: tuple, bad: tuple) -> Spec:
    def small(rng: np.random.Generator) -> Iterable[Case]:
        for shape in ((3,), (4,)) if len(shapes[0][0]) == 1 else ((2, 3), (3, 2)):
            for kind in ("float64", "complex128"):
                if kind in dtypes:
                    yield from along(forms[:3], ((shape, "plain"),))(kind, rng)

    return Spec(
        f"fft.{name}", along(forms, shapes), dtypes, tol=TRANSFORM, grad=True, grad_cases=small,
        strides=False, out=True, bad=bad,
    )  # fmt: skip


ANY = (*REAL, *COMPLEX)
TRANSFORMS = [
    *(transform(n, ONE, VECTOR, ANY, BAD_ONE) for n in ("fft", "ifft")),
    *(transform(n, ONE, VECTOR, ANY, BAD_ONE) for n in ("irfft", "hfft")),
    *(transform(n, ONE, VECTOR, REAL, (*BAD_ONE, Bad(case(Z), "RuntimeError")))
      for n in ("rfft", "ihfft")),
    *(transform(n, SEVERAL, GRIDS, ANY, BAD_MANY) for n in ("fftn", "ifftn", "irfftn", "hfftn")),
    *(transform(n, SEVERAL, GRIDS, REAL, BAD_MANY) for n in ("rfftn", "ihfftn")),
    *(transform(n, TWO, GRIDS, ANY, BAD) for n in ("fft2", "ifft2", "irfft2", "hfft2")),
    *(transform(n, TWO, GRIDS, REAL, BAD) for n in ("rfft2", "ihfft2")),
]  # fmt: skip


def integers(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (3, 5), dtype))
    yield case(arr(rng, (4,), dtype), norm="ortho")


def counts_of(*more: dict) -> Make:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for n in (0, 1, 4, 5):
            for kw in ({}, {"d": 0.25}, *more):
                yield case(n, **kw) if n else case(1, **kw)

    return make


SHIFTS = (((), {}), ((0,), {}), (((0, 1),), {}))
REST = [
    Spec("fft.fft of integers", integers, ("int64", "uint8", "bool"), fn="fft.fft", tol=TRANSFORM,
         strides=False),
    Spec("fft.rfft of integers", integers, ("int64", "int32"), fn="fft.rfft", tol=TRANSFORM,
         strides=False),
    Spec("fft.fftfreq", counts_of(), ("float32",), tol=ulps(2, "a quotient, a product"), bad=(
        Bad(case(-1), "RuntimeError"),)),
    Spec("fft.rfftfreq", counts_of(), ("float32",), tol=ulps(2, "a quotient, a product"), bad=(
        Bad(case(-5), "RuntimeError"),)),
    *(Spec(f"fft.{n}", along(SHIFTS, GRIDS), (*ANY, "int64"), tol=EXACT, strides=False, grad=True,
           grad_cases=lambda rng: along(SHIFTS, GRIDS[:1])("float64", rng),
           bad=(Bad(case(M, 2), "IndexError"),)) for n in ("fftshift", "ifftshift")),
]  # fmt: skip

# ---- Short-time transforms


def frames(forms: Iterable, length: int = 23, windows: bool = True) -> Make:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        real = {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)
        for shape in ((length,), (2, length)):
            for kw in forms:
                size = kw.get("win_length", kw["n_fft"])
                window = {"window": arr(rng, (size,), real, low=0.5, high=1)} if windows else {}
                yield case(
                    arr(rng, shape, dtype, low=-1, high=1), **kw, **window, return_complex=True
                )

    return make


STFT = (
    {"n_fft": 8},
    {"n_fft": 7, "hop_length": 3},
    {"n_fft": 8, "hop_length": 2, "win_length": 5, "center": False},
    {"n_fft": 8, "normalized": True, "pad_mode": "constant"},
    {"n_fft": 8, "onesided": False, "pad_mode": "replicate"},
    {"n_fft": 8, "win_length": 4, "center": False, "align_to_window": True},
    {"n_fft": 8, "center": False, "align_to_window": False},
)


def spectra(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    real = {"complex64": "float32", "complex128": "float64"}[dtype]
    for batch in ((), (2,)):
        for size, kw in (
            (5, {}), (5, {"hop_length": 3, "length": 19}), (5, {"center": False}),
            (5, {"normalized": True}), (8, {"onesided": False}), (5, {"length": 12}),
            (8, {"onesided": False, "return_complex": True}),
        ):  # fmt: skip
            window = arr(rng, (8,), real, low=0.5, high=1)
            x = arr(rng, (*batch, size, 7), dtype, low=-1, high=1)
            yield case(x, 8, window=window, **kw)
    yield case(
        arr(rng, (5, 7), dtype), 8, win_length=6, window=arr(rng, (6,), real, low=0.5, high=1)
    )


X = given(np.ones(10), "float32")
S = given(np.ones((3, 5)) + 0j, "complex64")
W3, W4 = given(np.ones(3), "float32"), given(np.ones(4), "float32")
SHORT = [
    Spec("stft", frames(STFT), ANY[:2], tol=TRANSFORM, method="stft", strides=False, grad=True,
         grad_cases=lambda rng: [*frames(STFT[1:3], 9)("float64", rng)], bad=(
             Bad(case(X, 4, window=W4), "RuntimeError"),
             Bad(case(X, 4, window=W3, return_complex=True), "RuntimeError"),
             Bad(case(X, 0, window=W4, return_complex=True), "RuntimeError"),
             Bad(case(X, 11, window=W4, center=False, return_complex=True), "RuntimeError"),
             Bad(case(X, 4, 0, window=W4, return_complex=True), "RuntimeError"),
             Bad(case(X, 4, 1, 5, window=W4, return_complex=True), "RuntimeError"),
             Bad(case(given(np.ones((2, 2, 10)), "float32"), 4, window=W4, return_complex=True),
                 "RuntimeError"),
             Bad(case(given(np.ones(10), "int64"), 4, window=W4, center=False, return_complex=True),
                 "RuntimeError"),
             Bad(case(X, 4, window=W4, return_complex=True, align_to_window=True), "RuntimeError"),
             Bad(case(given(np.ones(10) + 1j, "complex64"), 4, window=W4, onesided=True,
                      center=False), "RuntimeError"),
         )),
    Spec("stft of complex signals", frames([f for f in STFT if "onesided" not in f]), COMPLEX,
         fn="stft", tol=TRANSFORM, strides=False, grad=True,
         grad_cases=lambda rng: [*frames(STFT[1:2], 6)("complex128", rng)]),
    Spec("istft", spectra, COMPLEX, tol=ulps(
        64, "sums of frames", scale=lambda lib, x, *a, **k: 8 * abs(x).max()), method="istft",
        strides=False, grad=True, grad_cases=lambda rng: [*spectra("complex128", rng)][:2], bad=(
            Bad(case(given(np.ones((3, 5)), "float32"), 4, window=W4), "RuntimeError"),
            Bad(case(S, 4, window=W3), "RuntimeError"),
            Bad(case(S, 4, window=W4, onesided=False), "RuntimeError"),
            Bad(case(S, 4, hop_length=5, window=W4), "RuntimeError"),
            Bad(case(S, 4, win_length=5, window=W4), "RuntimeError"),
            Bad(case(S, 4, window=given(np.zeros(4), "float32")), "RuntimeError"),
            Bad(case(S, 4, window=W4, return_complex=True), "RuntimeError"),
            Bad(case(given(np.ones((3, 0)) + 0j, "complex64"), 4, window=W4), "RuntimeError"),
            Bad(case(S, 4, window=given(np.ones(4) + 0j, "complex64")), "RuntimeError"),
        )),
]  # fmt: skip

SPECS = [*TRANSFORMS, *REST, *SHORT]
