#include <math.h>

#include <utility>

#include "cpu/pointwise_float.h"
#include "kernels/complex.h"
#include "kernels/formulas/math.h"
#include "kernels/special.h"

// Arithmetic and the common elementary functions of complex numbers on vectors of parts. Arithmetic
// is done in the dtype itself without FMA, which would leave z * conj(z) an imaginary part; the
// functions are done in double for both dtypes.
namespace ember::cpu::EMBER_LEVEL {
namespace {

namespace f = formulas;

template <class T>
struct Complex {
    using V = Vec<T>;
    V re, im;

    friend EMBER_INLINE Complex operator+(Complex a, Complex b) {
        return {a.re + b.re, a.im + b.im};
    }
    friend EMBER_INLINE Complex operator*(Complex a, Complex b) {
        return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
    }
    friend EMBER_INLINE Complex operator*(Complex a, V b) { return {a.re * b, a.im * b}; }
    // R. L. Smith, "Algorithm 116: complex division", 1962: divides by the larger part first, so
    // that no square overflows.
    friend EMBER_INLINE Complex operator/(Complex a, Complex b) {
        auto turned = !(abs(b.re) >= abs(b.im));
        V large = select(turned, b.im, b.re), small = select(turned, b.re, b.im);
        V x = select(turned, a.im, a.re), y = select(turned, a.re, a.im);
        V ratio = small / large, scale = V(1) / (large + small * ratio);
        V re = (x + y * ratio) * scale, im = (y - x * ratio) * scale;
        im = select(turned, -im, im);
        auto zero = (b.re == V(0)) & (b.im == V(0));
        if (EMBER_UNLIKELY(any(zero))) {
            re = select(zero, a.re / abs(b.re), re);
            im = select(zero, a.im / abs(b.im), im);
        }
        return {re, im};
    }
};
using Double = Complex<double>;

// ---- Loops

template <class T, int... I>
EMBER_INLINE Complex<T> apart(Vec<T> a, Vec<T> b, std::integer_sequence<int, I...>) {
    return {Vec<T>{__builtin_shufflevector(a.v, b.v, (2 * I)...)},
            Vec<T>{__builtin_shufflevector(a.v, b.v, (2 * I + 1)...)}};
}
template <class T, int... I>
EMBER_INLINE void together(Complex<T> z, T* out, std::integer_sequence<int, I...>) {
    constexpr int size = Vec<T>::size, half = size / 2;
    Vec<T> low{__builtin_shufflevector(z.re.v, z.im.v, (I / 2 + I % 2 * size)...)};
    Vec<T> high{__builtin_shufflevector(z.re.v, z.im.v, (half + I / 2 + I % 2 * size)...)};
    low.store(out);
    high.store(out + size);
}

// `n` of the numbers from `at` on: at most a vector.
template <class T>
EMBER_INLINE Complex<T> load(const char* in, int64_t at, int64_t n) {
    constexpr int size = Vec<T>::size;
    const T* from = reinterpret_cast<const T*>(in) + 2 * at;
    T rest[2 * size];
    if (EMBER_UNLIKELY(n < size)) {
        for (int i = 0; i < 2 * size; i++) rest[i] = i < 2 * n ? from[i] : T(1);
        from = rest;
    }
    return apart(Vec<T>::load(from), Vec<T>::load(from + size),
                 std::make_integer_sequence<int, size>());
}
template <class T>
EMBER_INLINE void store(Complex<T> z, char* out, int64_t at, int64_t n) {
    constexpr int size = Vec<T>::size;
    T* to = reinterpret_cast<T*>(out) + 2 * at;
    T rest[2 * size];
    together(z, n < size ? rest : to, std::make_integer_sequence<int, size>());
    if (EMBER_UNLIKELY(n < size)) memcpy(to, rest, size_t(n) * 2 * sizeof(T));
}
template <class T>
EMBER_INLINE void store(Vec<T> x, char* out, int64_t at, int64_t n) {
    store_items<T>(x, out, at, n, false);
}

// The plan's first number, by which some kernels scale: an infinite part stays alone where the
// number is real.
struct Factor {
    const Number& n;
    template <class T>
    EMBER_INLINE Complex<T> operator*(Complex<T> z) const {
        Vec<T> re(n.as<T>());
        if (n.kind == Number::Kind::Complex) return z * Complex<T>{re, Vec<T>(T(n.imag))};
        return z * re;
    }
};

template <class F, int Inputs, class T>
__attribute__((flatten)) void complex_loop(char* const* data, int64_t n, const Number* immediate,
                                           bool) {
    constexpr int64_t size = Vec<T>::size;
    Factor factor{immediate[0]};
    for (int64_t i = 0; i < n; i += size) {
        int64_t count = n - i < size ? n - i : size;
        Complex<T> x = load<T>(data[1], i, count);
        if constexpr (Inputs == 1) {
            store(call(F{}, factor, x), data[0], i, count);
        } else {
            Complex<T> y = load<T>(data[2], i, count);
            if constexpr (Inputs == 2)
                store(call(F{}, factor, x, y), data[0], i, count);
            else
                store(call(F{}, factor, x, y, load<T>(data[3], i, count)), data[0], i, count);
        }
    }
}

template <class T>
constexpr DType kDType = sizeof(T) == 4 ? DType::Complex64 : DType::Complex128;

// Real: whether the results are real.
template <class F, int Inputs, class T, bool Real, int Cost>
constexpr LoopInfo kInfo = {complex_loop<F, Inputs, T>,
                            Real ? DTypeOf<T>::value : kDType<T>,
                            kDType<T>,
                            kDType<T>,
                            false,
                            Cost};

template <class F, int Inputs, bool Real = false, int Cost = 1>
void arithmetic(Context&, const Plan& plan) {
    start(plan, plan.compute == DType::Complex64 ? kInfo<F, Inputs, float, Real, Cost>
                                                 : kInfo<F, Inputs, double, Real, Cost>);
}

template <class F>
void function(Context&, const Plan& plan) {
    start(plan, kInfo<F, 1, double, false, 16>);
}

using Add = decltype([](auto a, auto b, auto n) { return a + n * b; });
using Multiply = decltype([](auto a, auto b) { return a * b; });
using Divide = decltype([](auto a, auto b) { return a / b; });
using Addcmul = decltype([](auto x, auto a, auto b, auto n) { return x + n * (a * b); });
using Addcdiv = decltype([](auto x, auto a, auto b, auto n) { return x + n * (a / b); });
using Negate = decltype([](auto z) { return decltype(z){-z.re, -z.im}; });
using Conjugate = decltype([](auto z) { return decltype(z){z.re, -z.im}; });
using Square = decltype([](auto z) { return z * z; });
template <class Z>
EMBER_INLINE Z inverse(Z z) {
    using V = typename Z::V;
    return Z{V(1), V(0)} / z;
}
using Reciprocal = decltype([](auto z) { return inverse(z); });
using Absolute = decltype([](auto z) { return f::hypot(z.re, z.im); });
using Angle = decltype([](auto z) { return f::atan2(z.im, z.re); });
using Sign = decltype([](auto z) {
    using V = typename decltype(z)::V;
    V size = f::hypot(z.re, z.im);
    auto zero = size == V(0);
    return decltype(z){select(zero, V(0), z.re / size), select(zero, V(0), z.im / size)};
});

// ---- Elementary functions, each once for those that lean on it

// y, and where z is not within the function's bounds the C library's result.
typedef _Complex double Native;
template <class F>
EMBER_INLINE Double except(Double y, Double z, Mask<8> inside, F exact) {
    if (EMBER_LIKELY(all(inside))) return y;
    VecD flag = select(inside, VecD(1), VecD(0));
    for (int i = 0; i < VecD::size; i++) {
        if (flag.v[i] != 0) continue;
        Native x;
        __real__ x = z.re.v[i];
        __imag__ x = z.im.v[i];
        x = exact(x);
        y.re.v[i] = __real__ x;
        y.im.v[i] = __imag__ x;
    }
    return y;
}
// Whether e^x neither overflows nor vanishes, and y has a sine.
EMBER_INLINE Mask<8> bounded(VecD x, VecD y) {
    return (abs(x) < VecD(700)) & (abs(y) < VecD(0x1p50));
}
// Whether squares neither overflow nor vanish.
EMBER_INLINE Mask<8> moderate(Double z) {
    VecD most = max(abs(z.re), abs(z.im));
    return (most > VecD(0x1p-450)) & (most < VecD(0x1p450)) & (z.re == z.re) & (z.im == z.im);
}

EMBER_NOINLINE Double exponential(Double z) {
    VecD size = f::exp(z.re), cosine, sine = f::sine_cosine(z.im, cosine);
    return except({size * cosine, size * sine}, z, bounded(z.re, z.im),
                  [](Native x) { return __builtin_cexp(x); });
}
// Re (e^z - 1) = expm1(re) cos(im) - 2 sin(im / 2)^2: nothing cancels near 0.
EMBER_NOINLINE Double exponential_less_one(Double z) {
    VecD cosine, sine = f::sine_cosine(z.im, cosine), half = f::sin(VecD(0.5) * z.im);
    VecD less = f::expm1(z.re);
    Double y{less * cosine - VecD(2) * half * half, (less + VecD(1)) * sine};
    return except(y, z, bounded(z.re, z.im), [](Native x) { return __builtin_cexp(x) - 1; });
}
// log |z| = log1p(|z|^2 - 1) / 2, near 1 by the squares' rounding errors too.
EMBER_NOINLINE Double logarithm(Double z) {
    VecD x = max(abs(z.re), abs(z.im)), y = min(abs(z.re), abs(z.im));
    VecD a = x * x, b = y * y, square = a + b;
    auto near = (square > VecD(0.5)) & (square < VecD(3));
    VecD lost = product_error(x, x, a) + product_error(y, y, b);
    VecD beside = f::log1p(select(near, ((a - VecD(1)) + b) + lost, VecD(0)));
    VecD size = VecD(0.5) * select(near, beside, f::log(square));
    return except({size, f::atan2(z.im, z.re)}, z, moderate(z),
                  [](Native x) { return __builtin_clog(x); });
}
EMBER_NOINLINE Double root(Double z) {
    VecD size = sqrt(z.re * z.re + z.im * z.im);
    VecD large = sqrt(VecD(0.5) * (size + abs(z.re))), small = abs(z.im) / (large + large);
    auto right = z.re >= VecD(0);
    Double y{select(right, large, small), copysign(select(right, small, large), z.im)};
    return except(y, z, moderate(z), [](Native x) { return __builtin_csqrt(x); });
}
// Hyperbolic sine, and cosine.
EMBER_INLINE VecD hyperbolic(VecD x, VecD& cosine) {
    VecD e = f::expm1(abs(x)), less = e / (e + VecD(1));
    cosine = fma(VecD(0.5) * e, less, VecD(1));
    return copysign(VecD(0.5) * (e + less), x);
}
EMBER_NOINLINE Double sinh(Double z) {
    VecD cosine, sine = f::sine_cosine(z.im, cosine), c, s = hyperbolic(z.re, c);
    return except({s * cosine, c * sine}, z, bounded(z.re, z.im),
                  [](Native x) { return __builtin_csinh(x); });
}
EMBER_NOINLINE Double cosh(Double z) {
    VecD cosine, sine = f::sine_cosine(z.im, cosine), c, s = hyperbolic(z.re, c);
    return except({c * cosine, s * sine}, z, bounded(z.re, z.im),
                  [](Native x) { return __builtin_ccosh(x); });
}
// W. Kahan, "Branch cuts for complex elementary functions", 1987.
EMBER_NOINLINE Double tanh(Double z) {
    VecD cosine, sine = f::sine_cosine(z.im, cosine), c, s = hyperbolic(z.re, c);
    VecD tangent = sine / cosine, beta = fma(tangent, tangent, VecD(1));
    VecD below = fma(beta, s * s, VecD(1));
    Double y{beta * c * s / below, tangent / below};
    auto inside = bounded(z.re, z.im) & (abs(z.re) < VecD(150)) & (abs(tangent) < VecD(0x1p50));
    return except(y, z, inside, [](Native x) { return __builtin_ctanh(x); });
}
// f(i z) / i.
template <class F>
EMBER_INLINE Double turned(F f, Double z) {
    Double y = f(Double{-z.im, z.re});
    return {y.im, -y.re};
}

constexpr double kLn2 = 0.693147180559945309417, kLn10 = 2.30258509299404568402;

using Exp = decltype([](Double z) { return exponential(z); });
using Exp2 = decltype([](Double z) { return exponential(z * VecD(kLn2)); });
using Expm1 = decltype([](Double z) { return exponential_less_one(z); });
using Log = decltype([](Double z) { return logarithm(z); });
using Log2 = decltype([](Double z) { return logarithm(z) * VecD(1 / kLn2); });
using Log10 = decltype([](Double z) { return logarithm(z) * VecD(1 / kLn10); });
using Sqrt = decltype([](Double z) { return root(z); });
using Rsqrt = decltype([](Double z) { return inverse(root(z)); });
using Sinh = decltype([](Double z) { return sinh(z); });
using Cosh = decltype([](Double z) { return cosh(z); });
using Tanh = decltype([](Double z) { return tanh(z); });
using Sin = decltype([](Double z) { return turned([](Double x) { return sinh(x); }, z); });
using Cos = decltype([](Double z) { return cosh(Double{-z.im, z.re}); });
using Tan = decltype([](Double z) { return turned([](Double x) { return tanh(x); }, z); });
using Sigmoid = decltype([](Double z) {
    Double e = exponential({-z.re, -z.im});
    return inverse(Double{VecD(1) + e.re, e.im});
});

// ---- Products

// Of n numbers, `step` bytes apart.
template <class T>
EMBER_INLINE void multiply_all(const char* in, int64_t n, int64_t step, T* out) {
    constexpr int size = Vec<T>::size;
    Vec<T> one(T(1)), zero(T(0));
    Complex<T> product{one, zero}, other{one, zero};
    int64_t i = 0;
    if (step == 2 * int64_t(sizeof(T)))
        for (; i + 2 * size <= n; i += 2 * size) {
            product = product * load<T>(in, i, size);
            other = other * load<T>(in, i + size, size);
        }
    product = product * other;
    T re = 1, im = 0;
    auto times = [&](T x, T y) {
        T next = re * x - im * y;
        im = re * y + im * x;
        re = next;
    };
    if (i > 0)
        for (int k = 0; k < size; k++) times(product.re.v[k], product.im.v[k]);
    for (; i < n; i++) {
        const T* item = reinterpret_cast<const T*>(in + i * step);
        times(item[0], item[1]);
    }
    out[0] = re;
    out[1] = im;
}

template <class T>
void product(const ReducePlan& plan) {
    int64_t row = plan.reduced > 0 ? plan.reduced_sizes[0] : 1;
    int64_t step = plan.reduced > 0 ? plan.reduced_in[0] : 0;
    parallel_for(plan.kept_numel, 1 + 4096 / (plan.reduced_numel + 1),
                 [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; i++) {
                         const char* in = plan.in;
                         char* out = plan.out;
                         for (int64_t d = 0, rest = i; d < plan.kept; d++) {
                             int64_t at = rest % plan.kept_sizes[d];
                             rest /= plan.kept_sizes[d];
                             in += at * plan.kept_in[d];
                             out += at * plan.kept_out[d];
                         }
                         T pair[4] = {1, 0};  // what there is, and a row's
                         for (int64_t k = 0; k < plan.reduced_numel; k += row) {
                             const char* item = in;
                             for (int64_t d = 1, rest = k / row; d < plan.reduced; d++) {
                                 item += rest % plan.reduced_sizes[d] * plan.reduced_in[d];
                                 rest /= plan.reduced_sizes[d];
                             }
                             multiply_all(item, row, step, pair + 2);
                             T re = pair[0] * pair[2] - pair[1] * pair[3];
                             pair[1] = pair[0] * pair[3] + pair[1] * pair[2];
                             pair[0] = re;
                         }
                         memcpy(out, pair, 2 * sizeof(T));
                     }
                 });
}

void prod(Context&, const ReducePlan& plan, double) {
    plan.in_dtype == DType::Complex64 ? product<float>(plan) : product<double>(plan);
}

}  // namespace

void register_complex_math(Table& table) {
    namespace k = kernels::of_complex;
    table.set(k::add, arithmetic<Add, 2>, kComplex);
    table.set(k::mul, arithmetic<Multiply, 2>, kComplex);
    table.set(k::div, arithmetic<Divide, 2>, kComplex);
    table.set(k::addcmul, arithmetic<Addcmul, 3>, kComplex);
    table.set(k::addcdiv, arithmetic<Addcdiv, 3>, kComplex);
    table.set(k::neg, arithmetic<Negate, 1>, kComplex);
    table.set(k::square, arithmetic<Square, 1>, kComplex);
    table.set(k::reciprocal, arithmetic<Reciprocal, 1>, kComplex);
    table.set(kernels::conj, arithmetic<Conjugate, 1>, kComplex);
    table.set(k::abs, arithmetic<Absolute, 1, true, 2>, kComplex);
    table.set(kernels::angle, arithmetic<Angle, 1, true, 8>, kComplex);
    table.set(k::sign, arithmetic<Sign, 1, false, 4>, kComplex);
    table.set(k::prod, prod, kComplex);
    table.set(k::exp, function<Exp>, kComplex);
    table.set(k::exp2, function<Exp2>, kComplex);
    table.set(k::expm1, function<Expm1>, kComplex);
    table.set(k::log, function<Log>, kComplex);
    table.set(k::log2, function<Log2>, kComplex);
    table.set(k::log10, function<Log10>, kComplex);
    table.set(k::sqrt, function<Sqrt>, kComplex);
    table.set(k::rsqrt, function<Rsqrt>, kComplex);
    table.set(k::sin, function<Sin>, kComplex);
    table.set(k::cos, function<Cos>, kComplex);
    table.set(k::tan, function<Tan>, kComplex);
    table.set(k::sinh, function<Sinh>, kComplex);
    table.set(k::cosh, function<Cosh>, kComplex);
    table.set(k::tanh, function<Tanh>, kComplex);
    table.set(k::sigmoid, function<Sigmoid>, kComplex);
}

}  // namespace ember::cpu::EMBER_LEVEL
