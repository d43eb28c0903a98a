#include "kernels/reduce.h"

#include "cpu/reduce_norm.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

// `narrow` is how many bytes integers may have for a block's result to fit int32.
template <template <class> class K, int narrow>
void simple(Context& ctx, const ReducePlan& p, double param) {
    dispatch_compute<narrow>(p, [&](auto tag) {
        using C = typename decltype(tag)::type;
        reduce<Simple<C, K<C>>>(ctx, p, param);
    });
}

template <template <class> class K>
void arg(Context& ctx, const ReducePlan& p, int64_t* indices) {
    dispatch_compute<4>(
        p, [&](auto tag) { reduce<Arg<typename decltype(tag)::type, K>>(ctx, p, 0, indices); });
}

void nansum(Context& ctx, const ReducePlan& p, double param) {
    dispatch_float_compute(p, [&](auto tag) {
        using C = typename decltype(tag)::type;
        reduce<Simple<C, NanSum<C>>>(ctx, p, param);
    });
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
    table.set(kernels::sum, simple<Sum, 2>, kReal);
    table.set(kernels::nansum, nansum, kFloating);
    table.set(kernels::prod, simple<Prod, 0>, kReal);
    table.set(kernels::max, simple<Max, 4>, kReal);
    table.set(kernels::min, simple<Min, 4>, kReal);
    table.set(kernels::any, simple<Any, 4>, kReal);
    table.set(kernels::all, simple<All, 4>, kReal);
    table.set(kernels::norm, norm, kFloating);
    table.set(kernels::variance, floating<Variance>, kFloating);
    table.set(kernels::logsumexp, floating<LogSumExp>, kFloating);
    table.set(kernels::argmax, arg<Max>, kReal);
    table.set(kernels::argmin, arg<Min>, kReal);
}

}  // namespace ember::cpu::EMBER_LEVEL
