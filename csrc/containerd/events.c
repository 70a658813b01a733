#define _GNU_SOURCE
#include "events.h"
#include "loop.h"
#include "ttrpc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* containerd may be away for a while, at an upgrade for instance. So many events are kept for it,
 * the newest; as many as its own shim keeps. */
#define KEPT 2048
#define PATIENCE 5000 /* milliseconds for one answer */

struct event {
    struct event *next;
    struct buf request; /* a ttrpc request */
};

static char *address, *name_space;
static struct event *first, **last = &first;
static unsigned count;
static struct watch containerd = {.fd = -1};
static bool in_flight; /* the first has been sent, and not answered */
static uint32_t stream;
static unsigned timer;
static long pause_ms; /* before the next attempt to connect */
static struct buf unsent;
static unsigned char header[FRAME_HEADER];
static size_t have, skip;

static void work(void *nothing);

void events_init(const char *where, const char *whose)
{
    const char *scheme = "unix://";
    if (where && strncmp(where, scheme, strlen(scheme)) == 0)
        where += strlen(scheme);
    address = where && *where ? xdup(where) : NULL;
    name_space = xdup(whose);
}

bool events_idle(void)
{
    return !first || !address;
}

static void forget_first(void)
{
    struct event *event = first;
    first = event->next;
    if (!first)
        last = &first;
    count--;
    buf_free(&event->request);
    free(event);
}

static void on_retry(void *nothing)
{
    timer = 0;
    work(nothing);
}

static void disconnect(void)
{
    watch_close(&containerd);
    buf_free(&unsent);
    in_flight = false;
    have = skip = 0;
    timer_stop(timer);
    pause_ms = pause_ms ? (pause_ms < 2000 ? pause_ms * 2 : 4000) : 50;
    timer = first ? timer_start(pause_ms, on_retry, NULL) : 0;
}

static void on_silence(void *nothing)
{
    (void)nothing;
    timer = 0;
    say("containerd does not answer to an event");
    disconnect();
}

static void send_unsent(void)
{
    ssize_t size = send(containerd.fd, unsent.data, unsent.size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size < 0 && errno != EAGAIN && errno != EINTR) {
        disconnect();
        return;
    }
    if (size > 0) {
        memmove(unsent.data, unsent.data + size, unsent.size - (size_t)size);
        unsent.size -= (size_t)size;
    }
    watch_change(&containerd, EPOLLIN | (unsent.size ? EPOLLOUT : 0));
    if (!unsent.size)
        buf_free(&unsent);
}

/* The answer's content does not matter: an event that was refused would be refused again. */
static void on_containerd(struct watch *w, uint32_t events)
{
    char waste[512];
    ssize_t size;

    if (events & EPOLLOUT) {
        send_unsent();
        if (w->fd < 0)
            return;
    }
    if (!(events & ~(uint32_t)EPOLLOUT))
        return;
    if (skip)
        size = recv(w->fd, waste, skip < sizeof(waste) ? skip : sizeof(waste), MSG_DONTWAIT);
    else
        size = recv(w->fd, header + have, FRAME_HEADER - have, MSG_DONTWAIT);
    if (size <= 0) {
        if (size == 0 || (errno != EAGAIN && errno != EINTR))
            disconnect();
        return;
    }
    if (skip) {
        skip -= (size_t)size;
    } else {
        have += (size_t)size;
        if (have == FRAME_HEADER)
            skip = (size_t)header[0] << 24 | (size_t)header[1] << 16 | (size_t)header[2] << 8 |
                   header[3];
    }
    if (have < FRAME_HEADER || skip)
        return;
    have = 0;
    if (!in_flight)
        return;
    in_flight = false;
    pause_ms = 0;
    timer_stop(timer);
    timer = 0;
    forget_first();
    work(NULL);
}

static int connect_to(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (strlen(path) >= sizeof(name.sun_path))
        return -1;
    strcpy(name.sun_path, path);
    containerd = (struct watch){fd, on_containerd};
    if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
        return -1;
    stream = 1;
    return watch_add(&containerd, EPOLLIN);
}

/* Sends the first event, if that is not under way; connects before, if that is necessary. */
static void work(void *nothing)
{
    unsigned char frame[FRAME_HEADER];

    (void)nothing;
    if (!first || in_flight || !address)
        return;
    if (containerd.fd < 0) {
        timer_stop(timer);
        timer = 0;
        if (connect_to(address) < 0) {
            disconnect();
            return;
        }
    }
    in_flight = true;
    frame_header(frame, (uint32_t)first->request.size, stream, FRAME_REQUEST);
    stream += 2;
    buf_add(&unsent, frame, sizeof(frame));
    buf_add(&unsent, first->request.data, first->request.size);
    timer = timer_start(PATIENCE, on_silence, NULL);
    send_unsent();
}

void event_send(const char *topic, const char *type, const struct buf *content)
{
    struct event *event = xalloc(sizeof(*event));
    struct buf forward = {0};
    struct timespec now;
    size_t envelope, any, value;
    char *url = xformat("containerd.events.%s", type);

    clock_gettime(CLOCK_REALTIME, &now);
    envelope = put_begin(&forward, 1);
    put_time(&forward, 1, now);
    put_text(&forward, 2, name_space);
    put_text(&forward, 3, topic);
    any = put_begin(&forward, 4);
    put_text(&forward, 1, url);
    value = put_begin(&forward, 2);
    buf_add(&forward, content->data, content->size);
    put_end(&forward, value);
    put_end(&forward, any);
    put_end(&forward, envelope);
    free(url);

    put_text(&event->request, 1, "containerd.services.events.ttrpc.v1.Events");
    put_text(&event->request, 2, "Forward");
    put_bytes(&event->request, 3, forward.data, forward.size);
    put_uint(&event->request, 4, PATIENCE * 1000000ull);
    buf_free(&forward);
    *last = event;
    last = &event->next;
    if (++count > KEPT && first->next && !in_flight) {
        say("an event is lost: containerd has not taken %d", KEPT);
        forget_first();
    }
    if (containerd.fd >= 0 || !timer) /* else the next attempt comes in a while */
        work(NULL);
}
