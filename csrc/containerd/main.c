/* containerd-shim-pycontainer-v2: what containerd starts, and what `start` leaves behind.
 *
 *   start    makes a socket, or finds the one of the pod's shim, and prints where it is
 *   delete   removes what a container has left whose shim is gone
 *   -info    says what the runtime can do
 *   (none)   serves the task API on descriptor 3: started by `start`
 */
#define _GNU_SOURCE
#include "bootstrap.h"
#include "events.h"
#include "rootfs.h"
#include "runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define NAME "containerd-shim-pycontainer-v2"
#define LISTENER 3
#define FAREWELL 5000 /* milliseconds for what is left to send */

const char *shim_namespace = "";

bool shim_debug;

static struct arguments arguments;
static bool leaving;

_Noreturn void fail(const char *format, ...)
{
    va_list rest;

    fprintf(stderr, NAME ": ");
    va_start(rest, format);
    vfprintf(stderr, format, rest);
    va_end(rest);
    fputc('\n', stderr);
    exit(1);
}

/* -- serving ------------------------------------------------------------------------------------- */

static void end_now(void *nothing)
{
    (void)nothing;
    exit(0);
}

static void end_if_idle(void *nothing)
{
    (void)nothing;
    if (ttrpc_idle() && events_idle())
        exit(0);
    timer_start(5, end_if_idle, NULL);
}

void shim_ends_if_idle(void)
{
    if (leaving && ttrpc_idle() && events_idle())
        exit(0);
}

void shim_leave(void)
{
    struct sockaddr_un name = {0};
    socklen_t size = sizeof(name) - 1;

    if (leaving)
        return;
    leaving = true;
    if (getsockname(LISTENER, (struct sockaddr *)&name, &size) == 0 && name.sun_path[0] == '/')
        unlink(name.sun_path);
    ttrpc_stop();
    timer_start(FAREWELL, end_now, NULL);
    end_if_idle(NULL);
}

static void serve(void)
{
    int listening = 0;
    socklen_t size = sizeof(listening);

    if (getsockopt(LISTENER, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || !listening)
        fail("descriptor 3 is no socket to listen on: this is started by `start`");
    loop_init();
    events_init(getenv("TTRPC_ADDRESS"), shim_namespace);
    ttrpc_serve(LISTENER);
    loop_run();
}

/* -- delete -------------------------------------------------------------------------------------- */

static int pid_in(const char *bundle)
{
    char *path = xformat("%s/init.pid", bundle);
    struct span text = read_file(path);
    int pid = text.data ? atoi(text.data) : 0;

    free(path);
    free(text.data);
    return pid;
}

/* containerd calls this when a shim has gone, in the usual way, too: then nothing is left to do. */
static void delete (void)
{
    char *here = getcwd(NULL, 0);
    char *bundle = arguments.bundle && *arguments.bundle ? xdup(arguments.bundle)
                   : here                                ? xdup(here)
                                                         : xdup(".");
    char *rootfs = xformat("%s/rootfs", bundle), *error;
    struct options options;
    struct buf out = {0};
    struct timespec now;

    if (options_load(bundle, &options)) {
        struct command *command = command_new(&options, bundle);
        command_add(command, "delete", "--force", arguments.id, NULL);
        error = command_wait(command);
        if (error)
            fprintf(stderr, NAME ": delete %s: %s\n", arguments.id, error);
        free(error);
    }
    if (rootfs_unmount(rootfs) < 0)
        fprintf(stderr, NAME ": unmount %s: %s\n", rootfs, strerror(errno));
    socket_forget(bundle);
    clock_gettime(CLOCK_REALTIME, &now);
    put_uint(&out, 1, (uint64_t)pid_in(bundle));
    put_uint(&out, 2, 128 + SIGKILL);
    put_time(&out, 3, now);
    if (write(1, out.data, out.size) != (ssize_t)out.size)
        fail("write the answer: %s", strerror(errno));
}

/* ------------------------------------------------------------------------------------------------ */

static void parse(int argc, char **argv)
{
    static const struct {
        const char *name;
        const char **value; /* NULL: a flag */
        bool *flag;
    } FLAGS[] = {
        {"namespace", &arguments.name_space, NULL},
        {"id", &arguments.id, NULL},
        {"address", &arguments.address, NULL},
        {"bundle", &arguments.bundle, NULL},
        {"publish-binary", &arguments.containerd, NULL},
        {"debug", NULL, &arguments.debug},
        {"info", NULL, &arguments.info},
        {"v", NULL, &arguments.version},
        {"version", NULL, &arguments.version},
    };
    int at = 1;

    for (; at < argc && argv[at][0] == '-'; at++) {
        char *name = argv[at] + (argv[at][1] == '-' ? 2 : 1), *equals = strchr(name, '=');
        size_t i = 0, size = equals ? (size_t)(equals - name) : strlen(name);
        while (i < COUNT(FLAGS) && (strncmp(FLAGS[i].name, name, size) || FLAGS[i].name[size]))
            i++;
        if (i == COUNT(FLAGS))
            fail("flag provided but not defined: %s", argv[at]);
        if (FLAGS[i].flag)
            *FLAGS[i].flag = !equals || !strcmp(equals + 1, "true");
        else if (equals)
            *FLAGS[i].value = equals + 1;
        else if (++at < argc)
            *FLAGS[i].value = argv[at];
        else
            fail("flag needs an argument: -%s", FLAGS[i].name);
    }
    arguments.action = at < argc ? argv[at] : "";
}

/* Signals as at the start of a session, whatever the caller has ignored or blocked: with SIGCHLD
 * ignored, the kernel keeps no exit status. Two that we ignore, so that a write fails instead; spawn()
 * gives them back. Of descriptors only the standard ones and our listener are ours. */
static void drop_inherited(void)
{
    sigset_t none;

    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL); /* fails for SIGKILL, SIGSTOP and those of libc */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* A closed one would be taken by the next file that we open. Not for writing: who closed stdout
     * does not get our answer, which is an error. */
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0)
            _exit(1);
    syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC);
}

int main(int argc, char **argv)
{
    drop_inherited();
    parse(argc, argv);
    /* What systemd has told containerd is not for the runtime, which would pass it on. */
    unsetenv("NOTIFY_SOCKET");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
    if (arguments.version) {
        printf(NAME ":\n  Version:  " VERSION "\n\n");
        return 0;
    }
    if (arguments.info) {
        print_info();
        return 0;
    }
    if (!arguments.name_space || !*arguments.name_space)
        fail("shim namespace cannot be empty");
    shim_namespace = arguments.name_space;
    shim_debug = arguments.debug;
    if (!arguments.id || !*arguments.id)
        fail("-id is missing");
    if (!strcmp(arguments.action, "start"))
        start_shim(&arguments);
    else if (!strcmp(arguments.action, "delete"))
        delete ();
    else if (!*arguments.action)
        serve();
    else
        fail("unknown action %s: start and delete are known", arguments.action);
    return 0;
}
