/* Create: a container, with a new process or from a checkpoint. */
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
    char *own = attached(call->process, "create", error);

    if (error) {
        create_failed(call, own);
        free(own);
        return;
    }
    if (own) { /* it is there, but of no use */
        container->failure = own;
        command = command_new(&container->options, container->bundle);
        command_add(command, "delete", "--force", container->id, NULL);
        command_run(command, on_removed, call);
        return;
    }
    watch_memory(container);
    created(call);
}

static void create_ready(void *argument, const char *error)
{
    struct call *call = argument;
    struct process *process = call->process;
    struct container *container = process->container;
    struct command *command;

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
    run_attached(command, call, NULL, on_created);
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
