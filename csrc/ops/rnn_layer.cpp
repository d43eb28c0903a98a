#include "ops/rnn_layer.h"

#include "autograd/engine.h"
#include "kernels/matmul.h"
#include "ops/copy.h"
#include "ops/formula.h"
#include "ops/launch.h"
#include "ops/matmul.h"
#include "ops/view.h"

namespace ember::kernels {

EMBER_SLOT(rnn)
EMBER_SLOT(rnn_backward)

}  // namespace ember::kernels

namespace ember::ops {

namespace {

using kernels::Rnn;
using Cell = Rnn::Cell;

// ---- Steps and rows

// The steps of a layer in order of time, and where rows of states lie.
struct Steps {
    const std::vector<int64_t>& offsets;
    bool reverse;

    int64_t count() const { return int64_t(offsets.size()) - 1; }
    int64_t rows() const { return offsets.back(); }
    int64_t at(int64_t i) const { return reverse ? count() - 1 - i : i; }
    int64_t size(int64_t step) const { return offsets[size_t(step) + 1] - offsets[size_t(step)]; }
    int64_t first(int64_t step) const { return offsets[size_t(step)]; }
};

// Ranges of rows of some tensors, one after the other; neighbours are one range.
class Pieces {
public:
    void add(const Tensor& from, int64_t begin, int64_t count) {
        if (count <= 0) return;
        if (!items_.empty() && items_.back().from->is(from) &&
            items_.back().begin + items_.back().count == begin)
            items_.back().count += count;
        else
            items_.push_back({&from, begin, count});
    }
    // A fresh tensor.
    Tensor join(const Tensor& like) const {
        std::vector<Tensor> parts;
        for (const Item& item : items_)
            parts.push_back(narrow(*item.from, 0, item.begin, item.count));
        if (parts.empty()) parts.push_back(narrow(like, 0, 0, 0));
        return parts.size() == 1 ? clone(parts[0], MemoryFormat::Contiguous) : cat(parts, 0);
    }

private:
    struct Item {
        const Tensor* from;
        int64_t begin, count;
    };
    std::vector<Item> items_;
};

// The state each row starts its step from: (rows, H).
Tensor states_before(const Steps& steps, const Tensor& states, const Tensor& first_state) {
    Pieces pieces;
    for (int64_t t = 0; t < steps.count(); t++) {
        int64_t before = steps.reverse ? t + 1 : t - 1, size = steps.size(t), going = 0;
        if (before >= 0 && before < steps.count()) going = std::min(size, steps.size(before));
        if (going > 0) pieces.add(states, steps.first(before), going);
        pieces.add(first_state, going, size - going);
    }
    return pieces.join(first_state);
}

// The state each sequence ends with: (batch, H).
Tensor last_states(const Steps& steps, const Tensor& states) {
    Pieces pieces;
    int64_t done = 0;
    for (int64_t i = steps.count() - 1; i >= 0; i--) {
        int64_t t = steps.at(i), size = steps.size(t);
        pieces.add(states, steps.first(t) + done, size - done);
        done = std::max(done, size);
    }
    return pieces.join(states);
}

// ---- The formula

struct RnnInputs {
    Tensor input, h, c, input_weight, hidden_weight, input_bias, hidden_bias, projection;
};

// One step in differentiable operations; `g` is the input's part of the gates.
void step_formula(Cell cell, const RnnInputs& x, const Tensor& g, Tensor& h, Tensor& c) {
    Tensor recurrent = linear(h, x.hidden_weight, x.hidden_bias);
    if (cell == Cell::Gru) {
        std::vector<Tensor> a = chunk(g, 3, 1), b = chunk(recurrent, 3, 1);
        Tensor reset = sigmoid(add(a[0], b[0])), update = sigmoid(add(a[1], b[1]));
        Tensor fresh = tanh(add(a[2], mul(reset, b[2])));
        h = add(fresh, mul(update, sub(h, fresh)));
        return;
    }
    Tensor sum = add(g, recurrent);
    if (cell != Cell::Lstm) {
        h = cell == Cell::Tanh ? tanh(sum) : relu(sum);
        return;
    }
    std::vector<Tensor> gate = chunk(sum, 4, 1);
    c = add(mul(sigmoid(gate[1]), c), mul(sigmoid(gate[0]), tanh(gate[2])));
    h = mul(sigmoid(gate[3]), tanh(c));
    if (x.projection.defined()) h = linear(h, x.projection, {});
}

// The layer in differentiable operations: what the kernels must agree with.
RnnResult layer_formula(Cell cell, const RnnInputs& x, const Steps& steps) {
    Tensor gates = linear(x.input, x.input_weight, x.input_bias);
    std::vector<Tensor> outs(size_t(steps.count())), ended_h, ended_c;
    Tensor h = x.h, c = x.c;
    bool lstm = cell == Cell::Lstm;
    for (int64_t i = 0; i < steps.count(); i++) {
        int64_t t = steps.at(i), size = steps.size(t);
        int64_t going = i == 0 ? size : std::min(size, h.size(0)), ended = h.size(0) - going;
        auto onward = [&](Tensor& state, const Tensor& first, std::vector<Tensor>& ends) {
            if (i > 0 && ended > 0) ends.insert(ends.begin(), narrow(state, 0, going, ended));
            if (ended > 0) state = narrow(state, 0, 0, going);
            if (size > going) state = cat({state, narrow(first, 0, going, size - going)}, 0);
        };
        onward(h, x.h, ended_h);
        if (lstm) onward(c, x.c, ended_c);
        step_formula(cell, x, narrow(gates, 0, steps.first(t), size), h, c);
        outs[size_t(t)] = h;
    }
    ended_h.insert(ended_h.begin(), h);
    if (lstm) ended_c.insert(ended_c.begin(), c);
    return {cat(outs, 0), cat(ended_h, 0), lstm ? cat(ended_c, 0) : Tensor()};
}

// Gradients by the formula, themselves differentiable.
void formula_backward(Backward& bw, Cell cell, const RnnInputs& given, const Steps& steps,
                      const GradList& grads) {
    // Views: gradients with respect to them do not pass from one input through another.
    auto apart = [](const Tensor& t) { return t.defined() ? view(t, Dims(t.sizes())) : t; };
    RnnInputs x{apart(given.input),
                apart(given.h),
                apart(given.c),
                apart(given.input_weight),
                apart(given.hidden_weight),
                apart(given.input_bias),
                apart(given.hidden_bias),
                {}};
    RnnResult result = layer_formula(cell, x, steps);
    std::vector<Edge> roots, targets;
    std::vector<Tensor> slopes;
    const Tensor* outputs[] = {&result.out, &result.h, &result.c};
    for (int i = 0; i < grads.size(); i++) {
        if (!grads[i].defined()) continue;
        roots.push_back(gradient_edge(*outputs[i]));
        slopes.push_back(grads[i]);
    }
    const Tensor* inputs[] = {&x.input,         &x.h,          &x.c,          &x.input_weight,
                              &x.hidden_weight, &x.input_bias, &x.hidden_bias};
    std::vector<int> wanted;
    for (int i = 0; i < 7; i++) {
        if (!bw.needs(i)) continue;
        wanted.push_back(i);
        targets.push_back(gradient_edge(*inputs[i]));
    }
    GradList found = autograd::backward(
        roots, slopes, targets, {.retain_graph = true, .create_graph = true, .accumulate = false});
    for (size_t i = 0; i < wanted.size(); i++) bw.set(wanted[i], found[int64_t(i)]);
}

// ---- The kernels

// c = beta c + a @ b + bias, of matrices with any strides, rows of c contiguous.
void multiply_into(const Tensor& c, const Tensor& a, const Tensor& b, double beta,
                   const Tensor& bias = {}) {
    kernels::Gemm g;
    g.m = c.size(0), g.n = c.size(1), g.k = a.size(1);
    if (g.m == 0 || g.n == 0) return;
    g.a = a.data(), g.a_row = a.stride(0), g.a_col = a.stride(1);
    g.b = b.data(), g.b_row = b.stride(0), g.b_col = b.stride(1);
    g.c = c.data(), g.c_row = c.stride(0), g.c_col = 1;
    g.bias = bias.defined() ? bias.data() : nullptr;
    g.beta = beta;
    g.dtype = c.dtype();
    launch(kernels::gemm, c.device(), int64_t(0.03 * double(g.m) * double(g.n) * double(g.k)), g);
}

void* data_of(const Tensor& t) { return t.defined() ? t.data() : nullptr; }

struct Layer {
    Cell cell;
    RnnOffsets offsets;
    bool reverse;
    int64_t hidden;

    Steps steps() const { return {*offsets, reverse}; }
    int64_t blocks() const { return Rnn::blocks(cell); }
    // Columns of the gates, or of their gradients, to which a part of the weight leads: that of the
    // input all but the last of Gru, that of the state all but its third.
    Tensor block(const Tensor& gates, int64_t first, int64_t count) const {
        return narrow(gates, 1, first * hidden, count * hidden);
    }
    int64_t input_blocks() const { return cell == Cell::Gru ? 3 : blocks(); }
    int64_t work() const {
        return int64_t(0.03 * double(steps().rows()) * double(input_blocks() * hidden + 300) *
                       double(hidden));
    }

    void describe(Rnn& k, const Tensor& hidden_weight, const Tensor& gates, const Tensor& h,
                  const Tensor& c, const Tensor& states, const Tensor& cells) const {
        k.cell = cell;
        k.steps = steps().count();
        k.batch = h.size(0);
        k.hidden = hidden;
        k.offsets = offsets->data();
        k.reverse = reverse;
        k.weight = k.steps > 1 ? hidden_weight.data() : nullptr;
        k.gates = gates.data();
        k.first_state = h.data();
        k.first_cell = data_of(c);
        k.state = states.defined() ? states.data() : nullptr;
        k.cell_state = data_of(cells);
        k.dtype = gates.dtype();
    }
};

struct Forward {
    Tensor gates, states, cells;
};

// All arguments are contiguous.
Forward forward(const Layer& layer, const RnnInputs& x) {
    GradModeGuard no_grad(false);
    int64_t rows = layer.steps().rows(), h = layer.hidden;
    TensorOptions options = x.input.options();
    Forward f;
    f.gates = empty(Dims{rows, layer.blocks() * h}, options);
    f.states = layer.blocks() == 1 ? f.gates : empty(Dims{rows, h}, options);
    if (layer.cell == Cell::Lstm) f.cells = empty(Dims{rows, h}, options);
    bool gru = layer.cell == Cell::Gru;
    Tensor bias, new_bias;
    if (x.input_bias.defined() && gru) {
        new_bias = narrow(x.hidden_bias, 0, 2 * h, h);
        bias = cat({add(narrow(x.input_bias, 0, 0, 2 * h), narrow(x.hidden_bias, 0, 0, 2 * h)),
                    narrow(x.input_bias, 0, 2 * h, h)},
                   0);
    } else if (x.input_bias.defined()) {
        bias = add(x.input_bias, x.hidden_bias);
    }
    multiply_into(layer.block(f.gates, 0, layer.input_blocks()), x.input, t(x.input_weight), 0,
                  bias);
    if (layer.steps().count() == 1) {
        Tensor w = x.hidden_weight;
        int64_t same = gru ? 2 : layer.blocks();
        multiply_into(layer.block(f.gates, 0, same), x.h, t(narrow(w, 0, 0, same * h)), 1);
        if (gru)
            multiply_into(layer.block(f.gates, 3, 1), x.h, t(narrow(w, 0, 2 * h, h)), 0, new_bias);
    }
    Rnn k;
    layer.describe(k, x.hidden_weight, f.gates, x.h, x.c, f.states, f.cells);
    k.new_bias = data_of(new_bias);
    if (rows > 0) launch(kernels::rnn, options.device, layer.work(), k);
    return f;
}

void fused_backward(Backward& bw, const Layer& layer, const RnnInputs& x, const Forward& f,
                    const GradList& grads) {
    int64_t rows = layer.steps().rows(), h = layer.hidden;
    bool gru = layer.cell == Cell::Gru;
    auto start = [&](const Tensor& g) {
        return g.defined() ? clone(g, MemoryFormat::Contiguous) : zeros(x.h.sizes(), x.h.options());
    };
    Tensor grad = grads[0], gh = start(grads[1]), gc;
    if (layer.cell == Cell::Lstm) gc = start(grads[2]);
    if (grad.defined() && grad.stride(1) != 1) grad = contiguous(grad);
    // Rows a multiple of a page apart would share too few cache sets.
    int64_t width = layer.blocks() * h, item = x.h.item_bytes();
    int64_t row = width * item % 1024 == 0 ? width + 64 / item : width;
    Tensor gates = narrow(empty(Dims{rows, row}, x.h.options()), 1, 0, width);
    kernels::RnnBackward k;
    layer.describe(k, x.hidden_weight, f.gates, x.h, x.c, f.states, f.cells);
    k.grad = data_of(grad);
    k.grad_row = grad.defined() ? grad.stride(0) : 0;
    k.grad_state = gh.data();
    k.grad_cell = data_of(gc);
    k.grad_gates = gates.data();
    k.grad_gates_row = row;
    if (rows > 0) launch(kernels::rnn_backward, x.h.device(), layer.work(), k);

    Tensor of_input = layer.block(gates, 0, layer.input_blocks());
    // Gru's third part of the weight leads to the last block.
    int64_t same = gru ? 2 : layer.blocks();
    Tensor of_state = layer.block(gates, 0, same), of_new;
    if (gru) of_new = layer.block(gates, 3, 1);
    auto part = [&](const Tensor& w, bool last) {
        return last ? narrow(w, 0, 2 * h, h) : narrow(w, 0, 0, same * h);
    };
    if (bw.needs(0)) bw.set(0, matmul(of_input, x.input_weight));
    if (bw.needs(1)) {
        if (layer.steps().count() == 1) {
            multiply_into(gh, of_state, part(x.hidden_weight, false), 1);
            if (gru) multiply_into(gh, of_new, part(x.hidden_weight, true), 1);
        }
        bw.set(1, gh);
    }
    if (bw.needs(2)) bw.set(2, gc);
    if (bw.needs(3)) bw.set(3, matmul(t(of_input), x.input));
    if (bw.needs(4)) {
        Tensor before =
            layer.steps().count() == 1 ? x.h : states_before(layer.steps(), f.states, x.h);
        Tensor gw = empty(x.hidden_weight.sizes(), x.h.options());
        multiply_into(part(gw, false), t(of_state), before, 0);
        if (gru) multiply_into(part(gw, true), t(of_new), before, 0);
        bw.set(4, gw);
    }
    if (!bw.needs(5) && !bw.needs(6)) return;
    Tensor total = sum(gates, {0}, false);
    if (bw.needs(5)) bw.set(5, gru ? narrow(total, 0, 0, 3 * h) : total);
    if (bw.needs(6))
        bw.set(6, gru ? cat({narrow(total, 0, 0, 2 * h), narrow(total, 0, 3 * h, h)}, 0) : total);
}

RnnResult fused(const Layer& layer, const RnnInputs& given) {
    auto dense = [](const Tensor& t) { return t.defined() ? contiguous(t) : t; };
    auto all_dense = [dense](const RnnInputs& x) {
        GradModeGuard no_grad(false);
        return RnnInputs{dense(x.input),
                         dense(x.h),
                         dense(x.c),
                         dense(x.input_weight),
                         dense(x.hidden_weight),
                         dense(x.input_bias),
                         dense(x.hidden_bias),
                         {}};
    };
    Forward f = forward(layer, all_dense(given));
    bool wanted = needs_grad(given.input, given.h, given.c, given.input_weight, given.hidden_weight,
                             given.input_bias, given.hidden_bias);
    RnnResult result{f.states, {}, {}};
    {
        GradModeGuard no_grad(false);
        result.h = last_states(layer.steps(), f.states);
        if (f.cells.defined()) result.c = last_states(layer.steps(), f.cells);
    }
    if (!wanted) return result;
    std::vector<Tensor> outputs{result.out, result.h};
    if (result.c.defined()) outputs.push_back(result.c);
    // States are needed for the recurrent weight, and as the gates of a plain cell.
    bool keeps_states = layer.blocks() == 1 || layer.steps().count() > 1;
    if (layer.blocks() == 1) f.gates = {};
    f.states = {};
    static constexpr const char* names[] = {"RnnTanhBackward0", "RnnReluBackward0", "LstmBackward0",
                                            "GruBackward0"};
    record(names[int(layer.cell)], std::span<const Tensor>(outputs),
           {given.input, given.h, given.c, given.input_weight, given.hidden_weight,
            given.input_bias, given.hidden_bias},
           [layer, f, all_dense, states = keeps_states ? Saved::output(result.out) : Saved(),
            input = Saved(given.input), h = Saved(given.h), c = Saved(given.c),
            input_weight = Saved(given.input_weight), hidden_weight = Saved(given.hidden_weight),
            input_bias = Saved(given.input_bias),
            hidden_bias = Saved(given.hidden_bias)](Backward& bw, GradList& grads) {
               RnnInputs x{input.get(bw),
                           h.get(bw),
                           c.get(bw),
                           input_weight.get(bw),
                           hidden_weight.get(bw),
                           input_bias.get(bw),
                           hidden_bias.get(bw),
                           {}};
               bool any = false;
               for (const Tensor& g : grads) any |= g.defined();
               if (!any) return;
               if (modes::grad_enabled())
                   return formula_backward(bw, layer.cell, x, layer.steps(), grads);
               Forward known = f;
               if (states.defined()) known.states = states.get(bw);
               if (layer.blocks() == 1) known.gates = known.states;
               fused_backward(bw, layer, all_dense(x), known, grads);
           });
    return result;
}

}  // namespace

RnnResult rnn_layer(Cell cell, const Tensor& input, const Tensor& h, const Tensor& c,
                    const RnnWeights& w, const RnnOffsets& offsets, bool reverse) {
    RnnInputs x{input, h, c, w.input, w.hidden, w.input_bias, w.hidden_bias, w.projection};
    Layer layer{cell, offsets, reverse, w.hidden.size(0) / Rnn::weight_blocks(cell)};
    if (w.projection.defined() || !kernels::rnn.serves(input.device().type, input.dtype()))
        return layer_formula(cell, x, layer.steps());
    return fused(layer, x);
}

}  // namespace ember::ops
