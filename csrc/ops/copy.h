#pragma once

#include <optional>
#include <vector>

#include "autograd/record.h"

// Operations that move values: copies, casts, joins, padding.
namespace ember::ops {

Tensor clone(const Tensor& x, std::optional<MemoryFormat> memory_format);
// ChannelsLast or ChannelsLast3d where the dims lie in this order and in no other, else Contiguous.
MemoryFormat format_of(const Tensor& x);
Dims strides_of(IntSpan sizes, MemoryFormat format);
Tensor empty_in(IntSpan sizes, TensorOptions options, MemoryFormat format);
// The same for a format that a caller of operation `name` gave: raises where it needs another rank.
Tensor empty_in_given(const char* name, IntSpan sizes, TensorOptions options, MemoryFormat format);
Tensor contiguous(const Tensor& x, MemoryFormat memory_format = MemoryFormat::Contiguous);
// Writes src, broadcast and converted, over self. Returns self.
Tensor copy_(const Tensor& self, const Tensor& src, bool non_blocking = false);
// `x` itself where nothing changes and no copy is asked for.
Tensor to(const Tensor& x, std::optional<Device> device, std::optional<DType> dtype,
          bool non_blocking, bool copy, std::optional<MemoryFormat> memory_format);
Tensor to_dtype(const Tensor& x, DType dtype);
Tensor to_device(const Tensor& x, Device device);
// In memory of the host that a GPU's copies reach without a detour; itself if it is there already,
// or if there is no GPU.
Tensor pin_memory(const Tensor& x);
// The item of a tensor with one; of a GPU's tensor when all work before it has been done.
template <class T>
T read_item(const Tensor& t) {
    return *(t.device().is_cpu() ? t : to_device(t, {})).as<T>();
}
Tensor type_as(const Tensor& x, const Tensor& other);
Tensor fill_(const Tensor& self, const Tensor& value);
Tensor zero_(const Tensor& self);
Tensor cat(const std::vector<Tensor>& tensors, int64_t dim, const Dest& dest = {});
Tensor stack(const std::vector<Tensor>& tensors, int64_t dim, const Dest& dest = {});
// `padding` holds (before, after) pairs from the last dim on; negative ones crop.
Tensor constant_pad(const Tensor& x, const Dims& padding, Number value);
Tensor pad(const Tensor& input, const Dims& pad, std::string_view mode,
           std::optional<Number> value);

}  // namespace ember::ops
