"""Comparisons for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import _C

__all__ = ["assert_allclose", "assert_close"]

Tensor = _C.Tensor

# dtype: (rtol, atol)
_TOLERANCES = {
    _C.float16: (1e-3, 1e-5),
    _C.bfloat16: (1.6e-2, 1e-5),
    _C.float32: (1.3e-6, 1e-5),
    _C.float64: (1e-7, 1e-7),
    _C.complex64: (1.3e-6, 1e-5),
    _C.complex128: (1e-7, 1e-7),
}
_OLD_TOLERANCES = {
    _C.float16: (1e-3, 1e-3),
    _C.float32: (1e-4, 1e-5),
    _C.float64: (1e-5, 1e-8),
}


class _Mismatch(Exception):
    pass


def _as_tensor(value: Any, where: str) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, float):
        return _C.tensor(value, dtype=_C.float64)
    try:
        return _C.as_tensor(value)
    except Exception as e:
        raise TypeError(
            f"assert_close: cannot compare values of type {type(value).__name__}{where}"
        ) from e


def _tolerance(a: Tensor, b: Tensor, table: dict) -> tuple[float, float]:
    pairs = [table.get(t.dtype, (0.0, 0.0)) for t in (a, b)]
    return max(p[0] for p in pairs), max(p[1] for p in pairs)


def _compare(a: Tensor, b: Tensor, where: str, options: dict[str, Any]) -> None:
    if (options["rtol"] is None) != (options["atol"] is None):
        raise ValueError(
            f"assert_close: rtol and atol belong together, got {options['rtol']} and "
            f"{options['atol']}"
        )
    if a.shape != b.shape:
        raise _Mismatch(f"shapes differ{where}: {tuple(a.shape)} and {tuple(b.shape)}")
    if options["check_device"] and a.device != b.device:
        raise _Mismatch(f"devices differ{where}: {a.device} and {b.device}")
    if options["check_dtype"] and a.dtype != b.dtype:
        raise _Mismatch(f"dtypes differ{where}: {a.dtype} and {b.dtype}")
    if options["check_stride"] and a.stride() != b.stride():
        raise _Mismatch(f"strides differ{where}: {a.stride()} and {b.stride()}")
    rtol, atol = options["rtol"], options["atol"]
    if rtol is None:
        rtol, atol = _tolerance(a, b, options["table"])
    a, b = a.detach(), b.detach()
    if a.dtype != b.dtype:
        common = _C.promote_types(a.dtype, b.dtype)
        a, b = a.to(common), b.to(common)
    close = _C.isclose(a, b, rtol=rtol, atol=atol, equal_nan=options["equal_nan"])
    wrong = int((~close).sum())
    if wrong == 0:
        return
    first = (~close).nonzero()[0].tolist()
    place = f" at {tuple(first)}" if first else ""
    got, expected = (t[tuple(first)].item() for t in (a, b))
    raise _Mismatch(
        f"{wrong} of {a.numel()} elements are not close{where} (rtol {rtol}, atol {atol}); the "
        f"first{place}: got {got}, expected {expected}"
    )


def _walk(actual: Any, expected: Any, where: str, options: dict[str, Any]) -> None:
    for kind in (Mapping, Sequence):
        both = isinstance(actual, kind), isinstance(expected, kind)
        if isinstance(actual, str) or isinstance(expected, str) or not any(both):
            continue
        if not all(both):
            raise TypeError(
                f"assert_close: cannot compare {type(actual).__name__} with "
                f"{type(expected).__name__}{where}"
            )
        if len(actual) != len(expected):
            raise _Mismatch(f"lengths differ{where}: {len(actual)} and {len(expected)}")
        keys = actual if kind is Mapping else range(len(actual))
        if kind is Mapping and set(actual) != set(expected):
            raise _Mismatch(f"keys differ{where}: {list(actual)} and {list(expected)}")
        for key in keys:
            _walk(actual[key], expected[key], f"{where or ' at '}[{key!r}]", options)
        return
    tensors = isinstance(actual, Tensor), isinstance(expected, Tensor)
    if actual is None or expected is None:
        if actual is not expected:
            raise _Mismatch(f"only one is None{where}: {actual!r:.60} and {expected!r:.60}")
        return
    if any(tensors) and not all(tensors):
        raise TypeError(
            f"assert_close: cannot compare {type(actual).__name__} with "
            f"{type(expected).__name__}{where}"
        )
    if all(tensors) and not options["allow_subclasses"] and type(actual) is not type(expected):
        raise TypeError(
            f"assert_close: types differ{where}: {type(actual).__name__} and "
            f"{type(expected).__name__}"
        )
    _compare(_as_tensor(actual, where), _as_tensor(expected, where), where, options)


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise AssertionError unless ``|actual - expected| <= atol + rtol * |expected|`` everywhere.

    Parameters
    ----------
    actual, expected
        Tensors, numbers, arrays, or sequences and mappings of them.
    allow_subclasses : bool
        Whether tensors of different classes may be compared.
    rtol, atol : float, optional
        Both or none; the defaults go by dtype, and are 0 for integers.
    equal_nan : bool
        Whether NaN equals NaN.
    check_device, check_dtype, check_layout, check_stride : bool
        What must be equal besides shapes and values.
    msg : str or callable, optional
        The error's message, or what makes it of the default one.
    """
    __tracebackhide__ = True
    _assert_close(
        actual, expected, msg, _TOLERANCES, rtol=rtol, atol=atol, equal_nan=equal_nan,
        check_device=check_device, check_dtype=check_dtype, check_stride=check_stride,
        allow_subclasses=allow_subclasses,
    )  # fmt: skip


def _assert_close(
    actual: Any,
    expected: Any,
    msg: str | Callable[[str], str] | None,
    table: dict,
    **options: Any,
) -> None:
    __tracebackhide__ = True
    try:
        _walk(actual, expected, "", options | {"table": table})
    except _Mismatch as e:
        text = f"assert_close: {e}"
    else:
        return
    if msg is not None:
        text = msg(text) if callable(msg) else msg
    raise AssertionError(text)


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """Raise AssertionError unless values are close; the older form of `assert_close`.

    Parameters
    ----------
    actual, expected
        Tensors, or what makes some.
    rtol, atol : float, optional
        Both or none; the defaults go by dtype.
    equal_nan : bool
        Whether NaN equals NaN.
    msg : str
        The error's message.
    """
    __tracebackhide__ = True
    actual = _as_tensor(actual, "")
    if not isinstance(expected, Tensor):
        expected = _C.tensor(expected, dtype=actual.dtype, device=actual.device)
    _assert_close(
        actual, expected, msg or None, _OLD_TOLERANCES, rtol=rtol, atol=atol, equal_nan=equal_nan,
        check_device=True, check_dtype=False, check_stride=False, allow_subclasses=True,
    )  # fmt: skip
