#pragma once

#include "kernels/formulas/traits.h"

// The rules of optim.inc. V is a vector of the CPU's levels or a CUDA thread's number: p the
// parameter and s its states, which are updated, g the gradient with sign and weight decay, n the
// rule's numbers. What depends on the step is worked out before, in Python.
namespace ember::formulas {

// n: learning rate, rho, 1 - rho, eps (Zeiler, 2012). s: averages of squared gradients and steps.
template <class V>
EMBER_FORMULA void adadelta(V& p, V g, V* s, const V* n) {
    s[0] = fma(g * n[2], g, s[0] * n[1]);
    V delta = sqrt(s[1] + n[3]) / sqrt(s[0] + n[3]) * g;
    s[1] = fma(delta * n[2], delta, s[1] * n[1]);
    p = fma(-n[0], delta, p);
}

// n: decayed learning rate, eps (Duchi et al., 2011). s: sum of squared gradients.
template <class V>
EMBER_FORMULA void adagrad(V& p, V g, V* s, const V* n) {
    s[0] = fma(g, g, s[0]);
    p = p - n[0] * g / (sqrt(s[0]) + n[1]);
}

// n: corrected learning rate, 1 - beta1, beta2, eps (Kingma and Ba, 2015, section 7.1).
// s: average of the gradients, largest gradient.
template <class V>
EMBER_FORMULA void adamax(V& p, V g, V* s, const V* n) {
    s[0] = fma(n[1], g - s[0], s[0]);
    s[1] = maximum(s[1] * n[2], abs(g) + n[3]);
    p = p - n[0] * s[0] / s[1];
}

// n: eta, 1 - lambd * eta, mu (Polyak and Juditsky, 1992). s: average of the parameter.
template <class V>
EMBER_FORMULA void asgd(V& p, V g, V* s, const V* n) {
    p = fma(-n[0], g, p * n[1]);
    s[0] = select(n[2] == V(ScalarOf<V>(1)), p, fma(p - s[0], n[2], s[0]));
}

// The averages of gradients and their squares that Adam's relatives keep.
template <class V>
EMBER_FORMULA void moments(V g, V* s, V weight1, V beta2, V weight2) {
    s[0] = fma(weight1, g - s[0], s[0]);
    s[1] = fma(weight2 * g, g, s[1] * beta2);
}

// n: factors of gradient and average, 1 - beta1, beta2, 1 - beta2, 1 - beta2^t, eps (Dozat, 2016).
template <class V>
EMBER_FORMULA void nadam(V& p, V g, V* s, const V* n) {
    moments(g, s, n[2], n[3], n[4]);
    V denominator = sqrt(s[1] / n[5]) + n[6];
    p = p - n[0] * g / denominator;
    p = p - n[1] * s[0] / denominator;
}

// n: corrected learning rate, rectification times sqrt(1 - beta2^t) or 0 while the variance is
// unknown, 1 - beta1, beta2, 1 - beta2, eps (Liu et al., 2020).
template <class V>
EMBER_FORMULA void radam(V& p, V g, V* s, const V* n) {
    moments(g, s, n[2], n[3], n[4]);
    V one = ScalarOf<V>(1);
    V adapted = select(n[1] > V(ScalarOf<V>(0)), n[1] / (sqrt(s[1]) + n[5]), one);
    p = fma(-n[0] * s[0], adapted, p);
}

// n: learning rate, alpha, 1 - alpha, eps, momentum (Hinton, 2012). s: average of squared
// gradients, then the momentum, then the average of gradients where the rule has them.
template <class V>
EMBER_FORMULA V rmsprop_direction(V g, V* s, const V* n) {
    s[0] = fma(g * n[2], g, s[0] * n[1]);
    return g / (sqrt(s[0]) + n[3]);
}
template <class V>
EMBER_FORMULA V rmsprop_centered_direction(V g, V* s, V& average, const V* n) {
    s[0] = fma(g * n[2], g, s[0] * n[1]);
    average = fma(n[2], g - average, average);
    return g / (sqrt(fma(-average, average, s[0])) + n[3]);
}
template <class V>
EMBER_FORMULA void rmsprop(V& p, V g, V* s, const V* n) {
    p = fma(-n[0], rmsprop_direction(g, s, n), p);
}
template <class V>
EMBER_FORMULA void rmsprop_momentum(V& p, V g, V* s, const V* n) {
    s[1] = fma(s[1], n[4], rmsprop_direction(g, s, n));
    p = fma(-n[0], s[1], p);
}
template <class V>
EMBER_FORMULA void rmsprop_centered(V& p, V g, V* s, const V* n) {
    p = fma(-n[0], rmsprop_centered_direction(g, s, s[1], n), p);
}
template <class V>
EMBER_FORMULA void rmsprop_centered_momentum(V& p, V g, V* s, const V* n) {
    s[1] = fma(s[1], n[4], rmsprop_centered_direction(g, s, s[2], n));
    p = fma(-n[0], s[1], p);
}

// n: factors after a change of sign and without one, smallest and largest step (Riedmiller and
// Braun, 1993). s: previous gradient, step size.
template <class V>
EMBER_FORMULA void rprop(V& p, V g, V* s, const V* n) {
    V zero = ScalarOf<V>(0), one = ScalarOf<V>(1);
    V product = g * s[0];
    V factor = select(product > zero, n[1], select(product < zero, n[0], one));
    s[1] = min(max(s[1] * factor, n[2]), n[3]);
    s[0] = select(product < zero, zero, g);
    V sign = select(s[0] > zero, one, select(s[0] < zero, -one, zero));
    p = fma(-sign, s[1], p);
}

}  // namespace ember::formulas
