#pragma once

#include "core/macros.h"

namespace ember {

// Python sets it: issues a UserWarning, which raises where the user asked for that.
extern EMBER_EXPORT void (*warn_user)(const char* text);

inline void warn(const char* text) {
    if (warn_user) warn_user(text);
}

}  // namespace ember
