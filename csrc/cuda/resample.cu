#include "cuda/common.cuh"
#include "kernels/resample.h"

namespace ember::cuda {
namespace {

using kernels::Resample;
using kernels::Taps;

// The taps come from the host's memory, which the copy has read when it returns.
template <class T>
const T* on_device(Context& context, const T* data, int64_t count) {
    T* copy = context.scratch_of<T>(count);
    check(context.operation, cudaMemcpyAsync(copy, data, size_t(count) * sizeof(T),
                                             cudaMemcpyHostToDevice, stream_of(context)));
    return copy;
}

Taps on_device(Context& context, const Taps& taps, int64_t outputs) {
    if (!taps.begin) return {};
    Taps copy = taps;
    copy.begin = on_device(context, taps.begin, outputs + 1);
    copy.index = on_device(context, taps.index, taps.count);
    copy.weight = on_device(context, taps.weight, taps.count);
    return copy;
}

// sum of weight * item(index) over the taps of output i
template <class T, class F>
EMBER_DEVICE T mapped(const Taps& taps, int64_t i, F item) {
    if (!taps.begin) return item(i);
    T sum = 0;
    for (int64_t t = taps.begin[i]; t < taps.begin[i + 1]; t++)
        sum += T(taps.weight[t]) * item(taps.index[t]);
    return sum;
}

template <class T>
__global__ void resample_kernel(const Resample g) {
    EMBER_FOR_ITEMS(i, g.planes * g.out_h * g.out_w) {
        int64_t x = i % g.out_w, y = i / g.out_w % g.out_h, plane = i / (g.out_w * g.out_h);
        const T* in = static_cast<const T*>(g.in) + plane * g.in_h * g.in_w;
        static_cast<T*>(g.out)[i] = mapped<T>(g.rows, y, [&](int64_t row) {
            return mapped<T>(g.columns, x,
                             [&](int64_t column) { return in[row * g.in_w + column]; });
        });
    }
}

void resample(Context& context, const Resample& a) {
    Resample g = a;
    g.rows = on_device(context, a.rows, a.out_h);
    g.columns = on_device(context, a.columns, a.out_w);
    dispatch<float, double>(a.dtype, [&](auto tag) {
        run_items(context, resample_kernel<typename decltype(tag)::type>,
                  a.planes * a.out_h * a.out_w, g);
    });
}

}  // namespace

void register_resample(const Table& table) {
    table.set(kernels::resample, resample, dtypes(DType::Float32, DType::Float64));
}

}  // namespace ember::cuda
