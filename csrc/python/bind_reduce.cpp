#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "python/tables.h"

namespace ember::python {

namespace {

// std and var as they were before `correction`: a positional `unbiased`.
Tensor var_unbiased(const Tensor& x, const Dims& dim, bool unbiased, bool keepdim) {
    return ops::var(x, dim, std::nullopt, keepdim, unbiased, {});
}
Tensor std_unbiased(const Tensor& x, const Dims& dim, bool unbiased, bool keepdim) {
    return ops::std_deviation(x, dim, std::nullopt, keepdim, unbiased, {});
}
std::tuple<Tensor, Tensor> var_mean_unbiased(const Tensor& x, const Dims& dim, bool unbiased,
                                             bool keepdim) {
    return ops::var_mean(x, dim, std::nullopt, keepdim, unbiased);
}
std::tuple<Tensor, Tensor> var_mean_all(const Tensor& x, bool unbiased) {
    return ops::var_mean(x, std::nullopt, std::nullopt, false, unbiased);
}
Tensor var_all(const Tensor& x, bool unbiased) {
    return ops::var(x, std::nullopt, std::nullopt, false, unbiased, {});
}
Tensor std_all(const Tensor& x, bool unbiased) {
    return ops::std_deviation(x, std::nullopt, std::nullopt, false, unbiased, {});
}
Tensor max_other(const Tensor& x, const Tensor& other, const Dest& out) {
    return ops::maximum(x, other, out);
}
Tensor min_other(const Tensor& x, const Tensor& other, const Dest& out) {
    return ops::minimum(x, other, out);
}

std::tuple<Tensor, Tensor> aminmax(const Tensor& x, std::optional<int64_t> dim, bool keepdim) {
    EMBER_CHECK(dim || x.numel() > 0,
                "aminmax: cannot compute aminmax over an empty dimension as the operation has no "
                "identity");
    Dims dims;
    if (dim) dims.push_back(wrap_dim("aminmax", *dim, x.dim()));
    return {ops::amin(x, dims, keepdim, {}), ops::amax(x, dims, keepdim, {})};
}

Tensor norm(const Tensor& x, PyObject* p, const std::optional<Dims>& dim, bool keepdim,
            const Dest& out, std::optional<DType> dtype) {
    double order = 2;
    if (PyUnicode_Check(p)) {
        if (PyUnicode_CompareWithASCIIString(p, "fro") != 0)
            raise("norm: p must be a number or 'fro', got '%s'", PyUnicode_AsUTF8(p));
    } else if (p != Py_None) {
        if (!is_number(p))
            raise_type("norm: p must be a number or 'fro', got %s", Py_TYPE(p)->tp_name);
        order = read_number(p).as<double>();
    }
    return ops::norm(x, order, dim, keepdim, dtype, out);
}
Tensor vector_norm(const Tensor& x, double order, const std::optional<Dims>& dim, bool keepdim,
                   std::optional<DType> dtype, const Dest& out) {
    return ops::norm(x, order, dim, keepdim, dtype, out);
}

}  // namespace

void bind_reduce(BindTable& t) {
    constexpr int both = kFunction | kMethod;
    bind<&aminmax>(t, kFunction | kMethod,
                   "aminmax(input, *, dim=None, keepdim=False, out=None) -> (min, max)",
                   "The smallest and the largest item, of all or along dim.");
    bind<&ops::nansum>(t, kFunction | kMethod,
                       "nansum(input, dim=None, keepdim=False, *, dtype=None, out=None)",
                       "The sum of what is not NaN.");
    bind<&ops::nanmean>(t, kFunction | kMethod,
                        "nanmean(input, dim=None, keepdim=False, *, dtype=None, out=None)",
                        "The mean of what is not NaN; NaN where there is nothing else.");
    bind<&ops::sum>(t, both, "sum(input, dim=None, keepdim=False, *, dtype=None, out=None)",
                    "The sum over `dim` (an int or several; all dims by default). Integers and "
                    "bool sum in int64. "
                    "Floats add pairwise, in an order that the number of threads does not change.");
    bind<&ops::mean>(t, both, "mean(input, dim=None, keepdim=False, *, dtype=None, out=None)",
                     "The arithmetic mean over `dim`. Floating point only, unless dtype says so.");
    bind<&ops::prod>(t, both, "prod(input, dim=None, keepdim=False, *, dtype=None, out=None)",
                     "The product over one dim, or over all elements.");
    bind<&var_all, &ops::var, &var_unbiased>(
        t, both,
        {"var(input, unbiased)",
         "var(input, dim=None, *, correction=None, keepdim=False, unbiased=None, out=None)",
         "var(input, dim, unbiased=True, keepdim=False)"},
        "The variance over `dim`, divided by max(0, n - correction); correction is 1 by default.");
    bind<&std_all, &ops::std_deviation, &std_unbiased>(
        t, both,
        {"std(input, unbiased)",
         "std(input, dim=None, *, correction=None, keepdim=False, unbiased=None, out=None)",
         "std(input, dim, unbiased=True, keepdim=False)"},
        "The square root of the variance.");
    bind<&var_mean_all, &ops::var_mean, &var_mean_unbiased>(
        t, kFunction,
        {"var_mean(input, unbiased)",
         "var_mean(input, dim=None, *, correction=None, keepdim=False, unbiased=None)",
         "var_mean(input, dim, unbiased=True, keepdim=False)"},
        "The variance and the mean.");
    bind<&ops::amax>(
        t, both, "amax(input, dim=(), keepdim=False, *, out=None)",
        "The largest over `dim`; equal ones share the gradient. NaN where there is one.");
    bind<&ops::amin>(
        t, both, "amin(input, dim=(), keepdim=False, *, out=None)",
        "The smallest over `dim`; equal ones share the gradient. NaN where there is one.");
    bind<&ops::argmax>(
        t, both, "argmax(input, dim=None, keepdim=False, *, out=None)",
        "The index (int64) of the largest along dim, or among all elements; the first of equals.");
    bind<&ops::argmin>(
        t, both, "argmin(input, dim=None, keepdim=False, *, out=None)",
        "The index (int64) of the smallest along dim, or among all elements; the first of equals.");
    bind<&ops::any>(t, both, "any(input, dim=None, keepdim=False, *, out=None)",
                    "Whether any element is non-zero: bool (uint8 for uint8).");
    bind<&ops::all>(t, both, "all(input, dim=None, keepdim=False, *, out=None)",
                    "Whether all elements are non-zero: bool (uint8 for uint8).");
    bind<&ops::logsumexp>(t, both, "logsumexp(input, dim, keepdim=False, *, out=None)",
                          "log(sum(exp(input))) over dim, without overflow.");
    bind<&norm>(t, both, "norm(input, p='fro', dim=None, keepdim=False, out=None, dtype=None)",
                "The p-norm of the elements over dim: (sum |x|^p)^(1/p); 'fro' is 2; 0 counts "
                "non-zeros; inf and "
                "-inf are the largest and smallest |x|. Floating point only.");
    bind<&vector_norm>(
        t, kFunction,
        "linalg_vector_norm(input, ord=2.0, dim=None, keepdim=False, *, dtype=None, out=None)",
        "The norm of order `ord` of the elements over dim.");
    bind<&ops::sum_to_size>(
        t, kMethod, "sum_to_size(input, *size)",
        "Summed over dims until the tensor has `size`, which broadcasts to its shape.");
    bind<&ops::count_nonzero>(t, both, "count_nonzero(input, dim=None)",
                              "How many elements are not zero: int64.");
    bind<&ops::max_all, &ops::max_dim, &max_other>(
        t, both,
        {"max(input, *, out=None)",
         "max(input, dim, keepdim=False, *, out=None) -> (values, indices)",
         "max(input, other, *, out=None)"},
        "The largest of all elements, or values and indices along dim; NaN where there is one.");
    bind<&ops::min_all, &ops::min_dim, &min_other>(
        t, both,
        {"min(input, *, out=None)",
         "min(input, dim, keepdim=False, *, out=None) -> (values, indices)",
         "min(input, other, *, out=None)"},
        "The smallest of all elements, or values and indices along dim; NaN where there is one.");
}

}  // namespace ember::python
