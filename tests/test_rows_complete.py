"""Every public function of tensors and every method has a row; what a row cannot hold, another test
calls by its name. What neither does is listed here with the reason."""

from __future__ import annotations

import importlib
import re
import types
from pathlib import Path
from typing import Any

import ember
import pytest
from opspecs import SPECS

NAMESPACES = ("", "nn.functional", "linalg", "fft", "special", "sparse", "autograd.functional")

REASONS = {
    "set_flush_denormal": "changes the processor's mode, which rows share",
    "trim_memory": "gives memory back, of which the operating system knows",
}


def in_rows() -> set[str]:
    """Names that rows call: their functions, methods and in-place forms."""
    names = set()
    for spec in SPECS:
        for name in (spec.name, spec.fn, spec.method, spec.inplace):
            if isinstance(name, str):
                names |= {name.rpartition(".")[2], name.rpartition(".")[2].rstrip("_")}
    return names


def in_tests() -> set[str]:
    """Words that stand behind a point or in quotes in test modules, and in tables of rows."""
    here = Path(__file__)
    texts = [p.read_text() for p in here.parent.glob("test_*.py") if p != here]
    texts += [p.read_text() for p in (here.parent / "opspecs").glob("*.py")]
    found: set[str] = set()
    for text in texts:
        found.update(re.findall(r"\.(\w+)", text))
        for quoted in re.findall(r'"([^"\n]*)"', text):
            found.update(re.findall(r"\w+", quoted))
    return found


def functions(space: Any) -> dict[str, Any]:
    names = getattr(space, "__all__", None) or dir(space)
    found = {name: getattr(space, name) for name in names if not name.startswith("_")}
    return {
        name: value
        for name, value in found.items()
        if callable(value) and not isinstance(value, (type, types.ModuleType))
    }


def spaces() -> dict[str, Any]:
    modules = {n: importlib.import_module(f"ember.{n}".rstrip(".")) for n in NAMESPACES}
    return {**modules, "Tensor": ember.Tensor}


@pytest.mark.parametrize("name", spaces())
def test_every_function_has_a_row_or_a_test(name: str) -> None:
    space, tested = functions(spaces()[name]), in_rows() | in_tests()
    everywhere = [item for other in spaces().values() for item in functions(other).items()]
    same = {id(value) for known, value in everywhere if known in tested}
    missing = [
        known
        for known, value in space.items()
        if not {known, known.rstrip("_")} & tested and id(value) not in same
    ]
    assert sorted(missing) == sorted(n for n in missing if n in REASONS)


def test_reasons_are_needed() -> None:
    public = {name for space in spaces().values() for name in functions(space)}
    assert [n for n in REASONS if n not in public or n in in_rows() | in_tests()] == []
