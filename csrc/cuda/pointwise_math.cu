#include "cuda/pointwise.cuh"
#include "kernels/formulas/elementary.h"
#include "kernels/formulas/error_function.h"
#include "kernels/formulas/functor.h"
#include "kernels/formulas/gamma.h"

// The functions of kernels/formulas/math.inc.
namespace ember::formulas::of {
#define EMBER_POINTWISE(inputs, name, cost, expression) EMBER_FUNCTOR(inputs, name, expression)
#include "kernels/formulas/math.inc"
}  // namespace ember::formulas::of

namespace ember::cuda {
namespace {

struct Bce {
    template <class V, class N>
    EMBER_DEVICE V operator()(V x, V target, N n) const {
        if (!(x >= V(0) && x <= V(1))) report(n.fault, Fault::What::NotProbability, n.operation);
        return formulas::bce(x, target);
    }
};

}  // namespace

void register_pointwise_math(const Table& table) {
    table.set(kernels::bce, float_kernel<Bce, 2>, kFloating);
#define EMBER_POINTWISE(inputs, name, cost, expression) \
    table.set(kernels::name, float_kernel<formulas::of::name, inputs>, kFloating);
#include "kernels/formulas/math.inc"
}

}  // namespace ember::cuda
