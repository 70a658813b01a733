/* What the files of the executor share: the plan in memory, its arguments, failure, the channel.
 *
 * The executor is started by the shim with one SEQPACKET socket, the channel, to the runtime:
 *
 *      runtime                                executor
 *         | ---- PLAN + plan memfd, slots ---->  |   maps the plan, runs its operations; with
 *         |                                      |   index 1, the last fd is for their timings
 *         | <--- SYNC {operation} -------------  |   at each `sync`; waits
 *         |      runs its own operations         |
 *         | ---- GO --------------------------->  |
 *         | <--- CHILD + pidfd ----------------  |   after `respawn`: who goes on
 *         | <--- CONSOLE + pty master ---------  |   after `console`
 *         | <--- LISTENER + seccomp's fd --------  |   of a seccomp filter; waits for GO
 *         | <--- FAILED {operation, errno} ----  |   and exits with 1; with `find_program` and `exec`
 *         |                                      |   comes the root's fd, and the exit waits for the
 *         |                                      |   end of the channel
 *         | <--- (end of file) ----------------  |   the user's program runs, or nothing does
 *
 * `await_start` closes the channel and waits on the gate, a listening socket: a connection that
 * says 'S' starts the container, and carries FAILED, or its end, as the channel did before.
 */
#ifndef EXECUTOR_H
#define EXECUTOR_H

#include "sys.h"
#include "plan_ops.h"

enum message {
    MSG_PLAN = 1,
    MSG_SYNC,
    MSG_GO,
    MSG_CHILD,
    MSG_CONSOLE,
    MSG_FAILED,
    MSG_LISTENER,
};

#define FACTS_MAX 1024
#define MAX_SLOTS 252 /* SCM_MAX_FD, less the plan itself */

struct operation {
    uint32_t kind;
    uint32_t index;
    int64_t ints[PLAN_INTS];
    struct {
        uint32_t offset;
        uint32_t length;
    } texts[PLAN_TEXTS];
};

struct header {
    uint32_t magic;
    uint32_t version;
    uint32_t records;
    uint32_t arena;
    uint64_t total;
};

struct message_head {
    uint32_t type;
    uint16_t kind; /* of the operation, and its number in the whole plan */
    uint16_t index;
    int32_t error;
    uint16_t length; /* of the facts that follow */
    uint16_t detail; /* of FAILED: DETAIL_*, or 0 */
};

/* What --trace wants to know of an operation: CLOCK_REALTIME in ns, 0 for what has not come. */
struct timing {
    uint64_t begun;
    uint64_t ended;
    int64_t result;
};

struct state {
    const unsigned char *plan;
    const struct header *header;
    const struct operation *now; /* the operation that runs */
    int channel;          /* to the runtime, or to `start` after await_start; -1 when closed */
    int rootfs;           /* O_PATH; valid from `rootfs` to `pivot_root`; never AT_FDCWD then */
    int over_root;        /* it is attached over the old root, not where it was */
    int root_covered;     /* how many mounts lie on it; the last one is `rootfs` now */
    int slots[MAX_SLOTS]; /* fds that came with the plan */
    int slot_count;
    struct timing *timings; /* shared with the runtime, one for each operation; NULL: not traced */
    uint64_t timing_count;
    int fds;                /* /proc/self/fd, from before another mount namespace was joined */
    int own_files;          /* a tmpfs of the container's own, until `rootfs` */
    int masked_file;        /* the file in it that hides every masked file */
    int has_masked_file;    /* it is mounted somewhere */
    int masked_dir;         /* the one read-only tmpfs that hides every masked directory */
    const char *mask_label; /* of SELinux for both, or "" */
    int proc;               /* a procfs of our own that no other process sees */
    int made_dir;           /* path_make_dir has made the last directory, it was not there */
    int cwd_entered;
    int groups_kept;       /* the user namespace denies setgroups */
    char *home;            /* "HOME=..." from passwd, or NULL */
    const char *program;   /* what find_program found, or NULL */
    int why;               /* it failed beyond the errno: DETAIL_*, or 0 */
    char facts[FACTS_MAX]; /* about that, with a NUL between them */
    size_t fact_length;
};

extern struct state ex;

#define INT(op, name) (ex.now->ints[op##_##name])
#define TEXT(op, name) text_of(op##_##name)
#define TEXT_LENGTH(op, name) (ex.now->texts[op##_##name].length)

/* main.c */
const struct operation *plan_end(void);
const char *text_of(int number);
int slot_fd(int64_t number);
int fill_slot(int64_t number, int fd);
void *take_memory(size_t size);
/* Explain a failure beyond its errno: DETAIL_* of plan/details.py and, unless NULL, the path or name
 * that it is about. Returns `error`. */
int because(int error, enum detail why, const char *what);
/* One more fact about it; what does not fit is cut off. */
void add_fact(const char *fact);
void say_failed(int error);
int on_signal(int number, void (*handler)(int));

/* channel.c */
int channel_send(uint32_t type, int error, const char *text, size_t length, int fd);
int channel_expect(uint32_t type);
int channel_receive_plan(int *plan_fd);

/* clone.c */
struct stack {
    char bytes[65536] __attribute__((aligned(16)));
};
/* Make a child (or, with CLONE_THREAD, a thread) that shares our memory and runs `function`, which
 * must not return, on `stack`. Its number, or a negative errno. */
long run_in_clone(uint64_t flags, int *pidfd, struct stack *stack, void (*function)(void *),
                  void *argument);

/* filter.c */
/* What a seccomp filter (of `length` bytes) answers to this call: SECCOMP_RET_* with its data. */
uint32_t filter_answer(const void *filter, size_t length, long number, const uint64_t args[6]);

/* seccomp.c */
/* Whether the next filter of the plan is going to refuse this execve: its errno, or 0. */
int refused_by_filter(const char *path, const char **args, const char **env);
/* Start the helper if the next filter of the plan makes it necessary. */
int prepare_filter(void);
/* End this process, whatever the filter allows, and unless `silent` report the failure. */
_Noreturn void end_failed(int error, int silent);
void forget_helper(void);

/* program.c */
/* Close what came with the plan, and is not needed after the start. */
void close_the_rest(void);
/* $LISTEN_PID of the program for which all has been prepared, if it has that. */
void number_listen_pid(void);

/* path.c */
int path_open(const char *path, int flags);
int path_resolve(const char *path, int flags, uint64_t resolve);
int path_open_link(const char *path);
int path_make_dir(const char *path, int mode);
int path_plain_dir(const char *path, int mode);
int path_make_file(const char *path, int mode);
int path_parent(const char *path, const char **name);
int proc_handle(void);
int write_file_at(int dir, const char *path, const char *value, size_t length);

/* file.c */
/* A regular file of the container for reading, and its size. */
int path_open_file(const char *path, uint64_t resolve, uint64_t *size);
int mounted_fds(void);
/* Open again what `look`, a descriptor of O_PATH, stands for. */
int reopen(int look, int flags);

/* mount.c */
int attach(int tree, int target);
int clone_tree(int dir, const char *path, int recursive);
/* Sets attributes, and nothing that happens below travels to another mount any more. */
int set_private(int tree, int64_t set, int recursive);
/* The same as attach, of what config.json mounts: it may lie on the root. */
int attach_at(int *tree, int target, const char *path);
int set_attr(int fd, int recursive, int64_t set, int64_t clear);
int clone_source(const char *path, int recursive, int nofollow);
int clone_host(const char *path, int64_t set);
void fd_path(char *out, int fd);
int classic_mount(const char *source, int target, const char *type, int64_t flags,
                  const char *data);
int change_mount(int target, int64_t flags, const char *data);
int open_target_dir(const char *target, int plain);

/* mask.c */
int open_own_files(void);
int open_own_null(void);
int hide(int target);

/* device.c */
long kernel_device(int64_t device);
int clone_device(const char *path);

/* copyup.c */
int copy_up(int target, int tree, int owner);

/* one handler an operation: 0, or a negative errno */
#define DECLARE(number, handler) int handler(void);
PLAN_HANDLERS(DECLARE)
#undef DECLARE

#endif
