#pragma once

#include "cpu/reduce_engine.h"
#include "cpu/rows.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

// An operation whose state is one vector. K gives start(), step(state, items), merge(state, state),
// an item `pad` that changes no state, the type of its partial results and how to join them.
template <class C, class K>
struct Simple {
    using Compute = C;
    using Part = typename K::Part;
    using V = Vec<C>;
    static constexpr bool writes_indices = false;

    static EMBER_INLINE Part identity() { return Part(K::start()); }
    static EMBER_INLINE void combine(Part& a, Part b) { a = K::join(a, b); }
    static EMBER_INLINE Result<C> finish(Part part, double param) { return K::finish(part, param); }

    static EMBER_INLINE void absorb(Part& part, const C* p, int64_t n, int64_t, double param) {
        part = K::join(part, Part(block(p, n, K{param})));
    }
    static EMBER_INLINE C block(const C* p, int64_t n, K k) {
        V start = k.start(), state = start;
        int64_t i = 0;
        if (n >= 4 * V::size) {
            V s1 = start, s2 = start, s3 = start;
            for (; i + 4 * V::size <= n; i += 4 * V::size) {
                state = k.step(state, V::load(p + i));
                s1 = k.step(s1, V::load(p + i + V::size));
                s2 = k.step(s2, V::load(p + i + 2 * V::size));
                s3 = k.step(s3, V::load(p + i + 3 * V::size));
            }
            state = k.merge(k.merge(state, s1), k.merge(s2, s3));
        }
        for (; i + V::size <= n; i += V::size) state = k.step(state, V::load(p + i));
        if (i < n) {
            V x = select(lanes_below<C>(n - i), load_first<C>(p + i, n - i), V(C(k.pad())));
            state = k.step(state, x);
        }
        return fold(state, [k](V a, V b) __attribute__((always_inline)) { return k.merge(a, b); });
    }

    static EMBER_INLINE void tile(const C* p, int64_t stride, int64_t rows, int64_t columns,
                                  int64_t, Part* parts, double param) {
        K k{param};
        alignas(64) C states[kWide];
        if (columns <= 4 * V::size) {
            narrow_tile(p, stride, rows, columns, states, k);
        } else {
            for (int64_t c = 0; c < columns; c += V::size) V(k.start()).store(states + c);
            int64_t r = 0;
            // Four rows at a time, for fewer turns of the states through the cache.
            for (; r + 4 <= rows; r += 4) step_rows<4>(p + r * stride, stride, columns, states, k);
            for (; r < rows; r++) step_rows<1>(p + r * stride, stride, columns, states, k);
        }
        for (int64_t c = 0; c < columns; c++) parts[c] = k.join(parts[c], Part(states[c]));
    }

private:
    template <int rows>
    static EMBER_INLINE void step_rows(const C* p, int64_t stride, int64_t columns, C* states,
                                       K k) {
        int64_t c = 0;
        for (; c + V::size <= columns; c += V::size) {
            V state = V::load(states + c);
#pragma GCC unroll 4
            for (int r = 0; r < rows; r++) {
                prefetch(p + (r + rows) * stride + c);
                state = k.step(state, V::load(p + r * stride + c));
            }
            state.store(states + c);
        }
        if (c < columns) {
            V state = V::load(states + c);
            for (int r = 0; r < rows; r++) {
                state = k.step(state, load_first<C>(p + r * stride + c, columns - c));
            }
            state.store(states + c);
        }
    }

    static EMBER_INLINE void narrow_tile(const C* p, int64_t stride, int64_t rows, int64_t columns,
                                         C* states, K k) {
        for (int64_t c = 0; c < columns; c += V::size) {
            int64_t n = clamp_to(columns - c, 0, V::size);
            V even = k.start(), odd = even;
            const C* row = p + c;
            int64_t r = 0;
            if (n == V::size) {
                for (; r + 2 <= rows; r += 2) {
                    prefetch(row + (r + 32) * stride);
                    prefetch(row + (r + 33) * stride);
                    even = k.step(even, V::load(row + r * stride));
                    odd = k.step(odd, V::load(row + (r + 1) * stride));
                }
                if (r < rows) even = k.step(even, V::load(row + r * stride));
            } else {
                for (; r + 2 <= rows; r += 2) {
                    even = k.step(even, load_first<C>(row + r * stride, n));
                    odd = k.step(odd, load_first<C>(row + (r + 1) * stride, n));
                }
                if (r < rows) even = k.step(even, load_first<C>(row + r * stride, n));
            }
            k.merge(even, odd).store(states + c);
        }
    }
};

// Blocks and tiles sum in vectors of C; what they give is summed in float64 or int64.
template <class C>
struct Sum {
    double param;  // unused
    using V = Vec<C>;
    using Part = Result<C>;
    static constexpr C pad() { return 0; }
    static EMBER_INLINE C start() { return 0; }
    EMBER_INLINE V step(V a, V x) const { return a + x; }
    EMBER_INLINE V merge(V a, V b) const { return a + b; }
    static EMBER_INLINE Part join(Part a, Part b) {
        if constexpr (std::is_integral_v<Part>) return Part(uint64_t(a) + uint64_t(b));
        return a + b;
    }
    static EMBER_INLINE Result<C> finish(Part x, double scale) {
        if constexpr (std::is_integral_v<Part>) return x;
        return x * scale;
    }
};

template <class C>
struct NanSum : Sum<C> {
    using V = Vec<C>;
    EMBER_INLINE V step(V a, V x) const { return a + select(x == x, x, V(C(0))); }
};

template <class C>
struct Prod {
    double param;  // unused
    using V = Vec<C>;
    using Part = Result<C>;
    static constexpr C pad() { return 1; }
    static EMBER_INLINE C start() { return 1; }
    EMBER_INLINE V step(V a, V x) const { return a * x; }
    EMBER_INLINE V merge(V a, V b) const { return a * b; }
    static EMBER_INLINE Part join(Part a, Part b) {
        if constexpr (std::is_integral_v<Part>) return Part(uint64_t(a) * uint64_t(b));
        return a * b;
    }
    static EMBER_INLINE Result<C> finish(Part x, double) { return x; }
};

template <class C>
EMBER_INLINE constexpr C lowest() {
    if constexpr (std::is_floating_point_v<C>) return -std::numeric_limits<C>::infinity();
    return std::numeric_limits<C>::min();
}
template <class C>
EMBER_INLINE constexpr C highest() {
    if constexpr (std::is_floating_point_v<C>) return std::numeric_limits<C>::infinity();
    return std::numeric_limits<C>::max();
}

template <class C>
struct Max {
    double param;  // unused
    using V = Vec<C>;
    using Part = C;
    static constexpr C pad() { return lowest<C>(); }
    static EMBER_INLINE C start() { return lowest<C>(); }
    EMBER_INLINE V step(V a, V x) const { return maximum(a, x); }
    EMBER_INLINE V merge(V a, V b) const { return maximum(a, b); }
    static EMBER_INLINE bool better(C x, C best) { return x > best || (x != x && best == best); }
    static EMBER_INLINE Mask<sizeof(C)> better(V x, V best) {
        if constexpr (std::is_integral_v<C>) return x > best;
        return (x > best) | ((x != x) & (best == best));
    }
    static EMBER_INLINE C join(C a, C b) { return better(b, a) ? b : a; }
    static EMBER_INLINE Result<C> finish(C x, double) { return x; }
};

template <class C>
struct Min {
    double param;  // unused
    using V = Vec<C>;
    using Part = C;
    static constexpr C pad() { return highest<C>(); }
    static EMBER_INLINE C start() { return highest<C>(); }
    EMBER_INLINE V step(V a, V x) const { return minimum(a, x); }
    EMBER_INLINE V merge(V a, V b) const { return minimum(a, b); }
    static EMBER_INLINE bool better(C x, C best) { return x < best || (x != x && best == best); }
    static EMBER_INLINE Mask<sizeof(C)> better(V x, V best) {
        if constexpr (std::is_integral_v<C>) return x < best;
        return (x < best) | ((x != x) & (best == best));
    }
    static EMBER_INLINE C join(C a, C b) { return better(b, a) ? b : a; }
    static EMBER_INLINE Result<C> finish(C x, double) { return x; }
};

// The state is 0 or 1; NaN counts as true.
template <class C>
struct Any {
    double param;  // unused
    using V = Vec<C>;
    using Part = C;
    static constexpr C pad() { return 0; }
    static EMBER_INLINE C start() { return 0; }
    EMBER_INLINE V step(V a, V x) const { return select(x != V(C(0)), V(C(1)), a); }
    EMBER_INLINE V merge(V a, V b) const { return max(a, b); }
    static EMBER_INLINE C join(C a, C b) { return a > b ? a : b; }
    static EMBER_INLINE Result<C> finish(C x, double) { return x; }
};

template <class C>
struct All {
    double param;  // unused
    using V = Vec<C>;
    using Part = C;
    static constexpr C pad() { return 1; }
    static EMBER_INLINE C start() { return 1; }
    EMBER_INLINE V step(V a, V x) const { return select(x == V(C(0)), V(C(0)), a); }
    EMBER_INLINE V merge(V a, V b) const { return min(a, b); }
    static EMBER_INLINE C join(C a, C b) { return a < b ? a : b; }
    static EMBER_INLINE Result<C> finish(C x, double) { return x; }
};

template <class C>
struct Best {
    C value;
    int64_t index;  // -1: none yet
};

// The first of the best items and where it stands; K is Max or Min.
template <class C, template <class> class K>
struct Arg {
    using Compute = C;
    using V = Vec<C>;
    using I = typename V::Int::Scalar;
    using Part = Best<C>;
    static constexpr bool writes_indices = true;

    static EMBER_INLINE Part identity() { return {0, -1}; }
    static EMBER_INLINE Result<C> finish(Part part, double) { return part.value; }
    static EMBER_INLINE void combine(Part& a, Part b) {
        if (b.index < 0) return;
        if (a.index < 0 || K<C>::better(b.value, a.value)) a = b;
    }

    static EMBER_INLINE void absorb(Part& part, const C* p, int64_t n, int64_t number, double) {
        C best = Simple<C, K<C>>::block(p, n, {});
        if (part.index >= 0 && !K<C>::better(best, part.value)) return;
        part = {best, number + find(p, n, best)};
    }

    static EMBER_INLINE void tile(const C* p, int64_t stride, int64_t rows, int64_t columns,
                                  int64_t number, Part* parts, double) {
        alignas(64) C values[V::size];
        alignas(64) I indices[V::size];
        for (int64_t c = 0; c < columns; c += V::size) {
            int64_t n = clamp_to(columns - c, 0, V::size);
            V best = load_first<C>(p + c, n);
            Vec<I> at = I(0);
            for (int64_t r = 1; r < rows; r++) {
                prefetch(p + r * stride + c + kColumnsAhead);
                V x = n == V::size ? V::load(p + r * stride + c)
                                   : load_first<C>(p + r * stride + c, n);
                Mask<sizeof(C)> better = K<C>::better(x, best);
                best = select(better, x, best);
                at = select(better, Vec<I>(I(r)), at);
            }
            best.store(values);
            at.store(indices);
            for (int64_t j = 0; j < n; j++) {
                combine(parts[c + j], {values[j], number + int64_t(indices[j])});
            }
        }
    }

private:
    static EMBER_INLINE int64_t find(const C* p, int64_t n, C value) {
        int64_t i = 0;
        for (; i + V::size <= n; i += V::size) {
            V x = V::load(p + i);
            if (any((x == V(value)) | (x != x))) break;
        }
        while (p[i] != value && p[i] == p[i]) i++;
        return i;
    }
};

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
