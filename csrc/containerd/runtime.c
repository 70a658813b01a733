#define _GNU_SOURCE
#include "runtime.h"
#include "json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Where runc's shim has it, so that programs that look there find the containers. */
#define STATE_ROOT "/run/containerd/runc"

/* The command that was installed beside the shim, if no other is configured. */
char *runtime_binary(const struct options *options)
{
    char self[4096], *slash;
    ssize_t size;

    if (*options->binary)
        return xdup(options->binary);
    size = readlink("/proc/self/exe", self, sizeof(self) - 32);
    if (size > 0) {
        self[size] = 0;
        slash = strrchr(self, '/');
        strcpy(slash + 1, "pycontainer");
        if (access(self, X_OK) == 0)
            return xdup(self);
    }
    return xdup("pycontainer");
}

void command_add(struct command *command, const char *word, ...)
{
    va_list words;

    va_start(words, word);
    for (; word; word = va_arg(words, const char *))
        if (command->count < WORDS_MAX)
            command->words[command->count++] = xdup(word);
    va_end(words);
}

struct command *command_new(const struct options *options, const char *bundle)
{
    struct command *command = xalloc(sizeof(*command));
    char *binary = runtime_binary(options);
    char *root = xformat("%s/%s", *options->root ? options->root : STATE_ROOT, shim_namespace);
    struct stat log;

    command->log = xformat("%s/log.json", bundle);
    command->log_size = stat(command->log, &log) == 0 ? log.st_size : 0;
    command->bundle = bundle;
    for (int i = 0; i < 3; i++)
        command->fds[i] = -1;
    command_add(command, binary, "--root", root, "--log", command->log, "--log-format", "json",
                NULL);
    if (options->systemd_cgroup)
        command_add(command, "--systemd-cgroup", NULL);
    free(binary);
    free(root);
    return command;
}

static void command_free(struct command *command)
{
    for (int i = 0; i < command->count; i++)
        free(command->words[i]);
    free(command->log);
    free(command);
}

/* The last error that it has logged. */
static char *logged_error(const struct command *command)
{
    int fd = open(command->log, O_RDONLY | O_CLOEXEC);
    char *rest, *line, *error = NULL;
    struct span content = {0};

    if (fd >= 0) {
        if (lseek(fd, command->log_size, SEEK_SET) >= 0)
            content = read_fd(fd, 16 << 20);
        close(fd);
    }
    rest = content.data;
    while ((line = strsep(&rest, "\n"))) {
        struct span record = {line, strlen(line)};
        if (json_is(json_member(record, "level"), "error")) {
            free(error);
            error = json_text(json_member(record, "msg"));
        }
    }
    free(content.data);
    return error;
}

static char *error_of(const struct command *command, int status)
{
    char *error;
    if (!status)
        return NULL;
    error = logged_error(command);
    return error ? error : xformat("%s ended with status %d", command->words[0], status);
}

static void on_end(void *argument, struct end end)
{
    struct command *command = argument;
    char *error = error_of(command, end.status);

    command->done(command->argument, error);
    free(error);
    command_free(command);
}

static pid_t start(struct command *command)
{
    struct program program = {
        .argv = command->words, .fd_count = 3, .dies_with_us = true, .cwd = command->bundle};
    memcpy(program.fds, command->fds, sizeof(command->fds));
    return spawn(&program);
}

void command_run(struct command *command, void (*done)(void *, const char *), void *argument)
{
    pid_t pid = start(command);

    command->done = done;
    command->argument = argument;
    if (pid < 0) {
        char *error = xformat("exec %s: %s", command->words[0], strerror(errno));
        done(argument, error);
        free(error);
        command_free(command);
        return;
    }
    child_expect(pid, on_end, command);
}

void command_cancel(struct command *command, void (*done)(void *, const char *), void *argument,
                    const char *error)
{
    done(argument, error);
    command_free(command);
}

char *command_wait(struct command *command)
{
    pid_t pid = start(command);
    char *error = pid < 0 ? xformat("exec %s: %s", command->words[0], strerror(errno))
                          : error_of(command, wait_for(pid));

    command_free(command);
    return error;
}

/* -- terminals ----------------------------------------------------------------------------------- */

/* A bundle's path may be longer than a socket's may be: bound by its directory's descriptor, found by
 * the runtime in its working directory. */
char *console_open(struct console *console, const char *bundle)
{
    static unsigned number;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char *error = NULL;

    snprintf(console->name, sizeof(console->name), "pty-%u.sock", ++number);
    console->directory = open(bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
    console->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf(name.sun_path, sizeof(name.sun_path), "/proc/self/fd/%d/%s", console->directory,
             console->name);
    if (console->directory < 0 || console->listener < 0 ||
        bind(console->listener, (struct sockaddr *)&name, sizeof(name)) < 0 ||
        listen(console->listener, 1) < 0) {
        error = xformat("socket for the terminal in %s: %s", bundle, strerror(errno));
        console_take(console);
    }
    return error;
}

int console_take(struct console *console)
{
    char byte[64], control[CMSG_SPACE(sizeof(int))];
    struct iovec io = {byte, sizeof(byte)};
    struct msghdr message = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *header;
    int connection = accept4(console->listener, NULL, NULL, SOCK_CLOEXEC), terminal = -1;

    if (connection >= 0) {
        if (recvmsg(connection, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) > 0 &&
            (header = CMSG_FIRSTHDR(&message)) && header->cmsg_type == SCM_RIGHTS &&
            header->cmsg_len == CMSG_LEN(sizeof(int)))
            memcpy(&terminal, CMSG_DATA(header), sizeof(int));
        close(connection);
    }
    if (console->directory >= 0) {
        unlinkat(console->directory, console->name, 0);
        close(console->directory);
    }
    if (console->listener >= 0)
        close(console->listener);
    console->listener = console->directory = -1;
    return terminal;
}
