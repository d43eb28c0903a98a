#include "autograd/primitives.h"

#include "ops/copy.h"
#include "ops/factory.h"
#include "ops/formula.h"
#include "ops/index.h"
#include "ops/reduce.h"
#include "ops/view.h"

namespace ember::autograd::primitives {

Tensor add(const Tensor& a, const Tensor& b) { return ops::formula::add(a, b); }
void add_in_place(const Tensor& a, const Tensor& b) {
    ops::add(a, b, ops::number(int64_t(1)), Dest::in_place(a));
}
Tensor zeros(IntSpan sizes, TensorOptions options) { return ops::zeros(sizes, options); }
Tensor ones(IntSpan sizes, TensorOptions options) {
    return ops::full(sizes, ops::number(int64_t(1)), options);
}
Tensor clone(const Tensor& t) { return ops::clone(t, MemoryFormat::Preserve); }
void copy_in_place(const Tensor& to, const Tensor& from) { ops::copy_(to, from); }
Tensor cast(const Tensor& t, DType dtype) { return ops::to_dtype(t, dtype); }
Tensor to_device(const Tensor& t, Device device) { return ops::to_device(t, device); }
Tensor sum_to_size(const Tensor& t, IntSpan sizes) { return ops::sum_to_size(t, Dims(sizes)); }
Tensor as_strided(const Tensor& t, IntSpan sizes, IntSpan strides, int64_t offset) {
    return ops::as_strided(t, Dims(sizes), Dims(strides), offset);
}

namespace {

int64_t reach(IntSpan sizes, IntSpan strides) {
    int64_t last = 0;
    for (size_t d = 0; d < sizes.size(); d++) {
        if (sizes[d] == 0) return 0;
        last += (sizes[d] - 1) * strides[d];
    }
    return last + 1;
}

}  // namespace

// A flat buffer takes the gradient at the places the view reads (adding up where they coincide),
// and is read where the base lies; a base that itself overlaps shares by count.
Tensor as_strided_backward(const Tensor& grad, IntSpan base_sizes, IntSpan base_strides,
                           int64_t base_offset, IntSpan sizes, IntSpan strides, int64_t offset) {
    int64_t origin = std::min(base_offset, offset);
    int64_t items =
        std::max(base_offset + reach(base_sizes, base_strides), offset + reach(sizes, strides)) -
        origin;
    Tensor flat = zeros({{items}}, grad.options());
    Tensor part = as_strided(flat, sizes, strides, offset - origin);
    if (!part.has_overlap()) {
        copy_in_place(part, grad);
    } else {
        Tensor places = ops::arange(ops::number(items), std::nullopt, ops::number(int64_t(1)),
                                    DType::Int64, grad.device(), false);
        Tensor index = ops::reshape(as_strided(places, sizes, strides, offset - origin), {-1});
        flat =
            ops::index_add(flat, 0, index, ops::reshape(grad, {-1}), ops::number(int64_t(1)), {});
    }
    Tensor base = as_strided(flat, base_sizes, base_strides, base_offset - origin);
    if (!base.has_overlap()) return clone(base);
    Tensor one = ones(base.sizes(), base.options());
    Tensor spread = as_strided_backward(one, {{items}}, {{1}}, 0, base_sizes, base_strides,
                                        base_offset - origin);
    return ops::formula::div(base,
                             as_strided(spread, base_sizes, base_strides, base_offset - origin));
}

bool has_nan(const Tensor& t) {
    return ops::read_item<bool>(ops::any(ops::isnan(t), std::nullopt, false, {}));
}

}  // namespace ember::autograd::primitives
