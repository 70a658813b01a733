/* starter LD_SO PYTHON [ARGUMENT...]: start a program so that its memory can be kept (snapshot.h).
 *
 * The dynamic loader is mapped here, and loads the program. In place of what the kernel gives to a
 * new process, the program gets a stack with its arguments, a fixed environment and auxiliary values
 * in ordinary memory, where a snapshot keeps them; no vDSO, whose address and content another kernel
 * chooses; and no heap behind the end of a program. All mappings come to lie where the kernel puts
 * none of its own in a process that is started in the usual way.
 */
#include "../executor/sys.h"

#include <linux/auxvec.h>
#include <linux/elf.h>
#include <linux/personality.h>

#define MAP_FIXED 0x10
#define PROT_EXEC 4
#define STACK_SIZE (8UL << 20)
#define PAGE 4096UL
#define ADDR_COMPAT_LAYOUT 0x0200000
#define HEADERS_MAX 32
#define VALUES_MAX 600

static const char *const environment[] = {
    "LD_BIND_NOW=1",                       /* the loader's own state is not needed any more */
    "GLIBC_TUNABLES=glibc.pthread.rseq=0", /* the kernel would have to know of it */
    "TZ=UTC0",                             /* not this machine's */
};

struct loader {
    uint64_t base, entry, headers;
    uint16_t header_count;
};

static _Noreturn void die(const char *what)
{
    xwrite(2, "starter: ", 9);
    xwrite(2, what, text_length(what));
    xwrite(2, "\n", 1);
    xexit(1);
}

static char *map(uint64_t at, uint64_t length, long protection, long flags, int fd, uint64_t offset)
{
    long got = sys6(__NR_mmap, L(at), L(length), protection, flags | MAP_PRIVATE, fd, L(offset));
    if (got < 0 && got > -4096)
        die("cannot map");
    return (char *)got;
}

static uint64_t down(uint64_t value)
{
    return value & ~(PAGE - 1);
}

static uint64_t up(uint64_t value)
{
    return down(value + PAGE - 1);
}

static void load_segment(int fd, const Elf64_Phdr *h, uint64_t base)
{
    long protection = (h->p_flags & PF_R ? PROT_READ : 0) | (h->p_flags & PF_W ? PROT_WRITE : 0) |
                      (h->p_flags & PF_X ? PROT_EXEC : 0);
    uint64_t start = base + down(h->p_vaddr), data_end = base + h->p_vaddr + h->p_filesz;
    uint64_t end = up(base + h->p_vaddr + h->p_memsz);
    map(start, data_end - start, protection, MAP_FIXED, fd, down(h->p_offset));
    if (h->p_memsz == h->p_filesz)
        return;
    memset((char *)data_end, 0, up(data_end) - data_end);
    if (end > up(data_end))
        map(up(data_end), end - up(data_end), protection, MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static struct loader load(const char *path)
{
    Elf64_Ehdr elf;
    Elf64_Phdr headers[HEADERS_MAX];
    uint64_t size = 0;
    int fd = xopenat(AT_FDCWD, path, O_RDONLY, 0);
    if (fd < 0 || xread(fd, &elf, sizeof(elf)) != sizeof(elf) || elf.e_phnum > HEADERS_MAX ||
        sys4(__NR_pread64, fd, headers, elf.e_phnum * sizeof(headers[0]), elf.e_phoff) < 0)
        die("cannot read the loader");
    for (int i = 0; i < elf.e_phnum; i++)
        if (headers[i].p_type == PT_LOAD)
            size = up(headers[i].p_vaddr + headers[i].p_memsz);
    uint64_t base = (uint64_t)map(0, size, 0, MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < elf.e_phnum; i++)
        if (headers[i].p_type == PT_LOAD)
            load_segment(fd, &headers[i], base);
    xclose(fd);
    return (struct loader){base, base + elf.e_entry, base + elf.e_phoff, elf.e_phnum};
}

/* The kernel's mappings grow up from a third of the address space then. */
static void low_mappings(char **argv, char **env)
{
    long now = sys1(__NR_personality, 0xffffffff);
    if (now < 0 || now & ADDR_COMPAT_LAYOUT || sys1(__NR_personality, now | ADDR_COMPAT_LAYOUT) < 0)
        return;
    sys3(__NR_execve, "/proc/self/exe", argv, env);
}

/* malloc then takes its memory from mmap, and does not expect the next to follow. */
static void no_heap(void)
{
    uint64_t end = up((uint64_t)sys1(__NR_brk, 0));
    map(end, PAGE, 0, MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

/* A stack with a guard page below. Returns its end. */
static char *make_stack(void)
{
    char *memory = map(0, PAGE + STACK_SIZE, 0, MAP_ANONYMOUS, -1, 0);
    if (sys3(__NR_mprotect, memory + PAGE, STACK_SIZE, PROT_READ | PROT_WRITE) < 0)
        die("cannot map");
    return memory + PAGE + STACK_SIZE;
}

/* Below what was put there before. */
static uint64_t put(char **end, const void *data, size_t size)
{
    *end -= size;
    memcpy(*end, data, size);
    return (uint64_t)*end;
}

static uint64_t put_text(char **end, const char *text)
{
    return put(end, text, text_length(text) + 1);
}

static uint64_t value_of(const struct loader *loader, const uint64_t *pair, char **end)
{
    switch (pair[0]) {
    case AT_PHDR:
        return loader->headers;
    case AT_PHNUM:
        return loader->header_count;
    case AT_BASE:
        return 0;
    case AT_ENTRY:
        return loader->entry;
    case AT_EXECFN:
    case AT_PLATFORM:
    case AT_BASE_PLATFORM:
        return put_text(end, (const char *)pair[1]);
    case AT_RANDOM:
        return put(end, (const void *)pair[1], 16);
    }
    return pair[1];
}

__attribute__((used)) static void run(uint64_t *stack)
{
    uint64_t vector[VALUES_MAX], *at = vector;
    uint64_t count = stack[0], *env = stack + 1 + count + 1;
    if (count < 3 || count > 100)
        die("usage: starter LD_SO PROGRAM [ARGUMENT...]");
    low_mappings((char **)(stack + 1), (char **)env);
    struct loader loader = load((const char *)stack[2]);
    no_heap();
    char *end = make_stack();
    *at++ = count - 1;
    for (uint64_t i = 1; i < count; i++)
        *at++ = put_text(&end, (const char *)stack[1 + i]);
    *at++ = 0;
    for (size_t i = 0; i < sizeof(environment) / sizeof(environment[0]); i++)
        *at++ = put_text(&end, environment[i]);
    *at++ = 0;
    while (*env)
        env++;
    for (uint64_t *pair = env + 1; pair[0] != AT_NULL; pair += 2) {
        if (pair[0] == AT_SYSINFO_EHDR || at > vector + VALUES_MAX - 4)
            continue;
        *at++ = pair[0];
        *at++ = value_of(&loader, pair, &end);
    }
    *at++ = AT_NULL;
    *at++ = 0;
    uint64_t size = (uint64_t)(at - vector) * sizeof(*at);
    uint64_t top = ((uint64_t)end - size) & ~63UL;
    memcpy((void *)top, vector, size);
    /* Registers by name: the compiler may choose none that is set to 0 before it is used. */
#if defined(__x86_64__)
    __asm__ volatile("mov %0, %%rsp\n xor %%edx, %%edx\n xor %%ebp, %%ebp\n jmp *%1"
                     :
                     : "a"(top), "c"(loader.entry)
                     : "memory");
#else
    register uint64_t x9 __asm__("x9") = top;
    register uint64_t x10 __asm__("x10") = loader.entry;
    __asm__ volatile("mov sp, %0\n mov x0, #0\n mov x29, #0\n mov x30, #0\n br %1"
                     :
                     : "r"(x9), "r"(x10)
                     : "memory");
#endif
    __builtin_unreachable();
}

START_WITH(run);
