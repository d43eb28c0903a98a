#pragma once

// exp, log, tanh, erf, pow, ... for the V of formulas: our own on the CPU's vectors, the device
// library's in a CUDA thread. EMBER_SCALAR_FORMULAS gives the latter to a test on the host.
#if defined(__CUDACC__) || defined(EMBER_SCALAR_FORMULAS)
#include "kernels/formulas/scalar.h"
#else
#include "kernels/formulas/exponential.h"
#include "kernels/formulas/power.h"
#include "kernels/formulas/special.h"
#include "kernels/formulas/trigonometric.h"
#endif
