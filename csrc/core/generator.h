#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>

#include "core/macros.h"
#include "core/random.h"

namespace ember {

// What `ember.Generator` and the default generator are. An operation holds the mutex while it
// draws, so that it gets a stretch of the stream of its own.
class EMBER_EXPORT Generator {
public:
    static constexpr uint64_t kDefaultSeed = 67280421310721;
    static constexpr size_t kStateBytes = 5056;

    explicit Generator(uint64_t seed = kDefaultSeed) { seed_twister(twister_, seed); }

    void manual_seed(uint64_t seed);
    uint64_t initial_seed() const;
    // Seeds from the system's entropy and returns the seed.
    uint64_t seed();
    // The bytes of `torch.Generator.get_state()`: what one saves the other takes.
    void get_state(uint8_t* bytes) const;
    void set_state(const uint8_t* bytes, size_t count);
    // Takes over another's state, as a clone does.
    void copy_state(const Generator& other);

    std::mutex& mutex() const { return mutex_; }
    MersenneTwister& twister() { return twister_; }  // under the mutex

private:
    mutable std::mutex mutex_;
    MersenneTwister twister_;
};

EMBER_EXPORT Generator& default_generator();
// What random operations of this thread draw from: the default generator, unless the thread has one
// of its own. The thread's owner keeps `generator` alive; null goes back to the default.
EMBER_EXPORT Generator& thread_generator();
EMBER_EXPORT void set_thread_generator(Generator* generator);

}  // namespace ember
