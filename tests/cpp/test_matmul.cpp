// Matrix products of small whole numbers, so that every level must give the exact result of a plain
// double loop; and the same bits at any number of threads.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "kernel_test.h"
#include "kernels/matmul.h"

using namespace ember;
using namespace ember::test;
using kernels::Gemm;

namespace {

// A matrix for each of `batch`, row- or column-major or neither, amid NaN (or a large number) that
// must not be read.
template <class T>
struct Matrix {
    std::vector<T> items;
    int64_t batch_stride, row, col;

    Matrix(int64_t batch, int64_t rows, int64_t cols, int layout, bool shared = false) {
        const int64_t gap = pick(0, 3);
        if (layout == 0) col = 1, row = cols + gap, batch_stride = row * rows + gap;
        if (layout == 1) row = 1, col = rows + gap, batch_stride = col * cols + gap;
        if (layout == 2) col = 3, row = 3 * cols + gap, batch_stride = row * rows;
        items.assign(size_t(batch_stride * (shared ? 1 : batch) + 64),
                     stored<T>(std::is_integral_v<T> ? 99 : NAN));
        if (shared) batch_stride = 0;
        for (int64_t b = 0; b < (shared ? 1 : batch); b++)
            for (int64_t i = 0; i < rows; i++)
                for (int64_t j = 0; j < cols; j++)
                    at(b, i, j) = stored<T>(double(pick(std::is_unsigned_v<T> ? 0 : -3, 3)));
    }
    T& at(int64_t b, int64_t i, int64_t j) {
        return items[size_t(b * batch_stride + i * row + j * col)];
    }
};

struct Case {
    int64_t batch, m, n, k;
    int a, b, c;  // layouts
    bool shared_a = false, shared_b = false, bias = false, relu = false;
    double alpha = 1, beta = 0;
};

template <class T>
bool agrees(const Case& t) {
    Matrix<T> a(t.batch, t.m, t.k, t.a, t.shared_a), b(t.batch, t.k, t.n, t.b, t.shared_b);
    Matrix<T> c(t.batch, t.m, t.n, t.c), bias(1, 1, t.n, 0);
    if (t.beta == 0)
        for (T& item : c.items) item = stored<T>(std::is_integral_v<T> ? 99 : NAN);
    Matrix<T> expected = c;
    for (int64_t p = 0; p < t.batch; p++)
        for (int64_t i = 0; i < t.m; i++)
            for (int64_t j = 0; j < t.n; j++) {
                double sum = 0;
                for (int64_t q = 0; q < t.k; q++)
                    sum += value_of(a.at(p, i, q)) * value_of(b.at(p, q, j));
                sum *= t.alpha;
                if (t.beta != 0) sum += t.beta * value_of(c.at(p, i, j));
                if (t.bias) sum += value_of(bias.at(0, 0, j));
                if (t.relu && sum < 0) sum = 0;
                expected.at(p, i, j) = stored<T>(sum);
            }
    Gemm g;
    g.batch = t.batch, g.m = t.m, g.n = t.n, g.k = t.k;
    g.a = a.items.data(), g.a_batch = a.batch_stride, g.a_row = a.row, g.a_col = a.col;
    g.b = b.items.data(), g.b_batch = b.batch_stride, g.b_row = b.row, g.b_col = b.col;
    g.c = c.items.data(), g.c_batch = c.batch_stride, g.c_row = c.row, g.c_col = c.col;
    if (t.bias) g.bias = bias.items.data();
    g.alpha = t.alpha, g.beta = t.beta, g.dtype = DTypeOf<T>::value;
    if (t.relu) g.activation = Gemm::Activation::Relu;
    Context context;
    kernels::gemm(DeviceType::CPU, context, g);
    const bool same =
        std::memcmp(c.items.data(), expected.items.data(), c.items.size() * sizeof(T)) == 0;
    if (!same)
        std::fprintf(stderr,
                     "%s batch %ld (%ld, %ld, %ld) layouts %d%d%d bias %d relu %d beta %g\n",
                     dtype_name(g.dtype), long(t.batch), long(t.m), long(t.n), long(t.k), t.a, t.b,
                     t.c, t.bias, t.relu, t.beta);
    return same;
}

const int64_t kSizes[] = {1,  2,  3,  4,  5,  7,  8,  9,  14, 15, 16,
                          17, 28, 29, 31, 32, 33, 48, 63, 65, 100};

template <class T, int Cases>
void test_random() {
    for (int i = 0; i < Cases; i++) {
        auto size = [] { return kSizes[pick(0, std::size(kSizes) - 1)]; };
        Case t{pick(0, 3) ? 1 : pick(0, 5),
               size(),
               size(),
               size(),
               int(pick(0, 2)),
               int(pick(0, 2)),
               int(pick(0, 1))};
        if (pick(0, 9) == 0) t.k = 0;
        if (pick(0, 15) == 0) t.m = 0;
        if (pick(0, 15) == 0) t.n = 0;
        t.shared_a = pick(0, 3) == 0;
        t.shared_b = pick(0, 3) == 0;
        t.bias = pick(0, 1);
        t.relu = pick(0, 2) == 0;
        t.alpha = std::is_integral_v<T> ? double(pick(1, 2)) : double(pick(1, 4)) / 2;
        t.beta = double(pick(0, 2));
        CHECK(agrees<T>(t));
    }
}

template <class T>
void test_large() {
    // Deep, wide, tall, rows a page apart, and more of B than is packed at one time.
    CHECK(agrees<T>({1, 40, 40, 700, 0, 0, 0, false, false, true, true, 1, 2}));
    CHECK(agrees<T>({1, 40, 40, 700, 1, 1, 1, false, false, true, true, 1, 2}));
    CHECK(agrees<T>({1, 3, 2100, 40, 0, 0, 0}));
    CHECK(agrees<T>({1, 3, 2100, 40, 0, 1, 0}));
    CHECK(agrees<T>({1, 2100, 3, 40, 0, 0, 0}));
    CHECK(agrees<T>({1, 130, 1030, 300, 0, 0, 0, false, false, true, false, 2, 1}));
    CHECK(agrees<T>({1, 130, 1030, 300, 0, 1, 0, false, false, true, true, 2, 1}));
    CHECK(agrees<T>({1, 70, 200, 1100, 0, 1, 0}));
    CHECK(agrees<T>({1, 230, 300, 1100, 1, 0, 0, false, false, true, false, 1, 1}));
    CHECK(agrees<T>({1, 230, 1030, 130, 0, 0, 0, false, false, true, true, 1, 1}));
    CHECK(agrees<T>({3, 120, 130, 110, 0, 1, 0, false, true, true}));
    CHECK(agrees<T>({3, 120, 130, 110, 0, 1, 0, true, false, true}));
}

void test_packed_in_groups() {
    CHECK(agrees<float>({1, 30, 2200, 4200, 0, 1, 0, false, false, true, true, 1, 1}));
    CHECK(agrees<BFloat16>({1, 5, 2200, 4200, 0, 1, 0, false, false, true, true, 1, 1}));
}

void test_nan_and_relu() {
    float a[2] = {1, NAN}, b[1] = {-1}, c[2];
    Gemm g;
    g.m = 2, g.n = 1, g.k = 1;
    g.a = a, g.a_row = 1, g.a_col = 1, g.b = b, g.b_row = 1, g.b_col = 1;
    g.c = c, g.c_row = 1, g.activation = Gemm::Activation::Relu;
    Context context;
    kernels::gemm(DeviceType::CPU, context, g);
    CHECK(c[0] == 0);
    CHECK(std::isnan(c[1]));
}

// Random reals: any order of summation would show.
void test_threads() {
    for (int64_t size : {64, 96, 130, 257, 400}) {
        for (int layout : {0, 1}) {
            Matrix<float> a(2, size, size, 0), b(2, size, size, layout);
            for (float& x : a.items) x = std::sin(float(&x - a.items.data()));
            for (float& x : b.items) x = std::cos(float(&x - b.items.data()));
            std::vector<float> first(size_t(2 * size * size)), other(first.size());
            for (int threads : {1, 2, 4}) {
                set_num_threads(threads);
                Gemm g;
                g.batch = 2, g.m = g.n = g.k = size;
                g.a = a.items.data(), g.a_batch = a.batch_stride, g.a_row = a.row, g.a_col = a.col;
                g.b = b.items.data(), g.b_batch = b.batch_stride, g.b_row = b.row, g.b_col = b.col;
                g.c = (threads == 1 ? first : other).data();
                g.c_batch = size * size, g.c_row = size;
                Context context;
                kernels::gemm(DeviceType::CPU, context, g);
                if (threads > 1)
                    CHECK(!std::memcmp(first.data(), other.data(), first.size() * sizeof(float)));
            }
        }
    }
}

}  // namespace

int main() {
    set_num_threads(2);
    for (const std::string& level : test::levels()) {
        std::printf("-- %s\n", level.c_str());
        test::use_level(level);
        RUN((test_random<float, 600>));
        RUN((test_random<double, 300>));
        RUN((test_random<Half, 200>));
        RUN((test_random<BFloat16, 200>));
        RUN((test_random<uint8_t, 60>));
        RUN((test_random<int8_t, 60>));
        RUN((test_random<int16_t, 60>));
        RUN((test_random<int32_t, 60>));
        RUN((test_random<int64_t, 60>));
        RUN(test_large<float>);
        RUN(test_large<double>);
        RUN(test_large<Half>);
        RUN(test_large<int32_t>);
        RUN(test_packed_in_groups);
        RUN(test_nan_and_relu);
        RUN(test_threads);
    }
    return summary();
}
