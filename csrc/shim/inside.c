/* A process changes its mount namespace alone: a child does it. It shares our table of descriptors,
 * so what it opens is ours. It has a copy of our memory, not the memory itself, whose dumpable state
 * setns(2) would change; the answer comes through a shared page. */
#define _GNU_SOURCE
#include "inside.h"
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct answer {
    int result;
    int root;
};

struct question {
    int space;
    int root;
    const char *path;
    int how;
};

static int open_there(const struct question *q, struct answer *answer)
{
    (void)answer;
    if (setns(q->space, CLONE_NEWNS) < 0 || fchdir(q->root) < 0 || chroot(".") < 0)
        return -errno;
    return shim_open_tree(q->path, q->how);
}

static int copy_mounts(const struct question *q, struct answer *answer)
{
    if (setns(q->space, CLONE_NEWUSER) < 0 || unshare(CLONE_NEWNS) < 0)
        return -errno;
    answer->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int space = answer->root < 0 ? -1 : open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
    return space < 0 ? -errno : space;
}

static int in_a_child(int (*function)(const struct question *, struct answer *),
                      const struct question *question, int *root)
{
    sigset_t all, before;
    struct answer *answer =
        mmap(NULL, sizeof(*answer), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (answer == MAP_FAILED)
        return -errno;
    *answer = (struct answer){-ECHILD, -1};
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    /* No exit signal: nobody else is told, and nobody else reaps it. */
    pid_t child = (pid_t)syscall(SYS_clone, CLONE_FILES, 0, 0, 0, 0);
    if (child == 0) {
        answer->result = function(question, answer);
        _exit(0);
    }
    int result = child < 0 ? -errno : 0;
    while (child > 0 && waitpid(child, NULL, __WCLONE) < 0 && errno == EINTR)
        ;
    if (child > 0)
        result = answer->result;
    if (root)
        *root = answer->root;
    munmap(answer, sizeof(*answer));
    sigprocmask(SIG_SETMASK, &before, NULL);
    return result;
}

int shim_open_tree_in(int mount_namespace, int root, const char *path, int how)
{
    struct question question = {mount_namespace, root, path, how};
    return in_a_child(open_there, &question, NULL);
}

int shim_locked_mounts(int user_namespace, int *root)
{
    struct question question = {user_namespace, -1, NULL, 0};
    return in_a_child(copy_mounts, &question, root);
}
