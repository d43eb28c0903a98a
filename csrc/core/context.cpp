#include "core/allocator.h"
#include "core/error.h"
#include "core/view.h"

namespace ember {

namespace {

constexpr size_t kHeader = 64;  // keeps what follows aligned

}  // namespace

void* Context::scratch(size_t bytes) {
    EMBER_CHECK(device.is_cpu(), "scratch: no memory can be had on %s: no such backend is loaded",
                device_type_name(device.type));
    size_t total = bytes + kHeader;
    if (EMBER_UNLIKELY(total < bytes)) total = bytes;  // allocate refuses both
    auto* block = static_cast<Block*>(allocate(total));
    block->next = blocks_;
    block->bytes = total;
    blocks_ = block;
    return reinterpret_cast<char*>(block) + kHeader;
}

Context::~Context() {
    while (blocks_) {
        Block* next = blocks_->next;
        deallocate(blocks_, blocks_->bytes);
        blocks_ = next;
    }
}

}  // namespace ember
