#include "ops/copy.h"
#include "ops/factory.h"
#include "ops/index.h"
#include "ops/pointwise.h"
#include "ops/view.h"
#include "python/conversions.h"
#include "python/tables.h"

// x[…] and x[…] = value. Integers, slices, None and … become one view; tensors, masks, arrays and
// lists then index that view. Placement of the dims of indices is numpy's, except that an integer
// is always taken out first.
namespace ember::python {

namespace {

using ops::ViewItem;
using ops::ViewItems;

// One entry of an index before the shape of the tensor is known to fit.
struct Entry {
    enum class Kind : uint8_t { Integer, Slice, New, Ellipsis, Truth, Index, Mask } kind;
    Py_ssize_t start = 0, stop = 0, step = 1;
    Tensor tensor = {};  // of Index and Mask
};
using Entries = SmallVector<Entry, 6>;

struct Parsed {
    ViewItems items;
    std::vector<Tensor> indices;  // of the view; undefined for dims taken whole
};

Entry integer_entry(PyObject* o) {
    Py_ssize_t value = PyNumber_AsSsize_t(o, PyExc_IndexError);
    if (value == -1 && PyErr_Occurred()) throw PythonError();
    return {Entry::Kind::Integer, value};
}

Entry slice_entry(PyObject* o) {
    Entry e{Entry::Kind::Slice};
    if (PySlice_Unpack(o, &e.start, &e.stop, &e.step) < 0) throw PythonError();
    if (e.step < 0) raise_value("index: slice step must be greater than zero, got %zd", e.step);
    return e;
}

Entry tensor_entry(const Tensor& t) {
    DType dtype = t.dtype();
    bool truth = dtype == DType::Bool || dtype == DType::UInt8;
    if (!truth && dtype != DType::Int64 && dtype != DType::Int32 &&
        !(t.dim() == 0 && is_integral(dtype)))
        raise_index(
            "index: tensors used as indices must be long, int, byte or bool tensors, got %s",
            dtype_name(dtype));
    if (t.dim() > 0) return {truth ? Entry::Kind::Mask : Entry::Kind::Index, 0, 0, 1, t};
    Held value(Held::checked(item_of(t)));
    if (truth) return {Entry::Kind::Truth, PyObject_IsTrue(value.get())};
    return integer_entry(value.get());
}

Entry parse_entry(PyObject* o) {
    if (EMBER_LIKELY(PyLong_CheckExact(o))) return integer_entry(o);
    if (PySlice_Check(o)) return slice_entry(o);
    if (o == Py_None) return {Entry::Kind::New};
    if (o == Py_Ellipsis) return {Entry::Kind::Ellipsis};
    if (PyBool_Check(o)) return {Entry::Kind::Truth, o == Py_True};
    if (is_tensor(o)) return tensor_entry(tensor_of(o));
    if (is_array(o) || is_array_scalar(o)) return tensor_entry(tensor_from_data("index", o, {}));
    if (PyIndex_Check(o)) return integer_entry(o);
    if (PyUnicode_Check(o) || PyBytes_Check(o))
        raise_type("index: a tensor cannot be indexed by %s", Py_TYPE(o)->tp_name);
    if (!PySequence_Check(o))
        raise_index(
            "index: only integers, slices (`:`), ellipsis (`...`), None and long or byte "
            "tensors are valid indices, got %s",
            Py_TYPE(o)->tp_name);
    Tensor t = tensor_from_sequence("index", o, std::nullopt);
    if (t.numel() == 0 && is_floating(t.dtype())) t = ops::to_dtype(t, DType::Int64);
    return tensor_entry(t);
}

// PyTorch takes a short list that holds slices, None, … or sequences for a tuple.
bool is_tuple_in_disguise(PyObject* list) {
    Py_ssize_t n = PyList_GET_SIZE(list);
    if (n >= 32) return false;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject* o = PyList_GET_ITEM(list, i);
        if (o == Py_None || o == Py_Ellipsis || PySlice_Check(o) || is_tensor(o)) return true;
        if (!PyUnicode_Check(o) && PySequence_Check(o)) return true;
    }
    return false;
}

Entries parse_key(PyObject* key) {
    Entries entries;
    Held tuple;
    if (PyList_Check(key) && is_tuple_in_disguise(key)) {
        if (PyErr_WarnEx(
                PyExc_UserWarning,
                "index: a list that holds slices, None, tensors or sequences is taken for a "
                "tuple; write x[tuple(index)], or x[ember.tensor(index)] for an index tensor",
                1) < 0)
            throw PythonError();
        tuple.reset(Held::checked(PyList_AsTuple(key)));
        key = tuple.get();
    }
    if (!PyTuple_Check(key)) {
        entries.push_back(parse_entry(key));
        return entries;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); i++)
        entries.push_back(parse_entry(PyTuple_GET_ITEM(key, i)));
    return entries;
}

int dims_taken(const Entry& e) {
    switch (e.kind) {
        case Entry::Kind::Integer:
        case Entry::Kind::Slice:
        case Entry::Kind::Index: return 1;
        case Entry::Kind::Mask: return e.tensor.dim();
        default: return 0;
    }
}

ViewItem whole(int64_t size) { return {ViewItem::Kind::Slice, 0, 1, size}; }

int64_t in_range(int64_t i, int dim, int64_t size) {
    if (i < -size || i >= size)
        raise_index("index %ld is out of bounds for dimension %d with size %ld", long(i), dim,
                    long(size));
    return i < 0 ? i + size : i;
}

ViewItem slice_item(const Entry& e, int64_t size) {
    Py_ssize_t start = e.start, stop = e.stop;
    int64_t length = PySlice_AdjustIndices(size, &start, &stop, e.step);
    return {ViewItem::Kind::Slice, start, e.step, length};
}

Parsed fit(const Tensor& x, const Entries& entries) {
    int taken = 0, ellipses = 0;
    for (const Entry& e : entries) {
        taken += dims_taken(e);
        ellipses += e.kind == Entry::Kind::Ellipsis;
    }
    if (taken > x.dim()) {
        if (x.dim() == 0)
            raise_index(
                "index: a 0-dim tensor has no dim to index; use tensor.item() for its number");
        raise_index("index: too many indices for tensor of dimension %d, got %d", x.dim(), taken);
    }
    if (ellipses > 1) raise_index("index: an index can only have a single ellipsis ('...')");
    Parsed p;
    int d = 0;
    const int64_t* sizes = x.impl()->sizes;
    auto take_whole = [&](int count) {
        for (; count > 0; count--) {
            p.items.push_back(whole(sizes[d++]));
            p.indices.emplace_back();
        }
    };
    for (const Entry& e : entries) {
        switch (e.kind) {
            case Entry::Kind::Integer:
                p.items.push_back({ViewItem::Kind::Integer, in_range(e.start, d, sizes[d])});
                d++;
                break;
            case Entry::Kind::Slice:
                p.items.push_back(slice_item(e, sizes[d++]));
                p.indices.emplace_back();
                break;
            case Entry::Kind::New:
                p.items.push_back({ViewItem::Kind::New});
                p.indices.emplace_back();
                break;
            case Entry::Kind::Ellipsis: take_whole(x.dim() - taken); break;
            case Entry::Kind::Truth:  // a new dim, of which all or nothing is taken
                p.items.push_back({ViewItem::Kind::New});
                p.indices.push_back(ops::zeros({{e.start}}, {DType::Int64, x.device()}));
                break;
            case Entry::Kind::Index:
            case Entry::Kind::Mask:
                for (int k = dims_taken(e); k > 0; k--) p.items.push_back(whole(sizes[d++]));
                p.indices.push_back(e.tensor);
                break;
        }
    }
    while (!p.indices.empty() && !p.indices.back().defined()) p.indices.pop_back();
    return p;
}

bool changes_nothing(const Tensor& x, const ViewItems& items) {
    for (int d = 0; d < items.size(); d++) {
        const ViewItem& item = items[d];
        if (item.kind != ViewItem::Kind::Slice || item.start != 0 || item.step != 1 ||
            item.length != x.impl()->sizes[d])
            return false;
    }
    return true;
}

Tensor get_item(const Tensor& x, PyObject* key) {
    if (EMBER_LIKELY(PyLong_CheckExact(key) || PySlice_Check(key)) && x.dim() > 0) {
        int64_t size = x.impl()->sizes[0];
        ViewItems items;
        if (PyLong_CheckExact(key))
            items.push_back({ViewItem::Kind::Integer, in_range(integer_entry(key).start, 0, size)});
        else
            items.push_back(slice_item(slice_entry(key), size));
        return ops::basic_index(x, items);
    }
    Parsed p = fit(x, parse_key(key));
    if (p.indices.empty()) return ops::basic_index(x, p.items);
    return ops::index(changes_nothing(x, p.items) ? x : ops::basic_index(x, p.items), p.indices);
}

// As PyTorch looks for overrides in an index: itself, or an item of a tuple.
inline bool key_overrides(PyObject* key) {
    if (EMBER_LIKELY(PyLong_CheckExact(key) || PySlice_Check(key))) return false;
    if (!PyTuple_Check(key)) return overrides(key);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); i++)
        if (overrides(PyTuple_GET_ITEM(key, i))) return true;
    return false;
}

PyObject* subscript(PyObject* self, PyObject* key) {
    if (EMBER_UNLIKELY(overrides(self) || key_overrides(key)))
        return override_method("__getitem__", {self, key});
    OperationRange range("index", self, key);
    try {
        return wrap(get_item(tensor_of(self), key));
    } catch (...) {
        return translate_exception();
    }
}

// Without the leading dims of size 1 that the target lacks.
Tensor without_leading_ones(const Tensor& value, int ndim) {
    int extra = 0;
    while (value.dim() - extra > ndim && value.impl()->sizes[extra] == 1) extra++;
    if (extra == 0) return value;
    return ops::reshape(value, Dims(value.sizes().subspan(size_t(extra))));
}

void set_item(const Tensor& x, PyObject* key, PyObject* given) {
    Tensor value;
    if (is_tensor(given)) {
        value = tensor_of(given);
    } else {
        if (!is_any_number(given))
            raise_type("index: can't assign a %s to a %s", Py_TYPE(given)->tp_name,
                       type_name(x).c_str());
        value = ops::fitting_number("index", ops::wrapped_number(read_number(given)), x.options());
    }
    Parsed p = fit(x, parse_key(key));
    Tensor target = x;
    if (!changes_nothing(x, p.items))
        target = needs_grad(x, value) ? ops::basic_index(x, p.items) : ops::basic_alias(x, p.items);
    if (!p.indices.empty())
        ops::index_put(target, p.indices, value, false, Dest::in_place(target));
    else if (value.dim() == 0)
        ops::fill_(target, value);
    else
        ops::copy_(target, without_leading_ones(value, target.dim()));
}

int assign_subscript(PyObject* self, PyObject* key, PyObject* value) {
    if (!value) {
        PyErr_SetString(PyExc_TypeError, "index: a tensor's items cannot be deleted");
        return -1;
    }
    if (EMBER_UNLIKELY(overrides(self) || key_overrides(key) || overrides(value))) {
        PyObject* done = override_method("__setitem__", {self, key, value});
        Py_XDECREF(done);
        return done ? 0 : -1;
    }
    OperationRange range("index_put_", self, value);
    try {
        set_item(tensor_of(self), key, value);
        return 0;
    } catch (...) {
        translate_exception();
        return -1;
    }
}

}  // namespace

void add_index_slots(std::vector<PyType_Slot>& slots) {
    slots.push_back({Py_mp_subscript, reinterpret_cast<void*>(subscript)});
    slots.push_back({Py_mp_ass_subscript, reinterpret_cast<void*>(assign_subscript)});
}

}  // namespace ember::python
