#include "ops/resample.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <vector>

#include "kernels/resample.h"
#include "ops/copy.h"
#include "ops/formula.h"
#include "ops/index.h"
#include "ops/view.h"
#include "ops/windows.h"

namespace ember::kernels {

EMBER_SLOT(resample)

}  // namespace ember::kernels

namespace ember::ops {

namespace {

// A linear map of one dim, as kernels::Taps.
struct Map {
    int64_t in = 0, out = 0;
    std::vector<int64_t> begin{0}, index;
    std::vector<double> weight;

    void add(int64_t i, double w) {
        index.push_back(i);
        weight.push_back(w);
    }
    void close() { begin.push_back(int64_t(index.size())); }

    kernels::Taps taps() const {
        kernels::Taps t{begin.data(), index.data(), weight.data(), 0, int64_t(index.size())};
        for (size_t i = 1; i < begin.size(); i++)
            t.most = std::max(t.most, begin[i] - begin[i - 1]);
        for (size_t i = 1; t.most > 1 && i < begin.size(); i++) {
            auto first = index.begin() + begin[i - 1], last = index.begin() + begin[i];
            if (first == last) continue;
            auto [low, high] = std::minmax_element(first, last);
            t.neighbours = t.neighbours && *high - *low <= t.most;
        }
        return t;
    }
};
using SharedMap = std::shared_ptr<const Map>;  // null: the identity

SharedMap transposed(const SharedMap& map) {
    if (!map) return map;
    auto t = std::make_shared<Map>();
    t->in = map->out;
    t->out = map->in;
    t->begin.assign(size_t(map->in) + 1, 0);
    t->index.resize(map->index.size());
    t->weight.resize(map->index.size());
    for (int64_t i : map->index) t->begin[size_t(i) + 1]++;
    for (size_t i = 1; i < t->begin.size(); i++) t->begin[i] += t->begin[i - 1];
    std::vector<int64_t> next(t->begin.begin(), t->begin.end() - 1);
    for (int64_t o = 0; o < map->out; o++)
        for (int64_t k = map->begin[size_t(o)]; k < map->begin[size_t(o) + 1]; k++) {
            size_t at = size_t(next[size_t(map->index[size_t(k)])]++);
            t->index[at] = o;
            t->weight[at] = map->weight[size_t(k)];
        }
    return t;
}

// Maps rows and columns of (planes, in_h, in_w).
Tensor resample(const Tensor& x, const SharedMap& rows, const SharedMap& columns) {
    Tensor input = contiguous(x);
    kernels::Resample k;
    k.planes = x.size(0), k.in_h = x.size(1), k.in_w = x.size(2);
    k.out_h = rows ? rows->out : k.in_h;
    k.out_w = columns ? columns->out : k.in_w;
    Tensor out = empty(Dims{k.planes, k.out_h, k.out_w}, x.options());
    if (rows) k.rows = rows->taps();
    if (columns) k.columns = columns->taps();
    k.in = input.data();
    k.out = out.data();
    k.dtype = x.dtype();
    int64_t taps = 1 + k.rows.most + k.columns.most;
    if (out.numel() > 0) launch(kernels::resample, x.device(), out.numel() * taps / 2, k);
    if (needs_grad(x))
        record("UpsampleBackward0", out, {x}, [rows, columns](Backward& bw, const Tensor& g) {
            bw.set(0, resample(g, transposed(rows), transposed(columns)));
        });
    return out;
}

// Maps the last `rank` dims of x. Halves compute in float32.
Tensor resample_dims(const char* name, const Tensor& x, int rank, const SharedMap* maps) {
    if (!kFloating.has(x.dtype()))
        raise(ErrorKind::NotImplemented, "%s: no CPU kernel for %s", name, dtype_name(x.dtype()));
    if (kHalves.has(x.dtype()))
        return to_dtype(resample_dims(name, to_dtype(x, DType::Float32), rank, maps), x.dtype());
    Dims sizes(x.sizes());
    int64_t planes = 1;
    for (int d = 0; d < x.dim() - rank; d++) planes *= sizes[d];
    for (int i = 0; i < rank; i++)
        if (maps[i]) sizes[x.dim() - rank + i] = maps[i]->out;
    const int64_t w = x.size(-1), h = rank > 1 ? x.size(-2) : 1, d = rank > 2 ? x.size(-3) : 1;
    Tensor y = reshape(x, {planes * d, h, w});
    y = resample(y, rank > 1 ? maps[rank - 2] : nullptr, maps[rank - 1]);
    if (rank == 3) y = resample(reshape(y, {planes, d, y.size(1) * y.size(2)}), maps[0], nullptr);
    return contiguous(reshape(y, sizes), format_of(x));
}

// ---- Maps of the modes. Positions are those of PyTorch, with weights in float64.

struct Source {
    double scale;  // of positions in the input to those in the output
    bool align_corners;
    double at(int64_t i) const {
        return align_corners ? scale * double(i) : scale * (double(i) + 0.5) - 0.5;
    }
};

double scale_of(int64_t in, int64_t out, bool align_corners, double given) {
    if (align_corners) return out > 1 ? double(in - 1) / double(out - 1) : 0.0;
    return given > 0 ? 1.0 / given : double(in) / double(out);
}

// The input that each output takes, computed in T as PyTorch does.
template <class T>
std::vector<int64_t> nearest(int64_t in, int64_t out, double given, bool exact) {
    T scale = given > 0 ? T(1.0 / given) : T(in) / T(out);
    std::vector<int64_t> from(static_cast<size_t>(out));
    for (int64_t i = 0; i < out; i++) {
        T at = exact ? scale * (T(i) + T(0.5)) - T(0.5) + T(0.5) : scale * T(i);
        from[size_t(i)] = std::clamp<int64_t>(int64_t(std::floor(float(at))), 0, in - 1);
    }
    return from;
}

SharedMap linear_map(int64_t in, int64_t out, Source source) {
    auto map = std::make_shared<Map>();
    map->in = in, map->out = out;
    for (int64_t i = 0; i < out; i++) {
        double at = std::max(source.at(i), 0.0);
        int64_t low = std::min(int64_t(at), in - 1), high = std::min(low + 1, in - 1);
        double part = std::min(at - double(low), 1.0);
        map->add(low, 1 - part);
        map->add(high, part);
        map->close();
    }
    return map;
}

double cubic(double x, double a) {
    x = std::abs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
    return 0;
}

SharedMap cubic_map(int64_t in, int64_t out, Source source) {
    auto map = std::make_shared<Map>();
    map->in = in, map->out = out;
    for (int64_t i = 0; i < out; i++) {
        double at = source.at(i), low = std::floor(at);
        for (int64_t t = -1; t < 3; t++)
            map->add(std::clamp<int64_t>(int64_t(low) + t, 0, in - 1),
                     cubic(at - low - double(t), -0.75));
        map->close();
    }
    return map;
}

double sinc(double x) { return x == 0 ? 1 : std::sin(M_PI * x) / (M_PI * x); }

// The filter stretched over what an output covers, as Pillow does.
SharedMap antialiased_map(int64_t in, int64_t out, double scale, std::string_view mode) {
    double width = mode == "bilinear" ? 1 : mode == "bicubic" ? 2 : 3;
    auto filter = [&](double x) {
        if (mode == "bilinear") return std::max(1 - std::abs(x), 0.0);
        if (mode == "bicubic") return cubic(x, -0.5);
        return std::abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0.0;
    };
    auto map = std::make_shared<Map>();
    map->in = in, map->out = out;
    double support = scale >= 1 ? width * scale : width, shrink = scale >= 1 ? 1 / scale : 1;
    for (int64_t i = 0; i < out; i++) {
        double center = scale * (double(i) + 0.5), total = 0;
        int64_t first = std::max<int64_t>(int64_t(center - support + 0.5), 0);
        int64_t last = std::min<int64_t>(int64_t(center + support + 0.5), in);
        size_t begin = map->index.size();
        for (int64_t j = first; j < last; j++) {
            map->add(j, filter((double(j) - center + 0.5) * shrink));
            total += map->weight.back();
        }
        for (size_t t = begin; t < map->weight.size() && total != 0; t++) map->weight[t] /= total;
        map->close();
    }
    return map;
}

SharedMap mean_map(int64_t in, int64_t out) {
    auto map = std::make_shared<Map>();
    map->in = in, map->out = out;
    for (int64_t i = 0; i < out; i++) {
        int64_t first = i * in / out, last = ((i + 1) * in + out - 1) / out;
        for (int64_t j = first; j < last; j++) map->add(j, 1.0 / double(last - first));
        map->close();
    }
    return map;
}

// The items `from` of each of the last `rank` dims.
Tensor select_items(const char* name, const Tensor& input, int rank,
                    const std::vector<int64_t>* from) {
    if (is_floating(input.dtype())) {
        SharedMap maps[kMaxAxes];
        for (int i = 0; i < rank; i++) {
            auto map = std::make_shared<Map>();
            map->in = input.size(i - rank), map->out = int64_t(from[i].size());
            map->begin.resize(from[i].size() + 1);
            std::iota(map->begin.begin(), map->begin.end(), 0);
            map->index = from[i];
            map->weight.assign(from[i].size(), 1);
            maps[i] = map;
        }
        return resample_dims(name, input, rank, maps);
    }
    Tensor x = input;
    for (int i = 0; i < rank; i++) {
        Tensor index = empty(Dims{int64_t(from[i].size())}, {DType::Int64, {}});
        std::copy(from[i].begin(), from[i].end(), index.as<int64_t>());
        x = index_select(x, i - rank, to_device(index, x.device()));
    }
    return x;
}

Tensor adaptive_avg_pool(const char* name, int rank, const Tensor& input, const Dims& output_size) {
    EMBER_CHECK(input.dim() == rank + 1 || input.dim() == rank + 2,
                "%s: expected a %dD or %dD input, got shape %s", name, rank + 1, rank + 2,
                to_string(input.sizes()).c_str());
    int64_t out[kMaxAxes];
    read_sizes(name, "output_size", output_size, rank, 0, out);
    bool one = true;
    Dims last(rank);
    SharedMap maps[kMaxAxes];
    for (int i = 0; i < rank; i++) {
        int64_t in = input.size(i - rank);
        EMBER_CHECK(in > 0, "%s: expected an input with non-empty planes, got shape %s", name,
                    to_string(input.sizes()).c_str());
        one = one && out[i] == 1;
        last[i] = i - rank;
    }
    EMBER_CHECK(is_floating(input.dtype()), "%s: expected a floating point input, got %s", name,
                dtype_name(input.dtype()));
    if (one) return mean(input, last, true, std::nullopt, {});
    for (int i = 0; i < rank; i++)
        if (out[i] != input.size(i - rank)) maps[i] = mean_map(input.size(i - rank), out[i]);
    return resample_dims(name, input, rank, maps);
}

}  // namespace

Tensor pad_with_items(const Tensor& input, const Dims& padding, std::string_view mode) {
    int rank = padding.size() / 2;
    bool reflect = mode == "reflect", circular = mode == "circular";
    std::vector<int64_t> from[kMaxAxes];
    Dims sizes(input.sizes());
    for (int i = 0; i < rank; i++) {
        int d = input.dim() - rank + i;
        int64_t before = padding[2 * (rank - 1 - i)], after = padding[2 * (rank - 1 - i) + 1];
        int64_t size = sizes[d], limit = reflect ? size - 1 : circular ? size : int64_t(1) << 40;
        EMBER_CHECK(before <= limit && after <= limit && size > 0,
                    "pad: padding (%ld, %ld) must be less than the size %ld of dimension %d for "
                    "mode '%.*s'",
                    long(before), long(after), long(size), d, int(mode.size()), mode.data());
        bool overflows = __builtin_add_overflow(size, before, &sizes[d]) ||
                         __builtin_add_overflow(sizes[d], after, &sizes[d]);
        EMBER_CHECK(!overflows && sizes[d] > 0,
                    "pad: the input size %ld with padding %ld and %ld leaves an output without "
                    "items",
                    long(size), long(before), long(after));
    }
    checked_numel("pad", sizes, DType::Float64);  // before there is a number for each item
    for (int i = 0; i < rank; i++) {
        int d = input.dim() - rank + i;
        int64_t before = padding[2 * (rank - 1 - i)], size = input.size(d);
        from[i].resize(size_t(sizes[d]));
        for (int64_t o = 0; o < sizes[d]; o++) {
            int64_t at = o - before;
            if (circular)
                at = at < 0 ? at + size : at >= size ? at - size : at;
            else if (reflect)
                at = at < 0 ? -at : at >= size ? 2 * (size - 1) - at : at;
            from[i][size_t(o)] = std::clamp<int64_t>(at, 0, size - 1);
        }
    }
    return select_items("pad", input, rank, from);
}

Tensor interpolate(const Tensor& input, const Dims& size, std::string_view mode, bool align_corners,
                   bool antialias, double scale0, double scale1, double scale2) {
    constexpr const char* name = "interpolate";
    int rank = input.dim() - 2;
    EMBER_CHECK(
        rank >= 1 && rank <= kMaxAxes && size.size() == rank,
        "interpolate: expected an input of 3 to 5 dims and a size for each spatial dim, got "
        "shape %s and size %s",
        to_string(input.sizes()).c_str(), to_string(size).c_str());
    const double given[] = {scale0, scale1, scale2};
    for (int i = 0; i < rank; i++)
        EMBER_CHECK(size[i] > 0 && size[i] < (int64_t(1) << 31) && input.size(2 + i) > 0,
                    "interpolate: input and output sizes must be greater than 0, got input %s and "
                    "output size %s",
                    to_string(input.sizes()).c_str(), to_string(size).c_str());
    EMBER_CHECK(input.size(1) > 0,
                "interpolate: non-empty channels expected, got an input of shape %s",
                to_string(input.sizes()).c_str());
    Dims sizes{input.size(0), input.size(1)};
    for (int64_t s : size) sizes.push_back(s);
    checked_numel(name, sizes, DType::Float64);  // before the maps are made

    if (mode == "nearest" || mode == "nearest-exact") {
        std::vector<int64_t> from[kMaxAxes];
        for (int i = 0; i < rank; i++) {
            int64_t in = input.size(2 + i);
            bool exact = mode == "nearest-exact";
            from[i] = input.dtype() == DType::Float64
                          ? nearest<double>(in, size[i], given[i], exact)
                          : nearest<float>(in, size[i], given[i], exact);
        }
        return select_items(name, input, rank, from);
    }
    SharedMap maps[kMaxAxes];
    for (int i = 0; i < rank; i++) {
        int64_t in = input.size(2 + i), out = size[i];
        double scale = scale_of(in, out, align_corners, given[i]);
        Source source{scale, align_corners};
        if (antialias)
            maps[i] = antialiased_map(in, out, scale, mode);
        else
            maps[i] = mode == "bicubic" ? cubic_map(in, out, source) : linear_map(in, out, source);
    }
    return resample_dims(name, input, rank, maps);
}

Tensor adaptive_avg_pool1d(const Tensor& input, const Dims& output_size) {
    return adaptive_avg_pool("adaptive_avg_pool1d", 1, input, output_size);
}
Tensor adaptive_avg_pool2d(const Tensor& input, const Dims& output_size) {
    return adaptive_avg_pool("adaptive_avg_pool2d", 2, input, output_size);
}
Tensor adaptive_avg_pool3d(const Tensor& input, const Dims& output_size) {
    return adaptive_avg_pool("adaptive_avg_pool3d", 3, input, output_size);
}

}  // namespace ember::ops
