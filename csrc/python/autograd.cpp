#include "python/autograd.h"

#include "core/modes.h"
#include "python/hooks.h"
#include "python/profile.h"
#include "python/tables.h"

// backward and grad, and the methods of Tensor that belong to autograd.
namespace ember::python {

void change_requires_grad(const Tensor& t, bool on) {
    TensorImpl& impl = *t.impl();
    EMBER_CHECK(!grad_fn(t),
                "requires_grad_: you can only change requires_grad flags of leaf "
                "variables.%s",
                on ? ""
                   : " If you want to use a computed variable in a subgraph that doesn't "
                     "require differentiation use var_no_grad = var.detach().");
    EMBER_CHECK(!on || is_floating(impl.dtype) || is_complex(impl.dtype),
                "requires_grad_: only Tensors of floating point and complex dtype can require "
                "gradients, got %s",
                dtype_name(impl.dtype));
    EMBER_CHECK(!on || !impl.inference || modes::inference_enabled(),
                "requires_grad_: setting requires_grad=True on inference tensor outside "
                "inference_mode is not allowed");
    impl.requires_grad = on;
}

void set_tensor_data(const Tensor& t, const Tensor& value) {
    TensorImpl &to = *t.impl(), &from = *value.impl();
    if (&to == &from) return;
    EMBER_CHECK(!t.requires_grad() || is_floating(from.dtype) || is_complex(from.dtype),
                "data: the data of a tensor that requires gradients must be of a floating point or "
                "complex dtype, got %s",
                dtype_name(from.dtype));
    uint32_t version = t.version();
    AutogradMeta* meta = to.meta;
    bool other_kind = to.dtype != from.dtype || !same(t.sizes(), value.sizes());
    if (meta && meta->accumulator && other_kind) meta->accumulator = nullptr;  // knows the old kind
    int64_t* old_dims = to.sizes == to.inline_dims ? nullptr : to.sizes;
    Dims sizes(value.sizes()), strides(value.strides());
    to.ndim = from.ndim;
    if (to.ndim > TensorImpl::kInlineDims) {
        to.sizes = static_cast<int64_t*>(std::malloc(sizeof(int64_t) * 2 * to.ndim));
        to.strides = to.sizes + to.ndim;
    } else {
        to.sizes = to.inline_dims;
        to.strides = to.inline_dims + TensorImpl::kInlineDims;
    }
    std::free(old_dims);
    std::copy(sizes.begin(), sizes.end(), to.sizes);
    std::copy(strides.begin(), strides.end(), to.strides);
    to.dtype = from.dtype;
    to.offset = from.offset;
    to.numel = from.numel;
    to.share(from.storage);
    // It is no longer a view of what it viewed.
    if (TensorImpl* base = std::exchange(to.view_base, nullptr)) base->release();
    // Graphs that saved t see no change, as in PyTorch, unless the new memory has a history.
    std::atomic<uint32_t>& counter = to.storage->version;
    if (!to.private_version && counter.load() < version) counter.store(version);
}

namespace {

// ---- Arguments

// Sorts a vectorcall's arguments by name into `slots` (borrowed, null where absent).
template <size_t N>
void sort_arguments(const char* function, const char* const (&names)[N], PyObject* const* args,
                    Py_ssize_t nargs, PyObject* kwnames, PyObject* (&slots)[N]) {
    if (nargs > Py_ssize_t(N))
        raise_type("%s() takes at most %zu arguments, got %zd", function, N, nargs);
    for (size_t i = 0; i < N; i++) slots[i] = Py_ssize_t(i) < nargs ? args[i] : nullptr;
    Py_ssize_t count = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    for (Py_ssize_t k = 0; k < count; k++) {
        PyObject* name = PyTuple_GET_ITEM(kwnames, k);
        size_t i = 0;
        while (i < N && PyUnicode_CompareWithASCIIString(name, names[i]) != 0) i++;
        if (i == N)
            raise_type("%s() got an unexpected keyword argument '%s'", function,
                       PyUnicode_AsUTF8(name));
        if (slots[i]) raise_type("%s() got multiple values for argument '%s'", function, names[i]);
        slots[i] = args[nargs + k];
    }
}

bool given(PyObject* o) { return o && o != Py_None; }

bool flag(PyObject* o, bool fallback) {
    if (!given(o)) return fallback;
    int on = PyObject_IsTrue(o);
    if (on < 0) throw PythonError();
    return on != 0;
}

PyTypeObject* edge_type;  // ember.autograd.graph.GradientEdge

bool is_edge(PyObject* o) { return edge_type && PyObject_TypeCheck(o, edge_type); }

// The edge of a tensor or of a GradientEdge (node, output_nr).
Edge read_edge(const char* function, PyObject* o) {
    if (is_tensor(o)) return gradient_edge(tensor_of(o));
    if (!is_edge(o))
        raise_type("%s: expected a Tensor or a GradientEdge, got %s", function,
                   Py_TYPE(o)->tp_name);
    PyObject *node = PyTuple_GET_ITEM(o, 0), *number = PyTuple_GET_ITEM(o, 1);
    if (!is_node(node)) raise_type("%s: a GradientEdge's node must be a Node", function);
    long nr = PyLong_AsLong(number);
    if (nr == -1 && PyErr_Occurred()) throw PythonError();
    Node& n = node_of(node);
    EMBER_CHECK(nr >= 0 && nr < n.outputs.size(), "%s: %s has %d outputs, got output_nr %ld",
                function, n.name().c_str(), n.outputs.size(), nr);
    return {Ref<Node>(&n), uint32_t(nr)};
}

// One tensor or edge, or a sequence of them: a new tuple.
PyRef as_tuple(PyObject* o) {
    PyRef tuple =
        PyRef::steal(is_tensor(o) || is_edge(o) ? PyTuple_Pack(1, o) : PySequence_Tuple(o));
    if (!tuple) throw PythonError();
    return tuple;
}

struct Edges {
    PyRef objects;
    SmallVector<Edge, 2> edges;
    Edges() = default;
    Edges(const char* function, PyObject* o) : objects(as_tuple(o)) {
        for (Py_ssize_t i = 0; i < size(); i++) edges.push_back(read_edge(function, (*this)[i]));
    }
    Py_ssize_t size() const { return objects ? PyTuple_GET_SIZE(objects.get()) : 0; }
    PyObject* operator[](Py_ssize_t i) const { return PyTuple_GET_ITEM(objects.get(), i); }
};

// The gradients given for `count` roots: None, one tensor, or a sequence of Tensor or None.
SmallVector<Tensor, 2> read_grads(const char* function, PyObject* o, Py_ssize_t count) {
    SmallVector<Tensor, 2> grads;
    if (!given(o)) return grads;
    PyRef all = as_tuple(o);
    Py_ssize_t n = PyTuple_GET_SIZE(all.get());
    EMBER_CHECK(n == count, "%s: got %ld tensors and %ld gradients", function, long(count),
                long(n));
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject* item = PyTuple_GET_ITEM(all.get(), i);
        if (item != Py_None && !is_tensor(item))
            raise_type("%s: gradients can be either Tensors or None, but got %s", function,
                       Py_TYPE(item)->tp_name);
        grads.push_back(item == Py_None ? Tensor() : with_items(function, tensor_of(item)));
    }
    return grads;
}

template <class T, int N>
std::span<const T> span(const SmallVector<T, N>& items) {
    return {items.data(), size_t(items.size())};
}

// ---- backward and grad

void run_backward(PyObject* tensors, PyObject* gradients, PyObject* retain, PyObject* create,
                  PyObject* inputs) {
    Edges roots("backward", tensors);
    SmallVector<Tensor, 2> grads = read_grads("backward", gradients, roots.size());
    autograd::BackwardOptions options;
    options.create_graph = flag(create, false);
    options.retain_graph = flag(retain, options.create_graph);
    Edges targets;
    if (given(inputs)) {
        PyRef values =
            PyDict_Check(inputs) ? PyRef::steal(PyDict_Values(inputs)) : PyRef::borrow(inputs);
        if (!values) throw PythonError();
        targets = Edges("backward", values.get());
        EMBER_CHECK(targets.size() > 0,
                    "backward: `inputs` argument to `backward()` cannot be empty.");
        for (Py_ssize_t i = 0; i < targets.size(); i++) {
            EMBER_CHECK(targets.edges[i],
                        "backward: one of the differentiated Tensors does not "
                        "require grad");
            if (is_tensor(targets[i])) autograd::retain_grad(tensor_of(targets[i]));
        }
    }
    autograd::backward(span(roots.edges), span(grads), span(targets.edges), options);
}

PyObject* tensor_backward(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                          PyObject* kwnames) {
    static constexpr const char* names[] = {"gradient", "retain_graph", "create_graph", "inputs"};
    PyObject* slots[4];
    try {
        sort_arguments("backward", names, args, nargs, kwnames, slots);
        run_backward(self, slots[0], slots[1], slots[2], slots[3]);
        Py_RETURN_NONE;
    } catch (...) {
        return translate_exception();
    }
}

PyObject* module_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
    static constexpr const char* names[] = {"tensors",      "grad_tensors",   "retain_graph",
                                            "create_graph", "grad_variables", "inputs"};
    PyObject* slots[6];
    try {
        sort_arguments("backward", names, args, nargs, kwnames, slots);
        if (!slots[0]) raise_type("backward() missing the required argument 'tensors'");
        EMBER_CHECK(!given(slots[1]) || !given(slots[4]),
                    "backward: grad_variables is grad_tensors' old name; give one of them");
        run_backward(slots[0], given(slots[1]) ? slots[1] : slots[4], slots[2], slots[3], slots[5]);
        Py_RETURN_NONE;
    } catch (...) {
        return translate_exception();
    }
}

// A strided gradient stands first: that is the sum its class knows.
Tensor sum_of_wrappers(const Tensor& a, const Tensor& b) {
    PyGILState_STATE state = PyGILState_Ensure();
    struct Release {
        PyGILState_STATE state;
        ~Release() { PyGILState_Release(state); }
    } release{state};
    bool swap = a.impl()->wrapper && !b.impl()->wrapper;
    PyRef x = PyRef::steal(wrap(swap ? b : a)), y = PyRef::steal(wrap(swap ? a : b));
    PyRef sum = PyRef::steal(x && y ? PyNumber_Add(x.get(), y.get()) : nullptr);
    if (!sum) throw PythonError();
    return tensor_of(sum.get());
}

bool any_overrides(PyObject* o) {
    if (!PyTuple_Check(o) && !PyList_Check(o)) return overrides(o);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); i++)
        if (overrides(PySequence_Fast_GET_ITEM(o, i))) return true;
    return false;
}

PyObject* module_grad(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
    static constexpr const char* names[] = {"outputs",          "inputs",       "grad_outputs",
                                            "retain_graph",     "create_graph", "allow_unused",
                                            "materialize_grads"};
    PyObject* slots[7];
    try {
        sort_arguments("grad", names, args, nargs, kwnames, slots);
        if (!slots[0] || !slots[1]) raise_type("grad() needs the arguments 'outputs' and 'inputs'");
        if (any_overrides(slots[0]) || any_overrides(slots[1])) {
            PyRef module = PyRef::steal(PyImport_ImportModule("ember._C"));
            PyObject* func = module ? PyObject_GetAttrString(module.get(), "_grad") : nullptr;
            return call_override(func, args, nargs, kwnames);
        }
        Edges roots("grad", slots[0]), targets("grad", slots[1]);
        SmallVector<Tensor, 2> grads = read_grads("grad", slots[2], roots.size());
        autograd::BackwardOptions options;
        options.accumulate = false;
        options.create_graph = flag(slots[4], false);
        options.retain_graph = flag(slots[3], options.create_graph);
        bool materialize = flag(slots[6], false);
        bool allow_unused = flag(slots[5], materialize);
        if (materialize && !allow_unused)
            raise_value(
                "grad: expected allow_unused to be True or not passed when "
                "materialize_grads=True, but got: allow_unused=False.");
        EMBER_CHECK(targets.size() > 0, "grad requires non-empty inputs.");
        for (const Edge& edge : targets.edges)
            EMBER_CHECK(edge, "grad: one of the differentiated Tensors does not require grad");
        GradList results =
            autograd::backward(span(roots.edges), span(grads), span(targets.edges), options);
        for (int i = 0; i < results.size(); i++)
            EMBER_CHECK(allow_unused || results[i].defined(),
                        "grad: the differentiated Tensor at index %d appears to not have been used "
                        "in the graph. Set allow_unused=True if this is the desired behavior.",
                        i);
        return grads_to_tuple(results).release();
    } catch (...) {
        return translate_exception();
    }
}

// ---- Methods of Tensor

template <PyObject* (*F)(PyObject*, const Tensor&)>
PyObject* plain(PyObject* self, PyObject*) {
    try {
        return F(self, tensor_of(self));
    } catch (...) {
        return translate_exception();
    }
}
template <PyObject* (*F)(const Tensor&, PyObject*)>
PyObject* of_one(PyObject* self, PyObject* argument) {
    try {
        return F(tensor_of(self), argument);
    } catch (...) {
        return translate_exception();
    }
}

PyObject* retain_grad(PyObject*, const Tensor& t) {
    autograd::retain_grad(t);
    Py_RETURN_NONE;
}

PyObject* is_inference(PyObject*, const Tensor& t) { return PyBool_FromLong(t.impl()->inference); }
PyObject* is_view(PyObject*, const Tensor& t) { return PyBool_FromLong(t.is_view()); }

PyObject* bump_version(PyObject*, const Tensor& t) {
    t.bump_version();
    Py_RETURN_NONE;
}

HookList<GradHook>& hooks_of(Node& node, uint32_t output_nr) {
    auto& all = node.hooks_for_change().tensor;
    for (auto& [output, hooks] : all)
        if (output == output_nr) return hooks;
    return all.emplace_back(output_nr, HookList<GradHook>()).second;
}

PyObject* register_hook(const Tensor& t, PyObject* fn) {
    EMBER_CHECK(t.requires_grad(),
                "register_hook: cannot register a hook on a tensor that doesn't require gradient");
    if (Node* node = grad_fn(t))
        return add_hook<TensorHook>(hooks_of(*node, t.impl()->output_nr), fn);
    return add_hook<TensorHook>(autograd_meta(t).hooks, fn);
}

PyObject* register_post_accumulate_grad_hook(const Tensor& t, PyObject* fn) {
    EMBER_CHECK(t.requires_grad(),
                "register_post_accumulate_grad_hook: cannot register a hook on a "
                "tensor that doesn't require gradient");
    EMBER_CHECK(!grad_fn(t),
                "register_post_accumulate_grad_hook: post accumulate grad hooks cannot "
                "be registered on non-leaf tensors");
    return add_hook<LeafHook>(autograd_meta(t).after_accumulate, fn);
}

PyObject* requires_grad_(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                         PyObject* kwnames) {
    static constexpr const char* names[] = {"requires_grad"};
    PyObject* slots[1];
    try {
        sort_arguments("requires_grad_", names, args, nargs, kwnames, slots);
        bool on = flag(slots[0], true);
        const Tensor& t = tensor_of(self);
        if (!on || !grad_fn(t)) change_requires_grad(t, on);
        return Py_NewRef(self);
    } catch (...) {
        return translate_exception();
    }
}

constexpr int kFast = METH_FASTCALL | METH_KEYWORDS;

PyMethodDef tensor_methods[] = {
    {"backward", as_method(tensor_backward), kFast,
     "backward(gradient=None, retain_graph=None, create_graph=False, inputs=None)\n\n"
     "Computes the gradients of the leaves that this tensor depends on and adds them to their "
     ".grad."
     "\n\ngradient: of this tensor's shape; may be left out for a tensor of one element.\n"
     "retain_graph: keep the graph for another backward (default: create_graph).\n"
     "create_graph: record the backward itself, for gradients of higher order.\n"
     "inputs: only these tensors get gradients."},
    {"retain_grad", plain<retain_grad>, METH_NOARGS,
     "retain_grad()\n\nMakes a tensor that is not a leaf keep its gradient in .grad."},
    {"register_hook", of_one<register_hook>, METH_O,
     "register_hook(hook) -> handle\n\nCalls hook(grad) whenever the gradient of this tensor is "
     "computed; what it returns, unless None, is used instead."},
    {"register_post_accumulate_grad_hook", of_one<register_post_accumulate_grad_hook>, METH_O,
     "register_post_accumulate_grad_hook(hook) -> handle\n\nCalls hook(tensor) after a gradient "
     "was "
     "added to this leaf's .grad."},
    {"requires_grad_", as_method(requires_grad_), kFast,
     "requires_grad_(requires_grad=True) -> Tensor\n\nSets .requires_grad and returns the tensor."},
    {"is_inference", plain<is_inference>, METH_NOARGS,
     "is_inference() -> bool\n\nWhether the tensor was made in inference mode."},
    {"_is_view", plain<is_view>, METH_NOARGS, nullptr},
    {"_bump_version", plain<bump_version>, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

// ---- Functions of the module

PyObject* queue_callback(PyObject*, PyObject* fn) {
    try {
        autograd::queue_callback([fn = PyRef::borrow(fn)] { call(fn.get(), {}); });
        Py_RETURN_NONE;
    } catch (...) {
        return translate_exception();
    }
}

PyObject* edge_of(PyObject*, PyObject* o) {
    try {
        if (!is_tensor(o))
            raise_type("get_gradient_edge: expected a Tensor, got %s", Py_TYPE(o)->tp_name);
        Edge edge = gradient_edge(tensor_of(o));
        EMBER_CHECK(edge,
                    "get_gradient_edge: cannot get the gradient edge of a Tensor that does not "
                    "require gradients");
        return Py_BuildValue("NI", wrap_node(edge.node.get()), unsigned(edge.input_nr));
    } catch (...) {
        return translate_exception();
    }
}

PyObject* set_edge_type(PyObject*, PyObject* type) {
    edge_type = reinterpret_cast<PyTypeObject*>(Py_NewRef(type));
    Py_RETURN_NONE;
}

PyObject* forget_nan(PyObject*, PyObject*) {
    autograd::take_first_nan();
    Py_RETURN_NONE;
}

// ---- Anomaly mode

// Errors on the way leave it empty.
Trace python_trace() {
    if (!PyGILState_Check()) return {};
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    std::string text;
    PyRef module = PyRef::steal(PyImport_ImportModule("traceback"));
    PyRef lines =
        PyRef::steal(module ? PyObject_CallMethod(module.get(), "format_stack", nullptr) : nullptr);
    for (Py_ssize_t i = 0; lines && i < PyList_GET_SIZE(lines.get()); i++)
        if (const char* line = PyUnicode_AsUTF8(PyList_GET_ITEM(lines.get(), i))) text += line;
    PyErr_Restore(type, value, traceback);
    return {module_path(), text};
}

void warn_of_failure(const Node& node) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    std::string name = node.name();
    Trace trace = node.trace ? *node.trace : Trace();
    if (!trace.module.empty()) name += ", which ran in module '" + trace.module + "'";
    int failed = PyErr_WarnFormat(
        PyExc_UserWarning, 1, "Error detected in %s. %s%s", name.c_str(),
        trace.stack.empty()
            ? "No forward pass information available: enable anomaly mode during the forward pass."
            : "Traceback of forward call that caused the error:\n",
        trace.stack.c_str());
    if (failed < 0) PyErr_Clear();  // the error on its way counts more
    PyErr_Restore(type, value, traceback);
}

PyMethodDef functions[] = {
    {"_backward", as_method(module_backward), kFast, nullptr},
    {"_grad", as_method(module_grad), kFast, nullptr},
    {"_queue_callback", queue_callback, METH_O, nullptr},
    {"_gradient_edge", edge_of, METH_O, nullptr},
    {"_set_edge_type", set_edge_type, METH_O, nullptr},
    {"_forget_nan", forget_nan, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool add_autograd(PyObject* module) {
    for (PyMethodDef* def = tensor_methods; def->ml_name; def++) {
        PyRef method = PyRef::steal(PyDescr_NewMethod(tensor_type, def));
        if (!method || PyDict_SetItemString(tensor_type->tp_dict, def->ml_name, method.get()) < 0)
            return false;
    }
    PyType_Modified(tensor_type);
    autograd::set_trace_source(python_trace);
    autograd::set_failure_report(warn_of_failure);
    autograd::set_sum_of_wrappers(sum_of_wrappers);
    return add_hooks(module) && add_node_type(module) && add_function_type(module) &&
           add_grad_mode(module) && add_saved_hooks(module) &&
           PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace ember::python
