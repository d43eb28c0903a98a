#pragma once

#include <functional>
#include <memory>

#include "core/error.h"
#include "core/intrusive.h"
#include "core/small_vector.h"
#include "core/storage.h"
#include "core/view.h"

namespace ember {

class Tensor;
struct TensorImpl;
struct AutogradMeta;  // autograd/meta.h
class Node;           // autograd/node.h

enum class MemoryFormat : uint8_t { Contiguous, Preserve, ChannelsLast, ChannelsLast3d };

// How a view came about; a change in place of any but a plain one cannot be differentiated.
enum class ViewOrigin : uint8_t {
    Plain,
    NoGrad,     // made while gradients were off
    Inference,  // made in inference mode
    Many,       // one of the several views split, chunk or unbind return
    Function,   // returned by a custom autograd.Function
};

// What gives a tensor its dtype and place when it is made.
struct TensorOptions {
    DType dtype = DType::Float32;
    Device device = {};
};

// Header, shape up to 6 dims, storage and the data of tiny tensors: one block from a free list.
struct TensorImpl {
    static constexpr int kInlineDims = 6;
    static constexpr size_t kInlineBytes = 64;

    std::atomic<uint32_t> refs{1};
    // Halves of the block still in use: the tensor, and its embedded storage while that is used.
    std::atomic<uint8_t> block_parts{1};
    DType dtype = DType::Float32;
    uint8_t ndim = 0;
    bool requires_grad : 1 = false;    // set on a leaf
    bool wrapped_number : 1 = false;   // a Python number: takes the least part in promotion
    bool inference : 1 = false;        // made in inference mode
    bool private_version : 1 = false;  // `.data` and its views: changes go unnoticed by autograd
    bool owns_pyobject : 1 = false;    // the Python object outlived its last Python reference
    bool retains_grad : 1 = false;
    // Stands for items that its Python class keeps elsewhere; the memory is a zero for all.
    bool wrapper : 1 = false;
    ViewOrigin view_origin = ViewOrigin::Plain;
    uint32_t output_nr = 0;     // which output of grad_fn this is
    uint32_t attr_version = 0;  // base version at which a view's grad_fn was made
    uint32_t own_version = 0;   // the counter when private_version (a view uses its base's)

    Storage* storage = nullptr;
    int64_t offset = 0;  // elements
    int64_t numel = 0;
    int64_t* sizes = inline_dims;
    int64_t* strides = inline_dims + kInlineDims;
    Node* grad_fn = nullptr;          // owned
    TensorImpl* view_base = nullptr;  // owned; never itself a view
    AutogradMeta* meta = nullptr;     // owned; what only some tensors need
    void* pyobject = nullptr;
    int64_t inline_dims[2 * kInlineDims];
    Storage embedded;
    alignas(64) char inline_data[kInlineBytes];

    TensorImpl() {}
    EMBER_EXPORT static TensorImpl* create(int ndim);
    // Uninitialised memory of at least `bytes` on `device`, in the embedded storage.
    EMBER_EXPORT void allocate(size_t bytes, Device device);
    // Makes the embedded storage an owner of foreign memory.
    EMBER_EXPORT void adopt(void* data, size_t bytes, Storage::Deleter deleter, void* owner,
                            Device device);
    EMBER_EXPORT void share(Storage* other);

    void retain() { refs.fetch_add(1, std::memory_order_relaxed); }
    void release() {
        if (refs.load(std::memory_order_acquire) == 1 ||
            refs.fetch_sub(1, std::memory_order_acq_rel) == 1)
            destroy(this);
    }
    EMBER_EXPORT static void destroy(TensorImpl* impl);
    EMBER_EXPORT static void drop_block_part(TensorImpl* impl);

    void* data() const { return storage->data + offset * item_size(dtype); }
};

// Autograd defines these: what a dying tensor lets go of.
EMBER_EXPORT void destroy_autograd_meta(AutogradMeta* meta);
EMBER_EXPORT void release_node(Node* node);
// The node of a tensor that keeps its .grad must not know it longer than it lives.
EMBER_EXPORT void forget_retained_grad(TensorImpl* impl);

// Called with the Python object when a tensor that owns one dies; set by csrc/python.
extern EMBER_EXPORT void (*release_pyobject)(void* pyobject);

// A counted handle. An undefined tensor (None in Python) has no impl.
class Tensor {
public:
    Tensor() = default;
    explicit Tensor(Ref<TensorImpl> impl) : impl_(std::move(impl)) {}
    static Tensor adopt(TensorImpl* impl) { return Tensor(Ref<TensorImpl>::adopt(impl)); }

    bool defined() const { return bool(impl_); }
    TensorImpl* impl() const { return impl_.get(); }
    const Ref<TensorImpl>& ref() const { return impl_; }
    bool is(const Tensor& other) const { return impl_ == other.impl_; }

    DType dtype() const { return impl_->dtype; }
    Device device() const { return impl_->storage->device; }
    TensorOptions options() const { return {dtype(), device()}; }
    int dim() const { return impl_->ndim; }
    int64_t numel() const { return impl_->numel; }
    IntSpan sizes() const { return {impl_->sizes, impl_->ndim}; }
    IntSpan strides() const { return {impl_->strides, impl_->ndim}; }
    // Negative dims count from the end; raises IndexError outside.
    EMBER_EXPORT int64_t size(int64_t dim) const;
    EMBER_EXPORT int64_t stride(int64_t dim) const;
    int64_t offset() const { return impl_->offset; }
    int64_t item_bytes() const { return item_size(impl_->dtype); }

    void* data() const { return impl_->data(); }
    template <class T>
    T* as() const {
        return static_cast<T*>(impl_->data());
    }
    View view() const {
        return {impl_->data(), impl_->sizes, impl_->strides, impl_->ndim, impl_->dtype};
    }

    EMBER_EXPORT bool is_contiguous(MemoryFormat format = MemoryFormat::Contiguous) const;
    // No two indices share memory and no holes: some permutation is contiguous.
    EMBER_EXPORT bool is_dense() const;
    // Two indices may name the same element (expanded and similar).
    EMBER_EXPORT bool has_overlap() const;
    bool requires_grad() const {
        const TensorImpl* base = impl_->view_base;
        return impl_->requires_grad || impl_->grad_fn != nullptr ||
               (base && (base->requires_grad || base->grad_fn != nullptr));
    }
    bool is_view() const { return impl_->view_base != nullptr; }
    uint32_t version() const {
        return impl_->private_version ? counted()->own_version
                                      : impl_->storage->version.load(std::memory_order_relaxed);
    }
    void bump_version() const {
        if (impl_->private_version)
            counted()->own_version++;
        else
            impl_->storage->bump_version();
    }
    // Whether a change in place of either counts for both.
    bool shares_version(const Tensor& other) const {
        if (impl_->private_version != other.impl_->private_version) return false;
        return impl_->private_version ? counted() == other.counted()
                                      : impl_->storage == other.impl_->storage;
    }

private:
    TensorImpl* counted() const { return impl_->view_base ? impl_->view_base : impl_.get(); }
    Ref<TensorImpl> impl_;
};

using TensorRef = std::reference_wrapper<const Tensor>;

// The number of items of `sizes`; raises `<name>: …` on negative sizes or overflow of bytes.
EMBER_EXPORT int64_t checked_numel(const char* name, IntSpan sizes, DType dtype);
EMBER_EXPORT void contiguous_strides(IntSpan sizes, int64_t* strides);
// 3 of (2, 3, 4) for -1 and so on; raises IndexError. A zero-dim tensor takes -1 and 0.
EMBER_EXPORT int wrap_dim(const char* name, int64_t dim, int ndim);
EMBER_EXPORT std::string to_string(IntSpan sizes);  // "(2, 3)"
EMBER_EXPORT std::string to_string(Device device);

// A tensor of `sizes` with uninitialised memory.
EMBER_EXPORT Tensor empty(IntSpan sizes, TensorOptions options);
// In memory of the host that a GPU's copies reach without a detour.
EMBER_EXPORT Tensor empty_pinned(IntSpan sizes, DType dtype);
EMBER_EXPORT bool is_pinned(const Tensor& t);
// The memory of a GPU's tensor is not handed out again before what `stream` has under way ends.
EMBER_EXPORT void record_stream(const Tensor& t, void* stream);
EMBER_EXPORT Tensor empty_strided(IntSpan sizes, IntSpan strides, TensorOptions options);
// Like `t` in layout where `t` is dense (PyTorch's preserve_format), contiguous otherwise.
EMBER_EXPORT Tensor empty_like(const Tensor& t, DType dtype);
inline Tensor empty_like(const Tensor& t) { return empty_like(t, t.dtype()); }
// Another header over the same storage; no autograd relation. Bounds are the caller's business.
EMBER_EXPORT Tensor alias(const Tensor& t, IntSpan sizes, IntSpan strides, int64_t offset);
EMBER_EXPORT Tensor alias(const Tensor& t);
EMBER_EXPORT Tensor from_memory(void* data, IntSpan sizes, IntSpan strides, TensorOptions options,
                                Storage::Deleter deleter, void* owner);

}  // namespace ember
