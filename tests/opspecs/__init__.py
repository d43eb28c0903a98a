"""The table of operations: one row (``Spec``) each, and what runs and compares them."""

from . import network, pointwise, products, reductions

SPECS = [
    *pointwise.SPECS,
    *reductions.SPECS,
    *products.SPECS,
    *network.SPECS,
]
BY_NAME = {spec.name: spec for spec in SPECS}
assert len(BY_NAME) == len(SPECS), "two rows have the same name"
