#include "kernels/resample.h"

#include "cpu/rows.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Resample;
using kernels::Taps;

// Taps with weights in T.
template <class T>
struct Map {
    const int64_t *begin, *index;
    const T* weight;
    int64_t most;

    EMBER_INLINE Map(Context& context, const Taps& taps)
        : begin(taps.begin), index(taps.index), weight(nullptr), most(taps.most) {
        if (!begin) return;
        T* to = context.scratch_of<T>(taps.count);
        for (int64_t i = 0; i < taps.count; i++) to[i] = T(taps.weight[i]);
        weight = to;
    }
};

template <class T, int K>
EMBER_INLINE void columns_of(const Map<T>& m, const T* in, T* out, int64_t n) {
    const int64_t* index = m.index;
    const T* weight = m.weight;
    for (int64_t x = 0; x < n; x++, index += K, weight += K) {
        T sum = weight[0] * in[index[0]];
#pragma GCC unroll 4
        for (int k = 1; k < K; k++) sum += weight[k] * in[index[k]];
        out[x] = sum;
    }
}

// A map of columns. Where most of it copies stretches of a row, as padding and its gradient do, it
// goes stretch by stretch.
template <class T>
struct Columns {
    struct Stretch {
        int64_t from, length;  // `from` is below 0 where taps are summed
    };
    Map<T> map;
    int64_t n;
    int even = 0;  // taps of every output, 0 if they differ
    Stretch* stretches = nullptr;
    int64_t count = 0;

    EMBER_INLINE Columns(Context& context, const Taps& taps, int64_t n) : map(context, taps), n(n) {
        if (!taps.begin) {
            stretches = context.scratch_of<Stretch>(1);
            stretches[count++] = {0, n};
            return;
        }
        if (taps.count == taps.most * n) even = int(clamp_to(taps.most, 0, 5));
        if (even > 1) return;
        int64_t breaks = 0;
        for_stretches([&](bool starts, int64_t) { breaks += starts; });
        if (breaks * 4 > n) return;  // too short to pay
        stretches = context.scratch_of<Stretch>(breaks);
        for_stretches([&](bool starts, int64_t from) {
            if (starts) stretches[count++] = {from, 0};
            stretches[count - 1].length++;
        });
    }
    // f(whether a stretch starts here, from where) for each output.
    template <class F>
    EMBER_INLINE void for_stretches(F&& f) const {
        int64_t expected = -2;
        for (int64_t x = 0; x < n; x++) {
            const int64_t first = map.begin[x];
            const bool copies = map.begin[x + 1] == first + 1 && map.weight[first] == 1;
            const int64_t from = copies ? map.index[first] : -1;
            f(from != expected, from);
            expected = copies ? from + 1 : -1;
        }
    }
    EMBER_INLINE void sum_taps(const T* in, T* out, int64_t first, int64_t last) const {
        for (int64_t x = first; x < last; x++) {
            T sum = 0;
            for (int64_t t = map.begin[x]; t < map.begin[x + 1]; t++)
                sum += map.weight[t] * in[map.index[t]];
            out[x] = sum;
        }
    }
    EMBER_NOINLINE void apply(const T* in, T* out) const {
        switch (stretches ? -1 : even) {
            case 1: return columns_of<T, 1>(map, in, out, n);
            case 2: return columns_of<T, 2>(map, in, out, n);
            case 4: return columns_of<T, 4>(map, in, out, n);
            case -1: break;
            default: return sum_taps(in, out, 0, n);
        }
        int64_t x = 0;
        for (int64_t i = 0; i < count; i++) {
            const Stretch s = stretches[i];
            if (s.from < 0)
                sum_taps(in, out, x, x + s.length);
            else if (s.length == 1)
                out[x] = in[s.from];
            else
                memcpy(out + x, in + s.from, size_t(s.length) * sizeof(T));
            x += s.length;
        }
    }
};

// out = sum of weight[k] * rows[k], four rows at a time.
template <class T>
EMBER_NOINLINE void mix_rows(const T* const* rows, const T* weight, int64_t count, T* out,
                             int64_t n) {
    using V = Vec<T>;
    if (count == 0) {
        memset(out, 0, size_t(n) * sizeof(T));
        return;
    }
    if (count == 2) {
        const V a = weight[0], b = weight[1];
        sweep<V>(0, n, [&](auto at) __attribute__((always_inline)) {
            at.store(out, fma(at.load(rows[1]), b, at.load(rows[0]) * a));
        });
        return;
    }
    for (int64_t k = 0; k < count; k += 4) {
        const T* from[4];
        V by[4];
        for (int64_t j = 0; j < 4; j++) {
            from[j] = rows[k + j < count ? k + j : k];
            by[j] = V(weight[k + j < count ? k + j : k]);
        }
        const int64_t here = count - k < 4 ? count - k : 4;
        sweep<V>(0, n, [&](auto at) __attribute__((always_inline)) {
            V sum = at.load(from[0]) * by[0];
            if (here > 1) sum = fma(at.load(from[1]), by[1], sum);
            if (here > 2) sum = fma(at.load(from[2]), by[2], sum);
            if (here > 3) sum = fma(at.load(from[3]), by[3], sum);
            if (k > 0) sum += at.load(out);
            at.store(out, sum);
        });
    }
}

template <class T>
void resample_as(Context& context, const Resample& g) {
    const Map<T> rows(context, g.rows);
    const Columns<T> columns(context, g.columns, g.out_w);
    const bool has_rows = rows.begin, has_columns = columns.map.begin;
    // Columns first where they meet fewer rows before; those rows are then kept in a ring, as
    // neighbouring outputs share them. Copying costs the same each time.
    const bool columns_first = has_rows && has_columns && g.in_h <= g.out_h && g.rows.neighbours &&
                               !(rows.most == 1 && columns.stretches);
    const int64_t ring = rows.most + 1, width = columns_first ? g.out_w : g.in_w;
    const int64_t cost = (has_rows ? rows.most * g.in_w : 0) +
                         (has_columns ? (columns.map.most + 2) * g.out_w * 4 : 0) + g.out_w + 1;
    const int64_t grain = clamp_to(4 * kGrainBytes / (cost * int64_t(sizeof(T))), 1, 1 << 20);
    const int64_t lines = g.planes * g.out_h, chunks = ceil_div(lines, grain);
    const bool stages = has_rows && has_columns;
    T* held = stages ? context.scratch_of<T>(chunks * (columns_first ? ring : 1) * width) : nullptr;
    const T** pointers = context.scratch_of<const T*>(chunks * (rows.most + 1));
    int64_t* tags = context.scratch_of<int64_t>(chunks * ring);

    parallel_for(lines, grain, [&](int64_t begin, int64_t end) {
        const int64_t chunk = begin / grain;
        T* buffer = held + (stages ? chunk * (columns_first ? ring : 1) * width : 0);
        const T** from = pointers + chunk * (rows.most + 1);
        int64_t* tag = tags + chunk * ring;
        for (int64_t i = 0; i < ring; i++) tag[i] = -1;
        for (int64_t line = begin; line < end; line++) {
            const int64_t plane = line / g.out_h, y = line % g.out_h;
            const T* in = static_cast<const T*>(g.in) + plane * g.in_h * g.in_w;
            T* out = static_cast<T*>(g.out) + line * g.out_w;
            if (!has_rows) {
                columns.apply(in + y * g.in_w, out);
                continue;
            }
            const int64_t first = rows.begin[y], count = rows.begin[y + 1] - first;
            for (int64_t t = 0; t < count; t++) {
                const int64_t row = rows.index[first + t];
                from[t] = in + row * g.in_w;
                if (!columns_first) continue;
                const int64_t slot = row % ring, name = plane * g.in_h + row;
                T* mapped = buffer + slot * width;
                if (tag[slot] != name) columns.apply(from[t], mapped);
                tag[slot] = name;
                from[t] = mapped;
            }
            const bool last = columns_first || !has_columns;
            const bool one = count == 1 && rows.weight[first] == 1;
            if (last && one)
                memcpy(out, from[0], size_t(width) * sizeof(T));
            else if (last || !one)
                mix_rows(from, rows.weight + first, count, last ? out : buffer, width);
            if (!last) columns.apply(one ? from[0] : buffer, out);
        }
    });
}

void resample(Context& context, const Resample& g) {
    if (g.dtype == DType::Float64)
        resample_as<double>(context, g);
    else
        resample_as<float>(context, g);
}

}  // namespace

void register_resample(Table& table) { table.set(kernels::resample, resample, kFloats); }

}  // namespace ember::cpu::EMBER_LEVEL
