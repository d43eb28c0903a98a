#include "kernels/pool.h"

namespace ember::kernels {

Pool2dSlot max_pool2d{"max_pool2d"};
Pool2dSlot max_pool2d_backward{"max_pool2d_backward"};
Pool2dSlot avg_pool2d{"avg_pool2d"};
Pool2dSlot avg_pool2d_backward{"avg_pool2d_backward"};

}  // namespace ember::kernels
