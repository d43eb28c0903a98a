#include "core/backend.h"
#include "core/table.h"
#include "cpu/isa.h"

// The build lists what to register, lowest level first: EMBER_FAMILY(avx2, softmax). A higher level
// replaces what a lower one set.
#define EMBER_FAMILY(level, family) \
    namespace cpu::level {          \
    void register_##family(Table&); \
    }
namespace ember {
#include "cpu_families.inc"
}
#undef EMBER_FAMILY

namespace ember {

namespace {

namespace level_of {
constexpr cpu::Isa baseline = cpu::Isa::Baseline, avx2 = cpu::Isa::Avx2, avx512 = cpu::Isa::Avx512,
                   bf16 = cpu::Isa::Bf16, amx = cpu::Isa::Amx;
}

const char* load() {
    cpu::Isa isa = cpu::choose_isa();
    Table table{DeviceType::CPU};
#define EMBER_FAMILY(level, family) \
    if (level_of::level <= isa) cpu::level::register_##family(table);
#include "cpu_families.inc"
#undef EMBER_FAMILY
    return cpu::isa_name(isa);
}

}  // namespace

const char* load_cpu_kernels() {
    static const char* const name = load();
    return name;
}

}  // namespace ember
