"""Copies between Ember's tensors and PyTorch's, for tests that compare the two."""

import ember


def to_ember(t):
    """Copy a PyTorch tensor, keeping dtype and requires_grad."""
    dtype = getattr(ember, str(t.dtype).removeprefix("torch."))
    source = t.detach()
    if str(t.dtype) == "torch.bfloat16":
        source = source.float()
    out = ember.from_numpy(source.numpy().copy()).to(dtype)
    return out.requires_grad_() if t.requires_grad else out


def to_torch(t):
    """Copy an Ember tensor to PyTorch."""
    import torch

    dtype = getattr(torch, str(t.dtype).split(".")[-1])
    source = t.detach()
    if dtype == torch.bfloat16:
        source = source.to(ember.float32)
    return torch.from_numpy(source.numpy().copy()).to(dtype)
