#pragma once

#include "kernels/formulas/traits.h"

namespace ember::formulas {

// e^(y^2 / 2) Q(y) for y >= 0, Q(y) being the normal distribution's upper tail: a polynomial in
// t = 1 / (1 + c y). float 2^-25, double 2^-54.
template <class V>
EMBER_FORMULA V scaled_normal_tail(V y) {
    if constexpr (is_float<V>) {
        V t = V(1) / fma(y, V(0.3125), V(1));
        return t * horner(t, 0x1.fea1bap-4, 0x1.feedd4p-4, 0x1.caaf46p-4, 0x1.6f1046p-4,
                          0x1.d265bp-5, -0x1.528a1ap-8, 0x1.3d5a28p-4, -0x1.3a5c8ep-3,
                          0x1.7aba5cp-4, -0x1.3ad2ecp-6);
    } else {
        V t = V(1) / fma(y, V(0.2), V(1));
        return t * horner(t, 0x1.46d04297a3824p-4, 0x1.46d04287d051bp-4, 0x1.39bdb27f8438bp-4,
                          0x1.1f9866d39742ap-4, 0x1.f3e8d448a9144p-5, 0x1.97b57cd87b0f1p-5,
                          0x1.350e3f6567efcp-5, 0x1.961427b38b2c1p-6, 0x1.395ee220d3eabp-6,
                          -0x1.11fe70e20e654p-7, 0x1.8cf43eeeee7b4p-5, -0x1.e597a2d5899b8p-4,
                          0x1.e106c86f7a2b3p-3, -0x1.8b08759b384a8p-2, 0x1.faa245075eba5p-2,
                          -0x1.f973d67b39d5ap-2, 0x1.77f1b44e6d3dap-2, -0x1.7c3c58b61c5c9p-3,
                          0x1.a275b71073eb7p-5, 0x1.a157ec382bed0p-10, -0x1.b7295436b793bp-8,
                          0x1.1f9b3d086ae17p-9, -0x1.0a6bfeae73a08p-12);
    }
}

}  // namespace ember::formulas
