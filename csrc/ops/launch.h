#pragma once

#include "core/table.h"
#include "core/tensor.h"
#include "core/unlock.h"

// Defines a slot that kernels/<family>.h declares; stands in namespace ember::kernels.
#define EMBER_SLOT(name) decltype(name) name(#name);

namespace ember::ops {

// Runs a kernel on `device`. `work` estimates nanoseconds on one core; long kernels run without
// Python's lock. A GPU's are only queued. The caller has asked the slot's mask (Slot::require)
// before it allocated.
template <class... Args, class... Given>
EMBER_INLINE void launch(const Slot<void(Context&, Args...)>& slot, Device device, int64_t work,
                         Given&&... args) {
    Context context(device);
    if (EMBER_LIKELY(device.is_cpu())) {
        Unlocked unlocked(work);
        slot(device.type, context, std::forward<Given>(args)...);
    } else {
        if (EMBER_UNLIKELY(!slot.fn[int(device.type)]))
            raise(ErrorKind::NotImplemented, "%s: no CUDA kernel", slot.name);
        context.operation = slot.name;
        slot(device.type, context, std::forward<Given>(args)...);
        context.finish();
    }
}

}  // namespace ember::ops
