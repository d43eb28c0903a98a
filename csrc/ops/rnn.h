#pragma once

#include <tuple>
#include <vector>

#include "autograd/record.h"

// Recurrent networks. `params` holds, for each layer and in it for each direction, the input's and
// the state's weight, with has_biases their biases, and for an LSTM whose states are narrower than
// its cells the projection. Results: the last layer's states for all steps, and the last states
// of all layers, (layers * directions, batch, P), for lstm with the cells.
namespace ember::ops {

using RnnStates = std::tuple<Tensor, Tensor>;
using LstmStates = std::tuple<Tensor, Tensor, Tensor>;

// input: (T, B, I), or (B, T, I) with batch_first, as the result then.
LstmStates lstm(const Tensor& input, const std::vector<Tensor>& hx,
                const std::vector<Tensor>& params, bool has_biases, int64_t num_layers,
                double dropout, bool train, bool bidirectional, bool batch_first);
RnnStates gru(const Tensor& input, const Tensor& hx, const std::vector<Tensor>& params,
              bool has_biases, int64_t num_layers, double dropout, bool train, bool bidirectional,
              bool batch_first);
RnnStates rnn_tanh(const Tensor& input, const Tensor& hx, const std::vector<Tensor>& params,
                   bool has_biases, int64_t num_layers, double dropout, bool train,
                   bool bidirectional, bool batch_first);
RnnStates rnn_relu(const Tensor& input, const Tensor& hx, const std::vector<Tensor>& params,
                   bool has_biases, int64_t num_layers, double dropout, bool train,
                   bool bidirectional, bool batch_first);

// data: (rows, I), step after step; batch_sizes: (T,) int64, how many rows each step has, as many
// as the one before or fewer.
LstmStates lstm_packed(const Tensor& data, const Tensor& batch_sizes, const std::vector<Tensor>& hx,
                       const std::vector<Tensor>& params, bool has_biases, int64_t num_layers,
                       double dropout, bool train, bool bidirectional);
RnnStates gru_packed(const Tensor& data, const Tensor& batch_sizes, const Tensor& hx,
                     const std::vector<Tensor>& params, bool has_biases, int64_t num_layers,
                     double dropout, bool train, bool bidirectional);
RnnStates rnn_tanh_packed(const Tensor& data, const Tensor& batch_sizes, const Tensor& hx,
                          const std::vector<Tensor>& params, bool has_biases, int64_t num_layers,
                          double dropout, bool train, bool bidirectional);
RnnStates rnn_relu_packed(const Tensor& data, const Tensor& batch_sizes, const Tensor& hx,
                          const std::vector<Tensor>& params, bool has_biases, int64_t num_layers,
                          double dropout, bool train, bool bidirectional);

// One step. input: (B, I), states: (B, H).
std::tuple<Tensor, Tensor> lstm_cell(const Tensor& input, const std::vector<Tensor>& hx,
                                     const Tensor& w_ih, const Tensor& w_hh, const Tensor& b_ih,
                                     const Tensor& b_hh);
Tensor gru_cell(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                const Tensor& b_ih, const Tensor& b_hh);
Tensor rnn_tanh_cell(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                     const Tensor& b_ih, const Tensor& b_hh);
Tensor rnn_relu_cell(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                     const Tensor& b_ih, const Tensor& b_hh);

}  // namespace ember::ops
