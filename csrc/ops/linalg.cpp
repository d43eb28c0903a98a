#include "ops/linalg.h"

#include <cmath>
#include <limits>
#include <string>

#include "ops/complex.h"
#include "ops/copy.h"
#include "ops/factor.h"
#include "ops/factory.h"
#include "ops/formula.h"
#include "ops/matmul.h"
#include "ops/plan.h"
#include "ops/shape.h"
#include "ops/view.h"

// Derivatives follow M. Giles (2008), "Collected matrix derivative results for forward and reverse
// mode algorithmic differentiation", and for QR S. Walter and L. Lehmann (2010). They take factors
// that the forward found, and the functions above themselves where they are differentiated again.
namespace ember::ops {

namespace {

constexpr const char* kSingular = "The diagonal element %d is zero, the input matrix is singular.";
constexpr const char* kIndefinite =
    "The factorization could not be completed because the input is not positive-definite (the "
    "leading minor of order %d).";

void check_matrices(const char* name, const Tensor& a, bool square) {
    EMBER_CHECK(a.dim() >= 2, "%s: The input tensor A must have at least 2 dimensions, got %d",
                name, a.dim());
    EMBER_CHECK(kFloats.has(a.dtype()) || is_complex(a.dtype()),
                "%s: Expected a tensor of float32, float64, complex64 or complex128, got %s", name,
                dtype_name(a.dtype()));
    EMBER_CHECK(!square || a.size(-1) == a.size(-2),
                "%s: A must be batches of square matrices, but they are %ld by %ld matrices", name,
                long(a.size(-2)), long(a.size(-1)));
}

void check_one_dtype(const char* name, const Tensor& a, const Tensor& b) {
    EMBER_CHECK(a.dtype() == b.dtype(), "%s: expected tensors of one dtype, got %s and %s", name,
                dtype_name(a.dtype()), dtype_name(b.dtype()));
    check_same_device(name, a, b);
}

// The first item of info that is not 0, or 0.
int32_t first_failure(const Tensor& info) {
    Tensor here = to_device(info, {});
    const int32_t* items = here.as<int32_t>();
    for (int64_t i = 0, n = here.numel(); i < n; i++)
        if (items[i] != 0) return items[i];
    return 0;
}

// Raises where `check`, or puts NaN in place of the results that are none.
Tensor checked(const char* name, const char* what, const Tensor& x, const Tensor& info,
               bool check) {
    const int32_t failure = first_failure(info);
    if (failure == 0) return x;
    if (check) raise(ErrorKind::LinAlg, "%s: %s", name, format(what, failure).c_str());
    Tensor whole = eq(info, wrapped_number(number(int64_t(0))));
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    return where(unsqueeze(unsqueeze(whole, -1), -1), x, full({}, number(nan), x.options()));
}

Tensor main_diagonal(const Tensor& x) { return diagonal(x, 0, -2, -1); }
Tensor as_diagonal(const Tensor& x) { return diag_embed(x, 0, -2, -1); }
Tensor column(const Tensor& x) { return unsqueeze(x, -1); }
Tensor product(const Tensor& x) { return prod(x, -1, false, std::nullopt, {}); }
// The inverse of a^H, times numbers (*).
Tensor adjoint_inverse(const Lu& f, const Tensor& numbers) {
    const int64_t n = f.lu.size(-1);
    Dims sizes(numbers.sizes());
    sizes.push_back(n);
    return linalg_lu_solve(f.lu, f.pivots, as_diagonal(expand(column(numbers), sizes)), true, true);
}

}  // namespace

Tensor linalg_solve_triangular(const Tensor& A, const Tensor& B, bool upper, bool left,
                               bool unitriangular) {
    const char* name = "linalg.solve_triangular";
    check_matrices(name, A, true);
    check_matrices(name, B, false);
    check_one_dtype(name, A, B);
    EMBER_CHECK(B.size(left ? -2 : -1) == A.size(-1),
                "%s: Incompatible shapes of A and B (%s and %s)", name,
                to_string(A.sizes()).c_str(), to_string(B.sizes()).c_str());
    if (!left) return mT(linalg_solve_triangular(mT(A), mT(B), !upper, true, unitriangular));
    Tensor x = substitute(name, A, B, upper, unitriangular);
    if (needs_grad(A, B))
        record("LinalgSolveTriangularBackward0", x, {A, B},
               [a = Saved(A), x = Saved::output(x), upper, unitriangular](Backward& bw,
                                                                          const Tensor& g) {
                   Tensor gb =
                       linalg_solve_triangular(mH(a.get(bw)), g, !upper, true, unitriangular);
                   if (bw.needs(0)) {
                       Tensor ga = neg(matmul(gb, mH(x.get(bw))));
                       bw.set(0, upper ? triu(ga, unitriangular) : tril(ga, -int(unitriangular)));
                   }
                   if (bw.needs(1)) bw.set(1, gb);
               });
    return x;
}

// ---- By L and U

namespace {

Tensor exchanged(const char* name, const Tensor& x, const Tensor& pivots, bool reverse) {
    Tensor y = exchange_rows(name, x, pivots, reverse);
    if (needs_grad(x))
        record("ExchangeRowsBackward0", y, {x},
               [pivots = Saved(pivots), name, reverse](Backward& bw, const Tensor& g) {
                   bw.set(0, exchanged(name, g, pivots.get(bw), !reverse));
               });
    return y;
}

}  // namespace

Tensor linalg_lu_solve(const Tensor& LU, const Tensor& pivots, const Tensor& B, bool left,
                       bool adjoint) {
    const char* name = "linalg.lu_solve";
    check_matrices(name, LU, true);
    if (!left) return mH(linalg_lu_solve(LU, pivots, mH(B), true, !adjoint));
    check_matrices(name, B, false);
    check_one_dtype(name, LU, B);
    EMBER_CHECK(B.size(-2) == LU.size(-1), "%s: Incompatible shapes of A and B (%s and %s)", name,
                to_string(LU.sizes()).c_str(), to_string(B.sizes()).c_str());
    if (adjoint) {
        Tensor turned = mH(LU);
        Tensor y = linalg_solve_triangular(turned, B, false, true, false);
        return exchanged(name, linalg_solve_triangular(turned, y, true, true, true), pivots, true);
    }
    Tensor y = exchanged(name, B, pivots, false);
    y = linalg_solve_triangular(LU, y, false, true, true);
    return linalg_solve_triangular(LU, y, true, true, false);
}

Tensor linalg_permutation(const Tensor& LU, const Tensor& pivots) {
    check_matrices("linalg.lu", LU, false);
    return exchange_rows(
        "linalg.lu", eye(LU.size(-2), std::nullopt, LU.dtype(), LU.device(), false), pivots, true);
}

std::tuple<Tensor, Tensor> linalg_triangles(const Tensor& LU) {
    check_matrices("linalg.lu", LU, false);
    const int64_t m = LU.size(-2), n = LU.size(-1), k = m < n ? m : n;
    Tensor ones = eye(m, k, LU.dtype(), LU.device(), false);
    return {add(tril(narrow(LU, -1, 0, k), -1), ones), triu(narrow(LU, -2, 0, k), 0)};
}

std::tuple<Tensor, Tensor, Tensor> linalg_lu_factor(std::string_view name, const Tensor& A,
                                                    bool check) {
    const std::string call(name);
    check_matrices(call.c_str(), A, false);
    Lu f = factor_lu(A);
    if (check) checked(call.c_str(), kSingular, f.lu, f.info, true);
    if (needs_grad(A))
        record("LinalgLuFactorExBackward0", f.lu, {A},
               [lu = Saved::output(f.lu), pivots = Saved(f.pivots)](Backward& bw, const Tensor& g) {
                   Tensor packed = lu.get(bw);
                   if (packed.size(-1) != packed.size(-2))
                       raise(ErrorKind::NotImplemented,
                             "linalg.lu_factor: no derivative for matrices not square");
                   auto [lower, upper] = linalg_triangles(packed);
                   Tensor inner = add(tril(matmul(mH(lower), tril(g, -1)), -1),
                                      triu(matmul(triu(g, 0), mH(upper)), 0));
                   Tensor right = mH(linalg_solve_triangular(upper, mH(inner), true, true, false));
                   Tensor ga = linalg_solve_triangular(mH(lower), right, true, true, true);
                   bw.set(0, exchanged("linalg.lu_factor", ga, pivots.get(bw), true));
               });
    return {f.lu, f.pivots, f.info};
}

std::tuple<Tensor, Tensor> linalg_inv(std::string_view name, const Tensor& A, bool check) {
    const std::string call(name);
    check_matrices(call.c_str(), A, true);
    Lu f = factor_lu(A);
    Tensor y;
    {
        GradModeGuard no_grad(false);
        Tensor one = eye(A.size(-1), std::nullopt, A.dtype(), A.device(), false);
        y = checked(call.c_str(), kSingular, linalg_lu_solve(f.lu, f.pivots, one, true, false),
                    f.info, check);
    }
    if (needs_grad(A))
        record("LinalgInvExBackward0", y, {A},
               [y = Saved::output(y)](Backward& bw, const Tensor& g) {
                   Tensor turned = mH(y.get(bw));
                   bw.set(0, neg(matmul(turned, matmul(g, turned))));
               });
    return {y, f.info};
}

std::tuple<Tensor, Tensor> linalg_solve(std::string_view name, const Tensor& A, const Tensor& B,
                                        bool left, bool check) {
    const std::string call(name);
    check_matrices(call.c_str(), A, true);
    check_one_dtype(call.c_str(), A, B);
    const bool vector = B.dim() == 1 || (B.dim() == A.dim() - 1 &&
                                         same(B.sizes(), A.sizes().first(size_t(A.dim() - 1))));
    if (vector) {
        EMBER_CHECK(left, "%s: a vector B needs left=True", call.c_str());
        auto [x, info] = linalg_solve(name, A, column(B), true, check);
        return {squeeze_dims(x, {-1}), info};
    }
    if (!left) {
        auto [x, info] = linalg_solve(name, mT(A), mT(B), true, check);
        return {mT(x), info};
    }
    EMBER_CHECK(B.dim() >= 2 && B.size(-2) == A.size(-1),
                "%s: Incompatible shapes of A and B for the equation AX = B (%s and %s)",
                call.c_str(), to_string(A.sizes()).c_str(), to_string(B.sizes()).c_str());
    Lu f = factor_lu(A);
    Tensor x;
    {
        GradModeGuard no_grad(false);
        x = checked(call.c_str(), kSingular, linalg_lu_solve(f.lu, f.pivots, B, true, false),
                    f.info, check);
    }
    if (needs_grad(A, B))
        record("LinalgSolveExBackward0", x, {A, B},
               [a = Saved(A), x = Saved::output(x), lu = Saved(f.lu), pivots = Saved(f.pivots)](
                   Backward& bw, const Tensor& g) {
                   Tensor gb = modes::grad_enabled()
                                   ? std::get<0>(linalg_solve("linalg.solve", mH(a.get(bw)), g,
                                                              true, false))
                                   : linalg_lu_solve(lu.get(bw), pivots.get(bw), g, true, true);
                   if (bw.needs(0)) bw.set(0, neg(matmul(gb, mH(x.get(bw)))));
                   if (bw.needs(1)) bw.set(1, gb);
               });
    return {x, f.info};
}

namespace {

// What U's diagonal lacks to have no zeros: numbers that are small beside it.
Tensor lacking(const Tensor& diagonal, double small) {
    Tensor zero = wrapped_number(number(0.0)), one = wrapped_number(number(1.0));
    Tensor largest = amax(abs(diagonal, {}), {-1}, true, {});
    largest = mul(where(eq(largest, zero), one, largest), small);
    return where(eq(diagonal, zero), largest, zero);
}

// det(a) a^-H g, which the cofactors are, by factors of a.
Tensor cofactors(const Tensor& a, const Lu& f, const Tensor& d, const Tensor& g) {
    const bool again = modes::grad_enabled();
    const bool single = real_of(a.dtype()) == DType::Float32;
    const double eps =
        single ? std::numeric_limits<float>::epsilon() : std::numeric_limits<double>::epsilon();
    const bool singular = first_failure(f.info) != 0;
    if (!again) {
        if (!singular) return adjoint_inverse(f, mul(g, conj(d)));
        // The determinant and its derivatives change little when zeros become small numbers.
        Lu near = f;
        near.lu = add(f.lu, as_diagonal(lacking(main_diagonal(f.lu), eps)));
        return adjoint_inverse(near, mul(g, conj(mul(product(main_diagonal(near.lu)), f.sign))));
    }
    Tensor near = a;
    if (singular) {
        // Differentiated twice the same is done to a itself, where it must survive rounding.
        auto [lower, upper] = linalg_triangles(f.lu);
        Tensor shift = unsqueeze(lacking(main_diagonal(f.lu), std::sqrt(eps)), -2);
        near = add(a, exchange_rows("linalg.det", mul(lower, shift), f.pivots, true));
    }
    Tensor inverse = std::get<0>(linalg_inv("linalg.det", near, false));
    return mul(column(column(mul(g, conj(linalg_det(near))))), mH(inverse));
}

}  // namespace

Tensor linalg_det(const Tensor& A) {
    check_matrices("linalg.det", A, true);
    Lu f = factor_lu(A);
    Tensor d;
    {
        GradModeGuard no_grad(false);
        d = mul(product(main_diagonal(f.lu)), f.sign);
    }
    if (needs_grad(A))
        record("LinalgDetBackward0", d, {A},
               [a = Saved(A), d = Saved::output(d), lu = Saved(f.lu), pivots = Saved(f.pivots),
                info = Saved(f.info), sign = Saved(f.sign)](Backward& bw, const Tensor& g) {
                   Lu f{lu.get(bw), pivots.get(bw), info.get(bw), sign.get(bw)};
                   bw.set(0, f.lu.numel() == 0 ? a.get(bw) : cofactors(a.get(bw), f, d.get(bw), g));
               });
    return d;
}

std::tuple<Tensor, Tensor> linalg_slogdet(const Tensor& A) {
    check_matrices("linalg.slogdet", A, true);
    Lu f = factor_lu(A);
    Tensor outs[2];
    {
        GradModeGuard no_grad(false);
        Tensor diagonal = main_diagonal(f.lu);
        outs[0] = mul(product(sgn(diagonal, {})), f.sign);
        outs[1] = sum(log(abs(diagonal, {})), {-1}, false);
    }
    if (needs_grad(A))
        record("LinalgSlogdetBackward0", outs, {A},
               [a = Saved(A), sign = Saved::output(outs[0]), lu = Saved(f.lu),
                pivots = Saved(f.pivots)](Backward& bw, GradList& grads) {
                   Tensor s = sign.get(bw), g = grads[1];
                   if (!g.defined()) g = zeros(s.sizes(), real(s).options());
                   if (is_complex(s.dtype())) {
                       // The sign turns by the imaginary part of what the logarithm grows by.
                       Tensor turn = grads[0].defined() ? neg(imag(mul(conj(grads[0]), s)))
                                                        : zeros(g.sizes(), g.options());
                       g = complex(g, turn, {});
                   }
                   bw.set(0,
                          modes::grad_enabled()
                              ? mul(column(column(g)),
                                    mH(std::get<0>(linalg_inv("linalg.slogdet", a.get(bw), false))))
                              : adjoint_inverse({lu.get(bw), pivots.get(bw), {}, {}}, g));
               });
    return {outs[0], outs[1]};
}

// ---- Cholesky's and QR

std::tuple<Tensor, Tensor> linalg_cholesky(std::string_view name, const Tensor& A, bool upper,
                                           bool check) {
    const std::string call(name);
    check_matrices(call.c_str(), A, true);
    Tensor y, info;
    {
        GradModeGuard no_grad(false);
        Tensor u;
        std::tie(u, info) = factor_cholesky(upper ? A : mH(A));
        y = checked(call.c_str(), kIndefinite, upper ? u : mH(u), info, check);
    }
    if (needs_grad(A))
        record("LinalgCholeskyExBackward0", y, {A},
               [y = Saved::output(y), upper](Backward& bw, const Tensor& given) {
                   Tensor u = upper ? y.get(bw) : mH(y.get(bw)), g = upper ? mH(given) : given;
                   Tensor below = matmul(u, g);
                   Tensor middle = sub(tril(below, 0), as_diagonal(mul(main_diagonal(below), 0.5)));
                   Tensor left = linalg_solve_triangular(u, middle, true, true, false);
                   Tensor whole = linalg_solve_triangular(u, mH(left), true, true, false);
                   bw.set(0, mul(add(mH(whole), whole), 0.5));
               });
    return {y, info};
}

namespace {

// Of as many rows as columns, or more.
Tensor qr_backward(const Tensor& q, const Tensor& r, const Tensor& gq, const Tensor& gr) {
    Tensor m = sub(matmul(r, mH(gr)), matmul(mH(gq), q)), below = tril(m, -1);
    Tensor symmetric = add(add(below, mH(below)), as_diagonal(real(main_diagonal(m))));
    Tensor right = mH(add(gq, matmul(q, symmetric)));
    return mH(linalg_solve_triangular(r, right, true, true, false));
}

}  // namespace

std::tuple<Tensor, Tensor> linalg_qr(const Tensor& A, std::string_view mode) {
    check_matrices("linalg.qr", A, false);
    const bool complete = mode == "complete", only_r = mode == "r";
    EMBER_CHECK(complete || only_r || mode == "reduced",
                "linalg.qr: expected mode to be one of 'reduced', 'complete', 'r', got '%s'",
                std::string(mode).c_str());
    EMBER_CHECK(!only_r || !needs_grad(A),
                "linalg.qr: the derivative is not implemented for mode='r'");
    const int64_t m = A.size(-2), n = A.size(-1), k = m < n ? m : n;
    Tensor outs[2];
    {
        GradModeGuard no_grad(false);
        auto [packed, tau] = factor_qr(A);
        outs[1] = triu(complete ? packed : narrow(packed, -2, 0, k), 0);
        outs[0] = only_r ? zeros(Dims{0}, A.options()) : reflectors(packed, tau, complete ? m : k);
    }
    if (needs_grad(A))
        record("LinalgQrBackward0", outs, {A},
               [a = Saved(A), q = Saved::output(outs[0]), r = Saved::output(outs[1], 1), complete](
                   Backward& bw, GradList& grads) {
                   Tensor x = a.get(bw), y = q.get(bw), z = r.get(bw);
                   const int64_t m = x.size(-2), n = x.size(-1);
                   if (complete && m > n)
                       raise(ErrorKind::NotImplemented,
                             "linalg.qr: no derivative for mode='complete' of more rows than "
                             "columns");
                   Tensor gq = grads[0].defined() ? grads[0] : zeros(y.sizes(), y.options());
                   Tensor gr = grads[1].defined() ? grads[1] : zeros(z.sizes(), z.options());
                   if (m >= n) return bw.set(0, qr_backward(y, z, gq, gr));
                   // A = [x, y] and R = [u, v]: x = Q u, y = Q v.
                   Tensor gv = narrow(gr, -1, m, n - m), rest = narrow(x, -1, m, n - m);
                   Tensor gx = qr_backward(y, narrow(z, -1, 0, m), add(gq, matmul(rest, mH(gv))),
                                           narrow(gr, -1, 0, m));
                   bw.set(0, cat({gx, matmul(y, gv)}, -1));
               });
    return {outs[0], outs[1]};
}

std::tuple<Tensor, Tensor> linalg_geqrf(const Tensor& A) {
    check_matrices("geqrf", A, false);
    return factor_qr(A);
}
Tensor linalg_reflectors(const Tensor& A, const Tensor& tau, int64_t columns) {
    return reflectors(A, tau, columns);
}
Tensor linalg_reflect(const Tensor& A, const Tensor& tau, const Tensor& C, bool adjoint) {
    return reflect(A, tau, C, adjoint);
}

}  // namespace ember::ops
