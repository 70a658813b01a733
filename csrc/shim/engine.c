/* The parent's half of a container's start; the other half is csrc/executor. */
#define _GNU_SOURCE
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

#define MAX_FDS 253 /* SCM_MAX_FD */

/* Runs on the parent's stack and never returns: AddressSanitizer would keep its frames marked. */
#define IN_CHILD __attribute__((no_sanitize_address))

struct spawn {
    int exe;
    int channel;
    int last;  /* the channel's number in the child */
    int given; /* how many of `fds` are to become 0, 1, 2 ...; 0: the parent's own stay */
    volatile int crowded; /* the child reports: RLIMIT_NOFILE leaves no room for all of them */
    int fds[MAX_FDS];
    char number[12];
};

/* Returns twice. Inline, because a libc wrapper would return on a stack that the child has
 * overwritten: both sides run on the same one, the parent only after the child's exec. */
static inline __attribute__((always_inline)) long clone3_here(struct clone_args *args, size_t size)
{
#if defined(__x86_64__)
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(SYS_clone3), "D"(args), "S"(size)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = SYS_clone3;
    register long x0 __asm__("x0") = (long)args;
    register long x1 __asm__("x1") = (long)size;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1) : "memory");
    return x0;
#else
#error "pycontainer knows clone3 on x86_64 and aarch64"
#endif
}

struct entry { /* of getdents64(2) */
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

static IN_CHILD int mark(const struct entry *entry, int first)
{
    int fd = 0;
    for (const char *c = entry->name; *c; c++) {
        if (*c < '0' || *c > '9')
            return 1; /* . and .. */
        fd = 10 * fd + *c - '0';
    }
    return fd < first || fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

/* No descriptor from `first` on gets through the exec: one of a directory of the host's would be a
 * way out (CVE-2024-21626). A filter of an outer container's may be older than close_range(2). */
static IN_CHILD int close_from(int first)
{
    _Alignas(struct entry) char entries[2048];
    if (syscall(SYS_close_range, (unsigned)first, ~0U, 0) == 0)
        return 1;
    int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (;;) {
        long got = dir < 0 ? -1 : syscall(SYS_getdents64, dir, entries, sizeof(entries));
        if (got <= 0)
            return got == 0;
        for (long at = 0; at < got; at += ((struct entry *)(entries + at))->length)
            if (!mark((struct entry *)(entries + at), first))
                return 0;
    }
}

/* In the child, on the parent's memory: system calls only. All fds move out of the way first, so
 * that none lands on another's place. */
static IN_CHILD __attribute__((noreturn, noinline)) void become_executor(struct spawn *s)
{
    int exe = fcntl(s->exe, F_DUPFD_CLOEXEC, s->last + 2);
    int channel = fcntl(s->channel, F_DUPFD_CLOEXEC, s->last + 2);
    int good = exe >= 0 && channel >= 0;
    char *const argv[] = {(char *)"pycontainer", (char *)s->number, NULL};
    char *const env[] = {NULL};
    for (int i = 0; good && i < s->given; i++)
        good = (s->fds[i] = fcntl(s->fds[i], F_DUPFD_CLOEXEC, s->last + 2)) >= 0;
    for (int i = 0; good && i < s->given; i++)
        good = dup3(s->fds[i], i, 0) >= 0;
    if (good && dup3(channel, s->last, 0) >= 0 && dup3(exe, s->last + 1, O_CLOEXEC) >= 0) {
        if (close_from(s->last + 2))
            syscall(SYS_execveat, s->last + 1, "", argv, env, AT_EMPTY_PATH);
    } else {
        s->crowded = 1;
    }
    for (;;)
        _exit(126);
}

static int spawn(struct spawn *s, unsigned long flags, int cgroup, int *pidfd)
{
    struct clone_args args = {
        .flags = flags | CLONE_VM | CLONE_VFORK | CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
    };
    sigset_t all, before;
    if (cgroup >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)cgroup;
    }
    s->crowded = 0;
    snprintf(s->number, sizeof(s->number), "%d", s->last);
    /* A signal handler must not run in the child while it shares our memory. */
    sigfillset(&all);
    if (sigprocmask(SIG_BLOCK, &all, &before) < 0) {
        *pidfd = -1;
        return -errno;
    }
    long pid = clone3_here(&args, sizeof(args));
    if (pid == 0)
        become_executor(s);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid > 0 && s->crowded) {
        waitpid((pid_t)pid, NULL, 0);
        close(*pidfd);
        pid = -EMFILE;
    }
    if (pid < 0)
        *pidfd = -1; /* the kernel may have written one that it took back */
    return (int)pid;
}

int shim_spawn(int exe, int channel, unsigned long flags, int cgroup, int preserve, int *pidfd)
{
    struct spawn s;
    s.exe = exe;
    s.channel = channel;
    s.last = 3 + preserve;
    s.given = 0;
    return spawn(&s, flags, cgroup, pidfd);
}

int shim_spawn_with(int exe, int channel, unsigned long flags, int cgroup, const int *fds,
                    int count, int *pidfd)
{
    struct spawn s;
    if (count < 3 || count > MAX_FDS)
        return -EINVAL;
    s.exe = exe;
    s.channel = channel;
    s.last = count;
    s.given = count;
    memcpy(s.fds, fds, (size_t)count * sizeof(int));
    return spawn(&s, flags, cgroup, pidfd);
}

static int failed(int fd)
{
    int error = -errno;
    if (fd >= 0)
        close(fd);
    return error;
}

int shim_memfd(const char *name, const char *data, unsigned long size, int executable)
{
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd =
        (int)syscall(SYS_memfd_create, name, flags | (executable ? MFD_EXEC : MFD_NOEXEC_SEAL));
    if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
        fd = (int)syscall(SYS_memfd_create, name, flags);
    if (fd < 0)
        return -errno;
    for (unsigned long done = 0; done < size;) {
        ssize_t put = write(fd, data + done, size - done);
        if (put < 0 && errno != EINTR)
            return failed(fd);
        if (put > 0)
            done += (unsigned long)put;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return failed(fd);
    return fd;
}

int shim_channel(int *ours, int *theirs)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    *ours = pair[0];
    *theirs = pair[1];
    return 0;
}

union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(MAX_FDS * sizeof(int))];
};

int shim_send(int channel, const char *data, unsigned long size, const int *fds, int count)
{
    union control control;
    struct iovec part = {(void *)data, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t sent;
    if (count > MAX_FDS)
        return -E2BIG;
    if (count > 0) {
        size_t bytes = (size_t)count * sizeof(int);
        control.head.cmsg_len = CMSG_LEN(bytes);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        memcpy(CMSG_DATA(&control.head), fds, bytes);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(bytes);
    }
    do
        sent = sendmsg(channel, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : (int)sent;
}

int shim_receive(int channel, char *data, unsigned long room, int *fds, int *count)
{
    union control control;
    struct iovec part = {data, room};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    int most = *count;
    ssize_t got = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
    *count = 0;
    if (got < 0)
        return -errno;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        int given = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (int i = 0; i < given; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + (size_t)i * sizeof(int), sizeof(int));
            if (*count < most)
                fds[(*count)++] = fd;
            else
                close(fd);
        }
    }
    return (int)got;
}

/* A socket, and the address of `name` in a directory for it: through the directory's fd, because
 * sun_path holds 108 bytes and a state directory's path may be longer. */
static int socket_at(int dir, const char *name, int type, struct sockaddr_un *address)
{
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    int length =
        snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s", dir, name);
    if (length >= (int)sizeof(address->sun_path))
        return -ENAMETOOLONG;
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

int shim_listen_at(int dir, const char *name)
{
    struct sockaddr_un address;
    int fd = socket_at(dir, name, SOCK_STREAM, &address);
    if (fd < 0)
        return fd;
    fchmod(fd, 0600); /* bind gives the file the socket's own mode: no moment with a wider one */
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 16) < 0)
        return failed(fd);
    return fd;
}

int shim_connect_at(int dir, const char *name)
{
    struct sockaddr_un address;
    int fd = socket_at(dir, name, SOCK_STREAM, &address);
    if (fd < 0)
        return fd;
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return failed(fd);
    return fd;
}

int shim_listens_at(int dir, const char *name)
{
    struct sockaddr_un address;
    int fd = socket_at(dir, name, SOCK_DGRAM, &address);
    if (fd < 0)
        return 0;
    int listens =
        connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EPROTOTYPE;
    close(fd);
    return listens;
}

int shim_open_tree(const char *path, int how)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (how & 1 ? 0x8000U : 0) |
                     (how & 2 ? AT_SYMLINK_NOFOLLOW : 0);
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, flags);
    return fd < 0 ? -errno : fd;
}

int shim_setns(int fd, int nstype)
{
    return setns(fd, nstype) < 0 ? -errno : 0;
}

int shim_namespace_type(int fd)
{
    int type = ioctl(fd, NS_GET_NSTYPE);
    return type < 0 ? -errno : type;
}

int shim_raise_limit(int pid, int resource, long soft, long hard)
{
    struct rlimit limit;
    if (prlimit(pid, resource, NULL, &limit) < 0)
        return -errno;
    if (limit.rlim_cur >= (rlim_t)soft && limit.rlim_max >= (rlim_t)hard)
        return 0;
    if (limit.rlim_cur < (rlim_t)soft)
        limit.rlim_cur = (rlim_t)soft;
    if (limit.rlim_max < (rlim_t)hard)
        limit.rlim_max = (rlim_t)hard;
    return prlimit(pid, resource, &limit, NULL) < 0 ? -errno : 0;
}

int shim_capabilities(unsigned long *permitted)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &head, data) < 0)
        return -errno;
    *permitted = data[0].permitted | (unsigned long)data[1].permitted << 32;
    return 0;
}
