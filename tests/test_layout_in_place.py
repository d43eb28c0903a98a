"""squeeze_, unsqueeze_, t_, transpose_, as_strided_ and resize_ beside gradients, views and memory."""

from __future__ import annotations

import ember
import numpy as np
import pytest

CHANGES = {
    "t_": (lambda x: x.t_(), lambda x: x.t()),
    "transpose_": (lambda x: x.transpose_(0, 1), lambda x: x.transpose(0, 1)),
    "swapaxes_": (lambda x: x.swapaxes_(0, 1), lambda x: x.transpose(0, 1)),
    "unsqueeze_": (lambda x: x.unsqueeze_(1), lambda x: x.unsqueeze(1)),
    "squeeze_": (lambda x: x.unsqueeze_(0).squeeze_(0), lambda x: x),
    "as_strided_": (lambda x: x.as_strided_((3,), (2,)), lambda x: x.as_strided((3,), (2,))),
}


@pytest.mark.parametrize("name", CHANGES)
def test_gradient_of_a_result(name: str) -> None:
    change, view = CHANGES[name]
    gradients = []
    for f in (change, view):
        x = ember.arange(6.0).reshape(2, 3).requires_grad_()
        y = f(x * 2)
        weights = ember.arange(1.0, y.numel() + 1).reshape(y.shape)
        (y * y * weights).sum().backward()
        gradients.append(x.grad.numpy())
    assert np.array_equal(*gradients)


@pytest.mark.parametrize("name", CHANGES)
def test_gradient_of_a_view(name: str) -> None:
    """A view with a new layout still leads to its base."""
    change, view = CHANGES[name]
    gradients = []
    for f in (change, view):
        x = ember.arange(12.0).reshape(4, 3).requires_grad_()
        y = f((x * 3)[1:3])
        weights = ember.arange(1.0, y.numel() + 1).reshape(y.shape)
        (y * weights).sum().backward()
        gradients.append(x.grad.numpy())
    assert np.array_equal(*gradients)


@pytest.mark.parametrize("name", CHANGES)
def test_a_leaf_with_gradients_is_refused(name: str) -> None:
    x = ember.ones(2, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        CHANGES[name][0](x)
    assert x.shape == (2, 3)


def test_a_saved_tensor_that_changed_its_layout_is_noticed() -> None:
    x = ember.ones(2, 3, requires_grad=True)
    y = x * 2
    z = y * y
    y.t_()
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        z.sum().backward()


def test_resize_keeps_items_and_grows() -> None:
    x = ember.arange(6)
    address = x.data_ptr()
    assert x.resize_(2, 2).tolist() == [[0, 1], [2, 3]] and x.data_ptr() == address
    assert x.resize_(6).tolist() == [0, 1, 2, 3, 4, 5]
    assert x.resize_(10)[:6].tolist() == [0, 1, 2, 3, 4, 5] and x.numel() == 10
    y = ember.zeros(0).resize_(1, 2, 2, 2, memory_format=ember.channels_last)
    assert y.stride() == (8, 1, 4, 2)
    with pytest.raises(RuntimeError, match="require grad"):
        ember.ones(3, requires_grad=True).resize_(2)


def test_fill_diagonal_and_triangles_have_gradients() -> None:
    x = ember.ones(3, 3, requires_grad=True)
    (x * 2).tril_().sum().backward()
    assert x.grad.tolist() == [[2.0, 0.0, 0.0], [2.0, 2.0, 0.0], [2.0, 2.0, 2.0]]
    x.grad = None
    (x * 2).fill_diagonal_(5).sum().backward()
    assert x.grad.tolist() == [[0.0, 2.0, 2.0], [2.0, 0.0, 2.0], [2.0, 2.0, 0.0]]
