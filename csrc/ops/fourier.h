#pragma once

#include "autograd/record.h"

// Discrete Fourier transforms of contiguous or other float32, float64, complex64 and complex128
// tensors. X[k] = factor * sum of x[j] e^(-+ 2 pi i j k / n); inverse: with the plus.
namespace ember::ops {

Tensor fft_complex(const Tensor& x, const Dims& dims, double factor, bool inverse);
// A real line's first n / 2 + 1 items.
Tensor fft_to_half(const Tensor& x, int64_t dim, double factor);
// The inverse of a line of n items that is symmetric up to conjugation, given n / 2 + 1 of them.
Tensor fft_to_real(const Tensor& x, int64_t dim, int64_t n, double factor);

}  // namespace ember::ops
