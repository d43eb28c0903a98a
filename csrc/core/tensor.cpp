#include "core/tensor.h"

#include <climits>

#include "core/allocator.h"
#include "core/backend.h"
#include "core/modes.h"

namespace ember {

void (*release_pyobject)(void*) = nullptr;

namespace {

TensorImpl* block_of(Storage* storage) {
    return reinterpret_cast<TensorImpl*>(reinterpret_cast<char*>(storage) -
                                         offsetof(TensorImpl, embedded));
}

void free_memory(void* data, size_t bytes, void*) { deallocate(data, bytes); }

void free_gpu_memory(void*, size_t, void* handle) {
    if (handle) cuda_runtime()->deallocate(handle);
}

void free_pinned_memory(void* data, size_t, void*) { cuda_runtime()->deallocate_pinned(data); }

}  // namespace

void Storage::release() {
    if (refs.load(std::memory_order_acquire) != 1 &&
        refs.fetch_sub(1, std::memory_order_acq_rel) != 1)
        return;
    if (deleter) deleter(data, bytes, owner);
    if (embedded)
        TensorImpl::drop_block_part(block_of(this));
    else
        delete this;
}

TensorImpl* TensorImpl::create(int ndim) {
    auto* impl = new (FreeList<sizeof(TensorImpl)>::take()) TensorImpl;
    impl->ndim = uint8_t(ndim);
    if (ndim > kInlineDims) {
        impl->sizes = static_cast<int64_t*>(std::malloc(sizeof(int64_t) * 2 * size_t(ndim)));
        impl->strides = impl->sizes + ndim;
    }
    return impl;
}

void TensorImpl::drop_block_part(TensorImpl* impl) {
    if (impl->block_parts.load(std::memory_order_acquire) == 1 ||
        impl->block_parts.fetch_sub(1, std::memory_order_acq_rel) == 1)
        FreeList<sizeof(TensorImpl)>::give(impl);
}

void TensorImpl::destroy(TensorImpl* impl) {
    if (impl->retains_grad) forget_retained_grad(impl);  // first: what follows may run Python
    if (impl->owns_pyobject) release_pyobject(impl->pyobject);
    if (impl->meta) destroy_autograd_meta(impl->meta);
    if (impl->grad_fn) release_node(impl->grad_fn);
    if (impl->view_base) impl->view_base->release();
    if (impl->sizes != impl->inline_dims) std::free(impl->sizes);
    if (impl->storage) impl->storage->release();
    drop_block_part(impl);
}

void TensorImpl::allocate(size_t bytes, Device device) {
    if (bytes <= kInlineBytes && device.is_cpu()) {
        adopt(inline_data, bytes, nullptr, nullptr, device);
        return;
    }
    if (EMBER_LIKELY(device.is_cpu())) {
        adopt(ember::allocate(bytes), bytes, free_memory, nullptr, device);
        return;
    }
    if (device.type == DeviceType::CUDA) require_cuda("empty");
    device = resolve_device(device);
    const CudaRuntime& runtime = require_cuda("empty");
    void *handle = nullptr, *data = nullptr;
    if (bytes > 0)
        data = runtime.allocate(device.index, current_stream(device.index), bytes, &handle);
    adopt(data, bytes, free_gpu_memory, handle, device);
}

void TensorImpl::adopt(void* data, size_t bytes, Storage::Deleter deleter, void* owner,
                       Device device) {
    embedded.data = static_cast<char*>(data);
    embedded.bytes = bytes;
    embedded.deleter = deleter;
    embedded.owner = owner;
    embedded.device = device;
    embedded.embedded = true;
    block_parts.store(2, std::memory_order_relaxed);
    storage = &embedded;
}

void TensorImpl::share(Storage* other) {
    other->retain();
    if (storage) storage->release();
    storage = other;
}

int wrap_dim(const char* name, int64_t dim, int ndim) {
    int64_t range = ndim == 0 ? 1 : ndim;
    if (EMBER_UNLIKELY(dim < -range || dim >= range))
        raise_index("%s: dim must be in [%ld, %ld], got %ld", name, long(-range), long(range - 1),
                    long(dim));
    return int(dim < 0 ? dim + range : dim);
}

int64_t Tensor::size(int64_t dim) const {
    EMBER_CHECK(impl_->ndim > 0, "size: a zero-dim tensor has no dim %ld", long(dim));
    return impl_->sizes[wrap_dim("size", dim, impl_->ndim)];
}

int64_t Tensor::stride(int64_t dim) const {
    EMBER_CHECK(impl_->ndim > 0, "stride: a zero-dim tensor has no dim %ld", long(dim));
    return impl_->strides[wrap_dim("stride", dim, impl_->ndim)];
}

namespace {

// Whether strides are those of a dense tensor whose dims, innermost first, are order[0..ndim).
bool dense_in_order(const TensorImpl& t, const int* order) {
    int64_t expected = 1;
    for (int i = 0; i < t.ndim; i++) {
        int d = order[i];
        if (t.sizes[d] == 1) continue;
        if (t.strides[d] != expected) return false;
        expected *= t.sizes[d];
    }
    return true;
}

constexpr int kChannelsLast[] = {1, 3, 2, 0};
constexpr int kChannelsLast3d[] = {1, 4, 3, 2, 0};

}  // namespace

bool Tensor::is_contiguous(MemoryFormat format) const {
    const TensorImpl& t = *impl_;
    if (format == MemoryFormat::ChannelsLast || format == MemoryFormat::ChannelsLast3d) {
        bool three = format == MemoryFormat::ChannelsLast3d;
        if (t.ndim != (three ? 5 : 4)) return false;
        return t.numel == 0 || dense_in_order(t, three ? kChannelsLast3d : kChannelsLast);
    }
    if (t.numel == 0) return true;
    int64_t expected = 1;
    for (int d = t.ndim - 1; d >= 0; d--) {
        if (t.sizes[d] == 1) continue;
        if (t.strides[d] != expected) return false;
        expected *= t.sizes[d];
    }
    return true;
}

namespace {

// Dims with more than one index, by growing stride. Insertion sort: few dims, mostly sorted.
int sorted_dims(const TensorImpl& t, int* order) {
    int n = 0;
    for (int d = t.ndim - 1; d >= 0; d--) {
        if (t.sizes[d] == 1) continue;
        int at = n++;
        for (; at > 0 && t.strides[order[at - 1]] > t.strides[d]; at--) order[at] = order[at - 1];
        order[at] = d;
    }
    return n;
}

}  // namespace

bool Tensor::is_dense() const {
    if (impl_->numel < 2) return true;
    int order[kMaxDims];
    int n = sorted_dims(*impl_, order);
    int64_t expected = 1;
    for (int i = 0; i < n; i++) {
        if (impl_->strides[order[i]] != expected) return false;
        expected *= impl_->sizes[order[i]];
    }
    return true;
}

bool Tensor::has_overlap() const {
    if (impl_->numel < 2) return false;
    int order[kMaxDims];
    int n = sorted_dims(*impl_, order);
    int64_t reach = 0;  // the largest offset the dims so far can name
    for (int i = 0; i < n; i++) {
        int64_t stride = impl_->strides[order[i]];
        if (stride <= reach) return true;
        reach += stride * (impl_->sizes[order[i]] - 1);
    }
    return false;
}

int64_t checked_numel(const char* name, IntSpan sizes, DType dtype) {
    EMBER_CHECK(sizes.size() <= kMaxDims, "%s: at most %d dims are possible, got %zu", name,
                kMaxDims, sizes.size());
    int64_t numel = 1, nonzero = 1;
    bool overflow = false;
    for (int64_t size : sizes) {
        EMBER_CHECK(size >= 0, "%s: sizes must not be negative, got %s", name,
                    to_string(sizes).c_str());
        numel *= size == 0 ? 0 : 1;
        if (size != 0) overflow |= __builtin_mul_overflow(nonzero, size, &nonzero);
    }
    int64_t bytes;
    overflow |= __builtin_mul_overflow(nonzero, int64_t(item_size(dtype)), &bytes);
    EMBER_CHECK(!overflow, "%s: sizes %s overflow the address space", name,
                to_string(sizes).c_str());
    return numel * nonzero;
}

void contiguous_strides(IntSpan sizes, int64_t* strides) {
    int64_t expected = 1;
    for (int d = int(sizes.size()) - 1; d >= 0; d--) {
        strides[d] = expected;
        expected *= sizes[d] > 1 ? sizes[d] : 1;
    }
}

std::string to_string(IntSpan sizes) {
    std::string text = "(";
    for (size_t i = 0; i < sizes.size(); i++) {
        if (i) text += ", ";
        text += std::to_string(sizes[i]);
    }
    return text + (sizes.size() == 1 ? ",)" : ")");
}

std::string to_string(Device device) {
    std::string text = device_type_name(device.type);
    return device.index < 0 ? text : text + ":" + std::to_string(device.index);
}

namespace {

Tensor make(IntSpan sizes, int64_t numel, TensorOptions options, size_t bytes) {
    TensorImpl* impl = TensorImpl::create(int(sizes.size()));
    Tensor t = Tensor::adopt(impl);
    impl->dtype = options.dtype;
    impl->numel = numel;
    impl->inference = modes::inference_enabled();
    std::copy(sizes.begin(), sizes.end(), impl->sizes);
    impl->allocate(bytes, options.device);
    return t;
}

}  // namespace

Tensor empty(IntSpan sizes, TensorOptions options) {
    int64_t numel = checked_numel("empty", sizes, options.dtype);
    Tensor t = make(sizes, numel, options, size_t(numel) * item_size(options.dtype));
    contiguous_strides(sizes, t.impl()->strides);
    return t;
}

Tensor empty_pinned(IntSpan sizes, DType dtype) {
    const CudaRuntime& runtime = require_cuda("pin_memory");
    size_t bytes = size_t(checked_numel("pin_memory", sizes, dtype)) * size_t(item_size(dtype));
    Dims strides(int(sizes.size()));
    contiguous_strides(sizes, strides.data());
    void* data = runtime.allocate_pinned(bytes);
    return from_memory(data, sizes, strides, {dtype, {}}, free_pinned_memory, nullptr);
}

bool is_pinned(const Tensor& t) { return t.impl()->storage->deleter == free_pinned_memory; }

void record_stream(const Tensor& t, void* stream) {
    const Storage& storage = *t.impl()->storage;
    if (storage.deleter == free_gpu_memory && storage.owner)
        cuda_runtime()->record_use(storage.owner, stream);
}

Tensor empty_strided(IntSpan sizes, IntSpan strides, TensorOptions options) {
    EMBER_CHECK(sizes.size() == strides.size(),
                "empty_strided: sizes and strides must be equally long, got %s and %s",
                to_string(sizes).c_str(), to_string(strides).c_str());
    int64_t numel = checked_numel("empty_strided", sizes, options.dtype);
    int64_t reach = numel == 0 ? 0 : 1;
    for (size_t d = 0; d < sizes.size() && numel > 0; d++) {
        int64_t span;
        EMBER_CHECK(strides[d] >= 0, "empty_strided: strides must not be negative, got %s",
                    to_string(strides).c_str());
        bool overflow = __builtin_mul_overflow(strides[d], sizes[d] - 1, &span) ||
                        __builtin_add_overflow(reach, span, &reach) || reach > (int64_t(1) << 58);
        EMBER_CHECK(!overflow, "empty_strided: sizes %s with strides %s overflow the address space",
                    to_string(sizes).c_str(), to_string(strides).c_str());
    }
    Tensor t = make(sizes, numel, options, size_t(reach) * item_size(options.dtype));
    std::copy(strides.begin(), strides.end(), t.impl()->strides);
    return t;
}

Tensor empty_like(const Tensor& t, DType dtype) {
    const TensorImpl& from = *t.impl();
    TensorOptions options{dtype, t.device()};
    if (!t.is_contiguous() && t.is_dense()) return empty_strided(t.sizes(), t.strides(), options);
    if (EMBER_UNLIKELY(item_size(dtype) > item_size(from.dtype)))
        checked_numel("empty_like", t.sizes(), dtype);
    Tensor out = make(t.sizes(), from.numel, options, size_t(from.numel) * item_size(dtype));
    contiguous_strides(t.sizes(), out.impl()->strides);
    return out;
}

Tensor alias(const Tensor& t, IntSpan sizes, IntSpan strides, int64_t offset) {
    TensorImpl* impl = TensorImpl::create(int(sizes.size()));
    Tensor out = Tensor::adopt(impl);
    impl->dtype = t.dtype();
    impl->offset = offset;
    impl->numel = 1;
    for (size_t d = 0; d < sizes.size(); d++) {
        impl->sizes[d] = sizes[d];
        impl->strides[d] = strides[d];
        impl->numel *= sizes[d];
    }
    impl->inference = t.impl()->inference;
    impl->private_version = t.impl()->private_version;
    impl->own_version = t.impl()->own_version;
    impl->share(t.impl()->storage);
    return out;
}

Tensor alias(const Tensor& t) { return alias(t, t.sizes(), t.strides(), t.offset()); }

Tensor from_memory(void* data, IntSpan sizes, IntSpan strides, TensorOptions options,
                   Storage::Deleter deleter, void* owner) {
    TensorImpl* impl = TensorImpl::create(int(sizes.size()));
    Tensor t = Tensor::adopt(impl);
    impl->dtype = options.dtype;
    impl->numel = 1;
    int64_t reach = 1;
    for (size_t d = 0; d < sizes.size(); d++) {
        impl->sizes[d] = sizes[d];
        impl->strides[d] = strides[d];
        impl->numel *= sizes[d];
        reach += strides[d] * (sizes[d] - 1);
    }
    size_t bytes = impl->numel == 0 ? 0 : size_t(reach) * size_t(item_size(options.dtype));
    impl->adopt(data, bytes, deleter, owner, options.device);
    return t;
}

}  // namespace ember
