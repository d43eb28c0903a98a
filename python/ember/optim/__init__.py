"""Optimizers and learning-rate schedules."""

import importlib

from . import lr_scheduler
from .adam import Adam, AdamW
from .optimizer import Optimizer
from .sgd import SGD

# Loaded on first use: names with the module each is in.
_NAMES = {
    "ASGD": "rules",
    "Adadelta": "rules",
    "Adafactor": "adafactor",
    "Adagrad": "rules",
    "Adamax": "rules",
    "LBFGS": "lbfgs",
    "Muon": "muon",
    "NAdam": "rules",
    "RAdam": "rules",
    "RMSprop": "rules",
    "Rprop": "rprop",
    "SparseAdam": "sparse_adam",
}

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler", "swa_utils", *_NAMES]


def __getattr__(name: str):
    if name == "swa_utils":
        return importlib.import_module(f"{__name__}.{name}")
    if name in _NAMES:
        value = getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
