/* Signals and reaping for a command that stays in the foreground; and programs of the host.
 *
 * A mask has bit n-1 set for signal n. All functions return >= 0, or a negative errno. */
#ifndef PYCONTAINER_SHIM_PROC_H
#define PYCONTAINER_SHIM_PROC_H

/* Set this thread's signal mask; the previous one goes to *old. */
int shim_sigmask(unsigned long long mask, unsigned long long *old);

/* What execve has handed down from our caller: SIGCHLD, SIGPIPE and SIGXFSZ are as at the start of a
 * Python whose caller has changed nothing, and no signal is blocked. */
void shim_reset_signals(void);

/* A descriptor (close-on-exec, non-blocking) to read those signals from, once they are blocked. */
int shim_signalfd(unsigned long long mask);

/* Become (1) the parent of orphaned descendants, or not (0): PR_SET_CHILD_SUBREAPER. */
int shim_set_subreaper(int on);

/* Send a signal through a pidfd (Linux 5.1). */
int shim_pidfd_signal(int pidfd, int number);

/* Whether a procfs can be made for another pid namespace than ours (Linux 6.18): 1, 0. */
int shim_procfs_pidns(void);

/* Whether our securebits let a process raise ambient capabilities: 1, 0. */
int shim_ambient_allowed(void);

/* Start a program of the host; its pid. `fds` become its descriptors 0 to count - 1, and it has no
 * other one (what is closed in us, and would keep its number, is closed there, too); all signals have their default action, and none is blocked. `directory` is its working
 * directory (a descriptor; -1: ours); with `group` it gets a process group of its own. Our own
 * working directory is never touched: other threads use it. argv and env end with NULL. */
int shim_spawn_program(const char *path, char **argv, char **env, const int *fds, int count,
                       int directory, int group);

#endif
