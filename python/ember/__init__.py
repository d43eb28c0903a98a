"""Ember: a small, fast deep-learning framework with PyTorch's names and semantics.

``import ember as torch`` is enough for a program that uses what Ember has.
"""

from __future__ import annotations

import importlib
import math

from . import _C
from ._C import *
from ._C import Size, Tensor, _int_mm
from ._dtypes import finfo, iinfo
from .autograd.grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled

__version__ = "0.1.0"

e, inf, nan, pi = math.e, math.inf, math.nan, math.pi
newaxis = None

# Loaded on first use, so that importing ember stays a matter of milliseconds: submodules, and
# names with the submodule each is in.
_MODULES = set(
    "__config__ _dynamo accelerator amp as_torch autograd backends compiler cpu cuda distributed "
    "distributions fft fx hub jit library linalg multiprocessing nn onnx ops optim overrides "
    "profiler random serialization signal sparse special storage testing utils version".split()
)
_MATRIX_METHODS = (
    "addbmm addmv addr cholesky cholesky_inverse cholesky_solve cross det inner inverse kron "
    "logdet lu lu_solve matrix_exp matrix_power pinverse qr renorm slogdet svd trace "
    "triangular_solve vdot"
)
_NAMES = {
    name: module
    for module, names in {
        "_checks": "_assert _check _check_index _check_is_size _check_not_implemented _check_type "
        "_check_value",
        "_einsum": "einsum",
        "_legacy": "BFloat16Tensor BoolTensor ByteTensor CharTensor DoubleTensor FloatTensor "
        "HalfTensor IntTensor LongTensor ShortTensor set_default_tensor_type typename",
        "_gamma": "igamma igammac",
        "_matrix": _MATRIX_METHODS + " addmv_ chain_matmul lu_unpack tensordot",
        "_copies": "alias_copy as_strided_copy ccol_indices_copy col_indices_copy "
        "crow_indices_copy detach_copy diagonal_copy expand_copy indices_copy permute_copy "
        "row_indices_copy select_copy slice_copy split_copy split_with_sizes_copy squeeze_copy "
        "t_copy transpose_copy unbind_copy unfold_copy unsafe_chunk unsafe_split "
        "unsafe_split_with_sizes unsqueeze_copy values_copy view_as_complex_copy "
        "view_as_real_copy view_copy",
        "_compositions": "constant_pad_nd conv_tbc dropout_ empty_permuted frobenius_norm gcd_ "
        "get_device is_inference is_storage lcm_ ldexp_ nonzero_static norm_except_dim "
        "nuclear_norm range scalar_tensor segment_reduce",
        "_reflectors": "geqrf orgqr ormqr pca_lowrank svd_lowrank",
        "_sampling": "_sample_dirichlet _standard_gamma binomial poisson",
        "_missing_dtypes": "bits16 bits1x8 bits2x4 bits4x2 bits8 complex32 float4_e2m1fn_x2 "
        "float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu int1 int2 int3 "
        "int4 int5 int6 int7 qint32 qint8 quint2x4 quint4x2 quint8 uint1 uint16 uint2 uint3 uint32 "
        "uint4 uint5 uint6 uint64 uint7",
        "_settings": "compile compiled_with_cxx11_abi get_default_device "
        "get_deterministic_debug_mode get_device_module "
        "get_float32_matmul_precision get_num_interop_threads "
        "is_warn_always_enabled set_default_device set_deterministic_debug_mode "
        "set_float32_matmul_precision set_num_interop_threads set_warn_always",
        "_shapes": "atleast_1d atleast_2d atleast_3d block_diag broadcast_shapes cartesian_prod "
        "combinations meshgrid unravel_index vander",
        "_spectral": "istft stft",
        "_statistics": "corrcoef cov fill gradient histogram histogramdd is_nonzero logspace "
        "positive",
        "_tensor_str": "get_printoptions printoptions set_printoptions",
        "_windows": "bartlett_window blackman_window hamming_window hann_window kaiser_window",
        "amp": "GradScaler autocast",
        "amp.autocast_mode": "get_autocast_cpu_dtype get_autocast_dtype get_autocast_gpu_dtype "
        "is_autocast_cpu_enabled is_autocast_enabled set_autocast_cpu_dtype "
        "set_autocast_cpu_enabled set_autocast_dtype set_autocast_enabled set_autocast_gpu_dtype",
        "nn.functional": "alpha_dropout bilinear celu_ cosine_similarity feature_alpha_dropout "
        "pairwise_distance pdist rrelu rrelu_ selu_ threshold_",
        "serialization": "load save",
        "storage": "BFloat16Storage BoolStorage ByteStorage CharStorage ComplexDoubleStorage "
        "ComplexFloatStorage DoubleStorage FloatStorage HalfStorage IntStorage LongStorage "
        "ShortStorage TypedStorage UntypedStorage",
        "sparse": "hspmm smm sparse_compressed_tensor sparse_coo_tensor sparse_csc_tensor "
        "sparse_csr_tensor spmm dsmm sspaddmm",
        "_summary": "summary",
    }.items()
    for name in names.split()
}


def __getattr__(name: str):
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _NAMES:
        value = getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
        globals()[name] = value = _public(value, __name__)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _public(value: object, module: str) -> object:
    """The form that types and modes can override, of a function that an internal module defines."""
    internal = isinstance(value, type(_public)) and "._" in value.__module__
    if not internal:
        return value
    from ._overridable import overridable

    return overridable(value, module)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_NAMES})


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Expand tensors to their common shape; RuntimeError if they have none."""
    listed = len(tensors) == 1 and not isinstance(tensors[0], Tensor)
    return _C._broadcast_tensors(tensors[0] if listed else tensors)


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
    if _C._has_torch_function((self,)):
        return _C._handle_torch_function(Tensor.__repr__, (self,), (self,), {})
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


def _torch_function(cls, func, types, args=(), kwargs=None):
    """Call a function whose arguments are instances of subclasses; the results become such too.

    A subclass that overrides this sees every function and method that is called with an instance.
    """
    for other in types:
        if not issubclass(cls, other):
            return NotImplemented
    with _C.DisableTorchFunctionSubclass():
        result = func(*args, **(kwargs or {}))
        if func in _KEEP_TYPE:
            return result
        return _as_subclass(result, cls)


def _as_subclass(result, cls):
    if cls is Tensor:
        return result
    if isinstance(result, Tensor):
        return result if isinstance(result, cls) else result.as_subclass(cls)
    if isinstance(result, (tuple, list)) and not isinstance(result, Size):
        return type(result)([_as_subclass(item, cls) for item in result])
    return result


_KEEP_TYPE = {Tensor.grad.__get__, Tensor._base.__get__}


class _LazyMethod:
    """A method of Tensor whose module is imported when it is first looked up."""

    def __init__(self, name: str, module: str) -> None:
        self.name, self.module = name, module

    def __get__(self, instance: Tensor | None, owner: type) -> object:
        function = getattr(importlib.import_module(f"{__name__}.{self.module}"), self.name)
        function = _public(function, "ember.Tensor")
        setattr(Tensor, self.name, function)
        return function if instance is None else function.__get__(instance, owner)


for _module, _names in {
    "_matrix": _MATRIX_METHODS + " addbmm_ addmv_ addr_ renorm_",
    "_compositions": "const_data_ptr dim_order is_set_to map2_ new_empty_strided nonzero_static",
    "_copies": "unsafe_chunk unsafe_split unsafe_split_with_sizes",
    "_gamma": "igamma igamma_ igammac igammac_",
    "_reflectors": "geqrf orgqr ormqr",
    "_sampling": "cauchy_ geometric_ log_normal_",
    "_spectral": "istft stft",
    "_statistics": "apply_ corrcoef cov histogram is_nonzero map_ positive",
    "sparse": "smm sspaddmm",
    "sparse._convert": "to_sparse to_sparse_coo to_sparse_csr to_sparse_csc to_dense coalesce "
    "is_coalesced _coalesced_ indices _indices values _values _nnz sparse_dim dense_dim "
    "crow_indices col_indices ccol_indices row_indices sparse_mask",
    "sparse._operations": "sparse_resize_",
    "storage": "set_ storage untyped_storage",
}.items():
    for _name in _names.split():
        setattr(Tensor, _name, _LazyMethod(_name, _module))

Tensor.__torch_function__ = classmethod(_torch_function)
Tensor.__repr__ = _repr
Tensor.__str__ = _repr
Tensor.__format__ = _format
Tensor.__module__ = "ember"
