/* A snapshot: an ELF executable whose segments are the memory of a Python interpreter that has
 * started and imported pycontainer, and whose entry is entry.c.
 *
 * Made once, at installation, by pycontainer/snapshot/make.py: starter.c starts the interpreter,
 * pycontainer/snapshot/preload.py imports the modules and waits in shim_snapshot_wait; make.py reads
 * its memory from outside, and writes the file. The kernel maps it at each start, copy-on-write.
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include <stdint.h>

#define SNAPSHOT_MAGIC "pycsnap"
#define SNAPSHOT_FEATURES 12
#define SNAPSHOT_GROUPS 2   /* of commands: create and run; exec (snapshot/rehearsal.py) */
#define SNAPSHOT_RANGES 512 /* of pages, for each of them */

/* What entry.c needs to know. make.py finds it in entry.bin by its magic, and fills it. */
struct snapshot {
    char magic[8];
    uint64_t resume;    /* void (char **argv, char **environment), which never returns */
    uint64_t stack;     /* the free part of the interpreter's own stack ends here */
    uint64_t thread;    /* the thread pointer */
    uint64_t thread_id; /* where the C library keeps the thread's id */
    uint64_t canary;    /* where compilers expect the stack protector's value */
    uint64_t pages;     /* uint64_t [SNAPSHOT_GROUPS][SNAPSHOT_RANGES], see shim/snapshot.c */
    uint64_t features[SNAPSHOT_FEATURES]; /* of the processor */
    char ordinary[512];                   /* the command to execute on any other processor */
};

/* Whatever decides which variants of its functions the C library has chosen. */
#if defined(__x86_64__)
#include <cpuid.h>

static inline void snapshot_features(uint64_t out[SNAPSHOT_FEATURES], uint64_t hwcap,
                                     uint64_t hwcap2)
{
    static const struct {
        uint32_t leaf, subleaf, registers; /* which of eax, ebx, ecx, edx; not those of one core */
    } asked[] = {
        {1, 0, 0xc}, {7, 0, 0xe}, {7, 1, 0x1}, {0xd, 0, 0xb}, {0xd, 1, 0x1}, {0x80000001, 0, 0xc},
    };
    uint32_t got[4], low, high;
    int at = 0;
    for (unsigned i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        __cpuid_count(asked[i].leaf, asked[i].subleaf, got[0], got[1], got[2], got[3]);
        for (int r = 0; r < 4; r++)
            if (asked[i].registers >> r & 1)
                out[at / 2] |= (uint64_t)got[r] << (at % 2 * 32), at++;
    }
    /* What of it the kernel has switched on: XCR0. */
    if (out[0] >> 27 & 1) {
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        out[SNAPSHOT_FEATURES - 1] = (uint64_t)high << 32 | low;
    }
    (void)hwcap;
    (void)hwcap2;
}
#else
static inline void snapshot_features(uint64_t out[SNAPSHOT_FEATURES], uint64_t hwcap,
                                     uint64_t hwcap2)
{
    out[0] = hwcap;
    out[1] = hwcap2;
    __asm__ volatile("mrs %0, dczid_el0" : "=r"(out[2])); /* the block that memset zeroes */
}
#endif

#endif
