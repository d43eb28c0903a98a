#include "ops/rnn.h"
#include "python/tables.h"

namespace ember::python {

void bind_rnn(BindTable& t) {
    constexpr const char* doc =
        "A recurrent network of several layers. input: (T, B, I), or (B, T, I) with batch_first; "
        "hx: (num_layers * directions, B, H); params: for each layer and direction weight_ih "
        "(G H, I), weight_hh (G H, H) and with has_biases bias_ih and bias_hh (G H,). Or data: "
        "(rows, I) with batch_sizes: (T,), how many of them each step has. Dropout between layers "
        "when training. Gives the last layer's states and the last states of all. RuntimeError "
        "for shapes or dtypes that do not fit and for sequences without a step.";
    bind<&ops::lstm_packed, &ops::lstm>(
        t, kFunction,
        {"lstm(data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, "
         "bidirectional)",
         "lstm(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, "
         "batch_first)"},
        "A long short-term memory network of several layers (Hochreiter and Schmidhuber, 1997). "
        "input: (T, B, I), or (B, T, I) with batch_first; hx: hidden states (num_layers * "
        "directions, B, P) and cells (…, H); params: for each layer and direction weight_ih (4 H, "
        "I), weight_hh (4 H, P), with has_biases bias_ih and bias_hh (4 H,), and where P is less "
        "than H weight_hr (P, H). Or data: (rows, I) with batch_sizes: (T,), how many of them each "
        "step has. Dropout between layers when training. Gives the last layer's states, the last "
        "states and the last cells of all. RuntimeError for shapes or dtypes that do not fit and "
        "for sequences without a step.");
    bind<&ops::gru_packed, &ops::gru>(
        t, kFunction,
        {"gru(data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, "
         "bidirectional)",
         "gru(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, "
         "batch_first)"},
        doc);
    bind<&ops::rnn_tanh_packed, &ops::rnn_tanh>(
        t, kFunction,
        {"rnn_tanh(data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, "
         "bidirectional)",
         "rnn_tanh(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, "
         "batch_first)"},
        doc);
    bind<&ops::rnn_relu_packed, &ops::rnn_relu>(
        t, kFunction,
        {"rnn_relu(data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, "
         "bidirectional)",
         "rnn_relu(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, "
         "batch_first)"},
        doc);
    constexpr const char* cell =
        "One step of a recurrent network. input: (B, I), hx: (B, H); w_ih: (G H, I), w_hh: (G H, "
        "H), biases: (G H,). Gives the new states. RuntimeError for shapes or dtypes that do not "
        "fit.";
    bind<&ops::lstm_cell>(
        t, kFunction, "lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None)",
        "One step of a long short-term memory. input: (B, I), hx: hidden states and cells, (B, H) "
        "each; w_ih: (4 H, I), w_hh: (4 H, H), biases: (4 H,). Gives both anew. RuntimeError for "
        "shapes or dtypes that do not fit.");
    bind<&ops::gru_cell>(t, kFunction, "gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None)",
                         cell);
    bind<&ops::rnn_tanh_cell>(t, kFunction,
                              "rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None)", cell);
    bind<&ops::rnn_relu_cell>(t, kFunction,
                              "rnn_relu_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None)", cell);
}

}  // namespace ember::python
