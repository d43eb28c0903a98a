"""Settings of CUDA's libraries, which this build does not use."""

from __future__ import annotations

from typing import Any

from ._precision import Float32Precision


class _Matmul(Float32Precision):
    """Settings of matrix products."""

    def __init__(self) -> None:
        super().__init__("cuda")
        self.allow_fp16_reduced_precision_reduction = True
        self.allow_bf16_reduced_precision_reduction = True

    @property
    def allow_tf32(self) -> bool:
        """Whether products of float32 may use TF32."""
        return self.fp32_precision == "tf32"

    @allow_tf32.setter
    def allow_tf32(self, allowed: bool) -> None:
        self.fp32_precision = "tf32" if allowed else "ieee"


matmul = _Matmul()
_enabled = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True}


def is_built() -> bool:
    """Whether this build has CUDA kernels."""
    return False


def flash_sdp_enabled() -> bool:
    """Whether attention may use flash kernels, where there are some."""
    return _enabled["flash"]


def mem_efficient_sdp_enabled() -> bool:
    """Whether attention may use memory-efficient kernels, where there are some."""
    return _enabled["mem_efficient"]


def math_sdp_enabled() -> bool:
    """Whether attention may be composed of products and a softmax, as it always is here."""
    return _enabled["math"]


def cudnn_sdp_enabled() -> bool:
    """Whether attention may use cuDNN, where it is there."""
    return _enabled["cudnn"]


def _setter(name: str) -> Any:
    def enable(enabled: bool) -> None:
        _enabled[name] = bool(enabled)

    enable.__doc__ = f"Set what `{name}_sdp_enabled` answers."
    enable.__name__ = enable.__qualname__ = f"enable_{name}_sdp"
    return enable


enable_flash_sdp = _setter("flash")
enable_mem_efficient_sdp = _setter("mem_efficient")
enable_math_sdp = _setter("math")
enable_cudnn_sdp = _setter("cudnn")
