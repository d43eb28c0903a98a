#include "ops/matmul.h"
#include "python/tables.h"

namespace ember::python {

void bind_matmul(BindTable& t) {
    constexpr int both = kFunction | kMethod, all = both | kInPlace;
    bind<&ops::matmul>(t, both, "matmul(input, other, *, out=None)",
                       "The matrix product in all ranks: dot for two vectors; batch dims "
                       "broadcast. Both must have one "
                       "dtype (RuntimeError). Halves accumulate in float32.");
    bind<&ops::mm>(t, both, "mm(input, mat2, *, out=None)", "(m, k) @ (k, n).");
    bind<&ops::bmm>(t, both, "bmm(input, mat2, *, out=None)", "(b, m, k) @ (b, k, n).");
    bind<&ops::int_mm>(t, kFunction, "_int_mm(input, mat2, *, out=None)",
                       "(m, k) @ (k, n) of int8, exactly, as int32.");
    bind<&ops::mv>(t, both, "mv(input, vec, *, out=None)", "(m, k) @ (k,).");
    bind<&ops::dot>(t, both, "dot(input, tensor, *, out=None)", "The dot product of two vectors.");
    bind<&ops::outer>(t, both, "outer(input, vec2, *, out=None)", "(m,) and (n,) give (m, n).");
    t.alias("ger", "outer");
    bind_dest<&ops::addmm>(t, all, "addmm(input, mat1, mat2, *, beta=1, alpha=1, out=None)",
                           "beta * input + alpha * (mat1 @ mat2); input broadcasts.");
    bind_dest<&ops::baddbmm>(
        t, all, "baddbmm(input, batch1, batch2, *, beta=1, alpha=1, out=None)",
        "beta * input + alpha * (batch1 @ batch2), by batch; input broadcasts.");
    bind<&ops::linear>(t, kFunction, "linear(input, weight, bias=None)",
                       "input (…, in) @ weight (out, in) transposed + bias (out,).");
}

}  // namespace ember::python
