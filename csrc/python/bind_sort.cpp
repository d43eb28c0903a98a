#include "ops/cumulative.h"
#include "ops/sort.h"
#include "python/tables.h"

namespace ember::python {

namespace {

// A tensor, or a tuple of what was asked for.
PyObject* unique_result(const ops::Unique& found) {
    if (!found.inverse.defined() && !found.counts.defined()) return wrap(found.values);
    Signature none;
    std::vector<Tensor> parts{found.values};
    for (const Tensor& part : {found.inverse, found.counts})
        if (part.defined()) parts.push_back(part);
    return to_python(parts, none);
}

PyObject* unique(const Tensor& x, bool, bool return_inverse, bool return_counts,
                 std::optional<int64_t> dim) {
    return unique_result(ops::unique(x, dim, return_inverse, return_counts));
}
PyObject* unique_consecutive(const Tensor& x, bool return_inverse, bool return_counts,
                             std::optional<int64_t> dim) {
    return unique_result(ops::unique_consecutive(x, dim, return_inverse, return_counts));
}

void bind_order(BindTable& t) {
    constexpr int both = kFunction | kMethod;
    bind<&ops::sort>(
        t, both,
        "sort(input, dim=-1, descending=False, *, stable=None, out=None) -> (values, indices)",
        "Sorted along dim, with the indices (int64) that sort. NaN counts as the largest. Equal "
        "items keep their order, whatever `stable` says.");
    bind<&ops::argsort>(t, both,
                        "argsort(input, dim=-1, descending=False, *, stable=False, out=None)",
                        "The indices that sort along dim.");
    bind<&ops::msort>(t, both, "msort(input, *, out=None)", "Sorted along the first dim.");
    bind<&ops::topk>(
        t, both,
        "topk(input, k, dim=-1, largest=True, sorted=True, *, out=None) -> (values, indices)",
        "The k largest (or smallest) items along dim, in order, with their indices; of equals the "
        "first.");
    bind<&ops::kthvalue>(
        t, both, "kthvalue(input, k, dim=-1, keepdim=False, *, out=None) -> (values, indices)",
        "The k-th smallest item along dim, counted from 1, and its index.");
    bind<&ops::median_all, &ops::median>(
        t, both,
        {"median(input)", "median(input, dim, keepdim=False, *, out=None) -> (values, indices)"},
        "The median of all items, or along dim with its index: the lower of two; NaN where there "
        "is one.");
    bind<&ops::nanmedian_all, &ops::nanmedian>(
        t, both,
        {"nanmedian(input)",
         "nanmedian(input, dim, keepdim=False, *, out=None) -> (values, indices)"},
        "The median of what is not NaN.");
    bind<&ops::mode>(
        t, both, "mode(input, dim=-1, keepdim=False, *, out=None) -> (values, indices)",
        "The most frequent item along dim, the smallest of several, and its last index.");
    bind<&ops::quantile>(
        t, both,
        "quantile(input, q: Tensor | Number, dim=None, keepdim=False, *, interpolation='linear', "
        "out=None)",
        "The q-quantiles along dim, or of all items; a vector q gives a first dim. float32 and "
        "float64. interpolation: linear, lower, higher, midpoint, nearest.");
    bind<&ops::nanquantile>(t, both,
                            "nanquantile(input, q: Tensor | Number, dim=None, keepdim=False, *, "
                            "interpolation='linear', out=None)",
                            "The q-quantiles of what is not NaN.");
    bind<&unique>(
        t, both, "unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None)",
        "The distinct items, or slices along dim, in ascending order; with the place of each item "
        "among them and how often each occurs where asked for. Each NaN is distinct.");
    bind<&unique_consecutive>(
        t, both, "unique_consecutive(input, return_inverse=False, return_counts=False, dim=None)",
        "The items, or slices along dim, that differ from the one before.");
    bind<&ops::searchsorted>(
        t, kFunction,
        "searchsorted(sorted_sequence, input: Tensor | Number, *, out_int32=False, right=False, "
        "side=None, out=None, sorter: Tensor | None = None)",
        "For each item the first index at which it could stand in the sorted last dim of "
        "sorted_sequence, or with right the last.");
    bind<&ops::bucketize>(
        t, kFunction,
        "bucketize(input: Tensor | Number, boundaries, *, out_int32=False, right=False, out=None)",
        "The number of the interval between sorted boundaries that each item falls in.");
    bind<&ops::isin>(
        t, kFunction,
        "isin(elements: Tensor | Number, test_elements: Tensor | Number, *, assume_unique=False, "
        "invert=False, out=None)",
        "Whether each element is among test_elements.");
    bind<&ops::bincount>(
        t, both, "bincount(input, weights=None, minlength=0)",
        "How often each number from 0 on occurs in a vector of integers, or the sum of its "
        "weights.");
    bind<&ops::histc>(t, both, "histc(input, bins=100, min=0, max=0, *, out=None)",
                      "Counts in equal intervals between min and max; those of the input where "
                      "both are equal. What is outside is not counted.");
}

void bind_running(BindTable& t) {
    constexpr int both = kFunction | kMethod, all = both | kInPlace;
    bind_dest<&ops::cumsum>(t, all, "cumsum(input, dim, *, dtype=None, out=None)",
                            "Running sums along dim; integers and bool sum in int64.");
    bind_dest<&ops::cumprod>(t, all, "cumprod(input, dim, *, dtype=None, out=None)",
                             "Running products along dim; integers and bool in int64.");
    bind<&ops::logcumsumexp>(t, both, "logcumsumexp(input, dim, *, out=None)",
                             "log(cumsum(exp(input))) along dim, without overflow.");
    bind<&ops::cummax>(t, both, "cummax(input, dim, *, out=None) -> (values, indices)",
                       "The running largest along dim and its index, the last of equals.");
    bind<&ops::cummin>(t, both, "cummin(input, dim, *, out=None) -> (values, indices)",
                       "The running smallest along dim and its index, the last of equals.");
    bind<&ops::diff>(
        t, both, "diff(input, n=1, dim=-1, prepend=None, append=None, *, out=None)",
        "The n-th difference of neighbours along dim, after joining prepend and append.");
    bind<&ops::trapezoid_dx, &ops::trapezoid_x>(
        t, kFunction, {"trapezoid(y, *, dx=1, dim=-1)", "trapezoid(y, x, *, dim=-1)"},
        "The integral along dim by the trapezoidal rule, of samples dx apart or at x.");
    t.alias("trapz", "trapezoid");
    bind<&ops::cumulative_trapezoid_dx, &ops::cumulative_trapezoid_x>(
        t, kFunction,
        {"cumulative_trapezoid(y, *, dx=1, dim=-1)", "cumulative_trapezoid(y, x, *, dim=-1)"},
        "The running integral along dim by the trapezoidal rule.");
}

}  // namespace

void bind_sort(BindTable& t) {
    bind_order(t);
    bind_running(t);
}

}  // namespace ember::python
