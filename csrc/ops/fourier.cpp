#include "ops/fourier.h"

#include <cmath>

#include "ops/complex.h"
#include "ops/copy.h"
#include "ops/formula.h"
#include "ops/fourier_plan.h"
#include "ops/launch.h"
#include "ops/view.h"

namespace ember::kernels {

EMBER_SLOT(fourier)

}  // namespace ember::kernels

namespace ember::ops {

namespace {

using kernels::Fourier;

// Transforms along `dim`, where one side or the other has n items.
void run(Fourier::Kind kind, const Tensor& in, const Tensor& out, int dim, int64_t n, double factor,
         bool inverse) {
    Fourier g;
    g.kind = kind;
    g.inverse = inverse;
    g.n = n;
    for (int d = dim + 1; d < in.dim(); d++) g.inner *= in.impl()->sizes[d];
    g.lines = in.numel() / in.impl()->sizes[dim];
    g.in = in.data();
    g.out = out.data();
    g.factor = factor;
    g.dtype = real_of(in.dtype());
    bool halves = kind != Fourier::Kind::Complex && n % 2 == 0;
    auto tables = fourier_tables(halves ? n / 2 : n, g.dtype, g.lines < 8);
    g.plan = &tables->plan;
    g.unit = tables->unit.data();
    int64_t work = int64_t(double(in.numel()) * std::log2(double(n) + 1) * 0.3);
    launch(kernels::fourier, in.device(), work, g);
}

int checked_dim(const Tensor& x, int64_t dim, DType wanted) {
    EMBER_CHECK(x.dtype() == wanted, "fft: expected a tensor of %s, got %s", dtype_name(wanted),
                dtype_name(x.dtype()));
    kernels::fourier.require(x.device(), real_of(x.dtype()));
    if (dim < 0) dim += x.dim();
    EMBER_CHECK(dim >= 0 && dim < x.dim(), "fft: dim %ld is not one of %d", long(dim), x.dim());
    return int(dim);
}

Tensor resized(const Tensor& x, int dim, int64_t n) {
    if (x.size(dim) == n) return x;
    Dims padding;  // pairs from the last dim on
    padding.resize(2 * (x.dim() - dim));
    padding.back() = n - x.size(dim);
    return constant_pad(x, padding, number(int64_t(0)));
}

}  // namespace

Tensor fft_complex(const Tensor& x, const Dims& dims, double factor, bool inverse) {
    EMBER_CHECK(!dims.empty(), "fft: expected at least one dim");
    Tensor out = empty(x.sizes(), {complex_of(real_of(x.dtype())), x.device()});
    {
        GradModeGuard no_grad(false);
        Tensor from = contiguous(x);
        for (int i = 0; i < dims.size(); i++) {
            int dim = checked_dim(x, dims[i], out.dtype());
            if (x.numel() > 0)
                run(Fourier::Kind::Complex, from, out, dim, x.size(dim),
                    i + 1 == dims.size() ? factor : 1, inverse);
            from = out;
        }
    }
    if (needs_grad(x))
        record("FftC2CBackward0", out, {x}, [dims, factor, inverse](Backward& bw, const Tensor& g) {
            bw.set(0, fft_complex(g, dims, factor, !inverse));
        });
    return out;
}

Tensor fft_to_half(const Tensor& x, int64_t dim, double factor) {
    int d = checked_dim(x, dim, real_of(x.dtype()));
    int64_t n = x.size(d);
    Dims sizes(x.sizes());
    sizes[d] = n / 2 + 1;
    TensorOptions options{complex_of(x.dtype()), x.device()};
    Tensor out = x.numel() > 0 ? empty(sizes, options) : zeros(sizes, options);
    if (x.numel() > 0) {
        GradModeGuard no_grad(false);
        run(Fourier::Kind::RealToHalf, contiguous(x), out, d, n, factor, false);
    }
    if (needs_grad(x))
        record("FftR2CBackward0", out, {x}, [d, n, factor](Backward& bw, const Tensor& g) {
            bw.set(0, real(fft_complex(resized(g, d, n), {d}, factor, true)));
        });
    return out;
}

Tensor fft_to_real(const Tensor& x, int64_t dim, int64_t n, double factor) {
    int d = checked_dim(x, dim, complex_of(real_of(x.dtype())));
    EMBER_CHECK(n >= 1 && x.size(d) == n / 2 + 1, "fft: expected %ld items along dim %d, got %ld",
                long(n / 2 + 1), d, long(x.size(d)));
    Dims sizes(x.sizes());
    sizes[d] = n;
    TensorOptions options{real_of(x.dtype()), x.device()};
    Tensor out = empty(sizes, options);
    if (x.numel() > 0) {
        GradModeGuard no_grad(false);
        run(Fourier::Kind::HalfToReal, contiguous(x), out, d, n, factor, true);
    }
    if (needs_grad(x))
        record("FftC2RBackward0", out, {x}, [d, n, factor](Backward& bw, const Tensor& g) {
            Tensor half = fft_to_half(g, d, factor);
            // All but the first, and for even n the last, stand for their mirror images too.
            int64_t last = n / 2 + 1 - (n % 2 == 0 ? 1 : 0);
            if (last <= 1) return bw.set(0, half);
            Tensor inside = mul(narrow(half, d, 1, last - 1), 2.0);
            bw.set(0,
                   cat({narrow(half, d, 0, 1), inside, narrow(half, d, last, half.size(d) - last)},
                       d));
        });
    return out;
}

}  // namespace ember::ops
