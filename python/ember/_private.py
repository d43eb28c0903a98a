"""What libraries use of ``torch._C`` beyond `ember._C`; `ember.as_torch` puts it there."""

from __future__ import annotations

import enum

from ._missing import missing_names

__all__ = ["DispatchKey", "DispatchKeySet", "_ExcludeDispatchKeyGuard", "_log_api_usage_once"]

# Libraries make sets of these as they load, for registrations; nothing reads them.
DispatchKey = enum.Enum(
    "DispatchKey",
    "AutocastCPU AutocastCUDA AutocastXPU AutogradCPU AutogradCUDA AutogradMeta Autograd CPU CUDA "
    "CompositeExplicitAutograd CompositeImplicitAutograd Meta",
)


class DispatchKeySet(frozenset):
    """Some of the keys."""

    def __new__(cls, *keys: DispatchKey) -> DispatchKeySet:
        return super().__new__(cls, keys)

    def has(self, key: DispatchKey) -> bool:
        return key in self


_ExcludeDispatchKeyGuard = missing_names("torch._C")("_ExcludeDispatchKeyGuard")


def _log_api_usage_once(event: str) -> None:
    """Tell nobody that a part of a library is used."""
