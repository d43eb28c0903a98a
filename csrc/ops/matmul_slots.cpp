#include "kernels/matmul.h"

namespace ember::kernels {

Slot<void(Context&, const Gemm&)> gemm{"matmul"};

}  // namespace ember::kernels
