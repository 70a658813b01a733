/* bpf(2) for device filters. Headers older than the kernel are common, so the calls are made with
 * a zeroed attribute block that is larger than any kernel's. */
#define _GNU_SOURCE
#include "bpf.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef BPF_F_REPLACE
#define BPF_F_REPLACE (1U << 2) /* kernel 5.6 */
#endif

#define LOAD_RETRIES 16

/* Kernels 6.17 to 7.1 write query.revision whatever size they are told; the padding takes it. */
union attribute {
    union bpf_attr bpf;
    unsigned char room[512];
};

struct programs {
    int count;
    int fds[SHIM_BPF_PROGRAMS];
};

#define cleanup_programs __attribute__((cleanup(close_programs)))

static void close_programs(struct programs *programs)
{
    for (int i = 0; i < programs->count; i++)
        close(programs->fds[i]);
}

static int call(int command, union attribute *attribute)
{
    long result = syscall(__NR_bpf, command, &attribute->bpf, sizeof(attribute->bpf));

    return result < 0 ? -errno : (int)result;
}

static int load(const void *insns, int count)
{
    union attribute attribute;
    int result = -EAGAIN;

    memset(&attribute, 0, sizeof(attribute));
    attribute.bpf.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attribute.bpf.insns = (uintptr_t)insns;
    attribute.bpf.insn_cnt = (uint32_t)count;
    attribute.bpf.license = (uintptr_t) "Apache-2.0";
    /* The verifier gives up with EAGAIN when a signal is pending. */
    for (int i = 0; i < LOAD_RETRIES && result == -EAGAIN; i++)
        result = call(BPF_PROG_LOAD, &attribute);
    return result;
}

int shim_bpf_device_load(const void *insns, int count)
{
    int result = load(insns, count);
    struct rlimit old, unlimited = {RLIM_INFINITY, RLIM_INFINITY};

    /* Before kernel 5.11 programs count as locked memory, of which little is allowed. The limit is
     * put back, for what runs next inherits it. */
    if (result == -EPERM && getrlimit(RLIMIT_MEMLOCK, &old) == 0 &&
        setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0) {
        result = load(insns, count);
        setrlimit(RLIMIT_MEMLOCK, &old);
    }
    return result;
}

/* Descriptors of the programs attached to the cgroup itself. Those that a security module keeps
 * from us are left out: filters only ever add restrictions. */
static int query(int cgroup_fd, struct programs *programs)
{
    uint32_t ids[SHIM_BPF_PROGRAMS] = {0};
    union attribute attribute;
    int result;

    memset(&attribute, 0, sizeof(attribute));
    attribute.bpf.query.target_fd = (uint32_t)cgroup_fd;
    attribute.bpf.query.attach_type = BPF_CGROUP_DEVICE;
    attribute.bpf.query.prog_ids = (uintptr_t)ids;
    attribute.bpf.query.prog_cnt = SHIM_BPF_PROGRAMS;
    result = call(BPF_PROG_QUERY, &attribute);
    if (result < 0)
        return result;
    uint32_t count = attribute.bpf.query.prog_cnt;
    for (uint32_t i = 0; i < count && i < SHIM_BPF_PROGRAMS; i++) {
        union attribute one;

        memset(&one, 0, sizeof(one));
        one.bpf.prog_id = ids[i];
        result = call(BPF_PROG_GET_FD_BY_ID, &one);
        if (result >= 0)
            programs->fds[programs->count++] = result;
        else if (result != -EPERM && result != -EACCES && result != -ENOENT)
            return result;
    }
    return 0;
}

static int attach(int cgroup_fd, int prog_fd, int replaced_fd)
{
    union attribute attribute;

    memset(&attribute, 0, sizeof(attribute));
    attribute.bpf.target_fd = (uint32_t)cgroup_fd;
    attribute.bpf.attach_bpf_fd = (uint32_t)prog_fd;
    attribute.bpf.attach_type = BPF_CGROUP_DEVICE;
    attribute.bpf.attach_flags = BPF_F_ALLOW_MULTI;
    if (replaced_fd >= 0) {
        attribute.bpf.attach_flags |= BPF_F_REPLACE;
        attribute.bpf.replace_bpf_fd = (uint32_t)replaced_fd;
    }
    return call(BPF_PROG_ATTACH, &attribute);
}

static int detach(int cgroup_fd, int prog_fd)
{
    union attribute attribute;
    int result;

    memset(&attribute, 0, sizeof(attribute));
    attribute.bpf.target_fd = (uint32_t)cgroup_fd;
    attribute.bpf.attach_bpf_fd = (uint32_t)prog_fd;
    attribute.bpf.attach_type = BPF_CGROUP_DEVICE;
    result = call(BPF_PROG_DETACH, &attribute);
    return result == -ENOENT ? 0 : result;
}

/* The program's number, 0 when the kernel does not tell. */
static uint32_t number_of(int prog_fd)
{
    union attribute attribute;
    struct {
        uint32_t type, id;
    } info = {0};

    memset(&attribute, 0, sizeof(attribute));
    attribute.bpf.info.bpf_fd = (uint32_t)prog_fd;
    attribute.bpf.info.info_len = sizeof(info);
    attribute.bpf.info.info = (uintptr_t)&info;
    return call(BPF_OBJ_GET_INFO_BY_FD, &attribute) < 0 ? 0 : info.id;
}

static int is_among(int prog_fd, const int *fds, int count)
{
    uint32_t number = number_of(prog_fd);

    for (int i = 0; i < count; i++)
        if (number && number_of(fds[i]) == number)
            return 1;
    return 0;
}

int shim_bpf_device_attach(int cgroup_fd, const int *prog_fds, int count)
{
    cleanup_programs struct programs old = {0};
    int result = query(cgroup_fd, &old);

    if (result < 0)
        return result;
    if (old.count == 1 && count == 1) {
        result = attach(cgroup_fd, prog_fds[0], old.fds[0]);
        /* EINVAL: a kernel before 5.6. ENOENT: it was detached since. */
        if (result != -EINVAL && result != -ENOENT)
            return result;
    }
    for (int i = 0; i < count; i++)
        if (!is_among(prog_fds[i], old.fds, old.count) &&
            (result = attach(cgroup_fd, prog_fds[i], -1)) < 0)
            return result;
    result = 0;
    for (int i = 0; i < old.count; i++)
        if (!is_among(old.fds[i], prog_fds, count)) {
            int failure = detach(cgroup_fd, old.fds[i]);

            result = result ? result : failure;
        }
    return result;
}

int shim_bpf_device_programs(int cgroup_fd, int *prog_fds)
{
    struct programs found = {0};
    int result = query(cgroup_fd, &found);

    if (result < 0) {
        close_programs(&found);
        return result;
    }
    memcpy(prog_fds, found.fds, sizeof(found.fds));
    return found.count;
}
