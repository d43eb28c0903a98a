#include <cmath>

#include "cuda/sort_pairs.h"
#include "kernels/random.h"

// Every item has a counter of its own, so results depend on the seed, the number of fills before
// and the item's place alone.
namespace ember::cuda {
namespace {

using kernels::RandomFill;

struct Draw {
    uint32_t word[4];
    EMBER_DEVICE float f24() const { return float(word[0] >> 8) * 0x1p-24f; }
    EMBER_DEVICE double f53() const { return double(u64() >> 11) * 0x1p-53; }
    EMBER_DEVICE uint64_t u64() const { return uint64_t(word[1]) << 32 | word[0]; }
    EMBER_DEVICE uint64_t second() const { return uint64_t(word[3]) << 32 | word[2]; }
};

EMBER_DEVICE Draw draw(Philox state, int64_t item) {
    uint32_t c[4] = {uint32_t(item), uint32_t(uint64_t(item) >> 32), uint32_t(state.offset),
                     uint32_t(state.offset >> 32)};
    uint32_t key[2] = {uint32_t(state.seed), uint32_t(state.seed >> 32)};
#pragma unroll
    for (int round = 0; round < 10; round++) {
        uint32_t high0 = __umulhi(0xD2511F53u, c[0]), low0 = 0xD2511F53u * c[0];
        uint32_t high1 = __umulhi(0xCD9E8D57u, c[2]), low1 = 0xCD9E8D57u * c[2];
        c[0] = high1 ^ c[1] ^ key[0];
        c[1] = low1;
        c[2] = high0 ^ c[3] ^ key[1];
        c[3] = low0;
        key[0] += 0x9E3779B9u;
        key[1] += 0xBB67AE85u;
    }
    return {{c[0], c[1], c[2], c[3]}};
}

// out[i] = f(draw, i), converted.
template <class T, class F>
__global__ void fill_kernel(T* out, int64_t n, Philox state, const F f) {
    EMBER_FOR_ITEMS(i, n) { out[i] = convert<T>(f(draw(state, i), i)); }
}

template <class T, class F>
void fill(Context& context, const RandomFill& a, const RandomSource& source, const F& f) {
    run_items(context, fill_kernel<T, F>, a.numel, static_cast<T*>(a.data), a.numel, source.philox,
              f);
    source.philox.offset++;
}

template <class T>
struct Uniform {
    using C = Compute<T>;
    C low, high;
    EMBER_DEVICE C operator()(const Draw& d, int64_t) const {
        C unit = sizeof(C) == 8 ? C(d.f53()) : C(d.f24());
        C x = widen(narrow<T>(unit * (high - low) + low));
        return x == C(widen(narrow<T>(high))) ? low : x;
    }
};
void uniform(Context& context, const RandomFill& a, const RandomSource& source, double low,
             double high) {
    dispatch_floating(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        fill<T>(context, a, source, Uniform<T>{Compute<T>(low), Compute<T>(high)});
    });
}

// Box and Muller (1958).
template <class C>
struct Normal {
    C mean, std;
    EMBER_DEVICE C operator()(const Draw& d, int64_t) const {
        if constexpr (sizeof(C) == 8) {
            double u = double((d.u64() >> 11) + 1) * 0x1p-53;
            double v = double(d.second() >> 11) * 0x1p-53;
            return ::sqrt(-2 * ::log(u)) * ::cospi(2 * v) * std + mean;
        } else {
            float u = float((d.word[0] >> 8) + 1) * 0x1p-24f;
            float v = float(d.word[1] >> 8) * 0x1p-24f;
            return ::sqrtf(-2 * ::logf(u)) * ::cospif(2 * v) * std + mean;
        }
    }
};
void normal(Context& context, const RandomFill& a, const RandomSource& source, double mean,
            double std) {
    dispatch_floating(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        using C = Compute<T>;
        fill<T>(context, a, source, Normal<C>{C(mean), C(std)});
    });
}

struct Whole {
    uint64_t range;  // 0: all
    int64_t base;
    EMBER_DEVICE int64_t operator()(const Draw& d, int64_t) const {
        return int64_t(uint64_t(base) + (range == 0 ? d.u64() : d.u64() % range));
    }
};

// What `random_()` without bounds draws below: numbers that the dtype holds exactly.
uint64_t natural_range(DType dtype) {
    switch (dtype) {
        case DType::Bool: return 2;
        case DType::UInt8: return 256;
        case DType::Float16: return (1u << 11) + 1;
        case DType::BFloat16: return (1u << 8) + 1;
        case DType::Float32: return (1u << 24) + 1;
        case DType::Float64: return (uint64_t(1) << 53) + 1;
        default: return uint64_t(1) << (item_size(dtype) * 8 - 1);
    }
}

void randint(Context& context, const RandomFill& a, const RandomSource& source, uint64_t range,
             int64_t base) {
    if (range == 0 && base != INT64_MIN) range = natural_range(a.dtype);
    dispatch_real(a.dtype, [&](auto tag) {
        fill<typename decltype(tag)::type>(context, a, source, Whole{range, base});
    });
}

struct Trial {
    double p;
    EMBER_DEVICE int64_t operator()(const Draw& d, int64_t) const { return d.f53() < p; }
};
void bernoulli(Context& context, const RandomFill& a, const RandomSource& source, double p) {
    dispatch_real(a.dtype, [&](auto tag) {
        fill<typename decltype(tag)::type>(context, a, source, Trial{p});
    });
}

struct Trials {
    const void* p;
    DType dtype;
    EMBER_DEVICE int64_t operator()(const Draw& d, int64_t i) const {
        if (dtype == DType::Float64) return d.f53() < static_cast<const double*>(p)[i];
        return d.f24() < static_cast<const float*>(p)[i];
    }
};
void bernoulli_tensor(Context& context, const RandomFill& a, const RandomSource& source,
                      const void* p, DType p_dtype) {
    dispatch_real(a.dtype, [&](auto tag) {
        fill<typename decltype(tag)::type>(context, a, source, Trials{p, p_dtype});
    });
}

struct Exponential {
    double rate;
    EMBER_DEVICE double operator()(const Draw& d, int64_t) const {
        return -::log1p(-d.f53()) / rate;
    }
};
void exponential(Context& context, const RandomFill& a, const RandomSource& source, double lambda) {
    dispatch_floating(a.dtype, [&](auto tag) {
        fill<typename decltype(tag)::type>(context, a, source, Exponential{lambda});
    });
}

__global__ void keys_kernel(uint64_t* keys, int64_t* values, int64_t n, Philox state) {
    EMBER_FOR_ITEMS(i, n) {
        keys[i] = draw(state, i).u64();
        values[i] = i;
    }
}
template <class T>
__global__ void convert_kernel(const int64_t* from, T* to, int64_t n) {
    EMBER_FOR_ITEMS(i, n) { to[i] = convert<T>(from[i]); }
}

// The numbers in the order of as many random keys.
void randperm(Context& context, const RandomFill& a, const RandomSource& source) {
    uint64_t* keys = context.scratch_of<uint64_t>(2 * a.numel);
    int64_t* values = context.scratch_of<int64_t>(2 * a.numel);
    run_items(context, keys_kernel, a.numel, keys, values, a.numel, source.philox);
    source.philox.offset++;
    sort_pairs(context, keys, keys + a.numel, values, values + a.numel, a.numel, 64);
    dispatch_real(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        run_items(context, convert_kernel<T>, a.numel,
                  static_cast<const int64_t*>(values + a.numel), static_cast<T*>(a.data), a.numel);
    });
}

template <class T>
__global__ void dropout_kernel(const T* in, T* out, bool* mask, int64_t n, Philox state, double p,
                               Compute<T> factor) {
    using C = Compute<T>;
    factor = widen(narrow<T>(factor));
    EMBER_FOR_ITEMS(i, n) {
        bool kept = draw(state, i).f53() < 1 - p;
        mask[i] = kept;
        // A product, not a choice: what is not finite stays so, as in PyTorch.
        out[i] = narrow<T>(C(widen(in[i])) * (kept ? factor : C(0)));
    }
}
void dropout(Context& context, const void* in, void* out, bool* mask, int64_t numel, DType dtype,
             const RandomSource& source, double p) {
    dispatch_floating(dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        using C = Compute<T>;
        run_items(context, dropout_kernel<T>, numel, static_cast<const T*>(in),
                  static_cast<T*>(out), mask, numel, source.philox, p, C(1) / C(1 - p));
    });
    source.philox.offset++;
}

}  // namespace

void register_random(const Table& table) {
    table.set(kernels::uniform, uniform, kFloating);
    table.set(kernels::normal, normal, kFloating);
    table.set(kernels::randint, randint, kReal);
    table.set(kernels::randperm, randperm, kNumeric);
    table.set(kernels::bernoulli, bernoulli, kReal);
    table.set(kernels::bernoulli_tensor, bernoulli_tensor, kReal);
    table.set(kernels::dropout, dropout, kFloating);
    table.set(kernels::exponential, exponential, kFloating);
}

}  // namespace ember::cuda
