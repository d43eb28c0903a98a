#pragma once

#include <cstring>
#include <vector>

#include "core/table.h"

// The register functions of one family of kernels, at each level that this processor runs.
#define EMBER_FAMILY(level, family)          \
    namespace ember::cpu::level {            \
    void register_##family(ember::Table&);   \
    }
#include "cpu_families.inc"
#undef EMBER_FAMILY

struct KernelLevel {
    const char* name;
    void (*register_family)(ember::Table&);
};

inline bool processor_runs(const char* level) {
    if (!std::strcmp(level, "baseline")) return true;
#if defined(__x86_64__)
    if (!std::strcmp(level, "avx2"))
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (!std::strcmp(level, "avx512"))
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
    return false;
}

inline std::vector<KernelLevel> kernel_levels(const char* family) {
    struct Entry {
        const char *level, *family;
        void (*register_family)(ember::Table&);
    };
    static const Entry entries[] = {
#define EMBER_FAMILY(level, family) {#level, #family, ember::cpu::level::register_##family},
#include "cpu_families.inc"
#undef EMBER_FAMILY
    };
    std::vector<KernelLevel> result;
    for (const Entry& e : entries)
        if (!std::strcmp(e.family, family) && processor_runs(e.level))
            result.push_back({e.level, e.register_family});
    return result;
}
