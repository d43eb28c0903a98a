"""Neural networks: modules, functions, parameters and their initialisation."""

from . import attention, functional, init, modules, utils
from .modules import *
from .modules import _LATER
from .modules import __all__ as _module_names
from .parameter import Buffer, Parameter

__all__ = [
    "Buffer",
    "Parameter",
    "attention",
    "functional",
    "init",
    "modules",
    "utils",
    *_module_names,
    *_LATER,
]


def __getattr__(name: str):
    if name in _LATER:
        value = globals()[name] = getattr(modules, name)
        return value
    if name in ("common_types", "grad", "parallel"):
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, "common_types", "grad", "parallel"})
