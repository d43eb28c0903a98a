"""The handle by which a registered hook is removed again."""

from __future__ import annotations

import weakref
from collections import OrderedDict

__all__ = ["RemovableHandle"]


class RemovableHandle:
    """Remove a hook again: by ``remove()`` or as a context manager.

    Parameters
    ----------
    hooks_dict : dict
        The hooks by id; held weakly.
    extra_dict : dict or list of dict, optional
        Further dictionaries that lose the same id.
    """

    next_id = 0

    def __init__(self, hooks_dict: dict, *, extra_dict: dict | list[dict] | None = None) -> None:
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        extra = [] if extra_dict is None else extra_dict
        dicts = [hooks_dict, *(extra if isinstance(extra, list) else [extra])]
        self._dict_refs = [weakref.ref(d) for d in dicts]

    def remove(self) -> None:
        """Drop the hook; harmless when it is gone already."""
        for ref in self._dict_refs:
            hooks = ref()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __getstate__(self):
        return self.id, [ref() for ref in self._dict_refs]

    def __setstate__(self, state) -> None:
        self.id, dicts = state
        # A dictionary that died before pickling becomes a dead reference again.
        self._dict_refs = [weakref.ref(OrderedDict() if d is None else d) for d in dicts]
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()
