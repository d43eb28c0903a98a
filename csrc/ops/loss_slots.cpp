#include "kernels/loss.h"

namespace ember::kernels {

#define EMBER_SLOT(name) decltype(name) name(#name);
EMBER_SLOT(cross_entropy)
EMBER_SLOT(cross_entropy_backward)
EMBER_SLOT(nll_loss)
EMBER_SLOT(nll_loss_backward)
#undef EMBER_SLOT

}  // namespace ember::kernels
