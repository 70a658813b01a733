#define _GNU_SOURCE
#include "snapshot.h"

#include "../launcher/snapshot.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define RED_ZONE 4096 /* more than any function here uses below its stack pointer */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#if !defined(__x86_64__)
extern uintptr_t __stack_chk_guard;
#endif

void shim_resumed(char **argv, char **env); /* in the glue: calls Python */

int shim_signal_ignored(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

/* The pages that a group of commands writes: an address and, in its low 12 bits, how many. make.py
 * fills it in; it ends with 0. */
static volatile uint64_t pages[SNAPSHOT_GROUPS][SNAPSHOT_RANGES];

/* Many at once cost half of what as many page faults do. Short of exact it does not pay: a page too
 * many costs more than a page fault saved. */
static void copy_pages(int group)
{
    for (int i = 0; i < SNAPSHOT_RANGES && pages[group][i]; i++)
        madvise((void *)(pages[group][i] & ~4095UL), (pages[group][i] & 4095) * 4096,
                MADV_POPULATE_WRITE);
}

/* Copy what this command will write. A word that is not the command costs microseconds. */
static void expect_writes(char **argv)
{
    static const struct {
        char name[8];
        int group;
    } commands[] = {{"create", 0}, {"run", 0}, {"exec", 1}};
    for (char **word = argv; *word; word++)
        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
            if (strcmp(*word, commands[i].name) == 0) {
                copy_pages(commands[i].group);
                return;
            }
}

static void resume(char **argv, char **env)
{
    expect_writes(argv);
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
        .pages = (uintptr_t)pages,
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
