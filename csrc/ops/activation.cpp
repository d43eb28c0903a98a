#include "ops/activation.h"

#include "kernels/activation.h"
#include "ops/copy.h"
#include "ops/formula.h"
#include "ops/view.h"

namespace ember::ops {

namespace {

struct Numbers {
    double a = 0, b = 0, c = 0;
};

Tensor scalar(double value) { return wrapped_number(number(value)); }

// What an activation is: its kernels, the name of its node, and its derivative.
struct Activation {
    const char* name;
    const char* node;
    const kernels::Pointwise& forward;
    const kernels::Pointwise& backward;
    Tensor (*slope)(const Tensor& g, const Tensor& x, const Numbers& n);
};

Tensor run(const kernels::Pointwise& slot, const char* name, std::initializer_list<TensorRef> in,
           const Dest& dest, DType dtype, const Numbers& n) {
    PointwiseOptions options(dtype, dtype, {number(n.a), number(n.b), number(n.c)}, 2);
    return pointwise(slot, name, in, dest, options);
}

void check_floating(const char* name, const Tensor& x) {
    if (!is_floating(x.dtype()))
        raise(ErrorKind::NotImplemented, "%s: expected a floating point tensor, got %s", name,
              dtype_name(x.dtype()));
}

void record_slope(const Activation& f, const Tensor& out, const Tensor& x, const Dest& dest,
                  Saved saved, const Numbers& n) {
    record(f.node, out, {x}, dest, [saved, n, &f](Backward& bw, const Tensor& g) {
        Tensor x = saved.get(bw);
        bw.set(0, modes::grad_enabled() ? f.slope(g, x, n)
                                        : run(f.backward, f.name, {g, x}, {}, g.dtype(), n));
    });
}

Tensor activate(const Activation& f, const Tensor& x, const Dest& dest, const Numbers& n = {}) {
    check_floating(f.name, x);
    Tensor copy;
    const Tensor& first = original(x, dest, x, copy);
    Tensor out = run(f.forward, f.name, {x}, dest, x.dtype(), n);
    if (needs_grad(x)) record_slope(f, out, x, dest, Saved(first), n);
    return out;
}

Tensor within(const Tensor& x, double low, double high) {
    return logical_and(ge(x, scalar(low)), le(x, scalar(high)), {});
}

// The exponential of positive numbers is not used, and must not overflow.
Tensor elu_slope(const Tensor& g, const Tensor& x, const Numbers& n) {
    Tensor low = clamp(x, std::nullopt, number(0.0), {});
    Tensor left = mul(mul(g, n.a * n.c), exp(mul(low, n.c)));
    return where(le(x, scalar(0)), left, mul(g, n.b));
}

Tensor elu_slope_of_result(const Tensor& g, const Tensor& y, const Numbers& n) {
    return where(le(y, scalar(0)), mul(mul(g, n.c), add(y, n.a)), mul(g, n.b));
}

Tensor hardsigmoid_slope(const Tensor& g, const Tensor& x, const Numbers&) {
    Tensor between = logical_and(gt(x, scalar(-3)), lt(x, scalar(3)), {});
    return where(between, mul(g, 1.0 / 6), scalar(0));
}

Tensor hardswish_slope(const Tensor& g, const Tensor& x, const Numbers&) {
    Tensor between = mul(g, add(mul(x, 1.0 / 3), 0.5));
    return where(le(x, scalar(-3)), scalar(0), where(lt(x, scalar(3)), between, g));
}

Tensor hardtanh_slope(const Tensor& g, const Tensor& x, const Numbers& n) {
    Tensor beyond = logical_or(le(x, scalar(n.a)), ge(x, scalar(n.b)), {});
    return where(beyond, scalar(0), g);
}

Tensor shrink_slope(const Tensor& g, const Tensor& x, const Numbers& n) {
    return where(within(x, -n.a, n.a), scalar(0), g);
}

Tensor threshold_slope(const Tensor& g, const Tensor& x, const Numbers& n) {
    return where(le(x, scalar(n.a)), scalar(0), g);
}

// d/dx of x t(x), t = tanh(softplus(x)): t + x sigmoid(x) (1 - t^2).
Tensor mish_slope(const Tensor& g, const Tensor& x, const Numbers&) {
    Tensor t = tanh(softplus(x, 1, 20));
    Tensor rest = sub(scalar(1), square(t));
    return mul(g, add(t, mul(mul(x, sigmoid(x)), rest)));
}

}  // namespace

Tensor elu(const char* name, const Tensor& x, double alpha, double scale, double input_scale,
           const Dest& dest) {
    static const Activation by_input = {"elu", "EluBackward0", kernels::elu, kernels::elu_backward,
                                        elu_slope};
    check_floating(name, x);
    Numbers n{alpha * scale, scale, input_scale};
    Tensor out = run(kernels::elu, name, {x}, dest, x.dtype(), n);
    if (!needs_grad(x)) return out;
    if (!dest.is_in_place()) {
        record_slope(by_input, out, x, dest, Saved(x), n);
        return out;
    }
    EMBER_CHECK(alpha >= 0, "%s_: in place needs an alpha that is not negative, got %g", name,
                alpha);
    record("EluBackward0", out, {x}, dest,
           [y = Saved::output(out), n](Backward& bw, const Tensor& g) {
               bw.set(0, elu_slope_of_result(g, y.get(bw), n));
           });
    return out;
}

Tensor hardsigmoid(const Tensor& x, const Dest& dest) {
    static const Activation f = {"hardsigmoid", "HardsigmoidBackward0", kernels::hardsigmoid,
                                 kernels::hardsigmoid_backward, hardsigmoid_slope};
    return activate(f, x, dest);
}

Tensor hardswish(const Tensor& x, const Dest& dest) {
    static const Activation f = {"hardswish", "HardswishBackward0", kernels::hardswish,
                                 kernels::hardswish_backward, hardswish_slope};
    return activate(f, x, dest);
}

Tensor hardtanh(const char* name, const Tensor& x, Number min, Number max, const Dest& dest) {
    static const Activation f = {"hardtanh", "HardtanhBackward0", kernels::hardtanh,
                                 kernels::hardtanh_backward, hardtanh_slope};
    EMBER_CHECK(x.dtype() != DType::Bool, "%s: bool tensors are not supported", name);
    Numbers n{min.as<double>(), max.as<double>()};
    if (n.a > n.b)
        raise(ErrorKind::Value, "%s: min_val must not exceed max_val=%g, got %g", name, n.b, n.a);
    if (is_integral(x.dtype())) {
        EMBER_CHECK(x.dtype() != DType::UInt8 || n.a >= 0,
                    "%s: a negative limit means nothing to uint8, got %g", name, n.a);
        Number low = number(min.as<int64_t>()), high = number(max.as<int64_t>());
        return pointwise(kernels::clamp, name, {x}, dest, {x.dtype(), x.dtype(), {low, high}});
    }
    Tensor out = run(kernels::hardtanh, name, {x}, dest, x.dtype(), n);
    // The result is at a limit where the input is, or beyond.
    if (needs_grad(x))
        record_slope(f, out, x, dest, dest.is_in_place() ? Saved::output(out) : Saved(x), n);
    return out;
}

Tensor hardshrink(const Tensor& x, double lambd) {
    static const Activation f = {"hardshrink", "HardshrinkBackward0", kernels::hardshrink,
                                 kernels::shrink_backward, shrink_slope};
    return activate(f, x, {}, {lambd});
}

Tensor softshrink(const Tensor& x, double lambd) {
    static const Activation f = {"softshrink", "SoftshrinkBackward0", kernels::softshrink,
                                 kernels::shrink_backward, shrink_slope};
    EMBER_CHECK(lambd >= 0, "softshrink: lambda must be at least 0, got %g", lambd);
    return activate(f, x, {}, {lambd});
}

Tensor threshold(const Tensor& x, Number bound, Number value, const Dest& dest) {
    static const Activation f = {"threshold", "ThresholdBackward0", kernels::threshold,
                                 kernels::threshold_backward, threshold_slope};
    if (is_floating(x.dtype()))
        return activate(f, x, dest, {bound.as<double>(), value.as<double>()});
    if (x.dtype() == DType::Bool) check_floating("threshold", x);
    Tensor low = wrapped_number(number(bound.as<int64_t>()));
    return where(le(x, low), wrapped_number(number(value.as<int64_t>())), x, dest);
}

Tensor mish(const Tensor& x, const Dest& dest) {
    static const Activation f = {"mish", "MishBackward0", kernels::mish, kernels::mish_backward,
                                 mish_slope};
    return activate(f, x, dest);
}

Tensor glu(const Tensor& x, int64_t dim) {
    check_floating("glu", x);
    EMBER_CHECK(x.dim() > 0, "glu: expected at least one dim, got a zero-dim tensor");
    int d = wrap_dim("glu", dim, x.dim());
    int64_t size = x.sizes()[d];
    EMBER_CHECK(size % 2 == 0, "glu: expected an even size of dim %d, got %lld", d,
                static_cast<long long>(size));
    Tensor value = narrow(x, d, 0, size / 2), gate = narrow(x, d, size / 2, size / 2);
    Tensor out = pointwise(kernels::glu, "glu", {value, gate}, {}, {x.dtype(), x.dtype(), {}, 2});
    if (needs_grad(x))
        record("GluBackward0", out, {value, gate},
               [value = Saved(value), gate = Saved(gate)](Backward& bw, const Tensor& g) {
                   Tensor s = sigmoid(gate.get(bw)), through = mul(g, s);
                   bw.set(0, through);
                   bw.set(1, mul(mul(through, value.get(bw)), sub(scalar(1), s)));
               });
    return out;
}

Tensor prelu(const Tensor& x, const Tensor& weight) {
    check_floating("prelu", x);
    EMBER_CHECK(x.dtype() == weight.dtype(), "prelu: weight must be %s as the input, got %s",
                dtype_name(x.dtype()), dtype_name(weight.dtype()));
    EMBER_CHECK(weight.dim() <= 1, "prelu: weight must have at most one dim, got %d", weight.dim());
    Tensor slope = weight;
    if (weight.numel() != 1) {
        EMBER_CHECK(x.dim() > 0, "prelu: a zero-dim input needs a weight of 1 element, got %lld",
                    static_cast<long long>(weight.numel()));
        int64_t channels = x.dim() > 1 ? x.sizes()[1] : 1;
        EMBER_CHECK(channels == weight.numel(),
                    "prelu: weight must have as many elements as the input has channels, %lld, "
                    "got %lld",
                    static_cast<long long>(channels), static_cast<long long>(weight.numel()));
        Dims shape;
        for (int d = 0; d < x.dim(); d++) shape.push_back(d == 1 ? channels : 1);
        slope = view(weight, shape);
    } else if (x.dim() == 0) {
        slope = view(weight, Dims());
    }
    Tensor out = pointwise(kernels::prelu, "prelu", {x, slope}, {}, {x.dtype(), x.dtype()});
    if (needs_grad(x, slope))
        record("PreluKernelBackward0", out, {x, slope},
               [x = Saved(x), slope = Saved(slope)](Backward& bw, const Tensor& g) {
                   Tensor value = x.get(bw), positive = gt(value, scalar(0));
                   if (bw.needs(0)) bw.set(0, where(positive, g, mul(g, slope.get(bw))));
                   if (bw.needs(1)) bw.set(1, where(positive, scalar(0), mul(g, value)));
               });
    return out;
}

}  // namespace ember::ops
