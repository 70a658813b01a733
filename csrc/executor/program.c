/* The program of the container: the search in PATH, the gate, and exec. */
#include "executor.h"

#include <linux/signal.h>

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
