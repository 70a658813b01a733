/* attendant: waits for the process of `run` or `exec` in the foreground, in place of Python.
 *
 * Python executes it when the process runs: it stays the same process, with the same children, blocked
 * signals and descriptors, but without the memory of an interpreter. It passes signals on. After the
 * end it deletes the container of a `run` when that is simple, and ends with the process's exit status.
 * What is not simple Python does: the same command line with --ended STATUS:KILLS:ERRNO; with an errno
 * the process may still run.
 *
 * Input: PYCONTAINER_ATTEND of lifecycle/attendant.py, in the environment.
 */
#include "front.h"

#include <linux/prctl.h>
#include <linux/signal.h>
#include <linux/signalfd.h>
#include <linux/wait.h>

#define VARIABLE "PYCONTAINER_ATTEND="
#define KILLED (128 + SIGKILL) /* perhaps for lack of memory, of which Python warns */

struct call call;

static struct {
    int pid;
    uint64_t mask;  /* of signals, as before */
    int python;     /* a descriptor of what to execute for the rest */
    int everyone;   /* reap all children: we are a subreaper */
    uint64_t kills; /* for lack of memory, before */
    int exit_status;
    long error; /* why we cannot wait, or 0 */
} task;

_Noreturn void hand_over(void)
{
    static const char complaint[] = "pycontainer: cannot execute itself after the process's end\n";
    char ended[80] = "", *end = put_number(ended, task.exit_status);
    char *words[call.count + 3];
    int out = 0;
    *end++ = ':';
    end = put_number(end, (long)task.kills);
    *end++ = ':';
    put_number(end, task.error);
    for (int i = 0; i < call.count; i++) {
        words[out++] = call.argv[i];
        if (i == call.command_at) {
            words[out++] = (char *)"--ended";
            words[out++] = ended;
        }
    }
    words[out] = NULL;
    sys5(__NR_execveat, task.python, "", words, call.env, AT_EMPTY_PATH);
    xwrite(2, complaint, sizeof(complaint) - 1);
    xexit(1);
}

static _Noreturn void lose(long error)
{
    task.error = error < 0 ? -error : EIO;
    hand_over();
}

static uint64_t next_number(const char **at)
{
    uint64_t value = 0;
    for (; **at >= '0' && **at <= '9'; ++*at)
        value = value * 10 + (uint64_t)(**at - '0');
    ++*at;
    return value;
}

/* PID MASK PYTHON COMMAND_AT EVERYONE KILLS ID_LENGTH DIRECTORY; the directory of `exec` is empty. */
static void take_task(const char *at)
{
    task.pid = (int)next_number(&at);
    task.mask = next_number(&at);
    task.python = (int)next_number(&at);
    call.command_at = (int)next_number(&at);
    task.everyone = (int)next_number(&at);
    task.kills = next_number(&at);
    size_t id = next_number(&at), length = text_length(at);
    if (!length)
        return;
    if (length >= sizeof(path) || id >= length)
        lose(-ENAMETOOLONG);
    static char root[PATH_MAX];
    memcpy(path, at, length + 1);
    memcpy(root, at, length - id - 1);
    call.root = root;
    call.words[0] = path + length - id;
}

/* Take the variable out of the environment; what it says. */
static const char *take_variable(void)
{
    const char *found = NULL;
    char **out = call.env;
    for (char **entry = call.env; *entry; entry++) {
        const char *value = after(*entry, VARIABLE);
        if (value)
            found = value;
        else
            *out++ = *entry;
    }
    *out = NULL;
    return found;
}

/* Reap what has ended, as _reap of lifecycle/foreground.py; whether the process is among it. */
static int reap(void)
{
    for (;;) {
        siginfo_t info;
        memset(&info, 0, sizeof(info));
        long error = RETRY(sys5(__NR_waitid, task.everyone ? P_ALL : P_PID,
                                task.everyone ? 0 : task.pid, &info, WEXITED | WNOHANG, 0));
        if (error < 0)
            lose(error); /* another process has taken our child: a debugger */
        if (!info.si_pid)
            return 0;
        if (info.si_pid == task.pid) {
            task.exit_status = info.si_status + (info.si_code == CLD_EXITED ? 0 : 128);
            return 1;
        }
    }
}

static void wait_for_the_end(void)
{
    uint64_t every = ~(3UL << 31); /* less those of the C library */
    struct signalfd_siginfo got;
    int self = (int)sys0(__NR_getpid);
    SCOPED_FD fd = (int)sys4(__NR_signalfd4, -1, &every, sizeof(every), O_CLOEXEC);
    while (!reap()) {
        long size = xread(fd, &got, sizeof(got));
        if (size != sizeof(got))
            lose(size);
        if (got.ssi_signo != SIGCHLD && (int)got.ssi_pid != self)
            sys2(__NR_kill, task.pid, got.ssi_signo);
    }
}

__attribute__((used)) static void run(long *stack)
{
    call.count = (int)stack[0];
    call.argv = (char **)(stack + 1);
    call.env = call.argv + call.count + 1;
    const char *variable = take_variable();
    if (!variable)
        xexit(1);
    take_task(variable);
    sys3(__NR_fcntl, task.python, F_SETFD, FD_CLOEXEC);
    sys5(__NR_prctl, PR_SET_NAME, "pycontainer", 0, 0, 0);
    call.user = (uint32_t)sys0(__NR_geteuid);
    wait_for_the_end();
    sys4(__NR_rt_sigprocmask, SIG_SETMASK, &task.mask, NULL, sizeof(task.mask));
    if (task.exit_status == KILLED)
        hand_over();
    if (call.root)
        container_delete();
    xexit(task.exit_status);
}

START_WITH(run);
