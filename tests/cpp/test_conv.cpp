// Convolutions of small whole numbers, so that every level must give the exact result of the plain
// definition, but for Winograd's algorithm, which rounds; and the same bits at any number of
// threads.
#include <cmath>
#include <cstdio>
#include <vector>

#include "core/parallel.h"
#include "kernel_test.h"
#include "kernels/conv.h"

using namespace ember;
using namespace ember::test;
using kernels::Conv2d;

namespace {

template <class T>
std::vector<T> numbers(int64_t n) {
    std::vector<T> items(size_t(n) + 1);
    for (T& x : items) x = stored<T>(double(pick(-3, 3)));
    items.back() = stored<T>(NAN);  // not to be read
    return items;
}
template <class T>
std::vector<T> blank(int64_t n) {
    return std::vector<T>(size_t(n) + 1, stored<T>(NAN));
}
template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}
// Within `tolerance` of the largest, and not written behind the end.
template <class T>
bool matches(const std::vector<T>& written, const std::vector<double>& expected, double tolerance) {
    std::vector<T> result = blank<T>(int64_t(expected.size()));
    for (size_t i = 0; i < expected.size(); i++) result[i] = stored<T>(expected[i]);
    if (tolerance == 0) return same_bits(written, result);
    double largest = 0;
    for (double x : expected) largest = std::fmax(largest, std::fabs(x));
    bool good = true;
    for (size_t i = 0; i < expected.size(); i++)
        good = good && std::fabs(value_of(written[i]) - expected[i]) <= tolerance * largest;
    return good && std::memcmp(&written.back(), &result.back(), sizeof(T)) == 0;
}

// visit(input index, weight index, output index, output channel) for every product.
template <class F>
void for_each_product(const Conv2d& g, F visit) {
    const int64_t channels = g.c / g.groups, outputs = g.k / g.groups;
    for (int64_t n = 0; n < g.n; n++)
        for (int64_t k = 0; k < g.k; k++)
            for (int64_t y = 0; y < g.out_h; y++)
                for (int64_t x = 0; x < g.out_w; x++)
                    for (int64_t c = 0; c < channels; c++)
                        for (int64_t r = 0; r < g.r; r++)
                            for (int64_t s = 0; s < g.s; s++) {
                                const int64_t h = y * g.stride[0] + r * g.dilation[0] - g.pad[0];
                                const int64_t w = x * g.stride[1] + s * g.dilation[1] - g.pad[1];
                                if (h < 0 || h >= g.h || w < 0 || w >= g.w) continue;
                                visit(((n * g.c + k / outputs * channels + c) * g.h + h) * g.w + w,
                                      ((k * channels + c) * g.r + r) * g.s + s,
                                      ((n * g.k + k) * g.out_h + y) * g.out_w + x);
                            }
}

template <class T>
bool agrees(Conv2d g, bool with_bias, double tolerance = 0) {
    g.dtype = DTypeOf<T>::value;
    for (int d = 0; d < 2; d++) {
        const int64_t size = d ? g.w : g.h, kernel = d ? g.s : g.r;
        const int64_t span = size + 2 * g.pad[d] - g.dilation[d] * (kernel - 1) - 1;
        if (span < 0) return true;
        (d ? g.out_w : g.out_h) = span / g.stride[d] + 1;
    }
    const int64_t inputs = g.n * g.c * g.h * g.w, weights = g.k * (g.c / g.groups) * g.r * g.s;
    const int64_t plane = g.out_h * g.out_w, outputs = g.n * g.k * plane;
    std::vector<T> input = numbers<T>(inputs), weight = numbers<T>(weights);
    std::vector<T> grad = numbers<T>(outputs), bias = numbers<T>(g.k);
    std::vector<double> out(size_t(outputs), 0.0), grad_input(size_t(inputs), 0.0);
    std::vector<double> grad_weight(size_t(weights), 0.0);
    for (int64_t i = 0; with_bias && i < outputs; i++)
        out[size_t(i)] = value_of(bias[size_t(i / plane % g.k)]);
    for_each_product(g, [&](int64_t i, int64_t w, int64_t o) {
        out[size_t(o)] += value_of(input[size_t(i)]) * value_of(weight[size_t(w)]);
        grad_input[size_t(i)] += value_of(grad[size_t(o)]) * value_of(weight[size_t(w)]);
        grad_weight[size_t(w)] += value_of(grad[size_t(o)]) * value_of(input[size_t(i)]);
    });

    std::vector<T> written = blank<T>(outputs);
    bool good = true;
    {
        Context context;
        g.input = input.data(), g.weight = weight.data(), g.output = written.data();
        g.bias = with_bias ? bias.data() : nullptr;
        kernels::conv2d(DeviceType::CPU, context, g);
        good = good && matches(written, out, tolerance);
    }
    {
        Context context;
        written = blank<T>(inputs);
        g.input = written.data(), g.output = grad.data(), g.bias = nullptr;
        kernels::conv2d_grad_input(DeviceType::CPU, context, g);
        const bool ok = matches(written, grad_input, tolerance);
        if (!ok) std::fprintf(stderr, "grad_input differs\n");
        good = good && ok;
    }
    {
        Context context;
        written = blank<T>(weights);
        g.input = input.data(), g.weight = written.data();
        kernels::conv2d_grad_weight(DeviceType::CPU, context, g);
        const bool ok = matches(written, grad_weight, tolerance);
        if (!ok) std::fprintf(stderr, "grad_weight differs\n");
        good = good && ok;
    }
    if (!good)
        std::fprintf(stderr,
                     "%s (%ld, %ld, %ld, %ld) weight (%ld, ., %ld, %ld) stride %ld %ld pad %ld %ld "
                     "dilation %ld %ld groups %ld\n",
                     dtype_name(g.dtype), long(g.n), long(g.c), long(g.h), long(g.w), long(g.k),
                     long(g.r), long(g.s), long(g.stride[0]), long(g.stride[1]), long(g.pad[0]),
                     long(g.pad[1]), long(g.dilation[0]), long(g.dilation[1]), long(g.groups));
    return good;
}

template <class T, int Cases>
void test_random() {
    for (int i = 0; i < Cases; i++) {
        Conv2d g;
        g.groups = pick(0, 2) ? 1 : pick(2, 4);
        g.n = pick(0, 3);
        g.c = pick(1, 9) * g.groups;
        g.k = (pick(0, 2) ? pick(1, 40) : 1) * g.groups;
        g.h = pick(1, 20);
        g.w = pick(1, 36);
        g.r = pick(1, 5);
        g.s = pick(1, 5);
        if (pick(0, 5) == 0) g.r = g.s = 1;
        for (int d = 0; d < 2; d++) {
            g.stride[d] = pick(0, 1) ? 1 : pick(1, 4);
            g.pad[d] = pick(0, 1) ? 0 : pick(0, 6);
            g.dilation[d] = pick(0, 2) ? 1 : pick(1, 3);
        }
        CHECK(agrees<T>(g, pick(0, 1)));
    }
}

Conv2d square(int64_t n, int64_t c, int64_t size, int64_t k, int64_t kernel, int64_t pad,
              int64_t stride = 1, int64_t groups = 1) {
    Conv2d g;
    g.n = n, g.c = c, g.h = g.w = size, g.k = k, g.r = g.s = kernel;
    g.pad[0] = g.pad[1] = pad;
    g.stride[0] = g.stride[1] = stride;
    g.groups = groups;
    return g;
}

template <class T>
void test_shapes() {
    CHECK(agrees<T>(square(9, 1, 28, 6, 5, 2), true));
    CHECK(agrees<T>(square(9, 6, 14, 16, 5, 0), true));
    CHECK(agrees<T>(square(1, 32, 12, 64, 3, 0), true));
    CHECK(agrees<T>(square(2, 3, 40, 20, 7, 3, 2), true));
    CHECK(agrees<T>(square(2, 24, 15, 24, 3, 1, 1, 24), true));
    CHECK(agrees<T>(square(2, 24, 15, 24, 3, 1, 2, 24), true));
    CHECK(agrees<T>(square(2, 12, 15, 12, 5, 2, 1, 12), true));
    CHECK(agrees<T>(square(1, 6, 40, 6, 7, 3, 1, 6), true));
    CHECK(agrees<T>(square(2, 7, 37, 7, 7, 3, 2, 7), false));
    CHECK(agrees<T>(square(2, 9, 6, 9, 3, 1, 1, 9), true));
    CHECK(agrees<T>(square(2, 16, 15, 40, 1, 0), true));
    CHECK(agrees<T>(square(2, 16, 15, 40, 1, 0, 2), true));
    CHECK(agrees<T>(square(1, 8, 60, 40, 3, 1), false));
    CHECK(agrees<T>(square(1, 2, 3, 4, 3, 9, 3), true));
    // Outputs so small that their gradient is scattered.
    CHECK(agrees<T>(square(3, 9, 13, 33, 9, 0, 2), true));
    CHECK(agrees<T>(square(5, 40, 4, 35, 4, 0), false));
    CHECK(agrees<T>(square(2, 20, 7, 40, 5, 1, 3), true));
    CHECK(agrees<T>(square(2, 3, 17, 40, 4, 0, 4), true));
}

// Winograd's algorithm: tiles that reach over every edge, channels that do not fill registers, and
// more tiles than are held at one time.
void test_winograd() {
    constexpr double kTolerance = 4e-6;
    CHECK(agrees<float>(square(2, 32, 12, 64, 3, 0), true, kTolerance));
    CHECK(agrees<float>(square(3, 17, 13, 35, 3, 1), true, kTolerance));
    CHECK(agrees<float>(square(2, 40, 11, 16, 3, 2), false, kTolerance));
    CHECK(agrees<float>(square(1, 16, 20, 24, 3, 5), true, kTolerance));
    CHECK(agrees<float>(square(16, 20, 4, 19, 3, 1), true, kTolerance));
    CHECK(agrees<float>(square(12, 16, 68, 16, 3, 1), true, kTolerance));
    CHECK(agrees<float>(square(4, 16, 16, 24, 4, 1, 2), true, kTolerance));
    CHECK(agrees<float>(square(3, 19, 15, 33, 4, 0, 2), true, kTolerance));
    CHECK(agrees<float>(square(3, 20, 17, 16, 4, 3, 2), false, kTolerance));
    CHECK(agrees<float>(square(2, 17, 13, 18, 2, 1), true, kTolerance));
    CHECK(agrees<float>(square(4, 16, 14, 17, 6, 2, 2), true, kTolerance));
    CHECK(agrees<float>(square(4, 20, 16, 24, 3, 1, 2), true, kTolerance));
    CHECK(agrees<float>(square(5, 17, 17, 35, 3, 1, 2), false, kTolerance));
    CHECK(agrees<float>(square(3, 18, 16, 33, 5, 2, 2), true, kTolerance));
    // Several blocks of the weight.
    CHECK(agrees<float>(square(16, 150, 4, 70, 3, 1), true, kTolerance));
    CHECK(agrees<float>(square(16, 70, 8, 50, 4, 1, 2), true, kTolerance));
    Conv2d wide = square(1, 16, 6, 33, 3, 1);
    wide.w = 75;
    CHECK(agrees<float>(wide, true, kTolerance));
    CHECK(agrees<Half>(square(2, 32, 12, 64, 3, 0), true, 1e-3));
}

// More of the padded images than is held at one time.
void test_many_images() { CHECK(agrees<float>(square(22, 4, 230, 1, 2, 1), true)); }

template <class T>
void test_threads() {
    for (Conv2d g :
         {square(16, 1, 28, 6, 5, 2), square(16, 6, 14, 16, 5, 0), square(3, 40, 30, 40, 3, 1),
          square(2, 200, 30, 56, 3, 1), square(9, 64, 12, 40, 9, 0, 2),
          square(8, 48, 32, 40, 4, 1, 2), square(8, 40, 16, 48, 3, 1, 2),
          square(16, 150, 4, 70, 3, 1), square(9, 24, 4, 40, 4, 0), square(4, 8, 20, 8, 3, 1, 2, 8),
          square(6, 20, 30, 20, 7, 3, 1, 20)}) {
        g.dtype = DTypeOf<T>::value;
        g.out_h = g.out_w = (g.h + 2 * g.pad[0] - g.r) / g.stride[0] + 1;
        std::vector<T> input(size_t(g.n * g.c * g.h * g.w)), weight(size_t(g.k * g.c * g.r * g.s));
        std::vector<T> grad(size_t(g.n * g.k * g.out_h * g.out_w)), bias(size_t(g.k));
        for (auto* v : {&input, &weight, &grad, &bias})
            for (T& x : *v) x = T(std::sin(double(&x - v->data())));
        std::vector<T> first[3], other[3];
        for (int threads : {1, 2, 4}) {
            set_num_threads(threads);
            auto* to = threads == 1 ? first : other;
            to[0].assign(grad.size(), T(0)), to[1].assign(input.size(), T(0));
            to[2].assign(weight.size(), T(0));
            Context context;
            g.input = input.data(), g.weight = weight.data(), g.bias = bias.data();
            g.output = to[0].data();
            kernels::conv2d(DeviceType::CPU, context, g);
            g.output = grad.data(), g.input = to[1].data(), g.bias = nullptr;
            kernels::conv2d_grad_input(DeviceType::CPU, context, g);
            g.input = input.data(), g.weight = to[2].data();
            kernels::conv2d_grad_weight(DeviceType::CPU, context, g);
            if (threads > 1)
                for (int i = 0; i < 3; i++)
                    CHECK(!std::memcmp(first[i].data(), other[i].data(),
                                       first[i].size() * sizeof(T)));
        }
    }
}

}  // namespace

int main() {
    set_num_threads(2);
    for (const std::string& level : test::levels()) {
        std::printf("-- %s\n", level.c_str());
        test::use_level(level);
        RUN((test_random<float, 300>));
        RUN((test_random<double, 100>));
        RUN((test_random<Half, 50>));
        RUN((test_random<BFloat16, 50>));
        RUN(test_shapes<float>);
        RUN(test_shapes<double>);
        RUN(test_shapes<Half>);
        RUN(test_winograd);
        RUN(test_many_images);
        RUN(test_threads<float>);
        RUN(test_threads<double>);
    }
    return summary();
}
