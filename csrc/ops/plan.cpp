#include "ops/plan.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "ops/copy.h"

namespace ember {

void* (*unlock_interpreter)() = nullptr;
void (*relock_interpreter)(void*) = nullptr;

namespace ops {

Dims broadcast_sizes(const char* name, IntSpan a, IntSpan b) {
    if (a.size() < b.size()) std::swap(a, b);
    Dims sizes(a);
    size_t lead = a.size() - b.size();
    for (size_t d = 0; d < b.size(); d++) {
        int64_t x = a[lead + d], y = b[d];
        if (x == y || y == 1) continue;
        EMBER_CHECK(x == 1,
                    "%s: the size of tensor a (%ld) must match the size of tensor b (%ld) at "
                    "non-singleton dimension %zu; shapes %s and %s do not broadcast",
                    name, long(x), long(y), lead + d, to_string(a).c_str(), to_string(b).c_str());
        sizes[int64_t(lead + d)] = y;
    }
    return sizes;
}

namespace {

constexpr int kNone = -1;

int category(DType d) { return d == DType::Bool ? 0 : is_integral(d) ? 1 : is_floating(d) ? 2 : 3; }

int combine(int a, int b) {
    return a == kNone ? b : b == kNone ? a : int(promote(DType(a), DType(b)));
}

// `first` decides unless `second` is of a higher category.
int prefer(int first, int second) {
    if (first == kNone) return second;
    if (second == kNone || category(DType(second)) <= category(DType(first))) return first;
    if (is_floating(DType(first))) return int(complex_of(DType(first)));  // keeps its precision
    return combine(first, second);
}

}  // namespace

DType result_type(std::span<const Tensor> inputs) {
    int dims = kNone, zero_dims = kNone, numbers = kNone;
    for (const Tensor& t : inputs) {
        int dtype = int(t.dtype());
        if (t.dim() > 0)
            dims = combine(dims, dtype);
        else if (!t.impl()->wrapped_number)
            zero_dims = combine(zero_dims, dtype);
        else
            numbers = combine(numbers, is_floating(t.dtype())  ? int(modes::default_dtype())
                                       : is_complex(t.dtype()) ? int(modes::default_complex())
                                                               : dtype);
    }
    int result = prefer(dims, prefer(zero_dims, numbers));
    return result == kNone ? modes::default_dtype() : DType(result);
}

DType float_result_type(std::span<const Tensor> inputs) {
    DType dtype = result_type(inputs);
    return is_integral(dtype) ? modes::default_dtype() : dtype;
}

bool can_cast(DType from, DType to) {
    if (is_complex(from) && !is_complex(to)) return false;
    if (is_floating(from) && is_integral(to)) return false;
    return from == DType::Bool || to != DType::Bool;
}

void check_number_fits(const char* name, const Tensor& value, DType dtype) {
    if (dtype == DType::Bool || is_complex(dtype) || value.dtype() == dtype) return;
    if (EMBER_UNLIKELY(is_complex(value.dtype()))) {
        GradModeGuard no_grad(false);
        Tensor exact = to_dtype(value, DType::Complex128);
        EMBER_CHECK(exact.as<double>()[1] == 0,
                    "%s: value cannot be converted to type %s without overflow", name,
                    dtype_name(dtype));
    }
    if (dtype == DType::Float64) return;
    Tensor wide = empty({}, {DType::Float64, {}});
    if (EMBER_LIKELY(value.device().is_cpu())) {
        const Tensor* operands[] = {&wide, &value};
        Plan plan;
        make_plan(plan, operands, 1, DType::Float64);
        launch(kernels::copy, wide.device(), 1, plan);
    } else {
        copy_(wide, value);
    }
    double v = *wide.as<double>();
    bool fits;
    if (is_integral(dtype)) {
        double most = std::exp2(item_size(dtype) * 8 - (dtype == DType::UInt8 ? 0 : 1));
        fits = v >= -most && v < most;
    } else {
        double most = dtype == DType::Float16    ? 65504.0
                      : dtype == DType::BFloat16 ? 0x1.FEp127
                                                 : double(std::numeric_limits<float>::max());
        fits = !(std::abs(v) > most) || std::isinf(v);
    }
    EMBER_CHECK(fits, "%s: value cannot be converted to type %s without overflow", name,
                dtype_name(dtype));
}

void check_out(const char* name, const Tensor& out, DType result, bool inputs_need_grad) {
    EMBER_CHECK(!inputs_need_grad && !(modes::grad_enabled() && out.requires_grad()),
                "%s: functions with out=... arguments don't support automatic differentiation, but "
                "one of the arguments requires grad",
                name);
    EMBER_CHECK(can_cast(result, out.dtype()),
                "%s: result type %s can't be cast to the desired output type %s", name,
                dtype_name(result), dtype_name(out.dtype()));
    check_in_place(name, out);
}

void resize_out(const char* name, const Tensor& out, IntSpan sizes) {
    if (same(out.sizes(), sizes)) return;
    EMBER_CHECK(!out.is_view() || out.numel() == 0,
                "%s: out must have shape %s, got the view %s, which cannot be resized", name,
                to_string(sizes).c_str(), to_string(out.sizes()).c_str());
    Tensor fresh = empty(sizes, out.options());
    TensorImpl& impl = *out.impl();
    EMBER_CHECK(impl.ndim == int(sizes.size()) || (impl.ndim <= TensorImpl::kInlineDims &&
                                                   sizes.size() <= TensorImpl::kInlineDims),
                "%s: out must have %zu dims, got %d", name, sizes.size(), impl.ndim);
    // The old block may lie in this tensor's own header, so the fresh storage is shared, not moved.
    impl.share(fresh.impl()->storage);
    impl.ndim = uint8_t(sizes.size());
    impl.offset = 0;
    impl.numel = fresh.numel();
    std::copy(sizes.begin(), sizes.end(), impl.sizes);
    contiguous_strides(sizes, impl.strides);
}

Tensor wrapped_number(Number n) {
    DType dtype = n.kind == Number::Kind::Float     ? DType::Float64
                  : n.kind == Number::Kind::Int     ? DType::Int64
                  : n.kind == Number::Kind::Complex ? DType::Complex128
                                                    : DType::Bool;
    Tensor t = empty({}, {dtype, {}});
    if (dtype == DType::Bool)
        *t.as<bool>() = n.i != 0;
    else
        *t.as<int64_t>() = n.i;
    if (dtype == DType::Complex128) t.as<double>()[1] = n.imag;
    t.impl()->wrapped_number = true;
    return t;
}

namespace {

// Orders dims innermost first by the operands' strides, as TensorIterator does: an operand that
// broadcasts along one of two dims has no say, the next one decides.
void order_dims(int ndim, Operands operands, IntSpan sizes, int* order) {
    for (int i = 0; i < ndim; i++) order[i] = ndim - 1 - i;
    auto step = [&](const TensorImpl& t, int dim) {
        int at = dim - (ndim - t.ndim);
        return t.sizes[at] == 1 && sizes[dim] != 1 ? 0 : t.strides[at];
    };
    auto before = [&](int a, int b) {  // 1: a inner, -1: b inner, 0: no say
        for (const Tensor* operand : operands) {
            const TensorImpl& t = *operand->impl();
            int lead = ndim - t.ndim;
            if (a < lead || b < lead) continue;
            int64_t sa = step(t, a), sb = step(t, b);
            if (sa == 0 || sb == 0) continue;
            if (sa != sb) return sa < sb ? 1 : -1;
            if (sizes[a] != sizes[b]) return sizes[a] < sizes[b] ? 1 : -1;
        }
        return 0;
    };
    for (int i = 1; i < ndim; i++) {
        int dim = order[i], at = i;
        for (int j = i; j-- > 0;) {
            int say = before(dim, order[j]);
            if (say == 0) continue;
            if (say < 0) break;
            for (int k = at; k > j; k--) order[k] = order[k - 1];
            order[j] = dim;
            at = j;
        }
    }
}

int64_t byte_stride(const Tensor& t, int dim, int ndim) {
    int at = dim - (ndim - t.dim());
    if (at < 0 || t.impl()->sizes[at] == 1) return 0;
    return t.impl()->strides[at] * t.item_bytes();
}

// Whether every operand is one run of memory in the order of operand 0, or a single number.
bool flat(Operands operands) {
    for (const Tensor* t : operands)
        if (!(t->numel() == 1 && t->dim() == 0) &&
            !(same(t->sizes(), operands[0]->sizes()) && t->is_contiguous()))
            return false;
    return true;
}

void flat_plan(Plan& plan, Operands operands) {
    plan.ndim = 1;
    plan.sizes[0] = plan.numel;
    for (size_t i = 0; i < operands.size(); i++)
        plan.operand[i].strides[0] = operands[i]->numel() == 1 ? 0 : operands[i]->item_bytes();
}

}  // namespace

void make_plan(Plan& plan, Operands operands, int outputs, DType compute) {
    plan.operands = int(operands.size());
    plan.outputs = outputs;
    plan.on_host = 0;
    plan.compute = compute;
    plan.numel = operands[0]->numel();
    for (size_t i = 0; i < operands.size(); i++) {
        plan.operand[i].data = static_cast<char*>(operands[i]->data());
        plan.operand[i].dtype = operands[i]->dtype();
    }
    if (EMBER_UNLIKELY(!operands[0]->device().is_cpu()))
        for (size_t i = 0; i < operands.size(); i++)
            plan.on_host |= uint32_t(operands[i]->device().is_cpu()) << i;
    if (flat(operands)) {
        flat_plan(plan, operands);
        return;
    }
    IntSpan sizes = operands[0]->sizes();
    int ndim = int(sizes.size());
    int order[kMaxDims];
    order_dims(ndim, operands, sizes, order);
    plan.ndim = 0;
    for (int i = 0; i < ndim; i++) {
        int dim = order[i];
        if (sizes[size_t(dim)] == 1) continue;
        bool merges = plan.ndim > 0;
        for (int k = 0; k < plan.operands && merges; k++)
            merges = byte_stride(*operands[size_t(k)], dim, ndim) ==
                     plan.operand[k].strides[plan.ndim - 1] * plan.sizes[plan.ndim - 1];
        if (merges) {
            plan.sizes[plan.ndim - 1] *= sizes[size_t(dim)];
            continue;
        }
        for (int k = 0; k < plan.operands; k++)
            plan.operand[k].strides[plan.ndim] = byte_stride(*operands[size_t(k)], dim, ndim);
        plan.sizes[plan.ndim++] = sizes[size_t(dim)];
    }
    if (plan.ndim == 0) flat_plan(plan, operands);
}

namespace {

// Memory that `out` will write while `in` still has to be read, other than element by element.
bool clashes(const Tensor& out, const Tensor& in) {
    if (out.impl()->storage != in.impl()->storage || in.numel() == 0 || out.numel() == 0)
        return false;
    if (out.data() == in.data() && out.item_bytes() == in.item_bytes() &&
        same(out.sizes(), in.sizes()) && same(out.strides(), in.strides()))
        return false;
    auto span = [](const Tensor& t) {
        int64_t reach = 1;
        for (int d = 0; d < t.dim(); d++) reach += (t.impl()->sizes[d] - 1) * t.impl()->strides[d];
        auto* begin = static_cast<const char*>(t.data());
        return std::pair(begin, begin + reach * t.item_bytes());
    };
    auto [a, a_end] = span(out);
    auto [b, b_end] = span(in);
    return a < b_end && b < a_end;
}

Tensor dense_copy(const Tensor& t) {
    Tensor copy = empty_like(t);
    const Tensor* operands[] = {&copy, &t};
    Plan plan;
    make_plan(plan, operands, 1, t.dtype());
    kernels::copy.require(t.device(), t.dtype());
    launch(kernels::copy, t.device(), plan.numel, plan);
    return copy;
}

// A fresh result laid out as the inputs are: contiguous, or their common dense permutation.
Tensor fresh_output(Operands inputs, IntSpan sizes, TensorOptions options) {
    int ndim = int(sizes.size());
    bool plain = true;
    for (const Tensor* t : inputs) plain = plain && (t->numel() == 1 || t->is_contiguous());
    if (plain || ndim < 2) return empty(sizes, options);
    int order[kMaxDims];
    order_dims(ndim, inputs, sizes, order);
    Dims strides(ndim);
    int64_t stride = 1;
    for (int i = 0; i < ndim; i++) {
        strides[order[i]] = stride;
        stride *= std::max<int64_t>(sizes[size_t(order[i])], 1);
    }
    return empty_strided(sizes, strides, options);
}

// The device all inputs share; numbers (zero-dim tensors) on the CPU go with any.
Device common_device(const char* name, Operands inputs) {
    const Tensor* decides = inputs[0];
    for (const Tensor* t : inputs.subspan(1)) {
        if (t->device() == decides->device()) continue;
        if (t->dim() == 0 && t->device().is_cpu()) continue;
        EMBER_CHECK(decides->dim() == 0 && decides->device().is_cpu(),
                    "%s: all tensors must be on one device, got %s and %s", name,
                    to_string(decides->device()).c_str(), to_string(t->device()).c_str());
        decides = t;
    }
    return decides->device();
}

void check_dest(const char* name, const Dest& dest, Operands inputs, IntSpan sizes, DType result,
                Device device) {
    const Tensor& out = dest.tensor();
    EMBER_CHECK(out.device() == device, "%s: all tensors must be on one device, got %s and %s",
                name, to_string(device).c_str(), to_string(out.device()).c_str());
    bool wants_grad = false;
    for (const Tensor* t : inputs) wants_grad |= t->requires_grad();
    if (dest.is_in_place()) {
        check_in_place(name, out, wants_grad);
        for (const Tensor* t : inputs) check_operand(name, *t);
        EMBER_CHECK(can_cast(result, out.dtype()),
                    "%s: result type %s can't be cast to the desired output type %s", name,
                    dtype_name(result), dtype_name(out.dtype()));
        EMBER_CHECK(same(out.sizes(), sizes),
                    "%s: output with shape %s doesn't match the broadcast shape %s", name,
                    to_string(out.sizes()).c_str(), to_string(sizes).c_str());
    } else {
        check_out(name, out, result, wants_grad && modes::grad_enabled());
        resize_out(name, out, Dims(sizes));
    }
    EMBER_CHECK(!out.has_overlap(),
                "%s: more than one element of the written-to tensor refers to a single memory "
                "location; clone it first",
                name);
}

}  // namespace

Tensor pointwise(const kernels::Pointwise& any_slot, const char* name, Operands inputs,
                 const Dest& dest, const PointwiseOptions& options) {
    Device device = common_device(name, inputs);
    const kernels::Pointwise& slot = any_slot.of(options.compute);
    slot.require(device, options.compute);

    // Equal shapes, or numbers beside one shape, are the usual case: nothing has to broadcast.
    const Tensor* shape = inputs[0];
    bool broadcasts = false;
    for (const Tensor* t : inputs.subspan(1)) {
        if (t->dim() == 0 || same(t->sizes(), shape->sizes())) continue;
        if (shape->dim() == 0)
            shape = t;
        else
            broadcasts = true;
    }
    Dims broadcast;
    if (broadcasts) {
        broadcast = Dims(inputs[0]->sizes());
        for (const Tensor* t : inputs.subspan(1))
            broadcast = broadcast_sizes(name, broadcast, t->sizes());
    }
    IntSpan sizes = broadcasts ? IntSpan(broadcast) : shape->sizes();

    Tensor out, apart[kMaxOperands];
    const Tensor* operands[kMaxOperands] = {&out};
    std::copy(inputs.begin(), inputs.end(), operands + 1);
    if (dest.fresh()) {
        out = fresh_output(inputs, sizes, {options.out, device});
    } else {
        out = dest.tensor();
        for (size_t i = 1; i <= inputs.size(); i++) {
            if (!clashes(out, *operands[i])) continue;
            apart[i] = dense_copy(*operands[i]);
            operands[i] = &apart[i];
        }
        check_dest(name, dest, inputs, sizes, options.out, device);
    }
    if (out.numel() > 0) {
        // The result is rounded to its own dtype before a wider `out=` takes it.
        bool rounds = is_floating(options.out) && item_size(out.dtype()) > item_size(options.out);
        Tensor rounded = rounds ? empty(out.sizes(), {options.out, device}) : Tensor();
        if (rounds) operands[0] = &rounded;
        Plan plan;
        make_plan(plan, Operands(operands, inputs.size() + 1), 1, options.compute);
        std::memcpy(plan.immediate, options.immediate, sizeof plan.immediate);
        launch(slot, device, int64_t(double(plan.numel) * options.ns_per_item), plan);
        if (rounds) {
            const Tensor* move[] = {&out, &rounded};
            make_plan(plan, move, 1, out.dtype());
            launch(kernels::copy, device, plan.numel, plan);
        }
    }
    if (!dest.fresh()) out.bump_version();
    return out;
}

void make_reduce_plan(ReducePlan& plan, const Tensor& in, const bool* reduced, const Tensor& out,
                      bool keepdim) {
    plan.kept = plan.reduced = 0;
    plan.kept_numel = plan.reduced_numel = 1;
    plan.in = static_cast<const char*>(in.data());
    plan.out = static_cast<char*>(out.data());
    plan.in_dtype = in.dtype();
    plan.out_dtype = out.dtype();
    int ndim = in.dim(), order[kMaxDims], out_dim[kMaxDims];
    for (int d = 0, o = 0; d < ndim; d++) {
        out_dim[d] = o;
        if (!reduced[d] || keepdim) o++;
    }
    const Tensor* operands[] = {&in};
    order_dims(ndim, operands, in.sizes(), order);
    for (int i = 0; i < ndim; i++) {
        int d = order[i];
        int64_t size = in.impl()->sizes[d], stride = in.impl()->strides[d] * in.item_bytes();
        (reduced[d] ? plan.reduced_numel : plan.kept_numel) *= size;
        if (size == 1) continue;
        if (reduced[d]) {
            int last = plan.reduced - 1;
            if (last >= 0 && stride == plan.reduced_in[last] * plan.reduced_sizes[last]) {
                plan.reduced_sizes[last] *= size;
                continue;
            }
            plan.reduced_in[plan.reduced] = stride;
            plan.reduced_sizes[plan.reduced++] = size;
        } else {
            int64_t out_stride = out.impl()->strides[out_dim[d]] * out.item_bytes();
            int last = plan.kept - 1;
            if (last >= 0 && stride == plan.kept_in[last] * plan.kept_sizes[last] &&
                out_stride == plan.kept_out[last] * plan.kept_sizes[last]) {
                plan.kept_sizes[last] *= size;
                continue;
            }
            plan.kept_in[plan.kept] = stride;
            plan.kept_out[plan.kept] = out_stride;
            plan.kept_sizes[plan.kept++] = size;
        }
    }
    if (plan.reduced_numel == 0) {  // one empty dim, so that no kernel divides by a size of 0
        plan.reduced = 1;
        plan.reduced_sizes[0] = plan.reduced_in[0] = 0;
    }
}

}  // namespace ops
}  // namespace ember
