#include "ops/copy.h"
#include "ops/factory.h"
#include "ops/index_common.h"
#include "ops/pointwise.h"
#include "ops/view.h"

namespace ember::kernels {

decltype(index_get) index_get("index");
decltype(index_put) index_put("index_put");

}  // namespace ember::kernels

namespace ember::ops {

namespace {

// The one stride that walks `count` dims of t from `first` on, or -1.
int64_t single_stride(const Tensor& t, int first, int count) {
    int64_t stride = 0, reach = 0;
    bool started = false;
    for (int d = first + count; d-- > first;) {
        if (t.impl()->sizes[d] == 1) continue;
        int64_t step = t.impl()->strides[d];
        if (started && step != reach) return -1;
        if (!started) stride = step;
        started = true;
        reach = step * t.impl()->sizes[d];
    }
    return stride;
}

}  // namespace

void make_index_plan(kernels::IndexPlan& plan, const char* name, const Tensor& strided,
                     std::span<const Tensor> indices, IntSpan count_sizes, int position,
                     Tensor& values) {
    int count_dims = int(count_sizes.size());
    int64_t stride = values.numel() > 0 ? single_stride(values, position, count_dims) : 0;
    if (stride < 0) {
        values = dense(values);
        stride = single_stride(values, position, count_dims);
    }
    check_same_device(name, strided, values);
    int64_t size = strided.item_bytes();
    plan.operation = name;
    plan.count = 1;
    for (int64_t n : count_sizes) plan.count *= n;
    plan.count_values = stride * size;
    plan.strided = static_cast<char*>(strided.data());
    plan.values = static_cast<char*>(values.data());
    plan.dtype = strided.dtype();
    for (int d = 0; d < strided.dim(); d++) {
        if (d >= int(indices.size()) || !indices[size_t(d)].defined()) continue;
        check_same_device(name, strided, indices[size_t(d)]);
        int k = plan.indices++;
        plan.index[k] = indices[size_t(d)].as<int64_t>();
        plan.dims[k] = d;
        plan.index_sizes[k] = strided.impl()->sizes[d];
        plan.index_strides[k] = strided.impl()->strides[d] * size;
    }
    int at = values.dim();
    for (int d = strided.dim(); d-- > 0;) {
        if (d < int(indices.size()) && indices[size_t(d)].defined()) continue;
        at--;
        if (at == position + count_dims - 1) at -= count_dims;
        int64_t n = strided.impl()->sizes[d];
        if (n == 1) continue;
        int64_t step = strided.impl()->strides[d] * size,
                value_step = values.impl()->strides[at] * size;
        int last = plan.kept - 1;
        if (last >= 0 && step == plan.kept_strides[last] * plan.kept_sizes[last] &&
            value_step == plan.kept_values[last] * plan.kept_sizes[last]) {
            plan.kept_sizes[last] *= n;
            continue;
        }
        plan.kept_sizes[plan.kept] = n;
        plan.kept_strides[plan.kept] = step;
        plan.kept_values[plan.kept++] = value_step;
    }
}

namespace {

// Indices as the kernels take them, and the shape of what they name.
struct Advanced {
    SmallVector<Tensor, 6> items;  // one a dim of x: contiguous int64 vectors, or undefined
    Dims count_sizes;              // of the indices, broadcast
    int position = 0;              // of the count dims in the result
    Dims result;

    Advanced(const char* name, const Tensor& x, const std::vector<Tensor>& indices) {
        expand_masks(name, x, indices);
        for (Tensor& t : items)
            if (t.defined()) broadcast(name, t.sizes());
        int first = -1, last = -1, defined = 0;
        for (int d = 0; d < items.size(); d++) {
            Tensor& t = items[d];
            if (!t.defined()) continue;
            if (first < 0) first = d;
            last = d;
            defined++;
            t = index_items(name, same(t.sizes(), count_sizes) ? t : expanded(t, count_sizes));
        }
        EMBER_CHECK(defined > 0, "%s: at least one index must be given", name);
        // Indices that stand beside one another keep their place; others move to the front.
        position = last - first + 1 == defined ? first : 0;
        for (int d = 0; d <= x.dim(); d++) {
            if (int(result.size()) == position && !placed_) {
                result.append(count_sizes.begin(), count_sizes.end());
                placed_ = true;
            }
            if (d < x.dim() && !(d < items.size() && items[d].defined()))
                result.push_back(x.impl()->sizes[d]);
        }
        EMBER_CHECK(result.size() <= kMaxDims,
                    "%s: the result has %d dims, at most %d are possible", name, result.size(),
                    kMaxDims);
        checked_numel(name, result, x.dtype());
    }

private:
    void expand_masks(const char* name, const Tensor& x, const std::vector<Tensor>& indices) {
        for (const Tensor& given : indices) {
            // The CPU's indices go with any device's tensor.
            Tensor t =
                given.defined() && given.device().is_cpu() ? to_device(given, x.device()) : given;
            if (!t.defined() || (t.dtype() != DType::Bool && t.dtype() != DType::UInt8)) {
                items.push_back(t);
                continue;
            }
            int at = items.size();
            bool fits = at + t.dim() <= x.dim();
            for (int d = 0; fits && d < t.dim(); d++)
                fits = t.impl()->sizes[d] == x.impl()->sizes[at + d];
            if (!fits)
                raise_index(
                    "%s: the mask of shape %s at index %d does not match the indexed tensor "
                    "of shape %s",
                    name, to_string(t.sizes()).c_str(), at, to_string(x.sizes()).c_str());
            for (Tensor& vector : nonzero_tuple(t)) items.push_back(std::move(vector));
        }
        if (items.size() > x.dim())
            raise_index("%s: too many indices for a tensor of dimension %d, got %d", name, x.dim(),
                        items.size());
    }

    void broadcast(const char* name, IntSpan sizes) {
        int lead = int(sizes.size()) - count_sizes.size();
        while (lead-- > 0) count_sizes.insert(0, 1);
        lead = count_sizes.size() - int(sizes.size());
        for (int d = 0; d < int(sizes.size()); d++) {
            int64_t& n = count_sizes[lead + d];
            if (sizes[size_t(d)] == 1 || sizes[size_t(d)] == n) continue;
            if (n != 1)
                raise_index(
                    "%s: shape mismatch: indexing tensors could not be broadcast together, "
                    "%s beside %s",
                    name, to_string(sizes).c_str(), to_string(count_sizes).c_str());
            n = sizes[size_t(d)];
        }
    }

    bool placed_ = false;
};

std::vector<Saved> save_all(const std::vector<Tensor>& tensors, const Dest& dest) {
    std::vector<Saved> saved;
    saved.reserve(tensors.size());
    for (const Tensor& t : tensors) saved.emplace_back(t, dest);
    return saved;
}

std::vector<Tensor> get_all(const std::vector<Saved>& saved, Backward& bw) {
    std::vector<Tensor> tensors;
    tensors.reserve(saved.size());
    for (const Saved& s : saved) tensors.push_back(s.get(bw));
    return tensors;
}

// The mask that is the only index, shaped to broadcast against x; undefined where there are others.
Tensor sole_mask(const Tensor& x, const std::vector<Tensor>& indices) {
    const Tensor* mask = nullptr;
    int at = 0;
    for (size_t i = 0; i < indices.size(); i++) {
        if (!indices[i].defined()) continue;
        if (mask || indices[i].dtype() != DType::Bool) return {};
        mask = &indices[i];
        at = int(i);
    }
    if (!mask || at + mask->dim() > x.dim() ||
        !same(mask->sizes(), x.sizes().subspan(size_t(at), size_t(mask->dim()))))
        return {};
    Dims sizes(mask->sizes()), strides(mask->strides());
    while (at + sizes.size() < x.dim()) {
        sizes.push_back(1);
        strides.push_back(1);
    }
    // The CPU's masks, too, go with any device's tensor.
    Tensor here = to_device(*mask, x.device());
    if (!same(here.strides(), mask->strides()))
        std::copy(here.strides().begin(), here.strides().end(), strides.begin());
    return alias(here, sizes, strides, here.offset());
}

}  // namespace

Tensor index(const Tensor& x, const std::vector<Tensor>& indices) {
    const char* name = "index";
    if (indices.size() == 1 && indices[0].defined() && indices[0].dim() == x.dim())
        if (sole_mask(x, indices).defined())
            return masked_select(x, to_device(indices[0], x.device()));
    kernels::index_get.require(x.device(), x.dtype());
    Advanced a(name, x, indices);
    Tensor out = empty(a.result, x.options()), values = out;
    kernels::IndexPlan plan;
    make_index_plan(plan, name, x, a.items, a.count_sizes, a.position, values);
    launch(kernels::index_get, x.device(), 2 * out.numel(), plan);
    if (needs_grad(x))
        record("IndexBackward0", out, {x},
               [indices = save_all(indices, {}), shape = Dims(x.sizes())](Backward& bw,
                                                                          const Tensor& g) {
                   Tensor all = zeros(shape, g.options());
                   bw.set(0, index_put(all, get_all(indices, bw), g, true, Dest::in_place(all)));
               });
    return out;
}

Tensor index_put(const Tensor& x, const std::vector<Tensor>& indices, const Tensor& values,
                 bool accumulate, const Dest& dest) {
    const char* name = "index_put";
    if (!accumulate && values.numel() == 1)
        if (Tensor mask = sole_mask(x, indices); mask.defined())
            return masked_fill(x, mask, values.dim() == 0 ? values : reshape(values, {}), dest);
    EMBER_CHECK(
        values.dtype() == x.dtype(),
        "index_put: the source and destination dtypes must match, got %s for the destination "
        "and %s for the source",
        dtype_name(x.dtype()), dtype_name(values.dtype()));
    kernels::index_put.require(x.device(), x.dtype());
    Advanced a(name, x, indices);
    int lead = a.result.size() - values.dim();
    bool fits = true;
    for (int d = 0; fits && d < values.dim(); d++) {
        int64_t n = values.impl()->sizes[d];
        fits = n == 1 || (lead + d >= 0 && n == a.result[lead + d]);
    }
    EMBER_CHECK(
        fits,
        "index_put: shape mismatch: the value tensor of shape %s cannot be broadcast to the "
        "indexing result of shape %s",
        to_string(values.sizes()).c_str(), to_string(a.result).c_str());
    bool wanted = needs_grad(x, values);
    // Leading dims of size 1 that the result lacks go.
    Tensor source = values;
    if (lead < 0) source = reshape(values, Dims(values.sizes().subspan(size_t(-lead))));
    for (Tensor& t : a.items)
        if (t.defined()) t = apart(t, dest);
    Tensor from = expanded(apart(source, dest), a.result);
    Tensor out = write_target(name, x, dest, wanted);
    kernels::IndexPlan plan;
    make_index_plan(plan, name, out, a.items, a.count_sizes, a.position, from);
    launch(kernels::index_put, x.device(), 2 * from.numel(), plan, accumulate);
    written(out, dest);
    if (wanted)
        record("IndexPutBackward0", out, {x, source}, dest,
               [accumulate, indices = save_all(indices, dest)](Backward& bw, const Tensor& g) {
                   std::vector<Tensor> places = get_all(indices, bw);
                   if (bw.needs(0))
                       bw.set(0,
                              accumulate ? g : index_put(g, places, zeros({}, g.options()), false));
                   if (bw.needs(1)) bw.set(1, ops::index(g, places));
               });
    return out;
}

Tensor take(const Tensor& x, const Tensor& index, const Dest& dest) {
    EMBER_CHECK(index.dtype() == DType::Int64, "take: expected an int64 tensor for index, got %s",
                dtype_name(index.dtype()));
    if (x.numel() == 0 && index.numel() > 0)
        raise_index("take: tried to take from an empty tensor");
    Tensor flat = x.is_contiguous() ? x : dense(x);
    flat = apart(alias(flat, {{x.numel()}}, {{1}}, flat.offset()), dest);
    Tensor items[] = {dense(apart(index, dest))};
    Tensor out = read_target("take", x, items[0].sizes(), dest, needs_grad(x)), values = out;
    kernels::IndexPlan plan;
    make_index_plan(plan, "take", flat, items, items[0].sizes(), 0, values);
    launch(kernels::index_get, x.device(), 2 * out.numel(), plan);
    if (!values.is(out)) {
        GradModeGuard no_grad(false);
        copy_(alias(out), values);
    }
    written(out, dest);
    if (needs_grad(x))
        record("TakeBackward0", out, {x},
               [index = Saved(index), shape = Dims(x.sizes()), n = x.numel()](Backward& bw,
                                                                              const Tensor& g) {
                   Tensor all = zeros({{n}}, g.options());
                   index_put(all, {index.get(bw)}, g, true, Dest::in_place(all));
                   bw.set(0, reshape(all, shape));
               });
    return out;
}

// ---- Views by integers and slices

namespace {

struct Layout {
    Dims sizes, strides;
    int64_t offset;
};

Layout layout_of(const Tensor& x, const ViewItems& items) {
    Layout out;
    out.offset = x.offset();
    int d = 0;
    for (const ViewItem& item : items) {
        if (item.kind == ViewItem::Kind::New) {
            // The stride a copy would have, so that a contiguous tensor stays so.
            out.sizes.push_back(1);
            out.strides.push_back(d < x.dim() ? x.impl()->sizes[d] * x.impl()->strides[d] : 1);
            continue;
        }
        int64_t stride = x.impl()->strides[d++];
        out.offset += item.start * stride;
        if (item.kind == ViewItem::Kind::Integer) continue;
        out.sizes.push_back(item.length);
        // A step that is never taken may be of any size.
        int64_t stepped;
        out.strides.push_back(__builtin_mul_overflow(stride, item.step, &stepped) ? stride
                                                                                  : stepped);
    }
    for (; d < x.dim(); d++) {
        out.sizes.push_back(x.impl()->sizes[d]);
        out.strides.push_back(x.impl()->strides[d]);
    }
    EMBER_CHECK(out.sizes.size() <= kMaxDims, "index: at most %d dims are possible, got %d",
                kMaxDims, out.sizes.size());
    return out;
}

const char* node_name(const ViewItems& items) {
    if (items.empty()) return "AliasBackward0";
    switch (items.back().kind) {
        case ViewItem::Kind::Integer: return "SelectBackward0";
        case ViewItem::Kind::Slice: return "SliceBackward0";
        case ViewItem::Kind::New: return "UnsqueezeBackward0";
    }
    return "SliceBackward0";
}

}  // namespace

Tensor basic_alias(const Tensor& x, const ViewItems& items) {
    Layout layout = layout_of(x, items);
    return alias(x, layout.sizes, layout.strides, layout.offset);
}

Tensor basic_index(const Tensor& x, const ViewItems& items) {
    Tensor out = basic_alias(x, items);
    mark_view(out, x);
    if (needs_grad(x))
        record(node_name(items), out, {x},
               [items, shape = Dims(x.sizes())](Backward& bw, const Tensor& g) {
                   Tensor all = zeros(shape, g.options());
                   copy_(basic_index(all, items), g);
                   bw.set(0, all);
               });
    return out;
}

}  // namespace ember::ops
