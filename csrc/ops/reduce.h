#pragma once

#include <optional>
#include <tuple>

#include "autograd/record.h"

// Reductions. An empty `dim` reduces over all dims; negative dims count from the end.
namespace ember::ops {

Tensor sum(const Tensor& x, const std::optional<Dims>& dim, bool keepdim,
           std::optional<DType> dtype, const Dest& dest);
Tensor nansum(const Tensor& x, const std::optional<Dims>& dim, bool keepdim,
              std::optional<DType> dtype, const Dest& dest);
Tensor nanmean(const Tensor& x, const std::optional<Dims>& dim, bool keepdim,
               std::optional<DType> dtype, const Dest& dest);
Tensor mean(const Tensor& x, const std::optional<Dims>& dim, bool keepdim,
            std::optional<DType> dtype, const Dest& dest);
Tensor prod(const Tensor& x, std::optional<int64_t> dim, bool keepdim, std::optional<DType> dtype,
            const Dest& dest);
Tensor var(const Tensor& x, const std::optional<Dims>& dim, std::optional<Number> correction,
           bool keepdim, std::optional<bool> unbiased, const Dest& dest);
Tensor std_deviation(const Tensor& x, const std::optional<Dims>& dim,
                     std::optional<Number> correction, bool keepdim, std::optional<bool> unbiased,
                     const Dest& dest);
std::tuple<Tensor, Tensor> var_mean(const Tensor& x, const std::optional<Dims>& dim,
                                    std::optional<Number> correction, bool keepdim,
                                    std::optional<bool> unbiased);
Tensor amax(const Tensor& x, const Dims& dim, bool keepdim, const Dest& dest);
Tensor amin(const Tensor& x, const Dims& dim, bool keepdim, const Dest& dest);
Tensor max_all(const Tensor& x);
Tensor min_all(const Tensor& x);
std::tuple<Tensor, Tensor> max_dim(const Tensor& x, int64_t dim, bool keepdim);
std::tuple<Tensor, Tensor> min_dim(const Tensor& x, int64_t dim, bool keepdim);
Tensor argmax(const Tensor& x, std::optional<int64_t> dim, bool keepdim);
Tensor argmin(const Tensor& x, std::optional<int64_t> dim, bool keepdim);
Tensor any(const Tensor& x, const std::optional<Dims>& dim, bool keepdim, const Dest& dest);
Tensor all(const Tensor& x, const std::optional<Dims>& dim, bool keepdim, const Dest& dest);
Tensor logsumexp(const Tensor& x, const Dims& dim, bool keepdim, const Dest& dest);
// p: 2 ("fro"), any number, inf and -inf.
Tensor norm(const Tensor& x, double p, const std::optional<Dims>& dim, bool keepdim,
            std::optional<DType> dtype, const Dest& dest);
Tensor sum_to_size(const Tensor& x, const Dims& size);
Tensor count_nonzero(const Tensor& x, const std::optional<Dims>& dim);

}  // namespace ember::ops
