#include "ops/cross.h"

#include "kernels/cross.h"
#include "ops/copy.h"
#include "ops/factory.h"
#include "ops/formula.h"
#include "ops/launch.h"
#include "ops/plan.h"
#include "ops/shape.h"
#include "ops/view.h"

namespace ember::kernels {

EMBER_SLOT(cross)

}  // namespace ember::kernels

namespace ember::ops {

namespace {

// For dtypes and devices without a kernel: a[i] * b[i + 1] - a[i + 1] * b[i] is item i - 1.
Tensor cross_formula(const Tensor& a, const Tensor& b, int64_t d) {
    return roll(sub(mul(a, roll(b, {-1}, {d})), mul(roll(a, {-1}, {d}), b)), {-1}, {d});
}

}  // namespace

Tensor cross(const Tensor& input, const Tensor& other, int64_t dim) {
    const char* name = "linalg.cross";
    EMBER_CHECK(input.dim() == other.dim(),
                "%s: inputs must have the same number of dims, got %d and %d", name, input.dim(),
                other.dim());
    const int d = wrap_dim(name, dim, input.dim());
    EMBER_CHECK(input.dim() > 0 && input.size(d) == 3 && other.size(d) == 3,
                "%s: inputs dimension %ld must have length 3, got %s and %s", name, long(dim),
                to_string(input.sizes()).c_str(), to_string(other.sizes()).c_str());
    if (input.dtype() != other.dtype() || input.device() != other.device() ||
        !kernels::cross.serves(input.device().type, input.dtype()))
        return cross_formula(input, other, d);
    kernels::Cross g;
    Tensor result;
    {
        GradModeGuard no_grad(false);
        Dims sizes = broadcast_sizes(name, input.sizes(), other.sizes());
        Tensor a = contiguous(expand(input, sizes)), b = contiguous(expand(other, sizes));
        result = empty(sizes, input.options());
        g.inner = 1;
        for (int i = d + 1; i < result.dim(); i++) g.inner *= sizes[i];
        g.outer = g.inner ? result.numel() / (3 * g.inner) : 0;
        g.a = a.data();
        g.b = b.data();
        g.result = result.data();
        g.dtype = input.dtype();
        if (g.outer > 0) launch(kernels::cross, result.device(), result.numel(), g);
    }
    if (needs_grad(input, other))
        record("LinalgCrossBackward0", result, {input, other},
               [a = Saved(input), b = Saved(other), d](Backward& bw, const Tensor& grad) {
                   if (bw.needs(0)) bw.set(0, cross(b.get(bw), grad, d));
                   if (bw.needs(1)) bw.set(1, cross(grad, a.get(bw), d));
               });
    return result;
}

}  // namespace ember::ops
