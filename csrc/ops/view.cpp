#include "ops/view.h"

#include "autograd/primitives.h"
#include "ops/copy.h"
#include "ops/factory.h"
#include "ops/plan.h"
#include "ops/reduce.h"

namespace ember::ops {

namespace {

Tensor make_view(const Tensor& x, IntSpan sizes, IntSpan strides, int64_t offset,
                 bool one_of_many = false) {
    Tensor out = alias(x, sizes, strides, offset);
    mark_view(out, x, one_of_many);
    return out;
}

// Records a view whose gradient only has to take x's shape again.
Tensor reshaping(const char* node, const Tensor& x, IntSpan sizes, IntSpan strides) {
    Tensor out = make_view(x, sizes, strides, x.offset());
    if (needs_grad(x))
        record(node, out, {x}, [shape = Dims(x.sizes())](Backward& bw, const Tensor& g) {
            bw.set(0, reshape(g, shape));
        });
    return out;
}

}  // namespace

Dims infer_size(const char* name, const Dims& sizes, int64_t numel) {
    Dims out(sizes);
    int64_t known = 1;
    int unknown = -1;
    bool overflow = false;
    for (int d = 0; d < sizes.size(); d++) {
        if (sizes[d] == -1) {
            EMBER_CHECK(unknown < 0, "%s: only one dimension can be inferred, got shape %s", name,
                        to_string(sizes).c_str());
            unknown = d;
            continue;
        }
        EMBER_CHECK(sizes[d] >= 0, "%s: invalid shape dimension %ld in %s", name, long(sizes[d]),
                    to_string(sizes).c_str());
        overflow |= __builtin_mul_overflow(known, sizes[d], &known);
    }
    EMBER_CHECK(sizes.size() <= kMaxDims, "%s: at most %d dims are possible, got %d", name,
                kMaxDims, sizes.size());
    if (unknown >= 0) {
        EMBER_CHECK(known != 0 || numel != 0 || overflow,
                    "%s: cannot reshape tensor of 0 elements into shape %s because the unspecified "
                    "dimension size -1 can be any value",
                    name, to_string(sizes).c_str());
        if (known != 0) out[unknown] = numel / known;
    }
    bool fits = !overflow && (unknown < 0 ? known == numel : known != 0 && numel % known == 0);
    EMBER_CHECK(fits, "%s: shape %s is invalid for input of size %ld", name,
                to_string(sizes).c_str(), long(numel));
    return out;
}

bool view_strides(const Tensor& x, IntSpan sizes, Dims& strides) {
    strides.resize(int(sizes.size()));
    if (x.is_contiguous()) {
        contiguous_strides(sizes, strides.data());
        return true;
    }
    // Runs of old dims that lie behind one another in memory are cut anew, from the last.
    int d = int(sizes.size()) - 1, ndim = x.dim();
    int64_t run = 1, step = ndim ? x.impl()->strides[ndim - 1] : 1, cut = 1;
    for (int old = ndim - 1; old >= 0; old--) {
        run *= x.impl()->sizes[old];
        bool ends =
            old == 0 || (x.impl()->sizes[old - 1] != 1 && x.impl()->strides[old - 1] != run * step);
        if (!ends) continue;
        while (d >= 0 && (cut < run || sizes[size_t(d)] == 1)) {
            strides[d] = cut * step;
            cut *= sizes[size_t(d--)];
        }
        if (cut != run) return false;
        if (old > 0) step = x.impl()->strides[old - 1];
        run = cut = 1;
    }
    return d < 0;
}

Tensor view(const Tensor& x, const Dims& size) {
    Dims sizes = infer_size("view", size, x.numel()), strides;
    EMBER_CHECK(
        view_strides(x, sizes, strides),
        "view: size %s is not compatible with input tensor's size %s and stride %s (at least "
        "one dimension spans across two contiguous subspaces). Use .reshape(...) instead.",
        to_string(sizes).c_str(), to_string(x.sizes()).c_str(), to_string(x.strides()).c_str());
    return reshaping("ViewBackward0", x, sizes, strides);
}

Tensor view_dtype(const Tensor& x, DType dtype) {
    if (dtype == x.dtype()) return view(x, Dims(x.sizes()));
    int64_t from = x.item_bytes(), to = item_size(dtype);
    Dims sizes(x.sizes()), strides(x.strides());
    int64_t offset = x.offset();
    EMBER_CHECK(!needs_grad(x),
                "view: a tensor that requires grad cannot be viewed as another dtype");
    if (from != to) {
        EMBER_CHECK(x.dim() > 0,
                    "view: a zero-dim tensor cannot be viewed as a dtype of another size");
        int last = x.dim() - 1;
        EMBER_CHECK(strides[last] == 1,
                    "view: the last dim must have stride 1 to view %s as %s, got stride %ld",
                    dtype_name(x.dtype()), dtype_name(dtype), long(strides[last]));
        auto rescale = [&](int64_t value, const char* what) {
            EMBER_CHECK(value * from % to == 0, "view: %s %ld of %s does not divide into %s", what,
                        long(value), dtype_name(x.dtype()), dtype_name(dtype));
            return value * from / to;
        };
        sizes[last] = rescale(sizes[last], "the last size");
        for (int d = 0; d < last; d++) strides[d] = rescale(strides[d], "stride");
        offset = rescale(offset, "offset");
    }
    Tensor out = alias(x, sizes, strides, offset);
    out.impl()->dtype = dtype;
    mark_view(out, x);
    return out;
}

Tensor reshape(const Tensor& x, const Dims& shape) {
    Dims sizes = infer_size("reshape", shape, x.numel()), strides;
    if (view_strides(x, sizes, strides)) return reshaping("ViewBackward0", x, sizes, strides);
    Tensor copy = clone(x, MemoryFormat::Contiguous);
    contiguous_strides(sizes, strides.data());
    Tensor out = reshaping("UnsafeViewBackward0", copy, sizes, strides);
    return out;
}

Tensor view_as(const Tensor& x, const Tensor& other) { return view(x, Dims(other.sizes())); }
Tensor reshape_as(const Tensor& x, const Tensor& other) { return reshape(x, Dims(other.sizes())); }

Tensor flatten(const Tensor& x, int64_t start_dim, int64_t end_dim) {
    int start = wrap_dim("flatten", start_dim, x.dim()),
        end = wrap_dim("flatten", end_dim, x.dim());
    EMBER_CHECK(start <= end, "flatten: start_dim must not come after end_dim, got %d and %d",
                start, end);
    if (x.dim() == 0) return reshape(x, {1});
    if (start == end) return x;
    Dims sizes;
    int64_t run = 1;
    for (int d = 0; d < x.dim(); d++) {
        if (d >= start && d <= end) run *= x.impl()->sizes[d];
        if (d < start || d > end) sizes.push_back(x.impl()->sizes[d]);
        if (d == end) sizes.push_back(run);
    }
    return reshape(x, sizes);
}

Tensor unflatten(const Tensor& x, int64_t dim, const Dims& sizes) {
    int at = wrap_dim("unflatten", dim, x.dim());
    EMBER_CHECK(x.dim() > 0 && !sizes.empty(), "unflatten: sizes must be non-empty");
    Dims parts = infer_size("unflatten", sizes, x.size(at)), all;
    for (int d = 0; d < x.dim(); d++) {
        if (d == at)
            all.append(parts.begin(), parts.end());
        else
            all.push_back(x.impl()->sizes[d]);
    }
    return view(x, all);
}

Tensor permute(const Tensor& x, const Dims& dims) {
    EMBER_CHECK(dims.size() == x.dim(),
                "permute: expected %d dims, one for each of the input's, got %s", x.dim(),
                to_string(dims).c_str());
    Dims sizes(x.dim()), strides(x.dim()), inverse(x.dim());
    bool seen[kMaxDims] = {};
    for (int i = 0; i < dims.size(); i++) {
        int d = wrap_dim("permute", dims[i], x.dim());
        EMBER_CHECK(!seen[d], "permute: duplicate dims are not allowed, got %s",
                    to_string(dims).c_str());
        seen[d] = true;
        sizes[i] = x.impl()->sizes[d];
        strides[i] = x.impl()->strides[d];
        inverse[d] = i;
    }
    Tensor out = make_view(x, sizes, strides, x.offset());
    if (needs_grad(x))
        record("PermuteBackward0", out, {x},
               [inverse](Backward& bw, const Tensor& g) { bw.set(0, permute(g, inverse)); });
    return out;
}

Tensor transpose(const Tensor& x, int64_t dim0, int64_t dim1) {
    int a = wrap_dim("transpose", dim0, x.dim()), b = wrap_dim("transpose", dim1, x.dim());
    Dims sizes(x.sizes()), strides(x.strides());
    if (x.dim() > 0) {
        std::swap(sizes[a], sizes[b]);
        std::swap(strides[a], strides[b]);
    }
    Tensor out = make_view(x, sizes, strides, x.offset());
    if (needs_grad(x))
        record("TransposeBackward0", out, {x},
               [a, b](Backward& bw, const Tensor& g) { bw.set(0, transpose(g, a, b)); });
    return out;
}

Tensor t(const Tensor& x) {
    EMBER_CHECK(x.dim() <= 2, "t: expected a tensor with at most 2 dims, got %d", x.dim());
    return transpose(x, 0, x.dim() < 2 ? 0 : 1);
}

Tensor T(const Tensor& x) {
    Dims dims;
    for (int d = x.dim(); d-- > 0;) dims.push_back(d);
    return permute(x, dims);
}

Tensor mT(const Tensor& x) {
    EMBER_CHECK(x.dim() >= 2, "mT: expected a tensor with at least 2 dims, got %d", x.dim());
    return transpose(x, -2, -1);
}

Tensor movedim(const Tensor& x, const Dims& source, const Dims& destination) {
    EMBER_CHECK(source.size() == destination.size(),
                "movedim: source %s and destination %s must be equally long",
                to_string(source).c_str(), to_string(destination).c_str());
    int order[kMaxDims];
    bool taken[kMaxDims] = {}, placed[kMaxDims] = {};
    for (int i = 0; i < source.size(); i++) {
        int from = wrap_dim("movedim", source[i], x.dim());
        int to = wrap_dim("movedim", destination[i], x.dim());
        EMBER_CHECK(!taken[from] && !placed[to], "movedim: dims repeat in %s or %s",
                    to_string(source).c_str(), to_string(destination).c_str());
        taken[from] = placed[to] = true;
        order[to] = from;
    }
    for (int d = 0, next = 0; d < x.dim(); d++) {
        if (taken[d]) continue;
        while (placed[next]) next++;
        order[next++] = d;
    }
    Dims dims;
    dims.append(order, order + x.dim());
    return permute(x, dims);
}

Tensor expand(const Tensor& x, const Dims& size) {
    int lead = size.size() - x.dim();
    EMBER_CHECK(
        lead >= 0,
        "expand: the number of sizes provided (%d) must be greater or equal to the number of "
        "dimensions in the tensor (%d)",
        size.size(), x.dim());
    Dims sizes(size), strides(size.size());
    for (int d = 0; d < sizes.size(); d++) {
        int64_t old = d < lead ? 1 : x.impl()->sizes[d - lead];
        EMBER_CHECK(sizes[d] != -1 || d >= lead,
                    "expand: -1 is not allowed in a leading, non-existing dimension %d", d);
        if (sizes[d] == -1) sizes[d] = old;
        EMBER_CHECK(sizes[d] == old || (old == 1 && sizes[d] >= 0),
                    "expand: the expanded size (%ld) must match the existing size (%ld) at "
                    "non-singleton dimension %d; target sizes %s, tensor sizes %s",
                    long(sizes[d]), long(old), d, to_string(size).c_str(),
                    to_string(x.sizes()).c_str());
        bool same_dim = d >= lead && sizes[d] == old;
        strides[d] = same_dim ? x.impl()->strides[d - lead] : 0;
    }
    checked_numel("expand", sizes, x.dtype());
    Tensor out = make_view(x, sizes, strides, x.offset());
    if (needs_grad(x))  // the engine sums over the dims that were expanded
        record("ExpandBackward0", out, {x}, [](Backward& bw, const Tensor& g) { bw.set(0, g); });
    return out;
}

Tensor expand_as(const Tensor& x, const Tensor& other) { return expand(x, Dims(other.sizes())); }
Tensor broadcast_to(const Tensor& x, const Dims& size) { return expand(x, size); }

Tensor squeeze(const Tensor& x) {
    Dims sizes, strides;
    for (int d = 0; d < x.dim(); d++) {
        if (x.impl()->sizes[d] == 1) continue;
        sizes.push_back(x.impl()->sizes[d]);
        strides.push_back(x.impl()->strides[d]);
    }
    return reshaping("SqueezeBackward0", x, sizes, strides);
}

Tensor squeeze_dims(const Tensor& x, const Dims& dim) {
    bool drop[kMaxDims] = {};
    for (int64_t d : dim) {
        int at = wrap_dim("squeeze", d, x.dim());
        EMBER_CHECK(!drop[at], "squeeze: dim %d appears multiple times in the list of dims", at);
        drop[at] = true;
    }
    Dims sizes, strides;
    for (int d = 0; d < x.dim(); d++) {
        if (drop[d] && x.impl()->sizes[d] == 1) continue;
        sizes.push_back(x.impl()->sizes[d]);
        strides.push_back(x.impl()->strides[d]);
    }
    return reshaping("SqueezeBackward1", x, sizes, strides);
}

Tensor unsqueeze(const Tensor& x, int64_t dim) {
    int at = wrap_dim("unsqueeze", dim, x.dim() + 1);
    EMBER_CHECK(x.dim() < kMaxDims, "unsqueeze: at most %d dims are possible", kMaxDims);
    Dims sizes(x.sizes()), strides(x.strides());
    strides.insert(at, at < x.dim() ? sizes[at] * strides[at] : 1);
    sizes.insert(at, 1);
    return reshaping("UnsqueezeBackward0", x, sizes, strides);
}

namespace {

// The gradient of a view that takes part of x: zeros of x's shape with g in that part.
template <class Part>
Tensor embed(const Tensor& g, IntSpan sizes, Part part) {
    Tensor all = zeros(sizes, g.options());
    autograd::primitives::copy_in_place(part(all), g);
    return all;
}

}  // namespace

Tensor select(const Tensor& x, int64_t dim, int64_t index) {
    if (x.dim() == 0) raise_index("select: a zero-dim tensor cannot be indexed");
    int at = wrap_dim("select", dim, x.dim());
    int64_t size = x.impl()->sizes[at];
    if (index < -size || index >= size)
        raise_index("index %ld is out of bounds for dimension %d with size %ld", long(index), at,
                    long(size));
    if (index < 0) index += size;
    Dims sizes(x.sizes()), strides(x.strides());
    int64_t offset = x.offset() + index * strides[at];
    sizes.erase(at);
    strides.erase(at);
    Tensor out = make_view(x, sizes, strides, offset);
    if (needs_grad(x))
        record("SelectBackward0", out, {x},
               [at, index, shape = Dims(x.sizes())](Backward& bw, const Tensor& g) {
                   bw.set(0, embed(g, shape, [&](auto& all) { return select(all, at, index); }));
               });
    return out;
}

Tensor slice(const Tensor& x, int64_t dim, int64_t start, int64_t end, int64_t step) {
    if (x.dim() == 0) raise_index("slice: a zero-dim tensor cannot be sliced");
    int at = wrap_dim("slice", dim, x.dim());
    if (step <= 0) raise_value("slice: step must be greater than zero, got %ld", long(step));
    int64_t size = x.impl()->sizes[at];
    auto clip = [&](int64_t i, int64_t low) {
        if (i < 0) i = i < -size ? 0 : i + size;
        return std::clamp(i, low, size);
    };
    start = clip(start, 0);
    end = clip(end, start);
    Dims sizes(x.sizes()), strides(x.strides());
    int64_t offset = x.offset() + start * strides[at];
    int64_t length = end - start;
    sizes[at] = length / step + (length % step != 0);
    if (sizes[at] > 1) strides[at] *= step;
    Tensor out = make_view(x, sizes, strides, offset);
    if (needs_grad(x))
        record("SliceBackward0", out, {x},
               [at, start, end, step, shape = Dims(x.sizes())](Backward& bw, const Tensor& g) {
                   bw.set(0, embed(g, shape,
                                   [&](auto& all) { return slice(all, at, start, end, step); }));
               });
    return out;
}

Tensor narrow(const Tensor& x, int64_t dim, int64_t start, int64_t length) {
    EMBER_CHECK(x.dim() > 0, "narrow: cannot be applied to a zero-dim tensor");
    int at = wrap_dim("narrow", dim, x.dim());
    int64_t size = x.impl()->sizes[at];
    EMBER_CHECK(length >= 0, "narrow: length must not be negative, got %ld", long(length));
    if (start < -size || start > size)
        raise_index("narrow: start must be in [%ld, %ld], got %ld", long(-size), long(size),
                    long(start));
    if (start < 0) start += size;
    EMBER_CHECK(length <= size - start,
                "narrow: start (%ld) + length (%ld) exceeds dimension size (%ld)", long(start),
                long(length), long(size));
    return slice(x, at, start, start + length, 1);
}

namespace {

// Consecutive pieces of x along dim. One node for all; undefined gradients are zeros.
std::vector<Tensor> pieces(const char* node, const Tensor& x, int dim, const Dims& lengths) {
    std::vector<Tensor> outs;
    Dims sizes(x.sizes());
    int64_t offset = x.offset();
    for (int64_t length : lengths) {
        sizes[dim] = length;
        outs.push_back(make_view(x, sizes, x.strides(), offset, true));
        offset += length * x.impl()->strides[dim];
    }
    if (needs_grad(x))
        record(node, outs, {x},
               [dim, lengths, shape = Dims(x.sizes()), options = x.options()](Backward& bw,
                                                                              GradList& grads) {
                   std::vector<Tensor> parts;
                   for (int i = 0; i < grads.size(); i++) {
                       Dims part(shape);
                       part[dim] = lengths[i];
                       parts.push_back(grads[i].defined() ? grads[i] : zeros(part, options));
                   }
                   bw.set(0, cat(parts, dim));
               });
    return outs;
}

}  // namespace

std::vector<Tensor> split(const Tensor& x, int64_t split_size, int64_t dim) {
    EMBER_CHECK(x.dim() > 0, "split: expects at least a 1-dimensional tensor");
    int at = wrap_dim("split", dim, x.dim());
    int64_t size = x.impl()->sizes[at];
    EMBER_CHECK(split_size > 0 || (split_size == 0 && size == 0),
                "split: split_size must be positive, got %ld for a dimension of size %ld",
                long(split_size), long(size));
    Dims lengths;
    for (int64_t at_item = 0; at_item < size; at_item += std::min(split_size, size - at_item))
        lengths.push_back(std::min(split_size, size - at_item));
    if (lengths.empty()) lengths.push_back(0);
    return pieces("SplitBackward0", x, at, lengths);
}

std::vector<Tensor> split_sizes(const Tensor& x, const Dims& split_sizes, int64_t dim) {
    EMBER_CHECK(x.dim() > 0, "split: expects at least a 1-dimensional tensor");
    int at = wrap_dim("split", dim, x.dim());
    int64_t left = x.impl()->sizes[at];
    bool fits = true;
    for (int64_t length : split_sizes) {
        fits = fits && length >= 0 && length <= left;
        left -= fits ? length : 0;
    }
    EMBER_CHECK(fits && left == 0, "split: split_sizes must sum exactly to %ld, got %s",
                long(x.impl()->sizes[at]), to_string(split_sizes).c_str());
    return pieces("SplitWithSizesBackward0", x, at, split_sizes);
}

std::vector<Tensor> chunk(const Tensor& x, int64_t chunks, int64_t dim) {
    EMBER_CHECK(x.dim() > 0, "chunk: expects at least a 1-dimensional tensor");
    EMBER_CHECK(chunks > 0, "chunk: chunks must be greater than 0, got %ld", long(chunks));
    int at = wrap_dim("chunk", dim, x.dim());
    int64_t size = x.impl()->sizes[at];
    if (size == 0) {
        EMBER_CHECK(chunks < (1 << 20), "chunk: %ld chunks of an empty dimension are too many",
                    long(chunks));
        Dims lengths;
        lengths.resize(int(chunks));
        std::fill(lengths.begin(), lengths.end(), 0);
        return pieces("SplitWithSizesBackward0", x, at, lengths);
    }
    return split(x, size / chunks + (size % chunks != 0), at);
}

std::vector<Tensor> unbind(const Tensor& x, int64_t dim) {
    if (x.dim() == 0) raise("unbind: a zero-dim tensor has no dimension to unbind");
    int at = wrap_dim("unbind", dim, x.dim());
    Dims sizes(x.sizes()), strides(x.strides());
    sizes.erase(at);
    strides.erase(at);
    std::vector<Tensor> outs;
    for (int64_t i = 0; i < x.impl()->sizes[at]; i++)
        outs.push_back(make_view(x, sizes, strides, x.offset() + i * x.impl()->strides[at], true));
    if (needs_grad(x) && !outs.empty())
        record("UnbindBackward0", outs, {x},
               [at, sizes, options = x.options()](Backward& bw, GradList& grads) {
                   std::vector<Tensor> parts;
                   for (Tensor& g : grads)
                       parts.push_back(unsqueeze(g.defined() ? g : zeros(sizes, options), at));
                   bw.set(0, cat(parts, at));
               });
    return outs;
}

std::vector<Tensor> broadcast_tensors(const std::vector<Tensor>& tensors) {
    Dims sizes;
    for (const Tensor& t : tensors) sizes = broadcast_sizes("broadcast_tensors", sizes, t.sizes());
    std::vector<Tensor> outs;
    for (const Tensor& t : tensors) outs.push_back(expand(t, sizes));
    return outs;
}

Tensor as_strided(const Tensor& x, const Dims& size, const Dims& stride,
                  std::optional<int64_t> storage_offset) {
    int64_t offset = storage_offset.value_or(x.offset());
    EMBER_CHECK(size.size() == stride.size(),
                "as_strided: mismatch in length of strides and shape: %s and %s",
                to_string(size).c_str(), to_string(stride).c_str());
    EMBER_CHECK(offset >= 0, "as_strided: storage_offset must not be negative, got %ld",
                long(offset));
    int64_t numel = checked_numel("as_strided", size, x.dtype());
    int64_t last = offset;
    bool overflow = false;
    for (int d = 0; d < size.size(); d++) {
        EMBER_CHECK(stride[d] >= 0, "as_strided: negative strides are not supported, got %s",
                    to_string(stride).c_str());
        int64_t reach;
        if (numel == 0) break;
        overflow |= __builtin_mul_overflow(size[d] - 1, stride[d], &reach) ||
                    __builtin_add_overflow(last, reach, &last);
    }
    int64_t items = int64_t(x.impl()->storage->bytes) / x.item_bytes();
    EMBER_CHECK(
        numel == 0 ? offset <= items : !overflow && last < items,
        "as_strided: sizes %s, strides %s, storage offset %ld are out of bounds for storage "
        "of %ld items",
        to_string(size).c_str(), to_string(stride).c_str(), long(offset), long(items));
    Tensor out = make_view(x, size, stride, offset);
    if (needs_grad(x))
        record("AsStridedBackward0", out, {x},
               [size, stride, offset, base_size = Dims(x.sizes()), base_stride = Dims(x.strides()),
                base_offset = x.offset()](Backward& bw, const Tensor& g) {
                   bw.set(0, autograd::primitives::as_strided_backward(
                                 g, base_size, base_stride, base_offset, size, stride, offset));
               });
    return out;
}

Tensor diagonal(const Tensor& x, int64_t offset, int64_t dim1, int64_t dim2) {
    int a = wrap_dim("diagonal", dim1, x.dim()), b = wrap_dim("diagonal", dim2, x.dim());
    EMBER_CHECK(x.dim() >= 2 && a != b,
                "diagonal: dim1 and dim2 must be two different dims, got %ld "
                "and %ld",
                long(dim1), long(dim2));
    int64_t rows = x.impl()->sizes[a], cols = x.impl()->sizes[b];
    int64_t skip_rows = offset < 0 ? std::min(rows, offset < -rows ? rows : -offset) : 0;
    int64_t skip_cols = offset > 0 ? std::min(cols, offset) : 0;
    int64_t length = std::max<int64_t>(0, std::min(rows - skip_rows, cols - skip_cols));
    Dims sizes(x.sizes()), strides(x.strides());
    int64_t start = x.offset(), step = strides[a] + strides[b];
    if (length > 0) start += skip_rows * strides[a] + skip_cols * strides[b];
    for (int d : {std::max(a, b), std::min(a, b)}) {
        sizes.erase(d);
        strides.erase(d);
    }
    sizes.push_back(length);
    strides.push_back(step);
    Tensor out = make_view(x, sizes, strides, start);
    if (needs_grad(x))
        record("DiagonalBackward0", out, {x},
               [offset, a, b, shape = Dims(x.sizes())](Backward& bw, const Tensor& g) {
                   bw.set(0,
                          embed(g, shape, [&](auto& all) { return diagonal(all, offset, a, b); }));
               });
    return out;
}

Tensor repeat(const Tensor& x, const Dims& repeats) {
    int lead = repeats.size() - x.dim();
    EMBER_CHECK(lead >= 0,
                "repeat: number of dimensions of repeat dims can not be smaller than number of "
                "dimensions of tensor, got %s for %s",
                to_string(repeats).c_str(), to_string(x.sizes()).c_str());
    // (…, r, size, …) expanded over every r, then joined to (…, r * size, …).
    Dims apart, wide, joined;
    for (int d = 0; d < repeats.size(); d++) {
        int64_t size = d < lead ? 1 : x.impl()->sizes[d - lead];
        EMBER_CHECK(repeats[d] >= 0, "repeat: repeats must not be negative, got %s",
                    to_string(repeats).c_str());
        apart.push_back(1);
        apart.push_back(size);
        wide.push_back(repeats[d]);
        wide.push_back(size);
        joined.push_back(repeats[d] * size);
    }
    checked_numel("repeat", wide, x.dtype());
    Tensor out = reshape(expand(reshape(x, apart), wide), joined);
    return repeats.empty() || out.impl()->storage == x.impl()->storage ? clone(out, std::nullopt)
                                                                       : out;
}

Tensor detach(const Tensor& x) { return alias(x); }

Tensor detach_(const Tensor& x) {
    EMBER_CHECK(!x.is_view(), "detach_: can't detach views in-place. Use detach() instead.");
    TensorImpl& impl = *x.impl();
    forget_retained_grad(&impl);
    impl.retains_grad = false;
    impl.requires_grad = false;
    if (Node* node = std::exchange(impl.grad_fn, nullptr)) node->release();
    impl.output_nr = 0;
    return x;
}

}  // namespace ember::ops
