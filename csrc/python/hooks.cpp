#include "python/hooks.h"

#include "autograd/engine.h"
#include "python/bind.h"

namespace ember::python {

namespace {

// ---- The handle

struct HandleObject {
    PyObject_HEAD HookRef cell;
    uint64_t id;
};
PyTypeObject* handle_type;

HandleObject* as_handle(PyObject* o) { return reinterpret_cast<HandleObject*>(o); }

PyObject* handle_remove(PyObject* self, PyObject*) {
    PyRef fn = std::move(as_handle(self)->cell->fn);
    Py_RETURN_NONE;
}
PyObject* handle_enter(PyObject* self, PyObject*) { return Py_NewRef(self); }
PyObject* handle_exit(PyObject* self, PyObject* const*, Py_ssize_t) {
    return handle_remove(self, nullptr);
}
PyObject* handle_id(PyObject* self, void*) {
    return PyLong_FromUnsignedLongLong(as_handle(self)->id);
}

void handle_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    as_handle(self)->cell.~HookRef();
    type->tp_free(self);
    Py_DECREF(type);
}

PyMethodDef handle_methods[] = {
    {"remove", handle_remove, METH_NOARGS,
     "remove()\n\nTakes the hook away. Doing so twice is fine."},
    {"__enter__", handle_enter, METH_NOARGS, nullptr},
    {"__exit__", as_method(handle_exit), METH_FASTCALL, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef handle_getset[] = {
    {"id", handle_id, nullptr, "Unique among all hooks.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyObject* make_handle(const HookRef& cell, uint64_t id) {
    auto* o = reinterpret_cast<HandleObject*>(handle_type->tp_alloc(handle_type, 0));
    if (!o) throw PythonError();
    new (&o->cell) HookRef(cell);
    o->id = id;
    return reinterpret_cast<PyObject*>(o);
}

std::string name_of(PyObject* fn) {
    PyRef name = PyRef::steal(PyObject_GetAttrString(fn, "__name__"));
    const char* text = name && PyUnicode_Check(name.get()) ? PyUnicode_AsUTF8(name.get()) : nullptr;
    PyErr_Clear();
    return text ? text : Py_TYPE(fn)->tp_name;
}

// A hook may look at a gradient and replace it, not change its kind.
Tensor checked_result(PyObject* result, const Tensor& before, PyObject* fn) {
    if (!is_tensor(result))
        raise_type("expected a Tensor or None, but hook '%s' returned %s", name_of(fn).c_str(),
                   Py_TYPE(result)->tp_name);
    const Tensor& after = tensor_of(result);
    EMBER_CHECK(after.dtype() == before.dtype() && after.device() == before.device(),
                "hook '%s' has changed the type of value (was %s got %s)", name_of(fn).c_str(),
                dtype_name(before.dtype()), dtype_name(after.dtype()));
    EMBER_CHECK(same(after.sizes(), before.sizes()),
                "hook '%s' has changed the size of value (was %s got %s)", name_of(fn).c_str(),
                to_string(before.sizes()).c_str(), to_string(after.sizes()).c_str());
    return after;
}

}  // namespace

PyRef call(PyObject* fn, std::initializer_list<PyObject*> args) {
    PyRef result = PyRef::steal(PyObject_Vectorcall(fn, args.begin(), args.size(), nullptr));
    if (!result) throw PythonError();
    return result;
}

PyRef grads_to_tuple(const GradList& grads) {
    PyRef tuple = PyRef::steal(PyTuple_New(grads.size()));
    if (!tuple) throw PythonError();
    for (int i = 0; i < grads.size(); i++) {
        PyObject* item = wrap(grads[i]);
        if (!item) throw PythonError();
        PyTuple_SET_ITEM(tuple.get(), i, item);
    }
    return tuple;
}

void tuple_to_grads(PyObject* tuple, GradList& grads, const char* hook) {
    if (!PyTuple_Check(tuple))
        raise_type("%s: expected the hook to return a tuple or None, got %s", hook,
                   Py_TYPE(tuple)->tp_name);
    EMBER_CHECK(PyTuple_GET_SIZE(tuple) == grads.size(),
                "%s: the hook returned an incorrect number of gradients: expected %d, got %ld",
                hook, grads.size(), long(PyTuple_GET_SIZE(tuple)));
    for (int i = 0; i < grads.size(); i++) {
        PyObject* item = PyTuple_GET_ITEM(tuple, i);
        if (item != Py_None && !is_tensor(item))
            raise_type("%s: expected gradients to be Tensor or None, got %s", hook,
                       Py_TYPE(item)->tp_name);
        grads[i] = item == Py_None ? Tensor() : tensor_of(item);
    }
}

Tensor TensorHook::operator()(const Tensor& grad) const {
    PyRef fn = cell->fn;
    if (!fn) return {};
    PyRef argument = PyRef::steal(wrap(grad));
    if (!argument) throw PythonError();
    PyRef result = call(fn.get(), {argument.get()});
    return result.get() == Py_None ? Tensor() : checked_result(result.get(), grad, fn.get());
}

void LeafHook::operator()(const Tensor& leaf) const {
    PyRef fn = cell->fn;
    if (!fn) return;
    PyRef argument = PyRef::steal(wrap(leaf));
    if (!argument) throw PythonError();
    PyRef result = call(fn.get(), {argument.get()});
    if (result.get() != Py_None)
        raise_type("post accumulate grad hooks should return None, but hook '%s' returned %s",
                   name_of(fn.get()).c_str(), Py_TYPE(result.get())->tp_name);
}

void NodeBeforeHook::operator()(GradList& grads) const {
    PyRef fn = cell->fn;
    if (!fn) return;
    PyRef before = grads_to_tuple(grads);
    PyRef result = call(fn.get(), {before.get()});
    if (result.get() == Py_None) return;
    if (is_tensor(result.get()) && grads.size() == 1)
        grads[0] = tensor_of(result.get());
    else
        tuple_to_grads(result.get(), grads, "register_prehook");
}

void NodeAfterHook::operator()(GradList& results, const GradList& grads) const {
    PyRef fn = cell->fn;
    if (!fn) return;
    PyRef after = grads_to_tuple(results), before = grads_to_tuple(grads);
    PyRef result = call(fn.get(), {after.get(), before.get()});
    if (result.get() == Py_None) return;
    if (is_tensor(result.get()) && results.size() == 1)
        results[0] = tensor_of(result.get());
    else
        tuple_to_grads(result.get(), results, "register_hook");
}

namespace {

template <class H, class F>
const HookCell* cell_of(const F& hook) {
    const H* h = hook.template target<H>();
    return h ? h->cell.get() : nullptr;
}

template <class H, class F>
int visit_list(const HookList<F>& list, visitproc visit, void* arg) {
    for (auto& [id, hook] : list.items)
        if (const HookCell* cell = cell_of<H>(hook)) Py_VISIT(cell->fn.get());
    return 0;
}

}  // namespace

template <class H, class F>
PyObject* add_hook(HookList<F>& list, PyObject* fn) {
    if (!PyCallable_Check(fn)) raise_type("expected a callable hook, got %s", Py_TYPE(fn)->tp_name);
    std::erase_if(list.items, [](auto& item) {
        const HookCell* cell = cell_of<H>(item.second);
        return cell && !cell->fn;
    });
    auto cell = std::make_shared<HookCell>(HookCell{PyRef::borrow(fn)});
    uint64_t id = autograd::next_hook_id();
    PyObject* handle = make_handle(cell, id);
    list.add(id, H{std::move(cell)});
    return handle;
}
template PyObject* add_hook<TensorHook>(HookList<GradHook>&, PyObject*);
template PyObject* add_hook<LeafHook>(HookList<std::function<void(const Tensor&)>>&, PyObject*);
template PyObject* add_hook<NodeBeforeHook>(HookList<NodePreHook>&, PyObject*);
template PyObject* add_hook<NodeAfterHook>(HookList<NodePostHook>&, PyObject*);

int visit_hooks(const NodeHooks& hooks, visitproc visit, void* arg) {
    for (auto& [output, list] : hooks.tensor)
        if (int stop = visit_list<TensorHook>(list, visit, arg)) return stop;
    if (int stop = visit_list<NodeBeforeHook>(hooks.pre, visit, arg)) return stop;
    return visit_list<NodeAfterHook>(hooks.post, visit, arg);
}

int visit_hooks(const AutogradMeta& meta, visitproc visit, void* arg) {
    if (int stop = visit_list<TensorHook>(meta.hooks, visit, arg)) return stop;
    return visit_list<LeafHook>(meta.after_accumulate, visit, arg);
}

bool add_hooks(PyObject* module) {
    PyType_Slot slots[] = {
        {Py_tp_dealloc, reinterpret_cast<void*>(handle_dealloc)},
        {Py_tp_methods, handle_methods},
        {Py_tp_getset, handle_getset},
        {Py_tp_doc,
         const_cast<char*>("Removes a hook, by remove() or at the end of a with block.")},
        {0, nullptr},
    };
    PyType_Spec spec = {"ember.utils.hooks.RemovableHandle", sizeof(HandleObject), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    handle_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
    return handle_type && PyModule_AddObjectRef(module, "_RemovableHandle",
                                                reinterpret_cast<PyObject*>(handle_type)) == 0;
}

}  // namespace ember::python
