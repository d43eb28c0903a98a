#pragma once

#include "core/table.h"
#include "core/view.h"

// Losses with a class index for a target. A row is one (n, i): its classes lie `inner` apart. Rows
// whose target is `ignore_index` count for nothing; any other target outside [0, classes) raises
// IndexError before memory is read.
namespace ember::kernels {

enum class LossReduction : uint8_t { None, Mean, Sum };

struct ClassLoss {
    const char* operation = nullptr;  // names the caller in errors
    const void* input = nullptr;      // (n, classes, inner): logits, or log-probabilities for nll
    const int64_t* target = nullptr;  // (n, inner)
    const void* weight = nullptr;     // (classes,) of input's dtype, or null
    int64_t n = 0, classes = 0, inner = 1;
    int64_t ignore_index = -100;
    double label_smoothing = 0;  // cross_entropy only
    LossReduction reduction = LossReduction::Mean;
    DType dtype = DType::Float32;
};

// `loss` has input's dtype and one item, or (n, inner) of them without reduction. `logsumexp`
// (n, inner), float64 for float64 and else float32, is kept for the backward, as is
// `total_weight`, one float64: the sum of the weights of targets, by which the mean divides.
extern Slot<void(Context&, const ClassLoss&, void* loss, void* logsumexp, double* total_weight)>
    cross_entropy;
// `grad` is laid out as `loss`, grad_input as input; all of grad_input is written.
extern Slot<void(Context&, const ClassLoss&, const void* grad, const void* logsumexp,
                 const double* total_weight, void* grad_input)>
    cross_entropy_backward;

extern Slot<void(Context&, const ClassLoss&, void* loss, double* total_weight)> nll_loss;
extern Slot<void(Context&, const ClassLoss&, const void* grad, const double* total_weight,
                 void* grad_input)>
    nll_loss_backward;

}  // namespace ember::kernels
