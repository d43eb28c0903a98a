#include <cmath>

#include "kernels/sort.h"
#include "ops/copy.h"
#include "ops/cumulative.h"
#include "ops/formula.h"
#include "ops/index.h"
#include "ops/sort.h"
#include "ops/special.h"
#include "ops/view.h"

namespace ember::kernels {

EMBER_SLOT(sort_rows)
EMBER_SLOT(searchsorted)

}  // namespace ember::kernels

namespace ember::ops {

namespace {

const Number kOne = number(int64_t(1));

struct Wanted {
    bool inverse, counts;
};

// What is unique of slices along dim 0 whose equals are neighbours. `order`: where each slice was;
// undefined where nothing moved.
Unique runs(const Tensor& slices, const Tensor& order, Wanted wanted) {
    int64_t n = slices.size(0), one = n > 0 ? 1 : 0;
    Unique result;
    Tensor starts = full({{n}}, kOne, {DType::Bool, slices.device()});
    Tensor rest = narrow(starts, 0, one, n - one);
    Tensor later = narrow(slices, 0, one, n - one), before = narrow(slices, 0, 0, n - one);
    if (slices.dim() > 1)
        any(ne(later, before), Dims{1}, false, Dest::out(rest));
    else
        ne(later, before, Dest::out(rest));
    if (!wanted.counts && slices.dim() == 1) {
        result.values = masked_select(slices, starts);
    } else {
        Tensor places = reshape(nonzero(starts), {-1});
        result.values = index_select(slices, 0, places);
        if (wanted.counts)
            result.counts = diff(places, 1, 0, {}, full({{1}}, number(n), places.options()), {});
    }
    if (!wanted.inverse) return result;
    Tensor number_of = sub(cumsum(starts, 0, std::nullopt, {}), wrapped_number(kOne));
    result.inverse = order.defined() ? scatter(empty(order.sizes(), order.options()), 0, order,
                                               number_of, std::nullopt)
                                     : number_of;
    return result;
}

// Slices along `dim` as rows, and the way back.
Tensor as_slices(const char* name, const Tensor& x, int dim) {
    EMBER_CHECK(x.numel() > 0 || x.size(dim) == 0,
                "%s: there are 0 sized dimensions in %s, and they are not selected", name,
                to_string(x.sizes()).c_str());
    Tensor moved = contiguous(movedim(x, {dim}, {0}));
    int64_t n = moved.size(0);
    return reshape(moved, {n, n > 0 ? moved.numel() / n : 0});
}

void restore_slices(Unique& result, const Tensor& x, int dim) {
    Dims sizes{result.values.size(0)};
    for (int d = 0; d < x.dim(); d++)
        if (d != dim) sizes.push_back(x.impl()->sizes[d]);
    result.values = movedim(reshape(result.values, sizes), {0}, {dim});
}

}  // namespace

Unique unique(const Tensor& x, std::optional<int64_t> dim, bool want_inverse, bool want_counts) {
    Wanted wanted{want_inverse, want_counts};
    GradModeGuard no_grad(false);
    if (!dim) {
        auto [sorted, order] = sort(reshape(x, {-1}), 0, false, true);
        Unique result = runs(sorted, order, wanted);
        if (want_inverse) result.inverse = reshape(result.inverse, Dims(x.sizes()));
        return result;
    }
    int at = wrap_dim("unique", *dim, x.dim());
    kernels::sort_rows.require(x.device(), x.dtype());
    if (x.dim() == 0) {
        Unique result = runs(reshape(x, {1}), {}, wanted);
        result.values = reshape(result.values, {1});
        return result;
    }
    Tensor slices = as_slices("unique", x, at);
    Tensor order = empty({{slices.size(0)}}, {DType::Int64, x.device()});
    if (slices.numel() > 0) {
        kernels::Sort args;
        args.in = slices.data();
        args.indices = order.as<int64_t>();
        args.rows = slices.size(0);
        args.n = slices.size(1);
        args.dtype = x.dtype();
        launch(kernels::sort_rows, x.device(), 20 * slices.numel(), args);
    }
    Unique result = runs(index_select(slices, 0, order), order, wanted);
    restore_slices(result, x, at);
    return result;
}

Unique unique_consecutive(const Tensor& x, std::optional<int64_t> dim, bool want_inverse,
                          bool want_counts) {
    Wanted wanted{want_inverse, want_counts};
    GradModeGuard no_grad(false);
    if (dim && x.dim() > 0) {
        int at = wrap_dim("unique_consecutive", *dim, x.dim());
        Unique result = runs(as_slices("unique_consecutive", x, at), {}, wanted);
        restore_slices(result, x, at);
        return result;
    }
    if (dim) wrap_dim("unique_consecutive", *dim, x.dim());
    Unique result = runs(reshape(x, {-1}), {}, wanted);
    if (want_inverse) result.inverse = reshape(result.inverse, Dims(x.sizes()));
    return result;
}

namespace {

Tensor search(const char* name, const Tensor& sorted, const Tensor& given, bool out_int32,
              bool right, const Dest& out, const Tensor& sorter) {
    GradModeGuard no_grad(false);
    Tensor both[] = {sorted, given};
    DType common = result_type(both);
    Tensor sequence = to_dtype(sorted, common), values = to_dtype(given, common);
    if (given.impl()->wrapped_number) values = to_device(values, sorted.device());
    check_same_device(name, sequence, values);
    check_same_device(name, sequence, sorter);
    EMBER_CHECK(sequence.dim() > 0, "%s: the sorted sequence must have at least one dim", name);
    bool one_row = sequence.dim() == 1;
    if (!one_row) {
        bool fits = values.dim() == sequence.dim();
        for (int d = 0; fits && d < values.dim() - 1; d++)
            fits = values.impl()->sizes[d] == sequence.impl()->sizes[d];
        EMBER_CHECK(fits,
                    "%s: a sorted sequence of several dims must agree with the values in all but "
                    "the last: got %s and %s",
                    name, to_string(sequence.sizes()).c_str(), to_string(values.sizes()).c_str());
    }
    DType dtype = out_int32 ? DType::Int32 : DType::Int64;
    EMBER_CHECK(!out_int32 || sequence.size(-1) < INT32_MAX,
                "%s: the sorted sequence is too long for int32, got %ld", name,
                long(sequence.size(-1)));
    EMBER_CHECK(out.fresh() || out.tensor().dtype() == dtype, "%s: out must be %s, got %s", name,
                dtype_name(dtype), dtype_name(out.fresh() ? dtype : out.tensor().dtype()));
    kernels::searchsorted.require(sequence.device(), sequence.dtype());
    Tensor rows = contiguous(sequence), wanted = contiguous(values), order;
    if (sorter.defined()) {
        EMBER_CHECK(sorter.dtype() == DType::Int64 && same(sorter.sizes(), sequence.sizes()),
                    "%s: sorter must be int64 with the shape of the sorted sequence, %s", name,
                    to_string(sequence.sizes()).c_str());
        order = contiguous(sorter);
        if (order.numel() > 0) {
            int64_t least = read_item<int64_t>(min_all(order));
            int64_t most = read_item<int64_t>(max_all(order));
            EMBER_CHECK(least >= 0 && most < rows.size(-1),
                        "%s: sorter index out of range, got %ld", name,
                        long(least < 0 ? least : most));
        }
    }
    Tensor result = empty(values.sizes(), {dtype, values.device()});
    if (result.numel() > 0) {
        kernels::Search args;
        args.sorted = rows.data();
        args.values = wanted.data();
        args.sorter = order.defined() ? order.as<int64_t>() : nullptr;
        args.out = result.data();
        args.n = rows.size(-1);
        args.count = one_row ? wanted.numel() : wanted.size(-1);
        args.rows = wanted.numel() / args.count;
        args.dtype = rows.dtype();
        args.out_dtype = dtype;
        args.one_row = one_row;
        args.right = right;
        launch(kernels::searchsorted, rows.device(), 20 * wanted.numel(), args);
    }
    return into(name, out, result, false);
}

}  // namespace

Tensor searchsorted(const Tensor& sorted_sequence, const Tensor& values, bool out_int32, bool right,
                    std::optional<std::string_view> side, const Dest& out, const Tensor& sorter) {
    if (side) {
        EMBER_CHECK(*side == "left" || *side == "right",
                    "searchsorted: side must be 'left' or 'right', got %.*s", int(side->size()),
                    side->data());
        EMBER_CHECK(!right || *side == "right",
                    "searchsorted: side and right must not be opposites, got side of left while "
                    "right was True");
        right = *side == "right";
    }
    return search("searchsorted", sorted_sequence, values, out_int32, right, out, sorter);
}

Tensor bucketize(const Tensor& x, const Tensor& boundaries, bool out_int32, bool right,
                 const Dest& out) {
    EMBER_CHECK(boundaries.dim() == 1, "bucketize: boundaries must be a vector, got shape %s",
                to_string(boundaries.sizes()).c_str());
    return search("bucketize", boundaries, x, out_int32, right, out, {});
}

Tensor isin(const Tensor& elements, const Tensor& test_elements, bool, bool invert,
            const Dest& out) {
    GradModeGuard no_grad(false);
    Tensor both[] = {elements, test_elements};
    DType dtype = result_type(both);
    Tensor x = to_dtype(elements, dtype), items = reshape(to_dtype(test_elements, dtype), {-1});
    if (elements.impl()->wrapped_number) x = to_device(x, items.device());
    if (test_elements.impl()->wrapped_number) items = to_device(items, x.device());
    Tensor found;
    if (items.numel() == 0) {
        found = zeros(x.sizes(), {DType::Bool, x.device()});
    } else {
        Tensor sorted = std::get<0>(sort(items, 0, false, true));
        Tensor place = search("isin", sorted, x, false, false, {}, {});
        place = clamp(place, std::nullopt, number(items.numel() - 1), {});
        found = eq(take(sorted, place), x);
    }
    return into("isin", out, invert ? logical_not(found, {}) : found, false);
}

Tensor bincount(const Tensor& x, const Tensor& weights, int64_t minlength) {
    GradModeGuard no_grad(false);
    EMBER_CHECK(is_integral(x.dtype()) && x.dtype() != DType::Bool,
                "bincount: expected a vector of integers, got %s", dtype_name(x.dtype()));
    EMBER_CHECK(x.dim() == 1, "bincount: expected a vector, got shape %s",
                to_string(x.sizes()).c_str());
    EMBER_CHECK(minlength >= 0, "bincount: minlength must not be negative, got %ld",
                long(minlength));
    EMBER_CHECK(!weights.defined() || (weights.dim() == 1 && weights.numel() == x.numel()),
                "bincount: weights must have the shape of the input, %s, got %s",
                to_string(x.sizes()).c_str(),
                weights.defined() ? to_string(weights.sizes()).c_str() : "()");
    Tensor items = to_dtype(x, DType::Int64);
    int64_t size = minlength;
    if (x.numel() > 0) {
        int64_t least = read_item<int64_t>(min_all(items));
        EMBER_CHECK(least >= 0, "bincount: items must not be negative, got %ld", long(least));
        int64_t last = read_item<int64_t>(max_all(items));
        EMBER_CHECK(last < INT64_MAX, "bincount: item %ld is too large", long(last));
        size = std::max(size, last + 1);
    }
    DType dtype = !weights.defined()                  ? DType::Int64
                  : weights.dtype() == DType::Float32 ? DType::Float32
                                                      : DType::Float64;
    checked_numel("bincount", {{size}}, dtype);
    Tensor out = zeros({{size}}, {dtype, x.device()});
    Tensor amounts = weights.defined() ? to_dtype(weights, dtype)
                                       : expand(full({}, kOne, {dtype, x.device()}), {x.numel()});
    return scatter_add(out, 0, items, amounts, Dest::in_place(out));
}

Tensor histc(const Tensor& x, int64_t bins, Number min, Number max, const Dest& out) {
    GradModeGuard no_grad(false);
    if (!is_floating(x.dtype()))
        raise(ErrorKind::NotImplemented, "histc: expected a floating point tensor, got %s",
              dtype_name(x.dtype()));
    EMBER_CHECK(bins > 0, "histc: bins must be positive, got %ld", long(bins));
    double low = min.as<double>(), high = max.as<double>();
    if (low == high && x.numel() > 0) {
        low = read_item<double>(to_dtype(min_all(x), DType::Float64));
        high = read_item<double>(to_dtype(max_all(x), DType::Float64));
    }
    if (low == high) low -= 1, high += 1;
    EMBER_CHECK(low < high && high - low < double(INFINITY),
                "histc: range of [%g, %g] is not finite, or max is less than min", low, high);
    Tensor flat = reshape(x, {-1});
    Tensor edges = linspace(low, high, bins + 1, x.dtype(), x.device(), false);
    // Two counts more, for what lies below and above; the last bin includes its end.
    Tensor end = narrow(edges, 0, bins, 1);
    copy_(end, nextafter(end, full({}, number(double(INFINITY)), x.options()), {}));
    Tensor bin = search("histc", edges, flat, false, true, {}, {});
    Tensor counts = zeros({{bins + 2}}, bin.options());
    Tensor ones = expand(full({}, kOne, bin.options()), {flat.numel()});
    counts = scatter_add(counts, 0, bin, ones, Dest::in_place(counts));
    counts = to_dtype(narrow(counts, 0, 1, bins), x.dtype());
    return into("histc", out, counts, false);
}

}  // namespace ember::ops
