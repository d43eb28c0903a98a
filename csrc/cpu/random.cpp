#include "kernels/random.h"

#include "cpu/vec.h"
#include "kernels/formulas/exponential.h"
#include "kernels/formulas/power.h"

// Every kernel draws its words in order into a small buffer, then works on the buffer: drawing is
// one sequence, so nothing here runs on several threads.
namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::RandomFill;
using Words = Vec<uint32_t>;
using Words64 = Vec<uint64_t>;

constexpr int kBuffer = 1024;  // words; a multiple of every vector and of Box-Muller's 16
constexpr uint64_t kMask53 = (uint64_t(1) << 53) - 1;

void refill(MersenneTwister& t) {
    constexpr int n = MersenneTwister::kWords, m = MersenneTwister::kShift;
    uint32_t* s = t.state;
    // Words from `begin` to `end` are mixed with the one `shift` after them (before, if negative),
    // which is farther from them than a vector is long.
    auto twist = [s](int begin, int end, int shift) __attribute__((always_inline)) {
        int i = begin;
        for (; i + Words::size <= end; i += Words::size)
            twist_word(Words::load(s + i), Words::load(s + i + 1), Words::load(s + i + shift))
                .store(s + i);
        for (; i < end; i++) s[i] = twist_word(s[i], s[i + 1], s[i + shift]);
    };
    twist(0, n - m, m);
    twist(n - m, n - 1, m - n);
    s[n - 1] = twist_word(s[n - 1], s[0], s[m - 1]);
    t.index = 0;
}

void draw(MersenneTwister& t, uint32_t* out, int64_t count) {
    while (count > 0) {
        if (t.index >= MersenneTwister::kWords) refill(t);
        const uint32_t* s = t.state + t.index;
        int left = MersenneTwister::kWords - t.index;
        int n = count < left ? int(count) : left;
        int i = 0;
        for (; i + Words::size <= n; i += Words::size)
            temper_word(Words::load(s + i)).store(out + i);
        for (; i < n; i++) out[i] = temper_word(s[i]);
        t.index += n;
        out += n;
        count -= n;
    }
}

// Draws `words` (1 or 2) for each of `numel` items and calls f(buffer, first item, items).
template <class F>
EMBER_INLINE void for_draws(MersenneTwister& t, int64_t numel, int words, F&& f) {
    alignas(64) uint32_t buffer[kBuffer] = {};
    int64_t step = kBuffer / words;
    for (int64_t begin = 0; begin < numel; begin += step) {
        int64_t n = numel - begin < step ? numel - begin : step;
        draw(t, buffer, n * words);
        f(buffer, begin, n);
    }
}

// ---- Words to numbers in [0, 1)

EMBER_INLINE VecF f24(const uint32_t* words) {
    Vec<int32_t> x = bit_cast<int32_t>(Words::load(words)) & Vec<int32_t>(0xffffff);
    return VecF{__builtin_convertvector(x.v, Raw<float>)} * VecF(0x1p-24f);
}

// Two words an item. The first is the high half, and memory order has it in the low one.
EMBER_INLINE VecD f53(const uint32_t* words) {
    Words64 pair = Words64::load(words);
    Words64 high = (pair & Words64(0x1fffff)) | Words64(0x4530000000000000);  // 2^84 + 2^32 high
    Words64 low = (pair >> 32) | Words64(0x4330000000000000);                 // 2^52 + low
    VecD x = (bit_cast<double>(high) - VecD(0x1p84 + 0x1p52)) + bit_cast<double>(low);
    return x * VecD(0x1p-53);
}

EMBER_INLINE uint64_t pair_at(const uint32_t* words) { return uint64_t(words[0]) << 32 | words[1]; }
EMBER_INLINE double f53_at(const uint32_t* words) {
    return double(pair_at(words) & kMask53) * 0x1p-53;
}
EMBER_INLINE float f24_at(uint32_t word) { return float(word & 0xffffff) * 0x1p-24f; }

// a * b + c rounded once at every level. In double the product of floats is exact, and the sum is
// rounded to odd: its last bit then tells on which side of a float's midpoint it lies.
EMBER_INLINE VecD sum_of_product_to_odd(VecD a, VecD b, VecD c) {
    using I = Vec<int64_t>;
    VecD p = a * b, s = p + c, back = s - p;
    VecD lost = (p - (s - back)) + (c - back);
    I away = select(lost > VecD(0.0), I(1), I(-1));
    away = select(s > VecD(0.0), away, -away);  // bits grow with the magnitude
    auto inexact_and_even = (lost != VecD(0.0)) & ((bit_cast<int64_t>(s) & I(1)) == I(0));
    return bit_cast<double>(bit_cast<int64_t>(s) + select(inexact_and_even, away, I(0)));
}
EMBER_INLINE VecF fma_once(VecF a, VecF b, VecF c) {
    if constexpr (kHasFma) return fma(a, b, c);
    return narrow(sum_of_product_to_odd(widen_lower(a), widen_lower(b), widen_lower(c)),
                  sum_of_product_to_odd(widen_upper(a), widen_upper(b), widen_upper(c)));
}
EMBER_INLINE VecD fma_once(VecD a, VecD b, VecD c) {
    if constexpr (kHasFma) return fma(a, b, c);
    VecD r;
    for (int i = 0; i < VecD::size; i++) r.v[i] = __builtin_fma(a.v[i], b.v[i], c.v[i]);
    return r;
}

// ---- Numbers to memory

// As many items as the vectors of another type have.
template <class T, int count>
struct RawCount {
    typedef T type __attribute__((vector_size(sizeof(T) * count)));
};

template <class T>
using VecOf = std::conditional_t<std::is_same_v<T, double>, VecD, VecF>;

template <class T, class N>
EMBER_INLINE T to(N x) {
    if constexpr (std::is_same_v<T, Half>)
        return to_half(float(x));
    else if constexpr (std::is_same_v<T, BFloat16>)
        return to_bfloat16(float(x));
    else if constexpr (std::is_same_v<T, bool>)
        return x != N(0);
    else
        return T(x);
}

// What x is once it has been stored as T.
template <class T>
EMBER_INLINE VecOf<T> rounded(VecOf<T> x) {
    if constexpr (sizeof(T) == 2)
        return to_float(to_halves(x, T{}), T{});
    else
        return x;
}

template <class T>
EMBER_INLINE void store_up_to(T* p, VecOf<T> x, int64_t n) {
    if (n >= VecOf<T>::size)
        store_as(p, x);
    else
        store_first_as(p, x, n);
}

template <class F>
EMBER_INLINE void floating(DType dtype, F&& f) {
    dispatch<float, double, Half, BFloat16>(dtype, f);
}
template <class F>
EMBER_INLINE void real(DType dtype, F&& f) {
    dispatch<float, double, Half, BFloat16, bool, uint8_t, int8_t, int16_t, int32_t, int64_t>(dtype,
                                                                                              f);
}

// ---- Uniform and normal

void uniform(Context&, const RandomFill& fill, const RandomSource& source, double low,
             double high) {
    MersenneTwister& t = source.twister;
    floating(fill.dtype, [&]<class T>(TypeTag<T>) {
        using V = VecOf<T>;
        using S = typename V::Scalar;
        constexpr int words = sizeof(S) / 4;
        T* out = static_cast<T*>(fill.data);
        V least = V(S(low)), range = V(S(high) - S(low));
        V begin = rounded<T>(V(S(low))), end = rounded<T>(V(S(high)));
        for_draws(t, fill.numel, words, [&](const uint32_t* buffer, int64_t first, int64_t n) {
            for (int64_t i = 0; i < n; i += V::size) {
                V u;
                if constexpr (words == 1)
                    u = f24(buffer + i);
                else
                    u = f53(buffer + 2 * i);
                V x = rounded<T>(fma_once(u, range, least));
                store_up_to(out + first + i, select(x == end, begin, x), n - i);
            }
        });
    });
}

// The sine and cosine of x in [0, 2 pi].
EMBER_INLINE void sine_and_cosine(VecF x, VecF& sine, VecF& cosine) {
    VecF k = round(x * VecF(0x1.45f306p-1f));
    // pi / 2 in two parts; k times the first is exact.
    VecF r = fma(k, VecF(-0x1.921fb4p+0f), x);
    r = fma(k, VecF(-0x1.4442d2p-24f), r);
    VecF z = r * r;
    // (sin(r) - r) / r^3 and (cos(r) - 1 + r^2 / 2) / r^4 on |r| <= pi / 4: 2^-28 and 2^-33.
    VecF s = fma(z, fma(z, VecF(-0x1.994b4p-13f), VecF(0x1.110756p-7f)), VecF(-0x1.555546p-3f));
    VecF c = fma(z, fma(z, VecF(0x1.99ff4p-16f), VecF(-0x1.6c0c82p-10f)), VecF(0x1.55554ap-5f));
    s = fma(z * r, s, r);
    c = fma(z * z, c, fma(z, VecF(-0.5f), VecF(1.0f)));
    auto first = k == VecF(1.0f), second = k == VecF(2.0f), third = k == VecF(3.0f);
    VecF a = select(first | third, c, s), b = select(first | third, s, c);
    sine = select(second | third, -a, a);
    cosine = select(first | second, -b, b);
}
EMBER_INLINE void sine_and_cosine(VecD x, VecD& sine, VecD& cosine) {
    sine = formulas::sin(x);
    cosine = formulas::cos(x);
}

// Box-Muller on blocks of 16: 8 radii, then 8 angles, give 8 cosines, then 8 sines.
template <class T>
void box_muller(const uint32_t* words, T* out, int64_t items, double mean, double std) {
    using V = VecOf<T>;
    using S = typename V::Scalar;
    constexpr int kPairs = 64;  // enough that loads do not wait for the stores before them
    alignas(64) S u1[kPairs] = {}, u2[kPairs] = {}, u[2 * kPairs];
    alignas(64) S x[kPairs + V::size], y[kPairs + V::size];  // read in vectors from every eighth
    V scale = V(S(std)), offset = V(S(mean));
    for (int64_t block = 0; block < items; block += 2 * kPairs) {
        int pairs = int((items - block < 2 * kPairs ? items - block : 2 * kPairs) / 2);
        for (int i = 0; i < 2 * pairs; i += V::size) {
            if constexpr (sizeof(S) == 4)
                f24(words + block + i).store(u + i);
            else
                f53(words + 2 * (block + i)).store(u + i);
        }
        for (int i = 0; i < pairs; i += 8) {
            memcpy(u1 + i, u + 2 * i, 8 * sizeof(S));
            memcpy(u2 + i, u + 2 * i + 8, 8 * sizeof(S));
        }
        for (int i = 0; i < pairs; i += V::size) {
            V radius = sqrt(V(S(-2)) * formulas::log(V(S(1)) - V::load(u1 + i)));
            V sine, cosine;
            sine_and_cosine(V(S(6.283185307179586)) * V::load(u2 + i), sine, cosine);
            fma(radius * cosine, scale, offset).store(x + i);
            fma(radius * sine, scale, offset).store(y + i);
        }
        for (int i = 0; i < pairs; i += 8) {
            T* p = out + block + 2 * i;
            for (int j = 0; j < 8; j += V::size) {
                store_up_to(p + j, V::load(x + i + j), 8 - j);
                store_up_to(p + 8 + j, V::load(y + i + j), 8 - j);
            }
        }
    }
}

template <class T>
void normal_by_blocks(T* out, int64_t n, MersenneTwister& t, double mean, double std) {
    constexpr int words = sizeof(T) == 8 ? 2 : 1;
    int64_t tail = n % 16;
    for_draws(t, n - tail, words, [&](const uint32_t* buffer, int64_t first, int64_t items) {
        box_muller(buffer, out + first, items, mean, std);
    });
    if (tail == 0) return;
    // The last 16 are drawn anew. Half types never draw the tail before that, the others do.
    alignas(64) uint32_t buffer[64] = {};
    if (sizeof(T) != 2) draw(t, buffer, tail * words);
    draw(t, buffer, 16 * words);
    box_muller(buffer, out + n - 16, 16, mean, std);
}

// One by one, in double; the sine waits for the next call.
EMBER_NOINLINE double next_normal(MersenneTwister& t) {
    if (t.has_normal) {
        t.has_normal = false;
        return t.normal;
    }
    uint32_t words[4];
    draw(t, words, 4);
    double angle = 6.283185307179586 * f53_at(words);
    double radius = __builtin_sqrt(-2.0 * __builtin_log1p(-f53_at(words + 2)));
    t.normal = radius * __builtin_sin(angle);
    t.has_normal = true;
    return radius * __builtin_cos(angle);
}

void normal(Context&, const RandomFill& fill, const RandomSource& source, double mean, double std) {
    MersenneTwister& t = source.twister;
    floating(fill.dtype, [&]<class T>(TypeTag<T>) {
        T* out = static_cast<T*>(fill.data);
        if (fill.contiguous && fill.numel >= 16) {
            normal_by_blocks(out, fill.numel, t, mean, std);
            return;
        }
        for (int64_t i = 0; i < fill.numel; i++)
            out[i] = to<T>(__builtin_fma(next_normal(t), std, mean));
    });
}

// ---- Whole numbers

// What `random_()` draws from: the type's non-negative values, or the whole numbers its mantissa
// holds.
EMBER_INLINE uint64_t full_range(DType dtype) {
    switch (dtype) {
        case DType::Bool: return 2;
        case DType::UInt8: return 1 << 8;
        case DType::Int8: return 1 << 7;
        case DType::Int16: return 1 << 15;
        case DType::Int32: return uint64_t(1) << 31;
        case DType::Int64: return uint64_t(1) << 63;
        case DType::BFloat16: return (1 << 8) + 1;
        case DType::Float16: return (1 << 11) + 1;
        case DType::Float32: return (1 << 24) + 1;
        default: return (uint64_t(1) << 53) + 1;
    }
}

void randint(Context&, const RandomFill& fill, const RandomSource& source, uint64_t range,
             int64_t base) {
    MersenneTwister& t = source.twister;
    bool every_bit = range == 0 && base == INT64_MIN;
    bool wide = range ? range >= uint64_t(1) << 28 : every_bit || item_size(fill.dtype) == 8;
    if (range == 0) range = full_range(fill.dtype);
    // For one word the remainder is a product with a reciprocal (Lemire, Kaser and Kurz, 2019).
    uint64_t reciprocal = ~uint64_t(0) / range + 1;
    real(fill.dtype, [&]<class T>(TypeTag<T>) {
        T* out = static_cast<T*>(fill.data);
        for_draws(
            t, fill.numel, wide ? 2 : 1, [&](const uint32_t* buffer, int64_t first, int64_t n) {
                for (int64_t i = 0; i < n; i++) {
                    uint64_t x;
                    if (!wide)
                        x = uint64_t((unsigned __int128)(reciprocal * buffer[i]) * range >> 64);
                    else if (every_bit)
                        x = pair_at(buffer + 2 * i) - uint64_t(base);  // base comes back below
                    else
                        x = pair_at(buffer + 2 * i) % range;
                    out[first + i] = to<T>(int64_t(x + uint64_t(base)));
                }
            });
    });
}

template <class T>
EMBER_INLINE void swap_items(T* items, int64_t i, int64_t j) {
    T x = items[i];
    items[i] = items[j];
    items[j] = x;
}

void randperm(Context&, const RandomFill& fill, const RandomSource& source) {
    MersenneTwister& t = source.twister;
    int64_t n = fill.numel;
    dispatch<int64_t, int32_t, int16_t, int8_t, uint8_t, float, double, Half, BFloat16>(
        fill.dtype, [&]<class T>(TypeTag<T>) {
            T* out = static_cast<T*>(fill.data);
            if (n < UINT32_MAX / 20) {
                for (int64_t i = 0; i < n; i++) out[i] = to<T>(i);
                for_draws(t, n - 1, 1, [&](const uint32_t* buffer, int64_t first, int64_t count) {
                    for (int64_t i = first; i < first + count; i++)
                        swap_items(out, i, i + buffer[i - first] % uint32_t(n - i));
                });
                return;
            }
            // One word is short for so many: PyTorch draws two, and shuffles as it goes.
            for_draws(t, n, 2, [&](const uint32_t* buffer, int64_t first, int64_t count) {
                for (int64_t i = first; i < first + count; i++) {
                    out[i] = to<T>(i);
                    swap_items(out, i,
                               int64_t(pair_at(buffer + 2 * (i - first)) % uint64_t(i + 1)));
                }
            });
        });
}

// ---- Trials

// bytes[i] = f53 < p, by comparing whole numbers.
struct Threshold {
    uint32_t high, low;
    explicit EMBER_INLINE Threshold(double p) {
        uint64_t t = uint64_t(__builtin_ceil(p * 0x1p53));
        high = uint32_t(t >> 32);
        low = uint32_t(t);
    }
};

// 1 where the item's f53 is below the threshold, for the items of two vectors of words. Of eight
// items the fifth and sixth come before the third and fourth: that order costs one instruction.
EMBER_INLINE Vec<int32_t> successes(const uint32_t* words, Threshold threshold) {
    using V = Vec<int32_t>;
    Raw<int32_t> a = V::load(words).v, b = V::load(words + V::size).v;
    V high, low;
#if EMBER_VECTOR_BYTES == 16
    high.v = __builtin_shufflevector(a, b, 0, 2, 4, 6);
    low.v = __builtin_shufflevector(a, b, 1, 3, 5, 7);
#elif EMBER_VECTOR_BYTES == 32
    high.v = __builtin_shufflevector(a, b, 0, 2, 8, 10, 4, 6, 12, 14);
    low.v = __builtin_shufflevector(a, b, 1, 3, 9, 11, 5, 7, 13, 15);
#else
    high.v =
        __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    low.v =
        __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#endif
    V sign(INT32_MIN);  // flipped, signed comparison orders unsigned words
    V high_bound(int32_t(threshold.high)), low_bound = V(int32_t(threshold.low)) ^ sign;
    high = high & V(0x1fffff);
    auto less = (high < high_bound) | ((high == high_bound) & ((low ^ sign) < low_bound));
    return select(less, V(1), V(0));
}

// bytes[i] = 0 or 1 for n items and some after them: both arrays have room for whole buffers.
void trials(const uint32_t* words, Threshold threshold, uint8_t* bytes, int64_t n) {
    using V = Vec<int32_t>;
#if EMBER_VECTOR_BYTES == 32
    // Four vectors become the bytes of one: byte k of lane j is item 8 k + j in that order.
    for (int64_t i = 0; i < n; i += 32) {
        const uint32_t* w = words + 2 * i;
        V packed = successes(w, threshold) | (successes(w + 16, threshold) << 8) |
                   (successes(w + 32, threshold) << 16) | (successes(w + 48, threshold) << 24);
        Raw<uint8_t> x = (Raw<uint8_t>)packed.v;
        x = __builtin_shufflevector(x, x, 0, 4, 16, 20, 8, 12, 24, 28, 1, 5, 17, 21, 9, 13, 25, 29,
                                    2, 6, 18, 22, 10, 14, 26, 30, 3, 7, 19, 23, 11, 15, 27, 31);
        memcpy(bytes + i, &x, sizeof x);
    }
#else
    for (int64_t i = 0; i < n; i += V::size) {
        using Bytes = typename RawCount<uint8_t, V::size>::type;
        Bytes r = __builtin_convertvector(successes(words + 2 * i, threshold).v, Bytes);
        memcpy(bytes + i, &r, sizeof r);
    }
#endif
}

void bernoulli(Context&, const RandomFill& fill, const RandomSource& source, double p) {
    MersenneTwister& t = source.twister;
    Threshold threshold(p);
    real(fill.dtype, [&]<class T>(TypeTag<T>) {
        T* out = static_cast<T*>(fill.data);
        for_draws(t, fill.numel, 2, [&](const uint32_t* buffer, int64_t first, int64_t n) {
            alignas(64) uint8_t bytes[kBuffer / 2];
            trials(buffer, threshold, bytes, n);
            for (int64_t i = 0; i < n; i++) out[first + i] = to<T>(bytes[i]);
        });
    });
}

void bernoulli_tensor(Context&, const RandomFill& fill, const RandomSource& source, const void* p,
                      DType p_dtype) {
    MersenneTwister& t = source.twister;
    real(fill.dtype, [&]<class T>(TypeTag<T>) {
        T* out = static_cast<T*>(fill.data);
        if (p_dtype == DType::Float64) {
            auto* odds = static_cast<const double*>(p);
            for_draws(t, fill.numel, 2, [&](const uint32_t* buffer, int64_t first, int64_t n) {
                for (int64_t i = 0; i < n; i++)
                    out[first + i] = to<T>(int(f53_at(buffer + 2 * i) < odds[first + i]));
            });
        } else {
            auto* odds = static_cast<const float*>(p);
            for_draws(t, fill.numel, 1, [&](const uint32_t* buffer, int64_t first, int64_t n) {
                for (int64_t i = 0; i < n; i++)
                    out[first + i] = to<T>(int(f24_at(buffer[i]) < odds[first + i]));
            });
        }
    });
}

void dropout(Context&, const void* in, void* out, bool* mask, int64_t numel, DType dtype,
             const RandomSource& source, double p) {
    MersenneTwister& t = source.twister;
    Threshold threshold(1 - p);
    floating(dtype, [&]<class T>(TypeTag<T>) {
        using V = VecOf<T>;
        using S = typename V::Scalar;
        using Ints = typename RawCount<int32_t, V::size>::type;
        const T* source = static_cast<const T*>(in);
        T* target = static_cast<T*>(out);
        V factor = rounded<T>(V(S(1) / S(1 - p)));
        for_draws(t, numel, 2, [&](const uint32_t* buffer, int64_t first, int64_t n) {
            alignas(64) uint8_t bytes[kBuffer / 2];
            trials(buffer, threshold, bytes, n);
            memcpy(static_cast<void*>(mask + first), bytes, size_t(n));
            for (int64_t i = 0; i < n; i += V::size) {
                typename RawCount<uint8_t, V::size>::type kept;
                memcpy(&kept, bytes + i, sizeof kept);
                V keep{__builtin_convertvector(__builtin_convertvector(kept, Ints), Raw<S>)};
                const T* x = source + first + i;
                V value = n - i >= V::size ? load_as<V>(x) : load_first_as<V>(x, n - i);
                // A product, not a choice: what is not finite stays so, as in PyTorch.
                store_up_to(target + first + i, value * (keep * factor), n - i);
            }
        });
    });
}

void exponential(Context&, const RandomFill& fill, const RandomSource& source, double lambda) {
    MersenneTwister& t = source.twister;
    floating(fill.dtype, [&]<class T>(TypeTag<T>) {
        T* out = static_cast<T*>(fill.data);
        VecD rate(lambda);
        for_draws(t, fill.numel, 2, [&](const uint32_t* buffer, int64_t first, int64_t n) {
            alignas(64) double x[kBuffer / 2];
            // log1p(-f53): the difference is exact, and never 0.
            for (int64_t i = 0; i < n; i += VecD::size)
                ((VecD(0.0) - formulas::log(VecD(1.0) - f53(buffer + 2 * i))) / rate).store(x + i);
            for (int64_t i = 0; i < n; i++) out[first + i] = to<T>(x[i]);
        });
    });
}

}  // namespace

void register_random(Table& table) {
    table.set(kernels::uniform, uniform, kFloating);
    table.set(kernels::normal, normal, kFloating);
    table.set(kernels::randint, randint, kReal);
    table.set(kernels::randperm, randperm, kNumeric);
    table.set(kernels::bernoulli, bernoulli, kReal);
    table.set(kernels::bernoulli_tensor, bernoulli_tensor, kReal);
    table.set(kernels::dropout, dropout, kFloating);
    table.set(kernels::exponential, exponential, kFloating);
}

}  // namespace ember::cpu::EMBER_LEVEL
