#include "ops/fourier_plan.h"

#include <cmath>
#include <cstring>
#include <map>
#include <mutex>
#include <tuple>

#include "ops/launch.h"

namespace ember::ops {

namespace {

using kernels::FourierPlan;
using Tables = std::shared_ptr<const FourierTables>;

constexpr int64_t kLargestRadix = 127;      // stages of larger primes cost more than a chirp
constexpr int64_t kLongestBlock = 1 << 13;  // of more items a line's block leaves the cache
constexpr int64_t kShortestSplit = 512;

struct Root {
    double re, im;
};

// e^(-2 pi i k / n), 0 <= k, by an angle of at most an eighth of a turn.
Root root(int64_t k, int64_t n) {
    k %= n;
    bool below = 2 * k > n;  // the conjugate of the mirror image
    if (below) k = n - k;
    bool left = 4 * k > n;
    double whole = double(n), at = double(left ? n - 2 * k : 2 * k);  // of half turns
    bool steep = 4 * at > whole;
    double angle = M_PI * (steep ? 0.5 - at / whole : at / whole);
    double c = steep ? std::sin(angle) : std::cos(angle);
    double s = steep ? std::cos(angle) : std::sin(angle);
    return {left ? -c : c, below ? s : -s};
}

template <class T>
struct Writer {
    std::vector<char>& bytes;
    void reserve(int64_t pairs) { bytes.reserve(size_t(pairs) * 2 * sizeof(T)); }
    void add(Root r) {
        T pair[2] = {T(r.re), T(r.im)};
        const char* from = reinterpret_cast<const char*>(pair);
        bytes.insert(bytes.end(), from, from + sizeof pair);
    }
};

int64_t largest_prime(int64_t n) {
    int64_t largest = 1;
    for (int64_t p = 2; p * p <= n; p++)
        for (; n % p == 0; n /= p) largest = p;
    return n > 1 ? n : largest;
}

// The divisor of n that is nearest to its root from below.
int64_t middle_divisor(int64_t n) {
    int64_t d = int64_t(std::sqrt(double(n)));
    while (n % d != 0) d--;
    return d;
}

template <class T>
void make_stages(FourierTables& t) {
    FourierPlan& plan = t.plan;
    int64_t left = plan.n;
    auto take = [&](int64_t r) {
        while (left % r == 0) plan.radix[plan.stages++] = int(r), left /= r;
    };
    for (int64_t r : {4, 2, 3, 5}) take(r);
    for (int64_t r = 7; left > 1; r += 2) take(r);
    Writer<T> w{t.table};
    int64_t pairs = 0;
    left = plan.n;
    for (int i = 0; i < plan.stages; left /= plan.radix[i++]) pairs += left + plan.radix[i];
    w.reserve(pairs);
    left = plan.n;
    for (int i = 0; i < plan.stages; i++) {
        int64_t r = plan.radix[i], m = left / r;
        for (int64_t p = 0; p < m; p++)
            for (int64_t k = 1; k < r; k++) w.add(root(p * k, left));
        for (int64_t k = 0; k < r; k++) w.add(root(k, r));
        left = m;
    }
}

template <class T>
void make_split(FourierTables& t, DType dtype) {
    int64_t rows = middle_divisor(t.plan.n), columns = t.plan.n / rows;
    t.first = fourier_tables(rows, dtype, false);
    t.second = fourier_tables(columns, dtype, false);
    Writer<T> w{t.table};
    w.reserve(t.plan.n);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) w.add(root(i * j, t.plan.n));
}

template <class T>
void make_chirp(FourierTables& t, DType dtype) {
    int64_t n = t.plan.n, length = 0;
    for (int64_t odd : {1, 3, 5, 9, 15}) {
        int64_t candidate = odd;
        while (candidate < 2 * n - 1) candidate *= 2;
        if (length == 0 || candidate < length) length = candidate;
    }
    t.first = fourier_tables(length, dtype, true);
    Writer<T> w{t.table};
    std::vector<Root> chirp(static_cast<size_t>(n));
    w.reserve(n);
    int64_t square = 0;  // j^2 modulo 2 n
    for (int64_t j = 0; j < n; j++) {
        w.add(chirp[size_t(j)] = root(square, 2 * n));
        square = (square + 2 * j + 1) % (2 * n);
    }
    Writer<T> f{t.filter};
    f.reserve(length);
    for (int64_t j = 0; j < length; j++) {
        int64_t distance = j < n ? j : length - j;
        Root c = distance < n ? chirp[size_t(distance)] : Root{0, 0};
        f.add({c.re, -c.im});
    }
    kernels::Fourier g;
    g.n = length;
    g.lines = 1;
    g.in = g.out = t.filter.data();
    g.factor = 1.0 / double(length);
    g.plan = &t.first->plan;
    g.dtype = dtype;
    launch(kernels::fourier, Device(), length * 50, g);
}

template <class T>
Tables make(int64_t n, DType dtype, bool alone) {
    auto t = std::make_shared<FourierTables>();
    t->plan.n = n;
    bool smooth = largest_prime(n) <= kLargestRadix;
    if (!smooth) {
        t->plan.way = FourierPlan::Way::Chirp;
        make_chirp<T>(*t, dtype);
    } else if (n > kLongestBlock || (alone && n >= kShortestSplit)) {
        t->plan.way = FourierPlan::Way::Split;
        make_split<T>(*t, dtype);
    } else {
        make_stages<T>(*t);
    }
    Writer<T> unit{t->unit};
    unit.reserve(n + 1);
    for (int64_t k = 0; k <= n; k++) unit.add(root(k, 2 * n));
    t->plan.table = t->table.data();
    t->plan.filter = t->filter.data();
    if (t->first) t->plan.first = &t->first->plan;
    if (t->second) t->plan.second = &t->second->plan;
    return t;
}

}  // namespace

Tables fourier_tables(int64_t n, DType dtype, bool alone) {
    constexpr size_t kRoom = 64 << 20;
    static std::mutex mutex;
    static auto& kept = *new std::map<std::tuple<int64_t, DType, bool>, Tables>();
    static size_t bytes = 0;
    std::tuple key(n, dtype, alone);
    {
        std::lock_guard lock(mutex);
        if (auto found = kept.find(key); found != kept.end()) return found->second;
    }
    Tables made =
        dtype == DType::Float64 ? make<double>(n, dtype, alone) : make<float>(n, dtype, alone);
    size_t size = made->table.size() + made->filter.size() + made->unit.size();
    if (size > kRoom) return made;
    std::lock_guard lock(mutex);
    if (bytes + size > kRoom) {
        kept.clear();
        bytes = 0;
    }
    if (kept.emplace(key, made).second) bytes += size;
    return made;
}

}  // namespace ember::ops
