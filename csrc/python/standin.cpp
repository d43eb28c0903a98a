// Stand-ins while the families are being written; each goes when its own file lands.
#include "ops/matmul.h"
#include "python/tables.h"

namespace ember {
namespace ops {
Tensor matmul(const Tensor&, const Tensor&, const Dest&) { raise("matmul: not yet"); }
}  // namespace ops
}  // namespace ember
