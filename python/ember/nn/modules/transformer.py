"""Transformers (Vaswani et al., 2017)."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from ... import _C
from .. import functional as F
from .. import init
from .activation import GELU, ReLU
from .attention import MultiheadAttention
from .container import ModuleList
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .normalization import LayerNorm

Tensor = _C.Tensor

_ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu}


def _activation(activation: str | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    if not isinstance(activation, str):
        return activation
    if activation not in _ACTIVATIONS:
        raise RuntimeError(f"activation should be relu/gelu, not {activation}")
    return _ACTIVATIONS[activation]


def _is_causal(mask: Tensor | None, is_causal: bool | None, x: Tensor, batch_first: bool) -> bool:
    """Whether `mask` hides what comes later and nothing else, where nobody says so."""
    if is_causal is not None or mask is None:
        return is_causal is True
    size = x.size(1 if batch_first and x.dim() == 3 else 0)
    if tuple(mask.shape) != (size, size):
        return False
    later = _C.ones((size, size), dtype=_C.bool, device=mask.device).triu(1)
    if mask.dtype != _C.bool:
        later = _C.zeros_like(mask).masked_fill(later, float("-inf"))
    return bool((mask == later).all())


def _hidden(padding: Tensor) -> Tensor:
    """A padding mask, bool or added to the scores, as bool: (N, S)."""
    return padding if padding.dtype == _C.bool else padding != 0


class _Layer(Module):
    """The blocks of encoder and decoder layers."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int,
        dropout: float,
        activation: str | Callable[[Tensor], Tensor],
        layer_norm_eps: float,
        batch_first: bool,
        norm_first: bool,
        bias: bool,
        device: Any,
        dtype: Any,
        crossed: bool,
    ) -> None:
        super().__init__()
        where = {"bias": bias, "device": device, "dtype": dtype}
        attention = {"dropout": dropout, "batch_first": batch_first, **where}
        self.self_attn = MultiheadAttention(d_model, nhead, **attention)
        if crossed:
            self.multihead_attn = MultiheadAttention(d_model, nhead, **attention)
        self.linear1 = Linear(d_model, dim_feedforward, **where)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **where)
        self.norm_first = norm_first
        count = 3 if crossed else 2
        for i in range(1, count + 1):
            setattr(self, f"norm{i}", LayerNorm(d_model, eps=layer_norm_eps, **where))
        for i in range(1, count + 1):
            setattr(self, f"dropout{i}", Dropout(dropout))

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if not hasattr(self, "activation"):
            self.activation = F.relu

    def _added(self, x: Tensor, norm: Module, block: Callable[[Tensor], Tensor]) -> Tensor:
        return x + block(norm(x)) if self.norm_first else norm(x + block(x))

    def _attend(self, attention: Module, dropout: Module, *args: Any, **kwargs: Any) -> Tensor:
        return dropout(attention(*args, need_weights=False, **kwargs)[0])

    def _ff_block(self, x: Tensor) -> Tensor:
        last = self.dropout3 if hasattr(self, "dropout3") else self.dropout2
        return last(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class TransformerEncoderLayer(_Layer):
    """Self-attention and a feed-forward network, each added to its input and normalised.

    Parameters
    ----------
    d_model : int
        Width ``E`` of input and output.
    nhead : int
        Heads of the attention.
    dim_feedforward : int
        Width of the hidden layer.
    dropout : float
        Probability of every dropout.
    activation : {"relu", "gelu"} or callable
        Of the hidden layer.
    layer_norm_eps : float
        For the normalisations.
    batch_first : bool
        Whether input and output are ``(N, S, E)`` instead of ``(S, N, E)``.
    norm_first : bool
        Normalise what goes into a block instead of the sum.
    bias : bool
        Whether projections and normalisations have biases.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first,
            norm_first, bias, device, dtype, crossed=False,
        )  # fmt: skip
        activation = _activation(activation)
        if activation is F.relu or isinstance(activation, ReLU):
            self.activation_relu_or_gelu = 1
        else:
            gelu = activation is F.gelu or isinstance(activation, GELU)
            self.activation_relu_or_gelu = 2 if gelu else 0
        self.activation = activation

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        def attend(x: Tensor) -> Tensor:
            return self._sa_block(x, src_mask, src_key_padding_mask, is_causal)

        return self._added(self._added(src, self.norm1, attend), self.norm2, self._ff_block)

    def _is_plain(self) -> bool:
        """Whether PyTorch has a fused kernel for a layer of these options."""
        attention = self.self_attn
        return (
            not self.norm_first
            and attention.batch_first
            and attention._qkv_same_embed_dim
            and attention.in_proj_bias is not None
            and self.activation_relu_or_gelu != 0
            and self.norm1.eps == self.norm2.eps
            and attention.num_heads % 2 == 0
        )

    def _sa_block(
        self, x: Tensor, attn_mask: Any, key_padding_mask: Any, is_causal: bool = False
    ) -> Tensor:
        return self._attend(
            self.self_attn, self.dropout1, x, x, x,
            attn_mask=attn_mask, key_padding_mask=key_padding_mask, is_causal=is_causal,
        )  # fmt: skip


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to an encoder's result, and a feed-forward network.

    The parameters are those of `TransformerEncoderLayer`.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first,
            norm_first, bias, device, dtype, crossed=True,
        )  # fmt: skip
        self.activation = _activation(activation)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        def attend(x: Tensor) -> Tensor:
            return self._sa_block(x, tgt_mask, tgt_key_padding_mask, tgt_is_causal)

        def look_up(x: Tensor) -> Tensor:
            return self._mha_block(
                x, memory, memory_mask, memory_key_padding_mask, memory_is_causal
            )

        x = self._added(tgt, self.norm1, attend)
        x = self._added(x, self.norm2, look_up)
        return self._added(x, self.norm3, self._ff_block)

    def _sa_block(
        self, x: Tensor, attn_mask: Any, key_padding_mask: Any, is_causal: bool = False
    ) -> Tensor:
        return self._attend(
            self.self_attn, self.dropout1, x, x, x,
            attn_mask=attn_mask, key_padding_mask=key_padding_mask, is_causal=is_causal,
        )  # fmt: skip

    def _mha_block(
        self,
        x: Tensor,
        mem: Tensor,
        attn_mask: Any,
        key_padding_mask: Any,
        is_causal: bool = False,
    ) -> Tensor:
        return self._attend(
            self.multihead_attn, self.dropout2, x, mem, mem,
            attn_mask=attn_mask, key_padding_mask=key_padding_mask, is_causal=is_causal,
        )  # fmt: skip


class TransformerEncoder(Module):
    """A stack of copies of one encoder layer, all with its start values.

    Parameters
    ----------
    encoder_layer : Module
        Copied.
    num_layers : int
        How often.
    norm : Module, optional
        Applied to the last layer's output.
    enable_nested_tensor : bool
        Whether the layers' results at padded positions are zeros in evaluation mode without
        gradients, where PyTorch leaves them out: see `_drops_padding`.
    mask_check : bool
        Whether that is so only where all padding is at the end.
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = ModuleList([deepcopy(encoder_layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.use_nested_tensor = (
            enable_nested_tensor
            and isinstance(encoder_layer, TransformerEncoderLayer)
            and encoder_layer._is_plain()
        )
        self.mask_check = mask_check

    def _drops_padding(self, src: Tensor, mask: Any, padding: Tensor | None) -> bool:
        """Whether PyTorch would compute the layers on nested tensors, without the padding.

        Nothing here is nested, but what a program sees at padded positions is the same.
        """
        first = self.layers[0]
        if not self.use_nested_tensor or first.training or src.dim() != 3 or _C._any_autocast():
            return False
        if padding is None or mask is not None:
            return False
        if _C.is_grad_enabled() and any(x.requires_grad for x in (src, *first.parameters())):
            return False
        hidden = _hidden(padding)
        return not self.mask_check or bool((hidden[:, 1:] >= hidden[:, :-1]).all())

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        batch_first = self.layers[0].self_attn.batch_first
        is_causal = _is_causal(mask, is_causal, src, batch_first)
        out = src
        for layer in self.layers:
            out = layer(
                out,
                src_mask=mask,
                is_causal=is_causal,
                src_key_padding_mask=src_key_padding_mask,
            )
        if self._drops_padding(src, mask, src_key_padding_mask):
            out = out.masked_fill(_hidden(src_key_padding_mask).unsqueeze(-1), 0.0)
        return out if self.norm is None else self.norm(out)


class TransformerDecoder(Module):
    """A stack of copies of one decoder layer, all with its start values.

    Parameters
    ----------
    decoder_layer : Module
        Copied.
    num_layers : int
        How often.
    norm : Module, optional
        Applied to the last layer's output.
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = ModuleList([deepcopy(decoder_layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        batch_first = self.layers[0].self_attn.batch_first
        tgt_is_causal = _is_causal(tgt_mask, tgt_is_causal, tgt, batch_first)
        out = tgt
        for layer in self.layers:
            out = layer(
                out,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=tgt_is_causal,
                memory_is_causal=memory_is_causal,
            )
        return out if self.norm is None else self.norm(out)


class Transformer(Module):
    """An encoder and a decoder that attends to its result.

    Parameters
    ----------
    d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, \
bias
        As of `TransformerEncoderLayer`.
    num_encoder_layers, num_decoder_layers : int
        Heights of the stacks.
    custom_encoder, custom_decoder : Module, optional
        In place of the stacks.
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = F.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        where = {"bias": bias, "device": device, "dtype": dtype}
        options = (dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first)
        if custom_encoder is None:
            layer = TransformerEncoderLayer(d_model, nhead, *options, **where)
            norm = LayerNorm(d_model, eps=layer_norm_eps, **where)
            custom_encoder = TransformerEncoder(layer, num_encoder_layers, norm)
        self.encoder = custom_encoder
        if custom_decoder is None:
            layer = TransformerDecoderLayer(d_model, nhead, *options, **where)
            norm = LayerNorm(d_model, eps=layer_norm_eps, **where)
            custom_decoder = TransformerDecoder(layer, num_decoder_layers, norm)
        self.decoder = custom_decoder
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def _reset_parameters(self) -> None:
        for p in self.parameters():
            if p.dim() > 1:
                init.xavier_uniform_(p)

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device=None, dtype=None) -> Tensor:
        """Return the ``(sz, sz)`` mask that is -inf where a key comes after the query, else 0."""
        return _C.full((sz, sz), float("-inf"), device=device, dtype=dtype).triu(1)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Encode ``src`` and decode ``tgt`` with it.

        Raises
        ------
        RuntimeError
            The batches or the widths do not fit.
        """
        batch = 0 if self.batch_first else 1
        if src.dim() == 3 and src.size(batch) != tgt.size(batch):
            raise RuntimeError(
                "Transformer: the batch number of src and tgt must be equal, got "
                f"{src.size(batch)} and {tgt.size(batch)}"
            )
        if src.size(-1) != self.d_model or tgt.size(-1) != self.d_model:
            raise RuntimeError(
                f"Transformer: src and tgt must have d_model={self.d_model} features, got "
                f"{src.size(-1)} and {tgt.size(-1)}"
            )
        memory = self.encoder(
            src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal
        )
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )
