#include "kernels/reduce.h"

namespace ember::kernels {

#define EMBER_SLOT(name) decltype(name) name(#name);
EMBER_SLOT(sum)
EMBER_SLOT(prod)
EMBER_SLOT(max)
EMBER_SLOT(min)
EMBER_SLOT(any)
EMBER_SLOT(all)
EMBER_SLOT(norm)
EMBER_SLOT(variance)
EMBER_SLOT(logsumexp)
EMBER_SLOT(argmax)
EMBER_SLOT(argmin)
#undef EMBER_SLOT

}  // namespace ember::kernels
