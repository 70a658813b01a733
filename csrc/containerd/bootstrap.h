/* How a shim comes to be: containerd's request to start one, its socket, and the answer. */
#ifndef CONTAINERD_BOOTSTRAP_H
#define CONTAINERD_BOOTSTRAP_H

#include "base.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

struct arguments {
    const char *name_space, *id, *address, *bundle, *containerd, *action;
    bool debug, info, version;
};

void start_shim(const struct arguments *arguments); /* and say where it is */
void socket_forget(const char *bundle);             /* if it has no listener any more */
void print_info(void);

_Noreturn void fail(const char *format, ...) PRINTF(1, 2);

#endif
