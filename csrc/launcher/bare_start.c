/* bare_start PROGRAM [ARGUMENT...]: start a dynamically linked program as the kernel would, with a
 * start that can be kept.
 *
 * A build tool, for snapshots. The program gets a stack, an environment and auxiliary values in
 * ordinary memory, which later starts will find there, and no vDSO, whose address differs at every
 * start. Its C library binds all symbols at once, and keeps away from what the kernel would have
 * to know of (restartable sequences, the heap behind the program's end).
 */
#include "../executor/sys.h"

#include <linux/auxvec.h>
#include <linux/elf.h>
#include <linux/personality.h>

#define MAP_FIXED 0x10
#define STACK_SIZE (8UL << 20)
#define PAGE 4096UL
#define ADDR_COMPAT_LAYOUT 0x0200000
#define HEADERS_MAX 32

struct loaded {
    uint64_t base, entry, headers;
    uint16_t header_size, header_count;
    char interpreter[256];
};

static _Noreturn void die(const char *what)
{
    xwrite(2, "bare_start: ", 12);
    xwrite(2, what, text_length(what));
    xwrite(2, "\n", 1);
    xexit(1);
}

static char *map(uint64_t at, uint64_t length, long protection, long flags, int fd, uint64_t offset)
{
    long got = sys6(__NR_mmap, L(at), L(length), protection, flags, fd, L(offset));
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
                      (h->p_flags & PF_X ? 4 : 0);
    uint64_t start = base + down(h->p_vaddr), data_end = base + h->p_vaddr + h->p_filesz;
    uint64_t end = up(base + h->p_vaddr + h->p_memsz);
    if (h->p_filesz)
        map(start, data_end - start, protection, MAP_PRIVATE | MAP_FIXED, fd, down(h->p_offset));
    if (h->p_memsz > h->p_filesz) {
        if (h->p_filesz)
            memset((char *)data_end, 0, up(data_end) - data_end);
        if (end > up(data_end))
            map(up(data_end), end - up(data_end), protection,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
}

static void load(const char *path, struct loaded *out)
{
    Elf64_Ehdr elf;
    Elf64_Phdr headers[HEADERS_MAX];
    uint64_t end = 0;
    int fd = xopenat(AT_FDCWD, path, O_RDONLY, 0);
    if (fd < 0 || xread(fd, &elf, sizeof(elf)) != sizeof(elf) || elf.e_phnum > HEADERS_MAX)
        die("cannot read the program");
    size_t size = elf.e_phnum * sizeof(headers[0]);
    if (sys4(__NR_pread64, fd, headers, size, elf.e_phoff) != L(size))
        die("cannot read the program");
    for (int i = 0; i < elf.e_phnum; i++)
        if (headers[i].p_type == PT_LOAD)
            end = up(headers[i].p_vaddr + headers[i].p_memsz);
    out->base = 0;
    if (elf.e_type == ET_DYN)
        out->base = (uint64_t)map(0, end, 0, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < elf.e_phnum; i++) {
        const Elf64_Phdr *h = &headers[i];
        if (h->p_type == PT_LOAD)
            load_segment(fd, h, out->base);
        if (h->p_type == PT_PHDR)
            out->headers = out->base + h->p_vaddr;
        if (h->p_type == PT_INTERP &&
            (h->p_filesz > sizeof(out->interpreter) ||
             sys4(__NR_pread64, fd, out->interpreter, h->p_filesz, h->p_offset) < 0))
            die("cannot read the program");
    }
    out->entry = out->base + elf.e_entry;
    out->header_size = elf.e_phentsize;
    out->header_count = elf.e_phnum;
    xclose(fd);
}

/* The kernel's mappings grow up from a third of the address space then, where no later start has
 * anything; with the other layout they would be near the stack of one. */
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
    map(end, PAGE, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

/* Between two pages without access: were it one mapping with what comes to lie beside it, that would
 * be taken for a part of the stack, which the snapshot leaves out (snapshot_write.c). */
static char *new_stack(void)
{
    char *outer = map(0, STACK_SIZE + 2 * PAGE, 0, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return map((uint64_t)outer + PAGE, STACK_SIZE, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* Below what was put there before. */
static uint64_t put(char **end, const char *data, size_t size)
{
    *end -= size;
    memcpy(*end, data, size);
    return (uint64_t)*end;
}

static uint64_t put_text(char **end, const char *text)
{
    return put(end, text, text_length(text) + 1);
}

struct start {
    struct loaded program, linker;
    char *end; /* of the stack's free part */
};

static uint64_t value_of(struct start *start, const uint64_t *pair)
{
    switch (pair[0]) {
    case AT_PHDR:
        return start->program.headers;
    case AT_PHENT:
        return start->program.header_size;
    case AT_PHNUM:
        return start->program.header_count;
    case AT_BASE:
        return start->linker.base;
    case AT_ENTRY:
        return start->program.entry;
    case AT_EXECFN:
    case AT_PLATFORM:
    case AT_BASE_PLATFORM:
        return put_text(&start->end, (const char *)pair[1]);
    case AT_RANDOM:
        return put(&start->end, (const char *)pair[1], 16);
    }
    return pair[1];
}

static const char *const environment[] = {
    "LD_BIND_NOW=1",
    "GLIBC_TUNABLES=glibc.pthread.rseq=0",
    "TZ=UTC0", /* not this machine's */
};

__attribute__((used)) static void run(uint64_t *stack)
{
    struct start start;
    uint64_t vector[600], *at = vector;
    uint64_t count = stack[0], *end = stack + 1 + count + 1;
    if (count < 2 || count > 100)
        die("usage: bare_start PROGRAM [ARGUMENT...]");
    low_mappings((char **)(stack + 1), (char **)end);
    load((const char *)stack[2], &start.program);
    load(start.program.interpreter, &start.linker);
    no_heap();
    start.end = new_stack() + STACK_SIZE;
    *at++ = count - 1;
    for (uint64_t i = 1; i < count; i++)
        *at++ = put_text(&start.end, (const char *)stack[1 + i]);
    *at++ = 0;
    for (size_t i = 0; i < sizeof(environment) / sizeof(environment[0]); i++)
        *at++ = put_text(&start.end, environment[i]);
    *at++ = 0;
    while (*end) /* of our environment */
        end++;
    for (uint64_t *pair = end + 1; pair[0] != AT_NULL; pair += 2) {
        if (pair[0] == AT_SYSINFO_EHDR || at - vector > 590)
            continue;
        *at++ = pair[0];
        *at++ = value_of(&start, pair);
    }
    *at++ = AT_NULL;
    *at++ = 0;
    uint64_t size = (uint64_t)(at - vector) * sizeof(*at);
    uint64_t top = ((uint64_t)start.end - size) & ~63UL;
    memcpy((void *)top, vector, size);
#if defined(__x86_64__)
    __asm__ volatile("mov %0,%%rsp\n xor %%edx,%%edx\n xor %%ebp,%%ebp\n jmp *%1"
                     :
                     : "r"(top), "r"(start.linker.entry)
                     : "memory");
#endif
    die("not for this processor");
}

START_WITH(run);
