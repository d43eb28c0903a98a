#pragma once

#include "core/table.h"
#include "core/view.h"

// Factors of `batch` contiguous matrices of float32, float64, complex64 or complex128.
namespace ember::kernels {

// P L U of (m, n) matrices in their own place: L without its unit diagonal, U, and the row
// exchanged with each (from 1). info: the first zero on U's diagonal (from 1), or 0. sign: the
// determinant of P, of the matrices' dtype.
struct LuFactor {
    int64_t batch = 0, m = 0, n = 0;
    void* a = nullptr;
    int32_t *pivots = nullptr, *info = nullptr;  // (batch, min(m, n)), (batch,)
    void* sign = nullptr;                        // (batch,)
    DType dtype = DType::Float32;
};

// Exchanges rows of b (n, columns) as LuFactor did, or, `reverse`, back.
struct ExchangeRows {
    int64_t batch = 0, n = 0, columns = 0, count = 0;
    void* b = nullptr;
    const int32_t* pivots = nullptr;  // (batch, count), each from 1 to n
    bool reverse = false;
    DType dtype = DType::Float32;
};

// Solves a x = b for triangular a (n, n) and b (n, columns) in b's place. Zeros on the diagonal
// give infinities.
struct Substitute {
    int64_t batch = 0, n = 0, columns = 0;
    const void* a = nullptr;
    void* b = nullptr;
    bool upper = false, unit = false;
    DType dtype = DType::Float32;
};

// The upper triangular u with u^H u = a of Hermitian a (n, n), whose upper triangle is read, in its
// place. info: the order of the first leading minor that is not positive, where the matrix is left
// half done, or 0.
struct Cholesky {
    int64_t batch = 0, n = 0;
    void* a = nullptr;
    int32_t* info = nullptr;  // (batch,)
    DType dtype = DType::Float32;
};

// Q R of (m, n) matrices in their own place: R, and below it the vectors v_i of the reflectors
// 1 - tau_i v_i v_i^H of which Q is the product; v_i is 0 before item i and 1 there.
struct QrFactor {
    int64_t batch = 0, m = 0, n = 0;
    void *a = nullptr, *tau = nullptr;  // tau: (batch, min(m, n))
    DType dtype = DType::Float32;
};

// Q c, or Q^H c where `adjoint`, in the place of c (m, columns): Q is the product of `count`
// reflectors as QrFactor gives them. `identity`: c is not read, but the identity taken for it.
struct Reflect {
    int64_t batch = 0, m = 0, n = 0, count = 0, columns = 0;
    const void *a = nullptr, *tau = nullptr;  // (batch, m, n), (batch, count)
    void* c = nullptr;
    bool adjoint = false, identity = false;
    DType dtype = DType::Float32;
};

extern Slot<void(Context&, const LuFactor&)> lu_factor;
extern Slot<void(Context&, const ExchangeRows&)> exchange_rows;
extern Slot<void(Context&, const Substitute&)> substitute;
extern Slot<void(Context&, const Cholesky&)> cholesky;
extern Slot<void(Context&, const QrFactor&)> qr_factor;
extern Slot<void(Context&, const Reflect&)> reflect;

}  // namespace ember::kernels
