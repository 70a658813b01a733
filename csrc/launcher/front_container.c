/* The container on the command line: its record, and its status by the rules of store.status. */
#include "front.h"

#define LOCK_EX 2
#define LOCK_NB 4
#define R_OK 4
#define RECORD_MAX 65536 /* as in state/fast_record.py */

struct container container;
char path[PATH_MAX];

static union {
    struct record record;
    char bytes[RECORD_MAX + 1];
} file;

static int same_file(const struct statx *a, const struct statx *b)
{
    return a->stx_ino == b->stx_ino && a->stx_dev_major == b->stx_dev_major &&
           a->stx_dev_minor == b->stx_dev_minor;
}

/* What another user could have written, Python refuses: ownership.py. */
static void check_owner(int dir, const char *name, int flags, struct statx *found)
{
    if (xstatx(dir, name, flags, found) < 0 || found->stx_uid != call.user || found->stx_mode & 022)
        hand_over();
}

/* As Entry.lock does it; waiting is left to Python. */
static void lock_directory(int dir)
{
    struct statx here, there;
    if (sys2(__NR_flock, dir, LOCK_EX | LOCK_NB) < 0 || xstatx(dir, "", AT_EMPTY_PATH, &here) < 0 ||
        xstatx(AT_FDCWD, path, 0, &there) < 0 || !same_file(&here, &there))
        hand_over();
}

/* The texts follow the head, each with a NUL after it. */
static void find_texts(void)
{
    uint64_t at = sizeof(struct record);
    for (int i = 0; i < TEXTS; i++) {
        container.texts[i] = file.bytes + at;
        at += (uint64_t)file.record.lengths[i] + 1;
        if (at > file.record.size || file.bytes[at - 1])
            hand_over();
    }
}

static void read_record(int dir)
{
    static const char magic[8] = {'p', 'y', 'c', 'r', 'e', 'c', 0, 2};
    const struct record *r = &file.record;
    struct statx facts, own;
    SCOPED_FD fd = xopenat(dir, "record", O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    long size = fd < 0 ? 0 : xread(fd, file.bytes, sizeof(file.bytes));
    check_owner(fd, "", AT_EMPTY_PATH, &own);
    check_owner(dir, "state.json", AT_SYMLINK_NOFOLLOW, &facts);
    if (size < (long)sizeof(*r) || memcmp(r->magic, magic, 8) || r->size != (uint64_t)size ||
        r->inode != facts.stx_ino || r->facts_size != facts.stx_size ||
        r->facts_time != facts.stx_mtime.tv_sec * 1000000000 + facts.stx_mtime.tv_nsec)
        hand_over();
    find_texts();
    if (!same_text(container.texts[TEXT_ID], call.words[0]))
        hand_over();
    container.record = r;
}

void container_open(int lock)
{
    struct statx found;
    check_owner(AT_FDCWD, call.root, AT_SYMLINK_NOFOLLOW, &found);
    if (!S_ISDIR(found.stx_mode))
        hand_over();
    int dir = xopenat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    check_owner(dir, "", AT_EMPTY_PATH, &found);
    container.dir = dir;
    if (lock)
        lock_directory(dir);
    read_record(dir);
    /* What changes something is for Python to refuse, where the store is damaged. */
    if (lock && sys3(__NR_faccessat, dir, "config.json", R_OK) < 0)
        hand_over();
}

static const char *skip_fields(const char *at, int count)
{
    while (count-- && (at = find_char(at, ' ')))
        at++;
    return at;
}

/* Whether init runs, as `alive` of linux/process.py. */
int container_alive(void)
{
    char data[1024], name[32] = "/proc/";
    const char *at = NULL;
    uint64_t started = 0;
    if (container.record->pid <= 0)
        return 0;
    memcpy(put_number(name + 6, container.record->pid), "/stat", 6);
    SCOPED_FD fd = xopenat(AT_FDCWD, name, O_RDONLY, 0);
    long size = fd < 0 ? fd : xread(fd, data, sizeof(data) - 1);
    /* Any other error says nothing about the process. */
    if (size < 0 && size != -ENOENT && size != -ESRCH)
        hand_over();
    data[size > 0 ? size : 0] = 0;
    /* The second field is the program's name in parentheses, and may hold any byte. */
    for (const char *c = data; c < data + size; c++)
        if (*c == ')')
            at = c;
    at = at ? skip_fields(at, 1) : NULL;
    if (!at || *at == 'Z' || *at == 'X' || *at == 'x' || !(at = skip_fields(at, 19)))
        return 0;
    for (; *at >= '0' && *at <= '9'; at++)
        started = started * 10 + (uint64_t)(*at - '0');
    return started == container.record->start_time;
}

/* The beginning of a file in one of the record's directories, as a text; empty when it is gone. */
static void read_cgroup(int text, const char *name, char *data, size_t room)
{
    char whole[PATH_MAX];
    size_t length = container.record->lengths[text], tail = text_length(name) + 1;
    if (length + tail > sizeof(whole))
        hand_over();
    memcpy(whole, container.texts[text], length);
    memcpy(whole + length, name, tail);
    SCOPED_FD fd = xopenat(AT_FDCWD, whole, O_RDONLY, 0);
    long got = fd < 0 ? fd : xread(fd, data, room - 1);
    if (got < 0 && got != -ENOENT && got != -ENODEV)
        hand_over();
    data[got > 0 ? got : 0] = 0;
}

static char freezer_byte(const char *name)
{
    char data[16];
    read_cgroup(TEXT_FREEZER, name, data, sizeof(data));
    return data[0];
}

/* Whether the kernel killed for lack of memory, which `state` tells more about: oom.kills. */
int container_oom(void)
{
    char data[512];
    const char *line = data;
    if (!*container.texts[TEXT_OOM])
        return 0;
    read_cgroup(TEXT_OOM, "", data, sizeof(data));
    while (line && !after(line, "oom_kill "))
        line = (line = find_char(line, '\n')) ? line + 1 : NULL;
    return line && line[9] != '0';
}

/* processes.frozen: the cgroup itself, not one above it; a freeze under way counts. */
int container_frozen(void)
{
    if (!*container.texts[TEXT_FREEZER])
        return 0;
    if (!(container.record->flags & FREEZER_V1))
        return freezer_byte("/cgroup.freeze") == '1';
    char state = freezer_byte("/freezer.state");
    return state && state != 'T' && freezer_byte("/freezer.self_freezing") == '1';
}

int container_connect(int type)
{
    struct {
        uint16_t family;
        char name[108];
    } address = {AF_UNIX, "/proc/self/fd/"};
    memcpy(put_number(address.name + 14, container.dir), "/start.sock", 12);
    int fd = (int)sys3(__NR_socket, AF_UNIX, type | SOCK_CLOEXEC, 0);
    long error = fd < 0 ? fd : RETRY(sys3(__NR_connect, fd, &address, sizeof(address)));
    if (error < 0)
        xclose(fd);
    return error < 0 ? (int)error : fd;
}

enum status container_status(void)
{
    if (!container_alive())
        return STOPPED;
    if (container_frozen())
        return PAUSED;
    /* A datagram socket asks without being heard: Entry.gate_closed. */
    int probe = container_connect(SOCK_DGRAM);
    if (probe >= 0)
        xclose(probe);
    return probe >= 0 || probe == -EPROTOTYPE ? CREATED : RUNNING;
}

/* Of the directory's files state.json goes first, as in Entry.remove; when a later step fails, Python
 * removes the rest. */
void container_delete(void)
{
    static const char *const files[] = {"state.json", "record",         "config.json",
                                        "start.sock", "resources.json", "exit"};
    container_open(1);
    if (!(container.record->flags & MAY_DELETE) || container_status() != STOPPED)
        hand_over();
    const char *directory = container.texts[TEXT_CGROUPS];
    for (; *directory; directory += text_length(directory) + 1) {
        long error = sys3(__NR_unlinkat, AT_FDCWD, directory, AT_REMOVEDIR);
        if (error < 0 && error != -ENOENT) /* it has processes */
            hand_over();
    }
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        long error = sys3(__NR_unlinkat, container.dir, files[i], 0);
        if (error < 0 && error != -ENOENT)
            hand_over();
    }
    if (sys3(__NR_unlinkat, AT_FDCWD, path, AT_REMOVEDIR) < 0)
        hand_over();
}
