"""Modules whose values are loaded later."""

from __future__ import annotations

import inspect
from typing import Any

from ... import _C
from ..modules.module import Module


def skip_init(module_cls: type, *args: Any, **kwargs: Any) -> Module:
    """Make a module whose values are to be loaded: the random stream stays where it was.

    Parameters
    ----------
    module_cls : type
        A module with an argument ``device``.
    *args, **kwargs
        Its arguments.
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    state = _C.get_rng_state()
    try:
        return module_cls(*args, **kwargs)
    finally:
        _C.set_rng_state(state)
