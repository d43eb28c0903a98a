#include "kernels/grid_sample.h"

#include "cpu/rows.h"

// Points go by blocks: first where each reads and with what weights, on registers, then the
// channels one after the other.
namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::GridSample;

constexpr int64_t kBlock = 64;  // points
constexpr int kMostTaps = 16;   // of a point: 4 by 4, or 2 by 2 by 2
constexpr int64_t kGroup = 8;   // channels that share the places of a block

// The taps along one dim: item, weight and the weight's derivative by the grid's coordinate.
template <class T>
struct Line {
    typename Vec<T>::Int item[4];
    Vec<T> weight[4], slope[4];
};

// Coordinates mirrored at low and high until they lie between, and -1 where that turned them.
template <class T>
EMBER_INLINE Vec<T> reflected(Vec<T> x, T low, T high, Vec<T>& sign) {
    using V = Vec<T>;
    if (low == high) {
        sign = V(0);
        return V(0);
    }
    V span(high - low), from = x - V(low), distance = abs(from);
    V flips = floor(distance / span), rest = distance - flips * span;
    auto even = floor(flips * V(T(0.5))) == flips * V(T(0.5));
    sign = select(from < V(0), V(-1), V(1)) * select(even, V(1), V(-1));
    return select(even, rest + V(low), V(high) - rest);
}

// What padding makes of a coordinate; `slope` is multiplied by its derivative.
template <class T>
EMBER_INLINE Vec<T> padded(const GridSample& g, Vec<T> x, int64_t size, Vec<T>& slope) {
    using V = Vec<T>;
    if (g.padding == GridSample::Padding::Zeros) return x;
    if (g.padding == GridSample::Padding::Reflection) {
        V sign;
        x = g.align_corners ? reflected<T>(x, T(0), T(size - 1), sign)
                            : reflected<T>(x, T(-0.5), T(size) - T(0.5), sign);
        slope = slope * sign;
    }
    V last = V(T(size - 1));
    slope = select((x <= V(0)) | (x >= last), V(0), slope);
    return select(x <= V(0), V(0), select(x >= last, last, x));
}

// Tap t at a whole place, inside or not.
template <class T>
EMBER_INLINE void set_tap(Line<T>& line, int t, Vec<T> place, int64_t size, Vec<T> weight,
                          Vec<T> slope) {
    using V = Vec<T>;
    V last = V(T(size - 1));
    auto inside = (place >= V(0)) & (place <= last);
    line.item[t] = small_int(select(inside, place, V(0)));
    line.weight[t] = select(inside, weight, V(0));
    line.slope[t] = select(inside, slope, V(0));
}

// The taps of coordinates along a dim.
template <class T>
EMBER_INLINE Line<T> taps_of(const GridSample& g, Vec<T> x, int64_t size) {
    using V = Vec<T>;
    Line<T> line;
    V slope = V(g.align_corners ? T(size - 1) / 2 : T(size) / 2);
    x = g.align_corners ? (x + V(1)) * V(T(0.5)) * V(T(size - 1))
                        : ((x + V(1)) * V(T(size)) - V(1)) * V(T(0.5));
    if (g.mode != GridSample::Mode::Cubic) x = padded(g, x, size, slope);
    if (g.mode == GridSample::Mode::Nearest) {
        set_tap(line, 0, round(x), size, V(1), V(0));
        return line;
    }
    V low = floor(x), t = x - low;
    if (g.mode == GridSample::Mode::Linear) {
        set_tap(line, 0, low, size, V(1) - t, -slope);
        set_tap(line, 1, low + V(1), size, t, slope);
        return line;
    }
    const T a = T(-0.75);  // R. Keys's kernel by the distances t + 1, t, 1 - t and 2 - t
    V u = V(1) - t, far = t + V(1), end = u + V(1);
    auto outer = [a](V d) __attribute__((always_inline)) {
        return ((V(a) * d - V(5 * a)) * d + V(8 * a)) * d - V(4 * a);
    };
    auto inner = [a](V d) __attribute__((always_inline)) {
        return (V(a + 2) * d - V(a + 3)) * d * d + V(1);
    };
    auto outer_slope = [a](V d) __attribute__((always_inline)) {
        return (V(3 * a) * d - V(10 * a)) * d + V(8 * a);
    };
    auto inner_slope = [a](V d) __attribute__((always_inline)) {
        return (V(3 * (a + 2)) * d - V(2 * (a + 3))) * d;
    };
    const V weight[4] = {outer(far), inner(t), inner(u), outer(end)};
    const V by[4] = {outer_slope(far), inner_slope(t), -inner_slope(u), -outer_slope(end)};
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        V none = V(0);
        V place = padded(g, low + V(T(i - 1)), size, none);
        set_tap(line, i, g.padding == GridSample::Padding::Zeros ? place : round(place), size,
                weight[i], by[i] * slope);
    }
    return line;
}

// Where a block's points read: taps[t][p] of each point, its weight and, where asked for, the
// weight's derivative by each of the grid's coordinates.
template <class T>
struct Places {
    int taps = 0;
    alignas(64) int32_t item[kMostTaps][kBlock];
    alignas(64) T weight[kMostTaps][kBlock];
    alignas(64) T slope[3][kMostTaps][kBlock];
};

template <class T>
EMBER_INLINE void store_items32(typename Vec<T>::Int items, int32_t* to) {
    for (int i = 0; i < Vec<T>::size; i++) to[i] = int32_t(items.v[i]);
}

// Of points [begin, begin + n) of image `image`.
template <class T>
EMBER_NOINLINE void find_places(const GridSample& g, int64_t image, int64_t begin, int64_t n,
                                bool slopes, Places<T>& places) {
    using V = Vec<T>;
    using I = typename V::Int;
    const int width = g.mode == GridSample::Mode::Nearest  ? 1
                      : g.mode == GridSample::Mode::Linear ? 2
                                                           : 4;
    alignas(64) T coordinates[3][kBlock] = {};
    const T* grid = static_cast<const T*>(g.grid) + (image * g.points + begin) * g.rank;
    for (int64_t p = 0; p < n; p++)
        for (int d = 0; d < g.rank; d++) coordinates[g.rank - 1 - d][p] = grid[p * g.rank + d];
    places.taps = g.rank == 2 ? width * width : width * width * width;
    for (int64_t p = 0; p < n; p += V::size) {
        Line<T> line[3];
        for (int d = 0; d < g.rank; d++)
            line[d] = taps_of<T>(g, V::load(coordinates[d] + p), g.size[d]);
        int t = 0;
        auto put = [&](I item, V weight, V s0, V s1, V s2) __attribute__((always_inline)) {
            store_items32<T>(item, places.item[t] + p);
            weight.store(places.weight[t] + p);
            if (slopes) {
                s0.store(places.slope[0][t] + p);
                s1.store(places.slope[1][t] + p);
                s2.store(places.slope[2][t] + p);
            }
            t++;
        };
        using Item = typename I::Scalar;
        for (int i = 0; i < width; i++) {
            for (int j = 0; j < width; j++) {
                I row = line[0].item[i] * I(Item(g.size[1])) + line[1].item[j];
                V w0 = line[0].weight[i], w1 = line[1].weight[j];
                V s0 = line[0].slope[i] * w1, s1 = w0 * line[1].slope[j];
                if (g.rank == 2) {
                    put(row, w0 * w1, s0, s1, V(0));
                    continue;
                }
                for (int k = 0; k < width; k++) {
                    V w2 = line[2].weight[k];
                    put(row * I(Item(g.size[2])) + line[2].item[k], w0 * w1 * w2, s0 * w2, s1 * w2,
                        w0 * w1 * line[2].slope[k]);
                }
            }
        }
    }
}

EMBER_INLINE int64_t plane_items(const GridSample& g) {
    return g.size[0] * g.size[1] * (g.rank == 3 ? g.size[2] : 1);
}

// f(image, first point, points) for all blocks of points.
template <class F>
EMBER_INLINE void for_blocks(const GridSample& g, int64_t item_bytes, F f) {
    const int64_t blocks = ceil_div(g.points, kBlock);
    const int64_t cost = (g.channels + 4) * kBlock * item_bytes * 4;
    const int64_t grain = clamp_to(4 * kGrainBytes / cost, 1, 1 << 20);
    parallel_for(g.batch * blocks, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            const int64_t first = i % blocks * kBlock;
            f(i / blocks, first, g.points - first < kBlock ? g.points - first : kBlock);
        }
    });
}

template <class T, int Taps>
EMBER_INLINE void read_points(const Places<T>& places, const T* in, T* out, int64_t n) {
    for (int64_t p = 0; p < n; p++) {
        T sum = places.weight[0][p] * in[places.item[0][p]];
#pragma GCC unroll 16
        for (int t = 1; t < Taps; t++) sum += places.weight[t][p] * in[places.item[t][p]];
        out[p] = sum;
    }
}

template <class T>
void sample(const GridSample& g) {
    const int64_t plane = plane_items(g);
    for_blocks(g, sizeof(T), [&](int64_t image, int64_t first, int64_t n) {
        Places<T> places;
        find_places(g, image, first, n, false, places);
        for (int64_t c = image * g.channels; c < (image + 1) * g.channels; c++) {
            const T* in = static_cast<const T*>(g.input) + c * plane;
            T* out = static_cast<T*>(g.out) + c * g.points + first;
            switch (places.taps) {
                case 1: read_points<T, 1>(places, in, out, n); break;
                case 4: read_points<T, 4>(places, in, out, n); break;
                case 8: read_points<T, 8>(places, in, out, n); break;
                default: read_points<T, 16>(places, in, out, n);
            }
        }
    });
}

template <class T>
void sample_backward(const GridSample& g) {
    const int64_t plane = plane_items(g);
    const T* grad = static_cast<const T*>(g.grad);
    if (g.grad_input) {
        const int64_t groups = ceil_div(g.channels, kGroup);
        parallel_for(g.batch * groups, 1, [&](int64_t begin, int64_t end) {
            Places<T> places;
            for (int64_t i = begin; i < end; i++) {
                const int64_t image = i / groups, from = i % groups * kGroup;
                const int64_t to = from + kGroup < g.channels ? from + kGroup : g.channels;
                for (int64_t first = 0; first < g.points; first += kBlock) {
                    const int64_t n = g.points - first < kBlock ? g.points - first : kBlock;
                    find_places(g, image, first, n, false, places);
                    for (int64_t c = image * g.channels + from; c < image * g.channels + to; c++) {
                        T* out = static_cast<T*>(g.grad_input) + c * plane;
                        const T* by = grad + c * g.points + first;
                        for (int64_t p = 0; p < n; p++)
                            for (int t = 0; t < places.taps; t++)
                                out[places.item[t][p]] += places.weight[t][p] * by[p];
                    }
                }
            }
        });
    }
    if (!g.grad_grid) return;
    for_blocks(g, sizeof(T), [&](int64_t image, int64_t first, int64_t n) {
        Places<T> places;
        find_places(g, image, first, n, true, places);
        T* out = static_cast<T*>(g.grad_grid) + (image * g.points + first) * g.rank;
        T sums[3][kBlock] = {};
        for (int64_t c = image * g.channels; c < (image + 1) * g.channels; c++) {
            const T* in = static_cast<const T*>(g.input) + c * plane;
            const T* by = grad + c * g.points + first;
            for (int t = 0; t < places.taps; t++) {
                for (int64_t p = 0; p < n; p++) {
                    const T value = in[places.item[t][p]] * by[p];
                    sums[0][p] += places.slope[0][t][p] * value;
                    sums[1][p] += places.slope[1][t][p] * value;
                    if (g.rank == 3) sums[2][p] += places.slope[2][t][p] * value;
                }
            }
        }
        for (int64_t p = 0; p < n; p++)
            for (int d = 0; d < g.rank; d++) out[p * g.rank + d] = sums[g.rank - 1 - d][p];
    });
}

void grid_sample(Context&, const GridSample& g) {
    g.dtype == DType::Float64 ? sample<double>(g) : sample<float>(g);
}
void grid_sample_backward(Context&, const GridSample& g) {
    g.dtype == DType::Float64 ? sample_backward<double>(g) : sample_backward<float>(g);
}

}  // namespace

void register_grid_sample(Table& table) {
    table.set(kernels::grid_sample, grid_sample, kFloats);
    table.set(kernels::grid_sample_backward, grid_sample_backward, kFloats);
}

}  // namespace ember::cpu::EMBER_LEVEL
