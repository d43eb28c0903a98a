#include "cuda/index.cuh"

namespace ember::cuda {

namespace {

using kernels::IndexRows;

__global__ void number_kernel(int64_t* items, int64_t count) {
    EMBER_FOR_ITEMS(i, count) { items[i] = i; }
}

// The destination row of each index, or -1 with a report.
__global__ void rows_kernel(const IndexRows a, Fault::What what, int64_t skipped, int64_t* rows,
                            Fault* fault) {
    EMBER_FOR_ITEMS(i, a.count) {
        int64_t row = a.index_dtype == DType::Int32 ? static_cast<const int32_t*>(a.index)[i]
                                                    : static_cast<const int64_t*>(a.index)[i];
        bool inside = row >= 0 && row < a.n;
        if (!inside) report(fault, what, a.operation, row, a.n, a.dim);
        rows[i] = inside && row != skipped ? row : -1;
    }
}

const int64_t* rows_of(Context& context, const IndexRows& a, Fault::What what,
                       int64_t skipped = -1) {
    int64_t* rows = context.scratch_of<int64_t>(a.count);
    run_items(context, rows_kernel, a.count, a, what, skipped, rows, fault_of(context));
    return rows;
}

template <class T>
__global__ void select_kernel(const IndexRows a, const int64_t* rows) {
    const T* in = static_cast<const T*>(a.in);
    EMBER_FOR_ITEMS(i, a.outer * a.count * a.inner) {
        int64_t o = i / (a.count * a.inner), row = rows[i / a.inner % a.count];
        T item{};
        if (row >= 0) item = in[(o * a.n + row) * a.inner + i % a.inner];
        static_cast<T*>(a.out)[i] = item;
    }
}

void index_select(Context& context, const IndexRows& a) {
    if (a.outer == 0 || a.inner == 0 || a.count == 0) return;
    const int64_t* rows = rows_of(context, a, kIndexError);
    dispatch_size(item_size(a.dtype), [&](auto tag) {
        run_items(context, select_kernel<typename decltype(tag)::type>, a.outer * a.count * a.inner,
                  a, rows);
    });
}

// out (outer, n, inner) += scale * in (outer, count, inner); an element is an (outer, inner).
template <class T>
struct Adds {
    template <bool atomic>
    struct To {
        IndexRows a;
        Compute<T> scale;
        const int64_t* frequency;  // or null: rows divide by how often they come
        EMBER_DEVICE void operator()(int64_t row, int64_t item, int64_t e) const {
            int64_t o = e / a.inner, c = e % a.inner, from = item;
            if (a.source && (from = a.source[item]) < 0) return;
            T x = static_cast<const T*>(a.in)[(o * a.count + from) * a.inner + c];
            Compute<T> s = scale;
            if (a.factors) s *= widen(static_cast<const T*>(a.factors)[item]);
            if (frequency) s /= Compute<T>(frequency[row]);
            if (s != Compute<T>(1)) x = scale_item(x, s);
            add_item<atomic>(static_cast<T*>(a.out)[(o * a.n + row) * a.inner + c], x);
        }
    };
};

void index_add(Context& context, const IndexRows& given, Number alpha) {
    IndexRows a = given;
    if (a.outer == 0 || a.inner == 0 || a.count == 0) return;
    const int64_t* rows = rows_of(context, a, kIndexRuntime);
    if (a.source) {
        IndexRows sources = a;
        sources.index = a.source;
        sources.index_dtype = DType::Int64;
        sources.n = a.source_rows;
        a.source = rows_of(context, sources, kIndexRuntime);
    }
    dispatch_real(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        add_to_slots<Adds<T>::template To>(context, rows, a.count, a.outer * a.inner, a,
                                           alpha.as<Compute<T>>(),
                                           static_cast<const int64_t*>(nullptr));
    });
}

__global__ void count_kernel(const int64_t* rows, int64_t count, int64_t* frequency) {
    EMBER_FOR_ITEMS(i, count) {
        if (rows[i] >= 0) atomic_add(frequency + rows[i], int64_t(1));
    }
}

void embedding_backward(Context& context, const IndexRows& a, int64_t padding_index,
                        bool by_frequency) {
    if (a.inner == 0 || a.n == 0) return;
    check(context.operation,
          cudaMemsetAsync(a.out, 0, size_t(a.n * a.inner) * size_t(item_size(a.dtype)),
                          stream_of(context)));
    if (a.count == 0) return;
    const int64_t* rows = rows_of(context, a, kIndexError, padding_index);
    int64_t* frequency = nullptr;
    if (by_frequency) {
        frequency = context.scratch_of<int64_t>(a.n);
        check(context.operation,
              cudaMemsetAsync(frequency, 0, size_t(a.n) * sizeof(int64_t), stream_of(context)));
        run_items(context, count_kernel, a.count, rows, a.count, frequency);
    }
    dispatch_floating(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        add_to_slots<Adds<T>::template To>(context, rows, a.count, a.inner, a, Compute<T>(1),
                                           static_cast<const int64_t*>(frequency));
    });
}

}  // namespace

void number_items(const Context& context, int64_t* items, int64_t count) {
    run_items(context, number_kernel, count, items, count);
}

void register_index_rows(const Table& table) {
    table.set(kernels::index_select, index_select, kReal | kComplex);
    table.set(kernels::index_add, index_add, kReal);
    table.set(kernels::embedding_backward, embedding_backward, kFloating);
}

}  // namespace ember::cuda
