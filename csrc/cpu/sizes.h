#pragma once

#include <cstdint>

#include "core/macros.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

EMBER_INLINE constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
EMBER_INLINE int64_t clamp_to(int64_t x, int64_t lo, int64_t hi) {
    return x < lo ? lo : x > hi ? hi : x;
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
