#include "python/autograd.h"
#include "python/hooks.h"

// autograd.graph.saved_tensors_hooks: saved tensors packed and unpacked by Python.
namespace ember::python {

namespace {

struct Hooks {
    PyRef pack, unpack;
};
thread_local std::vector<Hooks> stack;

class PythonPacked final : public Packed {
public:
    PythonPacked(PyRef content, PyRef unpack)
        : content_(std::move(content)), unpack_(std::move(unpack)) {}
    Tensor unpack() override {
        PyRef result = call(unpack_.get(), {content_.get()});
        if (!is_tensor(result.get()))
            raise_type("saved_tensors_hooks: unpack_hook must return a Tensor, got %s",
                       Py_TYPE(result.get())->tp_name);
        return tensor_of(result.get());
    }

private:
    PyRef content_, unpack_;
};

Ref<Packed> pack(const Tensor& data) {
    Hooks hooks = stack.back();
    PyRef tensor = PyRef::steal(wrap(data));
    if (!tensor) throw PythonError();
    set_pack_function(nullptr);  // what the hook itself saves is not packed
    struct Restore {
        ~Restore() { set_pack_function(stack.empty() ? nullptr : pack); }
    } restore;
    PyRef content = call(hooks.pack.get(), {tensor.get()});
    return Ref<Packed>::adopt(new PythonPacked(std::move(content), std::move(hooks.unpack)));
}

PyObject* push(PyObject*, PyObject* args) {
    PyObject *pack_hook, *unpack_hook;
    if (!PyArg_ParseTuple(args, "OO", &pack_hook, &unpack_hook)) return nullptr;
    stack.push_back({PyRef::borrow(pack_hook), PyRef::borrow(unpack_hook)});
    set_pack_function(pack);
    Py_RETURN_NONE;
}

PyObject* pop(PyObject*, PyObject*) {
    if (stack.empty()) {
        PyErr_SetString(PyExc_RuntimeError, "saved_tensors_hooks: no hooks are set");
        return nullptr;
    }
    Hooks last = std::move(stack.back());
    stack.pop_back();
    if (stack.empty()) set_pack_function(nullptr);
    Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"_push_saved_hooks", push, METH_VARARGS, nullptr},
    {"_pop_saved_hooks", pop, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool add_saved_hooks(PyObject* module) { return PyModule_AddFunctions(module, functions) == 0; }

}  // namespace ember::python
