#include "kernels/reduce.h"

#include "cpu/reduce_simple.h"

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

}  // namespace

void register_reduce(Table& table) {
    table.set(kernels::sum, simple<Sum>, kReal);
    table.set(kernels::prod, simple<Prod>, kReal);
    table.set(kernels::max, simple<Max>, kReal);
    table.set(kernels::min, simple<Min>, kReal);
    table.set(kernels::any, simple<Any>, kReal);
    table.set(kernels::all, simple<All>, kReal);
    table.set(kernels::argmax, arg<Max>, kReal);
    table.set(kernels::argmin, arg<Min>, kReal);
}

}  // namespace ember::cpu::EMBER_LEVEL
