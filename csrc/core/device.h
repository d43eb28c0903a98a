#pragma once

#include <cstdint>

#include "core/macros.h"

namespace ember {

// Meta, PyTorch's device of tensors without memory, is a name alone: no tensor is there.
enum class DeviceType : uint8_t { CPU, CUDA, Meta };
constexpr int kDeviceTypeCount = 3;

struct Device {
    DeviceType type = DeviceType::CPU;
    int8_t index = -1;  // -1: the current one; always -1 for the CPU

    EMBER_INLINE constexpr bool operator==(const Device&) const = default;
    EMBER_INLINE constexpr bool is_cpu() const { return type == DeviceType::CPU; }
};

EMBER_INLINE constexpr const char* device_type_name(DeviceType type) {
    return type == DeviceType::CPU ? "cpu" : type == DeviceType::CUDA ? "cuda" : "meta";
}

}  // namespace ember
