#include "kernel_test.h"
#include "kernels/loss.h"

using namespace ember;
using namespace ember::test;
using kernels::ClassLoss;
using kernels::LossReduction;

namespace {

struct Shape {
    int64_t n, classes, inner;
};
constexpr Shape kShapes[] = {{1, 1, 1},  {64, 10, 1}, {3, 1000, 1}, {700, 17, 1},
                             {2, 5, 30}, {3, 7, 600}, {0, 5, 1},    {5, 100, 1}};
constexpr LossReduction kReductions[] = {LossReduction::None, LossReduction::Mean,
                                         LossReduction::Sum};

double tolerance(DType dtype) {
    return (dtype == DType::Float64 ? 0x1p-53 : 0x1p-24) * 60 + epsilon(dtype);
}

struct Setup {
    Array input, weight, grad, target;
    ClassLoss args;
    Setup(Shape s, DType dtype, bool weighted, double smoothing, LossReduction reduction,
          bool nll = false)
        : input(dtype, s.n * s.classes * s.inner),
          weight(dtype, s.classes),
          grad(dtype, reduction == LossReduction::None ? s.n * s.inner : 1),
          target(DType::Int64, s.n * s.inner) {
        Random random;
        input.randomize(random);
        grad.randomize(random);
        for (int64_t c = 0; c < s.classes; c++) weight.set(c, 0.5 + random.uniform());
        for (int64_t i = 0; i < target.n; i++) {
            target.set(i, i % 7 == 3 ? -100 : double(random.below(s.classes)));
        }
        for (int64_t i = 0; nll && i < input.n; i++) input.set(i, -1 - random.uniform());
        args = {"cross_entropy",
                input.data(),
                static_cast<const int64_t*>(target.data()),
                weighted ? weight.data() : nullptr,
                s.n,
                s.classes,
                s.inner,
                -100,
                smoothing,
                reduction,
                dtype};
    }
    double weight_at(int64_t c) const { return args.weight ? weight[c] : 1; }
    int64_t at(int64_t row, int64_t c) const {
        return (row / args.inner * args.classes + c) * args.inner + row % args.inner;
    }
};

void check_cross_entropy(Shape s, DType dtype, bool weighted, double smoothing,
                         LossReduction reduction) {
    Setup x(s, dtype, weighted, smoothing, reduction);
    int64_t rows = s.n * s.inner;
    Array loss(dtype, reduction == LossReduction::None ? rows : 1), dx(dtype, x.input.n, 7);
    Array lse(dtype == DType::Float64 ? DType::Float64 : DType::Float32, rows);
    double total_weight = -1;
    Context ctx;
    kernels::cross_entropy(DeviceType::CPU, ctx, x.args, loss.data(), lse.data(), &total_weight);
    kernels::cross_entropy_backward(DeviceType::CPU, ctx, x.args, x.grad.data(), lse.data(),
                                    &total_weight, dx.data());
    double weights = 0, sum = 0, spread = smoothing / double(s.classes), all = 0;
    for (int64_t c = 0; c < s.classes; c++) all += x.weight_at(c);
    for (int64_t row = 0; row < rows; row++) {
        if (x.target[row] != -100) weights += x.weight_at(int64_t(x.target[row]));
    }
    CHECK_CLOSE(total_weight, weights, 1e-12);
    for (int64_t row = 0; row < rows; row++) {
        double largest = -1e300, exps = 0, value = 0;
        for (int64_t c = 0; c < s.classes; c++) largest = std::fmax(largest, x.input[x.at(row, c)]);
        for (int64_t c = 0; c < s.classes; c++) exps += std::exp(x.input[x.at(row, c)] - largest);
        double log_sum = largest + std::log(exps);
        int64_t t = int64_t(x.target[row]);
        double factor = reduction == LossReduction::None   ? x.grad[row]
                        : reduction == LossReduction::Mean ? x.grad[0] / weights
                                                           : x.grad[0];
        for (int64_t c = 0; c < s.classes && t != -100; c++) {
            double share = (c == t) * (1 - smoothing) * x.weight_at(c) + spread * x.weight_at(c);
            value += share * (log_sum - x.input[x.at(row, c)]);
        }
        for (int64_t c = 0; c < s.classes; c++) {
            double expected = 0;
            if (t != -100) {
                double p = std::exp(x.input[x.at(row, c)] - log_sum);
                double share = (1 - smoothing) * x.weight_at(t) + spread * all;
                expected = factor * (share * p - (c == t) * (1 - smoothing) * x.weight_at(t) -
                                     spread * x.weight_at(c));
            }
            CHECK_CLOSE(dx[x.at(row, c)], expected, tolerance(dtype));
        }
        sum += value;
        if (reduction == LossReduction::None) CHECK_CLOSE(loss[row], value, tolerance(dtype));
    }
    if (reduction == LossReduction::Mean) sum /= weights;
    if (reduction != LossReduction::None && !(dtype == DType::Float16 && sum > 60000)) {
        CHECK_CLOSE(loss[0], sum, tolerance(dtype));
    }
}

void test_cross_entropy() {
    on_every_level([] {
        for (Shape s : kShapes) {
            for (DType dtype : kFloatDTypes) {
                for (LossReduction reduction : kReductions) {
                    for (bool weighted : {false, true}) {
                        check_cross_entropy(s, dtype, weighted, 0, reduction);
                        check_cross_entropy(s, dtype, weighted, 0.1, reduction);
                    }
                }
            }
        }
    });
}

void check_nll(Shape s, DType dtype, bool weighted, LossReduction reduction) {
    Setup x(s, dtype, weighted, 0, reduction, true);
    int64_t rows = s.n * s.inner;
    Array loss(dtype, reduction == LossReduction::None ? rows : 1), dx(dtype, x.input.n, 7);
    double total_weight = -1, sum = 0, weights = 0;
    Context ctx;
    kernels::nll_loss(DeviceType::CPU, ctx, x.args, loss.data(), &total_weight);
    kernels::nll_loss_backward(DeviceType::CPU, ctx, x.args, x.grad.data(), &total_weight,
                               dx.data());
    for (int64_t row = 0; row < rows; row++) {
        int64_t t = int64_t(x.target[row]);
        if (t != -100) weights += x.weight_at(t);
        double value = t == -100 ? 0 : -x.weight_at(t) * x.input[x.at(row, t)];
        sum += value;
        if (reduction == LossReduction::None) CHECK_CLOSE(loss[row], value, tolerance(dtype));
    }
    CHECK_CLOSE(total_weight, weights, 1e-12);
    if (reduction != LossReduction::None) {
        double expected = reduction == LossReduction::Mean ? sum / weights : sum;
        if (dtype != DType::Float16 || sum < 60000)
            CHECK_CLOSE(loss[0], expected, tolerance(dtype));
    }
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t c = 0; c < s.classes; c++) {
            double factor = reduction == LossReduction::None   ? x.grad[row]
                            : reduction == LossReduction::Mean ? x.grad[0] / weights
                                                               : x.grad[0];
            double expected = x.target[row] == double(c) ? -factor * x.weight_at(c) : 0;
            CHECK_CLOSE(dx[x.at(row, c)], expected, tolerance(dtype));
        }
    }
}

void test_nll() {
    on_every_level([] {
        for (Shape s : kShapes) {
            for (DType dtype : kFloatDTypes) {
                for (LossReduction reduction : kReductions) {
                    check_nll(s, dtype, false, reduction);
                    check_nll(s, dtype, true, reduction);
                }
            }
        }
    });
}

void test_extremes() {
    on_every_level([] {
        float input[6] = {1000, 0, -1000, -INFINITY, 5, 5}, dx[6], loss[2], lse[2], grad = 1;
        int64_t target[2] = {0, 1};
        double total;
        Context ctx;
        ClassLoss a{"cross_entropy",     input,         target, nullptr, 2, 3, 1, -100, 0,
                    LossReduction::None, DType::Float32};
        kernels::cross_entropy(DeviceType::CPU, ctx, a, loss, lse, &total);
        CHECK_CLOSE(loss[0], 0, 0);
        CHECK_CLOSE(loss[1], std::log(2), 1e-7);
        // All ignored: the mean divides by nothing, gradients are NaN-free zeros.
        target[0] = target[1] = -100;
        a.reduction = LossReduction::Mean;
        kernels::cross_entropy(DeviceType::CPU, ctx, a, loss, lse, &total);
        CHECK(loss[0] != loss[0]);
        kernels::cross_entropy_backward(DeviceType::CPU, ctx, a, &grad, lse, &total, dx);
        for (float g : dx) CHECK(g == 0);
    });
}

void test_bad_targets() {
    float input[10] = {}, out[10], lse[1], grad = 1;
    double total = 1;
    for (int64_t target : {int64_t(10), int64_t(-1), int64_t(1) << 40, -(int64_t(1) << 60)}) {
        ClassLoss a{"cross_entropy",     input,         &target, nullptr, 1, 10, 1, -100, 0,
                    LossReduction::Mean, DType::Float32};
        Context ctx;
        CHECK_RAISES(Index, kernels::cross_entropy(DeviceType::CPU, ctx, a, out, lse, &total));
        CHECK_RAISES(Index, kernels::cross_entropy_backward(DeviceType::CPU, ctx, a, &grad, lse,
                                                            &total, out));
        CHECK_RAISES(Index, kernels::nll_loss(DeviceType::CPU, ctx, a, out, &total));
        CHECK_RAISES(Index,
                     kernels::nll_loss_backward(DeviceType::CPU, ctx, a, &grad, &total, out));
        a.ignore_index = target;
        kernels::nll_loss(DeviceType::CPU, ctx, a, out, &total);
        CHECK(out[0] != out[0]);
    }
    try {
        int64_t target = 12;
        Context ctx;
        ClassLoss a{"cross_entropy",     input,         &target, nullptr, 1, 10, 1, -100, 0,
                    LossReduction::Mean, DType::Float32};
        kernels::cross_entropy(DeviceType::CPU, ctx, a, out, lse, &total);
    } catch (const Error& e) {
        CHECK(std::string(e.what()) == "cross_entropy: target 12 is out of bounds for 10 classes");
    }
}

void test_threads() {
    Random random;
    Array input(DType::Float32, 3000 * 50), target(DType::Int64, 3000);
    input.randomize(random);
    for (int64_t i = 0; i < 3000; i++) target.set(i, double(random.below(50)));
    std::vector<Array> results;
    for (int threads : {1, 2, 4}) {
        set_num_threads(threads);
        Array loss(DType::Float32, 1), lse(DType::Float32, 3000);
        double total;
        Context ctx;
        kernels::cross_entropy(
            DeviceType::CPU, ctx,
            {"cross_entropy", input.data(), static_cast<const int64_t*>(target.data()), nullptr,
             3000, 50, 1, -100, 0, LossReduction::Mean, DType::Float32},
            loss.data(), lse.data(), &total);
        results.push_back(loss);
    }
    CHECK(results[0] == results[1]);
    CHECK(results[0] == results[2]);
}

}  // namespace

int main() {
    RUN(test_cross_entropy);
    RUN(test_nll);
    RUN(test_extremes);
    RUN(test_bad_targets);
    RUN(test_threads);
    return summary();
}
