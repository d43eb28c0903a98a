#include "ops/shape.h"

#include <cmath>

#include "ops/copy.h"
#include "ops/cumulative.h"
#include "ops/formula.h"
#include "ops/index.h"
#include "ops/matmul.h"
#include "ops/view.h"

namespace ember::ops {

namespace {

const Number kOne = number(int64_t(1));

Tensor counting(int64_t n, Device device) {
    return arange(number(n), std::nullopt, kOne, DType::Int64, device, false);
}

}  // namespace

// ---- Copies

Tensor flip(const Tensor& x, const Dims& dims) {
    bool seen[kMaxDims] = {};
    Dims strides(x.strides());
    int64_t offset = x.offset();
    for (int64_t dim : dims) {
        int at = wrap_dim("flip", dim, x.dim());
        EMBER_CHECK(!seen[at], "flip: dim %d appears multiple times in the list of dims", at);
        seen[at] = true;
        if (x.dim() == 0 || x.numel() == 0) continue;
        offset += (x.impl()->sizes[at] - 1) * strides[at];
        strides[at] = -strides[at];
    }
    Tensor out = empty_like(x);
    {
        GradModeGuard no_grad(false);
        copy_(out, alias(x, x.sizes(), strides, offset));
    }
    if (needs_grad(x))
        record("FlipBackward0", out, {x},
               [dims](Backward& bw, const Tensor& g) { bw.set(0, flip(g, dims)); });
    return out;
}

Tensor fliplr(const Tensor& x) {
    EMBER_CHECK(x.dim() >= 2, "fliplr: input must have at least 2 dims, got %d", x.dim());
    return flip(x, {1});
}
Tensor flipud(const Tensor& x) {
    EMBER_CHECK(x.dim() >= 1, "flipud: input must have at least 1 dim, got %d", x.dim());
    return flip(x, {0});
}

Tensor roll(const Tensor& x, const Dims& shifts, const Dims& dims) {
    EMBER_CHECK(!shifts.empty(), "roll: shifts are required");
    if (dims.empty() && shifts.size() == 1)
        return reshape(roll(reshape(x, {-1}), shifts, {0}), Dims(x.sizes()));
    EMBER_CHECK(shifts.size() == dims.size(),
                "roll: shifts and dims must be equally long, got %d and %d", shifts.size(),
                dims.size());
    Tensor out = x;
    for (int i = 0; i < dims.size(); i++) {
        if (x.dim() == 0) raise_index("roll: a zero-dim tensor has no dim %ld", long(dims[i]));
        int at = wrap_dim("roll", dims[i], x.dim());
        int64_t n = x.impl()->sizes[at];
        if (n == 0) continue;
        int64_t shift = ((shifts[i] % n) + n) % n;
        if (shift == 0) continue;
        out = cat({narrow(out, at, n - shift, shift), narrow(out, at, 0, n - shift)}, at);
    }
    return out.is(x) ? clone(x, MemoryFormat::Contiguous) : out;
}

Tensor rot90(const Tensor& x, int64_t k, const Dims& dims) {
    EMBER_CHECK(dims.size() == 2, "rot90: expected 2 dims to rotate in, got %d", dims.size());
    EMBER_CHECK(x.dim() >= 2, "rot90: input must have at least 2 dims, got %d", x.dim());
    int a = wrap_dim("rot90", dims[0], x.dim()), b = wrap_dim("rot90", dims[1], x.dim());
    EMBER_CHECK(a != b, "rot90: expected two different dims, got %d twice", a);
    switch (((k % 4) + 4) % 4) {
        case 1: return transpose(flip(x, {b}), a, b);
        case 2: return flip(x, {a, b});
        case 3: return transpose(flip(x, {a}), a, b);
        default: return clone(x, MemoryFormat::Contiguous);
    }
}

Tensor tile(const Tensor& x, const Dims& dims) {
    Dims repeats;
    for (int d = dims.size(); d < x.dim(); d++) repeats.push_back(1);
    repeats.append(dims.begin(), dims.end());
    return repeat(x, repeats);
}

Tensor repeat_indices(const Tensor& repeats, std::optional<int64_t> output_size) {
    GradModeGuard no_grad(false);
    EMBER_CHECK(repeats.dim() == 1, "repeat_interleave: repeats must be a vector, got shape %s",
                to_string(repeats.sizes()).c_str());
    EMBER_CHECK(repeats.dtype() == DType::Int64 || repeats.dtype() == DType::Int32,
                "repeat_interleave: repeats must be int64 or int32, got %s",
                dtype_name(repeats.dtype()));
    if (repeats.numel() == 0) return empty({{0}}, repeats.options());
    Tensor counts = to_dtype(repeats, DType::Int64);
    int64_t least = read_item<int64_t>(min_all(counts));
    EMBER_CHECK(least >= 0, "repeat_interleave: repeats must not be negative, got %ld",
                long(least));
    Tensor ends = cumsum(counts, 0, std::nullopt, {});
    int64_t total = read_item<int64_t>(select(ends, 0, -1));
    EMBER_CHECK(!output_size || *output_size == total,
                "repeat_interleave: output_size %ld does not match the sum of repeats %ld",
                long(output_size.value_or(0)), long(total));
    checked_numel("repeat_interleave", {{total}}, DType::Int64);
    // How many ends stand at or before each place.
    Tensor marks = zeros({{total + 1}}, ends.options());
    scatter_add(marks, 0, ends, full(ends.sizes(), kOne, ends.options()), Dest::in_place(marks));
    Tensor places = cumsum(narrow(marks, 0, 0, total), 0, std::nullopt, {});
    return to_dtype(places, repeats.dtype());
}

Tensor repeat_interleave(const Tensor& x, const Tensor& repeats, std::optional<int64_t> dim,
                         std::optional<int64_t> output_size) {
    EMBER_CHECK(repeats.dim() <= 1,
                "repeat_interleave: repeats must be a number or a vector, got shape %s",
                to_string(repeats.sizes()).c_str());
    Tensor items = dim ? x : reshape(x, {-1});
    int at = wrap_dim("repeat_interleave", dim.value_or(0), items.dim());
    if (items.dim() == 0) items = reshape(items, {1});
    Tensor counts = repeats.dim() == 0 ? reshape(repeats, {1}) : repeats;
    if (counts.numel() == 1 && items.size(at) != 1)
        counts = contiguous(expand(counts, {items.size(at)}));
    EMBER_CHECK(counts.numel() == items.size(at),
                "repeat_interleave: repeats must have the size of dim %d, %ld, or 1, got %ld", at,
                long(items.size(at)), long(counts.numel()));
    return index_select(items, at, repeat_indices(counts, output_size));
}

Tensor take_along_dim(const Tensor& x, const Tensor& indices, std::optional<int64_t> dim,
                      const Dest& out) {
    EMBER_CHECK(indices.dtype() == DType::Int64,
                "take_along_dim: expected dtype int64 for indices, got %s",
                dtype_name(indices.dtype()));
    if (!dim) return gather(reshape(x, {-1}), 0, reshape(indices, {-1}), false, out);
    EMBER_CHECK(x.dim() == indices.dim(),
                "take_along_dim: input and indices must have the same number of dims, got %d and "
                "%d",
                x.dim(), indices.dim());
    int at = wrap_dim("take_along_dim", *dim, x.dim());
    Dims ours(x.sizes()), theirs(indices.sizes());
    if (x.dim() > 0) ours[at] = theirs[at] = 1;
    Dims common = broadcast_sizes("take_along_dim", ours, theirs);
    Dims source = common, places = common;
    if (x.dim() > 0) {
        source[at] = x.impl()->sizes[at];
        places[at] = indices.impl()->sizes[at];
    }
    return gather(expand(x, source), at, expand(indices, places), false, out);
}

// ---- Pieces and joins

std::vector<Tensor> tensor_split(const Tensor& x, int64_t sections, int64_t dim) {
    EMBER_CHECK(x.dim() > 0, "tensor_split: expected at least a 1-dimensional tensor, got 0 dims");
    int at = wrap_dim("tensor_split", dim, x.dim());
    EMBER_CHECK(sections > 0, "tensor_split: number of sections must be larger than 0, got %ld",
                long(sections));
    constexpr int64_t kMostViews = int64_t(1) << 20;
    EMBER_CHECK(sections <= kMostViews, "tensor_split: at most %ld sections are possible, got %ld",
                long(kMostViews), long(sections));
    int64_t n = x.impl()->sizes[at], start = 0;
    std::vector<Tensor> parts;
    for (int64_t i = 0; i < sections; i++) {
        int64_t length = n / sections + (i < n % sections ? 1 : 0);
        parts.push_back(slice(x, at, start, start + length, 1));
        start += length;
    }
    return parts;
}

std::vector<Tensor> tensor_split_at(const Tensor& x, const Dims& indices, int64_t dim) {
    EMBER_CHECK(x.dim() > 0, "tensor_split: expected at least a 1-dimensional tensor, got 0 dims");
    int at = wrap_dim("tensor_split", dim, x.dim());
    std::vector<Tensor> parts;
    int64_t start = 0, n = x.impl()->sizes[at];
    for (int64_t end : indices) {
        parts.push_back(slice(x, at, start, end, 1));
        start = end;
    }
    parts.push_back(slice(x, at, start, n, 1));
    return parts;
}

Tensor unfold(const Tensor& x, int64_t dimension, int64_t size, int64_t step) {
    int at = wrap_dim("unfold", dimension, x.dim());
    int64_t n = x.dim() > 0 ? x.impl()->sizes[at] : 1;
    EMBER_CHECK(size >= 0 && size <= n,
                "unfold: maximum size for a tensor at dimension %d is %ld but size is %ld", at,
                long(n), long(size));
    EMBER_CHECK(step > 0, "unfold: step is %ld but must be > 0", long(step));
    EMBER_CHECK(x.dim() < kMaxDims, "unfold: at most %d dims are possible", kMaxDims);
    Dims sizes(x.sizes()), strides(x.strides());
    int64_t stride = x.dim() > 0 ? strides[at] : 1;
    if (x.dim() > 0) {
        sizes[at] = (n - size) / step + 1;
        strides[at] *= step;
    }
    sizes.push_back(size);
    strides.push_back(stride);
    Tensor out = alias(x, sizes, strides, x.offset());
    mark_view(out, x);
    if (needs_grad(x))
        record("UnfoldBackward0", out, {x},
               [at, size, step, shape = Dims(x.sizes())](Backward& bw, const Tensor& g) {
                   if (shape.empty()) return bw.set(0, reshape(g, {}));
                   // Windows and places in them as one dim, added to where they came from.
                   int64_t windows = g.size(at);
                   Tensor starts = mul(counting(windows, g.device()), wrapped_number(number(step)));
                   Tensor places = add(unsqueeze(starts, 1), counting(size, g.device()));
                   Tensor parts = flatten(movedim(g, {-1}, {at + 1}), at, at + 1);
                   bw.set(0, index_add(zeros(shape, g.options()), at, reshape(places, {-1}), parts,
                                       kOne, {}));
               });
    return out;
}

Tensor atleast(const Tensor& x, int dims) {
    Dims sizes(x.sizes());
    if (x.dim() >= dims) return x;
    if (x.dim() == 0)
        while (sizes.size() < dims) sizes.push_back(1);
    if (sizes.size() == 1 && dims > 1) sizes.insert(0, 1);
    if (sizes.size() < dims) sizes.push_back(1);
    return reshape(x, sizes);
}

namespace {

std::vector<Tensor> widened(const char* name, const std::vector<Tensor>& tensors, int dims) {
    EMBER_CHECK(!tensors.empty(), "%s: expected a non-empty list of tensors", name);
    std::vector<Tensor> out;
    for (const Tensor& t : tensors) out.push_back(atleast(t, dims));
    return out;
}

}  // namespace

Tensor hstack(const std::vector<Tensor>& tensors, const Dest& out) {
    std::vector<Tensor> parts = widened("hstack", tensors, 1);
    return cat(parts, parts[0].dim() == 1 ? 0 : 1, out);
}
Tensor vstack(const std::vector<Tensor>& tensors, const Dest& out) {
    return cat(widened("vstack", tensors, 2), 0, out);
}
Tensor dstack(const std::vector<Tensor>& tensors, const Dest& out) {
    return cat(widened("dstack", tensors, 3), 2, out);
}
Tensor column_stack(const std::vector<Tensor>& tensors, const Dest& out) {
    EMBER_CHECK(!tensors.empty(), "column_stack: expected a non-empty list of tensors");
    std::vector<Tensor> parts;
    for (const Tensor& t : tensors) parts.push_back(t.dim() <= 1 ? reshape(t, {t.numel(), 1}) : t);
    return hstack(parts, out);
}

// ---- Copies with a part replaced

namespace {

// A copy of x with src written over the view of it that `part` makes.
template <class Part>
Tensor replaced(const char* name, const Tensor& x, const Tensor& src, Part part) {
    Tensor out = clone(x, std::nullopt), view = part(out);
    EMBER_CHECK(same(view.sizes(), src.sizes()),
                "%s: expected src to have the size of the part it replaces, %s, got %s", name,
                to_string(view.sizes()).c_str(), to_string(src.sizes()).c_str());
    copy_(view, src);
    return out;
}

}  // namespace

Tensor select_scatter(const Tensor& x, const Tensor& src, int64_t dim, int64_t index) {
    return replaced("select_scatter", x, src,
                    [&](const Tensor& t) { return select(t, dim, index); });
}
Tensor slice_scatter(const Tensor& x, const Tensor& src, int64_t dim, std::optional<int64_t> start,
                     std::optional<int64_t> end, int64_t step) {
    return replaced("slice_scatter", x, src, [&](const Tensor& t) {
        return slice(t, dim, start.value_or(0), end.value_or(INT64_MAX), step);
    });
}
Tensor diagonal_scatter(const Tensor& x, const Tensor& src, int64_t offset, int64_t dim1,
                        int64_t dim2) {
    return replaced("diagonal_scatter", x, src,
                    [&](const Tensor& t) { return diagonal(t, offset, dim1, dim2); });
}
Tensor as_strided_scatter(const Tensor& x, const Tensor& src, const Dims& size, const Dims& stride,
                          std::optional<int64_t> storage_offset) {
    return replaced("as_strided_scatter", x, src,
                    [&](const Tensor& t) { return as_strided(t, size, stride, storage_offset); });
}

Tensor put(const Tensor& x, const Tensor& index, const Tensor& source, bool accumulate,
           const Dest& dest) {
    EMBER_CHECK(index.dtype() == DType::Int64, "put: expected dtype int64 for index, got %s",
                dtype_name(index.dtype()));
    EMBER_CHECK(x.dtype() == source.dtype(),
                "put: self (%s) and source (%s) must have the same dtype", dtype_name(x.dtype()),
                dtype_name(source.dtype()));
    if (index.numel() != source.numel())
        raise_index(
            "put: expected source and index to have the same number of elements, got %ld and %ld",
            long(source.numel()), long(index.numel()));
    Tensor flat =
        index_put(reshape(x, {-1}), {reshape(index, {-1})}, reshape(source, {-1}), accumulate);
    Tensor out = reshape(flat, Dims(x.sizes()));
    return dest.is_in_place() ? copy_(x, out) : out;
}

// ---- Distances

Tensor dist(const Tensor& x, const Tensor& y, double p) {
    return norm(sub(x, y), p, std::nullopt, false, std::nullopt, {});
}

namespace {

// Rows of x1 and x2 by |a|^2 + |b|^2 - 2ab: one matrix product, at some loss for close rows.
Tensor distances_by_product(const Tensor& x1, const Tensor& x2) {
    Tensor a = sum(square(x1), {-1}, true), b = transpose(sum(square(x2), {-1}, true), -2, -1);
    Tensor products = mul(matmul(x1, transpose(x2, -2, -1)), -2.0);
    return sqrt(clamp(add(add(products, a), b), number(0.0), std::nullopt, {}));
}

Tensor distances(const Tensor& x1, const Tensor& x2, double p) {
    return norm(sub(unsqueeze(x1, -2), unsqueeze(x2, -3)), p, Dims{-1}, false, std::nullopt, {});
}

}  // namespace

Tensor cdist(const Tensor& x1, const Tensor& x2, double p,
             std::optional<std::string_view> compute_mode) {
    std::string_view mode = compute_mode.value_or("use_mm_for_euclid_dist_if_necessary");
    bool never = mode == "donot_use_mm_for_euclid_dist", always = mode == "use_mm_for_euclid_dist";
    if (!never && !always && mode != "use_mm_for_euclid_dist_if_necessary")
        raise_value("cdist: %.*s is not a valid value for compute_mode", int(mode.size()),
                    mode.data());
    EMBER_CHECK(is_floating(x1.dtype()) && is_floating(x2.dtype()),
                "cdist: expected floating point tensors, got %s and %s", dtype_name(x1.dtype()),
                dtype_name(x2.dtype()));
    EMBER_CHECK(x1.dim() >= 2 && x2.dim() >= 2,
                "cdist: expected tensors of at least 2 dims, got shapes %s and %s",
                to_string(x1.sizes()).c_str(), to_string(x2.sizes()).c_str());
    EMBER_CHECK(x1.size(-1) == x2.size(-1),
                "cdist: x1 and x2 must have the same number of columns, got %ld and %ld",
                long(x1.size(-1)), long(x2.size(-1)));
    EMBER_CHECK(p >= 0, "cdist: p must not be negative, got %g", p);
    if (p != 2 || x1.size(-1) == 0) return distances(x1, x2, p);
    Tensor out;
    {
        GradModeGuard no_grad(false);
        bool many = x1.size(-2) > 25 || x2.size(-2) > 25;
        out = always || (many && !never) ? distances_by_product(x1, x2) : distances(x1, x2, p);
    }
    if (needs_grad(x1, x2))
        record("CdistBackward0", out, {x1, x2},
               [x1 = Saved(x1), x2 = Saved(x2), y = Saved::output(out)](Backward& bw,
                                                                        const Tensor& g) {
                   Tensor a = x1.get(bw), b = x2.get(bw), result = y.get(bw);
                   Tensor zero = wrapped_number(number(0.0));
                   Tensor equal = eq(result, zero);  // where rows are equal, zero is a subgradient
                   Tensor weight = div(g, masked_fill(result, equal, wrapped_number(number(1.0))));
                   weight = masked_fill(weight, equal, zero);
                   Tensor turned = transpose(weight, -2, -1);
                   if (bw.needs(0))
                       bw.set(0, sub(mul(a, sum(weight, {-1}, true)), matmul(weight, b)));
                   if (bw.needs(1))
                       bw.set(1, sub(mul(b, sum(turned, {-1}, true)), matmul(turned, a)));
               });
    return out;
}

}  // namespace ember::ops
