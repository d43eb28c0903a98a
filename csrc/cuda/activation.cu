#include "cuda/pointwise.cuh"
#include "kernels/activation.h"
#include "kernels/formulas/activation.h"
#include "kernels/formulas/functor.h"

// The functions of kernels/formulas/activation.inc.
namespace ember::formulas::of {
#define EMBER_POINTWISE(inputs, name, cost, expression) EMBER_FUNCTOR(inputs, name, expression)
#include "kernels/formulas/activation.inc"
}  // namespace ember::formulas::of

namespace ember::cuda {

void register_activation(const Table& table) {
#define EMBER_POINTWISE(inputs, name, cost, expression) \
    table.set(kernels::name, float_kernel<formulas::of::name, inputs>, kFloating);
#include "kernels/formulas/activation.inc"
}

}  // namespace ember::cuda
