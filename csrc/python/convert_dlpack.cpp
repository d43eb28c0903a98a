#include <cstring>

#include "ops/copy.h"
#include "python/conversions.h"

// Exchange of tensors with other libraries through DLPack capsules
// (https://dmlc.github.io/dlpack/latest/): unversioned ones and version 1.
namespace ember::python {

namespace {

// The exchanged structures; names are ours, layouts the standard's.
struct DlDevice {
    int32_t type, index;
};
struct DlType {
    uint8_t code, bits;
    uint16_t lanes;
};
struct DlTensor {
    void* data;
    DlDevice device;
    int32_t ndim;
    DlType dtype;
    int64_t* shape;
    int64_t* strides;  // elements; null: contiguous
    uint64_t byte_offset;
};
struct DlManaged {
    DlTensor tensor;
    void* context;
    void (*deleter)(DlManaged*);
};
struct DlVersioned {
    uint32_t major, minor;
    void* context;
    void (*deleter)(DlVersioned*);
    uint64_t flags;
    DlTensor tensor;
};

constexpr int32_t kCpu = 1, kCuda = 2;
constexpr uint64_t kReadOnly = 1, kCopied = 2;
enum Code : uint8_t {
    kInt = 0,
    kUint = 1,
    kFloat = 2,
    kBfloat = 4,
    kComplexCode = 5,
    kBoolCode = 6
};

constexpr const char* kName = "dltensor";
constexpr const char* kUsedName = "used_dltensor";
constexpr const char* kVersionedName = "dltensor_versioned";
constexpr const char* kUsedVersionedName = "used_dltensor_versioned";

uint8_t code_of(DType dtype) {
    if (dtype == DType::Bool) return kBoolCode;
    if (dtype == DType::UInt8) return kUint;
    if (dtype == DType::BFloat16) return kBfloat;
    return is_floating(dtype) ? kFloat : is_complex(dtype) ? kComplexCode : kInt;
}

DType dtype_of(DlType type) {
    if (type.lanes == 1)
        for (int i = 0; i < kDTypeCount; i++)
            if (code_of(DType(i)) == type.code && 8 * item_size(DType(i)) == type.bits)
                return DType(i);
    raise(ErrorKind::Buffer, "from_dlpack: no dtype for code %d with %d bits and %d lanes",
          type.code, type.bits, type.lanes);
}

// ---- Out

// What a capsule points to: the standard's structure, the tensor it stands for, and its layout.
template <class Managed>
struct Export {
    Managed managed{};
    Tensor tensor;
    Dims sizes, strides;

    explicit Export(const Tensor& t) : tensor(t), sizes(t.sizes()), strides(t.strides()) {
        managed.context = this;
        managed.deleter = [](Managed* m) { delete static_cast<Export*>(m->context); };
        managed.tensor = {t.data(),
                          {kCpu, 0},
                          t.dim(),
                          {code_of(t.dtype()), uint8_t(8 * t.item_bytes()), 1},
                          sizes.data(),
                          strides.data(),
                          0};
    }
};

// Frees what nobody consumed.
template <class Managed>
void drop_capsule(PyObject* capsule, const char* name) {
    if (!PyCapsule_IsValid(capsule, name)) return;
    auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule, name));
    if (managed->deleter) managed->deleter(managed);
}
void drop_plain(PyObject* capsule) { drop_capsule<DlManaged>(capsule, kName); }
void drop_versioned(PyObject* capsule) { drop_capsule<DlVersioned>(capsule, kVersionedName); }

PyObject* export_tensor(const Tensor& t, bool versioned, bool copied) {
    bool read_only = t.impl()->storage->read_only;
    if (!versioned) {
        if (read_only)
            raise(ErrorKind::Buffer,
                  "__dlpack__: a read-only tensor needs max_version=(1, 0) or later");
        auto* made = new Export<DlManaged>(t);
        PyObject* capsule = PyCapsule_New(&made->managed, kName, drop_plain);
        if (!capsule) delete made;
        return Held::checked(capsule);
    }
    auto* made = new Export<DlVersioned>(t);
    made->managed.major = 1;
    made->managed.flags = (read_only ? kReadOnly : 0) | (copied ? kCopied : 0);
    PyObject* capsule = PyCapsule_New(&made->managed, kVersionedName, drop_versioned);
    if (!capsule) delete made;
    return Held::checked(capsule);
}

long pair_item(const char* what, PyObject* pair, Py_ssize_t i) {
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2)
        raise_type("__dlpack__: %s must be a pair of ints, got %s", what, Py_TYPE(pair)->tp_name);
    long value = PyLong_AsLong(PyTuple_GET_ITEM(pair, i));
    if (value == -1 && PyErr_Occurred()) throw PythonError();
    return value;
}

PyObject* dlpack(const Tensor& t, PyObject* stream, PyObject* max_version, PyObject* device,
                 PyObject* copy) {
    if (t.requires_grad())
        raise(ErrorKind::Buffer,
              "__dlpack__: can't export a tensor that requires gradient, use tensor.detach()");
    if (!t.device().is_cpu())
        raise(ErrorKind::Buffer, "__dlpack__: only tensors of the CPU can be exported, got %s",
              to_string(t.device()).c_str());
    if (stream != Py_None)
        raise(ErrorKind::Buffer, "__dlpack__: a CPU tensor takes no stream, got %s",
              Py_TYPE(stream)->tp_name);
    if (device != Py_None && pair_item("dl_device", device, 0) != kCpu)
        raise(ErrorKind::Buffer, "__dlpack__: cannot export a CPU tensor to device type %ld",
              pair_item("dl_device", device, 0));
    bool versioned = max_version != Py_None && pair_item("max_version", max_version, 0) >= 1;
    bool copied = copy != Py_None && PyObject_IsTrue(copy) == 1;
    return export_tensor(copied ? ops::clone(t, std::nullopt) : t, versioned, copied);
}

PyObject* dlpack_device(const Tensor& t) {
    if (t.device().is_cpu()) return Py_BuildValue("(ii)", int(kCpu), 0);
    return Py_BuildValue("(ii)", int(kCuda), int(t.device().index));
}

PyObject* to_dlpack(const Tensor& t) { return dlpack(t, Py_None, Py_None, Py_None, Py_None); }

// ---- In

template <class Managed>
void release(void*, size_t, void* owner) {
    auto* managed = static_cast<Managed*>(owner);
    if (managed->deleter) managed->deleter(managed);
}

Tensor import_tensor(const DlTensor& from, bool read_only, Storage::Deleter deleter, void* owner) {
    if (from.device.type != kCpu)
        raise(ErrorKind::Buffer, "from_dlpack: expected memory of the CPU, got device type %d",
              from.device.type);
    if (from.ndim < 0 || from.ndim > kMaxDims)
        raise(ErrorKind::Buffer, "from_dlpack: at most %d dims are possible, got %d", kMaxDims,
              from.ndim);
    DType dtype = dtype_of(from.dtype);
    Dims sizes(from.ndim), strides(from.ndim);
    for (int d = 0; d < from.ndim; d++) sizes[d] = from.shape[d];
    int64_t numel = checked_numel("from_dlpack", sizes, dtype);
    contiguous_strides(sizes, strides.data());
    for (int d = 0; from.strides && numel > 0 && d < from.ndim; d++) {
        if (sizes[d] == 1) continue;
        if (from.strides[d] < 0)
            raise_value("from_dlpack: negative strides are not supported, got %ld at dim %d",
                        long(from.strides[d]), d);
        strides[d] = from.strides[d];
    }
    char* data = static_cast<char*>(from.data) + (from.data ? from.byte_offset : 0);
    Tensor t = from_memory(data, sizes, strides, {dtype, {}}, deleter, owner);
    t.impl()->storage->read_only = read_only;
    return t;
}

Tensor import_capsule(PyObject* capsule) {
    if (PyCapsule_IsValid(capsule, kVersionedName)) {
        auto* m = static_cast<DlVersioned*>(PyCapsule_GetPointer(capsule, kVersionedName));
        if (m->major != 1)
            raise(ErrorKind::Buffer, "from_dlpack: expected DLPack version 1, got %u.%u", m->major,
                  m->minor);
        Tensor t = import_tensor(m->tensor, m->flags & kReadOnly, release<DlVersioned>, m);
        PyCapsule_SetName(capsule, kUsedVersionedName);
        return t;
    }
    if (!PyCapsule_IsValid(capsule, kName))
        raise(
            "from_dlpack: expected a capsule named dltensor that was not consumed before; each can "
            "be "
            "consumed once");
    auto* m = static_cast<DlManaged*>(PyCapsule_GetPointer(capsule, kName));
    Tensor t = import_tensor(m->tensor, false, release<DlManaged>, m);
    PyCapsule_SetName(capsule, kUsedName);
    return t;
}

Tensor from_dlpack(PyObject* from, std::optional<Device> device, std::optional<bool> copy) {
    if (device && !device->is_cpu())
        raise(ErrorKind::Buffer, "from_dlpack: cannot import to %s", to_string(*device).c_str());
    Tensor t;
    if (PyCapsule_CheckExact(from)) {
        t = import_capsule(from);
    } else {
        Held method(PyObject_GetAttrString(from, "__dlpack__"));
        if (!method.get()) {
            PyErr_Clear();
            raise_type("from_dlpack: expected an object with __dlpack__ or a capsule, got %s",
                       Py_TYPE(from)->tp_name);
        }
        Held none(PyTuple_New(0)), kwargs(Py_BuildValue("{s:(ii)}", "max_version", 1, 0));
        Held capsule(PyObject_Call(method.get(), none.get(), kwargs.get()));
        if (!capsule.get() && PyErr_ExceptionMatches(PyExc_TypeError)) {  // from before version 1
            PyErr_Clear();
            capsule.reset(PyObject_CallNoArgs(method.get()));
        }
        t = import_capsule(Held::checked(capsule.get()));
    }
    return copy && *copy ? ops::clone(t, std::nullopt) : t;
}

}  // namespace

void bind_dlpack(BindTable& t) {
    bind<&dlpack>(
        t, kMethod,
        "__dlpack__(input, *, stream=None, max_version=None, dl_device=None, copy=None)",
        "A DLPack capsule over this tensor's memory. BufferError where it requires grad.");
    bind<&dlpack_device>(t, kMethod, "__dlpack_device__(input)", "DLPack's (device type, index).");
    bind<&to_dlpack>(t, kFunction, "to_dlpack(tensor)",
                     "An unversioned DLPack capsule over the tensor's memory.");
    bind<&from_dlpack>(t, kFunction, "from_dlpack(ext_tensor, *, device=None, copy=None)",
                       "A tensor over the memory of an object with __dlpack__, or of a DLPack "
                       "capsule, which can be "
                       "consumed once. BufferError for other devices and dtypes.");
}

}  // namespace ember::python
