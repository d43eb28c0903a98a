#include "ops/products.h"

#include "core/error.h"
#include "ops/formula.h"
#include "ops/matmul.h"
#include "ops/view.h"

namespace ember::ops {

namespace {

// The product of matrices [first, last] by the places to split at.
Tensor chain(const std::vector<Tensor>& matrices, const std::vector<int>& split, int first,
             int last) {
    if (first == last) return matrices[size_t(first)];
    const int at = split[size_t(first) * matrices.size() + size_t(last)];
    return matmul(chain(matrices, split, first, at), chain(matrices, split, at + 1, last));
}

}  // namespace

Tensor multi_dot(const std::vector<Tensor>& tensors) {
    const char* name = "linalg.multi_dot";
    const int n = int(tensors.size());
    EMBER_CHECK(n >= 2, "%s: expected at least 2 tensors but got %d", name, n);
    std::vector<Tensor> matrices(tensors);
    const bool row = tensors[0].dim() == 1, column = tensors.back().dim() == 1;
    if (row) matrices[0] = unsqueeze(matrices[0], 0);
    if (column) matrices.back() = unsqueeze(matrices.back(), 1);
    for (int i = 0; i < n; i++)
        EMBER_CHECK(matrices[size_t(i)].dim() == 2,
                    "%s: tensors must be matrices, but the first and last", name);
    std::vector<double> sizes{double(matrices[0].size(0))};
    for (int i = 0; i < n; i++) {
        const Tensor& m = matrices[size_t(i)];
        EMBER_CHECK(double(m.size(0)) == sizes.back(),
                    "%s: tensors %d and %d with shapes %s and %s cannot be multiplied", name, i - 1,
                    i, to_string(matrices[size_t(i - 1)].sizes()).c_str(),
                    to_string(m.sizes()).c_str());
        sizes.push_back(double(m.size(1)));
    }
    // cost[i, j] of the cheapest order of the product i to j, which is split after split[i, j].
    std::vector<double> cost(size_t(n) * size_t(n));
    std::vector<int> split(cost.size());
    for (int length = 1; length < n; length++)
        for (int i = 0; i + length < n; i++) {
            const size_t j = size_t(i + length), at = size_t(i) * size_t(n) + j;
            for (size_t k = size_t(i); k < j; k++) {
                const double found = cost[size_t(i) * size_t(n) + k] +
                                     cost[(k + 1) * size_t(n) + j] +
                                     sizes[size_t(i)] * sizes[k + 1] * sizes[j + 1];
                if (k == size_t(i) || found < cost[at]) cost[at] = found, split[at] = int(k);
            }
        }
    Tensor result = chain(matrices, split, 0, n - 1);
    if (row) result = squeeze_dims(result, {0});
    return column ? squeeze_dims(result, {-1}) : result;
}

namespace {

// The dims of x that are summed over, wrapped; and those that are not.
std::pair<Dims, Dims> parted(const Tensor& x, const Dims& dims) {
    bool taken[kMaxDims] = {};
    Dims summed, kept;
    for (int64_t dim : dims) {
        const int d = wrap_dim("tensordot", dim, x.dim());
        if (x.dim() == 0) raise_index("tensordot: dim %ld is out of range for 0 dims", long(dim));
        EMBER_CHECK(!taken[d], "tensordot: dim %d appears multiple times in the list of dims", d);
        taken[d] = true;
        summed.push_back(d);
    }
    for (int d = 0; d < x.dim(); d++)
        if (!taken[d]) kept.push_back(d);
    return {summed, kept};
}

int64_t items_of(const Tensor& x, const Dims& dims, Dims* sizes = nullptr) {
    int64_t n = 1;
    for (int64_t d : dims) {
        n *= x.size(int(d));
        if (sizes) sizes->push_back(x.size(int(d)));
    }
    return n;
}

}  // namespace

Tensor tensordot(const Tensor& a, const Tensor& b, const Dims& dims_a, const Dims& dims_b) {
    EMBER_CHECK(dims_a.size() == dims_b.size(),
                "tensordot: both dimension lists should have same length, got %ld and %ld",
                long(dims_a.size()), long(dims_b.size()));
    auto [left, rows] = parted(a, dims_a);
    auto [right, columns] = parted(b, dims_b);
    Tensor x = a, y = b;
    for (int i = 0; i < left.size(); i++) {
        const int64_t n = a.size(int(left[i])), m = b.size(int(right[i]));
        EMBER_CHECK(n == m || n == 1 || m == 1,
                    "tensordot: contracted dimensions need to match, but first has size %ld in dim "
                    "%ld and second has size %ld in dim %ld",
                    long(n), long(left[i]), long(m), long(right[i]));
        if (n != m && n == 1) y = sum(y, Dims{right[i]}, true, y.dtype(), {});
        if (n != m && n != 1) x = sum(x, Dims{left[i]}, true, x.dtype(), {});
    }
    Dims sizes, order_x = rows, order_y = right;
    for (int64_t d : left) order_x.push_back(d);
    for (int64_t d : columns) order_y.push_back(d);
    const int64_t inner = items_of(x, left);
    const int64_t m = items_of(x, rows, &sizes), n = items_of(y, columns, &sizes);
    return reshape(
        matmul(reshape(permute(x, order_x), {m, inner}), reshape(permute(y, order_y), {inner, n})),
        sizes);
}

Tensor kron(const Tensor& a, const Tensor& b) {
    const int ndim = a.dim() > b.dim() ? a.dim() : b.dim();
    Dims of_a, of_b, sizes;
    for (int d = 0; d < ndim; d++) {
        const int at_a = d - (ndim - a.dim()), at_b = d - (ndim - b.dim());
        const int64_t n = at_a < 0 ? 1 : a.size(at_a), m = at_b < 0 ? 1 : b.size(at_b);
        of_a.push_back(n), of_a.push_back(1);
        of_b.push_back(1), of_b.push_back(m);
        sizes.push_back(n * m);
    }
    return reshape(mul(reshape(a, of_a), reshape(b, of_b)), sizes);
}

}  // namespace ember::ops
