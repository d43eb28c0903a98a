#pragma once

#include <type_traits>

#include "core/error.h"
#include "core/parallel.h"
#include "core/table.h"
#include "core/view.h"
#include "cpu/level.h"
#include "kernels/pointwise.h"

// How a pointwise kernel runs. A formula is compiled once a level and compute type, as a loop over
// dense memory. Operands that are dense and of that type are used in place; others are gathered and
// converted by blocks through buffers in the first-level cache, by code that all formulas share.
namespace ember::cpu {

// data[0] is the output. n items of each operand are dense. A loop told to stream may write past
// the caches, if it can.
using Loop = void (*)(char* const* data, int64_t n, const Number* immediate, bool stream);

struct LoopInfo {
    Loop loop;
    DType out, in;  // what the loop's memory holds
    DType first;    // of the first input, where it differs from the other inputs
    // Python numbers beside halves enter in float precision instead of being rounded to the half:
    // where PyTorch does so.
    bool exact_numbers;
    int cost;  // of an item, relative to reading and writing it
};

// What the float kernels hand integers to; compiled up to avx2.
struct IntegerKernels {
    using Kernel = void (*)(Context&, const Plan&);
    Kernel add, mul, floor_divide, trunc_divide, remainder, fmod, pow, maximum, minimum;
    Kernel eq, ne, lt, le, gt, ge;
    Kernel neg, abs, sign, square, identity, relu, clamp, addcmul;
};

#define EMBER_SHARED_POINTWISE                                  \
    void run_pointwise(const Plan& plan, const LoopInfo& info); \
    extern const IntegerKernels integer_kernels;
namespace baseline {
EMBER_SHARED_POINTWISE
}
namespace avx2 {
EMBER_SHARED_POINTWISE
}
#undef EMBER_SHARED_POINTWISE

#if EMBER_LEVEL_NUMBER == 0
namespace shared = baseline;
#else
namespace shared = avx2;
#endif

namespace EMBER_LEVEL {
namespace {

// Bytes below which a dense plan goes straight to its loop.
constexpr int64_t kSmallBytes = 32 * 1024;

// One dense run of what the loop computes on: the case of small tensors.
EMBER_INLINE bool is_small_and_dense(const Plan& plan, const LoopInfo& info) {
    if (plan.ndim != 1 || plan.numel * item_size(info.in) * info.cost > kSmallBytes) return false;
    const Plan::Operand* operand = plan.operand;
    bool single = plan.numel == 1;
    if (operand[0].dtype != info.out) return false;
    if (operand[0].strides[0] != item_size(info.out) && !single) return false;
    DType dtype = info.first;
    for (int i = 1; i < plan.operands; i++, dtype = info.in)
        if (operand[i].dtype != dtype || (operand[i].strides[0] != item_size(dtype) && !single))
            return false;
    return true;
}

EMBER_INLINE void start(const Plan& plan, const LoopInfo& info) {
    if (EMBER_LIKELY(is_small_and_dense(plan, info))) {
        char* data[kMaxOperands];
        for (int i = 0; i < plan.operands; i++) data[i] = plan.operand[i].data;
        info.loop(data, plan.numel, plan.immediate, false);
    } else if (plan.numel > 0) {
        shared::run_pointwise(plan, info);
    }
}

// f(items..., numbers) where f takes the plan's numbers, else f(items...).
template <class F, class N, class... V>
EMBER_INLINE auto call(F f, const N& numbers, V... items) {
    if constexpr (std::is_invocable_v<F, V..., const N&>)
        return f(items..., numbers);
    else
        return f(items...);
}

}  // namespace
}  // namespace EMBER_LEVEL
}  // namespace ember::cpu
