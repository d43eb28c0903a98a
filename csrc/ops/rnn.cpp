#include "ops/rnn.h"

#include "ops/copy.h"
#include "ops/factory.h"
#include "ops/random.h"
#include "ops/rnn_layer.h"
#include "ops/view.h"

namespace ember::ops {

namespace {

using kernels::Rnn;
using Cell = Rnn::Cell;
using Tensors = std::vector<Tensor>;

struct Network {
    const char* name;
    Cell cell;
    bool has_biases;
    int64_t layers;
    double dropout;
    bool train, bidirectional;
    int64_t directions() const { return bidirectional ? 2 : 1; }
};

void check_shape(const char* name, const char* what, const Tensor& t, IntSpan sizes) {
    EMBER_CHECK(same(t.sizes(), sizes), "%s: %s must have shape %s, got %s", name, what,
                to_string(sizes).c_str(), to_string(t.sizes()).c_str());
}

void check_like(const char* name, const char* what, const Tensor& t, const Tensor& input) {
    EMBER_CHECK(t.dtype() == input.dtype(), "%s: %s must have the input's dtype %s, got %s", name,
                what, dtype_name(input.dtype()), dtype_name(t.dtype()));
    EMBER_CHECK(t.device().type == input.device().type,
                "%s: %s must be on the input's device %s, got %s", name, what,
                to_string(input.device()).c_str(), to_string(t.device()).c_str());
}

void check_floating(const char* name, const Tensor& input) {
    EMBER_CHECK(is_floating(input.dtype()), "%s: expected a floating point input, got %s", name,
                dtype_name(input.dtype()));
}

// Halves compute in float32.
Tensor widened(const Tensor& t) {
    return t.defined() && kHalves.has(t.dtype()) ? to_dtype(t, DType::Float32) : t;
}

// One direction's weights at `at` of the parameters, checked against the input's width.
RnnWeights take_weights(const Network& net, const Tensors& params, size_t& at, const Tensor& input,
                        int64_t width, int64_t state, bool projected) {
    RnnWeights w;
    w.input = params[at++];
    w.hidden = params[at++];
    if (net.has_biases) {
        w.input_bias = params[at++];
        w.hidden_bias = params[at++];
    }
    if (projected) w.projection = params[at++];
    int64_t blocks = Rnn::weight_blocks(net.cell);
    auto check = [&](const char* what, const Tensor& t, IntSpan sizes) {
        EMBER_CHECK(t.defined(), "%s: %s is missing", net.name, what);
        check_like(net.name, what, t, input);
        check_shape(net.name, what, t, sizes);
    };
    EMBER_CHECK(w.hidden.defined() && w.hidden.dim() == 2 && w.hidden.size(0) % blocks == 0,
                "%s: weight_hh must have two dims and %ld rows for each unit, got %s", net.name,
                long(blocks), w.hidden.defined() ? to_string(w.hidden.sizes()).c_str() : "None");
    int64_t rows = w.hidden.size(0), hidden = rows / blocks;
    EMBER_CHECK(projected || hidden == state,
                "%s: hidden states of width %ld do not fit weight_hh of shape %s", net.name,
                long(state), to_string(w.hidden.sizes()).c_str());
    check("weight_hh", w.hidden, Dims{rows, state});
    check("weight_ih", w.input, Dims{rows, width});
    if (net.has_biases) {
        check("bias_ih", w.input_bias, Dims{rows});
        check("bias_hh", w.hidden_bias, Dims{rows});
    }
    if (projected) check("weight_hr", w.projection, Dims{state, hidden});
    for (Tensor* t : {&w.input, &w.hidden, &w.input_bias, &w.hidden_bias, &w.projection})
        *t = widened(*t);
    return w;
}

// data: (rows, I). h and c: (layers * directions, batch, …); c is undefined but for Lstm.
RnnResult run(const Network& net, const Tensor& data, const RnnOffsets& offsets, int64_t batch,
              const Tensor& h, const Tensor& c, const Tensors& params) {
    const char* name = net.name;
    int64_t all = net.layers * net.directions();
    EMBER_CHECK(net.layers > 0, "%s: expected at least one layer, got num_layers=%ld", name,
                long(net.layers));
    auto check_state = [&](const char* what, const Tensor& t) {
        EMBER_CHECK(t.dim() == 3 && t.size(0) == all && t.size(1) == batch,
                    "%s: %s must have shape (%ld, %ld, hidden size), got %s", name, what, long(all),
                    long(batch), to_string(t.sizes()).c_str());
        check_like(name, what, t, data);
    };
    check_state("hidden states", h);
    if (c.defined()) check_state("cell states", c);
    bool projected = c.defined() && c.size(2) != h.size(2);
    size_t each = 2 + (net.has_biases ? 2 : 0) + (projected ? 1 : 0);
    EMBER_CHECK(params.size() == each * size_t(all),
                "%s: expected %ld parameters, %ld for each layer and direction, got %ld", name,
                long(each * size_t(all)), long(each), long(params.size()));

    Tensor input = widened(data), first_h = widened(h), first_c = widened(c);
    Tensors last_h, last_c;
    size_t at = 0;
    for (int64_t layer = 0; layer < net.layers; layer++) {
        Tensors outs;
        for (int64_t d = 0; d < net.directions(); d++) {
            int64_t i = layer * net.directions() + d;
            RnnWeights w = take_weights(net, params, at, data, input.size(1), h.size(2), projected);
            int64_t hidden = w.hidden.size(0) / Rnn::weight_blocks(net.cell);
            EMBER_CHECK(!c.defined() || c.size(2) == hidden,
                        "%s: cell states must have shape (%ld, %ld, %ld), got %s", name, long(all),
                        long(batch), long(hidden), to_string(c.sizes()).c_str());
            RnnResult r =
                rnn_layer(net.cell, input, select(first_h, 0, i),
                          c.defined() ? select(first_c, 0, i) : Tensor(), w, offsets, d == 1);
            outs.push_back(r.out);
            last_h.push_back(r.h);
            if (c.defined()) last_c.push_back(r.c);
        }
        input = outs.size() == 1 ? outs[0] : cat(outs, 1);
        if (net.train && net.dropout != 0 && layer + 1 < net.layers)
            input = dropout(input, net.dropout, true, false);
    }
    // The layer keeps its states for the backward; a change of the result in place must not matter.
    if (!net.bidirectional && input.requires_grad()) input = clone(input, MemoryFormat::Contiguous);
    DType dtype = data.dtype();
    return {to_dtype(input, dtype), to_dtype(stack(last_h, 0), dtype),
            c.defined() ? to_dtype(stack(last_c, 0), dtype) : Tensor()};
}

RnnResult run_padded(const Network& net, const Tensor& input, const Tensor& h, const Tensor& c,
                     const Tensors& params, bool batch_first) {
    EMBER_CHECK(input.dim() == 3, "%s: expected an input with 3 dims, got %d", net.name,
                input.dim());
    check_floating(net.name, input);
    Tensor x = batch_first ? transpose(input, 0, 1) : input;
    int64_t steps = x.size(0), batch = x.size(1);
    EMBER_CHECK(steps > 0, "%s: expected a sequence length larger than 0, got an input of shape %s",
                net.name, to_string(input.sizes()).c_str());
    auto offsets = std::make_shared<std::vector<int64_t>>(size_t(steps) + 1);
    for (int64_t t = 0; t <= steps; t++) (*offsets)[size_t(t)] = t * batch;
    RnnResult r = run(net, reshape(x, {steps * batch, x.size(2)}), offsets, batch, h, c, params);
    r.out = reshape(r.out, {steps, batch, r.out.size(1)});
    if (batch_first) r.out = transpose(r.out, 0, 1);
    return r;
}

RnnResult run_packed(const Network& net, const Tensor& data, const Tensor& batch_sizes,
                     const Tensor& h, const Tensor& c, const Tensors& params) {
    const char* name = net.name;
    EMBER_CHECK(data.dim() == 2, "%s: expected packed data with 2 dims, got %d", name, data.dim());
    check_floating(name, data);
    EMBER_CHECK(batch_sizes.dim() == 1 && batch_sizes.dtype() == DType::Int64 &&
                    batch_sizes.device().type == DeviceType::CPU,
                "%s: batch_sizes must be a one-dim int64 tensor on the CPU, got %s of shape %s",
                name, dtype_name(batch_sizes.dtype()), to_string(batch_sizes.sizes()).c_str());
    EMBER_CHECK(batch_sizes.numel() > 0, "%s: expected at least one step, got empty batch_sizes",
                name);
    Tensor sizes = contiguous(batch_sizes);
    auto offsets = std::make_shared<std::vector<int64_t>>(1, 0);
    int64_t batch = sizes.as<int64_t>()[0], before = batch;
    for (int64_t t = 0; t < sizes.numel(); t++) {
        int64_t size = sizes.as<int64_t>()[t];
        EMBER_CHECK(size >= 0 && size <= before && size <= data.size(0) - offsets->back(),
                    "%s: batch_sizes must not increase and must add up to the %ld rows of data, "
                    "got %ld at step %ld",
                    name, long(data.size(0)), long(size), long(t));
        offsets->push_back(offsets->back() + size);
        before = size;
    }
    EMBER_CHECK(offsets->back() == data.size(0),
                "%s: batch_sizes must add up to the %ld rows of data, got %ld", name,
                long(data.size(0)), long(offsets->back()));
    return run(net, data, offsets, batch, h, c, params);
}

void check_pair(const char* name, const Tensors& hx) {
    EMBER_CHECK(hx.size() == 2 && hx[0].defined() && hx[1].defined(),
                "%s: expected hidden and cell states, got %ld tensors", name, long(hx.size()));
}

LstmStates three(RnnResult r) { return {std::move(r.out), std::move(r.h), std::move(r.c)}; }
RnnStates two(RnnResult r) { return {std::move(r.out), std::move(r.h)}; }

RnnResult run_cell(const char* name, Cell cell, const Tensor& input, const Tensor& h,
                   const Tensor& c, const Tensor& w_ih, const Tensor& w_hh, const Tensor& b_ih,
                   const Tensor& b_hh) {
    EMBER_CHECK(input.dim() == 2, "%s: expected an input with 2 dims, got %d", name, input.dim());
    check_floating(name, input);
    int64_t batch = input.size(0);
    auto check_state = [&](const char* what, const Tensor& t) {
        EMBER_CHECK(t.dim() == 2 && t.size(0) == batch,
                    "%s: %s must have shape (%ld, hidden size), got %s", name, what, long(batch),
                    to_string(t.sizes()).c_str());
        check_like(name, what, t, input);
    };
    check_state("hidden states", h);
    if (c.defined()) {
        check_state("cell states", c);
        check_shape(name, "cell states", c, h.sizes());
    }
    Network net{name, cell, b_ih.defined() || b_hh.defined(), 1, 0, false, false};
    Tensors params{w_ih, w_hh, b_ih, b_hh};
    if (net.has_biases && w_hh.dim() > 0)  // one of them may be missing
        for (Tensor* b : {&params[2], &params[3]})
            if (!b->defined()) *b = zeros(Dims{w_hh.size(0)}, input.options());
    size_t at = 0;
    RnnWeights w = take_weights(net, params, at, input, input.size(1), h.size(1), false);
    auto offsets = std::make_shared<std::vector<int64_t>>(std::initializer_list<int64_t>{0, batch});
    RnnResult r = rnn_layer(cell, widened(input), widened(h), widened(c), w, offsets, false);
    DType dtype = input.dtype();
    return {{}, to_dtype(r.h, dtype), r.c.defined() ? to_dtype(r.c, dtype) : Tensor()};
}

}  // namespace

LstmStates lstm(const Tensor& input, const Tensors& hx, const Tensors& params, bool has_biases,
                int64_t num_layers, double dropout, bool train, bool bidirectional,
                bool batch_first) {
    check_pair("lstm", hx);
    Network net{"lstm", Cell::Lstm, has_biases, num_layers, dropout, train, bidirectional};
    return three(run_padded(net, input, hx[0], hx[1], params, batch_first));
}
LstmStates lstm_packed(const Tensor& data, const Tensor& batch_sizes, const Tensors& hx,
                       const Tensors& params, bool has_biases, int64_t num_layers, double dropout,
                       bool train, bool bidirectional) {
    check_pair("lstm", hx);
    Network net{"lstm", Cell::Lstm, has_biases, num_layers, dropout, train, bidirectional};
    return three(run_packed(net, data, batch_sizes, hx[0], hx[1], params));
}

#define EMBER_RNN(function, kind)                                                                \
    RnnStates function(const Tensor& input, const Tensor& hx, const Tensors& params,             \
                       bool has_biases, int64_t num_layers, double dropout, bool train,          \
                       bool bidirectional, bool batch_first) {                                   \
        Network net{#function, kind, has_biases, num_layers, dropout, train, bidirectional};     \
        return two(run_padded(net, input, hx, {}, params, batch_first));                         \
    }                                                                                            \
    RnnStates function##_packed(const Tensor& data, const Tensor& batch_sizes, const Tensor& hx, \
                                const Tensors& params, bool has_biases, int64_t num_layers,      \
                                double dropout, bool train, bool bidirectional) {                \
        Network net{#function, kind, has_biases, num_layers, dropout, train, bidirectional};     \
        return two(run_packed(net, data, batch_sizes, hx, {}, params));                          \
    }                                                                                            \
    Tensor function##_cell(const Tensor& input, const Tensor& hx, const Tensor& w_ih,            \
                           const Tensor& w_hh, const Tensor& b_ih, const Tensor& b_hh) {         \
        return run_cell(#function "_cell", kind, input, hx, {}, w_ih, w_hh, b_ih, b_hh).h;       \
    }
EMBER_RNN(gru, Cell::Gru)
EMBER_RNN(rnn_tanh, Cell::Tanh)
EMBER_RNN(rnn_relu, Cell::Relu)
#undef EMBER_RNN

std::tuple<Tensor, Tensor> lstm_cell(const Tensor& input, const Tensors& hx, const Tensor& w_ih,
                                     const Tensor& w_hh, const Tensor& b_ih, const Tensor& b_hh) {
    check_pair("lstm_cell", hx);
    RnnResult r = run_cell("lstm_cell", Cell::Lstm, input, hx[0], hx[1], w_ih, w_hh, b_ih, b_hh);
    return {r.h, r.c};
}

}  // namespace ember::ops
