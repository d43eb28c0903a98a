#pragma once

#include <cstdarg>
#include <stdexcept>
#include <string>

#include "core/macros.h"

namespace ember {

// The Python exception an error becomes.
enum class ErrorKind {
    Runtime,
    Type,
    Value,
    Index,
    NotImplemented,
    OutOfMemory,
    Overflow,
    Buffer,
    LinAlg
};

class EMBER_EXPORT Error : public std::runtime_error {
public:
    Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind(kind) {}
    ErrorKind kind;
};

// printf-style. Every message names the operation, what was expected and what came.
[[noreturn]] EMBER_EXPORT void raise(ErrorKind kind, const char* format, ...)
    __attribute__((format(printf, 2, 3), cold));
[[noreturn]] EMBER_EXPORT void raise(const char* format, ...)
    __attribute__((format(printf, 1, 2), cold));  // RuntimeError
[[noreturn]] EMBER_EXPORT void raise_index(const char* format, ...)
    __attribute__((format(printf, 1, 2), cold));
[[noreturn]] EMBER_EXPORT void raise_value(const char* format, ...)
    __attribute__((format(printf, 1, 2), cold));
[[noreturn]] EMBER_EXPORT void raise_type(const char* format, ...)
    __attribute__((format(printf, 1, 2), cold));
EMBER_EXPORT std::string format(const char* fmt, ...) __attribute__((format(printf, 1, 2)));

}  // namespace ember

// EMBER_CHECK(k > 0, "topk: k must be positive, got %ld", k) raises RuntimeError.
#define EMBER_CHECK(condition, ...)                                    \
    do {                                                               \
        if (EMBER_UNLIKELY(!(condition))) ::ember::raise(__VA_ARGS__); \
    } while (0)
