"""Write python/ember/_C.pyi from the signatures that the compiled module carries in its docstrings.

python tools/make_stubs.py          # write
python tools/make_stubs.py --check  # fail if the file is not what would be written
"""

from __future__ import annotations

import inspect
import keyword
import sys
from pathlib import Path

from ember import _C

TARGET = Path(__file__).parents[1] / "python" / "ember" / "_C.pyi"
TENSORS = {"input", "other", "target", "mat1", "mat2", "condition", "tensor1", "tensor2"}


def split(text: str) -> list[str]:
    """Split parameters at commas outside brackets."""
    parts, depth, begin = [], 0, 0
    for i, c in enumerate(text + ","):
        depth += (c in "([") - (c in ")]")
        if c == "," and depth == 0:
            parts.append(text[begin:i].strip())
            begin = i + 1
    return [p for p in parts if p]


def parameter(text: str) -> tuple[str, bool]:
    """Turn one parameter of a signature into typed Python; say whether it can be written at all."""
    if text in ("*", "/"):
        return text, True
    left, _, default = text.partition("=")
    name, _, annotation = left.partition(":")
    name = name.strip()
    bare = name.lstrip("*")
    if "Number" in annotation:
        kind = "Tensor | builtins.complex"
    elif "complex" in annotation:
        kind = "builtins.complex"
    elif "None" in annotation:
        kind = "Tensor | None"
    else:
        kind = "Tensor" if bare in TENSORS and not default else "Any"
    out = f"{name}: {kind}"
    if default:
        out += f" = {default.strip()}"
    return out, bare.isidentifier() and not keyword.iskeyword(bare)


def definitions(name: str, doc: str, method: bool) -> list[str]:
    """Give the ``def`` lines of a bound function, one for each signature of its docstring."""
    lines = []
    for line in doc.splitlines():
        if line.split("(")[0].rstrip("_") != name.rstrip("_") or "(" not in line:
            break
        call, _, result = line.partition(" -> ")
        inside = split(call[call.index("(") + 1 : call.rindex(")")])
        if method:
            inside = inside[1:]
        parts, written = [], True
        for text in inside:
            part, ok = parameter(text)
            parts.append(part)
            written &= ok
        if not written:
            parts = ["*args: Any", "**kwargs: Any"]
        if parts and parts[-1] == "*":
            parts.pop()
        if method:
            parts.insert(0, "self")
        returns = "Tensor" if not result else "Any"
        lines.append(f"def {name}({', '.join(parts)}) -> {returns}: ...")
    return lines


def functions(owner: object, method: bool, indent: str) -> list[str]:
    out = []
    for name in sorted(vars(owner)):
        value = vars(owner)[name]
        callable_here = inspect.isbuiltin(value) or inspect.ismethoddescriptor(value)
        if not callable_here or not isinstance(value.__doc__, str) or name.startswith("__"):
            continue
        lines = definitions(name, value.__doc__, method)
        fallback = "self, *args: Any, **kwargs: Any" if method else "*args: Any, **kwargs: Any"
        lines = lines or [f"def {name}({fallback}) -> Any: ..."]
        for line in lines:
            if len(lines) > 1:
                out.append(f"{indent}@overload")
            out.append(indent + line)
    return out


def text() -> str:
    out = [
        "# Written by tools/make_stubs.py.",
        "import builtins",
        "from typing import Any, overload",
        "",
    ]
    for name, value in sorted(vars(_C).items()):
        if name.startswith("__") or isinstance(value, type) or callable(value):
            continue
        out.append(f"{name}: {type(value).__name__}")
    for name, value in sorted(vars(_C).items()):
        if not isinstance(value, type):
            continue
        known = set(vars(_C)) | set(vars(__builtins__))
        bases = [b.__name__ for b in value.__bases__ if b is not object and b.__name__ in known]
        out += ["", f"class {name}({', '.join(bases)}):" if bases else f"class {name}:"]
        if name != "Tensor":
            out.append("    def __init__(self, *args: Any, **kwargs: Any) -> None: ...")
            if not bases:
                out.append("    def __getattr__(self, name: str) -> Any: ...")
            continue
        for attribute in sorted(vars(value)):
            if inspect.isgetsetdescriptor(vars(value)[attribute]) and attribute[0] != "_":
                out.append(f"    {attribute}: Any")
        operators = "add sub mul truediv floordiv mod pow matmul and or xor"
        for operator in operators.split():
            for form in ("", "r"):
                out.append(f"    def __{form}{operator}__(self, other: Any) -> Tensor: ...")
        for operator in "lt le gt ge".split():
            out.append(f"    def __{operator}__(self, other: Any) -> Tensor: ...")
        for operator in "neg abs invert".split():
            out.append(f"    def __{operator}__(self) -> Tensor: ...")
        out.append("    def __getitem__(self, index: Any) -> Tensor: ...")
        out.append("    def __setitem__(self, index: Any, value: Any) -> None: ...")
        out += functions(value, True, "    ")
    out += ["", *functions(_C, False, ""), "def __getattr__(name: str) -> Any: ..."]
    return "\n".join(out) + "\n"


def main() -> int:
    fresh = text()
    if "--check" in sys.argv[1:]:
        if TARGET.read_text() != fresh:
            print(f"{TARGET} is not up to date: run tools/make_stubs.py")
            return 1
        return 0
    TARGET.write_text(fresh)
    return 0


if __name__ == "__main__":
    sys.exit(main())
