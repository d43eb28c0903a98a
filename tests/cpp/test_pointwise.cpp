#define EMBER_SCALAR_FORMULAS
#include <functional>

#include "kernels/formulas/pointwise.h"
#include "pointwise_test.h"

using namespace ember;
using namespace ember::test;

// Accuracy of the formulas, and PyTorch's conventions.
namespace {

// ---- Accuracy of the formulas

// Distance in units of the last place of T at `want`.
template <class T>
double ulps(T got, long double want) {
    constexpr int digits = std::numeric_limits<T>::digits;
    T rounded = T(want);
    if (rounded != rounded || got != got) return rounded != rounded && got != got ? 0 : 1e9;
    if (rounded == got) return 0;
    if (std::isinf(got) || std::isinf(rounded)) {
        // One step from the largest number is one unit.
        T largest = std::numeric_limits<T>::max();
        return std::fabs(got) >= largest && std::fabs(rounded) >= largest ? 1 : 1e9;
    }
    long double size = std::fmax(std::fabs(want), (long double)std::numeric_limits<T>::min());
    return double(std::fabs(got - want) / std::ldexp(1.0L, std::ilogb(size) - digits + 1));
}

struct Function {
    const k::Pointwise& slot;
    long double (*reference)(long double);
    double float_bound, double_bound;  // ULP
    double low = -kInf, high = kInf;   // where the bounds hold
};

long double normal_below(long double x) { return 0.5L * erfcl(-x * sqrtl(0.5L)); }

const Function kFunctions[] = {
    {k::exp, expl, 1, 1},
    {k::exp2, exp2l, 1, 1},
    {k::expm1, expm1l, 1.5, 1.7},
    {k::log, logl, 1, 1},
    {k::log2, log2l, 1, 1},
    {k::log10, log10l, 1, 1},
    {k::log1p, log1pl, 1.5, 1.5},
    {k::sqrt, sqrtl, 0.5, 0.5},
    {k::rsqrt, [](long double x) { return 1 / sqrtl(x); }, 1.5, 1.5},
    {k::sin, sinl, 0.51, 2.5},
    {k::cos, cosl, 0.51, 2.5},
    {k::erf, erfl, 1.5, 1.5},
    {k::tanh, tanhl, 1.5, 2},
    {k::sigmoid, [](long double x) { return 1 / (1 + expl(-x)); }, 2.1, 2.1},
    {k::silu, [](long double x) { return x / (1 + expl(-x)); }, 3, 3, -80, kInf},
    {k::gelu, [](long double x) { return x * normal_below(x); }, 7, 7, -12.5, kInf},
};

// All magnitudes of T in equal steps of the bit pattern, both signs, and what is special.
template <class T>
std::vector<T> sweep(uint64_t count) {
    using U = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
    std::vector<T> values;
    U step = U(std::numeric_limits<U>::max() / count) | 1;
    U bits = 0;
    for (uint64_t i = 0; i < count; i++, bits += step) {
        T x;
        memcpy(&x, &bits, sizeof x);
        values.push_back(x);
    }
    for (double x : {0.0, 1.0, 0.5, 2.0, 88.0, 104.0, 709.0, 745.0, 1e10, 1e30, kInf, kNan})
        for (T signed_x : {T(x), T(-x)}) values.push_back(signed_x);
    Random random;
    for (uint64_t i = 0; i < count; i++) values.push_back(T((random.uniform() - 0.5) * 40));
    return values;
}

template <class T>
void check_accuracy(const Function& f, const std::vector<T>& x, double bound) {
    std::vector<T> y = apply<T>(f.slot, {x});
    double worst = 0;
    T at = 0;
    for (size_t i = 0; i < x.size(); i++) {
        if (x[i] == x[i] && !(x[i] >= f.low && x[i] <= f.high)) continue;
        double error = ulps(y[i], f.reference(x[i]));
        if (error > worst) {
            worst = error;
            at = x[i];
        }
    }
    if (worst > bound)
        fprintf(stderr, "%s: %.3f ULP at %a, bound %.3f\n", f.slot.name, worst, double(at), bound);
    CHECK(worst <= bound);
}

void formulas_are_accurate() {
    auto floats = sweep<float>(60000);
    auto doubles = sweep<double>(12000);
    on_every_level([&] {
        for (const Function& f : kFunctions) {
            check_accuracy(f, floats, f.float_bound);
            // The standard library's long double loses itself earlier than the double does.
            check_accuracy(f, doubles, f.double_bound);
        }
    });
}

void pow_is_accurate() {
    Random random;
    std::vector<float> x, y;
    std::vector<double> xd, yd;
    for (int i = 0; i < 20000; i++) {
        double base = std::exp((random.uniform() - 0.5) * 170),
               room = 100 / std::fabs(std::log(base));
        x.push_back(float(base));
        y.push_back(float((random.uniform() - 0.5) * 2 * room));
        base = std::exp((random.uniform() - 0.5) * 1400), room = 740 / std::fabs(std::log(base));
        xd.push_back(i % 2 ? base : 1 + (random.uniform() - 0.5) * 0.1);
        yd.push_back((random.uniform() - 0.5) * (i % 2 ? 2 * room : 4000));
    }
    const double special[] = {0.0, -0.0, 1,   -1,   kInf, -kInf, kNan,  2,    -2,
                              3.0, -3.0, 0.5, -0.5, 1e30, -1e30, 1e-40, 1023, 16777215};
    for (double a : special)
        for (double b : special) {
            x.push_back(float(a)), y.push_back(float(b));
            xd.push_back(a), yd.push_back(b);
        }
    on_every_level([&] {
        auto z = apply<float>(k::pow, {x, y});
        for (size_t i = 0; i < z.size(); i++) CHECK(ulps(z[i], powl(x[i], y[i])) <= 0.51);
        auto zd = apply<double>(k::pow, {xd, yd});
        for (size_t i = 0; i < zd.size(); i++) CHECK(ulps(zd[i], powl(xd[i], yd[i])) <= 1.5);
    });
}

void gelu_keeps_its_tail() {
    on_every_level([] {
        for (double x : {-3.0, -6.0, -9.0, -12.0}) {
            double want = double(x * normal_below(x));
            CHECK(std::fabs(apply<float>(k::gelu, {{float(x)}})[0] / want - 1) < 1e-6);
            CHECK(std::fabs(apply<double>(k::gelu, {{x}})[0] / want - 1) < 2e-15);
        }
    });
}

// ---- Other functions against the scalar formulas, which lean on the standard library

template <class T>
void check_near(const k::Pointwise& slot, std::vector<std::vector<T>> inputs,
                std::initializer_list<Number> numbers,
                const std::function<double(double, double, double)>& reference) {
    std::vector<T> out = apply<T>(slot, inputs, numbers);
    double tolerance = sizeof(T) == 4 ? 1e-6 : 1e-14;
    for (size_t i = 0; i < out.size(); i++) {
        auto in = [&](size_t j) { return j < inputs.size() ? double(inputs[j][i]) : 0; };
        double want = reference(in(0), in(1), in(2));
        if (!close(out[i], want, tolerance * std::fmax(1, std::fabs(in(0)))))
            fprintf(stderr, "%s(%g, %g, %g) = %.9g, expected %.9g\n", slot.name, in(0), in(1),
                    in(2), double(out[i]), want);
        CHECK(close(out[i], want, tolerance * std::fmax(1, std::fabs(in(0)))));
    }
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * M_PI); }

template <class T>
void check_activations() {
    std::vector<T> x, g, y, p;
    Random random;
    for (int i = 0; i < 1003; i++) {
        x.push_back(T((random.uniform() - 0.5) * 16));
        g.push_back(T(random.uniform() * 4 - 2));
        y.push_back(T(random.uniform() * 2 - 1));
        p.push_back(T(0.001 + 0.998 * random.uniform()));
    }
    const double c = std::sqrt(2 / M_PI);
    auto gelu_tanh = [c](double x) { return c * (x + 0.044715 * x * x * x); };
    check_near<T>(k::gelu_tanh, {x}, {}, [=](double x, double, double) {
        return 0.5 * x * (1 + std::tanh(gelu_tanh(x)));
    });
    check_near<T>(k::softplus, {x}, {number(2.0), number(3.0)}, [](double x, double, double) {
        return 2 * x > 3 ? x : std::log1p(std::exp(2 * x)) / 2;
    });
    check_near<T>(k::log_sigmoid, {x}, {},
                  [](double x, double, double) { return -std::log1p(std::exp(-x)); });
    check_near<T>(k::leaky_relu, {x}, {number(0.1)},
                  [](double x, double, double) { return x > 0 ? x : double(T(0.1)) * x; });
    check_near<T>(k::clamp, {x}, {number(-1.5), number(int64_t(2))},
                  [](double x, double, double) { return std::fmin(std::fmax(x, -1.5), 2); });

    check_near<T>(k::tanh_backward, {g, y}, {},
                  [](double g, double y, double) { return g * (1 - y * y); });
    check_near<T>(k::sigmoid_backward, {g, y}, {},
                  [](double g, double y, double) { return g * y * (1 - y); });
    check_near<T>(k::relu_backward, {g, x}, {},
                  [](double g, double x, double) { return x > 0 ? g : 0; });
    check_near<T>(k::leaky_relu_backward, {g, x}, {number(0.1)},
                  [](double g, double x, double) { return x > 0 ? g : double(T(0.1)) * g; });
    check_near<T>(k::clamp_backward, {g, x}, {number(-1.5), number(2.0)},
                  [](double g, double x, double) { return x >= -1.5 && x <= 2 ? g : 0; });
    check_near<T>(k::silu_backward, {g, x}, {}, [](double g, double x, double) {
        double s = sigmoid(x);
        return g * s * (1 + x * (1 - s));
    });
    check_near<T>(k::gelu_backward, {g, x}, {}, [](double g, double x, double) {
        return g * (double(normal_below(x)) + x * density(x));
    });
    check_near<T>(k::gelu_tanh_backward, {g, x}, {}, [=](double g, double x, double) {
        double t = std::tanh(gelu_tanh(x));
        return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x));
    });

    check_near<T>(k::mse, {x, y}, {}, [](double x, double t, double) { return (x - t) * (x - t); });
    check_near<T>(k::mse_backward, {g, x, y}, {number(0.25)},
                  [](double g, double x, double t) { return 0.5 * g * (x - t); });
    check_near<T>(k::bce, {p, y}, {}, [](double p, double t, double) {
        return (t - 1) * std::fmax(std::log1p(-p), -100) - t * std::fmax(std::log(p), -100);
    });
    check_near<T>(k::bce_backward, {g, p, y}, {number(0.25)}, [](double g, double p, double t) {
        return 0.25 * g * (p - t) / std::fmax((1 - p) * p, 1e-12);
    });
    check_near<T>(k::bce_with_logits, {x, y}, {}, [](double x, double t, double) {
        return (1 - t) * x + std::fmax(-x, 0) + std::log1p(std::exp(-std::fabs(x)));
    });
    check_near<T>(k::bce_with_logits_backward, {g, x, y}, {number(0.25)},
                  [](double g, double x, double t) { return 0.25 * g * (sigmoid(x) - t); });
    check_near<T>(k::addcmul, {g, x, y}, {number(0.5)},
                  [](double x, double a, double b) { return x + 0.5 * a * b; });
    check_near<T>(k::addcdiv, {g, x, p}, {number(0.5)},
                  [](double x, double a, double b) { return x + 0.5 * a / b; });
    check_near<T>(k::lerp, {g, x, p}, {},
                  [](double a, double b, double w) { return a + w * (b - a); });
}

void activations_and_losses() {
    on_every_level([] {
        check_activations<float>();
        check_activations<double>();
        CHECK(apply<float>(k::bce, {{0, 1, 1}, {1, 0, 1}}) == (std::vector<float>{100, 100, 0}));
        CHECK_RAISES(Runtime, apply<float>(k::bce, {{1.5f}, {1}}));
        CHECK_RAISES(Runtime, apply<float>(k::bce, {{float(kNan)}, {1}}));
        // The scalar formulas (what a CUDA thread runs) and the vectors' agree.
        CHECK_CLOSE(apply<double>(k::gelu_backward, {{1.5}, {-0.7}})[0],
                    formulas::gelu_backward(1.5, -0.7), 1e-15);
    });
}

// ---- PyTorch's conventions

template <class T>
void check_values(const k::Pointwise& slot, std::vector<std::vector<T>> inputs,
                  std::vector<T> want) {
    std::vector<T> got = apply<T>(slot, inputs);
    for (size_t i = 0; i < want.size(); i++) {
        bool fine = want[i] != want[i] ? got[i] != got[i]
                                       : got[i] == want[i] && std::signbit(double(got[i])) ==
                                                                  std::signbit(double(want[i]));
        if (!fine)
            fprintf(stderr, "%s, item %zu: expected %g, got %g\n", slot.name, i, double(want[i]),
                    double(got[i]));
        CHECK(fine);
    }
}

template <class T>
void check_float_conventions() {
    T inf = T(kInf), nan = T(kNan);
    check_values<T>(k::floor_divide,
                    {{-7, 7, -7, 0, T(-0.0), 5, 1, 6}, {2, -2, inf, -3, 3, 0, T(0.1f), -2}},
                    {-4, -4, -1, T(-0.0), T(-0.0), inf, sizeof(T) == 4 ? T(9) : T(9), -3});
    check_values<T>(k::remainder, {{-7, 7, -7, 0, 5, inf, 5.5}, {2, -2, inf, -3, 0, 2, inf}},
                    {1, -1, inf, 0, nan, nan, 5.5});
    check_values<T>(k::fmod, {{-7, 7, -7, T(-0.0), 5, inf, T(1e30)}, {2, -2, inf, 3, 0, 2, 7}},
                    {-1, 1, -7, T(-0.0), nan, nan, T(std::fmod(T(1e30), T(7)))});
    check_values<T>(k::trunc_divide, {{-7, 7}, {2, 2}}, {-3, 3});
    check_values<T>(k::maximum, {{nan, 1, 2, -inf}, {1, nan, 1, 3}}, {nan, nan, 2, 3});
    check_values<T>(k::minimum, {{nan, 1, 2, -inf}, {1, nan, 1, 3}}, {nan, nan, 1, -inf});
    check_values<T>(k::round, {{0.5, 1.5, 2.5, -0.5, T(-0.2), T(1e20), nan}},
                    {0, 2, 2, T(-0.0), T(-0.0), T(1e20), nan});
    check_values<T>(k::floor, {{T(-0.5), T(-0.0), 1.5, -inf}}, {-1, T(-0.0), 1, -inf});
    check_values<T>(k::ceil, {{T(-0.5), T(0.5), 1.5, inf}}, {T(-0.0), 1, 2, inf});
    check_values<T>(k::trunc, {{T(-0.5), T(-1.5), 1.5, nan}}, {T(-0.0), -1, 1, nan});
    check_values<T>(k::sign, {{-2, 0, 3, nan}}, {-1, 0, 1, 0});
    check_values<T>(k::relu, {{nan, T(-0.0), -1, 2}}, {nan, T(-0.0), 0, 2});
    check_values<T>(k::relu_backward, {{5, 5, 5, 5}, {nan, 0, -1, 2}}, {5, 0, 0, 5});
    check_values<T>(k::abs, {{T(-0.0), -3, nan, -inf}}, {0, 3, nan, inf});
    check_values<T>(k::neg, {{0, -3, inf}}, {T(-0.0), 3, -inf});
    check_values<T>(k::lerp, {{1, 1}, {3, 3}, {0, 1}}, {1, 3});
    // Exact floor of the quotient, where the rounded quotient is a whole number too large.
    check_values<T>(k::floor_divide, {{T(0.9) * 10, T(2.1)}, {T(0.9), T(0.7)}},
                    {T(std::floor((long double)(T(T(0.9) * 10)) / T(0.9))),
                     T(std::floor((long double)T(2.1) / T(0.7)))});

    for (T exponent : {T(2), T(3), T(0.5), T(-0.5), T(-1), T(-2), T(1.7)}) {
        std::vector<T> base{0.25, 1, 2, 7.5, 1e-3}, out(5);
        Plan plan = flat_plan(DTypeOf<T>::value, 5,
                              {{out.data(), DTypeOf<T>::value},
                               {base.data(), DTypeOf<T>::value},
                               {&exponent, DTypeOf<T>::value}});
        plan.operand[2].strides[0] = 0;
        run(k::pow, plan);
        for (int i = 0; i < 5; i++) CHECK(ulps(out[i], powl(base[i], exponent)) <= 2);
    }
}

template <class T>
void check_predicates() {
    std::vector<T> x{0, T(kNan), T(kInf), T(-kInf), 1, std::numeric_limits<T>::max()};
    auto predicate = [&](const k::Pointwise& slot) {
        bool out[6];
        run(slot,
            flat_plan(DTypeOf<T>::value, 6, {{out, DType::Bool}, {x.data(), DTypeOf<T>::value}}));
        return std::vector<bool>(out, out + 6);
    };
    CHECK(predicate(k::isnan) == (std::vector<bool>{0, 1, 0, 0, 0, 0}));
    CHECK(predicate(k::isinf) == (std::vector<bool>{0, 0, 1, 1, 0, 0}));
    CHECK(predicate(k::isfinite) == (std::vector<bool>{1, 0, 0, 0, 1, 1}));
}

void float_conventions() {
    on_every_level([] {
        check_float_conventions<float>();
        check_float_conventions<double>();
        check_predicates<float>();
        check_predicates<double>();
    });
}

template <class T>
void check_integers() {
    using Limits = std::numeric_limits<T>;
    T low = Limits::lowest(), high = Limits::max();
    CHECK(apply<T>(k::add, {{high, 5}, {1, 7}}, {number(int64_t(1))}) == (std::vector<T>{low, 12}));
    CHECK(apply<T>(k::mul, {{high, 3}, {2, 4}}) == (std::vector<T>{T(-2), 12}));
    CHECK(apply<T>(k::pow, {{2, 3, 0, 5}, {3, 4, 0, 0}}) == (std::vector<T>{8, 81, 1, 1}));
    CHECK(apply<T>(k::clamp, {{low, 5, high}},
                   {number(int64_t(3)), number(Limits::max() - 1.0)})[0] == 3);
    CHECK(apply<T>(k::clamp, {{low, 5, high}}, {number(INT64_MIN), number(INT64_MAX)}) ==
          (std::vector<T>{low, 5, high}));
    CHECK(apply<T>(k::floor_divide, {{7, 6}, {2, 3}}) == (std::vector<T>{3, 2}));
    CHECK(apply<T>(k::remainder, {{7, 6}, {4, 3}}) == (std::vector<T>{3, 0}));
    CHECK(apply<T>(k::addcmul, {{1}, {2}, {3}}, {number(int64_t(2))}) == (std::vector<T>{13}));
    CHECK(apply<T>(k::round, {{low, 5}}) == (std::vector<T>{low, 5}));
    CHECK(apply<T>(k::relu, {{low, 5}}) == (std::vector<T>{0, 5}));
    CHECK(apply<T>(k::maximum, {{low, 5}, {4, 4}}) == (std::vector<T>{std::max(low, T(4)), 5}));
    CHECK(apply<T>(k::minimum, {{low, 5}, {4, 4}}) == (std::vector<T>{low, 4}));
    for (auto* slot : {&k::floor_divide, &k::trunc_divide, &k::remainder, &k::fmod})
        CHECK_RAISES(Runtime, apply<T>(*slot, {{7, 1}, {1, 0}}));
    CHECK(apply<T>(k::bitwise_and, {{12}, {10}})[0] == 8);
    CHECK(apply<T>(k::bitwise_or, {{12}, {10}})[0] == 14);
    CHECK(apply<T>(k::bitwise_xor, {{12}, {10}})[0] == 6);
    CHECK(apply<T>(k::bitwise_not, {{12}})[0] == T(~T(12)));
    if constexpr (std::is_signed_v<T>) {
        CHECK(apply<T>(k::floor_divide, {{-7, 7, -7, low}, {2, -2, -2, -1}}) ==
              (std::vector<T>{-4, -4, 3, low}));
        CHECK(apply<T>(k::trunc_divide, {{-7, 7, -7, low}, {2, -2, -2, -1}}) ==
              (std::vector<T>{-3, -3, 3, low}));
        CHECK(apply<T>(k::remainder, {{-7, 7, -7, low}, {2, -2, -2, -1}}) ==
              (std::vector<T>{1, -1, -1, 0}));
        CHECK(apply<T>(k::fmod, {{-7, 7, -7, low}, {2, -2, -2, -1}}) ==
              (std::vector<T>{-1, 1, -1, 0}));
        CHECK(apply<T>(k::pow, {{2, 1, -1, 0, -1}, {-1, -2, -3, -1, -2}}) ==
              (std::vector<T>{0, 1, -1, 0, 1}));
        CHECK(apply<T>(k::abs, {{-3, low}}) == (std::vector<T>{3, low}));
        CHECK(apply<T>(k::neg, {{-3, low}}) == (std::vector<T>{3, low}));
        CHECK(apply<T>(k::sign, {{-3, 0, 9}}) == (std::vector<T>{-1, 0, 1}));
    } else {
        CHECK(apply<T>(k::neg, {{1}})[0] == high);
    }
}

void integer_conventions() {
    on_every_level([] {
        check_integers<uint8_t>();
        check_integers<int8_t>();
        check_integers<int16_t>();
        check_integers<int32_t>();
        check_integers<int64_t>();
    });
}

void bool_conventions() {
    on_every_level([] {
        bool a[] = {false, false, true, true}, b[] = {false, true, false, true}, out[4];
        auto table = [&](const k::Pointwise& slot) {
            run(slot,
                flat_plan(DType::Bool, 4, {{out, DType::Bool}, {a, DType::Bool}, {b, DType::Bool}},
                          {number(int64_t(1))}));
            return std::vector<bool>(out, out + 4);
        };
        std::vector<bool> any{0, 1, 1, 1}, both{0, 0, 0, 1}, one{0, 1, 1, 0};
        for (auto* slot : {&k::add, &k::maximum, &k::bitwise_or, &k::logical_or})
            CHECK(table(*slot) == any);
        for (auto* slot : {&k::mul, &k::minimum, &k::bitwise_and, &k::logical_and})
            CHECK(table(*slot) == both);
        for (auto* slot : {&k::ne, &k::bitwise_xor, &k::logical_xor}) CHECK(table(*slot) == one);
        CHECK(table(k::lt) == (std::vector<bool>{0, 1, 0, 0}));
        for (auto* slot : {&k::bitwise_not, &k::logical_not}) {
            run(*slot, flat_plan(DType::Bool, 4, {{out, DType::Bool}, {a, DType::Bool}}));
            CHECK(out[0] && out[1] && !out[2] && !out[3]);
        }
        float x[] = {0, -2, float(kNan), 0.5};
        run(k::logical_not,
            flat_plan(DType::Float32, 4, {{out, DType::Bool}, {x, DType::Float32}}));
        CHECK(out[0] && !out[1] && !out[2] && !out[3]);
    });
}

// An item's bits do not depend on where it stands: in a full vector, in a tail, alone, in a buffer.
void position_does_not_matter() {
    on_every_level([] {
        Random random;
        std::vector<float> x(67), y(67), z(67);
        for (size_t i = 0; i < x.size(); i++)
            x[i] = float(random.uniform() * 6), y[i] = float(random.uniform());
        for (auto* slot : {&k::exp, &k::log, &k::tanh, &k::erf, &k::sigmoid, &k::gelu, &k::silu,
                           &k::sin, &k::log1p, &k::expm1, &k::rsqrt}) {
            auto whole = apply<float>(*slot, {x});
            for (size_t i = 0; i < x.size(); i++)
                CHECK(same_bits(apply<float>(*slot, {{x[i]}}), {whole[i]}));
        }
        for (auto* slot : {&k::add, &k::lerp, &k::addcmul, &k::pow, &k::remainder}) {
            auto whole = apply<float>(*slot, {x, y, y}, {number(0.3)});
            std::vector<float> strided(134), out(67);
            for (size_t i = 0; i < 67; i++) strided[2 * i] = x[i];
            Plan plan = flat_plan(DType::Float32, 67,
                                  {{out.data(), DType::Float32},
                                   {strided.data(), DType::Float32},
                                   {y.data(), DType::Float32},
                                   {y.data(), DType::Float32}},
                                  {number(0.3)});
            plan.operand[1].strides[0] = 8;
            run(*slot, plan);
            CHECK(same_bits(out, whole));
        }
    });
}

// Python numbers beside halves keep their precision in arithmetic, not in comparisons (as PyTorch).
void numbers_beside_halves() {
    on_every_level([] {
        Half x[] = {to_half(0.1f), to_half(3.0f)}, product[2];
        double factor = 0.1;
        bool equal[2];
        auto plan = [&](void* out, DType out_dtype) {
            Plan p = flat_plan(DType::Float16, 2,
                               {{out, out_dtype}, {x, DType::Float16}, {&factor, DType::Float64}});
            p.operand[2].strides[0] = 0;
            return p;
        };
        run(k::mul, plan(product, DType::Float16));
        CHECK(product[1].bits == to_half(3.0f * 0.1f).bits);
        run(k::eq, plan(equal, DType::Bool));
        CHECK(equal[0] && !equal[1]);
    });
}

}  // namespace

int main() {
    RUN(formulas_are_accurate);
    RUN(pow_is_accurate);
    RUN(gelu_keeps_its_tail);
    RUN(activations_and_losses);
    RUN(float_conventions);
    RUN(integer_conventions);
    RUN(bool_conventions);
    RUN(position_does_not_matter);
    RUN(numbers_beside_halves);
    return summary();
}
