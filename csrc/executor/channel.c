/* The channel to the runtime: SEQPACKET messages, some with fds. The chart is in executor.h. */
#include "executor.h"

struct iovec {
    void *base;
    size_t length;
};

struct msghdr {
    void *name;
    uint32_t name_length;
    struct iovec *parts;
    size_t part_count;
    void *control;
    size_t control_length;
    int flags;
};

struct control {
    size_t length;
    int level;
    int type;
    int fds[MAX_SLOTS + 1];
};

#define CONTROL_HEAD offsetof(struct control, fds)

int channel_send(uint32_t type, int error, const char *text, size_t length, int fd)
{
    struct message_head head = {
        .type = type,
        .kind = ex.now ? (uint16_t)ex.now->kind : 0,
        .index = ex.now ? (uint16_t)ex.now->index : 0,
        .error = -error,
        .length = (uint16_t)length,
        .detail = type == MSG_FAILED ? (uint16_t)ex.why : 0,
    };
    struct iovec parts[2] = {{&head, sizeof(head)}, {(void *)text, length}};
    struct control control = {CONTROL_HEAD + sizeof(int), SOL_SOCKET, SCM_RIGHTS, {fd}};
    struct msghdr message = {.parts = parts, .part_count = text ? 2 : 1};
    if (fd >= 0) {
        message.control = &control;
        message.control_length = CONTROL_HEAD + 2 * sizeof(int); /* aligned to 8 */
    }
    if (ex.channel < 0)
        return -ENOTCONN;
    long sent = RETRY(sys3(__NR_sendmsg, ex.channel, &message, MSG_NOSIGNAL));
    return sent < 0 ? (int)sent : 0;
}

static int receive(struct message_head *head, struct control *control)
{
    struct iovec part = {head, sizeof(*head)};
    struct msghdr message = {.parts = &part, .part_count = 1};
    control->length = 0;
    message.control = control;
    message.control_length = sizeof(*control);
    long got = RETRY(sys3(__NR_recvmsg, ex.channel, &message, MSG_CMSG_CLOEXEC));
    if (got == 0)
        return because(-EPIPE, DETAIL_RUNTIME_GONE, NULL);
    if (got < 0)
        return (int)got;
    if (got != sizeof(*head) || (message.flags & MSG_CTRUNC))
        return -EPROTO;
    if (message.control_length < CONTROL_HEAD)
        control->length = 0;
    return 0;
}

int channel_expect(uint32_t type)
{
    struct message_head head;
    struct control control;
    int error = receive(&head, &control);
    if (error)
        return error;
    return head.type == type ? 0 : -EPROTO;
}

/* A timeline is not worth a failure: without room for it there is none. */
static void share_timings(int fd)
{
    struct statx st;
    if (xstatx(fd, "", AT_EMPTY_PATH, &st))
        return;
    long at = sys6(__NR_mmap, 0, (long)st.stx_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at < 0 && at > -4096)
        return;
    ex.timings = (struct timing *)at;
    ex.timing_count = st.stx_size / sizeof(struct timing);
}

/* PLAN carries the plan's memfd, and after it the fds of the slots, in order. */
int channel_receive_plan(int *plan_fd)
{
    struct message_head head;
    struct control control;
    int error = receive(&head, &control);
    if (error)
        return error;
    if (head.type != MSG_PLAN || control.length < CONTROL_HEAD + sizeof(int))
        return -EPROTO;
    int count = (int)((control.length - CONTROL_HEAD) / sizeof(int));
    *plan_fd = control.fds[0];
    if (head.index && count > 1) {
        SCOPED_FD timings = control.fds[--count];
        share_timings(timings);
    }
    ex.slot_count = count - 1;
    memcpy(ex.slots, control.fds + 1, (size_t)ex.slot_count * sizeof(int));
    for (int i = ex.slot_count; i < MAX_SLOTS; i++) /* for what we open ourselves */
        ex.slots[i] = -EBADF;
    return 0;
}

/* The same as do_sync, and the descriptors of slots come with the answer. */
int do_receive(void)
{
    struct message_head head;
    struct control control;
    int64_t first = INT(RECEIVE, first), count = INT(RECEIVE, count);
    if (first < ex.slot_count || count < 0 || count > MAX_SLOTS - first)
        return -EBADF;
    int error = channel_send(MSG_SYNC, 0, NULL, 0, -1);
    if (!error)
        error = receive(&head, &control);
    if (error)
        return error;
    size_t size = CONTROL_HEAD + (size_t)count * sizeof(int);
    if (head.type != MSG_GO || (count && control.length != size))
        return -EPROTO;
    memcpy(ex.slots + first, control.fds, (size_t)count * sizeof(int));
    return 0;
}

/* Tell the runtime that we are here, and wait until it has done its part. */
int do_sync(void)
{
    int error = channel_send(MSG_SYNC, 0, NULL, 0, -1);
    return error ? error : channel_expect(MSG_GO);
}
