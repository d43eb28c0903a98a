"""What computes beside Ember's own kernels: nothing does, and these modules say so.

Settings can be made and read back, so that programs written for PyTorch run; none but
``fp32_precision`` and ``allow_tf32`` of `cuda.matmul` and `mkldnn.matmul` changes results.
"""

from . import cpu, cuda, cudnn, mkl, mkldnn, mps, openmp

__all__ = ["cpu", "cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]
