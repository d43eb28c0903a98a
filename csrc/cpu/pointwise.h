#pragma once

#include <type_traits>

#include "core/error.h"
#include "core/parallel.h"
#include "core/table.h"
#include "core/view.h"
#include "cpu/level.h"
#include "cpu/pointwise_shared.h"
#include "kernels/pointwise.h"

namespace ember::cpu::EMBER_LEVEL {
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

// Once a file: a kernel calls it last.
[[maybe_unused]] EMBER_NOINLINE void start(const Plan& plan, const LoopInfo& info) {
    if (EMBER_LIKELY(is_small_and_dense(plan, info))) {
        char* data[kMaxOperands];
        for (int i = 0; i < plan.operands; i++) data[i] = plan.operand[i].data;
        info.loop(data, plan.numel, plan.immediate, false);
    } else if (plan.numel > 0) {
        pointwise_shared.run(plan, info);
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
}  // namespace ember::cpu::EMBER_LEVEL
