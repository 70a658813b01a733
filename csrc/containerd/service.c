#include "task.h"
#include "bootstrap.h"
#include "events.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The container that a call is about; NULL when it has been refused. */
static struct container *container_of_call(struct call *call)
{
    struct container *container = container_find(call->request.id);
    if (!container || container->init.state == NEW) {
        refuse(call, NOT_FOUND, "container not created");
        return NULL;
    }
    return container;
}

static struct process *process_of_call(struct call *call)
{
    struct container *container = container_of_call(call);
    struct process *process =
        container ? process_find(container, call->request.exec_id ? call->request.exec_id : "")
                  : NULL;

    if (container && !process)
        refuse(call, NOT_FOUND, "process does not exist %s", call->request.exec_id);
    return process;
}

static bool is_init(const struct process *process)
{
    return process == &process->container->init;
}

/* -- at once ------------------------------------------------------------------------------------- */

static void state(struct call *call)
{
    struct process *process = process_of_call(call);
    struct buf out = {0};
    enum state own, whole;

    if (!process)
        return;
    own = process->state;
    whole = process->container->init.state;
    if (!is_init(process) && (whole == PAUSED || whole == PAUSING))
        own = whole;
    put_text(&out, 1, is_init(process) ? process->container->id : process->exec_id);
    put_text(&out, 2, process->container->bundle);
    put_uint(&out, 3, (uint64_t)process->pid);
    put_uint(&out, 4, own == NEW ? CREATED : own);
    put_text(&out, 5, process->io.paths.in);
    put_text(&out, 6, process->io.paths.out);
    put_text(&out, 7, process->io.paths.err);
    put_uint(&out, 8, process->io.paths.terminal);
    put_uint(&out, 9, (uint64_t)process->status);
    put_time(&out, 10, process->exited);
    answer(call, &out);
    buf_free(&out);
}

static void pids(struct call *call)
{
    struct container *container = container_of_call(call);
    struct buf out = {0};
    struct pids found;

    if (!container)
        return;
    /* None when it has ended. An error would tell a new containerd that there is no such task. */
    cgroup_pids(&container->cgroup, &found);
    for (size_t i = 0; i < found.count; i++) {
        size_t one = put_begin(&out, 1), info, details;
        put_uint(&out, 1, (uint64_t)found.items[i]);
        for (struct process *p = container->execs; p; p = p->next)
            if (p->pid == found.items[i] && p->state == RUNNING) {
                info = put_begin(&out, 2);
                put_text(&out, 1, "containerd.runc.v1.ProcessDetails");
                details = put_begin(&out, 2);
                put_text(&out, 1, p->exec_id);
                put_end(&out, details);
                put_end(&out, info);
            }
        put_end(&out, one);
    }
    free(found.items);
    answer(call, &out);
    buf_free(&out);
}

static void stats(struct call *call)
{
    struct container *container = container_of_call(call);
    struct buf metrics = {0}, out = {0};
    const char *type;
    size_t any;

    if (!container)
        return;
    type = cgroup_metrics(&container->cgroup, &metrics);
    if (!type) {
        refuse(call, NOT_FOUND, "cgroup does not exist");
    } else {
        any = put_begin(&out, 1);
        put_text(&out, 1, type);
        put_bytes(&out, 2, metrics.data, metrics.size);
        put_end(&out, any);
        answer(call, &out);
    }
    buf_free(&metrics);
    buf_free(&out);
}

static void wait_call(struct call *call)
{
    struct process *process = process_of_call(call);

    if (!process)
        return;
    if (process->state == STOPPED) {
        answer_end(call, process);
        return;
    }
    call->next = process->waiting;
    process->waiting = call;
}

static void connect_call(struct call *call)
{
    struct container *container = container_find(call->request.id);
    struct buf out = {0};

    put_uint(&out, 1, (uint64_t)getpid());
    put_uint(&out, 2, container ? (uint64_t)container->init.pid : 0);
    put_text(&out, 3, VERSION);
    answer(call, &out);
    buf_free(&out);
}

static void close_io(struct call *call)
{
    struct process *process = process_of_call(call);

    if (!process)
        return;
    streams_close_input(&process->io);
    answer(call, NULL);
}

static void resize(struct call *call)
{
    struct process *process = process_of_call(call);

    if (!process)
        return;
    if (process->state == STOPPED && !is_init(process))
        refuse(call, UNKNOWN, "cannot resize a stopped container");
    else if (streams_resize(&process->io, (unsigned)call->request.width,
                            (unsigned)call->request.height) < 0)
        refuse(call, UNKNOWN, "cannot resize the terminal");
    else
        answer(call, NULL);
}

static void exec(struct call *call)
{
    struct request *r = &call->request;
    struct container *container = container_of_call(call);
    struct process *process;
    struct buf event = {0};

    if (!container)
        return;
    if (!*r->exec_id || process_find(container, r->exec_id)) {
        refuse(call, *r->exec_id ? ALREADY_EXISTS : INVALID_ARGUMENT, "id %s", r->exec_id);
        return;
    }
    if (container->init.state != CREATED && container->init.state != RUNNING) {
        refuse(call, UNKNOWN, "cannot exec in a %s state",
               container->init.state == STOPPED   ? "stopped"
               : container->init.state == CREATED ? "created"
                                                  : "paused");
        return;
    }
    process = xalloc(sizeof(*process));
    process_init(process, container, r->exec_id);
    streams_free(&process->io);
    streams_init(&process->io, r->in, r->out, r->err, r->terminal);
    process->state = CREATED;
    process->spec.data = xalloc(r->any.value.size + 1);
    if (r->any.value.size)
        memcpy(process->spec.data, r->any.value.data, r->any.value.size);
    process->spec.size = r->any.value.size;
    process->next = container->execs;
    container->execs = process;
    put_text(&event, 1, container->id);
    put_text(&event, 2, r->exec_id);
    event_send("/tasks/exec-added", "TaskExecAdded", &event);
    buf_free(&event);
    answer(call, NULL);
}

/* A process of an exec is signalled by its pid, which is ours until we have reaped it. */
static void kill_exec(struct call *call, struct process *process)
{
    if (process->state == CREATED)
        refuse(call, FAILED_PRECONDITION, "process not created");
    else if (process->has_end || process->state == STOPPED)
        refuse(call, NOT_FOUND, "process already finished");
    else if (kill(process->pid, (int)call->request.signal) < 0)
        refuse(call, UNKNOWN, "exec kill error: signal %d", (int)call->request.signal);
    else
        answer(call, NULL);
}

static void kill_call(struct call *call)
{
    struct process *process = process_of_call(call);

    if (process && is_init(process))
        take_turn(process, call, do_kill);
    else if (process)
        kill_exec(call, process);
}

static void shutdown_call(struct call *call)
{
    bool any = false;

    for (struct container *c = container_first(); c; c = c->next)
        any = any || !c->init.deleted;
    answer(call, NULL);
    if (!any)
        shim_leave();
}

/* -- in turn ------------------------------------------------------------------------------------- */

static void create(struct call *call)
{
    struct request *r = &call->request;

    if (!*r->id || *r->bundle != '/')
        refuse(call, INVALID_ARGUMENT, "id %s with bundle %s: both are needed", r->id, r->bundle);
    else if (container_find(r->id))
        refuse(call, ALREADY_EXISTS, "container %s", r->id);
    else
        take_turn(&container_new(r->id, r->bundle)->init, call, do_create);
}

static void start(struct call *call)
{
    struct process *process = process_of_call(call);
    if (process)
        take_turn(process, call,
                  !is_init(process)                 ? do_start_exec
                  : *process->container->checkpoint ? do_restore
                                                    : do_start);
}

static void delete (struct call *call)
{
    struct process *process = process_of_call(call);
    if (process)
        take_turn(process, call, is_init(process) ? do_delete : do_delete_exec);
}

static void at_init(struct call *call, void (*work)(struct call *))
{
    struct container *container = container_of_call(call);
    if (container)
        take_turn(&container->init, call, work);
}

static void pause_call(struct call *call)
{
    at_init(call, do_pause);
}

static void resume(struct call *call)
{
    at_init(call, do_resume);
}

static void update(struct call *call)
{
    at_init(call, do_update);
}

static void checkpoint(struct call *call)
{
    at_init(call, do_checkpoint);
}

#define AT(member) offsetof(struct request, member)
#define ID                                                                                         \
    {                                                                                              \
        1, PB_TEXT, AT(id)                                                                         \
    }
#define EXEC                                                                                       \
    {                                                                                              \
        2, PB_TEXT, AT(exec_id)                                                                    \
    }
#define STREAMS(first)                                                                             \
    {(first) + 1, PB_TEXT, AT(in)}, {(first) + 2, PB_TEXT, AT(out)},                               \
        {(first) + 3, PB_TEXT, AT(err)},                                                           \
    {                                                                                              \
        (first), PB_UINT, AT(terminal)                                                             \
    }

static const struct method METHODS[] = {
    {"State", state, {ID, EXEC}},
    {"Create",
     create,
     {ID,
      {2, PB_TEXT, AT(bundle)},
      {3, PB_LIST, AT(rootfs)},
      STREAMS(4),
      {8, PB_TEXT, AT(checkpoint)},
      {9, PB_TEXT, AT(parent_checkpoint)},
      {10, PB_ANY, AT(any)}}},
    {"Start", start, {ID, EXEC}},
    {"Delete", delete, {ID, EXEC}},
    {"Pids", pids, {ID}},
    {"Pause", pause_call, {ID}},
    {"Resume", resume, {ID}},
    {"Checkpoint", checkpoint, {ID, {2, PB_TEXT, AT(path)}, {3, PB_ANY, AT(any)}}},
    {"Kill", kill_call, {ID, EXEC, {3, PB_UINT, AT(signal)}, {4, PB_UINT, AT(all)}}},
    {"Exec", exec, {ID, EXEC, STREAMS(3), {7, PB_ANY, AT(any)}}},
    {"ResizePty", resize, {ID, EXEC, {3, PB_UINT, AT(width)}, {4, PB_UINT, AT(height)}}},
    {"CloseIO", close_io, {ID, EXEC, {3, PB_UINT, AT(close_stdin)}}},
    {"Update", update, {ID, {2, PB_ANY, AT(any)}}},
    {"Wait", wait_call, {ID, EXEC}},
    {"Stats", stats, {ID}},
    {"Connect", connect_call, {ID}},
    {"Shutdown", shutdown_call, {ID}},
};

const struct method *task_method(const char *name)
{
    for (size_t i = 0; i < COUNT(METHODS); i++)
        if (!strcmp(METHODS[i].name, name))
            return &METHODS[i];
    return NULL;
}
