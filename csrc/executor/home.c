/* HOME, from the passwd of the container. */
#include "executor.h"

#include <linux/poll.h>
#include <linux/signal.h>
#include <linux/time_types.h>

enum { ROOM = 1 << 20, PATIENCE_S = 5 };

struct reading {
    char *text;
    size_t used;
    int far; /* passwd lies on another mount than the root */
};

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

static void read_passwd(struct reading *r)
{
    uint64_t size = 0;
    SCOPED_FD fd = path_open_file("/etc/passwd", r->far ? 0 : RESOLVE_NO_XDEV, &size);
    r->far = fd == -EXDEV;
    if (size > ROOM - 1)
        size = ROOM - 1;
    while (fd >= 0 && r->used < size) {
        long got = xread(fd, r->text + r->used, size - r->used);
        if (got <= 0)
            break;
        r->used += (size_t)got;
    }
}

/* Should it stay, no process waits for the other end of what it has open. */
static void close_all_but(const int *kept, int count)
{
    for (int from = 0;;) {
        int next = -1;
        for (int i = 0; i < count; i++)
            if (kept[i] >= from && (next < 0 || kept[i] < next))
                next = kept[i];
        if (next < 0) {
            sys3(__NR_close_range, from, ~0u, 0);
            return;
        }
        if (next > from)
            sys3(__NR_close_range, from, next - 1, 0);
        from = next + 1;
    }
}

static void read_and_end(void *reading)
{
    const int kept[] = {ex.rootfs, ex.fds, ex.proc};
    close_all_but(kept, 3);
    read_passwd(reading);
    xexit(0);
}

/* The server of a file system that the container has mounted itself may never answer, and who waits
 * for it cannot be killed: so this process does not. */
static int read_in_child(struct reading *r)
{
    static struct stack stack;
    int pidfd = -1, proc = ex.proc;
    struct __kernel_timespec wait = {PATIENCE_S, 0};
    long pid = run_in_clone(CLONE_PIDFD, &pidfd, &stack, read_and_end, r);
    if (pid < 0)
        return (int)pid;
    struct pollfd ended = {pidfd, POLLIN, 0};
    long ready = RETRY(sys5(__NR_ppoll, &ended, 1, &wait, NULL, 0));
    xclose(pidfd);
    ex.proc = proc; /* if it has opened one, then not for us */
    if (ready > 0)
        return (int)(RETRY(sys4(__NR_wait4, pid, NULL, 0, NULL)) < 0 ? -ECHILD : 0);
    sys2(__NR_kill, pid, SIGKILL);
    return ready < 0 ? (int)ready : -ETIMEDOUT;
}

/* "/" when passwd does not say; read before the user is changed. */
int do_home(void)
{
    size_t length = 0;
    struct reading r = {.text = take_memory(ROOM + PATH_MAX)};
    if (!r.text)
        return -ENOMEM;
    read_passwd(&r);
    int error = r.far ? read_in_child(&r) : 0;
    if (error)
        return because(error, error == -ETIMEDOUT ? DETAIL_NO_ANSWER : DETAIL_OPEN, "/etc/passwd");
    r.text[r.used] = 0;
    const char *home = find_home(r.text, INT(HOME, uid), &length);
    if (length >= PATH_MAX - 8)
        return -ENAMETOOLONG;
    ex.home = r.text + ROOM;
    memcpy(ex.home, "HOME=", 5);
    memcpy(ex.home + 5, home, length);
    ex.home[5 + length] = 0;
    return 0;
}
