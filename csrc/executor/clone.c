/* clone(2) for a child that shares our memory: it runs one function on a stack of its own.
 *
 * In assembly, because the child must not return into a frame of ours: whether the compiler makes
 * one, and what it keeps there, depends on how it optimises. Not clone3(2), which seccomp filters
 * commonly forbid: one may be loaded already where hooks run (plan/process.py).
 */
#include "executor.h"

#include <linux/signal.h>

/* On the child's stack lie the function and its argument. */
#if defined(__x86_64__)
__asm__(".globl clone_call\n"
        "clone_call:\n"
        "    xor %r10d, %r10d\n"
        "    xor %r8d, %r8d\n"
        "    mov $56, %eax\n" /* clone */
        "    syscall\n"
        "    test %rax, %rax\n"
        "    jnz 1f\n"
        "    xor %ebp, %ebp\n"
        "    pop %rax\n"
        "    pop %rdi\n"
        "    call *%rax\n"
        "    ud2\n"
        "1:  ret\n");
#else
__asm__(".globl clone_call\n"
        "clone_call:\n"
        "    mov x3, xzr\n"
        "    mov x4, xzr\n"
        "    mov x8, #220\n" /* clone */
        "    svc 0\n"
        "    cbnz x0, 1f\n"
        "    mov x29, xzr\n"
        "    ldp x9, x0, [sp], #16\n"
        "    blr x9\n"
        "    brk #1\n"
        "1:  ret\n");
#endif

long clone_call(uint64_t flags, void **stack_top, int *pidfd);

long run_in_clone(uint64_t flags, int *pidfd, struct stack *stack, void (*function)(void *),
                  void *argument)
{
    void **top = (void **)(stack + 1) - 2;
    top[0] = (void *)function;
    top[1] = argument;
    return clone_call(CLONE_VM | flags | (flags & CLONE_THREAD ? 0 : SIGCHLD), top, pidfd);
}
