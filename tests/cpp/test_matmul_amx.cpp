// The AMX kernel's packing, indexing and edges, with the tile operations emulated, so that they are
// tested on machines without AMX.
#define EMBER_LEVEL amx_emulated
#include <array>
#include <cmath>

#include "amx_emulation.h"
#include "cpu/matmul_amx.cpp"
#include "cpu/vec.h"
#include "kernel_test.h"

using namespace ember;
using namespace ember::test;
using kernels::Gemm;

namespace {

bool below_ran = false;
void below(Context&, const Gemm&) { below_ran = true; }

struct Matrix {
    std::vector<BFloat16> items;
    int64_t batch, row, col;
    Matrix(int64_t count, int64_t rows, int64_t cols, int layout) {
        const int64_t gap = pick(0, 3);
        row = layout == 0 ? cols + gap : 1;
        col = layout == 0 ? 1 : rows + gap;
        batch = (layout == 0 ? row * rows : col * cols) + gap;
        items.assign(size_t(batch * count), to_bfloat16(NAN));  // not to be read
        for (int64_t n = 0; n < count; n++)
            for (int64_t i = 0; i < rows; i++)
                for (int64_t j = 0; j < cols; j++) at(n, i, j) = to_bfloat16(float(pick(-3, 3)));
    }
    BFloat16& at(int64_t n, int64_t i, int64_t j) {
        return items[size_t(n * batch + i * row + j * col)];
    }
};

bool agrees(int64_t batch, int64_t m, int64_t n, int64_t k, bool extras) {
    Matrix a(batch, m, k, int(pick(0, 1))), b(batch, k, n, int(pick(0, 1)));
    Matrix c(batch, m, n, int(pick(0, 1))), bias(1, 1, n, 0);
    Gemm g;
    g.batch = batch, g.m = m, g.n = n, g.k = k, g.dtype = DType::BFloat16;
    g.a = a.items.data(), g.a_batch = a.batch, g.a_row = a.row, g.a_col = a.col;
    g.b = b.items.data(), g.b_batch = b.batch, g.b_row = b.row, g.b_col = b.col;
    if (extras) {
        g.alpha = 0.5, g.beta = 2, g.bias = bias.items.data();
        g.activation = Gemm::Activation::Relu;
    }
    Matrix expected = c;
    for (int64_t p = 0; p < batch; p++)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                float sum = 0;
                for (int64_t q = 0; q < k; q++)
                    sum += to_float(a.at(p, i, q)) * to_float(b.at(p, q, j));
                if (extras)
                    sum = std::fmax(
                        0.f, sum / 2 + 2 * to_float(c.at(p, i, j)) + to_float(bias.at(0, 0, j)));
                expected.at(p, i, j) = to_bfloat16(sum);
            }
    if (!extras)
        for (int64_t p = 0; p < batch; p++)
            for (int64_t i = 0; i < m; i++)
                for (int64_t j = 0; j < n; j++) c.at(p, i, j) = to_bfloat16(NAN);
    g.c = c.items.data(), g.c_batch = c.batch, g.c_row = c.row, g.c_col = c.col;
    below_ran = false;
    {
        Context context;
        kernels::gemm(DeviceType::CPU, context, g);
    }
    return !below_ran &&
           !std::memcmp(c.items.data(), expected.items.data(), c.items.size() * sizeof(BFloat16));
}

void test_products() {
    for (auto [m, n, k] : std::vector<std::array<int64_t, 3>>{{32, 32, 64},
                                                              {33, 65, 63},
                                                              {8, 300, 40},
                                                              {100, 40, 129},
                                                              {64, 544, 33},
                                                              {40, 48, 1000}})
        for (int64_t batch : {1, 3})
            for (bool extras : {false, true}) CHECK(agrees(batch, m, n, k, extras));
    CHECK(!amx_emulation::broken);
    CHECK(!amx_emulation::tiles.configured);
}

void test_others_go_below() {
    for (DType dtype : {DType::Float32, DType::BFloat16}) {
        Gemm g;
        g.m = g.n = g.k = dtype == DType::Float32 ? 64 : 4;
        g.dtype = dtype;
        below_ran = false;
        Context context;
        kernels::gemm(DeviceType::CPU, context, g);
        CHECK(below_ran);
    }
}

}  // namespace

int main() {
    set_num_threads(2);
    Table table{DeviceType::CPU};
    table.set(kernels::gemm, below, kNumeric);
    cpu::amx_emulated::register_matmul_amx(table);
    RUN(test_products);
    RUN(test_others_go_below);
    return summary();
}
