#pragma once

#include "core/parallel.h"
#include "cpu/conv_kernel.h"
#include "cpu/conv_pad.h"

// Depthwise convolutions with channels in the lanes of registers, so that neither a stride nor the
// width of an image matters. Channels_last images lie so; of others, some rows are transposed.
namespace ember::cpu::EMBER_LEVEL {
namespace {

constexpr int64_t kBandPixels = 1024;     // of an image that is transposed at one time
constexpr int64_t kBandItems = 64 << 10;  // of an image of pixels
constexpr int64_t kBandTasks = 64;        // wanted of a whole convolution

// An image, or rows of it from `first_row` on, whose pixels hold a register's channels side by
// side.
template <class T>
struct LaneImage {
    T* data;
    int64_t pixel, first_row, height, width;
    EMBER_INLINE T* at(int64_t row, int64_t column) const {
        return data + ((row - first_row) * width + column) * pixel;
    }
};

// Positions of the output that are `step` apart, each of which sees the same taps. Forward all
// positions do; the gradient of the input has a phase for each remainder modulo the stride.
struct LanePhase {
    struct Dim {
        int64_t first, count;     // positions of the output
        int64_t tap, step, taps;  // of the window
        int64_t shift, each;      // of the first tap's source, and the difference to the next
        int64_t stride, size;     // of the source
        Range interior;           // positions that see all taps

        EMBER_INLINE int64_t source(int64_t i) const { return i * stride + shift; }
        // Taps whose source position i sees.
        EMBER_INLINE Range reach(int64_t i) const {
            auto sees = [&](int64_t tap) __attribute__((always_inline)) {
                const int64_t at = source(i) + tap * each;
                return at >= 0 && at < size;
            };
            Range r{0, taps};
            while (r.begin < taps && !sees(r.begin)) r.begin++;
            while (r.end > r.begin && !sees(r.end - 1)) r.end--;
            return r;
        }
        EMBER_INLINE void find_interior() {
            auto whole = [&](int64_t i) __attribute__((always_inline)) {
                const Range r = reach(i);
                return r.end - r.begin == taps;
            };
            interior = {0, count};
            while (interior.begin < count && !whole(interior.begin)) interior.begin++;
            while (interior.end > interior.begin && !whole(interior.end - 1)) interior.end--;
        }
    };
    Dim rows, columns;
};

template <class T>
struct LaneCall {
    Range rows, columns;                    // of taps
    const T* source;                        // at the first tap's shift
    int64_t row_each, column_each, stride;  // in items
    const T* weight;                        // (taps of the window, kLanes), from the first tap
    int64_t weight_row, weight_column;
    Vec<T> bias;
    T* out;
    int64_t out_step;
};

// Count neighbours of a row of the output.
template <class T, int Count>
EMBER_NOINLINE void lane_sums(const LaneCall<T>& call) {
    using V = Vec<T>;
    V acc[Count];
#pragma GCC unroll 8
    for (int i = 0; i < Count; i++) acc[i] = call.bias;
    for (int64_t r = call.rows.begin; r < call.rows.end; r++) {
        const T* row = call.source + r * call.row_each;
        const T* weight = call.weight + r * call.weight_row;
        for (int64_t s = call.columns.begin; s < call.columns.end; s++) {
            const T* from = row + s * call.column_each;
            const V w = V::load(weight + s * call.weight_column);
#pragma GCC unroll 8
            for (int i = 0; i < Count; i++)
                acc[i] = fma(V::load(from + i * call.stride), w, acc[i]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < Count; i++) acc[i].store(call.out + i * call.out_step);
}

// Row i of a phase; `window` is the taps of a row.
template <class T>
EMBER_INLINE void lane_row(const LanePhase& p, int64_t i, int64_t window, const int64_t* step,
                           const LaneImage<const T>& source, const LaneImage<T>& out,
                           const T* weight, Vec<T> bias) {
    constexpr int64_t kLanes = Vec<T>::size;
    const LanePhase::Dim &rows = p.rows, &columns = p.columns;
    LaneCall<T> call;
    call.rows = rows.reach(i);
    call.row_each = rows.each * source.width * source.pixel;
    call.column_each = columns.each * source.pixel;
    call.stride = columns.stride * source.pixel;
    call.weight = weight + (rows.tap * window + columns.tap) * kLanes;
    call.weight_row = rows.step * window * kLanes;
    call.weight_column = columns.step * kLanes;
    call.bias = bias;
    call.out_step = step[1] * out.pixel;
    auto run = [&](auto count, int64_t j) __attribute__((always_inline)) {
        call.source = source.at(rows.source(i), columns.source(j));
        call.out = out.at(rows.first + i * step[0], columns.first + j * step[1]);
        lane_sums<T, decltype(count)::value>(call);
        return j + decltype(count)::value;
    };
    auto border = [&](int64_t begin, int64_t end) __attribute__((always_inline)) {
        for (int64_t j = begin; j < end; j++) {
            call.columns = columns.reach(j);
            run(std::integral_constant<int, 1>{}, j);
        }
    };
    const Range inner = columns.interior;
    border(0, inner.begin);
    call.columns = {0, columns.taps};
    int64_t j = inner.begin;
    while (j + 8 <= inner.end) j = run(std::integral_constant<int, 8>{}, j);
    if (j + 4 <= inner.end) j = run(std::integral_constant<int, 4>{}, j);
    if (j + 2 <= inner.end) j = run(std::integral_constant<int, 2>{}, j);
    if (j < inner.end) run(std::integral_constant<int, 1>{}, j);
    border(inner.end, columns.count);
}

// What the three slots share: phases, and how rows are cut into bands.
struct Depthwise {
    const Conv2d& g;
    LanePhase* phases;
    int64_t count = 0;
    int64_t step[2] = {1, 1};
    int64_t rows = 0;           // positions of the largest phase
    int64_t low = 0, high = 0;  // rows of the source that position 0 sees
    int64_t stride = 1;         // of the source's rows
    int64_t source_h, source_w, out_h, out_w;

    EMBER_INLINE Depthwise(Context& context, const Conv2d& g, bool backward) : g(g) {
        source_h = backward ? g.out_h : g.h, source_w = backward ? g.out_w : g.w;
        out_h = backward ? g.h : g.out_h, out_w = backward ? g.w : g.out_w;
        if (backward) step[0] = g.stride[0], step[1] = g.stride[1];
        const int64_t heights = least(step[0], out_h), widths = least(step[1], out_w);
        phases = context.scratch_of<LanePhase>(heights * widths);
        for (int64_t y = 0; y < heights; y++)
            for (int64_t x = 0; x < widths; x++) {
                LanePhase& p = phases[count++];
                p.rows = backward ? adjoint(0, y) : direct(0);
                p.columns = backward ? adjoint(1, x) : direct(1);
                p.rows.find_interior();
                p.columns.find_interior();
                if (p.rows.taps == 0) continue;
                const int64_t last = p.rows.shift + (p.rows.taps - 1) * p.rows.each;
                low = least(low, least(p.rows.shift, last));
                high = most(high, most(p.rows.shift, last));
            }
        rows = ceil_div(out_h, step[0]);
        stride = backward ? 1 : g.stride[0];
    }
    EMBER_INLINE LanePhase::Dim direct(int d) const {
        return {0,           d ? out_w : out_h, 0, 1, d ? g.s : g.r, -g.pad[d], g.dilation[d],
                g.stride[d], d ? g.w : g.h,     {}};
    }
    EMBER_INLINE LanePhase::Dim adjoint(int d, int64_t phase) const {
        const int64_t kernel = d ? g.s : g.r, size = d ? g.w : g.h;
        const Phase p(phase, kernel, g.stride[d], g.pad[d], g.dilation[d]);
        return {phase,
                ceil_div(size - phase, g.stride[d]),
                p.begin,
                p.step,
                p.count(kernel),
                p.first,
                p.each,
                1,
                d ? g.out_w : g.out_h,
                {}};
    }
    // Rows of the source that positions [first, last) see.
    EMBER_INLINE Range source_rows(Range positions) const {
        const int64_t begin = clamp_to(positions.begin * stride + low, 0, source_h);
        return {begin, most(begin, least(source_h, (positions.end - 1) * stride + high + 1))};
    }
    // Into how many bands rows are cut so that a band stays in L2 for all channels, or can be
    // transposed, or 0.
    EMBER_INLINE int64_t bands() const {
        if (g.channels_last) return clamp_to(out_h * out_w * g.c / kBandItems, 1, rows);
        const int64_t reach = (kBandPixels / most(1, source_w) - (high - low) - 1) / stride + 1;
        const int64_t height = least(reach, kBandPixels / (out_w * step[0]));
        if (kBandPixels < source_w * (high - low + 1) || height < 1) return 0;
        return ceil_div(rows, height);
    }
};

EMBER_INLINE bool is_depthwise(const Conv2d& g) { return g.groups == g.c && g.k == g.c; }

// Whether lanes can hold channels, and whether they should: long rows of pixels need no
// transposing.
EMBER_INLINE bool fits_lanes(const Depthwise& x) {
    constexpr int64_t kLeastChannels = 8;
    return x.g.channels_last || (x.g.c >= kLeastChannels && x.bands() > 0);
}
EMBER_INLINE bool suits_lanes(const Depthwise& x) {
    constexpr int64_t kLongRow = 32;
    const bool long_rows = x.g.stride[1] == 1 && x.g.out_w >= kLongRow;
    return fits_lanes(x) && (x.g.channels_last || !long_rows);
}

// Rows of `channels` planes, or of an image of pixels, transposed into `buffer` where they must.
template <class T>
EMBER_INLINE LaneImage<const T> lanes_of(const T* images, bool channels_last, int64_t channels,
                                         int64_t n, int64_t first, int64_t height, int64_t width,
                                         Range rows, T* buffer) {
    constexpr int64_t kLanes = Vec<T>::size;
    const int64_t pixels = height * width;
    if (channels_last) return {images + n * pixels * channels + first, channels, 0, height, width};
    pack(images + (n * channels + first) * pixels + rows.begin * width, pixels, 1,
         least(kLanes, channels - first), (rows.end - rows.begin) * width, buffer, kLanes);
    return {buffer, kLanes, rows.begin, height, width};
}

template <class T>
EMBER_INLINE T* pack_depthwise(Context& context, const Conv2d& g) {
    constexpr int64_t kLanes = Vec<T>::size;
    const int64_t taps = g.r * g.s, strips = ceil_div(g.c, kLanes);
    T* packed = context.scratch_of<T>(strips * taps * kLanes);
    for (int64_t i = 0; i < strips; i++)
        pack(static_cast<const T*>(g.weight) + i * kLanes * taps, taps, 1,
             least(kLanes, g.c - i * kLanes), taps, packed + i * taps * kLanes, kLanes);
    return packed;
}

// Forward from `images`, or the gradient of the input.
template <class T>
EMBER_NOINLINE void depthwise(Context& context, const Depthwise& x, const T* images, T* results) {
    constexpr int64_t kLanes = Vec<T>::size;
    const Conv2d& g = x.g;
    const int64_t taps = g.r * g.s, strips = ceil_div(g.c, kLanes);
    const T* weights = pack_depthwise<T>(context, g);
    const T* bias = static_cast<const T*>(g.bias);
    const int64_t bands = most(x.bands(), least(x.rows, kBandTasks / (g.n * strips)));
    const int64_t products = ceil_div(x.rows, bands) * x.out_w * taps;
    parallel_for(
        g.n * strips * bands, kTaskProducts / (products + 1) + 1, [&](int64_t begin, int64_t end) {
            alignas(64) T in[kBandPixels * kLanes];
            alignas(64) T computed[(kBandPixels + kLanes) * kLanes];
            for (int64_t t = begin; t < end; t++) {
                const int64_t n = t / strips / bands, strip = t % strips;
                const int64_t first = strip * kLanes, lanes = least(kLanes, g.c - first);
                const Range rows = piece(x.rows, bands, t / strips % bands);
                const LaneImage<const T> source =
                    lanes_of(images, g.channels_last, g.c, n, first, x.source_h, x.source_w,
                             x.source_rows(rows), in);
                const int64_t pixels = x.out_h * x.out_w;
                LaneImage<T> out{computed, kLanes, rows.begin * x.step[0], x.out_h, x.out_w};
                if (g.channels_last)
                    out = {results + n * pixels * g.c + first, g.c, 0, x.out_h, x.out_w};
                const Vec<T> start = bias ? load_first<T>(bias + first, lanes) : Vec<T>(T(0));
                for (int64_t p = 0; p < x.count; p++)
                    for (int64_t i = rows.begin; i < least(rows.end, x.phases[p].rows.count); i++)
                        lane_row(x.phases[p], i, g.s, x.step, source, out,
                                 weights + strip * taps * kLanes, start);
                if (g.channels_last) continue;
                const int64_t from = out.first_row, to = least(x.out_h, rows.end * x.step[0]);
                store_channels(
                    computed, (to - from) * x.out_w, lanes, static_cast<const T*>(nullptr),
                    results + (n * g.c + first) * pixels + from * x.out_w, pixels, kLanes);
            }
        });
}

// Sums of the products of neighbours of a row of gradients with what each of some taps saw.
template <class T>
struct LaneProducts {
    int64_t columns, source_step, grad_step;
    const T *source, *grad;
    const int64_t* offsets;  // of the source, for each tap of the window
    T* sums;                 // likewise
};

template <class T, int Count>
void lane_products(const LaneProducts<T>& call, const int64_t* taps) {
    using V = Vec<T>;
    V acc[Count];
    const T* source[Count];
#pragma GCC unroll 9
    for (int k = 0; k < Count; k++) {
        acc[k] = V::load(call.sums + taps[k] * V::size);
        source[k] = call.source + call.offsets[taps[k]];
    }
    int64_t at = 0;
    for (int64_t x = 0; x < call.columns; x++, at += call.source_step) {
        const V grad = V::load(call.grad + x * call.grad_step);
#pragma GCC unroll 9
        for (int k = 0; k < Count; k++) acc[k] = fma(V::load(source[k] + at), grad, acc[k]);
    }
#pragma GCC unroll 9
    for (int k = 0; k < Count; k++) acc[k].store(call.sums + taps[k] * V::size);
}

template <class T>
EMBER_INLINE void add_products(const LaneProducts<T>& call, const int64_t* taps, int64_t count) {
    const int64_t* end = taps + count;
    auto run = [&](auto some) __attribute__((always_inline)) {
        constexpr int kSome = decltype(some)::value;
        for (; end - taps >= kSome; taps += kSome) lane_products<T, kSome>(call, taps);
    };
    run(std::integral_constant<int, 9>{});
    run(std::integral_constant<int, 6>{});
    run(std::integral_constant<int, 4>{});
    run(std::integral_constant<int, 2>{});
    run(std::integral_constant<int, 1>{});
}

// The taps of a window that the columns of a gradient are multiplied with.
struct SeenTaps {
    int64_t window;    // taps of a row
    int64_t* offsets;  // of the source, for each tap of the window
    int64_t* taps;     // (columns, taps): those that are seen, row by row
    int64_t* of_row;   // (columns): how many a row of the window has of them

    EMBER_INLINE SeenTaps(Context& context, const Conv2d& g, const LanePhase::Dim& across,
                          int64_t pixel)
        : window(g.r * g.s) {
        offsets = context.scratch_of<int64_t>(window);
        taps = context.scratch_of<int64_t>(g.out_w * window);
        of_row = context.scratch_of<int64_t>(g.out_w);
        for (int64_t t = 0; t < window; t++)
            offsets[t] = (t / g.s * g.dilation[0] * g.w + t % g.s * g.dilation[1]) * pixel;
        for (int64_t x = 0; x < g.out_w; x++) {
            const Range reach = across.reach(x);
            const int64_t each = of_row[x] = reach.end - reach.begin;
            for (int64_t k = 0; k < g.r * each; k++)
                taps[x * window + k] = k / each * g.s + reach.begin + k % each;
        }
    }
};

// Adds the products of some rows of gradients. Neighbours that see all taps go together.
template <class T>
EMBER_NOINLINE void add_rows(const LanePhase& p, const SeenTaps& seen, Range rows,
                             const LaneImage<const T>& source, const LaneImage<const T>& grad,
                             T* sums) {
    const LanePhase::Dim &down = p.rows, &across = p.columns;
    const Range inner = across.interior;
    for (int64_t y = rows.begin; y < rows.end; y++) {
        const Range reach = down.reach(y);
        for (int64_t x = 0; x < grad.width;) {
            const bool inside = x >= inner.begin && x < inner.end;
            const int64_t columns = inside ? inner.end - x : 1, each = seen.of_row[x];
            add_products<T>(
                {columns, across.stride * source.pixel, grad.pixel,
                 source.at(down.source(y), across.source(x)), grad.at(y, x), seen.offsets, sums},
                seen.taps + x * seen.window + reach.begin * each, (reach.end - reach.begin) * each);
            x += columns;
        }
    }
}

// The gradient of the weight. Images go to `parts` partial sums in the order of their numbers, and
// each band is summed on its own, which keeps the error of long sums small.
template <class T>
EMBER_NOINLINE void depthwise_grad_weight(Context& context, const Depthwise& x) {
    constexpr int64_t kLanes = Vec<T>::size;
    const Conv2d& g = x.g;
    const int64_t taps = g.r * g.s, strips = ceil_div(g.c, kLanes);
    const int64_t bands = x.bands(), units = g.n * bands;
    const int64_t together = g.channels_last ? strips : 1;  // strips of a task
    const int64_t runs = strips / together;
    const int64_t parts = most(1, least(kBandTasks / runs, units));
    const SeenTaps seen(context, g, x.phases[0].columns, g.channels_last ? g.c : kLanes);
    const int64_t items = (taps + kLanes) * kLanes;
    T* sums = context.scratch_of<T>(parts * strips * 2 * items);
    parallel_for(parts * runs, 1, [&](int64_t begin, int64_t end) {
        alignas(64) T in[kBandPixels * kLanes], grads[kBandPixels * kLanes];
        for (int64_t t = begin * together; t < end * together; t++)
            memset(sums + t * 2 * items, 0, size_t(items) * sizeof(T));
        for (int64_t t = begin; t < end; t++) {
            const Range part = piece(units, parts, t / runs);
            for (int64_t i = part.begin * together; i < part.end * together; i++) {
                const int64_t strip = t % runs * together + i % together, first = strip * kLanes;
                const int64_t unit = i / together, n = unit / bands;
                T* total = sums + (t / runs * strips + strip) * 2 * items;
                T* band_sums = total + items;
                const Range rows = piece(g.out_h, bands, unit % bands);
                const LaneImage<const T> source =
                    lanes_of(static_cast<const T*>(g.input), g.channels_last, g.c, n, first, g.h,
                             g.w, x.source_rows(rows), in);
                const LaneImage<const T> grad =
                    lanes_of(static_cast<const T*>(g.output), g.channels_last, g.c, n, first,
                             g.out_h, g.out_w, rows, grads);
                memset(band_sums, 0, size_t(items) * sizeof(T));
                add_rows(x.phases[0], seen, rows, source, grad, band_sums);
                for (int64_t k = 0; k < taps * kLanes; k += kLanes)
                    (Vec<T>::load(total + k) + Vec<T>::load(band_sums + k)).store(total + k);
            }
        }
    });
    for (int64_t strip = 0; strip < strips; strip++) {
        T* total = sums + strip * 2 * items;
        for (int64_t part = 1; part < parts; part++)
            for (int64_t k = 0; k < taps * kLanes; k++)
                total[k] += sums[(part * strips + strip) * 2 * items + k];
        const int64_t first = strip * kLanes;
        store_channels(total, taps, least(kLanes, g.c - first), static_cast<const T*>(nullptr),
                       static_cast<T*>(g.weight) + first * taps, taps, kLanes);
    }
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
