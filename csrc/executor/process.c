/* The user's process: identity, capabilities, working directory, program; then the gate and exec. */
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

/* -- HOME ------------------------------------------------------------------------------------ */

static const char *next_field(const char *s)
{
    while (*s && *s != ':' && *s != '\n')
        s++;
    return *s == ':' ? s + 1 : NULL;
}

static int64_t decimal(const char *s)
{
    int64_t value = 0;
    if (*s < '0' || *s > '9')
        return -1;
    for (; *s >= '0' && *s <= '9' && value < (1ll << 40); s++)
        value = value * 10 + (*s - '0');
    return *s == ':' ? value : -1;
}

/* The home directory in one line of passwd, when the line is uid's. */
static const char *home_in_line(const char *line, int64_t uid, size_t *length)
{
    const char *field = line;
    for (int i = 0; i < 5; i++) {
        field = next_field(field);
        if (!field || (i == 1 && decimal(field) != uid))
            return NULL;
    }
    const char *end = field;
    while (*end && *end != ':' && *end != '\n')
        end++;
    *length = (size_t)(end - field);
    return field;
}

static const char *find_home(const char *passwd, int64_t uid, size_t *length)
{
    for (const char *line = passwd; line && *line;) {
        const char *home = home_in_line(line, uid, length);
        if (home && *length)
            return home;
        line = find_char(line, '\n');
        line = line ? line + 1 : NULL;
    }
    *length = 1;
    return "/";
}

/* HOME from the container's passwd, "/" when it doesn't say; read before the user is changed. */
int do_home(void)
{
    enum { ROOM = 1 << 20 };
    size_t used = 0, length = 0;
    uint64_t size = 0;
    SCOPED_FD fd = path_open_file("/etc/passwd", &size);
    char *text = take_memory(ROOM + PATH_MAX);
    if (!text)
        return -ENOMEM;
    if (size > ROOM - 1)
        size = ROOM - 1;
    while (fd >= 0 && used < size) {
        long got = xread(fd, text + used, size - used);
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    text[used] = 0;
    const char *home = find_home(text, INT(HOME, uid), &length);
    if (length >= PATH_MAX - 8)
        return -ENAMETOOLONG;
    ex.home = text + ROOM;
    memcpy(ex.home, "HOME=", 5);
    memcpy(ex.home + 5, home, length);
    ex.home[5 + length] = 0;
    return 0;
}

/* -- the program ------------------------------------------------------------------------------ */

static int may_execute(const char *path)
{
    struct statx st;
    int error = xstatx(AT_FDCWD, path, 0, &st);
    if (error)
        return error;
    if (is_type(&st, S_IFDIR))
        return -EISDIR;
    error = (int)sys4(__NR_faccessat2, AT_FDCWD, path, 1 /* X_OK */, 0x200 /* AT_EACCESS */);
    /* faccessat2 ignores that root needs one x bit to execute */
    return error == -ENOSYS ? (int)sys3(__NR_faccessat, AT_FDCWD, path, 1) : error;
}

/* Each directory of PATH in turn; an empty one is the current directory. A file that may not be
 * executed counts as none: engines make 127 of that, as they do with runc. */
static int search_path(const char *name, const char *search)
{
    static char found[PATH_MAX];
    size_t tail = text_length(name);
    for (const char *at = search; at;) {
        const char *end = find_char(at, ':');
        size_t length = end ? (size_t)(end - at) : text_length(at);
        if (length + tail + 2 <= PATH_MAX) {
            memcpy(found, at, length);
            if (length)
                found[length++] = '/';
            memcpy(found + length, name, tail + 1);
            if (!may_execute(found)) {
                ex.program = found;
                return 0;
            }
        }
        at = end ? end + 1 : NULL;
    }
    return -ENOENT;
}

int do_find_program(void)
{
    const char *name = TEXT(FIND_PROGRAM, name);
    if (!find_char(name, '/'))
        return search_path(name, TEXT(FIND_PROGRAM, search));
    ex.program = name;
    return may_execute(name);
}

/* -- the gate ---------------------------------------------------------------------------------- */

/* The first process of a pid namespace ignores signals that it has no handler for. A container
 * that waits to be started must still die of them. */
static void die_of_signal(int number)
{
    xexit(128 + number);
}

static void accept_signals(void)
{
    static const unsigned char fatal[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGABRT,
                                          SIGUSR1, SIGUSR2, SIGALRM, SIGTERM};
    for (size_t i = 0; i < sizeof(fatal); i++)
        on_signal(fatal[i], die_of_signal);
}

/* The gate, or the file of a hook that follows the start. */
static int is_needed(int slot)
{
    for (const struct operation *r = ex.now; r < plan_end(); r++) {
        if (r->kind == OP_HOOK &&
            (r->ints[HOOK_out_slot] == slot || r->ints[HOOK_err_slot] == slot))
            return 1;
        if (r->kind == OP_AWAIT_START && r->ints[AWAIT_START_slot] == slot)
            return 1;
    }
    return 0;
}

/* Nothing of the host stays within reach of who waits here, and of the hooks that follow. */
void close_the_rest(void)
{
    for (int i = 0; i < MAX_SLOTS; i++)
        if (ex.slots[i] >= 0 && !is_needed(i))
            xclose(keep(&ex.slots[i]));
    xclose(keep(&ex.rootfs));
    xclose(keep(&ex.proc));
    xclose(keep(&ex.masked_dir));
    xclose(keep(&ex.masked_file));
}

/* Connections that close without a word only ask whether we still wait. */
int do_await_start(void)
{
    int gate = slot_fd(INT(AWAIT_START, slot));
    char word = 0;
    if (gate < 0)
        return gate;
    accept_signals();
    close_the_rest();
    while (word != 'S') {
        xclose(ex.channel);
        ex.channel = (int)RETRY(sys4(__NR_accept4, gate, NULL, NULL, SOCK_CLOEXEC));
        if (ex.channel == -ECONNABORTED)
            continue;
        if (ex.channel < 0)
            return ex.channel;
        if (xread(ex.channel, &word, 1) != 1)
            word = 0;
    }
    xclose(gate);
    return 0;
}

int do_rlimit(void)
{
    uint64_t limit[2] = {(uint64_t)INT(RLIMIT, soft), (uint64_t)INT(RLIMIT, hard)};
    return (int)sys4(__NR_prlimit64, 0, INT(RLIMIT, resource), limit, NULL);
}

/* A list of strings joined by NUL as the array that execve takes, with room for `more` entries. */
const char **pointer_list(const char *list, size_t length, size_t more)
{
    size_t count = 0, next = 0;
    for (size_t i = 0; i < length; i++)
        count += list[i] == 0;
    const char **pointers = take_memory((count + more + 2) * sizeof(char *));
    for (size_t at = 0; pointers && at < length; at += text_length(list + at) + 1)
        pointers[next++] = list + at;
    return pointers;
}

/* A plan that is for no program: what it has done stays, the process does not. */
int do_finish(void)
{
    xexit(0);
}

static char listen_pid[32] = "LISTEN_PID=";
static const char **program_args, **program_env;

void number_listen_pid(void)
{
    if (program_args)
        put_number(listen_pid + 11, sys0(__NR_getpid));
}

static int prepare_program(void)
{
    program_args = pointer_list(TEXT(EXEC, args), TEXT_LENGTH(EXEC, args), 0);
    program_env = pointer_list(TEXT(EXEC, env), TEXT_LENGTH(EXEC, env), 2);
    if (!program_args || !program_env)
        return -ENOMEM;
    size_t at = 0;
    while (program_env[at])
        at++;
    if (ex.home)
        program_env[at++] = ex.home;
    if (INT(EXEC, listen_pid)) { /* sd_listen_fds(3) wants the number that the program sees */
        number_listen_pid();
        program_env[at++] = listen_pid;
    }
    if (!ex.program)
        ex.program = program_args[0];
    return 0;
}

/* All that comes before a filter, so that `exec` is one system call. */
int do_seccomp_prepare(void)
{
    const struct operation *now = ex.now;
    ex.now = plan_end() - 1; /* `exec`, in an error, too */
    if (ex.now->kind != OP_EXEC)
        return -EPROTO;
    int error = prepare_program();
    if (error)
        return error;
    ex.now = now;
    error = refused_by_filter(ex.program, program_args, program_env);
    if (!error)
        return prepare_filter();
    ex.now = plan_end() - 1;
    return because(error, DETAIL_EXEC, ex.program);
}

int do_exec(void)
{
    int error = program_args ? 0 : prepare_program();
    if (!error)
        error = (int)sys3(__NR_execve, ex.program, program_args, program_env);
    return because(error ? error : -EPERM, DETAIL_EXEC, ex.program); /* a filter may answer 0 */
}
