#define _GNU_SOURCE
#include "logger.h"
#include "loop.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GRACE 10000 /* milliseconds to end after SIGTERM */
#define WORDS_MAX 64

struct logger {
    struct watch watch;      /* where it says that it is ready */
    struct streams *streams; /* NULL: gone */
    pid_t pid;
    unsigned timer;
    bool strict; /* a byte has to come, not only the end */
    ready_function *ready;
    void *argument;
};

bool is_logger_url(const char *url)
{
    return !strncmp(url, "binary://", 9) || !strncmp(url, "binary-v2://", 12);
}

static void decode(char *text, bool is_query)
{
    char *out = text;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '%' && isxdigit((unsigned char)text[1]) && isxdigit((unsigned char)text[2])) {
            char digits[] = {text[1], text[2], 0};
            c = (unsigned char)strtoul(digits, NULL, 16);
            text += 2;
        } else if (c == '+' && is_query) {
            c = ' ';
        }
        *out++ = (char)c;
    }
    *out = 0;
}

char *url_path(const char *url)
{
    const char *begin = strchr(strstr(url, "://") + 3, '/');
    char *path = begin ? strndup(begin, strcspn(begin, "?#")) : NULL;
    if (!path)
        return xdup("/");
    decode(path, false);
    return path;
}

static void say_ready(struct logger *logger, const char *error)
{
    ready_function *ready = logger->ready;
    watch_close(&logger->watch);
    logger->ready = NULL;
    if (ready)
        ready(logger->argument, error);
}

static void on_ready(struct watch *w, uint32_t events)
{
    struct logger *logger = (struct logger *)w;
    char byte;
    ssize_t size = read(w->fd, &byte, 1);

    (void)events;
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    say_ready(logger, size == 1 || !logger->strict
                          ? NULL
                          : "the logger ended without having said that it is ready");
}

static void on_end(void *argument, struct end end)
{
    struct logger *logger = argument;
    struct streams *streams = logger->streams;

    (void)end;
    timer_stop(logger->timer);
    watch_close(&logger->watch);
    if (streams) {
        streams->logger = NULL;
        if (logger->ready)
            logger->ready(logger->argument, logger->strict ? "the logger has ended" : NULL);
        else if (streams->drained && streams_are_drained(streams)) {
            void (*drained)(void *) = streams->drained;
            streams->drained = NULL;
            drained(streams->argument);
        }
    }
    free(logger);
}

static void on_timeout(void *argument)
{
    struct logger *logger = argument;
    logger->timer = 0;
    kill(logger->pid, SIGKILL);
}

void logger_terminate(struct logger *logger)
{
    kill(logger->pid, SIGTERM);
    if (!logger->timer)
        logger->timer = timer_start(GRACE, on_timeout, logger);
}

void logger_abandon(struct logger *logger)
{
    watch_close(&logger->watch);
    logger->ready = NULL;
    logger->streams = NULL;
    logger_terminate(logger);
}

/* Its arguments: the program, then the names and values of the query. */
static char **words_of(const char *url)
{
    char **words = xalloc((WORDS_MAX + 1) * sizeof(*words));
    const char *query = strchr(url, '?');
    char *rest = query ? strndup(query + 1, strcspn(query + 1, "#")) : NULL, *all = rest, *pair;
    size_t count = 0;

    words[count++] = url_path(url);
    while ((pair = strsep(&rest, "&")) && count + 2 <= WORDS_MAX) {
        char *value = strchr(pair, '=');
        if (value)
            *value++ = 0;
        if (!*pair && !value)
            continue;
        decode(pair, true);
        words[count++] = xdup(pair);
        if (value)
            decode(value, true);
        words[count++] = xdup(value ? value : "");
    }
    free(all);
    return words;
}

void logger_start(struct streams *s, const char *id, const char *name_space, ready_function *ready,
                  void *argument)
{
    int ends[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}}; /* stdout, stderr, ready */
    struct logger *logger = xalloc(sizeof(*logger));
    struct program program = {.fds = {-1, -1, -1}, .fd_count = 6};
    char *env[3] = {xformat("CONTAINER_ID=%s", id), xformat("CONTAINER_NAMESPACE=%s", name_space),
                    NULL};
    char *error = NULL;
    pid_t pid = -1;

    program.env = env;
    program.argv = words_of(s->paths.out);
    for (int i = 0; i < 3; i++)
        if (pipe2(ends[i], O_CLOEXEC) < 0)
            error = xformat("pipe: %s", strerror(errno));
    program.fds[3] = ends[0][0];
    program.fds[4] = ends[1][0];
    program.fds[5] = ends[2][1];
    if (!error && (pid = spawn(&program)) < 0)
        error = xformat("start the logger %s: %s", program.argv[0], strerror(errno));
    for (char **word = program.argv; *word; word++)
        free(*word);
    free(program.argv);
    free(env[0]);
    free(env[1]);
    close(ends[0][0]);
    close(ends[1][0]);
    close(ends[2][1]);
    if (error) {
        close(ends[0][1]);
        close(ends[1][1]);
        close(ends[2][0]);
        free(logger);
        ready(argument, error);
        free(error);
        return;
    }
    if (s->paths.terminal) {
        s->outside[1] = ends[0][1];
        close(ends[1][1]);
    } else {
        s->child[1] = ends[0][1];
        s->child[2] = ends[1][1];
    }
    *logger = (struct logger){.watch = {ends[2][0], on_ready},
                              .streams = s,
                              .pid = pid,
                              .strict = !strncmp(s->paths.out, "binary-v2://", 12),
                              .ready = ready,
                              .argument = argument};
    s->logger = logger;
    child_expect(pid, on_end, logger);
    watch_add(&logger->watch, EPOLLIN);
}
