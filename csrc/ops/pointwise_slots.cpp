#include "kernels/activation.h"
#include "kernels/pointwise.h"
#include "kernels/special.h"
#include "ops/launch.h"

namespace ember::kernels {

EMBER_SLOT(copy)
EMBER_SLOT(add)
EMBER_SLOT(mul)
EMBER_SLOT(div)
EMBER_SLOT(floor_divide)
EMBER_SLOT(trunc_divide)
EMBER_SLOT(remainder)
EMBER_SLOT(fmod)
EMBER_SLOT(pow)
EMBER_SLOT(maximum)
EMBER_SLOT(minimum)
EMBER_SLOT(bitwise_and)
EMBER_SLOT(bitwise_or)
EMBER_SLOT(bitwise_xor)
EMBER_SLOT(bitwise_not)
EMBER_SLOT(addcmul)
EMBER_SLOT(addcdiv)
EMBER_SLOT(lerp)
EMBER_SLOT(eq)
EMBER_SLOT(ne)
EMBER_SLOT(lt)
EMBER_SLOT(le)
EMBER_SLOT(gt)
EMBER_SLOT(ge)
EMBER_SLOT(isnan)
EMBER_SLOT(isinf)
EMBER_SLOT(isfinite)
EMBER_SLOT(logical_not)
EMBER_SLOT(logical_and)
EMBER_SLOT(logical_or)
EMBER_SLOT(logical_xor)
EMBER_SLOT(where)
EMBER_SLOT(neg)
EMBER_SLOT(abs)
EMBER_SLOT(sign)
EMBER_SLOT(square)
EMBER_SLOT(reciprocal)
EMBER_SLOT(floor)
EMBER_SLOT(ceil)
EMBER_SLOT(round)
EMBER_SLOT(trunc)
EMBER_SLOT(sqrt)
EMBER_SLOT(rsqrt)
EMBER_SLOT(relu)
EMBER_SLOT(clamp)
EMBER_SLOT(bce)
EMBER_SLOT(nextafter)

#define EMBER_POINTWISE(inputs, name, ...) EMBER_SLOT(name)
#include "kernels/formulas/math.inc"
#define EMBER_POINTWISE(inputs, name, ...) EMBER_SLOT(name)
#include "kernels/formulas/activation.inc"
#define EMBER_SPECIAL(kind, inputs, name, ...) EMBER_SLOT(name)
#include "kernels/formulas/special.inc"

}  // namespace ember::kernels
