"""Rows of functions of images: resampling, sampling at points, windows, normalisation, shuffles."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .base import ALL, FLOATS, LARGE, Bad, Case, Spec, arr, case, given, ulps
from .spatial import F, ones

SIZES = (9, 8, 7)

# ---- resampling

MODES = {1: ("linear",), 2: ("bilinear", "bicubic"), 3: ("trilinear",)}
RESIZED: tuple[dict, ...] = (
    {"size": 5}, {"size": 13}, {"size": 1}, {"scale_factor": 2}, {"scale_factor": 1.7},
    {"scale_factor": 0.6}, {"scale_factor": 1.3, "recompute_scale_factor": True},
)  # fmt: skip


def _smooth(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for rank, modes in MODES.items():
        s = SIZES[:rank]
        for mode in modes:
            for align in (None, False, True):
                for kwargs in RESIZED:
                    x = arr(rng, (2, 3, *s), dtype)
                    yield case(x, mode=mode, align_corners=align, **kwargs)
            for layout in ("transposed", "stepped", "expanded", "channels_last"):
                yield case(arr(rng, (2, 3, *s), dtype, layout), tuple(2 * n for n in s), mode=mode)
            yield case(arr(rng, (0, 3, *s), dtype), size=4, mode=mode)
            scales = tuple(1.5 + i for i in range(rank))
            yield case(arr(rng, (1, 1, *s), dtype), scale_factor=scales, mode=mode)
    if dtype in ("float32", "float64"):
        for mode in ("bilinear", "bicubic", "lanczos"):
            for kwargs in RESIZED:
                yield case(arr(rng, (2, 3, 9, 8), dtype), mode=mode, antialias=True, **kwargs)
            yield case(arr(rng, (1, 1, 30, 41), dtype), size=(7, 5), mode=mode, antialias=True)


def _areas(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for rank in (1, 2, 3):
        for kwargs in RESIZED:
            yield case(arr(rng, (2, 3, *SIZES[:rank]), dtype), mode="area", **kwargs)


def _nearest(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for rank in (1, 2, 3):
        s = SIZES[:rank]
        for mode in ("nearest", "nearest-exact"):
            for kwargs in (*RESIZED, {"size": s}, {"scale_factor": 0.37}, {"size": 23}):
                yield case(arr(rng, (2, 3, *s), dtype), mode=mode, **kwargs)
            for layout in ("transposed", "stepped", "expanded"):
                yield case(arr(rng, (2, 3, *s), dtype, layout), size=4, mode=mode)


def _resize_grads(rng: np.random.Generator) -> Iterable[Case]:
    for rank, modes in MODES.items():
        x = arr(rng, (1, 2, *(3, 2, 2)[:rank]), "float64")
        for mode in (*modes, "area", "nearest"):
            yield case(x, size=(4, 3, 1)[:rank], mode=mode)
    x = arr(rng, (1, 1, 4, 3), "float64")
    yield case(x, size=2, mode="bicubic", align_corners=True)
    yield case(x, size=2, mode="bilinear", antialias=True)


IMAGE = ones(1, 2, 4, 4)
RESIZE = [
    Spec(
        "interpolate", _smooth, FLOATS, F + "interpolate", F + "interpolate", grad=True,
        strides=False, grad_cases=_resize_grads,
        tol=ulps(96, "weights from positions in float64, and sums of products; scales over 1 for "
                     "cubic filters", lambda lib, x, *a, **k: abs(x).max() if x.numel() else 1.0),
        large=lambda rng: case(arr(rng, (4, 16, 56, 57), "float32"), scale_factor=2, mode="bilinear"),
        bad=(Bad(case(IMAGE), "ValueError"), Bad(case(IMAGE, 2, 2.0), "ValueError"),
             Bad(case(IMAGE, (2, 2, 2)), "ValueError"),
             Bad(case(IMAGE, scale_factor=(2.0,)), "ValueError"),
             Bad(case(IMAGE, 0), "RuntimeError"), Bad(case(IMAGE, -1), "RuntimeError"),
             Bad(case(IMAGE, 2, mode="linear"), "NotImplementedError"),
             Bad(case(IMAGE, 2, mode="sharp"), "NotImplementedError"),
             Bad(case(IMAGE, 2, align_corners=True), "ValueError"),
             Bad(case(IMAGE, 2, recompute_scale_factor=True), "ValueError"),
             Bad(case(IMAGE, 2, antialias=True), "ValueError"),
             Bad(case(IMAGE, 2, mode="lanczos"), "ValueError"),
             Bad(case(IMAGE, (2.5, 2)), "TypeError"),
             Bad(case(ones(4, 4), 2), "NotImplementedError|ValueError"),
             Bad(case(ones(1, 0, 4, 4), 2), "RuntimeError")),
    ),
    Spec("interpolate by area", _areas, FLOATS, F + "interpolate", F + "interpolate", grad=True,
         strides=False, grad_cases=lambda rng: [
             case(arr(rng, (1, 1, 5, 4), "float64"), size=(3, 2), mode="area")],
         tol=ulps(16, "a mean of the window's items", lambda lib, x, *a, **k: abs(x).max())),
    Spec("interpolate nearest", _nearest, (*FLOATS, "uint8"), F + "interpolate", F + "interpolate",
         grad=True, strides=False, grad_cases=lambda rng: [
             case(arr(rng, (1, 1, 5, 4), "float64"), size=(3, 7), mode="nearest-exact")]),
]  # fmt: skip

# ---- sampling


def _grid_sample(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for s, out in (((5, 6), (4, 3)), ((3, 4, 5), (2, 3, 2))):
        for mode in ("bilinear", "nearest", "bicubic")[: 3 if len(s) == 2 else 2]:
            for padding in ("zeros", "border", "reflection"):
                for align in (False, True):
                    x = arr(rng, (2, 3, *s), dtype)
                    grid = arr(rng, (2, *out, len(s)), dtype, low=-1.6, high=1.6)
                    yield case(x, grid, mode, padding, align)
        x = arr(rng, (2, 3, *s), dtype, "transposed")
        yield case(x, arr(rng, (2, *out, len(s)), dtype, "stepped", -1, 1), align_corners=False)
        yield case(x, arr(rng, (2, *[0] * len(s), len(s)), dtype), align_corners=False)
    far = given([[[[1e4, -1e4], [30.0, 0.3]]]], dtype)
    for padding in ("zeros", "border"):
        yield case(arr(rng, (1, 2, 3, 3), dtype), far, "bilinear", padding, False)


def _grid_grads(rng: np.random.Generator) -> Iterable[Case]:
    for mode in ("bilinear", "bicubic"):
        for padding in ("zeros", "reflection"):
            x = arr(rng, (1, 2, 4, 3), "float64")
            yield case(x, given([[[[0.21, -0.37], [0.55, 0.13]]]], "float64"), mode, padding, False)
    yield case(arr(rng, (1, 1, 3, 2, 3), "float64"),
               given([[[[[0.21, -0.37, 0.1]]]]], "float64"), align_corners=True)  # fmt: skip
    yield case(arr(rng, (1, 1, 3, 3), "float64"),
               given([[[[0.21, -0.37]]]], "float64", grad=False), "nearest")  # fmt: skip


def _affine(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for align in (None, False, True):
        yield case(arr(rng, (2, 2, 3), dtype), (2, 1, 4, 5), align)
        yield case(arr(rng, (2, 2, 3), dtype, "transposed"), (2, 1, 1, 3), align)
        yield case(arr(rng, (2, 3, 4), dtype), (2, 1, 2, 3, 4), align)


def _grid_scale(lib: Any, x: Any, grid: Any, *args: Any, **kwargs: Any) -> Any:
    """Positions round relative to the image's size, and so do values by the image's slope."""
    return abs(x).max() * (abs(grid).max() if grid.numel() else 1) * max(x.shape[2:]) * 2


GRID = ones(1, 2, 2, 2)
THETA = ones(1, 2, 3)
SAMPLING = [
    Spec(
        "grid_sample", _grid_sample, FLOATS, F + "grid_sample", F + "grid_sample", grad=True,
        strides=False, grad_cases=_grid_grads,
        tol=ulps(32, "positions in pixels, weights of them and sums of products", _grid_scale),
        bad=(Bad(case(IMAGE, GRID, "trilinear"), "ValueError"),
             Bad(case(IMAGE, GRID, "bilinear", "none"), "ValueError"),
             Bad(case(IMAGE, ones(1, 2, 2, 3)), "RuntimeError"),
             Bad(case(IMAGE, ones(2, 2, 2, 2)), "RuntimeError"),
             Bad(case(IMAGE, ones(1, 2, 2, 2, dtype="float64")), "RuntimeError"),
             Bad(case(ones(2, 4, 4), GRID), "RuntimeError"),
             Bad(case(ones(1, 2, 0, 4), GRID), "RuntimeError"),
             Bad(case(ones(1, 1, 2, 2, 2), ones(1, 2, 2, 2, 3), "bicubic"), "RuntimeError")),
    ),
    Spec(
        "affine_grid", _affine, FLOATS, F + "affine_grid", F + "affine_grid", grad=True,
        strides=False, grad_cases=lambda rng: [case(arr(rng, (1, 2, 3), "float64"), (1, 1, 2, 3))],
        tol=ulps(8, "dot products of 3 or 4 terms", lambda lib, t, *a, **k: 4 * abs(t).max(), steps=4),
        bad=(Bad(case(THETA, (1, 1, 4)), "NotImplementedError"),
             Bad(case(THETA, (1, 1, 2, 2, 2)), "ValueError"),
             Bad(case(THETA, (1, 1, 0, 2)), "ValueError"),
             Bad(case(THETA, (2, 1, 2, 2)), "RuntimeError"),
             Bad(case(given(np.ones((1, 2, 3)), "int64"), (1, 1, 2, 2)), "ValueError")),
    ),
]  # fmt: skip

# ---- windows and shuffles


def _unfold(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for layout in ("plain", "transposed", "stepped", "expanded", "channels_last"):
        yield case(arr(rng, (2, 3, 7, 8), dtype, layout), 2)
    yield case(arr(rng, (2, 3, 7, 8), dtype), (2, 3), 2, 1, (1, 2))
    yield case(arr(rng, (2, 3, 7, 8), dtype), 3, padding=2, stride=4)
    yield case(arr(rng, (3, 7, 8), dtype), (3, 1))
    yield case(arr(rng, (0, 3, 7, 8), dtype), 2)
    yield case(arr(rng, (2, 3, 2, 8), dtype), 3)  # too small


def _fold(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for layout in ("plain", "transposed", "stepped", "expanded"):
        yield case(arr(rng, (2, 12, 12), dtype, layout), (4, 5), 2)
    yield case(arr(rng, (2, 12, 32), dtype), (7, 8), (2, 3), 1, 1, (1, 2))
    yield case(arr(rng, (2, 12, 9), dtype), (7, 8), 2, 2, stride=2, padding=(0, 0))
    yield case(arr(rng, (12, 12), dtype), (4, 5), 2)


def _shuffle(channels: int, factor: int, h: int, w: int) -> Callable:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for layout in ("plain", "transposed", "stepped", "channels_last"):
            yield case(arr(rng, (2, channels, h, w), dtype, layout), factor)
        yield case(arr(rng, (2, channels, h, w), dtype), 1)
        yield case(arr(rng, (channels, h, w), dtype), factor if channels % 8 else 2)
        if factor != 2 or channels > 3:  # PyTorch leaves empty tensors as they are otherwise
            yield case(arr(rng, (0, channels, h, w), dtype), factor)

    return make


COLUMNS = ones(1, 8, 9)
WINDOWS = [
    Spec(
        "unfold of images", _unfold, (*FLOATS, "bool"), F + "unfold", F + "unfold", grad=True,
        strides=False, grad_cases=lambda rng: [
            case(arr(rng, (1, 2, 4, 3), "float64"), 2, 1, 1, 2),
            case(arr(rng, (2, 4, 3), "float64"), (2, 1))],
        large=lambda rng: case(arr(rng, (8, 16, 40, 40), "float32"), 3, padding=1),
        bad=(Bad(case(IMAGE, 0), "RuntimeError"), Bad(case(IMAGE, 2, stride=0), "RuntimeError"),
             Bad(case(IMAGE, 2, padding=-1), "RuntimeError"), Bad(case(IMAGE, 5), "RuntimeError"),
             Bad(case(IMAGE, (2, 2, 2)), "RuntimeError"), Bad(case(ones(4, 4), 2), "RuntimeError", "IndexError"),
             Bad(case(ones(1, 2, 0, 4), 2), "RuntimeError")),
    ),
    Spec(
        "fold", _fold, FLOATS, F + "fold", F + "fold", grad=True, strides=False,
        tol=ulps(8, "sums of the windows over an item",
                 lambda lib, x, *a, **k: lib.nn.functional.fold(abs(x), *a, **k)),
        grad_cases=lambda rng: [case(arr(rng, (1, 8, 4), "float64"), (3, 3), 2),
                                case(arr(rng, (4, 6), "float64"), (3, 4), 2)],
        large=lambda rng: case(arr(rng, (8, 144, 1600), "float32"), 40, 3, padding=1),
        bad=(Bad(case(COLUMNS, 0, 2), "RuntimeError"), Bad(case(COLUMNS, 4, 3), "RuntimeError"),
             Bad(case(COLUMNS, 5, 2), "RuntimeError"), Bad(case(COLUMNS, 4, 0), "RuntimeError"),
             Bad(case(ones(8), 4, 2), "RuntimeError"),
             Bad(case(COLUMNS, 4, 2, stride=0), "RuntimeError")),
    ),
    Spec("pixel_shuffle", _shuffle(12, 2, 3, 4), ALL, "pixel_shuffle", F + "pixel_shuffle", grad=True,
         strides=False, grad_cases=lambda rng: [case(arr(rng, (1, 4, 2, 1), "float64"), 2)],
         bad=(Bad(case(IMAGE, 2), "RuntimeError"), Bad(case(IMAGE, 0), "RuntimeError"),
              Bad(case(IMAGE, -1), "RuntimeError"), Bad(case(ones(4, 4), 2), "RuntimeError"))),
    Spec("pixel_unshuffle", _shuffle(3, 2, 4, 6), ALL, "pixel_unshuffle", F + "pixel_unshuffle",
         grad=True, strides=False,
         grad_cases=lambda rng: [case(arr(rng, (1, 1, 4, 2), "float64"), 2)],
         bad=(Bad(case(IMAGE, 3), "RuntimeError"), Bad(case(IMAGE, 0), "RuntimeError"),
              Bad(case(ones(4, 4), 2), "RuntimeError"))),
    Spec("channel_shuffle", _shuffle(6, 3, 4, 5), FLOATS, "channel_shuffle", F + "channel_shuffle",
         grad=True, strides=False,
         grad_cases=lambda rng: [case(arr(rng, (1, 4, 2, 1), "float64"), 2)],
         bad=(Bad(case(IMAGE, 3), "RuntimeError"), Bad(case(IMAGE, 0), "RuntimeError"),
              Bad(case(ones(4, 4), 2), "RuntimeError"))),
]  # fmt: skip

# ---- normalisation

SPREAD = "differences to a rounded mean, divided by a rounded deviation"


def _spread(lib: Any, x: Any, *args: Any, **kwargs: Any) -> float:
    return float(abs(x).max()) * 32 + 8 if x.numel() else 1.0


def _group_norm(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in (
        ((4, 6), "plain"), ((4, 6), "transposed"), ((4, 6, 5), "plain"), ((2, 6, 4, 5), "plain"),
        ((2, 6, 4, 5), "channels_last"), ((2, 6, 4, 5), "stepped"), ((2, 6, 2, 2, 3), "plain"),
        ((3, 12, 17, 19), "plain"), ((0, 6, 4), "plain"),
    ):  # fmt: skip
        c = shape[1]
        x, w, b = arr(rng, shape, dtype, layout), arr(rng, (c,), dtype), arr(rng, (c,), dtype)
        yield case(x, 2)
        yield case(x, 3, w, b)
        yield case(x, 1, w, None, 1e-3)
        yield case(x, 2, bias=b)
        if len(shape) > 2:
            yield case(x, c, w, b)
    if dtype == "bfloat16":
        x = arr(rng, (2, 6, 5), dtype)
        yield case(x, 2, arr(rng, (6,), "float32"), arr(rng, (6,), "float32"), note="mixed")


def _group_grads(rng: np.random.Generator) -> Iterable[Case]:
    w, b = arr(rng, (4,), "float64"), arr(rng, (4,), "float64")
    yield case(arr(rng, (2, 4, 2), "float64"), 2, w, b)
    yield case(arr(rng, (2, 4), "float64", "transposed"), 2, w)
    yield case(arr(rng, (1, 4, 2, 2), "float64"), 4)


def _instance_norm(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in (
        ((2, 3, 5), "plain"), ((2, 3, 5), "transposed"), ((2, 3, 4, 5), "plain"),
        ((2, 3, 4, 5), "channels_last"), ((2, 3, 2, 2, 3), "plain"),
    ):  # fmt: skip
        x, w, b = arr(rng, shape, dtype, layout), arr(rng, (3,), dtype), arr(rng, (3,), dtype)
        mean, var = arr(rng, (3,), dtype, grad=False), arr(rng, (3,), dtype, low=0.5, grad=False)
        yield case(x, None, None)
        yield case(x, None, None, w, b)
        yield case(x, mean, var, w, b, False)
        yield case(x, mean, var, None, b, True, 0.3, 1e-3)
    yield case(arr(rng, (2, 3, 1), dtype), None, None)  # one value a channel


def _rms_norm(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout, dims in (
        ((4, 7), "plain", 1), ((4, 7), "transposed", 1), ((4, 7), "stepped", 1),
        ((2, 3, 5), "plain", 2), ((2, 3, 5), "transposed", 3), ((3, 768), "plain", 1),
        ((0, 5), "plain", 1), ((6,), "plain", 1),
    ):  # fmt: skip
        x, w = arr(rng, shape, dtype, layout), arr(rng, shape[-dims:], dtype)
        yield case(x, shape[-dims:])
        yield case(x, list(shape[-dims:]), w)
        yield case(x, shape[-dims:], w, 1e-3)


def _lrn(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in (
        ((3, 7, 4), "plain"),
        ((2, 5, 4, 3), "channels_last"),
        ((2, 3, 2, 2, 2), "plain"),
    ):
        yield case(arr(rng, shape, dtype, layout), 2)
        yield case(arr(rng, shape, dtype, layout), 3, 0.2, 0.5, 2.0)
    yield case(arr(rng, (0, 3, 4), dtype), 2)


A = ones(2, 3)
NORMS = [
    Spec(
        "group_norm", _group_norm, FLOATS, "group_norm", F + "group_norm", grad=True, strides=False,
        grad_cases=_group_grads, tol=ulps(64, SPREAD, _spread),
        large=lambda rng: case(arr(rng, (32, 32, 24, 24), "float32"), 8, arr(rng, (32,), "float32"),
                               arr(rng, (32,), "float32")),
        bad=(Bad(case(A, 2), "RuntimeError"), Bad(case(A, 0), "RuntimeError", "RuntimeError|ZeroDivisionError"),
             Bad(case(A, 3, ones(2)), "RuntimeError"), Bad(case(A, 3, None, ones(2)), "RuntimeError"),
             Bad(case(ones(3), 3), "RuntimeError")),
    ),
    Spec(
        "instance_norm", _instance_norm, FLOATS, F + "instance_norm", F + "instance_norm", grad=True,
        strides=False, changes=(1, 2), tol=ulps(64, SPREAD, _spread, steps=2),
        grad_cases=lambda rng: [
            case(arr(rng, (2, 2, 3), "float64"), None, None, arr(rng, (2,), "float64"),
                 arr(rng, (2,), "float64")),
            case(arr(rng, (2, 2, 3), "float64"), arr(rng, (2,), "float64", grad=False),
                 arr(rng, (2,), "float64", low=0.5, grad=False), arr(rng, (2,), "float64"))],
        bad=(Bad(case(ones(2, 3, 4), None, None, ones(2)), "RuntimeError"),
             Bad(case(ones(2, 3, 4), None, None, use_input_stats=False), "RuntimeError"),
             Bad(case(ones(2, 3, 1), None, None), "ValueError")),
    ),
    Spec(
        "rms_norm", _rms_norm, FLOATS, "rms_norm", F + "rms_norm", grad=True, strides=False,
        tol=ulps(24, "a mean of squares, its root, and products",
                 lambda lib, x, *a, **k: 16.0 if x.numel() else 1.0),
        grad_cases=lambda rng: [
            case(arr(rng, (2, 3), "float64"), (3,), arr(rng, (3,), "float64")),
            case(arr(rng, (2, 2, 3), "float64"), (2, 3))],
        large=lambda rng: case(arr(rng, LARGE, "float32"), LARGE[1:], arr(rng, LARGE[1:], "float32")),
        bad=(Bad(case(A, (2,)), "RuntimeError"), Bad(case(A, ()), "RuntimeError"),
             Bad(case(A, (3,), ones(2)), "RuntimeError")),
    ),
    Spec(
        "local_response_norm", _lrn, FLOATS, F + "local_response_norm", F + "local_response_norm",
        grad=True, strides=False, tol=ulps(32, "a mean of squares, a power, a quotient",
                                           lambda lib, x, *a, **k: abs(x), steps=8),
        grad_cases=lambda rng: [case(arr(rng, (1, 3, 2), "float64"), 2, 0.3)],
        bad=(Bad(case(A, 2), "ValueError"), Bad(case(ones(1, 2, 3), 0), "RuntimeError")),
    ),
]  # fmt: skip

SPECS = [*RESIZE, *SAMPLING, *WINDOWS, *NORMS]
