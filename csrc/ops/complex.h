#pragma once

#include "autograd/record.h"

// Complex numbers and their parts. Conjugates are computed at once, never noted for later.
namespace ember::ops {

// Another header over the same memory, with a gradient: (...) complex and (..., 2) real.
Tensor view_as_real(const Tensor& x);
Tensor view_as_complex(const Tensor& x);
Tensor real(const Tensor& x);  // a view; x itself if it is real
Tensor imag(const Tensor& x);

Tensor complex(const Tensor& real, const Tensor& imag, const Dest& dest);
Tensor polar(const Tensor& abs, const Tensor& angle, const Dest& dest);
Tensor conj_physical(const Tensor& x, const Dest& dest);  // x itself if it is real
// What derivative formulas call: costs nothing for real dtypes, and leaves what was not saved.
inline Tensor conj(const Tensor& x) {
    return x.defined() && is_complex(x.dtype()) ? conj_physical(x, {}) : x;
}
Tensor mH(const Tensor& x);  // the conjugate of the last two dims swapped
Tensor adjoint(const Tensor& x);
Tensor angle(const Tensor& x, const Dest& dest);
Tensor sgn(const Tensor& x, const Dest& dest);

// Headers over the memory of x with no relation to it: real dtype and a last dim of 2, and back.
Tensor parts_of(const Tensor& x);
Tensor joined(const Tensor& parts);
// Raises where an operation asks for an order that complex numbers do not have.
void refuse_complex(const char* name, DType dtype);

// See logsumexp.
Tensor logsumexp_complex(const Tensor& x, const Dims& dim, bool keepdim, const Dest& dest);

}  // namespace ember::ops
