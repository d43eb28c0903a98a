#include "ops/complex.h"

#include <cmath>

#include "kernels/complex.h"
#include "ops/copy.h"
#include "ops/formula.h"
#include "ops/special.h"
#include "ops/view.h"

namespace ember::ops {

Tensor parts_of(const Tensor& x) {
    Dims sizes(x.sizes()), strides(x.strides());
    for (int64_t& s : strides) s *= 2;
    sizes.push_back(2);
    strides.push_back(1);
    Tensor out = alias(x, sizes, strides, 0);
    out.impl()->offset = x.offset() * 2;
    out.impl()->dtype = real_of(x.dtype());
    return out;
}

Tensor joined(const Tensor& parts) {
    Dims sizes(parts.sizes()), strides(parts.strides());
    sizes.resize(parts.dim() - 1);
    strides.resize(parts.dim() - 1);
    for (int64_t& s : strides) s /= 2;
    Tensor out = alias(parts, sizes, strides, 0);
    out.impl()->offset = parts.offset() / 2;
    out.impl()->dtype = complex_of(parts.dtype());
    return out;
}

void refuse_complex(const char* name, DType dtype) {
    if (is_complex(dtype))
        raise(ErrorKind::NotImplemented,
              "%s: not defined for complex numbers, which have no order; got %s", name,
              dtype_name(dtype));
}

namespace {

// Whether pairs of the last dim can be seen as complex numbers.
bool joins(const Tensor& x) {
    bool even = x.stride(-1) == 1 && x.offset() % 2 == 0;
    for (int d = 0; d + 1 < x.dim(); d++) even = even && x.impl()->strides[d] % 2 == 0;
    return even;
}

}  // namespace

Tensor view_as_real(const Tensor& x) {
    EMBER_CHECK(is_complex(x.dtype()), "view_as_real: only supported for complex tensors, got %s",
                dtype_name(x.dtype()));
    Tensor out = parts_of(x);
    mark_view(out, x);
    if (needs_grad(x))
        record("ViewAsRealBackward0", out, {x}, [](Backward& bw, const Tensor& g) {
            bw.set(0, view_as_complex(joins(g) ? g : clone(g, MemoryFormat::Contiguous)));
        });
    return out;
}

Tensor view_as_complex(const Tensor& x) {
    EMBER_CHECK(x.dtype() == DType::Float32 || x.dtype() == DType::Float64,
                "view_as_complex: only supported for float32 and float64 tensors, got %s",
                dtype_name(x.dtype()));
    EMBER_CHECK(x.dim() > 0, "view_as_complex: input must have one or more dims");
    EMBER_CHECK(x.size(-1) == 2, "view_as_complex: input must have a last dim of size 2, got %s",
                to_string(x.sizes()).c_str());
    EMBER_CHECK(x.stride(-1) == 1, "view_as_complex: the last dim must have stride 1, got %ld",
                long(x.stride(-1)));
    EMBER_CHECK(joins(x),
                "view_as_complex: strides but the last and the offset must be divisible by 2, got "
                "strides %s and offset %ld",
                to_string(x.strides()).c_str(), long(x.offset()));
    Tensor out = joined(x);
    mark_view(out, x);
    if (needs_grad(x))
        record("ViewAsComplexBackward0", out, {x},
               [](Backward& bw, const Tensor& g) { bw.set(0, view_as_real(g)); });
    return out;
}

Tensor real(const Tensor& x) { return is_complex(x.dtype()) ? select(view_as_real(x), -1, 0) : x; }

Tensor imag(const Tensor& x) {
    EMBER_CHECK(is_complex(x.dtype()), "imag: not implemented for tensors of real dtype %s",
                dtype_name(x.dtype()));
    return select(view_as_real(x), -1, 1);
}

Tensor complex(const Tensor& re, const Tensor& im, const Dest& dest) {
    EMBER_CHECK(re.dtype() == DType::Float32 || re.dtype() == DType::Float64,
                "complex: expected float32 or float64 tensors, got %s", dtype_name(re.dtype()));
    EMBER_CHECK(re.dtype() == im.dtype(),
                "complex: expected two tensors of one dtype, got %s and %s", dtype_name(re.dtype()),
                dtype_name(im.dtype()));
    DType result = complex_of(re.dtype());
    if (!dest.fresh())
        EMBER_CHECK(dest.tensor().dtype() == result, "complex: expected out of dtype %s, got %s",
                    dtype_name(result), dtype_name(dest.tensor().dtype()));
    Tensor out = pointwise(kernels::complex, "complex", {re, im}, dest, {re.dtype(), result});
    if (needs_grad(re, im))
        record("ComplexBackward0", out, {re, im}, dest, [](Backward& bw, const Tensor& g) {
            // A gradient formed of real pieces may itself be real.
            if (bw.needs(0)) bw.set(0, real(g));
            if (bw.needs(1)) bw.set(1, is_complex(g.dtype()) ? imag(g) : no_slope(g));
        });
    return out;
}

Tensor polar(const Tensor& size, const Tensor& angle, const Dest& dest) {
    EMBER_CHECK(size.dtype() == DType::Float32 || size.dtype() == DType::Float64,
                "polar: expected float32 or float64 tensors, got %s", dtype_name(size.dtype()));
    EMBER_CHECK(size.dtype() == angle.dtype(),
                "polar: expected two tensors of one dtype, got %s and %s", dtype_name(size.dtype()),
                dtype_name(angle.dtype()));
    return complex(mul(size, cos(angle)), mul(size, sin(angle)), dest);
}

Tensor conj_physical(const Tensor& x, const Dest& dest) {
    if (!is_complex(x.dtype()))
        return dest.fresh() || dest.is_in_place() ? x : copy_(dest.tensor(), x);
    Tensor out = pointwise(kernels::conj, "conj", {x}, dest, {x.dtype(), x.dtype()});
    if (needs_grad(x))
        record("ConjPhysicalBackward0", out, {x}, dest,
               [](Backward& bw, const Tensor& g) { bw.set(0, conj(g)); });
    return out;
}

Tensor mH(const Tensor& x) { return conj(mT(x)); }

Tensor adjoint(const Tensor& x) {
    EMBER_CHECK(x.dim() != 1,
                "adjoint: expected a batch of matrices or a zero-dim tensor, got 1 dim");
    return x.dim() == 0 ? conj(x) : mH(x);
}

Tensor angle(const Tensor& x, const Dest& dest) {
    if (is_complex(x.dtype())) {
        Tensor out =
            pointwise(kernels::angle, "angle", {x}, dest, {x.dtype(), real_of(x.dtype()), {}, 20});
        if (needs_grad(x))
            // i x / |x|^2, the direction in which the angle grows.
            record("AngleBackward0", out, {x}, dest, [x = Saved(x)](Backward& bw, const Tensor& g) {
                Tensor value = x.get(bw), zero = wrapped_number(number(0.0));
                Tensor turned = div(mul(g, wrapped_number(number(0.0, 1.0))), conj(value));
                bw.set(0, where(eq(value, zero), zero, turned));
            });
        return out;
    }
    // pi where negative; NaN stays.
    Tensor zero = wrapped_number(number(0.0)), pi = wrapped_number(number(M_PI));
    Tensor out;
    {
        GradModeGuard no_grad(false);
        Tensor flat = where(isnan(x), x, zero);
        out = where(lt(x, zero), pi,
                    is_integral(x.dtype()) ? to_dtype(flat, modes::default_dtype()) : flat);
        if (!dest.fresh()) {
            check_out("angle", dest.tensor(), out.dtype(), x.requires_grad());
            resize_out("angle", dest.tensor(), out.sizes());
            out = copy_(dest.tensor(), out);
        }
    }
    if (needs_grad(x))
        record("AngleBackward0", out, {x}, dest,
               [](Backward& bw, const Tensor& g) { bw.set(0, no_slope(g)); });
    return out;
}

Tensor sgn(const Tensor& x, const Dest& dest) {
    if (!is_complex(x.dtype())) return sign(x, dest);
    Tensor copy;
    const Tensor& first = original(x, dest, x, copy);
    Tensor out = pointwise(kernels::sign, "sgn", {x}, dest, {x.dtype(), x.dtype(), {}, 20});
    if (needs_grad(x))
        // What of g is at right angles to x, over |x|.
        record("SgnBackward0", out, {x}, dest,
               [x = Saved(first), y = Saved::output(out)](Backward& bw, const Tensor& g) {
                   Tensor direction = y.get(bw), size = abs(x.get(bw), {});
                   Tensor along = mul(direction, real(mul(g, conj(direction))));
                   Tensor zero = wrapped_number(number(0.0));
                   bw.set(0, where(eq(size, zero), zero, div(sub(g, along), size)));
               });
    return out;
}

Tensor logsumexp_complex(const Tensor& x, const Dims& dim, bool keepdim, const Dest& dest) {
    Tensor most = detach(amax(real(x), dim, true, {}));
    most = where(isfinite(most), most, wrapped_number(number(0.0)));
    Tensor out = add(log(sum(exp(sub(x, most)), dim, true)), most);
    return deliver("logsumexp", keepdim ? out : squeeze_dims(out, dim), dest);
}

}  // namespace ember::ops
