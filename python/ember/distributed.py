"""Asked truthfully, as programs do before they use it: there is no distributed training."""

from __future__ import annotations

from ._missing import missing_names

__path__: list[str] = []  # a package in PyTorch, whose submodules are missing too


def _no() -> bool:
    """Return False."""
    return False


is_available = is_initialized = is_torchelastic_launched = _no
is_gloo_available = is_mpi_available = is_nccl_available = is_ucc_available = _no

__getattr__ = missing_names("torch.distributed")
