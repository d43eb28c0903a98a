#pragma once

#include "core/random.h"
#include "core/table.h"
#include "core/view.h"

// Fills of dense memory (numel items in memory order) from a generator's state, with PyTorch's
// streams on the CPU (tests/test_random.py recomputes them). Arguments have been checked; the
// caller holds the generator's mutex.
namespace ember::kernels {

struct RandomFill {
    void* data;
    int64_t numel;
    DType dtype;
    bool contiguous;  // the tensor was contiguous; normal fills of others take the scalar path
};

// [low, high), floating dtypes. A value that rounds to high becomes low.
extern Slot<void(Context&, const RandomFill&, const RandomSource&, double low, double high)>
    uniform;
extern Slot<void(Context&, const RandomFill&, const RandomSource&, double mean, double std)> normal;
// Whole numbers in [base, base + range), any real dtype. Range 0 is what no uint64 says: with base
// INT64_MIN all 2^64 values, else what `random_()` without bounds draws for the dtype.
extern Slot<void(Context&, const RandomFill&, const RandomSource&, uint64_t range, int64_t base)>
    randint;
extern Slot<void(Context&, const RandomFill&, const RandomSource&, double p)> bernoulli;
// p by item, dense float32 or float64 of the same numel and order.
extern Slot<void(Context&, const RandomFill&, const RandomSource&, const void* p, DType p_dtype)>
    bernoulli_tensor;
extern Slot<void(Context&, const RandomFill&, const RandomSource&, double lambda)> exponential;
extern Slot<void(Context&, const RandomFill&, const RandomSource&)> randperm;
// mask = bernoulli(1 - p), out = in * (mask / (1 - p)) in one pass, the factor rounded to the dtype
// as PyTorch's; dense, same order; 0 < p < 1. Floating dtypes.
extern Slot<void(Context&, const void* in, void* out, bool* mask, int64_t numel, DType dtype,
                 const RandomSource&, double p)>
    dropout;

}  // namespace ember::kernels
