#include "kernel_test.h"
#include "kernels/formulas/scalar.h"
// The formulas find what they call for a plain double only where it is declared before.
#include "kernels/formulas/optim.h"
#include "kernels/optim.h"

using namespace ember;
using namespace ember::test;
using namespace ember::kernels;

namespace {

// Sizes of a list of parameters: empty ones, tails, more than one task's worth.
const std::vector<int64_t> kSizes = {0, 1, 5, 37, 0, 1000, 20000, 3};

using List = std::vector<Array>;

List random_list(DType dtype, Random& random) {
    List list;
    for (int64_t n : kSizes) {
        list.emplace_back(dtype, n);
        list.back().randomize(random);
    }
    return list;
}

List zero_list(DType dtype) {
    List list;
    for (int64_t n : kSizes) list.emplace_back(dtype, n);
    return list;
}

using Values = std::vector<std::vector<double>>;
Values values_of(const List& list) {
    Values values;
    for (const Array& a : list) {
        values.emplace_back();
        for (int64_t i = 0; i < a.n; i++) values.back().push_back(a[i]);
    }
    return values;
}

void check_close(const List& got, const Values& expected, DType dtype, int steps) {
    double compute = dtype == DType::Float64 ? 0x1p-53 : 0x1p-24;
    for (size_t k = 0; k < got.size(); k++) {
        for (int64_t i = 0; i < got[k].n; i++) {
            CHECK_CLOSE(got[k][i], expected[k][size_t(i)],
                        20 * steps * compute + 2 * steps * epsilon(dtype));
        }
    }
}

constexpr int kSteps = 3;

void check_sgd(const Sgd& a, DType dtype) {
    Random random;
    List params = random_list(dtype, random), buffers = zero_list(dtype);
    Values p = values_of(params), m = values_of(buffers);
    for (int step = 0; step < kSteps; step++) {
        List grads = random_list(dtype, random);
        std::vector<SgdItem> items;
        for (size_t k = 0; k < kSizes.size(); k++) {
            items.push_back({params[k].data(), grads[k].data(),
                             a.momentum != 0 ? buffers[k].data() : nullptr, kSizes[k], step == 0});
            for (size_t i = 0; i < p[k].size(); i++) {
                double g = grads[k][int64_t(i)] * (a.maximize ? -1 : 1) + a.weight_decay * p[k][i];
                if (a.momentum != 0) {
                    m[k][i] = step == 0 ? g : a.momentum * m[k][i] + (1 - a.dampening) * g;
                    g = a.nesterov ? g + a.momentum * m[k][i] : m[k][i];
                }
                p[k][i] -= a.lr * g;
            }
        }
        Context ctx;
        sgd(DeviceType::CPU, ctx, items.data(), int64_t(items.size()), dtype, a);
    }
    check_close(params, p, dtype, kSteps);
}

void test_sgd() {
    on_every_level([] {
        for (DType dtype : kFloatDTypes) {
            check_sgd({.lr = 0.1}, dtype);
            check_sgd({.lr = 0.1, .weight_decay = 0.01, .maximize = true}, dtype);
            check_sgd({.lr = 0.1, .momentum = 0.9}, dtype);
            check_sgd({.lr = 0.1, .momentum = 0.9, .dampening = 0.2, .weight_decay = 0.01}, dtype);
            check_sgd({.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true}, dtype);
        }
    });
}

void check_adam(const Adam& a, DType dtype, bool amsgrad) {
    Random random;
    List params = random_list(dtype, random), first = zero_list(dtype), second = zero_list(dtype),
         largest = zero_list(dtype);
    Values p = values_of(params), m = values_of(first), v = m, top = m;
    for (int step = 1; step <= kSteps; step++) {
        List grads = random_list(dtype, random);
        std::vector<AdamItem> items;
        double c1 = 1 - std::pow(a.beta1, step), c2 = 1 - std::pow(a.beta2, step);
        for (size_t k = 0; k < kSizes.size(); k++) {
            items.push_back({params[k].data(), grads[k].data(), first[k].data(), second[k].data(),
                             amsgrad ? largest[k].data() : nullptr, kSizes[k], double(step)});
            for (size_t i = 0; i < p[k].size(); i++) {
                double g = grads[k][int64_t(i)] * (a.maximize ? -1 : 1);
                if (a.decoupled) p[k][i] *= 1 - a.lr * a.weight_decay;
                if (!a.decoupled) g += a.weight_decay * p[k][i];
                m[k][i] = a.beta1 * m[k][i] + (1 - a.beta1) * g;
                v[k][i] = a.beta2 * v[k][i] + (1 - a.beta2) * g * g;
                double used = v[k][i];
                if (amsgrad) used = top[k][i] = std::fmax(top[k][i], v[k][i]);
                p[k][i] -= a.lr * (m[k][i] / c1) / (std::sqrt(used / c2) + a.eps);
            }
        }
        Context ctx;
        adam(DeviceType::CPU, ctx, items.data(), int64_t(items.size()), dtype, a);
    }
    check_close(params, p, dtype, kSteps);
    check_close(first, m, dtype, kSteps);
    check_close(second, v, dtype, kSteps);
}

void test_adam() {
    on_every_level([] {
        Adam a{.lr = 0.01, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
        for (DType dtype : {DType::BFloat16, DType::Float32, DType::Float64}) {
            check_adam(a, dtype, false);
            check_adam(a, dtype, true);
            Adam decayed = a;
            decayed.weight_decay = 0.1;
            check_adam(decayed, dtype, false);
            decayed.decoupled = true;
            check_adam(decayed, dtype, true);
            decayed.maximize = true;
            check_adam(decayed, dtype, false);
        }
    });
}

using Formula = void (*)(double&, double, double*, const double*);

// A step of one rule against its formula in float64.
void check_rule(const RuleSlot& slot, Formula formula, int states,
                const std::vector<double>& numbers, const RuleOptions& a, DType dtype) {
    Random random;
    List params = random_list(dtype, random), grads = random_list(dtype, random);
    std::vector<List> held;
    for (int s = 0; s < states; s++) {
        held.push_back(random_list(dtype, random));
        // The first state bounds the others' squares, as averages of squares do.
        for (Array& x : held.back())
            for (int64_t i = 0; i < x.n; i++) x.set(i, (s == 0 ? 2 : 0.5) + 0.25 * std::fabs(x[i]));
    }
    Values p = values_of(params);
    std::vector<Values> h;
    for (const List& list : held) h.push_back(values_of(list));
    std::vector<RuleItem> items;
    for (size_t k = 0; k < kSizes.size(); k++) {
        RuleItem item{params[k].data(), grads[k].data(), {}, kSizes[k], {}};
        for (size_t s = 0; s < held.size(); s++) item.states[s] = held[s][k].data();
        std::copy(numbers.begin(), numbers.end(), item.numbers);
        items.push_back(item);
        for (size_t i = 0; i < p[k].size(); i++) {
            double g = grads[k][int64_t(i)] * (a.maximize ? -1 : 1) + a.weight_decay * p[k][i];
            double s[3] = {};
            for (size_t j = 0; j < held.size(); j++) s[j] = h[j][k][i];
            p[k][i] *= a.keep;
            formula(p[k][i], g, s, numbers.data());
            for (size_t j = 0; j < held.size(); j++) h[j][k][i] = s[j];
        }
    }
    Context ctx;
    slot(DeviceType::CPU, ctx, items.data(), int64_t(items.size()), dtype, a);
    check_close(params, p, dtype, 2);
    for (size_t s = 0; s < held.size(); s++) check_close(held[s], h[s], dtype, 2);
}

void test_rules() {
    struct Row {
        const RuleSlot& slot;
        Formula formula;
        int states;
        std::vector<double> numbers;
    };
#define ROW(name) name, formulas::name<double>
    static const Row rows[] = {
        {ROW(adadelta), 2, {0.5, 0.9, 0.1, 0.01}},
        {ROW(adagrad), 1, {0.1, 0.01}},
        {ROW(adamax), 2, {0.1, 0.1, 0.99, 0.01}},
        {ROW(asgd), 1, {0.1, 0.99, 1}},
        {ROW(asgd), 1, {0.1, 0.99, 0.25}},
        {ROW(nadam), 2, {0.1, 0.2, 0.1, 0.99, 0.01, 0.3, 0.01}},
        {ROW(radam), 2, {0.1, 0.7, 0.1, 0.99, 0.01, 0.01}},
        {ROW(radam), 2, {0.1, 0, 0.1, 0.99, 0.01, 0.01}},
        {ROW(rmsprop), 1, {0.1, 0.9, 0.1, 0.01}},
        {ROW(rmsprop_momentum), 2, {0.1, 0.9, 0.1, 0.01, 0.5}},
        {ROW(rmsprop_centered), 2, {0.1, 0.9, 0.1, 0.01}},
        {ROW(rmsprop_centered_momentum), 3, {0.1, 0.9, 0.1, 0.01, 0.5}},
        {ROW(rprop), 2, {0.5, 1.2, 0.3, 0.8}},
    };
#undef ROW
    on_every_level([] {
        for (DType dtype : kFloatDTypes) {
            for (const Row& row : rows) {
                for (const RuleOptions& a : {RuleOptions{}, RuleOptions{.1, .9, true}})
                    check_rule(row.slot, row.formula, row.states, row.numbers, a, dtype);
            }
        }
    });
}

std::vector<ListItem> items_of(List& list) {
    std::vector<ListItem> items;
    for (Array& a : list) items.push_back({a.data(), a.n});
    return items;
}

void test_lists() {
    on_every_level([] {
        Random random;
        for (DType dtype : kFloatDTypes) {
            List list = random_list(dtype, random);
            std::vector<ListItem> items = items_of(list);
            double squares = 0, top = 0, got;
            for (const Array& a : list) {
                for (int64_t i = 0; i < a.n; i++) {
                    squares += a[i] * a[i];
                    top = std::fmax(top, std::fabs(a[i]));
                }
            }
            Context ctx;
            int64_t count = int64_t(items.size());
            list_norm(DeviceType::CPU, ctx, items.data(), count, dtype, 2, &got);
            CHECK_CLOSE(got, std::sqrt(squares), 1e-13);
            list_norm(DeviceType::CPU, ctx, items.data(), count, dtype, INFINITY, &got);
            CHECK(got == top);
            list_norm(DeviceType::CPU, ctx, items.data(), 0, dtype, 2, &got);
            CHECK(got == 0);

            List scaled = list;
            items = items_of(scaled);
            list_scale(DeviceType::CPU, ctx, items.data(), count, dtype, 0.3);
            for (size_t k = 0; k < list.size(); k++) {
                for (int64_t i = 0; i < list[k].n; i++) {
                    CHECK_CLOSE(scaled[k][i], 0.3 * list[k][i], 1e-7 + epsilon(dtype));
                }
            }
            scaled[6].set(19999, NAN);
            for (double p : {2.0, double(INFINITY)}) {
                list_norm(DeviceType::CPU, ctx, items.data(), count, dtype, p, &got);
                CHECK(got != got);
            }
            list_zero(DeviceType::CPU, ctx, items.data(), count, dtype);
            for (const Array& a : scaled) {
                for (int64_t i = 0; i < a.n; i++) CHECK(a[i] == 0);
            }
        }
        // Squares that float32 could not hold.
        float big[3] = {3e30f, 0, 4e30f};
        ListItem item{big, 3};
        double got;
        Context ctx;
        list_norm(DeviceType::CPU, ctx, &item, 1, DType::Float32, 2, &got);
        CHECK_CLOSE(got, 5e30, 1e-6);
    });
}

}  // namespace

int main() {
    RUN(test_sgd);
    RUN(test_adam);
    RUN(test_rules);
    RUN(test_lists);
    return summary();
}
