"""TensorBoard's event files, written by tensorboardX: ``pip install 'ember[tensorboard]'``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import ember

try:
    import tensorboardX
except ImportError as error:
    raise ImportError(
        "ember.utils.tensorboard needs the package tensorboardX: pip install 'ember[tensorboard]'"
    ) from error

__all__ = ["SummaryWriter"]


def _plain(value: Any) -> Any:
    """Tensors as numpy arrays, also inside lists, tuples and dicts."""
    if isinstance(value, ember.Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype == ember.bfloat16 else value).numpy()
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(map(_plain, value))
    return value


class SummaryWriter(tensorboardX.SummaryWriter):
    """Writes scalars, histograms, images, text and more for TensorBoard.

    The arguments of the constructor and of the ``add_...`` methods are PyTorch's; where they take
    arrays they take Ember's tensors.

    Parameters
    ----------
    log_dir : str, optional
        Where to; by default a folder under ``runs`` named by time and host.
    comment : str
        What is added to the default name.
    purge_step, max_queue, flush_secs, filename_suffix
        As in PyTorch.
    """

    def __init__(
        self,
        log_dir: Any = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        super().__init__(
            None if log_dir is None else str(log_dir),
            comment=comment,
            purge_step=purge_step,
            max_queue=max_queue,
            flush_secs=flush_secs,
            filename_suffix=filename_suffix,
        )

    @property
    def log_dir(self) -> str:
        """The folder that is written to."""
        return self.logdir

    def get_logdir(self) -> str:
        """Return the folder that is written to."""
        return self.logdir

    def add_graph(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: graphs come from a tracer, which Ember does not have."""
        raise NotImplementedError("SummaryWriter.add_graph: Ember has no tracer; see ember.summary")


def _taking_tensors(method: Callable) -> Callable:
    @functools.wraps(method)
    def call(self: SummaryWriter, *args: Any, **kwargs: Any) -> Any:
        return method(self, *_plain(args), **_plain(kwargs))

    return call


for _name in dir(tensorboardX.SummaryWriter):
    if _name.startswith("add_") and _name not in vars(SummaryWriter):
        setattr(SummaryWriter, _name, _taking_tensors(getattr(tensorboardX.SummaryWriter, _name)))
