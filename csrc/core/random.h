#pragma once

#include <cstdint>

#include "core/macros.h"

namespace ember {

// State of mt19937 (Matsumoto and Nishimura, 1998) as PyTorch's CPU generator keeps it.
struct MersenneTwister {
    uint32_t state[624];
    int32_t index = 624;  // next word to hand out; 624: refill first
    bool has_normal = false;
    double normal = 0;  // the kept sine of the scalar Box-Muller path, unscaled
    uint64_t seed = 0;
};

EMBER_EXPORT void seed_twister(MersenneTwister& twister, uint64_t seed);
EMBER_EXPORT uint32_t next_word(MersenneTwister& twister);
EMBER_EXPORT uint64_t next_word64(MersenneTwister& twister);  // the first word is the high half

}  // namespace ember
