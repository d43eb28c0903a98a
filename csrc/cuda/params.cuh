#pragma once

#include "cuda/common.cuh"
#include "kernels/formulas/math.h"

namespace ember::cuda {

// f(tag of the items' type, tag of the parameters'): the same, or for halves float too.
template <class F>
void dispatch_with_params(DType dtype, DType params, F&& f) {
    dispatch_floating(dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        if constexpr (is_half<T>)
            if (params == DType::Float32) return f(tag, TypeTag<float>{});
        f(tag, tag);
    });
}

}  // namespace ember::cuda
