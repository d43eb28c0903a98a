#include <pthread.h>
#include <sys/random.h>

#include <chrono>
#include <cstring>

#include "core/backend.h"
#include "core/error.h"
#include "core/generator.h"

namespace ember {

namespace {

void refill(MersenneTwister& t) {
    constexpr int n = MersenneTwister::kWords, m = MersenneTwister::kShift;
    uint32_t* s = t.state;
    for (int i = 0; i < n - m; i++) s[i] = twist_word(s[i], s[i + 1], s[i + m]);
    for (int i = n - m; i < n - 1; i++) s[i] = twist_word(s[i], s[i + 1], s[i + m - n]);
    s[n - 1] = twist_word(s[n - 1], s[0], s[m - 1]);
    t.index = 0;
}

// PyTorch's layout of a saved CPU generator (at::CPUGeneratorImplState).
struct SavedState {
    uint64_t seed;
    int32_t left;  // words until the next refill, plus one
    int32_t seeded;
    uint64_t next;
    uint64_t state[MersenneTwister::kWords];
    double normal_x, normal, normal_rho;  // the outer two are always zero
    int32_t has_normal, padding;
    float float_normal;  // unused by PyTorch's CPU kernels, as is the flag
    uint8_t has_float_normal;
    uint8_t end_padding[3];
};
static_assert(sizeof(SavedState) == Generator::kStateBytes);

}  // namespace

void seed_twister(MersenneTwister& t, uint64_t seed) {
    t.seed = seed;
    t.state[0] = uint32_t(seed);
    for (int i = 1; i < MersenneTwister::kWords; i++) {
        uint32_t last = t.state[i - 1];
        t.state[i] = 1812433253u * (last ^ (last >> 30)) + uint32_t(i);
    }
    t.index = MersenneTwister::kSeeded;
    t.has_normal = false;
    t.normal = 0;
}

uint32_t next_word(MersenneTwister& t) {
    if (EMBER_UNLIKELY(t.index >= MersenneTwister::kWords)) refill(t);
    return temper_word(t.state[t.index++]);
}

uint64_t next_word64(MersenneTwister& t) {
    uint64_t high = next_word(t);
    return high << 32 | next_word(t);
}

void Generator::manual_seed(uint64_t seed) {
    std::lock_guard lock(mutex_);
    start(seed);
}

uint64_t Generator::initial_seed() const {
    std::lock_guard lock(mutex_);
    return philox_.seed;
}

uint64_t Generator::seed() {
    uint64_t fresh;
    if (getrandom(&fresh, sizeof fresh, 0) != ssize_t(sizeof fresh))
        fresh = uint64_t(std::chrono::high_resolution_clock::now().time_since_epoch().count());
    manual_seed(fresh);
    return fresh;
}

void Generator::get_state(uint8_t* bytes) const {
    std::lock_guard lock(mutex_);
    if (!device_.is_cpu()) {
        memcpy(bytes, &philox_, kGpuStateBytes);
        return;
    }
    const MersenneTwister& t = twister_;
    SavedState saved{};
    saved.seed = t.seed;
    saved.seeded = 1;
    bool untouched = t.index == MersenneTwister::kSeeded;
    saved.next = untouched ? 0 : uint64_t(t.index);
    saved.left = untouched ? 1 : MersenneTwister::kWords + 1 - t.index;
    for (int i = 0; i < MersenneTwister::kWords; i++) saved.state[i] = t.state[i];
    saved.has_normal = t.has_normal;
    saved.normal = t.has_normal ? t.normal : 0;
    memcpy(bytes, &saved, sizeof saved);
}

void Generator::set_state(const uint8_t* bytes, size_t count) {
    if (count != state_bytes())
        raise("set_state: expected %zu bytes of a %s generator's state, got %zu", state_bytes(),
              device_.is_cpu() ? "CPU" : "CUDA", count);
    if (!device_.is_cpu()) {
        std::lock_guard lock(mutex_);
        memcpy(&philox_, bytes, kGpuStateBytes);
        return;
    }
    SavedState saved;
    memcpy(&saved, bytes, sizeof saved);
    constexpr int n = MersenneTwister::kWords;
    bool untouched = saved.next == 0 && saved.left == 1;
    bool running =
        saved.next >= 1 && saved.next <= uint64_t(n) && saved.left == n + 1 - int32_t(saved.next);
    if (saved.seeded != 1 || !(untouched || running))
        raise("set_state: not the state of a CPU generator (seeded %d, next %llu, left %d)",
              saved.seeded, static_cast<unsigned long long>(saved.next), saved.left);
    std::lock_guard lock(mutex_);
    MersenneTwister& t = twister_;
    t.seed = philox_.seed = saved.seed;
    t.index = untouched ? MersenneTwister::kSeeded : int32_t(saved.next);
    for (int i = 0; i < n; i++) t.state[i] = uint32_t(saved.state[i]);
    t.has_normal = saved.has_normal != 0;
    t.normal = t.has_normal ? saved.normal : 0;
}

void Generator::copy_state(const Generator& other) {
    if (&other == this) return;
    std::scoped_lock lock(mutex_, other.mutex_);
    twister_ = other.twister_;
    philox_ = other.philox_;
    device_ = other.device_;
}

Generator& default_generator() {
    // Never destroyed: threads may draw while the process ends.
    static Generator* generator = [] {
        pthread_atfork([] { default_generator().mutex().lock(); },
                       [] { default_generator().mutex().unlock(); },
                       [] { default_generator().mutex().unlock(); });
        return new Generator;
    }();
    return *generator;
}

namespace {

struct GpuGenerators {
    std::mutex mutex;
    uint64_t seed = Generator::kDefaultSeed;
    Generator* list[kMaxGpus] = {};
};
GpuGenerators& gpu_generators() {
    static GpuGenerators* generators = new GpuGenerators;
    return *generators;
}

}  // namespace

Generator& default_generator(Device device) {
    if (device.is_cpu()) return default_generator();
    device = resolve_device(device);
    GpuGenerators& all = gpu_generators();
    std::lock_guard lock(all.mutex);
    Generator*& generator = all.list[device.index];
    if (!generator) generator = new Generator(all.seed, device);
    return *generator;
}

void seed_gpu_generators(uint64_t seed) {
    GpuGenerators& all = gpu_generators();
    std::lock_guard lock(all.mutex);
    all.seed = seed;
    for (Generator* generator : all.list)
        if (generator) generator->manual_seed(seed);
}

namespace {
thread_local Generator* own_generator = nullptr;
}

Generator& thread_generator() { return own_generator ? *own_generator : default_generator(); }
void set_thread_generator(Generator* generator) { own_generator = generator; }

}  // namespace ember
