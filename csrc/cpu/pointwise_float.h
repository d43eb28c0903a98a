#pragma once

#include "cpu/pointwise.h"
#include "cpu/rows.h"
#include "kernels/formulas/pointwise.h"

// A pointwise kernel from a formula on vectors of float and double.
namespace ember::cpu::EMBER_LEVEL {
namespace {

// The plan's numbers for a loop over V.
template <class V>
struct Numbers {
    V first, second, third;
    EMBER_INLINE explicit Numbers(const Number* n)
        : first(n[0].as<typename V::Scalar>()),
          second(n[1].as<typename V::Scalar>()),
          third(n[2].as<typename V::Scalar>()) {}
};

// Whole vectors are loaded and stored as such, fewer items (at the ends) by parts.
template <class T>
EMBER_INLINE Lanes<T> load_items(const char* in, int64_t at, int64_t n) {
    const T* from = reinterpret_cast<const T*>(in) + at;
    return n == Lanes<T>::size ? load_as<Lanes<T>>(from) : load_first_as<Lanes<T>>(from, n);
}
template <class T>
EMBER_INLINE void store_items(Lanes<T> x, char* out, int64_t at, int64_t n, bool stream) {
    T* to = reinterpret_cast<T*>(out) + at;
    if (n != Lanes<T>::size)
        store_first_as(to, x, n);
    else if (stream)
        stream_as(to, x);
    else
        store_as(to, x);
}
template <class T, int B>
EMBER_INLINE void store_items(Mask<B> m, char* out, int64_t at, int64_t n, bool) {
    store_bools(m, out + at, n);
}

// Applies F to items [at, at + n) of up to three inputs; n is at most a vector.
template <class F, int Inputs, class T>
struct Step {
    char* out;
    const char *a, *b, *c;
    Numbers<Lanes<T>> numbers;

    EMBER_INLINE Step(char* const* data, const Number* immediate)
        : out(data[0]),
          a(data[1]),
          b(data[Inputs > 1 ? 2 : 1]),
          c(data[Inputs > 2 ? 3 : 1]),
          numbers(immediate) {}

    EMBER_INLINE void operator()(int64_t at, int64_t n, bool stream) const {
        Lanes<T> x = load_items<T>(a, at, n);
        if constexpr (Inputs == 1) {
            store_items<T>(call(F{}, numbers, x), out, at, n, stream);
        } else {
            Lanes<T> y = load_items<T>(b, at, n);
            if constexpr (Inputs == 2)
                store_items<T>(call(F{}, numbers, x, y), out, at, n, stream);
            else
                store_items<T>(call(F{}, numbers, x, y, load_items<T>(c, at, n)), out, at, n,
                               stream);
        }
    }

    // Items before the first at which the output is aligned to the vector.
    EMBER_INLINE int64_t unaligned(int64_t n) const {
        constexpr intptr_t bytes = Lanes<T>::size * sizeof(T);
        int64_t head = (-reinterpret_cast<intptr_t>(out) & (bytes - 1)) / sizeof(T);
        return head < n ? head : n;
    }
};

template <class T>
EMBER_INLINE bool can_stream(const char* out) {
    return reinterpret_cast<intptr_t>(out) % sizeof(T) == 0;
}

template <class F, int Inputs, class T>
__attribute__((flatten)) void loop(char* const* data, int64_t n, const Number* immediate,
                                   bool stream) {
    constexpr int64_t size = Lanes<T>::size;
    Step<F, Inputs, T> step(data, immediate);
    int64_t i = 0;
    if (EMBER_UNLIKELY(stream) && can_stream<T>(data[0])) {
        i = step.unaligned(n);
        step(0, i, false);
        for (; i + size <= n; i += size) step(i, size, true);
    }
    for (; i + size <= n; i += size) step(i, size, false);
    if (i < n) step(i, n - i, false);
}

// The same with the formula's code once: for long formulas.
template <class F, int Inputs, class T>
__attribute__((flatten)) void long_loop(char* const* data, int64_t n, const Number* immediate,
                                        bool stream) {
    constexpr int64_t size = Lanes<T>::size;
    Step<F, Inputs, T> step(data, immediate);
    stream = stream && can_stream<T>(data[0]);
    int64_t count = stream ? step.unaligned(n) : 0;
    if (count == 0) count = n < size ? n : size;
    for (int64_t i = 0; i < n; i += count, count = n - i < size ? n - i : size)
        step(i, count, stream);
}

enum class Result { Same, Bool };

template <class F, int Inputs, class T, int Cost, Result Kind, bool ExactNumbers>
constexpr LoopInfo kLoopInfo = {Cost > 1 ? long_loop<F, Inputs, T> : loop<F, Inputs, T>,
                                Kind == Result::Bool ? DType::Bool : DTypeOf<T>::value,
                                DTypeOf<T>::value,
                                DTypeOf<T>::value,
                                ExactNumbers,
                                Cost};

// Whether all operands are of the half that the plan computes in (a bool result aside): short
// loops then convert on the way, without buffers.
EMBER_INLINE bool all_halves(const Plan& plan, Result kind) {
    if (EMBER_LIKELY(!kHalves.has(plan.compute))) return false;
    for (int k = kind == Result::Bool; k < plan.operands; k++)
        if (plan.operand[k].dtype != plan.compute) return false;
    return true;
}

// A kernel of floating dtypes. F takes vectors and, if it wants them, the plan's numbers.
template <class F, int Inputs, int Cost = 1, Result Kind = Result::Same, bool ExactNumbers = false>
void kernel(Context&, const Plan& plan) {
    if (plan.compute == DType::Float64)
        return start(plan, kLoopInfo<F, Inputs, double, Cost, Kind, ExactNumbers>);
    if constexpr (Cost == 1) {
        if (all_halves(plan, Kind)) {
            if (plan.compute == DType::Float16)
                return start(plan, kLoopInfo<F, Inputs, Half, Cost, Kind, ExactNumbers>);
            return start(plan, kLoopInfo<F, Inputs, BFloat16, Cost, Kind, ExactNumbers>);
        }
    }
    start(plan, kLoopInfo<F, Inputs, float, Cost, Kind, ExactNumbers>);
}

// The same, with integers and bool going to their own kernel, and halves too where their sign bit
// is all that changes.
template <class F, int Inputs, IntegerKernels::Kernel IntegerKernels::* Integer, int Cost = 1,
          Result Kind = Result::Same, bool ExactNumbers = false, bool HalvesByBits = false>
void numeric_kernel(Context& context, const Plan& plan) {
    if (is_integral(plan.compute) || (HalvesByBits && kHalves.has(plan.compute)))
        (pointwise_shared.integers.*Integer)(context, plan);
    else
        kernel<F, Inputs, Cost, Kind, ExactNumbers>(context, plan);
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
