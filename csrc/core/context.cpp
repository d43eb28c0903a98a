#include "core/allocator.h"
#include "core/backend.h"
#include "core/error.h"
#include "core/modes.h"
#include "core/view.h"

namespace ember {

namespace {

constexpr size_t kHeader = 64;  // keeps what follows aligned

}  // namespace

void Context::enter() {
    const CudaRuntime& runtime = require_cuda("launch");
    device = resolve_device(device);
    deterministic = modes::deterministic();
    stream = current_stream(device.index);
    runtime.set_device(device.index);
}

void Context::finish() { cuda_runtime()->finish(*this); }

void* Context::scratch(size_t bytes) {
    static_assert(sizeof(Block) <= kHeader);
    size_t total = bytes;
    Block* block;
    void* data;
    if (EMBER_LIKELY(device.is_cpu())) {
        if (EMBER_LIKELY(bytes + kHeader > bytes)) total += kHeader;  // allocate refuses both
        block = static_cast<Block*>(allocate(total));
        block->handle = nullptr;
        data = reinterpret_cast<char*>(block) + kHeader;
    } else {
        void* handle;
        data = cuda_runtime()->allocate(device.index, stream, bytes ? bytes : 1, &handle);
        block = static_cast<Block*>(FreeList<sizeof(Block)>::take());
        block->handle = handle;
    }
    block->next = blocks_;
    block->bytes = total;
    blocks_ = block;
    return data;
}

Context::~Context() {
    while (blocks_) {
        Block* block = blocks_;
        blocks_ = block->next;
        if (EMBER_LIKELY(!block->handle)) {
            deallocate(block, block->bytes);
        } else {
            cuda_runtime()->deallocate(block->handle);
            FreeList<sizeof(Block)>::give(block);
        }
    }
}

}  // namespace ember
