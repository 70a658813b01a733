/* What goes between a process and containerd's fifos, a file, a logger, or a terminal. */
#ifndef CONTAINERD_STREAMS_H
#define CONTAINERD_STREAMS_H

#include "base.h"

struct paths { /* as the task API has them */
    char *in, *out, *err;
    bool terminal;
};

struct streams {
    struct paths paths;
    int child[3];   /* what the process gets, until streams_start() */
    int console;    /* master of its terminal, or -1 */
    int fifo_in;    /* keeps the fifo from having an end, until the client says so; or -1 */
    int ours[3];    /* our ends of the pipes, until they are copied from */
    int outside[3]; /* what is copied to or, for stdin, from */
    struct stream *copies;
    struct logger *logger;
    void (*drained)(void *argument); /* called once, when all output has been passed on */
    void *argument;
};

void streams_init(struct streams *s, const char *in, const char *out, const char *err,
                  bool terminal);

/* Opens everything; `ready` is called, now or later, with NULL or an error. The logger learns the
 * process's id and its namespace. */
typedef void ready_function(void *argument, const char *error);
void streams_open(struct streams *s, unsigned uid, unsigned gid, const char *id,
                  const char *name_space, ready_function *ready, void *argument);

void streams_start(struct streams *s, int console); /* the process is there: begin to copy */
void streams_exited(struct streams *s);             /* a terminal has nothing more to come */
bool streams_are_drained(const struct streams *s);
void streams_close_input(struct streams *s);
int streams_resize(struct streams *s, unsigned width, unsigned height);
void streams_end_logger(struct streams *s); /* asks it to end, if it is still there */
void streams_free(struct streams *s);       /* closes everything, as far as it has come */

#endif
