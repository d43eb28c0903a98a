#pragma once

#include <optional>
#include <string_view>

#include "ops/plan.h"

// Pointwise operations: every one broadcasts, promotes and takes a destination (out= or in place).
// A Tensor made from a Python number (wrapped_number) may stand where PyTorch takes a number.
namespace ember::ops {

Tensor add(const Tensor& a, const Tensor& b, Number alpha, const Dest& dest);
Tensor sub(const Tensor& a, const Tensor& b, Number alpha, const Dest& dest);
Tensor rsub(const Tensor& a, const Tensor& b, Number alpha);
Tensor mul(const Tensor& a, const Tensor& b, const Dest& dest = {});
Tensor div(const Tensor& a, const Tensor& b, std::optional<std::string_view> rounding_mode,
           const Dest& dest);
Tensor floor_divide(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor remainder(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor fmod(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor pow(const Tensor& a, const Tensor& b, const Dest& dest = {});
Tensor maximum(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor minimum(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor addcmul(const Tensor& x, const Tensor& a, const Tensor& b, Number value, const Dest& dest);
Tensor addcdiv(const Tensor& x, const Tensor& a, const Tensor& b, Number value, const Dest& dest);
Tensor lerp(const Tensor& a, const Tensor& b, const Tensor& weight, const Dest& dest);

Tensor bitwise_and(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor bitwise_or(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor bitwise_xor(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor bitwise_not(const Tensor& x, const Dest& dest);

Tensor eq(const Tensor& a, const Tensor& b, const Dest& dest = {});
Tensor ne(const Tensor& a, const Tensor& b, const Dest& dest = {});
Tensor lt(const Tensor& a, const Tensor& b, const Dest& dest = {});
Tensor le(const Tensor& a, const Tensor& b, const Dest& dest = {});
Tensor gt(const Tensor& a, const Tensor& b, const Dest& dest = {});
Tensor ge(const Tensor& a, const Tensor& b, const Dest& dest = {});
Tensor logical_and(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor logical_or(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor logical_xor(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor logical_not(const Tensor& x, const Dest& dest);
Tensor isnan(const Tensor& x);
Tensor isinf(const Tensor& x);
Tensor isfinite(const Tensor& x);
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b, const Dest& dest = {});
Tensor masked_fill(const Tensor& x, const Tensor& mask, const Tensor& value, const Dest& dest = {});

Tensor neg(const Tensor& x, const Dest& dest = {});
Tensor abs(const Tensor& x, const Dest& dest);
// -1, 0 or 1. Real dtypes alone; ops/complex.h has sgn for all.
Tensor sign(const Tensor& x, const Dest& dest = {});
Tensor square(const Tensor& x, const Dest& dest = {});
Tensor reciprocal(const Tensor& x, const Dest& dest);
Tensor floor(const Tensor& x, const Dest& dest);
Tensor ceil(const Tensor& x, const Dest& dest);
Tensor round(const Tensor& x, const Dest& dest);
Tensor trunc(const Tensor& x, const Dest& dest);
Tensor exp(const Tensor& x, const Dest& dest = {});
Tensor exp2(const Tensor& x, const Dest& dest);
Tensor expm1(const Tensor& x, const Dest& dest);
Tensor log(const Tensor& x, const Dest& dest = {});
Tensor log2(const Tensor& x, const Dest& dest);
Tensor log10(const Tensor& x, const Dest& dest);
Tensor log1p(const Tensor& x, const Dest& dest);
Tensor sqrt(const Tensor& x, const Dest& dest = {});
Tensor rsqrt(const Tensor& x, const Dest& dest);
Tensor sin(const Tensor& x, const Dest& dest = {});
Tensor cos(const Tensor& x, const Dest& dest = {});
Tensor erf(const Tensor& x, const Dest& dest = {});
Tensor tanh(const Tensor& x, const Dest& dest = {});
Tensor sigmoid(const Tensor& x, const Dest& dest = {});
Tensor relu(const Tensor& x, const Dest& dest = {});
Tensor silu(const Tensor& x, const Dest& dest);
Tensor gelu(const Tensor& x, std::string_view approximate, const Dest& dest);
Tensor softplus(const Tensor& x, double beta, double threshold);
Tensor log_sigmoid(const Tensor& x);
Tensor leaky_relu(const Tensor& x, double slope, const Dest& dest);
Tensor clamp(const Tensor& x, std::optional<Number> min, std::optional<Number> max,
             const Dest& dest);
Tensor clamp_tensor(const Tensor& x, const Tensor& min, const Tensor& max, const Dest& dest);

}  // namespace ember::ops
