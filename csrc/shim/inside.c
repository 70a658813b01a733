/* A process changes its mount namespace alone: a child does it. It shares our table of descriptors,
 * so what it opens is ours. */
#define _GNU_SOURCE
#include "inside.h"
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_SIZE 16384

struct task {
    int (*function)(struct task *);
    int space;
    int root;
    const char *path;
    int how;
    int result;
};

static int enter(const struct task *t)
{
    int failed = setns(t->space, CLONE_NEWNS) < 0 || fchdir(t->root) < 0 || chroot(".") < 0;
    return failed ? -errno : 0;
}

static int open_there(struct task *t)
{
    int error = enter(t);
    return error ? error : shim_open_tree(t->path, t->how);
}

static int seal_there(struct task *t)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY, .propagation = MS_PRIVATE};
    int error = enter(t);
    if (error)
        return error;
    return syscall(SYS_mount_setattr, AT_FDCWD, t->path, 0, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

static int copy_mounts(struct task *t)
{
    if (setns(t->space, CLONE_NEWUSER) < 0 || unshare(CLONE_NEWNS) < 0)
        return -errno;
    t->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int space = t->root < 0 ? -1 : open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
    return space < 0 ? -errno : space;
}

/* In the child: system calls only, our memory may be its own. */
static int run(void *data)
{
    struct task *task = data;
    task->result = task->function(task);
    _exit(0);
}

/* `memory` is CLONE_VM | CLONE_VFORK, or 0 where the child's privileges change: whether our own
 * memory may be dumped would change with them. */
static int in_a_child(struct task *task, int memory)
{
    char stack[STACK_SIZE] __attribute__((aligned(16)));
    sigset_t all, before;
    sigfillset(&all);
    if (sigprocmask(SIG_BLOCK, &all, &before) < 0) /* no handler may run in the child */
        return -errno;
    /* No exit signal: no other process is told of it, or reaps it. */
    pid_t child = clone(run, stack + sizeof(stack), CLONE_FILES | memory, task);
    task->result = child < 0 ? -errno : task->result;
    while (child > 0 && waitpid(child, NULL, __WCLONE) < 0 && errno == EINTR)
        ;
    sigprocmask(SIG_SETMASK, &before, NULL);
    return task->result;
}

int shim_open_tree_in(int mount_namespace, int root, const char *path, int how)
{
    struct task task = {open_there, mount_namespace, root, path, how, -ECHILD};
    return in_a_child(&task, CLONE_VM | CLONE_VFORK);
}

int shim_seal_in(int mount_namespace, int root, const char *path)
{
    struct task task = {seal_there, mount_namespace, root, path, 0, -ECHILD};
    return in_a_child(&task, CLONE_VM | CLONE_VFORK);
}

int shim_locked_mounts(int user_namespace, int *root)
{
    struct task *task =
        mmap(NULL, sizeof(*task), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (task == MAP_FAILED)
        return -errno;
    *task = (struct task){copy_mounts, user_namespace, -1, NULL, 0, -ECHILD};
    int result = in_a_child(task, 0);
    *root = task->root;
    munmap(task, sizeof(*task));
    return result;
}
