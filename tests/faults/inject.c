/*
 * inject RECORD WHO NUMBER FAULT COMMAND...: run a command, and let one of its system calls fail.
 *
 * WHO is 0 for the command's own process, or N for the Nth process that it, or a process of its,
 * starts. NUMBER counts that process's system calls from 1. FAULT is an errno that the call returns
 * without being carried out, or 0: the process is killed (SIGKILL) before the call.
 * With NUMBER 0 nothing fails.
 *
 * The file RECORD gets a line "WHO NUMBER SYSCALL" for the call that failed, or with NUMBER 0 for
 * all of them. A process other than the command is followed up to its second execve: what
 * comes after that is the container's program. The exit status is the command's.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS                                                                                    \
    (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |      \
     PTRACE_O_TRACEEXEC)
#define PROCESSES 64

struct process {
    pid_t pid;
    int execs;
    long calls;
};

static struct process processes[PROCESSES];
static int count;
static int who;
static long number;
static int fault;
static FILE *record;
static pid_t answered; /* the process whose call is skipped, and gets its result at the end */

static int index_of(pid_t pid)
{
    for (int i = 0; i < count; i++)
        if (processes[i].pid == pid)
            return i;
    if (count == PROCESSES) {
        fputs("inject: too many processes\n", stderr);
        exit(125);
    }
    processes[count].pid = pid;
    return count++;
}

#if defined(__x86_64__)

static void skip_call(pid_t pid)
{
    ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, orig_rax), -1L);
}

static void set_result(pid_t pid, long result)
{
    ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rax), result);
}

#elif defined(__aarch64__)

static void skip_call(pid_t pid)
{
    int none = -1;
    struct iovec value = {&none, sizeof(none)};
    ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &value);
}

static void set_result(pid_t pid, long result)
{
    struct user_regs_struct registers;
    struct iovec value = {&registers, sizeof(registers)};
    ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &value);
    registers.regs[0] = (unsigned long long)result;
    ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &value);
}

#else
#error "inject.c does not know this processor"
#endif

/* Only a process that has stopped can be let go; the others stop for that. */
static void let_go(struct process *process, int signal)
{
    if (ptrace(PTRACE_DETACH, process->pid, 0, signal) == 0)
        process->pid = 0;
    else
        ptrace(PTRACE_INTERRUPT, process->pid, 0, 0);
}

/* 1 when the fault has been met, and nobody need be followed any more. */
static int at_call(struct process *process, int index)
{
    struct __ptrace_syscall_info info;
    ptrace(PTRACE_GET_SYSCALL_INFO, process->pid, sizeof(info), &info);
    if (info.op == PTRACE_SYSCALL_INFO_EXIT && answered == process->pid) {
        set_result(process->pid, -fault);
        return 1;
    }
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
        return 0;
    process->calls++;
    if (number && (index != who || process->calls != number))
        return 0;
    fprintf(record, "%d %ld %lld\n", index, process->calls, (long long)info.entry.nr);
    if (!number)
        return 0;
    if (!fault) {
        kill(process->pid, SIGKILL);
        return 1;
    }
    skip_call(process->pid);
    answered = process->pid;
    return 0;
}

static int start(char **argv)
{
    int ready[2];
    char byte;
    if (pipe(ready) < 0)
        exit(125);
    pid_t pid = fork();
    if (pid == 0) {
        close(ready[1]);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (read(ready[0], &byte, 1) < 0)
            _exit(125);
        close(ready[0]);
        execvp(argv[0], argv);
        perror(argv[0]);
        _exit(127);
    }
    if (pid < 0 || ptrace(PTRACE_SEIZE, pid, 0, OPTIONS) < 0) {
        perror("inject");
        exit(125);
    }
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static int exit_status(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
    int status, done = 0;
    if (argc < 6) {
        fputs("usage: inject RECORD WHO NUMBER FAULT COMMAND...\n", stderr);
        return 125;
    }
    record = fopen(argv[1], "we");
    if (!record) {
        perror(argv[1]);
        return 125;
    }
    who = atoi(argv[2]);
    number = atol(argv[3]);
    fault = atoi(argv[4]);
    pid_t command = start(argv + 5), pid;
    index_of(command);
    while ((pid = waitpid(-1, &status, __WALL)) > 0) {
        struct process *process = &processes[index_of(pid)];
        int index = (int)(process - processes), signal = 0, event = status >> 16;
        if (!WIFSTOPPED(status)) {
            if (pid == command)
                break;
            process->pid = 0;
            continue;
        }
        if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
            /* The command's calls count from its execve on. */
            if (!done && (index || process->execs) && at_call(process, index)) {
                done = 1;
                for (int i = 0; i < count; i++)
                    if (i != index && processes[i].pid)
                        let_go(&processes[i], 0);
            }
        } else if (event == PTRACE_EVENT_EXEC) {
            process->execs++;
        } else if (index && event && event != PTRACE_EVENT_STOP) {
            /* A child of the executor goes on with its plan. */
            unsigned long child = 0;
            ptrace(PTRACE_GETEVENTMSG, pid, 0, &child);
            processes[index_of((pid_t)child)].execs += process->execs;
        } else if (!event) {
            signal = WSTOPSIG(status);
        }
        if (done || (index && process->execs == 2))
            let_go(process, signal);
        else
            ptrace(PTRACE_SYSCALL, pid, 0, signal);
    }
    return fclose(record) ? 125 : exit_status(status);
}
