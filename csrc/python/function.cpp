#include <Python.h>
#include <structmember.h>

#include "autograd/primitives.h"
#include "python/autograd.h"
#include "python/hooks.h"
#include "python/profile.h"

// Custom autograd.Function: the ctx object, the node that calls its backward, and apply.
namespace ember::python {

namespace {

// ctx. Owned by its node, which it knows weakly.
struct FunctionObject {
    NodeObject base;
    PyObject* dict;
    PyObject* needs_input_grad;
    PyObject* to_save;  // what save_for_backward, mark_dirty and mark_non_differentiable were given
    PyObject* dirty;
    PyObject* non_differentiable;
    std::vector<Saved>* saved;
    bool materialize_grads;
    bool freed;
};

FunctionObject* as_function(PyObject* o) { return reinterpret_cast<FunctionObject*>(o); }

PyObject *kForward, *kBackward, *kSetupContext, *kBackwardClass, *kForwardClass;
PyObject* function_base;  // ember.autograd.Function, for its setup_context

class FunctionNode final : public Node {
public:
    explicit FunctionNode(PyRef ctx) : Node(""), ctx_(std::move(ctx)) {
        as_function(ctx_.get())->base.node = this;
        pyobject = ctx_.get();
    }
    ~FunctionNode() override {
        FunctionObject* ctx = as_function(ctx_.get());
        ctx->base.node = nullptr;
        free_saved(ctx);
    }

    std::string name() const override { return _PyType_Name(Py_TYPE(ctx_.get())); }
    PyObject* ctx() const { return ctx_.get(); }
    void apply(GradList& grads, GradList& results) override;
    void release_saved() override {
        FunctionObject* ctx = as_function(ctx_.get());
        ctx->freed = ctx->freed || ctx->saved;
        free_saved(ctx);
    }

    // One for each argument of forward: whether it was a tensor, and so has an edge.
    SmallVector<bool, 8> input_is_tensor;
    // One for each output; the gradient of another is None.
    SmallVector<bool, 8> output_is_tensor;

private:
    static void free_saved(FunctionObject* ctx) { delete std::exchange(ctx->saved, nullptr); }
    PyRef ctx_;
};

void FunctionNode::apply(GradList& grads, GradList& results) {
    FunctionObject* ctx = as_function(ctx_.get());
    PyRef cls = PyRef::steal(PyObject_GetAttr(ctx_.get(), kForwardClass));
    if (!cls) throw PythonError();
    PyRef backward = PyRef::steal(PyObject_GetAttr(cls.get(), kBackward));
    if (!backward) throw PythonError();
    int n = output_is_tensor.size();
    SmallVector<PyObject*, 8> args;
    struct Drop {
        SmallVector<PyObject*, 8>& args;
        ~Drop() {
            for (PyObject* o : args) Py_DECREF(o);
        }
    } drop{args};
    args.push_back(Py_NewRef(ctx_.get()));
    for (int i = 0; i < n; i++) {
        Tensor grad = i < grads.size() ? grads[i] : Tensor();
        if (!grad.defined() && output_is_tensor[i] && ctx->materialize_grads) {
            const GradMeta& meta = outputs[i];
            grad = autograd::primitives::zeros(meta.sizes, {meta.dtype, meta.device});
        }
        PyObject* item = wrap(std::move(grad));
        if (!item) throw PythonError();
        args.push_back(item);
    }
    PyRef result = PyRef::steal(
        PyObject_Vectorcall(backward.get(), args.data(), size_t(args.size()), nullptr));
    if (!result) throw PythonError();
    if (!PyTuple_Check(result.get())) {
        result = PyRef::steal(PyTuple_Pack(1, result.get()));
        if (!result) throw PythonError();
    }
    int expected = input_is_tensor.size(), got = int(PyTuple_GET_SIZE(result.get()));
    // More than asked for is fine as long as it is None.
    while (got > expected && PyTuple_GET_ITEM(result.get(), got - 1) == Py_None) got--;
    EMBER_CHECK(got == expected,
                "function %s returned an incorrect number of gradients (expected %d, got %d)",
                name().c_str(), expected, int(PyTuple_GET_SIZE(result.get())));
    for (int i = 0, edge = 0; i < expected; i++) {
        PyObject* item = PyTuple_GET_ITEM(result.get(), i);
        if (!input_is_tensor[i]) {
            EMBER_CHECK(
                item == Py_None,
                "function %s returned a gradient different from None at position %d, but the "
                "corresponding forward input was not a Tensor",
                name().c_str(), i + 1);
            continue;
        }
        if (item != Py_None) {
            EMBER_CHECK(is_tensor(item),
                        "function %s: expected Tensor or None at position %d, got %s",
                        name().c_str(), i + 1, Py_TYPE(item)->tp_name);
            if (needs(edge)) results[edge] = tensor_of(item);
        }
        edge++;
    }
}

// ---- ctx

PyObject* ctx_new(PyTypeObject* type, PyObject*, PyObject*) {
    auto* o = reinterpret_cast<FunctionObject*>(type->tp_alloc(type, 0));
    if (o) o->materialize_grads = true;
    return reinterpret_cast<PyObject*>(o);
}

int ctx_traverse(PyObject* self, visitproc visit, void* arg) {
    FunctionObject* o = as_function(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(o->dict);
    Py_VISIT(o->needs_input_grad);
    Py_VISIT(o->to_save);
    Py_VISIT(o->dirty);
    Py_VISIT(o->non_differentiable);
    return 0;
}

int ctx_clear(PyObject* self) {
    FunctionObject* o = as_function(self);
    Py_CLEAR(o->dict);
    Py_CLEAR(o->to_save);
    Py_CLEAR(o->dirty);
    Py_CLEAR(o->non_differentiable);
    return 0;
}

void ctx_dealloc(PyObject* self) {
    PyObject_GC_UnTrack(self);
    FunctionObject* o = as_function(self);
    if (o->base.weakrefs) PyObject_ClearWeakRefs(self);
    ctx_clear(self);
    Py_CLEAR(o->needs_input_grad);
    delete std::exchange(o->saved, nullptr);
    PyTypeObject* type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

template <PyObject* FunctionObject::* Field>
PyObject* remember(PyObject* self, PyObject* tensors) {
    Py_XSETREF(as_function(self)->*Field, Py_NewRef(tensors));
    Py_RETURN_NONE;
}

PyObject* set_materialize_grads(PyObject* self, PyObject* value) {
    int on = PyObject_IsTrue(value);
    if (on < 0) return nullptr;
    as_function(self)->materialize_grads = on != 0;
    Py_RETURN_NONE;
}

PyObject* saved_tensors(PyObject* self, void*) {
    FunctionObject* o = as_function(self);
    try {
        if (o->freed) raise_backward_twice(node_of(self));
        size_t n = o->saved ? o->saved->size() : 0;
        PyRef all = PyRef::steal(PyTuple_New(Py_ssize_t(n)));
        if (!all) throw PythonError();
        for (size_t i = 0; i < n; i++) {
            PyObject* item = wrap((*o->saved)[i].get(node_of(self)));
            if (!item) throw PythonError();
            PyTuple_SET_ITEM(all.get(), Py_ssize_t(i), item);
        }
        return all.release();
    } catch (...) {
        return translate_exception();
    }
}

PyObject* get_needs_input_grad(PyObject* self, void*) {
    PyObject* needs = as_function(self)->needs_input_grad;
    return needs ? Py_NewRef(needs) : PyTuple_New(0);
}
int set_needs_input_grad(PyObject* self, PyObject* value, void*) {
    Py_XSETREF(as_function(self)->needs_input_grad, Py_XNewRef(value));
    return 0;
}

PyMethodDef ctx_methods[] = {
    {"save_for_backward", remember<&FunctionObject::to_save>, METH_VARARGS,
     "save_for_backward(*tensors)\n\nKeeps inputs and outputs of forward (Tensor or None) for "
     "`saved_tensors` in backward;\nto be called once, in forward or setup_context."},
    {"mark_dirty", remember<&FunctionObject::dirty>, METH_VARARGS,
     "mark_dirty(*tensors)\n\nSays which inputs forward changed in place; they must be returned."},
    {"mark_non_differentiable", remember<&FunctionObject::non_differentiable>, METH_VARARGS,
     "mark_non_differentiable(*tensors)\n\nSays which outputs have no gradient."},
    {"set_materialize_grads", set_materialize_grads, METH_O,
     "set_materialize_grads(value)\n\nWhether backward gets zeros (the default) or None for "
     "outputs "
     "without a gradient."},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef ctx_getset[] = {
    {"saved_tensors", saved_tensors, nullptr,
     "What save_for_backward was given; raises after the graph was freed, or when one was changed "
     "in "
     "place.",
     nullptr},
    {"needs_input_grad", get_needs_input_grad, set_needs_input_grad,
     "One bool for each argument of forward: whether its gradient is asked for.", nullptr},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyMemberDef ctx_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(FunctionObject, dict), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

// ---- apply

PyRef attribute(PyObject* o, PyObject* name) {
    PyRef value = PyRef::steal(PyObject_GetAttr(o, name));
    if (!value) throw PythonError();
    return value;
}

bool holds(PyObject* tuple, PyObject* item) {
    for (Py_ssize_t i = 0; tuple && i < PyTuple_GET_SIZE(tuple); i++)
        if (PyTuple_GET_ITEM(tuple, i) == item) return true;
    return false;
}

int position(PyObject* tuple, PyObject* item) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++)
        if (PyTuple_GET_ITEM(tuple, i) == item) return int(i);
    return -1;
}

Tensor view_of_itself(const Tensor& t) {
    GradModeGuard no_grad(false);
    Tensor view = alias(t);
    mark_view(view, t);
    return view;
}

// Calls forward (and setup_context, where the class has one) with gradients off.
PyRef run_forward(PyObject* cls, PyObject* ctx, PyObject* inputs) {
    GradModeGuard no_grad(false);
    PyRef forward = attribute(cls, kForward);
    PyRef setup = attribute(cls, kSetupContext), plain = attribute(function_base, kSetupContext);
    Py_ssize_t n = PyTuple_GET_SIZE(inputs);
    SmallVector<PyObject*, 8> args;
    bool separate = setup.get() != plain.get();
    if (!separate) args.push_back(ctx);
    for (Py_ssize_t i = 0; i < n; i++) args.push_back(PyTuple_GET_ITEM(inputs, i));
    PyRef output =
        PyRef::steal(PyObject_Vectorcall(forward.get(), args.data(), size_t(args.size()), nullptr));
    if (!output) throw PythonError();
    if (separate) call(setup.get(), {ctx, inputs, output.get()});
    return output;
}

class Application {
public:
    Application(PyObject* ctx, PyObject* inputs, Ref<FunctionNode> node)
        : ctx_(as_function(ctx)), inputs_(inputs), node_(std::move(node)) {}

    // The outputs as the caller gets them, attached to the node.
    PyRef attach(PyObject* raw) {
        bool single = !PyTuple_Check(raw);
        Py_ssize_t n = single ? 1 : PyTuple_GET_SIZE(raw);
        PyRef outputs = PyRef::steal(PyTuple_New(n));
        if (!outputs) throw PythonError();
        check_dirty(raw, n);
        for (Py_ssize_t i = 0; i < n; i++) {
            PyObject* item = single ? raw : PyTuple_GET_ITEM(raw, i);
            bool tensor = is_tensor(item);
            if (node_) {
                node_->output_is_tensor.push_back(tensor);
                if (tensor)
                    node_->add_output(tensor_of(item));
                else
                    node_->outputs.emplace_back();
            }
            if (!tensor) {
                PyTuple_SET_ITEM(outputs.get(), i, Py_NewRef(item));
                continue;
            }
            Tensor out = attach_one(item, uint32_t(i));
            PyObject* object = out.is(tensor_of(item)) ? Py_NewRef(item) : wrap(out);
            if (!object) throw PythonError();
            PyTuple_SET_ITEM(outputs.get(), i, object);
        }
        if (node_) save();
        return single ? PyRef::borrow(PyTuple_GET_ITEM(outputs.get(), 0)) : outputs;
    }

private:
    void check_dirty(PyObject* raw, Py_ssize_t outputs) {
        PyObject* dirty = ctx_->dirty;
        for (Py_ssize_t i = 0; dirty && i < PyTuple_GET_SIZE(dirty); i++) {
            PyObject* item = PyTuple_GET_ITEM(dirty, i);
            if (!is_tensor(item))
                raise_type("mark_dirty: expected Tensors, got %s", Py_TYPE(item)->tp_name);
            bool returned = PyTuple_Check(raw) ? holds(raw, item) : raw == item;
            EMBER_CHECK(returned,
                        "mark_dirty: a tensor that was changed in place must be returned");
            const Tensor& t = tensor_of(item);
            check_in_place(type_name(), t, bool(node_));
            EMBER_CHECK(!t.is_view() || outputs == 1 || !node_,
                        "%s: a Function that changes a view in place cannot return more than one "
                        "Tensor",
                        type_name());
            t.bump_version();
        }
    }

    Tensor attach_one(PyObject* item, uint32_t output_nr) {
        const Tensor& t = tensor_of(item);
        int input = position(inputs_, item);
        bool modified = holds(ctx_->dirty, item);
        bool differentiable = node_ && (is_floating(t.dtype()) || is_complex(t.dtype())) &&
                              !holds(ctx_->non_differentiable, item);
        if (!differentiable) {
            if (input >= 0 && !modified) return t.requires_grad() ? alias(t) : view_of_itself(t);
            if (input < 0 && t.requires_grad() && !t.is_view()) detach(t);
            return t;
        }
        if (modified && t.is_view() && input >= 0) {
            int edge = 0;
            for (int i = 0; i < input; i++) edge += node_->input_is_tensor[i];
            set_history(t, Ref<Node>(node_.get()), Dest::in_place(t), edge);
            return t;
        }
        Tensor out = input >= 0 && !modified ? view_of_itself(t) : t;
        set_origin(out, Ref<Node>(node_.get()), output_nr);
        if (modified) {
            if (out.impl()->meta) out.impl()->meta->grad = Tensor();
        } else if (out.is_view()) {
            out.impl()->view_origin = ViewOrigin::Function;
        }
        return out;
    }

    static void detach(const Tensor& t) {
        TensorImpl& impl = *t.impl();
        impl.requires_grad = false;
        if (Node* node = std::exchange(impl.grad_fn, nullptr)) node->release();
        impl.output_nr = 0;
    }

    void save() {
        PyRef to_save = PyRef::steal(std::exchange(ctx_->to_save, nullptr));
        if (!to_save) return;
        auto saved = std::make_unique<std::vector<Saved>>();
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(to_save.get()); i++) {
            PyObject* item = PyTuple_GET_ITEM(to_save.get(), i);
            if (item == Py_None) {
                saved->emplace_back();
                continue;
            }
            if (!is_tensor(item))
                raise_type(
                    "save_for_backward can only save Tensors, but argument %ld is of type %s",
                    long(i), Py_TYPE(item)->tp_name);
            const Tensor& t = tensor_of(item);
            bool own = t.impl()->grad_fn == node_.get();
            saved->push_back(own ? Saved::output(t, t.impl()->output_nr) : Saved(t));
        }
        ctx_->saved = saved.release();
    }

    const char* type_name() const { return _PyType_Name(Py_TYPE(ctx_)); }

    FunctionObject* ctx_;
    PyObject* inputs_;
    Ref<FunctionNode> node_;
};

PyRef apply(PyObject* cls, PyObject* const* args, Py_ssize_t nargs) {
    profiler::Range range;
    if (EMBER_UNLIKELY(profiler::recording()))
        range.begin(described(_PyType_Name(reinterpret_cast<PyTypeObject*>(cls)),
                              profiler::Kind::Operation));
    PyRef inputs = PyRef::steal(PyTuple_New(nargs));
    PyRef needs = PyRef::steal(PyTuple_New(nargs));
    if (!inputs || !needs) throw PythonError();
    bool recorded = false;
    for (Py_ssize_t i = 0; i < nargs; i++) {
        bool needed = is_tensor(args[i]) && tensor_of(args[i]).requires_grad();
        recorded |= needed;
        PyTuple_SET_ITEM(inputs.get(), i, Py_NewRef(args[i]));
        PyTuple_SET_ITEM(needs.get(), i, PyBool_FromLong(needed));
    }
    recorded = recorded && modes::grad_enabled();
    PyRef ctx = call(attribute(cls, kBackwardClass).get(), {});
    as_function(ctx.get())->needs_input_grad = needs.release();
    Ref<FunctionNode> node;
    if (recorded) {
        node = Ref<FunctionNode>::adopt(new FunctionNode(ctx));
        for (Py_ssize_t i = 0; i < nargs; i++) {
            bool tensor = is_tensor(args[i]);
            node->input_is_tensor.push_back(tensor);
            if (tensor) node->next.push_back(gradient_edge(tensor_of(args[i])));
        }
    }
    PyRef raw = run_forward(cls, ctx.get(), inputs.get());
    PyRef outputs = Application(ctx.get(), inputs.get(), node).attach(raw.get());
    FunctionObject* o = as_function(ctx.get());
    Py_CLEAR(o->to_save);
    Py_CLEAR(o->dirty);
    Py_CLEAR(o->non_differentiable);
    if (node && modes::anomaly_enabled()) {
        PyObject* first = PyTuple_Check(outputs.get()) && PyTuple_GET_SIZE(outputs.get()) > 0
                              ? PyTuple_GET_ITEM(outputs.get(), 0)
                              : outputs.get();
        if (is_tensor(first)) note_anomaly(*node, tensor_of(first));
    }
    return outputs;
}

PyObject* apply_entry(PyObject* cls, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
    try {
        if (EMBER_LIKELY(!kwnames || PyTuple_GET_SIZE(kwnames) == 0))
            return apply(cls, args, nargs).release();
        PyRef bind = PyRef::steal(PyObject_GetAttrString(cls, "_bind_arguments"));
        if (!bind) throw PythonError();
        PyRef all = PyRef::steal(PyObject_Vectorcall(bind.get(), args, size_t(nargs), kwnames));
        if (!all) throw PythonError();
        return apply(cls, &PyTuple_GET_ITEM(all.get(), 0), PyTuple_GET_SIZE(all.get())).release();
    } catch (...) {
        return translate_exception();
    }
}

PyObject* set_function_base(PyObject*, PyObject* cls) {
    Py_XSETREF(function_base, Py_NewRef(cls));
    Py_RETURN_NONE;
}

PyMethodDef function_methods[] = {
    {"apply", as_method(apply_entry), METH_CLASS | METH_FASTCALL | METH_KEYWORDS,
     "apply(*args)\n\nRuns forward and records the call."},
    {nullptr, nullptr, 0, nullptr},
};
PyMethodDef module_methods[] = {
    {"_set_function_base", set_function_base, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyObject* owned_object(const Node& node) {
    auto* function = dynamic_cast<const FunctionNode*>(&node);
    return function ? function->ctx() : nullptr;
}

bool add_function_type(PyObject* module) {
    kForward = PyUnicode_InternFromString("forward");
    kBackward = PyUnicode_InternFromString("backward");
    kSetupContext = PyUnicode_InternFromString("setup_context");
    kBackwardClass = PyUnicode_InternFromString("_backward_cls");
    kForwardClass = PyUnicode_InternFromString("_forward_cls");
    PyType_Slot ctx_slots[] = {
        {Py_tp_new, reinterpret_cast<void*>(ctx_new)},
        {Py_tp_dealloc, reinterpret_cast<void*>(ctx_dealloc)},
        {Py_tp_traverse, reinterpret_cast<void*>(ctx_traverse)},
        {Py_tp_clear, reinterpret_cast<void*>(ctx_clear)},
        {Py_tp_methods, ctx_methods},
        {Py_tp_getset, ctx_getset},
        {Py_tp_members, ctx_members},
        {Py_tp_doc, const_cast<char*>("What forward hands to backward of a custom Function.")},
        {0, nullptr},
    };
    PyType_Spec ctx_spec = {"ember.autograd.function.FunctionCtx", sizeof(FunctionObject), 0,
                            Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
                            ctx_slots};
    PyRef bases = PyRef::steal(PyTuple_Pack(1, node_type));
    PyObject* ctx = bases ? PyType_FromSpecWithBases(&ctx_spec, bases.get()) : nullptr;
    PyType_Slot function_slots[] = {
        {Py_tp_methods, function_methods},
        {Py_tp_doc, const_cast<char*>("The base of autograd.Function.")},
        {0, nullptr},
    };
    PyType_Spec function_spec = {"ember.autograd.function._FunctionBase", sizeof(PyObject), 0,
                                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, function_slots};
    PyObject* function = PyType_FromSpec(&function_spec);
    return ctx && function && PyModule_AddObjectRef(module, "_FunctionCtx", ctx) == 0 &&
           PyModule_AddObjectRef(module, "_FunctionBase", function) == 0 &&
           PyModule_AddFunctions(module, module_methods) == 0;
}

}  // namespace ember::python
