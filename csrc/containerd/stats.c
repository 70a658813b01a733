#define _GNU_SOURCE
#include "cgroup.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A number of a file and the field that it is in a message: `key` is the first word of its line, or
 * NULL where the file is nothing but the number. */
struct number {
    const char *file, *key;
    unsigned field;
    unsigned factor; /* 0: 1 */
};

/* "max" is what has no limit. */
static bool parse(const char *text, uint64_t *value)
{
    char *end;
    *value = !strncmp(text, "max", 3) ? UINT64_MAX : strtoull(text, &end, 10);
    return !strncmp(text, "max", 3) || end != text;
}

static bool find(const char *content, const char *key, uint64_t *value)
{
    size_t size = key ? strlen(key) : 0;
    if (!key)
        return parse(content, value);
    while (content && *content) {
        if (!strncmp(content, key, size) && content[size] == ' ')
            return parse(content + size + 1, value);
        content = strchr(content, '\n');
        content = content ? content + 1 : NULL;
    }
    return false;
}

static struct span file_of(const char *directory, const char *name)
{
    char *path = xformat("%s/%s", directory, name);
    struct span content = read_file(path);
    free(path);
    return content;
}

/* The numbers of one file stand together in the table: it is read once. */
static void put_numbers(struct buf *out, const char *directory, const struct number *table,
                        size_t count)
{
    struct span content = {0};
    uint64_t value;

    for (size_t i = 0; i < count; i++) {
        if (!i || strcmp(table[i].file, table[i - 1].file)) {
            free(content.data);
            content = file_of(directory, table[i].file);
        }
        if (content.data && find(content.data, table[i].key, &value))
            put_uint(out, table[i].field, table[i].factor ? value * table[i].factor : value);
    }
    free(content.data);
}

/* The values of these names, each after `prefix`, as fields from `first` on. */
static void put_names(struct buf *out, struct span content, unsigned first, const char *prefix,
                      const char *names)
{
    char name[64];
    uint64_t value;

    for (; content.data && *names; first++, names += strspn(names, " ")) {
        int length = (int)strcspn(names, " ");
        snprintf(name, sizeof(name), "%s%.*s", prefix, length, names);
        if (find(content.data, name, &value))
            put_uint(out, first, value);
        names += length;
    }
}

#define PUT(out, directory, table) put_numbers(out, directory, table, COUNT(table))

static void put_message(struct buf *out, unsigned field, const char *directory,
                        const struct number *table, size_t count)
{
    size_t mark = put_begin(out, field);
    put_numbers(out, directory, table, count);
    put_end(out, mark);
}

#define PUT_MESSAGE(out, field, directory, table)                                                  \
    put_message(out, field, directory, table, COUNT(table))

/* -- v2 ------------------------------------------------------------------------------------------ */

static const struct number PIDS_2[] = {{"pids.current", NULL, 1, 0}, {"pids.max", NULL, 2, 0}};

static const struct number CPU_2[] = {
    {"cpu.stat", "usage_usec", 1, 0},   {"cpu.stat", "user_usec", 2, 0},
    {"cpu.stat", "system_usec", 3, 0},  {"cpu.stat", "nr_periods", 4, 0},
    {"cpu.stat", "nr_throttled", 5, 0}, {"cpu.stat", "throttled_usec", 6, 0},
    {"cpu.stat", "nr_bursts", 8, 0},    {"cpu.stat", "burst_usec", 9, 0},
};

/* Of memory.stat: fields 1 and up, 39 and up. */
static const char MEMORY_STAT_1[] =
    "anon file kernel_stack slab sock shmem file_mapped file_dirty file_writeback anon_thp "
    "inactive_anon active_anon inactive_file active_file unevictable slab_reclaimable "
    "slab_unreclaimable pgfault pgmajfault workingset_refault workingset_activate "
    "workingset_nodereclaim pgrefill pgscan pgsteal pgactivate pgdeactivate pglazyfree "
    "pglazyfreed thp_fault_alloc thp_collapse_alloc";
static const char MEMORY_STAT_39[] =
    "workingset_refault_anon workingset_refault_file workingset_activate_anon "
    "workingset_activate_file";

static const struct number MEMORY_2[] = {
    {"memory.current", NULL, 32, 0},      {"memory.max", NULL, 33, 0},
    {"memory.swap.current", NULL, 34, 0}, {"memory.swap.max", NULL, 35, 0},
    {"memory.peak", NULL, 36, 0},         {"memory.swap.peak", NULL, 37, 0},
};

static const struct number EVENTS_2[] = {
    {"memory.events", "low", 1, 0},      {"memory.events", "high", 2, 0},
    {"memory.events", "max", 3, 0},      {"memory.events", "oom", 4, 0},
    {"memory.events", "oom_kill", 5, 0}, {"memory.events", "oom_group_kill", 6, 0},
};

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=0", then the same of "full". */
static void put_pressure(struct buf *out, unsigned field, const char *directory, const char *file)
{
    struct span content = file_of(directory, file);
    char *rest = content.data, *line;
    size_t all, one;

    if (!content.data)
        return;
    all = put_begin(out, field);
    while ((line = strsep(&rest, "\n"))) {
        double average[3];
        unsigned long long total;
        char kind[5];
        if (sscanf(line, "%4s avg10=%lf avg60=%lf avg300=%lf total=%llu", kind, &average[0],
                   &average[1], &average[2], &total) != 5)
            continue;
        one = put_begin(out, *kind == 's' ? 1 : 2);
        for (unsigned i = 0; i < 3; i++)
            put_double(out, i + 1, average[i]);
        put_uint(out, 4, total);
        put_end(out, one);
    }
    put_end(out, all);
    free(content.data);
}

/* "MAJOR:MINOR rbytes=0 wbytes=0 rios=0 wios=0 ..." for each device. */
static void put_io_2(struct buf *out, const char *directory)
{
    static const char *const KEYS[] = {"rbytes=", "wbytes=", "rios=", "wios="};
    struct span content = file_of(directory, "io.stat");
    char *rest = content.data, *line;
    size_t all = put_begin(out, 6), one;

    while ((line = strsep(&rest, "\n"))) {
        unsigned major, minor;
        if (sscanf(line, "%u:%u", &major, &minor) != 2)
            continue;
        one = put_begin(out, 1);
        put_uint(out, 1, major);
        put_uint(out, 2, minor);
        for (unsigned i = 0; i < COUNT(KEYS); i++) {
            char *found = strstr(line, KEYS[i]);
            if (found)
                put_uint(out, 3 + i, strtoull(found + strlen(KEYS[i]), NULL, 10));
        }
        put_end(out, one);
    }
    put_pressure(out, 2, directory, "io.pressure");
    put_end(out, all);
    free(content.data);
}

/* For each size of huge pages that the kernel has: /sys/kernel/mm/hugepages/hugepages-2048kB. The
 * files of the cgroup have it as 2MB. */
static void put_hugetlb(struct buf *out, unsigned field, const char *directory,
                        const char *const files[3], const unsigned fields[4])
{
    static const char *const UNITS[] = {"KB", "MB", "GB"};
    DIR *sizes = opendir("/sys/kernel/mm/hugepages");
    struct dirent *entry;
    unsigned long size;
    char name[64], file[128];
    uint64_t value;

    while (sizes && (entry = readdir(sizes))) {
        size_t unit = 0, one;
        if (sscanf(entry->d_name, "hugepages-%lukB", &size) != 1)
            continue;
        for (; size % 1024 == 0 && unit + 1 < COUNT(UNITS); size /= 1024)
            unit++;
        snprintf(name, sizeof(name), "%lu%s", size, UNITS[unit]);
        one = put_begin(out, field);
        put_text(out, fields[3], name);
        for (int i = 0; i < 3; i++) {
            struct span content;
            snprintf(file, sizeof(file), "hugetlb.%s.%s", name, files[i]);
            content = file_of(directory, file);
            if (content.data && (parse(content.data, &value) && strncmp(content.data, "max ", 4)))
                put_uint(out, fields[i], value);
            else if (content.data && find(content.data, "max", &value)) /* hugetlb.*.events of v2 */
                put_uint(out, fields[i], value);
            free(content.data);
        }
        put_end(out, one);
    }
    if (sizes)
        closedir(sizes);
}

static void put_v2(struct buf *out, const char *directory)
{
    static const char *const FILES[] = {"current", "max", "events"};
    static const unsigned FIELDS[] = {1, 2, 4, 3};
    struct span stat = file_of(directory, "memory.stat");
    size_t mark;

    PUT_MESSAGE(out, 1, directory, PIDS_2);
    mark = put_begin(out, 2);
    PUT(out, directory, CPU_2);
    put_pressure(out, 7, directory, "cpu.pressure");
    put_end(out, mark);
    mark = put_begin(out, 4);
    put_names(out, stat, 1, "", MEMORY_STAT_1);
    put_names(out, stat, 39, "", MEMORY_STAT_39);
    free(stat.data);
    PUT(out, directory, MEMORY_2);
    put_pressure(out, 38, directory, "memory.pressure");
    put_end(out, mark);
    put_io_2(out, directory);
    put_hugetlb(out, 7, directory, FILES, FIELDS);
    PUT_MESSAGE(out, 8, directory, EVENTS_2);
}

/* -- v1 ------------------------------------------------------------------------------------------ */

static const struct number THROTTLE_1[] = {
    {"cpu.stat", "nr_periods", 1, 0},
    {"cpu.stat", "nr_throttled", 2, 0},
    {"cpu.stat", "throttled_time", 3, 0},
};

static const struct number OOM_1[] = {
    {"memory.oom_control", "oom_kill_disable", 1, 0},
    {"memory.oom_control", "under_oom", 2, 0},
    {"memory.oom_control", "oom_kill", 3, 0},
};

/* In the order of their fields, from 1 on; those with "total_" follow from 18 on. */
static const char MEMORY_1[] =
    "cache rss rss_huge mapped_file dirty writeback pgpgin pgpgout pgfault pgmajfault "
    "inactive_anon active_anon inactive_file active_file unevictable";

static const char *const ENTRIES_1[] = {"memory", "memory.memsw", "memory.kmem", "memory.kmem.tcp"};

static void put_memory_1(struct buf *out, const char *directory)
{
    static const char *const MEMBERS[] = {"limit_in_bytes", "usage_in_bytes", "max_usage_in_bytes",
                                          "failcnt"};
    struct span content = file_of(directory, "memory.stat");
    size_t all = put_begin(out, 4), one;
    char name[64];
    uint64_t value;

    put_names(out, content, 1, "", MEMORY_1);
    put_names(out, content, 16, "hierarchical_", "memory_limit memsw_limit");
    put_names(out, content, 18, "total_", MEMORY_1);
    free(content.data);
    for (unsigned i = 0; i < COUNT(ENTRIES_1); i++) {
        one = put_begin(out, 33 + i);
        for (unsigned j = 0; j < COUNT(MEMBERS); j++) {
            snprintf(name, sizeof(name), "%s.%s", ENTRIES_1[i], MEMBERS[j]);
            content = file_of(directory, name);
            if (content.data && parse(content.data, &value))
                put_uint(out, 1 + j, value);
            free(content.data);
        }
        put_end(out, one);
    }
    put_end(out, all);
    PUT_MESSAGE(out, 9, directory, OOM_1);
}

static void put_cpu_1(struct buf *out, const char *cpu, const char *cpuacct)
{
    long ticks = sysconf(_SC_CLK_TCK);
    unsigned tick = (unsigned)(1000000000 / (ticks > 0 ? ticks : 100));
    const struct number usage[] = {
        {"cpuacct.usage", NULL, 1, 0},
        {"cpuacct.stat", "system", 2, tick},
        {"cpuacct.stat", "user", 3, tick},
    };
    struct span content;
    char *rest, *word;
    uint64_t value;
    size_t all = put_begin(out, 3), one;

    if (cpuacct) {
        one = put_begin(out, 1);
        PUT(out, cpuacct, usage);
        content = file_of(cpuacct, "cpuacct.usage_percpu");
        rest = content.data;
        while ((word = strsep(&rest, " \n")))
            if (*word && parse(word, &value)) {
                char bytes[2] = {4 << 3, 0}; /* a zero counts, too: a processor's place */
                if (value)
                    put_uint(out, 4, value);
                else
                    buf_add(out, bytes, sizeof(bytes));
            }
        free(content.data);
        put_end(out, one);
    }
    if (cpu)
        PUT_MESSAGE(out, 2, cpu, THROTTLE_1);
    put_end(out, all);
}

/* "MAJOR:MINOR OPERATION VALUE" for each device. */
static void put_blkio_1(struct buf *out, const char *directory)
{
    static const char *const FILES[] = {"blkio.throttle.io_service_bytes_recursive",
                                        "blkio.throttle.io_serviced_recursive"};
    size_t all = put_begin(out, 5), one;

    for (unsigned i = 0; i < COUNT(FILES); i++) {
        struct span content = file_of(directory, FILES[i]);
        char *rest = content.data, *line;
        while ((line = strsep(&rest, "\n"))) {
            unsigned major, minor;
            char operation[16];
            unsigned long long value;
            if (sscanf(line, "%u:%u %15s %llu", &major, &minor, operation, &value) != 4)
                continue;
            one = put_begin(out, 1 + i);
            put_text(out, 1, operation);
            put_uint(out, 3, major);
            put_uint(out, 4, minor);
            put_uint(out, 5, value);
            put_end(out, one);
        }
        free(content.data);
    }
    put_end(out, all);
}

/* Without a limit there is none in the message, where v2 has the largest number. */
static void put_pids_1(struct buf *out, const char *directory)
{
    struct span limit = file_of(directory, "pids.max");
    bool limited = limit.data && strncmp(limit.data, "max", 3);

    put_message(out, 2, directory, PIDS_2, limited ? 2 : 1);
    free(limit.data);
}

static void put_v1(struct buf *out, const struct cgroup *cgroup)
{
    static const char *const FILES[] = {"usage_in_bytes", "max_usage_in_bytes", "failcnt"};
    static const unsigned FIELDS[] = {1, 2, 3, 4};
    if (cgroup->paths[PIDS])
        put_pids_1(out, cgroup->paths[PIDS]);
    put_cpu_1(out, cgroup->paths[CPU], cgroup->paths[CPUACCT]);
    if (cgroup->paths[MEMORY])
        put_memory_1(out, cgroup->paths[MEMORY]);
    if (cgroup->paths[BLKIO])
        put_blkio_1(out, cgroup->paths[BLKIO]);
    if (cgroup->paths[HUGETLB])
        put_hugetlb(out, 1, cgroup->paths[HUGETLB], FILES, FIELDS);
}

const char *cgroup_metrics(const struct cgroup *cgroup, struct buf *metrics)
{
    const char *any = cgroup->unified;

    for (int i = 0; i < CONTROLLERS && !any; i++)
        any = cgroup->paths[i];
    if (!any || access(any, F_OK) < 0)
        return NULL;
    if (cgroup->unified) {
        put_v2(metrics, cgroup->unified);
        return "io.containerd.cgroups.v2.Metrics";
    }
    put_v1(metrics, cgroup);
    return "io.containerd.cgroups.v1.Metrics";
}
