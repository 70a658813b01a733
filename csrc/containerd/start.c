/* Start: containers, processes in them, and containers from a checkpoint. */
#include "task.h"
#include "events.h"
#include "json.h"
#include "runtime.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -- Commands that start a process ---------------------------------------------------------------- */

/* Asks for the terminal, if there is one, and hands the streams of the process over. An error to be
 * freed, or NULL. */
static char *attach(struct process *process, struct command *command)
{
    memcpy(command->fds, process->io.child, sizeof(command->fds));
    if (!process->io.paths.terminal)
        return NULL;
    char *error = console_open(&process->console, process->container->bundle);
    if (!error)
        command_add(command, "--console-socket", process->console.name, NULL);
    return error;
}

void run_attached(struct command *command, struct call *call, const char *error,
                  void (*done)(void *call, const char *error))
{
    char *own = error ? xdup(error) : attach(call->process, command);

    command_add(command, call->process->container->id, NULL);
    expect_process();
    if (own)
        command_cancel(command, done, call, own);
    else
        command_run(command, done, call);
    free(own);
}

/* Learns the pid, begins to copy. */
static char *begin(struct process *process)
{
    struct span text = read_file(process->pid_file);
    int terminal = -1;

    process->pid = text.data ? atoi(text.data) : 0;
    free(text.data);
    if (process->io.paths.terminal) {
        terminal = console_take(&process->console);
        if (terminal < 0)
            return xdup("the runtime has not sent the terminal");
    }
    streams_start(&process->io, terminal);
    return process->pid > 0 ? NULL : xformat("%s: no pid", process->pid_file);
}

char *attached(struct process *process, const char *command, const char *error)
{
    char *own;

    if (error) {
        if (process->io.paths.terminal)
            console_take(&process->console);
        own = xformat("OCI runtime %s failed: %s", command, error);
    } else {
        own = begin(process);
    }
    process_known(own ? NULL : process);
    return own;
}

static void on_oom(void *argument)
{
    send_plain(argument, "/tasks/oom", "TaskOOM");
}

void watch_memory(struct container *container)
{
    if (cgroup_find(&container->cgroup, container->init.pid))
        cgroup_watch_memory(&container->cgroup, on_oom, container);
}

/* -- Start --------------------------------------------------------------------------------------- */

static void started(struct call *call)
{
    struct process *process = call->process;
    bool is_exec = *process->exec_id;
    struct buf event = {0}, out = {0};

    process->state = RUNNING;
    put_text(&event, 1, process->container->id);
    if (is_exec)
        put_text(&event, 2, process->exec_id);
    put_uint(&event, is_exec ? 3 : 2, (uint64_t)process->pid);
    if (is_exec)
        event_send("/tasks/exec-started", "TaskExecStarted", &event);
    else
        event_send("/tasks/start", "TaskStart", &event);
    put_uint(&out, 1, (uint64_t)process->pid);
    answer(call, &out);
    buf_free(&event);
    buf_free(&out);
}

static void on_started(void *argument, const char *error)
{
    struct call *call = argument;
    if (error)
        refuse(call, UNKNOWN, "OCI runtime start failed: %s", error);
    else
        started(call);
}

static bool refused_start(struct call *call)
{
    static const char *const WORDS[] = {
        [RUNNING] = "running", [STOPPED] = "stopped", [PAUSED] = "paused"};
    enum state state = call->process->state;
    if (state == CREATED && !call->process->has_end)
        return false;
    refuse(call, UNKNOWN, "cannot start a %s process", WORDS[state] ? WORDS[state] : "stopped");
    return true;
}

void do_start(struct call *call)
{
    struct container *container = call->process->container;
    struct command *command;

    if (refused_start(call))
        return;
    command = command_new(&container->options, container->bundle);
    command_add(command, "start", container->id, NULL);
    command_run(command, on_started, call);
}

/* -- Start of an exec ---------------------------------------------------------------------------- */

static void on_exec_started(void *argument, const char *error)
{
    struct call *call = argument;
    struct process *process = call->process;
    char *own = attached(process, "exec", error);

    unlink(process->spec_file);
    unlink(process->pid_file);
    if (!own) {
        started(call);
        return;
    }
    /* There is no process, nor will there be: who waits for it learns that. */
    if (process->pid > 0)
        kill(process->pid, SIGKILL);
    streams_free(&process->io);
    process->state = STOPPED;
    process->status = 255;
    clock_gettime(CLOCK_REALTIME, &process->exited);
    process->container->execs_running--;
    while (process->waiting) {
        struct call *waiting = process->waiting;
        process->waiting = waiting->next;
        answer_end(waiting, process);
    }
    process_settle(&process->container->init);
    refuse(call, UNKNOWN, "%s", own);
    free(own);
}

/* What is asked for counts, whatever the process's own config says about a terminal. */
static int write_spec(const struct process *process)
{
    const char *wanted = process->io.paths.terminal ? "true" : "false";
    struct span found = json_member(process->spec, "terminal");
    const struct span *spec = &process->spec;
    struct buf text = {0};
    const char *end = spec->data + spec->size;
    int result;

    if (json_is(found, wanted) || (!found.size && !process->io.paths.terminal)) {
        buf_add(&text, spec->data, spec->size);
    } else if (found.size) {
        buf_add(&text, spec->data, (size_t)(found.data - spec->data));
        buf_add(&text, wanted, strlen(wanted));
        buf_add(&text, found.data + found.size, (size_t)(end - found.data) - found.size);
    } else {
        const char *open = memchr(spec->data, '{', spec->size);
        size_t before = open ? (size_t)(open - spec->data) + 1 : 0;
        buf_add(&text, spec->data, before);
        if (open)
            buf_add(&text, "\"terminal\":true,", 16);
        buf_add(&text, spec->data + before, spec->size - before);
    }
    result = write_file(process->spec_file, text.data, text.size);
    buf_free(&text);
    return result;
}

static void exec_ready(void *argument, const char *error)
{
    struct call *call = argument;
    struct process *process = call->process;
    struct container *container = process->container;
    struct command *command = command_new(&container->options, container->bundle);

    command_add(command, "exec", "--process", process->spec_file, "--detach", "--pid-file",
                process->pid_file, NULL);
    run_attached(command, call, error, on_exec_started);
}

void do_start_exec(struct call *call)
{
    static unsigned number;
    struct process *process = call->process;
    struct container *container = process->container;

    if (refused_start(call))
        return;
    if (container->init.has_end || container->init.state == STOPPED) {
        refuse(call, FAILED_PRECONDITION, "container %s init process is not running",
               container->id);
        return;
    }
    number++;
    process->spec_file = xformat("%s/exec-%u.json", container->bundle, number);
    process->pid_file = xformat("%s/exec-%u.pid", container->bundle, number);
    if (write_spec(process) < 0) {
        refuse(call, UNKNOWN, "write %s: %s", process->spec_file, strerror(errno));
        return;
    }
    free(process->spec.data);
    process->spec = (struct span){0};
    container->execs_running++;
    streams_open(&process->io, (unsigned)container->options.io_uid,
                 (unsigned)container->options.io_gid, process->exec_id, shim_namespace, exec_ready,
                 call);
}

/* -- Start from a checkpoint ---------------------------------------------------------------------- */

static void on_restored(void *argument, const char *error)
{
    struct call *call = argument;
    char *own = attached(call->process, "restore", error);

    if (own) {
        refuse(call, UNKNOWN, "%s", own);
        free(own);
        return;
    }
    watch_memory(call->process->container);
    started(call);
}

void do_restore(struct call *call)
{
    struct process *process = call->process;
    struct container *container = process->container;
    struct command *command;
    char *work;

    if (refused_start(call))
        return;
    work = *container->options.criu_work ? xdup(container->options.criu_work)
                                         : xformat("%s/work", container->bundle);
    command = command_new(&container->options, container->bundle);
    command_add(command, "restore", "--image-path", container->checkpoint, "--work-path", work,
                "--bundle", container->bundle, "--pid-file", process->pid_file, "--detach",
                "--no-subreaper", NULL);
    if (*container->parent_checkpoint)
        command_add(command, "--parent-path", container->parent_checkpoint, NULL);
    if (container->options.no_pivot)
        command_add(command, "--no-pivot", NULL);
    run_attached(command, call, NULL, on_restored);
    free(work);
}
