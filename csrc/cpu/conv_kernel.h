#pragma once

#include "cpu/gemm_pack.h"

// The tiles of convolution. They differ from the matrix product's in that one operand is read where
// it lies in the image, through a table of offsets, so that no matrix of patches is ever built.
namespace ember::cpu::EMBER_LEVEL {
namespace {

// out[i][j] (+)= sum over p of rows[i][offsets[p]] * b[p][j], b packed in strips. Forward, rows are
// pixels, p taps and j output channels; for the weight's gradient rows are taps and p pixels.
template <class T>
struct GatherCall {
    int64_t depth;
    const T* const* rows;
    const int64_t* offsets;
    const T* b;
    T* out;
    int64_t out_row;
    bool accumulate;
};

template <class T, int Rows, int Vectors>
void gather_tile(const GatherCall<T>& call) {
    using V = Vec<T>;
    V acc[Rows][Vectors];
#pragma GCC unroll 14
    for (int i = 0; i < Rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < Vectors; j++) acc[i][j] = V{Raw<T>{}};
    const T* rows[Rows];
#pragma GCC unroll 14
    for (int i = 0; i < Rows; i++) rows[i] = call.rows[i];
    const T* b = call.b;
    const int64_t* offsets = call.offsets;
    for (int64_t p = call.depth; p > 0; p--) {
        const int64_t offset = *offsets++;
        V row[Vectors];
#pragma GCC unroll 2
        for (int j = 0; j < Vectors; j++) row[j] = V::load(b + j * V::size);
#pragma GCC unroll 14
        for (int i = 0; i < Rows; i++) {
            V x(rows[i][offset]);
#pragma GCC unroll 2
            for (int j = 0; j < Vectors; j++) acc[i][j] += x * row[j];
        }
        b += TileShape<T>::kColumns;
    }
    if (call.accumulate) {
#pragma GCC unroll 14
        for (int i = 0; i < Rows; i++)
#pragma GCC unroll 2
            for (int j = 0; j < Vectors; j++)
                acc[i][j] += V::load(call.out + i * call.out_row + j * V::size);
    }
#pragma GCC unroll 14
    for (int i = 0; i < Rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < Vectors; j++)
            acc[i][j].store(call.out + i * call.out_row + j * V::size);
}

// out[i][v] = sum over p of a[p][i] * the register at source[v] + offsets[p], plus bias: rows are
// output channels, each register holds pixels of one row of the image.
template <class T>
struct PixelCall {
    int64_t depth;
    const T* a;  // panels as of the matrix product
    const int64_t* offsets;
    const T* const* source;
    T* const* out;          // of the first channel
    const int64_t* counts;  // pixels to be stored from each register
    int64_t out_row;        // between channels
    const T* bias;          // or null
};

template <class T, int Rows, int Vectors>
void pixel_tile(const PixelCall<T>& call) {
    using V = Vec<T>;
    V acc[Rows][Vectors];
#pragma GCC unroll 14
    for (int i = 0; i < Rows; i++) {
        V bias(call.bias ? call.bias[i] : T(0));
#pragma GCC unroll 8
        for (int j = 0; j < Vectors; j++) acc[i][j] = bias;
    }
    const T* source[Vectors];
#pragma GCC unroll 8
    for (int j = 0; j < Vectors; j++) source[j] = call.source[j];
    const T* a = call.a;
    const int64_t* offsets = call.offsets;
    for (int64_t p = call.depth; p > 0; p--) {
        const int64_t offset = *offsets++;
        V pixels[Vectors];
#pragma GCC unroll 8
        for (int j = 0; j < Vectors; j++) pixels[j] = V::load(source[j] + offset);
#pragma GCC unroll 14
        for (int i = 0; i < Rows; i++) {
            V x(a[i]);
#pragma GCC unroll 8
            for (int j = 0; j < Vectors; j++) acc[i][j] += x * pixels[j];
        }
        a += TileShape<T>::kPanelRows;
    }
#pragma GCC unroll 8
    for (int j = 0; j < Vectors; j++) {
        T* out = call.out[j];
        const int64_t count = call.counts[j];
        if (count == V::size) {
#pragma GCC unroll 14
            for (int i = 0; i < Rows; i++) acc[i][j].store(out + i * call.out_row);
        } else {
#pragma GCC unroll 14
            for (int i = 0; i < Rows; i++) store_first(acc[i][j], out + i * call.out_row, count);
        }
    }
}

// Pixels of one channel from one channel: `Taps` rows of weights, of which a row of the source that
// is loaded once serves all rows of the output that it reaches.
template <class T>
struct PlaneCall {
    int64_t columns;  // of the weight
    const T* weight;  // a panel as of the matrix product
    int64_t weight_row;
    const int64_t* shift;  // of the columns in a row of the source
    const T* source;
    int64_t source_row;
    T* out;
    int64_t out_row, count;  // pixels of a row, to be stored
    T bias;
};
constexpr int kPlaneRows = 4;  // of the output

template <class T, int Taps, int Step, int Vectors>
void plane_tile(const PlaneCall<T>& call) {
    using V = Vec<T>;
    V acc[kPlaneRows][Vectors];
#pragma GCC unroll 4
    for (int y = 0; y < kPlaneRows; y++)
#pragma GCC unroll 2
        for (int j = 0; j < Vectors; j++) acc[y][j] = V(call.bias);
    for (int64_t s = 0; s < call.columns; s++) {
        const T* source = call.source + call.shift[s];
        const T* weight = call.weight + s * TileShape<T>::kPanelRows;
        V taps[Taps];
#pragma GCC unroll 7
        for (int t = 0; t < Taps; t++) taps[t] = V(weight[t * call.weight_row]);
#pragma GCC unroll 16
        for (int row = 0; row < (kPlaneRows - 1) * Step + Taps; row++) {
            V pixels[Vectors];
#pragma GCC unroll 2
            for (int j = 0; j < Vectors; j++)
                pixels[j] = V::load(source + row * call.source_row + j * V::size);
#pragma GCC unroll 4
            for (int y = 0; y < kPlaneRows; y++) {
                if (row < y * Step || row >= y * Step + Taps) continue;
#pragma GCC unroll 2
                for (int j = 0; j < Vectors; j++) acc[y][j] += taps[row - y * Step] * pixels[j];
            }
        }
    }
#pragma GCC unroll 4
    for (int y = 0; y < kPlaneRows; y++)
#pragma GCC unroll 2
        for (int j = 0; j < Vectors; j++) {
            const int64_t count = call.count - j * V::size;
            if (count > 0)
                store_first(acc[y][j], call.out + y * call.out_row + j * V::size,
                            count < V::size ? count : V::size);
        }
}

// out[i * out_row + t] = sum over the pixels of grad[i] * image[t], each plane read row by row in
// registers: the weight's gradient where output channels are few.
template <class T>
struct DotCall {
    int64_t height, width;
    const T* grad;
    int64_t grad_plane;
    const T* image;
    int64_t image_row;
    const int64_t* offsets;  // of the taps
    T* out;
    int64_t out_row;
    bool accumulate;
};

template <class T, int Channels, int Taps>
void dot_tile(const DotCall<T>& call) {
    using V = Vec<T>;
    V acc[Channels][Taps];
#pragma GCC unroll 4
    for (int i = 0; i < Channels; i++)
#pragma GCC unroll 5
        for (int t = 0; t < Taps; t++) acc[i][t] = V{Raw<T>{}};
    const T* image[Taps];
#pragma GCC unroll 5
    for (int t = 0; t < Taps; t++) image[t] = call.image + call.offsets[t];
    for (int64_t y = 0; y < call.height; y++)
        for (int64_t x = 0; x < call.width; x += V::size) {
            const int64_t count = call.width - x < V::size ? call.width - x : V::size;
            const T* from = call.grad + y * call.width + x;
            V grad[Channels];
#pragma GCC unroll 4
            for (int i = 0; i < Channels; i++)
                grad[i] = load_lanes<T>(from + i * call.grad_plane, count);
#pragma GCC unroll 5
            for (int t = 0; t < Taps; t++) {
                V pixels = load_lanes<T>(image[t] + y * call.image_row + x, count);
#pragma GCC unroll 4
                for (int i = 0; i < Channels; i++) acc[i][t] += grad[i] * pixels;
            }
        }
#pragma GCC unroll 4
    for (int i = 0; i < Channels; i++)
#pragma GCC unroll 5
        for (int t = 0; t < Taps; t++) {
            T* out = call.out + i * call.out_row + t;
            *out = (call.accumulate ? *out : T(0)) + reduce_add(acc[i][t]);
        }
}
constexpr int kDotTaps = 5;
constexpr int kDotChannels = EMBER_VECTOR_BYTES == 64 ? 3 : 2;
template <class T>
struct DotTiles {
    template <int C>
    struct Of {
        static constexpr void (*table[])(const DotCall<T>&) = {dot_tile<T, C, 1>, dot_tile<T, C, 2>,
                                                               dot_tile<T, C, 3>, dot_tile<T, C, 4>,
                                                               dot_tile<T, C, 5>};
    };
};

template <class T, class = std::make_integer_sequence<int, TileShape<T>::kRows>>
struct ConvTiles;
template <class T, int... I>
struct ConvTiles<T, std::integer_sequence<int, I...>> {
    using Gather = void (*)(const GatherCall<T>&);
    using Pixel = void (*)(const PixelCall<T>&);
    static constexpr Gather gather[][2] = {{gather_tile<T, I + 1, 1>, gather_tile<T, I + 1, 2>}...};
    static constexpr Pixel pixel[] = {pixel_tile<T, I + 1, 2>...};
};

// table[step - 1][vectors - 1], or null where there are no tiles of so many rows of taps.
template <class T>
using PlaneFn = void (*)(const PlaneCall<T>&);
template <class T, int Taps>
constexpr PlaneFn<T> kPlaneTiles[2][2] = {{plane_tile<T, Taps, 1, 1>, plane_tile<T, Taps, 1, 2>},
                                          {plane_tile<T, Taps, 2, 1>, plane_tile<T, Taps, 2, 2>}};
template <class T>
EMBER_INLINE const PlaneFn<T>* plane_tiles(int64_t taps, int64_t step) {
    if (step < 1 || step > 2) return nullptr;
    if (taps == 3) return kPlaneTiles<T, 3>[step - 1];
    if (taps == 5) return kPlaneTiles<T, 5>[step - 1];
    return taps == 7 ? kPlaneTiles<T, 7>[step - 1] : nullptr;
}

// A tile of pixels by channels goes to its channels' planes: pixels side by side at out. It is read
// up to a multiple of kLanes pixels.
template <class T>
EMBER_NOINLINE void store_channels(const T* tile, int64_t pixels, int64_t channels, const T* bias,
                                   T* out, int64_t plane, int64_t stride = TileShape<T>::kColumns) {
    constexpr int64_t kLanes = Vec<T>::size;
    for (int64_t c = 0; c < channels; c += kLanes)
        for (int64_t q = 0; q < pixels; q += kLanes) {
            const int64_t count = pixels - q < kLanes ? pixels - q : kLanes;
            Vec<T> block[kLanes];
#pragma GCC unroll 16
            for (int i = 0; i < kLanes; i++) block[i] = Vec<T>::load(tile + (q + i) * stride + c);
            transpose_rounds<T, kLanes / 2>(block);
#pragma GCC unroll 16
            for (int i = 0; i < kLanes; i++) {
                if (c + i >= channels) break;
                if (bias) block[i] += Vec<T>(bias[c + i]);
                store_first(block[i], out + (c + i) * plane + q, count);
            }
        }
}

// Registers of pixels that a tile of one channel takes, as in depthwise convolutions.
constexpr int kWide = EMBER_VECTOR_BYTES == 64 ? 8 : 4;

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
