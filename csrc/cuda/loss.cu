#include "cuda/common.cuh"
#include "kernels/formulas/math.h"
#include "kernels/loss.h"

namespace ember::cuda {
namespace {

using kernels::ClassLoss;
using kernels::LossReduction;

struct Total {
    double loss, weight;
};

// A row's target; ignored rows, and those whose target is none of the classes, give -1.
EMBER_DEVICE int64_t target_of(const ClassLoss& a, int64_t row, Fault* fault) {
    int64_t t = a.target[row];
    if (t == a.ignore_index) return -1;
    if (t >= 0 && t < a.classes) return t;
    report(fault, Fault::What::Target, a.operation, t, a.classes);
    return -1;
}
template <class T>
EMBER_DEVICE double weight_of(const ClassLoss& a, int64_t target) {
    return a.weight ? double(widen(static_cast<const T*>(a.weight)[target])) : 1;
}
template <class T>
EMBER_DEVICE const T* row_of(const ClassLoss& a, int64_t row) {
    return static_cast<const T*>(a.input) + row / a.inner * a.classes * a.inner + row % a.inner;
}

// A warp a row where classes lie next to each other, else a thread.
template <class T>
__global__ void cross_entropy_kernel(const ClassLoss a, T* loss, Compute<T>* logsumexp,
                                     Total* totals, int lanes, Fault* fault) {
    using C = Compute<T>;
    int lane = threadIdx.x % lanes;
    int64_t step = int64_t(gridDim.x) * blockDim.x / lanes, rows = a.n * a.inner;
    for (int64_t row = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / lanes; row < rows;
         row += step) {
        const T* in = row_of<T>(a, row);
        C largest = C(-INFINITY), sum = 0;
        for (int64_t c = lane; c < a.classes; c += lanes)
            largest = larger(C(widen(in[c * a.inner])), largest);
        for (int s = lanes / 2; s > 0; s /= 2)
            largest = larger(largest, __shfl_xor_sync(~0u, largest, s));
        for (int64_t c = lane; c < a.classes; c += lanes)
            sum += formulas::exp(C(widen(in[c * a.inner])) - largest);
        if (lanes > 1) sum = add_warp(sum);
        C lse = largest + formulas::log(sum);
        double smooth = 0;
        if (a.label_smoothing != 0) {
            for (int64_t c = lane; c < a.classes; c += lanes)
                smooth += weight_of<T>(a, c) * (double(lse) - double(widen(in[c * a.inner])));
            if (lanes > 1) smooth = add_warp(smooth);
        }
        if (lane != 0) continue;
        logsumexp[row] = lse;
        int64_t target = target_of(a, row, fault);
        Total total{0, 0};
        if (target >= 0) {
            total.weight = weight_of<T>(a, target);
            total.loss = total.weight * (double(lse) - double(widen(in[target * a.inner])));
            if (a.label_smoothing != 0)
                total.loss = (1 - a.label_smoothing) * total.loss +
                             a.label_smoothing / double(a.classes) * smooth;
        }
        if (a.reduction == LossReduction::None) loss[row] = narrow<T>(total.loss);
        totals[row] = total;
    }
}

// One block adds up all rows, always in the same order.
template <class T>
__global__ void total_kernel(LossReduction reduction, const Total* totals, int64_t rows, T* loss,
                             double* total_weight) {
    Total sum{0, 0};
    for (int64_t row = threadIdx.x; row < rows; row += blockDim.x) {
        sum.loss += totals[row].loss;
        sum.weight += totals[row].weight;
    }
    sum.loss = add_block(sum.loss);
    sum.weight = add_block(sum.weight);
    if (threadIdx.x != 0) return;
    *total_weight = sum.weight;
    if (reduction == LossReduction::Mean) sum.loss /= sum.weight;
    if (reduction != LossReduction::None) *loss = narrow<T>(sum.loss);
}

template <class T>
EMBER_DEVICE double row_grad(const ClassLoss& a, const T* grad, const double* total_weight,
                             int64_t row) {
    if (a.reduction == LossReduction::None) return double(widen(grad[row]));
    return double(widen(*grad)) * (a.reduction == LossReduction::Mean ? 1 / *total_weight : 1);
}

// The sum of all classes' weights, which label smoothing spreads.
template <class T>
__global__ void all_weights_kernel(const ClassLoss a, double* out) {
    double sum = 0;
    for (int64_t c = threadIdx.x; c < a.classes; c += blockDim.x) sum += weight_of<T>(a, c);
    sum = add_block(sum);
    if (threadIdx.x == 0) *out = sum;
}

// grad_input = scale * p - [class is the target] * hit - spread * weight, with p = exp(x - lse)
template <class T>
__global__ void cross_entropy_backward_kernel(const ClassLoss a, const T* grad,
                                              const Compute<T>* logsumexp,
                                              const double* total_weight, const double* all_weights,
                                              T* out, Fault* fault) {
    using C = Compute<T>;
    int64_t plane = a.classes * a.inner;
    EMBER_FOR_ITEMS(i, a.n * plane) {
        int64_t row = i / plane * a.inner + i % a.inner, c = i % plane / a.inner;
        int64_t target = target_of(a, row, fault);
        if (target < 0) {
            out[i] = narrow<T>(C(0));
            continue;
        }
        double g = row_grad(a, grad, total_weight, row);
        double share = a.label_smoothing / double(a.classes);
        double hit = g * (1 - a.label_smoothing) * weight_of<T>(a, target);
        C scale = C(hit + (share != 0 ? g * share * *all_weights : 0));
        C result =
            scale * formulas::exp(C(widen(static_cast<const T*>(a.input)[i])) - logsumexp[row]);
        if (c == target) result -= C(hit);
        if (share != 0) result -= C(g * share * weight_of<T>(a, c));
        out[i] = narrow<T>(result);
    }
}

void cross_entropy(Context& context, const ClassLoss& a, void* loss, void* logsumexp,
                   double* total_weight) {
    int64_t rows = a.n * a.inner;
    dispatch_floating(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        Total* totals = context.scratch_of<Total>(rows);
        int lanes = a.inner == 1 && a.classes > 1 ? 32 : 1;
        run_items(context, cross_entropy_kernel<T>, rows * lanes, a, static_cast<T*>(loss),
                  static_cast<Compute<T>*>(logsumexp), totals, lanes, fault_of(context));
        run(context, total_kernel<T>, dim3(1), dim3(1024), a.reduction,
            static_cast<const Total*>(totals), rows, static_cast<T*>(loss), total_weight);
    });
}

void cross_entropy_backward(Context& context, const ClassLoss& a, const void* grad,
                            const void* logsumexp, const double* total_weight, void* grad_input) {
    dispatch_floating(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        double* weights = context.scratch_of<double>(1);
        if (a.label_smoothing != 0)
            run(context, all_weights_kernel<T>, dim3(1), dim3(kThreads), a, weights);
        run_items(context, cross_entropy_backward_kernel<T>, a.n * a.classes * a.inner, a,
                  static_cast<const T*>(grad), static_cast<const Compute<T>*>(logsumexp),
                  total_weight, static_cast<const double*>(weights), static_cast<T*>(grad_input),
                  fault_of(context));
    });
}

template <class T>
__global__ void nll_kernel(const ClassLoss a, T* loss, Total* totals, Fault* fault) {
    EMBER_FOR_ITEMS(row, a.n * a.inner) {
        int64_t target = target_of(a, row, fault);
        Total total{0, 0};
        if (target >= 0) {
            total.weight = weight_of<T>(a, target);
            total.loss = -total.weight * double(widen(row_of<T>(a, row)[target * a.inner]));
        }
        if (a.reduction == LossReduction::None) loss[row] = narrow<T>(total.loss);
        totals[row] = total;
    }
}

template <class T>
__global__ void nll_backward_kernel(const ClassLoss a, const T* grad, const double* total_weight,
                                    T* out, Fault* fault) {
    int64_t plane = a.classes * a.inner;
    EMBER_FOR_ITEMS(i, a.n * plane) {
        int64_t row = i / plane * a.inner + i % a.inner, c = i % plane / a.inner;
        int64_t target = target_of(a, row, fault);
        double g = 0;
        if (c == target) g = -row_grad(a, grad, total_weight, row) * weight_of<T>(a, target);
        out[i] = narrow<T>(g);
    }
}

void nll_loss(Context& context, const ClassLoss& a, void* loss, double* total_weight) {
    int64_t rows = a.n * a.inner;
    dispatch_floating(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        Total* totals = context.scratch_of<Total>(rows);
        run_items(context, nll_kernel<T>, rows, a, static_cast<T*>(loss), totals,
                  fault_of(context));
        run(context, total_kernel<T>, dim3(1), dim3(1024), a.reduction,
            static_cast<const Total*>(totals), rows, static_cast<T*>(loss), total_weight);
    });
}

void nll_loss_backward(Context& context, const ClassLoss& a, const void* grad,
                       const double* total_weight, void* grad_input) {
    dispatch_floating(a.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        run_items(context, nll_backward_kernel<T>, a.n * a.classes * a.inner, a,
                  static_cast<const T*>(grad), total_weight, static_cast<T*>(grad_input),
                  fault_of(context));
    });
}

}  // namespace

void register_loss(const Table& table) {
    table.set(kernels::cross_entropy, cross_entropy, kFloating);
    table.set(kernels::cross_entropy_backward, cross_entropy_backward, kFloating);
    table.set(kernels::nll_loss, nll_loss, kFloating);
    table.set(kernels::nll_loss_backward, nll_loss_backward, kFloating);
}

}  // namespace ember::cuda
