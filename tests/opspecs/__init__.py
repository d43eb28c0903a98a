"""The table of operations: one row (``Spec``) each, and what runs and compares them."""

from . import creation, indexing, matrices, network, pointwise, products, reductions, special, views

SPECS = [
    *pointwise.SPECS,
    *special.SPECS,
    *reductions.SPECS,
    *products.SPECS,
    *matrices.SPECS,
    *network.SPECS,
    *views.SPECS,
    *indexing.SPECS,
    *creation.SPECS,
]
BY_NAME = {spec.name: spec for spec in SPECS}
assert len(BY_NAME) == len(SPECS), "two rows have the same name"
