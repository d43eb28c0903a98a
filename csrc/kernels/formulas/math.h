#pragma once

// exp, log, tanh, erf, pow, ... for the V of formulas: our own on the CPU's vectors, the device
// library's in a CUDA thread.
#ifdef __CUDACC__
#include "kernels/formulas/scalar.h"
#else
#include "kernels/formulas/exponential.h"
#include "kernels/formulas/power.h"
#include "kernels/formulas/special.h"
#endif
