#include "autograd/node.h"

#include "autograd/meta.h"
#include "core/allocator.h"
#include "core/backend.h"

namespace ember {

namespace {
thread_local uint64_t coming_sequence = 0;
thread_local Node* dead_nodes = nullptr;
thread_local bool freeing = false;
}  // namespace

Node::Node(const char* node_name) : sequence(coming_sequence++), name_(node_name) {}

uint64_t Node::next_sequence() { return coming_sequence; }

uint32_t Node::add_output(const Tensor& output) {
    GradMeta& meta = outputs.emplace_back();
    meta.sizes.append(output.sizes().begin(), output.sizes().end());
    meta.dtype = output.dtype();
    meta.device = output.device();
    if (EMBER_UNLIKELY(!meta.device.is_cpu())) stream = current_stream(meta.device.index);
    return uint32_t(outputs.size() - 1);
}

void* Node::operator new(size_t bytes) { return allocate(bytes); }
void Node::operator delete(void* p, size_t bytes) { deallocate(p, bytes); }

void Node::destroy(Node* node) {
    node->next_dead_ = dead_nodes;
    dead_nodes = node;
    if (freeing) return;
    freeing = true;
    while (dead_nodes) {
        Node* dead = dead_nodes;
        dead_nodes = dead->next_dead_;
        delete dead;
    }
    freeing = false;
}

void release_node(Node* node) { node->release(); }

void forget_retained_grad(TensorImpl* impl) {
    if (!impl->grad_fn || !impl->grad_fn->hooks) return;
    std::erase_if(impl->grad_fn->hooks->retained, [&](auto& item) { return item.second == impl; });
}

void destroy_autograd_meta(AutogradMeta* meta) { delete meta; }

}  // namespace ember
