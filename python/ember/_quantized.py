"""Names of quantised dtypes, which Ember does not have: no tensor's dtype equals one."""

from __future__ import annotations


class _MissingDtype:
    """Stands for a dtype that no tensor has; asking for a tensor of it raises TypeError."""

    __ember_missing__ = True

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"ember.{self.name}"

    def __reduce__(self) -> str:
        return self.name


qint8, qint32, quint8, quint2x4, quint4x2 = map(
    _MissingDtype, ("qint8", "qint32", "quint8", "quint2x4", "quint4x2")
)
