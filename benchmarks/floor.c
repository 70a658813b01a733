/* The floor: what one container costs when nothing but system calls is left.
 *
 * It makes the system calls of our plan for the default spec, with everything that Python finds out
 * written down here, and nothing checked that a plan checks; it is no runtime. Its command line is
 * a runtime's, so that the benchmark can call it as one:
 *
 *   floor --root DIR run|create -b BUNDLE [--pid-file FILE] ID | start|exec|state|kill|delete ID
 *
 * benchmarks/breakdown.py and tests/gates compare its calls with a trace of ours. It leaves out the
 * device program of cgroup v2.
 */
#include "floor.h"

struct cgroup cgroups[CGROUPS_MAX];
int cgroup_count;
static char config[1 << 16], plan[PLAN_SIZE];
const char *bundle = ".", *id;
static const char *state_root = "/run/floor", *pid_file;

static void put(int dir, const char *path, const void *data, size_t size)
{
    int fd = (int)CALL(openat(dir, path, O_WRONLY | O_CLOEXEC));
    must(write(fd, data, size), path);
    close(fd);
}

static void put_text(const char *directory, const char *file, const char *text)
{
    char path[640];
    snprintf(path, sizeof(path), "%s/%s", directory, file);
    put(AT_FDCWD, path, text, strlen(text));
}

static size_t get(int dir, const char *path, char *data, size_t size)
{
    int fd = (int)must(openat(dir, path, O_RDONLY | O_CLOEXEC), path);
    long got = CALL(read(fd, data, size - 1));
    data[got] = 0;
    close(fd);
    return (size_t)got;
}

/* -- the state directory -- */

static int open_state(void)
{
    char path[512];
    struct stat found;
    snprintf(path, sizeof(path), "%s/%s", state_root, id);
    int fd = (int)must(open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), path);
    fstat(fd, &found);
    return fd;
}

static void replace(int dir, const char *name, const void *data, size_t size)
{
    int fd = (int)CALL(openat(dir, ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    CALL(write(fd, data, size));
    close(fd);
    CALL(renameat(dir, ".new", dir, name));
}

static void write_state(int dir, const char *phase, int pid)
{
    char text[1600];
    memset(text, ' ', sizeof(text));
    text[snprintf(text, sizeof(text), "%d %s %s", pid, phase, id)] = '\n';
    replace(dir, "state.json", text, sizeof(text));
}

static int read_state(int dir)
{
    char text[2048], path[64], stat[1024];
    get(dir, "state.json", text, sizeof(text));
    int pid = atoi(text);
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        (void)!read(fd, stat, sizeof(stat)), close(fd);
    return pid;
}

/* -- cgroups -- */

/* Those of this process, or below them. */
void find_cgroups(const char *below)
{
    char text[4096], own[1024], *line, *rest = text;
    get(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text));
    int unified = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
    while ((line = strsep(&rest, "\n")) && *line && cgroup_count < CGROUPS_MAX) {
        struct cgroup *to = &cgroups[cgroup_count];
        strsep(&line, ":");
        char *name = strsep(&line, ":"), *place = strcmp(line, "/") ? line : "";
        if (strncmp(name, "name=", 5) == 0)
            name += 5;
        to->v2 = !*name;
        if (unified != to->v2 && unified)
            continue;
        const char *mounted = to->v2 ? (unified ? "" : "/unified") : name;
        const char *slash = to->v2 ? "" : "/";
        snprintf(to->name, sizeof(to->name), "%s", name);
        snprintf(own, sizeof(own), "/sys/fs/cgroup%s%s%s", slash, mounted, place);
        if (access(own, F_OK) < 0)
            snprintf(own, sizeof(own), "/sys/fs/cgroup%s%s", slash, mounted);
        if (to->v2 && !unified && access("/sys/fs/cgroup/unified/cgroup.controllers", F_OK) < 0)
            continue;
        snprintf(to->path, sizeof(to->path), "%.400s/%.100s", own, below);
        cgroup_count++;
    }
}

static const struct cgroup *cgroup_of(const char *name)
{
    for (int i = 0; i < cgroup_count; i++)
        if (strcmp(cgroups[i].name, name) == 0)
            return &cgroups[i];
    return NULL;
}

static void inherit(const char *path, const char *file)
{
    char value[4096], above[640];
    snprintf(above, sizeof(above), "%s/%s", path, file);
    get(AT_FDCWD, above, value, sizeof(value));
    snprintf(above, sizeof(above), "%s/../%s", path, file);
    get(AT_FDCWD, above, value, sizeof(value));
    put_text(path, file, value);
}

static void make_cgroups(void)
{
    for (int i = 0; i < cgroup_count; i++) {
        must(mkdir(cgroups[i].path, 0755), cgroups[i].path);
        if (strcmp(cgroups[i].name, "cpuset") == 0) {
            inherit(cgroups[i].path, "cpuset.cpus");
            inherit(cgroups[i].path, "cpuset.mems");
        }
    }
    for (int i = 0; i < cgroup_count; i++)
        CALL(setxattr(cgroups[i].path, "trusted.floor", id, strlen(id), 0));
}

static int open_cgroups(int *entrances)
{
    char path[640];
    int count = 0;
    for (int i = 0; i < cgroup_count; i++) {
        if (cgroups[i].v2)
            continue;
        snprintf(path, sizeof(path), "%s/tasks", cgroups[i].path);
        entrances[count++] = (int)must(open(path, O_WRONLY | O_CLOEXEC), path);
    }
    return count;
}

static void allow_devices(void)
{
    static const char *const rules[] = {"c *:* m",     "b *:* m",   "c 1:3 rwm",   "c 1:8 rwm",
                                        "c 1:7 rwm",   "c 5:0 rwm", "c 1:5 rwm",   "c 1:9 rwm",
                                        "c 136:* rwm", "c 5:2 rwm", "c 10:200 rwm"};
    const struct cgroup *devices = cgroup_of("devices");
    char path[640];
    if (!devices)
        return;
    put_text(devices->path, "devices.deny", "a *:* rwm");
    snprintf(path, sizeof(path), "%s/devices.allow", devices->path);
    int fd = (int)must(open(path, O_WRONLY | O_CLOEXEC), path);
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        CALL(write(fd, rules[i], strlen(rules[i])));
    close(fd);
}

static void count_oom_kills(void)
{
    const struct cgroup *memory = cgroup_of("memory");
    char path[640], text[256];
    if (!memory)
        return;
    snprintf(path, sizeof(path), "%s/memory.oom_control", memory->path);
    get(AT_FDCWD, path, text, sizeof(text));
}

/* -- messages -- */

void send_message(int fd, const int *fds, int count)
{
    char byte = 0, control[CMSG_SPACE(sizeof(int) * 32)] = {0};
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    if (count) {
        size_t size = sizeof(int) * (size_t)count;
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(size);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        *header = (struct cmsghdr){CMSG_LEN(size), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(header), fds, size);
    }
    CALL(sendmsg(fd, &message, MSG_NOSIGNAL));
}

int receive_message(int fd, int *fds)
{
    char byte, control[CMSG_SPACE(sizeof(int) * 32)];
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    CALL(recvmsg(fd, &message, MSG_CMSG_CLOEXEC));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!header || !fds)
        return 0;
    memcpy(fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
    return (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
}

static int sealed(const void *data, size_t size, const char *name, unsigned flags)
{
    int fd = (int)CALL(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags));
    CALL(write(fd, data, size));
    CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE));
    return fd;
}

/* -- the runtime's part -- */

/* Not by a function: its frame would be the child's, too. */
static inline __attribute__((always_inline)) long clone3(struct clone_args *args)
{
#if defined(__x86_64__)
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(SYS_clone3), "D"(args), "S"(sizeof(*args))
                     : "rcx", "r11", "memory");
    return result;
#else
    register long x8 __asm__("x8") = SYS_clone3, x0 __asm__("x0") = (long)args,
                     x1 __asm__("x1") = sizeof(*args);
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1) : "memory");
    return x0;
#endif
}

/* Returns the child's pid. */
static int start_child(char kind, int flags, char **program, int *channel, int *pidfd)
{
    static const char executor[EXECUTOR_SIZE];
    int pair[2], group = -1, count = 4;
    char mode[3] = {':', kind, 0}, *words[40] = {"floor", mode, (char *)bundle, (char *)id};
    while (*program && count < 39)
        words[count++] = *program++;
    int image = sealed(executor, sizeof(executor), "floor", MFD_EXEC);
    int own = (int)CALL(open("/proc/self/exe", O_PATH | O_CLOEXEC));
    CALL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
    const struct cgroup *v2 = cgroup_of("");
    if (v2)
        group = (int)must(open(v2->path, O_PATH | O_DIRECTORY | O_CLOEXEC), v2->path);
    struct clone_args args = {
        .flags =
            CLONE_VM | CLONE_VFORK | CLONE_PIDFD | (uint64_t)flags | (v2 ? CLONE_INTO_CGROUP : 0),
        .pidfd = (uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
        .cgroup = v2 ? (uint64_t)group : 0,
    };
    long pid = clone3(&args);
    if (pid == 0) {
        static char *const none[] = {NULL};
        dup3(pair[1], 3, 0);
        dup3(own, 4, O_CLOEXEC);
        close_range(5, ~0u, 0);
        syscall(SYS_execveat, 4, "", words, none, AT_EMPTY_PATH);
        _exit(1);
    }
    if (pid < 0)
        errno = (int)-pid, must(-1, "clone3");
    close(image);
    close(own);
    close(pair[1]);
    if (group >= 0)
        close(group);
    *channel = pair[0];
    return (int)pid;
}

static void hand_over(int channel, int *fds, int count)
{
    fds[0] = sealed(plan, sizeof(plan), "floor-plan", MFD_NOEXEC_SEAL);
    send_message(channel, fds, count);
    for (int i = 0; i < count; i++)
        close(fds[i]);
}

/* The words of process.args. */
static char **program_of(char *text)
{
    static char *words[32];
    int count = 0;
    char *at = strstr(text, "\"args\""), *end = at ? strchr(at, ']') : NULL;
    for (at = end ? strchr(at, '[') : NULL; at && count < 31; at++) {
        at = strchr(at, '"');
        if (!at || at > end)
            break;
        words[count++] = ++at;
        at = strchr(at, '"');
        *at = 0;
    }
    return words;
}

static int wait_for(int signals, int pid)
{
    struct pollfd wanted = {signals, POLLIN, 0};
    struct signalfd_siginfo info;
    int status = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        poll(&wanted, 1, -1);
        CALL(read(signals, &info, sizeof(info)));
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int watch_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    return (int)CALL(signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
}

static void delete (int dir)
{
    char path[512], text[256];
    const struct cgroup *v2 = cgroup_of(""), *freezer = cgroup_of("freezer");
    if (v2) {
        put_text(v2->path, "cgroup.kill", "1");
        snprintf(path, sizeof(path), "%.490s/cgroup.events", v2->path);
        get(AT_FDCWD, path, text, sizeof(text));
    }
    if (freezer)
        put_text(freezer->path, "freezer.state", "THAWED");
    for (int i = 0; i < cgroup_count; i++)
        while (rmdir(cgroups[i].path) < 0 && errno == EBUSY)
            sched_yield();
    CALL(unlinkat(dir, "state.json", 0));
    unlinkat(dir, "start.sock", 0);
    CALL(unlinkat(dir, "record", 0));
    CALL(unlinkat(dir, "config.json", 0));
    snprintf(path, sizeof(path), "%.400s/%.100s", state_root, id);
    CALL(rmdir(path));
}

static int make_gate(int dir)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int gate = (int)CALL(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/start.sock", dir);
    CALL(bind(gate, (struct sockaddr *)&address, sizeof(address)));
    CALL(listen(gate, 1));
    return gate;
}

static void write_pid(int pid)
{
    char text[16];
    int fd = (int)must(open(pid_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), pid_file);
    CALL(write(fd, text, (size_t)snprintf(text, sizeof(text), "%d", pid)));
    close(fd);
}

static int create(int stays)
{
    char path[512];
    int fds[32], count = 1, channel, pidfd, signals = stays ? watch_signals() : -1;
    struct rlimit files;
    snprintf(path, sizeof(path), "%.480s/config.json", bundle);
    size_t size = get(AT_FDCWD, path, config, sizeof(config));
    snprintf(path, sizeof(path), "%.400s/%.100s", state_root, id);
    if (mkdir(path, 0711) < 0 && (mkdir(state_root, 0711) < 0 || mkdir(path, 0711) < 0))
        must(-1, path);
    int dir = open_state();
    CALL(flock(dir, LOCK_EX | LOCK_NB));
    find_cgroups(id);
    replace(dir, "config.json", config, size);
    write_state(dir, "creating", 0);
    make_cgroups();
    if (!stays)
        fds[count++] = make_gate(dir);
    count += open_cgroups(fds + count);
    int namespaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET;
    int pid = start_child(stays ? 'r' : 'c', namespaces, program_of(config), &channel, &pidfd);
    prlimit(pid, RLIMIT_NOFILE, NULL, &files);
    hand_over(channel, fds, count);
    receive_message(channel, NULL);
    allow_devices();
    write_state(dir, "created", pid);
    int record = (int)CALL(openat(dir, "record", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    CALL(write(record, plan, 700));
    close(record);
    send_message(channel, NULL, 0);
    if (!stays) {
        close(channel);
        if (pid_file)
            write_pid(pid);
        return 0;
    }
    receive_message(channel, NULL);
    count_oom_kills();
    int status = wait_for(signals, pid);
    read_state(dir);
    delete (dir);
    return status;
}

static int start(int dir)
{
    char path[128];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    read_state(dir);
    int fd = (int)CALL(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/start.sock", dir);
    CALL(connect(fd, (struct sockaddr *)&address, sizeof(address)));
    (void)!read(fd, path, 1);
    return 0;
}

static int execute(int dir, char **program)
{
    static const char *const names[] = {"ipc", "uts", "net", "pid", "mnt"};
    char path[64];
    int fds[32], count = 1, channel, pidfd, init = read_state(dir), signals = watch_signals();
    get(dir, "config.json", config, sizeof(config));
    find_cgroups(id);
    count_oom_kills();
    count += open_cgroups(fds + count);
    int pid = start_child('e', 0, program, &channel, &pidfd);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "/proc/%d/ns/%s", init, names[i]);
        fds[count++] = (int)must(open(path, O_RDONLY | O_CLOEXEC), path);
    }
    hand_over(channel, fds, count);
    int inside;
    char text[256], *at;
    receive_message(channel, &inside);
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", inside);
    get(AT_FDCWD, path, text, sizeof(text));
    at = strstr(text, "Pid:");
    CALL(waitpid(pid, NULL, 0));
    send_message(channel, NULL, 0);
    receive_message(channel, NULL);
    count_oom_kills();
    return wait_for(signals, atoi(at + 4));
}

int main(int argc, char **argv)
{
    const char *command = NULL;
    int force = 0;
    if (argc > 4 && argv[1][0] == ':')
        child(argv);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--root") == 0)
            state_root = argv[++i];
        else if (strcmp(argv[i], "-b") == 0)
            bundle = argv[++i];
        else if (strcmp(argv[i], "--pid-file") == 0)
            pid_file = argv[++i];
        else if (strcmp(argv[i], "--force") == 0)
            force = 1;
        else if (!command)
            command = argv[i];
        else if (!id) {
            id = argv[i];
            argv += i + 1;
            break;
        }
    }
    if (!id) {
        fprintf(stderr, "usage: floor --root DIR COMMAND [-b BUNDLE] [--pid-file FILE] ID\n");
        return 1;
    }
    if (strcmp(command, "run") == 0 || strcmp(command, "create") == 0)
        return create(command[0] == 'r');
    int dir = open_state();
    if (strcmp(command, "start") == 0)
        return start(dir);
    if (strcmp(command, "exec") == 0)
        return execute(dir, argv);
    int pid = read_state(dir);
    if (strcmp(command, "kill") == 0)
        return kill(pid, SIGKILL) < 0;
    if (strcmp(command, "delete") == 0) {
        if (force)
            kill(pid, SIGKILL);
        find_cgroups(id);
        delete (dir);
    }
    return 0;
}
