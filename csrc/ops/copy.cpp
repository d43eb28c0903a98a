#include "ops/copy.h"

#include "core/backend.h"
#include "core/unlock.h"
#include "core/warn.h"
#include "ops/factory.h"
#include "ops/plan.h"
#include "ops/resample.h"
#include "ops/view.h"

namespace ember::ops {

namespace {

void convert_into(const Tensor& to, const Tensor& from, bool non_blocking = false);

// Bytes of dense tensors of one layout, between the memories of two devices.
void move_bytes(const Tensor& to, const Tensor& from, bool non_blocking) {
    const CudaRuntime& runtime = require_cuda("copy_");
    bool to_gpu = !to.device().is_cpu(), from_gpu = !from.device().is_cpu();
    int gpu = from_gpu ? from.device().index : to.device().index;
    void* stream = current_stream(gpu);
    bool between = to_gpu && from_gpu;
    int other = to.device().index;
    if (between) runtime.wait_stream(gpu, stream, other, current_stream(other));
    // From ordinary memory the call returns when it has been read.
    bool pinned = is_pinned(from_gpu ? to : from);
    bool wait = !between && !(non_blocking && pinned) && (from_gpu || pinned);
    Unlocked unlocked(wait ? 2 * Unlocked::kWorthwhileNs : 0);
    runtime.copy(to.data(), from.data(), size_t(to.numel() * to.item_bytes()), gpu, stream, wait);
    if (between) {
        runtime.wait_stream(other, current_stream(other), gpu, stream);
        record_stream(to, stream);
    }
}

// The same for any layouts and dtypes: conversion stays on one device, bytes go to the other.
void convert_across(const Tensor& to, const Tensor& from, bool non_blocking) {
    bool alike = same(to.sizes(), from.sizes()) && same(to.strides(), from.strides());
    if (alike && to.is_dense() && to.dtype() == from.dtype())
        return move_bytes(to, from, non_blocking);
    Tensor sent = from;
    if (from.dtype() != to.dtype() || !from.is_contiguous()) {
        sent = empty(from.sizes(), {to.dtype(), from.device()});
        convert_into(sent, from);
    }
    if (to.is_contiguous() && same(to.sizes(), from.sizes()))
        return move_bytes(to, sent, non_blocking);
    Tensor received = empty(from.sizes(), to.options());
    move_bytes(received, sent, false);
    convert_into(to, received);
}

// to = convert(from), which broadcasts to `to`; no gradients, no version.
void convert_into(const Tensor& to, const Tensor& from, bool non_blocking) {
    if (to.numel() == 0) return;
    bool number = from.dim() == 0 && from.device().is_cpu();  // goes with a kernel's arguments
    if (EMBER_UNLIKELY(to.device() != from.device()) && !(number && !to.device().is_cpu()))
        return convert_across(to, from, non_blocking);
    const Tensor* operands[] = {&to, &from};
    Plan plan;
    make_plan(plan, operands, 1, to.dtype());
    kernels::copy.require(to.device(), to.dtype());
    kernels::copy.require(to.device(), from.dtype());
    launch(kernels::copy, to.device(), plan.numel, plan);
}

bool reads_what_it_writes(const Tensor& to, const Tensor& from) {
    return to.impl()->storage == from.impl()->storage &&
           !(to.data() == from.data() && same(to.strides(), from.strides()) &&
             to.dtype() == from.dtype());
}

void warn_of_lost_part(DType from, DType to) {
    if (EMBER_UNLIKELY(is_complex(from)) && !is_complex(to) && to != DType::Bool)
        warn("Casting complex values to real discards the imaginary part");
}

}  // namespace

Tensor copy_(const Tensor& self, const Tensor& src, bool non_blocking) {
    warn_of_lost_part(src.dtype(), self.dtype());
    check_in_place("copy_", self, src.requires_grad());
    check_operand("copy_", src);
    EMBER_CHECK(!self.has_overlap(),
                "copy_: more than one element of the written-to tensor refers to a single memory "
                "location; clone it first");
    bool fits = src.dim() <= self.dim();
    for (int d = 0; fits && d < src.dim(); d++) {
        int64_t size = src.impl()->sizes[d];
        fits = size == 1 || size == self.impl()->sizes[d + self.dim() - src.dim()];
    }
    EMBER_CHECK(fits, "copy_: output with shape %s doesn't match the broadcast shape of source %s",
                to_string(self.sizes()).c_str(), to_string(src.sizes()).c_str());
    if (reads_what_it_writes(self, src)) {
        Tensor apart = empty_like(src);
        convert_into(apart, src);
        convert_into(self, apart);
    } else {
        convert_into(self, src, non_blocking);
    }
    self.bump_version();
    if (needs_grad(self, src))
        record("CopyBackwards", self, {self, src}, Dest::in_place(self),
               [device = src.device()](Backward& bw, const Tensor& g) {
                   if (bw.needs(0)) bw.set(0, zeros(g.sizes(), g.options()));
                   if (bw.needs(1)) bw.set(1, to_device(g, device));
               });
    return self;
}

MemoryFormat format_of(const Tensor& x) {
    const MemoryFormat last =
        x.dim() == 5 ? MemoryFormat::ChannelsLast3d : MemoryFormat::ChannelsLast;
    const bool images = x.dim() == 4 || x.dim() == 5;
    return images && !x.is_contiguous() && x.is_contiguous(last) ? last : MemoryFormat::Contiguous;
}

Dims strides_of(IntSpan sizes, MemoryFormat format) {
    const int rank = int(sizes.size());
    Dims strides(rank);
    contiguous_strides(sizes, strides.data());
    if (format == MemoryFormat::ChannelsLast || format == MemoryFormat::ChannelsLast3d) {
        int64_t step = 1;
        for (int d : {1, 4, 3, 2, 0}) {
            if (d >= rank) continue;
            strides[d] = step;
            step *= std::max<int64_t>(sizes[d], 1);
        }
    }
    return strides;
}

Tensor empty_in(IntSpan sizes, TensorOptions options, MemoryFormat format) {
    if (format == MemoryFormat::Contiguous) return empty(sizes, options);
    return empty_strided(sizes, strides_of(sizes, format), options);
}

Tensor empty_in_given(const char* name, IntSpan sizes, TensorOptions options, MemoryFormat format) {
    bool three = format == MemoryFormat::ChannelsLast3d;
    EMBER_CHECK(
        (format != MemoryFormat::ChannelsLast && !three) || int(sizes.size()) == (three ? 5 : 4),
        "%s: memory format channels_last%s needs a rank %d tensor, got %d dims", name,
        three ? "_3d" : "", three ? 5 : 4, int(sizes.size()));
    checked_numel(name, sizes, options.dtype);
    return empty_in(sizes, options, format);
}

Tensor clone(const Tensor& x, std::optional<MemoryFormat> memory_format) {
    MemoryFormat format = memory_format.value_or(MemoryFormat::Preserve);
    Tensor out = format == MemoryFormat::Preserve
                     ? empty_like(x)
                     : empty_in_given("clone", x.sizes(), x.options(), format);
    convert_into(out, x);
    if (needs_grad(x))
        record("CloneBackward0", out, {x}, [](Backward& bw, const Tensor& g) { bw.set(0, g); });
    return out;
}

Tensor contiguous(const Tensor& x, MemoryFormat memory_format) {
    EMBER_CHECK(memory_format != MemoryFormat::Preserve,
                "contiguous: preserve_format is not supported");
    return x.is_contiguous(memory_format) ? x : clone(x, memory_format);
}

Tensor to_dtype(const Tensor& x, DType dtype) {
    if (x.dtype() == dtype) return x;
    Tensor out = empty_like(x, dtype);
    convert_into(out, x);
    if (needs_grad(x) && (is_floating(dtype) || is_complex(dtype)))
        record("ToCopyBackward0", out, {x},  // the engine casts back
               [](Backward& bw, const Tensor& g) { bw.set(0, g); });
    return out;
}

namespace {

Tensor moved(const Tensor& x, Device device, DType dtype, bool non_blocking) {
    TensorOptions options{dtype, device};
    Tensor out =
        x.is_dense() ? empty_strided(x.sizes(), x.strides(), options) : empty(x.sizes(), options);
    convert_into(out, x, non_blocking);
    if (needs_grad(x) && (is_floating(dtype) || is_complex(dtype)))
        record("ToCopyBackward0", out, {x}, [home = x.device()](Backward& bw, const Tensor& g) {
            bw.set(0, to_device(g, home));
        });
    return out;
}

}  // namespace

Tensor to_device(const Tensor& x, Device device) {
    return x.device() == device ? x : moved(x, resolve_device(device), x.dtype(), false);
}

Tensor pin_memory(const Tensor& x) {
    EMBER_CHECK(x.device().is_cpu(), "pin_memory: only tensors of the CPU can be pinned, got %s",
                to_string(x.device()).c_str());
    if (is_pinned(x) || !cuda_available()) return x;
    Tensor out = empty_pinned(x.sizes(), x.dtype());
    convert_into(out, x);
    if (needs_grad(x))
        record("CloneBackward0", out, {x}, [](Backward& bw, const Tensor& g) { bw.set(0, g); });
    return out;
}

Tensor to(const Tensor& x, std::optional<Device> device, std::optional<DType> dtype,
          bool non_blocking, bool copy, std::optional<MemoryFormat> memory_format) {
    Device target = device ? resolve_device(*device) : x.device();
    DType result = dtype.value_or(x.dtype());
    warn_of_lost_part(x.dtype(), result);
    Tensor out =
        target == x.device() ? to_dtype(x, result) : moved(x, target, result, non_blocking);
    MemoryFormat format = memory_format.value_or(MemoryFormat::Preserve);
    bool laid_out = format == MemoryFormat::Preserve || out.is_contiguous(format);
    if (!laid_out || (copy && out.is(x))) return clone(out, format);
    return out;
}

Tensor type_as(const Tensor& x, const Tensor& other) {
    return to(x, other.device(), other.dtype(), false, false, std::nullopt);
}

Tensor fill_(const Tensor& self, const Tensor& value) {
    check_in_place("fill_", self, value.requires_grad());
    EMBER_CHECK(value.dim() == 0,
                "fill_: value must be a number or a zero-dim tensor, got shape %s",
                to_string(value.sizes()).c_str());
    if (value.impl()->wrapped_number) check_number_fits("fill_", value, self.dtype());
    // The same number everywhere: then elements may share memory.
    EMBER_CHECK(value.impl()->wrapped_number || !self.has_overlap(),
                "fill_: more than one element of the written-to tensor refers to a single memory "
                "location; clone it first");
    convert_into(self, value);
    self.bump_version();
    if (needs_grad(self, value))
        record("FillBackward0", self, {self, value}, Dest::in_place(self),
               [](Backward& bw, const Tensor& g) {
                   if (bw.needs(0)) bw.set(0, zeros(g.sizes(), g.options()));
                   if (bw.needs(1)) bw.set(1, g);
               });
    return self;
}

Tensor zero_(const Tensor& self) { return fill_(self, wrapped_number(number(int64_t(0)))); }

namespace {

// PyTorch lets (0,) stand beside any shape in cat.
bool is_legacy_empty(const Tensor& t) { return t.dim() == 1 && t.impl()->sizes[0] == 0; }

}  // namespace

Tensor cat(const std::vector<Tensor>& tensors, int64_t dim, const Dest& dest) {
    if (tensors.empty()) raise_value("cat: expected a non-empty list of Tensors");
    const Tensor* shape = nullptr;
    for (const Tensor& t : tensors) {
        EMBER_CHECK(t.dim() > 0, "cat: zero-dimensional tensors cannot be concatenated");
        if (!shape && !is_legacy_empty(t)) shape = &t;
    }
    DType dtype = result_type(tensors);
    if (!shape) shape = &tensors[0];
    int at = wrap_dim("cat", dim, shape->dim());
    Dims sizes(shape->sizes()), lengths;
    sizes[at] = 0;
    for (size_t i = 0; i < tensors.size(); i++) {
        const Tensor& t = tensors[i];
        bool skipped = is_legacy_empty(t);
        check_same_device("cat", tensors[0], t);
        bool fits = skipped || t.dim() == shape->dim();
        for (int d = 0; fits && !skipped && d < t.dim(); d++)
            fits = d == at || t.impl()->sizes[d] == sizes[d];
        EMBER_CHECK(
            fits,
            "cat: sizes of tensors must match except in dimension %d; expected %s but got %s "
            "for tensor number %zu in the list",
            at, to_string(shape->sizes()).c_str(), to_string(t.sizes()).c_str(), i);
        lengths.push_back(skipped ? 0 : t.impl()->sizes[at]);
        sizes[at] += lengths.back();
    }
    Tensor out;
    if (dest.fresh()) {
        bool channels_last = shape->dim() == 4 && !shape->is_contiguous();
        for (const Tensor& t : tensors)
            channels_last = channels_last && t.is_contiguous(MemoryFormat::ChannelsLast);
        out = empty_in(sizes, {dtype, tensors[0].device()},
                       channels_last ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous);
    } else {
        out = dest.tensor();
        check_out("cat", out, dtype, any_needs_grad(tensors));
        check_same_device("cat", tensors[0], out);
        for (const Tensor& t : tensors)
            EMBER_CHECK(t.impl()->storage != out.impl()->storage,
                        "cat: the out tensor shares memory with an input");
        resize_out("cat", out, sizes);
        out.bump_version();
    }
    Dims part(sizes);
    int64_t offset = out.offset();
    for (size_t i = 0; i < tensors.size(); i++) {
        part[at] = lengths[int64_t(i)];
        if (part[at] == 0) continue;
        convert_into(alias(out, part, out.strides(), offset), tensors[i]);
        offset += part[at] * out.impl()->strides[at];
    }
    if (any_needs_grad(tensors))
        record_list("CatBackward0", out, tensors, [at, lengths](Backward& bw, const Tensor& g) {
            int64_t start = 0;
            for (int i = 0; i < lengths.size(); i++) {
                if (bw.needs(i)) {
                    Tensor part = narrow(g, at, start, lengths[i]);
                    bool skipped =
                        bw.node.next[i].node->outputs[bw.node.next[i].input_nr].sizes.size() == 1 &&
                        g.dim() != 1;
                    bw.set(i, skipped ? zeros({{0}}, g.options()) : part);
                }
                start += lengths[i];
            }
        });
    return out;
}

Tensor stack(const std::vector<Tensor>& tensors, int64_t dim, const Dest& dest) {
    EMBER_CHECK(!tensors.empty(), "stack: expects a non-empty list of Tensors");
    int at = wrap_dim("stack", dim, tensors[0].dim() + 1);
    std::vector<Tensor> rows;
    rows.reserve(tensors.size());
    for (size_t i = 0; i < tensors.size(); i++) {
        EMBER_CHECK(same(tensors[i].sizes(), tensors[0].sizes()),
                    "stack: expects each tensor to be equal size, but got %s at entry 0 and %s at "
                    "entry %zu",
                    to_string(tensors[0].sizes()).c_str(), to_string(tensors[i].sizes()).c_str(),
                    i);
        rows.push_back(unsqueeze(tensors[i], at));
    }
    return cat(rows, at, dest);
}

Tensor constant_pad(const Tensor& x, const Dims& padding, Number value) {
    EMBER_CHECK(padding.size() % 2 == 0 && padding.size() <= 2 * x.dim(),
                "pad: expected pairs of padding for at most %d dims, got %s", x.dim(),
                to_string(padding).c_str());
    Dims sizes(x.sizes());
    Tensor inner = x;
    Dims starts(x.dim());
    for (int64_t& s : starts) s = 0;
    for (int i = 0; i < padding.size() / 2; i++) {
        int d = x.dim() - 1 - i;
        int64_t before = padding[2 * i], after = padding[2 * i + 1], size = sizes[d];
        bool overflow = __builtin_add_overflow(size, before, &sizes[d]) ||
                        __builtin_add_overflow(sizes[d], after, &sizes[d]);
        EMBER_CHECK(!overflow && sizes[d] >= 0,
                    "pad: the input size %ld, plus negative padding %ld and %ld resulted in a "
                    "negative output size",
                    long(size), long(before), long(after));
        EMBER_CHECK(before >= -size && after >= -size,
                    "pad: negative padding %ld and %ld takes more than the input size %ld",
                    long(before), long(after), long(size));
        int64_t from = std::min(size, std::max<int64_t>(0, -before));
        int64_t to = std::max(from, size - std::max<int64_t>(0, -after));
        inner = slice(inner, d, from, to, 1);
        starts[d] = std::max<int64_t>(0, before);
    }
    checked_numel("pad", sizes, x.dtype());
    Tensor out = empty_in(sizes, x.options(), format_of(x));
    if (out.numel() > 0) convert_into(out, wrapped_number(value));
    Tensor part = out;
    for (int d = 0; d < x.dim(); d++) {
        int64_t length = inner.impl()->sizes[d];
        if (sizes[d] == 0) return out;
        part = narrow(part, d, std::min(starts[d], sizes[d] - length), length);
    }
    {
        GradModeGuard no_grad(false);
        if (part.numel() > 0) convert_into(part, inner);
    }
    if (needs_grad(x)) {
        Dims inverse(padding);
        for (int64_t& p : inverse) p = -p;
        record("ConstantPadNdBackward0", out, {x}, [inverse](Backward& bw, const Tensor& g) {
            bw.set(0, constant_pad(g, inverse, number(0.0)));
        });
    }
    return out;
}

Tensor pad(const Tensor& input, const Dims& padding, std::string_view mode,
           std::optional<Number> value) {
    if (mode == "constant") return constant_pad(input, padding, value.value_or(number(0.0)));
    EMBER_CHECK(!value || value->as<double>() == 0,
                "pad: padding mode '%.*s' doesn't take in value argument", int(mode.size()),
                mode.data());
    EMBER_CHECK(mode == "reflect" || mode == "replicate" || mode == "circular",
                "pad: unrecognised padding mode '%.*s'", int(mode.size()), mode.data());
    EMBER_CHECK(padding.size() % 2 == 0 && padding.size() / 2 < input.dim() && padding.size() <= 6,
                "pad: padding of length %d with mode '%.*s' does not fit an input of %d dims",
                padding.size(), int(mode.size()), mode.data(), input.dim());
    return padding.empty() ? input : pad_with_items(input, padding, mode);
}

}  // namespace ember::ops
