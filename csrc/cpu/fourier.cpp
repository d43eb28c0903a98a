#include "kernels/fourier.h"

#include "cpu/rows.h"

// Stockham's transforms of as many lines at a time as a register has lanes: all arithmetic is on
// whole registers, whatever n is. A line that comes alone is split into a matrix of lines.
namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Fourier;
using kernels::FourierPlan;

template <class T>
struct Pair {
    T re, im;
    friend EMBER_INLINE Pair operator+(Pair a, Pair b) { return {a.re + b.re, a.im + b.im}; }
    friend EMBER_INLINE Pair operator-(Pair a, Pair b) { return {a.re - b.re, a.im - b.im}; }
    friend EMBER_INLINE Pair operator*(Pair a, Pair b) {
        return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
    }
    EMBER_INLINE Pair times(T scale) const { return {re * scale, im * scale}; }
    EMBER_INLINE Pair conj() const { return {re, -im}; }
    EMBER_INLINE Pair swapped() const { return {im, re}; }
    EMBER_INLINE Pair turned() const { return {im, -re}; }  // by -i
};

// ---- Stages on blocks: item k of all lanes is a register of real and one of imaginary parts

template <class T>
EMBER_INLINE Pair<Vec<T>> load_pair(const T* block, int64_t k) {
    constexpr int64_t kLanes = Vec<T>::size;
    return {Vec<T>::load(block + 2 * k * kLanes), Vec<T>::load(block + (2 * k + 1) * kLanes)};
}
template <class T>
EMBER_INLINE void store_pair(Pair<Vec<T>> x, T* block, int64_t k) {
    constexpr int64_t kLanes = Vec<T>::size;
    x.re.store(block + 2 * k * kLanes);
    x.im.store(block + (2 * k + 1) * kLanes);
}

template <int R, class T>
EMBER_INLINE void butterfly(Pair<Vec<T>>* z) {
    using V = Vec<T>;
    using P = Pair<V>;
    if constexpr (R == 2) {
        P a = z[0], b = z[1];
        z[0] = a + b;
        z[1] = a - b;
    } else if constexpr (R == 3) {
        P sum = z[1] + z[2], middle = z[0] - sum.times(V(T(0.5)));
        P turn = (z[1] - z[2]).times(V(T(0.86602540378443864676))).turned();
        z[0] = z[0] + sum;
        z[1] = middle + turn;
        z[2] = middle - turn;
    } else if constexpr (R == 4) {
        P a = z[0] + z[2], b = z[0] - z[2], c = z[1] + z[3], d = (z[1] - z[3]).turned();
        z[0] = a + c;
        z[1] = b + d;
        z[2] = a - c;
        z[3] = b - d;
    } else {
        static_assert(R == 5);
        const V c1(T(0.30901699437494742410)), c2(T(-0.80901699437494742410));
        const V s1(T(0.95105651629515357212)), s2(T(0.58778525229247312917));
        P a = z[1] + z[4], b = z[2] + z[3], c = z[1] - z[4], d = z[2] - z[3];
        P near = z[0] + a.times(c1) + b.times(c2), far = z[0] + a.times(c2) + b.times(c1);
        P turn = (c.times(s1) + d.times(s2)).turned();
        P other = (c.times(s2) - d.times(s1)).turned();
        z[0] = z[0] + a + b;
        z[1] = near + turn;
        z[2] = far + other;
        z[3] = far - other;
        z[4] = near - turn;
    }
}

// One stage of radix R with m items left of each of `done` interleaved transforms.
template <int R, class T>
EMBER_NOINLINE void stage(const T* x, T* y, int64_t m, int64_t done, const T* w) {
    using V = Vec<T>;
    for (int64_t p = 0; p < m; p++, w += 2 * (R - 1)) {
        Pair<V> by[R];
#pragma GCC unroll 4
        for (int k = 1; k < R; k++) by[k] = {V(w[2 * (k - 1)]), V(w[2 * (k - 1) + 1])};
        for (int64_t q = 0; q < done; q++) {
            Pair<V> z[R];
#pragma GCC unroll 5
            for (int j = 0; j < R; j++) z[j] = load_pair(x, q + done * (p + m * j));
            butterfly<R, T>(z);
            store_pair(z[0], y, q + done * R * p);
#pragma GCC unroll 4
            for (int k = 1; k < R; k++) store_pair(z[k] * by[k], y, q + done * (R * p + k));
        }
    }
}

// The same of any radix r, by its definition.
template <class T>
EMBER_NOINLINE void any_stage(int64_t r, const T* x, T* y, int64_t m, int64_t done, const T* w) {
    using V = Vec<T>;
    const T* roots = w + 2 * (r - 1) * m;
    for (int64_t p = 0; p < m; p++, w += 2 * (r - 1)) {
        for (int64_t q = 0; q < done; q++) {
            for (int64_t k = 0; k < r; k++) {
                Pair<V> sum = load_pair(x, q + done * p);
                for (int64_t j = 1, at = k; j < r; j++) {
                    Pair<V> root{V(roots[2 * at]), V(roots[2 * at + 1])};
                    sum = sum + load_pair(x, q + done * (p + m * j)) * root;
                    at = at + k < r ? at + k : at + k - r;
                }
                if (k > 0) sum = sum * Pair<V>{V(w[2 * (k - 1)]), V(w[2 * (k - 1) + 1])};
                store_pair(sum, y, q + done * (r * p + k));
            }
        }
    }
}

// Transforms block a; b is as large. Returns where the result is.
template <class T>
T* run_stages(const FourierPlan& plan, T* a, T* b) {
    const T* w = static_cast<const T*>(plan.table);
    int64_t left = plan.n, done = 1;
    for (int i = 0; i < plan.stages; i++) {
        const int64_t r = plan.radix[i], m = left / r;
        switch (r) {
            case 2: stage<2>(a, b, m, done, w); break;
            case 3: stage<3>(a, b, m, done, w); break;
            case 4: stage<4>(a, b, m, done, w); break;
            case 5: stage<5>(a, b, m, done, w); break;
            default: any_stage(r, a, b, m, done, w);
        }
        w += 2 * (r - 1) * m + 2 * r;
        done *= r;
        left = m;
        T* other = a;
        a = b;
        b = other;
    }
    return a;
}

// ---- Lines

// Gets items of lines by get(line, k) and puts each line's result by put(line, k, result), where
// result(k) is any of its items. by_item: neighbouring lines, not items, lie side by side.
template <class T, class Get, class Put>
EMBER_INLINE void by_blocks(Context& context, const FourierPlan& plan, int64_t lines, bool by_item,
                            Get get, Put put, int64_t kept) {
    constexpr int64_t kLanes = Vec<T>::size, kTile = 8;
    const int64_t n = plan.n, blocks = ceil_div(lines, kLanes), items = 2 * n * kLanes;
    const int64_t cost = items * int64_t(sizeof(T)) * (plan.stages + 1);
    const int64_t grain =
        clamp_to(ceil_div(blocks, 64), ceil_div(4 * kGrainBytes, cost), int64_t(1) << 40);
    T* scratch = context.scratch_of<T>(2 * items * ceil_div(blocks, grain));
    // Visits tiles of some items of all lanes, so that both sides of a transposition stay near.
    auto visit = [by_item](int64_t count, int64_t lanes, auto f) __attribute__((always_inline)) {
        for (int64_t k0 = 0; k0 < count; k0 += kTile) {
            const int64_t k1 = k0 + kTile < count ? k0 + kTile : count;
            if (by_item) {
                for (int64_t k = k0; k < k1; k++)
                    for (int64_t lane = 0; lane < lanes; lane++) f(k, lane);
            } else {
                for (int64_t lane = 0; lane < lanes; lane++)
                    for (int64_t k = k0; k < k1; k++) f(k, lane);
            }
        }
    };
    parallel_for(blocks, grain, [&](int64_t begin, int64_t end) {
        T* a = scratch + 2 * items * (begin / grain);
        for (int64_t block = begin; block < end; block++) {
            const int64_t first = block * kLanes;
            const int64_t lanes = lines - first < kLanes ? lines - first : kLanes;
            if (lanes < kLanes) memset(a, 0, size_t(items) * sizeof(T));
            visit(n, lanes, [&](int64_t k, int64_t lane) __attribute__((always_inline)) {
                const Pair<T> x = get(first + lane, k);
                a[2 * k * kLanes + lane] = x.re;
                a[(2 * k + 1) * kLanes + lane] = x.im;
            });
            const T* y = run_stages(plan, a, a + items);
            visit(kept, lanes, [&](int64_t k, int64_t lane) __attribute__((always_inline)) {
                put(first + lane, k, [=](int64_t i) __attribute__((always_inline)) {
                    return Pair<T>{y[2 * i * kLanes + lane], y[(2 * i + 1) * kLanes + lane]};
                });
            });
        }
    });
}

// One line in place, by a plan of any way.
template <class T>
void one_line(Context& context, const FourierPlan& plan, Pair<T>* line) {
    using P = Pair<T>;
    const int64_t n = plan.n;
    const P* table = static_cast<const P*>(plan.table);
    auto each = [](int64_t count, auto f) __attribute__((always_inline)) {
        parallel_for(count, 16 * 1024, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i++) f(i);
        });
    };
    switch (plan.way) {
        case FourierPlan::Way::Stages:
            return by_blocks<T>(
                context, plan, 1, false, [=](int64_t, int64_t k) { return line[k]; },
                [=](int64_t, int64_t k, auto result) { line[k] = result(k); }, n);
        case FourierPlan::Way::Split: {
            const int64_t rows = plan.first->n, columns = plan.second->n;
            P* middle = context.scratch_of<P>(n);
            by_blocks<T>(
                context, *plan.first, columns, true,
                [=](int64_t j, int64_t i) { return line[i * columns + j]; },
                [=](int64_t j, int64_t k, auto result) {
                    middle[k * columns + j] = result(k) * table[k * columns + j];
                },
                rows);
            by_blocks<T>(
                context, *plan.second, rows, false,
                [=](int64_t i, int64_t j) { return middle[i * columns + j]; },
                [=](int64_t i, int64_t k, auto result) { line[k * rows + i] = result(k); },
                columns);
            return;
        }
        case FourierPlan::Way::Chirp: {
            const int64_t length = plan.first->n;
            const P* filter = static_cast<const P*>(plan.filter);
            P* padded = context.scratch_of<P>(length);
            each(length, [=](int64_t i) { padded[i] = i < n ? line[i] * table[i] : P{0, 0}; });
            one_line(context, *plan.first, padded);
            // The way back swaps the parts before and after.
            each(length, [=](int64_t i) { padded[i] = (padded[i] * filter[i]).swapped(); });
            one_line(context, *plan.first, padded);
            each(n, [=](int64_t i) { line[i] = padded[i].swapped() * table[i]; });
            return;
        }
    }
}

// All lines, with get and put as above.
template <class T, class Get, class Put>
EMBER_INLINE void run(Context& context, const Fourier& g, Get get, Put put, int64_t kept) {
    const FourierPlan& plan = *g.plan;
    if (plan.way == FourierPlan::Way::Stages)
        return by_blocks<T>(context, plan, g.lines, g.inner >= Vec<T>::size, get, put, kept);
    Pair<T>* line = context.scratch_of<Pair<T>>(plan.n);
    for (int64_t i = 0; i < g.lines; i++) {
        parallel_for(plan.n, 16 * 1024, [&](int64_t begin, int64_t end) {
            for (int64_t k = begin; k < end; k++) line[k] = get(i, k);
        });
        Context own(context.device);
        one_line(own, plan, line);
        parallel_for(kept, 16 * 1024, [&](int64_t begin, int64_t end) {
            for (int64_t k = begin; k < end; k++) put(i, k, [&](int64_t j) { return line[j]; });
        });
    }
}

// Where item k of a line lies among lines of `size` items.
struct Places {
    int64_t inner, size;
    EMBER_INLINE int64_t operator()(int64_t line, int64_t k) const {
        if (inner == 1) return line * size + k;
        return (line / inner * size + k) * inner + line % inner;
    }
};

template <class T>
void transform_complex(Context& context, const Fourier& g) {
    using P = Pair<T>;
    const P* in = static_cast<const P*>(g.in);
    P* out = static_cast<P*>(g.out);
    const T factor = T(g.factor);
    const Places at{g.inner, g.n};
    auto put = [=](int64_t line, int64_t k, auto result)
                   __attribute__((always_inline)) { out[at(line, k)] = result(k).times(factor); };
    if (g.inverse)
        run<T>(
            context, g, [=](int64_t line, int64_t k) { return in[at(line, k)].swapped(); },
            [=](int64_t line, int64_t k, auto result) {
                out[at(line, k)] = result(k).swapped().times(factor);
            },
            g.n);
    else
        run<T>(context, g, [=](int64_t line, int64_t k) { return in[at(line, k)]; }, put, g.n);
}

template <class T>
void real_to_half(Context& context, const Fourier& g) {
    using P = Pair<T>;
    const T* in = static_cast<const T*>(g.in);
    P* out = static_cast<P*>(g.out);
    const T factor = T(g.factor);
    const int64_t half = g.n / 2;
    const Places from{g.inner, g.n}, to{g.inner, half + 1};
    if (g.n % 2 != 0)
        return run<T>(
            context, g, [=](int64_t line, int64_t k) { return P{in[from(line, k)], T(0)}; },
            [=](int64_t line, int64_t k, auto result) {
                out[to(line, k)] = result(k).times(factor);
            },
            half + 1);
    // Even and odd items make the parts of half as many numbers, whose transform is taken apart.
    const P* unit = static_cast<const P*>(g.unit);
    run<T>(
        context, g,
        [=](int64_t line, int64_t k) {
            return P{in[from(line, 2 * k)], in[from(line, 2 * k + 1)]};
        },
        [=](int64_t line, int64_t k, auto result) {
            P a = result(k < half ? k : 0), b = result(k > 0 ? half - k : 0).conj();
            P even = a + b, odd = ((a - b) * unit[k]).turned();
            out[to(line, k)] = (even + odd).times(T(0.5) * factor);
        },
        half + 1);
}

template <class T>
void half_to_real(Context& context, const Fourier& g) {
    using P = Pair<T>;
    const P* in = static_cast<const P*>(g.in);
    T* out = static_cast<T*>(g.out);
    const T factor = T(g.factor);
    const int64_t n = g.n, half = n / 2;
    const Places from{g.inner, half + 1}, to{g.inner, n};
    // What is its own mirror image counts as real.
    auto item = [=](int64_t line, int64_t k) __attribute__((always_inline)) {
        P x = in[from(line, k)];
        return k == 0 || 2 * k == n ? P{x.re, T(0)} : x;
    };
    if (n % 2 != 0)
        return run<T>(
            context, g,
            [=](int64_t line, int64_t k) {
                return (k <= half ? item(line, k) : item(line, n - k).conj()).swapped();
            },
            [=](int64_t line, int64_t k, auto result) { out[to(line, k)] = result(k).im * factor; },
            n);
    const P* unit = static_cast<const P*>(g.unit);
    run<T>(
        context, g,
        [=](int64_t line, int64_t k) {
            P a = item(line, k), b = item(line, half - k).conj();
            P odd = (a - b) * unit[k].conj();
            return ((a + b) - odd.turned()).swapped();
        },
        [=](int64_t line, int64_t k, auto result) {
            P z = result(k);
            out[to(line, 2 * k)] = z.im * factor;
            out[to(line, 2 * k + 1)] = z.re * factor;
        },
        half);
}

template <class T>
void transform(Context& context, const Fourier& g) {
    switch (g.kind) {
        case Fourier::Kind::Complex: return transform_complex<T>(context, g);
        case Fourier::Kind::RealToHalf: return real_to_half<T>(context, g);
        case Fourier::Kind::HalfToReal: return half_to_real<T>(context, g);
    }
}

void fourier(Context& context, const Fourier& g) {
    if (g.dtype == DType::Float64)
        transform<double>(context, g);
    else
        transform<float>(context, g);
}

}  // namespace

void register_fourier(Table& table) { table.set(kernels::fourier, fourier, kFloats); }

}  // namespace ember::cpu::EMBER_LEVEL
