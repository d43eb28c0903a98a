#include "ops/copy.h"
#include "ops/view.h"
#include "python/tables.h"

namespace ember::python {

namespace {

Tensor contiguous(const Tensor& x, std::optional<MemoryFormat> format) {
    return ops::contiguous(x, format.value_or(MemoryFormat::Contiguous));
}
Tensor to_dtype(const Tensor& x, DType dtype, bool non_blocking, bool copy,
                std::optional<MemoryFormat> format) {
    return ops::to(x, std::nullopt, dtype, non_blocking, copy, format);
}
Tensor to_device(const Tensor& x, std::optional<Device> device, std::optional<DType> dtype,
                 bool non_blocking, bool copy, std::optional<MemoryFormat> format) {
    return ops::to(x, device, dtype, non_blocking, copy, format);
}
Tensor to_other(const Tensor& x, const Tensor& other, bool non_blocking, bool copy,
                std::optional<MemoryFormat> format) {
    return ops::to(x, other.device(), other.dtype(), non_blocking, copy, format);
}
template <DType D>
Tensor cast(const Tensor& x, std::optional<MemoryFormat> format) {
    return ops::to(x, std::nullopt, D, false, false, format);
}

}  // namespace

void bind_view(BindTable& t) {
    constexpr int both = kFunction | kMethod;
    bind<&ops::view_dtype, &ops::view>(t, kMethod, {"view(input, dtype)", "view(input, *shape)"},
                                       "The same memory with another shape (one size may be -1) "
                                       "or, given a dtype, with its bytes read "
                                       "as that. RuntimeError where the strides do not allow it.");
    bind<&ops::reshape>(
        t, both, "reshape(input, *shape)",
        "Another shape of the same elements: a view where strides allow, else a copy.");
    bind<&ops::view_as>(t, kMethod, "view_as(input, other)", "view(other.shape).");
    bind<&ops::reshape_as>(t, kMethod, "reshape_as(input, other)", "reshape(other.shape).");
    bind<&ops::flatten>(t, both, "flatten(input, start_dim=0, end_dim=-1)",
                        "The dims from start_dim to end_dim (both included) as one.");
    bind<&ops::unflatten>(t, both, "unflatten(input, dim, sizes)",
                          "One dim as several; a size may be -1.");
    bind<&ops::permute>(t, both, "permute(input, *dims)", "The dims in another order, as a view.");
    bind<&ops::transpose>(t, both, "transpose(input, dim0, dim1)", "Two dims swapped, as a view.");
    t.alias("swapaxes", "transpose");
    t.alias("swapdims", "transpose");
    bind<&ops::t>(t, both, "t(input)", "The transpose of a tensor with at most 2 dims, as a view.");
    bind<&ops::movedim>(t, both, "movedim(input, source, destination)",
                        "Dims moved to other positions, as a view.");
    t.alias("moveaxis", "movedim");
    bind<&ops::expand>(t, kMethod, "expand(input, *size)",
                       "Dims of size 1 repeated without copying (stride 0); -1 keeps a size.");
    bind<&ops::expand_as>(t, kMethod, "expand_as(input, other)", "expand(other.shape).");
    bind<&ops::broadcast_to>(t, both, "broadcast_to(input, size)", "expand(size).");
    bind<&ops::broadcast_tensors>(t, kFunction, "_broadcast_tensors(tensors)",
                                  "All tensors expanded to their common shape.");
    bind<&ops::squeeze, &ops::squeeze_dims>(t, both, {"squeeze(input)", "squeeze(input, dim)"},
                                            "Without the dims of size 1: all, or those of `dim`.");
    bind<&ops::unsqueeze>(t, both, "unsqueeze(input, dim)", "With a dim of size 1 before `dim`.");
    bind<&ops::select>(t, both, "select(input, dim, index)",
                       "The slice at an index of one dim, which goes; IndexError outside.");
    bind<&ops::narrow>(t, both, "narrow(input, dim, start, length)",
                       "The part of a dim from start on, of that length, as a view.");
    bind<&ops::split, &ops::split_sizes>(
        t, both, {"split(input, split_size, dim=0)", "split(input, split_size, dim=0)"},
        "Views of consecutive pieces along dim, of one size (the last may be smaller) or of a list "
        "of "
        "sizes that sum to the dim's.");
    bind<&ops::chunk>(t, both, "chunk(input, chunks, dim=0)",
                      "At most `chunks` equal views along dim; the last may be smaller.");
    bind<&ops::unbind>(t, both, "unbind(input, dim=0)", "Views of the slices along dim.");
    bind<&ops::as_strided>(t, both, "as_strided(input, size, stride, storage_offset=None)",
                           "A view of the storage with any sizes and strides (in elements); "
                           "RuntimeError outside of it.");
    bind<&ops::diagonal>(t, both, "diagonal(input, offset=0, dim1=0, dim2=1)",
                         "A view of the diagonal of two dims, as the last dim.");
    bind<&ops::repeat>(t, kMethod, "repeat(input, *repeats)",
                       "Copies side by side, as often as repeats says for each dim.");
    bind<&ops::detach>(t, both, "detach(input)", "The same memory without gradients.");
    bind<&ops::detach_>(t, kFunction | kMethod, "detach_(input)",
                        "Cuts this tensor from the graph.");

    bind<&ops::clone>(t, both, "clone(input, *, memory_format=None)",
                      "A copy; dense layouts are kept unless memory_format says otherwise.");
    bind<&contiguous>(t, kMethod, "contiguous(input, memory_format=None)",
                      "The tensor itself where its memory is laid out so, else a copy.");
    bind<&ops::copy_>(t, kMethod, "copy_(input, src: Tensor | Number, non_blocking=False)",
                      "Writes src, broadcast and converted, over this tensor.");
    bind<&to_dtype, &to_other, &to_device>(
        t, kMethod,
        {"to(input, dtype, non_blocking=False, copy=False, *, memory_format=None)",
         "to(input, other, non_blocking=False, copy=False, *, memory_format=None)",
         "to(input, device=None, dtype=None, non_blocking=False, copy=False, *, "
         "memory_format=None)"},
        "The tensor on another device or with another dtype; itself where nothing changes, unless "
        "copy is True.");
    bind<&ops::type_as>(t, kMethod, "type_as(input, other)", "With other's dtype and device.");
    bind<&ops::fill_>(t, kFunction | kMethod, "fill_(input, value: Tensor | Number)",
                      "Sets every element.");
    bind<&ops::zero_>(t, kFunction | kMethod, "zero_(input)", "Sets every element to zero.");
    bind<&ops::cat>(t, kFunction, "cat(tensors, dim=0, *, out=None)",
                    "Tensors joined along a dim; other sizes must agree. dtypes promote.");
    t.alias("concat", "cat");
    t.alias("concatenate", "cat");
    bind<&ops::stack>(t, kFunction, "stack(tensors, dim=0, *, out=None)",
                      "Tensors of one shape joined along a new dim.");
    bind<&ops::pad>(t, kFunction, "pad(input, pad, mode='constant', value=None)",
                    "Padding by (before, after) pairs from the last dim on. Modes: constant "
                    "(negative pads crop), "
                    "reflect, replicate, circular.");

    bind<&cast<DType::Float32>>(t, kMethod, "float(input, memory_format=None)", "to(float32).");
    bind<&cast<DType::Float64>>(t, kMethod, "double(input, memory_format=None)", "to(float64).");
    bind<&cast<DType::Float16>>(t, kMethod, "half(input, memory_format=None)", "to(float16).");
    bind<&cast<DType::BFloat16>>(t, kMethod, "bfloat16(input, memory_format=None)",
                                 "to(bfloat16).");
    bind<&cast<DType::Int64>>(t, kMethod, "long(input, memory_format=None)", "to(int64).");
    bind<&cast<DType::Int32>>(t, kMethod, "int(input, memory_format=None)", "to(int32).");
    bind<&cast<DType::Int16>>(t, kMethod, "short(input, memory_format=None)", "to(int16).");
    bind<&cast<DType::Int8>>(t, kMethod, "char(input, memory_format=None)", "to(int8).");
    bind<&cast<DType::UInt8>>(t, kMethod, "byte(input, memory_format=None)", "to(uint8).");
    bind<&cast<DType::Bool>>(t, kMethod, "bool(input, memory_format=None)", "to(bool).");
}

}  // namespace ember::python
