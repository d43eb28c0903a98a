#include "ops/index.h"

#include "ops/copy.h"
#include "ops/factory.h"
#include "ops/formula.h"
#include "ops/index_common.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/view.h"

namespace ember::kernels {

decltype(index_select) index_select("index_select");
decltype(index_add) index_add("index_add");
decltype(embedding_backward) embedding_backward("embedding");
decltype(gather) gather("gather");
decltype(scatter) scatter("scatter");
decltype(scatter_add) scatter_add("scatter_add");
decltype(scatter_reduce) scatter_reduce("scatter_reduce");

}  // namespace ember::kernels

namespace ember::ops {

namespace {

const Number kOne = number(int64_t(1));

}  // namespace

Tensor dense(const Tensor& t) {
    if (t.is_contiguous()) return t;
    GradModeGuard no_grad(false);
    return clone(t, MemoryFormat::Contiguous);
}

Tensor expanded(const Tensor& t, IntSpan sizes) {
    Dims strides(int(sizes.size()));
    int lead = int(sizes.size()) - t.dim();
    for (int d = 0; d < strides.size(); d++)
        strides[d] = d < lead || t.impl()->sizes[d - lead] == 1 ? 0 : t.impl()->strides[d - lead];
    return alias(t, sizes, strides, t.offset());
}

Tensor apart(const Tensor& operand, const Dest& dest) {
    if (dest.fresh() || operand.impl()->storage != dest.tensor().impl()->storage) return operand;
    GradModeGuard no_grad(false);
    return clone(operand, std::nullopt);
}

Tensor index_items(const char* name, const Tensor& index) {
    EMBER_CHECK(index.dtype() == DType::Int64 || index.dtype() == DType::Int32,
                "%s: expected dtype int32 or int64 for index, got %s", name,
                dtype_name(index.dtype()));
    return dense(to_dtype(index, DType::Int64));
}

namespace {

void check_written(const char* name, const Tensor& out) {
    EMBER_CHECK(!out.has_overlap(),
                "%s: more than one element of the written-to tensor refers to a single memory "
                "location; clone it first",
                name);
}

void check_out_dtype(const char* name, const Tensor& x, const Tensor& out, bool needs_grad) {
    check_out(name, out, x.dtype(), needs_grad);
    check_same_device(name, x, out);
    EMBER_CHECK(out.dtype() == x.dtype(), "%s: out must have the input's dtype %s, got %s", name,
                dtype_name(x.dtype()), dtype_name(out.dtype()));
}

}  // namespace

Tensor write_target(const char* name, const Tensor& x, const Dest& dest, bool needs_grad) {
    if (dest.is_in_place()) {
        check_in_place(name, x, needs_grad);
        check_written(name, x);
        return x;
    }
    GradModeGuard no_grad(false);
    if (dest.fresh()) return clone(x, std::nullopt);
    const Tensor& out = dest.tensor();
    check_out_dtype(name, x, out, needs_grad);
    if (out.is(x)) return out;
    Tensor source = apart(x, dest);
    resize_out(name, out, source.sizes());
    check_written(name, out);
    return copy_(out, source);
}

Tensor read_target(const char* name, const Tensor& x, IntSpan sizes, const Dest& dest,
                   bool needs_grad) {
    if (dest.fresh()) return empty(sizes, x.options());
    const Tensor& out = dest.tensor();
    check_out_dtype(name, x, out, needs_grad);
    resize_out(name, out, sizes);
    check_written(name, out);
    return out;
}

// ---- Along one dim, by a vector of indices

namespace {

kernels::IndexRows rows_of(const char* name, const Tensor& x, int dim, const Tensor& index) {
    check_same_device(name, x, index);
    kernels::IndexRows rows;
    rows.operation = name;
    rows.dim = dim;
    for (int d = 0; d < dim; d++) rows.outer *= x.impl()->sizes[d];
    for (int d = dim + 1; d < x.dim(); d++) rows.inner *= x.impl()->sizes[d];
    rows.n = x.dim() > 0 ? x.impl()->sizes[dim] : 1;
    rows.count = index.numel();
    rows.index = index.data();
    rows.index_dtype = index.dtype();
    rows.dtype = x.dtype();
    return rows;
}

// The plan of one vector of indices along `dim`; `values` has x's dims. A zero-dim x counts as
// (1,).
void plan_along(kernels::IndexPlan& plan, const char* name, const Tensor& x, int dim,
                const Tensor& index, Tensor& values) {
    Tensor strided = x.dim() > 0 ? x : alias(x, {{1}}, {{1}}, x.offset());
    if (values.dim() == 0) values = alias(values, {{1}}, {{1}}, values.offset());
    SmallVector<Tensor, 6> indices(strided.dim());
    indices[dim] = index;
    make_index_plan(plan, name, strided, indices, {{index.numel()}}, dim, values);
    plan.wrap = false;
}

int64_t work_of(const Tensor& t) { return t.numel(); }

void check_vector(const char* name, const Tensor& index) {
    if (index.dim() > 1)
        raise_index("%s: index must be a vector or a number, got shape %s", name,
                    to_string(index.sizes()).c_str());
    EMBER_CHECK(index.dtype() == DType::Int64 || index.dtype() == DType::Int32,
                "%s: expected dtype int32 or int64 for index, got %s", name,
                dtype_name(index.dtype()));
}

// Source has x's sizes but for `dim`, where it has one slice an index.
void check_source(const char* name, const Tensor& x, int dim, const Tensor& index,
                  const Tensor& source) {
    check_same_device(name, x, source);
    EMBER_CHECK(x.dtype() == source.dtype(),
                "%s: self (%s) and source (%s) must have the same dtype", name,
                dtype_name(x.dtype()), dtype_name(source.dtype()));
    bool fits = source.dim() == x.dim() || x.dim() + source.dim() <= 1;
    for (int d = 0; fits && x.dim() > 0 && d < x.dim(); d++)
        fits = d == dim || source.dim() == 0 || source.impl()->sizes[d] == x.impl()->sizes[d];
    int64_t slices = source.dim() == 0 ? 1 : dim < source.dim() ? source.impl()->sizes[dim] : -1;
    if (fits && slices == index.numel()) return;
    raise(
        "%s: source must have the shape of self (%s) but for dim %d, where it has one slice for "
        "each of the %ld indices; got %s",
        name, to_string(x.sizes()).c_str(), dim, long(index.numel()),
        to_string(source.sizes()).c_str());
}

}  // namespace

Tensor index_select(const Tensor& x, int64_t dim, const Tensor& index, const Dest& dest) {
    const char* name = "index_select";
    int at = wrap_dim(name, dim, x.dim());
    check_vector(name, index);
    EMBER_CHECK(x.dim() > 0 || index.numel() == 1,
                "index_select: a zero-dim input takes 1 index, got %ld", long(index.numel()));
    kernels::index_select.require(x.device(), x.dtype());
    Dims sizes(x.sizes());
    if (x.dim() > 0) sizes[at] = index.numel();
    Tensor from = apart(x, dest), places = dense(apart(index, dest));
    Tensor out = read_target(name, x, sizes, dest, needs_grad(x));
    if (from.is_contiguous() && out.is_contiguous()) {
        kernels::IndexRows rows = rows_of(name, from, at, places);
        rows.in = from.data();
        rows.out = out.data();
        launch(kernels::index_select, x.device(), work_of(out), rows);
    } else {
        Tensor values = out;
        kernels::IndexPlan plan;
        places = index_items(name, places);  // outlives the plan
        plan_along(plan, name, from, at, places, values);
        launch(kernels::index_get, x.device(), work_of(out), plan);
        if (!values.is(out)) copy_(out, values);
    }
    written(out, dest);
    if (needs_grad(x))
        record("IndexSelectBackward0", out, {x},
               [at, index = Saved(index), shape = Dims(x.sizes())](Backward& bw, const Tensor& g) {
                   Tensor all = zeros(shape, g.options());
                   bw.set(0, index_add(all, at, index.get(bw), g, kOne, Dest::in_place(all)));
               });
    return out;
}

Tensor index_add(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                 Number alpha, const Dest& dest) {
    const char* name = "index_add";
    int at = wrap_dim(name, dim, x.dim());
    check_vector(name, index);
    check_source(name, x, at, index, source);
    kernels::index_add.require(x.device(), x.dtype());
    bool wanted = needs_grad(x, source);
    Tensor from = apart(source, dest), places = dense(apart(index, dest));
    Tensor out = write_target(name, x, dest, wanted);
    if (out.is_contiguous()) {
        from = dense(from);
        kernels::IndexRows rows = rows_of(name, out, at, places);
        rows.in = from.data();
        rows.out = out.data();
        launch(kernels::index_add, x.device(), 2 * work_of(from), rows, alpha);
    } else {
        if (alpha.as<double>() != 1) {
            GradModeGuard no_grad(false);
            from = to_dtype(mul(from, wrapped_number(alpha)), x.dtype());
        }
        kernels::IndexPlan plan;
        places = index_items(name, places);  // outlives the plan
        plan_along(plan, name, out, at, places, from);
        plan.index_error = false;
        launch(kernels::index_put, x.device(), 2 * work_of(from), plan, true);
    }
    written(out, dest);
    if (wanted)
        record("IndexAddBackward0", out, {x, source}, dest,
               [at, alpha, index = Saved(index, dest), shape = Dims(source.sizes())](
                   Backward& bw, const Tensor& g) {
                   if (bw.needs(0)) bw.set(0, g);
                   if (!bw.needs(1)) return;
                   Tensor part = reshape(index_select(g, at, index.get(bw)), shape);
                   bw.set(1, alpha.as<double>() == 1 ? part : mul(part, wrapped_number(alpha)));
               });
    return out;
}

Tensor index_copy(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                  const Dest& dest) {
    const char* name = "index_copy";
    int at = wrap_dim(name, dim, x.dim());
    check_vector(name, index);
    EMBER_CHECK(index.dtype() == DType::Int64,
                "index_copy: expected an int64 tensor for index, got %s",
                dtype_name(index.dtype()));
    check_source(name, x, at, index, source);
    kernels::index_put.require(x.device(), x.dtype());
    bool wanted = needs_grad(x, source);
    Tensor from = apart(source, dest), places = dense(apart(index, dest));
    Tensor out = write_target(name, x, dest, wanted);
    kernels::IndexPlan plan;
    plan_along(plan, name, out, at, places, from);
    launch(kernels::index_put, x.device(), work_of(from), plan, false);
    written(out, dest);
    if (wanted)
        record("IndexCopyBackward0", out, {x, source}, dest,
               [at, index = Saved(index, dest), shape = Dims(source.sizes())](Backward& bw,
                                                                              const Tensor& g) {
                   Tensor places = index.get(bw);
                   if (bw.needs(0))
                       bw.set(0, index_fill(g, at, places, wrapped_number(number(0.0))));
                   if (bw.needs(1)) bw.set(1, reshape(index_select(g, at, places), shape));
               });
    return out;
}

Tensor index_fill(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& value,
                  const Dest& dest) {
    const char* name = "index_fill";
    int at = wrap_dim(name, dim, x.dim());
    if (index.dtype() != DType::Int64)
        raise_index("index_fill: expected dtype int64 for index, got %s",
                    dtype_name(index.dtype()));
    EMBER_CHECK(index.dim() <= 1, "index_fill: index must be a vector or a number, got shape %s",
                to_string(index.sizes()).c_str());
    EMBER_CHECK(value.dim() == 0,
                "index_fill: value must be a number or a zero-dim tensor, got shape %s",
                to_string(value.sizes()).c_str());
    kernels::index_put.require(x.device(), x.dtype());
    bool wanted = needs_grad(x, value);
    Tensor filler = apart(fitting_number(name, value, x.options()), dest);
    Tensor places = dense(apart(index, dest));
    Tensor out = write_target(name, x, dest, wanted);
    Dims sizes(x.sizes());
    if (x.dim() > 0)
        sizes[at] = index.numel();
    else
        sizes.push_back(index.numel());
    Tensor values = expanded(filler, sizes);
    kernels::IndexPlan plan;
    plan_along(plan, name, out, at, places, values);
    plan.wrap = true;
    launch(kernels::index_put, x.device(), work_of(values), plan, false);
    written(out, dest);
    if (wanted)
        record("IndexFillBackward0", out, {x, value}, dest,
               [at, index = Saved(index, dest)](Backward& bw, const Tensor& g) {
                   Tensor places = index.get(bw), zero = wrapped_number(number(0.0));
                   if (bw.needs(0)) bw.set(0, index_fill(g, at, places, zero));
                   if (!bw.needs(1)) return;
                   Tensor mask = zeros(g.sizes(), {DType::Bool, g.device()});
                   index_fill(mask, at, places, wrapped_number(kOne), Dest::in_place(mask));
                   bw.set(1, sum(where(mask, g, zero)));
               });
    return out;
}

Tensor fitting_number(const char* name, const Tensor& value, TensorOptions options) {
    if (value.impl()->wrapped_number) check_number_fits(name, value, options.dtype);
    GradModeGuard no_grad(false);
    return to_device(to_dtype(value, options.dtype), options.device);
}

namespace {

// zeros (n, d) plus the rows of g at the indices, but those of the padding row; `counts` divides.
Tensor embedding_gradient(const Tensor& g, const Tensor& index, int64_t n, int64_t padding,
                          bool by_frequency) {
    int64_t width = g.size(-1);
    Tensor rows = reshape(g, {index.numel(), width});
    if (!modes::grad_enabled() && kernels::embedding_backward.serves(g.device().type, g.dtype())) {
        Tensor out = empty({{n, width}}, g.options()), from = dense(rows), places = dense(index);
        kernels::IndexRows args = rows_of("embedding", out, 0, places);
        args.in = from.data();
        args.out = out.data();
        launch(kernels::embedding_backward, g.device(), 2 * (work_of(from) + work_of(out)), args,
               padding, by_frequency);
        return out;
    }
    Tensor flat = reshape(index, {-1});
    if (padding >= 0) {
        Tensor kept = ne(flat, wrapped_number(number(padding)));
        rows = where(unsqueeze(kept, 1), rows, wrapped_number(number(0.0)));
    }
    if (by_frequency) {
        Tensor counts = zeros({{n}}, g.options());
        Tensor ones = full({{flat.numel()}}, kOne, g.options());
        index_add(counts, 0, flat, ones, kOne, Dest::in_place(counts));
        rows = div(rows, unsqueeze(index_select(counts, 0, flat), 1));
    }
    Tensor all = zeros({{n, width}}, g.options());
    return index_add(all, 0, flat, rows, kOne, Dest::in_place(all));
}

}  // namespace

Tensor embedding(const Tensor& input, const Tensor& weight, std::optional<int64_t> padding_idx,
                 std::optional<double> max_norm, double, bool scale_grad_by_freq, bool sparse) {
    EMBER_CHECK(weight.dim() == 2, "embedding: weight must be 2-D, got shape %s",
                to_string(weight.sizes()).c_str());
    EMBER_CHECK(input.dtype() == DType::Int64 || input.dtype() == DType::Int32,
                "embedding: expected dtype int32 or int64 for indices, got %s",
                dtype_name(input.dtype()));
    if (max_norm)
        raise(ErrorKind::NotImplemented, "embedding: max_norm is not supported, got %g", *max_norm);
    if (sparse) raise(ErrorKind::NotImplemented, "embedding: sparse gradients are not supported");
    int64_t n = weight.impl()->sizes[0], padding = padding_idx.value_or(-1);
    if (padding_idx) {
        EMBER_CHECK(padding >= -n && padding < n,
                    "embedding: padding_idx must be within num_embeddings = %ld, got %ld", long(n),
                    long(padding));
        if (padding < 0) padding += n;
    }
    kernels::index_select.require(weight.device(), weight.dtype());
    Dims sizes(input.sizes());
    sizes.push_back(weight.impl()->sizes[1]);
    checked_numel("embedding", sizes, weight.dtype());
    Tensor out = empty(sizes, weight.options());
    Tensor table = dense(weight), places = dense(input);
    kernels::IndexRows rows = rows_of("embedding", table, 0, places);
    rows.in = table.data();
    rows.out = out.data();
    launch(kernels::index_select, weight.device(), work_of(out), rows);
    if (needs_grad(weight))
        record(
            "EmbeddingBackward0", out, {weight},
            [n, padding, scale_grad_by_freq, input = Saved(input)](Backward& bw, const Tensor& g) {
                bw.set(0, embedding_gradient(g, input.get(bw), n, padding, scale_grad_by_freq));
            });
    return out;
}

// ---- Item by item along one dim

namespace {

// Views of `index` and `other` beside `data`, all with at least one dim.
struct GatherArgs : kernels::Gather {
    Dims layout[4];

    GatherArgs(const char* name, int at, const Tensor& index_items, const Tensor& data_tensor,
               const Tensor& other_tensor) {
        check_same_device(name, data_tensor, index_items);
        check_same_device(name, data_tensor, other_tensor);
        operation = name;
        dim = at;
        auto widened = [&](int i, IntSpan span, int64_t scalar) {
            layout[i] = Dims(span);
            if (span.empty()) layout[i].push_back(scalar);
            return layout[i].data();
        };
        sizes = widened(0, index_items.sizes(), 1);
        ndim = layout[0].size();
        index_strides = widened(1, index_items.strides(), 0);
        data_strides = widened(2, data_tensor.strides(), 0);
        other_strides = widened(3, other_tensor.strides(), 0);
        dim_size = data_tensor.dim() > 0 ? data_tensor.impl()->sizes[at] : 1;
        index = index_items.as<int64_t>();
        data = data_tensor.data();
        other = other_tensor.data();
        dtype = data_tensor.dtype();
    }
};

}  // namespace

Tensor gather_index(const char* name, const Tensor& index) {
    EMBER_CHECK(index.dtype() == DType::Int64 || index.dtype() == DType::Int32,
                "%s: expected dtype int32 or int64 for index, got %s", name,
                dtype_name(index.dtype()));
    return to_dtype(index, DType::Int64);
}

static int at_least_one(const Tensor& t) { return t.dim() > 0 ? t.dim() : 1; }

// `index` is no larger than `x` apart from dim.
void check_beside(const char* name, const Tensor& x, int dim, const Tensor& index) {
    EMBER_CHECK(at_least_one(index) == at_least_one(x),
                "%s: index must have the number of dims of the input (%d), got shape %s", name,
                x.dim(), to_string(index.sizes()).c_str());
    for (int d = 0; d < index.dim(); d++) {
        int64_t room = x.dim() > 0 ? x.impl()->sizes[d] : 1;
        EMBER_CHECK(d == dim || index.impl()->sizes[d] <= room,
                    "%s: expected index %s to be no larger than self %s apart from dimension %d",
                    name, to_string(index.sizes()).c_str(), to_string(x.sizes()).c_str(), dim);
    }
}

Tensor source_beside(const char* name, const Tensor& x, const Tensor& index, const Tensor& src) {
    if (src.impl()->wrapped_number) {
        Tensor value = fitting_number(name, src, x.options());
        return expanded(value, index.sizes());
    }
    EMBER_CHECK(src.dtype() == x.dtype(), "%s: expected self.dtype %s to be equal to src.dtype %s",
                name, dtype_name(x.dtype()), dtype_name(src.dtype()));
    EMBER_CHECK(at_least_one(src) == at_least_one(index),
                "%s: index %s must have the number of dims of src %s", name,
                to_string(index.sizes()).c_str(), to_string(src.sizes()).c_str());
    Tensor part = src;
    for (int d = 0; d < index.dim(); d++) {
        int64_t room = src.dim() > 0 ? src.impl()->sizes[d] : 1;
        EMBER_CHECK(index.impl()->sizes[d] <= room,
                    "%s: expected index %s to be no larger than src %s", name,
                    to_string(index.sizes()).c_str(), to_string(src.sizes()).c_str());
        if (index.impl()->sizes[d] < room && index.numel() > 0)
            part = narrow(part, d, 0, index.impl()->sizes[d]);
    }
    return part;
}

namespace {

template <class Run>
Tensor scatter_by(const char* name, const Tensor& x, int at, const Tensor& index,
                  const Tensor& part, const Dest& dest, bool wanted, const SlotBase& slot,
                  Run&& run) {
    slot.require(x.device(), x.dtype());
    if (index.numel() == 0) return written(write_target(name, x, dest, wanted), dest);
    Tensor places = apart(index, dest), from = apart(part, dest);
    Tensor out = write_target(name, x, dest, wanted);
    run(2 * work_of(places), GatherArgs(name, at, places, out, from));
    return written(out, dest);
}

}  // namespace

Tensor scatter_with(const GatherSlot& slot, const char* name, const Tensor& x, int at,
                    const Tensor& index, const Tensor& part, const Dest& dest, bool wanted) {
    return scatter_by(
        name, x, at, index, part, dest, wanted, slot,
        [&](int64_t work, const kernels::Gather& args) { launch(slot, x.device(), work, args); });
}

Tensor scatter_combined(kernels::Combine how, const char* name, const Tensor& x, int at,
                        const Tensor& index, const Tensor& part, const Dest& dest, bool wanted) {
    return scatter_by(name, x, at, index, part, dest, wanted, kernels::scatter_reduce,
                      [&](int64_t work, const kernels::Gather& args) {
                          launch(kernels::scatter_reduce, x.device(), work, args, how);
                      });
}

Tensor gather(const Tensor& x, int64_t dim, const Tensor& index, bool, const Dest& dest) {
    int at = wrap_dim("gather", dim, x.dim());
    Tensor items = gather_index("gather", index);
    if (index.numel() > 0) check_beside("gather", x, at, index);
    kernels::gather.require(x.device(), x.dtype());
    Tensor from = apart(x, dest);
    items = apart(items, dest);
    Tensor out = read_target("gather", x, items.sizes(), dest, needs_grad(x));
    if (items.numel() > 0)
        launch(kernels::gather, x.device(), 2 * work_of(out),
               GatherArgs("gather", at, items, from, out));
    written(out, dest);
    if (needs_grad(x))
        record("GatherBackward0", out, {x},
               [at, index = Saved(index), shape = Dims(x.sizes())](Backward& bw, const Tensor& g) {
                   Tensor all = zeros(shape, g.options());
                   bw.set(0, scatter_add(all, at, index.get(bw), g, Dest::in_place(all)));
               });
    return out;
}

Tensor scatter(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src,
               std::optional<std::string_view> reduce, const Dest& dest) {
    int at = wrap_dim("scatter", dim, x.dim());
    bool adds = false;
    if (reduce) {
        EMBER_CHECK(*reduce == "add" || *reduce == "multiply",
                    "scatter: reduce must be either add or multiply, got '%.*s'",
                    int(reduce->size()), reduce->data());
        if (*reduce == "multiply") return scatter_multiply(x, at, index, src, dest);
        adds = true;
    }
    Tensor items = gather_index("scatter", index);
    Tensor part;  // stays undefined where nothing is written
    if (index.numel() > 0) {
        check_beside("scatter", x, at, index);
        part = source_beside("scatter", x, index, src);
    }
    bool wanted = needs_grad(x, part);
    Tensor out = scatter_with(adds ? kernels::scatter_add : kernels::scatter, "scatter", x, at,
                              items, part, dest, wanted);
    if (wanted)
        record("ScatterBackward0", out, {x, part}, dest,
               [at, adds, index = Saved(index, dest)](Backward& bw, const Tensor& g) {
                   Tensor places = index.get(bw);
                   if (bw.needs(0))
                       bw.set(0, adds ? g
                                      : scatter(g, at, places, wrapped_number(number(0.0)),
                                                std::nullopt));
                   if (bw.needs(1)) bw.set(1, gather(g, at, places));
               });
    return out;
}

Tensor scatter_add(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src,
                   const Dest& dest) {
    int at = wrap_dim("scatter_add", dim, x.dim());
    Tensor items = gather_index("scatter_add", index);
    Tensor part;  // stays undefined where nothing is written
    if (index.numel() > 0) {
        check_beside("scatter_add", x, at, index);
        part = source_beside("scatter_add", x, index, src);
    }
    bool wanted = needs_grad(x, part);
    Tensor out =
        scatter_with(kernels::scatter_add, "scatter_add", x, at, items, part, dest, wanted);
    if (wanted)
        record("ScatterAddBackward0", out, {x, part}, dest,
               [at, index = Saved(index, dest)](Backward& bw, const Tensor& g) {
                   if (bw.needs(0)) bw.set(0, g);
                   if (bw.needs(1)) bw.set(1, gather(g, at, index.get(bw)));
               });
    return out;
}

}  // namespace ember::ops
