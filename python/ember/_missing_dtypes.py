"""Names of dtypes that Ember does not have: no tensor's dtype equals one."""

from __future__ import annotations

# As of `_dtypes.finfo`, which programs ask before they ask for tensors.
_LIMITS = {
    "float8_e4m3fn": (8, 0.125, 448.0, 2.0**-6, 1.0),
    "float8_e4m3fnuz": (8, 0.125, 240.0, 2.0**-7, 1.0),
    "float8_e5m2": (8, 0.25, 57344.0, 2.0**-14, 1.0),
    "float8_e5m2fnuz": (8, 0.125, 57344.0, 2.0**-15, 1.0),
}


class _MissingDtype:
    """Stands for a dtype that no tensor has; asking for a tensor of it raises TypeError."""

    __ember_missing__ = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.limits = _LIMITS.get(name)

    def __repr__(self) -> str:
        return f"ember.{self.name}"

    def __reduce__(self) -> str:
        return self.name


def __getattr__(name: str) -> _MissingDtype:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, _MissingDtype(name))
