/* The executor: receives a plan, runs its operations in order, and becomes the container's init.
 *
 * Input: argv[1], the number of the channel's fd; fds 0-2 and the preserved ones after them.
 * It ends with execve of the user's program, or with exit status 1 after one FAILED message.
 * Holds no policy, allocates nothing but what a plan's own size asks for.
 */
#include "executor.h"

#include <linux/prctl.h>
#include <linux/signal.h>
#include <linux/time.h>
#include <linux/time_types.h>

struct state ex = {.channel = -1,
                   .rootfs = -1,
                   .proc = -1,
                   .fds = -1,
                   .own_files = -1,
                   .masked_file = -EBADF,
                   .masked_dir = -1,
                   .mask_label = ""};

const char *text_of(int number)
{
    return (const char *)ex.plan + ex.header->arena + ex.now->texts[number].offset;
}

/* The fd of a slot, which is the caller's from now on: each one is used once. */
int slot_fd(int64_t number)
{
    if (number < 0 || number >= MAX_SLOTS || ex.slots[number] < 0)
        return -EBADF;
    return keep(&ex.slots[number]);
}

/* The same for an fd that we have opened ourselves, or a negative errno; 0 or the errno. */
int fill_slot(int64_t number, int fd)
{
    if (number < ex.slot_count || number >= MAX_SLOTS) {
        xclose(fd);
        return -EBADF;
    }
    if (fd < 0)
        return fd;
    ex.slots[number] = fd;
    return 0;
}

/* Zeroed memory for pointer arrays and the like: whole pages, never given back. */
void *take_memory(size_t size)
{
    long at =
        sys6(__NR_mmap, 0, (long)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at < 0 && at > -4096 ? NULL : (void *)at;
}

int because(int error, enum detail why, const char *what)
{
    if (ex.why) /* the first explanation is the closest to the failure */
        return error;
    ex.why = (int)why;
    ex.fact_length = 0;
    add_fact(what ? what : "");
    return error;
}

void add_fact(const char *fact)
{
    if (ex.fact_length && ex.fact_length < FACTS_MAX)
        ex.facts[ex.fact_length++] = 0;
    while (*fact && ex.fact_length < FACTS_MAX)
        ex.facts[ex.fact_length++] = *fact++;
}

/* Why a program was not found or executed is looked up by the runtime, in the container: it gets
 * the root directory, whose mounts last while we wait for it to have looked. -1 for other failures. */
static int root_to_look_at(void)
{
    static const uint32_t kinds[] = {OP_FIND_PROGRAM, OP_EXEC, OP_HOOK, OP_ENTER_CWD, OP_CHDIR};
    size_t i = 0;
    while (i < sizeof(kinds) / sizeof(kinds[0]) && (!ex.now || ex.now->kind != kinds[i]))
        i++;
    if (i == sizeof(kinds) / sizeof(kinds[0]))
        return -1;
    return xopenat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);
}

static void wait_for_end_of_channel(void)
{
    char byte;
    while (xread(ex.channel, &byte, 1) > 0)
        ;
}

/* Its system calls are those that lets_reports_through (seccomp.c) asks the filter about. */
void say_failed(int error)
{
    SCOPED_FD root = root_to_look_at();
    int sent = channel_send(MSG_FAILED, error, ex.facts, ex.fact_length, root < 0 ? -1 : root);
    if (!sent && root >= 0)
        wait_for_end_of_channel();
}

/* Every offset and length was made by our own runtime, and is checked all the same. */
static int check_plan(uint64_t size)
{
    const struct header *h = ex.header;
    if (size < sizeof(*h) || h->magic != PLAN_MAGIC || h->version != PLAN_VERSION)
        return because(-EPROTO, DETAIL_OTHER_BUILD, NULL);
    if (h->total != size || h->records > size / sizeof(struct operation))
        return -EPROTO;
    if (h->arena != sizeof(*h) + h->records * sizeof(struct operation) || h->arena > size)
        return -EPROTO;
    const struct operation *r = (const struct operation *)(ex.plan + sizeof(*h));
    if (h->arena == size || ex.plan[size - 1]) /* has at least one NUL, which ends an empty text */
        return -EPROTO;
    for (uint32_t i = 0; i < h->records; i++, r++) {
        if (r->kind >= PLAN_KINDS)
            return -EPROTO;
        for (int t = 0; t < PLAN_TEXTS; t++) {
            uint64_t end = (uint64_t)r->texts[t].offset + r->texts[t].length;
            if (end >= size - h->arena || (end && ex.plan[h->arena + end]))
                return -EPROTO;
        }
    }
    return 0;
}

static int map_plan(void)
{
    SCOPED_FD fd = -1;
    struct statx st;
    int error = channel_receive_plan(&fd);
    if (error)
        return error;
    error = xstatx(fd, "", AT_EMPTY_PATH, &st);
    if (error)
        return error;
    long at = sys6(__NR_mmap, 0, (long)st.stx_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at < 0 && at > -4096)
        return (int)at;
    ex.plan = (const unsigned char *)at;
    ex.header = (const struct header *)at;
    return check_plan(st.stx_size);
}

typedef int (*handler)(void);

static const handler HANDLERS[PLAN_KINDS] = {
#define ROW(number, function) [number] = function,
    PLAN_HANDLERS(ROW)
#undef ROW
};

const struct operation *plan_end(void)
{
    return (const struct operation *)(ex.header + 1) + ex.header->records;
}

static uint64_t now(void)
{
    struct __kernel_timespec time = {0, 0};
    sys2(__NR_clock_gettime, CLOCK_REALTIME, &time); /* the one that no namespace shifts */
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int run_timed(const struct operation *r)
{
    struct timing *timing = &ex.timings[r->index];
    timing->begun = now();
    if (r->kind == OP_SECCOMP) /* the filter may refuse to tell the time */
        ex.timings = NULL;
    int error = HANDLERS[r->kind] ? HANDLERS[r->kind]() : -EPROTO;
    if (ex.timings) {
        timing->result = error;
        timing->ended = now();
    }
    return error;
}

static int run_plan(void)
{
    for (const struct operation *r = (const struct operation *)(ex.header + 1); r < plan_end();
         r++) {
        ex.now = r;
        ex.why = 0, ex.fact_length = 0; /* of an earlier failure that did not matter */
        int error = -EPROTO;
        if (ex.timings && r->index < ex.timing_count)
            error = run_timed(r);
        else if (HANDLERS[r->kind])
            error = HANDLERS[r->kind]();
        if (error)
            return error;
    }
    return -EPROTO; /* the last operation is exec, which does not return */
}

/* The caller may have blocked or ignored signals (Python ignores SIGPIPE): the user's program
 * starts with none of that. */
static void reset_signals(void)
{
    struct sigaction action;
    uint64_t none = 0;
    memset(&action, 0, sizeof(action));
    for (int number = 1; number <= 64; number++)
        if (number != SIGKILL && number != SIGSTOP)
            sys4(__NR_rt_sigaction, number, &action, NULL, 8);
    sys4(__NR_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8);
}

#if defined(__x86_64__)
void restore_after_signal(void);
__asm__("restore_after_signal:\n mov $15,%eax\n syscall\n");
#define RESTORER 0x04000000ul
#endif

/* Catch a signal. An execve gives it its default action back, in a hook as in the program. */
int on_signal(int number, void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = handler;
#if defined(__x86_64__)
    action.sa_flags = RESTORER;
    action.sa_restorer = restore_after_signal;
#endif
    return (int)sys4(__NR_rt_sigaction, number, &action, NULL, 8);
}

__attribute__((used)) static void run(long *stack)
{
    char **argv = (char **)(stack + 1);
    if (stack[0] < 2)
        xexit(2);
    ex.channel = (int)get_number(argv[1]);
    sys3(__NR_fcntl, ex.channel, F_SETFD, FD_CLOEXEC);
    /* CVE-2016-9962: a container that we enter must not trace us, nor take our fds. */
    sys5(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    sys5(__NR_prctl, PR_SET_NAME, "pycontainer", 0, 0, 0);
    reset_signals();
    sys1(__NR_umask, 0022); /* not the caller's: what is made in the root has to be usable */
    int error = map_plan();
    if (!error)
        error = run_plan();
    end_failed(error, 0);
}

START_WITH(run);
