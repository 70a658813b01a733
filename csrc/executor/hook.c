/* Hooks that run inside the container's namespaces: createContainer and startContainer.
 *
 * A createContainer hook is a program of the host's, and has all rights that we have. A
 * startContainer hook is a program of the image, restricted as the container's own program: limits
 * and seccomp filter follow it in the plan, and its process applies them to itself.
 *
 * A hook gets the state as JSON on stdin, its own environment and nothing else of ours; what it
 * writes is kept (the last part of it) for the error. Linux 5.4 for pidfds that can be polled.
 */
#include "executor.h"

#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/signal.h>
#include <linux/time_types.h>

#define OUTPUT_MAX 400 /* of each stream, so that both fit into the message */
#define DESCRIPTORS_MAX 4096

const char **pointer_list(const char *list, size_t length, size_t more);

struct stream {
    int fd;
    size_t length;
    char text[OUTPUT_MAX];
};

struct hook_run {
    long pid;
    int pidfd;
    int input;
    const char *state;
    size_t state_length;
    struct stream out, err;
    int64_t deadline; /* milliseconds of CLOCK_MONOTONIC, 0: none */
};

static int64_t now_ms(void)
{
    struct __kernel_timespec now = {0, 0};
    sys2(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void add_number(int value)
{
    char text[24];
    put_number(text, value);
    add_fact(text);
}

/* DETAIL_HOOK_* with the hook's path and number; other facts follow. */
static int hook_failed(int error, enum detail why, const char *path)
{
    ex.why = 0;
    because(error, why, path);
    add_number((int)INT(HOOK, index));
    return error;
}

struct new_hook {
    const int *stdio;
    const char *path, **args, **env;
    int error; /* why the program could not be executed */
};

/* What is left of the plan restricts the program, and this process as well. A scheduling policy is
 * not among it: where it comes so late, it is one that no child inherits. */
static int restrict_as_program(const struct new_hook *hook)
{
    int error = refused_by_filter(hook->path, hook->args, hook->env);
    for (ex.now++; !error && ex.now < plan_end(); ex.now++) {
        if (ex.now->kind == OP_RLIMIT)
            error = do_rlimit();
        else if (ex.now->kind == OP_SECCOMP_PREPARE)
            error = prepare_filter();
        else if (ex.now->kind == OP_SECCOMP)
            error = do_seccomp();
    }
    return error;
}

/* Descriptors that are given to the program (--preserve-fds) are not the hook's. An outer container's
 * filter may be older than close_range(2). */
static void keep_stdio_only(void)
{
    if (!sys3(__NR_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */))
        return;
    for (int fd = 3; fd < DESCRIPTORS_MAX; fd++)
        sys3(__NR_fcntl, fd, F_SETFD, FD_CLOEXEC);
}

/* Runs in the child, which shares our memory. After the filter it makes one call, execve. */
static void become_hook(void *argument)
{
    struct new_hook *hook = argument;
    for (int fd = 0; fd < 3; fd++)
        sys3(__NR_dup3, hook->stdio[fd], fd, 0);
    keep_stdio_only();
    hook->error =
        INT(HOOK, as_program) ? restrict_as_program(hook) : (int)sys1(__NR_fchdir, ex.rootfs);
    if (!hook->error)
        hook->error = (int)sys3(__NR_execve, hook->path, hook->args, hook->env);
    if (!hook->error) /* a filter may answer that */
        hook->error = -EPERM;
    end_failed(hook->error, 1);
}

static int spawn(struct hook_run *run, const int *stdio)
{
    static struct stack stack;
    const struct operation *now = ex.now;
    const char **args = pointer_list(TEXT(HOOK, args), TEXT_LENGTH(HOOK, args), 0);
    const char **env = pointer_list(TEXT(HOOK, env), TEXT_LENGTH(HOOK, env), 1);
    struct new_hook hook = {stdio, TEXT(HOOK, path), args, env, 0};
    if (!args || !env)
        return -ENOMEM;
    if (INT(HOOK, with_home) && ex.home) {
        size_t at = 0;
        while (env[at])
            at++;
        env[at] = ex.home;
    }
    run->pid = run_in_clone(CLONE_VFORK | CLONE_PIDFD, &run->pidfd, &stack, become_hook, &hook);
    ex.now = now;
    forget_helper();
    if (run->pid < 0)
        return (int)run->pid;
    if (hook.error) {
        sys4(__NR_wait4, run->pid, NULL, 0, NULL);
        return hook_failed(hook.error, DETAIL_HOOK_NOT_EXECUTED, hook.path);
    }
    return 0;
}

/* Keep the last OUTPUT_MAX - 1 bytes; 0 at the end of the stream. */
static int take_output(struct stream *s)
{
    char chunk[OUTPUT_MAX];
    long got = xread(s->fd, chunk, sizeof(chunk) - 1);
    if (got <= 0)
        return got == -EAGAIN;
    size_t room = OUTPUT_MAX - 1, drop = 0;
    if (s->length + (size_t)got > room)
        drop = s->length + (size_t)got - room;
    if (drop > s->length)
        drop = s->length;
    memmove(s->text, s->text + drop, s->length - drop);
    s->length -= drop;
    memcpy(s->text + s->length, chunk, (size_t)got);
    s->length += (size_t)got;
    s->text[s->length] = 0;
    return 1;
}

static void do_nothing(int number)
{
    (void)number;
}

/* A hook that does not read its input is no error; its end (EPIPE) only ends the writing. */
static void give_input(struct hook_run *run)
{
    long put = xwrite(run->input, run->state, run->state_length);
    if (put > 0) {
        run->state += put;
        run->state_length -= (size_t)put;
    }
    if (put != -EAGAIN && (put < 0 || run->state_length == 0)) {
        xclose(run->input);
        run->input = -1;
    }
}

/* 0 when the hook has ended, -ETIMEDOUT when it must be ended. */
static int await_hook(struct hook_run *run)
{
    for (;;) {
        struct pollfd fds[4] = {{run->pidfd, POLLIN, 0},
                                {run->out.fd, POLLIN, 0},
                                {run->err.fd, POLLIN, 0},
                                {run->input, POLLOUT, 0}};
        int64_t left = run->deadline ? run->deadline - now_ms() : 0;
        struct __kernel_timespec wait = {left / 1000, left % 1000 * 1000000};
        if (run->deadline && left <= 0)
            return -ETIMEDOUT;
        long ready = sys5(__NR_ppoll, fds, 4, run->deadline ? &wait : NULL, NULL, 0);
        if (ready < 0 && ready != -EINTR)
            return (int)ready;
        if (ready <= 0)
            continue;
        if (fds[3].revents)
            give_input(run);
        if (fds[1].revents && !take_output(&run->out))
            run->out.fd = -1;
        if (fds[2].revents && !take_output(&run->err))
            run->err.fd = -1;
        if (fds[0].revents)
            break;
    }
    for (int i = 0; i < 64 && run->out.fd >= 0 && take_output(&run->out) && i < 63; i++)
        ;
    for (int i = 0; i < 64 && run->err.fd >= 0 && take_output(&run->err) && i < 63; i++)
        ;
    return 0;
}

static int check_outcome(const struct hook_run *run, int status, int timed_out)
{
    const char *path = TEXT(HOOK, path);
    char seconds[24];
    if (timed_out) {
        int64_t limit = INT(HOOK, timeout_ms);
        char *end = put_number(seconds, (int)(limit / 1000));
        *end++ = '.';
        put_number(end, (int)(limit % 1000 / 100));
        hook_failed(-ECANCELED, DETAIL_HOOK_TIMEOUT, path);
        add_fact(seconds);
    } else if (status & 0x7f) {
        hook_failed(-ECANCELED, DETAIL_HOOK_SIGNAL, path);
        add_number(status & 0x7f);
    } else if (status) {
        hook_failed(-ECANCELED, DETAIL_HOOK_EXIT, path);
        add_number(status >> 8 & 0xff);
    } else {
        return 0;
    }
    add_fact(run->out.text);
    add_fact(run->err.text);
    return -ECANCELED;
}

/* The state, with our pid as this namespace counts it. */
static int compose_state(struct hook_run *run)
{
    size_t head = TEXT_LENGTH(HOOK, state_head), tail = TEXT_LENGTH(HOOK, state_tail);
    char *text = take_memory(head + tail + 24);
    if (!text)
        return -ENOMEM;
    memcpy(text, TEXT(HOOK, state_head), head);
    char *end = put_number(text + head, sys0(__NR_getpid));
    memcpy(end, TEXT(HOOK, state_tail), tail);
    run->state = text;
    run->state_length = (size_t)(end - text) + tail;
    return 0;
}

/* What the hook writes goes to a file that came with the plan, or through a pipe to us. */
static int open_output(int64_t slot, int *ends)
{
    if (slot < 0)
        return (int)sys2(__NR_pipe2, ends, O_CLOEXEC);
    if (slot >= MAX_SLOTS || ex.slots[slot] < 0)
        return -EBADF;
    ends[1] = (int)sys3(__NR_fcntl, ex.slots[slot], F_DUPFD_CLOEXEC, 3);
    return ends[1] < 0 ? ends[1] : 0;
}

int do_hook(void)
{
    static struct hook_run run;
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1}, status = 0;
    memset(&run, 0, sizeof(run));
    on_signal(SIGPIPE, do_nothing);
    int error = compose_state(&run);
    if (!error)
        error = (int)sys2(__NR_pipe2, in, O_CLOEXEC | O_NONBLOCK);
    if (!error)
        error = open_output(INT(HOOK, out_slot), out);
    if (!error)
        error = open_output(INT(HOOK, err_slot), err);
    if (error)
        return error;
    int stdio[3] = {in[0], out[1], err[1]};
    run.input = in[1];
    run.out.fd = out[0];
    run.err.fd = err[0];
    sys3(__NR_fcntl, in[0], F_SETFL, 0); /* a hook expects to block on its own ends */
    error = spawn(&run, stdio);
    xclose(in[0]);
    xclose(out[1]);
    xclose(err[1]);
    if (!error) {
        int64_t limit = INT(HOOK, timeout_ms);
        run.deadline = limit ? now_ms() + limit : 0;
        sys3(__NR_fcntl, out[0], F_SETFL, O_NONBLOCK);
        sys3(__NR_fcntl, err[0], F_SETFL, O_NONBLOCK);
        int ended = await_hook(&run);
        if (ended)
            sys2(__NR_kill, run.pid, SIGKILL);
        long reaped = RETRY(sys4(__NR_wait4, run.pid, &status, 0, NULL));
        error = reaped < 0 ? (int)reaped : check_outcome(&run, status, ended == -ETIMEDOUT);
        xclose(run.pidfd);
    }
    xclose(run.input);
    xclose(out[0]);
    xclose(err[0]);
    return error;
}
