#pragma once

#include "ops/plan.h"

// Activations beside those of ops/pointwise.h. All take floating point tensors alone, but hardtanh
// and threshold, which take integers too.
namespace ember::ops {

// scale (x where positive, else alpha (e^(input_scale x) - 1)); `name` is ELU's, CELU's or SELU's.
Tensor elu(const char* name, const Tensor& x, double alpha, double scale, double input_scale,
           const Dest& dest);
Tensor hardsigmoid(const Tensor& x, const Dest& dest);
Tensor hardswish(const Tensor& x, const Dest& dest);
Tensor hardtanh(const char* name, const Tensor& x, Number min, Number max, const Dest& dest);
Tensor hardshrink(const Tensor& x, double lambd);
Tensor softshrink(const Tensor& x, double lambd);
Tensor threshold(const Tensor& x, Number threshold, Number value, const Dest& dest);
Tensor mish(const Tensor& x, const Dest& dest);
// x sigmoid(gate) of the two halves (x, gate) along dim.
Tensor glu(const Tensor& x, int64_t dim);
// x where positive, else weight x; weight: one for all or one for each of dim 1.
Tensor prelu(const Tensor& x, const Tensor& weight);

}  // namespace ember::ops
