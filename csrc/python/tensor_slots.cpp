#include <algorithm>
#include <cmath>

#include "autograd/engine.h"
#include "core/modes.h"
#include "ops/complex.h"
#include "ops/copy.h"
#include "ops/matmul.h"
#include "ops/special.h"
#include "ops/view.h"
#include "python/autocast.h"
#include "python/autograd.h"
#include "python/conversions.h"
#include "python/tables.h"

// Operators and attributes of Tensor.
namespace ember::python {

namespace {

// The name of the method that stands for an operator, as __torch_function__ gets it.
template <size_t N>
struct Name {
    char text[N];
    constexpr Name(const char (&t)[N]) { std::copy(t, t + N, text); }
};

enum class Operand { Ready, Foreign, Overridden };

Operand convert_operand(PyObject* o, Tensor& made, const Tensor*& tensor) {
    if (is_tensor(o)) {
        tensor = &tensor_of(o);
        return overrides(o) ? Operand::Overridden : Operand::Ready;
    }
    if (PyFloat_CheckExact(o)) {
        made = ops::wrapped_number(ops::number(PyFloat_AS_DOUBLE(o)));
    } else {
        if (!is_any_number(o)) return overrides(o) ? Operand::Overridden : Operand::Foreign;
        made = ops::wrapped_number(read_number(o));
    }
    tensor = &made;
    return Operand::Ready;
}

// An operand of a binary operator: a tensor, or a number made into one.
inline Operand operand(PyObject* o, Tensor& made, const Tensor*& tensor) {
    if (EMBER_UNLIKELY(!is_plain(o) || has_mode())) return convert_operand(o, made, tensor);
    tensor = &tensor_of(o);
    return Operand::Ready;
}

// `name` of a and b, or `reflected` of b and a where a is no tensor.
PyObject* override_binary(const char* name, const char* reflected, PyObject* a, PyObject* b) {
    if (is_tensor(a)) return override_method(name, {a, b}, true);
    if (is_tensor(b)) return override_method(reflected, {b, a}, true);
    Py_RETURN_NOTIMPLEMENTED;
}

template <Tensor (*F)(const Tensor&, const Tensor&), Name N, Name Reflected = N>
PyObject* binary(PyObject* a, PyObject* b) {
    OperationRange range(N.text, a, b);
    try {
        Tensor made;
        const Tensor *x, *y;
        Operand left = operand(a, made, x), right = operand(b, made, y);
        if (EMBER_UNLIKELY(left != Operand::Ready || right != Operand::Ready)) {
            if (left != Operand::Overridden && right != Operand::Overridden)
                Py_RETURN_NOTIMPLEMENTED;
            return override_binary(N.text, Reflected.text, a, b);
        }
        return wrap(F(*x, *y));
    } catch (...) {
        return translate_exception();
    }
}

template <Tensor (*F)(const Tensor&, const Tensor&, const Dest&), Name N>
PyObject* in_place(PyObject* a, PyObject* b) {
    OperationRange range(N.text, a, b);
    try {
        Tensor made;
        const Tensor *x, *y;
        Operand left = operand(a, made, x), right = operand(b, made, y);
        if (EMBER_UNLIKELY(left != Operand::Ready || right != Operand::Ready)) {
            if (left != Operand::Overridden && right != Operand::Overridden)
                Py_RETURN_NOTIMPLEMENTED;
            return override_method(N.text, {a, b}, true);
        }
        return wrap(F(*x, *y, Dest::in_place(*x)));
    } catch (...) {
        return translate_exception();
    }
}

template <Tensor (*F)(const Tensor&, const Dest&), Name N>
PyObject* unary(PyObject* self) {
    if (EMBER_UNLIKELY(overrides(self))) return override_method(N.text, {self});
    OperationRange range(N.text, self);
    try {
        return wrap(F(tensor_of(self), {}));
    } catch (...) {
        return translate_exception();
    }
}

const Number kOne = ops::number(int64_t(1));

Tensor add_to(const Tensor& a, const Tensor& b, const Dest& d) { return ops::add(a, b, kOne, d); }
Tensor sub_to(const Tensor& a, const Tensor& b, const Dest& d) { return ops::sub(a, b, kOne, d); }
Tensor div_to(const Tensor& a, const Tensor& b, const Dest& d) {
    return ops::div(a, b, std::nullopt, d);
}
template <Tensor (*F)(const Tensor&, const Tensor&, const Dest&)>
Tensor fresh(const Tensor& a, const Tensor& b) {
    return F(a, b, {});
}
// An operator whose operands autocast casts as those of the function.
template <Tensor (*F)(const Tensor&, const Tensor&, const Dest&), Name Function>
Tensor autocasting(const Tensor& a, const Tensor& b) {
    if (EMBER_LIKELY(!modes::autocast_enabled())) return F(a, b, {});
    static const CastRule rule = cast_rule(Function.text);
    return F(autocast(rule, a), autocast(rule, b), {});
}

PyObject* product(PyObject* a, PyObject* b) {
    if (!is_tensor(a) || !is_tensor(b)) Py_RETURN_NOTIMPLEMENTED;
    return binary<autocasting<ops::matmul, "matmul">, "matmul", "__rmatmul__">(a, b);
}

PyObject* power(PyObject* a, PyObject* b, PyObject* modulo) {
    if (modulo != Py_None) {
        PyErr_SetString(PyExc_TypeError, "pow: a modulus is not supported for tensors");
        return nullptr;
    }
    return binary<autocasting<ops::pow, "pow">, "pow", "__rpow__">(a, b);
}

PyObject* in_place_power(PyObject* a, PyObject* b, PyObject*) {
    return in_place<ops::pow, "pow_">(a, b);
}

PyObject* divmod(PyObject* a, PyObject* b) {
    PyObject* quotient = binary<fresh<ops::floor_divide>, "__floordiv__", "__rfloordiv__">(a, b);
    if (!quotient || quotient == Py_NotImplemented) return quotient;
    PyObject* rest = binary<fresh<ops::remainder>, "remainder", "__rmod__">(a, b);
    return rest ? Py_BuildValue("NN", quotient, rest) : nullptr;
}

PyObject* invert(PyObject* self) {
    DType dtype = tensor_of(self).dtype();
    if (!overrides(self) && !is_integral(dtype) && dtype != DType::Bool) {
        PyErr_Format(PyExc_TypeError, "~ is only implemented for integers and bool, got %s",
                     dtype_name(dtype));
        return nullptr;
    }
    return unary<ops::bitwise_not, "__invert__">(self);
}
PyObject* absolute(PyObject* self) { return unary<ops::abs, "abs">(self); }
PyObject* positive(PyObject* self) {
    return overrides(self) ? override_method("__pos__", {self}) : Py_NewRef(self);
}

PyObject* item(PyObject* self) {
    if (tensor_of(self).numel() == 1) return PyObject_CallMethod(self, "item", nullptr);
    PyErr_SetString(PyExc_ValueError,
                    "only one element tensors can be converted to Python scalars");
    return nullptr;
}

// The result of an override where the slot wants an int; -1 for an exception.
int as_truth(PyObject* result) {
    int truth = result ? PyObject_IsTrue(result) : -1;
    Py_XDECREF(result);
    return truth;
}

int truth(PyObject* self) {
    if (EMBER_UNLIKELY(overrides(self))) return as_truth(override_method("__bool__", {self}));
    const Tensor& t = tensor_of(self);
    if (t.numel() != 1) {
        PyErr_SetString(
            PyExc_RuntimeError,
            t.numel() == 0 ? "bool: Boolean value of Tensor with no values is ambiguous"
                           : "bool: Boolean value of Tensor with more than one value is ambiguous");
        return -1;
    }
    PyObject* value = item(self);
    if (!value) return -1;
    int result = PyObject_IsTrue(value);
    Py_DECREF(value);
    return result;
}

// The one element as a real number; a complex one must have no imaginary part.
PyObject* real_item(PyObject* self) {
    PyObject* value = item(self);
    if (!value || !PyComplex_Check(value)) return value;
    Py_complex c = PyComplex_AsCComplex(value);
    Py_DECREF(value);
    if (c.imag == 0) return PyFloat_FromDouble(c.real);
    PyErr_SetString(PyExc_RuntimeError,
                    "value cannot be converted to type double without overflow: its imaginary part "
                    "is not 0");
    return nullptr;
}

PyObject* as_float(PyObject* self) {
    if (EMBER_UNLIKELY(overrides(self))) return override_method("__float__", {self});
    PyObject* value = real_item(self);
    if (!value) return nullptr;
    PyObject* result = PyNumber_Float(value);
    Py_DECREF(value);
    return result;
}

PyObject* as_int(PyObject* self) {
    if (EMBER_UNLIKELY(overrides(self))) return override_method("__int__", {self});
    PyObject* value = real_item(self);
    if (!value) return nullptr;
    PyObject* result = PyNumber_Long(value);
    Py_DECREF(value);
    return result;
}

PyObject* as_index(PyObject* self) {
    if (EMBER_UNLIKELY(overrides(self))) return override_method("__index__", {self});
    const Tensor& t = tensor_of(self);
    if (t.numel() != 1 || !is_integral(t.dtype())) {
        PyErr_SetString(PyExc_TypeError,
                        "only integer tensors of a single element can be converted to an index");
        return nullptr;
    }
    return as_int(self);
}

// Arrays compare by element too: Python would take identity where both sides decline.
template <Tensor (*F)(const Tensor&, const Tensor&), Name N>
PyObject* equality(PyObject* a, PyObject* b) {
    if (is_plain(b) || !is_array(b)) return binary<F, N>(a, b);
    try {
        return wrap(F(tensor_of(a), tensor_from_data("eq", b, {{}, {}, false})));
    } catch (...) {
        return translate_exception();
    }
}

PyObject* compare(PyObject* a, PyObject* b, int op) {
    switch (op) {
        case Py_LT: return binary<fresh<ops::lt>, "lt">(a, b);
        case Py_LE: return binary<fresh<ops::le>, "le">(a, b);
        case Py_GT: return binary<fresh<ops::gt>, "gt">(a, b);
        case Py_GE: return binary<fresh<ops::ge>, "ge">(a, b);
        case Py_EQ: return equality<fresh<ops::eq>, "__eq__">(a, b);
        default: return equality<fresh<ops::ne>, "ne">(a, b);
    }
}

Py_hash_t identity_hash(PyObject* self) {
    return Py_hash_t(reinterpret_cast<uintptr_t>(self) >> 4);
}

Py_ssize_t length(PyObject* self) {
    if (EMBER_UNLIKELY(overrides(self))) {
        PyObject* n = override_method("__len__", {self});
        Py_ssize_t result = n ? PyNumber_AsSsize_t(n, PyExc_OverflowError) : -1;
        Py_XDECREF(n);
        return result;
    }
    const Tensor& t = tensor_of(self);
    if (t.dim() == 0) {
        PyErr_SetString(PyExc_TypeError, "len() of a 0-d tensor");
        return -1;
    }
    return t.impl()->sizes[0];
}

int contains(PyObject* self, PyObject* value) {
    if (EMBER_UNLIKELY(overrides(self)))
        return as_truth(override_method("__contains__", {self, value}));
    PyObject* equal = compare(self, value, Py_EQ);
    if (!equal) return -1;
    if (equal == Py_NotImplemented) {
        Py_DECREF(equal);
        PyErr_Format(PyExc_RuntimeError,
                     "Tensor.__contains__ only supports Tensor or scalar, but you passed in a %s",
                     Py_TYPE(value)->tp_name);
        return -1;
    }
    PyObject* any = PyObject_CallMethod(equal, "any", nullptr);
    Py_DECREF(equal);
    if (!any) return -1;
    int result = PyObject_IsTrue(any);
    Py_DECREF(any);
    return result;
}

PyObject* iterate(PyObject* self) {
    const Tensor& t = tensor_of(self);
    if (t.dim() == 0) {
        PyErr_SetString(PyExc_TypeError, "iteration over a 0-d tensor");
        return nullptr;
    }
    try {
        Signature none;
        PyObject* rows = overrides(self) ? PyObject_CallMethod(self, "unbind", nullptr)
                                         : to_python(ops::unbind(t, 0), none);
        if (!rows) return nullptr;
        PyObject* iterator = PyObject_GetIter(rows);
        Py_DECREF(rows);
        return iterator;
    } catch (...) {
        return translate_exception();
    }
}

// ---- Attributes

template <PyObject* (*F)(const Tensor&)>
PyObject* get(PyObject* self, void* name) {
    if (EMBER_UNLIKELY(overrides(self)))
        return override_attribute(static_cast<const char*>(name), "__get__", {self});
    try {
        return F(tensor_of(self));
    } catch (...) {
        return translate_exception();
    }
}

PyObject* shape(const Tensor& t) { return wrap_size(t.sizes()); }
PyObject* dtype(const Tensor& t) { return wrap_dtype(t.dtype()); }
PyObject* device(const Tensor& t) { return wrap_device(t.device()); }
PyObject* ndim(const Tensor& t) { return PyLong_FromLong(t.dim()); }
PyObject* requires_grad(const Tensor& t) { return PyBool_FromLong(t.requires_grad()); }
PyObject* is_leaf(const Tensor& t) { return PyBool_FromLong(!grad_fn(t)); }
PyObject* grad_fn_of(const Tensor& t) { return wrap_node(grad_fn(t)); }
PyObject* output_nr(const Tensor& t) { return PyLong_FromUnsignedLong(t.impl()->output_nr); }
PyObject* version(const Tensor& t) { return PyLong_FromUnsignedLong(t.version()); }
PyObject* transposed(const Tensor& t) { return wrap(ops::T(t)); }
PyObject* matrix_transposed(const Tensor& t) { return wrap(ops::mT(t)); }
PyObject* adjoint_of(const Tensor& t) { return wrap(ops::mH(t)); }
PyObject* matrix_adjoint(const Tensor& t) {
    EMBER_CHECK(t.dim() == 0 || t.dim() == 2,
                "H: expected a matrix or a zero-dim tensor, got %d dims", t.dim());
    return wrap(ops::adjoint(t));
}
PyObject* real(const Tensor& t) { return wrap(ops::real(t)); }
PyObject* imag(const Tensor& t) { return wrap(ops::imag(t)); }
template <Tensor (*Part)(const Tensor&)>
int set_part(PyObject* self, PyObject* value, void*) {
    try {
        Tensor made;
        const Tensor* from;
        if (!value || operand(value, made, from) != Operand::Ready)
            raise_type("expected a Tensor or a number, got %s",
                       value ? Py_TYPE(value)->tp_name : "nothing");
        ops::copy_(Part(tensor_of(self)), *from);
        return 0;
    } catch (...) {
        translate_exception();
        return -1;
    }
}
PyObject* retains_grad(const Tensor& t) { return PyBool_FromLong(t.impl()->retains_grad); }
PyObject* itemsize(const Tensor& t) { return PyLong_FromLongLong(t.item_bytes()); }
PyObject* nbytes(const Tensor& t) { return PyLong_FromLongLong(t.item_bytes() * t.numel()); }
PyObject* is_cuda(const Tensor& t) { return PyBool_FromLong(!t.device().is_cpu()); }
PyObject* is_cpu(const Tensor& t) { return PyBool_FromLong(t.device().is_cpu()); }
PyObject* never(const Tensor&) { Py_RETURN_FALSE; }
PyObject* base(const Tensor& t) {
    if (!t.is_view()) Py_RETURN_NONE;
    return wrap(Tensor(Ref<TensorImpl>(t.impl()->view_base)));
}
PyObject* layout(const Tensor&) {
    PyObject* module = PyImport_ImportModule("ember._C");
    if (!module) return nullptr;
    PyObject* strided = PyObject_GetAttrString(module, "strided");
    Py_DECREF(module);
    return strided;
}
PyObject* grad(const Tensor& t) {
    if (!t.impl()->meta) Py_RETURN_NONE;
    return wrap(t.impl()->meta->grad);
}

// `.data`: shares memory, but changes through it go unnoticed by autograd.
PyObject* data(const Tensor& t) {
    Tensor out = alias(t);
    out.impl()->private_version = true;
    out.impl()->own_version = 0;
    return wrap(out);
}

int override_setter(const char* name, PyObject* self, PyObject* value) {
    PyObject* done = override_attribute(name, "__set__", {self, value ? value : Py_None});
    Py_XDECREF(done);
    return done ? 0 : -1;
}

int set_data(PyObject* self, PyObject* value, void*) {
    if (EMBER_UNLIKELY(overrides(self))) return override_setter("data", self, value);
    if (!value || !is_tensor(value)) {
        PyErr_SetString(PyExc_TypeError, "data: expected a Tensor");
        return -1;
    }
    try {
        set_tensor_data(tensor_of(self), with_items("data", tensor_of(value)));
        return 0;
    } catch (...) {
        translate_exception();
        return -1;
    }
}

int set_requires_grad(PyObject* self, PyObject* value, void*) {
    if (EMBER_UNLIKELY(overrides(self))) return override_setter("requires_grad", self, value);
    int on = value ? PyObject_IsTrue(value) : -1;
    if (on < 0) return -1;
    try {
        change_requires_grad(tensor_of(self), on != 0);
        return 0;
    } catch (...) {
        translate_exception();
        return -1;
    }
}

int set_grad(PyObject* self, PyObject* value, void*) {
    if (EMBER_UNLIKELY(overrides(self))) return override_setter("grad", self, value);
    try {
        const Tensor& t = tensor_of(self);
        if (!value || value == Py_None) {
            if (t.impl()->meta) t.impl()->meta->grad = Tensor();
            return 0;
        }
        if (!is_tensor(value))
            raise_type("grad: expected a Tensor or None, got %s", Py_TYPE(value)->tp_name);
        const Tensor& g = tensor_of(value);
        EMBER_CHECK(!g.is(t), "grad: a tensor cannot be its own gradient");
        EMBER_CHECK(g.dtype() == t.dtype(), "grad: expected dtype %s, got %s",
                    dtype_name(t.dtype()), dtype_name(g.dtype()));
        EMBER_CHECK(g.device() == t.device(), "grad: expected a gradient on %s, got %s",
                    to_string(t.device()).c_str(), to_string(g.device()).c_str());
        EMBER_CHECK(same(g.sizes(), t.sizes()), "grad: expected shape %s, got %s",
                    to_string(t.sizes()).c_str(), to_string(g.sizes()).c_str());
        autograd_meta(t).grad = g;
        return 0;
    } catch (...) {
        translate_exception();
        return -1;
    }
}

// The closure is the name.
template <getter Get>
constexpr PyGetSetDef attribute(const char* name, setter set, const char* doc) {
    return {name, Get, set, doc, const_cast<char*>(name)};
}

PyGetSetDef getset[] = {
    attribute<get<shape>>("shape", nullptr, "The sizes, as an ember.Size."),
    attribute<get<dtype>>("dtype", nullptr, "The type of the elements."),
    attribute<get<device>>("device", nullptr, "Where the memory is."),
    attribute<get<layout>>("layout", nullptr, "Always ember.strided."),
    attribute<get<ndim>>("ndim", nullptr, "The number of dims."),
    attribute<get<requires_grad>>(
        "requires_grad", set_requires_grad,
        "Whether gradients are computed for this tensor. Only a leaf's can be switched off."),
    attribute<get<is_leaf>>("is_leaf", nullptr, "Not the result of a recorded operation."),
    attribute<get<grad_fn_of>>("grad_fn", nullptr,
                               "The graph node that made this tensor, or None."),
    attribute<get<grad>>("grad", set_grad, "The gradient accumulated by backward, or None."),
    attribute<get<data>>(
        "data", set_data,
        "The same memory without gradients; changes through it go unnoticed by autograd."),
    attribute<get<output_nr>>("output_nr", nullptr, "Which output of grad_fn this is."),
    attribute<get<version>>("_version", nullptr, "Counts changes in place."),
    attribute<get<base>>("_base", nullptr, "The tensor whose memory this views, or None."),
    attribute<get<retains_grad>>("retains_grad", nullptr, "Whether a non-leaf keeps its .grad."),
    attribute<get<transposed>>("T", nullptr, "All dims reversed."),
    attribute<get<matrix_transposed>>("mT", nullptr, "The last two dims swapped."),
    attribute<get<adjoint_of>>("mH", nullptr, "The last two dims swapped, and conjugated."),
    attribute<get<matrix_adjoint>>("H", nullptr, "A matrix transposed and conjugated."),
    attribute<get<real>>("real", set_part<ops::real>, "The real part, as a view."),
    attribute<get<imag>>("imag", set_part<ops::imag>, "The imaginary part, as a view."),
    attribute<get<itemsize>>("itemsize", nullptr, "Bytes of one element."),
    attribute<get<nbytes>>("nbytes", nullptr, "Bytes of all elements."),
    attribute<get<is_cuda>>("is_cuda", nullptr, "On a CUDA device."),
    attribute<get<is_cpu>>("is_cpu", nullptr, "In the CPU's memory."),
    attribute<get<never>>("is_sparse", nullptr, "Always False."),
    attribute<get<never>>("is_quantized", nullptr, "Always False."),
    attribute<get<never>>("is_meta", nullptr, "Always False."),
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

template <class F>
void* slot(F* f) {
    return reinterpret_cast<void*>(f);
}

}  // namespace

void add_tensor_slots(std::vector<PyType_Slot>& slots) {
    slots.insert(
        slots.end(),
        {
            {Py_nb_add, slot(binary<fresh<add_to>, "add">)},
            {Py_nb_subtract, slot(binary<fresh<sub_to>, "sub", "__rsub__">)},
            {Py_nb_multiply, slot(binary<fresh<ops::mul>, "mul">)},
            {Py_nb_true_divide, slot(binary<fresh<div_to>, "div", "__rtruediv__">)},
            {Py_nb_floor_divide,
             slot(binary<fresh<ops::floor_divide>, "__floordiv__", "__rfloordiv__">)},
            {Py_nb_remainder, slot(binary<fresh<ops::remainder>, "remainder", "__rmod__">)},
            {Py_nb_divmod, slot(divmod)},
            {Py_nb_power, slot(power)},
            {Py_nb_matrix_multiply, slot(product)},
            {Py_nb_and, slot(binary<fresh<ops::bitwise_and>, "__and__", "bitwise_and">)},
            {Py_nb_or, slot(binary<fresh<ops::bitwise_or>, "__or__", "bitwise_or">)},
            {Py_nb_xor, slot(binary<fresh<ops::bitwise_xor>, "__xor__", "bitwise_xor">)},
            {Py_nb_lshift,
             slot(binary<fresh<ops::bitwise_left_shift>, "__lshift__", "__rlshift__">)},
            {Py_nb_rshift,
             slot(binary<fresh<ops::bitwise_right_shift>, "__rshift__", "__rrshift__">)},
            {Py_nb_invert, slot(invert)},
            {Py_nb_negative, slot(unary<ops::neg, "neg">)},
            {Py_nb_positive, slot(positive)},
            {Py_nb_absolute, slot(absolute)},
            {Py_nb_bool, slot(truth)},
            {Py_nb_float, slot(as_float)},
            {Py_nb_int, slot(as_int)},
            {Py_nb_index, slot(as_index)},
            {Py_nb_inplace_add, slot(in_place<add_to, "add_">)},
            {Py_nb_inplace_subtract, slot(in_place<sub_to, "sub_">)},
            {Py_nb_inplace_multiply, slot(in_place<ops::mul, "mul_">)},
            {Py_nb_inplace_true_divide, slot(in_place<div_to, "div_">)},
            {Py_nb_inplace_floor_divide, slot(in_place<ops::floor_divide, "floor_divide_">)},
            {Py_nb_inplace_remainder, slot(in_place<ops::remainder, "remainder_">)},
            {Py_nb_inplace_power, slot(in_place_power)},
            {Py_nb_inplace_and, slot(in_place<ops::bitwise_and, "__iand__">)},
            {Py_nb_inplace_or, slot(in_place<ops::bitwise_or, "__ior__">)},
            {Py_nb_inplace_xor, slot(in_place<ops::bitwise_xor, "__ixor__">)},
            {Py_nb_inplace_lshift, slot(in_place<ops::bitwise_left_shift, "__ilshift__">)},
            {Py_nb_inplace_rshift, slot(in_place<ops::bitwise_right_shift, "__irshift__">)},
            {Py_tp_richcompare, slot(compare)},
            {Py_tp_hash, slot(identity_hash)},
            {Py_tp_iter, slot(iterate)},
            {Py_sq_contains, slot(contains)},
            {Py_mp_length, slot(length)},
            {Py_sq_length, slot(length)},
            {Py_tp_getset, getset},
        });
    add_index_slots(slots);
    add_conversion_slots(slots);
}

}  // namespace ember::python
