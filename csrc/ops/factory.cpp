#include "ops/factory.h"

#include <algorithm>
#include <cmath>

#include "core/backend.h"
#include "ops/complex.h"
#include "ops/copy.h"
#include "ops/plan.h"
#include "ops/pointwise.h"
#include "ops/view.h"

namespace ember::ops {

namespace {

TensorOptions options_of(std::optional<DType> dtype, std::optional<Device> device) {
    return {dtype.value_or(modes::default_dtype()), device.value_or(Device())};
}

void fill(const Tensor& t, Number value) {
    if (t.numel() == 0) return;
    // All bits zero is zero in every dtype.
    bool zero = value.kind >= Number::Kind::Float ? value.d == 0 && !std::signbit(value.d) &&
                                                        value.imag == 0 && !std::signbit(value.imag)
                                                  : value.i == 0;
    if (zero && t.device().is_cpu() && t.is_dense() && t.numel() < 4096) {
        std::memset(t.data(), 0, size_t(t.numel() * t.item_bytes()));
        return;
    }
    GradModeGuard no_grad(false);
    Tensor source = wrapped_number(value);
    const Tensor* operands[] = {&t, &source};
    Plan plan;
    make_plan(plan, operands, 1, t.dtype());
    kernels::copy.require(t.device(), t.dtype());
    launch(kernels::copy, t.device(), plan.numel / 2, plan);
}

DType dtype_of_number(Number n) {
    return n.kind == Number::Kind::Complex ? modes::default_complex()
           : n.kind == Number::Kind::Float ? modes::default_dtype()
           : n.kind == Number::Kind::Int   ? DType::Int64
                                           : DType::Bool;
}

Tensor filled(const char* name, const Dims& size, Number value, std::optional<DType> dtype,
              std::optional<Device> device) {
    TensorOptions options = options_of(dtype, device);
    check_number_fits(name, wrapped_number(value), options.dtype);
    checked_numel(name, size, options.dtype);
    return full(size, value, options);
}

Tensor like(const char* name, const Tensor& x, std::optional<DType> dtype,
            std::optional<Device> device, std::optional<MemoryFormat> memory_format) {
    DType d = dtype.value_or(x.dtype());
    MemoryFormat format = memory_format.value_or(MemoryFormat::Preserve);
    if (format == MemoryFormat::Preserve && (!device || resolve_device(*device) == x.device()))
        return empty_like(x, d);
    return empty_in_given(name, x.sizes(), {d, device.value_or(x.device())}, format);
}

}  // namespace

Tensor with_grad(Tensor t, bool requires_grad) {
    if (!requires_grad) return t;
    EMBER_CHECK(is_floating(t.dtype()) || is_complex(t.dtype()),
                "requires_grad: only Tensors of floating point and complex dtype can require "
                "gradients, got %s",
                dtype_name(t.dtype()));
    t.impl()->requires_grad = true;
    return t;
}

Tensor zeros(IntSpan sizes, TensorOptions options) {
    return full(sizes, number(int64_t(0)), options);
}

Tensor full(IntSpan sizes, Number value, TensorOptions options) {
    Tensor t = empty(sizes, options);
    fill(t, value);
    return t;
}

Tensor empty_op(const Dims& size, std::optional<DType> dtype, std::optional<Device> device,
                bool requires_grad, std::optional<MemoryFormat> memory_format) {
    MemoryFormat format = memory_format.value_or(MemoryFormat::Contiguous);
    EMBER_CHECK(format != MemoryFormat::Preserve,
                "empty: unsupported memory format option Preserve");
    return with_grad(empty_in_given("empty", size, options_of(dtype, device), format),
                     requires_grad);
}

Tensor zeros_op(const Dims& size, std::optional<DType> dtype, std::optional<Device> device) {
    return filled("zeros", size, number(int64_t(0)), dtype, device);
}

Tensor ones_op(const Dims& size, std::optional<DType> dtype, std::optional<Device> device) {
    return filled("ones", size, number(int64_t(1)), dtype, device);
}

Tensor full_op(const Dims& size, Number fill_value, std::optional<DType> dtype,
               std::optional<Device> device) {
    return filled("full", size, fill_value, dtype.value_or(dtype_of_number(fill_value)), device);
}

Tensor empty_strided_op(const Dims& size, const Dims& stride, std::optional<DType> dtype,
                        std::optional<Device> device, bool requires_grad) {
    return with_grad(empty_strided(size, stride, options_of(dtype, device)), requires_grad);
}

Tensor empty_like_op(const Tensor& input, std::optional<DType> dtype, std::optional<Device> device,
                     bool requires_grad, std::optional<MemoryFormat> memory_format) {
    return with_grad(like("empty_like", input, dtype, device, memory_format), requires_grad);
}

Tensor full_like(const Tensor& input, Number fill_value, std::optional<DType> dtype,
                 std::optional<Device> device, bool requires_grad,
                 std::optional<MemoryFormat> memory_format) {
    Tensor t = like("full_like", input, dtype, device, memory_format);
    check_number_fits("full_like", wrapped_number(fill_value), t.dtype());
    fill(t, fill_value);
    return with_grad(t, requires_grad);
}

Tensor zeros_like(const Tensor& input, std::optional<DType> dtype, std::optional<Device> device,
                  bool requires_grad, std::optional<MemoryFormat> memory_format) {
    return full_like(input, number(int64_t(0)), dtype, device, requires_grad, memory_format);
}

Tensor ones_like(const Tensor& input, std::optional<DType> dtype, std::optional<Device> device,
                 bool requires_grad, std::optional<MemoryFormat> memory_format) {
    return full_like(input, number(int64_t(1)), dtype, device, requires_grad, memory_format);
}

Tensor arange(Number start, std::optional<Number> end, Number step, std::optional<DType> dtype,
              std::optional<Device> device, bool requires_grad) {
    Number first = end ? start : number(int64_t(0)), last = end ? *end : start;
    bool whole = first.kind != Number::Kind::Float && last.kind != Number::Kind::Float &&
                 step.kind != Number::Kind::Float;
    DType d = dtype.value_or(whole ? DType::Int64 : modes::default_dtype());
    EMBER_CHECK(d != DType::Bool, "arange: bool is not supported");
    refuse_complex("arange", d);
    double a = first.as<double>(), b = last.as<double>(), by = step.as<double>();
    EMBER_CHECK(by != 0, "arange: step must be nonzero");
    EMBER_CHECK(std::isfinite(a) && std::isfinite(b), "arange: unsupported range: %g -> %g", a, b);
    EMBER_CHECK(by > 0 ? b >= a : b <= a,
                "arange: upper bound and lower bound inconsistent with step sign, got %g, %g, %g",
                a, b, by);
    double count = std::ceil((b - a) / by);
    if (whole) {
        __int128 distance = __int128(last.i) - first.i, width = step.i;
        count = double((distance + width - (width > 0 ? 1 : -1)) / width);
    }
    EMBER_CHECK(count < 0x1p53, "arange: %g elements are too many", count);
    Tensor t = empty({{int64_t(count)}}, {DType::Int64, {}});
    int64_t* items = t.as<int64_t>();
    if (whole) {
        for (int64_t i = 0; i < t.numel(); i++)
            items[i] = int64_t(uint64_t(first.i) + uint64_t(i) * uint64_t(step.i));
    } else {
        Tensor exact = empty({{int64_t(count)}}, {DType::Float64, {}});
        for (int64_t i = 0; i < t.numel(); i++) exact.as<double>()[i] = a + double(i) * by;
        t = exact;
    }
    return with_grad(to(to_dtype(t, d), device, std::nullopt, false, false, std::nullopt),
                     requires_grad);
}

Tensor linspace(double start, double end, int64_t steps, std::optional<DType> dtype,
                std::optional<Device> device, bool requires_grad) {
    EMBER_CHECK(steps >= 0, "linspace: number of steps must be non-negative, got %ld", long(steps));
    DType d = dtype.value_or(modes::default_dtype());
    Tensor t = empty({{steps}}, {DType::Float64, {}});
    double* items = t.as<double>();
    // From both ends inwards, so that the last item is exactly `end`; float32 steps in float32.
    bool single = d == DType::Float32;
    double step = steps > 1 ? (end - start) / double(steps - 1) : 0;
    if (single) step = steps > 1 ? (float(end) - float(start)) / float(steps - 1) : 0;
    for (int64_t i = 0; i < steps; i++) {
        bool front = i < steps / 2;
        if (single)
            items[i] = front ? std::fma(float(step), float(i), float(start))
                             : std::fma(-float(step), float(steps - 1 - i), float(end));
        else
            items[i] = front ? start + step * double(i) : end - step * double(steps - 1 - i);
    }
    if (steps == 1) items[0] = start;
    return with_grad(to(to_dtype(t, d), device, std::nullopt, false, false, std::nullopt),
                     requires_grad);
}

Tensor eye(int64_t n, std::optional<int64_t> m, std::optional<DType> dtype,
           std::optional<Device> device, bool requires_grad) {
    int64_t columns = m.value_or(n);
    EMBER_CHECK(n >= 0 && columns >= 0, "eye: n and m must not be negative, got %ld and %ld",
                long(n), long(columns));
    checked_numel("eye", {{n, columns}}, options_of(dtype, device).dtype);
    Tensor t = zeros({{n, columns}}, options_of(dtype, device));
    if (t.numel() > 0) fill(diagonal(t, 0, 0, 1), number(int64_t(1)));
    return with_grad(t, requires_grad);
}

namespace {

Tensor triangle(const char* name, const char* node, const Tensor& x, int64_t diagonal, bool lower) {
    EMBER_CHECK(x.dim() >= 2, "%s: input must have at least 2 dims, got %d", name, x.dim());
    int64_t rows = x.size(-2), columns = x.size(-1);
    Tensor out;
    {
        GradModeGuard no_grad(false);
        auto count = [&](int64_t from, int64_t to) {
            return arange(number(from), number(to), number(int64_t(1)), DType::Int64, x.device(),
                          false);
        };
        int64_t first = std::clamp(diagonal, -rows, columns);
        Tensor row = unsqueeze(count(first, first + rows), 1), column = count(0, columns);
        out = where(lower ? le(column, row) : ge(column, row), x, zeros({}, x.options()));
    }
    if (needs_grad(x))
        record(node, out, {x}, [name, node, diagonal, lower](Backward& bw, const Tensor& g) {
            bw.set(0, triangle(name, node, g, diagonal, lower));
        });
    return out;
}

}  // namespace

Tensor tril(const Tensor& x, int64_t diagonal) {
    return triangle("tril", "TrilBackward0", x, diagonal, true);
}
Tensor triu(const Tensor& x, int64_t diagonal) {
    return triangle("triu", "TriuBackward0", x, diagonal, false);
}

}  // namespace ember::ops
