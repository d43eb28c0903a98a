#include "core/modes.h"

#include "core/error.h"

namespace ember::modes {

constinit thread_local uint32_t word __attribute__((tls_model("initial-exec"))) = kInitial;

namespace detail {

bool anomaly = false, anomaly_check_nan = true;
bool deterministic = false, deterministic_warn_only = false;
DType default_dtype = DType::Float32;
MatmulPrecision matmul_precision[kDeviceTypeCount] = {};

}  // namespace detail

namespace {

template <class T>
void store(T& target, T value) {
    __atomic_store_n(&target, value, __ATOMIC_RELAXED);
}

}  // namespace

void set_anomaly(bool on, bool check_nan) {
    store(detail::anomaly_check_nan, check_nan);
    store(detail::anomaly, on);
}

void set_deterministic(bool on, bool warn_only) {
    store(detail::deterministic_warn_only, warn_only);
    store(detail::deterministic, on);
}

void set_default_dtype(DType dtype) {
    if (!is_floating(dtype))
        raise_type("set_default_dtype: expected a floating-point dtype, got %s", dtype_name(dtype));
    store(detail::default_dtype, dtype);
}

void set_matmul_precision(DeviceType type, MatmulPrecision precision) {
    store(detail::matmul_precision[int(type)], precision);
}

}  // namespace ember::modes
