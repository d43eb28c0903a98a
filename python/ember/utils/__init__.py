"""Data loading, checkpointing and exchange with other libraries; each loads on first use."""

from importlib import import_module
from typing import Any

_SUBMODULES = (
    "_pytree",
    "checkpoint",
    "data",
    "dlpack",
    "hooks",
    "model_zoo",
    "safetensors",
    "tensorboard",
)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
