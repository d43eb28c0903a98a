"""How much of the tables of operations, modules and optimizers ran, for pytest's summary.

Workers of pytest-xdist count apart; `conftest.py` brings their totals together.
"""

from __future__ import annotations

from collections import Counter, defaultdict

cases: Counter[str] = Counter()
rows: defaultdict[str, set[str]] = defaultdict(set)


def add(kind: str, row: str, count: int) -> None:
    if count:
        cases[kind] += count
        rows[kind].add(row)


def totals() -> dict[str, tuple[list[str], int]]:
    """Rows and samples of each kind, as what a worker can send."""
    return {kind: (sorted(rows[kind]), cases[kind]) for kind in cases}


def merge(others: dict[str, tuple[list[str], int]]) -> None:
    """Add the totals of a worker."""
    for kind, (names, count) in others.items():
        cases[kind] += count
        rows[kind].update(names)
