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
    const int64_t row_bytes = n * int64_t(sizeof(T)), ahead = row_ahead<T>(n);
    const bool stream = rows_stream(a.out, row_bytes, 2 * a.rows * row_bytes);
    int64_t grain = clamp_to(kGrainBytes / (3 * row_bytes + 64), 1, kGrainBytes);
    const int64_t turns = rows_in_turn<T>(n);
    C *means = static_cast<C*>(a.mean), *rstds = static_cast<C*>(a.rstd);
    auto take_moments = [&](int64_t row) {
        const T* in = static_cast<const T*>(a.in) + row * n;
        double mean = 0, squares;
        if (a.centred) {
            Moments moments = kNoMoments;
            sweep_moments<V>(moments, n,
                             [&](auto at) __attribute__((always_inline)) { return at.load(in); });
            mean = moments.mean;
            squares = moments.squares;
        } else {
            squares = sweep_sum<V>(n, [&](auto at) __attribute__((always_inline)) {
                V x = at.load(in);
                return x * x;
            });
        }
        means[row] = C(mean);
        rstds[row] = C(1 / std::sqrt(squares / double(n) + a.eps));
    };
    auto write = [&](int64_t row) {
        const T* in = static_cast<const T*>(a.in) + row * n;
        V center = means[row], rstd = rstds[row];
        sweep_into<V>(static_cast<T*>(a.out) + row * n, n, stream,
                      [&](auto at) __attribute__((always_inline)) {
                          at.fetch(in + ahead);
                          V x = (at.load(in) - center) * rstd;
                          if (weight) x = x * at.load(weight);
                          if (bias) x += at.load(bias);
                          return x;
                      });
    };
    parallel_for(a.rows, grain, [&](int64_t begin, int64_t end) {
        for (int64_t first = begin; first < end; first += turns) {
            int64_t stop = clamp_to(first + turns, 0, end);
            for (int64_t row = first; row < stop; row++) take_moments(row);
            for (int64_t row = first; row < stop; row++) write(row);
        }
        if (stream) stream_fence();
    });
}

void layer_norm(Context&, const LayerNorm& a) {
    dispatch_with_params(a.dtype, a.param_dtype, [&](auto tag, auto param_tag) {
        layer_norm_rows<typename decltype(tag)::type, typename decltype(param_tag)::type>(a);
    });
}

// One sweep over grad and input takes the sums of some rows and adds to the chunk's weight
// gradients, which thus go through the cache once for all these rows; a second one, in cache,
// writes the input's gradients.
template <class T, class P, int rows>
EMBER_INLINE void backward_rows(const LayerNormBackward& a, int64_t row, Compute<T>* weight_sum,
                                Compute<T>* bias_sum, bool stream) {
    using C = Compute<T>;
    using V = Lanes<T>;
    int64_t n = a.n;
    const T* in = static_cast<const T*>(a.in) + row * n;
    const T* grad = static_cast<const T*>(a.grad) + row * n;
    const P* weight = static_cast<const P*>(a.weight);
    V mean[rows], rstd[rows], sum[rows], dot[rows];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
        mean[r] = static_cast<const C*>(a.mean)[row + r];
        rstd[r] = static_cast<const C*>(a.rstd)[row + r];
        sum[r] = dot[r] = C(0);
    }
    sweep<V>(0, n, [&](auto at) __attribute__((always_inline)) {
        V weights = C(0), biases = C(0), scale = weight ? at.load(weight) : V(C(1));
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) {
            V g = at.load(grad + r * n), x = (at.load(in + r * n) - mean[r]) * rstd[r];
            weights = fma(g, x, weights);
            biases += g;
            g *= scale;
            sum[r] += g;
            dot[r] = fma(g, x, dot[r]);  // g is 0 behind the end
        }
        if (weight_sum) at.store(weight_sum, at.load(weight_sum) + weights);
        if (bias_sum) at.store(bias_sum, at.load(bias_sum) + biases);
    });
    if (!a.grad_input) return;
    int64_t ahead = row_ahead<T>(rows * n);
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
        T* out = static_cast<T*>(a.grad_input) + (row + r) * n;
        V sum_mean = a.centred ? C(double(reduce_add(sum[r])) / double(n)) : C(0);
        V dot_mean = C(double(reduce_add(dot[r])) / double(n));
        sweep_into<V>(out, n, stream, [&](auto at) __attribute__((always_inline)) {
            at.fetch(grad + r * n + ahead);
            at.fetch(in + r * n + ahead);
            V g = at.load(grad + r * n), x = (at.load(in + r * n) - mean[r]) * rstd[r];
            if (weight) g *= at.load(weight);
            return rstd[r] * ((g - sum_mean) - x * dot_mean);
        });
    }
}

template <class T, class P>
void layer_norm_backward_rows(Context& ctx, const LayerNormBackward& a) {
    using C = Compute<T>;
    using V = Lanes<T>;
    int64_t n = a.n;
    constexpr int kRows = EMBER_VECTOR_BYTES == 64 ? 4 : 2;  // as registers allow
    const int64_t row_bytes = n * int64_t(sizeof(T));
    const bool stream =
        a.grad_input && rows_stream(a.grad_input, row_bytes, 3 * a.rows * row_bytes);
    int64_t chunk = clamp_to(kGrainBytes / (3 * n * int64_t(sizeof(T)) + 1), 16, 512);
    int64_t chunks = ceil_div(a.rows, chunk);
    // (chunks, 2, n): each chunk's gradients of weight and bias
    C* sums = a.grad_weight || a.grad_bias ? ctx.scratch_of<C>(chunks * 2 * n) : nullptr;
    parallel_for(a.rows, chunk, [&](int64_t begin, int64_t end) {
        C* weight_sum = a.grad_weight ? sums + begin / chunk * 2 * n : nullptr;
        C* bias_sum = a.grad_bias ? sums + (begin / chunk * 2 + 1) * n : nullptr;
        for (int64_t i = 0; weight_sum && i < n; i++) weight_sum[i] = 0;
        for (int64_t i = 0; bias_sum && i < n; i++) bias_sum[i] = 0;
        int64_t row = begin;
        for (; row + kRows <= end; row += kRows) {
            backward_rows<T, P, kRows>(a, row, weight_sum, bias_sum, stream);
        }
        for (; row < end; row++) backward_rows<T, P, 1>(a, row, weight_sum, bias_sum, stream);
        if (stream) stream_fence();
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
