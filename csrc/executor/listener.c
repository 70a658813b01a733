/* The seccomp filter, and the descriptor of its listener on the way to the runtime.
 *
 * Once a filter is on, any system call of ours may be trapped or fatal: the descriptor has to be
 * sent by somebody whom the filter does not concern. That is a thread, made right before: it
 * shares our memory and descriptors, and a filter (without TSYNC) is the calling thread's alone.
 *
 *      init                               thread                     runtime
 *        | -- starts --------------------->  |                          |
 *        |    loads the filter               |  looks at listener.fd    |
 *        |    listener.fd = 7  . . . . . . . |                          |
 *        |    looks at listener.done         | -- LISTENER + fd 7 ----> |  tells the agent
 *        |                                   | <- GO ------------------ |
 *        | . . . . . . . . .  listener.done  |                          |
 *        |    execve                         |  exits
 *
 * Both wait by looking: the kernel's ways of waiting are system calls. The thread sleeps between
 * its looks, init cannot, so it burns its CPU until the agent has its descriptor: a millisecond.
 * execve ends whatever is left of the thread.
 */
#include "executor.h"

#include <linux/seccomp.h>
#include <linux/signal.h>
#include <linux/time_types.h>

#define LOOK_NS 20000

#ifndef SECCOMP_FILTER_FLAG_NEW_LISTENER
#define SECCOMP_FILTER_FLAG_NEW_LISTENER (1UL << 3)
#endif

static struct {
    volatile int fd;    /* what seccomp(2) gave; NOTHING until then */
    volatile int error; /* of the talk with the runtime, good once done is set */
    volatile int done;
} listener;

enum { NOTHING = -10000 };

static void look_again(void)
{
#if defined(__x86_64__)
    __asm__ volatile("pause" ::: "memory");
#else
    __asm__ volatile("yield" ::: "memory");
#endif
}

static long load(void)
{
    struct {
        unsigned short count;
        const void *filter;
    } program = { (unsigned short)(TEXT_LENGTH(SECCOMP, filter) / 8), TEXT(SECCOMP, filter) };
    return sys3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, INT(SECCOMP, flags), &program);
}

/* A process with a deadline may make no thread: it gets it from this one, of the same rights. */
static int schedule_init(void)
{
    long init = sys0(__NR_getpid); /* the first thread's number */
    int error = (int)sys3(__NR_sched_setattr, init, TEXT(SECCOMP, scheduler), 0);
    return error ? because(error, "set its scheduler", NULL) : 0;
}

static void hand_listener_over(void *unused)
{
    (void)unused;
    struct __kernel_timespec nap = { 0, LOOK_NS };
    while (listener.fd == NOTHING)
        sys2(__NR_nanosleep, &nap, NULL);
    if (listener.fd >= 0) {
        int error = channel_send(MSG_LISTENER, 0, NULL, 0, listener.fd);
        listener.error = error ? error : channel_expect(MSG_GO);
    }
    if (listener.fd >= 0 && !listener.error && TEXT_LENGTH(SECCOMP, scheduler))
        listener.error = schedule_init();
    if (listener.error) /* init may not speak any more */
        say_failed(listener.error);
    __atomic_store_n(&listener.done, 1, __ATOMIC_SEQ_CST);
    for (;;)
        sys1(__NR_exit, 0);
}

/* From here to the end of this function, and of the plan, init makes two system calls: the one
 * that loads the filter, and execve. */
static int load_with_listener(void)
{
    static struct stack stack;
    const uint64_t thread_flags = CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    listener.fd = NOTHING;
    listener.done = 0;
    long thread = run_in_clone(thread_flags, NULL, &stack, hand_listener_over, NULL);
    if (thread < 0)
        return because((int)thread, "make the thread that hands the listener over", NULL);
    long result = load();
    __atomic_store_n(&listener.fd, (int)result, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&listener.done, __ATOMIC_SEQ_CST))
        look_again();
    return result < 0 ? (int)result : listener.error;
}

int do_seccomp(void)
{
    if (INT(SECCOMP, flags) & SECCOMP_FILTER_FLAG_NEW_LISTENER)
        return load_with_listener();
    long result = load();
    return result < 0 ? (int)result : 0;
}
