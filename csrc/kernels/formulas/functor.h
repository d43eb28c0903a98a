#pragma once

#include "core/macros.h"

// A line of a list (math.inc, activation.inc, special.inc) is a pointwise function: whoever
// includes the list defines EMBER_POINTWISE, which makes of each line the slot's declaration, its
// definition, or a functor in formulas::of and its entry in the table of the CPU or of CUDA.
//     EMBER_POINTWISE(inputs, name, cost, expression)
// The expression's operands are a, b, c and n, the plan's numbers n.first, n.second, n.third; the
// cost of an item is relative to reading and writing it.
#define EMBER_OPERANDS_1 V a
#define EMBER_OPERANDS_2 V a, V b
#define EMBER_OPERANDS_3 V a, V b, V c
#define EMBER_FUNCTOR(inputs, name, expression)                            \
    struct name {                                                          \
        template <class V, class N>                                        \
        EMBER_FORMULA auto operator()(EMBER_OPERANDS_##inputs,             \
                                      [[maybe_unused]] const N& n) const { \
            return expression;                                             \
        }                                                                  \
    };

namespace ember::formulas::of {
namespace f = ::ember::formulas;
}
