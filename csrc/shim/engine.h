/* What the engine asks of the kernel before and around the executor. Also read by cffi: only plain
 * declarations here. All functions return >= 0, or a negative errno. */
#ifndef SHIM_ENGINE_H
#define SHIM_ENGINE_H

/* Start the program in `exe` (a memfd) with the channel as fd 3 + preserve and its number as
 * argv[1]; fds 0 to 2 + preserve stay, all others are closed. `flags` are clone3's namespace
 * flags; `cgroup` is a cgroup v2 directory to start in, or -1. Returns the pid; *pidfd is set. */
int shim_spawn(int exe, int channel, unsigned long flags, int cgroup, int preserve, int *pidfd);

/* The same, but `fds` become the program's 0 to count - 1, whatever numbers they have here; nothing
 * else of ours stays open in it. The channel is its fd `count`. */
int shim_spawn_with(int exe, int channel, unsigned long flags, int cgroup, const int *fds,
                    int count, int *pidfd);

/* A sealed memfd with `size` bytes of `data`; `executable` for a program. */
int shim_memfd(const char *name, const char *data, unsigned long size, int executable);

/* A socket pair of messages (SEQPACKET), close-on-exec. */
int shim_channel(int *ours, int *theirs);

/* Send `size` bytes with `count` fds; receive at most `room` bytes and at most *count fds. */
int shim_send(int channel, const char *data, unsigned long size, const int *fds, int count);
int shim_receive(int channel, char *data, unsigned long room, int *fds, int *count);

/* A socket in a directory: listening (mode 0600), or connected to the one that listens. */
int shim_listen_at(int dir, const char *name);
int shim_connect_at(int dir, const char *name);

/* 1 while a process listens on that socket, 0 when only its name is left, or not even that. Nobody
 * is woken: a datagram socket cannot connect to it, and the kernel's reason tells. */
int shim_listens_at(int dir, const char *name);

/* A detached copy of the mount at `path`; `how` is 1 for those below too, 2 for a symlink itself. */
int shim_open_tree(const char *path, int how);
int shim_setns(int fd, int nstype);
int shim_namespace_type(int fd);
/* Raise a process's limit to what is given; what is higher already stays (prlimit(2)). */
int shim_raise_limit(int pid, int resource, long soft, long hard);
int shim_capabilities(unsigned long *permitted);

#endif
