#pragma once

#include "core/dtype.h"
#include "core/view.h"

// Items as unsigned integers that order as the items do.
namespace ember::cpu::EMBER_LEVEL {
namespace {

template <class U, bool floats>
struct Keys {
    using Bits = U;
    static constexpr bool floating = floats;
    static constexpr U sign = U(U(1) << (8 * sizeof(U) - 1));
    static constexpr U last = U(~U(0));
    U flip = 0;      // the sign bit of signed integers
    U infinity = 0;  // bits of a float's infinity
    U reverse = 0;   // all ones for a descending order

    EMBER_INLINE U operator()(U bits) const {
        if constexpr (floats) {
            // Without branches, for vectors.
            U ordered = U(bits ^ U(U(-U(bits >> (8 * sizeof(U) - 1))) | sign));
            ordered = U(ordered + U(ordered == U(sign - 1)));  // -0
            U nan = U(U(bits & U(~sign)) > infinity);
            return U(U(ordered | U(-nan)) ^ reverse);
        } else {
            return U(bits ^ flip ^ reverse);
        }
    }
    // Whether the key stands for several bit patterns.
    EMBER_INLINE bool shared(U key) const {
        return floats && (U(key ^ reverse) == last || U(key ^ reverse) == sign);
    }
    EMBER_INLINE U bits(U key) const {
        key ^= reverse;
        if constexpr (floats) {
            return key & sign ? U(key & U(~sign)) : U(~key);
        } else {
            return U(key ^ flip);
        }
    }
    EMBER_INLINE bool is_nan(U key) const { return floats && U(key ^ reverse) == last; }
};

// f(Keys) of the dtype.
template <class F>
EMBER_INLINE void with_keys(DType dtype, bool descending, F&& f) {
    auto run = [&](auto keys, uint64_t flip, uint64_t infinity) {
        using U = typename decltype(keys)::Bits;
        keys.flip = U(flip);
        keys.infinity = U(infinity);
        keys.reverse = descending ? U(~U(0)) : U(0);
        f(keys);
    };
    switch (dtype) {
        case DType::Bool:
        case DType::UInt8: return run(Keys<uint8_t, false>{}, 0, 0);
        case DType::Int8: return run(Keys<uint8_t, false>{}, 0x80, 0);
        case DType::Int16: return run(Keys<uint16_t, false>{}, 0x8000, 0);
        case DType::Int32: return run(Keys<uint32_t, false>{}, uint64_t(1) << 31, 0);
        case DType::Int64: return run(Keys<uint64_t, false>{}, uint64_t(1) << 63, 0);
        case DType::Float16: return run(Keys<uint16_t, true>{}, 0, 0x7c00);
        case DType::BFloat16: return run(Keys<uint16_t, true>{}, 0, 0x7f80);
        case DType::Float32: return run(Keys<uint32_t, true>{}, 0, 0x7f800000);
        case DType::Float64: return run(Keys<uint64_t, true>{}, 0, uint64_t(0x7ff) << 52);
        default: return;
    }
}

// A key with its position, which tells equal keys apart: all items differ, and any way of sorting
// them is stable.
struct Narrow {
    uint64_t v;  // key above, position below
    static constexpr int kDigits = 8, kIndexDigits = 4;
    EMBER_INLINE static Narrow make(uint64_t key, int64_t index) {
        return {key << 32 | uint64_t(index)};
    }
    EMBER_INLINE uint64_t key() const { return v >> 32; }
    EMBER_INLINE int64_t index() const { return int64_t(v & 0xffffffff); }
    // Byte d, counted from the least significant of the position.
    EMBER_INLINE int digit(int d) const { return int(v >> (8 * d) & 255); }
    EMBER_INLINE bool before(Narrow o) const { return v < o.v; }
};
struct Broad {
    uint64_t k, i;
    static constexpr int kDigits = 16, kIndexDigits = 8;
    EMBER_INLINE static Broad make(uint64_t key, int64_t index) { return {key, uint64_t(index)}; }
    EMBER_INLINE uint64_t key() const { return k; }
    EMBER_INLINE int64_t index() const { return int64_t(i); }
    EMBER_INLINE int digit(int d) const {
        return int((d < 8 ? i >> (8 * d) : k >> (8 * (d - 8))) & 255);
    }
    EMBER_INLINE bool before(Broad o) const { return k < o.k || (k == o.k && i < o.i); }
};

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
