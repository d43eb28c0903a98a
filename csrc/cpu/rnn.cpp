#include "kernels/rnn.h"

#include "cpu/gemm_pack.h"
#include "cpu/rows.h"
#include "kernels/formulas/pointwise.h"

// A task owns some sequences from their first step to their last: they do not meet the others, so
// there is nothing to wait for. Where one task has all of them, the columns of each step are cut.
namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Rnn;
using kernels::RnnBackward;
using Cell = Rnn::Cell;

constexpr int64_t kSequences = 8;         // that a task owns
constexpr int64_t kCellItems = 16384;     // of gates that deserve a task where there is no product
constexpr int64_t kColumnWork = 400'000;  // multiplications of a step that deserve a task

// The weight in strips of columns: strip s holds, for each block of the weight, (H, kColumns).
template <class T>
struct Packed {
    static constexpr int64_t kStrip = TileShape<T>::kColumns;
    const T* data;
    int64_t hidden;
    int blocks;
    EMBER_INLINE const T* strip(int64_t j, int block) const {
        return data + (j * blocks + block * kStrip) * hidden;
    }
};

// Strips of the columns of W^T, by which states are multiplied, or with `backward` of W, by which
// the gates' gradients are.
template <class T>
EMBER_NOINLINE Packed<T> pack_weight(Context& context, const Rnn& x, bool backward) {
    constexpr int64_t kStrip = Packed<T>::kStrip;
    const int64_t h = x.hidden, strips = ceil_div(h, kStrip);
    const int blocks = Rnn::weight_blocks(x.cell);
    T* data = context.scratch_of<T>(strips * kStrip * h * blocks);
    const Packed<T> packed{data, h, blocks};
    const T* weight = static_cast<const T*>(x.weight);
    const int64_t each = ceil_div(kGrainBytes * 2, h * kStrip * int64_t(sizeof(T)));
    parallel_for(strips * blocks, each, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            const int64_t j = i / blocks * kStrip, block = i % blocks;
            const T* from = weight + block * h * h + (backward ? j : j * h);
            pack(from, backward ? 1 : h, backward ? h : 1, least(kStrip, h - j), h,
                 data + (j * blocks + block * kStrip) * h, kStrip);
        }
    });
    return packed;
}

// c (rows, width) = beta c + a (rows, k) @ strip + bias. Few sizes of tiles, to keep the code
// small.
template <class T>
EMBER_NOINLINE void multiply(int64_t rows, int64_t k, const T* a, int64_t a_row, const T* strip,
                             T* c, int64_t c_row, int64_t width, T beta, const T* bias) {
    using Shape = TileShape<T>;
    constexpr int kLanes = Shape::kLanes, kMost = Shape::kRows >= 8 ? 8 : 4;
    TileCall<T> call;
    call.k = k;
    call.a_row = a_row;
    call.a_col = 1;
    call.b = strip;
    call.b_row = Shape::kColumns;
    call.c_row = c_row;
    const bool narrow = width <= kLanes;
    call.tail = narrow ? width : width - kLanes;
    call.epilogue.beta = beta;
    call.epilogue.column_bias = bias;
    auto run = [&](auto count, int64_t i) __attribute__((always_inline)) {
        constexpr int kRows = decltype(count)::value;
        call.a = a + i * a_row;
        call.c = c + i * c_row;
        if (narrow)
            tile<T, kRows, 1, false>(call);
        else
            tile<T, kRows, 2, false>(call);
        return i + kRows;
    };
    int64_t i = 0;
    while (i + kMost <= rows) i = run(std::integral_constant<int, kMost>{}, i);
    if (kMost > 4 && i + 4 <= rows) i = run(std::integral_constant<int, 4>{}, i);
    if (i + 2 <= rows) i = run(std::integral_constant<int, 2>{}, i);
    if (i < rows) run(std::integral_constant<int, 1>{}, i);
}

// Some rows of one step, beside the rows that come before in time.
template <class T>
struct Rows {
    int64_t count;
    int64_t first;                  // among the rows of all steps
    const T *before, *cell_before;  // states
};

// fn(Rows, first sequence) for what [begin, end) has of the i-th step in order of time: sequences
// that go on, then those that start.
template <class T, class F>
EMBER_INLINE void step_rows(const Rnn& x, int64_t i, int64_t begin, int64_t end, F&& fn) {
    const int64_t t = x.reverse ? x.steps - 1 - i : i, before = x.reverse ? t + 1 : t - 1;
    const int64_t h = x.hidden, first = x.offsets[t];
    end = least(end, x.offsets[t + 1] - first);
    int64_t going = i > 0 ? least(end, x.offsets[before + 1] - x.offsets[before]) : 0;
    const T *state = static_cast<const T*>(x.state), *cell = static_cast<const T*>(x.cell_state);
    if (begin < going) {
        const int64_t at = (x.offsets[before] + begin) * h;
        fn(Rows<T>{going - begin, first + begin, state + at, cell ? cell + at : nullptr}, begin);
    }
    going = most(going, begin);
    if (going < end) {
        const T *s = static_cast<const T*>(x.first_state), *c = static_cast<const T*>(x.first_cell);
        fn(Rows<T>{end - going, first + going, s + going * h, c ? c + going * h : nullptr}, going);
    }
}

template <class T, Cell C>
EMBER_INLINE void cell_forward(const Rnn& x, const Rows<T>& rows, int64_t j, int64_t width) {
    using V = Vec<T>;
    namespace f = formulas;
    const int64_t h = x.hidden, stride = Rnn::blocks(C) * h;
    for (int64_t i = 0; i < rows.count; i++) {
        T* g = static_cast<T*>(x.gates) + (rows.first + i) * stride;
        T* out = static_cast<T*>(x.state) + (rows.first + i) * h;
        sweep<V>(j, j + width, [&](auto at) __attribute__((always_inline)) {
            if constexpr (C == Cell::Tanh) {
                at.store(out, f::tanh(at.load(g)));
            } else if constexpr (C == Cell::Relu) {
                at.store(out, rectify(at.load(g)));
            } else if constexpr (C == Cell::Lstm) {
                V in = f::sigmoid(at.load(g)), forget = f::sigmoid(at.load(g + h));
                V cell = f::tanh(at.load(g + 2 * h)), output = f::sigmoid(at.load(g + 3 * h));
                V c = fma(in, cell, forget * at.load(rows.cell_before + i * h));
                at.store(g, in);
                at.store(g + h, forget);
                at.store(g + 2 * h, cell);
                at.store(g + 3 * h, output);
                at.store(static_cast<T*>(x.cell_state) + (rows.first + i) * h, c);
                at.store(out, output * f::tanh(c));
            } else {
                V reset = f::sigmoid(at.load(g)), update = f::sigmoid(at.load(g + h));
                V fresh = f::tanh(fma(reset, at.load(g + 3 * h), at.load(g + 2 * h)));
                at.store(g, reset);
                at.store(g + h, update);
                at.store(g + 2 * h, fresh);
                at.store(out, fma(update, at.load(rows.before + i * h) - fresh, fresh));
            }
        });
    }
}

template <class T, Cell C>
EMBER_NOINLINE void forward_columns(const Rnn& x, const Packed<T>& weight, const Rows<T>& rows,
                                    int64_t first, int64_t last) {
    constexpr int64_t kStrip = Packed<T>::kStrip;
    const int64_t h = x.hidden, stride = Rnn::blocks(C) * h;
    for (int64_t j = first; j < last; j += kStrip) {
        const int64_t width = least(kStrip, h - j);
        for (int b = 0; x.weight && b < Rnn::weight_blocks(C); b++) {
            const bool apart = C == Cell::Gru && b == 2;
            const T* bias = apart && x.new_bias ? static_cast<const T*>(x.new_bias) + j : nullptr;
            T* to = static_cast<T*>(x.gates) + rows.first * stride + (apart ? 3 : b) * h + j;
            multiply(rows.count, h, rows.before, h, weight.strip(j, b), to, stride, width,
                     T(apart ? 0 : 1), bias);
        }
        cell_forward<T, C>(x, rows, j, width);
    }
}

// How many sequences a task owns.
EMBER_INLINE int64_t sequences_of_task(const Rnn& x) {
    if (x.weight) return x.batch <= 2 * kSequences ? kSequences : x.batch <= 64 ? 8 : 16;
    return most(kSequences, kCellItems / (x.hidden * Rnn::blocks(x.cell) + 1));
}

// Columns of a task where a step is cut into columns: a multiple of the strip's.
template <class T>
EMBER_INLINE int64_t columns_of_task(const Rnn& x) {
    constexpr int64_t kStrip = Packed<T>::kStrip;
    const int64_t strip = x.batch * kStrip * x.hidden * Rnn::weight_blocks(x.cell);
    return ceil_div(kColumnWork, strip + 1) * kStrip;
}

template <class T, Cell C>
EMBER_NOINLINE void forward(Context& context, const Rnn& x) {
    Packed<T> weight{};
    if (x.weight) weight = pack_weight<T>(context, x, false);
    const int64_t columns = x.weight ? columns_of_task<T>(x) : x.hidden;
    parallel_for(x.batch, sequences_of_task(x), [&](int64_t begin, int64_t end) {
        for (int64_t i = 0; i < x.steps; i++)
            step_rows<T>(x, i, begin, end, [&](Rows<T> rows, int64_t) {
                parallel_for(x.hidden, columns, [&](int64_t first, int64_t last) {
                    forward_columns<T, C>(x, weight, rows, first, last);
                });
            });
    });
}

template <class T, Cell C>
EMBER_NOINLINE void cell_backward(const RnnBackward& x, const Rows<T>& rows, int64_t first) {
    using V = Vec<T>;
    namespace f = formulas;
    const int64_t h = x.hidden, stride = Rnn::blocks(C) * h;
    const V one(T(1));
    for (int64_t i = 0; i < rows.count; i++) {
        const int64_t row = rows.first + i;
        const T* g = static_cast<const T*>(x.gates) + row * stride;
        const T* out = x.state ? static_cast<const T*>(x.state) + row * h : nullptr;
        const T* grad = x.grad ? static_cast<const T*>(x.grad) + row * x.grad_row : nullptr;
        T* to = static_cast<T*>(x.grad_gates) + row * x.grad_gates_row;
        T* carried = static_cast<T*>(x.grad_state) + (first + i) * h;
        sweep<V>(0, h, [&](auto at) __attribute__((always_inline)) {
            V slope = at.load(carried);
            if (grad) slope += at.load(grad);
            if constexpr (C == Cell::Tanh) {
                V y = at.load(out);
                at.store(to, slope * fma(-y, y, one));
                at.store(carried, V(T(0)));
            } else if constexpr (C == Cell::Relu) {
                at.store(to, select(at.load(out) <= V(T(0)), V(T(0)), slope));
                at.store(carried, V(T(0)));
            } else if constexpr (C == Cell::Lstm) {
                T* cell_carried = static_cast<T*>(x.grad_cell) + (first + i) * h;
                V in = at.load(g), forget = at.load(g + h);
                V cell = at.load(g + 2 * h), output = at.load(g + 3 * h);
                V c = f::tanh(at.load(static_cast<const T*>(x.cell_state) + row * h));
                V c_slope = fma(slope * output, fma(-c, c, one), at.load(cell_carried));
                at.store(to, c_slope * cell * in * (one - in));
                V before = at.load(rows.cell_before + i * h);
                at.store(to + h, c_slope * before * forget * (one - forget));
                at.store(to + 2 * h, c_slope * in * fma(-cell, cell, one));
                at.store(to + 3 * h, slope * c * output * (one - output));
                at.store(cell_carried, c_slope * forget);
                at.store(carried, V(T(0)));
            } else {
                V reset = at.load(g), update = at.load(g + h), fresh = at.load(g + 2 * h);
                V d_new = slope * (one - update) * fma(-fresh, fresh, one);
                at.store(to, d_new * at.load(g + 3 * h) * reset * (one - reset));
                V before = at.load(rows.before + i * h);
                at.store(to + h, slope * (before - fresh) * update * (one - update));
                at.store(to + 2 * h, d_new);
                at.store(to + 3 * h, d_new * reset);
                at.store(carried, slope * update);
            }
        });
    }
}

// Adds the gates' gradients times the weight to the states' gradients, columns first to last.
template <class T, Cell C>
EMBER_NOINLINE void backward_columns(const RnnBackward& x, const Packed<T>& weight,
                                     const Rows<T>& rows, T* carried, int64_t first, int64_t last) {
    constexpr int64_t kStrip = Packed<T>::kStrip;
    const int64_t h = x.hidden, stride = x.grad_gates_row;
    const T* from = static_cast<const T*>(x.grad_gates) + rows.first * stride;
    for (int64_t j = first; j < last; j += kStrip)
        for (int b = 0; b < Rnn::weight_blocks(C); b++) {
            const int block = C == Cell::Gru && b == 2 ? 3 : b;
            multiply<T>(rows.count, h, from + block * h, stride, weight.strip(j, b), carried + j, h,
                        least(kStrip, h - j), T(1), nullptr);
        }
}

template <class T, Cell C>
EMBER_NOINLINE void backward(Context& context, const RnnBackward& x) {
    Packed<T> weight{};
    if (x.weight) weight = pack_weight<T>(context, x, true);
    const int64_t columns = x.weight ? columns_of_task<T>(x) : x.hidden;
    parallel_for(x.batch, sequences_of_task(x), [&](int64_t begin, int64_t end) {
        for (int64_t i = x.steps - 1; i >= 0; i--)
            step_rows<T>(x, i, begin, end, [&](Rows<T> rows, int64_t first) {
                cell_backward<T, C>(x, rows, first);
                if (!x.weight) return;
                T* carried = static_cast<T*>(x.grad_state) + first * x.hidden;
                parallel_for(x.hidden, columns, [&](int64_t left, int64_t right) {
                    backward_columns<T, C>(x, weight, rows, carried, left, right);
                });
            });
    });
}

// Calls f(type, cell) for those of `x`.
template <class F>
EMBER_INLINE void for_cell(const Rnn& x, F&& f) {
    dispatch<float, double>(x.dtype, [&](auto tag) {
        switch (x.cell) {
            case Cell::Tanh: return f(tag, std::integral_constant<Cell, Cell::Tanh>{});
            case Cell::Relu: return f(tag, std::integral_constant<Cell, Cell::Relu>{});
            case Cell::Lstm: return f(tag, std::integral_constant<Cell, Cell::Lstm>{});
            case Cell::Gru: return f(tag, std::integral_constant<Cell, Cell::Gru>{});
        }
    });
}

void rnn(Context& context, const Rnn& x) {
    for_cell(x, [&](auto tag, auto cell) {
        forward<typename decltype(tag)::type, decltype(cell)::value>(context, x);
    });
}

void rnn_backward(Context& context, const RnnBackward& x) {
    for_cell(x, [&](auto tag, auto cell) {
        backward<typename decltype(tag)::type, decltype(cell)::value>(context, x);
    });
}

}  // namespace

void register_rnn(Table& table) {
    table.set(kernels::rnn, rnn, kFloats);
    table.set(kernels::rnn_backward, rnn_backward, kFloats);
}

}  // namespace ember::cpu::EMBER_LEVEL
