/* Containers and their processes, as the task API has them. */
#ifndef CONTAINERD_TASK_H
#define CONTAINERD_TASK_H

#include "cgroup.h"
#include "loop.h"
#include "options.h"
#include "streams.h"
#include "ttrpc.h"

enum state { NEW, CREATED, RUNNING, STOPPED, PAUSED, PAUSING }; /* numbers of the task API */

struct console { /* a socket that the runtime sends a terminal to */
    int listener, directory;
    char name[32];
};

struct process {
    struct process *next;
    struct container *container;
    char *exec_id; /* "": the container's init */
    enum state state;
    pid_t pid;
    int status;
    struct timespec exited;
    struct streams io;
    struct console console;
    struct span spec; /* of an exec, until it is started */
    char *spec_file, *pid_file;

    struct call *turn, *queue; /* one call at a time changes it */
    bool serving, deleted;
    bool has_end; /* it ended, but a call has its turn, or some of the container's execs are left */
    struct end end;
    struct call *waiting; /* for its end */
};

struct container {
    struct container *next;
    char *id, *bundle, *rootfs;
    char *checkpoint, *parent_checkpoint; /* to start from, or "" */
    struct options options;
    struct cgroup cgroup;
    struct buf created; /* the event */
    char *failure;      /* why it is removed again */
    bool own_pidns;     /* then nothing of it is left when its init has ended */
    bool all_killed;
    unsigned pins; /* commands that it has to outlive */
    struct process init;
    struct process *execs;
    unsigned execs_running; /* that have been started, and have not ended */
};

extern const char *shim_namespace;
extern bool shim_debug; /* every call goes to the log */

/* service.c: what the calls are */
const struct method *task_method(const char *name);

/* container.c: the containers, and turns at their processes */
struct container *container_find(const char *id);
struct container *container_first(void);
struct process *process_find(struct container *container, const char *exec_id);
struct process *process_of_pid(pid_t pid);
struct container *container_new(const char *id, const char *bundle);
void process_init(struct process *process, struct container *container, const char *exec_id);
void container_release(struct container *container); /* frees what is over */

void take_turn(struct process *process, struct call *call, void (*work)(struct call *));
void turn_over(struct call *call); /* at the end of every call */

/* exits.c: what ends */
void process_ended(struct end end);
void expect_process(void);                    /* one whose pid is not known yet */
void process_known(struct process *process);  /* now it is; NULL: there is none after all */
void process_settle(struct process *process); /* no call is at it: an end can be told */
void answer_end(struct call *call, const struct process *process);

/* start.c: commands that start a process. run_attached() gives `error`, if any, or that of attaching
 * to `done`, without running the command. attached() belongs into `done`: an error to be freed, or
 * NULL. */
struct command;
void run_attached(struct command *command, struct call *call, const char *error,
                  void (*done)(void *call, const char *error));
char *attached(struct process *process, const char *command, const char *error);
void watch_memory(struct container *container); /* tells of processes killed for memory */

/* create.c, start.c, operations.c: the work of calls that have their turn */
void do_create(struct call *call);
void do_start(struct call *call);
void do_start_exec(struct call *call);
void do_restore(struct call *call);
void do_delete(struct call *call);
void do_delete_exec(struct call *call);
void do_pause(struct call *call);
void do_resume(struct call *call);
void do_kill(struct call *call);
void do_update(struct call *call);
void do_checkpoint(struct call *call);

/* Events with the container's id and what is usual besides. */
void send_exit(const struct process *process);
void send_plain(const struct container *container, const char *topic, const char *type);

/* main.c */
void shim_leave(void);        /* sends what is left to send, then ends */
void shim_ends_if_idle(void); /* after shim_leave() */

#endif
