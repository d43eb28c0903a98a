#include "ops/compare.h"

#include "ops/copy.h"
#include "ops/formula.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"

namespace ember::ops {

bool equal(const Tensor& a, const Tensor& b) {
    if (!same(a.sizes(), b.sizes())) return false;
    GradModeGuard no_grad(false);
    return read_item<bool>(all(eq(a, b), std::nullopt, false, {}));
}

Tensor isclose(const Tensor& a, const Tensor& b, double rtol, double atol, bool equal_nan) {
    EMBER_CHECK(a.dtype() == b.dtype(), "isclose: expected one dtype, got %s and %s",
                dtype_name(a.dtype()), dtype_name(b.dtype()));
    EMBER_CHECK(rtol >= 0, "isclose: rtol must be greater than or equal to zero, got %g", rtol);
    EMBER_CHECK(atol >= 0, "isclose: atol must be greater than or equal to zero, got %g", atol);
    GradModeGuard no_grad(false);
    Tensor close = eq(a, b);
    if (equal_nan && !is_integral(a.dtype()))
        close = logical_or(close, logical_and(isnan(a), isnan(b), {}), {});
    if (rtol == 0 && atol == 0) return close;
    DType dtype = is_integral(a.dtype()) ? modes::default_dtype() : a.dtype();
    Tensor x = to_dtype(a, dtype), y = to_dtype(b, dtype);
    Tensor error = abs(sub(x, y), {}), allowed = add(abs(mul(y, rtol), {}), atol);
    return logical_or(close, logical_and(isfinite(error), le(error, allowed), {}), {});
}

bool allclose(const Tensor& a, const Tensor& b, double rtol, double atol, bool equal_nan) {
    return read_item<bool>(all(isclose(a, b, rtol, atol, equal_nan), std::nullopt, false, {}));
}

}  // namespace ember::ops
