#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/macros.h"

// What ran, when and where: while recording, every operation, backward node and range of the user's
// leaves an event. Off, it costs the test of one flag.
namespace ember::profiler {

enum class Kind : uint8_t { Operation, Backward, User };

// What is known of an event before it begins.
struct Description {
    std::string name;
    Kind kind = Kind::Operation;
    int64_t sequence = -1;  // of the node, or the first node, that the event runs or makes
    std::string shapes{}, stack{}, module{};
};

struct Event : Description {
    int64_t begin = 0, end = -1;  // nanoseconds of a clock that only goes forward
    int64_t thread = 0;           // as the system counts them
    int depth = 0;                // of what the thread had open; events stand in order of begin
    int64_t bytes = 0;            // CPU memory taken less memory given back
};

namespace detail {
extern EMBER_EXPORT bool recording;
}
inline bool recording() { return __atomic_load_n(&detail::recording, __ATOMIC_RELAXED); }

EMBER_EXPORT int64_t now();
// Forgets all events and begins to record; `memory`: with what they take.
EMBER_EXPORT void start(bool memory);
// Events that are open end now.
EMBER_EXPORT std::vector<Event> stop();

// Opens an event of this thread; the number closes it, in this recording or after it. -1 when
// nothing is recorded.
EMBER_EXPORT int64_t open(Description description);
// `sequence`: as for Description, where it is known only now.
EMBER_EXPORT void close(int64_t event, int64_t sequence = -1);

// An event as long as the object lives, from a call of begin on.
class Range {
public:
    Range() = default;
    Range(const Range&) = delete;
    ~Range() {
        if (EMBER_UNLIKELY(event_ >= 0)) close(event_);
    }
    void begin(Description description) { event_ = open(std::move(description)); }

private:
    int64_t event_ = -1;
};

}  // namespace ember::profiler
