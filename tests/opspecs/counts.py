"""How much of the table ran, for pytest's summary."""

from __future__ import annotations

from collections import Counter, defaultdict

cases: Counter[str] = Counter()
rows: defaultdict[str, set[str]] = defaultdict(set)


def add(kind: str, row: str, count: int) -> None:
    cases[kind] += count
    rows[kind].add(row)
