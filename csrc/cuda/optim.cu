#include <cmath>
#include <vector>

#include "cuda/common.cuh"
#include "kernels/formulas/math.h"
#include "kernels/optim.h"

// One launch for a whole list: blocks find their item by the number of the item's first block.
namespace ember::cuda {
namespace {

using kernels::Adam;
using kernels::AdamItem;
using kernels::ListItem;
using kernels::Sgd;
using kernels::SgdItem;

constexpr int64_t kPerBlock = 8 * kThreads;

template <class Item>
struct Entry {
    Item item;
    int64_t first_block;
};

// The list in the device's memory. Copying some kilobytes from ordinary memory returns when they
// are read, so the host's list may go.
template <class Item>
struct List {
    const Entry<Item>* entries;
    int64_t count, blocks = 0;

    List(Context& context, const Item* items, int64_t n) : count(n) {
        std::vector<Entry<Item>> table(static_cast<size_t>(n));
        for (int64_t i = 0; i < n; i++) {
            table[size_t(i)] = {items[i], blocks};
            blocks += ceil_div(items[i].numel, kPerBlock);
        }
        size_t bytes = table.size() * sizeof(Entry<Item>);
        void* device = context.scratch(bytes);
        entries = static_cast<const Entry<Item>*>(device);
        check(context.operation, cudaMemcpyAsync(device, table.data(), bytes,
                                                 cudaMemcpyHostToDevice, stream_of(context)));
    }
};

template <class Item>
EMBER_DEVICE const Item& item_of_block(const Entry<Item>* entries, int64_t count, int64_t& begin,
                                       int64_t& end) {
    int64_t low = 0, high = count;  // entries[low].first_block <= block
    while (high - low > 1) {
        int64_t middle = (low + high) / 2;
        (entries[middle].first_block <= blockIdx.x ? low : high) = middle;
    }
    // Empty items share their first block with the next one, which is found.
    begin = (blockIdx.x - entries[low].first_block) * kPerBlock;
    end = begin + kPerBlock < entries[low].item.numel ? begin + kPerBlock : entries[low].item.numel;
    return entries[low].item;
}

template <class Item, class... P, class... A>
void run_list(Context& context, const List<Item>& list,
              void (*kernel)(const Entry<Item>*, int64_t, P...), A&&... args) {
    if (list.blocks > 0)
        run(context, kernel, dim3(unsigned(list.blocks)), dim3(kThreads), list.entries, list.count,
            std::forward<A>(args)...);
}

template <class T>
__global__ void sgd_kernel(const Entry<SgdItem>* entries, int64_t count, Sgd a) {
    using C = Compute<T>;
    int64_t begin, end;
    const SgdItem& item = item_of_block(entries, count, begin, end);
    T *param = static_cast<T*>(item.param), *buffer = static_cast<T*>(item.momentum);
    const T* grad = static_cast<const T*>(item.grad);
    for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
        C p = widen(param[i]), g = widen(grad[i]);
        if (a.maximize) g = -g;
        if (a.weight_decay != 0) g = formulas::fma(p, C(a.weight_decay), g);
        if (buffer) {
            C m = item.fresh
                      ? g
                      : formulas::fma(g, C(1 - a.dampening), C(widen(buffer[i])) * C(a.momentum));
            buffer[i] = narrow<T>(m);
            g = a.nesterov ? formulas::fma(m, C(a.momentum), g) : m;
        }
        param[i] = narrow<T>(formulas::fma(g, C(-a.lr), p));
    }
}

void sgd(Context& context, const SgdItem* items, int64_t count, DType dtype, const Sgd& a) {
    List<SgdItem> list(context, items, count);
    dispatch_floating(dtype, [&](auto tag) {
        run_list(context, list, sgd_kernel<typename decltype(tag)::type>, a);
    });
}

// With what depends on the step worked out.
struct AdamStep {
    AdamItem a;
    int64_t numel;
    double step_size, correction;
};

template <class T>
__global__ void adam_kernel(const Entry<AdamStep>* entries, int64_t count, Adam a) {
    using C = Compute<T>;
    int64_t begin, end;
    const AdamStep& item = item_of_block(entries, count, begin, end);
    T *param = static_cast<T*>(item.a.param), *first = static_cast<T*>(item.a.exp_avg),
      *second = static_cast<T*>(item.a.exp_avg_sq), *most = static_cast<T*>(item.a.max_exp_avg_sq);
    const T* grad = static_cast<const T*>(item.a.grad);
    C weight1 = C(1 - a.beta1), weight2 = C(1 - a.beta2), beta2 = C(a.beta2), eps = C(a.eps);
    C step_size = C(item.step_size), correction = C(item.correction);
    for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
        C p = widen(param[i]), g = widen(grad[i]);
        if (a.maximize) g = -g;
        if (a.weight_decay != 0 && a.decoupled) p *= C(1 - a.lr * a.weight_decay);
        if (a.weight_decay != 0 && !a.decoupled) g = formulas::fma(p, C(a.weight_decay), g);
        C m = widen(first[i]), v = widen(second[i]);
        m = formulas::fma(weight1, g - m, m);
        v = formulas::fma(weight2 * g, g, v * beta2);
        first[i] = narrow<T>(m);
        second[i] = narrow<T>(v);
        if (most) {
            v = larger(C(widen(most[i])), v);
            most[i] = narrow<T>(v);
        }
        param[i] = narrow<T>(p + step_size * m / (formulas::sqrt(v) / correction + eps));
    }
}

void adam(Context& context, const AdamItem* items, int64_t count, DType dtype, const Adam& a) {
    std::vector<AdamStep> steps(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; i++)
        steps[size_t(i)] = {items[i], items[i].numel,
                            -(a.lr / (1 - std::pow(a.beta1, items[i].step))),
                            std::sqrt(1 - std::pow(a.beta2, items[i].step))};
    List<AdamStep> list(context, steps.data(), count);
    dispatch_floating(dtype, [&](auto tag) {
        run_list(context, list, adam_kernel<typename decltype(tag)::type>, a);
    });
}

// A part a block: the sum of squares, or the largest magnitude.
template <class T, bool largest>
__global__ void norm_kernel(const Entry<ListItem>* entries, int64_t count, double* parts) {
    int64_t begin, end;
    const ListItem& item = item_of_block(entries, count, begin, end);
    const T* data = static_cast<const T*>(item.data);
    double part = 0;
    for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
        double x = double(widen(data[i]));
        part = largest ? larger(::fabs(x), part) : part + x * x;
    }
    part = largest ? max_block(part) : add_block(part);
    if (threadIdx.x == 0) parts[blockIdx.x] = part;
}
template <bool largest>
__global__ void join_norms_kernel(const double* parts, int64_t count, double* norm) {
    double part = 0;
    for (int64_t i = threadIdx.x; i < count; i += blockDim.x)
        part = largest ? larger(parts[i], part) : part + parts[i];
    part = largest ? max_block(part) : add_block(part);
    if (threadIdx.x == 0) *norm = largest ? part : ::sqrt(part);
}

void list_norm(Context& context, const ListItem* items, int64_t count, DType dtype, double p,
               double* norm) {
    List<ListItem> list(context, items, count);
    double* parts = context.scratch_of<double>(list.blocks);
    dispatch_floating(dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        if (p == 2)
            run_list(context, list, norm_kernel<T, false>, parts);
        else
            run_list(context, list, norm_kernel<T, true>, parts);
    });
    run(context, p == 2 ? join_norms_kernel<false> : join_norms_kernel<true>, dim3(1), dim3(1024),
        static_cast<const double*>(parts), list.blocks, norm);
}

template <class T>
__global__ void scale_kernel(const Entry<ListItem>* entries, int64_t count, double factor) {
    int64_t begin, end;
    const ListItem& item = item_of_block(entries, count, begin, end);
    T* data = static_cast<T*>(item.data);
    for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x)
        data[i] = narrow<T>(Compute<T>(widen(data[i])) * Compute<T>(factor));
}

void list_scale(Context& context, const ListItem* items, int64_t count, DType dtype,
                double factor) {
    List<ListItem> list(context, items, count);
    dispatch_floating(dtype, [&](auto tag) {
        run_list(context, list, scale_kernel<typename decltype(tag)::type>, factor);
    });
}

void list_zero(Context& context, const ListItem* items, int64_t count, DType dtype) {
    for (int64_t i = 0; i < count; i++)
        if (items[i].numel > 0)
            check(
                context.operation,
                cudaMemsetAsync(items[i].data, 0, size_t(items[i].numel) * size_t(item_size(dtype)),
                                stream_of(context)));
}

}  // namespace

void register_optim(const Table& table) {
    table.set(kernels::sgd, sgd, kFloating);
    table.set(kernels::adam, adam, kFloating);
    table.set(kernels::list_norm, list_norm, kFloating);
    table.set(kernels::list_scale, list_scale, kFloating);
    table.set(kernels::list_zero, list_zero, kReal | kComplex);
}

}  // namespace ember::cuda
