"""What a module runs around ``forward`` and ``backward``, and how hooks are registered."""

from __future__ import annotations

import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

from ... import _C
from ...autograd import Function
from ...utils.hooks import RemovableHandle

Tensor = _C.Tensor


#: The hooks of all modules on calls, as a module holds its own. While there are any, this stands
#: for the hooks of a module that has none.
ALL_MODULES: defaultdict[str, OrderedDict] = defaultdict(OrderedDict)
#: What ``_is_full_backward_hook`` is for a module.
all_full_backward: bool | None = None
#: Hooks on what all modules register: a parameter, a buffer or a module.
registration: defaultdict[str, OrderedDict] = defaultdict(OrderedDict)


def registered(kind: str, module: Any, name: str, value: Any) -> Any:
    """Return what the hooks on registrations make of `value`."""
    if registration and value is not None:
        for hook in list(registration[kind].values()):
            changed = hook(module, name, value)
            if changed is not None:
                value = changed
    return value


class HookDict:
    """Descriptor of one dictionary of hooks, made when it is first touched.

    A module without hooks carries none of these dictionaries, and ``Module.__call__`` needs to
    look at one attribute only: while `store` is None no hook can exist.
    """

    def __init__(self, store: str) -> None:
        self.store = store

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, module, owner: type | None = None):
        if module is None:
            return self
        hooks = self._dicts(module)
        if self.name not in hooks:
            hooks[self.name] = OrderedDict()
        return hooks[self.name]

    def __set__(self, module, value: dict) -> None:
        self._dicts(module)[self.name] = value

    def _dicts(self, module) -> dict[str, dict]:
        dicts = getattr(module, self.store)
        if dicts is None or dicts is ALL_MODULES:
            dicts = {}
            object.__setattr__(module, self.store, dicts)
        return dicts


def register(
    hooks: dict,
    hook: Callable,
    prepend: bool = False,
    flags: tuple[tuple[dict, bool], ...] = (),
    handle_type: type[RemovableHandle] = RemovableHandle,
) -> RemovableHandle:
    """Add `hook`, and its id to each dictionary of `flags` whose value is true."""
    handle = handle_type(hooks, extra_dict=[flagged for flagged, _ in flags])
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    for flagged, value in flags:
        if value:
            flagged[handle.id] = True
    return handle


class CallHooks:
    """The part of `Module` that runs and registers hooks on calls and gradients."""

    _hooks: dict[str, dict] | None = None
    _is_full_backward_hook: bool | None = None
    _forward_hooks = HookDict("_hooks")
    _forward_hooks_with_kwargs = HookDict("_hooks")
    _forward_hooks_always_called = HookDict("_hooks")
    _forward_pre_hooks = HookDict("_hooks")
    _forward_pre_hooks_with_kwargs = HookDict("_hooks")
    _backward_hooks = HookDict("_hooks")
    _backward_pre_hooks = HookDict("_hooks")

    def register_forward_pre_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Run ``hook(module, args)`` before ``forward``.

        Parameters
        ----------
        hook : callable
            Returns None or new arguments: a tuple, or one value. With `with_kwargs` it is called
            as ``hook(module, args, kwargs)`` and returns None or ``(args, kwargs)``.
        prepend : bool
            Run before the hooks that are registered already.
        with_kwargs : bool
            Give the hook the keyword arguments too.
        """
        return register(
            self._forward_pre_hooks,
            hook,
            prepend,
            ((self._forward_pre_hooks_with_kwargs, with_kwargs),),
        )

    def register_forward_hook(
        self,
        hook: Callable,
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Run ``hook(module, args, output)`` after ``forward``.

        Parameters
        ----------
        hook : callable
            Returns None or a new output. With `with_kwargs` it is called as
            ``hook(module, args, kwargs, output)``.
        prepend : bool
            Run before the hooks that are registered already.
        with_kwargs : bool
            Give the hook the keyword arguments too.
        always_call : bool
            Run the hook also when the call raises.
        """
        return register(
            self._forward_hooks,
            hook,
            prepend,
            (
                (self._forward_hooks_with_kwargs, with_kwargs),
                (self._forward_hooks_always_called, always_call),
            ),
        )

    def register_full_backward_pre_hook(
        self, hook: Callable, prepend: bool = False
    ) -> RemovableHandle:
        """Run ``hook(module, grad_output)`` before the module's gradients are computed.

        The hook returns None or a new tuple of gradients of the outputs.
        """
        return register(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Run ``hook(module, grad_input, grad_output)`` when the inputs' gradients are known.

        The hook returns None or a new tuple of gradients of the positional inputs; for inputs
        that are no tensors the gradient is None.
        """
        self._choose_backward_kind(full=True)
        return register(self._backward_hooks, hook, prepend)

    def register_backward_hook(self, hook: Callable) -> RemovableHandle:
        """Run ``hook(module, grad_input, grad_output)`` on the last operation of the module.

        Superseded by `register_full_backward_hook`, which sees the whole module.
        """
        self._choose_backward_kind(full=False)
        return register(self._backward_hooks, hook)

    def _choose_backward_kind(self, full: bool) -> None:
        if self._is_full_backward_hook is (not full):
            raise RuntimeError(
                f"{type(self).__name__}: a module takes either full backward hooks or the older "
                "kind, not both"
            )
        self._is_full_backward_hook = full

    def _own_hooks(self, kind: str) -> dict[int, Any]:
        # A hook of all modules that takes itself away leaves None.
        if self._hooks is None or self._hooks is ALL_MODULES:
            return {}
        return self._hooks.get(kind, {})

    def _hooks_on(self, kind: str) -> dict[int, Any]:
        """Return the hooks of all modules and this one's own behind them; ids are unique."""
        return {**ALL_MODULES.get(kind, {}), **self._own_hooks(kind)}

    def _backward_hooks_on(self) -> tuple[list[Callable], list[Callable]]:
        """Return the full backward hooks and those of the older kind."""
        full: list[Callable] = []
        older: list[Callable] = []
        for hooks, is_full in (
            (ALL_MODULES.get("_backward_hooks", {}), all_full_backward),
            (self._own_hooks("_backward_hooks"), self._is_full_backward_hook),
        ):
            (older if is_full is False else full).extend(hooks.values())
        return full, older

    def _call_with_hooks(self, args: tuple, kwargs: dict) -> Any:
        ran: set[int] = set()
        # The hooks that always run see what the failed call had reached.
        reached = [args, kwargs, None]
        try:
            return self._run_hooked(reached, ran)
        except Exception:
            always = self._hooks_on("_forward_hooks_always_called")
            for hook_id, hook in self._hooks_on("_forward_hooks").items():
                if hook_id in ran or hook_id not in always:
                    continue
                try:
                    self._run_forward_hook(hook_id, hook, reached)
                except Exception as error:
                    warnings.warn(
                        f"{type(self).__name__}: a forward hook with always_call=True raised "
                        f"while another error was raised: {error}",
                        stacklevel=3,
                    )
            raise

    def _run_forward_hook(self, hook_id: int, hook: Callable, reached: list) -> None:
        args, kwargs, result = reached
        if hook_id in self._hooks_on("_forward_hooks_with_kwargs"):
            changed = hook(self, args, kwargs, result)
        else:
            changed = hook(self, args, result)
        if changed is not None:
            reached[2] = changed

    def _run_hooked(self, reached: list, ran: set[int]) -> Any:
        args, kwargs, _ = reached
        with_kwargs = self._hooks_on("_forward_pre_hooks_with_kwargs")
        for hook_id, hook in self._hooks_on("_forward_pre_hooks").items():
            if hook_id in with_kwargs:
                changed = hook(self, args, kwargs)
                if changed is not None:
                    if not (isinstance(changed, tuple) and len(changed) == 2):
                        raise RuntimeError(
                            "forward pre-hook with kwargs must return None or (args, kwargs), "
                            f"got {changed!r}"
                        )
                    args, kwargs = changed
            else:
                changed = hook(self, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
            reached[:2] = args, kwargs

        full, older = self._backward_hooks_on()
        before = list(self._hooks_on("_backward_pre_hooks").values())
        tap = None
        if before or full:
            tap = BackwardTap(self, full, before)
            reached[0] = args = tap.watch_inputs(args)

        reached[2] = self.forward(*args, **kwargs)
        for hook_id, hook in self._hooks_on("_forward_hooks").items():
            ran.add(hook_id)
            self._run_forward_hook(hook_id, hook, reached)

        if tap is not None:
            reached[2] = tap.watch_outputs(reached[2])
        if older:
            node = _first_tensor(reached[2]).grad_fn
            if node is not None:
                for hook in older:
                    node.register_hook(_bind_module(hook, self))
        return reached[2]


def _bind_module(hook: Callable, module) -> Callable:
    return lambda grad_input, grad_output: hook(module, grad_input, grad_output)


def _first_tensor(value: Any) -> Tensor:
    while not isinstance(value, Tensor):
        if isinstance(value, dict):
            value = next(v for v in value.values() if isinstance(v, Tensor))
        else:
            value = value[0]
    return value


class _Tap(Function):
    """The identity; its backward hands the gradients to a callback."""

    @staticmethod
    def forward(ctx, callback: Callable, *tensors: Tensor):
        ctx.callback = callback
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*[t for t in tensors if not t.requires_grad])
        return tensors

    @staticmethod
    def backward(ctx, *grads: Tensor | None):
        return None, *ctx.callback(grads)


class BackwardTap:
    """Shows one call's gradients to the module's backward hooks.

    The inputs and the outputs each pass through an identity in the graph. Backward meets the
    outputs' first, which keeps their gradients and runs the pre-hooks, then the inputs', which
    has all that the hooks need.
    """

    def __init__(self, module, hooks: list[Callable], pre_hooks: list[Callable]) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.inputs_watched = False
        self.n_inputs = 0
        self.grad_output: tuple | None = None

    def watch_inputs(self, args: tuple) -> tuple:
        self.n_inputs = len(args)
        watched = _tap(args, self._on_grad_input)
        self.inputs_watched = watched is not None
        return args if watched is None else watched

    def watch_outputs(self, result: Any) -> Any:
        if not isinstance(result, (Tensor, tuple)):
            warnings.warn(
                "backward hooks run only where the module's output is a Tensor or a tuple of "
                f"Tensors, got {type(result).__name__}",
                stacklevel=6,
            )
            return result
        outputs = result if isinstance(result, tuple) else (result,)
        watched = _tap(outputs, self._on_grad_output)
        if watched is None:
            return result
        return watched if isinstance(result, tuple) else watched[0]

    def _on_grad_output(self, grads: tuple) -> tuple:
        for hook in self.pre_hooks:
            grads = _replaced("pre-hook", "grad_output", grads, hook(self.module, grads))
        if self.inputs_watched:
            self.grad_output = grads
            return grads
        # No input needs a gradient, so nothing else will call the hooks.
        grad_input = (None,) * self.n_inputs
        for hook in self.hooks:
            changed = hook(self.module, grad_input, grads)
            if changed is not None and any(g is not None for g in changed):
                raise RuntimeError(
                    f"{type(self.module).__name__}: no input requires a gradient, so a backward "
                    "hook must return None or a tuple of None"
                )
        return grads

    def _on_grad_input(self, grads: tuple) -> tuple:
        # A gradient can reach the inputs without passing the outputs, as in a double backward.
        if self.grad_output is None:
            return grads
        for hook in self.hooks:
            changed = hook(self.module, grads, self.grad_output)
            grads = _replaced("hook", "grad_input", grads, changed)
        self.grad_output = None
        return grads


def _replaced(kind: str, what: str, grads: tuple, changed: Any) -> tuple:
    if changed is None:
        return grads
    if isinstance(changed, Tensor):
        changed = (changed,)
    if len(changed) != len(grads):
        raise RuntimeError(f"backward {kind} must return {len(grads)} {what}, got {len(changed)}")
    return tuple(changed)


def _tap(values: tuple, callback: Callable[[tuple], tuple]) -> tuple | None:
    """Pass the tensors among `values` through one `_Tap`, or return None if none needs it.

    `callback` sees and returns one gradient for each value, None where it is no tensor.
    """
    where = [i for i, value in enumerate(values) if isinstance(value, Tensor)]
    if not (_C.is_grad_enabled() and any(values[i].requires_grad for i in where)):
        return None

    def on_grads(grads: tuple) -> list:
        padded: list = [None] * len(values)
        for i, grad in zip(where, grads, strict=True):
            padded[i] = grad
        changed = callback(tuple(padded))
        return [changed[i] for i in where]

    tapped = list(values)
    for i, tensor in zip(where, _Tap.apply(on_grads, *(values[i] for i in where)), strict=True):
        tapped[i] = tensor
    if hasattr(values, "_fields"):
        return type(values)(*tapped)
    return tuple(tapped)
