"""Recurrent networks."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

from ... import _C
from .. import init
from ..parameter import Parameter
from ..utils.rnn import PackedSequence
from .module import Module

Tensor = _C.Tensor

_FUNCTIONS = {
    "LSTM": (_C.lstm, 4),
    "GRU": (_C.gru, 3),
    "RNN_TANH": (_C.rnn_tanh, 1),
    "RNN_RELU": (_C.rnn_relu, 1),
}


def _reset(module: Module, hidden_size: int) -> None:
    bound = 1.0 / math.sqrt(hidden_size) if hidden_size > 0 else 0
    for weight in module.parameters():
        init.uniform_(weight, -bound, bound)


class RNNBase(Module):
    """What `RNN`, `LSTM` and `GRU` share.

    Parameters
    ----------
    mode : {"LSTM", "GRU", "RNN_TANH", "RNN_RELU"}
        Kind of the network; G, the number of its gates, is 4, 3, 1 and 1.
    input_size, hidden_size : int
        Widths of input and state, I and H.
    num_layers : int
        Layers; each but the first reads the one before.
    bias : bool
        Whether there are biases.
    batch_first : bool
        Whether padded input and output are ``(B, T, *)`` instead of ``(T, B, *)``.
    dropout : float
        Probability that an output of a layer but the last becomes 0 while training.
    bidirectional : bool
        Whether each layer also has a network that reads from the end; outputs are side by side.
    proj_size : int
        Width P to which an LSTM's states are projected; 0: none, P is H.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0 : Parameter
        Of shape ``(G H, I)`` and ``(G H, P)``, and so on for each layer (whose input is the output
        of the one before) and with the suffix ``_reverse`` for the other direction; all parameters
        are drawn from ``U(-1 / sqrt(H), 1 / sqrt(H))``.
    bias_ih_l0, bias_hh_l0 : Parameter
        Of shape ``(G H,)``.
    weight_hr_l0 : Parameter
        Of shape ``(P, H)``, with `proj_size`.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        number = isinstance(dropout, numbers.Number) and not isinstance(dropout, bool)
        if not number or not 0 <= dropout <= 1:
            raise ValueError(f"dropout must be a number in the range [0, 1], got {dropout!r}")
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                f"dropout is between layers: with num_layers=1 dropout={dropout} has no effect",
                stacklevel=3,
            )
        for name, value, kind in (
            ("bias", bias, bool),
            ("batch_first", batch_first, bool),
            ("input_size", input_size, int),
            ("hidden_size", hidden_size, int),
        ):
            if not isinstance(value, kind):
                raise TypeError(f"{name} must be a {kind.__name__}, got {type(value).__name__}")
        for name, value in (
            ("input_size", input_size),
            ("hidden_size", hidden_size),
            ("num_layers", num_layers),
        ):
            if value <= 0:
                raise ValueError(f"{name} must be positive, got {value}")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(
                f"proj_size must be positive and less than hidden_size={hidden_size}, or 0 for "
                f"none, got {proj_size}"
            )
        if mode not in _FUNCTIONS:
            raise ValueError(f"mode must be one of {', '.join(_FUNCTIONS)}, got {mode!r}")
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._flat_weights_names: list[str] = []
        self._all_weights: list[list[str]] = []

        rows, directions = _FUNCTIONS[mode][1] * hidden_size, 2 if bidirectional else 1
        state = proj_size or hidden_size
        for layer in range(num_layers):
            width = input_size if layer == 0 else state * directions
            shapes = {"weight_ih": (rows, width), "weight_hh": (rows, state)}
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            if proj_size:
                shapes["weight_hr"] = (proj_size, hidden_size)
            for suffix in ("", "_reverse")[:directions]:
                names = [f"{name}_l{layer}{suffix}" for name in shapes]
                for name, shape in zip(names, shapes.values(), strict=True):
                    setattr(self, name, Parameter(_C.empty(shape, device=device, dtype=dtype)))
                self._all_weights.append(names)
                self._flat_weights_names += names
        self.reset_parameters()

    def __setstate__(self, state: dict[str, Any]) -> None:
        # PyTorch pickles a list of the parameters beside them.
        extra = ("_flat_weights", "_flat_weight_refs")
        super().__setstate__({k: v for k, v in state.items() if k not in extra})

    @property
    def _flat_weights(self) -> list[Tensor]:
        return [getattr(self, name) for name in self._flat_weights_names]

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters, a list for each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def flatten_parameters(self) -> None:
        """Do nothing: parameters need not lie side by side."""

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        _reset(self, self.hidden_size)

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """Raise unless the input has the weights' dtype, 3 dims (packed: 2) and the width I."""
        weight = getattr(self, self._flat_weights_names[0])
        if input.dtype != weight.dtype:
            raise ValueError(
                f"{self._get_name()}: expected an input of the weights' dtype {weight.dtype}, got "
                f"{input.dtype}"
            )
        dims = 3 if batch_sizes is None else 2
        if input.dim() != dims:
            raise RuntimeError(
                f"{self._get_name()}: input must have {dims} dims, got {input.dim()}"
            )
        if input.size(-1) != self.input_size:
            raise RuntimeError(
                f"{self._get_name()}: input.size(-1) must be input_size={self.input_size}, got "
                f"{input.size(-1)}"
            )

    def get_expected_hidden_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """Give the shape that initial states must have for this input."""
        if batch_sizes is not None:
            batch = int(batch_sizes[0])
        else:
            batch = input.size(0 if self.batch_first else 1)
        layers = self.num_layers * (2 if self.bidirectional else 1)
        return layers, batch, self.proj_size or self.hidden_size

    def check_hidden_size(
        self,
        hx: Tensor,
        expected_hidden_size: tuple[int, int, int],
        msg: str = "Expected hidden size {}, got {}",
    ) -> None:
        """Raise unless `hx` has this shape."""
        if tuple(hx.shape) != tuple(expected_hidden_size):
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.shape)))

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """Raise unless input and initial states fit the network."""
        self.check_input(input, batch_sizes)
        expected = self.get_expected_hidden_size(input, batch_sizes)
        if self.mode != "LSTM":
            self.check_hidden_size(hidden, expected)
            return
        self.check_hidden_size(hidden[0], expected, "Expected hidden[0] size {}, got {}")
        cells = (*expected[:2], self.hidden_size)
        self.check_hidden_size(hidden[1], cells, "Expected hidden[1] size {}, got {}")

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """Reorder the sequences of states."""
        if permutation is None:
            return hx
        if isinstance(hx, tuple):
            return tuple(h.index_select(1, permutation) for h in hx)
        return hx.index_select(1, permutation)

    def _zeros(self, input: Tensor, batch_sizes: Tensor | None) -> Any:
        expected = self.get_expected_hidden_size(input, batch_sizes)
        state = _C.zeros(expected, dtype=input.dtype, device=input.device)
        if self.mode != "LSTM":
            return state
        if not self.proj_size:
            return state, state
        cells = (*expected[:2], self.hidden_size)
        return state, _C.zeros(cells, dtype=input.dtype, device=input.device)

    def _call(self, input: Tensor, batch_sizes: Tensor | None, hx: Any) -> tuple[Tensor, Any]:
        function, _ = _FUNCTIONS[self.mode]
        options = (self._flat_weights, self.bias, self.num_layers, self.dropout, self.training,
                   self.bidirectional)  # fmt: skip
        if batch_sizes is None:
            output, *states = function(input, hx, *options, self.batch_first)
        else:
            output, *states = function(input, batch_sizes, hx, *options)
        return output, tuple(states) if self.mode == "LSTM" else states[0]

    def _run(self, input: Tensor | PackedSequence, hx: Any) -> tuple[Any, Any]:
        if isinstance(input, PackedSequence):
            data, batch_sizes, sorted_indices, unsorted_indices = input
            if hx is None:
                hx = self._zeros(data, batch_sizes)
            else:
                hx = self.permute_hidden(hx, sorted_indices)
            self.check_forward_args(data, hx, batch_sizes)
            output, states = self._call(data, batch_sizes, hx)
            packed = PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices)
            return packed, self.permute_hidden(states, unsorted_indices)

        name = self._get_name()
        if input.dim() not in (2, 3):
            raise ValueError(f"{name}: Expected input to be 2D or 3D, got {input.dim()}D instead")
        batched, batch_dim = input.dim() == 3, 0 if self.batch_first else 1
        pair = isinstance(hx, (tuple, list))
        for state in () if hx is None else hx if pair else (hx,):
            if state.dim() != input.dim():
                raise RuntimeError(
                    f"{name}: for {'batched 3-D' if batched else 'unbatched 2-D'} input initial "
                    f"states must be {input.dim()}-D too, got {state.dim()}-D"
                )
        if not batched:
            input = input.unsqueeze(batch_dim)
            if hx is not None:
                hx = tuple(h.unsqueeze(1) for h in hx) if pair else hx.unsqueeze(1)
        if hx is None:
            hx = self._zeros(input, None)
        self.check_forward_args(input, hx, None)
        output, states = self._call(input, None, hx)
        if not batched:
            output = output.squeeze(batch_dim)
            states = (
                tuple(h.squeeze(1) for h in states) if self.mode == "LSTM" else states.squeeze(1)
            )
        return output, states

    def extra_repr(self) -> str:
        parts = [str(self.input_size), str(self.hidden_size)]
        for name, default in (
            ("proj_size", 0),
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0),
            ("bidirectional", False),
        ):
            if getattr(self, name) != default:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts)


class RNN(RNNBase):
    """Compute ``h = f(W_ih x + b_ih + W_hh h + b_hh)`` for each step (Elman, 1990).

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        As in `RNNBase`.
    nonlinearity : {"tanh", "relu"}
        The function f.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device=None,
        dtype=None,
        **unsupported: int,
    ) -> None:
        _refuse_projection("RNN", unsupported)
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        mode = f"RNN_{nonlinearity.upper()}"
        super().__init__(
            mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device=device, dtype=dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        """Run over sequences.

        Parameters
        ----------
        input : Tensor or PackedSequence
            ``(T, B, I)``, with `batch_first` ``(B, T, I)``, for one sequence ``(T, I)``; or packed.
        hx : Tensor, optional
            Initial states, ``(num_layers * directions, B, H)``; zeros by default.

        Returns
        -------
        tuple
            The last layer's states for all steps, laid out as the input, and the last states of
            all layers, shaped as `hx`.
        """
        return self._run(input, hx)


class LSTM(RNNBase):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997).

    ``i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of W_ih x + b_ih + W_hh h + b_hh``, and then
    ``c = f c + i g``, ``h = o tanh(c)``, projected to ``W_hr h`` with `proj_size`. Parameters are
    those of `RNNBase` but mode.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            proj_size, device, dtype,
        )  # fmt: skip

    def forward(
        self, input: Any, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Any, tuple[Tensor, Tensor]]:
        """Run over sequences.

        Parameters
        ----------
        input : Tensor or PackedSequence
            ``(T, B, I)``, with `batch_first` ``(B, T, I)``, for one sequence ``(T, I)``; or packed.
        hx : tuple of Tensor, optional
            Initial states, ``(num_layers * directions, B, P)``, and cells, ``(…, H)``; zeros by
            default.

        Returns
        -------
        tuple
            The last layer's states for all steps, laid out as the input, and the last states and
            cells of all layers, shaped as `hx`.
        """
        return self._run(input, hx)


class GRU(RNNBase):
    """Gated recurrent units (Cho et al., 2014).

    ``r, z = sigmoid of W_ih x + b_ih + W_hh h + b_hh``, and with the last third of the weights
    ``n = tanh(W_in x + b_in + r (W_hn h + b_hn))``; then ``h = (1 - z) n + z h``. Parameters are
    those of `RNNBase` but mode and proj_size.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device=None,
        dtype=None,
        **unsupported: int,
    ) -> None:
        _refuse_projection("GRU", unsupported)
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device=device, dtype=dtype,
        )  # fmt: skip

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        """Run over sequences; arguments and results as those of `RNN.forward`."""
        return self._run(input, hx)


def _refuse_projection(name: str, given: dict[str, int]) -> None:
    for argument in given:
        if argument == "proj_size":
            raise ValueError(f"{name}: only LSTM takes proj_size")
        raise TypeError(f"{name}: got an unexpected keyword argument {argument!r}")


class RNNCellBase(Module):
    """What the modules of a single step share.

    Parameters
    ----------
    input_size, hidden_size : int
        Widths of input and state, I and H.
    bias : bool
        Whether there are biases.
    num_chunks : int
        The number G of gates.

    Attributes
    ----------
    weight_ih, weight_hh : Parameter
        Of shape ``(G H, I)`` and ``(G H, H)``, drawn, as the biases, from
        ``U(-1 / sqrt(H), 1 / sqrt(H))``.
    bias_ih, bias_hh : Parameter or None
        Of shape ``(G H,)``.
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device=None,
        dtype=None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        shapes = {
            "weight_ih": (rows, input_size),
            "weight_hh": (rows, hidden_size),
            "bias_ih": (rows,),
            "bias_hh": (rows,),
        }
        for name, shape in shapes.items():
            missing = len(shape) == 1 and not bias
            value = None if missing else Parameter(_C.empty(shape, device=device, dtype=dtype))
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        _reset(self, self.hidden_size)

    def _run(self, function: Any, input: Tensor, hx: Any, pair: bool = False) -> Any:
        name = self._get_name()
        for what, t in (("input", input), *(("hidden", h) for h in _states(hx))):
            if t.dim() not in (1, 2):
                raise ValueError(f"{name}: Expected {what} to be 1D or 2D, got {t.dim()}D instead")
        batched = input.dim() == 2
        if not batched:
            input = input.unsqueeze(0)
        if hx is None:
            size = (input.size(0), self.hidden_size)
            state = _C.zeros(size, dtype=input.dtype, device=input.device)
            hx = (state, state) if pair else state
        elif not batched:
            hx = tuple(h.unsqueeze(0) for h in hx) if pair else hx.unsqueeze(0)
        result = function(input, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        if batched:
            return tuple(result) if pair else result
        return tuple(h.squeeze(0) for h in result) if pair else result.squeeze(0)

    def extra_repr(self) -> str:
        bias = "" if self.bias is True else f", bias={self.bias}"
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        more = "" if nonlinearity == "tanh" else f", nonlinearity={nonlinearity}"
        return f"{self.input_size}, {self.hidden_size}{bias}{more}"


def _states(hx: Any) -> tuple[Tensor, ...]:
    if hx is None:
        return ()
    return tuple(hx) if isinstance(hx, (tuple, list)) else (hx,)


class RNNCell(RNNCellBase):
    """One step of `RNN`.

    Parameters
    ----------
    input_size, hidden_size, bias
        As in `RNNCellBase`.
    nonlinearity : {"tanh", "relu"}
        The function that gives the state.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Give the state after input ``(B, I)`` or ``(I,)`` and state `hx`, zeros by default."""
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(
                f"RNNCell: nonlinearity must be 'tanh' or 'relu', got {self.nonlinearity!r}"
            )
        function = _C.rnn_tanh_cell if self.nonlinearity == "tanh" else _C.rnn_relu_cell
        return self._run(function, input, hx)


class LSTMCell(RNNCellBase):
    """One step of `LSTM`; parameters as in `RNNCellBase`."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device=None, dtype=None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Give state and cell after input ``(B, I)`` or ``(I,)`` and `hx`, zeros by default."""
        return self._run(_C.lstm_cell, input, hx, pair=True)


class GRUCell(RNNCellBase):
    """One step of `GRU`; parameters as in `RNNCellBase`."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device=None, dtype=None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Give the state after input ``(B, I)`` or ``(I,)`` and state `hx`, zeros by default."""
        return self._run(_C.gru_cell, input, hx)
