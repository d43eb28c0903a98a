#include "kernels/fourier.h"

#include "cpu/rows.h"
#include "cpu/transpose.h"

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

// A block, whose parts change places (`swap` is 1) for an inverse transform.
template <class T>
struct Block {
    T* data;
    int64_t swap;
    EMBER_INLINE Pair<Vec<T>> load(int64_t k) const {
        constexpr int64_t kLanes = Vec<T>::size;
        return {Vec<T>::load(data + (2 * k + swap) * kLanes),
                Vec<T>::load(data + (2 * k + 1 - swap) * kLanes)};
    }
    EMBER_INLINE void store(Pair<Vec<T>> x, int64_t k) const {
        constexpr int64_t kLanes = Vec<T>::size;
        x.re.store(data + (2 * k + swap) * kLanes);
        x.im.store(data + (2 * k + 1 - swap) * kLanes);
    }
};

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
EMBER_NOINLINE void stage(Block<T> x, Block<T> y, int64_t m, int64_t done, const T* w) {
    using V = Vec<T>;
    for (int64_t p = 0; p < m; p++, w += 2 * (R - 1)) {
        Pair<V> by[R];
#pragma GCC unroll 4
        for (int k = 1; k < R; k++) by[k] = {V(w[2 * (k - 1)]), V(w[2 * (k - 1) + 1])};
        for (int64_t q = 0; q < done; q++) {
            Pair<V> z[R];
#pragma GCC unroll 5
            for (int j = 0; j < R; j++) z[j] = x.load(q + done * (p + m * j));
            butterfly<R, T>(z);
            y.store(z[0], q + done * R * p);
#pragma GCC unroll 4
            for (int k = 1; k < R; k++) y.store(z[k] * by[k], q + done * (R * p + k));
        }
    }
}

// The same of any radix r, by its definition.
template <class T>
EMBER_NOINLINE void any_stage(int64_t r, Block<T> x, Block<T> y, int64_t m, int64_t done,
                              const T* w) {
    using V = Vec<T>;
    const T* roots = w + 2 * (r - 1) * m;
    for (int64_t p = 0; p < m; p++, w += 2 * (r - 1)) {
        for (int64_t q = 0; q < done; q++) {
            for (int64_t k = 0; k < r; k++) {
                Pair<V> sum = x.load(q + done * p);
                for (int64_t j = 1, at = k; j < r; j++) {
                    Pair<V> root{V(roots[2 * at]), V(roots[2 * at + 1])};
                    sum = sum + x.load(q + done * (p + m * j)) * root;
                    at = at + k < r ? at + k : at + k - r;
                }
                if (k > 0) sum = sum * Pair<V>{V(w[2 * (k - 1)]), V(w[2 * (k - 1) + 1])};
                y.store(sum, q + done * (r * p + k));
            }
        }
    }
}

// Transforms block a; b is as large. Returns where the result is.
template <class T>
T* run_stages(const FourierPlan& plan, T* a, T* b, bool inverse) {
    const T* w = static_cast<const T*>(plan.table);
    Block<T> x{a, inverse}, y{b, inverse};
    int64_t left = plan.n, done = 1;
    for (int i = 0; i < plan.stages; i++) {
        const int64_t r = plan.radix[i], m = left / r;
        switch (r) {
            case 2: stage<2>(x, y, m, done, w); break;
            case 3: stage<3>(x, y, m, done, w); break;
            case 4: stage<4>(x, y, m, done, w); break;
            case 5: stage<5>(x, y, m, done, w); break;
            default: any_stage(r, x, y, m, done, w);
        }
        w += 2 * (r - 1) * m + 2 * r;
        done *= r;
        left = m;
        const Block<T> other = x;
        x = y;
        y = other;
    }
    return x.data;
}

// ---- Lines

// Lines that are pairs one after the other in memory; none where `data` is null.
template <class T>
struct Rows {
    T* data = nullptr;
    int64_t stride = 0;  // in numbers
};

// f(c, lane) for the corners of squares of rows by lanes, along some rows at a time: rows a power
// of two apart would evict each other.
template <class T, class F>
EMBER_INLINE void for_squares(int64_t count, F f) {
    constexpr int64_t kSquare = 16 / sizeof(T), kRun = 64;
    for (int64_t c0 = 0; c0 < count; c0 += kRun)
        for (int64_t lane = 0; lane < Vec<T>::size; lane += kSquare)
            for (int64_t c = c0; c < c0 + kRun && c < count; c += kSquare) f(c, lane);
}
// Transposes the first `count` numbers of rows of all lanes into a block, or a block into rows.
template <class T>
EMBER_INLINE void into_block(const T* rows, int64_t stride, int64_t count, T* block) {
    constexpr int64_t kLanes = Vec<T>::size, kSize = sizeof(T);
    for_squares<T>(count, [&](int64_t c, int64_t lane) __attribute__((always_inline)) {
        transpose_block<T>(reinterpret_cast<const char*>(rows + lane * stride + c), stride * kSize,
                           reinterpret_cast<char*>(block + c * kLanes + lane), kLanes * kSize);
    });
}
template <class T>
EMBER_INLINE void out_of_block(const T* block, int64_t count, T* rows, int64_t stride) {
    constexpr int64_t kLanes = Vec<T>::size, kSize = sizeof(T);
    for_squares<T>(count, [&](int64_t c, int64_t lane) __attribute__((always_inline)) {
        transpose_block<T>(reinterpret_cast<const char*>(block + c * kLanes + lane), kLanes * kSize,
                           reinterpret_cast<char*>(rows + lane * stride + c), stride * kSize);
    });
}

// A line as a block of one lane.
template <class T>
struct Single {
    Pair<T>* data;
    EMBER_INLINE Pair<T> load(int64_t k) const { return data[k]; }
    EMBER_INLINE void store(Pair<T> x, int64_t k) const { data[k] = x; }
};

// What is done to n items before they are transformed and after.
struct Nothing {
    template <class B>
    EMBER_INLINE void operator()(const B&) const {}
};
// Real lines of even length go as half as many numbers, parted into even and odd items. Takes the
// n items of their transform apart, into n + 1 items of the whole line's.
template <class T>
struct Untangle {
    int64_t n;
    const Pair<T>* unit;
    template <class B>
    EMBER_INLINE void operator()(const B& z) const {
        using V = decltype(z.load(0).re);
        Pair<V> first = z.load(0);
        z.store({first.re + first.im, V(T(0))}, 0);
        z.store({first.re - first.im, V(T(0))}, n);
        for (int64_t k = 1; k <= n - k; k++) {
            Pair<V> a = z.load(k), b = z.load(n - k).conj();
            Pair<V> even = (a + b).times(V(T(0.5))), w{V(unit[k].re), V(unit[k].im)};
            Pair<V> odd = ((a - b) * w).turned().times(V(T(0.5)));
            z.store(even + odd, k);
            z.store((even - odd).conj(), n - k);
        }
    }
};
// And back; what is its own mirror image counts as real.
template <class T>
struct Tangle {
    int64_t n;
    const Pair<T>* unit;
    template <class B>
    EMBER_INLINE void operator()(const B& z) const {
        using V = decltype(z.load(0).re);
        V first = z.load(0).re, last = z.load(n).re;
        z.store({first + last, first - last}, 0);
        for (int64_t k = 1; k <= n - k; k++) {
            Pair<V> a = z.load(k), b = z.load(n - k).conj(), even = a + b;
            Pair<V> odd = ((a - b) * Pair<V>{V(unit[k].re), V(-unit[k].im)}).turned();
            z.store(even - odd, k);
            z.store((even + odd).conj(), n - k);
        }
    }
};

// What is transformed: `given` items of each line by get(line, k), prepared, and of the finished
// result `kept` items by put(line, k, item). Where lines are pairs in rows, `from` and `to` are
// these too, and get takes and put leaves what lies there, times the factor. by_item: neighbouring
// lines, not items, lie side by side.
template <class T, class Get, class Put, class Prepare = Nothing, class Finish = Nothing>
struct Lines {
    int64_t count;
    bool by_item, inverse;
    Get get;
    Put put;
    int64_t given, kept;
    T factor = 1;
    Rows<const T> from = {};
    Rows<T> to = {};
    Prepare prepare = {};
    Finish finish = {};
};

template <class T, class G, class P, class B, class F>
EMBER_INLINE void by_blocks(Context& context, const FourierPlan& plan,
                            const Lines<T, G, P, B, F>& lines) {
    constexpr int64_t kLanes = Vec<T>::size, kTile = 8, kWhole = sizeof(T) == 4 ? 2 : 1;
    const int64_t blocks = ceil_div(lines.count, kLanes), items = 2 * (plan.n + 1) * kLanes;
    const int64_t cost = items * int64_t(sizeof(T)) * (plan.stages + 1);
    const int64_t grain =
        clamp_to(ceil_div(blocks, 64), ceil_div(4 * kGrainBytes, cost), int64_t(1) << 40);
    T* scratch = context.scratch_of<T>(2 * items * ceil_div(blocks, grain));
    // Visits tiles of some items of all lanes, so that both sides of a transposition stay near.
    auto visit = [&lines](int64_t start, int64_t count, int64_t lanes, auto f)
                     __attribute__((always_inline)) {
                         for (int64_t k0 = start; k0 < count; k0 += kTile) {
                             const int64_t k1 = k0 + kTile < count ? k0 + kTile : count;
                             if (lines.by_item) {
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
            const int64_t lanes = lines.count - first < kLanes ? lines.count - first : kLanes;
            const bool whole = lanes == kLanes;
            if (!whole) memset(a, 0, size_t(items) * sizeof(T));
            const int64_t done = whole && lines.from.data ? lines.given / kWhole * kWhole : 0;
            const int64_t back = whole && lines.to.data ? lines.kept / kWhole * kWhole : 0;
            if (done > 0)
                into_block<T>(lines.from.data + first * lines.from.stride, lines.from.stride,
                              2 * done, a);
            visit(done, lines.given, lanes,
                  [&](int64_t k, int64_t lane) __attribute__((always_inline)) {
                      const Pair<T> x = lines.get(first + lane, k);
                      a[2 * k * kLanes + lane] = x.re;
                      a[(2 * k + 1) * kLanes + lane] = x.im;
                  });
            lines.prepare(Block<T>{a, 0});
            T* y = run_stages(plan, a, a + items, lines.inverse);
            lines.finish(Block<T>{y, 0});
            for (int64_t i = 0; i < 2 * lines.kept && lines.factor != T(1); i++)
                (Vec<T>::load(y + i * kLanes) * Vec<T>(lines.factor)).store(y + i * kLanes);
            if (back > 0)
                out_of_block<T>(y, 2 * back, lines.to.data + first * lines.to.stride,
                                lines.to.stride);
            visit(back, lines.kept, lanes,
                  [&](int64_t k, int64_t lane) __attribute__((always_inline)) {
                      lines.put(first + lane, k,
                                Pair<T>{y[2 * k * kLanes + lane], y[(2 * k + 1) * kLanes + lane]});
                  });
        }
    });
}
// Takes the types of get and put from the call.
template <class T, class Get, class Put>
EMBER_INLINE void plain_blocks(Context& context, const FourierPlan& plan, int64_t count,
                               bool by_item, Get get, Put put) {
    by_blocks(context, plan, Lines<T, Get, Put>{count, by_item, false, get, put, plan.n, plan.n});
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
            return plain_blocks<T>(
                context, plan, 1, false, [=](int64_t, int64_t k) { return line[k]; },
                [=](int64_t, int64_t k, P x) { line[k] = x; });
        case FourierPlan::Way::Split: {
            const int64_t rows = plan.first->n, columns = plan.second->n;
            P* middle = context.scratch_of<P>(n);
            plain_blocks<T>(
                context, *plan.first, columns, true,
                [=](int64_t j, int64_t i) { return line[i * columns + j]; },
                [=](int64_t j, int64_t k, P x) {
                    middle[k * columns + j] = x * table[k * columns + j];
                });
            plain_blocks<T>(
                context, *plan.second, rows, false,
                [=](int64_t i, int64_t j) { return middle[i * columns + j]; },
                [=](int64_t i, int64_t k, P x) { line[k * rows + i] = x; });
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

template <class T, class G, class P, class B, class F>
EMBER_INLINE void run(Context& context, const FourierPlan& plan, Lines<T, G, P, B, F> lines) {
    if (plan.way == FourierPlan::Way::Stages) return by_blocks(context, plan, lines);
    Pair<T>* line = context.scratch_of<Pair<T>>(plan.n + 1);
    const Single<T> whole{line};
    auto swap = [&] {
        for (int64_t k = 0; k < plan.n && lines.inverse; k++) line[k] = line[k].swapped();
    };
    for (int64_t i = 0; i < lines.count; i++) {
        for (int64_t k = 0; k < lines.given; k++) line[k] = lines.get(i, k);
        lines.prepare(whole);
        swap();
        Context own(context.device);
        one_line(own, plan, line);
        swap();
        lines.finish(whole);
        for (int64_t k = 0; k < lines.kept; k++) lines.put(i, k, line[k].times(lines.factor));
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

// Lines of `given` and of `kept` items, by functions of their places.
template <class T, class Get, class Put, class Prepare, class Finish>
EMBER_INLINE void transform_lines(Context& context, const Fourier& g, int64_t given, int64_t kept,
                                  Get get, Put put, Rows<const T> from, Rows<T> to, Prepare prepare,
                                  Finish finish) {
    if (g.inner > 1) from.data = nullptr, to.data = nullptr;
    run(context, *g.plan,
        Lines<T, Get, Put, Prepare, Finish>{g.lines, g.inner >= Vec<T>::size, g.inverse, get, put,
                                            given, kept, T(g.factor), from, to, prepare, finish});
}

template <class T>
void transform_complex(Context& context, const Fourier& g) {
    using P = Pair<T>;
    const P* in = static_cast<const P*>(g.in);
    P* out = static_cast<P*>(g.out);
    const Places at{g.inner, g.n};
    transform_lines<T>(
        context, g, g.n, g.n, [=](int64_t line, int64_t k) { return in[at(line, k)]; },
        [=](int64_t line, int64_t k, P x) { out[at(line, k)] = x; },
        {static_cast<const T*>(g.in), 2 * g.n}, {static_cast<T*>(g.out), 2 * g.n}, Nothing(),
        Nothing());
}

template <class T>
void real_to_half(Context& context, const Fourier& g) {
    using P = Pair<T>;
    const T* in = static_cast<const T*>(g.in);
    P* out = static_cast<P*>(g.out);
    const int64_t half = g.n / 2;
    const Places from{g.inner, g.n}, to{g.inner, half + 1};
    const Rows<T> rows{static_cast<T*>(g.out), 2 * (half + 1)};
    auto put = [=](int64_t line, int64_t k, P x) { out[to(line, k)] = x; };
    if (g.n % 2 != 0)
        return transform_lines<T>(
            context, g, g.n, half + 1,
            [=](int64_t line, int64_t k) { return P{in[from(line, k)], T(0)}; }, put, {}, rows,
            Nothing(), Nothing());
    transform_lines<T>(
        context, g, half, half + 1,
        [=](int64_t line, int64_t k) {
            return P{in[from(line, 2 * k)], in[from(line, 2 * k + 1)]};
        },
        put, {in, g.n}, rows, Nothing(), Untangle<T>{half, static_cast<const P*>(g.unit)});
}

template <class T>
void half_to_real(Context& context, const Fourier& g) {
    using P = Pair<T>;
    const P* in = static_cast<const P*>(g.in);
    T* out = static_cast<T*>(g.out);
    const int64_t n = g.n, half = n / 2;
    const Places from{g.inner, half + 1}, to{g.inner, n};
    if (n % 2 != 0)
        return transform_lines<T>(
            context, g, n, n,
            [=](int64_t line, int64_t k) {
                if (k == 0) return P{in[from(line, 0)].re, T(0)};
                return k <= half ? in[from(line, k)] : in[from(line, n - k)].conj();
            },
            [=](int64_t line, int64_t k, P x) { out[to(line, k)] = x.re; }, {}, {}, Nothing(),
            Nothing());
    transform_lines<T>(
        context, g, half + 1, half, [=](int64_t line, int64_t k) { return in[from(line, k)]; },
        [=](int64_t line, int64_t k, P x) {
            out[to(line, 2 * k)] = x.re;
            out[to(line, 2 * k + 1)] = x.im;
        },
        {static_cast<const T*>(g.in), 2 * (half + 1)}, {out, n},
        Tangle<T>{half, static_cast<const P*>(g.unit)}, Nothing());
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
