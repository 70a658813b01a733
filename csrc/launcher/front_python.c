/* Where the front ends: Python goes on, in the snapshot or, where that does not serve, started anew. */
#include "front.h"

#include <linux/elf.h>
#include <linux/resource.h>
#include <linux/time.h>

#ifndef DIRECTORY /* of the installation */
#define DIRECTORY "/usr/local/lib/pycontainer"
#endif

#define ORDINARY DIRECTORY "/ordinary/pycontainer" /* starts Python in the usual way */
#define SNAPSHOT DIRECTORY "/snapshot/pycontainer" /* a Python that has started before */
#define SNAPSHOT_ROOM (64UL << 20)                 /* bytes, what it takes later included */
#define COPY_SECONDS 2                             /* so new is a file that is being written */
#define NAP_NS 10000000
#define NAPS 300
#define FEW_NAPS 5

const char *variable(const char *name)
{
    for (char **entry = call.env; *entry; entry++) {
        const char *value = after(*entry, name);
        if (value && *value == '=')
            return value + 1;
    }
    return "";
}

static int just_changed(const struct statx *file)
{
    struct __kernel_timespec now = {0, 0};
    sys2(__NR_clock_gettime, CLOCK_REALTIME, &now);
    return (uint64_t)(now.tv_sec - file->stx_mtime.tv_sec) < COPY_SECONDS;
}

/* Executes the snapshot if it is whole, and belongs to whom this program belongs to, alone. Returns how
 * many naps to wait for that at most: somebody may be writing it. (A file that has just been truncated
 * keeps its old time for a moment.) */
static int execute_snapshot(void)
{
    Elf64_Ehdr elf;
    struct statx found, own;
    SCOPED_FD fd = xopenat(AT_FDCWD, SNAPSHOT, O_RDONLY, 0);
    int whole = fd >= 0 && xread(fd, &elf, sizeof(elf)) == sizeof(elf);
    if (fd < 0 || xstatx(fd, "", AT_EMPTY_PATH, &found) < 0 ||
        xstatx(AT_FDCWD, "/proc/self/exe", 0, &own) < 0 || found.stx_uid != own.stx_uid ||
        found.stx_mode & 022)
        return 0;
    whole = whole && found.stx_size == elf.e_shoff + elf.e_shentsize;
    if (whole && sys3(__NR_execve, SNAPSHOT, call.argv, call.env) == -ETXTBSY)
        return NAPS;
    return just_changed(&found) ? NAPS : whole ? 0 : FEW_NAPS;
}

/* A snapshot that the limits of the caller have no room for is killed while it is mapped. */
static int snapshot_has_room(void)
{
    static const int limits[] = {RLIMIT_DATA, RLIMIT_AS};
    uint64_t limit[2];
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        if (sys4(__NR_prlimit64, 0, limits[i], NULL, limit) < 0 || limit[0] < SNAPSHOT_ROOM)
            return 0;
    return 1;
}

_Noreturn void hand_over(void)
{
    static const char complaint[] =
        "pycontainer: " ORDINARY
        " cannot be executed: has its Python gone? Install pycontainer anew\n";
    /* The libraries of the ordinary start may not change while they are in use: better to wait until
     * whoever copies files over the installation is done. */
    struct __kernel_timespec nap = {0, NAP_NS};
    if (!*variable(SWITCH) && snapshot_has_room())
        for (int naps = 0; naps < execute_snapshot(); naps++)
            sys2(__NR_nanosleep, &nap, NULL);
    start_ordinary(ORDINARY, call.argv, call.env);
    xwrite(2, complaint, sizeof(complaint) - 1);
    xexit(1);
}

/* `start` has been said, and there is an answer: `start --connection FD ID` reads it. */
_Noreturn void hand_over_with(int connection)
{
    static char *argv[ARGUMENTS_MAX + 3];
    static char number[16];
    int out = 0;
    put_number(number, connection);
    sys3(__NR_fcntl, connection, F_SETFD, 0);
    for (int i = 0; i < call.count; i++) {
        argv[out++] = call.argv[i];
        if (i == call.command_at) {
            argv[out++] = (char *)"--connection";
            argv[out++] = number;
        }
    }
    call.argv = argv;
    call.count = out;
    hand_over();
}
