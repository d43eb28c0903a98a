"""Parameters that are functions of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from typing import Any

from ... import _C
from ...autograd import no_grad
from ..modules.container import ModuleDict, ModuleList
from ..modules.module import Module
from ..parameter import Parameter

Tensor = _C.Tensor

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

_cache_depth = 0
_cache: dict[tuple[int, str], Tensor] = {}


@contextmanager
def cached() -> Iterator[None]:
    """Within it, a parametrized tensor is computed when it is first read and then kept."""
    global _cache_depth
    _cache_depth += 1
    try:
        yield
    finally:
        _cache_depth -= 1
        if _cache_depth == 0:
            _cache.clear()


def _register(module: Module, name: str, tensor: Tensor) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _check_alike(what: str, before: Tensor, after: Any) -> None:
    if not isinstance(after, Tensor):
        raise ValueError(f"{what} must be a tensor, got {type(after).__name__}")
    if after.dtype != before.dtype:
        raise ValueError(f"{what} must keep the dtype {before.dtype}, got {after.dtype}")
    if after.shape != before.shape:
        raise ValueError(
            f"{what} must keep the shape {tuple(before.shape)}, got {tuple(after.shape)}"
        )


class ParametrizationList(ModuleList):
    """The functions that make one tensor of a module, and what they start from.

    Parameters
    ----------
    modules : sequence of Module
        Applied in order; the first may take several tensors.
    original : Tensor
        The tensor before; ``right_inverse`` of the functions gives what they start from.
    unsafe : bool
        Whether the functions may change dtype and shape.

    Attributes
    ----------
    original, or original0, original1, ... : Parameter or Tensor
        What the first function takes.
    """

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if len(modules) == 0:
            raise ValueError("ParametrizationList: expected one module or more")
        super().__init__(modules)
        self.unsafe = unsafe
        before = original.detach().clone()
        new: Any = original
        with no_grad():
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    with suppress(NotImplementedError):
                        new = module.right_inverse(new)
        if not isinstance(new, (Tensor, Sequence)):
            raise ValueError(
                "right_inverse must return a tensor or a sequence of tensors, got "
                f"{type(new).__name__}"
            )
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        if self.is_tensor:
            if new.dtype != original.dtype:
                raise ValueError(
                    f"right_inverse must keep the dtype {original.dtype}, got {new.dtype}"
                )
            if new is not original:
                original.data = new.detach()
            _register(self, "original", original)
        else:
            for i, part in enumerate(new):
                if not isinstance(part, Tensor):
                    raise ValueError(
                        f"right_inverse must return tensors, got {type(part).__name__} at {i}"
                    )
                if isinstance(original, Parameter):
                    part = Parameter(part, original.requires_grad)
                part.requires_grad_(original.requires_grad)
                _register(self, f"original{i}", part)
        if not unsafe:
            _check_alike("a parametrization's result", before, self())

    def right_inverse(self, value: Tensor) -> None:
        """Make the functions start from what gives `value`."""
        with no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse"
                    )
                value = module.right_inverse(value)
            if self.is_tensor:
                parts, names = (value,), ("original",)
            else:
                if not isinstance(value, Sequence) or len(value) != self.ntensors:
                    raise ValueError(
                        f"right_inverse must return a sequence of {self.ntensors} tensors"
                    )
                parts, names = value, [f"original{i}" for i in range(self.ntensors)]
            for name, part in zip(names, parts, strict=True):
                old = getattr(self, name)
                if not isinstance(part, Tensor) or part.dtype != old.dtype:
                    raise ValueError(
                        f"right_inverse must return a tensor of dtype {old.dtype} for {name}, got "
                        f"{part.dtype if isinstance(part, Tensor) else type(part).__name__}"
                    )
                old.data = part.detach()

    def forward(self) -> Tensor:
        first, *others = self
        if self.is_tensor:
            x = first(self.original)
        else:
            x = first(*(getattr(self, f"original{i}") for i in range(self.ntensors)))
        for function in others:
            x = function(x)
        return x


def _getstate(self: Module) -> Any:
    raise RuntimeError("a parametrized module cannot be pickled; save its state_dict() instead")


def _deepcopy(self: Module, memo: dict) -> Module:
    if id(self) in memo:
        return memo[id(self)]
    copied = self.__new__(type(self))
    memo[id(self)] = copied
    copied.__setstate__(deepcopy(Module.__getstate__(self), memo))
    return copied


def _own_class(module: Module) -> None:
    """Give the module a class of its own, for the properties that stand for its tensors."""
    cls = type(module)
    members: dict[str, Any] = {"__getstate__": _getstate}
    if not hasattr(cls, "__deepcopy__"):
        members["__deepcopy__"] = _deepcopy
    module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), members)


def _add_property(module: Module, name: str) -> None:
    def read(self: Module) -> Tensor:
        make = self.parametrizations[name]
        if not _cache_depth:
            return make()
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = make()
        return _cache[key]

    def write(self: Module, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    setattr(type(module), name, property(read, write))


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Make a parameter or buffer a function of what it was.

    Parameters
    ----------
    module : Module
        Changed in place: ``module.<tensor_name>`` is computed whenever it is read, and what it is
        computed from is ``module.parametrizations.<tensor_name>.original``.
    tensor_name : str
        Of the parameter or buffer; it may be parametrized already.
    parametrization : Module
        The function. Its method ``right_inverse``, if it has one, gives what to start from, and
        makes assignments to the parameter possible.
    unsafe : bool
        Whether it may change dtype and shape; ValueError where it does without.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            before = getattr(module, tensor_name)
            after = parametrization(before)
            _check_alike("a parametrization's result", before, after)
            if hasattr(parametrization, "right_inverse"):
                with suppress(NotImplementedError):
                    back = parametrization.right_inverse(after)
                    _check_alike("right_inverse's result", before, back)
        module.parametrizations[tensor_name].append(parametrization)
        module.parametrizations[tensor_name].unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        functions = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _own_class(module)
            module.parametrizations = ModuleDict()
        _add_property(module, tensor_name)
        module.parametrizations[tensor_name] = functions
    else:
        raise ValueError(
            f"{module} has no parameter, buffer or parametrized tensor {tensor_name!r}"
        )
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Say whether this tensor of the module, or any without a name, is parametrized."""
    functions = getattr(module, "parametrizations", None)
    if not isinstance(functions, ModuleDict):
        return False
    return len(functions) > 0 if tensor_name is None else tensor_name in functions


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Make a parametrized tensor a plain one again.

    Parameters
    ----------
    module : Module
        Changed in place.
    tensor_name : str
        Of the tensor; ValueError where it is not parametrized.
    leave_parametrized : bool
        Whether it keeps its present value; else it gets what that was computed from. ValueError if
        those are several.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"{module} has no parametrization on {tensor_name}")
    functions = module.parametrizations[tensor_name]
    if functions.is_tensor:
        original = functions.original
        if leave_parametrized:
            with no_grad():
                value = getattr(module, tensor_name)
            original.data = value.detach()
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        original = Parameter(value.detach()) if value.requires_grad else value
    else:
        raise ValueError(
            f"{tensor_name} is computed from {functions.ntensors} tensors: it can only keep its"
            " value"
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """Give the module's class from before it was parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Put the parametrizations of one module, and what they start from, on another.

    Parameters
    ----------
    from_module, to_module : Module
        The latter is changed in place; tensors that it lacks are made.
    tensor_name : str, optional
        Of the only tensor to transfer.
    """
    if not is_parametrized(from_module):
        return to_module
    names = list(from_module.parametrizations) if tensor_name is None else [tensor_name]
    for name in names:
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach().clone()))
        source = from_module.parametrizations[name]
        for function in source:
            register_parametrization(to_module, name, function)
        target = to_module.parametrizations[name]
        starts = (
            ["original"] if source.is_tensor else [f"original{i}" for i in range(source.ntensors)]
        )
        for start in starts:
            setattr(target, start, getattr(source, start))
    return to_module
