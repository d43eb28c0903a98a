#pragma once

#include "cpu/pointwise.h"
#include "cpu/vec.h"
#include "kernels/formulas/pointwise.h"

// A pointwise kernel from a formula on vectors of float and double.
namespace ember::cpu::EMBER_LEVEL {
namespace {

// The plan's numbers for a loop over V.
template <class V>
struct Numbers {
    V first, second;
    EMBER_INLINE explicit Numbers(const Number* n)
        : first(n[0].as<typename V::Scalar>()), second(n[1].as<typename V::Scalar>()) {}
};

template <class T>
EMBER_INLINE void store_items(Vec<T> x, char* out, int64_t at, int64_t n) {
    if (n == Vec<T>::size)
        x.store(out + at * int64_t(sizeof(T)));
    else
        store_first(x, out + at * int64_t(sizeof(T)), n);
}
template <int B>
EMBER_INLINE void store_items(Mask<B> m, char* out, int64_t at, int64_t n) {
    store_bools(m, out + at, n);
}
template <class T>
EMBER_INLINE Vec<T> load_items(const char* in, int64_t at, int64_t n) {
    in += at * int64_t(sizeof(T));
    return n == Vec<T>::size ? Vec<T>::load(in) : load_first<T>(in, n);
}

template <class F, int Inputs, class T>
__attribute__((flatten)) void loop(char* const* data, int64_t n, const Number* immediate) {
    constexpr int64_t size = Vec<T>::size;
    char* out = data[0];
    const char *a = data[1], *b = data[Inputs > 1 ? 2 : 1], *c = data[Inputs > 2 ? 3 : 1];
    Numbers<Vec<T>> numbers(immediate);
    auto step = [=](int64_t at, int64_t count) __attribute__((always_inline)) {
        Vec<T> x = load_items<T>(a, at, count);
        if constexpr (Inputs == 1) {
            store_items(call(F{}, numbers, x), out, at, count);
        } else {
            Vec<T> y = load_items<T>(b, at, count);
            if constexpr (Inputs == 2)
                store_items(call(F{}, numbers, x, y), out, at, count);
            else
                store_items(call(F{}, numbers, x, y, load_items<T>(c, at, count)), out, at, count);
        }
    };
    int64_t i = 0;
    for (; i + size <= n; i += size) step(i, size);
    if (i < n) step(i, n - i);
}

// The same with the formula's code once instead of twice: for long formulas.
template <class F, int Inputs, class T>
__attribute__((flatten)) void long_loop(char* const* data, int64_t n, const Number* immediate) {
    constexpr int64_t size = Vec<T>::size;
    char* out = data[0];
    const char *a = data[1], *b = data[Inputs > 1 ? 2 : 1], *c = data[Inputs > 2 ? 3 : 1];
    Numbers<Vec<T>> numbers(immediate);
    for (int64_t i = 0; i < n; i += size) {
        int64_t count = n - i < size ? n - i : size;
        Vec<T> x = load_items<T>(a, i, count);
        if constexpr (Inputs == 1) {
            store_items(call(F{}, numbers, x), out, i, count);
        } else {
            Vec<T> y = load_items<T>(b, i, count);
            if constexpr (Inputs == 2)
                store_items(call(F{}, numbers, x, y), out, i, count);
            else
                store_items(call(F{}, numbers, x, y, load_items<T>(c, i, count)), out, i, count);
        }
    }
}

enum class Result { Same, Bool };

template <class F, int Inputs, class T, int Cost, Result Kind, bool ExactNumbers>
constexpr LoopInfo kLoopInfo = {Cost > 1 ? long_loop<F, Inputs, T> : loop<F, Inputs, T>,
                                Kind == Result::Bool ? DType::Bool : DTypeOf<T>::value,
                                DTypeOf<T>::value,
                                DTypeOf<T>::value,
                                ExactNumbers,
                                Cost};

// A kernel of floating dtypes. F takes vectors and, if it wants them, the plan's numbers.
template <class F, int Inputs, int Cost = 1, Result Kind = Result::Same, bool ExactNumbers = false>
void kernel(Context&, const Plan& plan) {
    if (plan.compute == DType::Float64)
        start(plan, kLoopInfo<F, Inputs, double, Cost, Kind, ExactNumbers>);
    else
        start(plan, kLoopInfo<F, Inputs, float, Cost, Kind, ExactNumbers>);
}

// The same, with integers and bool going to their own kernel.
template <class F, int Inputs, IntegerKernels::Kernel IntegerKernels::* Integer, int Cost = 1,
          Result Kind = Result::Same, bool ExactNumbers = false>
void numeric_kernel(Context& context, const Plan& plan) {
    if (is_integral(plan.compute))
        (shared::integer_kernels.*Integer)(context, plan);
    else
        kernel<F, Inputs, Cost, Kind, ExactNumbers>(context, plan);
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
