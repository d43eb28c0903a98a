#include <cstring>

#include "ops/copy.h"
#include "ops/factory.h"
#include "python/conversions.h"

// numpy's arrays and other buffers as tensors and back, sharing memory. numpy is used through the
// buffer protocol and its Python API alone, and only once somebody else has imported it.
namespace ember::python {

namespace {

// numpy's attribute of that name, or null while numpy is not imported. Never freed.
PyTypeObject* numpy_type(const char* name, PyTypeObject*& cached) {
    if (EMBER_LIKELY(cached != nullptr)) return cached;
    PyObject* modules = PyImport_GetModuleDict();
    PyObject* numpy = PyDict_GetItemString(modules, "numpy");
    if (!numpy) return nullptr;
    cached = reinterpret_cast<PyTypeObject*>(PyObject_GetAttrString(numpy, name));
    if (!cached) PyErr_Clear();  // a numpy that is only being imported
    return cached;
}

}  // namespace

bool is_array(PyObject* o) {
    static PyTypeObject* type = nullptr;
    PyTypeObject* ndarray = numpy_type("ndarray", type);
    return ndarray && PyObject_TypeCheck(o, ndarray);
}

bool is_array_scalar(PyObject* o) {
    static PyTypeObject* type = nullptr;
    PyTypeObject* generic = numpy_type("generic", type);
    return generic && PyObject_TypeCheck(o, generic);
}

namespace {

void release_buffer(void*, size_t, void* owner) {
    if (!Py_IsInitialized()) return;  // memory goes with the process
    PyGILState_STATE state = PyGILState_Ensure();
    auto* view = static_cast<Py_buffer*>(owner);
    PyBuffer_Release(view);
    delete view;
    PyGILState_Release(state);
}

// A buffer held until a tensor takes it over.
struct Buffer {
    Py_buffer* view = new Py_buffer{};
    ~Buffer() {
        if (view) {
            PyBuffer_Release(view);
            delete view;
        }
    }
    Tensor to_tensor(IntSpan sizes, IntSpan strides, DType dtype, int64_t skip) {
        Py_buffer* owner = std::exchange(view, nullptr);
        Tensor t = from_memory(static_cast<char*>(owner->buf) + skip, sizes, strides, {dtype, {}},
                               release_buffer, owner);
        t.impl()->storage->read_only = owner->readonly;
        return t;
    }
};

std::string dtype_text(PyObject* array) {
    Held dtype(PyObject_GetAttrString(array, "dtype"));
    Held text(dtype.get() ? PyObject_Str(dtype.get()) : nullptr);
    const char* utf8 = text.get() ? PyUnicode_AsUTF8(text.get()) : nullptr;
    if (!utf8) PyErr_Clear();
    return utf8 ? utf8 : Py_TYPE(array)->tp_name;
}

[[noreturn]] void raise_unsupported(const char* name, PyObject* array) {
    PyErr_Clear();
    raise_type(
        "%s: can't convert np.ndarray of type %s; supported are float64, float32, float16, "
        "int64, int32, int16, int8, uint8 and bool",
        name, dtype_text(array).c_str());
}

// The dtype of a buffer's item from its format (struct's letters); false for others.
bool dtype_of_format(const char* format, int64_t size, DType& dtype) {
    if (!format) format = "B";
    if (*format && std::strchr("@=<>!", *format)) format++;
    if (std::strlen(format) != 1) return false;
    if (*format == '?') {
        dtype = DType::Bool;
    } else if (*format == 'B') {
        dtype = DType::UInt8;
    } else if (std::strchr("bhilq", *format)) {
        dtype = size == 1   ? DType::Int8
                : size == 2 ? DType::Int16
                : size == 4 ? DType::Int32
                            : DType::Int64;
    } else if (std::strchr("efd", *format)) {
        dtype = size == 2 ? DType::Float16 : size == 4 ? DType::Float32 : DType::Float64;
    } else {
        return false;
    }
    return item_size(dtype) == size;
}

}  // namespace

Tensor tensor_from_array(const char* name, PyObject* array) {
    Buffer buffer;
    if (PyObject_GetBuffer(array, buffer.view, PyBUF_FULL_RO) < 0) raise_unsupported(name, array);
    const Py_buffer& view = *buffer.view;
    DType dtype;
    if (!dtype_of_format(view.format, view.itemsize, dtype)) raise_unsupported(name, array);
    if (view.itemsize > 1 && view.format && (*view.format == '>' || *view.format == '!'))
        raise_value(
            "%s: the array's byte order differs from the machine's; convert it with "
            "array.astype(array.dtype.newbyteorder('='))",
            name);
    Dims sizes(view.ndim), strides(view.ndim);
    int64_t expected = 1;
    for (int d = view.ndim; d-- > 0;) {
        sizes[d] = view.shape[d];
        strides[d] = expected;
        expected *= std::max<int64_t>(sizes[d], 1);
        if (sizes[d] <= 1 || view.len == 0) continue;
        if (view.strides[d] < 0)
            raise_value(
                "%s: the array has a negative stride, which tensors do not support; copy it "
                "first with array.copy()",
                name);
        if (view.strides[d] % view.itemsize != 0)
            raise_value(
                "%s: the array's strides are not multiples of its item size; copy it first "
                "with array.copy()",
                name);
        strides[d] = view.strides[d] / view.itemsize;
    }
    return buffer.to_tensor(sizes, strides, dtype, 0);
}

// ---- Tensors as arrays

namespace {

// Lends a tensor's memory through the buffer protocol; numpy keeps it alive.
struct Lender {
    PyObject_HEAD Tensor tensor;
};

const char* format_of(DType dtype) {
    switch (dtype) {
        case DType::Bool: return "?";
        case DType::UInt8: return "B";
        case DType::Int8: return "b";
        case DType::Int16: return "h";
        case DType::Int32: return "i";
        case DType::Int64: return "l";
        case DType::Float16: return "e";
        case DType::Float32: return "f";
        case DType::Float64: return "d";
        case DType::Complex64: return "Zf";
        case DType::Complex128: return "Zd";
        case DType::BFloat16: break;
    }
    return nullptr;
}

int lend(PyObject* self, Py_buffer* view, int flags) {
    const Tensor& t = reinterpret_cast<Lender*>(self)->tensor;
    if ((flags & PyBUF_WRITABLE) && t.impl()->storage->read_only) {
        PyErr_SetString(PyExc_BufferError, "numpy: the tensor's memory is read-only");
        return -1;
    }
    int n = t.dim();
    auto* layout = static_cast<Py_ssize_t*>(PyMem_Malloc(sizeof(Py_ssize_t) * 2 * size_t(n + 1)));
    if (!layout) {
        PyErr_NoMemory();
        return -1;
    }
    for (int d = 0; d < n; d++) {
        layout[d] = t.impl()->sizes[d];
        layout[n + d] = t.impl()->strides[d] * t.item_bytes();
    }
    view->obj = Py_NewRef(self);
    view->buf = t.data();
    view->len = t.numel() * t.item_bytes();
    view->itemsize = t.item_bytes();
    view->readonly = t.impl()->storage->read_only;
    view->ndim = n;
    view->format = const_cast<char*>(format_of(t.dtype()));
    view->shape = layout;
    view->strides = layout + n;
    view->suboffsets = nullptr;
    view->internal = layout;
    return 0;
}

void take_back(PyObject*, Py_buffer* view) { PyMem_Free(view->internal); }

void lender_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    reinterpret_cast<Lender*>(self)->tensor.~Tensor();
    PyObject_Free(self);
    Py_DECREF(type);
}

PyTypeObject* make_lender_type() {
    PyType_Slot slots[] = {
        {Py_tp_dealloc, reinterpret_cast<void*>(lender_dealloc)},
        {Py_bf_getbuffer, reinterpret_cast<void*>(lend)},
        {Py_bf_releasebuffer, reinterpret_cast<void*>(take_back)},
        {0, nullptr},
    };
    PyType_Spec spec = {"ember._C._Memory", sizeof(Lender), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    return reinterpret_cast<PyTypeObject*>(Held::checked(PyType_FromSpec(&spec)));
}

}  // namespace

PyObject* array_of(const Tensor& t) {
    if (!format_of(t.dtype()))
        raise_type("numpy: numpy has no dtype %s; convert the tensor first, say with .float()",
                   dtype_name(t.dtype()));
    if (!t.device().is_cpu())
        raise_type("numpy: the tensor is on %s; copy it with .cpu() first",
                   to_string(t.device()).c_str());
    static PyTypeObject* type = make_lender_type();
    static PyObject* asarray = [] {
        Held numpy(Held::checked(PyImport_ImportModule("numpy")));
        return Held::checked(PyObject_GetAttrString(numpy.get(), "asarray"));
    }();
    Lender* lender = PyObject_New(Lender, type);
    Held held(Held::checked(reinterpret_cast<PyObject*>(lender)));
    new (&lender->tensor) Tensor(t);
    return Held::checked(PyObject_CallOneArg(asarray, held.get()));
}

namespace {

Tensor from_numpy(PyObject* array) {
    if (!is_array(array))
        raise_type("from_numpy: expected np.ndarray, got %s", Py_TYPE(array)->tp_name);
    return tensor_from_array("from_numpy", array);
}

PyObject* numpy(const Tensor& t, bool force) {
    if (force) {
        GradModeGuard no_grad(false);
        return array_of(ops::to(t, Device(), std::nullopt, false, false, std::nullopt));
    }
    EMBER_CHECK(!t.requires_grad(),
                "numpy: can't call numpy() on a tensor that requires grad; use "
                "tensor.detach().numpy() instead");
    return array_of(t);
}

PyObject* as_array(const Tensor& t, PyObject* dtype, PyObject* copy) {
    Held array(numpy(t, false));
    bool must = copy != Py_None && PyObject_IsTrue(copy) == 1;
    if (dtype == Py_None) {
        if (must) return Held::checked(PyObject_CallMethod(array.get(), "copy", nullptr));
        return array.detach();
    }
    Held kwargs(Held::checked(Py_BuildValue("{s:O}", "copy", must ? Py_True : Py_False)));
    Held astype(Held::checked(PyObject_GetAttrString(array.get(), "astype")));
    Held args(Held::checked(PyTuple_Pack(1, dtype)));
    Held result(Held::checked(PyObject_Call(astype.get(), args.get(), kwargs.get())));
    if (copy == Py_False && result.get() != array.get())
        raise_value("__array__: a copy is needed to change the dtype, but copy is False");
    return result.detach();
}

// The result of one of numpy's functions on a tensor becomes a tensor.
Tensor wrap_array(const Tensor&, PyObject* array, PyObject*, PyObject*) {
    return tensor_from_data("__array_wrap__", array, {std::nullopt, std::nullopt, false});
}

Tensor frombuffer(PyObject* object, DType dtype, int64_t count, int64_t offset,
                  bool requires_grad) {
    Buffer buffer;
    if (PyObject_GetBuffer(object, buffer.view, PyBUF_SIMPLE) < 0) {
        PyErr_Clear();
        raise_value("frombuffer: %s does not implement the buffer protocol",
                    Py_TYPE(object)->tp_name);
    }
    int64_t bytes = buffer.view->len, size = item_size(dtype);
    if (bytes == 0 || count == 0)
        raise_value("frombuffer: both buffer length (%ld) and count (%ld) must not be 0",
                    long(bytes), long(count));
    if (offset < 0 || offset >= bytes)
        raise_value(
            "frombuffer: offset (%ld bytes) must be non-negative and no greater than buffer "
            "length (%ld bytes) minus 1",
            long(offset), long(bytes));
    if (count < 0) {
        if ((bytes - offset) % size != 0)
            raise_value(
                "frombuffer: buffer length (%ld bytes) after offset (%ld bytes) must be a "
                "multiple of element size (%ld)",
                long(bytes), long(offset), long(size));
        count = (bytes - offset) / size;
    } else if (count > (bytes - offset) / size) {
        raise_value(
            "frombuffer: requested buffer length (%ld * %ld bytes) after offset (%ld bytes) "
            "must not be greater than actual buffer length (%ld bytes)",
            long(count), long(size), long(offset), long(bytes));
    }
    return ops::with_grad(buffer.to_tensor({{count}}, {{1}}, dtype, offset), requires_grad);
}

}  // namespace

void bind_numpy(BindTable& t) {
    bind<&from_numpy>(
        t, kFunction, "from_numpy(ndarray)",
        "A tensor over the array's memory, which it keeps alive; read-only arrays give tensors "
        "that "
        "cannot be written. ValueError for negative strides and foreign byte orders, TypeError for "
        "dtypes that tensors do not have.");
    bind<&numpy>(
        t, kMethod, "numpy(input, *, force=False)",
        "An array over this tensor's memory. RuntimeError where it requires grad, unless force.");
    bind<&as_array>(t, kMethod, "__array__(input, dtype=None, copy=None)",
                    "numpy's way to make an array of a tensor.");
    bind<&wrap_array>(t, kMethod, "__array_wrap__(input, array, context=None, return_scalar=False)",
                      "The result of one of numpy's functions, as a tensor.");
    bind<&frombuffer>(t, kFunction,
                      "frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False)",
                      "A vector over the memory of an object with the buffer protocol: `count` "
                      "items (-1: all) from "
                      "byte `offset` on. Read-only buffers give tensors that cannot be written.");
}

}  // namespace ember::python
