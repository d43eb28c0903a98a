#pragma once

#include <cstdint>

#include "core/macros.h"

// What the machine, and the container on it, lets this process use.
namespace ember {

// Physical cores among the processors this process may run on, no more than the container's CPU
// quota (rounded up); at least 1.
int usable_cores();

// Bytes of RAM and swap, no more than the container's limit.
int64_t total_memory();
// Bytes of them that could be had now without pushing anything out.
int64_t available_memory();

}  // namespace ember
