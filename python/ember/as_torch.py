"""Run programs, and import libraries, that were written for PyTorch, unchanged.

``ember.as_torch()`` makes ``import torch`` mean Ember in this process, and
``python -m ember.as_torch script.py ...`` runs a program so. ``torch.nn`` is then the same module
object as ``ember.nn``. A submodule of PyTorch that Ember lacks can still be imported, so that a
program which only mentions it runs; each of its names is a class that raises NotImplementedError
when it is used.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import runpy
import sys
import types
from collections.abc import Sequence
from email.message import Message
from pathlib import Path

import ember
from ember import _private
from ember._missing import missing_names

__all__ = ["as_torch"]

# The version whose names and semantics Ember has; programs compare with `torch.__version__`.
PYTORCH = "2.13.0"

# Submodules that are there once PyTorch is imported, and that Ember lacks.
_LOADED = (
    "_decomp _functorch _guards _higher_order_ops _jit_internal _prims _refs _subclasses ao export "
    "futures fx.graph fx.node fx.proxy masked monitor mps mtia nested package "
    "quantization xpu"
).split()


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds ``torch`` and everything below it in Ember, and the distribution ``torch``."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "torch" and not fullname.startswith("torch."):
            return None
        name = "ember" + fullname.removeprefix("torch")
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # something that the module itself imports
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return importlib.machinery.ModuleSpec(fullname, self, loader_state=module)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        if spec.loader_state is None:
            return types.ModuleType(spec.name, f"Stands for {spec.name}, which Ember lacks.")
        spec.own_spec = spec.loader_state.__spec__
        return spec.loader_state

    def exec_module(self, module: types.ModuleType) -> None:
        if module.__spec__.loader_state is None:
            module.__getattr__ = missing_names(module.__name__)
        else:
            module.__spec__ = module.__spec__.own_spec  # the import put its own there

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context
    ) -> list[importlib.metadata.Distribution]:
        return [_Torch()] if context.name in (None, "torch") else []


class _Torch(importlib.metadata.Distribution):
    """What libraries read that ask the installation which PyTorch is there."""

    metadata = Message()
    metadata["Name"] = "torch"
    metadata["Version"] = PYTORCH

    def read_text(self, filename: str) -> None:
        return None

    def locate_file(self, path: str) -> Path:
        return Path(ember.__file__).parent / path


def as_torch() -> None:
    """Make ``import torch``, here and in every module imported from now on, mean Ember.

    ``torch.__version__`` becomes PyTorch's whose names Ember has, with Ember's own as its local
    part. Calling it again changes nothing.

    Raises
    ------
    RuntimeError
        PyTorch itself has been imported already.
    """
    if sys.modules.get("torch", ember) is not ember:
        raise RuntimeError("as_torch: PyTorch itself is imported already")
    if "torch" in sys.modules:
        return
    sys.meta_path.insert(0, _Finder())
    sys.path.insert(1, str(Path(__file__).parent / "_shadow"))
    importlib.import_module("torch")
    for name in _LOADED:
        importlib.import_module(f"torch.{name}")
    for name in _private.__all__:
        setattr(ember._C, name, getattr(_private, name))
    ember.torch = ember
    ember.__version__ = f"{PYTORCH}+ember{ember.__version__}"


def _main(arguments: list[str]) -> None:
    usage = "usage: python -m ember.as_torch [-c text | -m module | script.py] [argument ...]"
    if arguments[:1] in (["-h"], ["--help"]):
        print(usage)
        return
    option = arguments.pop(0) if arguments[:1] in (["-c"], ["-m"]) else None
    if not arguments:
        sys.exit(usage)
    ember.as_torch()
    sys.argv = arguments
    if option == "-c":
        text, sys.argv[0] = arguments[0], "-c"
        exec(compile(text, "<string>", "exec"), {"__name__": "__main__"})
    elif option == "-m":
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(arguments[0]).resolve().parent)
        runpy.run_path(arguments[0], run_name="__main__")


class _CallableModule(types.ModuleType):
    """``ember.as_torch`` is this module and the function in it alike."""

    def __call__(self) -> None:
        as_torch()


if __name__ == "__main__":
    _main(sys.argv[1:])
else:
    sys.modules[__name__].__class__ = _CallableModule
