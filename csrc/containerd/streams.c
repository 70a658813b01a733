#define _GNU_SOURCE
#include "streams.h"
#include "logger.h"
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

struct stream {
    struct stream *next;
    struct streams *owner;
    struct watch from, to; /* `to` is waited for while it takes nothing more */
    char *rest;            /* what it did not take */
    size_t rest_size;
    bool is_input, ends_when_empty;
};

static void shut(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void streams_init(struct streams *s, const char *in, const char *out, const char *err,
                  bool terminal)
{
    *s = (struct streams){.console = -1, .fifo_in = -1};
    for (int i = 0; i < 3; i++)
        s->child[i] = s->ours[i] = s->outside[i] = -1;
    s->paths = (struct paths){xdup(in), xdup(out), xdup(err), terminal};
}

/* -- copying ------------------------------------------------------------------------------------- */

bool streams_are_drained(const struct streams *s)
{
    for (const struct stream *stream = s->copies; stream; stream = stream->next)
        if (!stream->is_input)
            return false;
    return !s->logger;
}

static void tell_if_drained(struct streams *s)
{
    void (*drained)(void *) = s->drained;
    if (!drained || !streams_are_drained(s))
        return;
    s->drained = NULL;
    drained(s->argument);
}

static void end_stream(struct stream *stream)
{
    struct streams *owner = stream->owner;

    for (struct stream **place = &owner->copies; *place; place = &(*place)->next)
        if (*place == stream) {
            *place = stream->next;
            break;
        }
    watch_close(&stream->from);
    watch_close(&stream->to);
    free(stream->rest);
    free(stream);
    tell_if_drained(owner);
}

/* 1: all has been written; 0: wait; -1: the stream is over. What a log cannot take is lost: its
 * container goes on. */
static int pass_on(struct stream *stream, const char *data, size_t size)
{
    while (size) {
        ssize_t written = write(stream->to.fd, data, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && errno == EAGAIN) {
            char *rest = xgrow(NULL, size);
            memcpy(rest, data, size);
            free(stream->rest);
            stream->rest = rest;
            stream->rest_size = size;
            return 0;
        }
        if (written < 0)
            return stream->is_input ? -1 : 1;
        data += written;
        size -= (size_t)written;
    }
    free(stream->rest);
    stream->rest = NULL;
    return 1;
}

static bool has_more(int fd)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    return poll(&wanted, 1, 0) > 0;
}

static void on_readable(struct watch *w, uint32_t events)
{
    static char part[16384]; /* one for all streams */
    struct stream *stream = (struct stream *)((char *)w - offsetof(struct stream, from));
    ssize_t size = read(w->fd, part, sizeof(part));
    int result = 1;

    (void)events;
    if (size > 0)
        result = pass_on(stream, part, (size_t)size);
    else if (size == 0 || (errno != EAGAIN && errno != EINTR))
        result = -1;
    else if (errno == EAGAIN && stream->ends_when_empty)
        result = -1;
    if (result > 0 && size > 0 && stream->ends_when_empty && !has_more(w->fd))
        result = -1;
    if (result < 0) {
        end_stream(stream);
    } else if (result == 0) {
        watch_remove(&stream->from);
        if (watch_add(&stream->to, EPOLLOUT) < 0)
            end_stream(stream);
    }
}

static void on_writable(struct watch *w, uint32_t events)
{
    struct stream *stream = (struct stream *)((char *)w - offsetof(struct stream, to));
    int result = pass_on(stream, stream->rest, stream->rest_size);

    (void)events;
    if (result < 0) {
        end_stream(stream);
    } else if (result > 0) {
        watch_remove(&stream->to);
        if (watch_add(&stream->from, EPOLLIN) < 0)
            end_stream(stream);
        else if (stream->ends_when_empty)
            on_readable(&stream->from, 0);
    }
}

static void copy(struct streams *s, int from, int to, bool is_input)
{
    struct stream *stream = xalloc(sizeof(*stream));

    *stream = (struct stream){.next = s->copies, .owner = s, .is_input = is_input};
    stream->from = (struct watch){from, on_readable};
    stream->to = (struct watch){to, on_writable};
    s->copies = stream;
    fcntl(from, F_SETFL, fcntl(from, F_GETFL) | O_NONBLOCK);
    fcntl(to, F_SETFL, fcntl(to, F_GETFL) | O_NONBLOCK);
    if (watch_add(&stream->from, EPOLLIN) < 0)
        end_stream(stream);
}

void streams_start(struct streams *s, int console)
{
    for (int i = 0; i < 3; i++)
        shut(&s->child[i]);
    if (console >= 0) {
        s->console = console;
        if (s->outside[0] >= 0)
            copy(s, s->outside[0], fcntl(console, F_DUPFD_CLOEXEC, 3), true);
        copy(s, fcntl(console, F_DUPFD_CLOEXEC, 3), s->outside[1], false);
        s->outside[0] = s->outside[1] = -1;
        return;
    }
    for (int i = 0; i < 3; i++)
        if (s->ours[i] >= 0) {
            if (i == 0)
                copy(s, s->outside[i], s->ours[i], true);
            else
                copy(s, s->ours[i], s->outside[i], false);
            s->ours[i] = s->outside[i] = -1;
        }
}

/* What comes next may be a shell's background job that keeps the terminal: it has no client. */
void streams_exited(struct streams *s)
{
    struct stream *stream = s->copies, *next;

    if (s->console < 0)
        return;
    for (; stream; stream = next) {
        next = stream->next;
        if (stream->is_input)
            continue;
        stream->ends_when_empty = true;
        if (!stream->rest) {
            on_readable(&stream->from, 0);
            break; /* there is only one, and it may have gone */
        }
    }
}

void streams_close_input(struct streams *s)
{
    shut(&s->fifo_in);
}

int streams_resize(struct streams *s, unsigned width, unsigned height)
{
    struct winsize size = {.ws_row = (unsigned short)height, .ws_col = (unsigned short)width};
    return s->console < 0 ? 0 : ioctl(s->console, TIOCSWINSZ, &size);
}

void streams_end_logger(struct streams *s)
{
    if (s->logger)
        logger_terminate(s->logger);
}

void streams_free(struct streams *s)
{
    s->drained = NULL;
    while (s->copies)
        end_stream(s->copies);
    for (int i = 0; i < 3; i++) {
        shut(&s->child[i]);
        shut(&s->ours[i]);
        shut(&s->outside[i]);
    }
    shut(&s->fifo_in);
    shut(&s->console);
    if (s->logger)
        logger_abandon(s->logger);
    free(s->paths.in);
    free(s->paths.out);
    free(s->paths.err);
    *s = (struct streams){.console = -1, .fifo_in = -1};
    for (int i = 0; i < 3; i++)
        s->child[i] = s->ours[i] = s->outside[i] = -1;
}

/* -- opening ------------------------------------------------------------------------------------- */

/* A fifo is opened for both: so that is possible at once, and its reader may go and come again. */
static int open_output(const char *path, bool may_create)
{
    struct stat found;

    if (stat(path, &found) == 0 && S_ISFIFO(found.st_mode))
        return open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return open(path, O_WRONLY | O_APPEND | O_CLOEXEC | (may_create ? O_CREAT : 0), 0644);
}

static char *cannot(const char *path)
{
    return xformat("open %s: %s", path, strerror(errno));
}

static char *open_file_url(struct streams *s, const char *url)
{
    char *path = url_path(url), *error = NULL;

    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0755);
        *slash = '/';
    }
    for (int i = 1; i < 3 && !error; i++)
        if ((s->outside[i] = open_output(path, true)) < 0)
            error = cannot(path);
    free(path);
    return error;
}

static char *open_input(struct streams *s)
{
    const char *path = s->paths.in;

    if (!*path)
        return NULL;
    s->outside[0] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    s->fifo_in = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    return s->outside[0] < 0 || s->fifo_in < 0 ? cannot(path) : NULL;
}

static char *open_outputs(struct streams *s)
{
    const struct paths *p = &s->paths;
    const char *const outputs[] = {NULL, p->out, p->err};

    if (strncmp(p->out, "file://", 7) == 0)
        return open_file_url(s, p->out);
    if (strstr(p->out, "://"))
        return xformat("%s: unknown scheme of a log", p->out);
    for (int i = 1; i < 3; i++) {
        const char *path = *outputs[i] ? outputs[i] : p->terminal && i == 1 ? "/dev/null" : NULL;
        if (!path || (p->terminal && i == 2))
            continue;
        s->outside[i] = open_output(path, false);
        if (s->outside[i] < 0)
            return cannot(path);
    }
    return NULL;
}

static char *open_pipes(struct streams *s, unsigned uid, unsigned gid)
{
    for (int i = 0; i < 3; i++) {
        int ends[2], child = i ? 1 : 0; /* stdin is read there */
        if (s->outside[i] < 0)
            continue;
        if (pipe2(ends, O_CLOEXEC) < 0)
            return xformat("pipe: %s", strerror(errno));
        s->child[i] = ends[child];
        s->ours[i] = ends[!child];
        if ((uid || gid) && fchown(ends[child], uid, gid) < 0)
            return xformat("chown of a pipe: %s", strerror(errno));
    }
    return NULL;
}

void streams_open(struct streams *s, unsigned uid, unsigned gid, const char *id,
                  const char *name_space, ready_function *ready, void *argument)
{
    char *error = open_input(s);

    if (!error && is_logger_url(s->paths.out)) {
        if (!s->paths.terminal)
            error = open_pipes(s, uid, gid);
        if (!error) {
            logger_start(s, id, name_space, ready, argument);
            return;
        }
    }
    if (!error)
        error = open_outputs(s);
    if (!error && !s->paths.terminal)
        error = open_pipes(s, uid, gid);
    ready(argument, error);
    free(error);
}
