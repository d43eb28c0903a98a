// Stand-ins while the families are being written; each goes when its own file lands.
#include "ops/matmul.h"
#include "python/tables.h"

namespace ember {
namespace python {
void add_index_slots(std::vector<PyType_Slot>&) {}
}  // namespace python
namespace ops {
Tensor matmul(const Tensor&, const Tensor&, const Dest&) { raise("matmul: not yet"); }
}  // namespace ops
}  // namespace ember
