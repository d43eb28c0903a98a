#include "cuda/index.cuh"

namespace ember::cuda {
namespace {

using kernels::Gather;

// Offsets of an item: in index, in data without `dim`, in other, and the slot without `dim` that
// stands for its place in data.
enum { kIndex, kData, kOther, kSlot };

struct Problem {
    Layout<4> layout;
    int64_t numel, slots;
    const int64_t* index;
    int64_t dim_size, dim_stride, dim_slots;
    const char* operation;
    int dim;
    Fault* fault;

    Problem(const Context& context, const Gather& g)
        : slots(1),
          index(g.index),
          dim_size(g.dim_size),
          dim_stride(g.data_strides[g.dim]),
          dim_slots(1),
          operation(g.operation),
          dim(g.dim),
          fault(fault_of(context)) {
        for (int d = g.ndim - 1; d >= 0; d--) {
            bool along = d == g.dim;
            if (along) dim_slots = slots;
            layout.push(g.operation, g.sizes[d], g.index_strides[d], along ? 0 : g.data_strides[d],
                        g.other_strides[d], along ? int64_t(0) : slots);
            slots *= along ? g.dim_size : g.sizes[d];
        }
        numel = layout.finish();
    }

    // Item i's index, or -1 with a report.
    EMBER_DEVICE int64_t place(int64_t i, int64_t (&at)[4]) const {
        layout.offsets(i, at);
        int64_t p = index[at[kIndex]];
        if (p >= 0 && p < dim_size) return p;
        report(fault, kIndexRuntime, operation, p, dim_size, dim);
        return -1;
    }
};

template <class T>
__global__ void gather_kernel(const __grid_constant__ Problem g, const T* data, T* out) {
    EMBER_FOR_ITEMS(i, g.numel) {
        int64_t at[4], p = g.place(i, at);
        T item{};
        if (p >= 0) item = data[at[kData] + p * g.dim_stride];
        out[at[kOther]] = item;
    }
}

__global__ void slots_kernel(const __grid_constant__ Problem g, int64_t* slots) {
    EMBER_FOR_ITEMS(i, g.numel) {
        int64_t at[4], p = g.place(i, at);
        slots[i] = p < 0 ? -1 : at[kSlot] + p * g.dim_slots;
    }
}

// The last item of each slot.
__global__ void winners_kernel(const int64_t* slots, int64_t count, long long* winners) {
    EMBER_FOR_ITEMS(i, count) {
        if (slots[i] >= 0) atomicMax(winners + slots[i], static_cast<long long>(i));
    }
}

template <class T>
__global__ void scatter_kernel(const __grid_constant__ Problem g, const int64_t* slots,
                               const long long* winners, T* data, const T* other) {
    EMBER_FOR_ITEMS(i, g.numel) {
        if (slots[i] < 0 || winners[slots[i]] != i) continue;
        int64_t at[4], p = g.place(i, at);
        data[at[kData] + p * g.dim_stride] = other[at[kOther]];
    }
}

const int64_t* slots_of(Context& context, const Problem& g) {
    int64_t* slots = context.scratch_of<int64_t>(g.numel);
    run_items(context, slots_kernel, g.numel, g, slots);
    return slots;
}

void gather(Context& context, const Gather& a) {
    Problem g(context, a);
    dispatch_size(item_size(a.dtype), [&](auto tag) {
        using T = typename decltype(tag)::type;
        run_items(context, gather_kernel<T>, g.numel, g, static_cast<const T*>(a.data),
                  static_cast<T*>(a.other));
    });
}

void scatter(Context& context, const Gather& a) {
    Problem g(context, a);
    if (g.numel == 0) return;
    const int64_t* slots = slots_of(context, g);
    size_t bytes = size_t(g.slots) * sizeof(long long);
    auto* winners = static_cast<long long*>(context.scratch(bytes));
    check(context.operation, cudaMemsetAsync(winners, 0xff, bytes, stream_of(context)));
    run_items(context, winners_kernel, g.numel, slots, g.numel, winners);
    dispatch_size(item_size(a.dtype), [&](auto tag) {
        using T = typename decltype(tag)::type;
        run_items(context, scatter_kernel<T>, g.numel, g, slots,
                  static_cast<const long long*>(winners), static_cast<T*>(a.data),
                  static_cast<const T*>(a.other));
    });
}

template <class T>
struct Adds {
    template <bool atomic>
    struct To {
        Problem g;
        T* data;
        const T* other;
        EMBER_DEVICE void operator()(int64_t, int64_t item, int64_t) const {
            int64_t at[4], p = g.place(item, at);
            add_item<atomic>(data[at[kData] + p * g.dim_stride], other[at[kOther]]);
        }
    };
};

void scatter_add(Context& context, const Gather& a) {
    Problem g(context, a);
    if (g.numel == 0) return;
    const int64_t* slots = slots_of(context, g);
    dispatch_real(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        add_to_slots<Adds<T>::template To>(context, slots, g.numel, int64_t(1), g,
                                           static_cast<T*>(a.data), static_cast<const T*>(a.other));
    });
}

template <class T>
EMBER_DEVICE T combined(T x, T y, kernels::Combine how) {
    auto a = widen(x), b = widen(y);
    if (how == kernels::Combine::Product) return narrow<T>(a * b);
    return b != b || (how == kernels::Combine::Largest ? b > a : b < a) ? y : x;
}
template <class T>
struct Combines {
    Problem g;
    T* data;
    const T* other;
    kernels::Combine how;
    EMBER_DEVICE void operator()(int64_t, int64_t item, int64_t) const {
        int64_t at[4], p = g.place(item, at);
        T& to = data[at[kData] + p * g.dim_stride];
        to = combined(to, other[at[kOther]], how);
    }
};

// Always in order: there are no atomics for it.
void scatter_reduce(Context& context, const Gather& a, kernels::Combine how) {
    Problem g(context, a);
    if (g.numel == 0) return;
    Sorted sorted = sort_slots(context, slots_of(context, g), g.numel);
    dispatch<uint8_t, int8_t, int16_t, int32_t, int64_t, Half, BFloat16, float, double>(
        a.dtype, [&](auto tag) {
            using T = typename decltype(tag)::type;
            run_items(context, in_order_kernel<Combines<T>>, g.numel, sorted, g.numel, int64_t(1),
                      Combines<T>{g, static_cast<T*>(a.data), static_cast<const T*>(a.other), how});
        });
}

}  // namespace

void register_index_gather(const Table& table) {
    table.set(kernels::gather, gather, kReal | kComplex);
    table.set(kernels::scatter, scatter, kReal | kComplex);
    table.set(kernels::scatter_add, scatter_add, kReal);
    table.set(kernels::scatter_reduce, scatter_reduce, kNumeric);
}

}  // namespace ember::cuda
