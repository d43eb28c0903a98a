"""The table of operations: one row (``Spec``) each, and what runs and compares them."""

from . import (
    activations,
    attention,
    complex_matrices,
    complexes,
    creation,
    images,
    indexing,
    losses,
    matrices,
    network,
    pointwise,
    products,
    reductions,
    rnn,
    shapes,
    sorting,
    spatial,
    special,
    spectral,
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
    *rnn.SPECS,
    *spatial.SPECS,
    *images.SPECS,
    *views.SPECS,
    *indexing.SPECS,
    *creation.SPECS,
    *sorting.SPECS,
    *shapes.SPECS,
    *complexes.SPECS,
    *complex_matrices.SPECS,
    *spectral.SPECS,
]
BY_NAME = {spec.name: spec for spec in SPECS}
assert len(BY_NAME) == len(SPECS), "two rows have the same name"
