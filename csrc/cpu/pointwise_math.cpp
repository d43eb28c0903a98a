#include "cpu/pointwise_float.h"
#include "kernels/formulas/elementary.h"
#include "kernels/formulas/error_function.h"
#include "kernels/formulas/functor.h"
#include "kernels/formulas/gamma.h"

// The functions of kernels/formulas/math.inc.
namespace ember::formulas::of {
#define EMBER_POINTWISE(inputs, name, cost, expression) EMBER_FUNCTOR(inputs, name, expression)
#include "kernels/formulas/math.inc"
}  // namespace ember::formulas::of

namespace ember::cpu::EMBER_LEVEL {
namespace {

using Bce = decltype([](auto x, auto target) {
    using V = decltype(x);
    EMBER_CHECK(all((x >= V(0)) & (x <= V(1))),
                "binary_cross_entropy: all elements of input should be between 0 and 1");
    return formulas::bce(x, target);
});

}  // namespace

void register_pointwise_math(Table& table) {
    table.set(kernels::bce, kernel<Bce, 2, 4>, kFloating);
#define EMBER_POINTWISE(inputs, name, cost, expression) \
    table.set(kernels::name, kernel<formulas::of::name, inputs, cost>, kFloating);
#include "kernels/formulas/math.inc"
}

}  // namespace ember::cpu::EMBER_LEVEL
