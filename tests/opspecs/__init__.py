"""The table of operations: one row (``Spec``) each, and what runs and compares them."""

from . import (
    activations,
    attention,
    creation,
    images,
    indexing,
    losses,
    matrices,
    network,
    pointwise,
    products,
    reductions,
    shapes,
    sorting,
    spatial,
    special,
    statistics,
    views,
)

SPECS = [
    *pointwise.SPECS,
    *special.SPECS,
    *activations.SPECS,
    *reductions.SPECS,
    *products.SPECS,
    *matrices.SPECS,
    *network.SPECS,
    *losses.SPECS,
    *attention.SPECS,
    *spatial.SPECS,
    *images.SPECS,
    *views.SPECS,
    *indexing.SPECS,
    *creation.SPECS,
    *sorting.SPECS,
    *shapes.SPECS,
    *statistics.SPECS,
]
BY_NAME = {spec.name: spec for spec in SPECS}
assert len(BY_NAME) == len(SPECS), "two rows have the same name"
