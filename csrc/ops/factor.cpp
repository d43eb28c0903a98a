#include "ops/factor.h"

#include "kernels/factor.h"
#include "ops/copy.h"
#include "ops/factory.h"
#include "ops/launch.h"
#include "ops/plan.h"
#include "ops/view.h"

namespace ember::kernels {

EMBER_SLOT(lu_factor)
EMBER_SLOT(substitute)

}  // namespace ember::kernels

namespace ember::ops {

namespace {

Dims batch_of(const Tensor& x) { return Dims(x.sizes().first(size_t(x.dim() - 2))); }

int64_t work_of(int64_t batch, int64_t n, int64_t m, int64_t k) {
    return int64_t(0.1 * double(batch) * double(n) * double(m) * double(k));
}

}  // namespace

std::tuple<Tensor, Tensor, Tensor> lu_factor(const Tensor& a) {
    EMBER_CHECK(a.dim() >= 2, "lu_factor: expected matrices, got shape %s",
                to_string(a.sizes()).c_str());
    kernels::lu_factor.require(a.device(), a.dtype());
    GradModeGuard no_grad(false);
    kernels::LuFactor g;
    g.m = a.size(-2);
    g.n = a.size(-1);
    Dims batch = batch_of(a), sizes = batch;
    sizes.push_back(g.m < g.n ? g.m : g.n);
    TensorOptions whole{DType::Int32, a.device()};
    Tensor lu = clone(a, MemoryFormat::Contiguous), pivots = empty(sizes, whole);
    Tensor info = zeros(batch, whole);
    g.batch = info.numel();
    g.a = lu.data();
    g.pivots = pivots.as<int32_t>();
    g.info = info.as<int32_t>();
    g.dtype = a.dtype();
    if (lu.numel() > 0)
        launch(kernels::lu_factor, a.device(), work_of(g.batch, g.m, g.n, sizes.back()), g);
    return {lu, pivots, info};
}

Tensor solve_triangular(const Tensor& a, const Tensor& b, bool upper, bool unit) {
    const char* name = "solve_triangular";
    EMBER_CHECK(a.dim() >= 2 && b.dim() >= 2 && a.size(-1) == a.size(-2) &&
                    a.size(-1) == b.size(-2) && a.dtype() == b.dtype(),
                "%s: expected square matrices and as many rows of one dtype, got %s and %s", name,
                to_string(a.sizes()).c_str(), to_string(b.sizes()).c_str());
    check_same_device(name, a, b);
    kernels::substitute.require(a.device(), a.dtype());
    GradModeGuard no_grad(false);
    Dims batch = broadcast_sizes(name, batch_of(a), batch_of(b));
    kernels::Substitute g;
    g.n = a.size(-1);
    g.columns = b.size(-1);
    Dims of_a = batch, of_b = batch;
    of_a.push_back(g.n), of_a.push_back(g.n);
    of_b.push_back(g.n), of_b.push_back(g.columns);
    Tensor from = contiguous(expand(a, of_a));
    Tensor x = clone(expand(b, of_b), MemoryFormat::Contiguous);
    g.batch = 1;
    for (int64_t size : batch) g.batch *= size;
    g.a = from.data();
    g.b = x.data();
    g.upper = upper;
    g.unit = unit;
    g.dtype = a.dtype();
    if (x.numel() > 0)
        launch(kernels::substitute, a.device(), work_of(g.batch, g.n, g.n, g.columns), g);
    return x;
}

}  // namespace ember::ops
