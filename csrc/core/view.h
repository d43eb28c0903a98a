#pragma once

#include "core/device.h"
#include "core/dtype.h"

namespace ember {

constexpr int kMaxDims = 64;
constexpr int kMaxOperands = 6;

// What a kernel sees of a tensor: memory and its layout. Strides count elements and may be zero or
// negative only where the kernel's header says so; pointers need not be aligned to the vector size.
struct View {
    void* data = nullptr;
    const int64_t* sizes = nullptr;
    const int64_t* strides = nullptr;
    int ndim = 0;
    DType dtype = DType::Float32;

    template <class T>
    EMBER_INLINE T* as() const {
        return static_cast<T*>(data);
    }
    EMBER_INLINE int64_t numel() const {
        int64_t n = 1;
        for (int d = 0; d < ndim; d++) n *= sizes[d];
        return n;
    }
};

// A number given beside tensors: exact for every dtype.
struct Number {
    enum class Kind : uint8_t { Bool, Int, Float } kind = Kind::Int;
    union {
        int64_t i = 0;
        double d;
    };
    template <class T>
    EMBER_INLINE T as() const {
        return kind == Kind::Float ? T(d) : T(i);
    }
};

// Operands of a pointwise kernel, broadcast against each other, reordered and coalesced:
// dimension 0 is the innermost. Outputs come first. Strides count bytes (0 where broadcast).
struct Plan {
    struct Operand {
        char* data;
        DType dtype;
        int64_t strides[kMaxDims];
    };
    int ndim;
    int operands;  // outputs and inputs together
    int outputs;
    // Bits of the operands that are single numbers in host memory though a GPU runs the kernel.
    uint32_t on_host;
    DType compute;  // inputs convert to this dtype when read
    int64_t numel;
    int64_t sizes[kMaxDims];
    Operand operand[kMaxOperands];
    Number immediate[4];  // numbers given beside the operands, by the formula's own order
};

// A reduction of `in` over some of its dimensions into `out`. Both groups are coalesced and ordered
// innermost first; strides count bytes. A dimension kept has a stride in both, one reduced in `in`.
struct ReducePlan {
    int kept, reduced;
    int64_t kept_numel, reduced_numel;
    int64_t kept_sizes[kMaxDims], kept_in[kMaxDims], kept_out[kMaxDims];
    int64_t reduced_sizes[kMaxDims], reduced_in[kMaxDims];
    const char* in;
    char* out;
    DType in_dtype, out_dtype;
};

// What a kernel may use besides memory and attributes. Scratch belongs to the call: it is freed
// when the context dies (stream-ordered on CUDA) and is visible to all workers of the call.
struct Context {
    Device device;
    void* stream = nullptr;
    bool deterministic = false;
    const char* operation = nullptr;  // names it in errors of a GPU's work

    Context() = default;
    explicit Context(Device d) : device(d) {
        if (EMBER_UNLIKELY(!d.is_cpu())) enter();
    }
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    EMBER_EXPORT ~Context();
    // 64-byte aligned, uninitialised; throws when memory runs out. Never null, also for 0 bytes.
    EMBER_EXPORT void* scratch(size_t bytes);
    template <class T>
    EMBER_INLINE T* scratch_of(int64_t count) {
        return static_cast<T*>(scratch(size_t(count) * sizeof(T)));
    }
    // On a GPU: raises what the launch, or with EMBER_CUDA_SYNC=1 the work itself, failed with.
    EMBER_EXPORT void finish();

private:
    struct Block {
        Block* next;
        size_t bytes;
        void* handle;  // of a GPU's memory, which is not where this header is
    };
    EMBER_EXPORT void enter();  // selects the GPU and its current stream
    Block* blocks_ = nullptr;
};

}  // namespace ember
