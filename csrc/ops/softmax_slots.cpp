#include "kernels/softmax.h"

namespace ember::kernels {

#define EMBER_SLOT(name) decltype(name) name(#name);
EMBER_SLOT(softmax)
EMBER_SLOT(log_softmax)
EMBER_SLOT(softmax_backward)
EMBER_SLOT(log_softmax_backward)
#undef EMBER_SLOT

}  // namespace ember::kernels
