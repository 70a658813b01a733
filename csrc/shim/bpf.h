/* Device filters of cgroup v2: programs of type BPF_PROG_TYPE_CGROUP_DEVICE (kernel 4.15).
 * All functions return >= 0, or a negative errno. */
#ifndef PYCONTAINER_SHIM_BPF_H
#define PYCONTAINER_SHIM_BPF_H

/* Load `count` instructions of 8 bytes; returns the program's descriptor (close-on-exec). */
int shim_bpf_device_load(const void *insns, int count);

enum { SHIM_BPF_PROGRAMS = 64 }; /* the kernel's limit per cgroup and attach type */

/* Make these programs the cgroup's only device filters of its own (not its ancestors'). What was
 * attached before is replaced in one step where that is possible, and else detached after the new
 * ones are in force, so that there is no moment without a filter. The kernel keeps the programs;
 * the caller closes them. */
int shim_bpf_device_attach(int cgroup_fd, const int *prog_fds, int count);

/* Descriptors of the cgroup's own device filters, SHIM_BPF_PROGRAMS at most; returns how many. */
int shim_bpf_device_programs(int cgroup_fd, int *prog_fds);

#endif
