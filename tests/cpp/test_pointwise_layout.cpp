#include <algorithm>

#include "cpu/isa.h"
#include "pointwise_test.h"

using namespace ember;
using namespace ember::test;

// Conversions, and any layout of the operands against plain loops.
namespace {

// ---- Conversions

double converted(double x, DType from, DType to) {
    (void)from;
    if (to == DType::Bool) return x != 0;
    if (!is_integral(to)) return x;
    bool wide = to == DType::Int64;
    double limit = wide ? 0x1p63 : 0x1p31;
    int64_t whole = x >= -limit && x < limit ? int64_t(x) : wide ? INT64_MIN : INT32_MIN;
    switch (to) {
        case DType::UInt8: return uint8_t(whole);
        case DType::Int8: return int8_t(whole);
        case DType::Int16: return int16_t(whole);
        case DType::Int32: return int32_t(whole);
        default: return double(whole);
    }
}

void conversions() {
    const double values[] = {0,     -0.0,  1,      -1,     2.5,  -2.5,   127,       128,  255,
                             256,   300,   -129,   70000,  1e5,  -3e9,   3e9,       1e19, -1e19,
                             65504, 65519, 65520,  1e-8,   6e-8, 3e38,   1e300,     kInf, -kInf,
                             kNan,  0.1,   -1e-45, 5e-324, 2048, 2049.0, 1.00390625};
    on_every_level([&] {
        for (DType from : kRealDTypes) {
            Array in(from, 68);
            for (int i = 0; i < 68; i++) {
                double x = values[i % 34];
                if (is_integral(from)) x = converted(x, DType::Float64, from);
                in.set(i, x);
            }
            for (DType to : kRealDTypes) {
                Array out(to, 68), want(to, 68);
                run(k::copy, flat_plan(to, 68, {{out.data(), to}, {in.data(), from}}));
                for (int i = 0; i < 68; i++) {
                    // Integers of 64 bits go through float to the halves, and wrap to smaller ones.
                    double x = converted(in[i], from, to);
                    want.set(i, x);
                    bool fine = want[i] != want[i] ? out[i] != out[i]
                                                   : out[i] == want[i] && std::signbit(out[i]) ==
                                                                              std::signbit(want[i]);
                    bool wraps =
                        from == DType::Int64 && is_integral(to) && std::fabs(in[i]) > 0x1p31;
                    if (!fine && !wraps)
                        fprintf(stderr, "%s %g to %s: expected %g, got %g\n", dtype_name(from),
                                in[i], dtype_name(to), want[i], out[i]);
                    CHECK(fine || wraps);
                }
            }
        }
        int64_t wide[] = {int64_t(1) << 33 | 5};
        int32_t narrow[1];
        run(k::copy, flat_plan(DType::Int32, 1, {{narrow, DType::Int32}, {wide, DType::Int64}}));
        CHECK(narrow[0] == 5);
    });
}

// Every half, both ways, and the rounding of floats between them.
void halves() {
    std::vector<uint16_t> bits(65536), back(65536);
    for (int i = 0; i < 65536; i++) bits[size_t(i)] = uint16_t(i);
    on_every_level([&] {
        for (DType half : {DType::Float16, DType::BFloat16}) {
            std::vector<float> floats(65536);
            run(k::copy,
                flat_plan(half, 65536, {{floats.data(), DType::Float32}, {bits.data(), half}}));
            run(k::copy,
                flat_plan(half, 65536, {{back.data(), half}, {floats.data(), DType::Float32}}));
            int wrong = 0;
            for (int i = 0; i < 65536; i++) {
                float want = half == DType::Float16 ? to_float(Half{uint16_t(i)})
                                                    : to_float(BFloat16{uint16_t(i)});
                if (want != want)
                    wrong += floats[size_t(i)] == floats[size_t(i)];
                else
                    wrong += memcmp(&want, &floats[size_t(i)], 4) != 0 || back[size_t(i)] != i;
            }
            CHECK(wrong == 0);
            Random random;
            for (float& x : floats) {
                uint32_t u = uint32_t(random.bits() >> 20);
                memcpy(&x, &u, 4);
                if (half == DType::Float16) x = std::ldexp(x, -int(random.below(8)));
            }
            run(k::copy,
                flat_plan(half, 65536, {{back.data(), half}, {floats.data(), DType::Float32}}));
            for (int i = 0; i < 65536; i++) {
                float x = floats[size_t(i)];
                uint16_t want = half == DType::Float16 ? to_half(x).bits : to_bfloat16(x).bits;
                wrong += x == x && want != back[size_t(i)];
            }
            CHECK(wrong == 0);
        }
    });
}

// ---- Any layout against plain loops

struct Layout {
    std::vector<int64_t> strides;  // in items
    int64_t offset = 0, span = 1;  // of the memory it needs
};

Layout random_layout(Random& random, const std::vector<int64_t>& sizes, bool may_broadcast) {
    Layout layout;
    int n = int(sizes.size());
    std::vector<int> order;
    for (int d = 0; d < n; d++) order.push_back(d);
    if (random.below(2)) std::swap(order[size_t(random.below(n))], order[size_t(random.below(n))]);
    layout.strides.resize(size_t(n));
    int64_t stride = random.below(4) ? 1 : 1 + random.below(3);
    for (int d : order) {
        bool broadcast = may_broadcast && random.below(4) == 0;
        int64_t signed_stride = !broadcast && random.below(8) == 0 ? -stride : stride;
        layout.strides[size_t(d)] = broadcast ? 0 : signed_stride;
        if (broadcast) continue;
        if (signed_stride < 0) layout.offset += stride * (sizes[size_t(d)] - 1);
        layout.span += stride * (std::max<int64_t>(sizes[size_t(d)], 1) - 1);
        stride = stride * sizes[size_t(d)] + (random.below(4) ? 0 : random.below(3));
    }
    return layout;
}

std::vector<int64_t> random_sizes(Random& random) {
    std::vector<int64_t> sizes;
    int n = 1 + int(random.below(4));
    int64_t total = 1;
    for (int d = 0; d < n; d++) {
        int64_t most = std::min<int64_t>(std::max<int64_t>(20000 / total, 1), d == 0 ? 5000 : 90);
        int64_t size =
            random.below(3) ? 1 + random.below(most) : 1 + random.below(std::min<int64_t>(most, 9));
        if (random.below(60) == 0) size = 0;
        sizes.push_back(size);
        total *= std::max<int64_t>(size, 1);
    }
    if (random.below(2)) std::reverse(sizes.begin(), sizes.end());
    return sizes;
}

struct LayoutCase {
    const k::Pointwise& slot;
    int inputs;
    double (*reference)(double, double, double);
    bool writes_bool = false;
    bool condition = false;  // the first input is bool
};

const LayoutCase kLayoutCases[] = {
    {k::copy, 1, [](double a, double, double) { return a; }},
    {k::add, 2, [](double a, double b, double) { return a + 2 * b; }},
    {k::mul, 2, [](double a, double b, double) { return a * b; }},
    {k::maximum, 2, [](double a, double b, double) { return std::fmax(a, b); }},
    {k::lt, 2, [](double a, double b, double) { return double(a < b); }, true},
    {k::where, 3, [](double c, double a, double b) { return c != 0 ? a : b; }, false, true},
    {k::addcmul, 3, [](double x, double a, double b) { return x + 2 * a * b; }},
    {k::relu, 1, [](double a, double, double) { return std::fmax(a, 0); }},
};

// Rounds to the dtype in which an operation computes; halves compute in float from halves.
double rounded(double x, DType dtype) {
    Array one(dtype, 1);
    one.set(0, is_integral(dtype) ? converted(x, DType::Float64, dtype) : x);
    return one[0];
}

void check_layout(Random& random, const LayoutCase& c) {
    std::vector<int64_t> sizes = random_sizes(random);
    DType compute = kRealDTypes[random.below(10)];
    if (!c.slot.serves(DeviceType::CPU, compute) || compute == DType::Bool)
        compute = DType::Float32;
    Plan plan;
    plan.ndim = int(sizes.size());
    plan.operands = c.inputs + 1;
    plan.outputs = 1;
    plan.compute = compute;
    plan.immediate[0] = number(int64_t(2));
    plan.numel = 1;
    for (int d = 0; d < plan.ndim; d++) plan.numel *= plan.sizes[d] = sizes[size_t(d)];
    std::vector<Array> memory;
    std::vector<Layout> layouts;
    for (int i = 0; i < plan.operands; i++) {
        DType dtype = random.below(2) ? compute : kRealDTypes[random.below(10)];
        if (i == 0 && is_integral(dtype) && dtype != compute) dtype = compute;
        if (i == 0 && c.writes_bool) dtype = DType::Bool;
        if (i == 1 && c.condition) dtype = DType::Bool;
        layouts.push_back(random_layout(random, sizes, i > 0));
        const Layout& layout = layouts.back();
        int64_t shift = random.below(3);
        memory.emplace_back(dtype, layout.span + 3, 77);
        Array& m = memory.back();
        for (int64_t j = 0; j < m.n; j++)
            m.set(j, dtype == DType::Bool ? double(random.below(2))
                     : is_floating(dtype) ? double(random.below(64)) / 8 - 4
                                          : double(random.below(9)));
        Plan::Operand& o = plan.operand[i];
        o.dtype = dtype;
        o.data = static_cast<char*>(m.data()) + (shift + layout.offset) * item_size(dtype);
        for (int d = 0; d < plan.ndim; d++)
            o.strides[d] = layout.strides[size_t(d)] * item_size(dtype);
    }
    // In place: the first input is the output.
    bool in_place = random.below(4) == 0 && !c.writes_bool && !c.condition && c.inputs > 1;
    if (in_place) {
        plan.operand[1] = plan.operand[0];
    }
    Array want = memory[0];
    Array before = memory[0];
    int64_t index[4] = {};
    for (int64_t i = 0; i < plan.numel; i++) {
        double in[3] = {};
        for (int j = 1; j < plan.operands; j++) {
            const char* base = plan.operand[j].data;
            if (in_place && j == 1)
                base = static_cast<char*>(before.data()) +
                       (base - static_cast<char*>(memory[0].data()));
            for (int d = 0; d < plan.ndim; d++) base += index[d] * plan.operand[j].strides[d];
            double x = get(base, plan.operand[j].dtype, 0);
            in[j - 1] = &c.slot == &k::copy || (c.condition && j == 1) ? x : rounded(x, compute);
        }
        double y = c.reference(in[0], in[1], in[2]);
        char* to = plan.operand[0].data;
        for (int d = 0; d < plan.ndim; d++) to += index[d] * plan.operand[0].strides[d];
        int64_t at = (to - static_cast<char*>(memory[0].data())) / item_size(want.dtype);
        DType out = want.dtype;
        if (&c.slot != &k::copy && !c.writes_bool && is_integral(compute)) y = rounded(y, compute);
        want.set(at, is_integral(out) ? converted(y, compute, out) : y);
        for (int d = 0; d < plan.ndim && ++index[d] == plan.sizes[d]; d++) index[d] = 0;
    }
    run(c.slot, plan);
    bool equal = memory[0] == want;
    if (!equal) {
        fprintf(stderr, "%s, compute %s, %d dims%s:", c.slot.name, dtype_name(compute), plan.ndim,
                in_place ? ", in place" : "");
        for (int i = 0; i < plan.operands; i++) {
            fprintf(stderr, " %s[", dtype_name(plan.operand[i].dtype));
            for (int d = 0; d < plan.ndim; d++)
                fprintf(stderr, "%ld:%ld ", long(plan.sizes[d]), long(plan.operand[i].strides[d]));
            fprintf(stderr, "]");
        }
        fprintf(stderr, "\n");
    }
    CHECK(equal);
}

void layouts() {
    on_every_level([] {
        Random random;
        for (int i = 0; i < 1500; i++) check_layout(random, kLayoutCases[random.below(8)]);
    });
}

void streamed_and_threaded() {
    int64_t kept = cpu::stream_threshold;
    int threads = get_num_threads();
    on_every_level([] {
        for (int64_t threshold : {int64_t(1), int64_t(1) << 40}) {
            cpu::stream_threshold = threshold;
            for (int n : {1, 2, 4}) {
                set_num_threads(n);
                Random random;
                for (int i = 0; i < 60; i++) check_layout(random, kLayoutCases[random.below(8)]);
                // Long rows at odd addresses.
                std::vector<float> a(200003), b(200003), sum(200003 + 5);
                for (size_t j = 0; j < a.size(); j++) a[j] = float(j % 1000), b[j] = float(j % 77);
                Plan plan = flat_plan(DType::Float32, 200003,
                                      {{sum.data() + 3, DType::Float32},
                                       {a.data(), DType::Float32},
                                       {b.data(), DType::Float32}},
                                      {number(int64_t(1))});
                run(k::add, plan);
                bool right = sum[2] == 0 && sum[200006] == 0;
                for (size_t j = 0; j < a.size(); j++) right = right && sum[j + 3] == a[j] + b[j];
                CHECK(right);
                plan.operands = 2;
                run(k::copy, plan);
                CHECK(memcmp(sum.data() + 3, a.data(), a.size() * 4) == 0);
            }
        }
    });
    cpu::stream_threshold = kept;
    set_num_threads(threads);
}

}  // namespace

int main() {
    RUN(conversions);
    RUN(halves);
    RUN(layouts);
    RUN(streamed_and_threaded);
    return summary();
}
