#include "ops/matmul.h"

#include "kernels/matmul.h"
#include "ops/complex.h"
#include "ops/copy.h"
#include "ops/factory.h"
#include "ops/formula.h"
#include "ops/index_common.h"
#include "ops/view.h"

namespace ember::kernels {

Slot<void(Context&, const Gemm&)> gemm("matmul");

}  // namespace ember::kernels

namespace ember::ops {

namespace {

int64_t estimated_ns(const kernels::Gemm& g) {
    return int64_t(2e-2 * double(g.batch) * double(g.m) * double(g.n) * double(g.k));
}

void check_types(const char* name, const Tensor& a, const Tensor& b) {
    EMBER_CHECK(a.dtype() == b.dtype(), "%s: both tensors must have one dtype, got %s and %s", name,
                dtype_name(a.dtype()), dtype_name(b.dtype()));
    check_same_device(name, a, b);
    kernels::gemm.require(a.device(), real_of(a.dtype()));
}

kernels::Gemm::Precision precision_of(const Tensor& a) {
    using Precision = kernels::Gemm::Precision;
    switch (modes::matmul_precision(a.device().type)) {
        case modes::MatmulPrecision::Tf32: return Precision::High;
        case modes::MatmulPrecision::BFloat16: return Precision::Medium;
        default: return Precision::Highest;
    }
}

// The last two dims of each as the kernel's matrices.
kernels::Gemm problem(const Tensor& a, const Tensor& b, const Tensor& c) {
    kernels::Gemm g;
    int da = a.dim(), db = b.dim(), dc = c.dim();
    g.m = c.impl()->sizes[dc - 2];
    g.n = c.impl()->sizes[dc - 1];
    g.k = a.impl()->sizes[da - 1];
    g.a = a.data();
    g.a_row = a.impl()->strides[da - 2];
    g.a_col = a.impl()->strides[da - 1];
    g.b = b.data();
    g.b_row = b.impl()->strides[db - 2];
    g.b_col = b.impl()->strides[db - 1];
    g.c = c.data();
    g.c_row = c.impl()->strides[dc - 2];
    g.c_col = c.impl()->strides[dc - 1];
    g.dtype = a.dtype();
    g.precision = precision_of(a);
    return g;
}

// Runs g over the leading dims of c, to which those of a and b broadcast: as few batched kernels
// as the strides allow.
void run_batched(kernels::Gemm g, const Tensor& a, const Tensor& b, const Tensor& c) {
    int dims = c.dim() - 2;
    auto stride = [&](const Tensor& t, int d) {  // of batch dim d of c
        int at = d - (c.dim() - t.dim());
        return at < 0 || t.impl()->sizes[at] == 1 ? 0 : t.impl()->strides[at];
    };
    // The innermost dims that step evenly in all three make one batch; the rest is a loop.
    int first = dims;
    g.batch = 1;
    for (int d = dims - 1; d >= 0; d--) {
        int64_t size = c.impl()->sizes[d];
        if (size == 1) {
            if (first == d + 1) first = d;
            continue;
        }
        int64_t sa = stride(a, d), sb = stride(b, d), sc = c.impl()->strides[d];
        bool even = first == d + 1 &&
                    (g.batch == 1 || (sa == g.a_batch * g.batch && sb == g.b_batch * g.batch &&
                                      sc == g.c_batch * g.batch));
        if (!even) break;
        if (g.batch == 1) g.a_batch = sa, g.b_batch = sb, g.c_batch = sc;
        g.batch *= size;
        first = d;
    }
    int64_t outer = 1;
    for (int d = 0; d < first; d++) outer *= c.impl()->sizes[d];
    int64_t item = c.item_bytes();
    for (int64_t i = 0; i < outer; i++) {
        int64_t rest = i, oa = 0, ob = 0, oc = 0;
        for (int d = first - 1; d >= 0; d--) {
            int64_t at = rest % c.impl()->sizes[d];
            rest /= c.impl()->sizes[d];
            oa += at * stride(a, d);
            ob += at * stride(b, d);
            oc += at * c.impl()->strides[d];
        }
        g.a = static_cast<const char*>(a.data()) + oa * item;
        g.b = static_cast<const char*>(b.data()) + ob * item;
        g.c = static_cast<char*>(c.data()) + oc * item;
        launch(kernels::gemm, c.device(), estimated_ns(g), g);
    }
}

Tensor product(const char* name, const Tensor& a, const Tensor& b, const Dest& dest);

// A product of reals, (m, 2 k) by (2 k, 2 n): of the memory of a with b's numbers r + i s as
// squares [r, s; -s, r]; it is the memory of the result.
Tensor complex_product(const char* name, const Tensor& a, const Tensor& b) {
    GradModeGuard no_grad(false);
    auto merged = [](const Tensor& parts) {  // (..., k, 2) as (..., 2 k)
        Dims sizes(parts.sizes());
        sizes.pop_back();
        sizes.back() *= 2;
        return reshape(parts, sizes);
    };
    Dims sizes(b.sizes());
    sizes.insert(b.dim() - 1, 2);
    Tensor squares = empty(sizes, b.options());
    copy_(select(squares, -2, 0), b);
    Tensor from = parts_of(b), turned = parts_of(select(squares, -2, 1));
    copy_(select(turned, -1, 0), neg(select(from, -1, 1)));
    copy_(select(turned, -1, 1), select(from, -1, 0));
    sizes = Dims(b.sizes());
    sizes[b.dim() - 2] *= 2;
    sizes.back() *= 2;
    Tensor out = product(name, merged(parts_of(contiguous(a))),
                         reshape(merged(parts_of(squares)), sizes), {});
    sizes = Dims(out.sizes());
    sizes.back() /= 2;
    sizes.push_back(2);
    return joined(reshape(out, sizes));
}

// The product of tensors with at least two dims each, into `out` if the kernel can write it.
Tensor product(const char* name, const Tensor& a, const Tensor& b, const Dest& dest) {
    int64_t k = a.size(-1);
    EMBER_CHECK(k == b.size(-2), "%s: mat1 and mat2 shapes cannot be multiplied (%s and %s)", name,
                to_string(a.sizes()).c_str(), to_string(b.sizes()).c_str());
    Dims sizes = a.dim() == 2 && b.dim() == 2
                     ? Dims()
                     : broadcast_sizes(name, a.sizes().first(size_t(a.dim() - 2)),
                                       b.sizes().first(size_t(b.dim() - 2)));
    sizes.push_back(a.size(-2));
    sizes.push_back(b.size(-1));
    bool whole = !is_complex(a.dtype());
    bool direct = whole && !dest.fresh() && dest.tensor().is_contiguous() &&
                  same(dest.tensor().sizes(), sizes) && dest.tensor().dtype() == a.dtype() &&
                  dest.tensor().impl()->storage != a.impl()->storage &&
                  dest.tensor().impl()->storage != b.impl()->storage;
    if (!dest.fresh()) check_same_device(name, a, dest.tensor());
    if (direct) check_out(name, dest.tensor(), a.dtype(), needs_grad(a, b));
    Tensor out = direct  ? dest.tensor()
                 : whole ? empty(sizes, a.options())
                         : complex_product(name, a, b);
    if (out.numel() > 0 && whole) run_batched(problem(a, b, out), a, b, out);
    if (direct) out.bump_version();
    if (dest.fresh() || direct) return out;
    check_out(name, dest.tensor(), a.dtype(), needs_grad(a, b));
    resize_out(name, dest.tensor(), sizes);
    GradModeGuard no_grad(false);
    return copy_(dest.tensor(), out);
}

// A matrix for a batch of rows: (…, m, k) @ (k, n) is one product of (… m, k).
Tensor rows_of(const Tensor& x) {
    int64_t rows = 1;
    for (int d = 0; d + 1 < x.dim(); d++) rows *= x.size(d);
    return reshape(x, {rows, x.size(-1)});
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, const Dest& dest) {
    EMBER_CHECK(a.dim() > 0 && b.dim() > 0,
                "matmul: both arguments need to be at least 1D, but they are %dD and %dD", a.dim(),
                b.dim());
    check_types("matmul", a, b);
    if (a.dim() == 1 || b.dim() == 1) {
        EMBER_CHECK(a.size(-1) == b.size(b.dim() == 1 ? 0 : -2),
                    "matmul: shapes cannot be multiplied (%s and %s)", to_string(a.sizes()).c_str(),
                    to_string(b.sizes()).c_str());
        Tensor wide =
            matmul(a.dim() == 1 ? unsqueeze(a, 0) : a, b.dim() == 1 ? unsqueeze(b, 1) : b);
        Dims drop;
        if (b.dim() == 1) drop.push_back(-1);
        if (a.dim() == 1) drop.push_back(b.dim() == 1 ? -2 : -2);
        Tensor out = squeeze_dims(wide, drop);
        if (dest.fresh()) return out;
        check_out("matmul", dest.tensor(), out.dtype(), needs_grad(a, b));
        resize_out("matmul", dest.tensor(), out.sizes());
        return copy_(dest.tensor(), out);
    }
    if (dest.fresh() && a.dim() > 2 && b.dim() == 2 && a.is_contiguous() && a.numel() > 0) {
        Dims sizes(a.sizes());
        sizes.back() = b.size(-1);
        EMBER_CHECK(a.size(-1) == b.size(-2),
                    "matmul: mat1 and mat2 shapes cannot be multiplied (%s and %s)",
                    to_string(a.sizes()).c_str(), to_string(b.sizes()).c_str());
        return reshape(matmul(rows_of(a), b), sizes);
    }
    Tensor out = product("matmul", a, b, dest);
    if (needs_grad(a, b))
        record(a.dim() == 2 && b.dim() == 2 ? "MmBackward0" : "BmmBackward0", out, {a, b},
               [a = Saved(a), b = Saved(b)](Backward& bw, const Tensor& g) {
                   if (bw.needs(0)) bw.set(0, matmul(g, mH(b.get(bw))));
                   if (bw.needs(1)) bw.set(1, matmul(mH(a.get(bw)), g));
               });
    return out;
}

namespace {

void check_ranks(const char* name, const Tensor& a, int a_dim, const Tensor& b, int b_dim) {
    EMBER_CHECK(a.dim() == a_dim && b.dim() == b_dim,
                "%s: expected tensors with %d and %d dims, got %dD and %dD", name, a_dim, b_dim,
                a.dim(), b.dim());
    EMBER_CHECK(a.size(-1) == b.size(b_dim == 1 ? 0 : -2),
                "%s: shapes cannot be multiplied (%s and %s)", name, to_string(a.sizes()).c_str(),
                to_string(b.sizes()).c_str());
    EMBER_CHECK(a_dim != 3 || a.size(0) == b.size(0), "%s: batches differ (%s and %s)", name,
                to_string(a.sizes()).c_str(), to_string(b.sizes()).c_str());
}

// beta * input + alpha * (a @ b): the kernel adds to an output that starts as the input.
Tensor plus_product(const char* name, const char* node, const Tensor& input, const Tensor& a,
                    const Tensor& b, int dims, Number beta, Number alpha, const Dest& dest) {
    check_ranks(name, a, dims, b, dims);
    check_types(name, a, b);
    check_same_device(name, input, a);
    EMBER_CHECK(input.dtype() == a.dtype(), "%s: expected input of dtype %s, got %s", name,
                dtype_name(a.dtype()), dtype_name(input.dtype()));
    EMBER_CHECK(!is_integral(a.dtype()) || (alpha.as<double>() == double(alpha.as<int64_t>()) &&
                                            beta.as<double>() == double(beta.as<int64_t>())),
                "%s: alpha and beta of integer tensors must be whole, got %g and %g", name,
                alpha.as<double>(), beta.as<double>());
    Dims sizes(a.sizes());
    sizes.back() = b.size(-1);
    EMBER_CHECK(same(broadcast_sizes(name, input.sizes(), sizes), sizes) &&
                    (!dest.is_in_place() || same(input.sizes(), sizes)),
                "%s: input of shape %s cannot hold a product of shape %s", name,
                to_string(input.sizes()).c_str(), to_string(sizes).c_str());
    if (is_complex(a.dtype())) {
        Tensor scale = wrapped_number(beta), term = matmul(a, b);
        if (!dest.is_in_place()) {
            Tensor first = beta.as<double>() == 0 ? zeros(sizes, a.options()) : mul(input, scale);
            return add(first, term, alpha, dest);
        }
        return add(mul(input, scale, dest), term, alpha, dest);
    }
    bool wanted = needs_grad(input, a, b);
    Tensor out = input;
    {
        GradModeGuard no_grad(false);
        Tensor left = apart(a, dest), right = apart(b, dest);
        if (!same(input.sizes(), sizes)) out = expanded(input, sizes);
        out = write_target(name, out, dest, wanted);
        bool steps = out.stride(-1) == 1 || out.stride(-2) == 1;
        Tensor c = steps ? out : contiguous(out);
        kernels::Gemm g = problem(left, right, c);
        g.alpha = alpha.as<double>();
        g.beta = beta.as<double>();
        if (c.numel() > 0) run_batched(g, left, right, c);
        if (!steps) copy_(out, c);
    }
    written(out, dest);
    if (wanted)
        record(
            node, out, {input, a, b}, dest,
            [a = Saved(a, dest), b = Saved(b, dest), alpha, beta](Backward& bw, const Tensor& g) {
                auto scaled = [](const Tensor& x, Number by) {
                    return by.as<double>() == 1 ? x : mul(x, wrapped_number(by));
                };
                if (bw.needs(0)) bw.set(0, scaled(g, beta));
                if (bw.needs(1)) bw.set(1, scaled(matmul(g, mT(b.get(bw))), alpha));
                if (bw.needs(2)) bw.set(2, scaled(matmul(mT(a.get(bw)), g), alpha));
            });
    return out;
}

}  // namespace

Tensor mm(const Tensor& a, const Tensor& b, const Dest& dest) {
    check_ranks("mm", a, 2, b, 2);
    return matmul(a, b, dest);
}
Tensor bmm(const Tensor& a, const Tensor& b, const Dest& dest) {
    check_ranks("bmm", a, 3, b, 3);
    return matmul(a, b, dest);
}
Tensor int_mm(const Tensor& a, const Tensor& b, const Dest& dest) {
    check_ranks("_int_mm", a, 2, b, 2);
    EMBER_CHECK(a.dtype() == DType::Int8 && b.dtype() == DType::Int8,
                "_int_mm: expected two tensors of int8, got %s and %s", dtype_name(a.dtype()),
                dtype_name(b.dtype()));
    check_types("_int_mm", a, b);
    EMBER_CHECK(dest.fresh() || dest.tensor().dtype() == DType::Int32,
                "_int_mm: expected an output of int32, got %s", dtype_name(dest.tensor().dtype()));
    Tensor out = empty(Dims{a.size(0), b.size(1)}, {DType::Int32, a.device()});
    kernels::Gemm g = problem(a, b, out);
    g.wide = true;
    if (out.numel() > 0) launch(kernels::gemm, out.device(), estimated_ns(g), g);
    if (dest.fresh()) return out;
    check_out("_int_mm", dest.tensor(), DType::Int32, false);
    resize_out("_int_mm", dest.tensor(), out.sizes());
    return copy_(dest.tensor(), out);
}
Tensor mv(const Tensor& a, const Tensor& b, const Dest& dest) {
    check_ranks("mv", a, 2, b, 1);
    return matmul(a, b, dest);
}
Tensor dot(const Tensor& a, const Tensor& b, const Dest& dest) {
    check_ranks("dot", a, 1, b, 1);
    return matmul(a, b, dest);
}
Tensor outer(const Tensor& a, const Tensor& b) {
    EMBER_CHECK(a.dim() == 1 && b.dim() == 1, "outer: expected 1-D tensors, got %dD and %dD",
                a.dim(), b.dim());
    return mul(unsqueeze(a, 1), b);
}
Tensor addmm(const Tensor& input, const Tensor& a, const Tensor& b, Number beta, Number alpha,
             const Dest& dest) {
    return plus_product("addmm", "AddmmBackward0", input, a, b, 2, beta, alpha, dest);
}
Tensor baddbmm(const Tensor& input, const Tensor& a, const Tensor& b, Number beta, Number alpha,
               const Dest& dest) {
    return plus_product("baddbmm", "BaddbmmBackward0", input, a, b, 3, beta, alpha, dest);
}

Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias) {
    if (weight.dim() == 1) {
        Tensor out = matmul(input, weight, {});
        return bias.defined() ? add(out, bias, number(int64_t(1)), {}) : out;
    }
    EMBER_CHECK(weight.dim() == 2 && input.dim() >= 1,
                "linear: expected an input of at least 1 dim and a weight of 2, got %s and %s",
                to_string(input.sizes()).c_str(), to_string(weight.sizes()).c_str());
    EMBER_CHECK(input.size(-1) == weight.size(1),
                "linear: input and weight shapes cannot be multiplied (%s and %s transposed)",
                to_string(input.sizes()).c_str(), to_string(weight.sizes()).c_str());
    check_types("linear", input, weight);
    int64_t in = weight.size(1), features = weight.size(0);
    if (bias.defined()) {
        check_types("linear", input, bias);
        EMBER_CHECK(bias.dim() == 1 && bias.numel() == features,
                    "linear: bias must have shape (%ld,), got %s", long(features),
                    to_string(bias.sizes()).c_str());
    }
    Dims sizes(input.sizes());
    sizes.back() = features;
    if (is_complex(input.dtype())) {
        Tensor out = matmul(input, t(weight));
        return bias.defined() ? add(out, bias) : out;
    }
    Tensor out = empty(sizes, input.options());
    if (out.numel() > 0) {
        // Rows of the input that step evenly are multiplied where they are.
        Tensor x = input.dim() == 2 ? input : contiguous(input);
        Tensor b = bias.defined() ? contiguous(bias) : bias;
        kernels::Gemm g;
        g.m = in > 0 ? x.numel() / in : out.numel() / features;
        g.n = features;
        g.k = in;
        g.a = x.data();
        g.a_row = x.dim() == 2 ? x.impl()->strides[0] : in;
        g.a_col = x.dim() == 2 ? x.impl()->strides[1] : 1;
        g.b = weight.data();
        g.b_row = weight.impl()->strides[1];
        g.b_col = weight.impl()->strides[0];
        g.c = out.data();
        g.c_row = features;
        g.bias = b.defined() ? b.data() : nullptr;
        g.dtype = x.dtype();
        g.precision = precision_of(x);
        launch(kernels::gemm, x.device(), estimated_ns(g), g);
    }
    if (needs_grad(input, weight, bias))
        record("LinearBackward0", out, {input, weight, bias},
               [x = Saved(input), w = Saved(weight)](Backward& bw, const Tensor& g) {
                   if (bw.needs(0)) bw.set(0, matmul(g, w.get(bw)));
                   bool flat = g.dim() == 2;
                   if (bw.needs(1)) {
                       Tensor value = x.get(bw);
                       bw.set(1,
                              flat ? matmul(t(g), value) : matmul(t(rows_of(g)), rows_of(value)));
                   }
                   if (bw.needs(2))
                       bw.set(2, g.dim() == 1 ? g : sum(flat ? g : rows_of(g), {0}, false));
               });
    return out;
}

}  // namespace ember::ops
