#include <cmath>

#include "cpu/rows.h"
#include "kernels/norm.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::GroupNorm;
using kernels::GroupNormBackward;

template <class T>
void group_norm_as(const GroupNorm& a) {
    using V = Vec<T>;
    const int64_t items = a.channels * a.inner;
    const int64_t bytes = items * int64_t(sizeof(T)), row = a.inner == 1 ? items : a.inner;
    const int64_t grain = clamp_to(kGrainBytes / (3 * bytes + 64), 1, kGrainBytes);
    const int64_t ahead = row_ahead<T>(items);
    const bool stream = rows_stream(a.out, row * int64_t(sizeof(T)), 2 * a.n * a.groups * bytes);
    const T *weight = static_cast<const T*>(a.weight), *bias = static_cast<const T*>(a.bias);
    parallel_for(a.n * a.groups, grain, [&](int64_t begin, int64_t end) {
        for (int64_t group = begin; group < end; group++) {
            const T* in = static_cast<const T*>(a.in) + group * items;
            T* out = static_cast<T*>(a.out) + group * items;
            Moments moments = kNoMoments;
            sweep_moments<V>(moments, items,
                             [&](auto at) __attribute__((always_inline)) { return at.load(in); });
            const V center = T(moments.mean);
            const T rstd = T(1 / std::sqrt(moments.squares / double(items) + a.eps));
            static_cast<T*>(a.mean)[group] = center.v[0];
            static_cast<T*>(a.rstd)[group] = rstd;
            const int64_t first = group % a.groups * a.channels;
            if (a.inner == 1) {
                sweep_into<V>(out, items, stream, [&](auto at) __attribute__((always_inline)) {
                    at.fetch(in + ahead);
                    V x = (at.load(in) - center) * V(rstd);
                    if (weight) x = x * at.load(weight + first);
                    if (bias) x += at.load(bias + first);
                    return x;
                });
                continue;
            }
            for (int64_t c = 0; c < a.channels; c++) {
                const V scale = weight ? rstd * weight[first + c] : rstd;
                const V offset = bias ? bias[first + c] : T(0);
                const T* from = in + c * a.inner;
                sweep_into<V>(out + c * a.inner, a.inner, stream,
                              [&](auto at) __attribute__((always_inline)) {
                                  at.fetch(from + ahead);
                                  return fma(at.load(from) - center, scale, offset);
                              });
            }
        }
        if (stream) stream_fence();
    });
}

template <class T>
void group_norm_backward_as(Context& context, const GroupNormBackward& a) {
    using V = Vec<T>;
    const int64_t items = a.channels * a.inner, channels = a.groups * a.channels;
    const int64_t bytes = items * int64_t(sizeof(T)), row = a.inner == 1 ? items : a.inner;
    const int64_t grain = clamp_to(kGrainBytes / (5 * bytes + 64), 1, kGrainBytes);
    const int64_t ahead = row_ahead<T>(items);
    const bool stream = a.grad_input && rows_stream(a.grad_input, row * int64_t(sizeof(T)),
                                                    3 * a.n * a.groups * bytes);
    const T *weight = static_cast<const T*>(a.weight), *mean = static_cast<const T*>(a.mean),
            *rstd = static_cast<const T*>(a.rstd);
    GradSums* sums = context.scratch_of<GradSums>(a.n * channels);  // (n, channels)
    parallel_for(a.n * a.groups, grain, [&](int64_t begin, int64_t end) {
        for (int64_t group = begin; group < end; group++) {
            const T* in = static_cast<const T*>(a.in) + group * items;
            const T* grad = static_cast<const T*>(a.grad) + group * items;
            const int64_t first = group % a.groups * a.channels;
            const V center = mean[group];
            double total = 0, dot = 0;  // over the group, weighted
            for (int64_t c = 0; c < a.channels; c++) {
                const int64_t from = c * a.inner;
                GradSums& s = sums[group * a.channels + c];
                if (a.inner == 1) {
                    s.grad = double(grad[c]);
                    s.dot = double(grad[c] * (in[c] - center.v[0]));
                } else {
                    s = sweep_grad_sums<V>(grad + from, in + from, center, a.inner);
                }
                const double w = weight ? double(weight[first + c]) : 1;
                total += w * s.grad;
                dot += w * s.dot;
            }
            if (!a.grad_input) continue;
            // grad_input = rstd * (weight * grad - total / items - (x - mean) * slope)
            T* out = static_cast<T*>(a.grad_input) + group * items;
            const double r = double(rstd[group]);
            const V slope = T(-r * r * r * dot / double(items));
            const V offset = T(-r * total / double(items));
            if (a.inner == 1) {
                sweep_into<V>(out, items, stream, [&](auto at) __attribute__((always_inline)) {
                    at.fetch(grad + ahead);
                    at.fetch(in + ahead);
                    V g = at.load(grad) * V(T(r));
                    if (weight) g = g * at.load(weight + first);
                    return g + fma(at.load(in) - center, slope, offset);
                });
                continue;
            }
            for (int64_t c = 0; c < a.channels; c++) {
                const int64_t from = c * a.inner;
                const V scale = T(weight ? r * double(weight[first + c]) : r);
                sweep_into<V>(out + from, a.inner, stream,
                              [&](auto at) __attribute__((always_inline)) {
                                  at.fetch(grad + from + ahead);
                                  at.fetch(in + from + ahead);
                                  const V x = at.load(in + from) - center;
                                  return fma(at.load(grad + from), scale, fma(x, slope, offset));
                              });
            }
        }
        if (stream) stream_fence();
    });
    for (int64_t c = 0; c < channels; c++) {
        double scale = 0, shift = 0;
        for (int64_t i = 0; i < a.n; i++) {
            const GradSums& s = sums[i * channels + c];
            scale += s.dot * double(rstd[i * a.groups + c / a.channels]);
            shift += s.grad;
        }
        if (a.grad_weight) static_cast<T*>(a.grad_weight)[c] = T(scale);
        if (a.grad_bias) static_cast<T*>(a.grad_bias)[c] = T(shift);
    }
}

void group_norm(Context&, const GroupNorm& a) {
    if (a.dtype == DType::Float64) return group_norm_as<double>(a);
    group_norm_as<float>(a);
}

void group_norm_backward(Context& context, const GroupNormBackward& a) {
    if (a.dtype == DType::Float64) return group_norm_backward_as<double>(context, a);
    group_norm_backward_as<float>(context, a);
}

}  // namespace

void register_group_norm(Table& table) {
    table.set(kernels::group_norm, group_norm, kFloats);
    table.set(kernels::group_norm_backward, group_norm_backward, kFloats);
}

}  // namespace ember::cpu::EMBER_LEVEL
