#pragma once

#include <cstdint>
#include <type_traits>

#include "core/macros.h"

// Formulas are templates over V, which is a vector of the CPU's levels or a CUDA thread's number.
// What they call (fma, select, min, abs, floor, ...) is found beside the vector type, or in
// kernels/formulas/scalar.h.
namespace ember::formulas {

template <class V>
struct ScalarOfImpl {
    using type = typename V::Scalar;
};
template <>
struct ScalarOfImpl<float> {
    using type = float;
};
template <>
struct ScalarOfImpl<double> {
    using type = double;
};

template <class V>
using ScalarOf = typename ScalarOfImpl<V>::type;
template <class V>
using IntOf = std::conditional_t<sizeof(ScalarOf<V>) == 4, int32_t, int64_t>;
template <class V>
inline constexpr bool is_float = std::is_same_v<ScalarOf<V>, float>;

// c0 + c1 x + c2 x^2 + ...
template <class V>
EMBER_FORMULA V horner(V, double c) {
    return V(ScalarOf<V>(c));
}
template <class V, class... C>
EMBER_FORMULA V horner(V x, double c, C... rest) {
    return fma(x, horner(x, rest...), V(ScalarOf<V>(c)));
}

// f of the items of vectors, one after the other, or of numbers.
template <class F, class V, class... W>
EMBER_FORMULA V itemwise(F f, V x, W... rest) {
    if constexpr (std::is_floating_point_v<V>) {
        return f(x, rest...);
    } else {
        for (int i = 0; i < V::size; i++) x.v[i] = f(x.v[i], rest.v[i]...);
        return x;
    }
}

// The number that all items of x are.
template <class V>
EMBER_FORMULA ScalarOf<V> uniform_item(V x) {
    if constexpr (std::is_floating_point_v<V>)
        return x;
    else
        return x.v[0];
}

}  // namespace ember::formulas
