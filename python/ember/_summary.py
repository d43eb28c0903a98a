"""A table of a model's modules: what each gives and how many parameters it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ember
from ember import Tensor


class Row:
    """One module of the table.

    Attributes
    ----------
    name : str
        Its path in the model, empty for the model itself.
    kind : str
        Its class.
    depth : int
        How many modules it is inside of.
    output : str
        The shape of what it gave last, empty if it was not called.
    calls : int
        How often it was called.
    parameters : int
        How many of its own it has, without those of its parts and those counted above.
    """

    def __init__(self, name: str, kind: str, depth: int, parameters: int) -> None:
        self.name = name
        self.kind = kind
        self.depth = depth
        self.parameters = parameters
        self.output = ""
        self.calls = 0


class Summary:
    """What `summary` found; its text is the table.

    Attributes
    ----------
    rows : list of Row
        The modules, a module before its parts.
    total_params, trainable_params : int
        How many parameters there are; shared ones count once.
    param_bytes, buffer_bytes : int
        The memory of parameters and buffers.
    """

    def __init__(self, model: Any) -> None:
        parameters = list(model.parameters())
        self.rows: list[Row] = []
        self.total_params = sum(p.numel() for p in parameters)
        self.trainable_params = sum(p.numel() for p in parameters if p.requires_grad)
        self.param_bytes = sum(p.numel() * p.element_size() for p in parameters)
        self.buffer_bytes = sum(b.numel() * b.element_size() for b in model.buffers())

    def __str__(self) -> str:
        lines = [("Module", "Output", "Parameters")]
        for row in self.rows:
            last = row.name.rpartition(".")[2]
            label = "  " * row.depth + (f"{last}: {row.kind}" if last else row.kind)
            output = row.output or "(not called)"
            if row.calls > 1:
                output += f" x{row.calls}"
            lines.append((label, output, f"{row.parameters:,}"))
        widths = [max(len(line[i]) for line in lines) for i in range(3)]
        texts = [f"{a:{widths[0]}}  {b:{widths[1]}}  {c:>{widths[2]}}" for a, b, c in lines]
        rule = "-" * (sum(widths) + 4)
        fixed = self.total_params - self.trainable_params
        totals = f"Parameters: {self.total_params:,}"
        if fixed:
            totals += f" ({self.trainable_params:,} trainable, {fixed:,} fixed)"
        memory = f"Memory: {self.param_bytes / 1e6:.2f} MB of parameters"
        if self.buffer_bytes:
            memory += f", {self.buffer_bytes / 1e6:.2f} MB of buffers"
        return "\n".join([texts[0], rule, *texts[1:], rule, totals, memory])

    __repr__ = __str__


def _shape(value: Any) -> str:
    if isinstance(value, Tensor):
        return str(tuple(value.shape))
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shape(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_shape, value)) + "]"
    return type(value).__name__


def _is_size(value: Any) -> bool:
    return isinstance(value, Sequence) and all(type(n) is int for n in value)


def _arguments(input: Any, device: Any, dtype: Any) -> tuple[tuple, dict[str, Any]]:
    """The arguments of a call from a tensor, sizes, or arguments by place or keyword."""
    if isinstance(input, Tensor):
        return (input,), {}
    if isinstance(input, Mapping):
        return (), dict(input)
    if not isinstance(input, list | tuple):
        raise TypeError(
            "summary: input must be a tensor, a size, or several in a tuple or dict, got "
            f"{type(input).__name__}"
        )
    parts = [input] if _is_size(input) else input
    made = [ember.zeros(p, device=device, dtype=dtype) if _is_size(p) else p for p in parts]
    return tuple(made), {}


def summary(
    model: Any, input: Any = None, *, input_size: Any = None, device: Any = None, dtype: Any = None
) -> Summary:
    """Describe a model, module by module; printing the result shows a table.

    The model is run once as in evaluation, without gradients, and is left as it was.

    Parameters
    ----------
    model : Module
        What to describe.
    input : tensor, size, tuple or dict, optional
        What to call it with: a tensor, a size of which zeros are made, several of either in a
        tuple, or keyword arguments. Without it nothing is run and shapes are left out.
    input_size : size or sequence of sizes, optional
        The same by another name.
    device, dtype : optional
        Of the zeros; by default those of the model's first parameter.

    Returns
    -------
    Summary
        The table.
    """
    if input is not None and input_size is not None:
        raise ValueError("summary: give either input or input_size, not both")
    input = input_size if input is None else input
    result = Summary(model)
    counted: set[int] = set()
    rows: dict[int, Row] = {}
    for name, module in model.named_modules():
        own = {id(p): p for p in module.parameters(recurse=False) if id(p) not in counted}
        counted.update(own)
        depth = name.count(".") + 1 if name else 0
        row = Row(name, type(module).__name__, depth, sum(p.numel() for p in own.values()))
        rows[id(module)] = row
        result.rows.append(row)
    if input is None:
        return result

    first = next((p for p in model.parameters() if p.is_floating_point()), None)
    if first is not None:
        device, dtype = device or first.device, dtype or first.dtype
    args, kwargs = _arguments(input, device, dtype)

    def note(module: Any, _: Any, output: Any) -> None:
        row = rows[id(module)]
        row.output = _shape(output)
        row.calls += 1

    modules = list(model.modules())
    modes = [module.training for module in modules]
    handles = [module.register_forward_hook(note) for module in modules]
    try:
        model.eval()
        with ember.no_grad():
            model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
    return result
