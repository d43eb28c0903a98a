#pragma once

#include <optional>

#include "autograd/record.h"
#include "core/generator.h"

// Random tensors. A null generator is the default one; the same seed gives PyTorch's numbers.
namespace ember::ops {

Tensor rand(const Dims& size, Generator* generator, TensorOptions options);
Tensor randn(const Dims& size, Generator* generator, TensorOptions options);
Tensor randint(int64_t low, int64_t high, const Dims& size, Generator* generator,
               TensorOptions options);
Tensor randperm(int64_t n, Generator* generator, TensorOptions options);
Tensor uniform_(const Tensor& self, double from, double to, Generator* generator);
Tensor normal_(const Tensor& self, double mean, double std, Generator* generator);
Tensor exponential_(const Tensor& self, double lambd, Generator* generator);
// No bounds: all values of the dtype that are not negative and exact. One bound: [0, first).
Tensor random_(const Tensor& self, std::optional<int64_t> first, std::optional<int64_t> second,
               Generator* generator);
Tensor bernoulli_(const Tensor& self, double p, Generator* generator);
Tensor bernoulli_tensor_(const Tensor& self, const Tensor& p, Generator* generator);
Tensor bernoulli(const Tensor& p, Generator* generator, const Dest& out);
Tensor normal_tensors(const Tensor& mean, const Tensor& std, Generator* generator);
Tensor multinomial(const Tensor& input, int64_t num_samples, bool replacement,
                   Generator* generator);
Tensor dropout(const Tensor& input, double p, bool training, bool inplace);

}  // namespace ember::ops
