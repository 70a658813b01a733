/* The entry of a snapshot: goes on in the interpreter that it holds (snapshot.h). */
#include "launcher.h"
#include "snapshot.h"

#if defined(__x86_64__)
#include <asm/prctl.h>
#endif

/* In a section of its own, writable: filled in the file, and unknown to the compiler. */
volatile struct snapshot snapshot = {.magic = SNAPSHOT_MAGIC};

static int same_processor(char **env)
{
    uint64_t now[SNAPSHOT_FEATURES] = {0};
    snapshot_features(now, auxiliary(env, AT_HWCAP), auxiliary(env, AT_HWCAP2));
    return memcmp(now, (const void *)snapshot.features, sizeof(now)) == 0;
}

/* The kernel has random bytes for each process. */
static void renew_canary(const void *random)
{
    uint64_t bytes;
    uint64_t page = snapshot.canary & ~4095UL;
#if defined(__x86_64__)
    int read_only = 0;
#else
    int read_only = 1; /* a variable of ld.so */
#endif
    if (!random || (read_only && sys3(__NR_mprotect, page, 4096, PROT_READ | PROT_WRITE) < 0))
        return;
    memcpy(&bytes, random, sizeof(bytes)); /* at no address in particular */
    *(uint64_t *)snapshot.canary = bytes & ~0xffUL;
    if (read_only)
        sys3(__NR_mprotect, page, 4096, PROT_READ);
}

static _Noreturn void resume(char **argv, char **env)
{
    /* Registers by name: the compiler may choose none that is set to 0 before it is used. */
#if defined(__x86_64__)
    sys2(__NR_arch_prctl, ARCH_SET_FS, snapshot.thread);
    __asm__ volatile("mov %0, %%rsp\n xor %%ebp, %%ebp\n call *%1"
                     :
                     : "a"(snapshot.stack & ~15UL), "c"(snapshot.resume), "D"(argv), "S"(env)
                     : "memory");
#else
    register char **x0 __asm__("x0") = argv;
    register char **x1 __asm__("x1") = env;
    register uint64_t x9 __asm__("x9") = snapshot.thread;
    register uint64_t x10 __asm__("x10") = snapshot.stack & ~15UL;
    register uint64_t x11 __asm__("x11") = snapshot.resume;
    __asm__ volatile("msr tpidr_el0, %0\n mov sp, %1\n mov x29, #0\n blr %2"
                     :
                     : "r"(x9), "r"(x10), "r"(x11), "r"(x0), "r"(x1)
                     : "memory");
#endif
    xexit(1);
}

__attribute__((used)) static void run(long *stack)
{
    char **argv = (char **)(stack + 1), **env = argv + *stack + 1;
    refuse_privileges(env);
    if (!same_processor(env)) {
        start_ordinary((const char *)snapshot.ordinary, argv, env);
        xexit(127);
    }
    renew_canary((const void *)auxiliary(env, AT_RANDOM));
    *(int *)snapshot.thread_id = (int)sys1(__NR_set_tid_address, snapshot.thread_id);
    resume(argv, env);
}

START_WITH(run);
