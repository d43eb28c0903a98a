#pragma once

#include <string_view>
#include <vector>

#include "core/tensor.h"

// Steps of the optimisers over whole lists of parameters, and the lists' norms. None is recorded.
namespace ember::ops {

using TensorList = std::vector<Tensor>;

// One step of stochastic gradient descent. `momentum_buffers` is empty without momentum; on
// `first_step` the buffers become the gradients.
void fused_sgd_(const TensorList& params, const TensorList& grads,
                const TensorList& momentum_buffers, double lr, double momentum, double dampening,
                double weight_decay, bool nesterov, bool maximize, bool first_step);

// One step of Adam, or of AdamW when `decoupled`. `steps` are float32 counters of one element and
// count up; `max_exp_avg_sqs` is empty without amsgrad.
void fused_adam_(const TensorList& params, const TensorList& grads, const TensorList& exp_avgs,
                 const TensorList& exp_avg_sqs, const TensorList& max_exp_avg_sqs,
                 const TensorList& steps, double lr, double beta1, double beta2, double eps,
                 double weight_decay, bool decoupled, bool amsgrad, bool maximize);

// One step of another rule, by its name in kernels/formulas/optim.inc. `states` and `numbers` hold
// those of the first parameter, then of the second, and so on. Each parameter is multiplied by
// `keep` first; weight_decay times the parameter is added to its gradient.
void fused_step_(std::string_view rule, const TensorList& params, const TensorList& grads,
                 const TensorList& states, const std::vector<double>& numbers, double weight_decay,
                 double keep, bool maximize);

// The p-norm (2 or infinity) of all elements of all tensors, as a zero-dim tensor.
Tensor list_norm(const TensorList& tensors, double p);
// Multiplies every tensor by a number, in place.
void list_scale_(const TensorList& tensors, double factor);

}  // namespace ember::ops
