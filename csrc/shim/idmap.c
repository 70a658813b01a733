/* A user namespace exists as long as a process or an fd holds it: a child that is cloned into a
 * new one waits to be killed until its maps are written and its namespace is open. */
#define _GNU_SOURCE
#include "idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

#define STACK_SIZE 16384

/* In the child, on our memory: system calls only. */
static int wait_for_the_end(void *nothing)
{
    (void)nothing;
    for (;;)
        pause();
    return 0;
}

static int write_map(pid_t child, const char *name, const char *lines)
{
    char path[64];
    size_t length = strlen(lines);
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)child, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t put = write(fd, lines, length);
    int error = put == (ssize_t)length ? 0 : put < 0 ? -errno : -EIO;
    close(fd);
    return error;
}

static int open_mapped(pid_t child, const char *uids, const char *gids)
{
    char path[64];
    int error = write_map(child, "uid_map", uids);
    if (!error)
        error = write_map(child, "gid_map", gids);
    if (error)
        return error;
    snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)child);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int shim_user_namespace(const char *uids, const char *gids)
{
    char stack[STACK_SIZE] __attribute__((aligned(16)));
    sigset_t all, before;
    sigfillset(&all);
    if (sigprocmask(SIG_BLOCK, &all, &before) < 0) /* no handler may run in the child: our memory */
        return -errno;
    pid_t child = clone(wait_for_the_end, stack + sizeof(stack), CLONE_NEWUSER | CLONE_VM, NULL);
    int result = child < 0 ? -errno : open_mapped(child, uids, gids);
    if (child > 0) {
        kill(child, SIGKILL);
        waitpid(child, NULL, __WCLONE); /* no exit signal: __WCLONE finds it */
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return result;
}

int shim_idmap(int tree, int user_namespace, int recursive)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)user_namespace};
    unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    return syscall(SYS_mount_setattr, tree, "", flags, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

int shim_slave(int tree)
{
    struct mount_attr attr = {.propagation = MS_SLAVE};
    unsigned flags = AT_EMPTY_PATH | AT_RECURSIVE;
    return syscall(SYS_mount_setattr, tree, "", flags, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

int shim_detach(const char *path)
{
    return umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
}
