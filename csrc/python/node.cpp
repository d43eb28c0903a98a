#include <Python.h>
#include <structmember.h>

#include <string>
#include <unordered_map>

#include "python/autograd.h"
#include "python/hooks.h"

// Nodes of the graph as Python sees them: `grad_fn` and what it leads to.
namespace ember::python {

PyTypeObject* node_type = nullptr;

namespace {

NodeObject* as_node(PyObject* o) { return reinterpret_cast<NodeObject*>(o); }

// Methods and attributes, with C++ exceptions made Python's.
template <PyObject* (*F)(Node&)>
PyObject* get(PyObject* self, void*) {
    try {
        return F(node_of(self));
    } catch (...) {
        return translate_exception();
    }
}
template <PyObject* (*F)(Node&)>
PyObject* method(PyObject* self, PyObject*) {
    return get<F>(self, nullptr);
}
template <PyObject* (*F)(Node&, PyObject*)>
PyObject* method_of_one(PyObject* self, PyObject* argument) {
    try {
        return F(node_of(self), argument);
    } catch (...) {
        return translate_exception();
    }
}

PyObject* name(Node& node) { return PyUnicode_FromString(node.name().c_str()); }
PyObject* sequence_nr(Node& node) { return PyLong_FromUnsignedLongLong(node.sequence); }

PyObject* next_functions(Node& node) {
    PyRef all = PyRef::steal(PyTuple_New(node.next.size()));
    if (!all) return nullptr;
    for (int i = 0; i < node.next.size(); i++) {
        PyObject* item = Py_BuildValue("NI", wrap_node(node.next[i].node.get()),
                                       unsigned(node.next[i].input_nr));
        if (!item) return nullptr;
        PyTuple_SET_ITEM(all.get(), i, item);
    }
    return all.release();
}

PyObject* metadata(Node& node) {
    auto& slot = node.hooks_for_change().metadata;
    if (!slot) {
        PyObject* dict = PyDict_New();
        if (!dict) return nullptr;
        slot = std::shared_ptr<void>(dict, [](void* o) { Py_DECREF(static_cast<PyObject*>(o)); });
    }
    return Py_NewRef(static_cast<PyObject*>(slot.get()));
}

PyObject* variable(Node& node) {
    if (const Tensor* leaf = node.leaf()) return wrap(*leaf);
    PyErr_Format(PyExc_AttributeError, "'%s' object has no attribute 'variable'",
                 node.name().c_str());
    return nullptr;
}

PyObject* register_hook(Node& node, PyObject* fn) {
    return add_hook<NodeAfterHook>(node.hooks_for_change().post, fn);
}
PyObject* register_prehook(Node& node, PyObject* fn) {
    return add_hook<NodeBeforeHook>(node.hooks_for_change().pre, fn);
}

PyObject* repr(PyObject* self) {
    return PyUnicode_FromFormat("<%s object at %p>", _PyType_Name(Py_TYPE(self)), self);
}

void drop_hooks(Node& node) {
    if (!node.hooks) return;
    auto tensor = std::move(node.hooks->tensor);  // their destruction may run Python
    auto pre = std::move(node.hooks->pre);
    auto post = std::move(node.hooks->post);
}

int traverse(PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    Node* node = as_node(self)->node;
    return node && node->use_count() == 1 ? visit_node(*node, visit, arg) : 0;
}

int clear(PyObject* self) {
    Node* node = as_node(self)->node;
    if (node && node->use_count() == 1) drop_hooks(*node);
    return 0;
}

void dealloc(PyObject* self) {
    PyObject_GC_UnTrack(self);
    NodeObject* o = as_node(self);
    if (o->weakrefs) PyObject_ClearWeakRefs(self);
    if (Node* node = std::exchange(o->node, nullptr)) {
        node->pyobject = nullptr;
        node->release();
    }
    PyTypeObject* type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

PyMethodDef methods[] = {
    {"name", method<name>, METH_NOARGS, "name() -> str\n\nThe name of the node: AddBackward0."},
    {"_sequence_nr", method<sequence_nr>, METH_NOARGS, "Grows with each forward of a thread."},
    {"register_hook", method_of_one<register_hook>, METH_O,
     "register_hook(fn) -> handle\n\nCalls fn(grad_inputs, grad_outputs), two tuples of Tensor or "
     "None, after the node ran;\nwhat it returns, unless None, replaces grad_inputs."},
    {"register_prehook", method_of_one<register_prehook>, METH_O,
     "register_prehook(fn) -> handle\n\nCalls fn(grad_outputs) before the node runs; what it "
     "returns, unless None, replaces them."},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef getset[] = {
    {"next_functions", get<next_functions>, nullptr,
     "Pairs (node, number of its output), one for each input; (None, 0) where no gradient flows.",
     nullptr},
    {"metadata", get<metadata>, nullptr, "A dict that lives as long as the node.", nullptr},
    {"variable", get<variable>, nullptr, "The leaf of an AccumulateGrad.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(NodeObject, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

// One type a name, so that type(x.grad_fn).__name__ is 'AddBackward0'.
PyTypeObject* type_of(const Node& node) {
    static auto* types = new std::unordered_map<std::string, PyTypeObject*>;
    PyTypeObject*& type = (*types)[node.name()];
    if (type) return type;
    auto* full_name = new std::string("ember.autograd." + node.name());  // the type points at it
    PyType_Slot slots[] = {{0, nullptr}};
    PyType_Spec spec = {full_name->c_str(), 0, 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    PyRef bases = PyRef::steal(PyTuple_Pack(1, node_type));
    if (bases) type = reinterpret_cast<PyTypeObject*>(PyType_FromSpecWithBases(&spec, bases.get()));
    return type;
}

}  // namespace

bool is_node(PyObject* o) { return PyObject_TypeCheck(o, node_type); }

Node& node_of(PyObject* o) {
    Node* node = as_node(o)->node;
    EMBER_CHECK(node,
                "%s: the node of this ctx does not exist: its forward was not recorded, or its "
                "graph is gone",
                Py_TYPE(o)->tp_name);
    return *node;
}

PyObject* wrap_node(Node* node) {
    if (!node) Py_RETURN_NONE;
    if (node->pyobject) return Py_NewRef(static_cast<PyObject*>(node->pyobject));
    PyTypeObject* type = type_of(*node);
    if (!type) return nullptr;
    auto* o = reinterpret_cast<NodeObject*>(type->tp_alloc(type, 0));
    if (!o) return nullptr;
    node->retain();
    o->node = node;
    node->pyobject = o;
    return reinterpret_cast<PyObject*>(o);
}

int visit_node(const Node& node, visitproc visit, void* arg) {
    if (node.hooks) {
        if (int stop = visit_hooks(*node.hooks, visit, arg)) return stop;
        Py_VISIT(static_cast<PyObject*>(node.hooks->metadata.get()));
    }
    Py_VISIT(owned_object(node));
    return 0;
}

int visit_owned(const TensorImpl& impl, visitproc visit, void* arg) {
    if (impl.refs.load(std::memory_order_relaxed) != 1) return 0;
    if (impl.meta)
        if (int stop = visit_hooks(*impl.meta, visit, arg)) return stop;
    if (impl.grad_fn && impl.grad_fn->use_count() == 1)
        return visit_node(*impl.grad_fn, visit, arg);
    return 0;
}

void clear_owned(TensorImpl& impl) {
    if (impl.refs.load(std::memory_order_relaxed) != 1) return;
    if (impl.meta) {
        auto hooks = std::move(impl.meta->hooks);
        auto after = std::move(impl.meta->after_accumulate);
    }
    if (impl.grad_fn && impl.grad_fn->use_count() == 1) drop_hooks(*impl.grad_fn);
}

bool add_node_type(PyObject* module) {
    PyType_Slot slots[] = {
        {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
        {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
        {Py_tp_clear, reinterpret_cast<void*>(clear)},
        {Py_tp_repr, reinterpret_cast<void*>(repr)},
        {Py_tp_methods, methods},
        {Py_tp_getset, getset},
        {Py_tp_members, members},
        {Py_tp_doc, const_cast<char*>("An operation that autograd recorded.")},
        {0, nullptr},
    };
    PyType_Spec spec = {"ember.autograd.graph.Node", sizeof(NodeObject), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE, slots};
    node_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
    return node_type &&
           PyModule_AddObjectRef(module, "_Node", reinterpret_cast<PyObject*>(node_type)) == 0;
}

}  // namespace ember::python
