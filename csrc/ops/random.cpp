#include "ops/random.h"

#include <bit>
#include <cmath>
#include <limits>

#include "kernels/random.h"
#include "ops/copy.h"
#include "ops/factory.h"
#include "ops/formula.h"
#include "ops/view.h"

namespace ember::kernels {

decltype(uniform) uniform("uniform_");
decltype(normal) normal("normal_");
decltype(randint) randint("random_");
decltype(bernoulli) bernoulli("bernoulli_");
decltype(bernoulli_tensor) bernoulli_tensor("bernoulli");
decltype(exponential) exponential("exponential_");
EMBER_SLOT(randperm)
EMBER_SLOT(dropout)

}  // namespace ember::kernels

namespace ember::ops {

namespace {

Generator& chosen(const char* name, Generator* generator, Device device) {
    if (!generator) return device.is_cpu() ? thread_generator() : default_generator(device);
    EMBER_CHECK(generator->device() == device, "%s: expected a generator of %s, got one of %s",
                name, to_string(device).c_str(), to_string(generator->device()).c_str());
    return *generator;
}

// Fills `self` by a kernel under the generator's mutex; a layout with holes or overlaps goes by a
// dense copy.
template <class S, class... Args>
Tensor fill(const S& slot, const char* name, const Tensor& self, Generator* generator, double ns,
            Args... args) {
    check_in_place(name, self);
    EMBER_CHECK(!self.has_overlap(),
                "%s: more than one element of the written-to tensor refers to a single memory "
                "location; clone it first",
                name);
    slot.require(self.device(), self.dtype());
    bool dense = self.is_dense();
    Tensor target = dense ? self : empty(self.sizes(), self.options());
    if (self.numel() > 0) {
        Generator& source = chosen(name, generator, self.device());
        std::scoped_lock lock(source.mutex());
        kernels::RandomFill out{target.data(), target.numel(), target.dtype(),
                                self.is_contiguous()};
        launch(slot, self.device(), int64_t(double(self.numel()) * ns), out, source.source(),
               args...);
    }
    if (!dense) {
        GradModeGuard no_grad(false);
        return copy_(self, target);
    }
    self.bump_version();
    return self;
}

// Random values replace what was there: nothing flows back to it.
Tensor cut_history(const char* node, const Tensor& self) {
    if (needs_grad(self))
        record(node, self, {self}, Dest::in_place(self),
               [](Backward& bw, const Tensor& g) { bw.set(0, zeros(g.sizes(), g.options())); });
    return self;
}

void require_floating(const char* name, DType dtype) {
    if (!is_floating(dtype))
        raise(ErrorKind::NotImplemented, "%s: expected a floating point dtype, got %s", name,
              dtype_name(dtype));
}

void check_probability(const char* name, double p) {
    EMBER_CHECK(p >= 0 && p <= 1, "%s: p must be in [0, 1], got %g", name, p);
}

}  // namespace

Tensor rand(const Dims& size, Generator* generator, TensorOptions options) {
    require_floating("rand", options.dtype);
    checked_numel("rand", size, options.dtype);
    return uniform_(empty(size, options), 0, 1, generator);
}

Tensor randn(const Dims& size, Generator* generator, TensorOptions options) {
    require_floating("randn", options.dtype);
    checked_numel("randn", size, options.dtype);
    return normal_(empty(size, options), 0, 1, generator);
}

Tensor randperm(int64_t n, Generator* generator, TensorOptions options) {
    EMBER_CHECK(n >= 0, "randperm: n must not be negative, got %ld", long(n));
    EMBER_CHECK(options.dtype != DType::Bool, "randperm: bool is not supported");
    Tensor out = empty({{n}}, options);
    Tensor largest = full({}, number(std::max<int64_t>(n - 1, 0)), {DType::Int64, {}});
    Tensor back = to_dtype(to_dtype(largest, options.dtype), DType::Int64);
    EMBER_CHECK(*back.as<int64_t>() == *largest.as<int64_t>(),
                "randperm: n is too large for %s, got %ld", dtype_name(options.dtype), long(n));
    return fill(kernels::randperm, "randperm", out, generator, 3);
}

Tensor uniform_(const Tensor& self, double from, double to, Generator* generator) {
    require_floating("uniform_", self.dtype());
    EMBER_CHECK(from <= to,
                "uniform_: expects to return a [from, to) range, but found from=%g > to=%g", from,
                to);
    EMBER_CHECK(std::isfinite(to - from), "uniform_: the range from %g to %g is not finite", from,
                to);
    fill(kernels::uniform, "uniform_", self, generator, 0.6, from, to);
    return cut_history("UniformBackward0", self);
}

Tensor normal_(const Tensor& self, double mean, double std, Generator* generator) {
    require_floating("normal_", self.dtype());
    EMBER_CHECK(std >= 0, "normal_: expects std >= 0.0, but found std %g", std);
    fill(kernels::normal, "normal_", self, generator, 3, mean, std);
    return cut_history("NormalBackward0", self);
}

Tensor exponential_(const Tensor& self, double lambd, Generator* generator) {
    require_floating("exponential_", self.dtype());
    EMBER_CHECK(lambd > 0, "exponential_: expects lambda > 0.0, but found lambda=%g", lambd);
    fill(kernels::exponential, "exponential_", self, generator, 4, lambd);
    return cut_history("ExponentialBackward0", self);
}

namespace {

// The largest whole number up to which every one is exact.
int64_t exact_limit(DType dtype) {
    switch (dtype) {
        case DType::Bool: return 1;
        case DType::UInt8: return 255;
        case DType::Int8: return 127;
        case DType::Int16: return 32767;
        case DType::Int32: return std::numeric_limits<int32_t>::max();
        case DType::Float16: return 1 << 11;
        case DType::BFloat16: return 1 << 8;
        case DType::Float32: return 1 << 24;
        case DType::Float64: return int64_t(1) << 53;
        default: return std::numeric_limits<int64_t>::max();
    }
}

int digits(DType dtype) {
    return dtype == DType::Float64   ? 53
           : dtype == DType::Float32 ? 24
           : dtype == DType::Float16 ? 11
                                     : 8;
}

// How far numbers of v's size lie apart in a floating dtype.
int64_t spacing(DType dtype, int64_t v) {
    int bits = 64 - std::countl_zero(std::max<uint64_t>(v < 0 ? 0 - uint64_t(v) : uint64_t(v), 1));
    return bits > digits(dtype) ? int64_t(1) << (bits - digits(dtype)) : 1;
}

// v rounded to a floating dtype (halves to even), without its limit of range.
int64_t nearest(DType dtype, int64_t v) {
    int64_t step = spacing(dtype, v), down = v & ~(step - 1), rest = v - down;
    bool up = rest * 2 > step || (rest * 2 == step && (down / step) % 2 != 0);
    return up ? int64_t(uint64_t(down) + uint64_t(step)) : down;  // wraps beyond 2^63
}

int64_t lower_limit(DType dtype) {
    switch (dtype) {
        case DType::Bool:
        case DType::UInt8: return 0;
        case DType::Int64: return std::numeric_limits<int64_t>::min();
        case DType::Int8:
        case DType::Int16:
        case DType::Int32: return -exact_limit(dtype) - 1;
        default: return -exact_limit(dtype);
    }
}

}  // namespace

namespace {

// Draws whole numbers of [low, high).
Tensor draw_range(const char* name, const Tensor& self, int64_t low, int64_t high,
                  Generator* generator) {
    DType dtype = self.dtype();
    if (is_floating(dtype)) {
        // Bounds that the dtype would round outwards move inwards to the next number it holds.
        int64_t step_low = spacing(dtype, low + 1), step_high = spacing(dtype, high - 1);
        int64_t first = nearest(dtype, low + 1), last = nearest(dtype, high - 1);
        if (first < low) low = first + step_low;
        if (last >= high) high = last - step_high;
        EMBER_CHECK(low < high, "%s: no number in [%ld, %ld) is exact in %s", name, long(low),
                    long(high), dtype_name(dtype));
    } else {
        EMBER_CHECK(low >= lower_limit(dtype) && high - 1 <= exact_limit(dtype),
                    "%s: the range [%ld, %ld) is out of bounds for %s", name, long(low), long(high),
                    dtype_name(dtype));
    }
    return fill(kernels::randint, name, self, generator, 0.6, uint64_t(high) - uint64_t(low), low);
}

}  // namespace

Tensor random_(const Tensor& self, std::optional<int64_t> first, std::optional<int64_t> second,
               Generator* generator) {
    if (!first) {
        fill(kernels::randint, "random_", self, generator, 0.6, uint64_t(0), int64_t(0));
        return cut_history("RandomBackward0", self);
    }
    int64_t low = second ? *first : 0, high = second ? *second : *first;
    EMBER_CHECK(low < high,
                "random_: expects 'from' to be less than 'to', but got from=%ld >= to=%ld",
                long(low), long(high));
    draw_range("random_", self, low, high, generator);
    return cut_history("RandomBackward0", self);
}

Tensor randint(int64_t low, int64_t high, const Dims& size, Generator* generator,
               TensorOptions options) {
    EMBER_CHECK(low < high, "randint: low must be less than high, got %ld and %ld", long(low),
                long(high));
    checked_numel("randint", size, options.dtype);
    return draw_range("randint", empty(size, options), low, high, generator);
}

Tensor bernoulli_(const Tensor& self, double p, Generator* generator) {
    check_probability("bernoulli_", p);
    fill(kernels::bernoulli, "bernoulli_", self, generator, 1.5, p);
    return cut_history("BernoulliBackward0", self);
}

Tensor bernoulli_tensor_(const Tensor& self, const Tensor& p, Generator* generator) {
    EMBER_CHECK(is_floating(p.dtype()), "bernoulli: p must be floating point, got %s",
                dtype_name(p.dtype()));
    GradModeGuard no_grad(false);
    Tensor chances =
        empty(self.sizes(),
              {p.dtype() == DType::Float64 ? DType::Float64 : DType::Float32, self.device()});
    copy_(chances, p);
    Tensor outside = logical_or(lt(chances, wrapped_number(number(0.0))),
                                gt(chances, wrapped_number(number(1.0))), {});
    outside = logical_or(outside, isnan(chances), {});
    EMBER_CHECK(!read_item<bool>(any(outside, std::nullopt, false, {})),
                "bernoulli: expected all p to be in [0, 1]");
    // The kernel wants probabilities in the order of the output's memory.
    Tensor target = self.is_contiguous() ? self : empty(self.sizes(), self.options());
    fill(kernels::bernoulli_tensor, "bernoulli_", target, generator, 1.5,
         static_cast<const void*>(chances.data()), chances.dtype());
    return target.is(self) ? self : copy_(self, target);
}

Tensor bernoulli(const Tensor& p, Generator* generator, const Dest& out) {
    Tensor to = out.fresh() ? empty_like(p) : out.tensor();
    if (!out.fresh()) {
        check_out("bernoulli", to, p.dtype(), needs_grad(p));
        resize_out("bernoulli", to, p.sizes());
    }
    bernoulli_tensor_(to, p, generator);
    if (out.fresh() && needs_grad(p))
        record("BernoulliBackward0", to, {p},
               [](Backward& bw, const Tensor& g) { bw.set(0, zeros(g.sizes(), g.options())); });
    return to;
}

Tensor normal_tensors(const Tensor& mean, const Tensor& std, Generator* generator) {
    GradModeGuard no_grad(false);
    Tensor scale = detach(std);
    EMBER_CHECK(
        !read_item<bool>(any(lt(scale, wrapped_number(number(0.0))), std::nullopt, false, {})),
        "normal: expects all elements of std >= 0.0");
    Dims sizes = broadcast_sizes("normal", mean.sizes(), std.sizes());
    Tensor both[] = {mean, std};
    Tensor out = randn(sizes, generator, {float_result_type(both), mean.device()});
    out = mul(out, scale, Dest::in_place(out));
    return add(out, mean, number(int64_t(1)), Dest::in_place(out));
}

// Without replacement, and for one sample: the largest of p / exponential(1) (Efraimidis and
// Spirakis, 2006). With replacement: the inverse of the cumulative distribution.
Tensor multinomial(const Tensor& input, int64_t num_samples, bool replacement,
                   Generator* generator) {
    GradModeGuard no_grad(false);
    EMBER_CHECK(is_floating(input.dtype()), "multinomial: expects floating point input, got %s",
                dtype_name(input.dtype()));
    EMBER_CHECK(input.dim() == 1 || input.dim() == 2,
                "multinomial: prob_dist must be 1 or 2 dim, got %d", input.dim());
    EMBER_CHECK(num_samples > 0, "multinomial: cannot sample n_sample <= 0 samples, got %ld",
                long(num_samples));
    int64_t n = input.size(-1);
    EMBER_CHECK(replacement || num_samples <= n,
                "multinomial: cannot sample n_sample > prob_dist.size(-1) samples without "
                "replacement, got %ld and %ld",
                long(num_samples), long(n));
    Tensor zero = wrapped_number(number(0.0));
    Tensor bad = logical_or(logical_not(isfinite(input), {}), lt(input, zero), {});
    EMBER_CHECK(!read_item<bool>(any(bad, std::nullopt, false, {})),
                "multinomial: probability tensor contains either `inf`, `nan` or element < 0");
    Dims last{-1};
    Tensor total = sum(input, last, true);
    EMBER_CHECK(!read_item<bool>(any(le(total, zero), std::nullopt, false, {})),
                "multinomial: invalid multinomial distribution (sum of probabilities <= 0)");
    int64_t rows = input.dim() == 2 ? input.size(0) : 1;
    Dims shape(input.sizes());
    shape.back() = num_samples;
    Tensor out = empty(shape, {DType::Int64, {}});
    int64_t* chosen_index = out.as<int64_t>();
    if (!replacement || num_samples == 1) {
        Tensor q = empty_like(input);
        exponential_(q, 1, generator);
        Tensor keys = to_device(contiguous(to_dtype(div(input, q), DType::Float64)), {});
        std::vector<int64_t> order(static_cast<size_t>(n));
        for (int64_t r = 0; r < rows; r++) {
            const double* key = keys.as<double>() + r * n;
            for (int64_t i = 0; i < n; i++) order[size_t(i)] = i;
            std::partial_sort(order.begin(), order.begin() + num_samples, order.end(),
                              [&](int64_t a, int64_t b) {
                                  return key[a] > key[b] || (key[a] == key[b] && a < b);
                              });
            std::copy(order.begin(), order.begin() + num_samples, chosen_index + r * num_samples);
        }
        return to_device(out, input.device());
    }
    Tensor p = to_device(contiguous(to_dtype(input, DType::Float64)), {});
    Tensor draws = to_device(rand(shape, generator, {DType::Float64, input.device()}), {});
    std::vector<double> cumulative(static_cast<size_t>(n));
    for (int64_t r = 0; r < rows; r++) {
        double running = 0;
        for (int64_t i = 0; i < n; i++)
            cumulative[size_t(i)] = running += p.as<double>()[r * n + i];
        for (double& c : cumulative) c /= running;
        if (n > 0) cumulative.back() = 1;
        for (int64_t s = 0; s < num_samples; s++) {
            double u = draws.as<double>()[r * num_samples + s];
            auto at = std::lower_bound(cumulative.begin(), cumulative.end(), u);
            chosen_index[r * num_samples + s] = at - cumulative.begin();
        }
    }
    return to_device(out, input.device());
}

Tensor dropout(const Tensor& input, double p, bool training, bool inplace) {
    if (!(p >= 0 && p <= 1))
        raise_value("dropout: dropout probability has to be between 0 and 1, but got %g", p);
    Dest dest = inplace ? Dest::in_place(input) : Dest();
    if (!training || p == 0 || input.numel() == 0) return input;
    require_floating("dropout", input.dtype());
    if (p == 1) return mul(input, zeros({}, input.options()), dest);
    bool dense = input.is_dense() && !inplace;
    Tensor x = dense ? input : contiguous(detach(input));
    Tensor mask = empty_like(x, DType::Bool), out = empty_like(x);
    kernels::dropout.require(x.device(), x.dtype());
    {
        Generator& source = chosen("dropout", nullptr, x.device());
        std::scoped_lock lock(source.mutex());
        launch(kernels::dropout, x.device(), x.numel() * 2, x.data(), out.data(), mask.as<bool>(),
               x.numel(), x.dtype(), source.source(), p);
    }
    // The factor as the kernel has it, rounded to the dtype: gradients are PyTorch's to the bit.
    bool wide = input.dtype() == DType::Float64;
    Tensor factor =
        full({}, number(wide ? 1 / (1 - p) : double(1 / float(1 - p))), input.options());
    if (inplace) return mul(input, mul(to_dtype(mask, input.dtype()), factor), dest);
    if (needs_grad(input))
        record("NativeDropoutBackward0", out, {input},
               [mask, factor](Backward& bw, const Tensor& g) {
                   bw.set(0, mul(mul(g, mask), factor));
               });
    return out;
}

}  // namespace ember::ops
