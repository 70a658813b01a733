/* Attributes of the process: identity, capabilities, scheduling, limits, working directory. */
#include "executor.h"

#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/securebits.h>
#include <linux/signal.h>

#define ARGS_MAX 65536
#define CPUS_MAX 8192 /* CONFIG_NR_CPUS at its most */

int do_umask(void)
{
    sys1(__NR_umask, INT(UMASK, mask));
    return 0;
}

int do_no_new_privs(void)
{
    return (int)sys5(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

int do_personality(void)
{
    long result = sys1(__NR_personality, INT(PERSONALITY, domain));
    return result < 0 ? (int)result : 0;
}

int do_scheduler(void)
{
    return (int)sys3(__NR_sched_setattr, 0, TEXT(SCHEDULER, attr), 0);
}

/* The kernel reads one bit less than it is told. */
int do_memory_policy(void)
{
    size_t length = TEXT_LENGTH(MEMORY_POLICY, nodes);
    const char *nodes = length ? TEXT(MEMORY_POLICY, nodes) : NULL;
    return (int)sys3(__NR_set_mempolicy, INT(MEMORY_POLICY, mode), nodes, length * 8 + !!length);
}

/* None named: all that the cpuset allows, also in times to come, whatever our caller is bound to. A
 * kernel (or a filter around us) that refuses leaves it as it is. */
int do_cpu_affinity(void)
{
    unsigned char all[CPUS_MAX / 8];
    size_t length = TEXT_LENGTH(CPU_AFFINITY, cpus);
    if (length) {
        long result = sys3(__NR_sched_setaffinity, 0, length, TEXT(CPU_AFFINITY, cpus));
        return result < 0 ? (int)result : 0;
    }
    memset(all, 0xff, sizeof(all));
    sys3(__NR_sched_setaffinity, 0, sizeof(all), all);
    return 0;
}

int do_io_priority(void)
{
    return (int)sys3(__NR_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, INT(IO_PRIORITY, value));
}

/* EINVAL ends the list: the kernel knows no capability of that number. */
int do_bounding(void)
{
    uint64_t mask = (uint64_t)INT(BOUNDING, mask);
    for (int cap = 0; cap < 64; cap++) {
        if (mask >> cap & 1)
            continue;
        int error = (int)sys5(__NR_prctl, PR_CAPBSET_DROP, cap, 0, 0, 0);
        if (error == -EINVAL)
            break;
        if (error)
            return error;
    }
    return 0;
}

int do_user(void)
{
    int error = 0;
    xclose(keep(&ex.fds)); /* no file of the image is opened any more */
    if (!INT(USER, groups_kept) && !(ex.groups_kept && !TEXT_LENGTH(USER, groups)))
        error = (int)sys2(__NR_setgroups, TEXT_LENGTH(USER, groups) / sizeof(uint32_t),
                          TEXT(USER, groups));
    if (error)
        return because(error, DETAIL_GROUPS, NULL);
    /* The capabilities that follow are set by `capabilities`, which needs them permitted. */
    error = (int)sys5(__NR_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0);
    if (!error)
        error = (int)sys3(__NR_setresgid, INT(USER, gid), INT(USER, gid), INT(USER, gid));
    if (!error)
        error = (int)sys3(__NR_setresuid, INT(USER, uid), INT(USER, uid), INT(USER, uid));
    if (!error)
        error = (int)sys5(__NR_prctl, PR_SET_KEEPCAPS, 0, 0, 0, 0);
    return error;
}

int do_capabilities(void)
{
    uint64_t effective = (uint64_t)INT(CAPABILITIES, effective);
    uint64_t permitted = (uint64_t)INT(CAPABILITIES, permitted);
    uint64_t inheritable = (uint64_t)INT(CAPABILITIES, inheritable);
    uint64_t ambient = (uint64_t)INT(CAPABILITIES, ambient);
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    for (int half = 0; half < 2; half++) {
        data[half].effective = (uint32_t)(effective >> (32 * half));
        data[half].permitted = (uint32_t)(permitted >> (32 * half));
        data[half].inheritable = (uint32_t)(inheritable >> (32 * half));
    }
    int error = (int)sys5(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (!error || error == -EINVAL)
        error = (int)sys2(__NR_capset, &head, data);
    for (int cap = 0; !error && cap < 64; cap++)
        if (ambient >> cap & 1)
            error = (int)sys5(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
    return error;
}

/* Made if missing, and entered while we still may: a directory that only root can enter is a
 * valid working directory of another user, as with runc. */
int do_enter_cwd(void)
{
    const char *path = TEXT(ENTER_CWD, path);
    ex.cwd_entered = !sys1(__NR_chdir, path);
    if (ex.cwd_entered || !INT(ENTER_CWD, make))
        return 0;
    int fd = path_make_dir(path, 0755);
    if (fd == -EACCES || fd == -EPERM) /* the user may have the right that root lacks here */
        return 0;
    if (fd < 0)
        return fd;
    ex.cwd_entered = !sys1(__NR_fchdir, fd);
    xclose(fd);
    return 0;
}

/* CVE-2024-21626: a leaked fd of the host's must not become the working directory. The kernel
 * itself says so: the path of a directory outside of our root begins with "(unreachable)". */
int do_chdir(void)
{
    static char where[PATH_MAX];
    if (!ex.cwd_entered) {
        int error = (int)sys1(__NR_chdir, TEXT(CHDIR, path));
        if (error)
            return error;
    }
    long length = sys2(__NR_getcwd, where, sizeof(where));
    if (length < 0 && length != -ENOENT)
        return (int)length;
    if (length < 0 || where[0] != '/')
        return because(-EXDEV, DETAIL_CWD_OUTSIDE, NULL);
    return 0;
}

int do_rlimit(void)
{
    uint64_t limit[2] = {(uint64_t)INT(RLIMIT, soft), (uint64_t)INT(RLIMIT, hard)};
    return (int)sys4(__NR_prlimit64, 0, INT(RLIMIT, resource), limit, NULL);
}
