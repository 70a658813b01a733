/* The command: state, start, kill and delete of a container without surprises, in C.
 *
 * Input: the command line, in the few forms that engines use. It ends with the output and the status
 * that Python would give, or becomes Python. Without libc: what it costs is its own system calls.
 */
#include "front.h"

#include <linux/signal.h>

#define SOCK_STREAM 1
#define MSG_PEEK 2
#define TCGETS 0x5401
#define BROKEN_PIPE 141 /* 128 + SIGPIPE, as cli/output.py */
#define EXTRA_ROOM 128

struct call call;

/* -- the command line -------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char **value;
} OPTIONS[] = {
    {"--root", &call.root},
    {"--log", &call.log},
    {"--log-format", &call.log_format},
};

/* NAME VALUE or NAME=VALUE; returns how many arguments that took. */
static int take_option(int at)
{
    for (size_t i = 0; i < sizeof(OPTIONS) / sizeof(OPTIONS[0]); i++) {
        const char *rest = after(call.argv[at], OPTIONS[i].name);
        if (!rest || (*rest && *rest != '='))
            continue;
        const char *value = *rest ? rest + 1 : call.argv[at + 1];
        if (!value || !*value)
            hand_over();
        *OPTIONS[i].value = value;
        return *rest ? 1 : 2;
    }
    /* Says who made the cgroup, which the record knows better. */
    if (!same_text(call.argv[at], "--systemd-cgroup"))
        hand_over();
    return 1;
}

static void parse(void)
{
    int at = 1;
    while (at < call.count && call.argv[at][0] == '-')
        at += take_option(at);
    if (at >= call.count || call.count > ARGUMENTS_MAX)
        hand_over();
    call.command_at = at++;
    for (; at < call.count; at++) {
        char *word = call.argv[at];
        if (*word != '-' && *word && call.word_count < 2)
            call.words[call.word_count++] = word;
        else if (same_text(word, "--force") || same_text(word, "-f"))
            call.force = 1;
        else
            hand_over();
    }
}

/* Python takes ".." out of paths without looking at symlinks. */
static int plain_path(const char *s)
{
    for (; *s; s++)
        if (s[0] == '.' && s[1] == '.')
            return 0;
    return 1;
}

/* settings.default_root: with $XDG_RUNTIME_DIR only for root of the initial user namespace. */
static const char *default_root(void)
{
    static const char whole[] = "0 0 4294967295\n";
    char map[128];
    size_t matched = 0;
    if (*variable("XDG_RUNTIME_DIR")) {
        if (call.user)
            hand_over();
        SCOPED_FD fd = xopenat(AT_FDCWD, "/proc/self/uid_map", O_RDONLY, 0);
        long size = fd < 0 ? 0 : xread(fd, map, sizeof(map));
        for (long i = 0; i < size; i++) {
            if (map[i] == ' ' && (!matched || whole[matched] != ' '))
                continue;
            if (matched >= sizeof(whole) - 1 || map[i] != whole[matched++])
                hand_over();
        }
        if (matched != sizeof(whole) - 1)
            hand_over();
    }
    return "/run/pycontainer";
}

static int id_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '+' || c == '-' || c == '.';
}

static void find_directory(void)
{
    const char *id = call.words[0], *root = call.root ? call.root : default_root();
    size_t root_length = text_length(root), length = text_length(id);
    int named = 0;
    for (const char *c = root; *c; c++)
        named |= *c != '/' && *c != '.';
    for (const char *c = id; *c; c++)
        if (!id_character(*c))
            hand_over();
    if (!named || !plain_path(root) || !plain_path(id) || same_text(id, ".") || length > 255 ||
        root_length + length + 2 > sizeof(path))
        hand_over();
    call.root = root;
    memcpy(path, root, root_length);
    path[root_length] = '/';
    memcpy(path + root_length + 1, id, length + 1);
}

/* cli.log.place: BACKEND:ID is a logger, and no path. */
static int may_be_logger(const char *s)
{
    if (*s == '/')
        return 0;
    while (*s && *s != ':')
        s++;
    return *s == ':';
}

/* cli.Session.open: the file is made, even if nothing is ever written to it. */
static void make_log(void)
{
    if (call.log_format && !same_text(call.log_format, "json") &&
        !same_text(call.log_format, "text"))
        hand_over();
    if (!call.log)
        return;
    if (may_be_logger(call.log))
        hand_over();
    int fd = plain_path(call.log)
                 ? xopenat(AT_FDCWD, call.log, O_CREAT | O_WRONLY | O_APPEND | O_SYNC, 0644)
                 : -EINVAL;
    if (fd < 0)
        hand_over();
    xclose(fd);
}

/* -- the commands ------------------------------------------------------------------------------ */

static char *put_text(char *at, const char *s)
{
    size_t length = text_length(s);
    memcpy(at, s, length);
    return at + length;
}

static void print(const char *text, const char *end)
{
    struct sigaction ignore;
    memset(&ignore, 0, sizeof(ignore));
    ignore.sa_handler = SIG_IGN;
    sys4(__NR_rt_sigaction, SIGPIPE, &ignore, NULL, 8);
    sys4(__NR_rt_sigaction, SIGXFSZ, &ignore, NULL, 8);
    while (text < end) {
        long put = xwrite(1, text, (size_t)(end - text));
        if (put == -EPIPE)
            xexit(BROKEN_PIPE);
        if (put < 0)
            hand_over();
        text += put;
    }
}

static void do_state(void)
{
    static const char *const names[] = {"stopped", "created", "running", "paused"};
    static char out[sizeof(struct record) + 65536 + EXTRA_ROOM];
    char settings[64], *at = out;
    container_open(0);
    enum status status = container_status();
    if (status == STOPPED &&
        (container_oom() || sys3(__NR_faccessat, container.dir, "exit", 0) == 0))
        hand_over(); /* what it died of is worth a word */
    at = put_text(at, container.texts[TEXT_HEAD]);
    at = put_number(at, status == STOPPED ? 0 : container.record->pid);
    at = put_text(at, ",\n  \"status\": \"");
    at = put_text(at, names[status]);
    at = put_text(at, container.texts[TEXT_TAIL]);
    if (sys3(__NR_ioctl, 1, TCGETS, settings) == 0)
        *at++ = '\n';
    print(out, at);
}

static void do_start(void)
{
    char byte;
    container_open(1);
    if (!(container.record->flags & MAY_START) || container_status() != CREATED)
        hand_over();
    int gate = container_connect(SOCK_STREAM);
    if (gate < 0 || sys6(__NR_sendto, gate, L("S"), 1, MSG_NOSIGNAL, 0, 0) != 1)
        hand_over();
    /* The end of the connection says that the program runs. A word says why it does not; a reset
     * that init has died before it heard us: as if we had come a moment later. */
    long got = RETRY(sys6(__NR_recvfrom, gate, L(&byte), 1, MSG_PEEK, 0, 0));
    if (got > 0)
        hand_over_with(gate);
    if (got < 0)
        hand_over();
    sys3(__NR_unlinkat, container.dir, "start.sock", 0);
}

static const char SIGNALS[][8] = {
    "HUP",  "INT",  "QUIT", "ILL",    "TRAP",   "ABRT",  "BUS",  "FPE",  "KILL", "USR1", "SEGV",
    "USR2", "PIPE", "ALRM", "TERM",   "STKFLT", "CHLD",  "CONT", "STOP", "TSTP", "TTIN", "TTOU",
    "URG",  "XCPU", "XFSZ", "VTALRM", "PROF",   "WINCH", "IO",   "PWR",  "SYS",
};

static int signal_number(const char *word)
{
    int value = 0;
    if (!word)
        return SIGTERM;
    for (const char *c = word; *c >= '0' && *c <= '9' && value <= 64; c++) {
        value = value * 10 + (*c - '0');
        if (!c[1])
            return value <= 64 ? value : 0;
    }
    if (after(word, "SIG"))
        word += 3;
    for (size_t i = 0; i < sizeof(SIGNALS) / sizeof(SIGNALS[0]); i++)
        if (*word && same_text(word, SIGNALS[i]))
            return (int)i + 1;
    return 0;
}

static void do_kill(void)
{
    int number = signal_number(call.word_count > 1 ? call.words[1] : NULL);
    container_open(0);
    if (!number || (number == SIGKILL && !(container.record->flags & KILL_ALONE)))
        hand_over();
    int pidfd =
        container.record->pid > 0 ? (int)sys2(__NR_pidfd_open, container.record->pid, 0) : -ESRCH;
    /* What holds for the pid now held when the pidfd was opened. A paused container is thawed. */
    if (pidfd < 0 || !container_alive() || (number == SIGKILL && container_frozen()) ||
        sys4(__NR_pidfd_send_signal, pidfd, number, NULL, 0) < 0)
        hand_over();
}

static const struct {
    const char *name;
    void (*run)(void);
    int words; /* at most; at least one */
    int takes_force;
} COMMANDS[] = {
    {"state", do_state, 1, 0},
    {"start", do_start, 1, 0},
    {"kill", do_kill, 2, 0},
    {"delete", container_delete, 1, 1},
};

__attribute__((used)) static void run(long *stack)
{
    call.count = (int)stack[0];
    call.argv = (char **)(stack + 1);
    call.env = call.argv + call.count + 1;
    refuse_privileges(call.env);
    if (*variable(SWITCH))
        hand_over();
    /* Where one of the first three is closed, our own files would land there: Python fills them. */
    for (int fd = 0; fd < 3; fd++)
        if (sys2(__NR_fcntl, fd, F_GETFD) < 0)
            hand_over();
    call.user = (uint32_t)sys0(__NR_geteuid);
    parse();
    for (size_t i = 0; i < sizeof(COMMANDS) / sizeof(COMMANDS[0]); i++) {
        if (!same_text(call.argv[call.command_at], COMMANDS[i].name))
            continue;
        if (!call.word_count || call.word_count > COMMANDS[i].words ||
            (call.force && !COMMANDS[i].takes_force))
            break;
        find_directory();
        make_log();
        COMMANDS[i].run();
        xexit(0);
    }
    hand_over();
}

START_WITH(run);
