#include "kernels/loss.h"

#include "core/error.h"
#include "cpu/row_exponentials.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::ClassLoss;
using kernels::LossReduction;

constexpr int64_t kTile = 256;  // rows side by side where inner > 1

void check_targets(const ClassLoss& a) {
    for (int64_t i = 0; i < a.n * a.inner; i++) {
        int64_t t = a.target[i];
        if ((t < 0 || t >= a.classes) && t != a.ignore_index) {
            raise_index("%s: target %lld is out of bounds for %lld classes", a.operation,
                        static_cast<long long>(t), static_cast<long long>(a.classes));
        }
    }
}

template <class T>
EMBER_INLINE double class_weight(const ClassLoss& a, int64_t c) {
    return a.weight ? double(widen_item(static_cast<const T*>(a.weight)[c])) : 1;
}
// Of a row with that target. What smoothing spreads goes to the ignored class too.
template <class T>
EMBER_INLINE double weight_of(const ClassLoss& a, int64_t target) {
    return target == a.ignore_index ? 0 : class_weight<T>(a, target);
}

// Rows [begin, end) of one n at a time where inner > 1, else rows of consecutive n: a tile.
struct Tile {
    int64_t row;    // number of the first row
    int64_t first;  // its first item in input
    int64_t width;
    int64_t number;
};

struct Tiling {
    int64_t width, per_n, count, grain;
};

// The cost of a row is its traffic and its exponentials.
template <class T>
Tiling tiling(const ClassLoss& a) {
    int64_t cost = a.classes * int64_t(sizeof(T) + 16) + 64;
    if (a.inner == 1) {
        int64_t width = clamp_to(kGrainBytes / cost, 1, 4096);
        return {width, 0, ceil_div(a.n, width), 1};
    }
    int64_t width = a.inner < kTile ? a.inner : kTile;
    int64_t per_n = ceil_div(a.inner, width);
    return {width, per_n, a.n * per_n, clamp_to(kGrainBytes / (cost * width), 1, kGrainBytes)};
}

template <class T, class F>
EMBER_INLINE void for_tiles(const ClassLoss& a, const Tiling& t, F&& f) {
    parallel_for(t.count, t.grain, [&](int64_t begin, int64_t end) {
        for (int64_t k = begin; k < end; k++) {
            if (a.inner == 1) {
                int64_t row = k * t.width;
                f(Tile{row, row * a.classes, clamp_to(a.n - row, 0, t.width), k});
            } else {
                int64_t n = k / t.per_n, i = k % t.per_n * t.width;
                f(Tile{n * a.inner + i, n * a.classes * a.inner + i,
                       clamp_to(a.inner - i, 0, t.width), k});
            }
        }
    });
}

// The sum of all classes' weights, which label smoothing spreads.
template <class T>
double all_weights(const ClassLoss& a) {
    if (!a.weight) return double(a.classes);
    double sum = 0;
    for (int64_t c = 0; c < a.classes; c++) sum += class_weight<T>(a, c);
    return sum;
}

// Of `rows` rows.
template <class T>
EMBER_INLINE void row_logsumexp(const T* in, int64_t n, int64_t rows, Compute<T>* result) {
    using C = Compute<T>;
    using V = Lanes<T>;
    const int64_t turns = rows_in_turn<T>(n), ahead = row_ahead<T>(n);
    C largest[kTurns], sum[kTurns];
    for (int64_t first = 0; first < rows; first += turns) {
        const int64_t count = clamp_to(rows - first, 0, turns);
        const T* from = in + first * n;
        for (int64_t r = 0; r < count; r++) largest[r] = row_max(from + r * n, n);
        for (int64_t r = 0; r < count; r++)
            sum[r] = C(row_exp_sum(from + r * n, n, largest[r], ahead, [](auto, V) {}));
        sweep<V>(0, count, [&](auto at) __attribute__((always_inline)) {
            at.store(result + first, at.load(largest) + formulas::log(at.load(sum)));
        });
    }
}

// For rows side by side.
template <class T>
EMBER_INLINE void column_logsumexp(const T* in, int64_t n, int64_t inner, int64_t width,
                                   Compute<T>* result) {
    using C = Compute<T>;
    using V = Lanes<T>;
    sweep<V>(0, width, [&](auto at) __attribute__((always_inline)) {
        V largest = at.load(in), sum = C(0);
        for (int64_t c = 1; c < n; c++) largest = maximum(largest, at.load(in + c * inner));
        for (int64_t c = 0; c < n; c++) sum += formulas::exp(at.load(in + c * inner) - largest);
        at.store(result, largest + formulas::log(sum));
    });
}

// The sum over classes of weight * (logsumexp - x), what label smoothing adds.
template <class T>
EMBER_INLINE double smooth_loss(const ClassLoss& a, const T* in, double lse) {
    if (!a.weight && a.inner == 1) {
        using V = Lanes<T>;
        return sweep_sum<V>(a.classes, [&](auto at) __attribute__((always_inline)) {
            return at.or_else(V(Compute<T>(lse)) - at.load(in), 0);
        });
    }
    double sum = 0;
    for (int64_t c = 0; c < a.classes; c++) {
        sum += class_weight<T>(a, c) * (lse - double(widen_item(in[c * a.inner])));
    }
    return sum;
}

struct Total {
    double loss, weight;
};

// Adds up the tiles in their order and writes the reduced loss.
template <class T>
void write_total(const ClassLoss& a, const Total* totals, int64_t count, void* loss,
                 double* total_weight) {
    Total sum{0, 0};
    for (int64_t k = 0; k < count; k++) {
        sum.loss += totals[k].loss;
        sum.weight += totals[k].weight;
    }
    *total_weight = sum.weight;
    if (a.reduction == LossReduction::None) return;
    if (a.reduction == LossReduction::Mean) sum.loss /= sum.weight;
    *static_cast<T*>(loss) = narrow_item<T>(sum.loss);
}

template <class T>
void cross_entropy_rows(Context& ctx, const ClassLoss& a, void* loss, void* logsumexp,
                        double* total_weight) {
    using C = Compute<T>;
    const T* input = static_cast<const T*>(a.input);
    C* saved = static_cast<C*>(logsumexp);
    double smoothing = a.label_smoothing;
    Tiling t = tiling<T>(a);
    Total* totals = ctx.scratch_of<Total>(t.count);
    for_tiles<T>(a, t, [&](Tile tile) {
        Total total{0, 0};
        const T* first = input + tile.first;
        if (a.inner == 1)
            row_logsumexp(first, a.classes, tile.width, saved + tile.row);
        else
            column_logsumexp(first, a.classes, a.inner, tile.width, saved + tile.row);
        for (int64_t j = 0; j < tile.width; j++) {
            int64_t row = tile.row + j, target = a.target[row];
            const T* in = first + (a.inner == 1 ? j * a.classes : j);
            double value = 0, weight = weight_of<T>(a, target);
            if (target != a.ignore_index) {
                double lse = saved[row];
                value = weight * (lse - double(widen_item(in[target * a.inner])));
                if (smoothing != 0) {
                    value = (1 - smoothing) * value +
                            smoothing / double(a.classes) * smooth_loss(a, in, lse);
                }
            }
            if (a.reduction == LossReduction::None)
                static_cast<T*>(loss)[row] = narrow_item<T>(value);
            total.loss += value;
            total.weight += weight;
        }
        totals[tile.number] = total;
    });
    write_total<T>(a, totals, t.count, loss, total_weight);
}

void cross_entropy(Context& ctx, const ClassLoss& a, void* loss, void* logsumexp,
                   double* total_weight) {
    check_targets(a);
    dispatch_floating(a.dtype, [&](auto tag) {
        cross_entropy_rows<typename decltype(tag)::type>(ctx, a, loss, logsumexp, total_weight);
    });
}

// What a row's loss is multiplied by.
template <class T>
EMBER_INLINE double row_grad(const ClassLoss& a, const void* grad, double total_weight,
                             int64_t row) {
    const T* g = static_cast<const T*>(grad);
    if (a.reduction == LossReduction::None) return double(widen_item(g[row]));
    double factor = a.reduction == LossReduction::Mean ? 1 / total_weight : 1;
    return double(widen_item(*g)) * factor;
}

// grad_input = scale * p - [class is the target] * hit - spread * weight, with p = exp(x - lse)
template <class T>
void cross_entropy_backward_rows(const ClassLoss& a, const void* grad, const void* logsumexp,
                                 double total_weight, void* grad_input) {
    using C = Compute<T>;
    using V = Lanes<T>;
    const T *input = static_cast<const T*>(a.input), *weight = static_cast<const T*>(a.weight);
    T* out = static_cast<T*>(grad_input);
    const C* saved = static_cast<const C*>(logsumexp);
    double share = a.label_smoothing / double(a.classes);
    double weights = share != 0 ? all_weights<T>(a) : 0;
    struct Factors {
        C scale, hit, spread;
    };
    auto factors = [&](int64_t row) -> Factors {
        int64_t target = a.target[row];
        if (target == a.ignore_index) return {0, 0, 0};
        double g = row_grad<T>(a, grad, total_weight, row);
        double hit = g * (1 - a.label_smoothing) * weight_of<T>(a, target);
        return {C(hit + g * share * weights), C(hit), C(g * share)};
    };
    const int64_t row_bytes = a.classes * int64_t(sizeof(T));
    const bool stream = a.inner == 1 && rows_stream(out, row_bytes, 2 * a.n * row_bytes);
    for_tiles<T>(a, tiling<T>(a), [&](Tile tile) {
        if (a.inner == 1) {
            for (int64_t j = 0; j < tile.width; j++) {
                int64_t first = tile.first + j * a.classes, row = tile.row + j;
                const T* in = input + first;
                T* to = out + first;
                Factors f = factors(row);
                if (a.target[row] == a.ignore_index) {
                    for (int64_t c = 0; c < a.classes; c++) to[c] = narrow_item<T>(0);
                    continue;
                }
                V lse = saved[row], scale = f.scale, spread = f.spread;
                int64_t target = a.target[row];
                sweep_into<V>(to, a.classes, stream, [&](auto at) __attribute__((always_inline)) {
                    V g = scale * formulas::exp(at.load(in) - lse);
                    if (uint64_t(target - at.i) < uint64_t(V::size)) g.v[target - at.i] -= f.hit;
                    if (share != 0) g -= weight ? spread * at.load(weight) : spread;
                    return g;
                });
            }
            if (stream) stream_fence();
            return;
        }
        alignas(64) C scale[kTile], hit[kTile], spread[kTile];
        alignas(64) C target[kTile];
        for (int64_t j = 0; j < tile.width; j++) {
            Factors f = factors(tile.row + j);
            scale[j] = f.scale;
            hit[j] = f.hit;
            spread[j] = f.spread;
            target[j] = C(a.target[tile.row + j]);
        }
        for (int64_t c = 0; c < a.classes; c++) {
            int64_t first = tile.first + c * a.inner;
            V w = weight ? widen_item(weight[c]) : C(1), number = C(c);
            sweep<V>(0, tile.width, [&](auto at) __attribute__((always_inline)) {
                V s = at.load(scale);
                V p = formulas::exp(at.load(input + first) - at.load(saved + tile.row));
                V g = s * p - select(at.load(target) == number, at.load(hit), V(C(0)));
                if (share != 0) g -= at.load(spread) * w;
                // Ignored rows stay 0 though their p may be NaN.
                at.store(out + first, select(s == V(C(0)), V(C(0)), g));
            });
        }
    });
}

void cross_entropy_backward(Context&, const ClassLoss& a, const void* grad, const void* logsumexp,
                            const double* total_weight, void* grad_input) {
    check_targets(a);
    dispatch_floating(a.dtype, [&](auto tag) {
        cross_entropy_backward_rows<typename decltype(tag)::type>(a, grad, logsumexp, *total_weight,
                                                                  grad_input);
    });
}

EMBER_INLINE int64_t item_of(const ClassLoss& a, int64_t row, int64_t target) {
    return (row / a.inner * a.classes + target) * a.inner + row % a.inner;
}

template <class T>
void nll_rows(Context& ctx, const ClassLoss& a, void* loss, double* total_weight) {
    constexpr int64_t kRows = 8192;
    int64_t rows = a.n * a.inner, tasks = ceil_div(rows, kRows);
    const T* input = static_cast<const T*>(a.input);
    Total* totals = ctx.scratch_of<Total>(tasks);
    parallel_for(rows, kRows, [&](int64_t begin, int64_t end) {
        Total total{0, 0};
        for (int64_t row = begin; row < end; row++) {
            int64_t target = a.target[row];
            double value = 0, weight = weight_of<T>(a, target);
            if (target != a.ignore_index) {
                value = -weight * double(widen_item(input[item_of(a, row, target)]));
            }
            if (a.reduction == LossReduction::None)
                static_cast<T*>(loss)[row] = narrow_item<T>(value);
            total.loss += value;
            total.weight += weight;
        }
        totals[begin / kRows] = total;
    });
    write_total<T>(a, totals, tasks, loss, total_weight);
}

void nll_loss(Context& ctx, const ClassLoss& a, void* loss, double* total_weight) {
    check_targets(a);
    dispatch_floating(a.dtype, [&](auto tag) {
        nll_rows<typename decltype(tag)::type>(ctx, a, loss, total_weight);
    });
}

template <class T>
void nll_backward_rows(const ClassLoss& a, const void* grad, double total_weight,
                       void* grad_input) {
    T* out = static_cast<T*>(grad_input);
    int64_t item = a.classes * a.inner;
    parallel_for(a.n, clamp_to(kGrainBytes / (item * int64_t(sizeof(T)) + 1), 1, kGrainBytes),
                 [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin * item; i < end * item; i++) out[i] = narrow_item<T>(0);
                     for (int64_t row = begin * a.inner; row < end * a.inner; row++) {
                         int64_t target = a.target[row];
                         if (target == a.ignore_index) continue;
                         double g = row_grad<T>(a, grad, total_weight, row);
                         out[item_of(a, row, target)] =
                             narrow_item<T>(-g * weight_of<T>(a, target));
                     }
                 });
}

void nll_loss_backward(Context&, const ClassLoss& a, const void* grad, const double* total_weight,
                       void* grad_input) {
    check_targets(a);
    dispatch_floating(a.dtype, [&](auto tag) {
        nll_backward_rows<typename decltype(tag)::type>(a, grad, *total_weight, grad_input);
    });
}

}  // namespace

void register_loss(Table& table) {
    table.set(kernels::cross_entropy, cross_entropy, kFloating);
    table.set(kernels::cross_entropy_backward, cross_entropy_backward, kFloating);
    table.set(kernels::nll_loss, nll_loss, kFloating);
    table.set(kernels::nll_loss_backward, nll_loss_backward, kFloating);
}

}  // namespace ember::cpu::EMBER_LEVEL
