#include <cmath>
#include <limits>

#include "cuda/reduce.cuh"

namespace ember::cuda {
namespace {

// An accumulator that is a number; Joined gives `static Acc join_two(Acc, Acc)`.
template <class C, class A = C>
struct Numeric {
    using Item = C;
    using Acc = A;
    double param = 0;
    EMBER_DEVICE void store(Acc acc, const Reduction& r, int64_t at) const {
        store_as<Acc>(r.out + at, r.out_dtype, acc);
    }
};

template <class C>
struct Sum : Numeric<C> {
    EMBER_DEVICE C init() const { return 0; }
    EMBER_DEVICE void add(C& acc, C x, int64_t) const { acc += x; }
    EMBER_DEVICE C join(C a, C b) const { return a + b; }
    EMBER_DEVICE void store(C acc, const Reduction& r, int64_t at) const {
        if constexpr (std::is_floating_point_v<C>) acc *= C(this->param);
        store_as<C>(r.out + at, r.out_dtype, acc);
    }
};

template <class C>
struct NanSum : Sum<C> {
    EMBER_DEVICE void add(C& acc, C x, int64_t) const {
        if (x == x) acc += x;
    }
};

template <class C>
struct Prod : Numeric<C> {
    EMBER_DEVICE C init() const { return 1; }
    EMBER_DEVICE void add(C& acc, C x, int64_t) const { acc *= x; }
    EMBER_DEVICE C join(C a, C b) const { return a * b; }
};

template <class C>
constexpr C kLowest = std::is_floating_point_v<C> ? -std::numeric_limits<C>::infinity()
                                                  : std::numeric_limits<C>::lowest();
template <class C>
constexpr C kHighest = std::is_floating_point_v<C> ? std::numeric_limits<C>::infinity()
                                                   : std::numeric_limits<C>::max();

template <class C>
struct Max : Numeric<C> {
    static EMBER_DEVICE bool better(C a, C b) { return a > b || (a != a && b == b); }
    EMBER_DEVICE C init() const { return kLowest<C>; }
    EMBER_DEVICE C join(C a, C b) const { return better(b, a) ? b : a; }
    EMBER_DEVICE void add(C& acc, C x, int64_t) const { acc = join(acc, x); }
};
template <class C>
struct Min : Numeric<C> {
    static EMBER_DEVICE bool better(C a, C b) { return a < b || (a != a && b == b); }
    EMBER_DEVICE C init() const { return kHighest<C>; }
    EMBER_DEVICE C join(C a, C b) const { return better(b, a) ? b : a; }
    EMBER_DEVICE void add(C& acc, C x, int64_t) const { acc = join(acc, x); }
};

template <class C>
struct Any : Numeric<C, int64_t> {
    EMBER_DEVICE int64_t init() const { return 0; }
    EMBER_DEVICE void add(int64_t& acc, C x, int64_t) const { acc |= x != C(0); }
    EMBER_DEVICE int64_t join(int64_t a, int64_t b) const { return a | b; }
};
template <class C>
struct All : Numeric<C, int64_t> {
    EMBER_DEVICE int64_t init() const { return 1; }
    EMBER_DEVICE void add(int64_t& acc, C x, int64_t) const { acc &= x != C(0); }
    EMBER_DEVICE int64_t join(int64_t a, int64_t b) const { return a & b; }
};

// Sums in float64: no float32 overflows on the way.
template <class C>
struct Norm : Numeric<C, double> {
    EMBER_DEVICE double init() const { return this->param == -INFINITY ? double(INFINITY) : 0; }
    EMBER_DEVICE void add(double& acc, C item, int64_t) const {
        double x = ::fabs(double(item)), p = this->param;
        if (p == 2)
            acc += x * x;
        else if (p == 1)
            acc += x;
        else if (p == 0)
            acc += x != 0;
        else
            acc = join(acc, ::isinf(p) ? x : ::pow(x, p));
    }
    EMBER_DEVICE double join(double a, double b) const {
        double p = this->param;
        if (p == INFINITY) return a > b || a != a ? a : b;
        if (p == -INFINITY) return a < b || a != a ? a : b;
        return a + b;
    }
    EMBER_DEVICE void store(double acc, const Reduction& r, int64_t at) const {
        double p = this->param;
        if (p == 2)
            acc = ::sqrt(acc);
        else if (p != 1 && p != 0 && !::isinf(p))
            acc = ::pow(acc, 1 / p);
        store_as<double>(r.out + at, r.out_dtype, acc);
    }
};

// By Welford's update, joined as Chan, Golub and LeVeque (1979) do.
struct Moments {
    double mean, squares, n;
};
template <class C>
struct Variance {
    using Item = C;
    using Acc = Moments;
    double correction;
    EMBER_DEVICE Moments init() const { return {0, 0, 0}; }
    EMBER_DEVICE void add(Moments& acc, C item, int64_t) const {
        double x = double(item), d = x - acc.mean;
        acc.n += 1;
        acc.mean += d / acc.n;
        acc.squares += d * (x - acc.mean);
    }
    EMBER_DEVICE Moments join(const Moments& a, const Moments& b) const {
        if (a.n == 0) return b;
        if (b.n == 0) return a;
        double n = a.n + b.n, d = b.mean - a.mean;
        return {a.mean + d * (b.n / n), a.squares + b.squares + d * d * (a.n * (b.n / n)), n};
    }
    EMBER_DEVICE void store(const Moments& acc, const Reduction& r, int64_t at) const {
        double left = acc.n - correction;
        store_as<double>(r.out + at, r.out_dtype, acc.squares / (left > 0 ? left : 0));
    }
};

// The sum of e^(x - largest); equal infinities count 1.
template <class C>
struct Exponentials {
    C largest, sum;
};
template <class C>
struct LogSumExp {
    using Item = C;
    using Acc = Exponentials<C>;
    EMBER_DEVICE Acc init() const { return {C(-INFINITY), 0}; }
    EMBER_DEVICE void add(Acc& acc, C x, int64_t) const { acc = join(acc, {x, 1}); }
    EMBER_DEVICE Acc join(const Acc& a, const Acc& b) const {
        if (a.largest == b.largest) return {a.largest, a.sum + b.sum};
        if (a.largest > b.largest) return {a.largest, a.sum + b.sum * ::exp(b.largest - a.largest)};
        return {b.largest, b.sum + a.sum * ::exp(a.largest - b.largest)};  // also where one is NaN
    }
    EMBER_DEVICE void store(const Acc& acc, const Reduction& r, int64_t at) const {
        store_as<C>(r.out + at, r.out_dtype, acc.largest + ::log(acc.sum));
    }
};

// The first of equals.
template <class C>
struct Place {
    C value;
    int64_t index;
};
template <class C, template <class> class K>
struct Arg {
    using Item = C;
    using Acc = Place<C>;
    EMBER_DEVICE Acc init() const { return {K<C>{}.init(), INT64_MAX}; }
    EMBER_DEVICE void add(Acc& acc, C x, int64_t i) const { acc = join(acc, {x, i}); }
    EMBER_DEVICE Acc join(const Acc& a, const Acc& b) const {
        bool same = a.value == b.value || (a.value != a.value && b.value != b.value);
        return K<C>::better(b.value, a.value) || (same && b.index < a.index) ? b : a;
    }
    EMBER_DEVICE void store(const Acc& acc, const Reduction& r, int64_t at) const {
        if (r.out) store_as<C>(r.out + at, r.out_dtype, acc.value);
        r.indices[at / item_size(r.out_dtype)] = acc.index;
    }
};

template <template <class> class K>
void simple(Context& context, const ReducePlan& p, double param) {
    dispatch_compute(p.in_dtype, [&](auto tag) {
        K<typename decltype(tag)::type> op;
        op.param = param;
        run_reduction(context, p, op);
    });
}

template <template <class> class K>
void arg(Context& context, const ReducePlan& p, int64_t* indices) {
    dispatch_compute(p.in_dtype, [&](auto tag) {
        run_reduction(context, p, Arg<typename decltype(tag)::type, K>{}, indices);
    });
}

void norm(Context& context, const ReducePlan& p, double param) {
    if (p.in_dtype == DType::Float64) return run_reduction(context, p, Norm<double>{{param}});
    run_reduction(context, p, Norm<float>{{param}});
}
void variance(Context& context, const ReducePlan& p, double correction) {
    if (p.in_dtype == DType::Float64)
        return run_reduction(context, p, Variance<double>{correction});
    run_reduction(context, p, Variance<float>{correction});
}
void logsumexp(Context& context, const ReducePlan& p, double) {
    if (p.in_dtype == DType::Float64) return run_reduction(context, p, LogSumExp<double>{});
    run_reduction(context, p, LogSumExp<float>{});
}

}  // namespace

void register_reduce(const Table& table) {
    table.set(kernels::sum, simple<Sum>, kReal);
    table.set(kernels::nansum, simple<NanSum>, kFloating);
    table.set(kernels::prod, simple<Prod>, kReal);
    table.set(kernels::max, simple<Max>, kReal);
    table.set(kernels::min, simple<Min>, kReal);
    table.set(kernels::any, simple<Any>, kReal);
    table.set(kernels::all, simple<All>, kReal);
    table.set(kernels::norm, norm, kFloating);
    table.set(kernels::variance, variance, kFloating);
    table.set(kernels::logsumexp, logsumexp, kFloating);
    table.set(kernels::argmax, arg<Max>, kReal);
    table.set(kernels::argmin, arg<Min>, kReal);
}

}  // namespace ember::cuda
