#include "core/system.h"

#include <sched.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>

namespace ember {

namespace {

constexpr int64_t kUnlimited = INT64_MAX;

// The first line of a file; empty when there is none.
std::string first_line(const std::string& path) {
    char line[512];
    std::string text;
    FILE* file = fopen(path.c_str(), "re");
    if (!file) return text;
    if (fgets(line, sizeof line, file)) text = line;
    fclose(file);
    return text;
}

int64_t parse_number(const std::string& text, int64_t otherwise) {
    char* end = nullptr;
    long long value = strtoll(text.c_str(), &end, 10);
    return end == text.c_str() ? otherwise : value;
}

// The value after `key` in a file of "key value" lines.
int64_t keyed_number(const std::string& path, const char* key, int64_t otherwise) {
    char line[256];
    FILE* file = fopen(path.c_str(), "re");
    if (!file) return otherwise;
    int64_t value = otherwise;
    size_t length = strlen(key);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, key, length) == 0) value = parse_number(line + length, otherwise);
    fclose(file);
    return value;
}

// Calls f(folder, version) for the control groups of this process that hold `controller` and all
// their parents: a limit anywhere above binds.
template <class F>
void for_each_cgroup(const char* controller, F&& f) {
    FILE* file = fopen("/proc/self/cgroup", "re");
    if (!file) return;
    char line[4096];
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char* names = strchr(line, ':');
        char* path = names ? strchr(names + 1, ':') : nullptr;
        if (!path) continue;
        *path++ = 0;
        names++;
        std::string listed = "," + std::string(names) + ",";
        bool unified = *names == 0;
        if (!unified && listed.find("," + std::string(controller) + ",") == std::string::npos)
            continue;
        std::string root = unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + std::string(controller);
        for (std::string folder = path;;) {
            f(folder == "/" ? root : root + folder, unified ? 2 : 1);
            size_t cut = folder.find_last_of('/');
            if (folder.size() <= 1 || cut == std::string::npos) break;
            folder.resize(std::max<size_t>(cut, 1));
        }
    }
    fclose(file);
}

int cpu_quota() {
    int64_t cores = kUnlimited;
    for_each_cgroup("cpu", [&](const std::string& folder, int version) {
        int64_t quota = -1, period = 0;
        if (version == 2) {
            std::string line = first_line(folder + "/cpu.max");  // "max 100000" or "150000 100000"
            quota = parse_number(line, -1);
            size_t space = line.find(' ');
            if (space != std::string::npos) period = parse_number(line.substr(space), 0);
        } else {
            quota = parse_number(first_line(folder + "/cpu.cfs_quota_us"), -1);
            period = parse_number(first_line(folder + "/cpu.cfs_period_us"), 0);
        }
        if (quota > 0 && period > 0) cores = std::min(cores, (quota + period - 1) / period);
    });
    return int(std::clamp<int64_t>(cores, 1, INT32_MAX));
}

// Cores, not hardware threads: two threads of one core share its vector units.
int allowed_cores() {
    // The mask may be longer than cpu_set_t on large machines.
    for (int cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
        cpu_set_t* set = CPU_ALLOC(size_t(cpus));
        if (!set) break;
        size_t bytes = CPU_ALLOC_SIZE(size_t(cpus));
        int count = 0;
        if (sched_getaffinity(0, bytes, set) == 0) {
            std::set<std::string> cores;
            for (int cpu = 0; cpu < cpus; cpu++) {
                if (!CPU_ISSET_S(size_t(cpu), bytes, set)) continue;
                std::string number = std::to_string(cpu);
                std::string siblings = first_line("/sys/devices/system/cpu/cpu" + number +
                                                  "/topology/thread_siblings_list");
                cores.insert(siblings.empty() ? number : siblings);
            }
            count = int(cores.size());
        }
        CPU_FREE(set);
        if (count > 0) return count;
    }
    return 1;
}

}  // namespace

int usable_cores() { return std::max(1, std::min(allowed_cores(), cpu_quota())); }

int64_t total_memory() {
    struct sysinfo info;
    int64_t total = kUnlimited;
    if (sysinfo(&info) == 0) total = int64_t(info.totalram + info.totalswap) * info.mem_unit;
    for_each_cgroup("memory", [&](const std::string& folder, int version) {
        const char* name = version == 2 ? "/memory.max" : "/memory.limit_in_bytes";
        int64_t limit = parse_number(first_line(folder + name), kUnlimited);
        if (limit > 0) total = std::min(total, limit);
    });
    return total;
}

int64_t available_memory() {
    int64_t ram = keyed_number("/proc/meminfo", "MemAvailable:", -1);
    int64_t swap = keyed_number("/proc/meminfo", "SwapFree:", 0);
    int64_t available = ram < 0 ? kUnlimited : (ram + swap) * 1024;
    for_each_cgroup("memory", [&](const std::string& folder, int version) {
        const char* limit_name = version == 2 ? "/memory.max" : "/memory.limit_in_bytes";
        const char* usage_name = version == 2 ? "/memory.current" : "/memory.usage_in_bytes";
        const char* cache_name = version == 2 ? "inactive_file " : "total_inactive_file ";
        int64_t limit = parse_number(first_line(folder + limit_name), kUnlimited);
        int64_t usage = parse_number(first_line(folder + usage_name), 0);
        if (limit == kUnlimited || limit <= 0) return;
        int64_t droppable = keyed_number(folder + "/memory.stat", cache_name, 0);
        available = std::min(available, std::max<int64_t>(0, limit - usage + droppable));
    });
    return available;
}

}  // namespace ember
