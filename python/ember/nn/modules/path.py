"""Which module an error or a recorded operation belongs to."""

from __future__ import annotations

import sys
from itertools import pairwise
from types import CodeType, TracebackType
from typing import TYPE_CHECKING

from ... import _C

if TYPE_CHECKING:
    from .module import Module

# What operations raise. Other errors are a program's own or say something by their type alone.
_ERRORS = {
    RuntimeError,
    ValueError,
    TypeError,
    IndexError,
    NotImplementedError,
    OverflowError,
    BufferError,
    AssertionError,
    _C.OutOfMemoryError,
}
_PACKAGE = __name__.partition(".")[0]

_call_code: CodeType | None = None


def watch_calls(code: CodeType) -> None:
    """Take `code` for that of ``Module.__call__``, by whose frames paths are found."""
    global _call_code
    _call_code = code
    _C._set_module_path(module_path)


def module_path() -> str:
    """Return the dotted path of the module that runs, from the one that was called first.

    Empty where that is the first one, or no module runs. Nothing is kept for it while modules
    run: the calls stand on Python's stack.
    """
    modules: list[Module] = []
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code is _call_code:
            modules.append(frame.f_locals["self"])
        frame = frame.f_back
    modules.reverse()
    return ".".join(
        _name_within(parent, child) for parent, child in pairwise(modules) if child is not parent
    )


def _name_within(parent: Module, child: Module) -> str:
    for name, module in parent.named_modules():
        if module is child:
            return name
    return type(child).__name__  # called, but registered nowhere


def name_module(error: Exception) -> None:
    """Put the running module's path before the message of an error that an operation raised.

    ``encoder.layers.3.linear1: linear: expected ...``. The type stays, and so do errors that the
    program raised itself, of types that operations do not raise (KeyError, say), and of a module
    that was called by nobody else.
    """
    if type(error) not in _ERRORS or not _is_of_operation(error):
        return
    error._of_operation = False  # whatever module it passes next
    path = module_path()
    if path and len(error.args) == 1 and isinstance(error.args[0], str):
        error.args = (f"{path}: {error.args[0]}",)


def _is_of_operation(error: Exception) -> bool:
    marked = getattr(error, "_of_operation", None)
    if marked is not None:
        return marked
    # Parts of Ember are Python: there the last frame is Ember's.
    last: TracebackType | None = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    module = last.tb_frame.f_globals.get("__name__", "") if last is not None else ""
    return module.partition(".")[0] == _PACKAGE
