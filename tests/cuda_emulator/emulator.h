#pragma once

#include "cuda_runtime.h"

namespace emulator {

[[noreturn]] void fail(const char* why);

// Whether a device could start this; else the error that cudaGetLastError gives next.
bool is_valid(dim3 grid, dim3 block);

// While one lives the device's memory can be reached, by its thread's work alone.
class DeviceAccess {
public:
    DeviceAccess();
    ~DeviceAccess();
    DeviceAccess(const DeviceAccess&) = delete;
    DeviceAccess& operator=(const DeviceAccess&) = delete;
};

}  // namespace emulator
