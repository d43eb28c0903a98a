"""Rows of attention and of embedding bags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .base import FLOATS, Arr, Bad, Case, Spec, arr, case, given, index, mask, ulps

F = "nn.functional."
Q = given(np.ones((1, 2, 3, 4)), "float32")


def _triangle(rows: int, cols: int) -> Arr:
    return mask(np.tril(np.ones((rows, cols))))


def _attention(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    def three(*lead: int, length: int = 5, seen: int = 6, layout: str = "plain") -> tuple:
        return (
            arr(rng, (*lead, length, 8), dtype, layout, -2, 2),
            arr(rng, (*lead, seen, 8), dtype, layout, -2, 2),
            arr(rng, (*lead, seen, 3), dtype, layout, -2, 2),
        )

    for lead in ((), (3,), (2, 3), (2, 1, 3)):
        q, k, v = three(*lead)
        yield case(q, k, v)
        yield case(q, k, v, is_causal=True)
        yield case(q, k, v, scale=0.3)
        yield case(q, k, v, mask(rng.integers(0, 2, (5, 6)) | np.eye(5, 6, dtype=int)))
        yield case(q, k, v, arr(rng, (5, 6), dtype, grad=False))
    q, k, v = three(2, 3, layout="transposed")
    yield case(q, k, v)
    yield case(*three(2, 3, layout="stepped"), attn_mask=_triangle(5, 6))
    yield case(*three(2, 3, length=7, seen=4), is_causal=True)
    yield case(q, k, v, mask(rng.integers(0, 2, (2, 1, 1, 6)) | np.eye(1, 6, dtype=int)))
    blind = np.ones((5, 6))
    blind[[1, 3]] = 0
    yield case(q, k, v, mask(blind), note="queries that see nothing")
    yield case(q, k, v, given(np.where(blind, 0.5, -np.inf), dtype, grad=False))
    grouped = arr(rng, (2, 6, 5, 8), dtype, low=-2, high=2)
    yield case(grouped, k, v, enable_gqa=True)
    yield case(grouped, k, v, is_causal=True, enable_gqa=True)
    yield case(arr(rng, (0, 5, 8), dtype), arr(rng, (0, 6, 8), dtype), arr(rng, (0, 6, 3), dtype))
    yield case(arr(rng, (2, 5, 8), dtype), arr(rng, (2, 0, 8), dtype), arr(rng, (2, 0, 3), dtype))
    yield case(arr(rng, (2, 9, 0), dtype), arr(rng, (2, 4, 0), dtype), arr(rng, (2, 4, 3), dtype))
    yield from _attention_blocks(dtype, rng)


def _attention_blocks(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    """Sizes around those of the kernel's blocks and registers, and every way operands may lie."""

    def three(
        lead: tuple,
        length: int,
        seen: int,
        width: int = 8,
        value_width: int = 0,
        layout: str = "plain",
    ) -> tuple:
        return (
            arr(rng, (*lead, length, width), dtype, layout, -1, 1),
            arr(rng, (*lead, seen, width), dtype, layout, -1, 1),
            arr(rng, (*lead, seen, value_width or width), dtype, layout, -1, 1),
        )

    for length, seen in ((1, 1), (1, 300), (7, 130), (8, 128), (31, 129), (33, 32), (65, 257)):
        operands = three((1, 2), length, seen)
        yield case(*operands)
        yield case(*operands, is_causal=True)
        yield case(
            *operands, mask(rng.integers(0, 2, (length, seen)) | np.eye(length, seen, dtype=int))
        )
        yield case(*operands, arr(rng, (2, length, seen), dtype, "transposed", grad=False))
    for width, value_width in ((1, 1), (3, 17), (16, 64), (33, 2), (65, 100), (256, 256)):
        for length in (3, 20):
            yield case(*three((2,), length, 35, width, value_width))
    for layout in ("transposed", "stepped", "expanded", "shifted"):
        yield case(*three((2, 3), 9, 21, layout=layout))
        yield case(*three((2, 3), 2, 21, layout=layout), is_causal=True)
        yield case(
            *three((2, 3), 9, 21, layout=layout), arr(rng, (9, 21), dtype, layout, grad=False)
        )
    late = np.ones((2, 1, 1, 200))
    late[..., :150] = 0
    late[1] = 0
    for length in (3, 40):
        operands = three((2, 2), length, 200)
        yield case(*operands, mask(late), note="keys far from the first, and none")
        yield case(*operands, mask(late[0, 0]), note="a mask for all heads")
        yield case(*operands, mask(late, "expanded"))
    few = arr(rng, (2, 1, 70, 16), dtype, low=-1, high=1)
    many = arr(rng, (3, 70, 16), dtype, low=-1, high=1)
    yield case(many, few, few, note="leading dims that broadcast")
    yield case(few, many, many, is_causal=True)
    yield case(arr(rng, (2, 1, 2, 12, 8), dtype), *three((3, 2), 1, 14)[1:])
    for length in (2, 20):
        q = arr(rng, (2, 6, length, 8), dtype, low=-1, high=1)
        yield case(q, *three((2, 2), 1, 30)[1:], enable_gqa=True)
        yield case(q, *three((1, 3), 1, 30)[1:], enable_gqa=True, is_causal=True)
        yield case(q, *three((2, 3), 1, 30)[1:], _triangle(length, 30), enable_gqa=True)
    few = (arr(rng, (2, 1, 210, n), dtype, low=-1, high=1) for n in (64, 33))
    yield case(arr(rng, (2, 4, 100, 64), dtype, low=-1, high=1), *few, enable_gqa=True)


def _attention_large(rng: np.random.Generator) -> Case:
    """So few heads that the gradients of keys are summed from several tasks."""
    q, k = (arr(rng, (2, 1, n, 64), "float32", low=-1, high=1) for n in (200, 210))
    return case(q, k, arr(rng, (2, 1, 210, 33), "float32", low=-1, high=1), is_causal=True)


def _attention_grads(rng: np.random.Generator) -> Iterable[Case]:
    q, k, v = (arr(rng, (2, n, w), "float64", low=-1, high=1) for n, w in ((2, 3), (3, 3), (3, 2)))
    yield case(q, k, v)
    yield case(q, k, v, is_causal=True)
    yield case(q, k, v, mask([[1, 0, 1], [0, 0, 0]]))
    yield case(q, k, v, arr(rng, (2, 3), "float64"), scale=0.4)
    yield case(arr(rng, (4, 2, 3), "float64", low=-1, high=1), k, v, enable_gqa=True)


def _dropped(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    q, k, v = (arr(rng, (2, 3, 6, 4), dtype, low=-2, high=2) for _ in range(3))
    yield case(q, k, v, None, 0.4)
    yield case(q, k, v, _triangle(6, 6), 0.4)
    yield case(q, k, v, dropout_p=0.2, is_causal=True)


ATTENTION = ulps(
    64,
    "products of a few numbers, exponentials of scores of that size, and another product",
    lambda lib, q, k, v, *a, **kw: 4.0,
    steps=8,
)


def _bag(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    table = arr(rng, (7, 4), dtype)
    row, starts = index([0, 3, 3, 6, 1, 0, 2]), index([0, 2, 2, 5])
    for mode in ("mean", "sum", "max"):
        yield case(row, table, starts, mode=mode)
        yield case(index([[0, 1, 1], [6, 2, 6]]), table, mode=mode)
        yield case(row, table, index([0, 2, 4, 7]), mode=mode, include_last_offset=True)
        yield case(row, table, starts, mode=mode, padding_idx=3)
        yield case(
            index([0, 3, 3, 6], dtype="int32"), table, index([0, 2], dtype="int32"), mode=mode
        )
    yield case(row, table, starts, mode="sum", per_sample_weights=arr(rng, (7,), dtype))
    yield case(
        index([[0, 1], [6, 6]]), table, mode="sum", per_sample_weights=arr(rng, (2, 2), dtype)
    )


def _bag_grads(rng: np.random.Generator) -> Iterable[Case]:
    table = arr(rng, (4, 2), "float64")
    for mode in ("mean", "sum", "max"):
        yield case(index([0, 1, 3, 1]), table, index([0, 3]), mode=mode)
    yield case(index([[0, 1], [3, 3]]), table, mode="sum",
               per_sample_weights=arr(rng, (2, 2), "float64"))  # fmt: skip


def _limited(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    table = arr(rng, (7, 4), dtype, grad=False)
    yield case(index([0, 3, 3, 6]), table, max_norm=1.0)
    yield case(index([[0, 3], [5, 6]]), table, None, 2.5, 1.0)


TABLE = given(np.ones((4, 2)), "float32")
BAG_BAD = (
    Bad(case(index([0]), TABLE), "ValueError"),
    Bad(case(index([[0]]), TABLE, index([0])), "ValueError"),
    Bad(case(index([0]), TABLE, index([0]), mode="most"), "ValueError"),
    Bad(case(index([0]), given([1.0], "float32"), index([0])), "ValueError"),
    Bad(case(index([0]), TABLE, index([1])), "RuntimeError"),
    Bad(case(index([0]), TABLE, index([[0]])), "ValueError"),
    Bad(case(index([0]), TABLE, index([0]), per_sample_weights=given([1.0], "float32")),
        "NotImplementedError"),
    Bad(case(index([0, 1]), TABLE, index([0]), mode="sum", per_sample_weights=given([1.0], "float32")),
        "ValueError"),
)  # fmt: skip


def _scale(lib: Any, *args: Any, **kwargs: Any) -> float:
    return 32.0


SPECS = [
    Spec(
        "scaled_dot_product_attention", _attention, FLOATS, fn=F + "scaled_dot_product_attention",
        grad=True, grad_cases=_attention_grads, strides=False, tol=ATTENTION, large=_attention_large,
        bad=(Bad(case(Q, Q, Q, _triangle(3, 3), 0.1, is_causal=True), "RuntimeError"),
             Bad(case(given([1.0], "float32"), Q, Q), "RuntimeError", "RuntimeError|ValueError"),
             Bad(case(Q, given(np.ones((1, 2, 3, 5)), "float32"), Q), "RuntimeError"),
             Bad(case(Q, given(np.ones((1, 2, 3, 4)), "float64"), Q), "RuntimeError"),
             Bad(case(Q, Q, Q, index(np.ones((3, 3)))), "RuntimeError"),
             Bad(case(Q, Q, Q, _triangle(3, 4)), "RuntimeError"),
             Bad(case(Q, given(np.ones((3, 2, 3, 4)), "float32"),
                      given(np.ones((2, 2, 3, 4)), "float32")), "RuntimeError"),
             Bad(case(given(np.ones((1, 3, 3, 4)), "float32"), Q, Q, enable_gqa=True), "RuntimeError")),
    ),
    Spec(
        "attention_dropout", _dropped, ("float32", "float64"), fn=F + "scaled_dot_product_attention",
        seeded=True, strides=False, tol=ATTENTION,
        bad=(Bad(case(Q, Q, Q, None, 1.5), "RuntimeError"),),
    ),
    Spec(
        "embedding_bag", _bag, FLOATS, fn=F + "embedding_bag", grad=True, grad_cases=_bag_grads,
        strides=False, tol=ulps(8, "a sum of a few rows", _scale, steps=4), bad=BAG_BAD,
    ),
    Spec(
        "embedding_max_norm", _limited, ("float32", "float64"), fn=F + "embedding", changes=(1,),
        strides=False, tol=ulps(8, "a norm and a product", _scale),
        bad=(Bad(case(index([4]), TABLE, None, 1.0), "IndexError"),),
    ),
]  # fmt: skip
