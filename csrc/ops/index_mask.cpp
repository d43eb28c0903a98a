#include "ops/copy.h"
#include "ops/factory.h"
#include "ops/index_common.h"
#include "ops/pointwise.h"
#include "ops/view.h"

namespace ember::kernels {

decltype(nonzero_count) nonzero_count("nonzero");
decltype(nonzero) nonzero("nonzero");
decltype(masked_select) masked_select("masked_select");
decltype(masked_scatter) masked_scatter("masked_scatter");

}  // namespace ember::kernels

namespace ember::ops {

namespace {

// How many items of each block of a dense tensor are not zero.
struct Counts {
    Tensor blocks;
    int64_t total = 0;

    explicit Counts(const Tensor& items) {
        kernels::nonzero_count.require(items.device(), items.dtype());
        blocks = empty({{kernels::nonzero_blocks(items.numel())}}, {DType::Int64, items.device()});
        launch(kernels::nonzero_count, items.device(), items.numel() / 8, items.data(),
               items.dtype(), items.numel(), blocks.as<int64_t>());
        Tensor counts = to_device(blocks, {});
        for (int64_t i = 0; i < counts.numel(); i++) total += counts.as<int64_t>()[i];
    }
};

void check_mask(const char* name, const Tensor& mask) {
    EMBER_CHECK(mask.dtype() == DType::Bool, "%s: expected a bool tensor for mask, got %s", name,
                dtype_name(mask.dtype()));
}

Tensor dense_as(const Tensor& t, IntSpan sizes) {
    return same(t.sizes(), sizes) ? dense(t) : dense(expanded(t, sizes));
}

kernels::Masked masked(const Tensor& mask, const Counts& counts, const Tensor& full,
                       const Tensor& packed) {
    return {mask.data(), mask.numel(),  counts.blocks.as<int64_t>(),
            full.data(), packed.data(), full.dtype()};
}

// The indices of the nonzero items, a row an item; `columns` lays them out dim by dim.
Tensor nonzero_items(const Tensor& x, bool columns) {
    Tensor items = dense(is_complex(x.dtype()) ? to_dtype(x, DType::Bool) : x);
    Counts counts(items);
    int64_t ndim = x.dim();
    Tensor out = columns ? empty({{ndim, counts.total}}, {DType::Int64, x.device()})
                         : empty({{counts.total, ndim}}, {DType::Int64, x.device()});
    if (ndim == 0 || counts.total == 0) return out;
    kernels::Nonzero args;
    args.in = items.data();
    args.dtype = items.dtype();
    args.ndim = items.dim();
    args.sizes = items.impl()->sizes;
    args.counts = counts.blocks.as<int64_t>();
    args.out = out.as<int64_t>();
    args.row_stride = columns ? 1 : ndim;
    args.dim_stride = columns ? counts.total : 1;
    launch(kernels::nonzero, x.device(), items.numel(), args);
    return out;
}

}  // namespace

Tensor masked_select(const Tensor& x, const Tensor& mask, const Dest& dest) {
    const char* name = "masked_select";
    check_mask(name, mask);
    check_same_device(name, x, mask);
    kernels::masked_select.require(x.device(), x.dtype());
    Dims sizes = broadcast_sizes(name, x.sizes(), mask.sizes());
    Tensor full = dense_as(apart(x, dest), sizes), chosen = dense_as(apart(mask, dest), sizes);
    Counts counts(chosen);
    Tensor out = read_target(name, x, {{counts.total}}, dest, needs_grad(x));
    Tensor packed = out.is_contiguous() ? out : empty(out.sizes(), out.options());
    launch(kernels::masked_select, x.device(), full.numel(), masked(chosen, counts, full, packed));
    if (!packed.is(out)) copy_(out, packed);
    written(out, dest);
    if (needs_grad(x))
        record("MaskedSelectBackward0", out, {x},
               [sizes, mask = Saved(mask)](Backward& bw, const Tensor& g) {
                   Tensor all = zeros(sizes, g.options());
                   bw.set(0, masked_scatter(all, mask.get(bw), g, Dest::in_place(all)));
               });
    return out;
}

Tensor masked_scatter(const Tensor& x, const Tensor& mask, const Tensor& source, const Dest& dest) {
    const char* name = "masked_scatter";
    check_mask(name, mask);
    check_same_device(name, x, mask);
    check_same_device(name, x, source);
    EMBER_CHECK(x.dtype() == source.dtype(),
                "masked_scatter: expected self and source to have one dtype, got %s and %s",
                dtype_name(x.dtype()), dtype_name(source.dtype()));
    kernels::masked_scatter.require(x.device(), x.dtype());
    Dims sizes = broadcast_sizes(name, x.sizes(), mask.sizes());
    EMBER_CHECK(!dest.is_in_place() || same(sizes, x.sizes()),
                "masked_scatter: self of shape %s does not match the broadcast shape %s",
                to_string(x.sizes()).c_str(), to_string(sizes).c_str());
    Tensor chosen = dense_as(apart(mask, dest), sizes);
    Counts counts(chosen);
    EMBER_CHECK(counts.total <= source.numel(),
                "masked_scatter: the mask has %ld items set, but source has only %ld items",
                long(counts.total), long(source.numel()));
    bool wanted = needs_grad(x, source);
    Tensor from = dense(apart(source, dest));
    Tensor out = write_target(name, dest.is_in_place() ? x : expanded(x, sizes), dest, wanted);
    Tensor full = dense(out);
    launch(kernels::masked_scatter, x.device(), out.numel(), masked(chosen, counts, full, from));
    if (!full.is(out)) {
        GradModeGuard no_grad(false);
        copy_(alias(out), full);
    }
    written(out, dest);
    if (wanted)
        record("MaskedScatterBackward0", out, {x, source}, dest,
               [mask = Saved(mask, dest), shape = Dims(source.sizes())](Backward& bw,
                                                                        const Tensor& g) {
                   Tensor chosen = mask.get(bw);
                   if (bw.needs(0)) bw.set(0, masked_fill(g, chosen, wrapped_number(number(0.0))));
                   if (!bw.needs(1)) return;
                   Tensor part = masked_select(g, chosen);
                   int64_t items = 1;
                   for (int64_t s : shape) items *= s;
                   part = constant_pad(part, {0, items - part.numel()}, number(0.0));
                   bw.set(1, reshape(part, shape));
               });
    return out;
}

int64_t nonzero_total(const Tensor& x) { return Counts(dense(x)).total; }

Tensor nonzero(const Tensor& x, const Dest& dest) {
    if (dest.fresh()) return transpose(nonzero_items(x, true), 0, 1);
    const Tensor& out = dest.tensor();
    EMBER_CHECK(out.dtype() == DType::Int64, "nonzero: out must be int64, got %s",
                dtype_name(out.dtype()));
    check_out("nonzero", out, DType::Int64, false);
    Tensor items = nonzero_items(x, false);
    resize_out("nonzero", out, items.sizes());
    return copy_(out, items);
}

std::vector<Tensor> nonzero_tuple(const Tensor& x) {
    Tensor items = nonzero_items(x.dim() > 0 ? x : alias(x, {{1}}, {{1}}, x.offset()), true);
    std::vector<Tensor> out;
    for (int d = 0; d < items.impl()->sizes[0]; d++) {
        int64_t count = items.impl()->sizes[1];
        out.push_back(alias(items, {{count}}, {{1}}, d * count));
    }
    return out;
}

}  // namespace ember::ops
