#include <cmath>

#include "cpu/reduce_variance.h"
#include "kernels/norm.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::BatchNorm;
using kernels::BatchNormBackward;

// Mean and squares of every channel of dense (n, channels, inner), as the variance reduction gives
// them; channels is the dimension kept.
template <class C>
void channel_moments(Context& ctx, const BatchNorm& a, Moments* moments) {
    int64_t item = item_size(a.dtype);
    ReducePlan p;
    p.kept = 1;
    p.kept_numel = p.kept_sizes[0] = a.channels;
    p.kept_in[0] = a.inner * item;
    p.kept_out[0] = sizeof(Moments);
    p.reduced = 0;
    p.reduced_numel = a.n * a.inner;
    if (a.inner > 1) {
        p.reduced_sizes[p.reduced] = a.inner;
        p.reduced_in[p.reduced++] = item;
    }
    p.reduced_sizes[p.reduced] = a.n;
    p.reduced_in[p.reduced++] = a.channels * a.inner * item;
    p.in = static_cast<const char*>(a.in);
    p.out = reinterpret_cast<char*>(moments);
    p.in_dtype = a.dtype;
    p.out_dtype = DType::Float64;
    Operation op = operation_of<Variance<C>>(p, 0);
    op.store = [](const Operation&, const ReducePlan& plan, int64_t offset, int64_t,
                  const char* parts, int64_t n) {
        Moments* to = reinterpret_cast<Moments*>(plan.out + offset);
        for (int64_t i = 0; i < n; i++) to[i] = reinterpret_cast<const Moments*>(parts)[i];
    };
    run_reduction(ctx, p, op);
}

template <class P>
EMBER_INLINE double param_or(const void* params, int64_t i, double otherwise) {
    return params ? double(widen_item(static_cast<const P*>(params)[i])) : otherwise;
}

// Writes all items: by rows of one channel, on_row(channel, number of the row's first item,
// whether past the caches), or, where rows are single items, by vectors of channels,
// on_channels(at, number of channel 0's item).
template <class V, class T, class Row, class Channels>
EMBER_INLINE void for_items(T* out, int64_t n, int64_t channels, int64_t inner, int64_t traffic,
                            Row&& on_row, Channels&& on_channels) {
    int64_t length = inner == 1 ? channels : inner, rows = inner == 1 ? n : n * channels;
    int64_t bytes = length * int64_t(sizeof(T));
    bool stream = rows_stream(out, bytes, traffic);
    int64_t grain = clamp_to(kGrainBytes / (2 * bytes + 1), 1, kGrainBytes);
    parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; row++) {
            if (inner == 1) {
                sweep_into<V>(out + row * channels, channels, stream,
                              [&](auto at) __attribute__((always_inline)) {
                                  return on_channels(at, row * channels);
                              });
            } else {
                on_row(row % channels, row * inner, stream);
            }
        }
        if (stream) stream_fence();
    });
}

// Whether a task should take a channel from its sums to its last item: what is read for the sums is
// then still in cache when it is read again, from the end. `arrays` are read.
template <class T>
bool by_channels(int64_t n, int64_t channels, int64_t inner, int arrays) {
    constexpr int64_t kShortest = 256, kFewest = 16;
    return inner >= kShortest && channels >= kFewest &&
           n * inner * arrays * int64_t(sizeof(T)) <= stream_threshold;
}

// on_channel(number) for all of them, in tasks.
template <class F>
EMBER_INLINE void for_channels(int64_t channels, int64_t channel_bytes, F&& on_channel) {
    int64_t grain = clamp_to(kGrainBytes / channel_bytes, 1, channels);
    parallel_for(channels, grain, [&](int64_t begin, int64_t end) {
        for (int64_t c = begin; c < end; c++) on_channel(c);
        stream_fence();
    });
}

template <class T, class P>
void batch_norm_items(Context& ctx, const BatchNorm& a) {
    using C = Compute<T>;
    using V = Lanes<T>;
    const T* in = static_cast<const T*>(a.in);
    T* out = static_cast<T*>(a.out);
    C *mean = static_cast<C*>(a.mean), *invstd = static_cast<C*>(a.invstd);
    C* scale = ctx.scratch_of<C>(2 * a.channels);
    C* shift = scale + a.channels;
    auto set_factors = [&](int64_t c) {
        scale[c] = C(double(invstd[c]) * param_or<P>(a.weight, c, 1));
        shift[c] = C(param_or<P>(a.bias, c, 0));
    };
    auto take_moments = [&](int64_t c, const Moments& m) {
        mean[c] = C(m.mean);
        invstd[c] = C(1 / std::sqrt(m.squares / m.n + a.eps));
        set_factors(c);
        if (!a.running_mean) return;
        P& running_mean = static_cast<P*>(a.running_mean)[c];
        P& running_var = static_cast<P*>(a.running_var)[c];
        running_mean =
            narrow_item<P>((1 - a.momentum) * widen_item(running_mean) + a.momentum * m.mean);
        running_var = narrow_item<P>((1 - a.momentum) * widen_item(running_var) +
                                     a.momentum * (m.squares / (m.n - 1)));
    };
    auto write_row = [&](int64_t c, int64_t i, bool stream) __attribute__((always_inline)) {
        V m = mean[c], s = scale[c], b = shift[c];
        sweep_into<V>(out + i, a.inner, stream, [&](auto at) __attribute__((always_inline)) {
            return fma(at.load(in + i) - m, s, b);
        });
    };
    const int64_t row_bytes = a.inner * int64_t(sizeof(T));
    const int64_t traffic = 2 * a.n * a.channels * row_bytes;
    if (a.training && by_channels<T>(a.n, a.channels, a.inner, 1)) {
        const bool stream = rows_stream(out, row_bytes, traffic);
        for_channels(a.channels, 3 * a.n * row_bytes, [&](int64_t c) {
            Moments moments = kNoMoments;
            for (int64_t i = 0; i < a.n; i++) {
                const T* row = in + (i * a.channels + c) * a.inner;
                sweep_moments<V>(moments, a.inner, [&](auto at) __attribute__((always_inline)) {
                    return at.load(row);
                });
            }
            take_moments(c, moments);
            for (int64_t i = a.n - 1; i >= 0; i--)
                write_row(c, (i * a.channels + c) * a.inner, stream);
        });
        return;
    }
    if (a.training) {
        Moments* moments = ctx.scratch_of<Moments>(a.channels);
        channel_moments<C>(ctx, a, moments);
        for (int64_t c = 0; c < a.channels; c++) take_moments(c, moments[c]);
    } else {
        for (int64_t c = 0; c < a.channels; c++) {
            mean[c] = C(param_or<P>(a.running_mean, c, 0));
            invstd[c] = C(1 / std::sqrt(param_or<P>(a.running_var, c, 1) + a.eps));
            set_factors(c);
        }
    }
    for_items<V>(out, a.n, a.channels, a.inner, traffic, write_row,
                 [&](auto at, int64_t i) __attribute__((always_inline)) {
                     V x = at.load(in + i) - at.load(mean);
                     return fma(x, at.load(scale), at.load(shift));
                 });
}

void batch_norm(Context& ctx, const BatchNorm& a) {
    dispatch_with_params(a.dtype, a.param_dtype, [&](auto tag, auto param_tag) {
        batch_norm_items<typename decltype(tag)::type, typename decltype(param_tag)::type>(ctx, a);
    });
}

// GradSums over the items [begin, end) of the batch, for the channels [first, last).
template <class T>
EMBER_INLINE void add_sums(const BatchNormBackward& a, int64_t begin, int64_t end, int64_t first,
                           int64_t last, GradSums* sums) {
    using C = Compute<T>;
    using V = Lanes<T>;
    const T *grad = static_cast<const T*>(a.grad), *in = static_cast<const T*>(a.in);
    const C* mean = static_cast<const C*>(a.mean);
    if (a.inner == 1) {
        sweep<V>(first, last, [&](auto at) __attribute__((always_inline)) {
            V sum = C(0), dot = C(0), m = at.load(mean);
            for (int64_t i = begin; i < end; i++) {
                V g = at.load(grad + i * a.channels);
                sum += g;
                dot = fma(g, at.load(in + i * a.channels) - m, dot);
            }
            alignas(64) C sum_items[V::size], dot_items[V::size];
            sum.store(sum_items);
            dot.store(dot_items);
            for (int64_t j = 0; j < V::size && at.i + j < last; j++) {
                sums[at.i + j] = {sum_items[j], dot_items[j]};
            }
        });
        return;
    }
    for (int64_t c = first; c < last; c++) sums[c] = {0, 0};
    for (int64_t i = begin; i < end; i++) {
        for (int64_t c = first; c < last; c++) {
            int64_t row = (i * a.channels + c) * a.inner;
            sums[c] += sweep_grad_sums<V>(grad + row, in + row, V(mean[c]), a.inner);
        }
    }
}

// (channels,): cut by the batch and by channels, joined in the batch's order.
template <class T>
GradSums* channel_sums(Context& ctx, const BatchNormBackward& a) {
    int64_t row = a.inner * 2 * int64_t(sizeof(T));
    int64_t items = clamp_to(2 * kGrainBytes / (row * a.channels), 1, 64);
    if (a.inner == 1) items = clamp_to(items, 16, 64);
    int64_t width = clamp_to(2 * kGrainBytes / (row * items), 64, a.channels);
    if (a.inner > 1) width = clamp_to(2 * kGrainBytes / (row * items), 1, a.channels);
    int64_t chunks = ceil_div(a.n, items), cuts = ceil_div(a.channels, width);
    GradSums* sums = ctx.scratch_of<GradSums>(a.channels * (chunks + 1));
    parallel_for(chunks * cuts, 1, [&](int64_t begin, int64_t end) {
        for (int64_t task = begin; task < end; task++) {
            int64_t chunk = task / cuts, first = task % cuts * width;
            add_sums<T>(a, chunk * items, clamp_to((chunk + 1) * items, 0, a.n), first,
                        clamp_to(first + width, 0, a.channels), sums + chunk * a.channels);
        }
    });
    GradSums* total = sums + chunks * a.channels;
    for (int64_t c = 0; c < a.channels; c++) {
        total[c] = {0, 0};
        for (int64_t k = 0; k < chunks; k++) {
            total[c] += sums[k * a.channels + c];
        }
    }
    return total;
}

template <class T, class P>
void batch_norm_backward_items(Context& ctx, const BatchNormBackward& a) {
    using C = Compute<T>;
    using V = Lanes<T>;
    const T *grad = static_cast<const T*>(a.grad), *in = static_cast<const T*>(a.in);
    T* out = static_cast<T*>(a.grad_input);
    const C *mean = static_cast<const C*>(a.mean), *invstd = static_cast<const C*>(a.invstd);
    // grad_input = scale * grad + slope * (x - mean) + shift
    C* scale = ctx.scratch_of<C>(3 * a.channels);
    C *slope = scale + a.channels, *shift = slope + a.channels;
    const double count = double(a.n * a.inner);
    auto take_sums = [&](int64_t c, const GradSums& sums) {
        if (a.grad_weight)
            static_cast<P*>(a.grad_weight)[c] = narrow_item<P>(sums.dot * double(invstd[c]));
        if (a.grad_bias) static_cast<P*>(a.grad_bias)[c] = narrow_item<P>(sums.grad);
        double s = double(invstd[c]) * param_or<P>(a.weight, c, 1);
        scale[c] = C(s);
        slope[c] = a.training ? C(-s * invstd[c] * invstd[c] * sums.dot / count) : C(0);
        shift[c] = a.training ? C(-s * sums.grad / count) : C(0);
    };
    auto write_row = [&](int64_t c, int64_t i, bool stream) __attribute__((always_inline)) {
        V m = mean[c], s = scale[c], k = slope[c], b = shift[c];
        sweep_into<V>(out + i, a.inner, stream, [&](auto at) __attribute__((always_inline)) {
            V g = at.load(grad + i) * s;
            if (a.training) g += fma(at.load(in + i) - m, k, b);
            return g;
        });
    };
    const int64_t row_bytes = a.inner * int64_t(sizeof(T));
    const int64_t traffic = 3 * a.n * a.channels * row_bytes;
    const bool summed = a.training || a.grad_weight || a.grad_bias;
    if (summed && out && by_channels<T>(a.n, a.channels, a.inner, 2)) {
        const bool stream = rows_stream(out, row_bytes, traffic);
        for_channels(a.channels, 5 * a.n * row_bytes, [&](int64_t c) {
            GradSums sums{0, 0};
            for (int64_t i = 0; i < a.n; i++) {
                int64_t row = (i * a.channels + c) * a.inner;
                sums += sweep_grad_sums<V>(grad + row, in + row, V(mean[c]), a.inner);
            }
            take_sums(c, sums);
            for (int64_t i = a.n - 1; i >= 0; i--)
                write_row(c, (i * a.channels + c) * a.inner, stream);
        });
        return;
    }
    const GradSums* sums = summed ? channel_sums<T>(ctx, a) : nullptr;
    for (int64_t c = 0; c < a.channels; c++) take_sums(c, sums ? sums[c] : GradSums{0, 0});
    if (!out) return;
    for_items<V>(out, a.n, a.channels, a.inner, traffic, write_row,
                 [&](auto at, int64_t i) __attribute__((always_inline)) {
                     V g = at.load(grad + i) * at.load(scale);
                     if (a.training) {
                         V x = at.load(in + i) - at.load(mean);
                         g += fma(x, at.load(slope), at.load(shift));
                     }
                     return g;
                 });
}

void batch_norm_backward(Context& ctx, const BatchNormBackward& a) {
    dispatch_with_params(a.dtype, a.param_dtype, [&](auto tag, auto param_tag) {
        batch_norm_backward_items<typename decltype(tag)::type, typename decltype(param_tag)::type>(
            ctx, a);
    });
}

}  // namespace

void register_batch_norm(Table& table) {
    table.set(kernels::batch_norm, batch_norm, kFloating);
    table.set(kernels::batch_norm_backward, batch_norm_backward, kFloating);
}

}  // namespace ember::cpu::EMBER_LEVEL
