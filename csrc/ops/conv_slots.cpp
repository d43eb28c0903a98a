#include "kernels/conv.h"

namespace ember::kernels {

Conv2dSlot conv2d{"conv2d"};
Conv2dSlot conv2d_grad_input{"conv2d_grad_input"};
Conv2dSlot conv2d_grad_weight{"conv2d_grad_weight"};

}  // namespace ember::kernels
