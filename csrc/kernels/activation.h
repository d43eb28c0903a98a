#pragma once

#include "kernels/pointwise.h"

// Activations beside those of kernels/pointwise.h. Backwards read (grad, input).
namespace ember::kernels {

extern Pointwise elu, elu_backward;  // factors left imm[0], right imm[1]; rate imm[2]
extern Pointwise hardsigmoid, hardsigmoid_backward;
extern Pointwise hardswish, hardswish_backward;
extern Pointwise hardtanh, hardtanh_backward;              // limits imm[0], imm[1]
extern Pointwise hardshrink, softshrink, shrink_backward;  // bound imm[0]
extern Pointwise threshold, threshold_backward;            // bound imm[0], value imm[1]
extern Pointwise mish, mish_backward;
extern Pointwise glu;  // (x, gate)

}  // namespace ember::kernels
