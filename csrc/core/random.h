#pragma once

#include <cstdint>

#include "core/macros.h"

// Words of the CPU generator. The streams made of them are PyTorch's: the same seed gives the same
// numbers.
namespace ember {

// State of mt19937 (Matsumoto and Nishimura, 1998) as PyTorch's CPU generator keeps it.
struct MersenneTwister {
    static constexpr int kWords = 624;
    static constexpr int kShift = 397;  // the word a new one is mixed with
    static constexpr int kSeeded = kWords + 1;

    uint32_t state[kWords];
    // Next word to hand out; from kWords on refill first. kSeeded is kWords before the first draw,
    // which a saved state tells apart.
    int32_t index = kSeeded;
    bool has_normal = false;
    double normal = 0;  // the kept sine of the scalar Box-Muller path, unscaled
    uint64_t seed = 0;
};

// The two steps of the generator, for one word or a vector of them.
template <class U>
EMBER_INLINE U twist_word(U word, U next, U shifted) {
    U mixed = (word & U(0x80000000u)) | (next & U(0x7fffffffu));
    return shifted ^ (mixed >> 1) ^ ((U(0u) - (next & U(1u))) & U(0x9908b0dfu));
}
template <class U>
EMBER_INLINE U temper_word(U word) {
    word = word ^ (word >> 11);
    word = word ^ ((word << 7) & U(0x9d2c5680u));
    word = word ^ ((word << 15) & U(0xefc60000u));
    return word ^ (word >> 18);
}

// Philox4x32-10 (Salmon and others, 2011), the GPUs' generator: a draw is a function of the seed,
// the number of fills before it and the item's number.
struct Philox {
    uint64_t seed = 0, offset = 0;
};

// What a random kernel draws from: the CPU's kernels take the twister, a GPU's the counter.
struct RandomSource {
    MersenneTwister& twister;
    Philox& philox;
};

EMBER_EXPORT void seed_twister(MersenneTwister& twister, uint64_t seed);
EMBER_EXPORT uint32_t next_word(MersenneTwister& twister);
EMBER_EXPORT uint64_t next_word64(MersenneTwister& twister);  // the first word is the high half

}  // namespace ember
