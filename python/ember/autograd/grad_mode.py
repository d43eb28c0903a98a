"""Context managers and decorators that switch recording on and off for the calling thread."""

from __future__ import annotations

import functools
import inspect
import warnings

from .. import _C

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled"]


def _decorate_generator(make, function):
    """Run each stretch between two yields inside the mode, and the caller outside of it."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        generator = function(*args, **kwargs)
        try:
            with make():
                item = next(generator)
            while True:
                try:
                    sent = yield item
                except GeneratorExit:
                    with make():
                        generator.close()
                    raise
                except BaseException as error:
                    with make():
                        item = generator.throw(error)
                else:
                    with make():
                        item = generator.send(sent)
        except StopIteration as stop:
            return stop.value

    return wrapper


def _decorate(make, function):
    if inspect.isclass(function):
        warnings.warn(
            "Decorating a class switches the mode in its constructor only, and turns the name into "
            "a function; decorate its methods instead.",
            FutureWarning,
            stacklevel=3,
        )
        cls = function

        def construct(*args, **kwargs):
            with make():
                return cls(*args, **kwargs)

        return construct
    if inspect.isgeneratorfunction(function):
        return _decorate_generator(make, function)

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        with make():
            return function(*args, **kwargs)

    return wrapper


class no_grad(_C._NoGrad):
    """Record nothing: results do not require gradients. A context manager and a decorator.

    Examples
    --------
    >>> with ember.no_grad():
    ...     y = x * 2
    >>> @ember.no_grad()
    ... def double(x):
    ...     return x * 2
    """

    __slots__ = ()

    def clone(self) -> no_grad:
        return type(self)()

    def __call__(self, orig_func):
        return _decorate(self.clone, orig_func)


class enable_grad(_C._EnableGrad):
    """Record again inside a :class:`no_grad` block. A context manager and a decorator."""

    __slots__ = ()

    def clone(self) -> enable_grad:
        return type(self)()

    def __call__(self, orig_func):
        return _decorate(self.clone, orig_func)


class set_grad_enabled(_C._SetGradEnabled):
    """Switch recording on or off: at once when called, until its end as a context manager.

    Parameters
    ----------
    mode : bool
        Whether operations are recorded.
    """

    __slots__ = ()

    def clone(self) -> set_grad_enabled:
        return type(self)(self.mode)

    def __call__(self, orig_func):
        self._undo()
        mode = self.mode
        return _decorate(lambda: (enable_grad if mode else no_grad)(), orig_func)


class inference_mode(_C._InferenceMode):
    """Like :class:`no_grad`, and tensors made inside can never take part in a recorded operation.

    Parameters
    ----------
    mode : bool
        ``False`` leaves inference mode inside an outer block.
    """

    __slots__ = ()

    def clone(self) -> inference_mode:
        return type(self)(self.mode)

    def __call__(self, orig_func):
        return _decorate(self.clone, orig_func)
