#define _GNU_SOURCE
#include "ttrpc.h"
#include "loop.h"
#include "task.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define UNSENT_MAX (16 << 20) /* who does not read that much is cut off */

struct connection {
    struct watch watch;
    struct connection *next;
    unsigned calls; /* that have no answer yet */
    unsigned char header[FRAME_HEADER];
    char *frame;       /* NULL: the header is not complete */
    size_t size, have; /* of the frame, or of the header */
    size_t skip;       /* bytes of a frame that is too long */
    uint32_t last_stream;
    struct buf unsent;
    bool is_full; /* the client does not read: wait for that */
};

static struct watch listener = {.fd = -1};
static struct connection *connections;

void frame_header(unsigned char header[FRAME_HEADER], uint32_t size, uint32_t stream, int type)
{
    for (int i = 0; i < 4; i++) {
        header[i] = (unsigned char)(size >> (24 - 8 * i));
        header[4 + i] = (unsigned char)(stream >> (24 - 8 * i));
    }
    header[8] = (unsigned char)type;
    header[9] = 0;
}

static uint32_t number(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* -- answers ------------------------------------------------------------------------------------- */

static void forget_if_over(struct connection *c)
{
    if (c->watch.fd >= 0 || c->calls)
        return;
    for (struct connection **place = &connections; *place; place = &(*place)->next)
        if (*place == c) {
            *place = c->next;
            break;
        }
    free(c->frame);
    buf_free(&c->unsent);
    free(c);
}

static void hang_up(struct connection *c)
{
    watch_close(&c->watch);
    buf_free(&c->unsent);
    forget_if_over(c);
}

/* Sends what it can; false if the connection is broken, which the caller has to close. */
static bool flush(struct connection *c)
{
    size_t sent = 0;

    while (sent < c->unsent.size) {
        ssize_t size = send(c->watch.fd, c->unsent.data + sent, c->unsent.size - sent,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            break;
        sent += (size_t)size;
    }
    if (sent < c->unsent.size) {
        if (errno != EAGAIN || c->unsent.size - sent > UNSENT_MAX)
            return false;
        memmove(c->unsent.data, c->unsent.data + sent, c->unsent.size - sent);
        c->unsent.size -= sent;
    } else {
        buf_free(&c->unsent);
    }
    if (c->is_full != (c->unsent.size > 0)) {
        c->is_full = c->unsent.size > 0;
        watch_change(&c->watch, EPOLLIN | (c->is_full ? EPOLLOUT : 0));
    }
    return true;
}

static void respond(struct connection *c, uint32_t stream, enum code code, const char *message,
                    const struct buf *payload)
{
    unsigned char header[FRAME_HEADER];
    struct buf body = {0};

    if (c->watch.fd < 0)
        return;
    if (payload && payload->size + 64 > FRAME_MAX) {
        code = RESOURCE_EXHAUSTED;
        message = "the answer is longer than a message may be";
    }
    if (code != OK) {
        size_t mark = put_begin(&body, 1);
        put_uint(&body, 1, code);
        put_text(&body, 2, message);
        put_end(&body, mark);
    } else if (payload && payload->size) {
        put_bytes(&body, 2, payload->data, payload->size);
    }
    frame_header(header, (uint32_t)body.size, stream, FRAME_RESPONSE);
    buf_add(&c->unsent, header, sizeof(header));
    buf_add(&c->unsent, body.data, body.size);
    buf_free(&body);
    if (!flush(c)) /* the next event notices that the peer is gone */
        shutdown(c->watch.fd, SHUT_RDWR);
}

static void end_call(struct call *call, enum code code, const char *message,
                     const struct buf *payload)
{
    struct connection *c = call->connection;

    if (shim_debug)
        say("%s %s: %s", call->method->name, call->request.id, code == OK ? "done" : message);
    respond(c, call->stream, code, message, payload);
    c->calls--;
    forget_if_over(c);
    turn_over(call);
    free(call->request.rootfs.items);
    free(call->frame);
    free(call);
    shim_ends_if_idle();
}

void answer(struct call *call, const struct buf *payload)
{
    end_call(call, OK, NULL, payload);
}

/* Clients look for the words that containerd's own errors end with. */
static const char *class_of(enum code code)
{
    switch (code) {
    case INVALID_ARGUMENT:
        return ": invalid argument";
    case NOT_FOUND:
        return ": not found";
    case ALREADY_EXISTS:
        return ": already exists";
    case FAILED_PRECONDITION:
        return ": failed precondition";
    case UNIMPLEMENTED:
        return ": not implemented";
    default:
        return "";
    }
}

void refuse(struct call *call, enum code code, const char *format, ...)
{
    char message[4096];
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(message, sizeof(message) - 32, format, arguments);
    va_end(arguments);
    if (size >= 0)
        strcat(message, class_of(code));
    end_call(call, code, message, NULL);
}

/* -- requests ------------------------------------------------------------------------------------ */

static bool is_task_service(const char *service)
{
    return !strcmp(service, "containerd.task.v2.Task") ||
           !strcmp(service, "containerd.task.v3.Task");
}

/* A whole frame has come; it is the call's from now on. */
static void take_frame(struct connection *c)
{
    struct message {
        char *service, *method;
        struct span payload;
    } message = {0};
    static const struct field FIELDS[] = {
        {1, PB_TEXT, offsetof(struct message, service)},
        {2, PB_TEXT, offsetof(struct message, method)},
        {3, PB_BYTES, offsetof(struct message, payload)},
    };
    uint32_t stream = number(c->header + 4);
    char *frame = c->frame;
    struct span content = {frame, c->size};
    char text[160] = "";
    enum code code = INVALID_ARGUMENT;
    const struct method *method;

    c->frame = NULL;
    c->have = 0;
    if (stream % 2 != 1) {
        snprintf(text, sizeof(text), "stream %u: a client's streams have odd numbers", stream);
    } else if (c->header[8] == FRAME_DATA) {
        snprintf(text, sizeof(text), "stream %u is not open for data", stream);
    } else if (c->header[8] != FRAME_REQUEST) {
        free(frame); /* of a later version of the protocol, which wants it to be ignored */
        return;
    } else if (stream <= c->last_stream) {
        snprintf(text, sizeof(text), "stream %u: numbers of streams have to go up", stream);
    } else {
        c->last_stream = stream;
        code = UNIMPLEMENTED;
        if (!pb_read(FIELDS, COUNT(FIELDS), content, &message)) {
            code = INVALID_ARGUMENT;
            snprintf(text, sizeof(text), "malformed request");
        } else if (!is_task_service(message.service)) {
            snprintf(text, sizeof(text), "service %.99s", message.service);
        } else if (!(method = task_method(message.method))) {
            snprintf(text, sizeof(text), "method %.99s", message.method);
        } else {
            struct call *call = xalloc(sizeof(*call));
            size_t count = 0;
            *call =
                (struct call){.connection = c, .stream = stream, .method = method, .frame = frame};
            c->calls++;
            while (count < COUNT(method->fields) && method->fields[count].number)
                count++;
            if (pb_read(method->fields, count, message.payload, &call->request))
                method->run(call);
            else
                refuse(call, INVALID_ARGUMENT, "malformed %s request", method->name);
            return;
        }
    }
    respond(c, stream, code, text, NULL);
    free(frame);
}

/* One read: as much of a header, of a frame, or of what is to be skipped, as has come. */
static void take_bytes(struct connection *c)
{
    char waste[4096];
    char *place = c->skip ? waste : c->frame ? c->frame : (char *)c->header;
    size_t wanted = c->frame ? c->size - c->have : FRAME_HEADER - c->have;
    ssize_t size;

    if (c->skip)
        wanted = c->skip < sizeof(waste) ? c->skip : sizeof(waste);
    else
        place += c->have;
    size = recv(c->watch.fd, place, wanted, MSG_DONTWAIT);
    if (size <= 0) {
        if (size == 0 || (errno != EAGAIN && errno != EINTR))
            hang_up(c);
        return;
    }
    if (c->skip) {
        c->skip -= (size_t)size;
        return;
    }
    c->have += (size_t)size;
    if ((size_t)size < wanted)
        return;
    if (!c->frame) {
        size_t length = number(c->header);
        c->have = 0;
        if (length > FRAME_MAX) {
            c->skip = length;
            respond(c, number(c->header + 4), RESOURCE_EXHAUSTED,
                    "the message is longer than 4194304 bytes", NULL);
            return;
        }
        c->size = length;
        c->frame = xgrow(NULL, length);
        if (length)
            return;
    }
    take_frame(c);
}

static void on_connection(struct watch *w, uint32_t events)
{
    struct connection *c = (struct connection *)w;

    if (events & EPOLLOUT && !flush(c)) {
        hang_up(c);
        return;
    }
    if (events & ~(uint32_t)EPOLLOUT)
        take_bytes(c);
}

static void on_listener(struct watch *w, uint32_t events)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct connection *c;

    (void)events;
    if (fd < 0) {
        usleep(errno == EMFILE || errno == ENFILE ? 10000 : 0); /* it stays to be accepted */
        return;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
        (peer.uid != geteuid() && peer.uid != 0)) {
        close(fd);
        return;
    }
    c = xalloc(sizeof(*c));
    c->watch = (struct watch){fd, on_connection};
    c->next = connections;
    connections = c;
    watch_add(&c->watch, EPOLLIN);
}

void ttrpc_serve(int fd)
{
    listener = (struct watch){fd, on_listener};
    if (watch_add(&listener, EPOLLIN) < 0)
        exit(1);
}

void ttrpc_stop(void)
{
    watch_close(&listener);
}

bool ttrpc_idle(void)
{
    for (struct connection *c = connections; c; c = c->next)
        if (c->unsent.size)
            return false;
    return true;
}
