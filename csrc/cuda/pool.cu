#include <limits>

#include "cuda/index.cuh"
#include "kernels/pool.h"

// A thread an output forward. Backward averages are gathered by a thread an input, from the windows
// that hold it; maxima add at their indices.
namespace ember::cuda {
namespace {

using kernels::Pool2d;

template <class C>
EMBER_DEVICE C lowest() {
    if constexpr (std::is_floating_point_v<C>)
        return C(-INFINITY);
    else
        return std::numeric_limits<C>::lowest();
}

// Windows of one dimension: where window i begins, how many items it has, and how they lie.
struct Taps {
    int64_t begin, count, step;
    EMBER_DEVICE Taps(const Pool2d& g, int d, int64_t i) {
        int64_t size = d ? g.w : g.h, windows = d ? g.out_w : g.out_h;
        begin = g.adaptive ? i * size / windows : i * g.stride[d] - g.pad[d];
        count = g.adaptive ? ceil_div((i + 1) * size, windows) - begin : g.kernel[d];
        step = g.adaptive ? 1 : g.dilation[d];
    }
};

template <class T>
__global__ void max_kernel(const T* in, T* out, const __grid_constant__ Pool2d g) {
    using C = Compute<T>;
    int64_t outputs = g.out_h * g.out_w;
    EMBER_FOR_ITEMS(i, g.planes * outputs) {
        const T* plane = in + i / outputs * g.h * g.w;
        Taps rows(g, 0, i % outputs / g.out_w), columns(g, 1, i % g.out_w);
        C best = lowest<C>();
        int64_t place = -1;
        for (int64_t r = 0; r < rows.count; r++) {
            int64_t y = rows.begin + r * rows.step;
            if (y >= g.h) break;
            if (y < 0) continue;
            for (int64_t s = 0; s < columns.count; s++) {
                int64_t x = columns.begin + s * columns.step;
                if (x >= g.w) break;
                if (x < 0) continue;
                C value = C(widen(plane[y * g.w + x]));
                if (place < 0 || value > best || value != value) {
                    best = value;
                    place = y * g.w + x;
                }
            }
        }
        out[i] = narrow<T>(best);
        if (g.indices) g.indices[i] = place;
    }
}

// The windows along dimension d that may hold `position`: from first to last.
EMBER_DEVICE void windows(const Pool2d& g, int d, int64_t position, int64_t& first, int64_t& last) {
    int64_t reach = (g.kernel[d] - 1) * g.dilation[d], at = position + g.pad[d];
    first = at < reach ? 0 : (at - reach + g.stride[d] - 1) / g.stride[d];
    int64_t most = (d ? g.out_w : g.out_h) - 1;
    last = at / g.stride[d] < most ? at / g.stride[d] : most;
}

// The item of the input that each window's maximum was, -1 where the window was empty.
__global__ void places_kernel(const int64_t* indices, int64_t planes, int64_t outputs,
                              int64_t items, int64_t* places) {
    EMBER_FOR_ITEMS(i, planes * outputs) {
        bool inside = indices[i] >= 0 && indices[i] < items;
        places[i] = inside ? i / outputs * items + indices[i] : -1;
    }
}

template <class T>
struct Adds {
    template <bool atomic>
    struct To {
        const T* grad;
        Compute<T>* sums;
        EMBER_DEVICE void operator()(int64_t place, int64_t window, int64_t) const {
            add_item<atomic>(sums[place], Compute<T>(widen(grad[window])));
        }
    };
};

template <class T>
__global__ void round_kernel(const Compute<T>* sums, T* out, int64_t n) {
    EMBER_FOR_ITEMS(i, n) { out[i] = narrow<T>(sums[i]); }
}

// Items of a window along one dimension: those in the plane, and those that the average divides by.
struct Window {
    int64_t begin, end, counted;
    EMBER_DEVICE Window(const Pool2d& g, int d, int64_t position) {
        int64_t size = d ? g.w : g.h, start = position * g.stride[d] - g.pad[d];
        int64_t stop =
            start + g.kernel[d] < size + g.pad[d] ? start + g.kernel[d] : size + g.pad[d];
        begin = start > 0 ? start : 0;
        end = stop < size ? stop : size;
        counted = g.count_include_pad ? stop - start : end - begin;
    }
};

template <class T>
__global__ void average_kernel(const T* in, T* out, const __grid_constant__ Pool2d g) {
    using C = Compute<T>;
    int64_t outputs = g.out_h * g.out_w;
    EMBER_FOR_ITEMS(i, g.planes * outputs) {
        const T* plane = in + i / outputs * g.h * g.w;
        Window rows(g, 0, i % outputs / g.out_w), columns(g, 1, i % g.out_w);
        C sum = 0;
        for (int64_t y = rows.begin; y < rows.end; y++)
            for (int64_t x = columns.begin; x < columns.end; x++) sum += widen(plane[y * g.w + x]);
        int64_t counted = (columns.counted > 1 ? columns.counted : 1) * rows.counted;
        out[i] = narrow<T>(sum / C(g.divisor != 0 ? g.divisor : counted));
    }
}

template <class T>
__global__ void average_backward_kernel(const T* grad, T* out, const __grid_constant__ Pool2d g) {
    using C = Compute<T>;
    int64_t items = g.h * g.w, outputs = g.out_h * g.out_w;
    EMBER_FOR_ITEMS(i, g.planes * items) {
        int64_t plane = i / items, place = i % items, top, bottom, left, right;
        windows(g, 0, place / g.w, top, bottom);
        windows(g, 1, place % g.w, left, right);
        C sum = 0;
        for (int64_t y = top; y <= bottom; y++) {
            Window rows(g, 0, y);
            for (int64_t x = left; x <= right; x++) {
                Window columns(g, 1, x);
                C divisor = C(g.divisor != 0 ? g.divisor : rows.counted * columns.counted);
                sum += C(widen(grad[plane * outputs + y * g.out_w + x])) / divisor;
            }
        }
        out[i] = narrow<T>(sum);
    }
}

void max_pool2d(Context& context, const Pool2d& g) {
    dispatch<float, double, Half, BFloat16, uint8_t, int8_t, int16_t, int32_t, int64_t>(
        g.dtype, [&](auto tag) {
            using T = typename decltype(tag)::type;
            run_items(context, max_kernel<T>, g.planes * g.out_h * g.out_w,
                      static_cast<const T*>(g.input), static_cast<T*>(g.output), g);
        });
}
// By the indices alone: of windows the geometry does not say more than how many there are.
void max_pool2d_backward(Context& context, const Pool2d& g) {
    int64_t items = g.h * g.w, outputs = g.out_h * g.out_w;
    int64_t* places = context.scratch_of<int64_t>(g.planes * outputs);
    run_items(context, places_kernel, g.planes * outputs, static_cast<const int64_t*>(g.indices),
              g.planes, outputs, items, places);
    dispatch_floating(g.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        using C = Compute<T>;
        int64_t n = g.planes * items;
        C* sums;
        if constexpr (is_half<T>)
            sums = context.scratch_of<C>(n);
        else
            sums = static_cast<C*>(g.input);
        check(context.operation,
              cudaMemsetAsync(sums, 0, size_t(n) * sizeof(C), stream_of(context)));
        add_to_slots<Adds<T>::template To>(context, places, g.planes * outputs, int64_t(1),
                                           static_cast<const T*>(g.output), sums);
        if constexpr (is_half<T>)
            run_items(context, round_kernel<T>, n, static_cast<const C*>(sums),
                      static_cast<T*>(g.input), n);
    });
}
void avg_pool2d(Context& context, const Pool2d& given) {
    Pool2d g = given;
    g.dilation[0] = g.dilation[1] = 1;
    dispatch<float, double, Half, BFloat16, int64_t>(g.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        run_items(context, average_kernel<T>, g.planes * g.out_h * g.out_w,
                  static_cast<const T*>(g.input), static_cast<T*>(g.output), g);
    });
}
void avg_pool2d_backward(Context& context, const Pool2d& given) {
    Pool2d g = given;
    g.dilation[0] = g.dilation[1] = 1;
    dispatch_floating(g.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        run_items(context, average_backward_kernel<T>, g.planes * g.h * g.w,
                  static_cast<const T*>(g.output), static_cast<T*>(g.input), g);
    });
}

}  // namespace

void register_pool(const Table& table) {
    table.set(kernels::max_pool2d, max_pool2d, kNumeric);
    table.set(kernels::max_pool2d_backward, max_pool2d_backward, kFloating);
    table.set(kernels::avg_pool2d, avg_pool2d, kFloating | dtypes(DType::Int64));
    table.set(kernels::avg_pool2d_backward, avg_pool2d_backward, kFloating);
}

}  // namespace ember::cuda
