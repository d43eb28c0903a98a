"""The processor."""

from __future__ import annotations

from .. import _C


def get_cpu_capability() -> str:
    """Return the instruction-set level of the kernels in use, in PyTorch's spelling."""
    level = _C._cpu_level()
    return {"baseline": "DEFAULT", "bf16": "AVX512", "amx": "AVX512"}.get(level, level.upper())
