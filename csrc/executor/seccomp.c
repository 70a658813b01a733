/* The seccomp filter, and a helper thread that it does not concern.
 *
 * Once a filter is on, any system call of ours may be refused, trapped or fatal. From then on init
 * makes one call, execve; everything that it needs is prepared before. What else there is to do is
 * done by a thread: it shares our memory and descriptors, and a filter (without TSYNC) is the
 * calling thread's alone. Two things can be left to do:
 *
 *  - the filter has a listener: its descriptor is sent to the runtime;
 *  - the execve fails, and the filter does not let the report of that through.
 *
 * For most filters neither is so, and no thread is made.
 *
 *      init                               helper                     runtime
 *        | -- starts --------------------->  |                          |
 *        |    limits                         |                          |
 *        |    loads the filter               |  looks at fd             |
 *        |    fd = 7 . . . . . . . . . . . . |                          |
 *        |    looks at done                  | -- LISTENER + fd 7 ----> |  tells the agent
 *        |                                   | <- GO ------------------ |
 *        | . . . . . . . . . . . . . .  done |                          |
 *        |    execve, which ends the helper; or                         |
 *        |    failed = EPERM . . . . . . . . | -- FAILED -------------> |
 *        |                                   |    exit_group            |
 *
 * Both wait by looking: the kernel's ways of waiting are system calls. The helper sleeps between
 * its looks, init cannot, so it burns its CPU until the agent has its descriptor: a millisecond.
 */
#include "executor.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/time_types.h>

#define LOOK_NS 20000

#ifndef SECCOMP_FILTER_FLAG_NEW_LISTENER
#define SECCOMP_FILTER_FLAG_NEW_LISTENER (1UL << 3)
#endif

enum { NOTHING = -10000 };

static struct {
    int runs;
    int fd;    /* what seccomp(2) gave; NOTHING until then */
    int error; /* of the talk with the runtime, good once done is set */
    int done;
    int failed; /* why the process must end, or 0 */
    int silent; /* the runtime is not to hear of it */
} helper;

#define STORE(member, value) __atomic_store_n(&helper.member, value, __ATOMIC_SEQ_CST)
#define LOAD(member) __atomic_load_n(&helper.member, __ATOMIC_SEQ_CST)

static void look_again(void)
{
#if defined(__x86_64__)
    __asm__ volatile("pause" ::: "memory");
#else
    __asm__ volatile("yield" ::: "memory");
#endif
}

static void hand_listener_over(int fd)
{
    int error = channel_send(MSG_LISTENER, 0, NULL, 0, fd);
    helper.error = error ? error : channel_expect(MSG_GO);
    STORE(done, 1);
}

static void help(void *unused)
{
    struct __kernel_timespec nap = {0, LOOK_NS};
    (void)unused;
    for (;;) {
        int fd = LOAD(fd), failed = LOAD(failed);
        if (fd >= 0 && !LOAD(done))
            hand_listener_over(fd);
        if (failed) {
            if (!helper.silent)
                say_failed(failed);
            xexit(1);
        }
        sys2(__NR_nanosleep, &nap, NULL);
    }
}

static int start_helper(void)
{
    static struct stack stack;
    const uint64_t flags = CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    memset(&helper, 0, sizeof(helper));
    helper.fd = NOTHING;
    long thread = run_in_clone(flags, NULL, &stack, help, NULL);
    helper.runs = thread > 0;
    return thread < 0 ? because((int)thread, DETAIL_FILTER_THREAD, NULL) : 0;
}

/* In the memory of all that share it, after the process that had the thread. */
void forget_helper(void)
{
    helper.runs = 0;
}

_Noreturn void end_failed(int error, int silent)
{
    if (helper.runs) {
        helper.silent = silent;
        STORE(failed, error);
        for (;;)
            look_again();
    }
    if (!silent)
        say_failed(error);
    xexit(1);
}

static uint32_t answer_to(const struct operation *filter, long number, const void *a, const void *b,
                          const void *c)
{
    const uint64_t args[6] = {(uintptr_t)a, (uintptr_t)b, (uintptr_t)c};
    const unsigned char *arena = ex.plan + ex.header->arena;
    return filter_answer(arena + filter->texts[SECCOMP_filter].offset,
                         filter->texts[SECCOMP_filter].length, number, args);
}

static int passes(uint32_t answer)
{
    return answer == SECCOMP_RET_ALLOW || (answer & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_LOG;
}

/* A failure is reported by these (say_failed, xexit). */
static int lets_reports_through(const struct operation *filter)
{
    static const int calls[] = {__NR_openat, __NR_sendmsg, __NR_read, __NR_close, __NR_exit_group};
    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
        if (!passes(answer_to(filter, calls[i], NULL, NULL, NULL)))
            return 0;
    return 1;
}

/* What the filter certainly answers to the execve is its failure, which can still be reported. */
static int refusal(uint32_t answer)
{
    int error = (int)(answer & SECCOMP_RET_DATA);
    switch (answer & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ERRNO:
        return error ? -error : -EPERM;
    case SECCOMP_RET_KILL_PROCESS:
    case SECCOMP_RET_KILL_THREAD:
    case SECCOMP_RET_TRAP:
        return -EPERM;
    default:
        return 0;
    }
}

static const struct operation *next_filter(void)
{
    const struct operation *r = ex.now;
    while (r < plan_end() && r->kind != OP_SECCOMP)
        r++;
    return r < plan_end() ? r : NULL;
}

int refused_by_filter(const char *path, const char **args, const char **env)
{
    const struct operation *filter = next_filter();
    return filter ? refusal(answer_to(filter, __NR_execve, path, args, env)) : 0;
}

int prepare_filter(void)
{
    const struct operation *filter = next_filter();
    if (!filter)
        return -EPROTO;
    int notifies = (filter->ints[SECCOMP_flags] & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0;
    return notifies || !lets_reports_through(filter) ? start_helper() : 0;
}

int do_seccomp(void)
{
    const struct {
        unsigned short count;
        const void *filter;
    } program = {(unsigned short)(TEXT_LENGTH(SECCOMP, filter) / 8), TEXT(SECCOMP, filter)};
    int64_t flags = INT(SECCOMP, flags);
    if (flags & SECCOMP_FILTER_FLAG_NEW_LISTENER && !helper.runs)
        return -EPROTO;
    long result = sys3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    if (result < 0 || !(flags & SECCOMP_FILTER_FLAG_NEW_LISTENER))
        return (int)result;
    STORE(fd, (int)result);
    while (!LOAD(done))
        look_again();
    return helper.error;
}
