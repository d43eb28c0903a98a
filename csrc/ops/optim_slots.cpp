#include "kernels/optim.h"

namespace ember::kernels {

#define EMBER_SLOT(name) decltype(name) name(#name);
EMBER_SLOT(sgd)
EMBER_SLOT(adam)
EMBER_SLOT(list_norm)
EMBER_SLOT(list_scale)
EMBER_SLOT(list_zero)
#undef EMBER_SLOT

}  // namespace ember::kernels
