#include "ops/autocast.h"

#include <unordered_map>

#include "autograd/record.h"
#include "core/modes.h"
#include "ops/copy.h"

namespace ember::ops {

namespace {

struct Cast {
    Tensor source, result;  // the source too, lest its address be another tensor's
    uint32_t version;
};
thread_local std::unordered_map<const TensorImpl*, Cast> casts;

}  // namespace

Tensor autocast(const Tensor& x, DType dtype) {
    if (x.dtype() == dtype) return x;
    bool kept = modes::word & modes::kAutocastCache && modes::grad_enabled() && !grad_fn(x) &&
                x.requires_grad() && !x.is_view() && x.dtype() == DType::Float32;
    if (!kept) return to_dtype(x, dtype);
    Cast& cast = casts[x.impl()];
    if (!cast.result.defined() || cast.result.dtype() != dtype || cast.version != x.version())
        cast = {x, to_dtype(x, dtype), x.version()};
    return cast.result;
}

void clear_autocast_cache() { casts.clear(); }

}  // namespace ember::ops
