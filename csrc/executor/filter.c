/* What a seccomp filter answers to a system call, found by running it as the kernel does.
 *
 * The kernel has the same filter in its own form after this; here nothing depends on more than what
 * is to be done about a call that the filter is going to refuse.
 */
#include "executor.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#else
#define NATIVE AUDIT_ARCH_AARCH64
#endif

/* A text of a plan lies anywhere. */
typedef struct sock_filter instruction __attribute__((aligned(1)));

struct machine {
    uint32_t a, x, memory[BPF_MEMWORDS];
};

static uint32_t computed(const struct machine *m, int operation, uint32_t operand)
{
    switch (operation) {
    case BPF_ADD:
        return m->a + operand;
    case BPF_SUB:
        return m->a - operand;
    case BPF_MUL:
        return m->a * operand;
    case BPF_DIV:
        return operand ? m->a / operand : 0;
    case BPF_AND:
        return m->a & operand;
    case BPF_OR:
        return m->a | operand;
    case BPF_XOR:
        return m->a ^ operand;
    case BPF_LSH:
        return m->a << (operand & 31);
    case BPF_RSH:
        return m->a >> (operand & 31);
    default:
        return -m->a; /* BPF_NEG */
    }
}

static int holds(const struct machine *m, int test, uint32_t operand)
{
    switch (test) {
    case BPF_JEQ:
        return m->a == operand;
    case BPF_JGT:
        return m->a > operand;
    case BPF_JGE:
        return m->a >= operand;
    default:
        return (m->a & operand) != 0; /* BPF_JSET */
    }
}

static uint32_t loaded(const struct machine *m, const instruction *f,
                       const struct seccomp_data *data)
{
    uint32_t word = 0;
    switch (BPF_MODE(f->code)) {
    case BPF_IMM:
        return f->k;
    case BPF_LEN:
        return sizeof(*data);
    case BPF_MEM:
        return m->memory[f->k % BPF_MEMWORDS];
    default: /* BPF_ABS */
        if (f->k <= sizeof(*data) - sizeof(word))
            memcpy(&word, (const char *)data + f->k, sizeof(word));
        return word;
    }
}

static uint32_t answer(const instruction *f, size_t count, const struct seccomp_data *data)
{
    struct machine m;
    memset(&m, 0, sizeof(m));
    for (size_t at = 0; at < count; at++) {
        const instruction *now = f + at;
        uint32_t operand = BPF_SRC(now->code) == BPF_X ? m.x : now->k;
        switch (BPF_CLASS(now->code)) {
        case BPF_LD:
            m.a = loaded(&m, now, data);
            break;
        case BPF_LDX:
            m.x = loaded(&m, now, data);
            break;
        case BPF_ST:
            m.memory[now->k % BPF_MEMWORDS] = m.a;
            break;
        case BPF_STX:
            m.memory[now->k % BPF_MEMWORDS] = m.x;
            break;
        case BPF_ALU:
            m.a = computed(&m, BPF_OP(now->code), operand);
            break;
        case BPF_JMP:
            if (BPF_OP(now->code) == BPF_JA)
                at += now->k;
            else
                at += holds(&m, BPF_OP(now->code), operand) ? now->jt : now->jf;
            break;
        case BPF_RET:
            return BPF_RVAL(now->code) == BPF_A ? m.a : now->k;
        default: /* BPF_MISC */
            if (BPF_MISCOP(now->code) == BPF_TAX)
                m.x = m.a;
            else
                m.a = m.x;
        }
    }
    return SECCOMP_RET_ALLOW; /* the kernel refuses a filter that can end without an answer */
}

uint32_t filter_answer(const void *filter, size_t length, long number, const uint64_t args[6])
{
    struct seccomp_data data = {.nr = (int)number, .arch = NATIVE};
    memcpy(data.args, args, sizeof(data.args));
    return answer(filter, length / sizeof(instruction), &data);
}
