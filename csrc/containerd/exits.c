#include "task.h"
#include "events.h"
#include "runtime.h"

#include <stdlib.h>
#include <string.h>

/* Of processes whose pid we have yet to learn, while there are any: theirs are among these. */
static struct end *unclaimed;
static size_t unclaimed_count;
static unsigned expected;

static void end_process(struct process *process);

void expect_process(void)
{
    expected++;
}

void process_known(struct process *process)
{
    for (size_t i = unclaimed_count; process && i-- > 0;)
        if (unclaimed[i].pid == process->pid) {
            process->has_end = true;
            process->end = unclaimed[i];
            break;
        }
    if (--expected == 0) {
        free(unclaimed);
        unclaimed = NULL;
        unclaimed_count = 0;
    }
}

void process_ended(struct end end)
{
    struct process *process = process_of_pid(end.pid);

    if (process) {
        process->has_end = true;
        process->end = end;
        process_settle(process);
    } else if (expected) {
        if ((unclaimed_count & (unclaimed_count - 1)) == 0)
            unclaimed =
                xgrow(unclaimed, (unclaimed_count ? unclaimed_count * 2 : 1) * sizeof(*unclaimed));
        unclaimed[unclaimed_count++] = end;
    }
}

void process_settle(struct process *process)
{
    if (process->has_end && !process->turn && process->state != STOPPED)
        end_process(process);
}

void answer_end(struct call *call, const struct process *process)
{
    struct buf out = {0};
    put_uint(&out, 1, (uint64_t)process->status);
    put_time(&out, 2, process->exited);
    answer(call, &out);
    buf_free(&out);
}

void send_exit(const struct process *process)
{
    const struct container *container = process->container;
    struct buf event = {0};

    put_text(&event, 1, container->id);
    put_text(&event, 2, *process->exec_id ? process->exec_id : container->id);
    put_uint(&event, 3, (uint64_t)process->pid);
    put_uint(&event, 4, (uint64_t)process->status);
    put_time(&event, 5, process->exited);
    event_send("/tasks/exit", "TaskExit", &event);
    buf_free(&event);
}

void send_plain(const struct container *container, const char *topic, const char *type)
{
    struct buf event = {0};
    put_text(&event, 1, container->id);
    event_send(topic, type, &event);
    buf_free(&event);
}

/* -- the end of a container's init comes last ----------------------------------------------------- */

static void unpin(struct container *container)
{
    container->pins--;
    process_settle(&container->init);
    container_release(container);
}

static void on_all_killed(void *argument, const char *error)
{
    struct container *container = argument;
    if (error)
        say("%s: kill what its init has left: %s", container->id, error);
    container->all_killed = true;
    unpin(container);
}

static void on_resumed(void *argument, const char *error)
{
    struct container *container = argument;
    if (error)
        say("%s: resume after its end: %s", container->id, error);
    unpin(container);
}

/* Whether nothing is left that has to end, and be told, before. */
static bool is_last(struct container *container)
{
    struct command *command;

    if (!container->own_pidns && !container->all_killed) {
        if (!container->pins++) {
            command = command_new(&container->options, container->bundle);
            command_add(command, "kill", "--all", container->id, "9", NULL);
            command_run(command, on_all_killed, container);
        } else {
            container->pins--;
        }
        return false;
    }
    return !container->execs_running;
}

static void end_process(struct process *process)
{
    struct container *container = process->container;
    bool is_init = process == &container->init;
    struct command *command;

    if (is_init) {
        if (!is_last(container))
            return;
        cgroup_check_memory(&container->cgroup);
        watch_close(&container->cgroup.memory);
        if (process->state == PAUSED) {
            container->pins++;
            command = command_new(&container->options, container->bundle);
            command_add(command, "resume", container->id, NULL);
            command_run(command, on_resumed, container);
        }
    }
    process->state = STOPPED;
    process->status = process->end.status;
    process->exited = process->end.at;
    streams_exited(&process->io);
    send_exit(process);
    while (process->waiting) {
        struct call *call = process->waiting;
        process->waiting = call->next;
        answer_end(call, process);
    }
    if (!is_init) {
        container->execs_running--;
        process_settle(&container->init);
    }
}
