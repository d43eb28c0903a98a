#pragma once

#include "autograd/engine.h"
#include "python/bind.h"

namespace ember::python {

// The node's Python object (None for null).
PyObject* wrap_node(Node* node);
void change_requires_grad(const Tensor& t, bool on);
// `t.data = value`: t takes value's memory, shape and dtype and keeps its identity and gradient.
void set_tensor_data(const Tensor& t, const Tensor& value);

}  // namespace ember::python
