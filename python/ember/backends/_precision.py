"""How products of float32 matrices may be rounded, by device."""

from __future__ import annotations

from .. import _C


class Float32Precision:
    """One device's part of what `set_float32_matmul_precision` sets.

    Parameters
    ----------
    device : str
        ``"cpu"`` or ``"cuda"``.
    """

    def __init__(self, device: str) -> None:
        self._device = device

    @property
    def fp32_precision(self) -> str:
        """``"ieee"``, ``"tf32"``, on the CPU ``"bf16"``; ``"none"``, the default, is ``"ieee"``.

        RuntimeError for any other.
        """
        return _C._get_matmul_precision(self._device)

    @fp32_precision.setter
    def fp32_precision(self, precision: str) -> None:
        _C._set_matmul_precision(self._device, precision)
