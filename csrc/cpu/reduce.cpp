#include "kernels/reduce.h"

#include "cpu/reduce_norm.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

template <template <class> class K>
void simple(Context& ctx, const ReducePlan& p, double param) {
    dispatch_compute(p, [&](auto tag) {
        using C = typename decltype(tag)::type;
        reduce<Simple<C, K<C>>>(ctx, p, param);
    });
}

template <template <class> class K>
void arg(Context& ctx, const ReducePlan& p, int64_t* indices) {
    dispatch_compute(
        p, [&](auto tag) { reduce<Arg<typename decltype(tag)::type, K>>(ctx, p, 0, indices); });
}

template <template <class> class Impl>
void floating(Context& ctx, const ReducePlan& p, double param) {
    dispatch_float_compute(
        p, [&](auto tag) { reduce<Impl<typename decltype(tag)::type>>(ctx, p, param); });
}

void norm(Context& ctx, const ReducePlan& p, double param) {
    dispatch_float_compute(p, [&](auto tag) {
        using C = typename decltype(tag)::type;
        if (param == 2) return reduce<Simple<C, Norm<C, Power::Two>>>(ctx, p, param);
        if (param == 1) return reduce<Simple<C, Norm<C, Power::One>>>(ctx, p, param);
        if (param == 0) return reduce<Simple<C, Norm<C, Power::Zero>>>(ctx, p, param);
        if (std::isinf(param) && param > 0) {
            return reduce<Simple<C, Norm<C, Power::Largest>>>(ctx, p, param);
        }
        if (std::isinf(param)) return reduce<Simple<C, SmallestNorm<C>>>(ctx, p, param);
        if (param < 0) return reduce<Simple<C, NegativeNorm<C>>>(ctx, p, param);
        reduce<Simple<C, Norm<C, Power::Any>>>(ctx, p, param);
    });
}

}  // namespace

void register_reduce(Table& table) {
    table.set(kernels::sum, simple<Sum>, kReal);
    table.set(kernels::prod, simple<Prod>, kReal);
    table.set(kernels::max, simple<Max>, kReal);
    table.set(kernels::min, simple<Min>, kReal);
    table.set(kernels::any, simple<Any>, kReal);
    table.set(kernels::all, simple<All>, kReal);
    table.set(kernels::norm, norm, kFloating);
    table.set(kernels::variance, floating<Variance>, kFloating);
    table.set(kernels::logsumexp, floating<LogSumExp>, kFloating);
    table.set(kernels::argmax, arg<Max>, kReal);
    table.set(kernels::argmin, arg<Min>, kReal);
}

}  // namespace ember::cpu::EMBER_LEVEL
