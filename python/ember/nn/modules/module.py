"""The base class of all neural-network modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from ... import _C
from ...autograd import no_grad
from ..parameter import Buffer, Parameter
from .global_hooks import (  # noqa: F401
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from .hooks import CallHooks, registered
from .path import name_module, watch_calls
from .registry import (
    REGISTRIES,
    GetattrBase,
    Registry,
    delete_instance_attribute,
    needs_getattr,
)
from .state import StateDict
from .utils import parse_to, typename

Tensor = _C.Tensor

_NO_INPUT = object()
_REPLACED_AS_A_WHOLE = frozenset((*REGISTRIES, "__dict__"))


class Module(CallHooks, StateDict):
    """Base class of models and layers.

    A subclass calls ``super().__init__()``, assigns its parameters, buffers and submodules to
    attributes, which registers them, and defines ``forward``.

    Attributes
    ----------
    training : bool
        Whether the module is in training mode, set by `train` and `eval`.

    Examples
    --------
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = nn.Linear(4, 32)
    ...         self.out = nn.Linear(32, 2)
    ...
    ...     def forward(self, x):
    ...         return self.out(F.relu(self.hidden(x)))
    """

    training: bool
    # None until __init__ ran.
    _parameters: dict[str, Parameter | None] = None
    _buffers: dict[str, Tensor | None] = None
    _modules: dict[str, Module | None] = None
    _non_persistent_buffers_set: set[str]
    #: Whether ``Module.__init__`` hands its arguments on to the next class (mixins).
    call_super_init: bool = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if (args or kwargs) and not self.call_super_init:
            raise TypeError(
                f"{type(self).__name__}: Module.__init__ takes no arguments, "
                f"got {len(args)} positional and {sorted(kwargs)}"
            )
        put = object.__setattr__
        put(self, "training", True)
        for name in REGISTRIES:
            self._set_registry(name, {})
        put(self, "_non_persistent_buffers_set", set())
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if needs_getattr(cls):
            cls.__bases__ += (GetattrBase,)

    def forward(self, *input: Any) -> Any:
        """Compute the output; every subclass that is called defines it."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def __call__(self, input: Any = _NO_INPUT, /, *args: Any, **kwargs: Any) -> Any:
        try:
            # One input is by far the most frequent call, and a plain call is the fastest.
            if self._hooks is None and input is not _NO_INPUT:
                if args or kwargs:
                    return self.forward(input, *args, **kwargs)
                return self.forward(input)
            if input is not _NO_INPUT:
                args = (input, *args)
            if self._hooks is None:
                return self.forward(*args, **kwargs)
            return self._call_with_hooks(args, kwargs)
        except Exception as error:
            name_module(error)
            raise

    # Registration

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter that is also the attribute `name`; None reserves the name."""
        self._check_name("parameter", name, "_parameters")
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{typename(param)}' object to parameter '{name}' "
                    "(nn.Parameter or None required)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"cannot assign a non-leaf tensor to parameter '{name}': a parameter is a "
                    "leaf; compute values that depend on other tensors in forward()"
                )
        self._parameters[name] = registered("parameter", self, name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is no parameter but moves, converts and is saved with the module.

        Parameters
        ----------
        name : str
            The attribute under which the buffer is found.
        tensor : Tensor or None
            None reserves the name.
        persistent : bool
            Whether the buffer is part of ``state_dict``.
        """
        self._check_name("buffer", name, "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{typename(tensor)}' object to buffer '{name}' "
                "(Tensor or None required)"
            )
        self._buffers[name] = registered("buffer", self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule that is also the attribute `name`; None reserves the name."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{typename(module)} is not a Module subclass")
        self._check_name("module", name, "_modules")
        self._modules[name] = registered("module", self, name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """Alias of `add_module`."""
        self.add_module(name, module)

    def _check_name(self, kind: str, name: str, registry: str) -> None:
        entries = getattr(self, registry)
        if entries is None:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name must be a string, got {typename(name)}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain ".", got "{name}"')
        if name == "":
            raise KeyError(f'{kind} name can\'t be the empty string ""')
        if name not in entries and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")

    def __setattr__(self, name: str, value: Any) -> None:
        modules = self._modules
        if (
            modules is None
            or isinstance(value, (Tensor, Module))
            or name in modules
            or name in self._parameters
            or name in self._buffers
            or name in _REPLACED_AS_A_WHOLE
        ):
            self._assign(name, value)
        else:
            object.__setattr__(self, name, value)

    def _assign(self, name: str, value: Any) -> None:
        if name in REGISTRIES:
            self._set_registry(name, value)
        elif name == "__dict__":
            object.__setattr__(self, name, value)
            self._own_registries()
        elif isinstance(value, Parameter):
            self._make_room("parameters", name, "_parameters")
            self.register_parameter(name, value)
        elif name in (self._parameters or ()):
            self._check_none(value, f"parameter '{name}' (nn.Parameter or None required)")
            self.register_parameter(name, None)
        elif isinstance(value, Module):
            self._make_room("module", name, "_modules")
            self._modules[name] = registered("module", self, name, value)
        elif name in (self._modules or ()):
            self._check_none(value, f"child module '{name}' (nn.Module or None required)")
            self._modules[name] = None
        elif isinstance(value, Buffer):
            self._make_room("buffer", name, "_buffers")
            self.register_buffer(name, value, value.persistent)
        elif name in (self._buffers or ()):
            persistent = name not in self._non_persistent_buffers_set
            self.register_buffer(name, value, persistent)
        else:
            object.__setattr__(self, name, value)

    def _make_room(self, kind: str, name: str, registry: str) -> None:
        entries = getattr(self, registry)
        if entries is None:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if name not in entries:
            for other in REGISTRIES:
                getattr(self, other).pop(name, None)
            self._non_persistent_buffers_set.discard(name)
            delete_instance_attribute(self, name)

    def _check_none(self, value: Any, what: str) -> None:
        if value is not None:
            raise TypeError(f"cannot assign '{typename(value)}' as {what}")

    def __delattr__(self, name: str) -> None:
        for registry in REGISTRIES:
            entries = getattr(self, registry)
            if name in entries:
                del entries[name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def _set_registry(self, name: str, entries: dict) -> None:
        """Take over a whole registry, attributes included."""
        previous = getattr(self, name) or ()
        registry = Registry(self)
        object.__setattr__(self, name, registry)
        for key in previous:
            if key not in entries:
                delete_instance_attribute(self, key)
        registry.update(entries)

    def _own_registries(self) -> None:
        """Replace registries that came with another module's ``__dict__``."""
        for name in REGISTRIES:
            entries = getattr(self, name)
            if entries is not None and not (
                isinstance(entries, Registry) and entries.owner() is self
            ):
                self._set_registry(name, dict(entries))

    def __getstate__(self) -> dict[str, Any]:
        mirrored = set().union(*(getattr(self, name) or () for name in REGISTRIES))
        return {name: value for name, value in self.__dict__.items() if name not in mirrored}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Not through __dict__, which would make later attribute reads slower in CPython 3.11.
        for name, value in state.items():
            object.__setattr__(self, name, value)
        self._own_registries()

    # Access by qualified name

    def get_submodule(self, target: str) -> Module:
        """Return the submodule of the dotted name `target`; the empty name is the module."""
        module = self
        for atom in target.split(".") if target else ():
            module = module._get_member(atom)
            if not isinstance(module, Module):
                raise AttributeError(f"`{atom}` in '{target}' is not an nn.Module")
        return module

    def _get_member(self, name: str) -> Any:
        if not hasattr(self, name):
            raise AttributeError(f"{self._get_name()} has no attribute `{name}`")
        return getattr(self, name)

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Replace the submodule of the dotted name `target`.

        Parameters
        ----------
        target : str
            Name of the submodule; its parent exists.
        module : Module
            The new submodule.
        strict : bool
            Raise where `target` does not exist yet.
        """
        if not target:
            raise ValueError("set_submodule: target must not be empty")
        if not isinstance(module, Module):
            raise ValueError(f"set_submodule: module must be an nn.Module, got {typename(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        taken = strict or hasattr(parent, name)
        if taken and not isinstance(parent._get_member(name), Module):
            raise AttributeError(f"`{name}` in '{target}' is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter of the dotted name `target`."""
        path, _, name = target.rpartition(".")
        param = self.get_submodule(path)._get_member(name)
        if not isinstance(param, Parameter):
            raise AttributeError(f"`{name}` in '{target}' is not an nn.Parameter")
        return param

    def get_buffer(self, target: str) -> Tensor:
        """Return the buffer of the dotted name `target`."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        buffer = module._get_member(name)
        if name not in module._buffers:
            raise AttributeError(f"`{name}` in '{target}' is not a buffer")
        return buffer

    # Traversal

    def _named_members(
        self,
        members_of: Callable,
        prefix: str = "",
        recurse: bool = True,
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = (
            self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        )
        for path, module in modules:
            start = f"{path}." if path else ""
            for name, member in members_of(module):
                if member is None or id(member) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(member))
                yield start + name, member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield each parameter with its qualified name.

        Parameters
        ----------
        prefix : str
            Put before every name.
        recurse : bool
            Include the submodules' parameters.
        remove_duplicate : bool
            Yield a shared parameter once, under its first name.
        """
        return self._named_members(
            lambda module: module._parameters.items(), prefix, recurse, remove_duplicate
        )

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield each parameter once; see `named_parameters`."""
        for _, param in self.named_parameters(recurse=recurse):
            yield param

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield each buffer with its qualified name; see `named_parameters`."""
        return self._named_members(
            lambda module: module._buffers.items(), prefix, recurse, remove_duplicate
        )

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield each buffer once; see `named_parameters`."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield each direct submodule once, with its name."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """Yield each direct submodule once."""
        for _, module in self.named_children():
            yield module

    def named_modules(
        self, memo: set | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Yield the module itself and all below it, with qualified names.

        Parameters
        ----------
        memo : set, optional
            Modules to leave out; grows by those that are yielded.
        prefix : str
            Name of the module itself.
        remove_duplicate : bool
            Yield a shared module once, under its first name.
        """
        if memo is None:
            memo = set()
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, path, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """Yield the module itself and all below it; see `named_modules`."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call `fn` on every submodule, children first, and on the module; return the module."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # Modes and gradients

    def train(self, mode: bool = True) -> Module:
        """Set training mode (dropout drops, batch norm uses its batch) here and below."""
        if not isinstance(mode, bool):
            raise ValueError(f"train: mode must be a bool, got {typename(mode)}")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Module:
        """Set evaluation mode here and below: ``train(False)``."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Set whether the parameters, here and below, need gradients."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the parameters' gradients, or fill them with zeros."""
        for param in self.parameters():
            grad = param.grad
            if grad is None:
                continue
            if set_to_none:
                param.grad = None
                continue
            if grad.grad_fn is None:
                grad.requires_grad_(False)
            else:
                grad.detach_()
            grad.zero_()

    # Conversion

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Module:
        """Put ``fn(tensor)`` in place of each parameter, gradient and buffer.

        Parameters stay the same objects, so that optimizers keep them.
        """
        if recurse:
            for module in self.children():
                module._apply(fn)
        for param in self._parameters.values():
            if param is None:
                continue
            grad = param.grad
            with no_grad():
                applied = fn(param)
                grad_applied = None if grad is None else fn(grad)
            if applied is not param:
                param.data = applied
            if grad_applied is not None and grad_applied is not grad:
                grad.data = grad_applied
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Module:
        """Move and convert the parameters and buffers, in place.

        Called as ``to(device, dtype, non_blocking)``, ``to(dtype, non_blocking)`` or
        ``to(tensor, non_blocking)``, by position or by keyword, with the keyword
        ``memory_format`` for tensors of 4 or 5 dimensions. Only floating-point tensors change
        dtype.
        """
        device, dtype, non_blocking, memory_format = parse_to(*args, **kwargs)

        def convert(tensor: Tensor) -> Tensor:
            options: dict[str, Any] = {"non_blocking": non_blocking}
            if memory_format is not None and tensor.dim() in (4, 5):
                options["memory_format"] = memory_format
            if dtype is not None and (tensor.is_floating_point() or tensor.is_complex()):
                options["dtype"] = dtype
            if device is not None:
                options["device"] = device
            return tensor.to(**options) if len(options) > 1 else tensor

        return self._apply(convert)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Module:
        """Move to `device` without the values."""
        return self._apply(lambda t: _C.empty_like(t, device=device), recurse)

    def type(self, dst_type: Any) -> Module:
        """Convert all parameters and buffers to `dst_type`."""
        return self._apply(lambda t: t.type(dst_type))

    def _cast(self, dtype: Any) -> Module:
        return self._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)

    def float(self) -> Module:
        """Convert the floating-point parameters and buffers to float32."""
        return self._cast(_C.float32)

    def double(self) -> Module:
        """Convert the floating-point parameters and buffers to float64."""
        return self._cast(_C.float64)

    def half(self) -> Module:
        """Convert the floating-point parameters and buffers to float16."""
        return self._cast(_C.float16)

    def bfloat16(self) -> Module:
        """Convert the floating-point parameters and buffers to bfloat16."""
        return self._cast(_C.bfloat16)

    def cpu(self) -> Module:
        """Move the parameters and buffers to the CPU."""
        return self._apply(lambda t: t.cpu())

    def cuda(self, device: Any = None) -> Module:
        """Move the parameters and buffers to a CUDA device, by default the current one."""
        return self._apply(lambda t: t.cuda(device))

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: there is no compiler, and modules run as they are; see `ember.compile`."""

    # Description

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """Return the part of the repr that describes the module itself; override to use it."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        if len(lines) < 2 and not self._modules:
            return f"{self._get_name()}({extra})"
        lines += [f"({name}): {_indent(repr(child))}" for name, child in self._modules.items()]
        return "\n  ".join([f"{self._get_name()}(", *lines]) + "\n)"

    def __dir__(self) -> list[str]:
        names = chain(
            dir(type(self)), self.__dict__, self._parameters, self._modules, self._buffers
        )
        return sorted({name for name in names if not name[0].isdigit()})


watch_calls(Module.__call__.__code__)


def _indent(text: str) -> str:
    return text.replace("\n", "\n  ")
