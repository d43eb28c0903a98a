#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <vector>

#include "emulator.h"

// The threads of a block. One runs until it ends or waits for others; a fiber that has ended a
// thread goes on with the next, so that a kernel without barriers runs as a loop.

#ifndef __x86_64__
#error "the emulator switches stacks in the assembly of x86-64"
#endif

namespace emulator {

dim3 thread_index, block_index, block_size, grid_size;

namespace {

constexpr int kMaxThreads = 1024, kWarp = 32;
constexpr size_t kStack = 256 << 10, kPage = 4096;

struct Fiber {
    void* stack_pointer;
    unsigned thread;
};

struct Barrier {
    int expected = 0, arrived = 0;
    std::vector<Fiber*> waiting;
};

struct Warp {
    Barrier barrier;
    bool ended = false;  // some of its threads have
    alignas(8) char slots[2][kWarp][8];
};

std::vector<Fiber*> idle;
std::deque<Fiber*> ready;
Fiber* current;
void* scheduler;  // its stack pointer
const std::function<void()>* body;
bool descending;
unsigned threads, started, ended;
unsigned char exchanges[kMaxThreads];  // parity of a thread's next exchange
Barrier block;
Warp warps[kMaxThreads / kWarp];

extern "C" void ember_emulator_switch(void** from, void* to);
asm(R"(
.text
.hidden ember_emulator_switch
.globl ember_emulator_switch
.type ember_emulator_switch, @function
ember_emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size ember_emulator_switch, .-ember_emulator_switch
)");

void meet(Barrier& barrier) {
    if (barrier.arrived != barrier.expected) return;
    barrier.arrived = 0;
    ready.insert(ready.end(), barrier.waiting.begin(), barrier.waiting.end());
    barrier.waiting.clear();
}

void wait(Barrier& barrier) {
    barrier.arrived++;
    barrier.waiting.push_back(current);
    meet(barrier);
    Fiber* self = current;
    ember_emulator_switch(&self->stack_pointer, scheduler);
    current = self;
    thread_index = dim3(self->thread, 0, 0);
}

void leave(Barrier& barrier) {
    barrier.expected--;
    if (barrier.arrived > 0) meet(barrier);
}

void run_threads() {
    for (;;) {
        while (started < threads) {
            unsigned i = started++;
            current->thread = descending ? threads - 1 - i : i;
            thread_index = dim3(current->thread, 0, 0);
            (*body)();
            Warp& warp = warps[current->thread / kWarp];
            warp.ended = true;
            leave(warp.barrier);
            leave(block);
            ended++;
        }
        idle.push_back(current);
        ember_emulator_switch(&current->stack_pointer, scheduler);
    }
}

Fiber* make_fiber() {
    void* memory = mmap(nullptr, kStack, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) fail("no memory for a stack");
    mprotect(memory, kPage, PROT_NONE);
    auto** top = reinterpret_cast<void**>(static_cast<char*>(memory) + kStack);
    *--top = nullptr;
    *--top = reinterpret_cast<void*>(&run_threads);
    for (int saved = 0; saved < 6; saved++) *--top = nullptr;
    return new Fiber{top, 0};
}

void run_block() {
    started = ended = 0;
    block.expected = int(threads);
    for (unsigned first = 0; first < threads; first += kWarp) {
        Warp& warp = warps[first / kWarp];
        warp.barrier.expected = int(std::min(threads - first, unsigned(kWarp)));
        warp.ended = warp.barrier.expected < kWarp;
    }
    while (ended < threads) {
        if (!ready.empty()) {
            current = ready.front();
            ready.pop_front();
        } else if (started < threads) {
            if (idle.empty()) idle.push_back(make_fiber());
            current = idle.back();
            idle.pop_back();
        } else {
            fail("the threads of a block wait for each other at different places");
        }
        ember_emulator_switch(&scheduler, current->stack_pointer);
    }
}

}  // namespace

void fail(const char* why) {
    fprintf(stderr, "CUDA emulator: %s\n", why);
    abort();
}

void wait_for_block() { wait(block); }
void wait_for_warp() {
    Warp& warp = warps[current->thread / kWarp];
    if (warp.ended) fail("a warp's threads meet, but some have ended or never were");
    wait(warp.barrier);
}

void* exchange_slot() {
    unsigned t = current->thread;
    return warps[t / kWarp].slots[exchanges[t]][t % kWarp];
}
const void* exchange_slot_of(int lane) {
    unsigned t = current->thread;
    return warps[t / kWarp].slots[exchanges[t]][lane];
}
int lane() { return int(current->thread % kWarp); }
void next_exchange() { exchanges[current->thread] ^= 1; }

void launch(dim3 grid, dim3 size, const std::function<void()>& thread) {
    if (!is_valid(grid, size)) return;
    DeviceAccess access;
    // Devices run threads and blocks in no order: here in one order and then in the other.
    descending = !descending;
    body = &thread;
    threads = size.x;
    block_size = size;
    grid_size = grid;
    memset(exchanges, 0, sizeof exchanges);
    int64_t blocks = int64_t(grid.x) * grid.y * grid.z;
    for (int64_t i = 0; i < blocks; i++) {
        int64_t b = descending ? blocks - 1 - i : i;
        block_index = dim3(unsigned(b % grid.x), unsigned(b / grid.x % grid.y),
                           unsigned(b / grid.x / grid.y));
        run_block();
    }
}

}  // namespace emulator
