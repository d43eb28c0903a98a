"""Ember: a small, fast deep-learning framework with PyTorch's names and semantics.

``import ember as torch`` is enough for a program that uses what Ember has.
"""

from __future__ import annotations

import importlib
import math

from . import _C
from ._C import *
from ._C import Tensor
from ._dtypes import finfo, iinfo
from .autograd.grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled

__version__ = "0.1.0"

e, inf, nan, pi = math.e, math.inf, math.nan, math.pi
newaxis = None

# Loaded on first use, so that importing ember stays a matter of milliseconds: submodules, and
# names with the submodule each is in.
_MODULES = set(
    "autograd backends cuda jit linalg nn optim serialization special storage testing utils "
    "version".split()
)
_MATRIX_METHODS = (
    "addbmm addmv addr cholesky cholesky_inverse cholesky_solve cross det inner inverse kron "
    "logdet lu lu_solve matrix_exp matrix_power pinverse qr renorm slogdet svd trace "
    "triangular_solve vdot"
)
_NAMES = {
    name: module
    for module, names in {
        "_einsum": "einsum",
        "_legacy": "BFloat16Tensor BoolTensor ByteTensor CharTensor DoubleTensor FloatTensor "
        "HalfTensor IntTensor LongTensor ShortTensor set_default_tensor_type typename",
        "_matrix": _MATRIX_METHODS + " addmv_ chain_matmul lu_unpack tensordot",
        "_quantized": "qint32 qint8 quint2x4 quint4x2 quint8",
        "_settings": "compile get_float32_matmul_precision set_float32_matmul_precision",
        "_shapes": "atleast_1d atleast_2d atleast_3d block_diag broadcast_shapes cartesian_prod "
        "combinations meshgrid unravel_index vander",
        "_tensor_str": "get_printoptions printoptions set_printoptions",
        "nn.functional": "alpha_dropout bilinear celu_ cosine_similarity feature_alpha_dropout "
        "pairwise_distance pdist rrelu rrelu_ selu_ threshold_",
        "serialization": "load save",
        "storage": "BFloat16Storage BoolStorage ByteStorage CharStorage ComplexDoubleStorage "
        "ComplexFloatStorage DoubleStorage FloatStorage HalfStorage IntStorage LongStorage "
        "ShortStorage TypedStorage UntypedStorage",
    }.items()
    for name in names.split()
}


def __getattr__(name: str):
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _NAMES:
        value = getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_NAMES})


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Expand tensors to their common shape; RuntimeError if they have none."""
    return _C._broadcast_tensors(tensors[0] if len(tensors) == 1 else tensors)


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for deterministic algorithms alone. On the CPU every result already is."""
    _C._set_deterministic(mode, warn_only)


def show_config() -> str:
    """Describe the build and the machine as Ember uses it, one fact a line."""
    lines = [
        f"ember {__version__}",
        f"CPU kernels: {_C._cpu_level()}",
        f"threads: {_C.get_num_threads()}",
    ]
    return "\n".join(lines)


def _repr(self: Tensor, *, tensor_contents: str | None = None) -> str:
    from ._tensor_str import _str

    return _str(self)


def _format(self: Tensor, spec: str) -> str:
    if self.dim() == 0 and type(self) is Tensor:
        return format(self.item(), spec)
    return object.__format__(self, spec)


def _new(self: Tensor, *args, device=None) -> Tensor:
    """Make a tensor of this dtype from sizes or data, as ``FloatTensor(*args)`` does."""
    made = _C._legacy_new(self.dtype, args)
    return made.to(self.device if device is None else device)


Tensor.new = _new


class _LazyMethod:
    """A method of Tensor whose module is imported when it is first looked up."""

    def __init__(self, name: str, module: str) -> None:
        self.name, self.module = name, module

    def __get__(self, instance: Tensor | None, owner: type) -> object:
        function = getattr(importlib.import_module(f"{__name__}.{self.module}"), self.name)
        setattr(Tensor, self.name, function)
        return function if instance is None else function.__get__(instance, owner)


for _name in (_MATRIX_METHODS + " addbmm_ addmv_ addr_ renorm_").split():
    setattr(Tensor, _name, _LazyMethod(_name, "_matrix"))
for _name in ("set_", "storage", "untyped_storage"):
    setattr(Tensor, _name, _LazyMethod(_name, "storage"))

Tensor.__repr__ = _repr
Tensor.__str__ = _repr
Tensor.__format__ = _format
Tensor.__module__ = "ember"
