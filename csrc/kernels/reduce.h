#pragma once

#include "core/table.h"
#include "core/view.h"

// Reductions over a ReducePlan. The mask lists input dtypes; the output dtype is the plan's.
// Sums of floats accumulate in blocks (pairwise); integers and bool sum in int64; halves in
// float32. The order of summation depends on the plan alone, never on the number of threads.
namespace ember::kernels {

using Reduce = Slot<void(Context&, const ReducePlan&, double param)>;

extern Reduce sum;       // times param (mean passes 1/n)
extern Reduce nansum;    // the same, of what is not NaN
extern Reduce prod;      // param unused, as below
extern Reduce max, min;  // NaN wins
extern Reduce any, all;  // write bool (uint8 for a uint8 input)
extern Reduce norm;      // the param-norm; inf, -inf, 0, 1, 2 and any other p
extern Reduce variance;  // param: correction; Welford or two-pass
extern Reduce logsumexp;

// The reduced group is one dimension. Writes the extreme value where out is not null, and its index
// along that dimension; `indices` has out's layout with 8-byte items. First of equals; NaN wins.
using ReduceIndex = Slot<void(Context&, const ReducePlan&, int64_t* indices)>;
extern ReduceIndex argmax, argmin;

}  // namespace ember::kernels
