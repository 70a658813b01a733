#include "task.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct container *containers; /* of one pod: a handful */

struct container *container_first(void)
{
    return containers;
}

struct container *container_find(const char *id)
{
    for (struct container *c = containers; c; c = c->next)
        if (!c->init.deleted && !strcmp(c->id, id))
            return c;
    return NULL;
}

struct process *process_find(struct container *container, const char *exec_id)
{
    if (!*exec_id)
        return &container->init;
    for (struct process *p = container->execs; p; p = p->next)
        if (!p->deleted && !strcmp(p->exec_id, exec_id))
            return p;
    return NULL;
}

static bool lives(const struct process *process, pid_t pid)
{
    return process->pid == pid && process->state != NEW && process->state != STOPPED &&
           !process->has_end;
}

struct process *process_of_pid(pid_t pid)
{
    for (struct container *c = containers; c; c = c->next) {
        if (lives(&c->init, pid))
            return &c->init;
        for (struct process *p = c->execs; p; p = p->next)
            if (lives(p, pid))
                return p;
    }
    return NULL;
}

void process_init(struct process *process, struct container *container, const char *exec_id)
{
    *process = (struct process){.container = container, .exec_id = xdup(exec_id)};
    streams_init(&process->io, "", "", "", false);
    process->console = (struct console){-1, -1, ""};
}

struct container *container_new(const char *id, const char *bundle)
{
    struct container *container = xalloc(sizeof(*container));

    container->id = xdup(id);
    container->bundle = xdup(bundle);
    container->rootfs = xformat("%s/rootfs", bundle);
    cgroup_init(&container->cgroup);
    process_init(&container->init, container, "");
    container->next = containers;
    containers = container;
    return container;
}

static void process_free(struct process *process)
{
    streams_free(&process->io);
    if (process->spec_file)
        unlink(process->spec_file);
    if (process->pid_file)
        unlink(process->pid_file);
    free(process->spec_file);
    free(process->pid_file);
    free(process->spec.data);
    free(process->exec_id);
}

static bool is_idle(const struct process *process)
{
    return !process->turn && !process->serving && !process->queue;
}

static void answer_waiting(struct process *process)
{
    while (process->waiting) {
        struct call *call = process->waiting;
        process->waiting = call->next;
        answer_end(call, process);
    }
}

void container_release(struct container *container)
{
    bool all_idle = is_idle(&container->init) && !container->pins;

    for (struct process **place = &container->execs; *place;) {
        struct process *exec = *place;
        if (!is_idle(exec)) {
            all_idle = false;
        } else if (exec->deleted || container->init.deleted) {
            *place = exec->next;
            answer_waiting(exec);
            process_free(exec);
            free(exec);
            continue;
        }
        place = &exec->next;
    }
    if (!container->init.deleted || !all_idle)
        return;
    for (struct container **place = &containers; *place; place = &(*place)->next)
        if (*place == container) {
            *place = container->next;
            break;
        }
    answer_waiting(&container->init);
    process_free(&container->init);
    cgroup_free(&container->cgroup);
    options_free(&container->options);
    buf_free(&container->created);
    free(container->id);
    free(container->bundle);
    free(container->rootfs);
    free(container->checkpoint);
    free(container->parent_checkpoint);
    free(container);
    shim_ends_if_idle();
}

/* -- turns --------------------------------------------------------------------------------------- */

static void serve(struct process *process)
{
    if (process->serving)
        return;
    process->serving = true;
    while (!process->turn && process->queue) {
        struct call *call = process->queue;
        process->queue = call->next;
        if (process->deleted) {
            refuse(call, NOT_FOUND, "process has been deleted");
        } else {
            process->turn = call;
            call->work(call);
        }
    }
    process->serving = false;
    container_release(process->container);
}

void take_turn(struct process *process, struct call *call, void (*work)(struct call *))
{
    struct call **place = &process->queue;

    call->process = process;
    call->work = work;
    call->next = NULL;
    while (*place)
        place = &(*place)->next;
    *place = call;
    serve(process);
}

void turn_over(struct call *call)
{
    struct process *process = call->process;

    if (!process || process->turn != call)
        return;
    process->turn = NULL;
    process_settle(process);
    if (!process->turn)
        serve(process);
}
