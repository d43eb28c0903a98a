// Stand-ins while the families are being written; each goes when its own file lands.
#include "python/autograd.h"
#include "python/tables.h"

namespace ember {
namespace python {
PyObject* wrap_node(Node* node) {
    if (!node) Py_RETURN_NONE;
    return PyUnicode_FromString(node->name().c_str());
}
void change_requires_grad(const Tensor& t, bool on) { t.impl()->requires_grad = on; }
void set_tensor_data(const Tensor&, const Tensor&) { raise("data: not yet"); }
}  // namespace python
}  // namespace ember
