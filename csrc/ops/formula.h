#pragma once

#include "ops/complex.h"
#include "ops/factory.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"

// Short forms for derivative formulas: mul(g, 0.5), add(y, 1.0), sum(x).
namespace ember::ops {

namespace formula {

inline Tensor add(const Tensor& a, const Tensor& b) {
    return ops::add(a, b, number(int64_t(1)), {});
}
inline Tensor add(const Tensor& a, double b) { return add(a, wrapped_number(number(b))); }
inline Tensor sub(const Tensor& a, const Tensor& b) {
    return ops::sub(a, b, number(int64_t(1)), {});
}
inline Tensor mul(const Tensor& a, double b) { return ops::mul(a, wrapped_number(number(b))); }
inline Tensor div(const Tensor& a, const Tensor& b) { return ops::div(a, b, std::nullopt, {}); }
inline Tensor sum(const Tensor& x) { return ops::sum(x, std::nullopt, false, std::nullopt, {}); }
inline Tensor sum(const Tensor& x, const Dims& dim, bool keepdim) {
    return ops::sum(x, dim, keepdim, std::nullopt, {});
}

// The gradient of what is constant by pieces, also where g is infinite.
inline Tensor no_slope(const Tensor& g) { return zeros(g.sizes(), g.options()); }

}  // namespace formula

using namespace formula;

}  // namespace ember::ops
