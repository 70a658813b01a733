/* ttrpc: calls that containerd makes, and their answers. */
#ifndef CONTAINERD_TTRPC_H
#define CONTAINERD_TTRPC_H

#include "wire.h"

#define FRAME_HEADER 10
#define FRAME_MAX (4 << 20)
enum { FRAME_REQUEST = 1, FRAME_RESPONSE = 2, FRAME_DATA = 3 };

/* gRPC's codes, as far as they are used here. */
enum code {
    OK = 0,
    UNKNOWN = 2,
    INVALID_ARGUMENT = 3,
    NOT_FOUND = 5,
    ALREADY_EXISTS = 6,
    RESOURCE_EXHAUSTED = 8,
    FAILED_PRECONDITION = 9,
    UNIMPLEMENTED = 12,
};

struct request { /* all fields of all methods */
    char *id, *exec_id, *bundle, *in, *out, *err, *checkpoint, *parent_checkpoint, *path;
    uint64_t terminal, signal, all, width, height, close_stdin;
    struct any any; /* options, spec or resources */
    struct spans rootfs;
};

struct call {
    struct call *next; /* in whatever list waits */
    struct connection *connection;
    uint32_t stream;
    const struct method *method;
    struct request request;
    char *frame;             /* what the request's texts are in */
    struct process *process; /* that it changes, when it has its turn */
    void (*work)(struct call *call);
    unsigned timer;
};

struct method {
    const char *name;
    void (*run)(struct call *call);
    struct field fields[10];
};

void ttrpc_serve(int listener);
void ttrpc_stop(void); /* takes no new connection */
bool ttrpc_idle(void); /* all answers have been sent */

/* Exactly one of these ends a call. */
void answer(struct call *call, const struct buf *payload); /* NULL: empty */
void refuse(struct call *call, enum code code, const char *format, ...) PRINTF(3, 4);

/* A frame's header. */
void frame_header(unsigned char header[FRAME_HEADER], uint32_t size, uint32_t stream, int type);

#endif
