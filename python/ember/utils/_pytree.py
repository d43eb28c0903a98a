"""Trees of Python containers: taken apart into leaves and put together again.

Lists, tuples, named tuples, dicts, ordered dicts, default dicts and deques are nodes, as is any
class that was registered; everything else is a leaf. A dict's children keep its own order.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = [
    "LeafSpec",
    "MappingKey",
    "PyTree",
    "TreeSpec",
    "register_pytree_node",
    "tree_all",
    "tree_any",
    "tree_flatten",
    "tree_iter",
    "tree_leaves",
    "tree_map",
    "tree_map_",
    "tree_map_only",
    "tree_structure",
    "tree_unflatten",
]

PyTree = Any


class _Node(NamedTuple):
    flatten: Callable[[Any], tuple[list[Any], Any]]
    unflatten: Callable[[Iterable[Any], Any], Any]


def _dict_node(make: Callable[[Iterable[tuple[Any, Any]], Any], Any]) -> _Node:
    return _Node(
        lambda d: (list(d.values()), (list(d), getattr(d, "default_factory", None))),
        lambda children, context: make(zip(context[0], children, strict=True), context[1]),
    )


_NODES: dict[type, _Node] = {
    list: _Node(lambda x: (x, None), lambda children, _: list(children)),
    tuple: _Node(lambda x: (list(x), None), lambda children, _: tuple(children)),
    deque: _Node(lambda x: (list(x), x.maxlen), lambda children, size: deque(children, size)),
    dict: _dict_node(lambda items, _: dict(items)),
    OrderedDict: _dict_node(lambda items, _: OrderedDict(items)),
    defaultdict: _dict_node(lambda items, factory: defaultdict(factory, items)),
}
_NAMED_TUPLE = _Node(lambda x: (list(x), type(x)), lambda children, made: made._make(children))


def _node(tree: Any) -> _Node | None:
    kind = type(tree)
    if kind in _NODES:
        return _NODES[kind]
    return _NAMED_TUPLE if isinstance(tree, tuple) and hasattr(kind, "_fields") else None


def register_pytree_node(
    cls: type,
    flatten_fn: Callable[[Any], tuple[list[Any], Any]],
    unflatten_fn: Callable[[Iterable[Any], Any], Any],
    **kwargs: Any,
) -> None:
    """Make instances of `cls` nodes.

    Parameters
    ----------
    cls : type
        Not registered before.
    flatten_fn : callable
        Takes an instance, returns its children and a context that compares by ``==``.
    unflatten_fn : callable
        Takes children and context, returns an instance.
    **kwargs
        How PyTorch would serialise it; has no effect.

    Raises
    ------
    ValueError
        `cls` is registered.
    """
    if cls in _NODES:
        raise ValueError(f"register_pytree_node: {cls.__name__} is registered already")
    _NODES[cls] = _Node(flatten_fn, unflatten_fn)


class MappingKey(NamedTuple):
    """Where a child stands in a dict."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"


def _dict_flatten_with_keys(d: dict) -> tuple[list[tuple[MappingKey, Any]], list]:
    """Return the children with their keys, and the keys; libraries register it for dicts."""
    return [(MappingKey(key), value) for key, value in d.items()], list(d)


@dataclass
class TreeSpec:
    """The structure of a tree without its leaves. A leaf's `type` is None."""

    type: Any
    context: Any
    children_specs: list[TreeSpec]

    @property
    def num_leaves(self) -> int:
        """How many leaves."""
        return sum(child.num_leaves for child in self.children_specs) if self.type else 1

    @property
    def num_children(self) -> int:
        """How many children the root has."""
        return len(self.children_specs)

    def is_leaf(self) -> bool:
        """Whether the root is a leaf."""
        return self.type is None


def LeafSpec() -> TreeSpec:
    """Return the structure of a leaf."""
    return TreeSpec(None, None, [])


def _flatten(tree: Any, is_leaf: Callable[[Any], bool] | None, leaves: list[Any]) -> TreeSpec:
    node = None if is_leaf is not None and is_leaf(tree) else _node(tree)
    if node is None:
        leaves.append(tree)
        return LeafSpec()
    children, context = node.flatten(tree)
    return TreeSpec(type(tree), context, [_flatten(x, is_leaf, leaves) for x in children])


def tree_flatten(
    tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[list[Any], TreeSpec]:
    """Return a tree's leaves, depth first, and its structure.

    `is_leaf` says of a node whether it counts as a leaf.
    """
    leaves: list[Any] = []
    return leaves, _flatten(tree, is_leaf, leaves)


def _unflatten(leaves: Iterator[Any], spec: TreeSpec) -> Any:
    if spec.type is None:
        return next(leaves)
    node = _NODES.get(spec.type, _NAMED_TUPLE)
    return node.unflatten(
        [_unflatten(leaves, child) for child in spec.children_specs], spec.context
    )


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """Put a tree together; ValueError if there are not as many leaves as it has."""
    leaves = list(leaves)
    if len(leaves) != treespec.num_leaves:
        raise ValueError(
            f"tree_unflatten: expected {treespec.num_leaves} leaves, got {len(leaves)}"
        )
    return _unflatten(iter(leaves), treespec)


def tree_iter(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> Iterator[Any]:
    """Iterate over the leaves."""
    return iter(tree_leaves(tree, is_leaf))


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """Return the leaves."""
    return tree_flatten(tree, is_leaf)[0]


def tree_structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> TreeSpec:
    """Return the structure."""
    return tree_flatten(tree, is_leaf)[1]


def _matching(tree: Any, spec: TreeSpec) -> list[Any]:
    """The parts of a tree that stand where the structure has leaves."""
    if spec.type is None:
        return [tree]
    if type(tree) is not spec.type:
        raise ValueError(
            f"tree_map: expected trees alike, got {spec.type.__name__} and {type(tree).__name__}"
        )
    children, context = _node(tree).flatten(tree)
    if len(children) != spec.num_children or context != spec.context:
        raise ValueError(
            f"tree_map: expected trees alike, got two {spec.type.__name__} that differ"
        )
    pairs = zip(children, spec.children_specs, strict=True)
    return [part for child, below in pairs for part in _matching(child, below)]


def tree_map(
    func: Callable[..., Any],
    tree: Any,
    *rests: Any,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """Return the tree of what `func` makes of each leaf, and of the rests' at the same place.

    Raises
    ------
    ValueError
        One of the rests has another structure than `tree`.
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    columns = [leaves, *(_matching(rest, spec) for rest in rests)]
    return tree_unflatten([func(*row) for row in zip(*columns, strict=True)], spec)


def tree_map_(
    func: Callable[..., Any],
    tree: Any,
    *rests: Any,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """Call `func` as `tree_map` does, for its effects, and return `tree`."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def tree_map_only(
    type_or_types_or_pred: Any,
    func: Callable[[Any], Any],
    tree: Any,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """Do as `tree_map` with the leaves of a type, of one of a tuple, or that a function admits."""
    wanted = type_or_types_or_pred
    if isinstance(wanted, type) or not callable(wanted):
        return tree_map(lambda x: func(x) if isinstance(x, wanted) else x, tree, is_leaf=is_leaf)
    return tree_map(lambda x: func(x) if wanted(x) else x, tree, is_leaf=is_leaf)


def tree_all(
    pred: Callable[[Any], bool], tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> bool:
    """Whether `pred` holds for all leaves."""
    return all(map(pred, tree_iter(tree, is_leaf)))


def tree_any(
    pred: Callable[[Any], bool], tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> bool:
    """Whether `pred` holds for a leaf."""
    return any(map(pred, tree_iter(tree, is_leaf)))
