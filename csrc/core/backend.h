#pragma once

#include "core/macros.h"

namespace ember {

// Fills the kernel table for this processor and returns the level's name: "baseline", "avx2",
// "avx512" or "amx". EMBER_ISA names a lower one. Works once; later calls return the name.
// Raises ValueError when EMBER_ISA is no level or one this machine lacks.
EMBER_EXPORT const char* load_cpu_kernels();

}  // namespace ember
