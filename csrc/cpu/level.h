#pragma once

// The instruction-set level a level file is compiled for: EMBER_LEVEL names it (and its namespace),
// EMBER_LEVEL_NUMBER orders it. The vector width follows the compiler's flags.
#ifndef EMBER_LEVEL
#error "level files are compiled once per level, with -DEMBER_LEVEL=baseline|avx2|avx512|bf16|amx"
#endif

#define EMBER_LEVEL_IS_baseline 0
#define EMBER_LEVEL_IS_avx2 1
#define EMBER_LEVEL_IS_avx512 2
#define EMBER_LEVEL_IS_bf16 3
#define EMBER_LEVEL_IS_amx 4
#define EMBER_LEVEL_PASTE(level) EMBER_LEVEL_IS_##level
#define EMBER_LEVEL_EXPAND(level) EMBER_LEVEL_PASTE(level)
#define EMBER_LEVEL_NUMBER EMBER_LEVEL_EXPAND(EMBER_LEVEL)

#if defined(__AVX512F__)
#define EMBER_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define EMBER_VECTOR_BYTES 32
#else
#define EMBER_VECTOR_BYTES 16
#endif
