#include "ops/factor.h"

#include "kernels/factor.h"
#include "ops/copy.h"
#include "ops/factory.h"
#include "ops/launch.h"
#include "ops/plan.h"
#include "ops/view.h"

namespace ember::kernels {

EMBER_SLOT(lu_factor)
EMBER_SLOT(exchange_rows)
EMBER_SLOT(substitute)
EMBER_SLOT(cholesky)
EMBER_SLOT(qr_factor)
EMBER_SLOT(reflect)

}  // namespace ember::kernels

namespace ember::ops {

namespace {

Dims batch_of(const Tensor& x, int dims = 2) {
    return Dims(x.sizes().first(size_t(x.dim() - dims)));
}
Dims plus(Dims batch, int64_t a) {
    batch.push_back(a);
    return batch;
}
Dims plus(const Dims& batch, int64_t a, int64_t b) { return plus(plus(batch, a), b); }

int64_t product_of(const Dims& sizes) {
    int64_t n = 1;
    for (int64_t size : sizes) n *= size;
    return n;
}

// A copy of x, broadcast to a batch, that a kernel may write to.
Tensor fresh(const Tensor& x, const Dims& batch) {
    Dims sizes = plus(batch, x.size(-2), x.size(-1));
    return clone(to_device(same(x.sizes(), sizes) ? x : expand(x, sizes), {}),
                 MemoryFormat::Contiguous);
}
Tensor readable(const Tensor& x, const Dims& sizes) {
    return contiguous(to_device(same(x.sizes(), sizes) ? x : expand(x, sizes), {}));
}
TensorOptions here(DType dtype) { return {dtype, Device()}; }

template <class Problem>
void run(const Slot<void(Context&, const Problem&)>& slot, int64_t work, const Problem& g) {
    slot.require(Device(), g.dtype);
    if (g.batch > 0) launch(slot, Device(), work, g);
}
int64_t work_of(int64_t batch, int64_t n, int64_t m, int64_t k) {
    return int64_t(0.1 * double(batch) * double(n) * double(m) * double(k));
}

}  // namespace

Lu factor_lu(const Tensor& a) {
    GradModeGuard no_grad(false);
    kernels::LuFactor g;
    Dims batch = batch_of(a);
    g.batch = product_of(batch);
    g.m = a.size(-2);
    g.n = a.size(-1);
    g.dtype = a.dtype();
    const int64_t rank = g.m < g.n ? g.m : g.n;
    Tensor lu = fresh(a, batch), pivots = empty(plus(batch, rank), here(DType::Int32));
    Tensor info = empty(batch, here(DType::Int32)), sign = empty(batch, here(a.dtype()));
    g.a = lu.data();
    g.pivots = pivots.as<int32_t>();
    g.info = info.as<int32_t>();
    g.sign = sign.data();
    run(kernels::lu_factor, work_of(g.batch, g.m, g.n, rank), g);
    Device home = a.device();
    return {to_device(lu, home), to_device(pivots, home), to_device(info, home),
            to_device(sign, home)};
}

Tensor exchange_rows(const char* name, const Tensor& x, const Tensor& pivots, bool reverse) {
    GradModeGuard no_grad(false);
    EMBER_CHECK(pivots.dtype() == DType::Int32, "%s: expected pivots of int32, got %s", name,
                dtype_name(pivots.dtype()));
    EMBER_CHECK(pivots.dim() >= 1 && pivots.size(-1) <= x.size(-2),
                "%s: expected pivots for up to %ld rows, got shape %s", name, long(x.size(-2)),
                to_string(pivots.sizes()).c_str());
    check_same_device(name, x, pivots);
    kernels::ExchangeRows g;
    Dims batch = broadcast_sizes(name, batch_of(x), batch_of(pivots, 1));
    g.batch = product_of(batch);
    g.n = x.size(-2);
    g.columns = x.size(-1);
    g.count = pivots.size(-1);
    g.reverse = reverse;
    g.dtype = x.dtype();
    Tensor from = readable(pivots, plus(batch, g.count)), result = fresh(x, batch);
    g.pivots = from.as<int32_t>();
    for (int64_t i = 0, count = from.numel(); i < count; i++)
        EMBER_CHECK(g.pivots[i] >= 1 && g.pivots[i] <= g.n,
                    "%s: pivots must be from 1 to %ld, got %d", name, long(g.n), g.pivots[i]);
    g.b = result.data();
    run(kernels::exchange_rows, g.batch * g.count * g.columns, g);
    return to_device(result, x.device());
}

Tensor substitute(const char* name, const Tensor& a, const Tensor& b, bool upper, bool unit) {
    GradModeGuard no_grad(false);
    check_same_device(name, a, b);
    kernels::Substitute g;
    Dims batch = broadcast_sizes(name, batch_of(a), batch_of(b));
    g.batch = product_of(batch);
    g.n = a.size(-1);
    g.columns = b.size(-1);
    g.upper = upper;
    g.unit = unit;
    g.dtype = a.dtype();
    Tensor from = readable(a, plus(batch, g.n, g.n)), x = fresh(b, batch);
    g.a = from.data();
    g.b = x.data();
    run(kernels::substitute, work_of(g.batch, g.n, g.n, g.columns), g);
    return to_device(x, a.device());
}

std::tuple<Tensor, Tensor> factor_cholesky(const Tensor& a) {
    GradModeGuard no_grad(false);
    kernels::Cholesky g;
    Dims batch = batch_of(a);
    g.batch = product_of(batch);
    g.n = a.size(-1);
    g.dtype = a.dtype();
    Tensor u = fresh(a, batch), info = empty(batch, here(DType::Int32));
    g.a = u.data();
    g.info = info.as<int32_t>();
    run(kernels::cholesky, work_of(g.batch, g.n, g.n, g.n / 2), g);
    return {to_device(u, a.device()), to_device(info, a.device())};
}

std::tuple<Tensor, Tensor> factor_qr(const Tensor& a) {
    GradModeGuard no_grad(false);
    kernels::QrFactor g;
    Dims batch = batch_of(a);
    g.batch = product_of(batch);
    g.m = a.size(-2);
    g.n = a.size(-1);
    g.dtype = a.dtype();
    const int64_t rank = g.m < g.n ? g.m : g.n;
    Tensor packed = fresh(a, batch), tau = empty(plus(batch, rank), here(a.dtype()));
    g.a = packed.data();
    g.tau = tau.data();
    run(kernels::qr_factor, work_of(g.batch, g.m, g.n, 2 * rank), g);
    return {to_device(packed, a.device()), to_device(tau, a.device())};
}

namespace {

// c is contiguous and the CPU's.
Tensor reflect_in_place(const Tensor& a, const Tensor& tau, const Tensor& c, bool adjoint,
                        bool identity) {
    const int64_t most = a.dim() < 2 ? 0 : a.size(-1) < a.size(-2) ? a.size(-1) : a.size(-2);
    EMBER_CHECK(a.dim() >= 2 && tau.dim() == a.dim() - 1 && tau.size(-1) <= most &&
                    same(batch_of(a), batch_of(tau, 1)) && c.size(-2) == a.size(-2) &&
                    tau.dtype() == a.dtype() && c.dtype() == a.dtype(),
                "reflect: expected matrices of one dtype with a factor for each reflector, got %s, "
                "%s and %s",
                to_string(a.sizes()).c_str(), to_string(tau.sizes()).c_str(),
                to_string(c.sizes()).c_str());
    kernels::Reflect g;
    Tensor from = readable(a, Dims(a.sizes())), factors = readable(tau, Dims(tau.sizes()));
    g.batch = product_of(batch_of(a));
    g.m = a.size(-2);
    g.n = a.size(-1);
    g.count = tau.size(-1);
    g.columns = c.size(-1);
    g.a = from.data();
    g.tau = factors.data();
    g.c = c.data();
    g.adjoint = adjoint;
    g.identity = identity;
    g.dtype = a.dtype();
    run(kernels::reflect, work_of(g.batch, g.m, 2 * g.count, g.columns), g);
    return to_device(c, a.device());
}

}  // namespace

Tensor reflect(const Tensor& a, const Tensor& tau, const Tensor& c, bool adjoint) {
    GradModeGuard no_grad(false);
    return reflect_in_place(a, tau, fresh(c, batch_of(a)), adjoint, false);
}

Tensor reflectors(const Tensor& a, const Tensor& tau, int64_t columns) {
    GradModeGuard no_grad(false);
    Tensor c = empty(plus(batch_of(a), a.size(-2), columns), here(a.dtype()));
    return reflect_in_place(a, tau, c, false, true);
}

}  // namespace ember::ops
