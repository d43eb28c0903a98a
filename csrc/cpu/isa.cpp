#include "cpu/isa.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace ember::cpu {

namespace {

constexpr const char* kNames[kIsaCount] = {"baseline", "avx2", "avx512", "bf16", "amx"};

#if defined(__x86_64__)

struct Registers {
    uint32_t a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
    Registers r;
    __get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d);
    return r;
}

bool has(uint64_t word, std::initializer_list<int> bits) {
    for (int bit : bits)
        if (!(word >> bit & 1)) return false;
    return true;
}

uint64_t saved_registers() {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return uint64_t(high) << 32 | low;
}

// Linux gives a process the 8 KiB of tile registers only when it asks.
bool permit_tiles() {
    constexpr long kRequestPermission = 0x1023, kTileData = 18;
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

Isa detect() {
    Registers one = cpuid(1, 0), seven = cpuid(7, 0), seven_one = cpuid(7, 1);
    constexpr int kOsxsave = 27, kAvx = 28, kFma = 12, kF16c = 29;
    if (!has(one.c, {kOsxsave, kAvx, kFma, kF16c})) return Isa::Baseline;
    uint64_t saved = saved_registers();
    constexpr int kBmi = 3, kAvx2 = 5, kBmi2 = 8;
    if (!has(saved, {1, 2}) || !has(seven.b, {kBmi, kAvx2, kBmi2})) return Isa::Baseline;
    constexpr int kF = 16, kDq = 17, kCd = 28, kBw = 30, kVl = 31;
    if (!has(saved, {5, 6, 7}) || !has(seven.b, {kF, kDq, kCd, kBw, kVl})) return Isa::Avx2;
    constexpr int kTileBf16 = 22, kTile = 24, kTileInt8 = 25, kAvx512Bf16 = 5, kVnni = 11;
    if (!has(seven_one.a, {kAvx512Bf16}) || !has(seven.c, {kVnni})) return Isa::Avx512;
#ifdef EMBER_AMX_EMULATED
    return Isa::Amx;
#endif
    if (!has(saved, {17, 18}) || !has(seven.d, {kTileBf16, kTile, kTileInt8}) || !permit_tiles())
        return Isa::Bf16;
    return Isa::Amx;
}

#else

Isa detect() { return Isa::Baseline; }

#endif

// What this process can use of it. sysconf counts the caches of all sockets, so the kernel is
// asked.
int64_t last_cache_bytes() {
    long kilobytes = 0;
    if (FILE* f = fopen("/sys/devices/system/cpu/cpu0/cache/index3/size", "re")) {
        if (fscanf(f, "%ldK", &kilobytes) != 1) kilobytes = 0;
        fclose(f);
    }
    return kilobytes > 0 ? int64_t(kilobytes) << 10 : 16 << 20;
}

}  // namespace

int64_t stream_threshold = last_cache_bytes() / 4 * 3;

const char* isa_name(Isa isa) { return kNames[int(isa)]; }

Isa detect_isa() {
    static const Isa isa = detect();
    return isa;
}

Isa choose_isa() {
    Isa available = detect_isa();
    const char* wanted = getenv("EMBER_ISA");
    if (wanted == nullptr || *wanted == 0) return available;
    for (int i = 0; i < kIsaCount; i++) {
        if (strcmp(wanted, kNames[i]) != 0) continue;
        if (i > int(available))
            raise_value("EMBER_ISA: this machine has levels up to %s, got '%s'",
                        isa_name(available), wanted);
        return Isa(i);
    }
    raise_value("EMBER_ISA: expected baseline, avx2, avx512, bf16 or amx, got '%s'", wanted);
}

}  // namespace ember::cpu
