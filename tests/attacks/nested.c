/* Inside of a container: mounts a procfs on argv[1], as root of a user namespace of its own.
 *
 * Ends with the errno of what failed, 0 when there is a procfs that nothing is hidden in.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int status;
    if (argc < 2 || unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID))
        return errno;
    if (fork() == 0)
        _exit(mount("proc", argv[1], "proc", 0, NULL) ? errno : 0);
    wait(&status);
    return WEXITSTATUS(status);
}
