#pragma once

#include "cuda/common.cuh"

// Items as unsigned integers that order as the items do: NaN last, both zeros equal.
namespace ember::cuda {

template <class U, bool floats>
struct Keys {
    using Bits = U;
    static constexpr U sign = U(U(1) << (8 * sizeof(U) - 1));
    U flip;      // the sign bit of signed integers
    U infinity;  // bits of a float's infinity
    U reverse;   // all ones for a descending order

    EMBER_DEVICE U operator()(U bits) const {
        if constexpr (floats) {
            U magnitude = bits & U(~sign);
            if (magnitude > infinity) return U(~U(0)) ^ reverse;
            U ordered = bits & sign ? (magnitude == 0 ? sign : U(~bits)) : U(bits | sign);
            return ordered ^ reverse;
        } else {
            return U(bits ^ flip ^ reverse);
        }
    }
    EMBER_DEVICE bool is_nan(U key) const { return floats && U(key ^ reverse) == U(~U(0)); }
};

// f(Keys) of the dtype.
template <class F>
void with_keys(DType dtype, bool descending, F&& f) {
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
        default: return run(Keys<uint64_t, true>{}, 0, uint64_t(0x7ff) << 52);
    }
}

}  // namespace ember::cuda
