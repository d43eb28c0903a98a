#pragma once

#include "core/table.h"
#include "core/view.h"

// One direction of one recurrent layer over whole sequences, in float32 or float64. The rows of a
// time step lie together: step t has the rows offsets[t] to offsets[t + 1] of every (rows, …)
// matrix, as many as step t - 1 or fewer, and row i of each step belongs to the i-th sequence.
// Matrices are contiguous.
namespace ember::kernels {

struct Rnn {
    // Blocks of H columns in `gates`, in order. Tanh and Relu: the state. Lstm: input, forget, cell
    // and output gate. Gru: reset, update and new gate, and the new gate's recurrent part, which
    // the reset gate multiplies.
    enum class Cell : uint8_t { Tanh, Relu, Lstm, Gru } cell = Cell::Tanh;
    static constexpr int blocks(Cell cell) { return cell >= Cell::Lstm ? 4 : 1; }
    static constexpr int weight_blocks(Cell cell) {
        return cell == Cell::Lstm ? 4 : cell == Cell::Gru ? 3 : 1;
    }

    int64_t steps = 0, batch = 0, hidden = 0;
    const int64_t* offsets = nullptr;  // (steps + 1,)
    bool reverse = false;              // from the last step to the first
    // (weight_blocks H, H); null where `gates` already holds the recurrent product, as it may for a
    // single step.
    const void* weight = nullptr;
    const void* new_bias = nullptr;  // Gru: (H,), of the new gate's recurrent part, or null
    // (rows, blocks H). Forward: holds all that is added before the gates' functions but the
    // recurrent products, then the gates. May be `state` where there is one block.
    void* gates = nullptr;
    const void *first_state = nullptr, *first_cell = nullptr;  // (batch, H); the latter for Lstm
    void *state = nullptr, *cell_state = nullptr;              // (rows, H)
    DType dtype = DType::Float32;
};
extern Slot<void(Context&, const Rnn&)> rnn;

// From the gradients of all states those of the gates before their functions.
struct RnnBackward : Rnn {
    const void* grad = nullptr;  // of `state`: (rows, H) with rows `grad_row` apart; null: zeros
    int64_t grad_row = 0;
    // (batch, H). In: gradients of the last state and cell. Out: of the first, for the state
    // without its recurrent product where `weight` is null.
    void *grad_state = nullptr, *grad_cell = nullptr;
    void* grad_gates = nullptr;  // (rows, blocks H) with rows `grad_gates_row` apart
    int64_t grad_gates_row = 0;
};
extern Slot<void(Context&, const RnnBackward&)> rnn_backward;

}  // namespace ember::kernels
