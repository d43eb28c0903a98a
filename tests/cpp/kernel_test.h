#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "core/dtype.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/table.h"
#include "core/view.h"

#define EMBER_FAMILY(level, family) \
    namespace ember::cpu::level {   \
    void register_##family(Table&); \
    }
#include "cpu_families.inc"
#undef EMBER_FAMILY

// What kernel tests share: the levels of this machine, and arrays of any dtype seen as doubles.
namespace ember::test {

inline int level_number(const std::string& level) {
    constexpr const char* kNames[] = {"baseline", "avx2", "avx512", "bf16", "amx"};
    return int(std::find(std::begin(kNames), std::end(kNames), level) - std::begin(kNames));
}

inline bool machine_has(const std::string& level) {
    if (level == "baseline") return true;
#if defined(__x86_64__)
    if (level == "avx2") return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (level == "avx512") {
        return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
    }
    if (level == "bf16") {
        return machine_has("avx512") && __builtin_cpu_supports("avx512bf16") &&
               __builtin_cpu_supports("avx512vnni");
    }
#endif
    return false;
}

// The levels of this build that the machine has, lowest first; the last alone where each kernel is
// there at its highest level only.
inline std::vector<std::string> levels() {
    std::vector<std::string> result;
#define EMBER_FAMILY(level, family)                                           \
    if (machine_has(#level) && (result.empty() || result.back() != #level)) { \
        result.push_back(#level);                                             \
    }
#include "cpu_families.inc"
#undef EMBER_FAMILY
#if defined(EMBER_ONE_LEVEL)
    result = {result.back()};
#endif
    return result;
}

// Fills the kernel table with what `level` and those below it offer.
inline void use_level(const std::string& level) {
    Table table{DeviceType::CPU};
    int most = level_number(level);
#define EMBER_FAMILY(name, family) \
    if (level_number(#name) <= most) cpu::name::register_##family(table);
#include "cpu_families.inc"
#undef EMBER_FAMILY
}

template <class F>
void on_every_level(F&& f) {
    for (const std::string& level : levels()) {
        use_level(level);
        int before = checks_failed;
        f();
        if (checks_failed != before) std::fprintf(stderr, "... at level %s\n", level.c_str());
    }
}

constexpr DType kRealDTypes[] = {DType::Bool,    DType::UInt8,  DType::Int8,    DType::Int16,
                                 DType::Int32,   DType::Int64,  DType::Float16, DType::BFloat16,
                                 DType::Float32, DType::Float64};
constexpr DType kFloatDTypes[] = {DType::Float16, DType::BFloat16, DType::Float32, DType::Float64};

inline double get(const void* p, DType dtype, int64_t i) {
    double result = 0;
    dispatch<bool, uint8_t, int8_t, int16_t, int32_t, int64_t, Half, BFloat16, float, double>(
        dtype, [&](auto tag) {
            using T = typename decltype(tag)::type;
            T x = static_cast<const T*>(p)[i];
            if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
                result = to_float(x);
            } else {
                result = double(x);
            }
        });
    return result;
}

inline void set(void* p, DType dtype, int64_t i, double value) {
    dispatch<bool, uint8_t, int8_t, int16_t, int32_t, int64_t, Half, BFloat16, float, double>(
        dtype, [&](auto tag) {
            using T = typename decltype(tag)::type;
            T& x = static_cast<T*>(p)[i];
            if constexpr (std::is_same_v<T, Half>) {
                x = to_half(float(value));
            } else if constexpr (std::is_same_v<T, BFloat16>) {
                x = to_bfloat16(float(value));
            } else if constexpr (std::is_same_v<T, bool>) {
                x = value != 0;
            } else {
                x = T(value);
            }
        });
}

// Rounding error of one operation.
inline double epsilon(DType dtype) {
    switch (dtype) {
        case DType::Float16: return 0x1p-11;
        case DType::BFloat16: return 0x1p-8;
        case DType::Float32: return 0x1p-24;
        case DType::Float64: return 0x1p-53;
        default: return 0;
    }
}

struct Random {
    uint64_t state = 0x9e3779b97f4a7c15;
    uint64_t bits() {  // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return state * 0x2545f4914f6cdd1d;
    }
    double uniform() { return double(bits() >> 11) * 0x1p-53; }
    int64_t below(int64_t n) { return int64_t(bits() % uint64_t(n)); }
};

// Dense items of one dtype.
struct Array {
    DType dtype;
    int64_t n;
    std::vector<char> bytes;
    Array(DType d, int64_t count, double fill = 0) : dtype(d), n(count) {
        bytes.resize(size_t(count * item_size(d)) + 64);
        for (int64_t i = 0; i < n; i++) set(i, fill);
    }
    double operator[](int64_t i) const { return get(bytes.data(), dtype, i); }
    void set(int64_t i, double value) { test::set(bytes.data(), dtype, i, value); }
    void* data() { return bytes.data(); }
    const void* data() const { return bytes.data(); }
    // Floats about [-2, 2), small whole numbers for the others.
    void randomize(Random& random) {
        for (int64_t i = 0; i < n; i++) {
            set(i, is_floating(dtype) ? random.uniform() * 4 - 2 : double(random.below(100)));
        }
    }
    bool operator==(const Array& other) const { return bytes == other.bytes; }
};

// Equal within `tolerance` relative to max(1, |expected|), infinities and NaN alike.
inline bool close(double got, double expected, double tolerance) {
    if (got != got || expected != expected) return got != got && expected != expected;
    if (got == expected) return true;
    if (std::isinf(got) || std::isinf(expected)) return false;
    return std::fabs(got - expected) <= tolerance * std::fmax(1, std::fabs(expected));
}

#define CHECK_CLOSE(got, expected, tolerance)                                                      \
    do {                                                                                           \
        double got_ = (got), expected_ = (expected), tolerance_ = (tolerance);                     \
        checks_done++;                                                                             \
        if (!ember::test::close(got_, expected_, tolerance_)) {                                    \
            checks_failed++;                                                                       \
            if (checks_failed < 50) {                                                              \
                std::fprintf(stderr, "%s:%d: %s: expected %.17g, got %.17g\n", __FILE__, __LINE__, \
                             #got, expected_, got_);                                               \
            }                                                                                      \
        }                                                                                          \
    } while (0)

// ---- Random whole numbers, and items of any dtype as doubles

inline std::mt19937 generator(1);

inline int64_t pick(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(generator);
}

template <class T>
double value_of(T x) {
    if constexpr (std::is_class_v<T>)
        return to_float(x);
    else
        return double(x);
}
template <class T>
T stored(double x) {
    if constexpr (std::is_same_v<T, Half>)
        return to_half(float(x));
    else if constexpr (std::is_same_v<T, BFloat16>)
        return to_bfloat16(float(x));
    else if constexpr (std::is_integral_v<T>)
        return T(int64_t(x));
    else
        return T(x);
}

}  // namespace ember::test
