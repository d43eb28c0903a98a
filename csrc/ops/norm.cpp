#include "ops/norm.h"

#include "kernels/norm.h"
#include "ops/copy.h"
#include "ops/formula.h"
#include "ops/view.h"

namespace ember::kernels {

EMBER_SLOT(layer_norm)
EMBER_SLOT(layer_norm_backward)
EMBER_SLOT(batch_norm)
EMBER_SLOT(batch_norm_backward)

}  // namespace ember::kernels

namespace ember::ops {

namespace {

DType statistics_type(const Tensor& x) {
    return x.dtype() == DType::Float64 ? DType::Float64 : DType::Float32;
}

void* data_of(const Tensor& t) { return t.defined() ? t.data() : nullptr; }

// Weight or bias as the kernel takes them: contiguous, of the input's dtype or, for halves,
// float32.
Tensor parameter(const char* name, const char* what, const Tensor& p, const Tensor& x,
                 IntSpan sizes) {
    if (!p.defined()) return p;
    check_same_device(name, x, p);
    EMBER_CHECK(same(p.sizes(), sizes), "%s: %s must have shape %s, got %s", name, what,
                to_string(sizes).c_str(), to_string(p.sizes()).c_str());
    bool wide = kHalves.has(x.dtype()) && p.dtype() == DType::Float32;
    EMBER_CHECK(p.dtype() == x.dtype() || wide, "%s: %s must have the input's dtype %s, got %s",
                name, what, dtype_name(x.dtype()), dtype_name(p.dtype()));
    return contiguous(p);
}

DType shared_type(const char* name, const Tensor& x, std::initializer_list<TensorRef> params) {
    DType dtype = x.dtype();
    bool first = true;
    for (const Tensor& p : params) {
        if (!p.defined()) continue;
        EMBER_CHECK(first || p.dtype() == dtype, "%s: parameters must share a dtype, got %s and %s",
                    name, dtype_name(dtype), dtype_name(p.dtype()));
        dtype = p.dtype();
        first = false;
    }
    return dtype;
}

// The formula both share. `axes` are what one mean goes over; parameters already broadcast.
void normalised_backward(Backward& bw, const Tensor& g, const Tensor& x, const Tensor& weight,
                         const Tensor& mean, const Tensor& rstd, const Dims& axes, bool through,
                         const Dims& param_axes, IntSpan param_sizes) {
    Tensor unit = mul(sub(x, mean), rstd);
    if (bw.needs(0)) {
        Tensor gw = weight.defined() ? mul(g, weight) : g;
        if (through) {
            Tensor centre = ops::mean(gw, axes, true, std::nullopt, {});
            Tensor slope = ops::mean(mul(gw, unit), axes, true, std::nullopt, {});
            gw = sub(sub(gw, centre), mul(unit, slope));
        }
        bw.set(0, mul(gw, rstd));
    }
    Dims shape(param_sizes);
    auto reduced = [&](const Tensor& t) {
        return reshape(param_axes.empty() ? t : sum(t, param_axes, true), shape);
    };
    if (bw.needs(1)) bw.set(1, reduced(mul(g, unit)));
    if (bw.needs(2)) bw.set(2, reduced(g));
}

}  // namespace

Tensor layer_norm(const Tensor& input, const Dims& normalized_shape, const Tensor& weight,
                  const Tensor& bias, double eps) {
    constexpr const char* name = "layer_norm";
    int lead = input.dim() - normalized_shape.size();
    EMBER_CHECK(!normalized_shape.empty(), "layer_norm: normalized_shape must not be empty");
    EMBER_CHECK(
        lead >= 0 && same(input.sizes().subspan(size_t(lead < 0 ? 0 : lead)), normalized_shape),
        "layer_norm: expected an input whose last dims are %s, got %s",
        to_string(normalized_shape).c_str(), to_string(input.sizes()).c_str());
    kernels::layer_norm.require(input.device(), input.dtype());
    Tensor x = contiguous(input);
    Tensor w = parameter(name, "weight", weight, x, normalized_shape);
    Tensor b = parameter(name, "bias", bias, x, normalized_shape);
    DType param_dtype = shared_type(name, x, {w, b});
    kernels::LayerNorm k;
    k.n = 1;
    for (int64_t s : normalized_shape) k.n *= s;
    k.rows = 1;
    for (int d = 0; d < lead; d++) k.rows *= x.impl()->sizes[d];
    Dims rows(x.sizes().first(size_t(lead)));
    for (int i = 0; i < normalized_shape.size(); i++) rows.push_back(1);
    Tensor out = empty(x.sizes(), x.options());
    Tensor mean = empty(rows, {statistics_type(x), x.device()}), rstd = empty_like(mean);
    k.in = x.data();
    k.out = out.data();
    k.weight = data_of(w);
    k.bias = data_of(b);
    k.mean = mean.data();
    k.rstd = rstd.data();
    k.eps = eps;
    k.dtype = x.dtype();
    k.param_dtype = param_dtype;
    if (out.numel() > 0) launch(kernels::layer_norm, x.device(), x.numel(), k);
    if (!needs_grad(input, weight, bias)) return out;
    record("NativeLayerNormBackward0", out, {input, weight, bias},
           [x = Saved(input), w = Saved(weight), mean, rstd, normalized_shape, lead, eps,
            param_dtype](Backward& bw, const Tensor& g) {
               Tensor value = x.get(bw), scale = w.get(bw);
               if (modes::grad_enabled()) {  // the statistics depend on x too: made anew
                   Dims axes, others;
                   for (int d = 0; d < value.dim(); d++) (d < lead ? others : axes).push_back(d);
                   Tensor wide = to_dtype(value, mean.dtype());
                   Tensor m = ops::mean(wide, axes, true, std::nullopt, {});
                   Tensor v = ops::mean(square(sub(wide, m)), axes, true, std::nullopt, {});
                   normalised_backward(bw, g, wide, scale, m, rsqrt(add(v, eps), {}), axes, true,
                                       others, normalized_shape);
                   return;
               }
               Tensor grad = contiguous(g);
               value = contiguous(value);
               scale = scale.defined() ? contiguous(scale) : scale;
               kernels::LayerNormBackward k;
               Tensor gx, gw, gb;
               if (bw.needs(0)) gx = empty(value.sizes(), value.options());
               TensorOptions params{param_dtype, value.device()};
               if (bw.needs(1)) gw = empty(normalized_shape, params);
               if (bw.needs(2)) gb = empty(normalized_shape, params);
               k.grad = grad.data();
               k.in = value.data();
               k.weight = data_of(scale);
               k.mean = mean.data();
               k.rstd = rstd.data();
               k.grad_input = data_of(gx);
               k.grad_weight = data_of(gw);
               k.grad_bias = data_of(gb);
               k.rows = mean.numel();
               k.n = k.rows ? value.numel() / k.rows
                            : checked_numel("layer_norm", normalized_shape, DType::Float64);
               k.dtype = value.dtype();
               k.param_dtype = param_dtype;
               launch(kernels::layer_norm_backward, value.device(), value.numel() * 2, k);
               bw.set(0, gx);
               bw.set(1, gw);
               bw.set(2, gb);
           });
    return out;
}

Tensor batch_norm(const Tensor& input, const Tensor& running_mean, const Tensor& running_var,
                  const Tensor& weight, const Tensor& bias, bool training, double momentum,
                  double eps) {
    constexpr const char* name = "batch_norm";
    EMBER_CHECK(input.dim() >= 2, "batch_norm: expected an input with at least 2 dims, got %d",
                input.dim());
    EMBER_CHECK(training || (running_mean.defined() && running_var.defined()),
                "batch_norm: running_mean and running_var must be given when not training");
    EMBER_CHECK(running_mean.defined() == running_var.defined(),
                "batch_norm: running_mean and running_var must be given together");
    kernels::batch_norm.require(input.device(), input.dtype());
    Tensor x = contiguous(input);
    kernels::BatchNorm k;
    k.n = x.impl()->sizes[0];
    k.channels = x.impl()->sizes[1];
    for (int d = 2; d < x.dim(); d++) k.inner *= x.impl()->sizes[d];
    if (training && k.channels > 0 && k.n * k.inner == 1)
        raise_value(
            "batch_norm: expected more than 1 value per channel when training, got input "
            "size %s",
            to_string(x.sizes()).c_str());
    Dims channel{k.channels};
    Tensor w = parameter(name, "weight", weight, x, channel);
    Tensor b = parameter(name, "bias", bias, x, channel);
    Tensor rm = parameter(name, "running_mean", running_mean, x, channel);
    Tensor rv = parameter(name, "running_var", running_var, x, channel);
    DType param_dtype = shared_type(name, x, {w, b, rm, rv});
    Tensor out = empty(x.sizes(), x.options());
    Tensor mean = empty(channel, {statistics_type(x), x.device()}), invstd = empty_like(mean);
    bool tracks = training && running_mean.defined();
    if (tracks) {
        GradModeGuard no_grad(false);
        check_in_place(name, running_mean);
        check_in_place(name, running_var);
    }
    k.in = x.data();
    k.out = out.data();
    k.weight = data_of(w);
    k.bias = data_of(b);
    k.running_mean = data_of(rm);
    k.running_var = data_of(rv);
    k.mean = mean.data();
    k.invstd = invstd.data();
    k.eps = eps;
    k.momentum = momentum;
    k.training = training;
    k.dtype = x.dtype();
    k.param_dtype = param_dtype;
    if (out.numel() > 0) launch(kernels::batch_norm, x.device(), x.numel() * 2, k);
    if (tracks) {
        GradModeGuard no_grad(false);
        if (!rm.is(running_mean)) copy_(running_mean, rm);
        if (!rv.is(running_var)) copy_(running_var, rv);
        running_mean.bump_version();
        running_var.bump_version();
    }
    if (!needs_grad(input, weight, bias)) return out;
    record("NativeBatchNormBackward0", out, {input, weight, bias},
           [x = Saved(input), w = Saved(weight), mean, invstd, channel, training, eps, param_dtype](
               Backward& bw, const Tensor& g) {
               Tensor value = x.get(bw), scale = w.get(bw);
               if (modes::grad_enabled()) {
                   Dims axes, shape(value.dim());
                   for (int d = 0; d < value.dim(); d++) {
                       shape[d] = d == 1 ? channel[0] : 1;
                       if (d != 1) axes.push_back(d);
                   }
                   Tensor wide = to_dtype(value, mean.dtype());
                   Tensor m = reshape(mean, shape), r = reshape(invstd, shape);
                   if (training) {
                       m = ops::mean(wide, axes, true, std::nullopt, {});
                       Tensor v = ops::mean(square(sub(wide, m)), axes, true, std::nullopt, {});
                       r = rsqrt(add(v, eps), {});
                   }
                   Tensor s = scale.defined() ? reshape(scale, shape) : scale;
                   normalised_backward(bw, g, wide, s, m, r, axes, training, axes, channel);
                   return;
               }
               Tensor grad = contiguous(g);
               value = contiguous(value);
               scale = scale.defined() ? contiguous(scale) : scale;
               kernels::BatchNormBackward k;
               Tensor gx, gw, gb;
               if (bw.needs(0)) gx = empty(value.sizes(), value.options());
               TensorOptions params{param_dtype, value.device()};
               if (bw.needs(1)) gw = empty(channel, params);
               if (bw.needs(2)) gb = empty(channel, params);
               k.grad = grad.data();
               k.in = value.data();
               k.weight = data_of(scale);
               k.mean = mean.data();
               k.invstd = invstd.data();
               k.grad_input = data_of(gx);
               k.grad_weight = data_of(gw);
               k.grad_bias = data_of(gb);
               k.n = value.impl()->sizes[0];
               k.channels = channel[0];
               for (int d = 2; d < value.dim(); d++) k.inner *= value.impl()->sizes[d];
               k.training = training;
               k.dtype = value.dtype();
               k.param_dtype = param_dtype;
               launch(kernels::batch_norm_backward, value.device(), value.numel() * 2, k);
               bw.set(0, gx);
               bw.set(1, gw);
               bw.set(2, gb);
           });
    return out;
}

}  // namespace ember::ops
