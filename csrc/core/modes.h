#pragma once

#include <cstdint>
#include <utility>

#include "core/device.h"
#include "core/dtype.h"
#include "core/macros.h"

// Switches that belong to a thread: one word, read by every operation. Those that belong to the
// process stand below.
namespace ember::modes {

constexpr uint32_t kGrad = 1;
constexpr uint32_t kInference = 2;

// Autocast, for each device type: whether it is on, and the dtype that it casts to (a byte each
// from bit 16 on).
constexpr uint32_t kAutocast[] = {1u << 8, 1u << 9};  // CPU, CUDA
constexpr uint32_t kAutocastCache = 1u << 10;         // casts of parameters are kept
constexpr uint32_t kInitial =
    kGrad | kAutocastCache | uint32_t(DType::BFloat16) << 16 | uint32_t(DType::Float16) << 24;

// Initial-exec keeps an access at one load; a word fits what glibc leaves for such variables.
extern EMBER_EXPORT constinit thread_local uint32_t word __attribute__((tls_model("initial-exec")));

inline bool grad_enabled() { return word & kGrad; }
inline bool inference_enabled() { return word & kInference; }

inline void set_grad_enabled(bool on) { word = on ? word | kGrad : word & ~kGrad; }
inline void set_inference_enabled(bool on) {
    // Inference mode records nothing, as if gradients were off; the guard restores both.
    word = on ? (word | kInference) & ~kGrad : (word & ~kInference) | kGrad;
}

inline bool autocast_enabled() { return word & (kAutocast[0] | kAutocast[1]); }
inline bool autocast_enabled(DeviceType type) { return word & kAutocast[int(type)]; }
inline DType autocast_dtype(DeviceType type) { return DType(word >> (16 + 8 * int(type)) & 0xff); }

// Of the process.

// How products of float32 matrices may be rounded: None where nobody has said.
enum class MatmulPrecision : uint8_t { None, Ieee, Tf32, BFloat16 };

namespace detail {
extern EMBER_EXPORT bool anomaly, anomaly_check_nan, deterministic, deterministic_warn_only;
extern EMBER_EXPORT DType default_dtype;
extern EMBER_EXPORT MatmulPrecision matmul_precision[kDeviceTypeCount];
}  // namespace detail
inline bool anomaly_enabled() { return __atomic_load_n(&detail::anomaly, __ATOMIC_RELAXED); }
inline bool anomaly_check_nan() {
    return __atomic_load_n(&detail::anomaly_check_nan, __ATOMIC_RELAXED);
}
EMBER_EXPORT void set_anomaly(bool on, bool check_nan);
inline bool deterministic() { return __atomic_load_n(&detail::deterministic, __ATOMIC_RELAXED); }
inline bool deterministic_warn_only() {
    return __atomic_load_n(&detail::deterministic_warn_only, __ATOMIC_RELAXED);
}
EMBER_EXPORT void set_deterministic(bool on, bool warn_only);
// What floating numbers become when nothing else says so.
inline DType default_dtype() { return __atomic_load_n(&detail::default_dtype, __ATOMIC_RELAXED); }
inline DType default_complex() { return complex_of(default_dtype()); }
inline MatmulPrecision matmul_precision(DeviceType type) {
    return __atomic_load_n(&detail::matmul_precision[int(type)], __ATOMIC_RELAXED);
}
EMBER_EXPORT void set_matmul_precision(DeviceType type, MatmulPrecision precision);
EMBER_EXPORT void set_default_dtype(DType dtype);  // TypeError unless floating

}  // namespace ember::modes

namespace ember {

// Restore the whole word when they end.
class GradModeGuard {
public:
    explicit GradModeGuard(bool on) : before_(modes::word) { modes::set_grad_enabled(on); }
    ~GradModeGuard() { modes::word = before_; }
    GradModeGuard(const GradModeGuard&) = delete;
    GradModeGuard& operator=(const GradModeGuard&) = delete;

private:
    uint32_t before_;
};

class InferenceModeGuard {
public:
    explicit InferenceModeGuard(bool on) : before_(modes::word) {
        modes::set_inference_enabled(on);
    }
    ~InferenceModeGuard() { modes::word = before_; }
    InferenceModeGuard(const InferenceModeGuard&) = delete;
    InferenceModeGuard& operator=(const InferenceModeGuard&) = delete;

private:
    uint32_t before_;
};

// The word of another thread, for work done on its behalf.
class ModesGuard {
public:
    explicit ModesGuard(uint32_t word) : before_(std::exchange(modes::word, word)) {}
    ~ModesGuard() { modes::word = before_; }
    ModesGuard(const ModesGuard&) = delete;
    ModesGuard& operator=(const ModesGuard&) = delete;

private:
    uint32_t before_;
};

}  // namespace ember
