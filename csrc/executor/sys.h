/* System calls and the few library functions of the executor, which is linked with no libc.
 *
 * Every wrapper returns the kernel's own result: >= 0, or a negative errno. Constants come from
 * the kernel's user headers; where those of an old distribution lack one, it is defined here.
 */
#ifndef EX_SYS_H
#define EX_SYS_H

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/stat.h>
#include <stddef.h>
#include <stdint.h>

/* Not in the kernel's user headers, or only under another name. */
#define MNT_DETACH 2
#define UMOUNT_NOFOLLOW 8
#define AF_UNIX 1
#define AF_INET 2
#define SOL_SOCKET 1
#define SCM_RIGHTS 1
#define SOCK_DGRAM 2
#define SOCK_CLOEXEC 02000000
#define MSG_NOSIGNAL 0x4000
#define MSG_CMSG_CLOEXEC 0x40000000
#define MSG_CTRUNC 8
#define PROT_READ 1
#define PROT_WRITE 2
#define MAP_SHARED 1
#define MAP_PRIVATE 2
#define MAP_ANONYMOUS 0x20
#define MAP_FIXED_NOREPLACE 0x100000
#define PATH_MAX 4096

#if defined(__x86_64__)
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}
#else
#error "the executor knows the system calls of x86_64 and aarch64"
#endif

#define L(x) ((long)(x))
#define sys0(n) sys6(n, 0, 0, 0, 0, 0, 0)
#define sys1(n, a) sys6(n, L(a), 0, 0, 0, 0, 0)
#define sys2(n, a, b) sys6(n, L(a), L(b), 0, 0, 0, 0)
#define sys3(n, a, b, c) sys6(n, L(a), L(b), L(c), 0, 0, 0)
#define sys4(n, a, b, c, d) sys6(n, L(a), L(b), L(c), L(d), 0, 0)
#define sys5(n, a, b, c, d, e) sys6(n, L(a), L(b), L(c), L(d), L(e), 0)

/* EINTR is never a result: the few calls that can meet a signal are repeated. */
#define RETRY(call)                                                                                \
    ({                                                                                             \
        long _r;                                                                                   \
        do                                                                                         \
            _r = (call);                                                                           \
        while (_r == -EINTR);                                                                      \
        _r;                                                                                        \
    })

static inline void xclose(int fd)
{
    if (fd >= 0)
        sys1(__NR_close, fd);
}

static inline void close_cleanup(int *fd)
{
    xclose(*fd);
}

/* An fd that closes itself when its scope ends. */
#define SCOPED_FD __attribute__((cleanup(close_cleanup))) int

static inline int keep(int *fd) /* take an fd out of its scope */
{
    int value = *fd;
    *fd = -1;
    return value;
}

static inline int xopenat(int dir, const char *path, int flags, int mode)
{
    return (int)RETRY(sys4(__NR_openat, dir, path, flags | O_CLOEXEC, mode));
}

static inline int xopenat2(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve};
    return (int)sys4(__NR_openat2, dir, path, &how, sizeof(how));
}

static inline long xread(int fd, void *data, size_t size)
{
    return RETRY(sys3(__NR_read, fd, data, size));
}

static inline long xwrite(int fd, const void *data, size_t size)
{
    return RETRY(sys3(__NR_write, fd, data, size));
}

static inline int xstatx(int fd, const char *path, int flags, struct statx *out)
{
    return (int)sys5(__NR_statx, fd, path, flags, STATX_BASIC_STATS, out);
}

/* fsconfig(2): one option of a file system that fsopen(2) has begun. */
static inline int fs_set(int fs, const char *key, const char *value)
{
    return (int)sys5(__NR_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0);
}

/* The file system with its options so far, as a mount that is attached nowhere. */
static inline int fs_mount(int fs, int64_t attributes)
{
    int error = (int)sys5(__NR_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
    return error ? error : (int)sys3(__NR_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
}

static inline int is_type(const struct statx *st, unsigned type)
{
    return (st->stx_mode & S_IFMT) == type;
}

/* struct statfs, as 64-bit machines have it. */
struct file_system {
    long type, block, blocks, blocks_free, blocks_available, files, files_free, id, name, fragment;
    long flags; /* of the mount and of the file system: MS_RDONLY ... */
    long spare[4];
};

static inline int xfstatfs(int fd, struct file_system *out)
{
    return (int)sys2(__NR_fstatfs, fd, out);
}

/* A seccomp filter may forbid to exit; it cannot forbid to crash. */
static inline _Noreturn void xexit(int status)
{
    sys1(__NR_exit_group, status);
    sys1(__NR_exit, status);
    __builtin_trap();
}

static inline size_t text_length(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

static inline int same_text(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static inline const char *find_char(const char *s, char c)
{
    for (; *s; s++)
        if (*s == c)
            return s;
    return NULL;
}

/* The decimal number at the beginning of a text. */
static inline int64_t get_number(const char *s)
{
    int64_t value = 0;
    for (; *s >= '0' && *s <= '9'; s++)
        value = value * 10 + (*s - '0');
    return value;
}

/* Write a number >= 0 in decimal; returns the end, which is NUL. */
static inline char *put_number(char *out, long value)
{
    char digits[24];
    int count = 0;
    do
        digits[count++] = (char)('0' + value % 10);
    while (value /= 10);
    while (count)
        *out++ = digits[--count];
    *out = 0;
    return out;
}

/* The program's entry: calls a function, which never returns, with the stack of execve(2). */
#if defined(                                                                                       \
    WITH_LIBC) /* of a sanitizer (csrc/Makefile); the words lie where the kernel puts them */
#define START_WITH(function)                                                                       \
    int main(int count, char **words)                                                              \
    {                                                                                              \
        (void)count;                                                                               \
        function((void *)(words - 1));                                                             \
        return 0;                                                                                  \
    }
#elif defined(__x86_64__)
#define START_WITH(function)                                                                       \
    __asm__(".globl _start\n_start:\n xor %ebp,%ebp\n mov %rsp,%rdi\n and $-16,%rsp\n"             \
            " call " #function "\n")
#else
#define START_WITH(function)                                                                       \
    __asm__(".globl _start\n_start:\n mov x29,#0\n mov x30,#0\n mov x0,sp\n"                       \
            " bl " #function "\n")
#endif

void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memmove(void *to, const void *from, size_t n);

#endif
