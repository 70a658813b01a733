/* What all files of the shim use: memory, text, time, the log. */
#ifndef CONTAINERD_BASE_H
#define CONTAINERD_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PRINTF(text, rest) __attribute__((format(printf, text, rest)))

/* Bytes that another buffer owns. */
struct span {
    char *data;
    size_t size;
};

/* Bytes that grow; {0} is an empty one. */
struct buf {
    char *data;
    size_t size, room;
};

/* The process ends when there is no memory: these never return NULL. */
void *xalloc(size_t size); /* zeroed */
void *xgrow(void *old, size_t size);
char *xdup(const char *text);
char *xformat(const char *format, ...) PRINTF(1, 2);

void buf_add(struct buf *b, const void *data, size_t size);
void buf_free(struct buf *b);

/* The whole file, NUL-terminated behind `size`; data is NULL with errno when it cannot be read. */
struct span read_file(const char *path);
struct span read_fd(int fd, size_t most);
int write_file(const char *path, const void *data, size_t size); /* replaces it; 0 or -1 */

/* To the daemon's log, through the fifo that containerd has put into the bundle; never waits. */
void say(const char *format, ...) PRINTF(1, 2);

void sha256_hex(const void *data, size_t size, char hex[65]);

#endif
