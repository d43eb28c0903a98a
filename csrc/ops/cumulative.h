#pragma once

#include "ops/sort.h"

// Running results along one dim, and differences.
namespace ember::ops {

Tensor cumsum(const Tensor& x, int64_t dim, std::optional<DType> dtype, const Dest& dest);
Tensor cumprod(const Tensor& x, int64_t dim, std::optional<DType> dtype, const Dest& dest);
Tensor logcumsumexp(const Tensor& x, int64_t dim, const Dest& dest);
TensorPair cummax(const Tensor& x, int64_t dim);
TensorPair cummin(const Tensor& x, int64_t dim);
// The n-th difference; `prepend` and `append` may be undefined.
Tensor diff(const Tensor& x, int64_t n, int64_t dim, const Tensor& prepend, const Tensor& append,
            const Dest& out);
// The integral by the trapezoidal rule of samples y at x, or dx apart; and its running value.
Tensor trapezoid_x(const Tensor& y, const Tensor& x, int64_t dim);
Tensor trapezoid_dx(const Tensor& y, Number dx, int64_t dim);
Tensor cumulative_trapezoid_x(const Tensor& y, const Tensor& x, int64_t dim);
Tensor cumulative_trapezoid_dx(const Tensor& y, Number dx, int64_t dim);

}  // namespace ember::ops
