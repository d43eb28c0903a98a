#pragma once

#include "cuda/layout.cuh"
#include "cuda/sort_pairs.h"
#include "kernels/index.h"

namespace ember::cuda {

constexpr auto kIndexError = Fault::What::IndexError, kIndexRuntime = Fault::What::IndexRuntime;

// Arithmetic on stored items: halves in float, rounded once; integers wrap, bool is "or".
template <class T>
EMBER_DEVICE T add_items(T x, T y) {
    if constexpr (is_half<T>)
        return narrow<T>(widen(x) + widen(y));
    else if constexpr (std::is_same_v<T, bool>)
        return x || y;
    else
        return T(x + y);
}
template <class T>
EMBER_DEVICE T scale_item(T x, Compute<T> scale) {
    if constexpr (is_half<T>)
        return narrow<T>(widen(x) * scale);
    else
        return T(x * scale);
}

// Items smaller than a word change within the word that holds them.
template <class T>
EMBER_DEVICE void atomic_add(T* to, T x) {
    if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
        atomicAdd(to, x);
    } else if constexpr (std::is_same_v<T, int32_t>) {
        atomicAdd(to, x);
    } else if constexpr (std::is_same_v<T, int64_t>) {
        atomicAdd(reinterpret_cast<unsigned long long*>(to), static_cast<unsigned long long>(x));
    } else {
        auto address = reinterpret_cast<uintptr_t>(to);
        auto* word = reinterpret_cast<unsigned*>(address & ~uintptr_t(3));
        int shift = int(address & 3) * 8;
        unsigned mask = (sizeof(T) == 1 ? 0xffu : 0xffffu) << shift, old = *word, seen;
        do {
            seen = old;
            T item;
            auto bits = static_cast<std::conditional_t<sizeof(T) == 1, uint8_t, uint16_t>>(
                (seen & mask) >> shift);
            memcpy(&item, &bits, sizeof item);
            item = add_items(item, x);
            memcpy(&bits, &item, sizeof item);
            old = atomicCAS(word, seen, (seen & ~mask) | unsigned(bits) << shift);
        } while (old != seen);
    }
}

// A number of slots to which items go, -1 where an item's index is out of bounds.
constexpr uint64_t kNowhere = ~uint64_t(0);

// Items in the order of their slots, equal slots in the order of the items: what adds to one slot
// can be added by one thread, in order.
struct Sorted {
    const uint64_t* slots;
    const int64_t* items;
};

void number_items(const Context& context, int64_t* items, int64_t count);

inline Sorted sort_slots(Context& context, const int64_t* slots, int64_t count) {
    int64_t* items = context.scratch_of<int64_t>(count);
    int64_t* sorted_items = context.scratch_of<int64_t>(count);
    uint64_t* sorted = context.scratch_of<uint64_t>(count);
    number_items(context, items, count);
    sort_pairs(context, reinterpret_cast<const uint64_t*>(slots), sorted, items, sorted_items,
               count, 64);
    return {sorted, sorted_items};
}

// add(slot, item, e) for the items of each slot in order, for each of `width` elements e: a thread
// a slot and element.
template <class F>
__global__ void in_order_kernel(Sorted sorted, int64_t count, int64_t width, const F add) {
    EMBER_FOR_ITEMS(i, count * width) {
        int64_t at = i / width, e = i % width;
        uint64_t slot = sorted.slots[at];
        if (slot == kNowhere || (at > 0 && sorted.slots[at - 1] == slot)) continue;
        for (; at < count && sorted.slots[at] == slot; at++)
            add(int64_t(slot), sorted.items[at], e);
    }
}
// The same in any order, by atomics.
template <class F>
__global__ void any_order_kernel(const int64_t* slots, int64_t count, int64_t width, const F add) {
    EMBER_FOR_ITEMS(i, count * width) {
        int64_t item = i / width;
        if (slots[item] >= 0) add(slots[item], item, i % width);
    }
}

// Adds by atomics, or in order where the program asked for deterministic algorithms.
// F<Atomic> has the members of `make`.
template <template <bool> class F, class... A>
void add_to_slots(Context& context, const int64_t* slots, int64_t count, int64_t width,
                  const A&... args) {
    if (context.deterministic)
        run_items(context, in_order_kernel<F<false>>, count * width,
                  sort_slots(context, slots, count), count, width, F<false>{args...});
    else
        run_items(context, any_order_kernel<F<true>>, count * width, slots, count, width,
                  F<true>{args...});
}

template <bool atomic, class T>
EMBER_DEVICE void add_item(T& to, T x) {
    if constexpr (atomic)
        atomic_add(&to, x);
    else
        to = add_items(to, x);
}

}  // namespace ember::cuda
