#include <cstring>

#include "core/modes.h"
#include "ops/compare.h"
#include "ops/copy.h"
#include "ops/factory.h"
#include "ops/plan.h"
#include "python/conversions.h"

// Shapes, dtypes and devices of tensors; comparison of whole tensors; tensors like another.
namespace ember::python {

namespace {

// ---- Shape

Fact size(const Tensor& t, std::optional<int64_t> dim) {
    if (!dim) return {wrap_size(t.sizes())};
    if (t.dim() == 0) raise_index("size: a zero-dim tensor has no dim %ld", long(*dim));
    return {PyLong_FromLongLong(t.impl()->sizes[wrap_dim("size", *dim, t.dim())])};
}

Fact stride(const Tensor& t, std::optional<int64_t> dim) {
    if (dim) {
        if (t.dim() == 0) raise_index("stride: a zero-dim tensor has no dim %ld", long(*dim));
        return {PyLong_FromLongLong(t.impl()->strides[wrap_dim("stride", *dim, t.dim())])};
    }
    PyObject* tuple = Held::checked(PyTuple_New(t.dim()));
    for (int d = 0; d < t.dim(); d++)
        PyTuple_SET_ITEM(tuple, d, PyLong_FromLongLong(t.impl()->strides[d]));
    return {tuple};
}

int64_t dim(const Tensor& t) { return t.dim(); }
int64_t numel(const Tensor& t) { return t.numel(); }
int64_t element_size(const Tensor& t) { return t.item_bytes(); }
int64_t storage_offset(const Tensor& t) { return t.offset(); }
Fact data_ptr(const Tensor& t) { return {PyLong_FromVoidPtr(t.numel() == 0 ? nullptr : t.data())}; }
bool is_contiguous(const Tensor& t, std::optional<MemoryFormat> format) {
    EMBER_CHECK(format != MemoryFormat::Preserve,
                "is_contiguous: preserve_format is not supported");
    return t.is_contiguous(format.value_or(MemoryFormat::Contiguous));
}
bool is_same_size(const Tensor& a, const Tensor& b) { return same(a.sizes(), b.sizes()); }

// ---- dtypes

bool is_floating_point(const Tensor& t) { return is_floating(t.dtype()); }
bool is_complex_dtype(const Tensor& t) { return is_complex(t.dtype()); }
bool is_signed(const Tensor& t) { return t.dtype() != DType::Bool && t.dtype() != DType::UInt8; }
bool can_cast(DType from, DType to) { return ops::can_cast(from, to); }
DType promote_types(DType a, DType b) { return promote(a, b); }
DType result_type(const Tensor& a, const Tensor& b) {
    Tensor both[] = {a, b};
    return ops::result_type(both);
}
DType get_default_dtype() { return modes::default_dtype(); }
void set_default_dtype(DType dtype) { modes::set_default_dtype(dtype); }
bool is_tensor_object(PyObject* o) { return is_tensor(o); }

constexpr const char* kTypeNames[kDTypeCount] = {
    "BoolTensor",  "ByteTensor",   "CharTensor",         "ShortTensor",
    "IntTensor",   "LongTensor",   "HalfTensor",         "BFloat16Tensor",
    "FloatTensor", "DoubleTensor", "ComplexFloatTensor", "ComplexDoubleTensor"};

PyObject* type(const Tensor& t, PyObject* dtype, bool) {
    if (dtype == Py_None) return PyUnicode_FromString(type_name(t).c_str());
    auto cast = [&](DType to, std::optional<Device> device) {
        return wrap(ops::to(t, device, to, false, false, std::nullopt));
    };
    // A type of older programs names a device too; a tensor on one of CUDA's stays there.
    auto cast_type = [&](DType to, bool is_cuda) {
        if (!is_cuda) return cast(to, Device());
        return cast(to, t.device().is_cpu() ? Device{DeviceType::CUDA, -1} : t.device());
    };
    if (is_dtype(dtype)) return cast(dtype_of(dtype), std::nullopt);
    if (PyType_Check(dtype) && PyObject_HasAttrString(dtype, "dtype")) {  // FloatTensor, say
        Held of_type(Held::checked(PyObject_GetAttrString(dtype, "dtype")));
        Held is_cuda(Held::checked(PyObject_GetAttrString(dtype, "is_cuda")));
        if (is_dtype(of_type.get()))
            return cast_type(dtype_of(of_type.get()), is_cuda.get() == Py_True);
    }
    if (!PyUnicode_Check(dtype))
        raise_type("type: expected a dtype or a name, got %s", Py_TYPE(dtype)->tp_name);
    const char* text = PyUnicode_AsUTF8(dtype);
    if (!text) throw PythonError();
    std::string name = text;
    size_t dot = name.rfind('.');
    for (int i = 0; i < kDTypeCount; i++)
        if (name.substr(dot == name.npos ? 0 : dot + 1) == kTypeNames[i])
            return cast_type(DType(i), name.find(".cuda.") != name.npos);
    raise_value("type: invalid type '%s'", name.c_str());
}

// ---- Devices

int64_t get_device(const Tensor& t) { return t.device().is_cpu() ? -1 : t.device().index; }
Tensor cpu(const Tensor& t, std::optional<MemoryFormat> format) {
    return ops::to(t, Device(), std::nullopt, false, false, format);
}
Tensor cuda(const Tensor& t, std::optional<Device> device, bool non_blocking,
            std::optional<MemoryFormat> format) {
    Device to = device.value_or(Device{DeviceType::CUDA, -1});
    EMBER_CHECK(!to.is_cpu(), "cuda: expected a CUDA device, got %s", to_string(to).c_str());
    return ops::to(t, to, std::nullopt, non_blocking, false, format);
}
Tensor pin_memory(const Tensor& t) { return ops::pin_memory(t); }
bool is_pinned_memory(const Tensor& t) { return is_pinned(t); }
// Any process' memory is its own.
Tensor share_memory_(const Tensor& t) { return t; }
bool is_shared(const Tensor&) { return false; }

// ---- Tensors like another

using Type = std::optional<DType>;
using Place = std::optional<Device>;

Tensor new_empty(const Tensor& t, const Dims& size, Type dtype, Place device, bool requires_grad) {
    return ops::empty_op(size, dtype.value_or(t.dtype()), device.value_or(t.device()),
                         requires_grad, std::nullopt);
}
Tensor new_filled(const char* name, const Tensor& t, const Dims& size, Number value, Type dtype,
                  Place device, bool requires_grad) {
    TensorOptions options{dtype.value_or(t.dtype()), device.value_or(t.device())};
    checked_numel(name, size, options.dtype);
    ops::check_number_fits(name, ops::wrapped_number(value), options.dtype);
    return ops::with_grad(ops::full(size, value, options), requires_grad);
}
Tensor new_zeros(const Tensor& t, const Dims& size, Type dtype, Place device, bool requires_grad) {
    return new_filled("new_zeros", t, size, ops::number(int64_t(0)), dtype, device, requires_grad);
}
Tensor new_ones(const Tensor& t, const Dims& size, Type dtype, Place device, bool requires_grad) {
    return new_filled("new_ones", t, size, ops::number(int64_t(1)), dtype, device, requires_grad);
}
Tensor new_full(const Tensor& t, const Dims& size, Number value, Type dtype, Place device,
                bool requires_grad) {
    return new_filled("new_full", t, size, value, dtype, device, requires_grad);
}

}  // namespace

std::string type_name(const Tensor& t) {
    return std::string("ember.") + (t.device().is_cpu() ? "" : "cuda.") +
           kTypeNames[int(t.dtype())];
}

void bind_metadata(BindTable& t) {
    constexpr int both = kFunction | kMethod;
    bind<&size>(t, kMethod, "size(input, dim=None)",
                "All sizes, as an ember.Size, or that of one dim.");
    bind<&stride>(t, kMethod, "stride(input, dim=None)",
                  "All strides, in elements, as a tuple, or that of one dim.");
    bind<&dim>(t, kMethod, "dim(input)", "The number of dims.");
    t.alias("ndimension", "dim");
    bind<&numel>(t, both, "numel(input)", "The number of elements.");
    t.alias("nelement", "numel");
    bind<&element_size>(t, kMethod, "element_size(input)", "Bytes of one element.");
    bind<&storage_offset>(t, kMethod, "storage_offset(input)",
                          "Where the first element lies in the storage, in elements.");
    bind<&data_ptr>(t, kMethod, "data_ptr(input)", "The address of the first element; 0 if empty.");
    bind<&is_contiguous>(
        t, kMethod, "is_contiguous(input, memory_format=None)",
        "Whether the elements lie in memory in the order of the indices, or of memory_format.");
    bind<&is_same_size>(t, both, "is_same_size(input, other)", "Whether the shapes are equal.");

    bind<&is_floating_point>(t, both, "is_floating_point(input)",
                             "Whether the dtype is float64, float32, float16 or bfloat16.");
    bind<&is_complex_dtype>(t, both, "is_complex(input)", "Whether the dtype is complex.");
    bind<&is_signed>(t, both, "is_signed(input)", "Whether the dtype has negative numbers.");
    bind<&can_cast>(t, kFunction, "can_cast(from_, to)",
                    "Whether a result of dtype from_ may be stored as dtype to.");
    bind<&promote_types>(t, kFunction, "promote_types(type1, type2)",
                         "The smallest dtype that both convert to.");
    bind<&result_type>(
        t, kFunction, "result_type(tensor1: Tensor | Number, tensor2: Tensor | Number)",
        "The dtype of an operation on these: tensors with dims count before zero-dim ones, those "
        "before numbers, unless a later group is of a higher category.");
    bind<&get_default_dtype>(t, kFunction, "get_default_dtype()", "The dtype of new floats.");
    bind<&set_default_dtype>(
        t, kFunction, "set_default_dtype(d)",
        "Sets the dtype of new floats. TypeError unless it is a floating dtype.");
    bind<&is_tensor_object>(t, kFunction, "is_tensor(obj)", "Whether obj is a Tensor.");
    bind<&type>(t, kMethod, "type(input, dtype=None, non_blocking=False)",
                "The type's name, or the tensor cast to a dtype.");

    bind<&get_device>(t, kMethod, "get_device(input)", "The CUDA device's number; -1 for the CPU.");
    bind<&cpu>(t, kMethod, "cpu(input, memory_format=None)", "The tensor in the CPU's memory.");
    bind<&cuda>(t, kMethod, "cuda(input, device=None, non_blocking=False, memory_format=None)",
                "The tensor in a CUDA device's memory. RuntimeError where there is none.");
    bind<&pin_memory>(t, kMethod, "pin_memory(input)",
                      "The tensor in page-locked memory, from which a GPU's copies need not wait; "
                      "itself where there is no GPU.");
    bind<&is_pinned_memory>(t, kMethod, "is_pinned(input)",
                            "Whether the memory is page-locked for a GPU.");
    bind<&share_memory_>(t, kMethod, "share_memory_(input)",
                         "The tensor itself: threads share memory anyway, processes get copies.");
    bind<&is_shared>(t, kMethod, "is_shared(input)", "Whether processes share the memory: False.");

    bind<&ops::equal>(t, both, "equal(input, other)", "Whether shapes and all elements are equal.");
    bind<&ops::isclose>(t, both, "isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False)",
                        "|input - other| <= atol + rtol * |other|, by element. Dtypes must agree.");
    bind<&ops::allclose>(t, both, "allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False)",
                         "Whether isclose holds everywhere.");

#define EMBER_NEW "dtype=None, device=None, requires_grad=False)"
    bind<&new_empty>(t, kMethod, "new_empty(input, *size, " EMBER_NEW,
                     "Uninitialised, with this tensor's dtype and device by default.");
    bind<&new_zeros>(t, kMethod, "new_zeros(input, *size, " EMBER_NEW,
                     "Zeros, with this tensor's dtype and device by default.");
    bind<&new_ones>(t, kMethod, "new_ones(input, *size, " EMBER_NEW,
                    "Ones, with this tensor's dtype and device by default.");
    bind<&new_full>(t, kMethod, "new_full(input, size, fill_value: complex, *, " EMBER_NEW,
                    "Filled with a number, with this tensor's dtype and device by default.");
#undef EMBER_NEW
}

}  // namespace ember::python
