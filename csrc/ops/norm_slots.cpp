#include "kernels/norm.h"

namespace ember::kernels {

#define EMBER_SLOT(name) decltype(name) name(#name);
EMBER_SLOT(layer_norm)
EMBER_SLOT(layer_norm_backward)
EMBER_SLOT(batch_norm)
EMBER_SLOT(batch_norm_backward)
#undef EMBER_SLOT

}  // namespace ember::kernels
