/* Create and start: of containers, of processes in them, and of containers from a checkpoint. */
#include "task.h"
#include "events.h"
#include "json.h"
#include "rootfs.h"
#include "runtime.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void on_oom(void *argument)
{
    send_plain(argument, "/tasks/oom", "TaskOOM");
}

/* Adds what says where the terminal is wanted, and takes the streams of the process. */
static char *attach(struct process *process, struct command *command)
{
    char *error;

    memcpy(command->fds, process->io.child, sizeof(command->fds));
    if (!process->io.paths.terminal)
        return NULL;
    error = console_open(&process->console, process->container->bundle);
    if (!error)
        command_add(command, "--console-socket", process->console.name, NULL);
    return error;
}

/* After the command: learn the pid, begin to copy. An error to be freed, or NULL. */
static char *attached(struct process *process)
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

static void not_attached(struct process *process)
{
    if (process->io.paths.terminal)
        console_take(&process->console);
    process_known(NULL);
}

/* -- Create -------------------------------------------------------------------------------------- */

static void create_failed(struct call *call, const char *error)
{
    struct container *container = call->process->container;

    streams_free(&container->init.io);
    if (rootfs_unmount(container->rootfs) < 0)
        say("unmount %s: %s", container->rootfs, strerror(errno));
    container->init.deleted = true;
    refuse(call, UNKNOWN, "%s", error);
}

static void created(struct call *call)
{
    struct container *container = call->process->container;
    struct buf out = {0};

    container->init.state = CREATED;
    put_uint(&container->created, 6, (uint64_t)container->init.pid);
    event_send("/tasks/create", "TaskCreate", &container->created);
    buf_free(&container->created);
    put_uint(&out, 1, (uint64_t)container->init.pid);
    answer(call, &out);
    buf_free(&out);
}

static void on_removed(void *argument, const char *error)
{
    struct call *call = argument;
    char *failure = call->process->container->failure;

    if (error)
        say("%s: remove what was created: %s", call->request.id, error);
    call->process->container->failure = NULL;
    create_failed(call, failure);
    free(failure);
}

static void on_created(void *argument, const char *error)
{
    struct call *call = argument;
    struct container *container = call->process->container;
    struct command *command;
    char *own;

    if (error) {
        not_attached(call->process);
        own = xformat("OCI runtime create failed: %s", error);
        create_failed(call, own);
        free(own);
        return;
    }
    own = attached(call->process);
    process_known(own ? NULL : call->process);
    if (own) { /* it is there, but of no use */
        container->failure = own;
        command = command_new(&container->options, container->bundle);
        command_add(command, "delete", "--force", container->id, NULL);
        command_run(command, on_removed, call);
        return;
    }
    if (cgroup_find(&container->cgroup, call->process->pid))
        cgroup_watch_memory(&container->cgroup, on_oom, container);
    created(call);
}

static void create_ready(void *argument, const char *error)
{
    struct call *call = argument;
    struct process *process = call->process;
    struct container *container = process->container;
    struct command *command;
    char *own;

    if (error) {
        create_failed(call, error);
        return;
    }
    if (*container->checkpoint) {
        created(call);
        return;
    }
    command = command_new(&container->options, container->bundle);
    command_add(command, "create", "--bundle", container->bundle, "--pid-file", process->pid_file,
                container->options.no_pivot ? "--no-pivot" : NULL, NULL);
    if (container->options.no_keyring)
        command_add(command, "--no-new-keyring", NULL);
    own = attach(process, command);
    command_add(command, container->id, NULL);
    expect_process();
    if (own)
        command_cancel(command, on_created, call, own);
    else
        command_run(command, on_created, call);
    free(own);
}

/* Whether the pid namespace is new, and the container's alone: it goes with its init. */
static bool has_own_pidns(const char *bundle)
{
    char *path = xformat("%s/config.json", bundle);
    struct span config = read_file(path), list, one;
    bool own = false;

    free(path);
    list = json_member(json_member(config, "linux"), "namespaces");
    while (json_element(&list, &one))
        if (json_is(json_member(one, "type"), "pid")) {
            struct span where = json_member(one, "path");
            own = !where.size || json_is(where, "");
        }
    free(config.data);
    return own;
}

static void begin_event(struct buf *event, const struct request *r)
{
    size_t mark;

    put_text(event, 1, r->id);
    put_text(event, 2, r->bundle);
    for (size_t i = 0; i < r->rootfs.count; i++)
        put_bytes(event, 3, r->rootfs.items[i].data, r->rootfs.items[i].size);
    mark = put_begin(event, 4);
    put_text(event, 1, r->in);
    put_text(event, 2, r->out);
    put_text(event, 3, r->err);
    put_uint(event, 4, r->terminal);
    put_end(event, mark);
    put_text(event, 5, r->checkpoint);
}

void do_create(struct call *call)
{
    struct request *r = &call->request;
    struct process *process = call->process;
    struct container *container = process->container;
    char *error = options_read(r->any, &container->options);

    streams_free(&process->io);
    streams_init(&process->io, r->in, r->out, r->err, r->terminal);
    process->pid_file = xformat("%s/init.pid", r->bundle);
    container->checkpoint = xdup(r->checkpoint);
    container->parent_checkpoint = xdup(r->parent_checkpoint);
    container->own_pidns = has_own_pidns(r->bundle);
    begin_event(&container->created, r);
    if (!error && options_save(r->bundle, &container->options) < 0)
        error = xformat("write into %s: %s", r->bundle, strerror(errno));
    if (!error && r->rootfs.count && mkdir(container->rootfs, 0711) < 0 && errno != EEXIST)
        error = xformat("mkdir %s: %s", container->rootfs, strerror(errno));
    if (!error && r->rootfs.count)
        error = rootfs_mount(r->rootfs, container->rootfs);
    if (error) {
        create_failed(call, error);
        free(error);
        return;
    }
    streams_open(&process->io, (unsigned)container->options.io_uid,
                 (unsigned)container->options.io_gid, container->id, shim_namespace, create_ready,
                 call);
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
    char *own;

    unlink(process->spec_file);
    if (error) {
        not_attached(process);
        own = xformat("OCI runtime exec failed: %s", error);
    } else {
        own = attached(process);
        process_known(own ? NULL : process);
    }
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
    char *own = error ? xdup(error) : NULL;

    command_add(command, "exec", "--process", process->spec_file, "--detach", "--pid-file",
                process->pid_file, NULL);
    expect_process();
    if (!own)
        own = attach(process, command);
    command_add(command, container->id, NULL);
    if (own)
        command_cancel(command, on_exec_started, call, own);
    else
        command_run(command, on_exec_started, call);
    free(own);
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
    struct container *container = call->process->container;
    char *own;

    if (error) {
        not_attached(call->process);
        own = xformat("OCI runtime restore failed: %s", error);
    } else {
        own = attached(call->process);
        process_known(own ? NULL : call->process);
    }
    if (own) {
        refuse(call, UNKNOWN, "%s", own);
        free(own);
        return;
    }
    if (cgroup_find(&container->cgroup, call->process->pid))
        cgroup_watch_memory(&container->cgroup, on_oom, container);
    started(call);
}

void do_restore(struct call *call)
{
    struct process *process = call->process;
    struct container *container = process->container;
    struct command *command;
    char *work, *own;

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
    own = attach(process, command);
    command_add(command, container->id, NULL);
    expect_process();
    if (own)
        command_cancel(command, on_restored, call, own);
    else
        command_run(command, on_restored, call);
    free(own);
    free(work);
}
