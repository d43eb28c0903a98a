// The AMX kernel's packing, indexing and edges, with the tile operations emulated, so that they are
// tested on machines without AMX; its vectors need a processor of level bf16.
#define EMBER_LEVEL amx_emulated
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <csignal>
#include <limits>

#include "../amx_emulator/tiles.h"
#include "cpu/matmul_amx.cpp"
#include "kernel_test.h"

using namespace ember;
using namespace ember::test;
using kernels::Gemm;

namespace {

template <class T>
T as(double x) {
    if constexpr (std::is_same_v<T, BFloat16>)
        return to_bfloat16(float(x));
    else if constexpr (std::is_same_v<T, Half>)
        return to_half(float(x));
    else
        return T(x);
}
template <class T>
double number(T x) {
    if constexpr (std::is_class_v<T>)
        return to_float(x);
    else
        return double(x);
}

// What no kernel may read: it would show in every sum.
template <class T>
T poison() {
    if constexpr (std::is_integral_v<T>)
        return T(93);
    else
        return as<T>(double(NAN));
}

// Rows contiguous (layout 0), columns (1), or neither (2).
template <class T>
struct Matrix {
    std::vector<T> items;
    int64_t batch, row, col;
    Matrix(int64_t count, int64_t rows, int64_t cols, int layout) {
        const int64_t gap = pick(0, 3), step = layout == 2 ? 2 : 1;
        row = layout == 1 ? step : (cols + gap) * step;
        col = layout == 1 ? rows + gap : step;
        batch = (layout == 1 ? col * cols : row * rows) + gap;
        items.assign(size_t(batch * count), poison<T>());
        for (int64_t n = 0; n < count; n++)
            for (int64_t i = 0; i < rows; i++)
                for (int64_t j = 0; j < cols; j++) at(n, i, j) = as<T>(double(pick(-3, 3)));
    }
    T& at(int64_t n, int64_t i, int64_t j) { return items[size_t(n * batch + i * row + j * col)]; }
};

int below_ran = 0;

// The plain product, for what the tiles leave over.
void below(Context&, const Gemm& g) {
    below_ran++;
    if (g.dtype != DType::Float32) return;
    const float *a = static_cast<const float*>(g.a), *b = static_cast<const float*>(g.b);
    const float* bias = static_cast<const float*>(g.bias);
    float* c = static_cast<float*>(g.c);
    for (int64_t i = 0; i < g.m; i++)
        for (int64_t j = 0; j < g.n; j++) {
            float sum = 0;
            for (int64_t q = 0; q < g.k; q++)
                sum += a[i * g.a_row + q * g.a_col] * b[q * g.b_row + j * g.b_col];
            float& to = c[i * g.c_row + j * g.c_col];
            sum *= float(g.alpha);
            if (g.beta != 0) sum += float(g.beta) * to;
            if (bias) sum += bias[j];
            to = sum;
        }
}

constexpr DType dtype_of_item(BFloat16) { return DType::BFloat16; }
constexpr DType dtype_of_item(Half) { return DType::Float16; }
constexpr DType dtype_of_item(float) { return DType::Float32; }
constexpr DType dtype_of_item(int8_t) { return DType::Int8; }

// S of A and B, C of C; small whole numbers, so that every rounding is exact.
template <class S, class C>
bool agrees(int64_t batch, int64_t m, int64_t n, int64_t k, bool extras,
            Gemm::Precision precision = Gemm::Precision::Medium) {
    Matrix<S> a(batch, m, k, int(pick(0, 2))), b(batch, k, n, int(pick(0, 2)));
    Matrix<C> c(batch, m, n, int(pick(0, 1))), bias(1, 1, n, 0);
    Gemm g;
    g.batch = batch, g.m = m, g.n = n, g.k = k;
    g.dtype = dtype_of_item(S{}), g.wide = !std::is_same_v<S, C>, g.precision = precision;
    g.a = a.items.data(), g.a_batch = a.batch, g.a_row = a.row, g.a_col = a.col;
    g.b = b.items.data(), g.b_batch = b.batch, g.b_row = b.row, g.b_col = b.col;
    const double alpha = 3, beta = 2;
    if (extras) {
        g.alpha = alpha, g.beta = beta, g.bias = bias.items.data();
        g.activation = Gemm::Activation::Relu;
    }
    Matrix<C> expected = c;
    for (int64_t p = 0; p < batch; p++)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                double sum = 0;
                for (int64_t q = 0; q < k; q++)
                    sum += number(a.at(p, i, q)) * number(b.at(p, q, j));
                if (extras) {
                    sum = alpha * sum + beta * number(c.at(p, i, j)) + number(bias.at(0, 0, j));
                    sum = std::fmax(0., sum);
                }
                if constexpr (std::is_integral_v<C>)
                    expected.at(p, i, j) = C(int64_t(sum));  // around, as in PyTorch
                else
                    expected.at(p, i, j) = as<C>(sum);
                if (!extras) c.at(p, i, j) = poison<C>();
            }
    g.c = c.items.data(), g.c_batch = c.batch, g.c_row = c.row, g.c_col = c.col;
    below_ran = 0;
    {
        Context context;
        kernels::gemm(DeviceType::CPU, context, g);
    }
    return below_ran == 0 && !amx_emulator::mine().configured &&
           !std::memcmp(c.items.data(), expected.items.data(), c.items.size() * sizeof(C));
}

template <class F>
void each_shape(F&& f) {
    for (auto [m, n, k] : std::vector<std::array<int64_t, 3>>{{32, 32, 64},
                                                              {33, 65, 63},
                                                              {8, 300, 40},
                                                              {100, 40, 129},
                                                              {64, 544, 33},
                                                              {40, 48, 2100},
                                                              {64, 32, 1024}})
        for (int64_t batch : {1, 3})
            for (bool extras : {false, true}) f(batch, m, n, k, extras);
}

void test_halves() {
    each_shape([](auto... x) {
        CHECK((agrees<BFloat16, BFloat16>(x...)));
        CHECK((agrees<Half, Half>(x...)));
    });
}
void test_float32_rounded() {
    each_shape([](auto... x) {
        CHECK((agrees<float, float>(x..., Gemm::Precision::Medium)));
        CHECK((agrees<float, float>(x..., Gemm::Precision::High)));
    });
}
void test_int8() {
    each_shape([](auto batch, auto m, auto n, auto k, bool extras) {
        CHECK((agrees<int8_t, int32_t>(batch, m, n, k, extras)));
        CHECK((agrees<int8_t, int8_t>(batch, m, n, k, false)));
    });
}

// In pieces of bfloat16 infinity times a number is NaN; the level below computes such blocks.
void test_infinity_in_pieces() {
    for (int layout : {0, 1}) {
        const int64_t m = 300, n = 96, k = 80;
        Matrix<float> a(1, m, k, 0), b(1, k, n, 1), c(1, m, n, layout), bias(1, 1, n, 0);
        a.at(0, 200, 7) = std::numeric_limits<float>::infinity();
        for (int64_t j = 0; j < n; j++) b.at(0, 7, j) = 1.3f;
        Gemm g;
        g.m = m, g.n = n, g.k = k, g.dtype = DType::Float32, g.precision = Gemm::Precision::High;
        g.beta = 1, g.bias = bias.items.data();
        g.a = a.items.data(), g.a_row = a.row, g.a_col = a.col;
        g.b = b.items.data(), g.b_row = b.row, g.b_col = b.col;
        Matrix<float> expected = c;
        g.c = c.items.data(), g.c_row = c.row, g.c_col = c.col;
        Context context;
        below_ran = 0;
        kernels::gemm(DeviceType::CPU, context, g);
        CHECK(below_ran > 0);
        Gemm plain = g;
        plain.c = expected.items.data();
        below(context, plain);
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                const float x = c.at(0, i, j), y = expected.at(0, i, j);
                CHECK(x == y || std::fabs(x - y) < 1e-3f);
            }
        CHECK(std::isinf(c.at(0, 200, 5)));
    }
}

template <class F>
bool aborts(F&& f) {
    const pid_t child = fork();
    if (child == 0) {
        if (!std::freopen("/dev/null", "w", stderr)) _exit(1);
        f();
        _exit(0);
    }
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
           WTERMSIG(status) == SIGABRT;
}

// What a processor answers with a fault.
void test_emulator_refuses() {
    auto config = [](int tiles, int rows, int row_bytes, int reserved) {
        alignas(64) uint8_t bytes[64] = {1};
        bytes[5] = uint8_t(reserved);
        for (int t = 0; t < tiles; t++)
            bytes[48 + t] = uint8_t(rows), bytes[16 + 2 * t] = uint8_t(row_bytes);
        _tile_loadconfig(bytes);
    };
    CHECK(!aborts([&] { config(8, 16, 64, 0), _tile_dpbf16ps(0, 4, 6), _tile_dpbssd(3, 5, 7); }));
    CHECK(aborts([] { _tile_zero(0); }));
    CHECK(aborts([&] { config(8, 16, 64, 0), _tile_release(), _tile_zero(0); }));
    CHECK(aborts([&] { config(4, 16, 64, 0), _tile_dpbf16ps(0, 1, 4); }));
    CHECK(aborts([&] { config(8, 16, 64, 0), _tile_dpbf16ps(0, 4, 4); }));
    CHECK(aborts([&] { config(8, 8, 64, 0), _tile_dpbssd(0, 4, 6); }));
    CHECK(aborts([&] { config(8, 17, 64, 0); }));
    CHECK(aborts([&] { config(8, 16, 65, 0); }));
    CHECK(aborts([&] { config(8, 16, 0, 0); }));
    CHECK(aborts([&] { config(9, 16, 64, 0); }));
    CHECK(aborts([&] { config(8, 16, 64, 1); }));
}

void test_others_go_below() {
    for (DType dtype : {DType::Float32, DType::BFloat16}) {
        float items[64 * 64] = {}, out[64 * 64];
        Gemm g;
        g.m = g.n = g.k = dtype == DType::Float32 ? 64 : 4;
        g.a = g.b = items, g.c = out;
        g.dtype = dtype;
        below_ran = 0;
        Context context;
        kernels::gemm(DeviceType::CPU, context, g);
        CHECK(below_ran == 1);
    }
}

}  // namespace

int main() {
    if (!machine_has("bf16")) {
        std::puts("skipped: this processor has no bfloat16");
        return 0;
    }
    RUN(test_emulator_refuses);
    set_num_threads(2);
    Table table{DeviceType::CPU};
    table.set(kernels::gemm, below, kNumeric);
    cpu::amx_emulated::register_matmul_amx(table);
    RUN(test_halves);
    RUN(test_float32_rounded);
    RUN(test_int8);
    RUN(test_infinity_in_pieces);
    RUN(test_others_go_below);
    return summary();
}
