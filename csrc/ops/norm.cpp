#include "ops/norm.h"

#include <limits>

#include "kernels/norm.h"
#include "ops/copy.h"
#include "ops/formula.h"
#include "ops/view.h"

namespace ember::kernels {

EMBER_SLOT(layer_norm)
EMBER_SLOT(layer_norm_backward)
EMBER_SLOT(group_norm)
EMBER_SLOT(group_norm_backward)
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

// The formula all share. `axes` are what one mean goes over; parameters already broadcast. An
// undefined mean is 0 and depends on nothing.
void normalised_backward(Backward& bw, const Tensor& g, const Tensor& x, const Tensor& weight,
                         const Tensor& mean, const Tensor& rstd, const Dims& axes, bool through,
                         const Dims& param_axes, IntSpan param_sizes) {
    Tensor unit = mul(mean.defined() ? sub(x, mean) : x, rstd);
    if (bw.needs(0)) {
        Tensor gw = weight.defined() ? mul(g, weight) : g;
        if (through) {
            Tensor slope = ops::mean(mul(gw, unit), axes, true, std::nullopt, {});
            if (mean.defined()) gw = sub(gw, ops::mean(gw, axes, true, std::nullopt, {}));
            gw = sub(gw, mul(unit, slope));
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

// Rows normalised to mean 0, if `centred`, and a mean square of 1.
Tensor normalise_rows(const char* name, const Tensor& input, const Dims& normalized_shape,
                      const Tensor& weight, const Tensor& bias, double eps, bool centred) {
    int lead = input.dim() - normalized_shape.size();
    EMBER_CHECK(!normalized_shape.empty(), "%s: normalized_shape must not be empty", name);
    EMBER_CHECK(
        lead >= 0 && same(input.sizes().subspan(size_t(lead < 0 ? 0 : lead)), normalized_shape),
        "%s: expected an input whose last dims are %s, got %s", name,
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
    k.centred = centred;
    k.dtype = x.dtype();
    k.param_dtype = param_dtype;
    if (out.numel() > 0) launch(kernels::layer_norm, x.device(), x.numel(), k);
    if (!needs_grad(input, weight, bias)) return out;
    record(centred ? "NativeLayerNormBackward0" : "RmsNormBackward0", out, {input, weight, bias},
           [x = Saved(input), w = Saved(weight), mean, rstd, normalized_shape, lead, eps, centred,
            param_dtype](Backward& bw, const Tensor& g) {
               Tensor value = x.get(bw), scale = w.get(bw);
               if (modes::grad_enabled()) {  // the statistics depend on x too: made anew
                   Dims axes, others;
                   for (int d = 0; d < value.dim(); d++) (d < lead ? others : axes).push_back(d);
                   Tensor wide = to_dtype(value, mean.dtype());
                   Tensor m;
                   if (centred) m = ops::mean(wide, axes, true, std::nullopt, {});
                   Tensor v = ops::mean(square(centred ? sub(wide, m) : wide), axes, true,
                                        std::nullopt, {});
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
               k.centred = centred;
               k.dtype = value.dtype();
               k.param_dtype = param_dtype;
               launch(kernels::layer_norm_backward, value.device(), value.numel() * 2, k);
               bw.set(0, gx);
               bw.set(1, gw);
               bw.set(2, gb);
           });
    return out;
}

// In float32 or float64.
Tensor normalise_groups(const Tensor& input, int64_t groups, const Tensor& w, const Tensor& b,
                        double eps) {
    Tensor x = contiguous(input);
    Tensor weight = w.defined() ? contiguous(w) : w, bias = b.defined() ? contiguous(b) : b;
    kernels::GroupNorm k;
    k.n = x.size(0), k.groups = groups, k.channels = x.size(1) / groups;
    for (int d = 2; d < x.dim(); d++) k.inner *= x.size(d);
    Tensor out = empty(x.sizes(), x.options());
    Tensor mean = empty(Dims{k.n, groups}, x.options()), rstd = empty_like(mean);
    k.in = x.data();
    k.out = out.data();
    k.weight = data_of(weight);
    k.bias = data_of(bias);
    k.mean = mean.data();
    k.rstd = rstd.data();
    k.eps = eps;
    k.dtype = x.dtype();
    if (out.numel() > 0) launch(kernels::group_norm, x.device(), x.numel(), k);
    out = contiguous(out, format_of(input));
    if (!needs_grad(input, w, b)) return out;
    record("NativeGroupNormBackward0", out, {input, w, b},
           [x = Saved(input), w = Saved(w), mean, rstd, groups, channels = k.channels,
            inner = k.inner, eps](Backward& bw, const Tensor& g) {
               Tensor value = x.get(bw), scale = w.get(bw);
               int64_t n = value.size(0), all = groups * channels;
               if (modes::grad_enabled()) {
                   Dims parts{n, groups, channels, inner}, axes{2, 3};
                   Tensor v4 = reshape(value, parts);
                   Tensor m = ops::mean(v4, axes, true, std::nullopt, {});
                   Tensor v = ops::mean(square(sub(v4, m)), axes, true, std::nullopt, {});
                   if (scale.defined()) scale = reshape(scale, {1, groups, channels, 1});
                   normalised_backward(bw, reshape(g, parts), v4, scale, m, rsqrt(add(v, eps), {}),
                                       axes, true, {0, 3}, Dims{all});
                   if (bw.needs(0)) bw.set(0, reshape(bw.results[0], Dims(value.sizes())));
                   return;
               }
               const MemoryFormat format = format_of(value);
               Tensor grad = contiguous(g);
               value = contiguous(value);
               scale = scale.defined() ? contiguous(scale) : scale;
               kernels::GroupNormBackward k;
               Tensor gx, gw, gb;
               if (bw.needs(0)) gx = empty(value.sizes(), value.options());
               if (bw.needs(1)) gw = empty(Dims{all}, value.options());
               if (bw.needs(2)) gb = empty(Dims{all}, value.options());
               k.grad = grad.data();
               k.in = value.data();
               k.weight = data_of(scale);
               k.mean = mean.data();
               k.rstd = rstd.data();
               k.grad_input = data_of(gx);
               k.grad_weight = data_of(gw);
               k.grad_bias = data_of(gb);
               k.n = n, k.groups = groups, k.channels = channels, k.inner = inner;
               k.dtype = value.dtype();
               launch(kernels::group_norm_backward, value.device(), value.numel() * 2, k);
               bw.set(0, gx.defined() ? contiguous(gx, format) : gx);
               bw.set(1, gw);
               bw.set(2, gb);
           });
    return out;
}

}  // namespace

Tensor layer_norm(const Tensor& input, const Dims& normalized_shape, const Tensor& weight,
                  const Tensor& bias, double eps) {
    return normalise_rows("layer_norm", input, normalized_shape, weight, bias, eps, true);
}

Tensor rms_norm(const Tensor& input, const Dims& normalized_shape, const Tensor& weight,
                std::optional<double> eps) {
    double least = input.dtype() == DType::Float64 ? std::numeric_limits<double>::epsilon()
                                                   : std::numeric_limits<float>::epsilon();
    return normalise_rows("rms_norm", input, normalized_shape, weight, {}, eps.value_or(least),
                          false);
}

Tensor group_norm(const Tensor& input, int64_t num_groups, const Tensor& weight, const Tensor& bias,
                  double eps) {
    constexpr const char* name = "group_norm";
    EMBER_CHECK(input.dim() >= 2, "group_norm: expected an input with at least 2 dims, got %d",
                input.dim());
    EMBER_CHECK(num_groups > 0 && input.size(1) % num_groups == 0,
                "group_norm: expected a number of channels that num_groups divides, got an input "
                "of shape %s and num_groups=%ld",
                to_string(input.sizes()).c_str(), long(num_groups));
    DType wide = statistics_type(input);
    if (!is_floating(input.dtype())) kernels::group_norm.require(input.device(), input.dtype());
    Dims channels{input.size(1)};
    Tensor w = parameter(name, "weight", weight, input, channels);
    Tensor b = parameter(name, "bias", bias, input, channels);
    if (input.dtype() == wide) return normalise_groups(input, num_groups, weight, bias, eps);
    auto widened = [&](const Tensor& t) { return t.defined() ? to_dtype(t, wide) : t; };
    return to_dtype(
        normalise_groups(widened(input), num_groups, widened(weight), widened(bias), eps),
        input.dtype());
}

Tensor instance_norm(const Tensor& input, const Tensor& running_mean, const Tensor& running_var,
                     const Tensor& weight, const Tensor& bias, bool use_input_stats,
                     double momentum, double eps) {
    EMBER_CHECK(input.dim() >= 2, "instance_norm: expected an input with at least 2 dims, got %d",
                input.dim());
    EMBER_CHECK(use_input_stats || (running_mean.defined() && running_var.defined()),
                "instance_norm: expected running_mean and running_var to be defined when "
                "use_input_stats is false");
    int64_t n = input.size(0), c = input.size(1);
    if (use_input_stats && !running_mean.defined() && !running_var.defined() && c > 0)
        return group_norm(input, c, weight, bias, eps);
    // Every image's channels are channels of one image.
    auto repeated = [&](const Tensor& t) { return t.defined() ? repeat(t, {n}) : t; };
    Tensor mean = repeated(running_mean), var = repeated(running_var);
    Dims shape(input.sizes());
    shape[0] = 1;
    shape[1] = n * c;
    Tensor out = batch_norm(reshape(input, shape), mean, var, repeated(weight), repeated(bias),
                            use_input_stats, momentum, eps);
    if (use_input_stats) {
        GradModeGuard no_grad(false);
        for (auto [running, now] : {std::pair(running_mean, mean), {running_var, var}})
            if (running.defined())
                copy_(running, ops::mean(reshape(now, {n, c}), Dims{0}, false, std::nullopt, {}));
    }
    return reshape(out, Dims(input.sizes()));
}

namespace {

// Pixels whose channels lie side by side are items of a batch.
template <class K>
void set_items(K& k, const Tensor& x, MemoryFormat format) {
    int64_t pixels = 1;
    for (int d = 2; d < x.dim(); d++) pixels *= x.impl()->sizes[d];
    const bool last = format != MemoryFormat::Contiguous;
    k.n = x.impl()->sizes[0] * (last ? pixels : 1);
    k.channels = x.impl()->sizes[1];
    k.inner = last ? 1 : pixels;
}

}  // namespace

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
    const MemoryFormat format = format_of(input);
    Tensor x = contiguous(input, format);
    kernels::BatchNorm k;
    set_items(k, x, format);
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
    Tensor out = empty_in(x.sizes(), x.options(), format);
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
               const MemoryFormat format = format_of(value);
               Tensor grad = contiguous(g, format);
               value = contiguous(value, format);
               scale = scale.defined() ? contiguous(scale) : scale;
               kernels::BatchNormBackward k;
               Tensor gx, gw, gb;
               if (bw.needs(0)) gx = empty_in(value.sizes(), value.options(), format);
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
               set_items(k, value, format);
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
