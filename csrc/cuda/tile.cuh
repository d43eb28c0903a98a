#pragma once

#include "cuda/common.cuh"

// One product of matrices by tiles in shared memory, for matrix products and, as implicit ones, for
// convolutions: what stands at (row, k) and (k, column), and where a result goes, are functions.
namespace ember::cuda {

constexpr int kTile = 64, kTileK = 16, kTileThreads = 256;

// Halves accumulate in float, integers in int64.
template <class T>
using Accumulate = std::conditional_t<std::is_integral_v<T>, int64_t, Compute<T>>;

// a(z, row, k), b(z, k, column), store(z, split, row, column, sum) for z below `batch`; the
// products of split s are those of [s * chunk, (s + 1) * chunk). `rows_inner` and `columns_inner`
// say along which of their two numbers memory runs.
template <class T, class A, class B, class Store>
__global__ void __launch_bounds__(kTileThreads)
    tile_kernel(const A a, const B b, const Store store, int64_t batch, int splits, int64_t m,
                int64_t n, int64_t k, int64_t chunk) {
    using C = Accumulate<T>;
    __shared__ C as[kTileK][kTile + 1], bs[kTileK][kTile + 1];
    int64_t across = (n + kTile - 1) / kTile;
    int64_t row0 = blockIdx.x / across * kTile, column0 = blockIdx.x % across * kTile;
    int row_of = threadIdx.x / 16, column_of = threadIdx.x % 16;  // of a 16 by 16 grid of threads
    for (int64_t z = blockIdx.y; z < batch * splits; z += gridDim.y) {
        int64_t item = z / splits;
        int split = int(z % splits);
        int64_t begin = split * chunk, end = begin + chunk < k ? begin + chunk : k;
        C sums[4][4] = {};
        for (int64_t k0 = begin; k0 < end; k0 += kTileK) {
            for (int i = threadIdx.x; i < kTile * kTileK; i += kTileThreads) {
                int r = a.rows_inner ? i % kTile : i / kTileK;
                int q = a.rows_inner ? i / kTile : i % kTileK;
                bool inside = row0 + r < m && k0 + q < end;
                as[q][r] = inside ? C(a(item, row0 + r, k0 + q)) : C(0);
                int c = b.columns_inner ? i % kTile : i / kTileK;
                q = b.columns_inner ? i / kTile : i % kTileK;
                inside = column0 + c < n && k0 + q < end;
                bs[q][c] = inside ? C(b(item, k0 + q, column0 + c)) : C(0);
            }
            __syncthreads();
#pragma unroll 4
            for (int q = 0; q < kTileK; q++) {
                C x[4], y[4];
                for (int i = 0; i < 4; i++) x[i] = as[q][row_of + 16 * i];
                for (int j = 0; j < 4; j++) y[j] = bs[q][column_of + 16 * j];
                for (int i = 0; i < 4; i++)
                    for (int j = 0; j < 4; j++) sums[i][j] += x[i] * y[j];
            }
            __syncthreads();
        }
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++) {
                int64_t row = row0 + row_of + 16 * i, column = column0 + column_of + 16 * j;
                if (row < m && column < n) store(item, split, row, column, sums[i][j]);
            }
    }
}

template <class T, class A, class B, class Store>
void run_tiles(const Context& context, const A& a, const B& b, const Store& store, int64_t batch,
               int64_t m, int64_t n, int64_t k, int splits = 1) {
    int64_t tiles = ceil_div(m, kTile) * ceil_div(n, kTile);
    if (tiles == 0 || batch == 0) return;
    EMBER_CHECK(tiles <= INT32_MAX, "%s: a product of %ld by %ld is too large for one launch",
                context.operation, long(m), long(n));
    dim3 grid(unsigned(tiles), unsigned(clamp_to(batch * splits, 1, 65535)));
    int64_t chunk = ceil_div(ceil_div(k, splits), kTileK) * kTileK;
    run(context, tile_kernel<T, A, B, Store>, grid, dim3(kTileThreads), a, b, store, batch, splits,
        m, n, k, chunk);
}

}  // namespace ember::cuda
