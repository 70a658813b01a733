/*
 * libseccomp behind dlopen: most commands compile no filter, and those that do mostly find it in
 * the cache, so nobody else pays for mapping and relocating the library. The prototypes are ours,
 * because its headers are not needed to build; they are those of libseccomp 2.5's stable ABI.
 */
#define _GNU_SOURCE
#include "seccomp.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* libseccomp's names for what we ask of it; enum scmp_filter_attr. */
#define ATTR_CTL_NNP 3
#define ATTR_CTL_OPTIMIZE 8
#define OPTIMIZE_TREE 2

struct scmp_version {
    unsigned int major;
    unsigned int minor;
    unsigned int micro;
};

/* libseccomp passes a filter by its address, and conditions as an array of this very layout. */
_Static_assert(sizeof(struct shim_seccomp_arg) == 24, "struct scmp_arg_cmp");
_Static_assert(offsetof(struct shim_seccomp_arg, value) == 8, "struct scmp_arg_cmp");

static struct {
    const struct scmp_version *(*version)(void);
    uint32_t (*arch_native)(void);
    void *(*init)(uint32_t default_action);
    void (*release)(void *filter);
    int (*arch_add)(void *filter, uint32_t arch);
    int (*attr_set)(void *filter, int attribute, uint32_t value);
    int (*resolve)(uint32_t arch, const char *name);
    char *(*name)(uint32_t arch, int number); /* the caller frees it */
    int (*rule_add)(void *filter, uint32_t action, int number, unsigned int count,
                    const struct shim_seccomp_arg *args);
    int (*export_bpf)(void *filter, int fd);
    const char *path;
} library;

static const struct {
    const char *name;
    void **slot;
} SYMBOLS[] = {
    {"seccomp_version", (void **)&library.version},
    {"seccomp_arch_native", (void **)&library.arch_native},
    {"seccomp_init", (void **)&library.init},
    {"seccomp_release", (void **)&library.release},
    {"seccomp_arch_add", (void **)&library.arch_add},
    {"seccomp_attr_set", (void **)&library.attr_set},
    {"seccomp_syscall_resolve_name_arch", (void **)&library.resolve},
    {"seccomp_syscall_resolve_num_arch", (void **)&library.name},
    {"seccomp_rule_add_array", (void **)&library.rule_add},
    {"seccomp_export_bpf", (void **)&library.export_bpf},
};

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define cleanup_close __attribute__((cleanup(close_fd)))

int shim_seccomp_open(void)
{
    struct link_map *map = NULL;
    void *handle;
    size_t i;

    if (library.path != NULL)
        return 0;
    /* It stays loaded: this process compiles one filter and ends. */
    handle = dlopen("libseccomp.so.2", RTLD_LAZY | RTLD_LOCAL);
    if (handle == NULL)
        return -ENOENT;
    for (i = 0; i < sizeof(SYMBOLS) / sizeof(SYMBOLS[0]); i++) {
        *SYMBOLS[i].slot = dlsym(handle, SYMBOLS[i].name);
        if (*SYMBOLS[i].slot == NULL)
            return -ENOSYS;
    }
    if (shim_seccomp_version() < 0x020500)
        return -ENOSYS;
    if (dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0)
        return -ENOSYS;
    library.path = map->l_name;
    return 0;
}

int shim_seccomp_version(void)
{
    const struct scmp_version *version = library.version();

    return (int)(version->major << 16 | version->minor << 8 | version->micro);
}

const char *shim_seccomp_path(void)
{
    return library.path;
}

uint32_t shim_seccomp_native_arch(void)
{
    return library.arch_native();
}

void *shim_seccomp_begin(uint32_t default_action)
{
    void *filter = library.init(default_action);

    /* no_new_privs is process.noNewPrivileges' business alone. */
    if (filter != NULL && library.attr_set(filter, ATTR_CTL_NNP, 0) != 0) {
        library.release(filter);
        return NULL;
    }
    return filter;
}

void shim_seccomp_end(void *filter)
{
    library.release(filter);
}

int shim_seccomp_add_arch(void *filter, uint32_t arch)
{
    return library.arch_add(filter, arch);
}

int shim_seccomp_optimize(void *filter)
{
    return library.attr_set(filter, ATTR_CTL_OPTIMIZE, OPTIMIZE_TREE);
}

int shim_seccomp_resolve(uint32_t arch, const char *name)
{
    return library.resolve(arch, name);
}

int shim_seccomp_name(uint32_t arch, int syscall_number, char *out, uint32_t size)
{
    char *name = library.name(arch, syscall_number);
    int fits = name != NULL && strlen(name) < size;

    if (fits)
        strcpy(out, name);
    free(name);
    return fits ? 0 : -ENOENT;
}

int shim_seccomp_add_rule(void *filter, uint32_t action, int syscall_number,
                          const struct shim_seccomp_arg *args, uint32_t count)
{
    return library.rule_add(filter, action, syscall_number, count, args);
}

int shim_seccomp_export(void *filter, void *out, uint32_t capacity)
{
    cleanup_close int fd = memfd_create("seccomp", MFD_CLOEXEC);
    uint32_t done = 0;
    off_t size;
    int rc;

    if (fd < 0)
        return -errno;
    rc = library.export_bpf(filter, fd);
    if (rc < 0)
        return rc;
    size = lseek(fd, 0, SEEK_END);
    if (size < 0)
        return -errno;
    if (size > (off_t)capacity)
        return -E2BIG;
    while (done < (uint32_t)size) {
        ssize_t n = pread(fd, (char *)out + done, (uint32_t)size - done, done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (uint32_t)n;
    }
    return (int)done;
}

int shim_seccomp_flags_supported(uint32_t flags)
{
    /* Without a program the kernel still looks at the flags first: unknown ones are EINVAL. */
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, NULL) == 0)
        return 0;
    return errno == EFAULT;
}
