"""Asked truthfully, as programs do before they use it: there is no distributed training."""

from __future__ import annotations

from ._missing import missing_names, no

__path__: list[str] = []  # a package in PyTorch, whose submodules are missing too


is_torchelastic_launched = is_gloo_available = no
is_mpi_available = is_nccl_available = is_ucc_available = no

__getattr__ = missing_names("torch.distributed")
