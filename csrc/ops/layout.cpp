#include <algorithm>
#include <cstring>

#include "ops/copy.h"
#include "ops/shape.h"
#include "ops/view.h"

// Changes of a tensor's own sizes and strides.
namespace ember::ops {

namespace {

void set_layout(const char* name, const Tensor& x, IntSpan sizes, IntSpan strides, int64_t offset) {
    TensorImpl& impl = *x.impl();
    EMBER_CHECK(impl.ndim == int(sizes.size()) || (impl.ndim <= TensorImpl::kInlineDims &&
                                                   sizes.size() <= TensorImpl::kInlineDims),
                "%s: the number of dims cannot change above %d, got %d and %zu", name,
                TensorImpl::kInlineDims, int(impl.ndim), sizes.size());
    impl.ndim = uint8_t(sizes.size());
    impl.offset = offset;
    impl.numel = 1;
    for (int64_t s : sizes) impl.numel *= s;
    std::copy(sizes.begin(), sizes.end(), impl.sizes);
    std::copy(strides.begin(), strides.end(), impl.strides);
}

// Gives x the layout of the view that `make` makes of it, and that view's place in the graph.
template <class Make>
Tensor become(const char* name, const Tensor& x, Make make) {
    check_in_place(name, x);
    // A view that changed is derived from its base anew, by its layout, as after any change.
    bool recorded = needs_grad(x) && !x.is_view();
    Tensor before = alias(x);
    if (recorded) set_origin(before, Ref<Node>(grad_fn(x)), x.impl()->output_nr);
    Tensor after = make(before);
    set_layout(name, x, after.sizes(), after.strides(), after.offset());
    x.bump_version();
    if (recorded) {
        Ref<Node> node(grad_fn(after));
        set_origin(x, node, after.impl()->output_nr);
    }
    return x;
}

}  // namespace

Tensor squeeze_(const Tensor& x) {
    return become("squeeze_", x, [](const Tensor& t) { return squeeze(t); });
}
Tensor squeeze_dims_(const Tensor& x, const Dims& dim) {
    return become("squeeze_", x, [&](const Tensor& t) { return squeeze_dims(t, dim); });
}
Tensor unsqueeze_(const Tensor& x, int64_t dim) {
    return become("unsqueeze_", x, [=](const Tensor& t) { return unsqueeze(t, dim); });
}
Tensor t_(const Tensor& x) {
    return become("t_", x, [](const Tensor& v) { return t(v); });
}
Tensor transpose_(const Tensor& x, int64_t dim0, int64_t dim1) {
    return become("transpose_", x, [=](const Tensor& t) { return transpose(t, dim0, dim1); });
}
Tensor as_strided_(const Tensor& x, const Dims& size, const Dims& stride,
                   std::optional<int64_t> storage_offset) {
    return become("as_strided_", x,
                  [&](const Tensor& t) { return as_strided(t, size, stride, storage_offset); });
}

Tensor resize_(const Tensor& x, const Dims& size, std::optional<MemoryFormat> memory_format) {
    EMBER_CHECK(!x.requires_grad(), "resize_: cannot resize variables that require grad");
    check_in_place("resize_", x);
    int64_t numel = checked_numel("resize_", size, x.dtype());
    MemoryFormat format = memory_format.value_or(MemoryFormat::Contiguous);
    EMBER_CHECK(format != MemoryFormat::Preserve, "resize_: preserve_format is not supported");
    EMBER_CHECK(format != MemoryFormat::ChannelsLast || size.size() == 4,
                "resize_: channels_last needs 4 dims, got %d", size.size());
    EMBER_CHECK(format != MemoryFormat::ChannelsLast3d || size.size() == 5,
                "resize_: channels_last_3d needs 5 dims, got %d", size.size());
    const Dims strides = strides_of(size, format);
    TensorImpl& impl = *x.impl();
    int64_t room = int64_t(impl.storage->bytes) / x.item_bytes() - impl.offset;
    if (numel > room) {
        // Fresh memory with the items that were there; a view keeps its base's memory no longer.
        EMBER_CHECK(!x.is_view(), "resize_: a view of %ld items cannot grow to %ld", long(room),
                    long(numel));
        Tensor fresh = empty({{numel}}, x.options());
        if (room > 0) std::memcpy(fresh.data(), x.data(), size_t(room) * size_t(x.item_bytes()));
        impl.share(fresh.impl()->storage);
        set_layout("resize_", x, size, strides, 0);
    } else {
        set_layout("resize_", x, size, strides, impl.offset);
    }
    return x;
}

}  // namespace ember::ops
