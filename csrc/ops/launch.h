#pragma once

#include "core/table.h"
#include "core/tensor.h"
#include "core/unlock.h"

// Defines a slot that kernels/<family>.h declares; stands in namespace ember::kernels.
#define EMBER_SLOT(name) decltype(name) name(#name);
// The same with a sibling for complex dtypes, which kernels/complex.h declares.
#define EMBER_SLOT_WITH_COMPLEX(name)                   \
    decltype(of_complex::name) of_complex::name(#name); \
    decltype(name) name(#name, &of_complex::name);

namespace ember::ops {

// Runs a kernel on `device`. `work` estimates nanoseconds on one core; long kernels run without
// Python's lock. The caller has asked the slot's mask (Slot::require) before it allocated.
template <class... Args, class... Given>
EMBER_INLINE void launch(const Slot<void(Context&, Args...)>& slot, Device device, int64_t work,
                         Given&&... args) {
    Context context(device);
    Unlocked unlocked(work);
    slot(device.type, context, std::forward<Given>(args)...);
}

}  // namespace ember::ops
