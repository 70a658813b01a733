/* What the front and a snapshot's entry share. */
#ifndef LAUNCHER_H
#define LAUNCHER_H

#include "../executor/sys.h"

#include <linux/auxvec.h>

/* A value that the kernel has put behind the environment; 0 when there is none. */
static inline uint64_t auxiliary(char *const *env, uint64_t type)
{
    while (*env)
        env++;
    for (const uint64_t *pair = (const uint64_t *)(env + 1); pair[0] != AT_NULL; pair += 2)
        if (pair[0] == type)
            return pair[1];
    return 0;
}

/* The caller of a program that has more privileges than the caller chooses its arguments. */
static inline void refuse_privileges(char *const *env)
{
    static const char text[] = "pycontainer: must not be installed setuid, or with capabilities\n";
    if (!auxiliary(env, AT_SECURE))
        return;
    xwrite(2, text, sizeof(text) - 1);
    xexit(1);
}

/* Python in the usual way; the script's first argument is what the command was called. Returns when
 * that cannot be executed. */
static inline void start_ordinary(const char *script, char **argv, char **env)
{
    int count = 0;
    while (argv[count])
        count++;
    char *words[count + 2];
    words[0] = (char *)script;
    memcpy(words + 1, argv, ((size_t)count + 1) * sizeof(*argv));
    sys3(__NR_execve, script, words, env);
}

#endif
