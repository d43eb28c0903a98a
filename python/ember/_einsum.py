"""``einsum``: parsing, an order of contractions, and pairs of operands as batched products.

What is to be done depends on the equation and the shapes alone, so it is worked out once for each
and kept.
"""

from __future__ import annotations

import functools
import itertools
import math
import string
from collections.abc import Sequence
from typing import Any

from . import _C

Tensor = _C.Tensor
_LETTERS = string.ascii_uppercase + string.ascii_lowercase
_EXHAUSTIVE = 6  # operands up to which all orders are compared


def einsum(*args: Any) -> Tensor:
    """Sum products of the operands' elements along the dims that letters name.

    ``einsum("bij,bjk->bik", x, y)`` is a batched matrix product. Letters that the result lacks are
    summed over; without ``->`` the result has the letters that occur once, in alphabetical order.
    ``...`` stands for dims that broadcast; a letter that is repeated in an operand takes its
    diagonal. Operands may also be given as ``einsum(x, [0, 1], y, [1, 2], [0, 2])``.

    Parameters
    ----------
    equation : str
        The letters of each operand, separated by commas, and of the result.
    operands : Tensor
        The operands, also as one list.

    Returns
    -------
    Tensor
        Of the result's dims in the equation's order.
    """
    if not args:
        raise ValueError("einsum: expected an equation and at least one operand")
    if isinstance(args[0], str):
        equation, operands = args[0], args[1:]
        if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
            operands = tuple(operands[0])
    else:
        equation, operands = _from_sublists(args)
    if not operands:
        raise ValueError("einsum: must provide at least one operand")
    for t in operands:
        if not isinstance(t, Tensor):
            raise TypeError(f"einsum: expected tensors as operands, got {type(t).__name__}")
    plan = _plan(equation, tuple(tuple(t.shape) for t in operands))
    work = [prepare(t) for prepare, t in zip(plan.prepare, operands, strict=True)]
    for i, j, step in plan.steps:
        b = work.pop(j)
        work[i] = step(work[i], b)
    return plan.finish(work[0])


def _from_sublists(args: Sequence[Any]) -> tuple[str, tuple[Tensor, ...]]:
    def letters(sublist: Sequence[Any]) -> str:
        found = []
        for item in sublist:
            if item is Ellipsis:
                found.append("...")
            elif isinstance(item, int) and 0 <= item < len(_LETTERS):
                found.append(_LETTERS[item])
            else:
                raise ValueError(
                    f"einsum: subscripts must be in [0, {len(_LETTERS)}) or Ellipsis, got {item!r}"
                )
        return "".join(found)

    for sublist in args[1::2]:
        if not isinstance(sublist, (list, tuple)):
            raise TypeError(f"einsum: expected a list of subscripts, got {type(sublist).__name__}")
    operands = tuple(args[: len(args) // 2 * 2 : 2])
    equation = ",".join(letters(s) for s in args[1::2])
    if len(args) % 2:
        if not isinstance(args[-1], (list, tuple)):
            raise TypeError("einsum: expected a list of subscripts for the result")
        equation += "->" + letters(args[-1])
    return equation, operands


class _Plan:
    """Functions that bring operands into form, contract pairs, and order the result's dims."""

    def __init__(self) -> None:
        self.prepare: list[Any] = []
        self.steps: list[tuple[int, int, Any]] = []
        self.finish: Any = None


@functools.lru_cache(maxsize=512)
def _plan(equation: str, shapes: tuple[tuple[int, ...], ...]) -> _Plan:
    terms, output = _parse(equation, shapes)
    sizes: dict[Any, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for label, n in zip(term, shape, strict=True):
            before = sizes.setdefault(label, n)
            if before == 1:
                sizes[label] = n
            elif n not in (1, before):
                raise RuntimeError(
                    f"einsum: subscript {label} has size {n} in one operand and {before} in another"
                )
    for label in output:
        if label not in sizes:
            raise RuntimeError(f"einsum: output subscript {label} does not appear in any operand")
    plan = _Plan()
    forms = []
    for i, (term, shape) in enumerate(zip(terms, shapes, strict=True)):
        others = {label for k, other in enumerate(terms) if k != i for label in other}
        prepare, form = _prepare(term, shape, sizes, others | set(output))
        plan.prepare.append(prepare)
        forms.append(form)
    for i, j in _order(forms, set(output), sizes):
        b = forms.pop(j)
        rest = set(output).union(*(form for k, form in enumerate(forms) if k != i))
        step, forms[i] = _contract(forms[i], b, rest, sizes)
        plan.steps.append((i, j, step))
    plan.finish = _finish(forms[0], output)
    return plan


def _parse(equation: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[list[list[Any]], list[Any]]:
    """Labels of each operand and of the result; dims of an ellipsis are numbers from the right."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(shapes):
        raise RuntimeError(
            f"einsum: the equation names {len(parts)} operands, {len(shapes)} were given"
        )

    def split(part: str) -> tuple[str, bool, str]:
        before, dots, after = part.partition("...")
        for c in before + after:
            if c not in _LETTERS:
                raise RuntimeError(
                    f"einsum: subscripts must be letters or an ellipsis, got {c!r} in {equation!r}"
                )
        return before, bool(dots), after

    terms, widest = [], 0
    for part, shape in zip(parts, shapes, strict=True):
        before, dots, after = split(part)
        named = len(before) + len(after)
        if named > len(shape) or (named < len(shape) and not dots):
            raise RuntimeError(
                f"einsum: subscripts {part!r} do not fit an operand with {len(shape)} dims"
            )
        hidden = len(shape) - named
        widest = max(widest, hidden)
        terms.append([*before, *range(-hidden, 0), *after])
    everything = range(-widest, 0)
    if arrow:
        before, dots, after = split(right)
        output = [*before, *(everything if dots else ()), *after]
        if len(set(output)) < len(output):
            raise RuntimeError("einsum: an output subscript appears more than once")
    else:
        count = "".join(c for part in parts for c in part if c != ".")
        once = sorted(c for c in set(count) if count.count(c) == 1)
        output = [*everything, *once]
    return terms, output


def _prepare(
    term: list[Any], shape: tuple[int, ...], sizes: dict[Any, int], wanted: set[Any]
) -> tuple[Any, list[Any]]:
    """Take diagonals, drop dims of size 1 that broadcast, sum over what no one else has."""
    labels = list(term)
    diagonals = []
    for label in dict.fromkeys(term):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            diagonals.append((first, second))
            if shape[term.index(label)] != sizes[label]:
                raise RuntimeError(
                    f"einsum: repeated subscript {label} has size 1 in an operand, "
                    f"{sizes[label]} in another"
                )
            del labels[second], labels[first]
            labels.append(label)
    held = dict(zip(term, shape, strict=True))
    for label in set(term):
        if len({n for k, n in zip(term, shape, strict=True) if k == label}) > 1:
            raise RuntimeError(f"einsum: repeated subscript {label} has different sizes")
    dropped = [d for d, k in enumerate(labels) if held[k] == 1 and sizes[k] != 1]
    summed = [d for d, k in enumerate(labels) if k not in wanted]

    def prepare(t: Tensor) -> Tensor:
        for first, second in diagonals:
            t = t.diagonal(0, first, second)
        both = sorted({*dropped, *summed})
        if summed:
            t = t.sum(both, dtype=t.dtype)
        elif dropped:
            t = t.squeeze(dropped)
        return t

    gone = {*dropped, *summed}
    return prepare, [k for d, k in enumerate(labels) if d not in gone]


def _cost(a: set[Any], b: set[Any], sizes: dict[Any, int]) -> int:
    return math.prod(sizes[k] for k in a | b)


def _order(
    forms: list[list[Any]], output: set[Any], sizes: dict[Any, int]
) -> list[tuple[int, int]]:
    """Pairs to contract, by position among what is left: the order with the fewest products, or
    the cheapest pair each time where there are many operands."""
    sets = [set(form) for form in forms]
    if len(sets) <= 2:
        return [(0, 1)] * (len(sets) - 1)

    def merged(left: list[set[Any]], i: int, j: int) -> list[set[Any]]:
        rest = [s for k, s in enumerate(left) if k not in (i, j)]
        kept = (left[i] | left[j]) & output.union(*rest)
        return [kept if k == i else s for k, s in enumerate(left) if k != j]

    def best(left: list[set[Any]]) -> tuple[int, list[tuple[int, int]]]:
        found: tuple[int, list[tuple[int, int]]] | None = None
        if len(left) == 1:
            return 0, []
        for i, j in itertools.combinations(range(len(left)), 2):
            here = _cost(left[i], left[j], sizes)
            if found is not None and here >= found[0]:
                continue
            cost, steps = best(merged(left, i, j))
            if found is None or here + cost < found[0]:
                found = here + cost, [(i, j), *steps]
        return found  # type: ignore[return-value]

    if len(sets) <= _EXHAUSTIVE:
        return best(sets)[1]
    steps = []
    while len(sets) > 1:
        i, j = min(
            itertools.combinations(range(len(sets)), 2),
            key=lambda pair: _cost(sets[pair[0]], sets[pair[1]], sizes),
        )
        steps.append((i, j))
        sets = merged(sets, i, j)
    return steps


def _contract(
    a: list[Any], b: list[Any], rest: set[Any], sizes: dict[Any, int]
) -> tuple[Any, list[Any]]:
    """The product of two operands, summed over the labels that nothing else has."""
    alone_a = [d for d, k in enumerate(a) if k not in rest and k not in b]
    alone_b = [d for d, k in enumerate(b) if k not in rest and k not in a]
    a_left = [k for d, k in enumerate(a) if d not in alone_a]
    b_left = [k for d, k in enumerate(b) if d not in alone_b]
    batch = [k for k in a_left if k in b_left and k in rest]
    inner = [k for k in a_left if k in b_left and k not in rest]
    rows = [k for k in a_left if k not in b_left]
    columns = [k for k in b_left if k not in a_left]
    result = batch + rows + columns

    def size(labels: list[Any]) -> int:
        return math.prod(sizes[k] for k in labels)

    def only(t: Tensor, dims: list[int]) -> Tensor:
        return t.sum(dims, dtype=t.dtype) if dims else t

    a_order = [a_left.index(k) for k in batch + rows + inner]
    if not inner:
        b_order = [b_left.index(k) for k in batch + columns]
        a_shape = [sizes[k] for k in batch + rows] + [1] * len(columns)
        b_shape = [sizes[k] for k in batch] + [1] * len(rows) + [sizes[k] for k in columns]

        def multiply(x: Tensor, y: Tensor) -> Tensor:
            x, y = only(x, alone_a).permute(a_order), only(y, alone_b).permute(b_order)
            return x.reshape(a_shape) * y.reshape(b_shape)

        return multiply, result
    b_order = [b_left.index(k) for k in batch + inner + columns]
    a_shape = [size(batch), size(rows), size(inner)]
    b_shape = [size(batch), size(inner), size(columns)]
    if not batch:
        a_shape, b_shape = a_shape[1:], b_shape[1:]
    shape = [sizes[k] for k in result]

    def product(x: Tensor, y: Tensor) -> Tensor:
        x, y = only(x, alone_a).permute(a_order), only(y, alone_b).permute(b_order)
        return _C.matmul(x.reshape(a_shape), y.reshape(b_shape)).reshape(shape)

    return product, result


def _finish(form: list[Any], output: list[Any]) -> Any:
    order = [form.index(k) for k in output]
    return lambda t: t.permute(order)
