"""The base class of all optimizers."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any
from weakref import WeakSet, ref

import ember
from ember import _C

__all__ = [
    "Optimizer",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
    "required",
]


class _Required:
    """Marks a default that every parameter group has to give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()


class _HookedStep:
    """Stands in for an optimizer's `step` while hooks are registered.

    A step without hooks pays nothing for them; the stand-in removes itself with the last hook.
    It holds the optimizer weakly, so that the two make no cycle.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = ref(optimizer)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not _C._profiler_recording():
            return self._run(args, kwargs)
        from ..autograd.profiler import record_function

        with record_function(f"Optimizer.step#{type(self._optimizer()).__name__}.step"):
            return self._run(args, kwargs)

    def _run(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        optimizer = self._optimizer()
        before = optimizer._optimizer_step_pre_hooks
        after = optimizer._optimizer_step_post_hooks
        args = (optimizer, *args)
        for hook in (*_global_pre_hooks.values(), *before.values()):
            result = hook(optimizer, args, kwargs)
            if result is not None:
                if not (isinstance(result, tuple) and len(result) == 2):
                    raise RuntimeError(
                        "optimizer: a step pre-hook must return None or (args, kwargs), "
                        f"got {result!r}"
                    )
                args, kwargs = result
        out = type(optimizer).step(*args, **kwargs)
        for hook in (*after.values(), *_global_post_hooks.values()):
            hook(optimizer, args, kwargs)
        if not before and not after and not _all_steps_watched():
            optimizer.__dict__.pop("step", None)
        return out


# Hooks on the steps of all optimizers.
_global_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_post_hooks: OrderedDict[int, Callable] = OrderedDict()
_optimizers: WeakSet[Optimizer] = WeakSet()


def _all_steps_watched() -> bool:
    return bool(_global_pre_hooks or _global_post_hooks or _C._profiler_recording())


def watch_steps() -> None:
    """Have the steps of all optimizers there are go through their hooks, and the profiler."""
    for optimizer in _optimizers:
        optimizer.__dict__.setdefault("step", _HookedStep(optimizer))


def register_optimizer_step_pre_hook(hook: Callable) -> Any:
    """Call ``hook(optimizer, args, kwargs)`` before every step of every optimizer.

    The hook may return new ``(args, kwargs)``. It runs before the optimizer's own. Returns a handle
    with ``remove()``.
    """
    return _register_global(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable) -> Any:
    """Call ``hook(optimizer, args, kwargs)`` after every step of every optimizer."""
    return _register_global(_global_post_hooks, hook)


def _register_global(hooks: OrderedDict, hook: Callable) -> Any:
    handle = _add_hook(hooks, hook)
    watch_steps()
    return handle


def _add_hook(hooks: OrderedDict, hook: Callable, prepend: bool = False) -> Any:
    from ..utils.hooks import RemovableHandle

    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


_HOOK_TABLES = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)


class Optimizer:
    """Holds parameters in groups, each with its own options, and a state for each parameter.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor) or of dict
        What to optimize. A dict is a group: its ``params`` and whatever options differ from
        the defaults.
    defaults : dict
        The options of a group that does not give its own.

    Raises
    ------
    ValueError
        No parameters, a parameter twice, or one that is not a leaf.
    TypeError
        Something that is not a tensor.
    """

    def __init__(self, params: Iterable, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: defaultdict[Any, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        for table in _HOOK_TABLES:
            setattr(self, table, OrderedDict())

        if isinstance(params, ember.Tensor):
            raise TypeError(
                f"{type(self).__name__}: params must be an iterable of tensors or dicts, "
                "got a single tensor"
            )
        groups = list(params)
        if not groups:
            raise ValueError(f"{type(self).__name__}: optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)
        self._join()

    def _join(self) -> None:
        """Be among the optimizers that global hooks and the profiler find."""
        _optimizers.add(self)
        if _all_steps_watched():
            self.__dict__.setdefault("step", _HookedStep(self))

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for table in _HOOK_TABLES:
            self.__dict__.setdefault(table, OrderedDict())
        self._join()

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            for key in sorted(group):
                if key != "params":
                    text += f"    {key}: {group[key]}\n"
        return text + ")"

    # Hooks

    def _register(self, table: str, hook: Callable, prepend: bool = False) -> Any:
        return _add_hook(getattr(self, table), hook, prepend)

    def register_step_pre_hook(self, hook: Callable) -> Any:
        """Call ``hook(optimizer, args, kwargs)`` before every step.

        The hook may return new ``(args, kwargs)``. Returns a handle with ``remove()``.
        """
        self.__dict__.setdefault("step", _HookedStep(self))
        return self._register("_optimizer_step_pre_hooks", hook)

    def register_step_post_hook(self, hook: Callable) -> Any:
        """Call ``hook(optimizer, args, kwargs)`` after every step."""
        self.__dict__.setdefault("step", _HookedStep(self))
        return self._register("_optimizer_step_post_hooks", hook)

    def register_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> Any:
        """Call ``hook(optimizer)`` before `state_dict`."""
        return self._register("_optimizer_state_dict_pre_hooks", hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> Any:
        """Call ``hook(optimizer, state_dict)`` after `state_dict`; it may return another dict."""
        return self._register("_optimizer_state_dict_post_hooks", hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> Any:
        """Call ``hook(optimizer, state_dict)`` before loading; it may return another dict."""
        return self._register("_optimizer_load_state_dict_pre_hooks", hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> Any:
        """Call ``hook(optimizer)`` after `load_state_dict`."""
        return self._register("_optimizer_load_state_dict_post_hooks", hook, prepend)

    # State

    def state_dict(self) -> dict[str, Any]:
        """Return the state and the groups, parameters replaced by their running number.

        The layout is PyTorch's, so that either library loads what the other gave. The tensors
        are the optimizer's own, not copies.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)

        number: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            packed = {key: value for key, value in group.items() if key != "params"}
            for p in group["params"]:
                number.setdefault(id(p), len(number))
            packed["params"] = [number[id(p)] for p in group["params"]]
            groups.append(packed)
        state = {
            number[id(key)] if isinstance(key, ember.Tensor) else key: value
            for key, value in self.state.items()
        }
        result = {"state": state, "param_groups": groups}

        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, result)
            if changed is not None:
                result = changed
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state and the options of another optimizer of the same structure.

        Parameters
        ----------
        state_dict : dict
            What `state_dict` returned, here or in PyTorch. Its tensors are copied to each
            parameter's dtype and device.

        Raises
        ------
        ValueError
            The number of groups or of parameters in a group differs.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            if changed is not None:
                state_dict = changed

        groups = self.param_groups
        saved_groups = deepcopy(state_dict["param_groups"])
        if len(groups) != len(saved_groups):
            raise ValueError(
                "load_state_dict: loaded state dict has a different number of parameter groups: "
                f"expected {len(groups)}, got {len(saved_groups)}"
            )
        for i, (group, saved) in enumerate(zip(groups, saved_groups, strict=True)):
            if len(group["params"]) != len(saved["params"]):
                raise ValueError(
                    "load_state_dict: loaded state dict contains a parameter group that doesn't "
                    f"match the size of optimizer's group: group {i} has "
                    f"{len(group['params'])} parameters, got {len(saved['params'])}"
                )

        owner = {
            number: p
            for group, saved in zip(groups, saved_groups, strict=True)
            for number, p in zip(saved["params"], group["params"], strict=True)
        }
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in owner:
                state[owner[key]] = _to_parameter(owner[key], value)
            else:
                state[key] = value
        for group, saved in zip(groups, saved_groups, strict=True):
            saved["params"] = group["params"]
            if "param_names" in group:
                saved.setdefault("param_names", group["param_names"])
        self.__setstate__({"state": state, "param_groups": saved_groups})

        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    # Work

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or with ``set_to_none=False`` fill them with zeros."""
        for group in self.param_groups:
            if set_to_none:
                for p in group["params"]:
                    p.grad = None
            else:
                for p in group["params"]:
                    grad = p.grad
                    if grad is not None:
                        if grad.grad_fn is not None:
                            grad.detach_()
                        else:
                            grad.requires_grad_(False)
                        grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters from their gradients.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and its gradients anew; its result is returned.
        """
        raise NotImplementedError(f"{type(self).__name__}.step")

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters with options of its own, say layers that were frozen.

        Parameters
        ----------
        param_group : dict
            ``params`` and any options; the defaults complete it in place.
        """
        name = type(self).__name__
        if not isinstance(param_group, dict):
            raise TypeError(f"{name}: param_group must be a dict, got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, ember.Tensor):
            params = [params]
        elif isinstance(params, set):
            raise TypeError(
                f"{name}: parameters must come in an ordered collection, got a set, whose order "
                "changes between runs"
            )
        params = list(params)
        names = [p[0] for p in params if isinstance(p, tuple)]
        if names and len(names) != len(params):
            raise ValueError(f"{name}: either all parameters of a group have names or none")
        params = [p[1] if isinstance(p, tuple) else p for p in params]

        for p in params:
            if not isinstance(p, ember.Tensor):
                raise TypeError(
                    f"{name}: optimizer can only optimize Tensors, but one of the params is "
                    f"{type(p)}"
                )
            if not (p.is_leaf or p.retains_grad):
                raise ValueError(f"{name}: can't optimize a non-leaf Tensor")
        if len({id(p) for p in params}) != len(params):
            import warnings

            warnings.warn(f"{name}: a parameter group contains duplicate parameters", stacklevel=3)
        taken = {id(p) for group in self.param_groups for p in group["params"]}
        if any(id(p) in taken for p in params):
            raise ValueError(f"{name}: some parameters appear in more than one parameter group")
        if self.param_groups and bool(names) != ("param_names" in self.param_groups[0]):
            raise ValueError(f"{name}: either all parameter groups have names or none")
        for option, default in self.defaults.items():
            if default is required and option not in param_group:
                raise ValueError(f"{name}: parameter group didn't specify a value of {option}")
            param_group.setdefault(option, default)

        param_group["params"] = params
        if names:
            param_group["param_names"] = names
        self.param_groups.append(param_group)


def _to_parameter(param: Any, value: Any, key: Any = None) -> Any:
    """Copy one entry of a saved state; tensors take the parameter's dtype and device."""
    if isinstance(value, ember.Tensor):
        # The number of steps is exact in float32 whatever the parameter is, and stays on the CPU.
        if key == "step":
            return value.detach().to(device="cpu", dtype=ember.float32).clone()
        if param.is_floating_point():
            return value.detach().to(device=param.device, dtype=param.dtype).clone()
        return value.detach().to(device=param.device).clone()
    if isinstance(value, dict):
        return {k: _to_parameter(param, v, k) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return type(value)(_to_parameter(param, v) for v in value)
    return value


def check_options(
    name: str, *, differentiable: bool, foreach: Any = None, fused: Any = None
) -> None:
    """Refuse what no optimizer here can do; `foreach` and `fused` change nothing.

    Every step is one fused call already.
    """
    if differentiable:
        raise NotImplementedError(f"{name}: differentiable=True is not supported")
    if foreach and fused:
        raise RuntimeError(f"{name}: `fused` and `foreach` cannot be `True` together.")


def check_non_negative(name: str, **options: Any) -> None:
    """Raise ValueError for an option below zero or NaN."""
    for option, value in options.items():
        if isinstance(value, ember.Tensor) and value.numel() != 1:
            raise ValueError(f"{name}: Tensor {option} must be 1-element")
        if not value >= 0.0:
            raise ValueError(f"{name}: {option} must not be negative, got {value}")


def check_betas(name: str, betas: Any) -> tuple[float, float]:
    """Return the decays of two averages as a pair; ValueError for one outside [0, 1)."""
    betas = tuple(float(beta) for beta in betas)
    if len(betas) != 2:
        raise ValueError(f"{name}: betas must be a pair, got {betas}")
    for i, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"{name}: betas[{i}] must be in [0, 1), got {beta}")
    return betas
