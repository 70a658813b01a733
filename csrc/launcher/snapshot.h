/* A snapshot: the memory of an interpreter that has started and imported the hot path.
 *
 * Written once, when the command is built or installed (snapshot_write.c); mapped copy-on-write by
 * every later start (front_snapshot.c), which then jumps to `resume` on its own stack. What an
 * ordinary start spends on the dynamic loader, on Python's types, on reading code and on making
 * modules has then been spent before.
 *
 * Nothing of the machine may be in it but the processor and the files it names: if those are not
 * the same any more, or an address is taken, the front starts the interpreter as ever.
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include <stdint.h>

#define SNAPSHOT_MAGIC "pycsnap1"
#define SNAPSHOT_PAGE 4096
#define SNAPSHOT_FILES 12
#define SNAPSHOT_SEGMENTS 100

/* One mapping: `length` bytes at `address`, from `offset` of the file, or zeros when it is 0. */
struct snapshot_segment {
    uint64_t address, length, offset;
    uint64_t protection; /* PROT_* */
};

/* What was mapped from a file is valid as long as the file is the same. */
struct snapshot_file {
    uint64_t size;
    int64_t changed, changed_ns; /* time of the last change of its content */
    char path[128];
};

struct snapshot {
    char magic[8];
    uint32_t size; /* of this header */
    uint32_t segments, files;
    uint32_t pages; /* of the whole file */
    uint32_t processor[8]; /* what cpuid says it can do */
    uint64_t thread;       /* the thread's own data: the fs register */
    uint64_t thread_id;    /* where in there the C library keeps the thread's id */
    uint64_t resume;       /* _Noreturn void (int argc, char **argv, char **environment) */
    struct snapshot_file file[SNAPSHOT_FILES];
    struct snapshot_segment segment[SNAPSHOT_SEGMENTS];
};

#if defined(__x86_64__)
#include <cpuid.h>

/* What decides which variants of its functions the C library has chosen. */
static inline void snapshot_processor(uint32_t out[8])
{
    uint32_t ignored;
    __cpuid(1, out[0], ignored, out[1], out[2]);
    __cpuid_count(7, 0, out[3], out[4], out[5], out[6]);
    out[7] = 0;
    (void)ignored;
}
#endif

#endif
