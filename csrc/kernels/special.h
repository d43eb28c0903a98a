#pragma once

#include "kernels/pointwise.h"

namespace ember::kernels {

#define EMBER_SPECIAL(kind, inputs, name, ...) extern Pointwise name;
#include "kernels/formulas/special.inc"

extern Pointwise nextafter;  // in the operands' own dtype

}  // namespace ember::kernels
