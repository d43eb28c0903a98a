#include "python/autocast.h"

#include <algorithm>

#include "core/modes.h"
#include "ops/autocast.h"
#include "python/override.h"
#include "python/reader.h"
#include "python/tables.h"

namespace ember::python {

namespace {

// PyTorch's lists ("Automatic Mixed Precision package", op eligibility), as 2.13 behaves.
constexpr std::string_view kLowerEverywhere[] = {
    "matmul",
    "mm",
    "bmm",
    "addmm",
    "baddbmm",
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "prelu",
    "scaled_dot_product_attention",
    "lstm",
    "gru",
    "rnn_tanh",
    "rnn_relu",
    "lstm_cell",
    "gru_cell",
    "rnn_tanh_cell",
    "rnn_relu_cell",
};
constexpr std::string_view kLowerOnCuda[] = {"mv"};
constexpr std::string_view kFloat32Everywhere[] = {
    "prod", "mse_loss", "nll_loss", "cross_entropy", "binary_cross_entropy_with_logits", "cdist",
};
constexpr std::string_view kFloat32OnCpu[] = {
    "binary_cross_entropy",
    "adaptive_avg_pool3d",
    "adaptive_max_pool3d",
    "avg_pool3d",
    "quantile",
    "nanquantile",
    "view_as_complex",
    "polar",
};
constexpr std::string_view kFloat32OnCuda[] = {
    "acos", "asin",        "cosh",       "cumprod",    "cumsum", "dist",       "erfinv",
    "exp",  "expm1",       "group_norm", "layer_norm", "log",    "log10",      "log1p",
    "log2", "log_softmax", "logsumexp",  "norm",       "pow",    "reciprocal", "rsqrt",
    "sinh", "softmax",     "softplus",   "sum",        "tan",
};
constexpr std::string_view kWidest[] = {
    "cat", "stack", "dot", "index_copy", "index_put", "index_add", "scatter_add", "scatter",
};

bool has(std::span<const std::string_view> names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

bool castable(const Tensor& x) {
    return x.defined() && is_floating(x.dtype()) && x.dtype() != DType::Float64 &&
           modes::autocast_enabled(x.device().type);
}
bool castable(PyObject* o) { return is_tensor(o) && !overrides(o) && castable(tensor_of(o)); }

// What x becomes; `wide`: float32 is among the arguments.
DType target(const CastRule& rule, const Tensor& x, bool wide) {
    switch (rule.on[int(x.device().type)]) {
        case Cast::Lower: return modes::autocast_dtype(x.device().type);
        case Cast::Float32: return DType::Float32;
        case Cast::Widest: return wide ? DType::Float32 : x.dtype();
        default: return x.dtype();
    }
}

class Caster {
public:
    explicit Caster(const CastRule& rule) : rule_(rule) {}

    // An argument: a tensor, or a list of tensors.
    void look(PyObject* o) {
        if (!is_list(o)) return look_at_item(o);
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); i++)
            look_at_item(PySequence_Fast_GET_ITEM(o, i));
    }

    // A new reference to what stands for o, or null where it stays.
    PyObject* cast(PyObject* o) const {
        if (!is_list(o)) return cast_item(o);
        PyObject* list = nullptr;
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); i++) {
            PyObject* item = cast_item(PySequence_Fast_GET_ITEM(o, i));
            if (!item) continue;
            if (!list) list = PySequence_List(o);
            if (!list || PyList_SetItem(list, i, item) < 0) throw PythonError();
        }
        return list;
    }

private:
    static bool is_list(PyObject* o) { return PyList_Check(o) || PyTuple_Check(o); }

    void look_at_item(PyObject* o) {
        if (castable(o)) wide_ = wide_ || tensor_of(o).dtype() == DType::Float32;
    }
    PyObject* cast_item(PyObject* o) const {
        if (!castable(o)) return nullptr;
        const Tensor& x = tensor_of(o);
        DType dtype = target(rule_, x, wide_);
        return dtype == x.dtype() ? nullptr : wrap(ops::autocast(x, dtype));
    }

    const CastRule& rule_;
    bool wide_ = false;
};

}  // namespace

CastRule cast_rule(std::string_view name) {
    if (has(kLowerEverywhere, name)) return {Cast::Lower, Cast::Lower};
    if (has(kLowerOnCuda, name)) return {Cast::None, Cast::Lower};
    if (has(kFloat32Everywhere, name)) return {Cast::Float32, Cast::Float32};
    if (has(kFloat32OnCpu, name)) return {Cast::Float32, Cast::None};
    if (has(kFloat32OnCuda, name)) return {Cast::None, Cast::Float32};
    if (has(kWidest, name)) return {Cast::Widest, Cast::Widest};
    return {};
}

Tensor autocast(const CastRule& rule, const Tensor& x) {
    return castable(x) ? ops::autocast(x, target(rule, x, false)) : x;
}

PyObject* autocast_slots(const CastRule& rule, PyObject** slots, int count, PyObject* made) {
    Caster caster(rule);
    for (int i = 0; i < count; i++) caster.look(slots[i]);
    PyObject* kept = nullptr;
    for (int i = 0; i < count; i++) {
        PyObject* cast = caster.cast(slots[i]);
        if (!cast) continue;
        if (!kept) {
            kept = PyList_New(0);
            if (kept && made && PyList_Append(kept, made) < 0) throw PythonError();
            Py_XDECREF(made);
        }
        if (!kept || PyList_Append(kept, cast) < 0) throw PythonError();
        Py_DECREF(cast);
        slots[i] = cast;
    }
    return kept ? kept : made;
}

namespace {

int device_type(std::string_view device) {
    if (device == "cpu") return 0;
    if (device == "cuda") return 1;
    raise("autocast: expected device type 'cpu' or 'cuda', got '%.*s'", int(device.size()),
          device.data());
}
bool enabled(std::string_view device) {
    return modes::word & modes::kAutocast[device_type(device)];
}
void set_enabled(std::string_view device, bool on) {
    uint32_t bit = modes::kAutocast[device_type(device)];
    modes::word = on ? modes::word | bit : modes::word & ~bit;
}
DType dtype(std::string_view device) {
    return modes::autocast_dtype(DeviceType(device_type(device)));
}
void set_dtype(std::string_view device, DType dtype) {
    int shift = 16 + 8 * device_type(device);
    modes::word = (modes::word & ~(0xffu << shift)) | uint32_t(dtype) << shift;
}
bool any_enabled() { return modes::autocast_enabled(); }
bool cache_enabled() { return modes::word & modes::kAutocastCache; }
void set_cache_enabled(bool on) {
    modes::word = on ? modes::word | modes::kAutocastCache : modes::word & ~modes::kAutocastCache;
}
// To the dtype of the rule float32, for functions that are written in Python.
Tensor to_float32(const Tensor& x) { return castable(x) ? ops::autocast(x, DType::Float32) : x; }

}  // namespace

void bind_autocast(BindTable& t) {
    bind<&enabled>(t, kFunction, "_autocast_enabled(device_type)", "Whether autocast is on.");
    bind<&set_enabled>(t, kFunction, "_set_autocast_enabled(device_type, enabled)",
                       "Turns autocast on or off for this thread.");
    bind<&dtype>(t, kFunction, "_autocast_dtype(device_type)", "The dtype autocast casts to.");
    bind<&set_dtype>(t, kFunction, "_set_autocast_dtype(device_type, dtype)",
                     "Sets the dtype autocast casts to.");
    bind<&any_enabled>(t, kFunction, "_any_autocast()",
                       "Whether autocast is on for any type of device.");
    bind<&cache_enabled>(t, kFunction, "is_autocast_cache_enabled()",
                         "Whether autocast keeps casts of parameters until it ends.");
    bind<&set_cache_enabled>(t, kFunction, "set_autocast_cache_enabled(enabled)",
                             "Says whether autocast keeps casts of parameters until it ends.");
    bind<&ops::clear_autocast_cache>(t, kFunction, "clear_autocast_cache()",
                                     "Forgets the casts of parameters that autocast keeps.");
    bind<&to_float32>(t, kFunction, "_autocast_to_float32(input)",
                      "The input as float32 where autocast is on and it is shorter.");
}

}  // namespace ember::python
