#include "kernels/cross.h"

#include "core/parallel.h"
#include "cpu/level.h"
#include "cpu/sizes.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Cross;

template <class T>
void cross_all(const Cross& g) {
    const int64_t n = g.inner, each = 9 * n * int64_t(sizeof(T));
    parallel_for(g.outer, clamp_to(kGrainBytes / each, 1, 1 << 20),
                 [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; i++) {
                         const T* __restrict a = static_cast<const T*>(g.a) + i * 3 * n;
                         const T* __restrict b = static_cast<const T*>(g.b) + i * 3 * n;
                         T* __restrict c = static_cast<T*>(g.result) + i * 3 * n;
                         for (int64_t j = 0; j < n; j++) {
                             c[j] = a[n + j] * b[2 * n + j] - a[2 * n + j] * b[n + j];
                             c[n + j] = a[2 * n + j] * b[j] - a[j] * b[2 * n + j];
                             c[2 * n + j] = a[j] * b[n + j] - a[n + j] * b[j];
                         }
                     }
                 });
}

void cross(Context&, const Cross& g) {
    dispatch<float, double>(g.dtype, [&](auto tag) { cross_all<typename decltype(tag)::type>(g); });
}

}  // namespace

void register_cross(Table& table) { table.set(kernels::cross, cross, kFloats); }

}  // namespace ember::cpu::EMBER_LEVEL
