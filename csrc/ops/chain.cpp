#include "ops/chain.h"

#include "core/error.h"
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

}  // namespace ember::ops
