#include "cpu/pointwise_shared.h"

namespace ember::cpu {

PointwiseShared pointwise_shared;

}  // namespace ember::cpu
