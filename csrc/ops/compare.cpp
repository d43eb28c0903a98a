#include "ops/compare.h"

#include <algorithm>

#include "ops/copy.h"
#include "ops/formula.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/view.h"

namespace ember::ops {

bool equal(const Tensor& a, const Tensor& b) {
    if (!same(a.sizes(), b.sizes())) return false;
    GradModeGuard no_grad(false);
    auto agree = [](const Tensor& x, const Tensor& y) {
        return read_item<bool>(all(eq(x, y), std::nullopt, false, {}));
    };
    int64_t n = a.numel(), length = 4096;
    if (n <= length || !a.device().is_cpu() || !a.is_contiguous() || !b.is_contiguous())
        return agree(a, b);
    // By parts: most tensors that differ do so soon, and parts stay in the cache.
    Tensor x = reshape(a, {-1}), y = reshape(b, {-1});
    for (int64_t start = 0; start < n; start += length, length = 1 << 18) {
        length = std::min(length, n - start);
        if (!agree(narrow(x, 0, start, length), narrow(y, 0, start, length))) return false;
    }
    return true;
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
