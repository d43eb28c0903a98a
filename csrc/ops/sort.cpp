#include "ops/sort.h"

#include <cmath>

#include "kernels/sort.h"
#include "ops/copy.h"
#include "ops/cumulative.h"
#include "ops/formula.h"
#include "ops/index.h"
#include "ops/view.h"

namespace ember::kernels {

EMBER_SLOT(sort)
EMBER_SLOT(topk)
EMBER_SLOT(kth)

}  // namespace ember::kernels

namespace ember::ops {

Tensor with_last(const Tensor& x, int dim) {
    GradModeGuard no_grad(false);
    if (x.dim() == 0) return reshape(contiguous(x), {1});
    return contiguous(transpose(x, dim, -1));
}

Tensor into(const char* name, const Dest& out, const Tensor& value, bool needs_grad) {
    if (out.fresh()) return value;
    check_out(name, out.tensor(), value.dtype(), needs_grad);
    resize_out(name, out.tensor(), value.sizes());
    return copy_(out.tensor(), value);
}

void record_picks(const char* node, const Tensor& values, const Tensor& x, int dim,
                  const Tensor& indices, bool repeats) {
    if (!needs_grad(x)) return;
    record(node, values, {x},
           [dim, repeats, indices, shape = Dims(x.sizes())](Backward& bw, const Tensor& g) {
               if (shape.empty()) return bw.set(0, g);
               Tensor all = zeros(shape, g.options());
               bw.set(0, repeats
                             ? scatter_add(all, dim, indices, g, Dest::in_place(all))
                             : scatter(all, dim, indices, g, std::nullopt, Dest::in_place(all)));
           });
}

namespace {

using SortSlot = Slot<void(Context&, const kernels::Sort&)>;

// Rows (…, n) along the last dim, where `dim` was moved to.
kernels::Sort rows_of(const Tensor& rows) {
    kernels::Sort args;
    args.in = rows.data();
    args.n = rows.size(-1);
    args.rows = args.n > 0 ? rows.numel() / args.n : 0;
    args.dtype = rows.dtype();
    return args;
}

// A result of rows with its last dim where it was in x, laid out as PyTorch does.
Tensor moved_back(const Tensor& result, const Tensor& x, int dim, bool dense) {
    if (x.dim() == 0) return reshape(result, {});
    if (dim == x.dim() - 1 && (!dense || x.is_contiguous())) return result;
    Tensor view = transpose(result, dim, -1);
    return dense ? copy_(empty_like(x, result.dtype()), view) : contiguous(view);
}

// The first k items along `dim`, without a record.
TensorPair first_items(const SortSlot& slot, const Tensor& x, int dim, int64_t k, bool descending,
                       bool dense) {
    slot.require(x.device(), x.dtype());
    GradModeGuard no_grad(false);
    Tensor rows = with_last(x, dim);
    Dims sizes(rows.sizes());
    sizes.back() = k;
    Tensor values = empty(sizes, x.options()), indices = empty(sizes, {DType::Int64, x.device()});
    if (values.numel() > 0) {
        kernels::Sort args = rows_of(rows);
        args.values = values.data();
        args.indices = indices.as<int64_t>();
        args.k = k;
        args.descending = descending;
        launch(slot, x.device(), 10 * rows.numel(), args);
    }
    return {moved_back(values, x, dim, dense), moved_back(indices, x, dim, dense)};
}

// One item along `dim`, which stays with size 1; without a record.
TensorPair ranked(const char* name, const Tensor& x, int dim, int64_t k, kernels::Rank rank) {
    kernels::kth.require(x.device(), x.dtype());
    GradModeGuard no_grad(false);
    Tensor rows = with_last(x, dim);
    if (rows.size(-1) == 0)
        raise_index("%s: expected reduction dim %d to have non-zero size, got shape %s", name, dim,
                    to_string(x.sizes()).c_str());
    Dims sizes(rows.sizes());
    sizes.back() = 1;
    Tensor values = empty(sizes, x.options()), indices = empty(sizes, {DType::Int64, x.device()});
    if (values.numel() > 0) {
        kernels::Sort args = rows_of(rows);
        args.values = values.data();
        args.indices = indices.as<int64_t>();
        args.k = k;
        launch(kernels::kth, x.device(), 5 * rows.numel(), args, rank);
    }
    return {moved_back(values, x, dim, false), moved_back(indices, x, dim, false)};
}

// Values and indices (with `dim` of size 1) of one item a slice: recorded, and without the dim.
TensorPair finish(const char* node, const Tensor& x, int dim, bool keepdim, TensorPair found) {
    auto& [values, indices] = found;
    record_picks(node, values, x, dim, indices, false);
    bool drop = !keepdim && x.dim() > 0;
    if (!drop) return found;
    return {squeeze_dims(values, {dim}), squeeze_dims(indices, {dim})};
}

}  // namespace

TensorPair sort(const Tensor& x, int64_t dim, bool descending, std::optional<bool>) {
    int at = wrap_dim("sort", dim, x.dim());
    int64_t n = x.dim() > 0 ? x.impl()->sizes[at] : 1;
    auto [values, indices] = first_items(kernels::sort, x, at, n, descending, true);
    record_picks("SortBackward0", values, x, at, indices, false);
    return {values, indices};
}

Tensor argsort(const Tensor& x, int64_t dim, bool descending, bool stable) {
    GradModeGuard no_grad(false);
    wrap_dim("argsort", dim, x.dim());
    return std::get<1>(sort(x, dim, descending, stable));
}

Tensor msort(const Tensor& x, const Dest& out) {
    return into("msort", out, std::get<0>(sort(x, 0, false, true)), needs_grad(x));
}

TensorPair topk(const Tensor& x, int64_t k, int64_t dim, bool largest, bool) {
    int at = wrap_dim("topk", dim, x.dim());
    int64_t n = x.dim() > 0 ? x.impl()->sizes[at] : 1;
    EMBER_CHECK(k >= 0 && k <= n, "topk: selected index k out of range: 0 to %ld, got %ld", long(n),
                long(k));
    auto [values, indices] = first_items(kernels::topk, x, at, k, largest, false);
    record_picks("TopkBackward0", values, x, at, indices, false);
    return {values, indices};
}

TensorPair kthvalue(const Tensor& x, int64_t k, int64_t dim, bool keepdim) {
    int at = wrap_dim("kthvalue", dim, x.dim());
    int64_t n = x.dim() > 0 ? x.impl()->sizes[at] : 1;
    EMBER_CHECK(k >= 1 && k <= n, "kthvalue: k must be in 1 to %ld, the size of dim %d, got %ld",
                long(n), at, long(k));
    return finish("KthvalueBackward0", x, at, keepdim,
                  ranked("kthvalue", x, at, k - 1, kernels::Rank::Kth));
}

namespace {

// Items equal to the result share its gradient evenly.
Tensor shared_evenly(const Tensor& g, const Tensor& x, const Tensor& y) {
    Tensor same = logical_or(eq(x, y), logical_and(isnan(x), isnan(y), {}), {});
    Tensor share = to_dtype(same, g.dtype());
    return mul(share, div(g, sum(share)));
}

Tensor middle(const char* name, const char* node, const Tensor& x, kernels::Rank rank) {
    Tensor out;
    if (x.numel() == 0) {
        EMBER_CHECK(is_floating(x.dtype()), "%s: expected a non-empty tensor of integers", name);
        out = full({}, number(double(NAN)), x.options());
    } else {
        GradModeGuard no_grad(false);
        out = reshape(std::get<0>(ranked(name, reshape(x, {-1}), 0, 0, rank)), {});
    }
    if (needs_grad(x))
        record(node, out, {x},
               [x = Saved(x), y = Saved::output(out)](Backward& bw, const Tensor& g) {
                   bw.set(0, shared_evenly(g, x.get(bw), y.get(bw)));
               });
    return out;
}

TensorPair middle_along(const char* name, const char* node, const Tensor& x, int64_t dim,
                        bool keepdim, kernels::Rank rank) {
    int at = wrap_dim(name, dim, x.dim());
    return finish(node, x, at, keepdim, ranked(name, x, at, 0, rank));
}

}  // namespace

Tensor median_all(const Tensor& x) {
    return middle("median", "MedianBackward0", x, kernels::Rank::Median);
}
Tensor nanmedian_all(const Tensor& x) {
    return middle("nanmedian", "NanmedianBackward0", x, kernels::Rank::NanMedian);
}
TensorPair median(const Tensor& x, int64_t dim, bool keepdim) {
    return middle_along("median", "MedianBackward1", x, dim, keepdim, kernels::Rank::Median);
}
TensorPair nanmedian(const Tensor& x, int64_t dim, bool keepdim) {
    return middle_along("nanmedian", "NanmedianBackward1", x, dim, keepdim,
                        kernels::Rank::NanMedian);
}

TensorPair mode(const Tensor& x, int64_t dim, bool keepdim) {
    int at = wrap_dim("mode", dim, x.dim());
    Tensor values, indices;
    {
        GradModeGuard no_grad(false);
        Tensor rows = with_last(x, at);
        int64_t n = rows.size(-1);
        if (n == 0)
            raise_index("mode: expected reduction dim %d to have non-zero size, got shape %s", at,
                        to_string(x.sizes()).c_str());
        auto [sorted, order] = sort(rows, -1, false, true);
        // How many equal items stand up to each one: its distance from where its run starts.
        Tensor place =
            arange(number(n), std::nullopt, number(int64_t(1)), DType::Int64, x.device(), false);
        Tensor starts = ne(narrow(sorted, -1, 1, n - 1), narrow(sorted, -1, 0, n - 1));
        Tensor first = constant_pad(mul(to_dtype(starts, DType::Int64), narrow(place, 0, 1, n - 1)),
                                    {1, 0}, number(int64_t(0)));
        Tensor length = sub(place, std::get<0>(cummax(first, -1)));
        Tensor best = argmax(length, -1, true);
        values = moved_back(gather(sorted, -1, best), x, at, false);
        indices = moved_back(gather(order, -1, best), x, at, false);
    }
    return finish("ModeBackward0", x, at, keepdim, {values, indices});
}

namespace {

Tensor quantiles(const char* name, const Tensor& x, const Tensor& q, std::optional<int64_t> dim,
                 bool keepdim, std::string_view interpolation, bool skip_nan, const Dest& out) {
    EMBER_CHECK(x.dtype() == DType::Float32 || x.dtype() == DType::Float64,
                "%s: input must be float32 or float64, got %s", name, dtype_name(x.dtype()));
    EMBER_CHECK(x.numel() > 0, "%s: input must be non-empty", name);
    EMBER_CHECK(q.dim() <= 1, "%s: q must be a number or a vector, got shape %s", name,
                to_string(q.sizes()).c_str());
    Tensor levels = q.impl()->wrapped_number ? to_device(to_dtype(q, x.dtype()), x.device()) : q;
    check_same_device(name, x, levels);
    EMBER_CHECK(levels.dtype() == x.dtype(), "%s: q must have the input's dtype %s, got %s", name,
                dtype_name(x.dtype()), dtype_name(q.dtype()));
    bool midpoint = interpolation == "midpoint", blends = midpoint || interpolation == "linear";
    EMBER_CHECK(blends || interpolation == "lower" || interpolation == "higher" ||
                    interpolation == "nearest",
                "%s: interpolation must be one of linear, lower, higher, midpoint or nearest, got "
                "%.*s",
                name, int(interpolation.size()), interpolation.data());
    int at = dim ? wrap_dim(name, *dim, x.dim()) : 0;
    Tensor flat = dim && x.dim() > 0 ? transpose(x, at, -1) : reshape(x, {-1});
    Tensor sorted = std::get<0>(sort(flat, -1, false, true));
    Tensor ranks;  // (…, q)
    {
        GradModeGuard no_grad(false);
        Tensor one = wrapped_number(number(1.0)), zero = wrapped_number(number(0.0));
        Tensor inside = logical_and(ge(levels, zero), le(levels, one), {});
        EMBER_CHECK(read_item<bool>(all(inside, std::nullopt, false, {})),
                    "%s: q values must be in the range [0, 1]", name);
        Tensor nans = isnan(sorted), row = reshape(levels, {-1});
        double last = double(sorted.size(-1) - 1);
        if (skip_nan) {
            Tensor numbers = to_dtype(sum(logical_not(nans, {}), {-1}, true), x.dtype());
            ranks = clamp(mul(row, sub(numbers, one)), number(0.0), std::nullopt, {});
        } else {
            Tensor any_nan = any(nans, Dims{-1}, true, {});
            Dims sizes(any_nan.sizes());
            sizes.back() = row.numel();
            ranks =
                masked_fill(expand(mul(row, last), sizes), any_nan, wrapped_number(number(last)));
        }
        if (interpolation == "lower") ranks = floor(ranks, {});
        if (interpolation == "higher") ranks = ceil(ranks, {});
        if (interpolation == "nearest") ranks = round(ranks, {});
    }
    Tensor below = to_dtype(ranks, DType::Int64);
    Tensor result = gather(sorted, -1, below);
    if (blends) {
        Tensor weight = midpoint ? full(ranks.sizes(), number(0.5), ranks.options())
                                 : sub(ranks, to_dtype(below, ranks.dtype()));
        Tensor above = to_dtype(ceil(ranks, {}), DType::Int64);
        result = lerp(result, gather(sorted, -1, above), weight, {});
    }
    // (…, q), where the dim that was last stands in place of `dim`: q goes first.
    if (dim && x.dim() > 0) {
        result = transpose(unsqueeze(movedim(result, {-1}, {0}), -1), at + 1, -1);
        if (!keepdim) result = squeeze_dims(result, {at + 1});
    } else {
        Dims sizes{levels.numel()};
        for (int d = 0; keepdim && d < x.dim(); d++) sizes.push_back(1);
        result = reshape(result, sizes);
    }
    if (q.dim() == 0) result = squeeze_dims(result, {0});
    return into(name, out, contiguous(result), needs_grad(x));
}

}  // namespace

Tensor quantile(const Tensor& x, const Tensor& q, std::optional<int64_t> dim, bool keepdim,
                std::string_view interpolation, const Dest& out) {
    return quantiles("quantile", x, q, dim, keepdim, interpolation, false, out);
}
Tensor nanquantile(const Tensor& x, const Tensor& q, std::optional<int64_t> dim, bool keepdim,
                   std::string_view interpolation, const Dest& out) {
    return quantiles("nanquantile", x, q, dim, keepdim, interpolation, true, out);
}

}  // namespace ember::ops
