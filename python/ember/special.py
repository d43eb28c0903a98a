"""Special functions, under PyTorch's names in ``torch.special``."""

from __future__ import annotations

from ._C import (
    digamma,
    erf,
    erfc,
    erfinv,
    exp2,
    expm1,
    i0,
    log1p,
    log_softmax,
    logit,
    logsumexp,
    polygamma,
    round,
    sinc,
    softmax,
    xlogy,
)
from ._C import digamma as psi
from ._C import lgamma as gammaln
from ._C import mvlgamma as multigammaln
from ._C import sigmoid as expit
from ._C import special_bessel_j0 as bessel_j0
from ._C import special_bessel_j1 as bessel_j1
from ._C import special_bessel_y0 as bessel_y0
from ._C import special_bessel_y1 as bessel_y1
from ._C import special_entr as entr
from ._C import special_erfcx as erfcx
from ._C import special_i0e as i0e
from ._C import special_i1 as i1
from ._C import special_i1e as i1e
from ._C import special_log_ndtr as log_ndtr
from ._C import special_ndtr as ndtr
from ._C import special_ndtri as ndtri
from ._C import special_xlog1py as xlog1py
from ._C import special_zeta as zeta
from ._gamma import gammainc, gammaincc

__all__ = [
    "bessel_j0",
    "bessel_j1",
    "bessel_y0",
    "bessel_y1",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammainc",
    "gammaincc",
    "gammaln",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "round",
    "sinc",
    "softmax",
    "xlog1py",
    "xlogy",
    "zeta",
]
