#include <algorithm>

#include "kernel_test.h"
#include "kernels/reduce.h"

using namespace ember;
using namespace ember::test;

namespace {

struct Case {
    std::vector<int64_t> sizes, strides;  // strides in items, outermost first
    std::vector<int> reduced;             // 1 where the dimension is reduced
    int64_t first = 0;                    // item the layout starts at
};

// A plan as operations make it: each group sorted by stride and coalesced.
struct Planned {
    ReducePlan plan{};
    std::vector<int64_t> kept_offsets, reduced_offsets;  // in items, in logical order
};

void push(int64_t* sizes, int64_t* strides, int64_t* others, int& n, int64_t size, int64_t stride,
          int64_t other) {
    if (size == 1) return;
    if (n > 0 && strides[n - 1] * sizes[n - 1] == stride &&
        (!others || others[n - 1] * sizes[n - 1] == other)) {
        sizes[n - 1] *= size;
        return;
    }
    sizes[n] = size;
    strides[n] = stride;
    if (others) others[n] = other;
    n++;
}

void offsets(const Case& c, int which, size_t d, int64_t at, std::vector<int64_t>& to) {
    if (d == c.sizes.size()) {
        to.push_back(at);
        return;
    }
    if (c.reduced[d] != which) return offsets(c, which, d + 1, at, to);
    for (int64_t i = 0; i < c.sizes[d]; i++) {
        offsets(c, which, d + 1, at + i * c.strides[d], to);
    }
}

Planned make_plan(const Case& c, const Array& in, Array& out) {
    Planned result;
    ReducePlan& p = result.plan;
    p.kept_numel = p.reduced_numel = 1;
    int item = item_size(in.dtype), out_item = item_size(out.dtype);
    for (int d = int(c.sizes.size()) - 1; d >= 0; d--) {
        size_t k = size_t(d);
        if (c.reduced[k]) {
            p.reduced_numel *= c.sizes[k];
            push(p.reduced_sizes, p.reduced_in, nullptr, p.reduced, c.sizes[k], c.strides[k] * item,
                 0);
        } else {
            push(p.kept_sizes, p.kept_in, p.kept_out, p.kept, c.sizes[k], c.strides[k] * item,
                 p.kept_numel * out_item);
            p.kept_numel *= c.sizes[k];
        }
    }
    p.in = static_cast<const char*>(in.data()) + c.first * item;
    p.out = static_cast<char*>(out.data());
    p.in_dtype = in.dtype;
    p.out_dtype = out.dtype;
    offsets(c, 0, 0, c.first, result.kept_offsets);
    offsets(c, 1, 0, c.first * 0, result.reduced_offsets);
    return result;
}

const std::vector<Case>& cases() {
    static const std::vector<Case> list = {
        {{5}, {1}, {1}},
        {{1}, {1}, {1}},
        {{37}, {1}, {0}},                // nothing to reduce
        {{3, 1000}, {1000, 1}, {0, 1}},  // rows
        {{1000, 3}, {3, 1}, {0, 1}},     // short rows
        {{70, 37}, {37, 1}, {1, 0}},     // columns
        {{300, 3}, {3, 1}, {1, 0}},      // few columns
        {{3, 1500}, {1500, 1}, {1, 0}},  // many columns
        {{37, 41}, {1, 37}, {0, 1}},     // transposed
        {{20, 30}, {90, 3}, {0, 1}, 5},  // sliced
        {{20, 30}, {90, 3}, {1, 0}, 5},
        {{8, 6, 7, 5}, {210, 35, 5, 1}, {1, 0, 1, 1}},  // batch norm's
        {{8, 6, 7, 5}, {210, 35, 5, 1}, {0, 1, 0, 0}},  // over channels
        {{8, 6, 7, 9}, {1, 8, 48, 336}, {1, 0, 0, 1}},
        {{8, 6, 80}, {480, 80, 1}, {1, 0, 1}},
        {{11, 13}, {0, 1}, {1, 0}},  // expanded
        {{11, 13}, {0, 1}, {0, 1}},
        {{11, 13}, {-13, -1}, {0, 1}, 142},  // flipped
        {{11, 13}, {-13, -1}, {1, 0}, 142},
        {{2, 70000}, {70000, 1}, {0, 1}},  // cut among threads
        {{70000, 2}, {2, 1}, {1, 0}},
        {{5000, 40}, {40, 1}, {1, 0}},
        {{3, 0}, {1, 1}, {0, 1}},
        {{0, 3}, {3, 1}, {0, 1}},
    };
    return list;
}

int64_t storage_items(const Case& c) {
    int64_t last = c.first;
    for (size_t d = 0; d < c.sizes.size(); d++) {
        if (c.strides[d] > 0) last += std::max<int64_t>(c.sizes[d] - 1, 0) * c.strides[d];
    }
    return last + 1;
}

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Reduction {
    const char* name;
    kernels::Reduce* slot;
    double param;
    double (*reference)(const std::vector<double>&, double param);
    double tolerance;  // in roundings of the compute type, added to one of the output
};

long double sum_of(const std::vector<double>& x) {
    long double s = 0;
    for (double v : x) s += v;
    return s;
}

const Reduction kSimple[] = {
    {"sum", &kernels::sum, 1,
     [](const std::vector<double>& x, double) { return double(sum_of(x)); }, 2000},
    {"prod", &kernels::prod, 1,
     [](const std::vector<double>& x, double) {
         long double s = 1;
         for (double v : x) s *= v;
         return double(s);
     },
     1000},
    {"max", &kernels::max, 0,
     [](const std::vector<double>& x, double) {
         double m = -kInf;
         for (double v : x) {
             if (v != v) return kNaN;
             m = v > m ? v : m;
         }
         return m;
     },
     0},
    {"min", &kernels::min, 0,
     [](const std::vector<double>& x, double) {
         double m = kInf;
         for (double v : x) {
             if (v != v) return kNaN;
             m = v < m ? v : m;
         }
         return m;
     },
     0},
    {"any", &kernels::any, 0,
     [](const std::vector<double>& x, double) {
         for (double v : x) {
             if (v != 0) return 1.0;
         }
         return 0.0;
     },
     0},
    {"all", &kernels::all, 0,
     [](const std::vector<double>& x, double) {
         for (double v : x) {
             if (v == 0) return 0.0;
         }
         return 1.0;
     },
     0},
};

DType result_dtype(const Reduction& r, DType in) {
    std::string name = r.name;
    if (name == "any" || name == "all") return in == DType::UInt8 ? DType::UInt8 : DType::Bool;
    if ((name == "sum" || name == "prod") && is_integral(in)) return DType::Int64;
    return in;
}

std::vector<double> items_of(const Planned& planned, const Array& in, size_t k) {
    std::vector<double> items;
    for (int64_t offset : planned.reduced_offsets) {
        items.push_back(in[planned.kept_offsets[k] + offset]);
    }
    return items;
}

void check_reduction(const Reduction& r, const Case& c, const Array& in, DType out_dtype) {
    bool empty = false;
    int64_t kept = 1;
    for (size_t d = 0; d < c.sizes.size(); d++) {
        if (c.reduced[d]) empty |= c.sizes[d] == 0;
        if (!c.reduced[d]) kept *= c.sizes[d];
    }
    std::string name = r.name;
    if (empty && (name == "max" || name == "min")) return;
    Array out(out_dtype, kept);
    Planned planned = make_plan(c, in, out);
    Context ctx;
    (*r.slot)(DeviceType::CPU, ctx, planned.plan, r.param);
    double compute = in.dtype == DType::Float64 ? 0x1p-53 : is_floating(in.dtype) ? 0x1p-24 : 0;
    for (size_t k = 0; k < planned.kept_offsets.size(); k++) {
        std::vector<double> items = items_of(planned, in, k);
        double expected = r.reference(items, r.param);
        // The error grows with the sum of magnitudes, not with the sum.
        double scale = 1;
        if (name == "sum") {
            scale = 0;
            for (double v : items) scale += std::fabs(v);
            scale = std::max(1.0, scale / std::max(1.0, std::fabs(expected)) / 100);
        }
        if (is_integral(in.dtype) && name == "prod") continue;  // overflows the reference's double
        if (out_dtype == DType::Float16 && expected >= 65520) expected = kInf;
        CHECK_CLOSE(out[int64_t(k)], expected, r.tolerance * scale * compute + epsilon(out_dtype));
    }
}

void test_simple() {
    on_every_level([] {
        Random random;
        for (const Case& c : cases()) {
            for (DType dtype : kRealDTypes) {
                Array in(dtype, storage_items(c));
                in.randomize(random);
                for (const Reduction& r : kSimple) {
                    if (std::string(r.name) == "prod" && is_floating(dtype)) {
                        Array near_one(dtype, in.n);
                        for (int64_t i = 0; i < in.n; i++) near_one.set(i, 1 + in[i] * 0x1p-7);
                        check_reduction(r, c, near_one, dtype);
                        continue;
                    }
                    check_reduction(r, c, in, result_dtype(r, dtype));
                }
            }
        }
    });
}

void test_integer_prod() {
    on_every_level([] {
        Array in(DType::Int8, 12), out(DType::Int64, 1);
        double expected = 1;
        for (int64_t i = 0; i < 12; i++) {
            in.set(i, double(i % 5) - 5);
            expected *= double(i % 5) - 5;
        }
        Planned planned = make_plan({{12}, {1}, {1}}, in, out);
        Context ctx;
        kernels::prod(DeviceType::CPU, ctx, planned.plan, 1);
        CHECK(out[0] == expected);
    });
}

void test_wider_result() {
    on_every_level([] {
        // float32 items summed to float64 keep what float32 would lose.
        Array in(DType::Float32, 3000), out(DType::Float64, 1);
        in.set(0, 0x1p30);
        for (int64_t i = 1; i < in.n; i++) in.set(i, 1);
        Planned planned = make_plan({{3000}, {1}, {1}}, in, out);
        Context ctx;
        kernels::sum(DeviceType::CPU, ctx, planned.plan, 1);
        CHECK(out[0] == 0x1p30 + 2999);
        // mean
        kernels::sum(DeviceType::CPU, ctx, planned.plan, 0.5);
        CHECK(out[0] == (0x1p30 + 2999) / 2);
    });
}

void test_special_values() {
    on_every_level([] {
        for (DType dtype : kFloatDTypes) {
            for (int64_t n : {1, 2, 7, 33, 100, 3000}) {
                for (int64_t at : {int64_t(0), n / 2, n - 1}) {
                    for (double special : {kNaN, kInf, -kInf}) {
                        Array in(dtype, n, -1.5);
                        in.set(at, special);
                        for (const Reduction& r : kSimple) {
                            check_reduction(r, {{n}, {1}, {1}}, in, result_dtype(r, dtype));
                            check_reduction(r, {{n, 1}, {1, 1}, {0, 1}}, in,
                                            result_dtype(r, dtype));
                        }
                    }
                }
            }
        }
        // NaN wins over what comes after it, also down columns.
        Array in(DType::Float32, 80 * 20, 1);
        in.set(3 * 20 + 7, kNaN);
        in.set(70 * 20 + 7, kInf);
        for (const Reduction& r : kSimple) {
            check_reduction(r, {{80, 20}, {20, 1}, {1, 0}}, in, result_dtype(r, DType::Float32));
        }
    });
}

int64_t first_best(const std::vector<double>& x, bool largest) {
    size_t best = 0;
    for (size_t i = 1; i < x.size(); i++) {
        if (x[best] != x[best]) break;
        if (x[i] != x[i] || (largest ? x[i] > x[best] : x[i] < x[best])) best = i;
    }
    return int64_t(best);
}

void test_arg() {
    on_every_level([] {
        Random random;
        for (const Case& c : cases()) {
            int reduced = 0;
            int64_t kept = 1, n = 1;
            for (size_t d = 0; d < c.sizes.size(); d++) {
                reduced += c.reduced[d];
                (c.reduced[d] ? n : kept) *= c.sizes[d];
            }
            if (reduced > 1 || n == 0) continue;
            for (DType dtype : kRealDTypes) {
                for (bool special : {false, true}) {
                    if (special && !is_floating(dtype)) continue;
                    Array in(dtype, storage_items(c));
                    for (int64_t i = 0; i < in.n; i++) in.set(i, double(random.below(20)));
                    if (special) {
                        for (int i = 0; i < 5; i++) in.set(random.below(in.n), kNaN);
                    }
                    for (bool largest : {true, false}) {
                        Array out(dtype, kept), indices(DType::Int64, kept);
                        Planned planned = make_plan(c, in, out);
                        Context ctx;
                        auto& slot = largest ? kernels::argmax : kernels::argmin;
                        slot(DeviceType::CPU, ctx, planned.plan,
                             static_cast<int64_t*>(indices.data()));
                        for (size_t k = 0; k < planned.kept_offsets.size(); k++) {
                            std::vector<double> items = items_of(planned, in, k);
                            int64_t best = first_best(items, largest);
                            CHECK(indices[int64_t(k)] == double(best));
                            CHECK_CLOSE(out[int64_t(k)], items[size_t(best)], 0);
                        }
                        Array alone(DType::Int64, kept);
                        planned.plan.out = nullptr;
                        slot(DeviceType::CPU, ctx, planned.plan,
                             static_cast<int64_t*>(alone.data()));
                        CHECK(alone == indices);
                    }
                }
            }
        }
    });
}

const Reduction kNorms[] = {
    {"norm", &kernels::norm, 0,
     [](const std::vector<double>& x, double) {
         return double(x.size()) - double(std::count(x.begin(), x.end(), 0.0));
     },
     0},
    {"norm", &kernels::norm, 1,
     [](const std::vector<double>& x, double) {
         long double s = 0;
         for (double v : x) s += std::fabs(v);
         return double(s);
     },
     100},
    {"norm", &kernels::norm, 2,
     [](const std::vector<double>& x, double) {
         long double s = 0;
         for (double v : x) s += (long double)v * v;
         return double(std::sqrt(s));
     },
     100},
    {"norm", &kernels::norm, 2.5,
     [](const std::vector<double>& x, double p) {
         long double s = 0;
         for (double v : x) s += std::pow(std::fabs(v), p);
         return double(std::pow(s, 1 / p));
     },
     200},
    {"norm", &kernels::norm, -1,
     [](const std::vector<double>& x, double) {
         long double s = 0;
         for (double v : x) s += 1 / std::fabs(v);
         return double(1 / s);
     },
     200},
    {"norm", &kernels::norm, kInf,
     [](const std::vector<double>& x, double) {
         double m = 0;
         for (double v : x) {
             if (v != v) return kNaN;
             m = std::max(m, std::fabs(v));
         }
         return m;
     },
     0},
    {"norm", &kernels::norm, -kInf,
     [](const std::vector<double>& x, double) {
         double m = kInf;
         for (double v : x) {
             if (v != v) return kNaN;
             m = std::min(m, std::fabs(v));
         }
         return m;
     },
     0},
    {"variance", &kernels::variance, 1,
     [](const std::vector<double>& x, double correction) {
         long double mean = sum_of(x) / (long double)x.size(), s = 0;
         for (double v : x) s += (v - mean) * (v - mean);
         double divisor = double(x.size()) - correction;
         return double(s) / (divisor > 0 ? divisor : 0);
     },
     100},
    {"logsumexp", &kernels::logsumexp, 0,
     [](const std::vector<double>& x, double) {
         double m = -kInf;
         for (double v : x) {
             if (v != v) return kNaN;
             m = std::max(m, v);
         }
         if (std::isinf(m)) return m;
         long double s = 0;
         for (double v : x) s += std::exp((long double)(v - m));
         return m + double(std::log(s));
     },
     100},
};

void test_norms() {
    on_every_level([] {
        Random random;
        for (const Case& c : cases()) {
            for (DType dtype : kFloatDTypes) {
                Array in(dtype, storage_items(c));
                in.randomize(random);
                for (const Reduction& r : kNorms) {
                    if (c.sizes.size() > 1 && c.sizes[1] == 0 && r.param == -kInf) continue;
                    check_reduction(r, c, in, dtype);
                }
            }
        }
    });
}

void test_norms_special_values() {
    on_every_level([] {
        for (DType dtype : kFloatDTypes) {
            for (int64_t n : {1, 2, 7, 33, 100, 3000}) {
                for (double special : {kNaN, kInf, -kInf, 0.0}) {
                    for (bool everywhere : {false, true}) {
                        Array in(dtype, n, everywhere ? special : -1.5);
                        in.set(n - 1, special);
                        for (const Reduction& r : kNorms) {
                            check_reduction(r, {{n}, {1}, {1}}, in, dtype);
                            check_reduction(r, {{n, 5}, {1, 0}, {1, 0}}, in, dtype);
                        }
                    }
                }
            }
        }
        // A large mean does not eat the variance.
        for (DType dtype : {DType::Float32, DType::Float64}) {
            Array in(dtype, 10000);
            for (int64_t i = 0; i < in.n; i++) in.set(i, 4096 + double(i % 3));
            check_reduction(kNorms[7], {{10000}, {1}, {1}}, in, dtype);
            check_reduction(kNorms[7], {{2500, 4}, {4, 1}, {1, 0}}, in, dtype);
        }
    });
}

void test_threads() {
    Random random;
    Array in(DType::Float32, 1 << 20);
    in.randomize(random);
    const Case shapes[] = {{{1 << 20}, {1}, {1}},
                           {{64, 1 << 14}, {1 << 14, 1}, {0, 1}},
                           {{1 << 14, 64}, {64, 1}, {1, 0}},
                           {{1 << 18, 4}, {4, 1}, {1, 0}}};
    for (const Case& c : shapes) {
        for (kernels::Reduce* slot : {&kernels::sum, &kernels::variance, &kernels::logsumexp}) {
            std::vector<Array> results;
            for (int threads : {1, 2, 4}) {
                set_num_threads(threads);
                Array out(DType::Float32, 1 << 14);
                Planned planned = make_plan(c, in, out);
                Context ctx;
                (*slot)(DeviceType::CPU, ctx, planned.plan, 1);
                results.push_back(out);
            }
            CHECK(results[0] == results[1]);
            CHECK(results[0] == results[2]);
        }
    }
}

}  // namespace

int main() {
    RUN(test_simple);
    RUN(test_integer_prod);
    RUN(test_wider_result);
    RUN(test_special_values);
    RUN(test_arg);
    RUN(test_norms);
    RUN(test_norms_special_values);
    RUN(test_threads);
    return summary();
}
