#pragma once

#include <atomic>
#include <cstdio>
#include <exception>

// The smallest test harness that does: CHECK counts, RUN names a function, summary() ends main.
inline std::atomic<int> checks_done{0}, checks_failed{0};

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        checks_done++;                                                                     \
        if (!(condition)) {                                                                \
            checks_failed++;                                                               \
            std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
        }                                                                                  \
    } while (0)

// The statement must raise an ember::Error of this kind.
#define CHECK_RAISES(expected, statement)                      \
    do {                                                       \
        bool raised = false;                                   \
        try {                                                  \
            statement;                                         \
        } catch (const ember::Error& error) {                  \
            raised = error.kind == ember::ErrorKind::expected; \
        }                                                      \
        CHECK(raised);                                         \
    } while (0)

inline void run_test(const char* name, void (*test)()) {
    int before = checks_failed;
    try {
        test();
    } catch (const std::exception& error) {
        checks_failed++;
        std::fprintf(stderr, "%s: unexpected exception: %s\n", name, error.what());
    }
    std::printf("%-40s %s\n", name, checks_failed == before ? "ok" : "FAILED");
    std::fflush(stdout);
}
#define RUN(test) run_test(#test, test)

inline int summary() {
    std::printf("%d checks, %d failed\n", checks_done.load(), checks_failed.load());
    return checks_failed ? 1 : 0;
}
