/* Device filters of cgroup v2: programs of type BPF_PROG_TYPE_CGROUP_DEVICE (kernel 4.15).
 * All functions return >= 0, or a negative errno. */
#ifndef PYCONTAINER_SHIM_BPF_H
#define PYCONTAINER_SHIM_BPF_H

/* Load `count` instructions of 8 bytes; returns the program's descriptor (close-on-exec). */
int shim_bpf_device_load(const void *insns, int count);

/* Make the program the cgroup's only device filter of its own. What was attached before is replaced
 * in one step where that is possible, and else detached after the new one is in force, so that
 * there is no moment without a filter. The kernel keeps the program; the caller closes it. */
int shim_bpf_device_attach(int cgroup_fd, int prog_fd);

/* Detach every device filter of this cgroup (not its ancestors'); returns how many there were. */
int shim_bpf_device_detach_all(int cgroup_fd);

#endif
