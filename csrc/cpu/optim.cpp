#include "kernels/optim.h"

#include <cmath>
#include <cstring>

#include "cpu/rows.h"
#include "kernels/formulas/optim.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Adam;
using kernels::AdamItem;
using kernels::ListItem;
using kernels::RuleItem;
using kernels::RuleOptions;
using kernels::Sgd;
using kernels::SgdItem;

constexpr int64_t kItemsPerTask = 8 * 1024;

// f(item, begin, end) over all items of a list as if they stood in one line, cut into tasks of
// kItemsPerTask; a task's number is passed last.
template <class Item, class F>
EMBER_INLINE void for_list(Context& ctx, const Item* items, int64_t count, F&& f) {
    int64_t total = 0;
    for (int64_t i = 0; i < count; i++) total += items[i].numel;
    if (total <= kItemsPerTask) {
        for (int64_t i = 0; i < count; i++) f(items[i], int64_t(0), items[i].numel, int64_t(0));
        return;
    }
    int64_t* starts = ctx.scratch_of<int64_t>(count + 1);
    starts[0] = 0;
    for (int64_t i = 0; i < count; i++) starts[i + 1] = starts[i] + items[i].numel;
    parallel_for(total, kItemsPerTask, [&](int64_t begin, int64_t end) {
        int64_t low = 0, high = count;  // starts[low] <= begin < starts[high]
        while (high - low > 1) {
            int64_t middle = (low + high) / 2;
            (starts[middle] <= begin ? low : high) = middle;
        }
        int64_t task = begin / kItemsPerTask;
        for (int64_t i = low; begin < end; i++) {
            int64_t stop = end < starts[i + 1] ? end : starts[i + 1];
            if (begin < stop) f(items[i], begin - starts[i], stop - starts[i], task);
            begin = stop;
        }
    });
}

template <class T>
void sgd_items(Context& ctx, const SgdItem* items, int64_t count, const Sgd& a) {
    using C = Compute<T>;
    using V = Vec<C>;
    V lr = C(-a.lr), momentum = C(a.momentum), undamped = C(1 - a.dampening),
      decay = C(a.weight_decay);
    V sign = C(a.maximize ? -1 : 1);
    for_list(ctx, items, count, [&](const SgdItem& item, int64_t begin, int64_t end, int64_t) {
        T* param = static_cast<T*>(item.param);
        const T* grad = static_cast<const T*>(item.grad);
        T* buffer = static_cast<T*>(item.momentum);
        auto run = [&](auto with_buffer) {
            sweep<V>(begin, end, [&](auto at) {
                V p = at.load(param), g = at.load(grad) * sign;
                if (a.weight_decay != 0) g = fma(p, decay, g);
                if constexpr (decltype(with_buffer)::value) {
                    V m = item.fresh ? g : fma(g, undamped, at.load(buffer) * momentum);
                    at.store(buffer, m);
                    g = a.nesterov ? fma(m, momentum, g) : m;
                }
                at.store(param, fma(g, lr, p));
            });
        };
        if (buffer) {
            run(std::true_type{});
        } else {
            run(std::false_type{});
        }
    });
}

void sgd(Context& ctx, const SgdItem* items, int64_t count, DType dtype, const Sgd& a) {
    dispatch_floating(
        dtype, [&](auto tag) { sgd_items<typename decltype(tag)::type>(ctx, items, count, a); });
}

template <class T>
void adam_items(Context& ctx, const AdamItem* items, int64_t count, const Adam& a) {
    using C = Compute<T>;
    using V = Vec<C>;
    V weight1 = C(1 - a.beta1), beta2 = C(a.beta2), weight2 = C(1 - a.beta2), eps = C(a.eps);
    V decay = C(a.weight_decay), keep = C(1 - a.lr * a.weight_decay);
    V sign = C(a.maximize ? -1 : 1);
    bool add_decay = a.weight_decay != 0 && !a.decoupled;
    bool scale_param = a.weight_decay != 0 && a.decoupled;
    for_list(ctx, items, count, [&](const AdamItem& item, int64_t begin, int64_t end, int64_t) {
        T* param = static_cast<T*>(item.param);
        const T* grad = static_cast<const T*>(item.grad);
        T *first = static_cast<T*>(item.exp_avg), *second = static_cast<T*>(item.exp_avg_sq);
        T* largest = static_cast<T*>(item.max_exp_avg_sq);
        V step_size = C(-(a.lr / (1 - pow(a.beta1, item.step))));
        V correction = C(std::sqrt(1 - pow(a.beta2, item.step)));
        sweep<V>(begin, end, [&](auto at) {
            V p = at.load(param), g = at.load(grad) * sign;
            if (scale_param) p *= keep;
            if (add_decay) g = fma(p, decay, g);
            V m = at.load(first), v = at.load(second);
            m = fma(weight1, g - m, m);
            v = fma(weight2 * g, g, v * beta2);
            at.store(first, m);
            at.store(second, v);
            if (largest) {
                v = maximum(at.load(largest), v);
                at.store(largest, v);
            }
            V denominator = sqrt(v) / correction + eps;
            at.store(param, p + step_size * m / denominator);
        });
    });
}

void adam(Context& ctx, const AdamItem* items, int64_t count, DType dtype, const Adam& a) {
    dispatch_floating(
        dtype, [&](auto tag) { adam_items<typename decltype(tag)::type>(ctx, items, count, a); });
}

// Items [begin, end) of one parameter.
template <class T, class Rule, int states, int numbers>
void update_items(const RuleItem& item, int64_t begin, int64_t end, const RuleOptions& a) {
    using C = Compute<T>;
    using V = Vec<C>;
    V decay = C(a.weight_decay), keep = C(a.keep), sign = C(a.maximize ? -1 : 1);
    T* param = static_cast<T*>(item.param);
    const T* grad = static_cast<const T*>(item.grad);
    V n[numbers];
    for (int i = 0; i < numbers; i++) n[i] = C(item.numbers[i]);
    sweep<V>(begin, end, [&](auto at) {
        V p = at.load(param), g = at.load(grad) * sign, s[states];
        for (int i = 0; i < states; i++) s[i] = at.load(static_cast<T*>(item.states[i]));
        if (a.weight_decay != 0) g = fma(p, decay, g);
        p *= keep;
        Rule::update(p, g, s, n);
        for (int i = 0; i < states; i++) at.store(static_cast<T*>(item.states[i]), s[i]);
        at.store(param, p);
    });
}

using UpdateItems = void (*)(const RuleItem&, int64_t begin, int64_t end, const RuleOptions&);

// One piece of code for all rules and dtypes.
EMBER_NOINLINE void update_list(Context& ctx, const RuleItem* items, int64_t count,
                                UpdateItems update, const RuleOptions& a) {
    for_list(ctx, items, count, [&](const RuleItem& item, int64_t begin, int64_t end, int64_t) {
        update(item, begin, end, a);
    });
}

template <class Rule, int states, int numbers>
void rule(Context& ctx, const RuleItem* items, int64_t count, DType dtype, const RuleOptions& a) {
    UpdateItems update = nullptr;
    dispatch_floating(dtype, [&](auto tag) {
        update = update_items<typename decltype(tag)::type, Rule, states, numbers>;
    });
    update_list(ctx, items, count, update, a);
}

namespace of {
#define EMBER_RULE(name, states, numbers)                              \
    struct name {                                                      \
        template <class V>                                             \
        static EMBER_INLINE void update(V& p, V g, V* s, const V* n) { \
            formulas::name(p, g, s, n);                                \
        }                                                              \
    };
#include "kernels/formulas/optim.inc"
}  // namespace of

EMBER_INLINE void widen(VecD x, VecD& lower, VecD& upper) {
    lower = x;
    upper = VecD(0);
}
EMBER_INLINE void widen(VecF x, VecD& lower, VecD& upper) {
    lower = widen_lower(x);
    upper = widen_upper(x);
}

// Sums squares in float64: no float32 overflows, no order of summation shows.
template <class T, bool largest>
void partial_norms(Context& ctx, const ListItem* items, int64_t count, double* parts) {
    using V = Vec<Compute<T>>;
    for_list(ctx, items, count,
             [&](const ListItem& item, int64_t begin, int64_t end, int64_t task) {
                 VecD low_sum = 0, high_sum = 0;
                 const T* data = static_cast<const T*>(item.data);
                 sweep<V>(begin, end, [&](auto at) {
                     VecD lower, upper;
                     widen(at.load(data), lower, upper);
                     if constexpr (largest) {
                         low_sum = maximum(abs(lower), low_sum);
                         high_sum = maximum(abs(upper), high_sum);
                     } else {
                         low_sum = fma(lower, lower, low_sum);
                         high_sum = fma(upper, upper, high_sum);
                     }
                 });
                 VecD sum = largest ? maximum(low_sum, high_sum) : low_sum + high_sum;
                 for (int i = 0; i < VecD::size; i++) {
                     double x = sum.v[i];
                     if constexpr (largest) {
                         parts[task] = x > parts[task] || x != x ? x : parts[task];
                     } else {
                         parts[task] += x;
                     }
                 }
             });
}

void list_norm(Context& ctx, const ListItem* items, int64_t count, DType dtype, double p,
               double* norm) {
    int64_t total = 0;
    for (int64_t i = 0; i < count; i++) total += items[i].numel;
    int64_t tasks = total / kItemsPerTask + 1;
    double* parts = ctx.scratch_of<double>(tasks);
    for (int64_t t = 0; t < tasks; t++) parts[t] = 0;
    bool largest = p != 2;
    dispatch_floating(dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        if (largest) {
            partial_norms<T, true>(ctx, items, count, parts);
        } else {
            partial_norms<T, false>(ctx, items, count, parts);
        }
    });
    double result = 0;
    for (int64_t t = 0; t < tasks; t++) {
        if (largest) {
            result = parts[t] > result || parts[t] != parts[t] ? parts[t] : result;
        } else {
            result += parts[t];
        }
        if (result != result) break;
    }
    *norm = largest ? result : std::sqrt(result);
}

void list_scale(Context& ctx, const ListItem* items, int64_t count, DType dtype, double factor) {
    dispatch_floating(dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        using V = Vec<Compute<T>>;
        V scale = Compute<T>(factor);
        for_list(ctx, items, count, [&](const ListItem& item, int64_t begin, int64_t end, int64_t) {
            T* data = static_cast<T*>(item.data);
            sweep<V>(begin, end, [&](auto at) { at.store(data, at.load(data) * scale); });
        });
    });
}

void list_zero(Context& ctx, const ListItem* items, int64_t count, DType dtype) {
    int64_t size = item_size(dtype);
    for_list(ctx, items, count, [&](const ListItem& item, int64_t begin, int64_t end, int64_t) {
        memset(static_cast<char*>(item.data) + begin * size, 0, size_t((end - begin) * size));
    });
}

}  // namespace

void register_optim(Table& table) {
    table.set(kernels::sgd, sgd, kFloating);
    table.set(kernels::adam, adam, kFloating);
#define EMBER_RULE(name, states, numbers) \
    table.set(kernels::name, rule<of::name, states, numbers>, kFloating);
#include "kernels/formulas/optim.inc"
    table.set(kernels::list_norm, list_norm, kFloating);
    table.set(kernels::list_scale, list_scale, kFloating);
    table.set(kernels::list_zero, list_zero, kReal | kComplex);
}

}  // namespace ember::cpu::EMBER_LEVEL
