#include <cmath>

#include "ops/copy.h"
#include "ops/formula.h"
#include "ops/index_common.h"
#include "ops/view.h"

// Scatters that combine what meets in one place.
namespace ember::ops {

namespace {

enum class Kind { Sum, Prod, Mean, Amax, Amin };

struct Scattered {
    const char* name;
    Kind kind;
    int dim;
    bool include_self;
};

Kind kind_of(const char* name, std::string_view reduce, bool sums) {
    if (sums && reduce == "sum") return Kind::Sum;
    if (reduce == "prod") return Kind::Prod;
    if (reduce == "mean") return Kind::Mean;
    if (reduce == "amax") return Kind::Amax;
    if (reduce == "amin") return Kind::Amin;
    raise("%s: reduce must be %sprod, mean, amax or amin, got '%.*s'", name, sums ? "sum, " : "",
          int(reduce.size()), reduce.data());
}

// What changes nothing when it is combined with an item.
Tensor neutral(Kind kind, TensorOptions options) {
    if (kind == Kind::Prod) return full({}, number(int64_t(1)), options);
    if (kind == Kind::Sum || kind == Kind::Mean) return zeros({}, options);
    bool low = kind == Kind::Amax;
    if (is_floating(options.dtype)) return full({}, number(low ? -INFINITY : INFINITY), options);
    if (options.dtype == DType::UInt8) return full({}, number(int64_t(low ? 0 : 255)), options);
    int bits = 8 * item_size(options.dtype) - 1;
    int64_t largest = bits == 63 ? INT64_MAX : (int64_t(1) << bits) - 1;
    return full({}, number(low ? -largest - 1 : largest), options);
}

// How many items share each place, at least one.
Tensor sharers(const Scattered& s, const Tensor& x, const Tensor& places) {
    Tensor one = wrapped_number(number(int64_t(1))), zero = wrapped_number(number(int64_t(0)));
    Tensor count = full(x.sizes(), number(int64_t(s.include_self ? 1 : 0)), x.options());
    Tensor ones = full(places.sizes(), number(int64_t(1)), x.options());
    count = scatter_add(count, s.dim, places, ones);
    return masked_fill(count, eq(count, zero), one);
}

Tensor forward(const Scattered& s, const Tensor& x, const Tensor& places, const Tensor& part,
               const Dest& dest, bool wanted) {
    GradModeGuard no_grad(false);
    Tensor start = x;
    if (!s.include_self && part.defined()) {
        Tensor filler = expanded(neutral(s.kind, x.options()), places.sizes());
        start = scatter_with(kernels::scatter, s.name, x, s.dim, places, filler, {}, false);
    }
    // In place or into `out=` go the results of a fresh tensor: what is read may be written.
    Dest inner = s.include_self && s.kind != Kind::Mean ? dest : Dest();
    Tensor out;
    if (s.kind == Kind::Sum || s.kind == Kind::Mean)
        out = scatter_with(kernels::scatter_add, s.name, start, s.dim, places, part, inner, wanted);
    else
        out = scatter_combined(s.kind == Kind::Prod   ? kernels::Combine::Product
                               : s.kind == Kind::Amax ? kernels::Combine::Largest
                                                      : kernels::Combine::Smallest,
                               s.name, start, s.dim, places, part, inner, wanted);
    if (s.kind == Kind::Mean && part.defined()) {
        std::optional<std::string_view> rounding;
        if (is_integral(x.dtype())) rounding = "floor";
        out = div(out, sharers(s, x, places), rounding, {});
    }
    if (inner.fresh() && !dest.fresh()) {
        Tensor target = write_target(s.name, x, dest, wanted);
        return copy_(target, out);
    }
    return out;
}

// Of a product: the product of the others, also where one of them is zero.
void product_gradients(Backward& bw, const Scattered& s, const Tensor& g, const Tensor& x,
                       const Tensor& part, const Tensor& result, const Tensor& places) {
    Tensor zero = wrapped_number(number(0.0)), one = wrapped_number(number(1.0));
    auto times = [&](const Tensor& self, const Tensor& src) {
        return scatter_reduce(self, s.dim, places, src, "prod", s.include_self);
    };
    if (bw.needs(0)) {
        Tensor safe = masked_fill(x, eq(x, zero), one);
        bw.set(0, div(mul(g, times(safe, part)), safe));
    }
    if (!bw.needs(1)) return;
    Tensor is_zero = eq(part, zero), zeros_seen = to_dtype(is_zero, g.dtype());
    Tensor met = gather(scatter_add(zeros(x.sizes(), g.options()), s.dim, places, zeros_seen),
                        s.dim, places);
    Tensor several = gt(met, one);
    EMBER_CHECK(!modes::grad_enabled() || !read_item<bool>(any(logical_and(is_zero, several, {}),
                                                               std::nullopt, false, {})),
                "%s: the second gradient of a product with more than one zero in a place is not "
                "supported",
                s.name);
    Tensor only = logical_and(is_zero, eq(met, one), {});
    Tensor without = gather(mul(g, times(x, masked_fill(part, only, one))), s.dim, places);
    Tensor divided = div(gather(mul(g, result), s.dim, places), masked_fill(part, is_zero, one));
    bw.set(1, where(only, without, divided));
}

// Items equal to the extreme share its gradient evenly.
void extreme_gradients(Backward& bw, const Scattered& s, const Tensor& g, const Tensor& x,
                       const Tensor& part, const Tensor& result, const Tensor& places) {
    Tensor self_wins = to_dtype(eq(x, result), g.dtype());
    if (!s.include_self)
        self_wins = scatter(self_wins, s.dim, places, wrapped_number(number(0.0)), std::nullopt);
    Tensor src_wins = to_dtype(eq(part, gather(result, s.dim, places)), g.dtype());
    Tensor winners = scatter_add(self_wins, s.dim, places, src_wins);
    Tensor share = div(g, winners);
    if (bw.needs(0)) bw.set(0, mul(self_wins, share));
    if (bw.needs(1)) bw.set(1, mul(src_wins, gather(share, s.dim, places)));
}

Tensor combine(const Scattered& s, const Tensor& x, const Tensor& index, const Tensor& src,
               const Dest& dest) {
    Tensor places = gather_index(s.name, index);
    Tensor part;  // stays undefined where nothing is written
    if (index.numel() > 0) {
        check_beside(s.name, x, s.dim, index);
        part = source_beside(s.name, x, index, src);
    }
    bool wanted = needs_grad(x, part);
    Tensor copy;
    const Tensor& input = original(x, dest, x, copy);
    Tensor out = forward(s, x, places, part, dest, wanted);
    if (wanted)
        record("ScatterReduceBackward0", out, {x, part}, dest,
               [s, places = Saved(places, dest), x = Saved(input), part = Saved(part, dest),
                y = Saved::output(out)](Backward& bw, const Tensor& g) {
                   Tensor at = places.get(bw), value = x.get(bw), source = part.get(bw);
                   if (!source.defined()) return bw.set(0, g);
                   if (s.kind == Kind::Sum || s.kind == Kind::Mean) {
                       Tensor share = s.kind == Kind::Sum ? g : div(g, sharers(s, value, at));
                       if (bw.needs(0)) bw.set(0, share);
                       if (bw.needs(1)) bw.set(1, gather(share, s.dim, at));
                   } else if (s.kind == Kind::Prod) {
                       product_gradients(bw, s, g, value, source, y.get(bw), at);
                   } else {
                       extreme_gradients(bw, s, g, value, source, y.get(bw), at);
                   }
                   if (!s.include_self && bw.needs(0))
                       bw.set(0, scatter(bw.results[0], s.dim, at, wrapped_number(number(0.0)),
                                         std::nullopt));
               });
    return out;
}

}  // namespace

Tensor scatter_multiply(const Tensor& x, int dim, const Tensor& index, const Tensor& src,
                        const Dest& dest) {
    return combine({"scatter", Kind::Prod, dim, true}, x, index, src, dest);
}

Tensor scatter_reduce(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src,
                      std::string_view reduce, bool include_self, const Dest& dest) {
    const char* name = "scatter_reduce";
    int at = wrap_dim(name, dim, x.dim());
    return combine({name, kind_of(name, reduce, true), at, include_self}, x, index, src, dest);
}

Tensor index_reduce(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                    std::string_view reduce, bool include_self, const Dest& dest) {
    const char* name = "index_reduce";
    int at = wrap_dim(name, dim, x.dim());
    Kind kind = kind_of(name, reduce, false);
    if (index.dim() > 1)
        raise_index("index_reduce: index must be a vector or a number, got shape %s",
                    to_string(index.sizes()).c_str());
    EMBER_CHECK(x.dtype() == source.dtype(),
                "index_reduce: self (%s) and source (%s) must have the same dtype",
                dtype_name(x.dtype()), dtype_name(source.dtype()));
    bool fits = source.dim() == x.dim() &&
                (source.dim() == 0 ? index.numel() == 1 : source.size(at) == index.numel());
    for (int d = 0; fits && d < x.dim(); d++)
        fits = d == at || x.impl()->sizes[d] == source.impl()->sizes[d];
    EMBER_CHECK(fits,
                "index_reduce: source must have the shape of self (%s) but for dim %d, where it "
                "has one slice for each of the %ld indices; got %s",
                to_string(x.sizes()).c_str(), at, long(index.numel()),
                to_string(source.sizes()).c_str());
    Dims column(x.dim());
    for (int64_t& c : column) c = 1;
    if (x.dim() > 0) column[at] = index.numel();
    Tensor places = expand(reshape(index, column), Dims(source.sizes()));
    return combine({name, kind, at, include_self}, x, places, source, dest);
}

Tensor sum_rows(const Tensor& x, const Tensor& from, const Tensor& to, int64_t count,
                const Tensor& factors) {
    const char* name = "sum_rows";
    EMBER_CHECK(x.dim() == 2, "%s: expected rows, (n, d), got shape %s", name,
                to_string(x.sizes()).c_str());
    for (const Tensor* index : {&from, &to})
        EMBER_CHECK(index->dim() == 1 && index->numel() == from.numel(),
                    "%s: expected two vectors of indices of one length, got shapes %s and %s", name,
                    to_string(from.sizes()).c_str(), to_string(to.sizes()).c_str());
    EMBER_CHECK(
        !factors.defined() ||
            (factors.dtype() == x.dtype() && factors.dim() == 1 && factors.numel() == from.numel()),
        "%s: factors must be %ld items of %s, got shape %s of %s", name, long(from.numel()),
        dtype_name(x.dtype()), factors.defined() ? to_string(factors.sizes()).c_str() : "()",
        dtype_name(factors.defined() ? factors.dtype() : x.dtype()));
    check_same_device(name, x, from);
    check_same_device(name, x, to);
    check_same_device(name, x, factors);
    int64_t n = x.impl()->sizes[0], width = x.impl()->sizes[1];
    checked_numel(name, {{count, width}}, x.dtype());
    kernels::index_add.require(x.device(), x.dtype());
    Tensor out = zeros({{count, width}}, x.options());
    Tensor rows = dense(x), scale = factors.defined() ? dense(factors) : factors;
    Tensor source = index_items(name, from), places = index_items(name, to);
    kernels::IndexRows args;
    args.operation = name;
    args.n = count;
    args.count = from.numel();
    args.inner = width;
    args.index = places.data();
    args.source = source.as<int64_t>();
    args.source_rows = n;
    args.factors = factors.defined() ? scale.data() : nullptr;
    args.in = rows.data();
    args.out = out.data();
    args.dtype = x.dtype();
    launch(kernels::index_add, x.device(), 2 * args.count * width, args, number(int64_t(1)));
    if (needs_grad(x, factors))
        record("SumRowsBackward0", out, {x, factors},
               [n, from = Saved(from), to = Saved(to), x = Saved(x), factors = Saved(factors)](
                   Backward& bw, const Tensor& g) {
                   Tensor source = from.get(bw), places = to.get(bw);
                   if (bw.needs(0)) bw.set(0, sum_rows(g, places, source, n, factors.get(bw)));
                   if (bw.needs(1))
                       bw.set(1, sum(mul(index_select(x.get(bw), 0, source),
                                         index_select(g, 0, places)),
                                     Dims{1}, false));
               });
    return out;
}

}  // namespace ember::ops
