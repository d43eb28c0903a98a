#pragma once

#include <cstdint>

namespace ember::cpu {

enum class Isa { Baseline, Avx2, Avx512, Bf16, Amx };
constexpr int kIsaCount = 5;

const char* isa_name(Isa isa);

// The highest level that the processor has and the operating system keeps the registers of. Asks
// for AMX's tile registers the first time.
Isa detect_isa();

// detect_isa(), or the lower level that EMBER_ISA names.
Isa choose_isa();

// Where a kernel's operands together take more bytes than this, its result is written past the
// caches: it would not be in them when it is read again. Three quarters of the last-level cache.
extern int64_t stream_threshold;

}  // namespace ember::cpu
