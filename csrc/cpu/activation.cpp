#include "kernels/activation.h"

#include "cpu/pointwise_float.h"
#include "kernels/formulas/activation.h"
#include "kernels/formulas/functor.h"

// The functions of kernels/formulas/activation.inc.
namespace ember::formulas::of {
#define EMBER_POINTWISE(inputs, name, cost, expression) EMBER_FUNCTOR(inputs, name, expression)
#include "kernels/formulas/activation.inc"
}  // namespace ember::formulas::of

namespace ember::cpu::EMBER_LEVEL {

void register_activation(Table& table) {
#define EMBER_POINTWISE(inputs, name, cost, expression) \
    table.set(kernels::name, kernel<formulas::of::name, inputs, cost>, kFloating);
#include "kernels/formulas/activation.inc"
}

}  // namespace ember::cpu::EMBER_LEVEL
