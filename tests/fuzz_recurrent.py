"""Plausible arguments of recurrent networks and of their cells; see `fuzz_recipes.py`."""

from collections.abc import Callable

from fuzz_arguments import Arguments
from fuzz_recipes import RECIPES, Call, floating, sizes

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def recurrent(kind: str) -> Callable[[Arguments], Call]:
    def call(make: Arguments) -> Call:
        floating(make)
        width, hidden, layers, directions, batch = sizes(make, 5, (1, 2, 2, 3))
        directions, rows = min(directions, 2), GATES[kind] * hidden
        params = []
        for layer in range(layers):
            wide = width if layer == 0 else directions * hidden
            for _ in range(directions):
                params += [make.tensor([rows, wide]), make.tensor([rows, hidden])]
        shape = [layers * directions, batch, hidden]
        hx = [make.tensor(shape), make.tensor(shape)] if kind == "lstm" else make.tensor(shape)
        options = [params, False, layers, make.draw([0.0, 0.5]), make.chance(0.5), directions == 2]
        if make.chance(0.5):
            counts = sorted([batch, *sizes(make, 2, (0, 1, batch))], reverse=True)
            counts = [min(n, batch) for n in counts]
            steps = make.torch.tensor(counts)
            return [make.tensor([sum(counts), width]), steps, hx, *options], {}
        first = make.chance(0.5)
        (steps,) = sizes(make, 1)
        lead = [batch, steps] if first else [steps, batch]
        return [make.tensor([*lead, width]), hx, *options, first], {}

    return call


def recurrent_cell(kind: str) -> Callable[[Arguments], Call]:
    def call(make: Arguments) -> Call:
        floating(make)
        batch, width, hidden = sizes(make, 3, (0, 1, 2, 5, 17))
        h, c = make.tensor([batch, hidden]), make.tensor([batch, hidden])
        rows = GATES[kind] * hidden
        weights = [make.tensor([rows, width]), make.tensor([rows, hidden])]
        biases = [make.tensor([rows]) if make.chance(0.5) else None for _ in range(2)]
        return [make.tensor([batch, width]), [h, c] if kind == "lstm" else h, *weights, *biases], {}

    return call


for kind in GATES:
    RECIPES[kind] = recurrent(kind)
    RECIPES[kind + "_cell"] = recurrent_cell(kind)
