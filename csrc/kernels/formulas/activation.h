#pragma once

#include "kernels/formulas/pointwise.h"

// Activations with their backwards; `_backward` takes the gradient of the result first.
namespace ember::formulas {

// `left` (e^(rate x) - 1) up to zero and `right` x beyond it: ELU, CELU and SELU.
template <class V>
EMBER_FORMULA V elu(V x, V left, V right, V rate) {
    return select(x <= V(0), expm1(x * rate) * left, x * right);
}
template <class V>
EMBER_FORMULA V elu_backward(V grad, V x, V left, V right, V rate) {
    return select(x <= V(0), grad * rate * left * exp(x * rate), grad * right);
}

// The factor x + 3, limited to [0, 6], of hard sigmoid and hard swish.
template <class V>
EMBER_FORMULA V hard_gate(V x) {
    return clamp(x + V(3), V(0), V(6));
}
template <class V>
EMBER_FORMULA V hardsigmoid(V x) {
    return hard_gate(x) / V(6);
}
template <class V>
EMBER_FORMULA V hardsigmoid_backward(V grad, V x) {
    return select((x > V(-3)) & (x < V(3)), grad / V(6), V(0));
}
template <class V>
EMBER_FORMULA V hardswish(V x) {
    return x * hard_gate(x) / V(6);
}
template <class V>
EMBER_FORMULA V hardswish_backward(V grad, V x) {
    V between = grad * (x / V(3) + V(0.5));
    return select(x <= V(-3), V(0), select(x < V(3), between, grad));
}

// Zero keeps its sign at a limit of 0.
template <class V>
EMBER_FORMULA V hardtanh(V x, V low, V high) {
    return select(x < low, low, select(x > high, high, x));
}
template <class V>
EMBER_FORMULA V hardtanh_backward(V grad, V x, V low, V high) {
    return select((x <= low) | (x >= high), V(0), grad);
}

template <class V>
EMBER_FORMULA V hardshrink(V x, V bound) {
    return select((x >= -bound) & (x <= bound), V(0), x);
}
template <class V>
EMBER_FORMULA V softshrink(V x, V bound) {
    return select(x > bound, x - bound, select(x < -bound, x + bound, select(x != x, x, V(0))));
}
template <class V>
EMBER_FORMULA V shrink_backward(V grad, V x, V bound) {
    return select((x >= -bound) & (x <= bound), V(0), grad);
}

template <class V>
EMBER_FORMULA V threshold(V x, V bound, V value) {
    return select(x <= bound, value, x);
}
template <class V>
EMBER_FORMULA V threshold_backward(V grad, V x, V bound) {
    return select(x <= bound, V(0), grad);
}

// tanh(log(1 + e)) = n / (n + 2) with e = e^x and n = e (e + 2).
template <class V>
EMBER_FORMULA V mish_gate(V x) {
    V e = exp(x), n = e * (e + V(2));
    return select(x > V(20), V(1), n / (n + V(2)));
}
template <class V>
EMBER_FORMULA V mish(V x) {
    return x * mish_gate(x);
}
template <class V>
EMBER_FORMULA V mish_backward(V grad, V x) {
    V gate = mish_gate(x);
    return grad * fma(x * sigmoid(x), fma(-gate, gate, V(1)), gate);
}

template <class V>
EMBER_FORMULA V glu(V x, V gate) {
    return x * sigmoid(gate);
}
template <class V>
EMBER_FORMULA V glu_gate_backward(V grad, V x, V gate) {
    V s = sigmoid(gate);
    return grad * x * (s * (V(1) - s));
}

}  // namespace ember::formulas
