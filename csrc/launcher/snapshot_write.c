/* Writes the snapshot that snapshot.h describes, of the process that calls it. */
#include "snapshot_write.h"

#include "snapshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)

#include <asm/prctl.h>
#include <sys/syscall.h>

#define ZEROS_WORTH_IT (16 * SNAPSHOT_PAGE) /* for a mapping of their own */
#define READABLE 1

static struct snapshot header = { .magic = SNAPSHOT_MAGIC, .size = sizeof(header) };
static uint64_t file_end;
static char maps[65536];

struct mapping {
    uint64_t start, end;
    unsigned long inode;
    int protection, shared;
    char path[sizeof(header.file[0].path)];
};

static const char *add_file(const struct mapping *m)
{
    struct stat status;
    for (uint32_t i = 0; i < header.files; i++)
        if (!strcmp(header.file[i].path, m->path))
            return NULL;
    if (header.files == SNAPSHOT_FILES)
        return "too many files";
    if (stat(m->path, &status) || status.st_ino != m->inode)
        return "a file has gone";
    struct snapshot_file *file = &header.file[header.files++];
    file->size = (uint64_t)status.st_size;
    file->changed = status.st_mtim.tv_sec;
    file->changed_ns = status.st_mtim.tv_nsec;
    strcpy(file->path, m->path);
    return NULL;
}

static const char *add_segment(uint64_t start, uint64_t end, int protection, int zeros)
{
    struct snapshot_segment *last = &header.segment[header.segments - 1];
    if (header.segments && last->address + last->length == start && (last->offset == 0) == zeros &&
        last->protection == (uint64_t)protection) {
        last->length += end - start;
    } else {
        if (header.segments == SNAPSHOT_SEGMENTS)
            return "too many mappings";
        header.segment[header.segments++] = (struct snapshot_segment){
            start, end - start, zeros ? 0 : file_end, (uint64_t)protection
        };
    }
    if (!zeros)
        file_end += end - start;
    return NULL;
}

static int is_zero(uint64_t page)
{
    const uint64_t *word = (const uint64_t *)page;
    for (size_t i = 0; i < SNAPSHOT_PAGE / sizeof(*word); i++)
        if (word[i])
            return 0;
    return 1;
}

/* Long runs of zeros in ordinary memory stay out of the file. */
static const char *add_memory(const struct mapping *m)
{
    uint64_t data = m->start, at = m->start;
    const char *error = NULL;
    while (at < m->end && !error) {
        uint64_t zeros = at;
        while (zeros < m->end && is_zero(zeros))
            zeros += SNAPSHOT_PAGE;
        if (zeros - at >= ZEROS_WORTH_IT) {
            if (data < at)
                error = add_segment(data, at, m->protection, 0);
            if (!error)
                error = add_segment(at, zeros, m->protection, 1);
            data = at = zeros;
        } else {
            at = zeros < m->end ? zeros + SNAPSHOT_PAGE : zeros;
        }
    }
    return error || data == m->end ? error : add_segment(data, m->end, m->protection, 0);
}

static int parse(const char *line, struct mapping *m)
{
    char access[5];
    m->path[0] = 0;
    if (sscanf(line, "%lx-%lx %4s %*x %*x:%*x %lu %127[^\n]", &m->start, &m->end, access,
               &m->inode, m->path) < 4)
        return -1;
    m->protection = (access[0] == 'r') | (access[1] == 'w') << 1 | (access[2] == 'x') << 2;
    m->shared = access[3] == 's';
    return 0;
}

/* The kernel's own mappings, and those of the program that has started us. */
static int is_ours(const struct mapping *m, const char *starter)
{
    return m->protection & READABLE && m->path[0] != '[' && strcmp(m->path, starter);
}

static const char *collect(char **argv)
{
    char starter[128] = "";
    struct mapping m;
    const char *error = NULL;
    if (readlink("/proc/self/exe", starter, sizeof(starter) - 1) < 0)
        return "no /proc";
    for (char *line = maps; line && *line && !error; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!*line || parse(line, &m))
            continue;
        if (!is_ours(&m, starter))
            continue;
        if (m.shared)
            return "shared memory";
        if (m.inode && (error = add_file(&m)))
            return error;
        /* Of our stack only what main was given: the rest is of calls that nobody returns to. */
        if (m.start <= (uint64_t)&m && (uint64_t)&m < m.end)
            m.start = ((uint64_t)argv - 64) & ~(SNAPSHOT_PAGE - 1UL);
        error = m.inode ? add_segment(m.start, m.end, m.protection, 0) : add_memory(&m);
    }
    return error;
}

static int read_maps(void)
{
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    size_t size = 0;
    ssize_t got;
    if (fd < 0)
        return -1;
    while ((got = read(fd, maps + size, sizeof(maps) - 1 - size)) > 0)
        size += (size_t)got;
    close(fd);
    return got < 0 || size == sizeof(maps) - 1 ? -1 : 0;
}

static int write_all(int fd, uint64_t from, uint64_t length)
{
    while (length) {
        ssize_t put = write(fd, (const void *)from, length);
        if (put <= 0)
            return -1;
        from += (uint64_t)put;
        length -= (uint64_t)put;
    }
    return 0;
}

static const char *write_out(const char *path)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0)
        return "the file cannot be made";
    header.pages = (uint32_t)(file_end / SNAPSHOT_PAGE);
    int bad = write_all(fd, (uint64_t)&header, sizeof(header));
    bad |= lseek(fd, 2 * SNAPSHOT_PAGE, SEEK_SET) < 0;
    for (uint32_t i = 0; i < header.segments && !bad; i++)
        if (header.segment[i].offset)
            bad = write_all(fd, header.segment[i].address, header.segment[i].length);
    return bad | close(fd) ? "the file cannot be written" : NULL;
}

const char *snapshot_write(const char *path, char **argv, snapshot_resume resume)
{
    _Static_assert(sizeof(header) <= 2 * SNAPSHOT_PAGE, "the header's room");
    const char *error;
    if (getauxval(AT_SYSINFO_EHDR))
        return "it has to be started by bare_start";
    if (syscall(SYS_arch_prctl, ARCH_GET_FS, &header.thread) ||
        prctl(PR_GET_TID_ADDRESS, &header.thread_id, 0, 0, 0))
        return "the kernel does not say where the thread's id is";
    header.resume = (uint64_t)resume;
    snapshot_processor(header.processor);
    file_end = 2 * SNAPSHOT_PAGE;
    if (read_maps())
        return "no /proc";
    error = collect(argv);
    return error ? error : write_out(path);
}

#else

const char *snapshot_write(const char *path, char **argv, snapshot_resume resume)
{
    (void)path;
    (void)argv;
    (void)resume;
    return "not for this processor";
}

#endif
