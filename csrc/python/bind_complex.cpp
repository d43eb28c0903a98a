#include "ops/complex.h"
#include "ops/copy.h"
#include "ops/fourier.h"
#include "python/tables.h"

namespace ember::python {

namespace {

Tensor resolve_conj(const Tensor& x) { return x; }
Tensor resolve_neg(const Tensor& x) { return x; }
bool is_conj(const Tensor&) { return false; }
bool is_neg(const Tensor&) { return false; }

Tensor cfloat(const Tensor& x, std::optional<MemoryFormat> format) {
    return ops::to(x, std::nullopt, DType::Complex64, false, false, format);
}
Tensor cdouble(const Tensor& x, std::optional<MemoryFormat> format) {
    return ops::to(x, std::nullopt, DType::Complex128, false, false, format);
}

}  // namespace

void bind_complex(BindTable& t) {
    constexpr int both = kFunction | kMethod, all = both | kInPlace;
    bind_dest<&ops::complex>(
        t, kFunction, "complex(real, imag, *, out=None)",
        "real + imag * 1j, broadcast, of two float32 or float64 tensors of one "
        "dtype: complex64 or complex128.");
    bind_dest<&ops::polar>(
        t, kFunction, "polar(abs, angle, *, out=None)",
        "abs * (cos(angle) + 1j * sin(angle)), of two float32 or float64 tensors "
        "of one dtype.");
    bind<&ops::view_as_real>(
        t, kFunction, "view_as_real(input)",
        "A complex tensor's memory as a real tensor (*, 2): real and imaginary "
        "parts. RuntimeError for real tensors.");
    bind<&ops::view_as_complex>(
        t, kFunction, "view_as_complex(input)",
        "The memory of a float32 or float64 tensor (*, 2) as a complex one (*). RuntimeError "
        "unless "
        "the last dim has size 2 and stride 1 and the other strides are even.");
    bind<&ops::real>(t, kFunction, "real(input)",
                     "The real part, as a view; the tensor itself if it is real.");
    bind<&ops::imag>(t, kFunction, "imag(input)",
                     "The imaginary part, as a view. RuntimeError for real tensors.");
    bind<&ops::conj>(t, both, "conj(input)",
                     "The complex conjugate; the tensor itself if it is real. Always computed at "
                     "once, so that is_conj is False everywhere.");
    bind_dest<&ops::conj_physical>(t, all, "conj_physical(input, *, out=None)",
                                   "The complex conjugate; the tensor itself if it is real.");
    bind<&resolve_conj>(t, both, "resolve_conj(input)",
                        "The tensor itself: conjugates are computed at once.");
    bind<&resolve_neg>(t, both, "resolve_neg(input)",
                       "The tensor itself: negatives are computed at once.");
    bind<&is_conj>(t, both, "is_conj(input)",
                   "False: conjugates are computed at once, never noted for later.");
    bind<&is_neg>(t, both, "is_neg(input)",
                  "False: negatives are computed at once, never noted for later.");
    bind<&ops::adjoint>(t, both, "adjoint(input)", "The last two dims swapped, and conjugated.");
    bind_dest<&ops::angle>(t, both, "angle(input, *, out=None)",
                           "The angle in the complex plane, in radians; for real numbers pi where "
                           "negative, else 0.");
    bind_dest<&ops::sgn>(t, all, "sgn(input, *, out=None)",
                         "input / abs(input), 0 where that is 0; for real numbers the sign.");
    bind<&ops::fft_complex>(
        t, kFunction, "_fft_complex(input, dims: tuple[int, ...], factor: float, inverse: bool)",
        "Transforms of a complex tensor over dims, times the factor.");
    bind<&ops::fft_to_half>(t, kFunction, "_fft_to_half(input, dim: int, factor: float)",
                            "The first n // 2 + 1 items of a real tensor's transform along dim.");
    bind<&ops::fft_to_real>(t, kFunction, "_fft_to_real(input, dim: int, n: int, factor: float)",
                            "The inverse of _fft_to_half, times n: n real items along dim.");
    bind<&cfloat>(t, kMethod, "cfloat(input, memory_format=None)", "to(complex64).");
    bind<&cdouble>(t, kMethod, "cdouble(input, memory_format=None)", "to(complex128).");
}

}  // namespace ember::python
