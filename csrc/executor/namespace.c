/* Namespaces, and what is set once inside them: host names, loopback, session, keyring, sysctls. */
#include "executor.h"

#include <linux/keyctl.h>
#include <linux/prctl.h>

/* A thread that writes "0" to a v1 `tasks` file moves itself, with no lock to wait for; the file
 * was opened by the runtime, whose right to write it counts (Linux 5.6). */
int do_cgroup_join(void)
{
    SCOPED_FD fd = slot_fd(INT(CGROUP_JOIN, slot));
    long written = fd < 0 ? fd : xwrite(fd, "0", 1);
    return written < 0 ? (int)written : 0;
}

int do_setns(void)
{
    SCOPED_FD fd = slot_fd(INT(SETNS, slot));
    if (INT(SETNS, nstype) == CLONE_NEWNS) /* there, no procfs may show us */
        ex.fds = mounted_fds();
    return fd < 0 ? fd : (int)sys2(__NR_setns, fd, INT(SETNS, nstype));
}

int do_unshare(void)
{
    int64_t flags = INT(UNSHARE, flags);
    /* Only the files of a dumpable process belong to its user, who is to write the id maps; nobody
     * else is in the new user namespace yet. */
    if (flags & CLONE_NEWUSER)
        sys5(__NR_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
    return (int)sys1(__NR_unshare, flags);
}

/* Joining a pid or time namespace moves only children: the rest of the plan is a child's, made
 * with CLONE_PARENT so that the runtime is its parent too. It gets the child's pidfd. Not clone3,
 * which seccomp filters commonly forbid: `exec` may have loaded one before. */
int do_respawn(void)
{
    int pidfd = -1;
    int64_t flags = INT(RESPAWN, flags) | CLONE_PARENT | CLONE_PIDFD;
    /* The others in there may look into its descriptors. "/" is opened again if need be. */
    xclose(keep(&ex.rootfs));
    xclose(keep(&ex.fds));
    if (INT(RESPAWN, late))
        close_the_rest();
    long pid = sys5(__NR_clone, flags, 0, &pidfd, 0, 0);
    if (pid < 0)
        return (int)pid;
    if (pid == 0) {
        xclose(keep(&ex.proc)); /* it showed the old pid namespace */
        number_listen_pid();
        return channel_expect(MSG_GO);
    }
    int error = channel_send(MSG_CHILD, 0, NULL, 0, pidfd);
    xexit(error ? 1 : 0);
}

#define IF_ALLOWED 2

/* A new user namespace makes us nobody until its maps are written; then uid 0 is ours, or another
 * that is mapped. */
int do_become_root(void)
{
    int64_t uid = INT(BECOME_ROOT, uid), gid = INT(BECOME_ROOT, gid);
    int error = INT(BECOME_ROOT, setgroups) ? (int)sys2(__NR_setgroups, 0, NULL) : 0;
    if (error == -EPERM && INT(BECOME_ROOT, setgroups) == IF_ALLOWED) {
        ex.groups_kept = 1; /* setgroups is denied in the namespace that we joined */
        error = 0;
    }
    if (!error)
        error = (int)sys3(__NR_setresgid, gid, gid, gid);
    if (!error)
        error = (int)sys3(__NR_setresuid, uid, uid, uid);
    sys5(__NR_prctl, PR_SET_DUMPABLE, INT(BECOME_ROOT, visible), 0, 0, 0);
    return error;
}

/* The files of a process that is not dumpable belong to root. Called before a namespace of another
 * process is joined. */
static int open_own(const char *path)
{
    sys5(__NR_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
    int fd = xopenat(AT_FDCWD, path, O_WRONLY | O_NOFOLLOW, 0);
    sys5(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    return fd;
}

/* Done here, not by the runtime, which may not open the file. Without the privilege to lower the value
 * it stays, as with runc. */
int do_own_oom_score(void)
{
    char text[24] = "-";
    int64_t value = INT(OWN_OOM_SCORE, value);
    if (value < -1000 || value > 1000)
        return -EINVAL;
    char *end = put_number(value < 0 ? text + 1 : text, value < 0 ? -value : value);
    SCOPED_FD fd = open_own("/proc/self/oom_score_adj");
    long written = fd < 0 ? fd : xwrite(fd, text, (size_t)(end - text));
    return written < 0 && written != -EACCES && written != -EPERM ? (int)written : 0;
}

int do_open_time_offsets(void)
{
    return fill_slot(INT(OPEN_TIME_OFFSETS, slot), open_own("/proc/self/timens_offsets"));
}

/* The kernel asks for privileges over the time namespace of the process that opened the file. */
int do_time_offsets(void)
{
    SCOPED_FD fd = slot_fd(INT(TIME_OFFSETS, slot));
    long written =
        fd < 0 ? fd : xwrite(fd, TEXT(TIME_OFFSETS, lines), TEXT_LENGTH(TIME_OFFSETS, lines));
    return written < 0 ? (int)written : 0;
}

int do_setsid(void)
{
    long result = sys0(__NR_setsid);
    return result < 0 && result != -EPERM ? (int)result : 0; /* EPERM: we lead one already */
}

/* The kernel joins a keyring of this name that anybody has made before, if it may search that, or
 * makes one: then it is ours alone. "keyring;UID;GID;PERMISSIONS;NAME" */
static int is_fresh(long ring)
{
    static char text[PATH_MAX]; /* a name has at most as much, keyctl(2) */
    char expected[64] = "keyring;";
    long length = sys4(__NR_keyctl, KEYCTL_DESCRIBE, ring, text, sizeof(text) - 1);
    char *end = put_number(expected + 8, sys0(__NR_geteuid));
    *end++ = ';';
    if (length < 0 || memcmp(text, expected, (size_t)(end - expected)))
        return 0;
    const char *permissions = find_char(text + (end - expected), ';');
    return permissions && !memcmp(permissions, ";3f130000;", 10);
}

/* A session keyring of its own, so that the container cannot reach the caller's. Kernels without
 * keyrings go without, and a filter around us that refuses this call holds for the container, too. */
int do_keyring(void)
{
    long ring = sys2(__NR_keyctl, KEYCTL_JOIN_SESSION_KEYRING, TEXT(KEYRING, name));
    if (ring == -ENOSYS || ring == -EPERM)
        return 0;
    if (ring < 0)
        return (int)ring;
    if (INT(KEYRING, fresh) && !is_fresh(ring))
        return because(-EEXIST, DETAIL_KEYRING_EXISTS, NULL);
    /* possessor: everything; user: view, read, search, link: what a shell inside expects */
    sys3(__NR_keyctl, KEYCTL_SETPERM, ring, 0x3f1b0000);
    return 0;
}

/* struct ifreq: linux/if.h would bring the C library's headers in. */
struct interface_request {
    char name[16];
    short flags;
    char rest[22];
};

#define SIOCSIFFLAGS 0x8914
#define IFF_UP 1

int do_loopback_up(void)
{
    struct interface_request request = {.name = "lo", .flags = IFF_UP};
    SCOPED_FD fd = (int)sys3(__NR_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    return (int)sys3(__NR_ioctl, fd, SIOCSIFFLAGS, &request);
}

int do_hostname(void)
{
    return (int)sys2(__NR_sethostname, TEXT(HOSTNAME, name), TEXT_LENGTH(HOSTNAME, name));
}

int do_domainname(void)
{
    return (int)sys2(__NR_setdomainname, TEXT(DOMAINNAME, name), TEXT_LENGTH(DOMAINNAME, name));
}

int do_sysctl(void)
{
    return write_file_at(proc_handle(), TEXT(SYSCTL, file), TEXT(SYSCTL, value),
                         TEXT_LENGTH(SYSCTL, value));
}

/* A file of this very process, /proc/PID/..., through the procfs that no process can replace. */
int do_self_write(void)
{
    static char path[256];
    const char *file = TEXT(SELF_WRITE, file);
    size_t length = text_length(file);
    if (length > sizeof(path) - 16)
        return -ENAMETOOLONG;
    char *end = put_number(path, sys0(__NR_getpid));
    *end++ = '/';
    memcpy(end, file, length + 1);
    return write_file_at(proc_handle(), path, TEXT(SELF_WRITE, value),
                         TEXT_LENGTH(SELF_WRITE, value));
}
