#define _GNU_SOURCE
#include "snapshot.h"

#include "../launcher/snapshot.h"

#include <signal.h>
#include <stddef.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

#define RED_ZONE 4096 /* more than any function here uses below its stack pointer */

#if !defined(__x86_64__)
extern uintptr_t __stack_chk_guard;
#endif

void shim_resumed(char **argv, char **env); /* in the glue: calls Python */

int shim_signal_ignored(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static void resume(char **argv, char **env)
{
    environ = env;
    (void)!brk(NULL); /* where the C library believes it to be was another process's */
    shim_resumed(argv, env);
    _exit(1);
}

void shim_snapshot_wait(int fd)
{
    char thread = 0;
    struct snapshot facts = {
        .magic = SNAPSHOT_MAGIC,
        .resume = (uintptr_t)resume,
        .stack = (uintptr_t)&thread - RED_ZONE,
        .thread = (uintptr_t)__builtin_thread_pointer(),
#if defined(__x86_64__)
        .canary = (uintptr_t)__builtin_thread_pointer() + 0x28,
#else
        .canary = (uintptr_t)&__stack_chk_guard,
#endif
    };
    snapshot_features(facts.features, getauxval(AT_HWCAP), getauxval(AT_HWCAP2));
    if (prctl(PR_GET_TID_ADDRESS, &facts.thread_id, 0, 0, 0) == 0 &&
        write(fd, &facts, sizeof(facts)) == sizeof(facts))
        (void)!read(0, &thread, 1);
    _exit(0);
}
