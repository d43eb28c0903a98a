"""The older names of mixed precision on CPUs."""

from __future__ import annotations

from typing import Any

from .. import _C, amp

__all__ = ["GradScaler", "autocast"]


class autocast(amp.autocast):
    """``ember.amp.autocast("cpu", ...)``."""

    def __init__(
        self, enabled: bool = True, dtype: Any = _C.bfloat16, cache_enabled: bool = True
    ) -> None:
        super().__init__("cpu", dtype, enabled, cache_enabled)


class GradScaler(amp.GradScaler):
    """``ember.amp.GradScaler("cpu", ...)``."""

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        super().__init__("cpu", init_scale, growth_factor, backoff_factor, growth_interval, enabled)
