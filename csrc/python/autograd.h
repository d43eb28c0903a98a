#pragma once

#include "autograd/engine.h"
#include "python/bind.h"
#include "python/ref.h"

namespace ember::python {

// The node's Python object (None for null).
PyObject* wrap_node(Node* node);
void change_requires_grad(const Tensor& t, bool on);
// `t.data = value`: t takes value's memory, shape and dtype and keeps its identity and gradient.
void set_tensor_data(const Tensor& t, const Tensor& value);

// For the garbage collector: what a tensor that only its Python object holds can reach alone, and
// cutting it off.
int visit_owned(const TensorImpl& impl, visitproc visit, void* arg);
void clear_owned(TensorImpl& impl);

// ---- Within autograd's files: node.cpp, function.cpp, grad_mode.cpp

// The layout of every node's Python object. An object of a custom Function (its ctx) belongs to its
// node and knows it weakly; any other owns one count of its node.
struct NodeObject {
    PyObject_HEAD Node* node;
    PyObject* weakrefs;
};
extern PyTypeObject* node_type;
bool is_node(PyObject* o);
Node& node_of(PyObject* o);  // raises when the node is gone

// The Python object a node owns; null but for nodes of custom Functions.
PyObject* owned_object(const Node& node);
int visit_node(const Node& node, visitproc visit, void* arg);

bool add_node_type(PyObject* module);
bool add_function_type(PyObject* module);
bool add_grad_mode(PyObject* module);
bool add_saved_hooks(PyObject* module);

}  // namespace ember::python
