#ifndef SNAPSHOT_WRITE_H
#define SNAPSHOT_WRITE_H

/* Where a later start goes on: on its own stack, with its own arguments. */
typedef void (*snapshot_resume)(int argc, char **argv, char **environment);

/* Write this process's memory to a file; `argv` is main's. Returns NULL, or what stands in the way. */
const char *snapshot_write(const char *path, char **argv, snapshot_resume resume);

#endif
