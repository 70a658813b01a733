#ifndef SHIM_SECCOMP_H
#define SHIM_SECCOMP_H

#include <stdint.h>

/*
 * libseccomp, loaded when a filter has to be compiled and not before. Call shim_seccomp_open
 * first; the others must not be called unless it returned 0. What a rule means is decided by the
 * caller, these only pass it on. Everything returns >= 0 or a negative errno unless it says
 * otherwise.
 */

/* One condition on a system call's argument; the layout of libseccomp's struct scmp_arg_cmp. */
struct shim_seccomp_arg {
    uint32_t index;
    uint32_t op;
    uint64_t value;
    uint64_t value_two;
};

/* Load the library: -ENOENT when there is none, -ENOSYS when it is older than 2.5. */
int shim_seccomp_open(void);

/* Its version as 0xMMmmpp, and the file it was loaded from. */
int shim_seccomp_version(void);
const char *shim_seccomp_path(void);

/* SCMP_ARCH_* of this machine. */
uint32_t shim_seccomp_native_arch(void);

/* A filter under construction; NULL when default_action is not one the library knows. */
void *shim_seccomp_begin(uint32_t default_action);
void shim_seccomp_end(void *filter);

/* -EEXIST: is there already. -EINVAL: unknown to the library. -EDOM: of another byte order. */
int shim_seccomp_add_arch(void *filter, uint32_t arch);

/* Arrange system calls as a binary tree instead of a list. */
int shim_seccomp_optimize(void *filter);

/*
 * The number of a system call on an architecture (0: this machine's); libseccomp's own negative
 * numbers below -1 for one that exists elsewhere only, -1 for an unknown one.
 */
int shim_seccomp_resolve(uint32_t arch, const char *name);

/* The other way round, into `out`; -ENOENT for a number that libseccomp has no name for. */
int shim_seccomp_name(uint32_t arch, int syscall_number, char *out, uint32_t size);

int shim_seccomp_add_rule(void *filter, uint32_t action, int syscall_number,
                          const struct shim_seccomp_arg *args, uint32_t count);

/* Write the program (struct sock_filter[]) to out; returns its length in bytes. */
int shim_seccomp_export(void *filter, void *out, uint32_t capacity);

/* Whether the running kernel knows all of these SECCOMP_FILTER_FLAG_*: 1 or 0. Needs no library. */
int shim_seccomp_flags_supported(uint32_t flags);

#endif
