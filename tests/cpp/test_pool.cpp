// Pooling against its plain definition, at every level.
#include <cmath>
#include <cstdio>
#include <limits>
#include <vector>

#include "core/parallel.h"
#include "kernel_test.h"
#include "kernels/pool.h"

using namespace ember;
using namespace ember::test;
using kernels::Pool2d;

namespace {

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// A pooling whose windows each hold an item of the plane at least, as the operations guarantee.
Pool2d random_pool(bool dilated) {
    for (;;) {
        Pool2d g;
        g.planes = pick(0, 5);
        g.h = pick(1, 20), g.w = pick(1, 70);
        const bool ceil_mode = pick(0, 1);
        bool good = true;
        for (int d = 0; d < 2; d++) {
            const int64_t size = d ? g.w : g.h;
            g.kernel[d] = pick(1, 4);
            g.stride[d] = pick(1, 4);
            g.pad[d] = pick(0, g.kernel[d] / 2);
            g.dilation[d] = dilated ? pick(1, 2) : 1;
            const int64_t span = size + 2 * g.pad[d] - g.dilation[d] * (g.kernel[d] - 1) - 1;
            good = good && span >= 0;
            int64_t out = (span + (ceil_mode ? g.stride[d] - 1 : 0)) / g.stride[d] + 1;
            if (ceil_mode && (out - 1) * g.stride[d] >= size + g.pad[d]) out--;
            (d ? g.out_w : g.out_h) = out;
            for (int64_t x = 0; x < out; x++) {
                bool any = false;
                for (int64_t t = 0; t < g.kernel[d]; t++) {
                    const int64_t at = x * g.stride[d] - g.pad[d] + t * g.dilation[d];
                    any = any || (at >= 0 && at < size);
                }
                good = good && any;
            }
        }
        if (good) return g;
    }
}

template <class T>
void test_max() {
    for (int i = 0; i < 200; i++) {
        Pool2d g = random_pool(true);
        if (i % 4 == 0) {
            g = Pool2d{};
            g.planes = 3, g.h = pick(2, 12), g.w = pick(2, 80);
            g.out_h = g.h / 2, g.out_w = g.w / 2;
            for (int d = 0; d < 2; d++) g.kernel[d] = g.stride[d] = 2;
        }
        g.dtype = DTypeOf<T>::value;
        std::vector<T> in(size_t(g.planes * g.h * g.w) + 1, stored<T>(7));
        for (T& x : in) {
            x = stored<T>(double(pick(std::is_unsigned_v<T> ? 0 : -4, 4)));
            if (is_floating(g.dtype) && pick(0, 40) == 0)
                x = stored<T>(pick(0, 1) ? NAN : -INFINITY);
        }
        const size_t outputs = size_t(g.planes * g.out_h * g.out_w);
        std::vector<T> out(outputs + 1, stored<T>(9)), expected = out;
        std::vector<int64_t> indices(outputs + 1, -7), expected_indices = indices;
        size_t o = 0;
        for (int64_t p = 0; p < g.planes; p++)
            for (int64_t y = 0; y < g.out_h; y++)
                for (int64_t x = 0; x < g.out_w; x++, o++) {
                    bool any = false;
                    for (int64_t r = 0; r < g.kernel[0]; r++)
                        for (int64_t s = 0; s < g.kernel[1]; s++) {
                            const int64_t h = y * g.stride[0] - g.pad[0] + r * g.dilation[0];
                            const int64_t w = x * g.stride[1] - g.pad[1] + s * g.dilation[1];
                            if (h < 0 || h >= g.h || w < 0 || w >= g.w) continue;
                            const T item = in[size_t((p * g.h + h) * g.w + w)];
                            const double v = value_of(item);
                            if (any && !(v > value_of(expected[o])) && !std::isnan(v)) continue;
                            any = true;
                            expected[o] = item;
                            expected_indices[o] = h * g.w + w;
                        }
                }
        g.input = in.data(), g.output = out.data(), g.indices = indices.data();
        {
            Context context;
            kernels::max_pool2d(DeviceType::CPU, context, g);
        }
        const bool ok = same_bits(out, expected) && indices == expected_indices;
        if (!ok)
            std::fprintf(
                stderr,
                "%s (%ld, %ld) kernel %ld %ld stride %ld %ld pad %ld %ld dilation %ld %ld\n",
                dtype_name(g.dtype), long(g.h), long(g.w), long(g.kernel[0]), long(g.kernel[1]),
                long(g.stride[0]), long(g.stride[1]), long(g.pad[0]), long(g.pad[1]),
                long(g.dilation[0]), long(g.dilation[1]));
        CHECK(ok);
        if constexpr (!std::is_integral_v<T>) {
            std::vector<T> grad(outputs + 1), sums(in.size(), stored<T>(5)), expected_sums;
            for (T& x : grad) x = stored<T>(double(pick(-3, 3)));
            std::vector<double> exact(in.size(), 0.0);
            for (size_t k = 0; k < outputs; k++)
                exact[k / size_t(g.out_h * g.out_w) * size_t(g.h * g.w) + size_t(indices[k])] +=
                    value_of(grad[k]);
            for (double x : exact) expected_sums.push_back(stored<T>(x));
            expected_sums.back() = stored<T>(5);
            g.input = sums.data(), g.output = grad.data();
            Context context;
            kernels::max_pool2d_backward(DeviceType::CPU, context, g);
            CHECK(same_bits(sums, expected_sums));
        }
    }
}

// Windows whose size is not a power of two round: exact division is compared in the type itself.
template <class T>
void test_average() {
    for (int i = 0; i < 200; i++) {
        Pool2d g = random_pool(false);
        g.dtype = DTypeOf<T>::value;
        g.count_include_pad = pick(0, 1);
        g.divisor = pick(0, 2) ? 0 : pick(1, 9);
        std::vector<T> in(size_t(g.planes * g.h * g.w) + 1), back(in.size(), stored<T>(5));
        for (T& x : in) x = stored<T>(double(pick(-4, 4)));
        const size_t outputs = size_t(g.planes * g.out_h * g.out_w);
        std::vector<T> out(outputs + 1, stored<T>(9)), expected = out, grad(outputs + 1);
        for (T& x : grad) x = stored<T>(double(pick(-4, 4)) * 36);
        std::vector<double> exact(in.size(), 0.0);
        size_t o = 0;
        for (int64_t p = 0; p < g.planes; p++)
            for (int64_t y = 0; y < g.out_h; y++)
                for (int64_t x = 0; x < g.out_w; x++, o++) {
                    double sum = 0;
                    int64_t inside = 0, padded = 0;
                    for (int pass = 0; pass < 2; pass++)
                        for (int64_t r = 0; r < g.kernel[0]; r++)
                            for (int64_t s = 0; s < g.kernel[1]; s++) {
                                const int64_t h = y * g.stride[0] - g.pad[0] + r;
                                const int64_t w = x * g.stride[1] - g.pad[1] + s;
                                if (pass == 0 && h < g.h + g.pad[0] && w < g.w + g.pad[1]) padded++;
                                if (h < 0 || h >= g.h || w < 0 || w >= g.w) continue;
                                const size_t at = size_t((p * g.h + h) * g.w + w);
                                if (pass == 0) {
                                    inside++;
                                    sum += value_of(in[at]);
                                    continue;
                                }
                                const int64_t by = g.divisor             ? g.divisor
                                                   : g.count_include_pad ? padded
                                                                         : inside;
                                exact[at] += value_of(grad[o]) / double(by);
                            }
                    const double by = double(g.divisor             ? g.divisor
                                             : g.count_include_pad ? padded
                                                                   : inside);
                    if constexpr (sizeof(T) == 8)
                        expected[o] = T(sum / by);
                    else
                        expected[o] = stored<T>(float(sum) / float(by));
                }
        g.input = in.data(), g.output = out.data();
        {
            Context context;
            kernels::avg_pool2d(DeviceType::CPU, context, g);
        }
        CHECK(same_bits(out, expected));
        g.input = back.data(), g.output = grad.data();
        {
            Context context;
            kernels::avg_pool2d_backward(DeviceType::CPU, context, g);
        }
        const double unit = sizeof(T) == 8 ? 1e-14 : sizeof(T) == 4 ? 1e-5 : 1e-2;
        bool near = value_of(back.back()) == 5;
        for (size_t k = 0; k + 1 < back.size(); k++)
            near = near && std::fabs(value_of(back[k]) - exact[k]) <= unit * (1 + 144 * 16);
        CHECK(near);
    }
}

}  // namespace

int main() {
    set_num_threads(2);
    for (const std::string& level : test::levels()) {
        std::printf("-- %s\n", level.c_str());
        test::use_level(level);
        RUN(test_max<float>);
        RUN(test_max<double>);
        RUN(test_max<Half>);
        RUN(test_max<BFloat16>);
        RUN(test_max<uint8_t>);
        RUN(test_max<int8_t>);
        RUN(test_max<int16_t>);
        RUN(test_max<int32_t>);
        RUN(test_max<int64_t>);
        RUN(test_average<float>);
        RUN(test_average<double>);
        RUN(test_average<Half>);
        RUN(test_average<BFloat16>);
    }
    return summary();
}
