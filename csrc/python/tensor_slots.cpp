#include <cmath>

#include "autograd/engine.h"
#include "ops/complex.h"
#include "ops/copy.h"
#include "ops/matmul.h"
#include "ops/special.h"
#include "ops/view.h"
#include "python/autograd.h"
#include "python/conversions.h"
#include "python/tables.h"

// Operators and attributes of Tensor.
namespace ember::python {

namespace {

// An operand of a binary operator: a tensor, or a number made into one. False: not for us.
bool operand(PyObject* o, Tensor& made, const Tensor*& tensor) {
    if (EMBER_LIKELY(is_tensor(o))) {
        tensor = &tensor_of(o);
        return true;
    }
    if (PyFloat_CheckExact(o)) {
        made = ops::wrapped_number(ops::number(PyFloat_AS_DOUBLE(o)));
    } else {
        if (!is_any_number(o)) return false;
        made = ops::wrapped_number(read_number(o));
    }
    tensor = &made;
    return true;
}

template <Tensor (*F)(const Tensor&, const Tensor&)>
PyObject* binary(PyObject* a, PyObject* b) {
    try {
        Tensor made;
        const Tensor *x, *y;
        if (!operand(a, made, x) || !operand(b, made, y)) Py_RETURN_NOTIMPLEMENTED;
        return wrap(F(*x, *y));
    } catch (...) {
        return translate_exception();
    }
}

template <Tensor (*F)(const Tensor&, const Tensor&, const Dest&)>
PyObject* in_place(PyObject* a, PyObject* b) {
    try {
        Tensor made;
        const Tensor* y;
        if (!operand(b, made, y)) Py_RETURN_NOTIMPLEMENTED;
        const Tensor& self = tensor_of(a);
        return wrap(F(self, *y, Dest::in_place(self)));
    } catch (...) {
        return translate_exception();
    }
}

template <Tensor (*F)(const Tensor&, const Dest&)>
PyObject* unary(PyObject* self) {
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
Tensor matmul(const Tensor& a, const Tensor& b) { return ops::matmul(a, b, {}); }

PyObject* product(PyObject* a, PyObject* b) {
    if (!is_tensor(a) || !is_tensor(b)) Py_RETURN_NOTIMPLEMENTED;
    return binary<matmul>(a, b);
}

PyObject* power(PyObject* a, PyObject* b, PyObject* modulo) {
    if (modulo != Py_None) {
        PyErr_SetString(PyExc_TypeError, "pow: a modulus is not supported for tensors");
        return nullptr;
    }
    return binary<fresh<ops::pow>>(a, b);
}

PyObject* in_place_power(PyObject* a, PyObject* b, PyObject*) { return in_place<ops::pow>(a, b); }

PyObject* divmod(PyObject* a, PyObject* b) {
    PyObject* quotient = binary<fresh<ops::floor_divide>>(a, b);
    if (!quotient || quotient == Py_NotImplemented) return quotient;
    PyObject* rest = binary<fresh<ops::remainder>>(a, b);
    return rest ? Py_BuildValue("NN", quotient, rest) : nullptr;
}

PyObject* absolute(PyObject* self) { return unary<ops::abs>(self); }
PyObject* positive(PyObject* self) { return Py_NewRef(self); }

PyObject* item(PyObject* self) {
    if (tensor_of(self).numel() == 1) return PyObject_CallMethod(self, "item", nullptr);
    PyErr_SetString(PyExc_ValueError,
                    "only one element tensors can be converted to Python scalars");
    return nullptr;
}

int truth(PyObject* self) {
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
    PyObject* value = real_item(self);
    if (!value) return nullptr;
    PyObject* result = PyNumber_Float(value);
    Py_DECREF(value);
    return result;
}

PyObject* as_int(PyObject* self) {
    PyObject* value = real_item(self);
    if (!value) return nullptr;
    PyObject* result = PyNumber_Long(value);
    Py_DECREF(value);
    return result;
}

PyObject* as_index(PyObject* self) {
    const Tensor& t = tensor_of(self);
    if (t.numel() != 1 || !is_integral(t.dtype())) {
        PyErr_SetString(PyExc_TypeError,
                        "only integer tensors of a single element can be converted to an index");
        return nullptr;
    }
    return as_int(self);
}

// Arrays compare by element too: Python would take identity where both sides decline.
template <Tensor (*F)(const Tensor&, const Tensor&)>
PyObject* equality(PyObject* a, PyObject* b) {
    if (!is_array(b)) return binary<F>(a, b);
    try {
        return wrap(F(tensor_of(a), tensor_from_data("eq", b, {{}, {}, false})));
    } catch (...) {
        return translate_exception();
    }
}

PyObject* compare(PyObject* a, PyObject* b, int op) {
    switch (op) {
        case Py_LT: return binary<fresh<ops::lt>>(a, b);
        case Py_LE: return binary<fresh<ops::le>>(a, b);
        case Py_GT: return binary<fresh<ops::gt>>(a, b);
        case Py_GE: return binary<fresh<ops::ge>>(a, b);
        case Py_EQ: return equality<fresh<ops::eq>>(a, b);
        default: return equality<fresh<ops::ne>>(a, b);
    }
}

Py_hash_t identity_hash(PyObject* self) {
    return Py_hash_t(reinterpret_cast<uintptr_t>(self) >> 4);
}

Py_ssize_t length(PyObject* self) {
    const Tensor& t = tensor_of(self);
    if (t.dim() == 0) {
        PyErr_SetString(PyExc_TypeError, "len() of a 0-d tensor");
        return -1;
    }
    return t.impl()->sizes[0];
}

int contains(PyObject* self, PyObject* value) {
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
        PyObject* rows = to_python(ops::unbind(t, 0), none);
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
PyObject* get(PyObject* self, void*) {
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
        if (!value || !operand(value, made, from))
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

int set_data(PyObject* self, PyObject* value, void*) {
    if (!value || !is_tensor(value)) {
        PyErr_SetString(PyExc_TypeError, "data: expected a Tensor");
        return -1;
    }
    try {
        set_tensor_data(tensor_of(self), tensor_of(value));
        return 0;
    } catch (...) {
        translate_exception();
        return -1;
    }
}

int set_requires_grad(PyObject* self, PyObject* value, void*) {
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

PyGetSetDef getset[] = {
    {"shape", get<shape>, nullptr, "The sizes, as an ember.Size.", nullptr},
    {"dtype", get<dtype>, nullptr, "The type of the elements.", nullptr},
    {"device", get<device>, nullptr, "Where the memory is.", nullptr},
    {"layout", get<layout>, nullptr, "Always ember.strided.", nullptr},
    {"ndim", get<ndim>, nullptr, "The number of dims.", nullptr},
    {"requires_grad", get<requires_grad>, set_requires_grad,
     "Whether gradients are computed for this tensor. Only a leaf's can be switched off.", nullptr},
    {"is_leaf", get<is_leaf>, nullptr, "Not the result of a recorded operation.", nullptr},
    {"grad_fn", get<grad_fn_of>, nullptr, "The graph node that made this tensor, or None.",
     nullptr},
    {"grad", get<grad>, set_grad, "The gradient accumulated by backward, or None.", nullptr},
    {"data", get<data>, set_data,
     "The same memory without gradients; changes through it go unnoticed by autograd.", nullptr},
    {"output_nr", get<output_nr>, nullptr, "Which output of grad_fn this is.", nullptr},
    {"_version", get<version>, nullptr, "Counts changes in place.", nullptr},
    {"_base", get<base>, nullptr, "The tensor whose memory this views, or None.", nullptr},
    {"retains_grad", get<retains_grad>, nullptr, "Whether a non-leaf keeps its .grad.", nullptr},
    {"T", get<transposed>, nullptr, "All dims reversed.", nullptr},
    {"mT", get<matrix_transposed>, nullptr, "The last two dims swapped.", nullptr},
    {"mH", get<adjoint_of>, nullptr, "The last two dims swapped, and conjugated.", nullptr},
    {"H", get<matrix_adjoint>, nullptr, "A matrix transposed and conjugated.", nullptr},
    {"real", get<real>, set_part<ops::real>, "The real part, as a view.", nullptr},
    {"imag", get<imag>, set_part<ops::imag>, "The imaginary part, as a view.", nullptr},
    {"itemsize", get<itemsize>, nullptr, "Bytes of one element.", nullptr},
    {"nbytes", get<nbytes>, nullptr, "Bytes of all elements.", nullptr},
    {"is_cuda", get<is_cuda>, nullptr, "On a CUDA device.", nullptr},
    {"is_cpu", get<is_cpu>, nullptr, "In the CPU's memory.", nullptr},
    {"is_sparse", get<never>, nullptr, "Always False.", nullptr},
    {"is_quantized", get<never>, nullptr, "Always False.", nullptr},
    {"is_meta", get<never>, nullptr, "Always False.", nullptr},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

template <class F>
void* slot(F* f) {
    return reinterpret_cast<void*>(f);
}

}  // namespace

void add_tensor_slots(std::vector<PyType_Slot>& slots) {
    slots.insert(slots.end(), {
                                  {Py_nb_add, slot(binary<fresh<add_to>>)},
                                  {Py_nb_subtract, slot(binary<fresh<sub_to>>)},
                                  {Py_nb_multiply, slot(binary<fresh<ops::mul>>)},
                                  {Py_nb_true_divide, slot(binary<fresh<div_to>>)},
                                  {Py_nb_floor_divide, slot(binary<fresh<ops::floor_divide>>)},
                                  {Py_nb_remainder, slot(binary<fresh<ops::remainder>>)},
                                  {Py_nb_divmod, slot(divmod)},
                                  {Py_nb_power, slot(power)},
                                  {Py_nb_matrix_multiply, slot(product)},
                                  {Py_nb_and, slot(binary<fresh<ops::bitwise_and>>)},
                                  {Py_nb_or, slot(binary<fresh<ops::bitwise_or>>)},
                                  {Py_nb_xor, slot(binary<fresh<ops::bitwise_xor>>)},
                                  {Py_nb_lshift, slot(binary<fresh<ops::bitwise_left_shift>>)},
                                  {Py_nb_rshift, slot(binary<fresh<ops::bitwise_right_shift>>)},
                                  {Py_nb_invert, slot(unary<ops::bitwise_not>)},
                                  {Py_nb_negative, slot(unary<ops::neg>)},
                                  {Py_nb_positive, slot(positive)},
                                  {Py_nb_absolute, slot(absolute)},
                                  {Py_nb_bool, slot(truth)},
                                  {Py_nb_float, slot(as_float)},
                                  {Py_nb_int, slot(as_int)},
                                  {Py_nb_index, slot(as_index)},
                                  {Py_nb_inplace_add, slot(in_place<add_to>)},
                                  {Py_nb_inplace_subtract, slot(in_place<sub_to>)},
                                  {Py_nb_inplace_multiply, slot(in_place<ops::mul>)},
                                  {Py_nb_inplace_true_divide, slot(in_place<div_to>)},
                                  {Py_nb_inplace_floor_divide, slot(in_place<ops::floor_divide>)},
                                  {Py_nb_inplace_remainder, slot(in_place<ops::remainder>)},
                                  {Py_nb_inplace_power, slot(in_place_power)},
                                  {Py_nb_inplace_and, slot(in_place<ops::bitwise_and>)},
                                  {Py_nb_inplace_or, slot(in_place<ops::bitwise_or>)},
                                  {Py_nb_inplace_xor, slot(in_place<ops::bitwise_xor>)},
                                  {Py_nb_inplace_lshift, slot(in_place<ops::bitwise_left_shift>)},
                                  {Py_nb_inplace_rshift, slot(in_place<ops::bitwise_right_shift>)},
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
