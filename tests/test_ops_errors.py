"""Bad input of every row raises PyTorch's type and says which operation it was."""

from __future__ import annotations

import builtins

import ember
import pytest
import row_counts
from opspecs import SPECS
from opspecs.base import Bad, Spec
from opspecs.compare import quiet, same_type, torch

pytestmark = pytest.mark.kernels

ROWS = [pytest.param(s, id=s.name) for s in SPECS if s.bad]
# The operations that these are made of may speak for them.
SPOKEN = {
    "getitem": ("index", "slice"),
    "setitem": ("index", "copy_", "fill_", "slice", "masked_fill", "value"),
    "index_put": ("index",),
    "rsub": ("sub",),
    "normalize": ("norm",),
    "cosine_similarity": ("broadcast_tensors",),
    "pairwise_distance": ("sub",),
    "embedding_max_norm": ("index",),
    "gumbel_softmax": ("softmax",),
    "heaviside": ("where", "copy_"),
    "ldexp": ("mul",),
    "float_power": ("pow",),
    "broadcast_to": ("expand",),
    "contiguous": ("clone",),
    "view_as": ("view",),
    "reshape_as": ("reshape",),
    "expand_as": ("expand",),
    "zeros": ("requires_grad",),
    "ones": ("requires_grad",),
    "tile": ("repeat",),
    "hstack": ("cat",),
    "vstack": ("cat",),
    "row_stack": ("cat", "vstack"),
    "dstack": ("cat",),
    "column_stack": ("cat", "hstack"),
    "select_scatter": ("select",),
    "slice_scatter": ("slice",),
    "dist": ("sub",),
    "narrow_copy": ("narrow",),
    "split_with_sizes": ("split",),
    "take_along_dim": ("gather",),
    "lp_pool1d": ("avg_pool1d",),
    "lp_pool2d": ("avg_pool2d",),
    "lp_pool3d": ("avg_pool3d",),
    "complex median": ("kth",),
    "instance_norm": ("group_norm",),
    "local_response_norm": ("avg_pool2d",),
}


def attempt(spec: Spec, lib, bad: Bad) -> Exception | None:
    args, kwargs = bad.case.build(lib)
    try:
        with quiet():
            if bad.method:
                getattr(args[0], bad.method)(*args[1:], **kwargs)
            else:
                spec.function(lib, reference=lib is torch)(*args, **kwargs)
    except Exception as e:
        return e
    return None


@pytest.mark.parametrize("spec", ROWS)
def test_bad_input_raises(spec: Spec) -> None:
    for bad in spec.bad:
        where = f"{bad.method or spec.name}{bad.case}"
        error = attempt(spec, ember, bad)
        assert error is not None, f"{where}: no error"
        allowed = tuple(getattr(builtins, name) for name in bad.error.split("|"))
        assert isinstance(error, allowed), f"{where}: {error!r}"
        name = (spec.fn if isinstance(spec.fn, str) and spec.fn else spec.name).rpartition(".")[2]
        spoken = (name.rstrip("_"), bad.method.rstrip("_") or name, *SPOKEN.get(spec.name, ()))
        assert any(s in str(error) for s in spoken), f"{where}: does not name {name}: {error}"
    row_counts.add("bad input", spec.name, len(spec.bad))


@pytest.mark.skipif(torch is None, reason="PyTorch is the reference")
@pytest.mark.parametrize("spec", ROWS)
def test_torch_raises_the_same_type(spec: Spec) -> None:
    """The table itself: where Ember's type differs the row names both."""
    for bad in spec.bad:
        where = f"{bad.method or spec.name}{bad.case}"
        theirs, ours = attempt(spec, torch, bad), attempt(spec, ember, bad)
        assert theirs is not None, f"{where}: PyTorch takes it"
        if bad.torch_error:
            names = bad.torch_error.split("|")
            assert isinstance(theirs, tuple(getattr(builtins, n) for n in names)), (
                f"{where}: {theirs!r}"
            )
        else:
            assert same_type(ours, theirs), f"{where}: {ours!r} for {theirs!r}"
