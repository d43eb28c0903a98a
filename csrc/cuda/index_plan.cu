#include "cuda/index.cuh"

namespace ember::cuda {
namespace {

using kernels::IndexPlan;

// A position's offset in the strided tensor and the number of its slot, -1 where an index is out of
// bounds.
struct Positions {
    int64_t* offsets;
    int64_t* slots;
};

struct Indices {
    int count;
    bool wrap;
    Fault::What what;
    const char* operation;
    const int64_t* index[kLayoutDims];
    int64_t sizes[kLayoutDims], strides[kLayoutDims];
    int dims[kLayoutDims];
    Fault* fault;

    Indices(const Context& context, const IndexPlan& p)
        : count(p.indices),
          wrap(p.wrap),
          what(p.index_error ? kIndexError : kIndexRuntime),
          operation(p.operation),
          fault(fault_of(context)) {
        if (count > kLayoutDims)
            raise(ErrorKind::NotImplemented, "%s: CUDA kernels take at most %d indices", operation,
                  kLayoutDims);
        for (int k = 0; k < count; k++) {
            index[k] = p.index[k];
            sizes[k] = p.index_sizes[k];
            strides[k] = p.index_strides[k];
            dims[k] = p.dims[k];
        }
    }
};

__global__ void positions_kernel(const __grid_constant__ Indices a, int64_t count, Positions out) {
    EMBER_FOR_ITEMS(i, count) {
        int64_t offset = 0, slot = 0;
        bool good = true;
        for (int k = 0; k < a.count; k++) {
            int64_t given = a.index[k][i], n = a.sizes[k];
            int64_t at = given < 0 && a.wrap ? given + n : given;
            if (at < 0 || at >= n) {
                report(a.fault, a.what, a.operation, given, n, a.dims[k]);
                good = false;
                continue;
            }
            offset += at * a.strides[k];
            slot = slot * n + at;
        }
        out.offsets[i] = offset;
        out.slots[i] = good ? slot : -1;
    }
}

// Elements that stay: number e of a position lies there in the strided tensor and in the values.
struct Kept {
    Layout<2> layout;
    int64_t numel, count_values;
    char *strided, *values;

    Kept(const IndexPlan& p) : count_values(p.count_values), strided(p.strided), values(p.values) {
        for (int d = 0; d < p.kept; d++)
            layout.push(p.operation, p.kept_sizes[d], p.kept_strides[d], p.kept_values[d]);
        bool empty = p.count == 0;
        for (int d = 0; d < p.kept; d++) empty = empty || p.kept_sizes[d] == 0;
        numel = empty ? 0 : layout.finish();
    }
    template <class T>
    EMBER_DEVICE void at(int64_t offset, int64_t i, int64_t e, T*& in_strided,
                         T*& in_values) const {
        int64_t from[2];
        layout.offsets(e, from);
        in_strided = reinterpret_cast<T*>(strided + offset + from[0]);
        in_values = reinterpret_cast<T*>(values + i * count_values + from[1]);
    }
};

Positions positions_of(Context& context, const IndexPlan& p) {
    Positions out{context.scratch_of<int64_t>(p.count), context.scratch_of<int64_t>(p.count)};
    run_items(context, positions_kernel, p.count, Indices(context, p), p.count, out);
    return out;
}

template <class T>
__global__ void get_kernel(const __grid_constant__ Kept kept, int64_t count, Positions positions) {
    EMBER_FOR_ITEMS(i, count * kept.numel) {
        int64_t position = i / kept.numel;
        T *from, *to;
        kept.at(positions.offsets[position], position, i % kept.numel, from, to);
        if (positions.slots[position] >= 0)
            *to = *from;
        else
            *to = T{};
    }
}

void index_get(Context& context, const IndexPlan& p) {
    Kept kept(p);
    if (kept.numel == 0) return;
    Positions positions = positions_of(context, p);
    dispatch_size(item_size(p.dtype), [&](auto tag) {
        run_items(context, get_kernel<typename decltype(tag)::type>, p.count * kept.numel, kept,
                  p.count, positions);
    });
}

__global__ void winners_kernel(const int64_t* slots, int64_t count, long long* winners) {
    EMBER_FOR_ITEMS(i, count) {
        if (slots[i] >= 0) atomicMax(winners + slots[i], static_cast<long long>(i));
    }
}

template <class T>
__global__ void put_kernel(const __grid_constant__ Kept kept, int64_t count, Positions positions,
                           const long long* winners) {
    EMBER_FOR_ITEMS(i, count * kept.numel) {
        int64_t position = i / kept.numel, slot = positions.slots[position];
        if (slot < 0 || winners[slot] != position) continue;
        T *to, *from;
        kept.at(positions.offsets[position], position, i % kept.numel, to, from);
        *to = *from;
    }
}

template <class T>
struct Adds {
    template <bool atomic>
    struct To {
        Kept kept;
        const int64_t* offsets;
        EMBER_DEVICE void operator()(int64_t, int64_t item, int64_t e) const {
            T *to, *from;
            kept.at(offsets[item], item, e, to, from);
            add_item<atomic>(*to, *from);
        }
    };
};

void index_put(Context& context, const IndexPlan& p, bool accumulate) {
    Kept kept(p);
    if (kept.numel == 0) return;
    Positions positions = positions_of(context, p);
    if (accumulate) {
        dispatch_real(p.dtype, [&](auto tag) {
            using T = typename decltype(tag)::type;
            add_to_slots<Adds<T>::template To>(context, positions.slots, p.count, kept.numel, kept,
                                               static_cast<const int64_t*>(positions.offsets));
        });
        return;
    }
    int64_t slots = 1;
    for (int k = 0; k < p.indices; k++) slots *= p.index_sizes[k];
    size_t bytes = size_t(slots) * sizeof(long long);
    auto* winners = static_cast<long long*>(context.scratch(bytes));
    check(context.operation, cudaMemsetAsync(winners, 0xff, bytes, stream_of(context)));
    run_items(context, winners_kernel, p.count, static_cast<const int64_t*>(positions.slots),
              p.count, winners);
    dispatch_size(item_size(p.dtype), [&](auto tag) {
        run_items(context, put_kernel<typename decltype(tag)::type>, p.count * kept.numel, kept,
                  p.count, positions, static_cast<const long long*>(winners));
    });
}

}  // namespace

void register_index_plan(const Table& table) {
    table.set(kernels::index_get, index_get, kReal | kComplex);
    table.set(kernels::index_put, index_put, kReal);
}

}  // namespace ember::cuda
