"""Neural networks: modules, functions, parameters and their initialisation."""

from . import attention, functional, init, modules, utils
from .modules import *
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
]
