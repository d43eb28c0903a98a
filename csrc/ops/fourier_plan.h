#pragma once

#include <memory>
#include <vector>

#include "kernels/fourier.h"

namespace ember::ops {

// The plan of a length with the memory that it points to.
struct FourierTables {
    kernels::FourierPlan plan;
    std::vector<char> table, filter;
    std::vector<char> unit;  // e^(-2 pi i k / (2 n)), k <= n: what takes real lines apart
    std::shared_ptr<const FourierTables> first, second;
};

// Of lines of n complex items with parts of `dtype`; `alone`: of few at a time. Made once and kept
// as long as there is room.
std::shared_ptr<const FourierTables> fourier_tables(int64_t n, DType dtype, bool alone);

}  // namespace ember::ops
