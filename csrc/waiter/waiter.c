/* waiter: records how the process behind a pidfd ends. The waiter is not its parent: the caller that
 * created the container stays the parent of its init, as engines need it.
 *
 * Input: fd 0, the pidfd; fd 1, an empty file. Output: a line in that file,
 *     SECONDS NANOSECONDS STATUS
 * the time of the end, and the wait status, which is -1 until the parent has reaped the process.
 * Needs Linux 6.15, which lifecycle/outcome.py checks: before, a pidfd does not tell the status.
 */
#include "../executor/sys.h"

#include <linux/ioctl.h>
#include <linux/prctl.h>
#include <linux/time.h>
#include <linux/time_types.h>

#define POLLIN 1

struct pollfd {
    int fd;
    short events, revents;
};

/* linux/pidfd.h of 6.15; older headers lack it. */
struct end_info {
    uint64_t mask, cgroup;
    uint32_t ids[11];
    int32_t exit_code;
};
#define GET_INFO _IOWR(0xFF, 11, struct end_info)
#define INFO_EXIT (1ul << 3)

static void wait_until(short events)
{
    struct pollfd one = {.fd = 0, .events = events};
    while (RETRY(sys5(__NR_ppoll, &one, 1, 0, 0, 8)) == 0)
        ;
}

static int wait_status(void)
{
    struct end_info info;
    memset(&info, 0, sizeof(info));
    info.mask = INFO_EXIT;
    if (sys3(__NR_ioctl, 0, GET_INFO, &info) < 0 || !(info.mask & INFO_EXIT))
        return -1;
    return info.exit_code;
}

static void write_line(const struct __kernel_timespec *end, int status)
{
    char line[80], *at = put_number(line, end->tv_sec);
    *at++ = ' ';
    at = put_number(at, end->tv_nsec);
    *at++ = ' ';
    if (status < 0)
        *at++ = '-';
    at = put_number(at, status < 0 ? -status : status);
    *at++ = '\n';
    RETRY(sys4(__NR_pwrite64, 1, line, at - line, 0));
}

__attribute__((used)) static void run(long *stack)
{
    struct __kernel_timespec end = {0, 0};
    (void)stack;
    sys0(__NR_setsid);
    sys1(__NR_chdir, "/"); /* keep nothing of the caller's busy */
    sys5(__NR_prctl, PR_SET_NAME, "pycontainer-end", 0, 0, 0);
    wait_until(POLLIN);
    sys2(__NR_clock_gettime, CLOCK_REALTIME, &end);
    write_line(&end, -1);
    wait_until(0); /* POLLHUP: its parent has reaped it; the status is known only then */
    write_line(&end, wait_status());
    xexit(0);
}

START_WITH(run);
