/* The interpreter's half of a snapshot (launcher/snapshot.h). Also read by cffi: only plain
 * declarations here. */
#ifndef SHIM_SNAPSHOT_H
#define SHIM_SNAPSHOT_H

/* Write a `struct snapshot` about this process to `fd`, and wait until standard input ends, then exit.
 * A process that is started from the snapshot calls `shim_resumed`, which preload.py has. */
void shim_snapshot_wait(int fd);

/* Whether a signal is ignored. */
int shim_signal_ignored(int number);

#endif
