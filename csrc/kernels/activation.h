#pragma once

#include "kernels/pointwise.h"

namespace ember::kernels {

#define EMBER_POINTWISE(inputs, name, ...) extern Pointwise name;
#include "kernels/formulas/activation.inc"

}  // namespace ember::kernels
