"""Scaling of losses, so that gradients in float16 do not underflow.

Micikevicius et al., "Mixed precision training", 2018; the scale's rule is PyTorch's.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any

from .. import _C
from ..autograd.grad_mode import no_grad

__all__ = ["GradScaler"]

_READY, _UNSCALED, _STEPPED = range(3)
_LARGEST_FLOAT32 = 3.4028234663852886e38


class GradScaler:
    """Multiplies losses by a scale that grows as long as gradients stay finite.

    Parameters
    ----------
    device : str, optional
        ``"cuda"`` or ``"cpu"``. Without a usable GPU a scaler for CUDA warns and does nothing.
    init_scale : float, optional
        The first scale.
    growth_factor, backoff_factor : float, optional
        What the scale is multiplied by after `growth_interval` finite steps on end, and after a
        step whose gradients were not finite and which was left out.
    growth_interval : int, optional
        How many steps.
    enabled : bool, optional
        False makes a scaler that does nothing.

    Examples
    --------
    >>> scaler.scale(loss).backward()
    >>> scaler.step(optimizer)
    >>> scaler.update()
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        self._enabled = enabled
        if enabled and device == "cuda" and not _C._cuda_is_available():
            warnings.warn("GradScaler: CUDA is not available; the scaler is off", stacklevel=2)
            self._enabled = False
        if self._enabled:
            if growth_factor <= 1.0:
                raise AssertionError("GradScaler: the growth factor must be > 1.0")
            if backoff_factor >= 1.0:
                raise AssertionError("GradScaler: the backoff factor must be < 1.0")
        self._scale = init_scale
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._growth_tracker = 0
        # By optimizer: how far its step is, and whether its gradients are finite.
        self._stages: dict[int, int] = {}
        self._finite: dict[int, bool] = {}

    def scale(self, outputs: Any) -> Any:
        """Multiply a tensor, or tensors in nested lists and tuples, by the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, _C.Tensor):
            return outputs * self._scale
        if isinstance(outputs, Iterable) and not isinstance(outputs, (str, bytes)):
            scaled = [self.scale(output) for output in outputs]
            return type(outputs)(scaled) if isinstance(outputs, (list, tuple)) else scaled
        raise ValueError(
            f"scale: expected a tensor or an iterable of tensors, got {type(outputs).__name__}"
        )

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer's parameters by the scale, for clipping say."""
        if not self._enabled:
            return
        stage = self._stages.get(id(optimizer), _READY)
        if stage == _UNSCALED:
            raise RuntimeError(
                "unscale_: has already been called on this optimizer since the last update()"
            )
        if stage == _STEPPED:
            raise RuntimeError("unscale_: is being called after step()")
        grads = [
            p.grad
            for group in optimizer.param_groups
            for p in group["params"]
            if p.grad is not None
        ]
        if any(g.dtype == _C.float16 for g in grads):
            raise ValueError("unscale_: attempting to unscale FP16 gradients")
        if not grads:
            raise AssertionError("unscale_: no gradients were found for this optimizer")
        with no_grad():
            self._finite[id(optimizer)] = math.isfinite(_C._list_norm(grads, math.inf).item())
            _C._list_scale_(grads, 1.0 / self._scale)
        self._stages[id(optimizer)] = _UNSCALED

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """Call ``optimizer.step(*args, **kwargs)`` if the gradients are finite.

        Unscales them first unless :meth:`unscale_` did. Returns what the optimizer's step does, or
        None where it was left out.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("step: a closure is not supported where the scaler is on")
        stage = self._stages.get(id(optimizer), _READY)
        if stage == _STEPPED:
            raise RuntimeError("step: has already been called since the last update()")
        if stage == _READY:
            self.unscale_(optimizer)
        result = optimizer.step(*args, **kwargs) if self._finite[id(optimizer)] else None
        self._stages[id(optimizer)] = _STEPPED
        return result

    def update(self, new_scale: Any = None) -> None:
        """Adapt the scale to how the steps since the last update went, or set it."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._finite:
            raise AssertionError("update: no inf checks were recorded prior to update")
        elif not all(self._finite.values()):
            self._scale *= self._backoff_factor
            self._growth_tracker = 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                grown = self._scale * self._growth_factor
                if grown <= _LARGEST_FLOAT32:
                    self._scale = grown
                self._growth_tracker = 0
        self._stages.clear()
        self._finite.clear()

    def get_scale(self) -> float:
        """Return the scale; 1 where the scaler is off."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """Return the growth factor."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set the growth factor."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """Return the backoff factor."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set the backoff factor."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """Return the growth interval."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set the growth interval."""
        self._growth_interval = new_interval

    def is_enabled(self) -> bool:
        """Whether the scaler does anything."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """Return the state, as PyTorch's scaler does; empty where the scaler is off."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take a state of :meth:`state_dict`; RuntimeError for an empty one."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "load_state_dict: the state is empty, as of a scaler that was saved while off"
            )
        self._scale = state_dict["scale"]
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._growth_tracker = state_dict["_growth_tracker"]
