#include <algorithm>
#include <numeric>

#include "kernel_test.h"
#include "kernels/index.h"

using namespace ember;
using namespace ember::test;
using namespace ember::kernels;

namespace {

// What a kernel may add: its terms in order, each sum rounded to dtype.
void add_to(Array& a, int64_t i, double x) {
    if (a.dtype == DType::Bool) {
        a.set(i, a[i] != 0 || x != 0);
    } else if (is_floating(a.dtype)) {
        Array sum(a.dtype == DType::Float64 ? DType::Float64 : DType::Float32, 1);
        sum.set(0, a[i] + x);
        a.set(i, sum[0]);
    } else {
        Array sum(DType::Int64, 1);
        sum.set(0, a[i] + x);
        int64_t wrapped = int64_t(sum[0]);
        int bits = item_size(a.dtype) * 8;
        if (bits < 64) {
            wrapped &= (int64_t(1) << bits) - 1;
            if (a.dtype != DType::UInt8 && wrapped >> (bits - 1)) wrapped -= int64_t(1) << bits;
        }
        a.set(i, double(wrapped));
    }
}

Array random_index(int64_t count, int64_t lo, int64_t n, DType dtype, Random& random) {
    Array index(dtype, count);
    for (int64_t i = 0; i < count; i++) index.set(i, double(lo + random.below(n - lo)));
    return index;
}

void test_rows() {
    on_every_level([] {
        Random random;
        const int64_t shapes[][4] = {{1, 10, 7, 1},     {3, 10, 7, 1},    {2, 5, 9, 4},
                                     {1, 100, 300, 37}, {1, 50, 4000, 8}, {2, 8, 40, 700},
                                     {1, 3, 0, 5},      {0, 3, 2, 5}};
        for (auto& s : shapes) {
            int64_t outer = s[0], n = s[1], count = s[2], inner = s[3];
            for (DType dtype : kRealDTypes) {
                for (DType index_dtype : {DType::Int32, DType::Int64}) {
                    Array source(dtype, outer * n * inner), out(dtype, outer * count * inner);
                    source.randomize(random);
                    Array index = random_index(count, 0, n, index_dtype, random);
                    IndexRows a{"index_select", 0,          outer,        n,
                                count,          inner,      index.data(), index_dtype,
                                source.data(),  out.data(), dtype};
                    Context ctx;
                    index_select(DeviceType::CPU, ctx, a);
                    Array added = source;
                    for (int64_t o = 0; o < outer; o++) {
                        for (int64_t i = 0; i < count; i++) {
                            for (int64_t j = 0; j < inner; j++) {
                                int64_t from = (o * n + int64_t(index[i])) * inner + j;
                                int64_t to = (o * count + i) * inner + j;
                                CHECK(out[to] == source[from]);
                                add_to(added, from, out[to]);
                            }
                        }
                    }
                    a.operation = "index_add";
                    a.in = out.data();
                    a.out = source.data();
                    index_add(DeviceType::CPU, ctx, a, Number{});
                    index_add(DeviceType::CPU, ctx, a, Number{Number::Kind::Int, {1}});
                    CHECK(source == added);
                }
            }
        }
    });
}

void test_embedding_backward() {
    on_every_level([] {
        Random random;
        for (DType dtype : kFloatDTypes) {
            for (bool by_frequency : {false, true}) {
                int64_t n = 30, count = 2000, inner = 40;
                Array grad(dtype, count * inner), out(dtype, n * inner, 9);
                grad.randomize(random);
                Array index = random_index(count, 0, n, DType::Int64, random);
                index.set(0, 3);
                Context ctx;
                embedding_backward(DeviceType::CPU, ctx,
                                   {"embedding", 0, 1, n, count, inner, index.data(), DType::Int64,
                                    grad.data(), out.data(), dtype},
                                   3, by_frequency);
                std::vector<double> times(size_t(n), 0.0);
                for (int64_t i = 0; i < count; i++) times[size_t(index[i])]++;
                for (int64_t r = 0; r < n; r++) {
                    for (int64_t j = 0; j < inner; j++) {
                        double sum = 0;
                        for (int64_t i = 0; i < count; i++) {
                            if (index[i] == double(r) && r != 3) sum += grad[i * inner + j];
                        }
                        if (by_frequency && times[size_t(r)] > 0) sum /= times[size_t(r)];
                        double size = by_frequency ? 4 : 40;
                        CHECK_CLOSE(out[r * inner + j], sum,
                                    size * 8 * std::fmax(epsilon(dtype), 0x1p-53));
                    }
                }
            }
        }
    });
}

struct Layout {
    std::vector<int64_t> sizes, strides;
    int64_t at(const std::vector<int64_t>& i) const {
        int64_t offset = 0;
        for (size_t d = 0; d < i.size(); d++) offset += i[d] * strides[d];
        return offset;
    }
};

Layout dense(std::vector<int64_t> sizes) {
    Layout l{sizes, sizes};
    int64_t stride = 1;
    for (size_t d = sizes.size(); d-- > 0;) {
        l.strides[d] = stride;
        stride *= sizes[d];
    }
    return l;
}

int64_t numel(const std::vector<int64_t>& sizes) {
    return std::accumulate(sizes.begin(), sizes.end(), int64_t(1), std::multiplies<>());
}

template <class F>
void for_positions(const std::vector<int64_t>& sizes, F&& f) {
    if (numel(sizes) == 0) return;
    std::vector<int64_t> i(sizes.size(), 0);
    for (;;) {
        f(i);
        size_t d = sizes.size();
        while (d-- > 0) {
            if (++i[d] < sizes[d]) break;
            i[d] = 0;
        }
        if (d == size_t(-1)) return;
    }
}

void test_gather() {
    on_every_level([] {
        Random random;
        struct Case {
            std::vector<int64_t> data, index;
            int dim;
        };
        const Case cases[] = {{{10}, {7}, 0},
                              {{4, 6}, {3, 5}, 0},
                              {{4, 6}, {3, 5}, 1},
                              {{5, 6, 7}, {5, 9, 7}, 1},
                              {{3, 40000}, {2, 40000}, 0},
                              {{2, 50}, {2, 30000}, 1},
                              {{300, 9}, {300, 4}, 1},
                              {{3, 4}, {0, 4}, 0}};
        for (const Case& c : cases) {
            for (DType dtype : kRealDTypes) {
                Layout data = dense(c.data), at = dense(c.index);
                Array values(dtype, numel(c.data)), out(dtype, numel(c.index));
                values.randomize(random);
                Array index =
                    random_index(numel(c.index), 0, c.data[size_t(c.dim)], DType::Int64, random);
                Gather g{"gather",
                         int(c.data.size()),
                         c.dim,
                         c.index.data(),
                         c.data[size_t(c.dim)],
                         at.strides.data(),
                         data.strides.data(),
                         at.strides.data(),
                         static_cast<const int64_t*>(index.data()),
                         values.data(),
                         out.data(),
                         dtype};
                Context ctx;
                gather(DeviceType::CPU, ctx, g);
                Array assigned = values, added = values;
                Array source(dtype, out.n);
                source.randomize(random);
                for_positions(c.index, [&](std::vector<int64_t> i) {
                    int64_t here = at.at(i);
                    i[size_t(c.dim)] = int64_t(index[here]);
                    CHECK(out[here] == values[data.at(i)]);
                    assigned.set(data.at(i), source[here]);
                    add_to(added, data.at(i), source[here]);
                });
                Array target = values;
                g.data = target.data();
                g.other = source.data();
                scatter(DeviceType::CPU, ctx, g);
                CHECK(target == assigned);
                target = values;
                g.data = target.data();
                scatter_add(DeviceType::CPU, ctx, g);
                CHECK(target == added);
                // One value for all.
                std::vector<int64_t> zeros(c.index.size(), 0);
                g.other_strides = zeros.data();
                scatter(DeviceType::CPU, ctx, g);
                for_positions(c.index, [&](std::vector<int64_t> i) {
                    i[size_t(c.dim)] = int64_t(index[at.at(i)]);
                    CHECK(target[data.at(i)] == source[0]);
                });
            }
        }
        // Strided memory: a transposed tensor.
        Array values(DType::Float32, 12), out(DType::Float32, 6);
        for (int64_t i = 0; i < 12; i++) values.set(i, double(i));
        int64_t index[6] = {2, 0, 1, 3, 3, 2}, sizes[2] = {3, 2}, rows[2] = {2, 1},
                data[2] = {4, 1};
        Context ctx;
        gather(DeviceType::CPU, ctx,
               {"gather", 2, 1, sizes, 4, rows, data, rows, index, values.data(), out.data(),
                DType::Float32});
        for (int64_t i = 0; i < 6; i++) CHECK(out[i] == double(i / 2 * 4 + index[i]));
    });
}

// x[:, index0, index1, :] and the like: `indexed` dims next to each other from `first`.
void check_plan(std::vector<int64_t> sizes, std::vector<int64_t> strides, int first, int indices,
                int64_t count, DType dtype, Random& random) {
    Layout source{sizes, strides};
    int64_t extent = 1, item = item_size(dtype);
    for (size_t d = 0; d < sizes.size(); d++) extent += (sizes[d] - 1) * strides[d];
    Array memory(dtype, extent);
    memory.randomize(random);
    IndexPlan p;
    p.operation = "index";
    p.indices = indices;
    p.count = count;
    p.dtype = dtype;
    p.strided = static_cast<char*>(memory.data());
    std::vector<Array> index;
    std::vector<int64_t> result;  // the result's sizes
    for (size_t d = 0; d < sizes.size(); d++) {
        bool taken = int(d) >= first && int(d) < first + indices;
        if (taken) {
            index.push_back(random_index(count, -sizes[d], sizes[d], DType::Int64, random));
        }
        if (!taken) result.push_back(sizes[d]);
        if (int(d) == first) result.push_back(count);
    }
    Layout values_at = dense(result);
    Array values(dtype, numel(result));
    p.values = static_cast<char*>(values.data());
    p.count_values = values_at.strides[size_t(first)] * item;
    for (int k = 0; k < indices; k++) {
        size_t d = size_t(first + k);
        p.index[k] = static_cast<const int64_t*>(index[size_t(k)].data());
        p.dims[k] = int(d);
        p.index_sizes[k] = sizes[d];
        p.index_strides[k] = strides[d] * item;
    }
    for (int d = int(sizes.size()) - 1; d >= 0; d--) {
        if (d >= first && d < first + indices) continue;
        size_t r = size_t(d < first ? d : d - indices + 1);
        p.kept_sizes[p.kept] = sizes[size_t(d)];
        p.kept_strides[p.kept] = strides[size_t(d)] * item;
        p.kept_values[p.kept++] = values_at.strides[r] * item;
    }
    auto source_offset = [&](const std::vector<int64_t>& i) {
        std::vector<int64_t> full;
        for (int d = 0; d < first; d++) full.push_back(i[size_t(d)]);
        for (int k = 0; k < indices; k++) {
            int64_t at = int64_t(index[size_t(k)][i[size_t(first)]]);
            full.push_back(at < 0 ? at + sizes[size_t(first + k)] : at);
        }
        for (size_t d = size_t(first) + 1; d < i.size(); d++) full.push_back(i[d]);
        return source.at(full);
    };
    Context ctx;
    index_get(DeviceType::CPU, ctx, p);
    for_positions(result, [&](const std::vector<int64_t>& i) {
        CHECK(values[values_at.at(i)] == memory[source_offset(i)]);
    });
    Array before = memory;
    for (bool accumulate : {false, true}) {
        memory = before;
        p.strided = static_cast<char*>(memory.data());
        values.randomize(random);
        Array expected = memory;
        for_positions(result, [&](const std::vector<int64_t>& i) {
            int64_t to = source_offset(i);
            if (accumulate) {
                add_to(expected, to, values[values_at.at(i)]);
            } else {
                expected.set(to, values[values_at.at(i)]);
            }
        });
        index_put(DeviceType::CPU, ctx, p, accumulate);
        CHECK(memory == expected);
    }
    // One value for all positions.
    p.count_values = 0;
    for (int d = 0; d < p.kept; d++) p.kept_values[d] = 0;
    index_put(DeviceType::CPU, ctx, p, false);
    for_positions(result, [&](const std::vector<int64_t>& i) {
        CHECK(memory[source_offset(i)] == values[0]);
    });
}

void test_plan() {
    on_every_level([] {
        Random random;
        for (DType dtype : kRealDTypes) {
            check_plan({10}, {1}, 0, 1, 25, dtype, random);
            check_plan({10, 8}, {8, 1}, 0, 2, 25, dtype, random);
            check_plan({10, 8}, {8, 1}, 0, 1, 25, dtype, random);
            check_plan({10, 8}, {8, 1}, 1, 1, 25, dtype, random);
            check_plan({10, 8}, {1, 10}, 0, 1, 25, dtype, random);
            check_plan({4, 5, 6, 7}, {210, 42, 7, 1}, 1, 2, 9, dtype, random);
            check_plan({4, 5, 6, 7}, {1, 4, 20, 120}, 1, 2, 9, dtype, random);
            check_plan({9, 700}, {700, 1}, 0, 1, 60, dtype, random);
            check_plan({9, 1024}, {1024, 1}, 0, 1, 60, dtype, random);
            check_plan({600, 3, 2}, {6, 2, 1}, 1, 1, 20, dtype, random);
            check_plan({5, 5}, {5, 1}, 0, 1, 0, dtype, random);
        }
        check_plan({100, 50}, {50, 1}, 0, 2, 50000, DType::Float32, random);
    });
}

void test_masks() {
    on_every_level([] {
        Random random;
        const std::vector<int64_t> shapes[] = {{1}, {100}, {40000}, {7, 9}, {3, 5, 4000}, {5, 0}};
        for (const auto& sizes : shapes) {
            int64_t n = numel(sizes);
            for (DType dtype : kRealDTypes) {
                Array in(dtype, n);
                std::vector<std::vector<int64_t>> expected;
                int64_t k = 0;
                for_positions(sizes, [&](const std::vector<int64_t>& i) {
                    int64_t kind = random.below(4);
                    in.set(k, kind == 0                         ? 1
                              : kind == 1                       ? -0.0
                              : kind == 2 && is_floating(dtype) ? NAN
                                                                : 0);
                    if (in[k] != 0) expected.push_back(i);
                    k++;
                });
                std::vector<int64_t> counts(size_t(nonzero_blocks(n)));
                Context ctx;
                nonzero_count(DeviceType::CPU, ctx, in.data(), dtype, n, counts.data());
                int64_t total = std::accumulate(counts.begin(), counts.end(), int64_t(0));
                CHECK(total == int64_t(expected.size()));
                int dims = int(sizes.size());
                std::vector<int64_t> rows(size_t(total * dims) + 1, -7), columns = rows;
                nonzero(
                    DeviceType::CPU, ctx,
                    {in.data(), dtype, dims, sizes.data(), counts.data(), rows.data(), dims, 1});
                nonzero(DeviceType::CPU, ctx,
                        {in.data(), dtype, dims, sizes.data(), counts.data(), columns.data(), 1,
                         total});
                for (size_t i = 0; i < expected.size(); i++) {
                    for (int d = 0; d < dims; d++) {
                        CHECK(rows[i * size_t(dims) + size_t(d)] == expected[i][size_t(d)]);
                        CHECK(columns[i + size_t(d * total)] == expected[i][size_t(d)]);
                    }
                }
                CHECK(rows.back() == -7 && columns.back() == -7);

                Array mask(DType::Bool, n);
                for (int64_t i = 0; i < n; i++) mask.set(i, in[i] != 0);
                Array full(dtype, n), packed(dtype, total);
                full.randomize(random);
                masked_select(DeviceType::CPU, ctx,
                              {mask.data(), n, counts.data(), full.data(), packed.data(), dtype});
                Array back(dtype, n, 1);
                masked_scatter(DeviceType::CPU, ctx,
                               {mask.data(), n, counts.data(), back.data(), packed.data(), dtype});
                int64_t at = 0;
                for (int64_t i = 0; i < n; i++) {
                    if (mask[i] != 0) CHECK(packed[at++] == full[i]);
                    CHECK(back[i] == (mask[i] != 0 ? full[i] : 1));
                }
            }
        }
    });
}

template <class F>
std::string message_of(ErrorKind kind, F&& f) {
    try {
        f();
    } catch (const Error& e) {
        CHECK(e.kind == kind);
        return e.what();
    }
    return "nothing was raised";
}

void test_bad_indices() {
    on_every_level([] {
        float memory[6] = {0, 1, 2, 3, 4, 5}, out[6] = {7, 7, 7, 7, 7, 7};
        Context ctx;
        for (int64_t bad : {int64_t(3), int64_t(-1), INT64_MIN, INT64_MAX}) {
            int64_t index[2] = {0, bad};
            std::string number = std::to_string(bad);
            IndexRows rows{"index_select", 1, 1, 3, 2, 2, index, DType::Int64, memory, out,
                           DType::Float32};
            CHECK(message_of(ErrorKind::Index, [&] { index_select(DeviceType::CPU, ctx, rows); }) ==
                  "index_select: index " + number +
                      " is out of bounds for dimension 1 with size 3");
            rows.in = out;
            rows.out = memory;
            message_of(ErrorKind::Runtime, [&] {
                index_add(DeviceType::CPU, ctx, rows, Number{Number::Kind::Int, {1}});
            });
            CHECK(memory[0] == 0 && memory[1] == 1);
            int64_t sizes[1] = {2}, strides[1] = {1};
            Gather g{"scatter", 1,       0,     sizes,  3,   strides,
                     strides,   strides, index, memory, out, DType::Float32};
            CHECK(message_of(ErrorKind::Runtime, [&] { scatter(DeviceType::CPU, ctx, g); }) ==
                  "scatter: index " + number + " is out of bounds for dimension 0 with size 3");
            message_of(ErrorKind::Runtime, [&] { gather(DeviceType::CPU, ctx, g); });
            CHECK(memory[0] == 0 && out[0] == 7);
        }
        for (int64_t bad : {int64_t(3), int64_t(-4), INT64_MIN, INT64_MAX}) {
            int64_t index[2] = {-3, bad};
            IndexPlan p;
            p.operation = "index";
            p.indices = 1;
            p.count = 2;
            p.index[0] = index;
            p.dims[0] = 2;
            p.index_sizes[0] = 3;
            p.index_strides[0] = 4;
            p.count_values = 4;
            p.strided = reinterpret_cast<char*>(memory);
            p.values = reinterpret_cast<char*>(out);
            CHECK(message_of(ErrorKind::Index, [&] { index_get(DeviceType::CPU, ctx, p); }) ==
                  "index: index " + std::to_string(bad) +
                      " is out of bounds for dimension 2 with size 3");
            message_of(ErrorKind::Index, [&] { index_put(DeviceType::CPU, ctx, p, false); });
            CHECK(memory[0] == 0 && out[0] == 7);
        }
    });
}

void test_threads() {
    Random random;
    Array in(DType::Float32, 5000 * 96);
    in.randomize(random);
    Array index = random_index(5000, 0, 20, DType::Int64, random);
    std::vector<Array> results;
    for (int threads : {1, 2, 4}) {
        set_num_threads(threads);
        Array out(DType::Float32, 20 * 96);
        Context ctx;
        embedding_backward(DeviceType::CPU, ctx,
                           {"embedding", 0, 1, 20, 5000, 96, index.data(), DType::Int64, in.data(),
                            out.data(), DType::Float32},
                           -1, false);
        results.push_back(out);
    }
    CHECK(results[0] == results[1]);
    CHECK(results[0] == results[2]);
}

}  // namespace

int main() {
    RUN(test_rows);
    RUN(test_embedding_backward);
    RUN(test_gather);
    RUN(test_plan);
    RUN(test_masks);
    RUN(test_bad_indices);
    RUN(test_threads);
    return summary();
}
