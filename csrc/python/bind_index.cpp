#include "ops/index.h"
#include "ops/pointwise.h"
#include "python/tables.h"

namespace ember::python {

namespace {

Tensor nonzero(const Tensor& x, const Dest& out) { return ops::nonzero(x, out); }

PyObject* nonzero_any(const Tensor& x, const Dest& out, bool as_tuple) {
    Signature none;
    if (!as_tuple) return wrap(ops::nonzero(x, out));
    EMBER_CHECK(out.fresh(), "nonzero: out and as_tuple=True exclude each other");
    return to_python(ops::nonzero_tuple(x), none);
}

// `Dest` is last in the C++ functions, so that the in-place forms can be made of them.
Tensor scatter(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src,
               std::optional<std::string_view> reduce, const Dest& dest) {
    return ops::scatter(x, dim, index, src, reduce, dest);
}
Tensor scatter_value(const Tensor& x, int64_t dim, const Tensor& index, Number value,
                     std::optional<std::string_view> reduce, const Dest& dest) {
    return ops::scatter(x, dim, index, ops::wrapped_number(value), reduce, dest);
}

Tensor index_put(const Tensor& x, const std::vector<Tensor>& indices, const Tensor& values,
                 bool accumulate) {
    return ops::index_put(x, indices, values, accumulate);
}
Tensor index_put_(const Tensor& x, const std::vector<Tensor>& indices, const Tensor& values,
                  bool accumulate) {
    return ops::index_put(x, indices, values, accumulate, Dest::in_place(x));
}
Tensor scatter_(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src,
                std::optional<std::string_view> reduce) {
    return ops::scatter(x, dim, index, src, reduce, Dest::in_place(x));
}
Tensor scatter_value_(const Tensor& x, int64_t dim, const Tensor& index, Number value,
                      std::optional<std::string_view> reduce) {
    return ops::scatter(x, dim, index, ops::wrapped_number(value), reduce, Dest::in_place(x));
}

}  // namespace

void bind_index(BindTable& t) {
    constexpr int all = kFunction | kMethod | kInPlace, both = kFunction | kMethod;

    bind<&ops::index_select>(
        t, both, "index_select(input, dim, index, *, out=None)",
        "The slices of `dim` that index (a vector of int64 or int32) names. IndexError outside.");
    bind_dest<&ops::index_add>(
        t, all, "index_add(input, dim, index, source, *, alpha=1, out=None)",
        "input with alpha * source added to the slices of `dim` that index names; slices named "
        "twice get both. Sums add in the order of the indices.");
    bind<&ops::sum_rows>(t, kFunction, "_sum_rows(input, source, index, count, factors=None)",
                         "(count, d): row index[i] has factors[i] * input[source[i]], for all i, "
                         "added to it in order.");
    bind_dest<&ops::index_copy>(
        t, all, "index_copy(input, dim, index, source, *, out=None)",
        "input with source in place of the slices of `dim` that index names.");
    bind_dest<&ops::index_fill>(
        t, all, "index_fill(input, dim, index, value: Tensor | Number, *, out=None)",
        "input with value in the slices of `dim` that index names; negative indices wrap.");
    bind<&ops::gather>(t, both, "gather(input, dim, index, *, sparse_grad=False, out=None)",
                       "out[i][j] = input[index[i][j]][j] for dim 0, and so on: index has as many "
                       "dims as input and "
                       "is no larger apart from dim. RuntimeError for an index outside.");
    bind<&scatter, &scatter_value>(
        t, both,
        {"scatter(input, dim, index, src, *, reduce=None, out=None)",
         "scatter(input, dim, index, value, *, reduce=None, out=None)"},
        "input with out[index[i][j]][j] = src[i][j] for dim 0, and so on; src may be a number. Of "
        "equal places the last wins; reduce='add' adds.");
    bind<&scatter_, &scatter_value_>(t, kMethod,
                                     {"scatter_(input, dim, index, src, *, reduce=None)",
                                      "scatter_(input, dim, index, value, *, reduce=None)"},
                                     "scatter in this tensor's own memory.");
    bind_dest<&ops::scatter_add>(
        t, all, "scatter_add(input, dim, index, src, *, out=None)",
        "input with src[i][j] added to out[index[i][j]][j] for dim 0, and so on.");
    bind<&ops::masked_select>(t, both, "masked_select(input, mask, *, out=None)",
                              "The items where mask (bool, broadcast) is True, as a vector.");
    bind_dest<&ops::masked_scatter>(
        t, all, "masked_scatter(input, mask, source, *, out=None)",
        "input with the first items of source where mask (bool, broadcast) is True, in order.");
    bind<&nonzero_any>(
        t, both, "nonzero(input, *, out=None, as_tuple=False)",
        "The indices of the items that are not zero: int64, (count, dims), or one vector a dim.");
    bind<&nonzero>(t, both, "argwhere(input, *, out=None)", "nonzero(input).");
    bind<&ops::take>(
        t, both, "take(input, index, *, out=None)",
        "The items of the flattened input at index, in its shape; negative indices wrap.");
    bind<&index_put>(
        t, both, "index_put(input, indices, values, accumulate=False)",
        "input with values, broadcast, at input[indices]: the last of equal places wins, or with "
        "accumulate they add up.");
    bind<&index_put_>(t, kFunction | kMethod,
                      "index_put_(input, indices, values, accumulate=False)",
                      "index_put in this tensor's own memory.");
    bind<&ops::embedding>(
        t, kFunction,
        "embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0, "
        "scale_grad_by_freq=False, sparse=False)",
        "Rows of weight (n, d) for the indices in input, of any shape (*): (*, d). Rows of "
        "padding_idx get no gradient; scale_grad_by_freq divides gradients by the row's count. "
        "IndexError outside.");
}

}  // namespace ember::python
