#include "kernels/special.h"

#include <limits>

#include "cpu/pointwise_float.h"
#include "kernels/formulas/bessel.h"
#include "kernels/formulas/elementary.h"
#include "kernels/formulas/functor.h"
#include "kernels/formulas/gamma.h"
#include "kernels/formulas/polynomial.h"

// The functions of kernels/formulas/special.inc.
namespace ember::formulas::of {
#define EMBER_SPECIAL(kind, inputs, name, expression) EMBER_FUNCTOR(inputs, name, expression)
#include "kernels/formulas/special.inc"
}  // namespace ember::formulas::of

namespace ember::cpu::EMBER_LEVEL {
namespace {

struct Floating {
    static constexpr DTypeMask kMask = kFloating;
    template <class F, int Inputs>
    static void kernel(Context&, const Plan& plan) {
        start(plan, kLoopInfo<F, Inputs, double, 16, Result::Same, false>);
    }
};

struct Integer {
    static constexpr DTypeMask kMask = kIntegers;
    struct Numbers {
        int64_t first;
    };
    template <class F, int Inputs>
    static void loop(char* const* data, int64_t n, const Number* immediate, bool) {
        static_assert(Inputs == 2);
        int64_t* out = reinterpret_cast<int64_t*>(data[0]);
        const int64_t* a = reinterpret_cast<const int64_t*>(data[1]);
        const int64_t* b = reinterpret_cast<const int64_t*>(data[2]);
        Numbers numbers{immediate[0].as<int64_t>()};
        for (int64_t i = 0; i < n; i++) out[i] = F{}(a[i], b[i], numbers);
    }
    template <class F, int Inputs>
    static void kernel(Context&, const Plan& plan) {
        constexpr DType dtype = DType::Int64;
        static constexpr LoopInfo info{loop<F, Inputs>, dtype, dtype, dtype, false, 16};
        start(plan, info);
    }
};

// The neighbour of a towards b: magnitudes are ordered as their bits are.
using Next = decltype([](auto a, auto b) {
    using V = decltype(a);
    using T = typename V::Scalar;
    using I = typename V::Int;
    I bits = bit_cast<typename I::Scalar>(a);
    V next = bit_cast<T>(bits + select((b > a) ^ (a < V(0)), I(1), I(-1)));
    next = select(a == V(0), copysign(V(std::numeric_limits<T>::denorm_min()), b), next);
    next = select((a == b) | (b != b), b, next);
    return select(a != a, a, next);
});

template <class H>
void next_half(char* const* data, int64_t n, const Number*, bool) {
    H* out = reinterpret_cast<H*>(data[0]);
    const H* a = reinterpret_cast<const H*>(data[1]);
    const H* b = reinterpret_cast<const H*>(data[2]);
    for (int64_t i = 0; i < n; i++)
        out[i] = {formulas::next_half(a[i].bits, b[i].bits, to_float(a[i]), to_float(b[i]))};
}
template <class H>
void next_half_kernel(const Plan& plan) {
    constexpr DType dtype = DTypeOf<H>::value;
    static constexpr LoopInfo info{next_half<H>, dtype, dtype, dtype, false, 1};
    start(plan, info);
}

void nextafter(Context& context, const Plan& plan) {
    switch (plan.compute) {
        case DType::Float16: return next_half_kernel<Half>(plan);
        case DType::BFloat16: return next_half_kernel<BFloat16>(plan);
        default: return kernel<Next, 2>(context, plan);
    }
}

}  // namespace

void register_special(Table& table) {
    table.set(kernels::nextafter, nextafter, kFloating);
#define EMBER_SPECIAL(kind, inputs, name, expression) \
    table.set(kernels::name, kind::kernel<formulas::of::name, inputs>, kind::kMask);
#include "kernels/formulas/special.inc"
}

}  // namespace ember::cpu::EMBER_LEVEL
