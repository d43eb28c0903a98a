#include "cuda/pointwise.cuh"
#include "kernels/formulas/bessel.h"
#include "kernels/formulas/elementary.h"
#include "kernels/formulas/functor.h"
#include "kernels/formulas/gamma.h"
#include "kernels/formulas/polynomial.h"
#include "kernels/special.h"

// The functions of kernels/formulas/special.inc.
namespace ember::formulas::of {
#define EMBER_SPECIAL(kind, inputs, name, expression) EMBER_FUNCTOR(inputs, name, expression)
#include "kernels/formulas/special.inc"
}  // namespace ember::formulas::of

namespace ember::cuda {
namespace {

struct Floating {
    using Item = double;
    static constexpr DTypeMask kMask = kFloating;
};
struct Integer {
    using Item = int64_t;
    static constexpr DTypeMask kMask = kIntegers;
};

template <class F, int Inputs, class Kind>
void kernel(Context& context, const Plan& plan) {
    run_general<F, typename Kind::Item, Inputs>(context, plan, false);
}

// The neighbour of a number is one of its own dtype. Halves are widened exactly.
struct Next {
    EMBER_DEVICE float operator()(float a, float b) const { return ::nextafterf(a, b); }
    EMBER_DEVICE double operator()(double a, double b) const { return ::nextafter(a, b); }
};
template <class H>
struct NextHalf {
    EMBER_DEVICE float operator()(float a, float b) const {
        return widen(H{formulas::next_half(narrow<H>(a).bits, narrow<H>(b).bits, a, b)});
    }
};

void nextafter(Context& context, const Plan& plan) {
    switch (plan.compute) {
        case DType::Float16: return run_general<NextHalf<Half>, float, 2>(context, plan, false);
        case DType::BFloat16:
            return run_general<NextHalf<BFloat16>, float, 2>(context, plan, false);
        case DType::Float32: return run_general<Next, float, 2>(context, plan, false);
        default: return run_general<Next, double, 2>(context, plan, false);
    }
}

}  // namespace

void register_special(const Table& table) {
    table.set(kernels::nextafter, nextafter, kFloating);
#define EMBER_SPECIAL(kind, inputs, name, expression) \
    table.set(kernels::name, kernel<formulas::of::name, inputs, kind>, kind::kMask);
#include "kernels/formulas/special.inc"
}

}  // namespace ember::cuda
