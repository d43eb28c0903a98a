"""Hooks of all modules at once."""

from __future__ import annotations

from collections.abc import Callable

from ...utils.hooks import RemovableHandle
from . import hooks
from .hooks import ALL_MODULES, CallHooks, register

__all__ = [
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]


class _CallHandle(RemovableHandle):
    """Sends calls back on the way without hooks when the last hook of all modules goes."""

    def remove(self) -> None:
        super().remove()
        if not any(ALL_MODULES.values()):
            CallHooks._hooks = None


def _register_on_calls(kind: str, hook: Callable, **flags: bool) -> RemovableHandle:
    handle = register(
        ALL_MODULES[kind],
        hook,
        flags=tuple((ALL_MODULES[f"{kind}_{flag}"], value) for flag, value in flags.items()),
        handle_type=_CallHandle,
    )
    CallHooks._hooks = ALL_MODULES
    return handle


def register_module_forward_pre_hook(hook: Callable) -> RemovableHandle:
    """Run ``hook(module, args)`` before the ``forward`` of every module, before its own hooks.

    The hook returns None or new arguments. Returns a handle with ``remove()``.
    """
    return _register_on_calls("_forward_pre_hooks", hook)


def register_module_forward_hook(
    hook: Callable, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Run ``hook(module, args, output)`` after the ``forward`` of every module.

    Parameters
    ----------
    hook : callable
        Returns None or a new output. With `with_kwargs` it is called as
        ``hook(module, args, kwargs, output)``. It runs before the module's own hooks.
    with_kwargs : bool
        Give the hook the keyword arguments too.
    always_call : bool
        Run the hook also when the call raises.
    """
    return _register_on_calls(
        "_forward_hooks", hook, with_kwargs=with_kwargs, always_called=always_call
    )


def register_module_full_backward_pre_hook(hook: Callable) -> RemovableHandle:
    """Run ``hook(module, grad_output)`` before the gradients of every module are computed."""
    return _register_on_calls("_backward_pre_hooks", hook)


def register_module_full_backward_hook(hook: Callable) -> RemovableHandle:
    """Run ``hook(module, grad_input, grad_output)`` when a module's gradients are known."""
    return _register_backward(hook, full=True)


def register_module_backward_hook(hook: Callable) -> RemovableHandle:
    """Run ``hook(module, grad_input, grad_output)`` on the last operation of every module.

    Superseded by `register_module_full_backward_hook`.
    """
    return _register_backward(hook, full=False)


def _register_backward(hook: Callable, full: bool) -> RemovableHandle:
    if hooks.all_full_backward is (not full) and ALL_MODULES["_backward_hooks"]:
        raise RuntimeError(
            "all modules take either full backward hooks or the older kind, not both"
        )
    hooks.all_full_backward = full
    return _register_on_calls("_backward_hooks", hook)


def register_module_parameter_registration_hook(hook: Callable) -> RemovableHandle:
    """Run ``hook(module, name, param)`` when a module gets a parameter.

    The hook returns None or a parameter to take instead.
    """
    return register(hooks.registration["parameter"], hook)


def register_module_buffer_registration_hook(hook: Callable) -> RemovableHandle:
    """Run ``hook(module, name, buffer)`` when a module gets a buffer.

    The hook returns None or a tensor to take instead.
    """
    return register(hooks.registration["buffer"], hook)


def register_module_module_registration_hook(hook: Callable) -> RemovableHandle:
    """Run ``hook(module, name, submodule)`` when a module gets a submodule.

    The hook returns None or a module to take instead.
    """
    return register(hooks.registration["module"], hook)
