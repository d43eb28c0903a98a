"""L-BFGS."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import ember

from .optimizer import Optimizer, check_non_negative

__all__ = ["LBFGS"]


class LBFGS(Optimizer):
    """L-BFGS (Nocedal, 1980): Newton steps with curvature learnt from the last few gradients.

    A step calls the closure many times; all parameters are one group on one device.

    Parameters
    ----------
    params : iterable
        Tensors, ``(name, tensor)`` pairs or one group dict.
    lr : float or one-element Tensor
        Factor on the step, or the first step that the line search tries.
    max_iter, max_eval : int
        Iterations and evaluations a step; ``max_iter * 5 // 4`` evaluations by default.
    tolerance_grad : float
        Stop when no element of the gradient exceeds it.
    tolerance_change : float
        Stop when neither the loss nor any parameter changes by more.
    history_size : int
        How many gradients' differences are kept.
    line_search_fn : {None, "strong_wolfe"}
        How the step's length is found.
    """

    def __init__(
        self,
        params: Iterable,
        lr: Any = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_non_negative("LBFGS", lr=lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError(
                "LBFGS: all parameters must be in one group, for options of their own are not "
                f"supported, got {len(self.param_groups)} groups"
            )

    def _flat_grad(self) -> Any:
        return ember.cat(
            [
                _real(ember.zeros_like(p) if p.grad is None else p.grad).reshape(-1)
                for p in self.param_groups[0]["params"]
            ]
        )

    def _move(self, length: float, direction: Any) -> None:
        offset = 0
        for p in map(_real, self.param_groups[0]["params"]):
            part = direction[offset : offset + p.numel()]
            p.add_(part.view(p.shape), alpha=length)
            offset += p.numel()

    def step(self, closure: Callable[[], Any]) -> Any:
        """Make up to ``max_iter`` iterations.

        Parameters
        ----------
        closure : callable
            Clears the gradients, computes the loss and its gradients and returns the loss.

        Returns
        -------
        Tensor
            The loss before the step.
        """
        with ember.no_grad():
            return self._step(ember.enable_grad()(closure))

    def _step(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        lr = float(group["lr"])
        smallest_grad, smallest_change = group["tolerance_grad"], group["tolerance_change"]
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise RuntimeError(
                f"LBFGS: only 'strong_wolfe' is supported, got {group['line_search_fn']!r}"
            )
        # The state is of all parameters together and stands at the first one's.
        state = self.state[group["params"][0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        first_loss = closure()
        loss = float(first_loss)
        evaluations = 1
        state["func_evals"] += 1
        grad = self._flat_grad()
        if grad.abs().max() <= smallest_grad:
            return first_loss

        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            d = _direction(state, grad, group["history_size"])
            previous = state.get("prev_flat_grad")
            state["prev_flat_grad"] = grad.clone() if previous is None else previous.copy_(grad)
            state["prev_loss"] = before = loss
            t = lr
            if state["n_iter"] == 1:
                t *= min(1.0, 1.0 / float(grad.abs().sum()))
            state["d"], state["t"] = d, t
            slope = float(grad.dot(d))
            if slope > -smallest_change:
                break

            used = 0
            if group["line_search_fn"] is not None:
                loss, grad, t, used = self._search(
                    closure, _Point(0.0, loss, grad, slope), t, d, group["max_eval"] - evaluations
                )
                state["t"] = t
                self._move(t, d)
            else:
                self._move(t, d)
                # The last iteration's loss is left to the next step, whose batch may be another.
                if iteration != group["max_iter"]:
                    loss = float(closure())
                    grad = self._flat_grad()
                    used = 1
            evaluations += used
            state["func_evals"] += used
            if (
                evaluations >= group["max_eval"]
                or grad.abs().max() <= smallest_grad
                or (d * t).abs().max() <= smallest_change
                or abs(loss - before) < smallest_change
            ):
                break
        return first_loss

    def _search(
        self, closure: Callable[[], Any], start: _Point, t: float, d: Any, most: int
    ) -> tuple[float, Any, float, int]:
        params = self.param_groups[0]["params"]
        kept = [p.clone() for p in params]

        def evaluate(t: float) -> _Point:
            self._move(t, d)
            loss = float(closure())
            grad = self._flat_grad()
            for p, value in zip(params, kept, strict=True):
                p.copy_(value)
            return _Point(t, loss, grad, float(grad.dot(d)))

        point, used = _strong_wolfe(evaluate, start, t, float(d.abs().max()), most)
        return point.loss, point.grad, point.t, used


def _real(t: Any) -> Any:
    """The numbers a complex tensor consists of; others as they are."""
    return ember.view_as_real(t) if t.is_complex() else t


def _direction(state: dict[str, Any], grad: Any, history_size: int) -> Any:
    """Return minus the gradient times the estimated inverse Hessian."""
    if state["n_iter"] == 1:
        state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
        return grad.neg()
    dirs, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
    y = grad - state["prev_flat_grad"]
    s = state["d"] * state["t"]
    ys = y.dot(s)
    if ys > 1e-10:
        if len(dirs) == history_size:
            for history in (dirs, steps, ro):
                history.pop(0)
        dirs.append(y)
        steps.append(s)
        ro.append(1.0 / ys)
        state["H_diag"] = ys / y.dot(y)

    weights = state.setdefault("al", [None] * history_size)
    q = grad.neg()
    for i in range(len(dirs) - 1, -1, -1):
        weights[i] = steps[i].dot(q) * ro[i]
        q -= dirs[i] * weights[i]
    d = q * state["H_diag"]
    for i in range(len(dirs)):
        d += steps[i] * (weights[i] - dirs[i].dot(d) * ro[i])
    return d


class _Point(NamedTuple):
    """A step's length, the loss there, its gradient and its slope in the step's direction."""

    t: float
    loss: float
    grad: Any
    slope: float


def _strong_wolfe(
    evaluate: Callable[[float], _Point],
    start: _Point,
    t: float,
    longest: float,
    most: int,
    c1: float = 1e-4,
    c2: float = 0.9,
    smallest_change: float = 1e-9,
) -> tuple[_Point, int]:
    """Find a step that meets the strong Wolfe conditions (Nocedal and Wright, 2006, 3.5).

    ``longest`` is the direction's largest element, ``most`` the number of trials; returns the
    point and the number of evaluations.
    """

    def too_high(point: _Point) -> bool:
        return point.loss > start.loss + c1 * point.t * start.slope

    def flat(point: _Point) -> bool:
        return abs(point.slope) <= -c2 * start.slope

    # First a bracket that holds such a point, ever farther out.
    point, previous = evaluate(t), start
    trials = 0
    bracket = None
    while trials < most and bracket is None:
        if too_high(point) or (trials > 1 and point.loss >= previous.loss):
            bracket = [previous, point]
        elif flat(point):
            return point, trials + 1
        elif point.slope >= 0:
            bracket = [previous, point]
        else:
            bounds = (point.t + 0.01 * (point.t - previous.t), point.t * 10)
            t = _cubic_minimum(previous, point, bounds)
            previous, point = point, evaluate(t)
            trials += 1
    if bracket is None:
        bracket = [start, point]

    # Then the bracket is narrowed.
    stalled = False
    low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
    evaluations = trials + 1
    while trials < most and abs(bracket[1].t - bracket[0].t) * longest >= smallest_change:
        t = _cubic_minimum(*bracket)
        left, right = sorted(p.t for p in bracket)
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:
            # Close to the boundary twice, or on it: step away from it.
            if stalled or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                stalled = False
            else:
                stalled = True
        else:
            stalled = False
        point = evaluate(t)
        evaluations += 1
        trials += 1
        if too_high(point) or point.loss >= bracket[low].loss:
            bracket[high] = point
            low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
        else:
            done = flat(point)
            if not done and point.slope * (bracket[high].t - bracket[low].t) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = point
            if done:
                break
    return bracket[low], evaluations


def _cubic_minimum(a: _Point, b: _Point, bounds: tuple[float, float] | None = None) -> float:
    """Where the cubic through two points with their slopes is least, within bounds."""
    left, right = bounds or sorted((a.t, b.t))
    middle = (left + right) / 2.0
    if a.t == b.t:
        return middle
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return middle
    d2 = math.sqrt(square)
    if a.t > b.t:
        a, b = b, a
    curvature = b.slope - a.slope + 2 * d2
    if curvature == 0:
        return middle
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / curvature)
    return min(max(t, left), right)
