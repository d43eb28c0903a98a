"""Saving and loading a module's state: ``state_dict`` and ``load_state_dict``."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ... import _C
from ...autograd import no_grad
from ..parameter import Parameter
from .hooks import HookDict, RemovableHandle, register

Tensor = _C.Tensor

_EXTRA_STATE_KEY_SUFFIX = "_extra_state"


class _IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


class StateDict:
    """The part of `Module` that saves and loads parameters, buffers and extra state."""

    _version: int = 1
    _state_hooks: dict[str, dict] | None = None
    _state_dict_hooks = HookDict("_state_hooks")
    _state_dict_pre_hooks = HookDict("_state_hooks")
    _load_state_dict_pre_hooks = HookDict("_state_hooks")
    _load_state_dict_post_hooks = HookDict("_state_hooks")

    def get_extra_state(self) -> Any:
        """Return what else ``state_dict`` shall hold of this module; override to use it."""
        raise RuntimeError(f"{type(self).__name__} has no extra state")

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` returned; override both or neither."""
        raise RuntimeError(f"{type(self).__name__} has no extra state")

    def register_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Run ``hook(module, prefix, keep_vars)`` before the module's state is collected."""
        return register(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Run ``hook(module, state_dict, prefix, local_metadata)`` on the collected state.

        The hook changes the dictionary in place and returns None.
        """
        hook._from_public_api = True
        return register(self._state_dict_hooks, hook)

    def _register_state_dict_hook(self, hook: Callable) -> RemovableHandle:
        """Like `register_state_dict_post_hook`, but what `hook` returns replaces the dictionary."""
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                "this function is registered by register_state_dict_post_hook already"
            )
        return register(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Run `hook` before the module's own state is loaded.

        It is called as ``hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)`` and may change any of them in place.
        """
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable, with_module: bool = False
    ) -> RemovableHandle:
        # A copied module must not call the hook with the original, hence no closure over self.
        return register(self._load_state_dict_pre_hooks, (hook, with_module))

    def register_load_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Run ``hook(module, incompatible_keys)`` after the module's state is loaded.

        The hook may change ``missing_keys`` and ``unexpected_keys`` in place, before ``strict``
        is applied, and returns None.
        """
        return register(self._load_state_dict_post_hooks, hook)

    def state_dict(
        self, *args: Any, destination: dict | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Return the parameters, persistent buffers and extra state by qualified name.

        Parameters
        ----------
        destination : dict, optional
            Filled and returned instead of a new dictionary.
        prefix : str
            Put before every name.
        keep_vars : bool
            Return the parameters themselves instead of detached tensors that share memory.
        """
        if args:
            given = dict(zip(("destination", "prefix", "keep_vars"), args, strict=False))
            destination = given.get("destination", destination)
            prefix = given.get("prefix", prefix)
            keep_vars = given.get("keep_vars", keep_vars)
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        local_metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local_metadata

        for hook in self._state_hooks_of("_state_dict_pre_hooks"):
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, child in self._modules.items():
            if child is not None:
                child.state_dict(
                    destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        for hook in self._state_hooks_of("_state_dict_hooks"):
            replaced = hook(self, destination, prefix, local_metadata)
            if replaced is not None:
                if getattr(hook, "_from_public_api", False):
                    raise RuntimeError("state_dict post-hook must return None")
                destination = replaced
        return destination

    def _state_hooks_of(self, kind: str) -> Iterable:
        """The registered hooks of a kind; reading `kind` itself would make its dictionary."""
        dicts = self._state_hooks
        return dicts[kind].values() if dicts and kind in dicts else ()

    def _local_state(self) -> dict[str, Tensor]:
        state = {k: value for k, value in self._parameters.items() if value is not None}
        if self._buffers:
            transient = self._non_persistent_buffers_set
            for name, value in self._buffers.items():
                if value is not None and name not in transient:
                    state[name] = value
        return state

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        """Put this module's own state, without its children's, into `destination`."""
        for name, value in self._local_state().items():
            destination[prefix + name] = value if keep_vars else value.detach()
        if type(self).get_extra_state is not StateDict.get_extra_state:
            destination[prefix + _EXTRA_STATE_KEY_SUFFIX] = self.get_extra_state()

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Load parameters, persistent buffers and extra state by qualified name.

        Parameters
        ----------
        state_dict : Mapping
            What `state_dict` of an equal module returned.
        strict : bool
            Raise where names are missing or unexpected. Shapes must match in any case.
        assign : bool
            Put the given tensors in place of the module's instead of copying their values; each
            parameter keeps its ``requires_grad``.

        Returns
        -------
        NamedTuple
            Lists ``missing_keys`` and ``unexpected_keys``.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"load_state_dict: state_dict must be a mapping, got {type(state_dict).__name__}"
            )
        incompatible = _IncompatibleKeys([], [])
        error_msgs: list[str] = []
        metadata = getattr(state_dict, "_metadata", None)
        # Modules and hooks may change the dictionary, so each works on a copy.
        state_dict = OrderedDict(state_dict)
        if metadata is not None:
            state_dict._metadata = metadata
        _load(self, state_dict, "", metadata or {}, assign, incompatible, error_msgs)

        problems = []
        if strict:
            for text, keys in (
                ("Missing", incompatible.missing_keys),
                ("Unexpected", incompatible.unexpected_keys),
            ):
                if keys:
                    quoted = ", ".join(f'"{key}"' for key in keys)
                    problems.append(f"{text} key(s) in state_dict: {quoted}.")
        problems += error_msgs
        if problems:
            header = f"Error(s) in loading state_dict for {type(self).__name__}:"
            raise RuntimeError("\n\t".join([header, *problems]))
        return incompatible

    def _load_from_state_dict(
        self,
        state_dict: dict,
        prefix: str,
        local_metadata: dict,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load this module's own state, without its children's, and report into the lists."""
        report = (strict, missing_keys, unexpected_keys, error_msgs)
        for hook, with_module in self._state_hooks_of("_load_state_dict_pre_hooks"):
            hook(*((self,) if with_module else ()), state_dict, prefix, local_metadata, *report)

        local_state = self._local_state()
        assign = local_metadata.get("assign_to_params_buffers", False)
        for name, current in local_state.items():
            key = prefix + name
            if key in state_dict:
                problem = self._load_tensor(name, current, key, state_dict[key], assign)
                if problem is not None:
                    error_msgs.append(problem)
            elif strict:
                missing_keys.append(key)

        extra_key = prefix + _EXTRA_STATE_KEY_SUFFIX
        takes_extra = type(self).set_extra_state is not StateDict.set_extra_state
        if takes_extra and extra_key in state_dict:
            self.set_extra_state(state_dict[extra_key])
        elif takes_extra and strict:
            missing_keys.append(extra_key)

        if strict:
            for key in state_dict:
                if not key.startswith(prefix) or (key == extra_key and takes_extra):
                    continue
                name, dot, _ = key[len(prefix) :].partition(".")
                if name not in (self._modules if dot else local_state):
                    unexpected_keys.append(key)

    def _load_tensor(
        self, name: str, current: Tensor, key: str, value: Any, assign: bool
    ) -> str | None:
        """Load one tensor; return what is wrong with it, if anything."""
        if not isinstance(value, Tensor):
            return f'"{key}" must be a Tensor in the state_dict, got {type(value).__name__}.'
        # Files of PyTorch before 0.4 hold scalars as tensors of one element.
        if current.dim() == 0 and tuple(value.shape) == (1,):
            value = value[0]
        if value.shape != current.shape:
            return (
                f"size mismatch for {key}: the state_dict has shape {tuple(value.shape)}, "
                f"the module has shape {tuple(current.shape)}."
            )
        try:
            with no_grad():
                if not assign:
                    current.copy_(value)
                    return None
                if isinstance(current, Parameter):
                    if isinstance(value, Parameter):
                        value.requires_grad_(current.requires_grad)
                    else:
                        value = Parameter(value, requires_grad=current.requires_grad)
                setattr(self, name, value)
        except Exception as error:
            return (
                f'"{key}" of shape {tuple(current.shape)} could not be loaded: '
                f"{type(error).__name__}: {error}."
            )
        return None


def _load(
    module,
    state_dict: dict,
    prefix: str,
    metadata: dict,
    assign: bool,
    incompatible: _IncompatibleKeys,
    error_msgs: list[str],
) -> None:
    local_metadata = metadata.get(prefix[:-1], {})
    if assign:
        local_metadata = {**local_metadata, "assign_to_params_buffers": True}
    # Strictness is decided at the end, so that the lists are complete.
    module._load_from_state_dict(
        state_dict, prefix, local_metadata, True, *incompatible, error_msgs
    )
    parts: dict[str, dict] = {}
    for key, value in state_dict.items():
        name, dot, _ = key[len(prefix) :].partition(".")
        if dot and key.startswith(prefix):
            parts.setdefault(name, {})[key] = value
    for name, child in module._modules.items():
        if child is not None:
            part = parts.get(name, {})
            _load(child, part, f"{prefix}{name}.", metadata, assign, incompatible, error_msgs)
    for hook in module._state_hooks_of("_load_state_dict_post_hooks"):
        if hook(module, incompatible) is not None:
            raise AssertionError(
                "load_state_dict post-hook must return None and change the keys in place"
            )
