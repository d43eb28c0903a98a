#include "core/error.h"

#include <cstdio>

#include "core/warn.h"

namespace ember {

void (*warn_user)(const char* text) = nullptr;

namespace {

std::string format_list(const char* fmt, va_list args) {
    char buffer[512];
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(buffer, sizeof buffer, fmt, args);
    std::string text;
    if (length < 0) {
        text = fmt;  // an encoding error: better the bare format than nothing
    } else if (size_t(length) < sizeof buffer) {
        text.assign(buffer, size_t(length));
    } else {
        text.resize(size_t(length));
        vsnprintf(text.data(), text.size() + 1, fmt, again);
    }
    va_end(again);
    return text;
}

}  // namespace

#define EMBER_RAISE_FORMATTED(kind)                  \
    va_list args;                                    \
    va_start(args, format);                          \
    std::string message = format_list(format, args); \
    va_end(args);                                    \
    throw Error(kind, message)

void raise(ErrorKind kind, const char* format, ...) { EMBER_RAISE_FORMATTED(kind); }
void raise(const char* format, ...) { EMBER_RAISE_FORMATTED(ErrorKind::Runtime); }
void raise_index(const char* format, ...) { EMBER_RAISE_FORMATTED(ErrorKind::Index); }
void raise_value(const char* format, ...) { EMBER_RAISE_FORMATTED(ErrorKind::Value); }
void raise_type(const char* format, ...) { EMBER_RAISE_FORMATTED(ErrorKind::Type); }

#undef EMBER_RAISE_FORMATTED

std::string format(const char* fmt, ...) {
    va_list args;
    va_start(args, fmt);
    std::string text = format_list(fmt, args);
    va_end(args);
    return text;
}

}  // namespace ember
