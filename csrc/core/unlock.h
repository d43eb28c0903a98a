#pragma once

#include <cstdint>

#include "core/macros.h"

namespace ember {

// Python sets these: let the interpreter's lock go (returns a token, or null when this thread does
// not hold it) and take it again.
extern EMBER_EXPORT void* (*unlock_interpreter)();
extern EMBER_EXPORT void (*relock_interpreter)(void* token);

// Around a kernel: other Python threads run while it works, if its work is worth the switch.
class Unlocked {
public:
    static constexpr int64_t kWorthwhileNs = 50'000;
    EMBER_INLINE explicit Unlocked(int64_t estimated_ns) {
        if (EMBER_UNLIKELY(estimated_ns > kWorthwhileNs) && unlock_interpreter)
            token_ = unlock_interpreter();
    }
    EMBER_INLINE ~Unlocked() {
        if (EMBER_UNLIKELY(token_ != nullptr)) relock_interpreter(token_);
    }
    Unlocked(const Unlocked&) = delete;

private:
    void* token_ = nullptr;
};

}  // namespace ember
