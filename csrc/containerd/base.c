#define _GNU_SOURCE
#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *checked(void *memory)
{
    static const char text[] = "containerd-shim-pycontainer-v2: out of memory\n";
    if (!memory) {
        if (write(2, text, sizeof(text) - 1) < 0)
            _exit(111);
        _exit(112);
    }
    return memory;
}

void *xalloc(size_t size)
{
    return checked(calloc(1, size ? size : 1));
}

void *xgrow(void *old, size_t size)
{
    return checked(realloc(old, size ? size : 1));
}

char *xdup(const char *text)
{
    return checked(strdup(text));
}

char *xformat(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    return checked(text);
}

void buf_add(struct buf *b, const void *data, size_t size)
{
    if (b->size + size > b->room) {
        b->room = (b->size + size) * 2 < 128 ? 128 : (b->size + size) * 2;
        b->data = xgrow(b->data, b->room);
    }
    if (size)
        memcpy(b->data + b->size, data, size);
    b->size += size;
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

struct span read_fd(int fd, size_t most)
{
    struct buf content = {0};
    char part[4096];
    ssize_t size;

    while ((size = read(fd, part, sizeof(part))) != 0) {
        if (size < 0 && errno == EINTR)
            continue;
        if (size > 0)
            buf_add(&content, part, (size_t)size);
        if (size < 0 || content.size > most) {
            errno = size < 0 ? errno : EFBIG;
            free(content.data);
            return (struct span){0};
        }
    }
    buf_add(&content, "", 1);
    return (struct span){content.data, content.size - 1};
}

struct span read_file(const char *path)
{
    struct span content;
    int fd = open(path, O_RDONLY | O_CLOEXEC), error;

    if (fd < 0)
        return (struct span){0};
    content = read_fd(fd, 64 << 20);
    error = errno;
    close(fd);
    errno = error;
    return content;
}

int write_file(const char *path, const void *data, size_t size)
{
    char *beside = xformat("%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int result = -1;

    if (fd >= 0) {
        ssize_t written = write(fd, data, size);
        if (close(fd) == 0 && written >= 0 && (size_t)written == size)
            result = rename(beside, path);
        else if (written >= 0)
            errno = ENOSPC;
    }
    free(beside);
    return result;
}

/* One write: complete, or not there without a reader. Opened anew each time, so that the shim
 * holds nothing of a containerd that has gone. */
void say(const char *format, ...)
{
    char line[1024];
    struct timespec now;
    struct tm utc;
    va_list arguments;
    size_t size;
    int fd;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size = strftime(line, sizeof(line), "time=\"%Y-%m-%dT%H:%M:%SZ\" level=warning msg=\"", &utc);
    va_start(arguments, format);
    vsnprintf(line + size, sizeof(line) - size - 40, format, arguments);
    va_end(arguments);
    for (char *c = line + size; *c; c++)
        if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ')
            *c = '\'';
    strcat(line, "\" runtime=pycontainer\n");
    fd = open("log", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && write(fd, line, strlen(line)) < 0)
        line[0] = 0; /* no reader: the message is lost, and nothing depends on it */
    if (fd >= 0)
        close(fd);
}

/* -- SHA-256 (FIPS 180-4): containerd's names of sockets are made of it -------------------------- */

static const uint32_t ROUND[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void sha256_block(uint32_t state[8], const unsigned char *block)
{
    uint32_t w[64], s[8];

    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7] +
               (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) +
               (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(s, state, sizeof(s));
    for (int i = 0; i < 64; i++) {
        uint32_t one = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) +
                       ((s[4] & s[5]) ^ (~s[4] & s[6])) + ROUND[i] + w[i];
        uint32_t two = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
                       ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof(*s));
        s[4] += one;
        s[0] = one + two;
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

void sha256_hex(const void *data, size_t size, char hex[65])
{
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    size_t padded = (size + 9 + 63) / 64 * 64;
    unsigned char *text = xalloc(padded);

    memcpy(text, data, size);
    text[size] = 0x80;
    for (int i = 0; i < 8; i++)
        text[padded - 1 - (size_t)i] = (unsigned char)((uint64_t)size * 8 >> (8 * i));
    for (size_t at = 0; at < padded; at += 64)
        sha256_block(state, text + at);
    free(text);
    for (int i = 0; i < 8; i++)
        sprintf(hex + 8 * i, "%08x", (unsigned)state[i]);
}
