#include "ops/copy.h"
#include "ops/factory.h"
#include "ops/index.h"
#include "ops/plan.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "ops/view.h"
#include "python/tables.h"

namespace ember::python {

namespace {

// hsplit, vsplit and dsplit: tensor_split along a dim that the name gives.
template <int least>
int split_dim(const char* name, const Tensor& x) {
    EMBER_CHECK(x.dim() >= least, "%s: expected a tensor with at least %d dims, got %d", name,
                least, x.dim());
    return least == 1 ? (x.dim() == 1 ? 0 : 1) : least == 2 ? 0 : 2;
}
template <int least>
std::vector<Tensor> equal_parts(const char* name, const Tensor& x, int64_t sections) {
    int dim = split_dim<least>(name, x);
    EMBER_CHECK(sections > 0 && x.impl()->sizes[dim] % sections == 0,
                "%s: the size %ld along dimension %d is not divisible by split_size %ld", name,
                long(x.impl()->sizes[dim]), dim, long(sections));
    return ops::tensor_split(x, sections, dim);
}
template <int least>
std::vector<Tensor> parts_at(const char* name, const Tensor& x, const Dims& indices) {
    return ops::tensor_split_at(x, indices, split_dim<least>(name, x));
}
std::vector<Tensor> hsplit(const Tensor& x, int64_t n) { return equal_parts<1>("hsplit", x, n); }
std::vector<Tensor> vsplit(const Tensor& x, int64_t n) { return equal_parts<2>("vsplit", x, n); }
std::vector<Tensor> dsplit(const Tensor& x, int64_t n) { return equal_parts<3>("dsplit", x, n); }
std::vector<Tensor> hsplit_at(const Tensor& x, const Dims& i) {
    return parts_at<1>("hsplit", x, i);
}
std::vector<Tensor> vsplit_at(const Tensor& x, const Dims& i) {
    return parts_at<2>("vsplit", x, i);
}
std::vector<Tensor> dsplit_at(const Tensor& x, const Dims& i) {
    return parts_at<3>("dsplit", x, i);
}
// Sections, or the vector of indices, as a tensor.
std::vector<Tensor> tensor_split_by(const Tensor& x, const Tensor& by, int64_t dim) {
    EMBER_CHECK(by.dtype() == DType::Int64 && by.dim() <= 1,
                "tensor_split: tensor_indices_or_sections must be a number or a vector of int64, "
                "got %s of %d dims",
                dtype_name(by.dtype()), by.dim());
    Tensor items = ops::to_device(ops::contiguous(by), {});
    if (by.dim() == 0) return ops::tensor_split(x, items.as<int64_t>()[0], dim);
    return ops::tensor_split_at(x, Dims(IntSpan(items.as<int64_t>(), size_t(items.numel()))), dim);
}

// `split` binds ops::split_sizes itself.
std::vector<Tensor> split_with_sizes(const Tensor& x, const Dims& sizes, int64_t dim) {
    return ops::split_sizes(x, sizes, dim);
}

Tensor repeat_by_number(const Tensor& x, int64_t repeats, std::optional<int64_t> dim,
                        std::optional<int64_t> output_size) {
    return ops::repeat_interleave(
        x, ops::full({}, ops::number(repeats), {DType::Int64, x.device()}), dim, output_size);
}
Tensor repeat_indices(const Tensor& repeats, std::optional<int64_t> output_size) {
    return ops::repeat_indices(repeats, output_size);
}
Tensor ravel(const Tensor& x) { return ops::reshape(ops::contiguous(x), {-1}); }
Tensor resize_as_(const Tensor& x, const Tensor& the_template,
                  std::optional<MemoryFormat> memory_format) {
    return ops::resize_(x, Dims(the_template.sizes()), memory_format);
}
Tensor narrow_copy(const Tensor& x, int64_t dim, int64_t start, int64_t length) {
    return ops::clone(ops::narrow(x, dim, start, length), MemoryFormat::Contiguous);
}
Tensor put(const Tensor& x, const Tensor& index, const Tensor& source, bool accumulate) {
    return ops::put(x, index, source, accumulate, {});
}
Tensor put_(const Tensor& x, const Tensor& index, const Tensor& source, bool accumulate) {
    return ops::put(x, index, source, accumulate, Dest::in_place(x));
}
template <int dims>
Tensor atleast(const Tensor& x) {
    return ops::atleast(x, dims);
}
std::tuple<Tensor, Tensor> std_mean(const Tensor& x, const std::optional<Dims>& dim,
                                    std::optional<Number> correction, bool keepdim,
                                    std::optional<bool> unbiased) {
    return {ops::std_deviation(x, dim, correction, keepdim, unbiased, {}),
            ops::mean(x, dim, keepdim, std::nullopt, {})};
}
std::tuple<Tensor, Tensor> std_mean_all(const Tensor& x, bool unbiased) {
    return std_mean(x, std::nullopt, std::nullopt, false, unbiased);
}
std::tuple<Tensor, Tensor> std_mean_unbiased(const Tensor& x, const Dims& dim, bool unbiased,
                                             bool keepdim) {
    return std_mean(x, dim, std::nullopt, keepdim, unbiased);
}

void bind_rearranged(BindTable& t) {
    constexpr int both = kFunction | kMethod;
    bind<&ops::flip>(t, both, "flip(input, *dims)", "A copy with the order of dims reversed.");
    bind<&ops::fliplr>(t, both, "fliplr(input)", "flip of dim 1.");
    bind<&ops::flipud>(t, both, "flipud(input)", "flip of dim 0.");
    bind<&ops::roll>(t, both, "roll(input, shifts, dims=())",
                     "A copy shifted along dims, around their ends; without dims the flattened "
                     "tensor is.");
    bind<&ops::rot90>(t, both, "rot90(input, k=1, dims=(0, 1))",
                      "Turned k times by 90 degrees from the first of two dims to the second.");
    bind<&ops::tile>(t, both, "tile(input, *dims)",
                     "Copies side by side, as repeat; dims that are missing count as 1.");
    bind<&repeat_indices, &ops::repeat_interleave, &repeat_by_number>(
        t, both,
        {"repeat_interleave(repeats, *, output_size=None)",
         "repeat_interleave(input, repeats, dim=None, *, output_size=None)",
         "repeat_interleave(input, repeats, dim=None, *, output_size=None)"},
        "Each item along dim (of the flattened tensor without one) repeated in place, all alike or "
        "each by its own number.");
    bind<&ops::take_along_dim>(t, both, "take_along_dim(input, indices, dim=None, *, out=None)",
                               "gather, with input and indices broadcast against each other.");
    bind<&ops::hstack>(t, kFunction, "hstack(tensors, *, out=None)",
                       "Joined along dim 1, or 0 for vectors.");
    bind<&ops::vstack>(t, kFunction, "vstack(tensors, *, out=None)",
                       "Joined along dim 0; vectors count as rows.");
    t.alias("row_stack", "vstack");
    bind<&ops::dstack>(t, kFunction, "dstack(tensors, *, out=None)", "Joined along dim 2.");
    bind<&ops::column_stack>(t, kFunction, "column_stack(tensors, *, out=None)",
                             "Joined along dim 1; vectors count as columns.");
    bind<&ravel>(t, both, "ravel(input)", "One dim; a view where the tensor is contiguous.");
    bind<&narrow_copy>(t, both, "narrow_copy(input, dim, start, length)", "narrow as a copy.");
    bind<&atleast<1>>(t, kFunction, "_atleast_1d(input)", "With at least one dim.");
    bind<&atleast<2>>(t, kFunction, "_atleast_2d(input)", "With at least two dims.");
    bind<&atleast<3>>(t, kFunction, "_atleast_3d(input)", "With at least three dims.");
}

void bind_pieces(BindTable& t) {
    constexpr int both = kFunction | kMethod;
    bind<&ops::tensor_split, &ops::tensor_split_at, &tensor_split_by>(
        t, both,
        {"tensor_split(input, sections, dim=0)", "tensor_split(input, indices, dim=0)",
         "tensor_split(input, tensor_indices_or_sections, dim=0)"},
        "Views of pieces along dim: so many of nearly one size, or cut at indices.");
    bind<&hsplit, &hsplit_at>(t, both, {"hsplit(input, sections)", "hsplit(input, indices)"},
                              "tensor_split along dim 1 (0 of a vector), into equal pieces.");
    bind<&vsplit, &vsplit_at>(t, both, {"vsplit(input, sections)", "vsplit(input, indices)"},
                              "tensor_split along dim 0, into equal pieces.");
    bind<&dsplit, &dsplit_at>(t, both, {"dsplit(input, sections)", "dsplit(input, indices)"},
                              "tensor_split along dim 2, into equal pieces.");
    bind<&split_with_sizes>(t, both, "split_with_sizes(input, split_sizes, dim=0)",
                            "Views of consecutive pieces of these sizes.");
    bind<&ops::unfold>(t, kMethod, "unfold(input, dimension, size, step)",
                       "A view of all windows of `size` items, `step` apart, along a dim; the "
                       "window is the last dim.");
    bind<&ops::diag>(t, both, "diag(input, diagonal=0, *, out=None)",
                     "The matrix with a vector on its diagonal, or the diagonal of a matrix.");
    bind<&ops::diagflat>(t, both, "diagflat(input, offset=0)",
                         "The matrix with the flattened input on its diagonal.");
    bind<&ops::diag_embed>(t, both, "diag_embed(input, offset=0, dim1=-2, dim2=-1)",
                           "Matrices in dim1 and dim2 with the last dim on their diagonals.");
    bind<&ops::fill_diagonal_>(t, kMethod, "fill_diagonal_(input, fill_value, wrap=False)",
                               "Sets the main diagonal; wrap goes on below in tall matrices.");
    bind<&ops::tril_>(t, kMethod, "tril_(input, diagonal=0)", "tril in place.");
    bind<&ops::triu_>(t, kMethod, "triu_(input, diagonal=0)", "triu in place.");
    bind<&ops::tril_indices>(
        t, kFunction, "tril_indices(row, col, offset=0, *, dtype=None, device=None)",
        "Rows and columns (2, count) of the lower triangle of a matrix, row by row.");
    bind<&ops::triu_indices>(
        t, kFunction, "triu_indices(row, col, offset=0, *, dtype=None, device=None)",
        "Rows and columns (2, count) of the upper triangle of a matrix, row by row.");
    bind<&std_mean_all, &std_mean, &std_mean_unbiased>(
        t, kFunction,
        {"std_mean(input, unbiased)",
         "std_mean(input, dim=None, *, correction=None, keepdim=False, unbiased=None)",
         "std_mean(input, dim, unbiased=True, keepdim=False)"},
        "The standard deviation and the mean.");
    bind<&ops::dist>(t, both, "dist(input, other, p=2)", "The p-norm of input - other.");
    bind<&ops::cdist>(
        t, kFunction, "cdist(x1, x2, p=2.0, compute_mode=None)",
        "The p-norms of differences between the rows of x1 (…, p, m) and x2 (…, r, m): (…, p, r).");
}

void bind_replaced(BindTable& t) {
    constexpr int both = kFunction | kMethod, all = both | kInPlace;
    bind<&ops::select_scatter>(t, both, "select_scatter(input, src, dim, index)",
                               "A copy with src in place of select(dim, index).");
    bind<&ops::slice_scatter>(t, both,
                              "slice_scatter(input, src, dim=0, start=None, end=None, step=1)",
                              "A copy with src in place of a slice along dim.");
    bind<&ops::diagonal_scatter>(t, both, "diagonal_scatter(input, src, offset=0, dim1=0, dim2=1)",
                                 "A copy with src in place of a diagonal.");
    bind<&ops::as_strided_scatter>(
        t, both, "as_strided_scatter(input, src, size, stride, storage_offset=None)",
        "A copy with src in place of as_strided(size, stride, storage_offset).");
    bind<&put>(t, both, "put(input, index, source, accumulate=False)",
               "A copy with source at places of the flattened tensor; negative indices wrap.");
    bind<&put_>(t, kMethod, "put_(input, index, source, accumulate=False)", "put in place.");
    bind_dest<&ops::scatter_reduce>(
        t, all, "scatter_reduce(input, dim, index, src, reduce, *, include_self=True, out=None)",
        "input with src[i][j] combined into out[index[i][j]][j] for dim 0, and so on. reduce: sum, "
        "prod, mean, amax, amin. Without include_self the places written start anew.");
    bind_dest<&ops::index_reduce>(
        t, all, "index_reduce(input, dim, index, source, reduce, *, include_self=True, out=None)",
        "input with source combined into the slices of dim that index names. reduce: prod, mean, "
        "amax, amin.");
    bind<&ops::squeeze_, &ops::squeeze_dims_>(
        t, kMethod, {"squeeze_(input)", "squeeze_(input, dim)"}, "squeeze of this tensor itself.");
    bind<&ops::unsqueeze_>(t, kMethod, "unsqueeze_(input, dim)",
                           "unsqueeze of this tensor itself.");
    bind<&ops::t_>(t, kMethod, "t_(input)", "t of this tensor itself.");
    bind<&ops::transpose_>(t, kMethod, "transpose_(input, dim0, dim1)",
                           "transpose of this tensor itself.");
    t.alias("swapaxes_", "transpose_");
    t.alias("swapdims_", "transpose_");
    bind<&ops::as_strided_>(t, kFunction | kMethod,
                            "as_strided_(input, size, stride, storage_offset=None)",
                            "as_strided of this tensor itself.");
    bind<&ops::resize_>(t, kMethod, "resize_(input, *size, memory_format=None)",
                        "Gives this tensor another size; items keep their order in memory, and new "
                        "ones are uninitialised.");
    bind<&resize_as_>(t, kFunction | kMethod,
                      "resize_as_(input, the_template, *, memory_format=None)",
                      "resize_ to the size of another tensor.");
}

}  // namespace

void bind_shape(BindTable& t) {
    bind_rearranged(t);
    bind_pieces(t);
    bind_replaced(t);
}

}  // namespace ember::python
