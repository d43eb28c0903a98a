#pragma once

#include "core/device.h"
#include "core/dtype.h"

namespace ember {

// A named kernel: one function pointer a device, with the dtypes each serves. Slots are declared
// `extern` in kernels/<family>.h and defined once, in ops/<family>.cpp.
struct SlotBase {
    const char* name;
    void (*fn[kDeviceTypeCount])() = {};
    DTypeMask mask[kDeviceTypeCount] = {};
    SlotBase* next = nullptr;  // all slots, for listing

    EMBER_EXPORT explicit SlotBase(const char* slot_name);
    EMBER_INLINE bool serves(DeviceType device, DType dtype) const {
        return mask[int(device)].has(dtype);
    }
    // Throws NotImplementedError `softmax: no CUDA kernel for int32`.
    EMBER_EXPORT void require(Device device, DType dtype) const;
    EMBER_EXPORT static const SlotBase* first();
};

template <class Fn>
struct Slot;
template <class... Args>
struct Slot<void(Args...)> : SlotBase {
    using Function = void (*)(Args...);
    const Slot* complex = nullptr;  // takes this one's place for complex dtypes, if there is one
    using SlotBase::SlotBase;
    Slot(const char* slot_name, Slot& real) : SlotBase(slot_name) { real.complex = this; }
    EMBER_INLINE const Slot& of(DType dtype) const {
        return EMBER_UNLIKELY(is_complex(dtype)) && complex ? *complex : *this;
    }
    EMBER_INLINE void operator()(DeviceType device, Args... args) const {
        reinterpret_cast<Function>(fn[int(device)])(args...);
    }
};

// Handed to a backend's register function; fills the slots of one device. Registering again
// replaces: a higher instruction-set level overrides what a lower one set.
struct Table {
    DeviceType device;
    template <class... Args>
    EMBER_INLINE void set(Slot<void(Args...)>& slot, void (*fn)(Args...), DTypeMask mask) const {
        slot.fn[int(device)] = reinterpret_cast<void (*)()>(fn);
        slot.mask[int(device)] = mask;
    }
};

}  // namespace ember
