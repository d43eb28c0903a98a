#include "ops/optim.h"
#include "python/tables.h"

namespace ember::python {

void bind_optim(BindTable& t) {
    bind<&ops::fused_sgd_>(t, kFunction,
                           "_fused_sgd_(params, grads, momentum_buffers, lr, momentum, dampening, "
                           "weight_decay, nesterov, "
                           "maximize, first_step)",
                           "One step of stochastic gradient descent over a list of parameters.");
    bind<&ops::fused_adam_>(
        t, kFunction,
        "_fused_adam_(params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, steps, lr, beta1, "
        "beta2, "
        "eps, weight_decay, decoupled, amsgrad, maximize)",
        "One step of Adam (Kingma and Ba, 2015) or AdamW (Loshchilov and Hutter, 2019).");
    bind<&ops::fused_step_>(t, kFunction,
                            "_fused_step_(rule, params, grads, states, numbers, weight_decay, "
                            "keep, maximize)",
                            "One step of the rule of that name over a list of parameters.");
    bind<&ops::list_norm>(t, kFunction, "_list_norm(tensors, p)",
                          "The p-norm (2 or inf) of all elements of all tensors.");
    bind<&ops::list_scale_>(t, kFunction, "_list_scale_(tensors, factor)",
                            "Multiplies every tensor by a number, in place.");
}

}  // namespace ember::python
