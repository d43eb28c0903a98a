#pragma once

#include "core/table.h"
#include "core/view.h"

// One launch updates a whole list of dense parameters. All memory of a launch has one dtype; halves
// compute in float32. The order of operations is that of PyTorch's single-tensor optimisers.
namespace ember::kernels {

struct SgdItem {
    void* param;
    const void* grad;
    void* momentum;  // null without momentum
    int64_t numel;
    bool fresh;  // the momentum is not filled yet: it becomes the gradient
};
struct Sgd {
    double lr = 0, momentum = 0, dampening = 0, weight_decay = 0;
    bool nesterov = false, maximize = false;
};
extern Slot<void(Context&, const SgdItem*, int64_t items, DType, const Sgd&)> sgd;

struct AdamItem {
    void* param;
    const void* grad;
    void *exp_avg, *exp_avg_sq;
    void* max_exp_avg_sq;  // null without amsgrad
    int64_t numel;
    double step;  // of this update, from 1
};
struct Adam {
    double lr = 0, beta1 = 0, beta2 = 0, eps = 0, weight_decay = 0;
    bool decoupled = false, maximize = false;  // decoupled: AdamW
};
extern Slot<void(Context&, const AdamItem*, int64_t items, DType, const Adam&)> adam;

// The other rules: the list formulas/optim.inc.
struct RuleItem {
    void* param;
    const void* grad;
    void* states[3];
    int64_t numel;
    double numbers[7];
};
struct RuleOptions {
    double weight_decay = 0;  // times the parameter, added to the gradient
    double keep = 1;          // the parameter is multiplied by it first
    bool maximize = false;
};
using RuleSlot = Slot<void(Context&, const RuleItem*, int64_t items, DType, const RuleOptions&)>;
#define EMBER_RULE(name, states, numbers) extern RuleSlot name;
#include "kernels/formulas/optim.inc"

// Lists of dense tensors of one dtype.
struct ListItem {
    void* data;
    int64_t numel;
};
// The p-norm (p is 2 or infinity) of all items together; NaN where one is.
extern Slot<void(Context&, const ListItem*, int64_t items, DType, double p, double* norm)>
    list_norm;
extern Slot<void(Context&, const ListItem*, int64_t items, DType, double factor)> list_scale;
extern Slot<void(Context&, const ListItem*, int64_t items, DType)> list_zero;

}  // namespace ember::kernels
