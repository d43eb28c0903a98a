#include "kernels/special.h"

#include <math.h>

#include "cpu/pointwise.h"
#include "kernels/formulas/bessel.h"
#include "kernels/formulas/elementary.h"
#include "kernels/formulas/functor.h"
#include "kernels/formulas/gamma.h"
#include "kernels/formulas/polynomial.h"

// The functions of kernels/formulas/special.inc: scalar loops, one a function.
namespace ember::formulas::of {
#define EMBER_SPECIAL(kind, inputs, name, expression) EMBER_FUNCTOR(inputs, name, expression)
#include "kernels/formulas/special.inc"
}  // namespace ember::formulas::of

namespace ember::cpu::EMBER_LEVEL {
namespace {

struct Floating {
    using Item = double;
    using Result = double;
    static constexpr DType kOut = DType::Float64;
    static constexpr int kCost = 16;
    static constexpr DTypeMask kMask = kFloating;
};
struct Single : Floating {
    using Item = float;
    using Result = float;
    static constexpr DType kOut = DType::Float32;
};
struct Integer {
    using Item = int64_t;
    using Result = int64_t;
    static constexpr DType kOut = DType::Int64;
    static constexpr int kCost = 16;
    static constexpr DTypeMask kMask = kIntegers;
};

template <class Item>
struct Numbers {
    Item first, second, third;
    EMBER_INLINE explicit Numbers(const Number* n)
        : first(n[0].as<Item>()), second(n[1].as<Item>()), third(n[2].as<Item>()) {}
};

template <class F, int Inputs, class Kind>
void loop(char* const* data, int64_t n, const Number* immediate, bool) {
    using Item = typename Kind::Item;
    using Result = typename Kind::Result;
    Result* out = reinterpret_cast<Result*>(data[0]);
    const Item* a = reinterpret_cast<const Item*>(data[1]);
    Numbers<Item> numbers(immediate);
    if constexpr (Inputs == 1) {
        for (int64_t i = 0; i < n; i++) out[i] = Result(F{}(a[i], numbers));
    } else {
        const Item* b = reinterpret_cast<const Item*>(data[2]);
        for (int64_t i = 0; i < n; i++) out[i] = Result(F{}(a[i], b[i], numbers));
    }
}

template <class F, int Inputs, class Kind>
void kernel(Context&, const Plan& plan) {
    constexpr DType in = DTypeOf<typename Kind::Item>::value;
    static constexpr LoopInfo info{loop<F, Inputs, Kind>, Kind::kOut, in, in, false, Kind::kCost};
    start(plan, info);
}

// The neighbour of a number is one of its own dtype.
using NextFloat = decltype([](float a, float b, auto) { return ::nextafterf(a, b); });
using NextDouble = decltype([](double a, double b, auto) { return ::nextafter(a, b); });

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
        case DType::Float32: return kernel<NextFloat, 2, Single>(context, plan);
        default: return kernel<NextDouble, 2, Floating>(context, plan);
    }
}

}  // namespace

void register_special(Table& table) {
    table.set(kernels::nextafter, nextafter, kFloating);
#define EMBER_SPECIAL(kind, inputs, name, expression) \
    table.set(kernels::name, kernel<formulas::of::name, inputs, kind>, kind::kMask);
#include "kernels/formulas/special.inc"
}

}  // namespace ember::cpu::EMBER_LEVEL
