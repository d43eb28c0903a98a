#pragma once

#include "core/backend.h"

// What the parts of the library know of each other besides kernels.
namespace ember::cuda {

void fill_memory(CudaRuntime& runtime);   // allocator.cu
void fill_streams(CudaRuntime& runtime);  // streams.cu
// Gives each device its allocator's pool and its record of faults; returns why it cannot be used.
const char* prepare_memory(int device);
void prepare_faults(int device);
const char* matrix_library(bool* found);  // cublas.cu

// Makes a device current for the thread's calls of the runtime.
void select_device(int device);
// Raises what kernels of this device have reported since it was last asked.
void raise_faults(int device);

}  // namespace ember::cuda
