"""The table of operations: one row (``Spec``) each, and what runs and compares them."""

from . import (
    creation,
    images,
    indexing,
    network,
    pointwise,
    products,
    reductions,
    spatial,
    views,
)

SPECS = [
    *pointwise.SPECS,
    *reductions.SPECS,
    *products.SPECS,
    *network.SPECS,
    *spatial.SPECS,
    *images.SPECS,
    *views.SPECS,
    *indexing.SPECS,
    *creation.SPECS,
]
BY_NAME = {spec.name: spec for spec in SPECS}
assert len(BY_NAME) == len(SPECS), "two rows have the same name"
