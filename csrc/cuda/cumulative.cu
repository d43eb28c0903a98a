#include <cmath>

#include "cuda/keys.cuh"
#include "kernels/cumulative.h"

// A lane is what runs: the items (outer, ., inner). Many lanes take a thread each, few long ones a
// block each.
namespace ember::cuda {
namespace {

using kernels::Cumulative;

struct Lanes {
    int64_t count, n, inner;
    bool reverse;

    explicit Lanes(const Cumulative& a)
        : count(a.outer * a.inner), n(a.n), inner(a.inner), reverse(a.reverse) {}
    EMBER_DEVICE int64_t place(int64_t lane, int64_t j) const {
        return (lane / inner * n + (reverse ? n - 1 - j : j)) * inner + lane % inner;
    }
};

template <class Op>
__global__ void thread_kernel(const Lanes lanes, const Op op) {
    EMBER_FOR_ITEMS(lane, lanes.count) {
        auto state = op.init();
        for (int64_t j = 0; j < lanes.n; j++) {
            state = op.join(state, op.load(lanes.place(lane, j), j));
            op.store(state, lanes, lane, j);
        }
    }
}

// Tiles of a lane, each scanned by doubling steps (Hillis and Steele, 1986).
template <class Op>
__global__ void __launch_bounds__(kThreads) block_kernel(const Lanes lanes, const Op op) {
    using State = typename Op::State;
    __shared__ State states[2][kThreads];
    int t = threadIdx.x;
    for (int64_t lane = blockIdx.x; lane < lanes.count; lane += gridDim.x) {
        State before = op.init();
        for (int64_t first = 0; first < lanes.n; first += kThreads) {
            int64_t j = first + t;
            State state = op.init();
            if (j < lanes.n) state = op.load(lanes.place(lane, j), j);
            int now = 0;
            states[now][t] = state;
            __syncthreads();
            for (int step = 1; step < kThreads; step *= 2) {
                if (t >= step) state = op.join(states[now][t - step], state);
                now ^= 1;
                states[now][t] = state;
                __syncthreads();
            }
            if (j < lanes.n) op.store(op.join(before, state), lanes, lane, j);
            before = op.join(before, states[now][kThreads - 1]);
            __syncthreads();
        }
    }
}

template <class Op>
void scan(Context& context, const Cumulative& a, const Op& op) {
    Lanes lanes(a);
    if (lanes.count == 0 || lanes.n == 0) return;
    if (lanes.n <= kThreads / 4 || lanes.count >= int64_t(1) << 14)
        run_items(context, thread_kernel<Op>, lanes.count, lanes, op);
    else
        run(context, block_kernel<Op>, blocks_for(lanes.count, 1), dim3(kThreads), lanes, op);
}

// ---- Sums and products

template <class T>
using Running = std::conditional_t<std::is_same_v<T, int64_t>, uint64_t,  // wraps around
                                   std::conditional_t<is_half<T>, float, double>>;

template <class T, class Join>
struct Numbers {
    using State = Running<T>;
    const T* in;
    T* out;
    EMBER_DEVICE State init() const { return Join::template start<State>(); }
    EMBER_DEVICE State load(int64_t place, int64_t) const { return State(widen(in[place])); }
    EMBER_DEVICE State join(State a, State b) const { return Join{}(a, b); }
    EMBER_DEVICE void store(State x, const Lanes& lanes, int64_t lane, int64_t j) const {
        out[lanes.place(lane, j)] = narrow<T>(x);
    }
};

struct Add {
    template <class A>
    EMBER_DEVICE static A start() {
        return 0;
    }
    template <class A>
    EMBER_DEVICE A operator()(A a, A b) const {
        return a + b;
    }
};
struct Multiply {
    template <class A>
    EMBER_DEVICE static A start() {
        return 1;
    }
    template <class A>
    EMBER_DEVICE A operator()(A a, A b) const {
        return a * b;
    }
};
struct LogAddExp {
    template <class A>
    EMBER_DEVICE static A start() {
        return -INFINITY;
    }
    template <class A>
    EMBER_DEVICE A operator()(A a, A b) const {
        A low = a < b || a != a ? a : b, high = a < b || a != a ? b : a;
        if (low != low || high != high) return NAN;
        // Of two equal infinities the difference has no value.
        return low == high && isinf(low) ? high : A(::log1p(::exp(low - high))) + high;
    }
};

template <class T, class Join>
void numbers(Context& context, const Cumulative& a) {
    scan(context, a, Numbers<T, Join>{static_cast<const T*>(a.in), static_cast<T*>(a.out)});
}
template <class Join>
void numbers_or_whole(Context& context, const Cumulative& a) {
    dispatch<Half, BFloat16, float, double, int64_t>(
        a.dtype, [&](auto tag) { numbers<typename decltype(tag)::type, Join>(context, a); });
}
void logcumsumexp(Context& context, const Cumulative& a) {
    dispatch_floating(
        a.dtype, [&](auto tag) { numbers<typename decltype(tag)::type, LogAddExp>(context, a); });
}

// ---- Extremes: the largest key, NaN above all, and where it stands

template <class K>
struct Extremes {
    using Bits = typename K::Bits;
    struct State {
        Bits key;
        int64_t at;  // -1: none yet
    };
    K keys;
    const Bits* in;
    Bits* out;
    int64_t* indices;
    EMBER_DEVICE State init() const { return {0, -1}; }
    EMBER_DEVICE State load(int64_t place, int64_t j) const {
        Bits key = keys(in[place]);
        return {keys.is_nan(key) ? Bits(~Bits(0)) : key, j};
    }
    EMBER_DEVICE State join(State a, State b) const {
        return a.at < 0 || (b.at >= 0 && b.key >= a.key) ? b : a;
    }
    EMBER_DEVICE void store(State x, const Lanes& lanes, int64_t lane, int64_t j) const {
        int64_t place = lanes.place(lane, j);
        out[place] = in[lanes.place(lane, x.at)];
        indices[place] = x.at;
    }
};

template <bool smallest>
void extremes(Context& context, const Cumulative& a) {
    with_keys(a.dtype, smallest, [&](auto keys) {
        using K = decltype(keys);
        using Bits = typename K::Bits;
        scan(context, a,
             Extremes<K>{keys, static_cast<const Bits*>(a.in), static_cast<Bits*>(a.out),
                         a.indices});
    });
}

}  // namespace

void register_cumulative(const Table& table) {
    table.set(kernels::cumsum, numbers_or_whole<Add>, kFloating | dtypes(DType::Int64));
    table.set(kernels::cumprod, numbers_or_whole<Multiply>, kFloating | dtypes(DType::Int64));
    table.set(kernels::logcumsumexp, logcumsumexp, kFloating);
    table.set(kernels::cummax, extremes<false>, kReal);
    table.set(kernels::cummin, extremes<true>, kReal);
}

}  // namespace ember::cuda
