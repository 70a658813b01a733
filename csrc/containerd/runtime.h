/* Commands of the runtime, which run beside us; they say how they ended. */
#ifndef CONTAINERD_RUNTIME_H
#define CONTAINERD_RUNTIME_H

#include "task.h"

#define WORDS_MAX 48

/* One command line: the options that all commands have, then what add() adds. */
struct command {
    char *words[WORDS_MAX + 1];
    int count;
    char *log;
    off_t log_size; /* before: what comes behind it is this command's */
    int fds[3];
    const char *bundle;
    void (*done)(void *argument, const char *error); /* NULL: it succeeded */
    void *argument;
};

struct command *command_new(const struct options *options, const char *bundle);
void command_add(struct command *command, const char *first, ...); /* words, up to NULL */
/* Starts it; frees it when it has ended, after `done` was called. */
void command_run(struct command *command, void (*done)(void *, const char *), void *argument);
/* Does not start it after all: `done` gets the error. */
void command_cancel(struct command *command, void (*done)(void *, const char *), void *argument,
                    const char *error);
/* The same without the loop: waits for it. An error to be freed, or NULL. */
char *command_wait(struct command *command);

char *runtime_binary(const struct options *options);

/* A socket that the runtime sends the terminal to, named for it in its directory. */
char *console_open(struct console *console, const char *bundle);
int console_take(struct console *console); /* the terminal, or -1; closes the socket */

#endif
