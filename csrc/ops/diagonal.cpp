#include <algorithm>

#include "ops/copy.h"
#include "ops/formula.h"
#include "ops/shape.h"
#include "ops/sort.h"
#include "ops/view.h"

// Diagonals and triangles of matrices.
namespace ember::ops {

Tensor diag_embed(const Tensor& x, int64_t offset, int64_t dim1, int64_t dim2) {
    int a = wrap_dim("diag_embed", dim1, x.dim() + 1),
        b = wrap_dim("diag_embed", dim2, x.dim() + 1);
    EMBER_CHECK(a != b, "diag_embed: dim1 and dim2 must be two different dims, got %d twice", a);
    EMBER_CHECK(x.dim() > 0, "diag_embed: expected at least a 1-dimensional tensor, got 0 dims");
    int64_t beside = offset < 0 ? -offset : offset, side;
    bool large = __builtin_add_overflow(x.size(-1), beside, &side);
    EMBER_CHECK(!large && offset != INT64_MIN, "diag_embed: offset %ld is too large", long(offset));
    Dims sizes(x.sizes());
    sizes.pop_back();
    sizes.insert(std::min(a, b), side);
    sizes.insert(std::max(a, b), side);
    checked_numel("diag_embed", sizes, x.dtype());
    Tensor out = zeros(sizes, x.options());
    {
        GradModeGuard no_grad(false);
        copy_(diagonal(out, offset, a, b), x);
    }
    if (needs_grad(x))
        record("DiagEmbedBackward0", out, {x}, [offset, a, b](Backward& bw, const Tensor& g) {
            bw.set(0, diagonal(g, offset, a, b));
        });
    return out;
}

Tensor diag(const Tensor& x, int64_t diagonal_number, const Dest& out) {
    EMBER_CHECK(x.dim() == 1 || x.dim() == 2, "diag: expected 1 or 2 dims, got %d", x.dim());
    Tensor result = x.dim() == 1
                        ? diag_embed(x, diagonal_number, 0, 1)
                        : clone(diagonal(x, diagonal_number, 0, 1), MemoryFormat::Contiguous);
    return into("diag", out, result, needs_grad(x));
}

Tensor diagflat(const Tensor& x, int64_t offset) {
    return diag_embed(reshape(x, {-1}), offset, 0, 1);
}

Tensor fill_diagonal_(const Tensor& x, Number value, bool wrap) {
    EMBER_CHECK(x.dim() >= 2, "fill_diagonal_: expected at least 2 dims, got %d", x.dim());
    const int64_t* sizes = x.impl()->sizes;
    if (x.dim() > 2)
        for (int d = 1; d < x.dim(); d++)
            EMBER_CHECK(sizes[d] == sizes[0],
                        "fill_diagonal_: all dimensions of input must be of equal length, got %s",
                        to_string(x.sizes()).c_str());
    int64_t length = *std::min_element(sizes, sizes + x.dim()), step = 0;
    for (int64_t s : x.strides()) step += s;
    fill_(as_strided(x, {length}, {step}, x.offset()), wrapped_number(value));
    // A tall matrix goes on with a new diagonal one row below the end of the last.
    if (!wrap || x.dim() != 2 || sizes[0] <= sizes[1] + 1) return x;
    int64_t rows = sizes[0], columns = sizes[1], period = columns + 1;
    for (int64_t first = period; first < rows; first += period) {
        int64_t count = std::min(columns, rows - first);
        int64_t start = x.offset() + first * x.impl()->strides[0];
        fill_(as_strided(x, {count}, {step}, start), wrapped_number(value));
    }
    return x;
}

Tensor tril_(const Tensor& x, int64_t diagonal) { return copy_(x, tril(x, diagonal)); }
Tensor triu_(const Tensor& x, int64_t diagonal) { return copy_(x, triu(x, diagonal)); }

namespace {

// How many items of a matrix lie on or below a diagonal: rows of growing length, then full ones.
int64_t below_diagonal(int64_t rows, int64_t columns, int64_t offset) {
    int64_t first = std::clamp<int64_t>(-offset, 0, rows);
    int64_t full = std::clamp<int64_t>(columns - offset - 1, first, rows);
    int64_t shortest = first + offset + 1;  // at least 1 where there is such a row
    int64_t growing = full - first;
    int64_t lengths = growing % 2 == 0 ? growing / 2 * (2 * shortest + growing - 1)
                                       : growing * (shortest + (growing - 1) / 2);
    return lengths + (rows - full) * columns;
}

Tensor triangle_indices(const char* name, int64_t rows, int64_t columns, int64_t offset, bool lower,
                        std::optional<DType> dtype, std::optional<Device> device) {
    EMBER_CHECK(rows >= 0 && columns >= 0, "%s: row and col must not be negative, got %ld and %ld",
                name, long(rows), long(columns));
    DType d = dtype.value_or(DType::Int64);
    EMBER_CHECK(d == DType::Int64 || d == DType::Int32, "%s: expected dtype int64 or int32, got %s",
                name, dtype_name(d));
    checked_numel(name, {{rows, columns}}, DType::Int64);
    EMBER_CHECK(offset > INT64_MIN / 4 && offset < INT64_MAX / 4, "%s: offset %ld is too large",
                name, long(offset));
    // Of row r the columns before r + offset + 1, or from r + offset on.
    auto begin = [&](int64_t r) { return lower ? 0 : std::clamp<int64_t>(r + offset, 0, columns); };
    auto end = [&](int64_t r) {
        return lower ? std::clamp<int64_t>(r + offset + 1, 0, columns) : columns;
    };
    // Rows that have any.
    int64_t first = lower ? std::clamp<int64_t>(-offset, 0, rows) : 0;
    int64_t last = columns == 0 ? first
                   : lower      ? rows
                                : std::clamp<int64_t>(columns - offset, 0, rows);
    int64_t below = below_diagonal(rows, columns, lower ? offset : offset - 1);
    int64_t count = lower ? below : rows * columns - below;
    checked_numel(name, {{2, count}}, DType::Int64);
    Tensor out = empty({{2, count}}, {DType::Int64, {}});
    int64_t* items = out.as<int64_t>();
    int64_t at = 0;
    for (int64_t r = first; r < last; r++) {
        for (int64_t c = begin(r); c < end(r); c++, at++) {
            items[at] = r;
            items[count + at] = c;
        }
    }
    return to(to_dtype(out, d), device, std::nullopt, false, false, std::nullopt);
}

}  // namespace

Tensor tril_indices(int64_t row, int64_t col, int64_t offset, std::optional<DType> dtype,
                    std::optional<Device> device) {
    return triangle_indices("tril_indices", row, col, offset, true, dtype, device);
}
Tensor triu_indices(int64_t row, int64_t col, int64_t offset, std::optional<DType> dtype,
                    std::optional<Device> device) {
    return triangle_indices("triu_indices", row, col, offset, false, dtype, device);
}

}  // namespace ember::ops
