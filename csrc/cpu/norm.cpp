#include "kernels/norm.h"

#include <cmath>

#include "cpu/rows.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::LayerNorm;
using kernels::LayerNormBackward;

template <class T, class P>
void layer_norm_rows(const LayerNorm& a) {
    using C = Compute<T>;
    using V = Lanes<T>;
    int64_t n = a.n;
    const P* weight = static_cast<const P*>(a.weight);
    const P* bias = static_cast<const P*>(a.bias);
    int64_t grain = clamp_to(kGrainBytes / (3 * n * int64_t(sizeof(T)) + 64), 1, kGrainBytes);
    parallel_for(a.rows, grain, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; row++) {
            const T* in = static_cast<const T*>(a.in) + row * n;
            T* out = static_cast<T*>(a.out) + row * n;
            double mean = 0;
            if (a.centred)
                mean = sweep_sum<V>(
                           n, [&](auto at) __attribute__((always_inline)) { return at.load(in); }) /
                       double(n);
            V center = C(mean);
            double squares = sweep_sum<V>(n,
                                          [&](auto at) __attribute__((always_inline)) {
                                              V d = at.or_else(at.load(in) - center, 0);
                                              return d * d;
                                          }) /
                             double(n);
            // The squares stand around the rounded mean.
            double shift = mean - double(center.v[0]);
            V rstd = C(1 / std::sqrt(squares - shift * shift + a.eps));
            static_cast<C*>(a.mean)[row] = center.v[0];
            static_cast<C*>(a.rstd)[row] = rstd.v[0];
            sweep<V>(0, n, [&](auto at) __attribute__((always_inline)) {
                V x = (at.load(in) - center) * rstd;
                if (weight) x = x * at.load(weight);
                if (bias) x += at.load(bias);
                at.store(out, x);
            });
        }
    });
}

void layer_norm(Context&, const LayerNorm& a) {
    dispatch_with_params(a.dtype, a.param_dtype, [&](auto tag, auto param_tag) {
        layer_norm_rows<typename decltype(tag)::type, typename decltype(param_tag)::type>(a);
    });
}

// One sweep over grad and input takes the row's two sums and adds to the chunk's weight gradients;
// a second one, in cache, writes the input's gradient.
template <class T, class P>
EMBER_INLINE void backward_row(const LayerNormBackward& a, int64_t row, Compute<T>* weight_sum,
                               Compute<T>* bias_sum) {
    using C = Compute<T>;
    using V = Lanes<T>;
    int64_t n = a.n;
    const T* in = static_cast<const T*>(a.in) + row * n;
    const T* grad = static_cast<const T*>(a.grad) + row * n;
    const P* weight = static_cast<const P*>(a.weight);
    V mean = static_cast<const C*>(a.mean)[row], rstd = static_cast<const C*>(a.rstd)[row];
    V sum = C(0), dot = C(0);
    sweep<V>(0, n, [&](auto at) __attribute__((always_inline)) {
        V g = at.load(grad), x = (at.load(in) - mean) * rstd;
        if (weight_sum) at.store(weight_sum, fma(g, x, at.load(weight_sum)));
        if (bias_sum) at.store(bias_sum, at.load(bias_sum) + g);
        if (weight) g *= at.load(weight);
        sum += g;
        dot = fma(g, x, dot);  // g is 0 behind the end
    });
    if (!a.grad_input) return;
    T* out = static_cast<T*>(a.grad_input) + row * n;
    V sum_mean = a.centred ? C(double(reduce_add(sum)) / double(n)) : C(0);
    V dot_mean = C(double(reduce_add(dot)) / double(n));
    sweep<V>(0, n, [&](auto at) __attribute__((always_inline)) {
        V g = at.load(grad), x = (at.load(in) - mean) * rstd;
        if (weight) g *= at.load(weight);
        at.store(out, rstd * ((g - sum_mean) - x * dot_mean));
    });
}

template <class T, class P>
void layer_norm_backward_rows(Context& ctx, const LayerNormBackward& a) {
    using C = Compute<T>;
    using V = Lanes<T>;
    int64_t n = a.n;
    int64_t chunk = clamp_to(kGrainBytes / (3 * n * int64_t(sizeof(T)) + 1), 16, 512);
    int64_t chunks = ceil_div(a.rows, chunk);
    // (chunks, 2, n): each chunk's gradients of weight and bias
    C* sums = a.grad_weight || a.grad_bias ? ctx.scratch_of<C>(chunks * 2 * n) : nullptr;
    parallel_for(a.rows, chunk, [&](int64_t begin, int64_t end) {
        C* weight_sum = a.grad_weight ? sums + begin / chunk * 2 * n : nullptr;
        C* bias_sum = a.grad_bias ? sums + (begin / chunk * 2 + 1) * n : nullptr;
        for (int64_t i = 0; weight_sum && i < n; i++) weight_sum[i] = 0;
        for (int64_t i = 0; bias_sum && i < n; i++) bias_sum[i] = 0;
        for (int64_t row = begin; row < end; row++) {
            backward_row<T, P>(a, row, weight_sum, bias_sum);
        }
    });
    auto add_chunks = [&](const C* from, P* to) {
        parallel_for(n, 4096, [&](int64_t begin, int64_t end) {
            sweep<V>(begin, end, [&](auto at) __attribute__((always_inline)) {
                V sum = C(0);
                for (int64_t c = 0; c < chunks; c++) sum += at.load(from + c * 2 * n);
                at.store(to, sum);
            });
        });
    };
    if (a.grad_weight) add_chunks(sums, static_cast<P*>(a.grad_weight));
    if (a.grad_bias) add_chunks(sums + n, static_cast<P*>(a.grad_bias));
}

void layer_norm_backward(Context& ctx, const LayerNormBackward& a) {
    dispatch_with_params(a.dtype, a.param_dtype, [&](auto tag, auto param_tag) {
        layer_norm_backward_rows<typename decltype(tag)::type, typename decltype(param_tag)::type>(
            ctx, a);
    });
}

}  // namespace

void register_norm(Table& table) {
    table.set(kernels::layer_norm, layer_norm, kFloating);
    table.set(kernels::layer_norm_backward, layer_norm_backward, kFloating);
}

}  // namespace ember::cpu::EMBER_LEVEL
