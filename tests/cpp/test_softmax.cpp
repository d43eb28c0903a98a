#include <algorithm>

#include "kernel_test.h"
#include "kernels/softmax.h"

using namespace ember;
using namespace ember::test;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

struct Shape {
    int64_t outer, n, inner;
};
constexpr Shape kShapes[] = {{1, 1, 1},   {3, 10, 1}, {64, 10, 1}, {5, 100, 1}, {2, 5000, 1},
                             {300, 7, 1}, {2, 3, 1},  {2, 17, 5},  {3, 10, 37}, {1, 40, 1100},
                             {2, 9, 130}, {4, 0, 1},  {0, 5, 1},   {2, 5, 0}};

// f(items of one slice, where they stand)
template <class F>
void for_each_slice(Shape s, F&& f) {
    for (int64_t o = 0; o < s.outer; o++) {
        for (int64_t i = 0; i < s.inner; i++) {
            std::vector<int64_t> at;
            for (int64_t k = 0; k < s.n; k++) at.push_back((o * s.n + k) * s.inner + i);
            if (!at.empty()) f(at);
        }
    }
}

double tolerance(DType dtype) {
    return (dtype == DType::Float64 ? 0x1p-53 : 0x1p-24) * 40 + epsilon(dtype);
}

void check_forward(Shape s, const Array& in, bool log) {
    Array out(in.dtype, in.n);
    Context ctx;
    auto& slot = log ? kernels::log_softmax : kernels::softmax;
    slot(DeviceType::CPU, ctx, {in.data(), out.data(), s.outer, s.n, s.inner, in.dtype});
    for_each_slice(s, [&](const std::vector<int64_t>& at) {
        double m = -kInf, sum = 0;
        bool nan = false;
        for (int64_t i : at) {
            m = std::max(m, in[i]);
            nan |= in[i] != in[i];
        }
        nan |= std::isinf(m);
        for (int64_t i : at) sum += std::exp(in[i] - m);
        for (int64_t i : at) {
            double d = in[i] - m;
            double expected = nan ? NAN : log ? d - std::log(sum) : std::exp(d) / sum;
            CHECK_CLOSE(out[i], expected, tolerance(in.dtype));
        }
    });
    Array in_place = in;
    slot(DeviceType::CPU, ctx, {in_place.data(), in_place.data(), s.outer, s.n, s.inner, in.dtype});
    CHECK(in_place == out);
}

void test_forward() {
    on_every_level([] {
        Random random;
        for (Shape s : kShapes) {
            for (DType dtype : kFloatDTypes) {
                Array in(dtype, s.outer * s.n * s.inner);
                in.randomize(random);
                check_forward(s, in, false);
                check_forward(s, in, true);
                // Values whose exponentials overflow.
                for (int64_t i = 0; i < in.n; i++) in.set(i, 300 + 100 * in[i]);
                check_forward(s, in, false);
                check_forward(s, in, true);
            }
        }
    });
}

void test_infinities() {
    on_every_level([] {
        for (Shape s : {Shape{3, 10, 1}, Shape{2, 70, 1}, Shape{2, 6, 21}}) {
            for (double special : {kInf, -kInf, double(NAN)}) {
                for (DType dtype : kFloatDTypes) {
                    Array in(dtype, s.outer * s.n * s.inner, 0.5);
                    in.set(1, special);
                    check_forward(s, in, false);
                    check_forward(s, in, true);
                    for (int64_t i = 0; i < s.n * s.inner; i++) in.set(i, special);
                    check_forward(s, in, false);
                    check_forward(s, in, true);
                }
            }
        }
    });
}

void test_backward() {
    on_every_level([] {
        Random random;
        for (Shape s : kShapes) {
            for (DType dtype : kFloatDTypes) {
                for (bool log : {false, true}) {
                    int64_t count = s.outer * s.n * s.inner;
                    Array grad(dtype, count), y(dtype, count), out(dtype, count);
                    grad.randomize(random);
                    for (int64_t i = 0; i < count; i++) {
                        y.set(i, log ? -3 * random.uniform() - 1 : random.uniform() / 8);
                    }
                    Context ctx;
                    auto& slot = log ? kernels::log_softmax_backward : kernels::softmax_backward;
                    slot(DeviceType::CPU, ctx,
                         {grad.data(), y.data(), out.data(), s.outer, s.n, s.inner, dtype});
                    for_each_slice(s, [&](const std::vector<int64_t>& at) {
                        double sum = 0, size = 1;
                        for (int64_t i : at) {
                            double term = log ? grad[i] : grad[i] * y[i];
                            sum += term;
                            size += std::fabs(term);
                        }
                        for (int64_t i : at) {
                            double expected =
                                log ? grad[i] - std::exp(y[i]) * sum : y[i] * (grad[i] - sum);
                            CHECK_CLOSE(out[i], expected, tolerance(dtype) * size);
                        }
                    });
                }
            }
        }
    });
}

void test_threads() {
    Random random;
    for (Shape s : {Shape{500, 300, 1}, Shape{3, 100, 700}}) {
        Array in(DType::Float32, s.outer * s.n * s.inner);
        in.randomize(random);
        std::vector<Array> results;
        for (int threads : {1, 2, 4}) {
            set_num_threads(threads);
            Array out(DType::Float32, in.n);
            Context ctx;
            kernels::softmax(DeviceType::CPU, ctx,
                             {in.data(), out.data(), s.outer, s.n, s.inner, DType::Float32});
            results.push_back(out);
        }
        CHECK(results[0] == results[1]);
        CHECK(results[0] == results[2]);
    }
}

}  // namespace

int main() {
    RUN(test_forward);
    RUN(test_infinities);
    RUN(test_backward);
    RUN(test_threads);
    return summary();
}
