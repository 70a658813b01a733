/* The container's part of the floor: from the plan to the program. */
#include "floor.h"

#define FLAG_DETACH 2 /* MNT_DETACH; <sys/mount.h> and <linux/mount.h> do not go together */
#define FLAGS_RDONLY 1
#define FLAGS_REMOUNT (1 << 5)
#define FLAGS_BIND (1 << 12)
#define FLAGS_SLAVE (1 << 19)
#define FLAGS_PRIVATE (1 << 18)
#define FLAGS_RECURSIVE 16384
#define SAFE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
#define INSIDE (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)

int mount(const char *, const char *, const char *, unsigned long, const void *);
int umount2(const char *, int);

static int at(int root, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = INSIDE};
    return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

static void attach(int tree, int to)
{
    CALL(syscall(SYS_move_mount, tree, "", to, "",
                 MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

static void set_attributes(int tree, unsigned flags, uint64_t set, uint64_t propagation)
{
    struct mount_attr attr = {.attr_set = set, .propagation = propagation};
    CALL(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | flags, &attr, sizeof(attr)));
}

/* A new file system with these "name=value" options. */
static int make_mount(const char *type, const char *options, unsigned attributes)
{
    char text[128], *rest = text, *option;
    int context = (int)CALL(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC));
    snprintf(text, sizeof(text), "%s", options);
    while ((option = strsep(&rest, ","))) {
        char *value = strchr(option, '=');
        if (value)
            *value++ = 0;
        CALL(syscall(SYS_fsconfig, context, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, option,
                     value, 0));
    }
    CALL(syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
    int tree = (int)CALL(syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes));
    close(context);
    return tree;
}

static int open_or_make(int root, const char *path)
{
    int fd = at(root, path);
    if (fd >= 0)
        return fd;
    char above[128];
    snprintf(above, sizeof(above), "%s", path);
    char *name = strrchr(above, '/');
    *name++ = 0;
    int parent = (int)CALL(at(root, *above ? above : "/"));
    CALL(mkdirat(parent, name, 0755));
    fd = (int)CALL(openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    close(parent);
    return fd;
}

static void mount_at(int root, const char *path, const char *type, const char *options,
                     unsigned attributes)
{
    int to = open_or_make(root, path);
    int tree = make_mount(type, options, attributes);
    attach(tree, to);
    close(tree);
    close(to);
}

static int clone_tree(int from, const char *path, unsigned flags)
{
    return (int)CALL(
        syscall(SYS_open_tree, from, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags));
}

static void mount_cgroups(int root)
{
    char path[128];
    if (cgroup_count == 1 && cgroups[0].v2) {
        mount_at(root, "/sys/fs/cgroup", "cgroup2", "source=cgroup", SAFE | MOUNT_ATTR_RDONLY);
        return;
    }
    mount_at(root, "/sys/fs/cgroup", "tmpfs", "source=tmpfs,mode=755", SAFE);
    for (int i = 0; i < cgroup_count; i++) {
        if (cgroups[i].v2)
            continue;
        int tree = clone_tree(AT_FDCWD, cgroups[i].path, AT_RECURSIVE);
        set_attributes(tree, AT_RECURSIVE, SAFE | MOUNT_ATTR_RDONLY, FLAGS_PRIVATE);
        snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", cgroups[i].name);
        int to = open_or_make(root, path);
        attach(tree, to);
        close(to);
        close(tree);
    }
    int top = (int)CALL(at(root, "/sys/fs/cgroup"));
    set_attributes(top, 0, MOUNT_ATTR_RDONLY, 0);
    close(top);
}

static void mount_all(int root)
{
    mount_at(root, "/proc", "proc", "source=proc", 0);
    mount_at(root, "/dev", "tmpfs", "source=tmpfs,mode=755,size=65536k",
             MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME);
    mount_at(root, "/dev/pts", "devpts", "source=devpts,newinstance,ptmxmode=0666,mode=0620,gid=5",
             MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    mount_at(root, "/dev/shm", "tmpfs", "source=shm,mode=1777,size=65536k", SAFE);
    mount_at(root, "/dev/mqueue", "mqueue", "source=mqueue", SAFE);
    mount_at(root, "/sys", "sysfs", "source=sysfs,ro", SAFE | MOUNT_ATTR_RDONLY);
    mount_cgroups(root);
}

static void make_devices(int root)
{
    static const struct {
        const char *name;
        unsigned major, minor;
    } devices[] = {{"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
                   {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
    static const char *const links[][2] = {{"/proc/self/fd", "fd"},
                                           {"/proc/self/fd/0", "stdin"},
                                           {"/proc/self/fd/1", "stdout"},
                                           {"/proc/self/fd/2", "stderr"},
                                           {"pts/ptmx", "ptmx"}};
    int dev = (int)CALL(at(root, "/dev"));
    umask(0);
    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
        CALL(mknodat(dev, devices[i].name, S_IFCHR | 0666,
                     makedev(devices[i].major, devices[i].minor)));
    umask(022);
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
        CALL(symlinkat(links[i][0], dev, links[i][1]));
    close(dev);
}

static void hide(int root, int file)
{
    static const char *const read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                            "/proc/sysrq-trigger"};
    static const char *const masked[] = {
        "/proc/acpi",          "/proc/asound",     "/proc/kcore",       "/proc/keys",
        "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
        "/sys/firmware",       "/proc/scsi"};
    int directory = -1, file_used = 0;
    for (size_t i = 0; i < sizeof(read_only) / sizeof(read_only[0]); i++) {
        int fd = at(root, read_only[i]);
        if (fd < 0)
            continue;
        int tree = clone_tree(fd, "", AT_EMPTY_PATH | AT_RECURSIVE);
        set_attributes(tree, AT_RECURSIVE, 0, FLAGS_PRIVATE);
        set_attributes(tree, 0, MOUNT_ATTR_RDONLY, 0);
        attach(tree, fd);
        close(tree);
        close(fd);
    }
    for (size_t i = 0; i < sizeof(masked) / sizeof(masked[0]); i++) {
        struct stat found;
        int fd = at(root, masked[i]);
        if (fd < 0)
            continue;
        CALL(fstat(fd, &found));
        int tree = S_ISDIR(found.st_mode) ? directory : file;
        if (tree < 0)
            tree = directory = make_mount("tmpfs", "nr_blocks=1,nr_inodes=1", MOUNT_ATTR_RDONLY);
        else if (tree != file || file_used++)
            tree = clone_tree(tree, "", AT_EMPTY_PATH);
        attach(tree, fd);
        set_attributes(tree, 0, 0, FLAGS_PRIVATE);
        if (tree != directory && tree != file)
            close(tree);
        close(fd);
    }
}

static void loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = (int)CALL(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    CALL(ioctl(fd, SIOCSIFFLAGS, &request));
    close(fd);
}

static void join_keyring(void)
{
    char name[128];
    snprintf(name, sizeof(name), "_ses.%.100s", id);
    long key = CALL(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name));
    CALL(syscall(SYS_keyctl, KEYCTL_SETPERM, key, 0x3f3b0000));
}

static void file_tree(void)
{
    char path[512];
    int files = make_mount("tmpfs", "nr_blocks=1", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    umask(0);
    CALL(mknodat(files, "mask", S_IFCHR | 0666, makedev(1, 3)));
    umask(022);
    CALL(mount(NULL, "/", NULL, FLAGS_RECURSIVE | FLAGS_SLAVE, NULL));
    snprintf(path, sizeof(path), "%.400s/rootfs", bundle);
    for (char *end = path + strlen(path); end; end = strrchr(path, '/')) {
        *end = 0; /* the mount that the root lies on */
        if (mount(NULL, *path ? path : "/", NULL, FLAGS_PRIVATE, NULL) == 0)
            break;
    }
    snprintf(path, sizeof(path), "%.400s/rootfs", bundle);
    int root = clone_tree(AT_FDCWD, path, AT_RECURSIVE);
    CALL(syscall(SYS_move_mount, root, "", AT_FDCWD, path,
                 MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS));
    attach(files, root);
    int mask = clone_tree(files, "mask", 0);
    set_attributes(mask, AT_EMPTY_PATH, MOUNT_ATTR_RDONLY, FLAGS_PRIVATE);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", files);
    CALL(umount2(path, FLAG_DETACH));
    close(files);
    mount_all(root);
    make_devices(root);
    CALL(sethostname("floor", 5));
    hide(root, mask);
    int old = (int)CALL(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    CALL(fchdir(root));
    CALL(syscall(SYS_pivot_root, ".", "."));
    CALL(fchdir(old));
    CALL(mount(NULL, ".", NULL, FLAGS_RECURSIVE | FLAGS_SLAVE, NULL));
    CALL(umount2(".", FLAG_DETACH));
    CALL(chdir("/"));
    close(old);
    CALL(mount(NULL, "/", NULL, FLAGS_REMOUNT | FLAGS_BIND | FLAGS_RDONLY, NULL));
}

static void drop_privileges(void)
{
    uint32_t kept = 1u << CAP_KILL | 1u << CAP_NET_BIND_SERVICE | 1u << CAP_AUDIT_WRITE;
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2] = {{kept, kept, 0}};
    CALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
        if (cap > 31 || !(kept >> cap & 1))
            CALL(prctl(PR_CAPBSET_DROP, cap, 0, 0, 0));
    CALL(syscall(SYS_setgroups, 0, NULL));
    CALL(syscall(SYS_setresgid, 0, 0, 0));
    CALL(syscall(SYS_setresuid, 0, 0, 0));
    CALL(syscall(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
    CALL(syscall(SYS_capset, &header, sets));
}

static _Noreturn void become_program(char **program)
{
    static char *const environment[] = {"PATH=/bin", "TERM=xterm", NULL};
    struct rlimit files = {1024, 1024};
    CALL(prlimit(0, RLIMIT_NOFILE, &files, NULL));
    CALL(execve(program[0], program, environment));
    _exit(127);
}

/* The child: this program once more (ours is the memfd), with descriptor 3 to talk. */
_Noreturn void child(char **argv)
{
    int fds[32], count, gate = -1, first = 1;
    static char all_cpus[128];
    char **program = argv + 4;
    int joins = argv[1][1] == 'e', gated = argv[1][1] == 'c';
    bundle = argv[2], id = argv[3];
    fcntl(3, F_SETFD, FD_CLOEXEC);
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NAME, "floor");
    count = receive_message(3, fds);
    (void)!mmap(NULL, PLAN_SIZE, PROT_READ, MAP_PRIVATE, fds[0], 0);
    close(fds[0]);
    if (gated)
        gate = fds[first++];
    int namespaces = joins ? 5 : 0;
    for (int i = first; i < count - namespaces; i++) {
        CALL(write(fds[i], "0", 1));
        close(fds[i]);
    }
    memset(all_cpus, 0xff, sizeof(all_cpus));
    syscall(SYS_sched_setaffinity, 0, sizeof(all_cpus), all_cpus);
    for (int i = count - namespaces; i < count; i++) {
        CALL(setns(fds[i], 0));
        close(fds[i]);
    }
    if (!joins) {
        CALL(setsid());
        join_keyring();
        loopback_up();
        find_cgroups("");
        file_tree();
    } else {
        join_keyring();
    }
    drop_privileges();
    if (joins) { /* a child is inside the pid namespace */
        int pidfd = -1;
        long pid = CALL(syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT, NULL, &pidfd, NULL, NULL));
        if (pid) {
            send_message(3, &pidfd, 1);
            _exit(0);
        }
        receive_message(3, NULL);
        CALL(setsid());
        become_program(program);
    }
    send_message(3, NULL, 0);
    receive_message(3, NULL);
    if (gated) {
        close(3);
        CALL(accept4(gate, NULL, NULL, SOCK_CLOEXEC));
    }
    become_program(program);
}
