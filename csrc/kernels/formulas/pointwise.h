#pragma once

#include "kernels/formulas/math.h"

// One formula a function, for floating V; `_backward` takes the gradient of the result first.
namespace ember::formulas {

// ---- Arithmetic, with PyTorch's conventions for signs and zeros

template <class V>
EMBER_FORMULA V remainder(V a, V b) {  // the sign of b
    V r = fmod(a, b);
    return select((r != V(0)) & ((b < V(0)) ^ (r < V(0))), r + b, r);
}

// floor of the exact a / b, by the remainder: the quotient itself may round up to a whole number.
template <class V>
EMBER_FORMULA V floor_divide(V a, V b) {
    V r = fmod(a, b);
    V quotient = (a - r) / b;
    quotient = select((r != V(0)) & ((b < V(0)) ^ (r < V(0))), quotient - V(1), quotient);
    V whole = floor(quotient);
    whole = select(quotient - whole > V(0.5), whole + V(1), whole);
    whole = select(quotient == V(0), copysign(V(0), a / b), whole);
    return select(b == V(0), a / b, whole);
}

template <class V>
EMBER_FORMULA V lerp(V a, V b, V weight) {
    V difference = b - a;
    return select(abs(weight) < V(0.5), fma(weight, difference, a),
                  fma(weight - V(1), difference, b));
}

template <class V>
EMBER_FORMULA V sign(V x) {
    return select(x > V(0), V(1), select(x < V(0), V(-1), V(0)));
}
template <class V>
EMBER_FORMULA V rsqrt(V x) {
    return V(1) / sqrt(x);
}
template <class V>
EMBER_FORMULA V clamp(V x, V low, V high) {
    return minimum(maximum(x, low), high);
}

template <class V>
EMBER_FORMULA V frac(V x) {
    return x - trunc(x);
}
template <class V>
EMBER_FORMULA V with_sign(V x, V sign) {
    return copysign(x, sign);
}

// ---- Activations

template <class V>
EMBER_FORMULA V relu(V x) {
    return max(V(0), x);  // of equals and with NaN the second operand: -0.0 and NaN stay
}
template <class V>
EMBER_FORMULA V leaky_relu(V x, V slope) {
    return select(x > V(0), x, x * slope);
}
template <class V>
EMBER_FORMULA V silu(V x) {
    return x * sigmoid(x);
}
template <class V>
EMBER_FORMULA V gelu(V x) {
    return x * normal(x).below;
}
// x (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3) is x sigmoid(2 u): no cancellation.
template <class V>
EMBER_FORMULA V gelu_tanh(V x) {
    constexpr double k = 1.5957691216057308, cubic = 0.044715;
    return x * sigmoid(x * fma(x * x, V(k * cubic), V(k)));
}
// log(1 + e^(beta x)) / beta, and x itself where beta x exceeds the threshold.
template <class V>
EMBER_FORMULA V softplus(V x, V beta, V threshold) {
    V scaled = x * beta;
    return select(scaled > threshold, x, log1p(exp(scaled)) / beta);
}
template <class V>
EMBER_FORMULA V softplus_backward(V grad, V x, V beta, V threshold) {
    V scaled = x * beta;
    return select(scaled > threshold, grad, grad * sigmoid(scaled));
}
template <class V>
EMBER_FORMULA V log_sigmoid(V x) {
    return minimum(x, V(0)) - log1p(exp(-abs(x)));
}

template <class V>
EMBER_FORMULA V tanh_backward(V grad, V y) {
    return grad * fma(-y, y, V(1));
}
template <class V>
EMBER_FORMULA V sigmoid_backward(V grad, V y) {
    return grad * ((V(1) - y) * y);
}
template <class V>
EMBER_FORMULA V relu_backward(V grad, V x) {
    return select(x <= V(0), V(0), grad);
}
template <class V>
EMBER_FORMULA V leaky_relu_backward(V grad, V x, V slope) {
    return select(x > V(0), grad, grad * slope);
}
template <class V>
EMBER_FORMULA V clamp_backward(V grad, V x, V low, V high) {
    return select((x >= low) & (x <= high), grad, V(0));
}
// Sigmoid and what it lacks to 1, neither by subtraction.
template <class V>
struct Logistic {
    V share, rest;
};
template <class V>
EMBER_FORMULA Logistic<V> logistic(V x) {
    V e = exp(-abs(x)), larger = V(1) / (V(1) + e), smaller = e * larger;
    return {select(x < V(0), smaller, larger), select(x < V(0), larger, smaller)};
}
template <class V>
EMBER_FORMULA V silu_backward(V grad, V x) {
    Logistic<V> s = logistic(x);
    return grad * s.share * fma(x, s.rest, V(1));
}
template <class V>
EMBER_FORMULA V gelu_backward(V grad, V x) {
    Normal<V> n = normal(x);
    return grad * fma(x, n.density, n.below);
}
template <class V>
EMBER_FORMULA V gelu_tanh_backward(V grad, V x) {
    constexpr double k = 1.5957691216057308, cubic = 0.044715;
    V square = x * x;
    Logistic<V> s = logistic(x * fma(square, V(k * cubic), V(k)));
    V slope = fma(square, V(3 * k * cubic), V(k));
    return grad * s.share * fma(x * s.rest, slope, V(1));
}

// ---- Losses by element

template <class V>
EMBER_FORMULA V mse(V x, V target) {
    return (x - target) * (x - target);
}
template <class V>
EMBER_FORMULA V mse_backward(V grad, V x, V target, V factor) {
    return (factor + factor) * grad * (x - target);
}
// Logarithms stop at -100, so that an x of 0 or 1 gives a large loss instead of an infinite one.
template <class V>
EMBER_FORMULA V bce(V x, V target) {
    V log_x = maximum(log(x), V(-100)), log_rest = maximum(log1p(-x), V(-100));
    return (target - V(1)) * log_rest - target * log_x;
}
template <class V>
EMBER_FORMULA V bce_backward(V grad, V x, V target, V factor) {
    return factor * grad * (x - target) / maximum((V(1) - x) * x, V(1e-12f));
}
template <class V>
EMBER_FORMULA V bce_with_logits(V x, V target) {
    return (V(1) - target) * x - log_sigmoid(x);
}
template <class V>
EMBER_FORMULA V bce_with_logits_backward(V grad, V x, V target, V factor) {
    return factor * grad * (sigmoid(x) - target);
}

}  // namespace ember::formulas
