/* Delete, pause, resume, kill, update, checkpoint. */
#define _GNU_SOURCE
#include "task.h"
#include "events.h"
#include "rootfs.h"
#include "runtime.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DRAIN_TIME 10000 /* milliseconds for the last output to be read, as runc's shim */
#define LOGGER_TIME 5000 /* for a logger to end by itself */

static const char *const STATES[] = {
    [NEW] = "created",     [CREATED] = "created", [RUNNING] = "running",
    [STOPPED] = "stopped", [PAUSED] = "paused",   [PAUSING] = "pausing"};

static struct command *command_for(struct call *call)
{
    struct container *container = call->process->container;
    return command_new(&container->options, container->bundle);
}

/* -- Delete -------------------------------------------------------------------------------------- */

static void answer_delete(struct call *call)
{
    struct process *process = call->process;
    struct buf out = {0};

    put_uint(&out, 1, (uint64_t)process->pid);
    put_uint(&out, 2, (uint64_t)process->status);
    put_time(&out, 3, process->exited);
    process->deleted = true;
    answer(call, &out);
    buf_free(&out);
}

static void deleted(struct call *call)
{
    struct process *process = call->process;
    struct container *container = process->container;
    struct buf event = {0};

    streams_free(&process->io);
    if (rootfs_unmount(container->rootfs) < 0) {
        refuse(call, UNKNOWN, "failed rootfs umount: %s", strerror(errno));
        return;
    }
    if (process->has_end && process->state != STOPPED) { /* it was created, and never started */
        process->state = STOPPED;
        process->status = process->end.status;
        process->exited = process->end.at;
        send_exit(process);
    }
    options_forget(container->bundle);
    put_text(&event, 1, container->id);
    put_uint(&event, 2, (uint64_t)process->pid);
    put_uint(&event, 3, (uint64_t)process->status);
    put_time(&event, 4, process->exited);
    event_send("/tasks/delete", "TaskDelete", &event);
    buf_free(&event);
    answer_delete(call);
}

static void on_deleted(void *argument, const char *error)
{
    struct call *call = argument;

    /* It may be gone already, after a checkpoint for instance. */
    if (error && !strstr(error, "does not exist"))
        refuse(call, UNKNOWN, "failed to delete task: %s", error);
    else
        deleted(call);
}

static void delete_now(void *argument)
{
    struct call *call = argument;
    struct command *command;

    timer_stop(call->timer);
    call->timer = 0;
    call->process->io.drained = NULL;
    if (*call->process->exec_id) {
        streams_free(&call->process->io);
        answer_delete(call);
        return;
    }
    command = command_for(call);
    command_add(command, "delete", call->process->container->id, NULL);
    command_run(command, on_deleted, call);
}

static void on_drain_timeout(void *argument)
{
    struct call *call = argument;
    call->timer = 0;
    say("%s %s: its output has not been read to the end", call->process->container->id,
        call->process->exec_id);
    delete_now(call);
}

static void on_logger_timeout(void *argument)
{
    struct call *call = argument;
    streams_end_logger(&call->process->io);
    call->timer = timer_start(DRAIN_TIME - LOGGER_TIME, on_drain_timeout, call);
}

/* The client wants to read everything before the fifos go. */
static void delete_when_drained(struct call *call)
{
    struct streams *io = &call->process->io;

    if (call->process->state == CREATED || streams_are_drained(io)) {
        delete_now(call);
        return;
    }
    io->drained = delete_now;
    io->argument = call;
    call->timer = timer_start(LOGGER_TIME, on_logger_timeout, call);
}

void do_delete(struct call *call)
{
    enum state state = call->process->state;

    if (state != CREATED && state != STOPPED)
        refuse(call, UNKNOWN, "cannot delete a %s process", STATES[state]);
    else
        delete_when_drained(call);
}

void do_delete_exec(struct call *call)
{
    enum state state = call->process->state;

    if (state == RUNNING)
        refuse(call, UNKNOWN, "cannot delete a running process");
    else
        delete_when_drained(call);
}

/* -- Pause and Resume ---------------------------------------------------------------------------- */

static void on_paused(void *argument, const char *error)
{
    struct call *call = argument;

    call->process->state = error ? RUNNING : PAUSED;
    if (error) {
        refuse(call, UNKNOWN, "OCI runtime pause failed: %s", error);
        return;
    }
    send_plain(call->process->container, "/tasks/paused", "TaskPaused");
    answer(call, NULL);
}

void do_pause(struct call *call)
{
    struct command *command;

    if (call->process->state != RUNNING) {
        refuse(call, UNKNOWN, "cannot pause a %s container", STATES[call->process->state]);
        return;
    }
    command = command_for(call);
    command_add(command, "pause", call->process->container->id, NULL);
    call->process->state = PAUSING;
    command_run(command, on_paused, call);
}

static void on_resumed(void *argument, const char *error)
{
    struct call *call = argument;

    if (error) {
        refuse(call, UNKNOWN, "OCI runtime resume failed: %s", error);
        return;
    }
    call->process->state = RUNNING;
    send_plain(call->process->container, "/tasks/resumed", "TaskResumed");
    answer(call, NULL);
}

void do_resume(struct call *call)
{
    struct command *command;

    if (call->process->state != PAUSED) {
        refuse(call, UNKNOWN, "cannot resume a %s container", STATES[call->process->state]);
        return;
    }
    command = command_for(call);
    command_add(command, "resume", call->process->container->id, NULL);
    command_run(command, on_resumed, call);
}

/* -- Kill ---------------------------------------------------------------------------------------- */

static bool says(const char *error, const char *words)
{
    return strcasestr(error, words) != NULL;
}

static void on_signalled(void *argument, const char *error)
{
    struct call *call = argument;

    if (!error)
        answer(call, NULL);
    else if (says(error, "container not running") || says(error, "process already finished") ||
             says(error, "no such process"))
        refuse(call, NOT_FOUND, "process already finished");
    else if (says(error, "does not exist"))
        refuse(call, NOT_FOUND, "no such container");
    else
        refuse(call, UNKNOWN, "unknown error after kill: %s", error);
}

void do_kill(struct call *call)
{
    struct process *process = call->process;
    struct command *command;
    char number[16];

    if (process->state == STOPPED && !call->request.all) {
        refuse(call, NOT_FOUND, "process already finished");
        return;
    }
    snprintf(number, sizeof(number), "%u", (unsigned)call->request.signal);
    command = command_for(call);
    command_add(command, "kill", call->request.all ? "--all" : NULL, NULL);
    command_add(command, process->container->id, number, NULL);
    command_run(command, on_signalled, call);
}

/* -- Update -------------------------------------------------------------------------------------- */

static void on_updated(void *argument, const char *error)
{
    struct call *call = argument;
    if (error)
        refuse(call, UNKNOWN, "OCI runtime update failed: %s", error);
    else
        answer(call, NULL);
}

void do_update(struct call *call)
{
    struct span resources = call->request.any.value;
    struct command *command;
    int file;

    if (call->process->state == STOPPED) {
        refuse(call, UNKNOWN, "cannot update a stopped container");
        return;
    }
    file = memfd_create("resources", MFD_CLOEXEC);
    if (file < 0 || write(file, resources.data, resources.size) != (ssize_t)resources.size ||
        lseek(file, 0, SEEK_SET) < 0) {
        refuse(call, UNKNOWN, "pass the resources on: %s", strerror(errno));
    } else {
        command = command_for(call);
        command_add(command, "update", "--resources=-", call->process->container->id, NULL);
        command->fds[0] = file;
        command_run(command, on_updated, call);
    }
    if (file >= 0)
        close(file);
}

/* -- Checkpoint ---------------------------------------------------------------------------------- */

struct checkpoint {
    uint64_t exit, open_tcp, external_unix, terminal, file_locks;
    char *cgroups_mode, *image_path, *work_path, *parent_path;
    struct spans empty_namespaces;
};

static void on_checkpointed(void *argument, const char *error)
{
    struct call *call = argument;
    if (error)
        refuse(call, UNKNOWN, "OCI runtime checkpoint failed: %s", error);
    else
        answer(call, NULL);
}

void do_checkpoint(struct call *call)
{
    static const struct field FIELDS[] = {
        {1, PB_UINT, offsetof(struct checkpoint, exit)},
        {2, PB_UINT, offsetof(struct checkpoint, open_tcp)},
        {3, PB_UINT, offsetof(struct checkpoint, external_unix)},
        {4, PB_UINT, offsetof(struct checkpoint, terminal)},
        {5, PB_UINT, offsetof(struct checkpoint, file_locks)},
        {6, PB_LIST, offsetof(struct checkpoint, empty_namespaces)},
        {7, PB_TEXT, offsetof(struct checkpoint, cgroups_mode)},
        {8, PB_TEXT, offsetof(struct checkpoint, image_path)},
        {9, PB_TEXT, offsetof(struct checkpoint, work_path)},
        {10, PB_TEXT, offsetof(struct checkpoint, parent_path)},
    };
    static const struct {
        size_t offset;
        const char *option;
    } FLAGS[] = {
        {offsetof(struct checkpoint, open_tcp), "--tcp-established"},
        {offsetof(struct checkpoint, external_unix), "--ext-unix-sk"},
        {offsetof(struct checkpoint, terminal), "--shell-job"},
        {offsetof(struct checkpoint, file_locks), "--file-locks"},
    };
    struct container *container = call->process->container;
    struct checkpoint wanted = {0};
    struct command *command;

    if (call->process->state != RUNNING && call->process->state != PAUSED) {
        refuse(call, UNKNOWN, "cannot checkpoint a %s container", STATES[call->process->state]);
        return;
    }
    if (!pb_read(FIELDS, COUNT(FIELDS), call->request.any.value, &wanted)) {
        free(wanted.empty_namespaces.items);
        refuse(call, INVALID_ARGUMENT, "malformed checkpoint options");
        return;
    }
    command = command_for(call);
    command_add(command, "checkpoint", "--image-path", call->request.path, NULL);
    if (*wanted.work_path)
        command_add(command, "--work-path", wanted.work_path, NULL);
    if (*wanted.parent_path)
        command_add(command, "--parent-path", wanted.parent_path, NULL);
    for (size_t i = 0; i < COUNT(FLAGS); i++)
        if (*(uint64_t *)((char *)&wanted + FLAGS[i].offset))
            command_add(command, FLAGS[i].option, NULL);
    for (size_t i = 0; i < wanted.empty_namespaces.count; i++) {
        struct span name = wanted.empty_namespaces.items[i];
        char *text = strndup(name.data, name.size);
        command_add(command, "--empty-ns", text, NULL);
        free(text);
    }
    if (*wanted.cgroups_mode)
        command_add(command, "--manage-cgroups-mode", wanted.cgroups_mode, NULL);
    if (!wanted.exit)
        command_add(command, "--leave-running", NULL);
    command_add(command, container->id, NULL);
    free(wanted.empty_namespaces.items);
    command_run(command, on_checkpointed, call);
}
